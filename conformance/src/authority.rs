//! The authority that a federation of the suite trusts: certificates, OCSP, time-stamps and configuration, with faults on
//! command.
//!
//! Owns all keys of trust of one federation and one HTTP listener; refuses to know which node asks. Certificates, OCSP
//! responses and tokens come from `kontor_pki::authority`, the configuration from the suite's own writer.

mod says;
mod serve;

use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use anyhow::{Context, Result, anyhow};
use base64::prelude::{BASE64_STANDARD, Engine};
use kontor_pki::UnixTime;
use kontor_pki::authority::{self as pki, CaParams, CertificateAuthority, OcspResponder, TimestampAuthority};
use kontor_pki::certificate::{Attribute, Certificate};
use kontor_pki::profile::Subject;
use kontor_pki::signing::{KeyAlgorithm, SigningKey, SoftwareKey};
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

use crate::address::Net;
use crate::clock;
use crate::directory::{Directory, Files, Group, Member, Server};
use crate::wire::tls::Identity;

use self::says::ocsp_of;
pub use self::says::{Faults, OcspSays, Responder};

/// A running authority.
#[derive(Debug)]
pub struct Authority {
    inner: Arc<Inner>,
    task: JoinHandle<()>,
}

struct Inner {
    ca: Arc<CertificateAuthority>,
    responder: OcspResponder,
    tsa: TimestampAuthority,
    state: Mutex<State>,
}

struct State {
    directory: Directory,
    /// Signs the configuration.
    key: Arc<SoftwareKey>,
    /// The key that signs after it, once it is announced, with its certificate.
    next_key: Option<(SoftwareKey, Vec<u8>)>,
    lifetime: Duration,
    faults: Faults,
    /// Serial numbers of certificates that the responder calls revoked, and since when.
    revoked: BTreeMap<Vec<u8>, UnixTime>,
    /// Authentication certificates by the code of their server.
    registered: BTreeMap<String, Certificate>,
    /// Every configuration file ever offered, by path: a node may ask for an older one a moment later.
    offered: BTreeMap<String, String>,
    /// What the newest directory names, and its signed form, made anew when half its life is over.
    newest: Option<Newest>,
    /// An authority below the one of the federation, once a node wants it.
    below: Option<Arc<CertificateAuthority>>,
    generation: u64,
    serial: u64,
}

struct Newest {
    files: Files,
    signed: Vec<u8>,
    made: UnixTime,
}

/// When a certificate is valid.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Validity {
    #[default]
    Now,
    /// Until a day ago.
    Past,
    /// From tomorrow.
    Future,
}

/// A security server as the configuration lists it.
#[derive(Clone, Debug)]
pub struct Registration {
    pub member: String,
    pub server: String,
    pub address: String,
    /// Authentication certificates; added to those that it has.
    pub certificates: Vec<Certificate>,
    /// Clients as member and subsystem code; they replace those that it had.
    pub clients: Vec<(String, String)>,
}

const DAY: Duration = Duration::from_secs(24 * 3600);
const ORGANIZATION: &str = "Kontor conformance (fictional)";

impl Validity {
    fn at(self, now: UnixTime) -> pki::Validity {
        match self {
            Self::Now => pki::Validity::days(now, 30),
            Self::Past => pki::Validity {
                not_before: now - DAY * 30,
                not_after: now - DAY,
            },
            Self::Future => pki::Validity {
                not_before: now + DAY,
                not_after: now + DAY * 30,
            },
        }
    }
}

impl Authority {
    /// Makes the keys of trust and listens on host 1 of `net`.
    pub async fn start(net: &Net, instance: &str, lifetime: Duration) -> Result<Self> {
        let address = net.address(1, 4080);
        let now = clock::now();
        let ca = certificate_authority("Conformance CA", now)?;
        let (responder_key, tsa_key, configuration_key) = (new_key()?, new_key()?, new_key()?);
        let long = pki::Validity::days(now, 365);
        let responder = ca.issue_ocsp_responder(
            responder_key.public_key(),
            Subject::common_name("Conformance OCSP"),
            long,
        )?;
        let tsa = ca.issue_tsa(
            tsa_key.public_key(),
            Subject::common_name("Conformance TSA"),
            long,
        )?;
        let configuration = ca.issue_signing(
            configuration_key.public_key(),
            Subject::common_name("Conformance configuration"),
            long,
        )?;
        let directory = Directory {
            instance: instance.into(),
            address: address.to_string(),
            verification_certificate: configuration.der().to_vec(),
            announced_certificate: None,
            federated: Vec::new(),
            ca_certificate: ca.certificate().der().to_vec(),
            intermediate_certificate: None,
            ocsp_certificate: responder.der().to_vec(),
            tsa_certificate: tsa.der().to_vec(),
            ocsp_freshness_seconds: 3600,
            members: Vec::new(),
            servers: Vec::new(),
            groups: Vec::new(),
        };
        let state = State {
            directory,
            key: Arc::new(configuration_key),
            next_key: None,
            lifetime,
            faults: Faults::default(),
            revoked: BTreeMap::new(),
            registered: BTreeMap::new(),
            offered: BTreeMap::new(),
            newest: None,
            below: None,
            generation: 0,
            serial: 0,
        };
        let inner = Arc::new(Inner {
            ca: Arc::new(ca),
            responder: OcspResponder::new(responder, Arc::new(responder_key), DAY)?,
            tsa: TimestampAuthority::new(tsa, Arc::new(tsa_key))?,
            state: Mutex::new(state),
        });
        let listener = TcpListener::bind(address)
            .await
            .with_context(|| format!("binding {address}"))?;
        let task = tokio::spawn(serve::accept(listener, inner.clone()));
        Ok(Self { inner, task })
    }

    /// The anchor that nodes start from.
    pub fn anchor(&self) -> String {
        self.inner.state().directory.anchor()
    }

    /// What another instance puts into its private parameters to trust this one.
    pub fn external_anchor(&self) -> String {
        self.inner.state().directory.anchor_for("externalconf")
    }

    /// Lists a server, its owner and its clients; a server listed before is changed.
    pub fn register(&self, registration: Registration) {
        let mut state = self.inner.state();
        for certificate in &registration.certificates {
            state
                .registered
                .insert(registration.server.clone(), certificate.clone());
        }
        let directory = &mut state.directory;
        directory.member(&registration.member);
        for (member, subsystem) in &registration.clients {
            let member = directory.member(member);
            if !member.subsystems.contains(subsystem) {
                member.subsystems.push(subsystem.clone());
            }
        }
        let clients = registration
            .clients
            .into_iter()
            .map(|(member, subsystem)| ("GOV".into(), member, subsystem))
            .collect();
        let certificates = registration
            .certificates
            .iter()
            .map(|certificate| certificate.der().to_vec());
        if let Some(server) = directory
            .servers
            .iter_mut()
            .find(|server| server.code == registration.server)
        {
            server.clients = clients;
            server.certificates.extend(certificates);
        } else {
            directory.servers.push(Server {
                owner: ("GOV".into(), registration.member),
                code: registration.server,
                address: registration.address,
                certificates: certificates.collect(),
                clients,
            });
        }
        state.newest = None;
    }

    /// Adds a global group of subsystems.
    pub fn add_group(&self, code: &str, members: &[(String, String)]) {
        let members = members
            .iter()
            .map(|(member, subsystem)| ("GOV".into(), member.clone(), subsystem.clone()))
            .collect();
        self.change(|directory| {
            directory.groups.push(Group {
                code: code.into(),
                members,
            })
        });
    }

    /// Changes what the next configuration says.
    pub fn change(&self, change: impl FnOnce(&mut Directory)) {
        let mut state = self.inner.state();
        change(&mut state.directory);
        state.newest = None;
    }

    /// Names a key beside the one that signs, so that nodes follow when it takes over.
    pub fn announce_key(&self) -> Result<()> {
        let key = new_key()?;
        let subject = Subject::common_name("Conformance configuration");
        let validity = pki::Validity::days(clock::now(), 365);
        let certificate = self.inner.ca.issue_signing(key.public_key(), subject, validity)?;
        let mut state = self.inner.state();
        state.directory.announced_certificate = Some(certificate.der().to_vec());
        state.next_key = Some((key, certificate.der().to_vec()));
        state.newest = None;
        Ok(())
    }

    /// From now on signs with the key that was announced; the old one is not named any more.
    pub fn switch_key(&self) -> Result<()> {
        let mut state = self.inner.state();
        let (key, certificate) = state.next_key.take().context("no key was announced")?;
        state.key = Arc::new(key);
        state.directory.verification_certificate = certificate;
        state.directory.announced_certificate = None;
        state.newest = None;
        Ok(())
    }

    /// From now on serves with these faults.
    pub fn set_faults(&self, faults: Faults) {
        let mut state = self.inner.state();
        state.faults = faults;
        state.newest = None;
    }

    /// From now on the responder calls `certificate` revoked.
    pub fn revoke(&self, certificate: &Certificate) {
        self.inner
            .state()
            .revoked
            .insert(certificate.serial().to_vec(), clock::now());
    }

    /// The certification authority of the federation.
    pub fn top(&self) -> Arc<CertificateAuthority> {
        self.inner.ca.clone()
    }

    /// An authority below it, which the configuration names from then on.
    pub fn below(&self) -> Result<Arc<CertificateAuthority>> {
        let mut state = self.inner.state();
        if let Some(below) = &state.below {
            return Ok(below.clone());
        }
        let params = ca_params("Conformance CA below", clock::now());
        let below = Arc::new(self.inner.ca.intermediate(&params)?);
        state.directory.intermediate_certificate = Some(below.certificate().der().to_vec());
        state.below = Some(below.clone());
        state.newest = None;
        Ok(below)
    }

    /// A signing certificate for the member with this code (profile Ejbca, wire 8.1).
    pub fn issue_signing(&self, key: &SoftwareKey, member: &str, validity: Validity) -> Result<Certificate> {
        self.issue_signing_by(&self.inner.ca, key, member, validity)
    }

    /// The same of another authority.
    pub fn issue_signing_by(
        &self,
        ca: &CertificateAuthority,
        key: &SoftwareKey,
        member: &str,
        validity: Validity,
    ) -> Result<Certificate> {
        let instance = self.inner.state().directory.instance.clone();
        issue_signing(ca, &instance, key, member, validity)
    }

    /// An authentication certificate for a server.
    pub fn issue_authentication(
        &self,
        key: &SoftwareKey,
        server: &str,
        validity: Validity,
    ) -> Result<Certificate> {
        self.issue_authentication_by(&self.inner.ca, key, server, validity)
    }

    /// The same of another authority.
    pub fn issue_authentication_by(
        &self,
        ca: &CertificateAuthority,
        key: &SoftwareKey,
        server: &str,
        validity: Validity,
    ) -> Result<Certificate> {
        let subject = Subject::default()
            .with(Attribute::Country, "DE")
            .with(Attribute::CommonName, server);
        Ok(ca.issue_authentication(key.public_key(), subject, &[], validity.at(clock::now()))?)
    }

    /// A key with an authentication certificate, ready for TLS.
    pub fn authentication(&self, server: &str, validity: Validity) -> Result<(Certificate, Identity)> {
        self.authentication_by(KeyAlgorithm::EcdsaP256, server, validity)
    }

    /// The same with a key of another kind.
    pub fn authentication_by(
        &self,
        algorithm: KeyAlgorithm,
        server: &str,
        validity: Validity,
    ) -> Result<(Certificate, Identity)> {
        let key = SoftwareKey::generate(algorithm)?;
        let certificate = self.issue_authentication(&key, server, validity)?;
        let identity = Identity {
            chain: vec![certificate.der().to_vec()],
            pkcs8: key.to_pkcs8().to_vec(),
        };
        Ok((certificate, identity))
    }

    /// The newest authentication certificate that a server is registered with.
    pub fn registered(&self, server: &str) -> Result<Certificate> {
        self.inner
            .state()
            .registered
            .get(server)
            .cloned()
            .ok_or_else(|| anyhow!("no server {server}"))
    }

    /// An OCSP response about a certificate of this authority.
    pub fn ocsp_of(&self, certificate: &Certificate, says: OcspSays) -> Result<Vec<u8>> {
        ocsp_of(&self.inner.responder, &self.inner.ca, certificate, says)
    }

    /// The certificate of the CA.
    pub fn ca_certificate(&self) -> &Certificate {
        self.inner.ca.certificate()
    }

    /// The certificate of the OCSP responder.
    pub fn responder_certificate(&self) -> &Certificate {
        self.inner.responder.certificate()
    }
}

impl Drop for Authority {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Inner {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state
            .lock()
            .expect("no holder of the authority's state panics")
    }
}

impl fmt::Debug for Inner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Inner").finish_non_exhaustive()
    }
}

/// A CA that nobody trusts, under the same name as the one that everybody trusts.
pub struct Foreign {
    ca: CertificateAuthority,
    responder: OcspResponder,
}

impl Foreign {
    /// Makes its key.
    pub fn generate() -> Result<Self> {
        let now = clock::now();
        let ca = certificate_authority("Conformance CA", now)?;
        let key = new_key()?;
        let subject = Subject::common_name("Conformance OCSP");
        let certificate =
            ca.issue_ocsp_responder(key.public_key(), subject, pki::Validity::days(now, 365))?;
        Ok(Self {
            responder: OcspResponder::new(certificate, Arc::new(key), DAY)?,
            ca,
        })
    }

    /// A signing certificate for the member with this code.
    pub fn issue_signing(&self, instance: &str, key: &SoftwareKey, member: &str) -> Result<Certificate> {
        issue_signing(&self.ca, instance, key, member, Validity::Now)
    }

    /// A good OCSP response about a certificate of it.
    pub fn ocsp_of(&self, certificate: &Certificate) -> Result<Vec<u8>> {
        ocsp_of(&self.responder, &self.ca, certificate, OcspSays::Good)
    }
}

/// A CA that nobody trusts.
pub fn stranger() -> Result<CertificateAuthority> {
    certificate_authority("Conformance CA", clock::now())
}

fn certificate_authority(name: &str, now: UnixTime) -> Result<CertificateAuthority> {
    Ok(CertificateAuthority::generate(&ca_params(name, now))?)
}

fn ca_params(name: &str, now: UnixTime) -> CaParams {
    CaParams {
        name: name.into(),
        organization: ORGANIZATION.into(),
        test: true,
        key: KeyAlgorithm::EcdsaP256,
        // Older than the oldest certificate that a case wants.
        validity: pki::Validity {
            not_before: now - DAY * 60,
            not_after: now + DAY * 365,
        },
    }
}

fn issue_signing(
    ca: &CertificateAuthority,
    instance: &str,
    key: &SoftwareKey,
    member: &str,
    validity: Validity,
) -> Result<Certificate> {
    let subject = Subject::default()
        .with(Attribute::Country, instance)
        .with(Attribute::Organization, "GOV")
        .with(Attribute::CommonName, member);
    Ok(ca.issue_signing(key.public_key(), subject, validity.at(clock::now()))?)
}

fn new_key() -> Result<SoftwareKey> {
    Ok(SoftwareKey::generate(KeyAlgorithm::EcdsaP256)?)
}

/// A key with a self-signed certificate that nobody has to trust.
pub fn throwaway_identity() -> Result<Identity> {
    let ca = certificate_authority("Throwaway", clock::now())?;
    Ok(Identity {
        chain: vec![ca.certificate().der().to_vec()],
        pkcs8: ca.key().to_pkcs8().to_vec(),
    })
}

/// PEM of a certificate.
pub fn pem(der: &[u8]) -> String {
    labelled("CERTIFICATE", der)
}

/// A key in PKCS#8 as PEM.
pub fn pem_key(pkcs8: &[u8]) -> String {
    labelled("PRIVATE KEY", pkcs8)
}

fn labelled(label: &str, der: &[u8]) -> String {
    let text = BASE64_STANDARD.encode(der);
    let mut pem = format!("-----BEGIN {label}-----\n");
    for line in text.as_bytes().chunks(64) {
        pem.push_str(std::str::from_utf8(line).expect("base64 is ASCII"));
        pem.push('\n');
    }
    pem + &format!("-----END {label}-----\n")
}

impl Directory {
    /// The member with this code, listed now if it was not.
    fn member(&mut self, code: &str) -> &mut Member {
        let at = self
            .members
            .iter()
            .position(|member| member.code == code)
            .unwrap_or_else(|| {
                self.members.push(Member {
                    class: "GOV".into(),
                    code: code.into(),
                    subsystems: Vec::new(),
                });
                self.members.len() - 1
            });
        &mut self.members[at]
    }
}
