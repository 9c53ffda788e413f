//! What the authority publishes at one instant: the documents of wire 7, signed, with the paths they are served at.
//!
//! Pure: registry, certificates, keys and time in; bytes out. All versions are published side by side, each with the
//! documents that its schema allows. A part that changes gets a new path, so that a member that read the directory a
//! moment ago still finds the parts it names (wire 7.9).

use bytes::Bytes;
use kontor_pki::certificate::Certificate;
use kontor_pki::crypto::sha512;
use kontor_pki::signing::{SigningError, SigningKey};
use kontor_pki::time::UnixTime;
use kontor_protocol::id::ClientId;
use kontor_protocol::trust::directory::{DirectoryDraft, PartDraft};
use kontor_protocol::trust::private::{ManagementService, PrivateParams};
use kontor_protocol::trust::shared::{
    ApprovedCa, ApprovedTsa, CaInfo, ConfigurationSource, GlobalGroup, GlobalSettings, Member, MemberClass,
    NEWEST_VERSION, OcspInfo, SecurityServer, SharedParams, Subsystem,
};
use kontor_protocol::trust::{PRIVATE_PARAMETERS, PartMetadata, SHARED_PARAMETERS, known_file_name};

use super::registry::{Kind, Registry};

/// The version of the copy for auditors: every verifier from X-Road 7.4 on reads it.
const COPY_VERSION: u32 = 3;

/// Certificates that are named in the configuration.
#[derive(Clone, Debug)]
pub struct Certificates {
    /// Those that verify the configuration, of this authority.
    pub configuration: Verification,
    /// The same of each other source, in the order of the registry.
    pub sources: Vec<Verification>,
    /// The certification authority.
    pub ca: Certificate,
    /// The OCSP responder.
    pub ocsp: Certificate,
    /// The time-stamp authority.
    pub tsa: Certificate,
    /// Authentication certificates of each server, in the order of the registry.
    pub servers: Vec<Vec<Certificate>>,
}

/// The verification certificates of one source: that of the key that signs, then those before and after it.
#[derive(Clone, Debug)]
pub struct Verification {
    /// Of `internalconf`.
    pub internal: Vec<Certificate>,
    /// Of `externalconf`.
    pub external: Vec<Certificate>,
}

impl Verification {
    /// Of directories of this kind.
    pub fn of(&self, kind: Kind) -> &[Certificate] {
        match kind {
            Kind::External => &self.external,
            Kind::Internal => &self.internal,
        }
    }
}

/// The keys that sign directories.
#[derive(Clone, Copy)]
pub struct Signers<'a> {
    /// `internalconf`, by the first certificate of its kind.
    pub internal: &'a dyn SigningKey,
    /// `externalconf` likewise.
    pub external: &'a dyn SigningKey,
}

/// A part and where it is served.
#[derive(Clone, Debug)]
pub struct Part {
    /// Version of the configuration it belongs to.
    pub version: u32,
    /// Content identifier.
    pub identifier: &'static str,
    /// Path on the authority's host.
    pub location: String,
    /// SHA-512 of the document.
    pub digest: [u8; 64],
    /// The document.
    pub bytes: Bytes,
}

/// The signed directories of one version.
#[derive(Clone, Debug)]
pub struct Directories {
    /// 2 to 6.
    pub version: u32,
    /// Body of `/internalconf`.
    pub internal: Bytes,
    /// Body of `/externalconf`.
    pub external: Bytes,
}

/// One publication, in all versions.
#[derive(Clone, Debug)]
pub struct Publication {
    /// When it was made.
    pub at: UnixTime,
    /// Until when members may use it.
    pub expires: UnixTime,
    /// The directories, oldest version first.
    pub directories: Vec<Directories>,
    /// The parts that they name.
    pub parts: Vec<Part>,
}

impl Publication {
    /// Writes and signs the configuration as of `now`.
    ///
    /// A part that says what it said in `previous` is that part: an authority that publishes each minute then holds each
    /// document once, however many publications have not expired.
    pub fn make(
        registry: &Registry,
        certificates: &Certificates,
        signers: Signers<'_>,
        previous: Option<&Self>,
        now: UnixTime,
    ) -> Result<Self, SigningError> {
        let parts = written(registry, certificates, previous);
        Self::sign(registry, certificates, signers, parts, now)
    }

    /// The same parts, signed anew: for a registry that has not changed since.
    pub fn renewed(
        &self,
        registry: &Registry,
        certificates: &Certificates,
        signers: Signers<'_>,
        now: UnixTime,
    ) -> Result<Self, SigningError> {
        Self::sign(registry, certificates, signers, self.parts.clone(), now)
    }

    fn sign(
        registry: &Registry,
        certificates: &Certificates,
        signers: Signers<'_>,
        parts: Vec<Part>,
        now: UnixTime,
    ) -> Result<Self, SigningError> {
        let expires = now + registry.expire;
        let sign = |version, key, kind: Kind| {
            // Other instances get nothing but the shared parameters (wire 7.1).
            let named = |part: &&Part| {
                part.version == version && (kind == Kind::Internal || part.identifier == SHARED_PARAMETERS)
            };
            let draft = DirectoryDraft {
                instance: registry.instance.clone(),
                expires,
                version,
                parts: parts.iter().filter(named).map(draft_of).collect(),
            };
            // The first is that of the key: whoever opened the registry put them in this order.
            let certificate = certificates.configuration.of(kind).first().map(Certificate::der);
            draft.sign(key, certificate.unwrap_or_default()).map(Bytes::from)
        };
        let directories = versions(registry).map(|version| {
            Ok(Directories {
                version,
                internal: sign(version, signers.internal, Kind::Internal)?,
                external: sign(version, signers.external, Kind::External)?,
            })
        });
        Ok(Self {
            at: now,
            expires,
            directories: directories.collect::<Result<_, SigningError>>()?,
            parts,
        })
    }

    /// The body of a directory, if this version is published.
    pub fn directory(&self, kind: Kind, version: u32) -> Option<&Bytes> {
        let directories = self.directories.iter().find(|d| d.version == version)?;
        Some(match kind {
            Kind::External => &directories.external,
            Kind::Internal => &directories.internal,
        })
    }

    /// The files of a directory in the layout of wire 7.8, by path.
    pub fn files(&self, instance: &str) -> Vec<(String, Vec<u8>)> {
        let mut files = vec![("instance-identifier".to_owned(), instance.as_bytes().to_vec())];
        let oldest = self.directories.first().map_or(COPY_VERSION, |d| d.version);
        let version = oldest.max(COPY_VERSION);
        for part in self.parts.iter().filter(|part| part.version == version) {
            let path = format!(
                "{instance}/{}",
                known_file_name(part.identifier).unwrap_or_default()
            );
            let metadata = PartMetadata {
                identifier: Some(part.identifier.to_owned()),
                instance: Some(instance.to_owned()),
                file_name: None,
                location: Some(part.location.clone()),
                expires: Some(self.expires),
                version,
            };
            files.push((path.clone(), part.bytes.to_vec()));
            files.push((format!("{path}.metadata"), metadata.to_json()));
        }
        files
    }
}

fn versions(registry: &Registry) -> std::ops::RangeInclusive<u32> {
    registry.oldest_version..=NEWEST_VERSION
}

/// Every part in every version.
fn written(registry: &Registry, certificates: &Certificates, previous: Option<&Publication>) -> Vec<Part> {
    let private = private_params(registry).to_xml();
    let optional = registry.optional.to_xml();
    let mut parts = Vec::new();
    for version in versions(registry) {
        let shared = shared_params(registry, certificates, version)
            .to_xml_in(version)
            .expect("the registry publishes versions that can be written");
        let mut add = |identifier, bytes| parts.push(part(version, identifier, bytes, previous));
        add(PRIVATE_PARAMETERS, private.clone());
        add(SHARED_PARAMETERS, shared);
        for (identifier, bytes) in &optional {
            add(identifier, bytes.clone());
        }
    }
    parts
}

/// A part, named by its content: a path never means two documents, and two hosts that publish from the same registry have
/// the same paths.
fn part(version: u32, identifier: &'static str, bytes: Vec<u8>, previous: Option<&Publication>) -> Part {
    let name = known_file_name(identifier).unwrap_or_default();
    let digest = sha512(&bytes);
    let folder: String = digest[..16].iter().map(|octet| format!("{octet:02x}")).collect();
    let location = format!("/V{version}/{folder}/{name}");
    let mut earlier = previous.iter().flat_map(|p| &p.parts);
    Part {
        version,
        identifier,
        digest,
        bytes: earlier
            .find(|p| p.location == location)
            .map_or_else(|| Bytes::from(bytes), |p| p.bytes.clone()),
        location,
    }
}

fn draft_of(part: &Part) -> PartDraft {
    PartDraft {
        identifier: part.identifier.to_owned(),
        location: part.location.clone(),
        file_name: None,
        digest: part.digest,
    }
}

/// `http://HOST[:PORT]/path` of the authority.
fn url(registry: &Registry, path: &str) -> String {
    format!("http://{}/{path}", registry.public_address)
}

fn shared_params(registry: &Registry, certificates: &Certificates, version: u32) -> SharedParams {
    let ocsp = OcspInfo {
        cost: registry.ocsp_cost,
        url: url(registry, "ocsp"),
        certificate: Some(certificates.ocsp.der().to_vec()),
    };
    let der = |certificates: &[Certificate]| certificates.iter().map(|c| c.der().to_vec()).collect();
    let source = |address: &str, verification: &Verification| ConfigurationSource {
        address: address.to_owned(),
        internal_certificates: der(&verification.internal),
        external_certificates: der(&verification.external),
    };
    let own = source(&registry.public_address, &certificates.configuration);
    let others = registry.sources.iter().zip(&certificates.sources);
    let hash = |certificate: &Certificate| match version {
        // Java looks servers up by the digest that the version implies (wire 7.6).
        2 => certificate.sha1().to_vec(),
        _ => certificate.sha256().to_vec(),
    };
    SharedParams {
        instance: registry.instance.clone(),
        sources: std::iter::once(own)
            .chain(others.map(|(s, verification)| source(&s.address, verification)))
            .collect(),
        authorities: vec![ApprovedCa {
            name: registry.ca_name.clone(),
            authentication_only: false,
            top: CaInfo {
                certificate: certificates.ca.der().to_vec(),
                ocsp: vec![ocsp],
            },
            intermediates: Vec::new(),
            profile_class: registry.profile_class.clone(),
            csr_format: registry.csr_format,
            acme: registry.acme.clone(),
        }],
        tsas: vec![ApprovedTsa {
            cost: registry.tsa_cost,
            name: registry.tsa_name.clone(),
            url: url(registry, "tsa"),
            certificate: certificates.tsa.der().to_vec(),
        }],
        members: registry
            .members
            .iter()
            .map(|m| Member {
                id: m.id.clone(),
                name: m.name.clone(),
                subsystems: m
                    .subsystems
                    .iter()
                    .map(|s| Subsystem {
                        code: s.clone(),
                        name: m.subsystem_names.get(s).cloned(),
                    })
                    .collect(),
            })
            .collect(),
        servers: registry
            .servers
            .iter()
            .zip(&certificates.servers)
            .map(|(server, certificates)| SecurityServer {
                id: server.id.clone(),
                address: Some(server.address.clone()),
                authentication_hashes: certificates.iter().map(hash).collect(),
                clients: clients(server.id.owner().clone().into(), &server.clients),
                maintenance: server.maintenance.clone(),
            })
            .collect(),
        groups: registry
            .groups
            .iter()
            .map(|g| GlobalGroup {
                id: g.id.clone(),
                description: g.description.clone(),
                members: g.members.clone(),
            })
            .collect(),
        settings: GlobalSettings {
            member_classes: registry
                .member_classes
                .iter()
                .map(|(code, description)| MemberClass {
                    code: code.clone(),
                    description: description.clone(),
                })
                .collect(),
            ocsp_freshness_seconds: seconds(registry.ocsp_freshness),
        },
        left_out: Vec::new(),
    }
}

/// The owner of a server is a client of it without being listed.
fn clients(owner: ClientId, listed: &[ClientId]) -> Vec<ClientId> {
    listed.iter().filter(|c| **c != owner).cloned().collect()
}

fn private_params(registry: &Registry) -> PrivateParams {
    let host = registry
        .public_address
        .rsplit_once(':')
        .map_or(registry.public_address.as_str(), |(host, _)| host);
    PrivateParams {
        instance: registry.instance.clone(),
        anchors: registry.federations.iter().map(|f| f.anchor.clone()).collect(),
        management: ManagementService {
            // The address that X-Road gives it by default (wire 7.10); the schema wants one.
            registration_address: format!("https://{host}:4001/managementservice/"),
            registration_certificate: None,
            provider: registry.management_provider.clone(),
        },
        time_stamping_interval_seconds: seconds(registry.time_stamping_interval),
    }
}

fn seconds(duration: std::time::Duration) -> u32 {
    u32::try_from(duration.as_secs()).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests;
