//! Writing and signing a directory: the authority's side of wire 7.3.
//!
//! Owns the exact bytes. The boundaries are constants: nothing between them can begin with two hyphens.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use kontor_pki::crypto::{DigestAlgorithm, sha512};
use kontor_pki::signing::{SigningError, SigningKey};
use kontor_pki::time::UnixTime;

const OUTER: &str = "kontor-envelope-boundary";
const INNER: &str = "kontor-directory-boundary";

/// What a directory is to say.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DirectoryDraft {
    /// The instance all parts belong to.
    pub instance: String,
    /// Until when it may be used.
    pub expires: UnixTime,
    /// Version of the configuration, 2 to 6: the one that shared parameters were written in.
    pub version: u32,
    /// The parts, in order.
    pub parts: Vec<PartDraft>,
}

/// One part of a directory that is to be written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PartDraft {
    /// Content identifier, for example `SHARED-PARAMETERS`.
    pub identifier: String,
    /// Absolute path on the serving host.
    pub location: String,
    /// Name for parts that receivers may not know.
    pub file_name: Option<String>,
    /// SHA-512 of the bytes served there.
    pub digest: [u8; 64],
}

impl DirectoryDraft {
    /// The body to serve, signed with `key`, whose certificate (DER) is the verification certificate of the anchor.
    ///
    /// # Errors
    /// Those of the key.
    pub fn sign(&self, key: &dyn SigningKey, certificate: &[u8]) -> Result<Vec<u8>, SigningError> {
        let sha512_uri = DigestAlgorithm::Sha512.uri();
        let mut signed = format!(
            "--{INNER}\r\nExpire-date: {}\r\nVersion: {}\r\n\r\n",
            // Whole seconds, as central servers write them.
            UnixTime::from_secs(self.expires.secs())
                .to_rfc3339()
                .replace(".000Z", "Z"),
            self.version
        );
        for part in &self.parts {
            signed.push_str(&format!(
                "--{INNER}\r\n\
                 Content-type: application/octet-stream\r\n\
                 Content-transfer-encoding: base64\r\n\
                 Content-identifier: {}; instance='{}'\r\n\
                 Content-location: {}\r\n\
                 Hash-algorithm-id: {sha512_uri}\r\n",
                part.identifier, self.instance, part.location,
            ));
            if let Some(name) = &part.file_name {
                signed.push_str(&format!("Content-file-name: {name}\r\n"));
            }
            signed.push_str(&format!("\r\n{}\r\n", STANDARD.encode(part.digest)));
        }
        signed.push_str(&format!("--{INNER}--\r\n"));

        let algorithm = key.key_algorithm().message_algorithm();
        let signature = key.sign(algorithm, signed.as_bytes())?;
        Ok(format!(
            "Content-Type: multipart/related; charset=UTF-8; boundary={OUTER}\r\n\r\n\
             --{OUTER}\r\n\
             Content-Type: multipart/mixed; charset=UTF-8; boundary={INNER}\r\n\r\n\
             {signed}\r\n\
             --{OUTER}\r\n\
             Content-Type: application/octet-stream\r\n\
             Content-Transfer-Encoding: base64\r\n\
             Signature-Algorithm-Id: {}\r\n\
             Verification-certificate-hash: {}; hash-algorithm-id=\"{sha512_uri}\"\r\n\r\n\
             {}\r\n\
             --{OUTER}--\r\n",
            algorithm.uri(),
            STANDARD.encode(sha512(certificate)),
            STANDARD.encode(signature),
        )
        .into_bytes())
    }
}
