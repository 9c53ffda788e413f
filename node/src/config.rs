//! The node's configuration file: TOML, format 1, to typed settings.
//!
//! Unknown keys are refused, every mistake is reported at once, paths are relative to the file. Secrets stand in
//! files of their own and only their paths here. `sample.toml` beside this module documents every key and the
//! risk of changing it; a test reads it.

mod administration;
mod archive;
pub mod casework;
mod description;
mod egress;
mod federations;
mod file;
pub mod retention;
pub mod renewal;
pub mod stamping;
pub mod webhook;

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use kontor_pki::crypto::sha256;
use kontor_protocol::access::Right;
use kontor_protocol::id::{ClientId, MemberId, ServerId};

pub use self::administration::{AdministrationSettings, AdministrationTls};
pub use self::archive::{ArchiveSettings, ArchiveTarget, Archiving, Bodies, BucketSettings, Grouping};
pub use self::casework::CaseworkSettings;
pub use self::description::Description;
pub use self::egress::EgressSettings;
pub use self::federations::Federations;
use self::retention::{RetentionPolicy, Schedule};
use self::stamping::StampingSettings;

/// The annotated sample, as `kontor node sample` prints it.
pub const SAMPLE: &str = include_str!("config/sample.toml");

/// The file cannot be used; each line names one mistake.
#[derive(Debug, thiserror::Error)]
#[error("{path} cannot be used:\n{}", .mistakes.join("\n"))]
pub struct ConfigError {
    /// The file.
    pub path: String,
    /// One sentence per mistake.
    pub mistakes: Vec<String>,
}

/// Whether test trust is accepted.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Mode {
    /// Refuses instances and certificates marked as test.
    Production,
    /// Accepts only instances whose name begins with `TEST`.
    Test,
}

/// TLS 1.2 between nodes (architecture decision 3); each takes what the ones before it take.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub enum Tls12 {
    /// TLS 1.3 only.
    Off,
    /// TLS 1.2 with AES-GCM suites beside TLS 1.3.
    Gcm,
    /// X-Road's own CBC suites besides, where nothing better is offered.
    LegacyCbc,
}

/// What is spoken with which security server, in both directions.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Tls12Policy {
    /// With those that are not named.
    pub others: Tls12,
    /// With these.
    pub peers: BTreeMap<ServerId, Tls12>,
}

impl Tls12Policy {
    /// What is spoken with a server.
    pub fn with(&self, server: &ServerId) -> Tls12 {
        self.peers.get(server).copied().unwrap_or(self.others)
    }

    /// The most that is spoken with anybody.
    pub fn most(&self) -> Tls12 {
        self.peers.values().copied().fold(self.others, Tls12::max)
    }
}

/// How an information system must prove itself (wire 2.2).
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum IsAuthentication {
    /// Only the node itself sends in this name; no file says so.
    Own,
    /// Plain HTTP is enough.
    NoSsl,
    /// HTTPS with a registered client certificate.
    SslAuth,
    /// HTTPS, no client certificate asked for.
    SslNoAuth,
}

/// Where the node listens; `None` is off.
#[derive(Clone, Copy, Debug, Default)]
pub struct Listen {
    /// Information systems, HTTP (8080).
    pub is_http: Option<SocketAddr>,
    /// Information systems, HTTPS (8443).
    pub is_https: Option<SocketAddr>,
    /// Other nodes (5500).
    pub federation: Option<SocketAddr>,
    /// OCSP hand-out (5577).
    pub ocsp: Option<SocketAddr>,
    /// Health and metrics (9100).
    pub health: Option<SocketAddr>,
}

/// What opens the node's sealed files.
#[derive(Clone, Debug)]
pub enum Unseal {
    /// A file of 32 bytes.
    File(PathBuf),
    /// A file with a passphrase.
    Passphrase(PathBuf),
}

/// A sealed key and its certificates, leaf first.
#[derive(Clone, Debug)]
pub struct KeyPair {
    /// Sealed key file.
    pub key: PathBuf,
    /// PEM file: leaf, then intermediates; a root behind them is never sent (trap 2).
    pub certificate: PathBuf,
}

/// A member whose messages this node signs.
#[derive(Clone, Debug)]
pub struct Member {
    /// The member.
    pub id: MemberId,
    /// Its signing key.
    pub sign: KeyPair,
}

/// A client (member or subsystem) of this server, with its services.
#[derive(Clone, Debug)]
pub struct Client {
    /// The client.
    pub id: ClientId,
    /// How its information system proves itself.
    pub is_authentication: IsAuthentication,
    /// `NOSSL` also away from loopback.
    pub allow_plain: bool,
    /// Certificates of its information systems, PEM files.
    pub is_certificates: Vec<PathBuf>,
    /// What it offers.
    pub services: Vec<Service>,
}

/// A service that a client offers.
#[derive(Clone, Debug)]
pub struct Service {
    /// Service code, the fifth piece of the path.
    pub code: String,
    /// Where the service is.
    pub url: http::Uri,
    /// Longest silence of the service.
    pub timeout: Duration,
    /// Whether its TLS certificate must be one of the client's.
    pub verify_tls: bool,
    /// Notice of the administrator while the service is disabled.
    pub disabled: Option<String>,
    /// Who may use it; nobody else may.
    pub rights: Vec<Right>,
    /// What it says about itself.
    pub description: Option<Arc<Description>>,
}

/// Everything the file says.
#[derive(Clone, Debug)]
pub struct NodeConfig {
    /// The file.
    pub path: PathBuf,
    /// SHA-256 of the file.
    pub digest: [u8; 32],
    /// The tables of the file with the SHA-256 of what each says.
    pub tables: BTreeMap<String, [u8; 32]>,
    /// Whether test trust is accepted.
    pub mode: Mode,
    /// This security server.
    pub server: ServerId,
    /// Message log, content, caches, lock and control socket.
    pub data_dir: PathBuf,
    /// Listeners.
    pub listen: Listen,
    /// What opens sealed files.
    pub unseal: Unseal,
    /// Key and certificate towards other nodes.
    pub authentication: KeyPair,
    /// Key and certificate towards information systems and services.
    pub internal_tls: Option<KeyPair>,
    /// TLS 1.2 towards other nodes.
    pub tls12: Tls12Policy,
    /// Configuration of which other instances is taken.
    pub federations: Federations,
    /// The way to the authorities of the federation.
    pub egress: EgressSettings,
    /// Configuration anchor.
    pub anchor: PathBuf,
    /// How often global configuration is looked for.
    pub trust_refresh: Duration,
    /// How often OCSP responses are renewed (wire 8.5).
    pub ocsp_refresh: Duration,
    /// After how long a responder is given up on.
    pub ocsp_timeout: Duration,
    /// Time-stamp authorities to use, in turn; empty = all approved ones.
    pub timestamping_urls: Vec<String>,
    /// When messages get time-stamps, and how long that may fail.
    pub stamping: StampingSettings,
    /// How long the log's writer waits for company before a sync.
    pub group_wait: Duration,
    /// Bodies up to this many bytes stay in memory and in the segment; larger ones go to content files.
    pub inline_body: usize,
    /// What of each message is kept, under which retention class.
    pub retention: RetentionPolicy,
    /// How long each retention class is kept.
    pub schedule: Schedule,
    /// The subsystem in whose name the node shows its checkpoints to others and keeps theirs.
    pub ledger: Option<ClientId>,
    /// How old the newest checkpoint may be while entries come.
    pub checkpoint_age: Duration,
    /// Where archives of logged messages go, if there are to be any.
    pub archiving: Option<Archiving>,
    /// Casework, if there is any.
    pub casework: Option<CaseworkSettings>,
    /// Where auditors look, if they may.
    pub administration: Option<AdministrationSettings>,
    /// How long a stop waits for running exchanges.
    pub stop_grace: Duration,
    /// Members that sign here.
    pub members: Vec<Member>,
    /// Clients and their services.
    pub clients: Vec<Client>,
}

impl NodeConfig {
    /// Reads and checks the file; reports every mistake found.
    pub fn read(path: &Path) -> Result<Self, ConfigError> {
        let text = std::fs::read_to_string(path).map_err(|e| ConfigError {
            path: path.display().to_string(),
            mistakes: vec![format!("it cannot be read: {e}; check the path after --config")],
        })?;
        Self::parse(&text, path)
    }

    /// Checks the text of a file that stands (or would stand) at `path`.
    pub fn parse(text: &str, path: &Path) -> Result<Self, ConfigError> {
        let error = |mistakes| ConfigError {
            path: path.display().to_string(),
            mistakes,
        };
        let parsed: file::File = toml::from_str(text).map_err(|e| error(vec![e.to_string()]))?;
        let tables: toml::Table = toml::from_str(text).map_err(|e| error(vec![e.to_string()]))?;
        let absolute = std::path::absolute(path).map_err(|e| error(vec![e.to_string()]))?;
        let base = absolute.parent().unwrap_or(Path::new("/")).to_owned();
        let settings = file::Reading::new(base).settings(parsed).map_err(error)?;
        let digest = |(name, value): (String, toml::Value)| (name, sha256(value.to_string().as_bytes()));
        Ok(Self {
            path: absolute,
            digest: sha256(text.as_bytes()),
            tables: tables.into_iter().map(digest).collect(),
            ..settings
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_sample_is_a_valid_configuration() {
        let config = NodeConfig::parse(SAMPLE, Path::new("/etc/kontor/node.toml")).unwrap();
        assert_eq!(config.server.to_string(), "TEST/GOV/musterstadt/ss1");
        assert_eq!(config.clients[0].services[0].rights.len(), 2);
        assert_eq!(config.anchor, Path::new("/etc/kontor/anchor.xml"));
    }

    #[test]
    fn the_casework_of_the_sample_is_valid_once_it_is_uncommented() {
        // Made for its owner alone.
        let secret = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(secret.path(), "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw\n").unwrap();
        let begin = SAMPLE.find("# [casework]\n").unwrap();
        let end = begin + SAMPLE[begin..].find("\n\n").unwrap();
        // Files that are not there, and what excludes another line.
        let left_out = ["directory =", "command =", "ca =", "profiles =", "recipients ="];
        let wanted = |line: &&str| !left_out.iter().any(|name| line.starts_with(name));
        let table: Vec<&str> = SAMPLE[begin..end]
            .lines()
            .map(|line| line.trim_start_matches("# "))
            .filter(|line| !line.starts_with('#') && (line.contains('=') || line.starts_with('[')))
            .filter(wanted)
            .collect();
        let table = table
            .join("\n")
            .replace("\"…\"", &format!("\"{}\"", "0".repeat(64)))
            .replace("keys/gewerbe.webhook", &secret.path().display().to_string());
        let text = format!("{}{table}\n{}", &SAMPLE[..begin], &SAMPLE[end..]);
        let config = NodeConfig::parse(&text, Path::new("/etc/kontor/node.toml")).unwrap();
        let casework = config.casework.unwrap();
        assert_eq!(casework.client.to_string(), "TEST/GOV/musterstadt/KONTOR");
        assert_eq!((casework.keys.len(), casework.standing_rules.len()), (1, 1));
        assert_eq!(
            (
                casework.issuers[0].roles.len(),
                casework.issuers[0].algorithms.len()
            ),
            (2, 2)
        );
        assert_eq!(casework.webhooks[0].kinds.len(), 2);
        assert!(config.clients.iter().any(|client| client.id == casework.client));
        // Another code, a key that is none, a system as a second pair of eyes.
        for (from, to) in [
            ("musterstadt/KONTOR", "musterstadt/kontor"),
            ("sha256 = \"00", "sha256 = \""),
            ("roles = [\"worker\"]", "roles = [\"releaser\"]"),
            // An issuer on the way to whom somebody may change keys, or that is no name; a role for systems; what signs nothing here.
            ("issuer = \"https", "issuer = \"http"),
            ("realms/verwaltung", "realms?verwaltung"),
            ("audience = \"kontor\"", "audience = \"\""),
            ("bearbeitung = [\"worker\"]", "bearbeitung = [\"intake\"]"),
            ("\"ES256\"", "\"HS256\""),
            ("role_claim = \"/realm_access/roles\"", "role_claim = \"/\""),
            ("leeway_seconds = 60", "leeway_seconds = 3600"),
            ("unit_claim", "ca = \"missing.pem\"\nunit_claim"),
            (
                "name = \"fachverfahren-gewerbe\"",
                "name = \"https://login.musterstadt.example/realms/verwaltung\"",
            ),
        ] {
            let error =
                NodeConfig::parse(&text.replace(from, to), Path::new("/etc/kontor/node.toml")).unwrap_err();
            assert_eq!(error.mistakes.len(), 1, "{from}: {error}");
        }
    }

    #[test]
    fn an_unknown_key_is_refused() {
        let text = SAMPLE.replace("grace_seconds", "grace_second");
        let error = NodeConfig::parse(&text, Path::new("node.toml")).unwrap_err();
        assert!(error.to_string().contains("grace_second"), "{error}");
    }

    #[test]
    fn all_mistakes_are_reported_at_once() {
        let text = SAMPLE
            .replace("owner = \"TEST/GOV/musterstadt\"", "owner = \"TEST/GOV\"")
            .replace("code = \"intake\"", "code = \"in/take\"")
            .replace("tls12 = \"gcm\"", "tls12 = \"cbc\"");
        let error = NodeConfig::parse(&text, Path::new("node.toml")).unwrap_err();
        assert_eq!(error.mistakes.len(), 3, "{error}");
    }

    #[test]
    fn a_description_that_cannot_be_handed_out_is_a_mistake_of_the_file() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join("a.yaml"), "openapi: 3.0.0").unwrap();
        for (name, said) in [("none.json", "No such file"), ("a.yaml", "not JSON")] {
            let text = SAMPLE.replace(
                "code = \"intake\"",
                &format!("code = \"intake\"\nopenapi = {name:?}"),
            );
            let error = NodeConfig::parse(&text, &dir.path().join("node.toml")).unwrap_err();
            assert!(
                error.mistakes.len() == 1
                    && error.mistakes[0].contains(said)
                    && error.mistakes[0].contains(name),
                "{error}"
            );
        }
    }

    #[test]
    fn a_peer_may_speak_what_others_may_not_if_it_is_built_in() {
        let named = "tls12 = \"off\"\n[[federation.peer]]\nserver = \"TEST/GOV/1002/ss1\"\ntls12 = ";
        let parse = |level: &str| {
            let text = SAMPLE.replace("tls12 = \"gcm\"", &format!("{named}{level:?}"));
            NodeConfig::parse(&text, Path::new("node.toml"))
        };
        let policy = parse("gcm").unwrap().tls12;
        let (peer, other) = (
            "TEST/GOV/1002/ss1".parse().unwrap(),
            "TEST/GOV/1003/ss1".parse().unwrap(),
        );
        assert_eq!(
            (policy.with(&peer), policy.with(&other)),
            (Tls12::Gcm, Tls12::Off)
        );
        assert_eq!(policy.most(), Tls12::Gcm);
        match parse("legacy-cbc") {
            Ok(config) => assert!(cfg!(feature = "legacy-cbc") && config.tls12.most() == Tls12::LegacyCbc),
            Err(error) => assert!(error.to_string().contains("--features legacy-cbc"), "{error}"),
        }
        assert!(parse("cbc").is_err());
    }

    #[test]
    fn the_sample_says_what_is_kept_and_how_long() {
        let config = NodeConfig::parse(SAMPLE, Path::new("/etc/kontor/node.toml")).unwrap();
        assert_eq!(
            config.schedule,
            Schedule::default(),
            "the sample shows the defaults"
        );
        assert_eq!(config.retention.rules.len(), 1);
        let client = &config.clients[0].id;
        assert_eq!(config.retention.clients[client], retention::Logging::Full);
    }

    #[test]
    fn retention_that_makes_no_sense_is_refused_with_all_its_mistakes() {
        let text = SAMPLE
            .replace("days = \"7d\"", "days = \"soon\"\npermanent = \"1d\"")
            .replace("body = \"record\"", "body = \"forgotten\"\nlogging = \"none\"")
            .replace("logging = \"full\"", "logging = \"some\"");
        let error = NodeConfig::parse(&text, Path::new("node.toml")).unwrap_err();
        let text = error.to_string();
        for word in [
            "`soon` is no duration",
            "permanent",
            "the class forgotten",
            "messagelog.rule.logging",
        ] {
            assert!(text.contains(word), "{word}: {text}");
        }
        assert_eq!(error.mistakes.len(), 6, "{text}");
    }

    #[test]
    fn plain_http_beyond_loopback_must_be_allowed_by_name() {
        let text = SAMPLE.replace("is_http = \"127.0.0.1:8080\"", "is_http = \"192.0.2.1:8080\"");
        let error = NodeConfig::parse(&text, Path::new("node.toml")).unwrap_err();
        assert!(error.to_string().contains("allow_plain"), "{error}");
    }

    #[test]
    fn a_test_instance_is_refused_in_production_and_the_other_way_round() {
        let text = SAMPLE.replace("mode = \"test\"", "mode = \"production\"");
        assert!(
            NodeConfig::parse(&text, Path::new("node.toml"))
                .unwrap_err()
                .to_string()
                .contains("TEST")
        );
        let text = SAMPLE.replace("TEST/", "DE/");
        assert!(
            NodeConfig::parse(&text, Path::new("node.toml"))
                .unwrap_err()
                .to_string()
                .contains("TEST")
        );
    }
}
