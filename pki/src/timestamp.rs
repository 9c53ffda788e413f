//! RFC 3161 time-stamps: queries, answers and tokens (wire 5.3).
//!
//! Owns the query bytes, parsing (`timestamp/token.rs`) and, here, verification: the signer is one of the approved
//! authorities, its signature covers the token, the imprint is that of the data. Builds no path and asks for no
//! revocation, as X-Road does not: the global configuration approves the certificate itself. Refuses SHA-1 in
//! imprint and signature; a SHA-1 signing-certificate attribute of old tokens is a look-up only.

mod token;

pub use token::{SignerId, TimestampQuery, TimestampToken, parse_query, parse_response, query, query_for};

pub(crate) use token::{
    OID_CONTENT_TYPE, OID_MESSAGE_DIGEST, OID_SIGNED_DATA, OID_SIGNING_CERTIFICATE_V2, OID_TST_INFO,
};

use crate::UnixTime;
use crate::certificate::Certificate;
use crate::crypto::{self, DigestAlgorithm, Unsupported};
use crate::der::{self, DerError, Reader};
use crate::signing::{self, SignatureAlgorithm, SignatureInvalid, read_digest_identifier};

/// A time-stamp was not accepted.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TimestampError {
    /// Not a query, answer or token.
    #[error("malformed time-stamp: {0}")]
    Malformed(&'static str),
    /// The authority refused to stamp.
    #[error("the time-stamp authority refused with status {status}: {text}")]
    Refused {
        /// PKIStatus of RFC 3161.
        status: u32,
        /// What the authority says, or nothing.
        text: String,
    },
    /// No approved authority has the signer's certificate.
    #[error("the time-stamp's signer is not among the approved time-stamp authorities")]
    UnknownSigner,
    /// SHA-1, or an algorithm that is not known.
    #[error("the time-stamp uses {0}, which is not accepted")]
    Algorithm(String),
    /// The signer's key did not sign it.
    #[error("the time-stamp was not signed by its authority: {0}")]
    Signature(SignatureInvalid),
    /// The signature is about other contents than the token has.
    #[error("the time-stamp's contents are not those that were signed")]
    Contents,
    /// The token names another certificate than the approved one.
    #[error("the time-stamp names another signing certificate than the approved one")]
    OtherCertificate,
    /// The stamped data are others.
    #[error("the time-stamp is about other data")]
    Imprint,
}

impl TimestampError {
    /// The machine code.
    pub const fn code(&self) -> &'static str {
        match self {
            Self::Malformed(_) => "timestamp_malformed",
            Self::Refused { .. } => "timestamp_refused",
            Self::UnknownSigner => "timestamp_unknown_signer",
            Self::Algorithm(_) => "timestamp_algorithm",
            Self::Signature(_) => "timestamp_signature",
            Self::Contents => "timestamp_contents",
            Self::OtherCertificate => "timestamp_other_certificate",
            Self::Imprint => "timestamp_imprint",
        }
    }
}

impl From<DerError> for TimestampError {
    fn from(DerError(what): DerError) -> Self {
        Self::Malformed(what)
    }
}

impl From<Unsupported> for TimestampError {
    fn from(missing: Unsupported) -> Self {
        Self::Signature(SignatureInvalid::Unsupported(missing))
    }
}

impl TimestampToken {
    /// Checks that the token stamps `data` and was signed by one of the approved authorities `tsa`, and returns that
    /// authority's certificate.
    pub fn verify(&self, data: &[u8], tsa: &[Certificate]) -> Result<Certificate, TimestampError> {
        self.verify_imprint(data)?;
        self.verify_authority(tsa)
    }

    /// Checks that the token stamps data with this digest, and is signed as in [`verify`](Self::verify).
    pub fn verify_digest(
        &self,
        algorithm: DigestAlgorithm,
        digest: &[u8],
        tsa: &[Certificate],
    ) -> Result<Certificate, TimestampError> {
        if algorithm.is_weak() {
            return Err(TimestampError::Algorithm(algorithm.name().to_owned()));
        }
        if self.imprint() != (algorithm, digest) {
            return Err(TimestampError::Imprint);
        }
        self.verify_authority(tsa)
    }

    fn verify_authority(&self, tsa: &[Certificate]) -> Result<Certificate, TimestampError> {
        let mut refusal = TimestampError::UnknownSigner;
        for candidate in tsa.iter().filter(|certificate| self.signer().names(certificate)) {
            match self.verify_signer(candidate) {
                Ok(()) => return Ok(candidate.clone()),
                Err(reason) => refusal = reason,
            }
        }
        Err(refusal)
    }

    fn verify_imprint(&self, data: &[u8]) -> Result<(), TimestampError> {
        let (algorithm, imprint) = self.imprint();
        if algorithm.is_weak() {
            return Err(TimestampError::Algorithm(algorithm.name().to_owned()));
        }
        let expected = crypto::digest(algorithm, data)?;
        if crypto::equal(&expected, imprint) {
            Ok(())
        } else {
            Err(TimestampError::Imprint)
        }
    }

    fn verify_signer(&self, signer: &Certificate) -> Result<(), TimestampError> {
        let digest = self.signer_digest().map_err(TimestampError::Algorithm)?;
        let algorithm = self.signature_algorithm().map_err(TimestampError::Algorithm)?;
        self.verify_attributes(signer, digest)?;
        signing::verify_timestamp_signature(algorithm, signer.spki(), &self.signed_bytes(), self.signature())
            .map_err(TimestampError::Signature)
    }

    /// The signed attributes: content type and digest of the contents must be there; a signing certificate, where it
    /// is named, must be the approved one.
    fn verify_attributes(&self, signer: &Certificate, digest: DigestAlgorithm) -> Result<(), TimestampError> {
        let (mut has_type, mut has_digest) = (false, false);
        let mut attributes = Reader::new(self.signed_attributes());
        while !attributes.is_empty() {
            let mut attribute = attributes.sequence()?;
            let oid = attribute.oid()?;
            let mut values = attribute.expect(der::SET)?.contents();
            match oid {
                OID_CONTENT_TYPE => {
                    if has_type || values.oid()? != OID_TST_INFO {
                        return Err(TimestampError::Contents);
                    }
                    has_type = true;
                    values.end()?;
                }
                OID_MESSAGE_DIGEST => {
                    let expected = crypto::digest(digest, self.contents())?;
                    if has_digest || !crypto::equal(values.octet_string()?, &expected) {
                        return Err(TimestampError::Contents);
                    }
                    has_digest = true;
                    values.end()?;
                }
                token::OID_SIGNING_CERTIFICATE => {
                    let named = first_ess_id(values)?.octet_string()?;
                    if *named != signer.sha1() {
                        return Err(TimestampError::OtherCertificate);
                    }
                }
                OID_SIGNING_CERTIFICATE_V2 => {
                    let mut id = first_ess_id(values)?;
                    let algorithm = if id.peek() == Some(der::SEQUENCE) {
                        read_digest_identifier(&mut id)?
                            .ok_or_else(|| TimestampError::Algorithm("an unknown digest".to_owned()))?
                    } else {
                        DigestAlgorithm::Sha256
                    };
                    if id.octet_string()? != crypto::digest(algorithm, signer.der())? {
                        return Err(TimestampError::OtherCertificate);
                    }
                }
                _ => {}
            }
        }
        if has_type && has_digest {
            Ok(())
        } else {
            Err(TimestampError::Contents)
        }
    }
}

/// The first ESSCertID of a signing-certificate attribute: the signer's own (RFC 5035).
fn first_ess_id(mut values: Reader<'_>) -> Result<Reader<'_>, DerError> {
    values.sequence()?.sequence()?.sequence()
}

#[cfg(test)]
mod tests;
