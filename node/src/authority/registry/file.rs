//! The tables of the registry file as they are written.

use std::collections::BTreeMap;
use std::path::PathBuf;

use serde::Deserialize;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct File {
    pub(super) format: u32,
    pub(super) instance: String,
    pub(super) listen: ListenTable,
    pub(super) keys: KeysTable,
    pub(super) configuration: ConfigurationTable,
    #[serde(default)]
    pub(super) configuration_key: Vec<ConfigurationKeyTable>,
    #[serde(default)]
    pub(super) source: Vec<SourceTable>,
    #[serde(default)]
    pub(super) federation: Vec<FederationTable>,
    #[serde(default)]
    pub(super) optional: OptionalTable,
    pub(super) ca: CaTable,
    pub(super) ocsp: OcspTable,
    pub(super) tsa: TsaTable,
    pub(super) management: ManagementTable,
    #[serde(default)]
    pub(super) member_class: Vec<ClassTable>,
    #[serde(default)]
    pub(super) member: Vec<MemberTable>,
    #[serde(default)]
    pub(super) server: Vec<ServerTable>,
    #[serde(default)]
    pub(super) group: Vec<GroupTable>,
    #[serde(default)]
    pub(super) revoked: Vec<RevokedTable>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct ListenTable {
    pub(super) http: String,
    pub(super) public: Option<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct KeysTable {
    pub(super) unseal_file: PathBuf,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct ConfigurationTable {
    pub(super) key: Option<PathBuf>,
    pub(super) certificate: Option<PathBuf>,
    #[serde(default = "two")]
    pub(super) oldest_version: u32,
    #[serde(default = "sixty")]
    pub(super) refresh_seconds: u64,
    #[serde(default = "six_hundred")]
    pub(super) expire_seconds: u64,
    pub(super) trust_dir: Option<PathBuf>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct ConfigurationKeyTable {
    pub(super) name: String,
    pub(super) certificate: PathBuf,
    pub(super) key: Option<PathBuf>,
    #[serde(default)]
    pub(super) signs: Signs,
    #[serde(default)]
    pub(super) active: bool,
}

#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, PartialEq)]
#[serde(rename_all = "lowercase")]
pub(super) enum Signs {
    #[default]
    Both,
    External,
    Internal,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct SourceTable {
    pub(super) address: String,
    #[serde(default)]
    pub(super) internal_certificates: Vec<PathBuf>,
    #[serde(default)]
    pub(super) external_certificates: Vec<PathBuf>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct FederationTable {
    pub(super) anchor: PathBuf,
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct OptionalTable {
    pub(super) monitoring_client: Option<String>,
    pub(super) ocsp_fetch_interval_seconds: Option<u32>,
    pub(super) verify_next_update: Option<bool>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct CaTable {
    pub(super) name: String,
    pub(super) certificate: PathBuf,
    pub(super) profile: String,
    pub(super) issued_dir: PathBuf,
    pub(super) csr_format: Option<String>,
    pub(super) acme: Option<AcmeTable>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct AcmeTable {
    pub(super) directory_url: String,
    pub(super) ip_address: Option<String>,
    pub(super) authentication_profile: Option<String>,
    pub(super) signing_profile: Option<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct OcspTable {
    pub(super) key: PathBuf,
    pub(super) certificate: PathBuf,
    #[serde(default = "hour")]
    pub(super) freshness_seconds: u64,
    pub(super) cost: Option<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct TsaTable {
    pub(super) name: String,
    pub(super) key: PathBuf,
    pub(super) certificate: PathBuf,
    #[serde(default = "sixty")]
    pub(super) interval_seconds: u64,
    pub(super) cost: Option<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct ManagementTable {
    pub(super) provider: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct ClassTable {
    pub(super) code: String,
    pub(super) description: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct MemberTable {
    pub(super) id: String,
    pub(super) name: String,
    #[serde(default)]
    pub(super) subsystems: Vec<String>,
    #[serde(default)]
    pub(super) subsystem_names: BTreeMap<String, String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct ServerTable {
    pub(super) owner: String,
    pub(super) code: String,
    pub(super) address: String,
    #[serde(default)]
    pub(super) authentication_certificates: Vec<PathBuf>,
    #[serde(default)]
    pub(super) clients: Vec<String>,
    pub(super) maintenance: Option<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct GroupTable {
    pub(super) code: String,
    pub(super) description: String,
    #[serde(default)]
    pub(super) members: Vec<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RevokedTable {
    pub(super) serial: String,
    pub(super) at: String,
}

fn two() -> u32 {
    2
}

fn sixty() -> u64 {
    60
}

fn six_hundred() -> u64 {
    600
}

fn hour() -> u64 {
    3600
}
