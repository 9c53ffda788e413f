//! One instance of a trust set, indexed.
//!
//! Owns the maps behind the look-ups and the judgement which certificates can be used at all.

use std::collections::{HashMap, HashSet};

use kontor_pki::certificate::Certificate;
use kontor_pki::crypto::sha256;
use kontor_pki::profile::CertificateProfile;

use super::InstanceConfig;
use super::private::PrivateParams;
use super::shared::{CaInfo, NEWEST_VERSION, SecurityServer};
use crate::id::{ClientId, GroupId, MemberId, ServerId};

/// A certificate of an approved authority, with what comes with it.
#[derive(Debug, Clone)]
pub struct CaEntry {
    /// Display name of the authority.
    pub name: String,
    /// Root or intermediate.
    pub certificate: Certificate,
    /// Responders, in the order in which to ask them.
    pub ocsp_urls: Vec<String>,
    /// Responder certificates configured for this certificate.
    pub ocsp_certs: Vec<Certificate>,
    /// How member identifiers are read from subjects; `None` if the class is not built in, and then no signature
    /// under this authority can be judged.
    pub profile: Option<CertificateProfile>,
    /// The class name as configured.
    pub profile_class: String,
    /// Certificates of this authority never sign.
    pub authentication_only: bool,
    /// Root, not intermediate.
    pub top: bool,
}

/// A time-stamp authority that can be used.
#[derive(Debug, Clone)]
pub struct TimeStampAuthority {
    /// Display name.
    pub name: String,
    /// Where to post queries.
    pub url: String,
    /// Its certificate.
    pub certificate: Certificate,
}

/// The configuration of one instance with its indexes.
#[derive(Debug)]
pub struct IndexedInstance {
    pub(super) config: InstanceConfig,
    pub(super) authorities: Vec<CaEntry>,
    pub(super) tsas: Vec<TimeStampAuthority>,
    /// Places in `authorities`, by the DER of the subject name.
    authorities_by_name: HashMap<Vec<u8>, Vec<usize>>,
    /// Places in the list of servers.
    servers_by_client: HashMap<ClientId, Vec<usize>>,
    servers_by_hash: HashMap<Vec<u8>, usize>,
    servers_by_id: HashMap<ServerId, usize>,
    /// Places in the list of members.
    members: HashMap<MemberId, usize>,
    groups: HashMap<GroupId, HashSet<ClientId>>,
    problems: Vec<String>,
    digest: [u8; 32],
}

impl IndexedInstance {
    /// Indexes a configuration.
    #[must_use]
    pub fn new(config: InstanceConfig) -> Self {
        let mut notes: Vec<String> = config.shared.left_out.clone();
        let (authorities, tsas) = (
            usable_authorities(&config, &mut notes),
            usable_tsas(&config, &mut notes),
        );
        let named = |note| format!("instance {}: {note}", config.instance);
        let problems = notes.into_iter().map(named).collect();

        let mut authorities_by_name: HashMap<Vec<u8>, Vec<usize>> = HashMap::new();
        for (at, entry) in authorities.iter().enumerate() {
            authorities_by_name
                .entry(entry.certificate.subject().der().to_vec())
                .or_default()
                .push(at);
        }
        let mut servers_by_client: HashMap<ClientId, Vec<usize>> = HashMap::new();
        let mut servers_by_hash = HashMap::new();
        let mut servers_by_id = HashMap::new();
        for (at, server) in config.shared.servers.iter().enumerate() {
            servers_by_id.insert(server.id.clone(), at);
            for hash in &server.authentication_hashes {
                servers_by_hash.insert(hash.clone(), at);
            }
            let owner = ClientId::from(server.id.owner().clone());
            for client in std::iter::once(&owner).chain(&server.clients) {
                let places = servers_by_client.entry(client.clone()).or_default();
                if places.last() != Some(&at) && !places.contains(&at) {
                    places.push(at);
                }
            }
        }
        let members = config
            .shared
            .members
            .iter()
            .enumerate()
            .map(|(at, m)| (m.id.clone(), at))
            .collect();
        let mut groups: HashMap<GroupId, HashSet<ClientId>> = HashMap::new();
        for group in &config.shared.groups {
            groups
                .entry(group.id.clone())
                .or_default()
                .extend(group.members.iter().cloned());
        }
        let digest = digest(&config);
        Self {
            problems,
            digest,
            config,
            authorities,
            tsas,
            authorities_by_name,
            servers_by_client,
            servers_by_hash,
            servers_by_id,
            members,
            groups,
        }
    }

    /// The instance.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.config.instance
    }

    /// What was read.
    #[must_use]
    pub fn config(&self) -> &InstanceConfig {
        &self.config
    }

    /// What could not be used, in words for the operator.
    #[must_use]
    pub fn problems(&self) -> &[String] {
        &self.problems
    }

    /// Whether it is an instance for tests, by its name or its authorities (architecture 1.9).
    #[must_use]
    pub fn is_test(&self) -> bool {
        self.config.instance.starts_with("TEST") || self.has_test_authority()
    }

    pub(super) fn has_test_authority(&self) -> bool {
        self.authorities.iter().any(|entry| entry.certificate.is_test())
    }

    /// Of all that verdicts depend on.
    pub(super) fn digest(&self) -> &[u8; 32] {
        &self.digest
    }

    pub(super) fn servers_of(&self, client: &ClientId) -> Vec<&SecurityServer> {
        let places = self
            .servers_by_client
            .get(client)
            .map(Vec::as_slice)
            .unwrap_or_default();
        places.iter().map(|at| &self.config.shared.servers[*at]).collect()
    }

    pub(super) fn server(&self, id: &ServerId) -> Option<&SecurityServer> {
        self.servers_by_id
            .get(id)
            .map(|at| &self.config.shared.servers[*at])
    }

    pub(super) fn server_by_hash(&self, hash: &[u8]) -> Option<&SecurityServer> {
        self.servers_by_hash
            .get(hash)
            .map(|at| &self.config.shared.servers[*at])
    }

    /// `authCertHash` of a certificate in this file (wire 7.6).
    pub(super) fn hash(&self, certificate: &Certificate) -> Vec<u8> {
        if self.config.version == 2 {
            certificate.sha1().to_vec()
        } else {
            certificate.sha256().to_vec()
        }
    }

    pub(super) fn member_name(&self, member: &MemberId) -> Option<&str> {
        self.members
            .get(member)
            .map(|at| self.config.shared.members[*at].name.as_str())
    }

    pub(super) fn group_contains(&self, group: &GroupId, client: &ClientId) -> bool {
        self.groups
            .get(group)
            .is_some_and(|members| members.contains(client))
    }

    pub(super) fn issuer_of(&self, certificate: &Certificate) -> Option<&CaEntry> {
        let places = self.authorities_by_name.get(certificate.issuer().der())?;
        let entries = || places.iter().map(|at| &self.authorities[*at]);
        let first = entries().next()?;
        if entries().all(|entry| entry.certificate == first.certificate) {
            // One key, perhaps approved twice: nothing to find out.
            return entries().find(|entry| entry.may_sign()).or(Some(first));
        }
        let fitting = || entries().filter(|entry| certificate.verify_issued_by(&entry.certificate).is_ok());
        fitting()
            .find(|entry| entry.may_sign())
            .or_else(|| fitting().next())
            .or_else(|| entries().next_back())
    }
}

/// Digests what anybody decides by: the documents as we would write them in the newest version, which has all that any version
/// can say, their own version, and how OCSP is judged.
fn digest(config: &InstanceConfig) -> [u8; 32] {
    // What cannot be written in the newest version could not be read from an older one.
    let shared = config.shared.to_xml_in(NEWEST_VERSION);
    let private = config.private.as_ref().map(PrivateParams::to_xml);
    let documents = [
        shared.unwrap_or_else(|_| config.shared.to_xml()),
        private.unwrap_or_default(),
    ];
    let document = sha256(&documents.map(|document| sha256(&document)).concat());
    let verify_next_update = config.optional.verify_next_update.unwrap_or(true);
    let mut content = (config.instance.len() as u64).to_be_bytes().to_vec();
    content.extend_from_slice(config.instance.as_bytes());
    content.extend_from_slice(&config.version.to_be_bytes());
    content.push(u8::from(verify_next_update));
    content.extend_from_slice(&document);
    sha256(&content)
}

impl CaEntry {
    fn may_sign(&self) -> bool {
        !self.authentication_only && self.profile.is_some()
    }
}

fn usable_authorities(config: &InstanceConfig, notes: &mut Vec<String>) -> Vec<CaEntry> {
    let mut entries = Vec::new();
    for ca in &config.shared.authorities {
        let profile = CertificateProfile::from_class_name(&ca.profile_class);
        if profile.is_none() {
            notes.push(format!(
                "authority `{}`: the certificate profile `{}` is not built in, signatures under it cannot be judged",
                ca.name, ca.profile_class
            ));
        }
        let infos = std::iter::once((&ca.top, true)).chain(ca.intermediates.iter().map(|i| (i, false)));
        for (info, top) in infos {
            let Some(certificate) = usable(&info.certificate, &ca.name, "certificate", notes) else {
                continue;
            };
            entries.push(CaEntry {
                name: ca.name.clone(),
                certificate,
                ocsp_urls: info.ocsp.iter().map(|o| o.url.clone()).collect(),
                ocsp_certs: responder_certificates(info, &ca.name, notes),
                profile,
                profile_class: ca.profile_class.clone(),
                authentication_only: ca.authentication_only,
                top,
            });
        }
    }
    entries
}

fn responder_certificates(info: &CaInfo, name: &str, notes: &mut Vec<String>) -> Vec<Certificate> {
    let given = info.ocsp.iter().filter_map(|o| o.certificate.as_ref());
    given
        .filter_map(|der| usable(der, name, "OCSP certificate", notes))
        .collect()
}

fn usable_tsas(config: &InstanceConfig, notes: &mut Vec<String>) -> Vec<TimeStampAuthority> {
    let mut tsas = Vec::new();
    for tsa in &config.shared.tsas {
        if let Some(certificate) = usable(&tsa.certificate, &tsa.name, "certificate", notes) {
            tsas.push(TimeStampAuthority {
                name: tsa.name.clone(),
                url: tsa.url.clone(),
                certificate,
            });
        }
    }
    tsas
}

fn usable(der: &[u8], owner: &str, what: &str, notes: &mut Vec<String>) -> Option<Certificate> {
    match Certificate::parse(der) {
        Ok(certificate) => Some(certificate),
        Err(e) => {
            notes.push(format!("`{owner}`: a {what} cannot be read and is not used: {e}"));
            None
        }
    }
}
