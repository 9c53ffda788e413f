//! A scripted security server: registered like any other, run by the suite, keeping or breaking the protocol on command.
//!
//! Owns the peer's keys and certificates and the making of signed messages; refuses to send anything that a case did not
//! ask for. How it speaks as a consumer and as a provider is in the rooms below.

pub mod consumer;
pub mod ledger;
pub mod provider;

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;

use anyhow::Result;
use kontor_pki::certificate::Certificate;
use kontor_pki::crypto::sha512;
use kontor_pki::signing::{KeyAlgorithm, SignatureAlgorithm, SigningKey, SoftwareKey, ecdsa_der_to_fixed};

use crate::authority::{Authority, Foreign, Registration, Validity};
use crate::clock;
use crate::plan::{INSTANCE, PeerPlan};
use crate::wire::chain::{self, ChainPair};
use crate::wire::parts::{self, Parts};
use crate::wire::signature::{Draft, Form};
use crate::wire::tls::Identity;

/// A member's signing key with its certificate.
#[derive(Clone)]
pub struct Signer {
    key: Arc<SoftwareKey>,
    pub certificate: Certificate,
}

/// A registered peer.
#[derive(Debug)]
pub struct Peer {
    name: String,
    member: String,
    subsystem: String,
    host: Ipv4Addr,
    /// What it presents on port 5500.
    pub identity: Identity,
    pub auth_certificate: Certificate,
    pub signer: Signer,
    /// Signers of the guests of its server, by member code.
    guests: Vec<(String, Signer)>,
}

/// How a message's parts are bound to its signature.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Cover {
    /// As X-Road does it: one part directly, more by a chain (wire 4.2).
    #[default]
    Usual,
    /// In a batch with another request.
    Batch,
    /// Only the message part is signed, whatever else is sent.
    MessageOnly,
    /// By a chain that names the message part alone.
    ChainOverMessageOnly,
    /// By a correct chain of this many steps.
    Deep(usize),
    /// By a chain that runs in a circle.
    Cycle,
}

impl Peer {
    /// Makes the keys of a peer and lists it in the configuration.
    pub fn register(plan: PeerPlan, host: Ipv4Addr, authority: &Authority) -> Result<Self> {
        let server = format!("ss-{}", plan.name);
        let (auth, identity) = authority.authentication_by(plan.authentication, &server, plan.validity)?;
        let mut clients: Vec<_> = plan
            .subsystems
            .iter()
            .map(|code| (plan.member.clone(), code.clone()))
            .collect();
        clients.extend(plan.guests.iter().cloned());
        authority.register(Registration {
            member: plan.member.clone(),
            server,
            address: host.to_string(),
            certificates: vec![auth.clone()],
            clients,
        });
        let guests = plan
            .guests
            .iter()
            .map(|(member, _)| Ok((member.clone(), Signer::issue(authority, member, Validity::Now)?)))
            .collect::<Result<_>>()?;
        Ok(Self {
            signer: Signer::issue(authority, &plan.member, Validity::Now)?,
            name: plan.name,
            subsystem: plan.subsystems.first().cloned().unwrap_or_default(),
            member: plan.member,
            host,
            identity,
            auth_certificate: auth,
            guests,
        })
    }

    /// Its name in the federation.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Its member code.
    pub fn member(&self) -> &str {
        &self.member
    }

    /// `INSTANCE/CLASS/CODE/SUBSYSTEM` of its first subsystem.
    pub fn client_id(&self) -> String {
        format!("{INSTANCE}/GOV/{}/{}", self.member, self.subsystem)
    }

    /// Where it listens as a provider, and where it connects from.
    pub fn address(&self, port: u16) -> SocketAddr {
        (self.host, port).into()
    }

    /// The signer of a guest of its server.
    pub fn guest(&self, member: &str) -> &Signer {
        let found = self.guests.iter().find(|(code, _)| code == member);
        &found.expect("a case names only guests of its peer").1
    }
}

impl Signer {
    /// A signer of `member` whose certificate has the given validity.
    pub fn issue(authority: &Authority, member: &str, validity: Validity) -> Result<Self> {
        Self::issue_by(KeyAlgorithm::EcdsaP256, authority, member, validity)
    }

    /// The same with a key of another kind.
    pub fn issue_by(
        algorithm: KeyAlgorithm,
        authority: &Authority,
        member: &str,
        validity: Validity,
    ) -> Result<Self> {
        let key = SoftwareKey::generate(algorithm)?;
        let certificate = authority.issue_signing(&key, member, validity)?;
        Ok(Self {
            key: Arc::new(key),
            certificate,
        })
    }

    /// A signer whose certificate is for authentication.
    pub fn with_authentication(authority: &Authority, server: &str) -> Result<Self> {
        let key = SoftwareKey::generate(KeyAlgorithm::EcdsaP256)?;
        let certificate = authority.issue_authentication(&key, server, Validity::Now)?;
        Ok(Self {
            key: Arc::new(key),
            certificate,
        })
    }

    /// A signer certified by a CA that nobody trusts.
    pub fn foreign(foreign: &Foreign, member: &str) -> Result<Self> {
        let key = SoftwareKey::generate(KeyAlgorithm::EcdsaP256)?;
        let certificate = foreign.issue_signing(INSTANCE, &key, member)?;
        Ok(Self {
            key: Arc::new(key),
            certificate,
        })
    }

    /// A signed message: `content_type` is that of the message part; `ocsp` goes into the signature.
    pub fn message(
        &self,
        content_type: &str,
        message: &[u8],
        body: Option<&[u8]>,
        cover: Cover,
        ocsp: &[Vec<u8>],
    ) -> Parts {
        let mut names = vec![("/message.xml", sha512(message))];
        if let Some(body) = body {
            names.push(("/attachment1", sha512(body)));
        }
        let pair = match cover {
            Cover::Usual if names.len() == 1 => None,
            Cover::Usual => Some(chain::single(&names)),
            Cover::Batch => Some(chain::second_of_two(
                sha512(b"another request of the batch"),
                &names,
            )),
            Cover::MessageOnly => None,
            Cover::ChainOverMessageOnly => Some(chain::single(&names[..1])),
            Cover::Deep(depth) => Some(chain::deep(&names, depth)),
            Cover::Cycle => Some(chain::cycle(&names)),
        };
        let mut all = Parts::default();
        all.push(content_type, message);
        if let Some(body) = body {
            all.push(parts::REST_BODY, body);
        }
        let signature = self.document(pair.as_ref(), names[0].1, ocsp);
        if let Some(pair) = pair {
            all.push(parts::CHAIN_RESULT, pair.result);
            all.push(parts::CHAIN, pair.chain);
        }
        all.push(parts::SIGNATURE, signature);
        all
    }

    /// The signature document over a chain result or, without one, over the message digest.
    pub fn document(&self, pair: Option<&ChainPair>, message: [u8; 64], ocsp: &[Vec<u8>]) -> Vec<u8> {
        self.sign(&self.draft(pair, message, ocsp))
    }

    /// The same unsigned, for cases that change it.
    pub fn draft(&self, pair: Option<&ChainPair>, message: [u8; 64], ocsp: &[Vec<u8>]) -> Draft {
        Draft {
            certificate: self.certificate.der().to_vec(),
            issuer: self.certificate.issuer().to_rfc2253(),
            serial: self.certificate.serial_decimal(),
            ocsp: ocsp.to_vec(),
            uri: if pair.is_some() {
                "/sig-hashchainresult.xml"
            } else {
                "/message.xml"
            }
            .into(),
            digest: pair.map_or(message, |pair| sha512(&pair.result)),
            further: Vec::new(),
            algorithm: self.key.key_algorithm().message_algorithm().uri().into(),
            signing_time: clock::now().to_rfc3339(),
            form: Form::Plain,
        }
    }

    /// Signs a draft.
    pub fn sign(&self, draft: &Draft) -> Vec<u8> {
        let algorithm = self.key.key_algorithm().message_algorithm();
        draft.sign(|info| self.value(algorithm, info))
    }

    /// Signs a draft with another algorithm of its key.
    pub fn sign_by(&self, algorithm: SignatureAlgorithm, draft: &Draft) -> Vec<u8> {
        let mut draft = draft.clone();
        draft.algorithm = algorithm.uri().into();
        draft.sign(|info| self.value(algorithm, info))
    }

    /// Signs a draft again and again until Java would write an ECDSA value with less than all octets.
    pub fn sign_shortest(&self, draft: &Draft) -> Vec<u8> {
        let algorithm = self.key.key_algorithm().message_algorithm();
        draft.sign(|info| {
            loop {
                let value = self.value(algorithm, info);
                let (r, s) = value.split_at(value.len() / 2);
                if r[0] == 0 && s[0] == 0 {
                    return [&r[1..], &s[1..]].concat();
                }
            }
        })
    }

    /// The value as XML wants it.
    fn value(&self, algorithm: SignatureAlgorithm, info: &[u8]) -> Vec<u8> {
        let made = self.key.sign(algorithm, info);
        let made = made.expect("a case asks a key for its own algorithms only");
        let field = match self.key.key_algorithm() {
            KeyAlgorithm::EcdsaP256 => 32,
            KeyAlgorithm::EcdsaP384 => 48,
            KeyAlgorithm::Rsa { .. } => return made,
        };
        ecdsa_der_to_fixed(&made, field).expect("a signature just made is well-formed")
    }
}

impl std::fmt::Debug for Signer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Signer")
            .field("certificate", &self.certificate)
            .finish_non_exhaustive()
    }
}
