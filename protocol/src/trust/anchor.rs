//! The configuration anchor: the file that an operator trusts by its hash, and from which all other trust follows
//! (wire 7.1).
//!
//! Owns reading and writing; the same type stands in private parameters for federated instances. A verification
//! certificate is only a container of a key: its dates and issuer are never looked at.

use kontor_pki::time::UnixTime;

use super::document::{Children, DocumentError, Writer, certificate, filled, scan, text, tree, wrong};
use crate::limits;

/// Where the configuration of one instance is published and which keys sign it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConfigurationAnchor {
    /// When the anchor was made, if it says so.
    pub generated_at: Option<UnixTime>,
    /// The instance whose configuration this is.
    pub instance: String,
    /// Publishers, at least one.
    pub sources: Vec<AnchorSource>,
}

/// One publisher of a configuration.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AnchorSource {
    /// For example `http://cs.example/internalconf`.
    pub download_url: String,
    /// Certificates (DER) whose keys may have signed the directory, at least one.
    pub verification_certificates: Vec<Vec<u8>>,
}

impl ConfigurationAnchor {
    /// Reads an anchor file.
    ///
    /// # Errors
    /// What the schema refuses, and a document type declaration.
    pub fn read(bytes: &[u8]) -> Result<Self, DocumentError> {
        let text = scan(bytes, limits::ANCHOR)?;
        let document = tree(&text, "configurationAnchor")?;
        Self::read_element(document.root_element())
    }

    pub(super) fn read_element(node: roxmltree::Node<'_, '_>) -> Result<Self, DocumentError> {
        let mut children = Children::of(node, &[])?;
        let generated_at = match children.optional("generatedAt") {
            None => None,
            Some(node) => Some(
                UnixTime::parse_rfc3339(text(node)?.trim()).map_err(|_| wrong(node, "it is no instant"))?,
            ),
        };
        let instance = filled(children.one("instanceIdentifier")?)?;
        let mut sources = Vec::new();
        for node in children.some("source")? {
            let mut source = Children::of(node, &[])?;
            let download_url = filled(source.one("downloadURL")?)?.trim().to_owned();
            let certificates = source.some("verificationCert")?;
            let verification_certificates = certificates
                .into_iter()
                .map(certificate)
                .collect::<Result<_, _>>()?;
            source.end()?;
            sources.push(AnchorSource {
                download_url,
                verification_certificates,
            });
        }
        children.end()?;
        Ok(Self {
            generated_at,
            instance,
            sources,
        })
    }

    /// The anchor file.
    #[must_use]
    pub fn to_xml(&self) -> Vec<u8> {
        let mut w = Writer::new("configurationAnchor");
        self.write_content(&mut w);
        w.finish("configurationAnchor")
    }

    pub(super) fn write_content(&self, w: &mut Writer) {
        if let Some(at) = self.generated_at {
            w.text("generatedAt", &at.to_rfc3339());
        }
        w.text("instanceIdentifier", &self.instance);
        for source in &self.sources {
            w.open("source");
            w.text("downloadURL", &source.download_url);
            for certificate in &source.verification_certificates {
                w.binary("verificationCert", certificate);
            }
            w.close("source");
        }
    }
}
