//! `authority.toml`: who takes part in a federation and under which keys, format 1.
//!
//! Owns the file's shape and its checks: unknown keys are refused, every mistake is reported at once, references
//! between members, servers and groups must hold. Paths are relative to the file. Secrets are files of their own.

mod file;
mod keys;
mod trust;

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::time::Duration;

use kontor_pki::profile::CertificateProfile;
use kontor_pki::time::UnixTime;
use kontor_protocol::id::{ClientId, GroupId, MemberId, ServerId};
use kontor_protocol::trust::optional::OptionalParts;
use kontor_protocol::trust::shared::{AcmeServer, CostType, CsrFormat, NEWEST_VERSION};

use self::file::{File, GroupTable, MemberTable, OptionalTable, RevokedTable, ServerTable};
pub use self::keys::{ConfigurationKeys, Kind};
pub use self::trust::{Federation, Source};

/// The file cannot be used; each line names one mistake.
#[derive(Debug, thiserror::Error)]
#[error("{path} cannot be used:\n{}", .mistakes.join("\n"))]
pub struct RegistryError {
    /// The file.
    pub path: String,
    /// One sentence per mistake.
    pub mistakes: Vec<String>,
}

/// A key file and its certificate file.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct KeyFiles {
    /// Sealed key.
    pub key: PathBuf,
    /// PEM.
    pub certificate: PathBuf,
}

/// A member with its subsystems.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Member {
    /// Identifier.
    pub id: MemberId,
    /// Official name.
    pub name: String,
    /// Codes of its subsystems.
    pub subsystems: Vec<String>,
    /// Names of subsystems that have one, by code.
    pub subsystem_names: BTreeMap<String, String>,
}

/// A security server of a member.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Server {
    /// Owner and code.
    pub id: ServerId,
    /// Host name or address under which other nodes reach it.
    pub address: String,
    /// Its registered authentication certificates, PEM files.
    pub authentication_certificates: Vec<PathBuf>,
    /// Members and subsystems registered at it.
    pub clients: Vec<ClientId>,
    /// In maintenance, with a message for those who ask it (which may be empty).
    pub maintenance: Option<String>,
}

/// A group that access rights may name.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Group {
    /// Identifier.
    pub id: GroupId,
    /// What it is for.
    pub description: String,
    /// Who is in it.
    pub members: Vec<ClientId>,
}

/// A certificate that is no longer good.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Revocation {
    /// Serial number, big-endian without leading zeros.
    pub serial: Vec<u8>,
    /// Since when.
    pub at: UnixTime,
}

/// Everything the file says.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Registry {
    /// The instance.
    pub instance: String,
    /// Where to listen.
    pub listen: SocketAddr,
    /// `HOST[:PORT]` by which members reach the authority.
    pub public_address: String,
    /// What opens the sealed keys: 32 bytes.
    pub unseal_file: PathBuf,
    /// Keys that sign the configuration.
    pub configuration: ConfigurationKeys,
    /// The oldest version of the configuration that is published.
    pub oldest_version: u32,
    /// Other hosts that publish it.
    pub sources: Vec<Source>,
    /// Federated instances.
    pub federations: Vec<Federation>,
    /// Parts that only some instances have.
    pub optional: OptionalParts,
    /// How often the configuration is signed anew.
    pub refresh: Duration,
    /// How long a signed configuration may be used.
    pub expire: Duration,
    /// Where a copy of what is published is kept, for auditors.
    pub trust_dir: Option<PathBuf>,
    /// Name of the certification authority.
    pub ca_name: String,
    /// Its certificate, PEM.
    pub ca_certificate: PathBuf,
    /// Java class name of the certificate profile.
    pub profile_class: String,
    /// In which form members make certificate requests unless they choose.
    pub csr_format: Option<CsrFormat>,
    /// Where members may order certificates.
    pub acme: Option<AcmeServer>,
    /// Key of the OCSP responder.
    pub ocsp: KeyFiles,
    /// Whether the OCSP responder has a price.
    pub ocsp_cost: Option<CostType>,
    /// How old an OCSP response may be.
    pub ocsp_freshness: Duration,
    /// Name of the time-stamp authority.
    pub tsa_name: String,
    /// Whether the time-stamp authority has a price.
    pub tsa_cost: Option<CostType>,
    /// Key of the time-stamp authority.
    pub tsa: KeyFiles,
    /// How long a message may stay without a time-stamp.
    pub time_stamping_interval: Duration,
    /// Folder with every certificate issued, PEM files.
    pub issued_dir: PathBuf,
    /// Who serves management requests.
    pub management_provider: ClientId,
    /// Code and description of the member classes.
    pub member_classes: Vec<(String, String)>,
    /// Members.
    pub members: Vec<Member>,
    /// Servers.
    pub servers: Vec<Server>,
    /// Groups.
    pub groups: Vec<Group>,
    /// Revoked certificates.
    pub revoked: Vec<Revocation>,
}

impl Registry {
    /// Reads and checks the file; reports every mistake found.
    pub fn read(path: &Path) -> Result<Self, RegistryError> {
        let error = |mistakes| RegistryError {
            path: path.display().to_string(),
            mistakes,
        };
        let text = std::fs::read_to_string(path).map_err(|e| {
            error(vec![format!(
                "it cannot be read: {e}; check the path after --config"
            )])
        })?;
        Self::parse(&text, path)
    }

    /// Checks the text of a file that stands (or would stand) at `path`.
    pub fn parse(text: &str, path: &Path) -> Result<Self, RegistryError> {
        let error = |mistakes| RegistryError {
            path: path.display().to_string(),
            mistakes,
        };
        let file: File = toml::from_str(text).map_err(|e| error(vec![e.to_string()]))?;
        let absolute = std::path::absolute(path).map_err(|e| error(vec![e.to_string()]))?;
        let base = absolute.parent().unwrap_or(Path::new("/")).to_owned();
        let mut reading = Reading {
            base,
            mistakes: Vec::new(),
        };
        match reading.registry(file) {
            Some(registry) if reading.mistakes.is_empty() => Ok(registry),
            Some(_) | None => Err(error(reading.mistakes)),
        }
    }
}

/// Collects mistakes while values become a registry.
struct Reading {
    base: PathBuf,
    mistakes: Vec<String>,
}

impl Reading {
    fn registry(&mut self, mut file: File) -> Option<Registry> {
        if file.format != 1 {
            self.mistakes.push(format!(
                "format = {}: this version of kontor reads format = 1",
                file.format
            ));
        }
        if file.configuration.expire_seconds < 2 * file.configuration.refresh_seconds {
            self.mistakes.push(
                "configuration.expire_seconds must be at least twice refresh_seconds, or members stop at each delay"
                    .into(),
            );
        }
        let versions = 2..=NEWEST_VERSION;
        if !versions.contains(&file.configuration.oldest_version) {
            self.mistakes.push(format!(
                "configuration.oldest_version = {} is none of 2 to {NEWEST_VERSION}",
                file.configuration.oldest_version
            ));
        }
        if CertificateProfile::from_class_name(&file.ca.profile).is_none() {
            self.mistakes.push(format!(
                "ca.profile = {:?} is no class name of a built-in profile",
                file.ca.profile
            ));
        }
        let instance = file.instance;
        let listen = self.parsed::<SocketAddr>("listen.http", &file.listen.http, "ADDRESS:PORT");
        let members = self.members(&instance, file.member);
        let known: BTreeSet<ClientId> = members.iter().flat_map(clients_of).collect();
        let servers = self.servers(&known, file.server);
        let groups = self.groups(&instance, &known, file.group);
        let revoked = self.revoked(file.revoked);
        let provider = self.parsed::<ClientId>(
            "management.provider",
            &file.management.provider,
            "INSTANCE/CLASS/CODE/SUBSYSTEM",
        );
        let public_address = file.listen.public.unwrap_or(file.listen.http);
        let configuration = self.configuration_keys(&mut file.configuration, file.configuration_key);
        let sources = self.sources(&public_address, file.source);
        let federations = self.federations(&instance, file.federation);
        let optional = self.optional(file.optional, &known);
        let csr_format = self.named(
            "ca.csr_format",
            file.ca.csr_format,
            CsrFormat::from_name,
            "PEM, DER",
        );
        let costs = "FREE, PAID, UNDEFINED";
        let ocsp_cost = self.named("ocsp.cost", file.ocsp.cost, CostType::from_name, costs);
        let tsa_cost = self.named("tsa.cost", file.tsa.cost, CostType::from_name, costs);
        let listen = listen?;
        let files = |base: &Path, key: PathBuf, certificate: PathBuf| KeyFiles {
            key: base.join(key),
            certificate: base.join(certificate),
        };
        let base = &self.base;
        Some(Registry {
            instance,
            listen,
            public_address,
            unseal_file: base.join(file.keys.unseal_file),
            configuration: configuration?,
            oldest_version: file.configuration.oldest_version,
            sources,
            federations,
            optional,
            refresh: Duration::from_secs(file.configuration.refresh_seconds.clamp(1, 86_400)),
            expire: Duration::from_secs(file.configuration.expire_seconds.clamp(2, 30 * 86_400)),
            trust_dir: file.configuration.trust_dir.map(|d| base.join(d)),
            ca_name: file.ca.name,
            ca_certificate: base.join(file.ca.certificate),
            profile_class: file.ca.profile,
            csr_format,
            acme: file.ca.acme.map(|acme| AcmeServer {
                directory_url: acme.directory_url,
                ip_address: acme.ip_address,
                authentication_profile: acme.authentication_profile,
                signing_profile: acme.signing_profile,
            }),
            ocsp: files(base, file.ocsp.key, file.ocsp.certificate),
            ocsp_cost,
            ocsp_freshness: Duration::from_secs(file.ocsp.freshness_seconds.clamp(60, 86_400)),
            tsa_name: file.tsa.name,
            tsa_cost,
            tsa: files(base, file.tsa.key, file.tsa.certificate),
            time_stamping_interval: Duration::from_secs(file.tsa.interval_seconds.clamp(1, 86_400)),
            issued_dir: base.join(file.ca.issued_dir),
            management_provider: provider?,
            member_classes: file
                .member_class
                .into_iter()
                .map(|c| (c.code, c.description))
                .collect(),
            members,
            servers,
            groups,
            revoked,
        })
    }

    fn members(&mut self, instance: &str, tables: Vec<MemberTable>) -> Vec<Member> {
        let mut members: Vec<Member> = Vec::new();
        for table in tables {
            let Some(id) = self.parsed::<MemberId>("member.id", &table.id, "INSTANCE/CLASS/CODE") else {
                continue;
            };
            if id.instance() != instance {
                self.mistakes.push(format!(
                    "member.id = {id} belongs to another instance than {instance}"
                ));
            }
            if members.iter().any(|m| m.id == id) {
                self.mistakes.push(format!("member.id = {id} stands twice"));
            }
            for subsystem in &table.subsystems {
                if ClientId::subsystem_of(id.clone(), subsystem).is_err() {
                    self.mistakes
                        .push(format!("{id}: {subsystem:?} is no code of a subsystem"));
                }
            }
            for code in table.subsystem_names.keys() {
                if !table.subsystems.contains(code) {
                    self.mistakes.push(format!(
                        "{id}: subsystem_names names {code:?}, which is none of its subsystems"
                    ));
                }
            }
            members.push(Member {
                id,
                name: table.name,
                subsystems: table.subsystems,
                subsystem_names: table.subsystem_names,
            });
        }
        members
    }

    fn servers(&mut self, known: &BTreeSet<ClientId>, tables: Vec<ServerTable>) -> Vec<Server> {
        let mut servers: Vec<Server> = Vec::new();
        for table in tables {
            let Some(owner) = self.parsed::<MemberId>("server.owner", &table.owner, "INSTANCE/CLASS/CODE")
            else {
                continue;
            };
            let clients = self.clients("server.clients", known, table.clients);
            if !known.contains(&ClientId::from(owner.clone())) {
                self.mistakes
                    .push(format!("server.owner = {owner} is no [[member]]"));
            }
            let text = format!("{owner}/{}", table.code);
            let Some(id) = self.parsed::<ServerId>("server", &text, "INSTANCE/CLASS/CODE and a server code")
            else {
                continue;
            };
            if servers.iter().any(|s| s.id == id) {
                self.mistakes.push(format!("server {id} stands twice"));
            }
            let certificates = table
                .authentication_certificates
                .iter()
                .map(|p| self.base.join(p))
                .collect();
            servers.push(Server {
                id,
                address: table.address,
                authentication_certificates: certificates,
                clients,
                maintenance: table.maintenance,
            });
        }
        servers
    }

    fn groups(&mut self, instance: &str, known: &BTreeSet<ClientId>, tables: Vec<GroupTable>) -> Vec<Group> {
        let mut groups = Vec::new();
        for table in tables {
            let members = self.clients("group.members", known, table.members);
            let text = format!("{instance}/{}", table.code);
            if let Some(id) = self.parsed::<GroupId>("group.code", &text, "a code without slashes") {
                groups.push(Group {
                    id,
                    description: table.description,
                    members,
                });
            }
        }
        groups
    }

    fn clients(&mut self, key: &str, known: &BTreeSet<ClientId>, texts: Vec<String>) -> Vec<ClientId> {
        let mut clients = Vec::new();
        for text in texts {
            let Some(client) = self.parsed::<ClientId>(key, &text, "INSTANCE/CLASS/CODE[/SUBSYSTEM]") else {
                continue;
            };
            if !known.contains(&client) {
                self.mistakes.push(format!(
                    "{key}: {client} is no [[member]] and no subsystem of one"
                ));
            }
            clients.push(client);
        }
        clients
    }

    fn revoked(&mut self, tables: Vec<RevokedTable>) -> Vec<Revocation> {
        let mut revoked = Vec::new();
        for table in tables {
            let serial = from_hex(&table.serial);
            let at = UnixTime::parse_rfc3339(&table.at);
            match (serial, at) {
                (Some(serial), Ok(at)) => revoked.push(Revocation { serial, at }),
                (None, _) => self
                    .mistakes
                    .push(format!("revoked.serial = {:?} is not hexadecimal", table.serial)),
                (_, Err(_)) => {
                    self.mistakes.push(format!(
                        "revoked.at = {:?} is no instant such as 2026-01-31T12:00:00Z",
                        table.at
                    ));
                }
            }
        }
        revoked
    }

    fn optional(&mut self, table: OptionalTable, known: &BTreeSet<ClientId>) -> OptionalParts {
        let clients = self.clients(
            "optional.monitoring_client",
            known,
            table.monitoring_client.into_iter().collect(),
        );
        if let Some(seconds) = table
            .ocsp_fetch_interval_seconds
            .filter(|s| !(60..=86_400).contains(s))
        {
            self.mistakes.push(format!(
                "optional.ocsp_fetch_interval_seconds = {seconds} is not between a minute and a day (60 to 86400)"
            ));
        }
        OptionalParts {
            ocsp_fetch_interval_seconds: table.ocsp_fetch_interval_seconds,
            monitoring_client: clients.into_iter().next(),
            verify_next_update: table.verify_next_update,
        }
    }

    fn named<T>(
        &mut self,
        key: &str,
        name: Option<String>,
        from_name: fn(&str) -> Option<T>,
        names: &str,
    ) -> Option<T> {
        let name = name?;
        let value = from_name(&name);
        if value.is_none() {
            self.mistakes.push(format!("{key} = {name:?} is none of {names}"));
        }
        value
    }

    fn parsed<T: FromStr>(&mut self, key: &str, text: &str, form: &str) -> Option<T> {
        let value = text.parse().ok();
        if value.is_none() {
            self.mistakes
                .push(format!("{key} = {text:?} is not of the form {form}"));
        }
        value
    }
}

/// A member and its subsystems as clients.
fn clients_of(member: &Member) -> Vec<ClientId> {
    let subsystems = member
        .subsystems
        .iter()
        .filter_map(|s| ClientId::subsystem_of(member.id.clone(), s).ok());
    std::iter::once(ClientId::from(member.id.clone()))
        .chain(subsystems)
        .collect()
}

/// A serial number as openssl and certificate viewers print it: digits, colons between them allowed.
fn from_hex(text: &str) -> Option<Vec<u8>> {
    let digits: String = text.chars().filter(|c| *c != ':').collect();
    let digits = if digits.len() % 2 == 1 {
        format!("0{digits}")
    } else {
        digits
    };
    let bytes: Option<Vec<u8>> = (0..digits.len())
        .step_by(2)
        .map(|at| u8::from_str_radix(digits.get(at..at + 2)?, 16).ok())
        .collect();
    let bytes: Vec<u8> = bytes?.into_iter().skip_while(|b| *b == 0).collect();
    if bytes.is_empty() { None } else { Some(bytes) }
}

#[cfg(test)]
pub(super) mod tests;
