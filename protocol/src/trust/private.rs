//! `private-params.xml`: what only the own instance's servers are told (wire 7.7).
//!
//! Owns reading and writing in versions 2 to 6: what is written is the same in all of them. The anchors in it are the only way to trust in another
//! instance; whether this node follows one is the operator's filter, not ours.

use super::anchor::ConfigurationAnchor;
use super::document::{
    Children, DocumentError, Writer, certificate, client_id, filled, scan, seconds, text, tree, wrong,
};
use super::shared::NEWEST_VERSION;
use crate::id::ClientId;
use crate::limits;

/// The content of `private-params.xml`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PrivateParams {
    /// The instance this document belongs to.
    pub instance: String,
    /// Anchors of federated instances.
    pub anchors: Vec<ConfigurationAnchor>,
    /// Where registrations go.
    pub management: ManagementService,
    /// How long a signature may stay without a time-stamp, in seconds, as written.
    pub time_stamping_interval_seconds: u32,
}

/// The management service of an instance.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ManagementService {
    /// Address to which authentication certificates are sent for registration.
    pub registration_address: String,
    /// TLS certificate (DER) of that address.
    pub registration_certificate: Option<Vec<u8>>,
    /// Who serves management requests.
    pub provider: ClientId,
}

impl PrivateParams {
    /// Reads the document.
    ///
    /// # Errors
    /// What the schema of `version` refuses, and a document type declaration.
    pub fn read(bytes: &[u8], version: u32) -> Result<Self, DocumentError> {
        if !(2..=NEWEST_VERSION).contains(&version) {
            return Err(DocumentError::Version(version));
        }
        let text = scan(bytes, limits::CONFIGURATION_PART)?;
        let document = tree(&text, "conf")?;
        let mut conf = Children::of(document.root_element(), &[])?;
        let instance = filled(conf.one("instanceIdentifier")?)?;
        let anchors = conf.many("configurationAnchor");
        let anchors = anchors
            .into_iter()
            .map(ConfigurationAnchor::read_element)
            .collect::<Result<Vec<_>, _>>()?;
        let management = management_service(conf.one("managementService")?)?;
        let time_stamping_interval_seconds = seconds(conf.one("timeStampingIntervalSeconds")?)?;
        if version == 2 {
            conf.end()?;
        }
        Ok(Self {
            instance,
            anchors,
            management,
            time_stamping_interval_seconds,
        })
    }

    /// The document, the same in versions 2 to 6: what later schemas add is room for extensions.
    #[must_use]
    pub fn to_xml(&self) -> Vec<u8> {
        let mut w = Writer::new("conf");
        w.text("instanceIdentifier", &self.instance);
        for anchor in &self.anchors {
            w.open("configurationAnchor");
            anchor.write_content(&mut w);
            w.close("configurationAnchor");
        }
        w.open("managementService");
        w.text("authCertRegServiceAddress", &self.management.registration_address);
        if let Some(certificate) = &self.management.registration_certificate {
            w.binary("authCertRegServiceCert", certificate);
        }
        w.client_id("managementRequestServiceProviderId", &self.management.provider);
        w.close("managementService");
        w.text(
            "timeStampingIntervalSeconds",
            &self.time_stamping_interval_seconds.to_string(),
        );
        w.finish("conf")
    }
}

fn management_service(node: roxmltree::Node<'_, '_>) -> Result<ManagementService, DocumentError> {
    let mut children = Children::of(node, &[])?;
    let registration_address = text(children.one("authCertRegServiceAddress")?)?
        .trim()
        .to_owned();
    let registration_certificate = children
        .optional("authCertRegServiceCert")
        .map(certificate)
        .transpose()?;
    let provider = children.one("managementRequestServiceProviderId")?;
    let provider = client_id(provider)?.ok_or_else(|| wrong(provider, "it is no identifier"))?;
    children.end()?;
    Ok(ManagementService {
        registration_address,
        registration_certificate,
        provider,
    })
}
