//! The tables of the registry file as they are written.

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
    pub(super) key: PathBuf,
    pub(super) certificate: PathBuf,
    #[serde(default = "sixty")]
    pub(super) refresh_seconds: u64,
    #[serde(default = "six_hundred")]
    pub(super) expire_seconds: u64,
    pub(super) trust_dir: Option<PathBuf>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct CaTable {
    pub(super) name: String,
    pub(super) certificate: PathBuf,
    pub(super) profile: String,
    pub(super) issued_dir: PathBuf,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct OcspTable {
    pub(super) key: PathBuf,
    pub(super) certificate: PathBuf,
    #[serde(default = "hour")]
    pub(super) freshness_seconds: u64,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct TsaTable {
    pub(super) name: String,
    pub(super) key: PathBuf,
    pub(super) certificate: PathBuf,
    #[serde(default = "sixty")]
    pub(super) interval_seconds: u64,
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

fn sixty() -> u64 {
    60
}

fn six_hundred() -> u64 {
    600
}

fn hour() -> u64 {
    3600
}
