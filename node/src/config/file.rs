//! The shape of the configuration file and the checks that turn it into settings.

mod retention;
mod service;

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::str::FromStr;
use std::sync::Arc;
use std::time::Duration;

use kontor_participation::round;
use kontor_participation::transfer::contract::contract;
use kontor_protocol::id::{ClientId, MemberId, ServerId};
use serde::Deserialize;

use self::service::ServiceTable;
use super::administration::AdministrationTable;
use super::archive::ArchiveTable;
use super::casework::{self, CaseworkSettings, CaseworkTable};
use super::egress::EgressTable;
use super::federations::FederationsText;
use super::retention::RetentionPolicy;
use super::stamping::TimestampingTable;
use super::{
    Client, Description, IsAuthentication, KeyPair, Listen, Member, Mode, NodeConfig, Service, Tls12,
    Tls12Policy, Unseal,
};

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct File {
    format: u32,
    mode: String,
    server: ServerTable,
    data: DataTable,
    #[serde(default)]
    listen: ListenTable,
    keys: KeysTable,
    authentication: KeyPairTable,
    internal_tls: Option<KeyPairTable>,
    #[serde(default)]
    federation: FederationTable,
    trust: TrustTable,
    #[serde(default)]
    egress: EgressTable,
    #[serde(default)]
    ocsp: OcspTable,
    #[serde(default)]
    timestamping: TimestampingTable,
    #[serde(default)]
    messagelog: MessageLogTable,
    archive: Option<ArchiveTable>,
    administration: Option<AdministrationTable>,
    casework: Option<CaseworkTable>,
    #[serde(default)]
    transparency: TransparencyTable,
    #[serde(default)]
    stop: StopTable,
    #[serde(default)]
    member: Vec<MemberTable>,
    #[serde(default)]
    client: Vec<ClientTable>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ServerTable {
    owner: String,
    code: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct DataTable {
    dir: PathBuf,
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct ListenTable {
    is_http: Option<String>,
    is_https: Option<String>,
    federation: Option<String>,
    ocsp: Option<String>,
    health: Option<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct KeysTable {
    unseal_file: Option<PathBuf>,
    passphrase_file: Option<PathBuf>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct KeyPairTable {
    key: PathBuf,
    certificate: PathBuf,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct FederationTable {
    #[serde(default = "gcm")]
    tls12: String,
    #[serde(default)]
    peer: Vec<PeerTable>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct PeerTable {
    server: String,
    tls12: String,
}

fn gcm() -> String {
    "gcm".into()
}

impl Default for FederationTable {
    fn default() -> Self {
        Self {
            tls12: gcm(),
            peer: Vec::new(),
        }
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct TrustTable {
    anchor: PathBuf,
    #[serde(default = "sixty")]
    refresh_seconds: u64,
    #[serde(default)]
    federations: FederationsText,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct OcspTable {
    refresh_seconds: u64,
    timeout_seconds: u64,
}

impl Default for OcspTable {
    fn default() -> Self {
        Self {
            refresh_seconds: 1200,
            timeout_seconds: 20,
        }
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, default)]
struct TransparencyTable {
    client: Option<String>,
    checkpoint_seconds: u64,
}

impl Default for TransparencyTable {
    fn default() -> Self {
        Self {
            client: None,
            checkpoint_seconds: 60,
        }
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, default)]
struct MessageLogTable {
    group_wait_micros: u64,
    inline_body_bytes: usize,
    logging: String,
    retention: BTreeMap<String, String>,
    rule: Vec<RuleTable>,
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct RuleTable {
    provider: Option<String>,
    service: Option<String>,
    path: Option<String>,
    head: Option<String>,
    body: Option<String>,
    evidence: Option<String>,
    logging: Option<String>,
}

impl Default for MessageLogTable {
    fn default() -> Self {
        Self {
            group_wait_micros: 500,
            inline_body_bytes: 65536,
            logging: "full".into(),
            retention: BTreeMap::new(),
            rule: Vec::new(),
        }
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct StopTable {
    grace_seconds: u64,
}

impl Default for StopTable {
    fn default() -> Self {
        Self { grace_seconds: 30 }
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct MemberTable {
    id: String,
    sign_key: PathBuf,
    sign_certificate: PathBuf,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ClientTable {
    id: String,
    #[serde(default = "ssl_auth")]
    is_authentication: String,
    #[serde(default)]
    allow_plain: bool,
    #[serde(default)]
    is_certificates: Vec<PathBuf>,
    logging: Option<String>,
    #[serde(default)]
    service: Vec<ServiceTable>,
}

fn sixty() -> u64 {
    60
}

fn ssl_auth() -> String {
    "SSLAUTH".into()
}

/// Collects mistakes while values become settings.
pub(super) struct Reading {
    base: PathBuf,
    mistakes: Vec<String>,
}

impl Reading {
    pub(super) fn new(base: PathBuf) -> Self {
        Self {
            base,
            mistakes: Vec::new(),
        }
    }

    pub(super) fn settings(mut self, file: File) -> Result<NodeConfig, Vec<String>> {
        if file.format != 1 {
            self.mistakes.push(format!(
                "format = {}: this version of kontor reads format = 1",
                file.format
            ));
        }
        let mode = self.choice(
            "mode",
            &file.mode,
            &[("production", Mode::Production), ("test", Mode::Test)],
        );
        let tls12 = self.tls12(&file.federation);
        let owner: Option<MemberId> = self.id("server.owner", &file.server.owner, "INSTANCE/CLASS/CODE");
        let code = self.code("server.code", file.server.code);
        if let (Some(owner), Some(mode)) = (&owner, mode) {
            let test = owner.instance().starts_with("TEST");
            if test != (mode == Mode::Test) {
                self.mistakes.push(format!(
                    "server.owner = {owner}: an instance whose name begins with TEST needs mode = \"test\", any other mode = \"production\""
                ));
            }
        }
        let listen = self.listen(&file.listen);
        let unseal = match (file.keys.unseal_file, file.keys.passphrase_file) {
            (Some(file), None) => Unseal::File(self.base.join(file)),
            (None, Some(file)) => Unseal::Passphrase(self.base.join(file)),
            (None, None) | (Some(_), Some(_)) => {
                self.mistakes
                    .push("keys: name either unseal_file or passphrase_file".into());
                Unseal::File(PathBuf::new())
            }
        };
        let stamping = file.timestamping.read(&mut self.mistakes);
        let (mut retention, schedule) = self.retention(&file.messagelog, &file.client);
        let egress = file.egress.checked(&self.base, &mut self.mistakes);
        let archiving = file
            .archive
            .and_then(|it| it.read(&self.base, &egress, &mut self.mistakes));
        let administration = file
            .administration
            .and_then(|it| it.read(&self.base, &mut self.mistakes));
        let members = self.members(file.member);
        let mut clients = self.clients(file.client, &members, &listen, file.internal_tls.is_some());
        let casework = file
            .casework
            .and_then(|it| it.read(&self.base, &members, &mut self.mistakes));
        if casework
            .as_ref()
            .is_some_and(|casework| casework.training_clock.is_some())
            && mode == Some(Mode::Production)
        {
            self.mistakes
                .push("casework.training_clock: deadlines of real cases run by the real clock; it is for mode = \"test\"".into());
        }
        if let Some(casework) = &casework {
            self.serve_casework(casework, &mut clients, &mut retention);
        }
        let checkpoint_age = Duration::from_secs(file.transparency.checkpoint_seconds.clamp(1, 3600));
        let federations = file.trust.federations.checked(&mut self.mistakes);
        let ledger = self.ledger(file.transparency, &members, &clients);
        let seconds = Duration::from_secs;
        let pair = |base: &PathBuf, t: KeyPairTable| KeyPair {
            key: base.join(t.key),
            certificate: base.join(t.certificate),
        };
        let server = owner
            .zip(code)
            .and_then(|(owner, code)| ServerId::new(owner, &code).ok());
        match (mode, tls12, server) {
            (Some(mode), Some(tls12), Some(server)) if self.mistakes.is_empty() => Ok(NodeConfig {
                path: PathBuf::new(),
                digest: [0; 32],
                tables: BTreeMap::new(),
                mode,
                server,
                data_dir: self.base.join(file.data.dir),
                listen,
                unseal,
                authentication: pair(&self.base, file.authentication),
                internal_tls: file.internal_tls.map(|t| pair(&self.base, t)),
                tls12,
                anchor: self.base.join(file.trust.anchor),
                federations,
                egress,
                trust_refresh: seconds(file.trust.refresh_seconds.clamp(1, 3600)),
                ocsp_refresh: seconds(file.ocsp.refresh_seconds.clamp(1, 86_400)),
                ocsp_timeout: seconds(file.ocsp.timeout_seconds.clamp(1, 60)),
                timestamping_urls: file.timestamping.urls,
                stamping,
                group_wait: Duration::from_micros(file.messagelog.group_wait_micros.min(100_000)),
                inline_body: file.messagelog.inline_body_bytes.clamp(1024, 1 << 20),
                retention,
                schedule,
                ledger,
                checkpoint_age,
                archiving,
                administration,
                casework,
                stop_grace: seconds(file.stop.grace_seconds.min(3600)),
                members,
                clients,
            }),
            _ => Err(self.mistakes),
        }
    }

    /// The subsystem of the ledger: of a member that signs here, and nobody else's.
    fn ledger(
        &mut self,
        table: TransparencyTable,
        members: &[Member],
        clients: &[Client],
    ) -> Option<ClientId> {
        let id: ClientId = self.id(
            "transparency.client",
            &table.client?,
            "INSTANCE/CLASS/CODE/SUBSYSTEM",
        )?;
        if id.subsystem().is_none() || !members.iter().any(|member| member.id == *id.member()) {
            self.mistakes.push(format!(
                "transparency.client = {id} must be a subsystem of a member that has a [[member]] entry"
            ));
        }
        if clients.iter().any(|client| client.id == id) {
            self.mistakes.push(format!(
                "transparency.client = {id} is a [[client]] too: only the node itself may send in its name"
            ));
        }
        Some(id)
    }

    /// What casework serves is served like what others serve, by a client of the node's own. How long what of it is kept depends on
    /// whether it holds content of applications; rules of the file come first.
    fn serve_casework(
        &mut self,
        casework: &CaseworkSettings,
        clients: &mut Vec<Client>,
        retention: &mut RetentionPolicy,
    ) {
        if clients.iter().any(|client| client.id == casework.client) {
            self.mistakes.push(format!(
                "casework.client = {} is a [[client]] too: only the node itself may send in its name",
                casework.client
            ));
        }
        let service = |code: &str, url, contract: &str| Service {
            code: code.into(),
            url: http::Uri::from_static(url),
            timeout: Duration::from_secs(60),
            verify_tls: false,
            disabled: None,
            rights: casework.rights.clone(),
            description: Description::read(contract.as_bytes()).ok().map(Arc::new),
        };
        clients.push(Client {
            id: casework.client.clone(),
            is_authentication: IsAuthentication::Own,
            allow_plain: false,
            is_certificates: Vec::new(),
            services: vec![
                service(casework::SERVICE, casework::URL, contract()),
                service(
                    casework::PARTICIPATION,
                    casework::PARTICIPATION_URL,
                    round::contract::contract(),
                ),
            ],
        });
        retention.rules.extend(casework::rules());
    }

    fn listen(&mut self, table: &ListenTable) -> Listen {
        Listen {
            is_http: self.address("listen.is_http", table.is_http.as_deref()),
            is_https: self.address("listen.is_https", table.is_https.as_deref()),
            federation: self.address("listen.federation", table.federation.as_deref()),
            ocsp: self.address("listen.ocsp", table.ocsp.as_deref()),
            health: self.address("listen.health", table.health.as_deref()),
        }
    }

    fn members(&mut self, tables: Vec<MemberTable>) -> Vec<Member> {
        let mut members: Vec<Member> = Vec::new();
        for table in tables {
            let Some(id) = self.id::<MemberId>("member.id", &table.id, "INSTANCE/CLASS/CODE") else {
                continue;
            };
            if members.iter().any(|m| m.id == id) {
                self.mistakes.push(format!("member.id = {id} stands twice"));
            }
            let sign = KeyPair {
                key: self.base.join(table.sign_key),
                certificate: self.base.join(table.sign_certificate),
            };
            members.push(Member { id, sign });
        }
        members
    }

    fn clients(
        &mut self,
        tables: Vec<ClientTable>,
        members: &[Member],
        listen: &Listen,
        has_internal_tls: bool,
    ) -> Vec<Client> {
        if listen.is_https.is_some() && !has_internal_tls {
            self.mistakes
                .push("listen.is_https needs key and certificate under [internal_tls]".into());
        }
        let mut clients: Vec<Client> = Vec::new();
        for table in tables {
            let Some(id) = self.id::<ClientId>("client.id", &table.id, "INSTANCE/CLASS/CODE[/SUBSYSTEM]")
            else {
                continue;
            };
            if clients.iter().any(|c| c.id == id) {
                self.mistakes.push(format!("client.id = {id} stands twice"));
            }
            if !members.iter().any(|m| &m.id == id.member()) {
                self.mistakes.push(format!(
                    "client.id = {id}: its member has no [[member]] entry with a signing key"
                ));
            }
            let modes = [
                ("NOSSL", IsAuthentication::NoSsl),
                ("SSLAUTH", IsAuthentication::SslAuth),
                ("SSLNOAUTH", IsAuthentication::SslNoAuth),
            ];
            let Some(is_authentication) =
                self.choice("client.is_authentication", &table.is_authentication, &modes)
            else {
                continue;
            };
            let open = listen.is_http.is_some_and(|a| !a.ip().is_loopback());
            if is_authentication == IsAuthentication::NoSsl && open && !table.allow_plain {
                self.mistakes.push(format!(
                    "client.id = {id}: NOSSL on {} lets everybody who reaches it send in this client's name; use SSLAUTH or say allow_plain = true",
                    listen.is_http.map(|a| a.to_string()).unwrap_or_default()
                ));
            }
            let services = self.services(&id, table.service);
            let is_certificates = table.is_certificates.iter().map(|p| self.base.join(p)).collect();
            clients.push(Client {
                id,
                is_authentication,
                allow_plain: table.allow_plain,
                is_certificates,
                services,
            });
        }
        clients
    }

    fn id<T: FromStr>(&mut self, key: &str, text: &str, form: &str) -> Option<T> {
        let id = text.parse().ok();
        if id.is_none() {
            self.mistakes
                .push(format!("{key} = {text:?} is not of the form {form}"));
        }
        id
    }

    fn code(&mut self, key: &str, text: String) -> Option<String> {
        if text.is_empty() || text.contains(|c: char| c.is_control() || "%:;/\\\u{200b}\u{feff}".contains(c))
        {
            self.mistakes.push(format!(
                "{key} = {text:?}: a code is not empty and holds none of % : ; / \\"
            ));
            return None;
        }
        Some(text)
    }

    fn tls12(&mut self, table: &FederationTable) -> Option<Tls12Policy> {
        let others = self.level("federation.tls12", &table.tls12);
        let mut peers = BTreeMap::new();
        for peer in &table.peer {
            let level = self.level("federation.peer.tls12", &peer.tls12);
            let form = "INSTANCE/CLASS/CODE/SERVER";
            let server = self.id::<ServerId>("federation.peer.server", &peer.server, form);
            if let (Some(server), Some(level)) = (server, level)
                && peers.insert(server, level).is_some()
            {
                self.mistakes
                    .push(format!("federation.peer.server = {} stands twice", peer.server));
            }
        }
        Some(Tls12Policy {
            others: others?,
            peers,
        })
    }

    fn level(&mut self, key: &str, text: &str) -> Option<Tls12> {
        let levels = [
            ("gcm", Tls12::Gcm),
            ("off", Tls12::Off),
            ("legacy-cbc", Tls12::LegacyCbc),
        ];
        let level = self.choice(key, text, &levels)?;
        if level == Tls12::LegacyCbc && !cfg!(feature = "legacy-cbc") {
            self.mistakes.push(format!(
                "{key} = \"legacy-cbc\" is not built into this kontor; build it with --features legacy-cbc, or have the other \
                 side speak AES-GCM"
            ));
            return None;
        }
        Some(level)
    }

    fn choice<T: Copy>(&mut self, key: &str, text: &str, choices: &[(&str, T)]) -> Option<T> {
        let found = choices
            .iter()
            .find(|(name, _)| *name == text)
            .map(|(_, value)| *value);
        if found.is_none() {
            let names: Vec<_> = choices.iter().map(|(name, _)| *name).collect();
            self.mistakes
                .push(format!("{key} = {text:?}: choose one of {}", names.join(", ")));
        }
        found
    }

    fn address(&mut self, key: &str, text: Option<&str>) -> Option<SocketAddr> {
        let text = text?;
        let address = text.parse().ok();
        if address.is_none() {
            self.mistakes
                .push(format!("{key} = {text:?} is not of the form ADDRESS:PORT"));
        }
        address
    }
}
