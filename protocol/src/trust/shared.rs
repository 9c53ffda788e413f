//! `shared-params.xml`: who takes part, by which servers, under which authorities (wire 7.6).
//!
//! Owns the document as plain data, read and written in versions 2 to 6. Certificates are raw DER here: whether one can be used is judged by the trust set, so that one odd
//! certificate of one authority does not take the configuration down.
//!
//! Refuses what the XML schema of the stated version refuses. Entries whose identifiers cannot be written as a short
//! string (wire 1.5) are left out and named in [`SharedParams::left_out`]: nobody can address them.

mod read;
#[cfg(test)]
mod tests;
mod write;

use crate::id::{ClientId, GroupId, MemberId, ServerId};

use super::document::DocumentError;

/// The newest version of the configuration that this crate reads.
pub const NEWEST_VERSION: u32 = 6;

/// The content of `shared-params.xml`.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct SharedParams {
    /// The instance this document describes.
    pub instance: String,
    /// Where the configuration is published (from version 3).
    pub sources: Vec<ConfigurationSource>,
    /// Certification authorities, in file order.
    pub authorities: Vec<ApprovedCa>,
    /// Time-stamp authorities, in file order.
    pub tsas: Vec<ApprovedTsa>,
    /// Members with their subsystems.
    pub members: Vec<Member>,
    /// Security servers.
    pub servers: Vec<SecurityServer>,
    /// Groups that access rights may name.
    pub groups: Vec<GlobalGroup>,
    /// Settings of the whole instance.
    pub settings: GlobalSettings,
    /// What was left out while reading, in words for the operator.
    pub left_out: Vec<String>,
}

/// One publisher of the configuration with its keys: allows key changes without new anchors.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConfigurationSource {
    /// Host name or address, as written; a port may follow.
    pub address: String,
    /// Certificates (DER) that verify `internalconf`.
    pub internal_certificates: Vec<Vec<u8>>,
    /// Certificates (DER) that verify `externalconf`.
    pub external_certificates: Vec<Vec<u8>>,
}

/// A certification authority and its intermediates.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ApprovedCa {
    /// Display name.
    pub name: String,
    /// Its certificates serve TLS only and never a signature.
    pub authentication_only: bool,
    /// The root.
    pub top: CaInfo,
    /// Intermediates that issue certificates or lie on paths.
    pub intermediates: Vec<CaInfo>,
    /// Java class name of the certificate profile (wire 8.1).
    pub profile_class: String,
    /// In which form its certificate requests are made unless somebody chooses (from version 6).
    pub csr_format: Option<CsrFormat>,
    /// Where servers may order certificates by themselves (from version 3).
    pub acme: Option<AcmeServer>,
}

/// The form of a certificate request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CsrFormat {
    /// Text.
    Pem,
    /// Octets.
    Der,
}

impl CsrFormat {
    const ALL: [Self; 2] = [Self::Pem, Self::Der];

    /// As it stands in the document.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Pem => "PEM",
            Self::Der => "DER",
        }
    }

    /// The format of exactly this name.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|format| format.name() == name)
    }
}

/// Whether a service has a price.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CostType {
    /// It costs nothing.
    Free,
    /// It costs something.
    Paid,
    /// Nobody said.
    Undefined,
}

impl CostType {
    const ALL: [Self; 3] = [Self::Free, Self::Paid, Self::Undefined];

    /// As it stands in the document.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Free => "FREE",
            Self::Paid => "PAID",
            Self::Undefined => "UNDEFINED",
        }
    }

    /// The type of exactly this name.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|cost| cost.name() == name)
    }
}

/// A server of RFC 8555.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AcmeServer {
    /// Where it begins.
    pub directory_url: String,
    /// Addresses it comes from, with commas between them: for firewalls.
    pub ip_address: Option<String>,
    /// Name of the profile for authentication certificates (from version 4).
    pub authentication_profile: Option<String>,
    /// Name of the profile for signing certificates (from version 4).
    pub signing_profile: Option<String>,
}

/// One certificate of an authority and its OCSP responders.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CaInfo {
    /// DER.
    pub certificate: Vec<u8>,
    /// Responders, in the order in which to ask them.
    pub ocsp: Vec<OcspInfo>,
}

/// An OCSP responder.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OcspInfo {
    /// Where to post requests.
    pub url: String,
    /// Certificate (DER) whose answers count, if it is neither the authority itself nor certified by it.
    pub certificate: Option<Vec<u8>>,
    /// Whether it has a price (from version 6).
    pub cost: Option<CostType>,
}

/// A time-stamp authority.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ApprovedTsa {
    /// Display name.
    pub name: String,
    /// Where to post queries.
    pub url: String,
    /// DER.
    pub certificate: Vec<u8>,
    /// Whether it has a price (from version 6).
    pub cost: Option<CostType>,
}

/// An organisation that takes part.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Member {
    /// Its identifier.
    pub id: MemberId,
    /// Its official name.
    pub name: String,
    /// Codes of its subsystems.
    pub subsystems: Vec<Subsystem>,
}

/// A subsystem of a member.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Subsystem {
    /// Its code.
    pub code: String,
    /// Its name (from version 5).
    pub name: Option<String>,
}

/// A security server as others see it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SecurityServer {
    /// Owner and code.
    pub id: ServerId,
    /// Host name or address; `None` while it is not reachable.
    pub address: Option<String>,
    /// Digests of its registered authentication certificates; which algorithm is a matter of the file's version.
    pub authentication_hashes: Vec<Vec<u8>>,
    /// The members and subsystems registered at it; the owner is one without being listed.
    pub clients: Vec<ClientId>,
    /// In maintenance (from version 5), with the administrator's message (which may be empty).
    pub maintenance: Option<String>,
}

/// A group that access rights may name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GlobalGroup {
    /// Instance and code.
    pub id: GroupId,
    /// What it is for.
    pub description: String,
    /// Members and subsystems in it.
    pub members: Vec<ClientId>,
}

/// Settings of an instance.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GlobalSettings {
    /// Member classes with their descriptions.
    pub member_classes: Vec<MemberClass>,
    /// How old an OCSP response may be, in seconds.
    pub ocsp_freshness_seconds: u32,
}

impl Default for GlobalSettings {
    /// No classes, an hour (wire 7.10).
    fn default() -> Self {
        Self {
            member_classes: Vec::new(),
            ocsp_freshness_seconds: 3600,
        }
    }
}

/// A member class.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MemberClass {
    /// For example `GOV`.
    pub code: String,
    /// In words.
    pub description: String,
}

impl SharedParams {
    /// Reads the document by the schema of `version`.
    ///
    /// # Errors
    /// Whatever that schema refuses, a document type declaration, and versions other than 2 to 6.
    pub fn read(bytes: &[u8], version: u32) -> Result<Self, DocumentError> {
        read::read(bytes, version)
    }

    /// Reads the document by the oldest schema it fits: for stored files that came without metadata.
    ///
    /// Returns the version too: 2 without a `source` list, else 6, whose schema includes 3 to 5.
    ///
    /// # Errors
    /// As [`Self::read`].
    pub fn read_unversioned(bytes: &[u8]) -> Result<(Self, u32), DocumentError> {
        let newest = Self::read(bytes, NEWEST_VERSION);
        match newest {
            Err(DocumentError::Missing {
                element: "source", ..
            }) => Ok((Self::read(bytes, 2)?, 2)),
            other => Ok((other?, NEWEST_VERSION)),
        }
    }

    /// The document in version 3, the highest that every Java server from 7.4 on reads.
    ///
    /// Fields that came with later versions (names of subsystems, maintenance, prices) are not in it.
    #[must_use]
    pub fn to_xml(&self) -> Vec<u8> {
        write::write(self, 3)
    }

    /// The document in the given version, with exactly the fields that its schema has.
    ///
    /// What the version decides beyond that is the caller's: digests of authentication certificates are written as they
    /// are (SHA-1 in version 2, SHA-256 from 3 on), and from 3 on the schema wants at least one source.
    ///
    /// # Errors
    /// Versions other than 2 to 6.
    pub fn to_xml_in(&self, version: u32) -> Result<Vec<u8>, DocumentError> {
        if (2..=NEWEST_VERSION).contains(&version) {
            Ok(write::write(self, version))
        } else {
            Err(DocumentError::Version(version))
        }
    }
}
