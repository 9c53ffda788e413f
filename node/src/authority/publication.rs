//! What the authority publishes at one instant: the documents of wire 7, signed, with the paths they are served at.
//!
//! Pure: registry, certificates, key and time in; bytes out. Parts get a path of their own per publication, so that
//! a member that read the directory a moment ago still finds the parts it names (wire 7.9).

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
    OcspInfo, SecurityServer, SharedParams, Subsystem,
};
use kontor_protocol::trust::{PRIVATE_PARAMETERS, PartMetadata, SHARED_PARAMETERS, known_file_name};

use super::registry::Registry;

/// The version that is published: the highest that every Java server from 7.4 on reads.
pub const VERSION: u32 = 3;

/// Certificates that are named in the configuration.
#[derive(Clone, Debug)]
pub struct Certificates {
    /// Verifies the signature of the configuration.
    pub configuration: Certificate,
    /// The certification authority.
    pub ca: Certificate,
    /// The OCSP responder.
    pub ocsp: Certificate,
    /// The time-stamp authority.
    pub tsa: Certificate,
    /// Authentication certificates of each server, in the order of the registry.
    pub servers: Vec<Vec<Certificate>>,
}

/// A part and where it is served.
#[derive(Clone, Debug)]
pub struct Part {
    /// Content identifier.
    pub identifier: &'static str,
    /// Path on the authority's host.
    pub location: String,
    /// The document.
    pub bytes: Bytes,
}

/// One publication.
#[derive(Clone, Debug)]
pub struct Publication {
    /// When it was made.
    pub at: UnixTime,
    /// Until when members may use it.
    pub expires: UnixTime,
    /// Body of `/internalconf`.
    pub internal: Bytes,
    /// Body of `/externalconf`.
    pub external: Bytes,
    /// The parts of both.
    pub parts: Vec<Part>,
}

impl Publication {
    /// Writes and signs the configuration as of `now`.
    pub fn make(
        registry: &Registry,
        certificates: &Certificates,
        key: &dyn SigningKey,
        now: UnixTime,
    ) -> Result<Self, SigningError> {
        let folder = format!("/V{VERSION}/{}", now.millis());
        let part = |identifier, bytes: Vec<u8>| Part {
            identifier,
            location: format!("{folder}/{}", known_file_name(identifier).unwrap_or_default()),
            bytes: Bytes::from(bytes),
        };
        let shared = part(SHARED_PARAMETERS, shared_params(registry, certificates).to_xml());
        let private = part(PRIVATE_PARAMETERS, private_params(registry).to_xml());
        let expires = now + registry.expire;
        let sign = |parts: &[&Part]| {
            let drafts = parts.iter().map(|part| PartDraft {
                identifier: part.identifier.to_owned(),
                location: part.location.clone(),
                file_name: None,
                digest: sha512(&part.bytes),
            });
            let draft = DirectoryDraft {
                instance: registry.instance.clone(),
                expires,
                version: VERSION,
                parts: drafts.collect(),
            };
            draft.sign(key, certificates.configuration.der()).map(Bytes::from)
        };
        Ok(Self {
            at: now,
            expires,
            internal: sign(&[&private, &shared])?,
            external: sign(&[&shared])?,
            parts: vec![private, shared],
        })
    }

    /// The files of a directory in the layout of wire 7.8, by path.
    pub fn files(&self, instance: &str) -> Vec<(String, Vec<u8>)> {
        let mut files = vec![("instance-identifier".to_owned(), instance.as_bytes().to_vec())];
        for part in &self.parts {
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
                version: VERSION,
            };
            files.push((path.clone(), part.bytes.to_vec()));
            files.push((format!("{path}.metadata"), metadata.to_json()));
        }
        files
    }
}

/// `http://HOST[:PORT]/path` of the authority.
fn url(registry: &Registry, path: &str) -> String {
    format!("http://{}/{path}", registry.public_address)
}

fn shared_params(registry: &Registry, certificates: &Certificates) -> SharedParams {
    let configuration = certificates.configuration.der().to_vec();
    let ocsp = OcspInfo {
        url: url(registry, "ocsp"),
        certificate: Some(certificates.ocsp.der().to_vec()),
    };
    SharedParams {
        instance: registry.instance.clone(),
        sources: vec![ConfigurationSource {
            address: registry.public_address.clone(),
            internal_certificates: vec![configuration.clone()],
            external_certificates: vec![configuration],
        }],
        authorities: vec![ApprovedCa {
            name: registry.ca_name.clone(),
            authentication_only: false,
            top: CaInfo {
                certificate: certificates.ca.der().to_vec(),
                ocsp: vec![ocsp],
            },
            intermediates: Vec::new(),
            profile_class: registry.profile_class.clone(),
        }],
        tsas: vec![ApprovedTsa {
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
                        name: None,
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
                authentication_hashes: certificates.iter().map(|c| c.sha256().to_vec()).collect(),
                clients: clients(server.id.owner().clone().into(), &server.clients),
                maintenance: None,
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
        anchors: Vec::new(),
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
