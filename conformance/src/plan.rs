//! What a case says about a node or a peer; everything unsaid is complete and safe.

use std::net::SocketAddr;

use kontor_pki::signing::KeyAlgorithm;

use crate::authority::Validity;

/// Instance of every federation of the suite; its name marks it as a test (architecture 1.9).
pub const INSTANCE: &str = "TEST";

/// A node that shall run.
#[derive(Clone, Debug)]
pub struct NodePlan {
    pub(crate) name: String,
    /// Set by the federation that it is in.
    pub(crate) instance: String,
    /// Which other instances it admits, as its file says it.
    pub(crate) federations: String,
    pub(crate) member: String,
    pub(crate) clients: Vec<ClientPlan>,
    pub(crate) trust_refresh_seconds: u32,
    pub(crate) ocsp_refresh_seconds: u32,
    pub(crate) file_limit_kib: Option<u64>,
    /// Seconds between checkpoints of a node that shows them to others.
    pub(crate) ledger_seconds: Option<u32>,
    /// Lines of the section `[casework]` besides its client, of a node that has casework.
    pub(crate) casework: Option<String>,
    /// Lines of the section `[timestamping]`.
    pub(crate) timestamping: String,
    /// Lines of the section `[federation]`.
    pub(crate) federation: String,
    /// What its authentication key is.
    pub(crate) authentication: KeyAlgorithm,
    /// Whether its certificates come from an authority below the one of the federation.
    pub(crate) below_intermediate: bool,
    pub(crate) known_at: Option<u8>,
}

/// As most Java security servers have it.
const RSA: KeyAlgorithm = KeyAlgorithm::Rsa { bits: 2048 };

/// A subsystem at a node.
#[derive(Clone, Debug)]
pub struct ClientPlan {
    /// Code of its member, which need not be the owner.
    pub(crate) member: String,
    pub(crate) subsystem: String,
    /// `NOSSL`, `SSLNOAUTH` or `SSLAUTH` (wire 2.2).
    pub(crate) is_authentication: &'static str,
    /// DER of its information systems' certificates.
    pub(crate) is_certificates: Vec<Vec<u8>>,
    pub(crate) services: Vec<ServicePlan>,
}

/// A service of a subsystem.
#[derive(Clone, Debug)]
pub struct ServicePlan {
    pub(crate) code: String,
    pub(crate) url: String,
    pub(crate) timeout_seconds: u32,
    pub(crate) disabled: String,
    /// Its OpenAPI document.
    pub(crate) description: Option<String>,
    pub(crate) rights: Vec<RightPlan>,
}

/// Who may call what of a service.
#[derive(Clone, Debug)]
pub struct RightPlan {
    pub(crate) subject: String,
    pub(crate) method: String,
    pub(crate) path: String,
}

/// A scripted peer: registered like a node, but run by the suite.
#[derive(Clone, Debug)]
pub struct PeerPlan {
    pub(crate) name: String,
    pub(crate) member: String,
    pub(crate) subsystems: Vec<String>,
    /// Further members that are clients of the same server, as member and subsystem code.
    pub(crate) guests: Vec<(String, String)>,
    pub(crate) validity: Validity,
    pub(crate) authentication: KeyAlgorithm,
}

impl NodePlan {
    /// A node called `name`, owned by the member with this code.
    pub fn new(name: &str, member: &str) -> Self {
        Self {
            name: name.into(),
            instance: INSTANCE.into(),
            federations: "\"none\"".into(),
            member: member.into(),
            clients: Vec::new(),
            trust_refresh_seconds: 60,
            ocsp_refresh_seconds: 1200,
            file_limit_kib: None,
            ledger_seconds: None,
            casework: None,
            timestamping: String::new(),
            federation: String::new(),
            authentication: KeyAlgorithm::EcdsaP256,
            below_intermediate: false,
            known_at: None,
        }
    }

    /// With certificates of an authority below the one of the federation; the files hold the whole chain with the root.
    #[must_use]
    pub fn below_intermediate(mut self) -> Self {
        self.below_intermediate = true;
        self
    }

    /// With a subsystem of another member, whose information systems need no TLS.
    #[must_use]
    pub fn guest(self, member: &str, subsystem: &str) -> Self {
        let mut plan = self.client(subsystem);
        let client = plan.clients.last_mut();
        client.expect("it was just added").member = member.into();
        plan
    }

    /// The members that have subsystems at it, the owner first.
    pub(crate) fn members(&self) -> Vec<&str> {
        let mut members = vec![self.member.as_str()];
        for client in &self.clients {
            if !members.contains(&client.member.as_str()) {
                members.push(&client.member);
            }
        }
        members
    }

    /// Known to others at another host of the net, where something stands in front of it.
    #[must_use]
    pub fn known_at(mut self, host: u8) -> Self {
        self.known_at = Some(host);
        self
    }

    /// With a subsystem `ledger`, in whose name the node shows checkpoints to others and co-signs theirs.
    #[must_use]
    pub fn ledger(mut self, seconds: u32) -> Self {
        self.ledger_seconds = Some(seconds);
        self
    }

    /// With casework and these lines in its section, and the interface on plain HTTP.
    #[must_use]
    pub fn casework(mut self, lines: &str) -> Self {
        self.casework = Some(lines.into());
        self
    }

    /// Admitting other instances: `"all"`, or a list, as in its file.
    #[must_use]
    pub fn federations(mut self, admitted: &str) -> Self {
        self.federations = admitted.into();
        self
    }

    /// With these lines in its section `[federation]`.
    #[must_use]
    pub fn federation(mut self, lines: &str) -> Self {
        self.federation = lines.into();
        self
    }

    /// With an RSA key towards other nodes.
    #[must_use]
    pub fn rsa(mut self) -> Self {
        self.authentication = RSA;
        self
    }

    /// With these lines in its section `[timestamping]`.
    #[must_use]
    pub fn timestamping(mut self, lines: &str) -> Self {
        self.timestamping = lines.into();
        self
    }

    /// With a subsystem whose information systems need no TLS.
    #[must_use]
    pub fn client(self, subsystem: &str) -> Self {
        self.client_with(subsystem, "NOSSL", Vec::new())
    }

    /// With a subsystem whose information systems authenticate as told.
    #[must_use]
    pub fn client_with(
        mut self,
        subsystem: &str,
        is_authentication: &'static str,
        certificates: Vec<Vec<u8>>,
    ) -> Self {
        self.clients.push(ClientPlan {
            member: self.member.clone(),
            subsystem: subsystem.into(),
            is_authentication,
            is_certificates: certificates,
            services: Vec::new(),
        });
        self
    }

    /// With a service of the subsystem added last.
    #[must_use]
    pub fn service(mut self, plan: ServicePlan) -> Self {
        self.clients
            .last_mut()
            .expect("a service follows its subsystem")
            .services
            .push(plan);
        self
    }

    /// Asking the authority for a new configuration this often.
    #[must_use]
    pub fn trust_refresh(mut self, seconds: u32) -> Self {
        self.trust_refresh_seconds = seconds;
        self
    }

    /// Asking the OCSP responder this often.
    #[must_use]
    pub fn ocsp_refresh(mut self, seconds: u32) -> Self {
        self.ocsp_refresh_seconds = seconds;
        self
    }

    /// On a disk that is full when a file reaches this size.
    #[must_use]
    pub fn file_limit(mut self, kib: u64) -> Self {
        self.file_limit_kib = Some(kib);
        self
    }

    pub(crate) fn server_code(&self) -> String {
        format!("ss-{}", self.name)
    }
}

impl ServicePlan {
    /// A service called `code`, forwarded to `path` at `provider`.
    pub fn new(code: &str, provider: SocketAddr, path: &str) -> Self {
        Self {
            code: code.into(),
            url: format!("http://{provider}{path}"),
            timeout_seconds: 60,
            disabled: String::new(),
            description: None,
            rights: Vec::new(),
        }
    }

    /// Everything of it for the subsystem of a member, or for `group:INSTANCE/CODE`.
    #[must_use]
    pub fn right(self, subject: &str) -> Self {
        self.narrow_right(subject, "*", "**")
    }

    /// One method on one path pattern.
    #[must_use]
    pub fn narrow_right(mut self, subject: &str, method: &str, path: &str) -> Self {
        self.rights.push(RightPlan {
            subject: subject.into(),
            method: method.into(),
            path: path.into(),
        });
        self
    }

    /// Switched off with this notice.
    #[must_use]
    pub fn disabled(mut self, notice: &str) -> Self {
        self.disabled = notice.into();
        self
    }

    /// Describes itself.
    #[must_use]
    pub fn described(mut self, document: &str) -> Self {
        self.description = Some(document.into());
        self
    }

    /// Given up on after so many seconds.
    #[must_use]
    pub fn timeout(mut self, seconds: u32) -> Self {
        self.timeout_seconds = seconds;
        self
    }
}

impl PeerPlan {
    /// A peer called `name`, owned by the member with this code, with one subsystem.
    pub fn new(name: &str, member: &str, subsystem: &str) -> Self {
        Self {
            name: name.into(),
            member: member.into(),
            subsystems: vec![subsystem.into()],
            guests: Vec::new(),
            validity: Validity::Now,
            authentication: KeyAlgorithm::EcdsaP256,
        }
    }

    /// With an RSA key towards other nodes.
    #[must_use]
    pub fn rsa(mut self) -> Self {
        self.authentication = RSA;
        self
    }

    /// Serving another member's subsystem too.
    #[must_use]
    pub fn guest(mut self, member: &str, subsystem: &str) -> Self {
        self.guests.push((member.into(), subsystem.into()));
        self
    }

    /// With an authentication certificate whose time is over.
    #[must_use]
    pub fn expired(mut self) -> Self {
        self.validity = Validity::Past;
        self
    }
}
