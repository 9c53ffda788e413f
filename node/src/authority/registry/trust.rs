//! Whom the configuration names beside its own members: other publishers of it, and federated instances.
//!
//! Owns the checks on anchors of other instances. An anchor is believed because the operator put it here after
//! comparing its digest with the other operator's; here it is only judged whether it can be what was meant.

use std::io::Read as _;
use std::path::{Path, PathBuf};

use kontor_protocol::limits;
use kontor_protocol::trust::anchor::ConfigurationAnchor;

use super::Reading;
use super::file::{FederationTable, SourceTable};

/// Another host that publishes the same configuration.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Source {
    /// `HOST[:PORT]`.
    pub address: String,
    /// Certificates that verify its `internalconf`; none: those of this authority.
    pub internal_certificates: Vec<PathBuf>,
    /// Certificates that verify its `externalconf`; none: those of this authority.
    pub external_certificates: Vec<PathBuf>,
}

/// An instance whose members may exchange with ours.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Federation {
    /// The file.
    pub path: PathBuf,
    /// What it says.
    pub anchor: ConfigurationAnchor,
}

impl Reading {
    pub(super) fn sources(&mut self, public: &str, tables: Vec<SourceTable>) -> Vec<Source> {
        let mut sources: Vec<Source> = Vec::new();
        for table in tables {
            let address = table.address;
            // It becomes `http://ADDRESS/internalconf` in every reader.
            let plain = |c: char| c.is_ascii_alphanumeric() || "-.:[]_".contains(c);
            if address.is_empty() || !address.chars().all(plain) {
                self.mistakes.push(format!(
                    "source.address = {address:?} is not of the form HOST[:PORT]"
                ));
            }
            if address == public || sources.iter().any(|s| s.address == address) {
                self.mistakes.push(format!(
                    "source.address = {address} stands twice; listen.public is a source without being listed"
                ));
            }
            let paths = |paths: Vec<PathBuf>| paths.iter().map(|p| self.base.join(p)).collect();
            sources.push(Source {
                address,
                internal_certificates: paths(table.internal_certificates),
                external_certificates: paths(table.external_certificates),
            });
        }
        sources
    }

    pub(super) fn federations(&mut self, instance: &str, tables: Vec<FederationTable>) -> Vec<Federation> {
        let mut federations: Vec<Federation> = Vec::new();
        for table in tables {
            let path = self.base.join(table.anchor);
            let anchor = match read(&path) {
                Ok(anchor) => anchor,
                Err(reason) => {
                    self.mistakes.push(format!(
                        "federation.anchor = {} cannot be used: {reason}",
                        path.display()
                    ));
                    continue;
                }
            };
            let earlier = federations
                .iter()
                .any(|f| f.anchor.instance.eq_ignore_ascii_case(&anchor.instance));
            if let Some(mistake) = mistake(instance, &anchor, earlier) {
                self.mistakes
                    .push(format!("federation.anchor = {} {mistake}", path.display()));
            }
            federations.push(Federation { path, anchor });
        }
        federations
    }
}

fn read(path: &Path) -> Result<ConfigurationAnchor, String> {
    let file = std::fs::File::open(path).map_err(|e| e.to_string())?;
    let mut bytes = Vec::new();
    // One octet more than is allowed: the reader then says so.
    file.take(limits::ANCHOR as u64 + 1)
        .read_to_end(&mut bytes)
        .map_err(|e| e.to_string())?;
    ConfigurationAnchor::read(&bytes).map_err(|e| e.to_string())
}

fn mistake(own: &str, anchor: &ConfigurationAnchor, earlier: bool) -> Option<String> {
    let other = &anchor.instance;
    if other.eq_ignore_ascii_case(own) {
        return Some(format!(
            "is an anchor of {other}, this instance itself; name those of others"
        ));
    }
    if earlier {
        return Some(format!(
            "is a second anchor of {other}; keep the newer file, which may hold several sources"
        ));
    }
    if other.starts_with("TEST") != own.starts_with("TEST") {
        return Some(format!(
            "is of {other}: an instance for tests and one that is not do not go together, and nodes refuse it"
        ));
    }
    let internal = anchor.sources.iter().find(|source| {
        let path = source.download_url.split(['?', '#']).next().unwrap_or_default();
        path.ends_with("/internalconf")
    });
    internal.map(|source| {
        format!(
            "leads to {}, which is for members of {other} only; ask its operator for the external anchor",
            source.download_url
        )
    })
}
