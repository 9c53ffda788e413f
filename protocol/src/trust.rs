//! The global configuration as of one download: who takes part, by which servers, under whose certificates (wire 7).
//!
//! Owns the documents (anchor, signed directory, shared and private parameters, optional parts) and [`TrustSet`], the
//! index that messages are judged by. A trust set is built once per download and never changes; share it in an `Arc`.
//!
//! Refuses documents that the schemas refuse. What is well-formed but unusable (an authority with a certificate that
//! cannot be read or a profile that is not built in) makes that one entry unusable and is named in
//! [`TrustSet::problems`]. Expiry is told, not enforced: containers are judged by configurations long expired.

mod document;
pub mod anchor;
pub mod shared;
pub mod private;
pub mod optional;
pub mod directory;
mod files;
mod instance;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use kontor_pki::certificate::Certificate;
use kontor_pki::crypto::sha256;
use kontor_pki::ocsp::{OcspPolicy, Responders};
use kontor_pki::time::UnixTime;

pub use self::document::DocumentError;
pub use self::files::{PartMetadata, TrustFilesError};
pub use self::instance::{CaEntry, IndexedInstance, TimeStampAuthority};
use self::optional::OptionalParts;
use self::private::PrivateParams;
use self::shared::{SecurityServer, SharedParams};
use crate::id::{ClientId, GroupId, MemberId, ServerId};

/// Content identifier of `shared-params.xml`.
pub const SHARED_PARAMETERS: &str = "SHARED-PARAMETERS";
/// Content identifier of `private-params.xml`.
pub const PRIVATE_PARAMETERS: &str = "PRIVATE-PARAMETERS";
/// Content identifier of `monitoring-params.xml`.
pub const MONITORING: &str = "MONITORING";
/// Content identifier of `fetchinterval-params.xml`.
pub const FETCH_INTERVAL: &str = "FETCHINTERVAL";
/// Content identifier of `nextupdate-params.xml`.
pub const NEXT_UPDATE: &str = "NEXTUPDATE";

/// Names of the parts we know, by content identifier (wire 7.5).
const KNOWN_FILES: [(&str, &str); 5] = [
    (SHARED_PARAMETERS, "shared-params.xml"),
    (PRIVATE_PARAMETERS, "private-params.xml"),
    (MONITORING, "monitoring-params.xml"),
    (FETCH_INTERVAL, "fetchinterval-params.xml"),
    (NEXT_UPDATE, "nextupdate-params.xml"),
];

/// The file name of a part we know.
#[must_use]
pub fn known_file_name(identifier: &str) -> Option<&'static str> {
    KNOWN_FILES
        .iter()
        .find(|(known, _)| *known == identifier)
        .map(|(_, name)| *name)
}

/// Whether an unknown part may not be stored under this name.
fn is_reserved_file_name(name: &str) -> bool {
    let name = name.to_ascii_lowercase();
    name.ends_with(".metadata")
        || name == "instance-identifier"
        || name == "files"
        || KNOWN_FILES.iter().any(|(_, known)| *known == name)
}

/// Everything downloaded for one instance.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InstanceConfig {
    /// The instance.
    pub instance: String,
    /// `shared-params.xml`.
    pub shared: SharedParams,
    /// `private-params.xml`, of the own instance.
    pub private: Option<PrivateParams>,
    /// The optional parts, of the own instance.
    pub optional: OptionalParts,
    /// Version of the configuration: decides how authentication certificates are hashed.
    pub version: u32,
    /// Until when it may be used, as of reading; `None` where nobody says (stored files without metadata).
    pub expires: Option<UnixTime>,
}

/// The set has no configuration of the instance it is for.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("there is no configuration of the own instance `{0}`")]
pub struct OwnInstanceMissing(pub String);

/// The configurations of all known instances, indexed by what a message asks.
#[derive(Debug)]
pub struct TrustSet {
    own: String,
    instances: BTreeMap<String, Entry>,
    authorities: Vec<Certificate>,
    responders: Vec<Certificate>,
    tsa_certificates: Vec<Certificate>,
    policy: OcspPolicy,
    test: bool,
    generation: [u8; 32],
    problems: Vec<String>,
}

/// An instance of a set. Its expiry moves with each download, the rest seldom.
#[derive(Debug)]
struct Entry {
    instance: Arc<IndexedInstance>,
    expires: Option<UnixTime>,
}

impl TrustSet {
    /// Indexes the configurations of the own instance and those it trusts.
    ///
    /// Leave out instances that have expired (wire 7.9); the own one stays in and is judged per message.
    ///
    /// # Errors
    /// No configuration of `own_instance` is among them.
    pub fn new(own_instance: &str, configs: Vec<InstanceConfig>) -> Result<Self, OwnInstanceMissing> {
        let indexed = configs.into_iter().map(|config| {
            let expires = config.expires;
            (Arc::new(IndexedInstance::new(config)), expires)
        });
        Self::of(own_instance, indexed.collect())
    }

    /// The same of instances that are indexed already, each with its expiry: those that did not change since the last
    /// download go from one set to the next.
    ///
    /// # Errors
    /// As [`new`](Self::new).
    pub fn of(
        own_instance: &str,
        indexed: Vec<(Arc<IndexedInstance>, Option<UnixTime>)>,
    ) -> Result<Self, OwnInstanceMissing> {
        let mut instances = BTreeMap::new();
        let mut problems = Vec::new();
        for (instance, expires) in indexed {
            problems.extend_from_slice(instance.problems());
            instances.insert(instance.name().to_owned(), Entry { instance, expires });
        }
        let Some(Entry { instance: own, .. }) = instances.get(own_instance) else {
            return Err(OwnInstanceMissing(own_instance.to_owned()));
        };
        let policy = OcspPolicy {
            freshness: Duration::from_secs(own.config.shared.settings.ocsp_freshness_seconds.into()),
            verify_next_update: own.config.optional.verify_next_update.unwrap_or(true),
            skew: Duration::from_secs(60),
        };
        let all = || instances.values().map(|entry| &entry.instance);
        let generation = generation(own_instance, all());
        let entries = || all().flat_map(|i| &i.authorities);
        let authorities = entries().map(|e| e.certificate.clone()).collect();
        let responders = entries().flat_map(|e| e.ocsp_certs.iter().cloned()).collect();
        let tsa_certificates = all()
            .flat_map(|i| &i.tsas)
            .map(|t| t.certificate.clone())
            .collect();
        let test = own_instance.starts_with("TEST") || all().any(|instance| instance.has_test_authority());
        Ok(Self {
            own: own_instance.to_owned(),
            instances,
            authorities,
            responders,
            tsa_certificates,
            policy,
            test,
            generation,
            problems,
        })
    }

    /// The instances of this set with their expiries, for [`of`](Self::of).
    pub fn indexed(&self) -> impl Iterator<Item = (&Arc<IndexedInstance>, Option<UnixTime>)> {
        self.instances
            .values()
            .map(|entry| (&entry.instance, entry.expires))
    }

    /// The own instance.
    #[must_use]
    pub fn own_instance(&self) -> &str {
        &self.own
    }

    /// The configuration of an instance, if it is known.
    #[must_use]
    pub fn instance(&self, name: &str) -> Option<&InstanceConfig> {
        self.found(name).map(|i| &i.config)
    }

    /// The configurations of all known instances, by name.
    pub fn instances(&self) -> impl Iterator<Item = &InstanceConfig> {
        self.instances.values().map(|entry| &entry.instance.config)
    }

    /// Until when the own configuration may be used; past it every message is refused (wire 7.9).
    #[must_use]
    pub fn expires(&self) -> Option<UnixTime> {
        self.instances.get(&self.own).and_then(|own| own.expires)
    }

    /// Whether the configuration of `instance` has expired at `now`: the own one ends all traffic, another one makes
    /// its members unknown (wire 7.9). An unknown instance counts as expired.
    #[must_use]
    pub fn is_expired(&self, instance: &str, now: UnixTime) -> bool {
        self.instances
            .get(instance)
            .is_none_or(|entry| entry.expires.is_some_and(|at| at <= now))
    }

    /// What could not be used, in words for the operator.
    #[must_use]
    pub fn problems(&self) -> &[String] {
        &self.problems
    }

    /// A digest of all that verdicts depend on: the key under which verdicts may be kept. It does not change when only
    /// expiry dates move.
    #[must_use]
    pub fn generation(&self) -> &[u8; 32] {
        &self.generation
    }

    /// Whether this is test trust, which a production node refuses (architecture 1.9).
    #[must_use]
    pub fn is_test(&self) -> bool {
        self.test
    }

    // --- Members, servers, groups

    /// The servers at which exactly this client is registered, the owner counted in (wire 3.2), in file order.
    #[must_use]
    pub fn servers_of(&self, client: &ClientId) -> Vec<&SecurityServer> {
        self.found(client.instance())
            .map(|i| i.servers_of(client))
            .unwrap_or_default()
    }

    /// A server by its identifier.
    #[must_use]
    pub fn server(&self, id: &ServerId) -> Option<&SecurityServer> {
        self.found(id.owner().instance())?.server(id)
    }

    /// Whether the certificate is registered for a server at which the client is (wire 3.3, step 7).
    ///
    /// The certificate is hashed as the version of the client's instance wants (wire 7.6).
    #[must_use]
    pub fn is_auth_cert_registered(&self, certificate: &Certificate, client: &ClientId) -> bool {
        let Some(instance) = self.found(client.instance()) else {
            return false;
        };
        let hash = instance.hash(certificate);
        instance
            .servers_of(client)
            .iter()
            .any(|server| server.authentication_hashes.contains(&hash))
    }

    /// The server that an authentication certificate is registered for, in any instance, the own one first.
    #[must_use]
    pub fn server_by_auth_cert(&self, certificate: &Certificate) -> Option<ServerId> {
        let others = self
            .instances
            .iter()
            .filter(|(name, _)| **name != self.own)
            .map(|(_, entry)| &*entry.instance);
        std::iter::once(self.own())
            .chain(others)
            .find_map(|instance| instance.server_by_hash(&instance.hash(certificate)))
            .map(|server| server.id.clone())
    }

    /// The official name of a member; `None` if there is no such member.
    #[must_use]
    pub fn member_name(&self, member: &MemberId) -> Option<&str> {
        self.found(member.instance())?.member_name(member)
    }

    /// Whether a member or subsystem is in a global group.
    #[must_use]
    pub fn group_contains(&self, group: &GroupId, client: &ClientId) -> bool {
        self.found(group.instance())
            .is_some_and(|i| i.group_contains(group, client))
    }

    // --- Certificates

    /// The authority of `instance` that issued the certificate (wire 8.2).
    ///
    /// Found by name; where several authorities have the name (a new key), the one whose key fits is taken, and one
    /// that may sign before one that may not. That the signature fits is judged with the path, not here.
    #[must_use]
    pub fn issuer_of(&self, instance: &str, certificate: &Certificate) -> Option<&CaEntry> {
        self.found(instance)?.issuer_of(certificate)
    }

    /// The certificates of all authorities of all instances.
    #[must_use]
    pub fn ca_certificates(&self) -> &[Certificate] {
        &self.authorities
    }

    /// The authorities of one instance, in file order, roots before their intermediates.
    #[must_use]
    pub fn authorities_of(&self, instance: &str) -> &[CaEntry] {
        self.found(instance)
            .map(|i| i.authorities.as_slice())
            .unwrap_or_default()
    }

    /// The certificates that may answer for `issuer`: those configured for it, and any authority as a signer to be
    /// looked at (wire 8.5, steps 3 and 4).
    #[must_use]
    pub fn responders_for<'a>(&'a self, issuer: &'a CaEntry) -> Responders<'a> {
        Responders {
            configured: &issuer.ocsp_certs,
            authorities: &self.authorities,
        }
    }

    /// All configured responder certificates of all instances.
    #[must_use]
    pub fn responder_certificates(&self) -> &[Certificate] {
        &self.responders
    }

    /// How OCSP responses are judged: by the settings of the own instance (wire 8.5).
    #[must_use]
    pub fn ocsp_policy(&self) -> OcspPolicy {
        self.policy
    }

    /// How often to ask responders (wire 8.5): 20 minutes unless the instance says otherwise, at least a minute.
    #[must_use]
    pub fn ocsp_fetch_interval(&self) -> Duration {
        let seconds = self
            .own()
            .config
            .optional
            .ocsp_fetch_interval_seconds
            .unwrap_or(1200);
        Duration::from_secs(seconds.max(60).into())
    }

    // --- Time-stamps

    /// The certificates of the time-stamp authorities of all instances (wire 5.3).
    #[must_use]
    pub fn tsa_certificates(&self) -> &[Certificate] {
        &self.tsa_certificates
    }

    /// The time-stamp authorities of the own instance, in file order.
    #[must_use]
    pub fn tsas(&self) -> &[TimeStampAuthority] {
        &self.own().tsas
    }

    /// How long a signature may stay without a time-stamp: a minute to a day (wire 5.1).
    #[must_use]
    pub fn time_stamping_interval(&self) -> Duration {
        let private = self.own().config.private.as_ref();
        let seconds = private.map_or(60, |p| p.time_stamping_interval_seconds);
        Duration::from_secs(seconds.clamp(60, 86_400).into())
    }

    fn found(&self, name: &str) -> Option<&IndexedInstance> {
        self.instances.get(name).map(|entry| &*entry.instance)
    }

    fn own(&self) -> &IndexedInstance {
        self.found(&self.own)
            .expect("`of` refuses a set without the own instance")
    }
}

/// Digests what verdicts depend on.
fn generation<'a>(own: &str, instances: impl Iterator<Item = &'a Arc<IndexedInstance>>) -> [u8; 32] {
    let mut content = own.as_bytes().to_vec();
    for instance in instances {
        content.extend_from_slice(instance.digest());
    }
    sha256(&content)
}
