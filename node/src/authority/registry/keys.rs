//! The keys that sign the configuration: which sign now, which are listed so that members follow a change.
//!
//! Owns the rule of a rotation: of each kind of directory exactly one key signs; every other one that stands here is
//! announced in the configuration and in anchors, and its private half may be elsewhere.

use std::path::{Path, PathBuf};

use super::file::{ConfigurationKeyTable, ConfigurationTable, Signs};
use super::{KeyFiles, Reading};

/// The two directories of an instance (wire 7.1).
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Kind {
    /// `externalconf`: shared parameters only, for federated instances.
    External,
    /// `internalconf`: everything, for the instance's own servers.
    Internal,
}

impl Kind {
    /// The last segment of its address.
    pub const fn path(self) -> &'static str {
        match self {
            Self::External => "externalconf",
            Self::Internal => "internalconf",
        }
    }

    const fn name(self) -> &'static str {
        match self {
            Self::External => "external",
            Self::Internal => "internal",
        }
    }
}

/// A key that signs one or both directories, did so or will.
#[derive(Clone, Debug, Eq, PartialEq)]
struct ConfigurationKey {
    name: String,
    certificate: PathBuf,
    key: Option<PathBuf>,
    signs: Signs,
    active: bool,
}

impl ConfigurationKey {
    fn is_for(&self, kind: Kind) -> bool {
        match self.signs {
            Signs::Both => true,
            Signs::External => kind == Kind::External,
            Signs::Internal => kind == Kind::Internal,
        }
    }
}

/// All keys of the configuration.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct ConfigurationKeys {
    keys: Vec<ConfigurationKey>,
    internal: KeyFiles,
    external: KeyFiles,
}

impl ConfigurationKeys {
    /// The key that signs directories of this kind.
    pub fn active(&self, kind: Kind) -> &KeyFiles {
        match kind {
            Kind::External => &self.external,
            Kind::Internal => &self.internal,
        }
    }

    /// The certificates that may verify directories of this kind, the active one first.
    pub fn certificates(&self, kind: Kind) -> Vec<&PathBuf> {
        let mut keys: Vec<_> = self.keys.iter().filter(|k| k.is_for(kind)).collect();
        keys.sort_by_key(|k| !k.active);
        keys.into_iter().map(|k| &k.certificate).collect()
    }

    /// Key files of those that do not sign yet, for a look at them before the day they must.
    pub fn waiting(&self) -> impl Iterator<Item = KeyFiles> {
        self.keys
            .iter()
            .filter(|k| !k.active)
            .filter_map(|k| k.key.as_ref().map(|key| files(key, &k.certificate)))
    }
}

fn files(key: &Path, certificate: &Path) -> KeyFiles {
    KeyFiles {
        key: key.to_owned(),
        certificate: certificate.to_owned(),
    }
}

impl Reading {
    pub(super) fn configuration_keys(
        &mut self,
        table: &mut ConfigurationTable,
        tables: Vec<ConfigurationKeyTable>,
    ) -> Option<ConfigurationKeys> {
        let single = match (table.key.take(), table.certificate.take()) {
            (Some(key), Some(certificate)) => Some(ConfigurationKeyTable {
                name: "configuration".into(),
                certificate,
                key: Some(key),
                signs: Signs::Both,
                active: true,
            }),
            (None, None) => None,
            _ => {
                self.mistakes
                    .push("configuration.key and configuration.certificate go together".into());
                return None;
            }
        };
        if single.is_some() && !tables.is_empty() {
            self.mistakes.push(
                "configuration.key and [[configuration_key]] exclude each other: make the one key a table too".into(),
            );
            return None;
        }
        let mut keys: Vec<ConfigurationKey> = Vec::new();
        for table in tables.into_iter().chain(single) {
            if keys.iter().any(|k| k.name == table.name) {
                self.mistakes
                    .push(format!("configuration_key.name = {:?} stands twice", table.name));
            }
            if table.active && table.key.is_none() {
                self.mistakes.push(format!(
                    "the configuration key {:?} is active but has no `key`",
                    table.name
                ));
            }
            keys.push(ConfigurationKey {
                name: table.name,
                certificate: self.base.join(table.certificate),
                key: table.key.map(|k| self.base.join(k)),
                signs: table.signs,
                active: table.active,
            });
        }
        let internal = self.active(&keys, Kind::Internal);
        let external = self.active(&keys, Kind::External);
        Some(ConfigurationKeys {
            internal: internal?,
            external: external?,
            keys,
        })
    }

    fn active(&mut self, keys: &[ConfigurationKey], kind: Kind) -> Option<KeyFiles> {
        let active: Vec<_> = keys.iter().filter(|k| k.active && k.is_for(kind)).collect();
        match active[..] {
            [one] => one.key.as_ref().map(|key| files(key, &one.certificate)),
            [] => {
                self.mistakes.push(format!(
                    "no key signs the {} configuration: set active = true in one [[configuration_key]]",
                    kind.name()
                ));
                None
            }
            [first, second, ..] => {
                self.mistakes.push(format!(
                    "the configuration keys {:?} and {:?} are both active for the {} configuration; one can sign",
                    first.name,
                    second.name,
                    kind.name()
                ));
                None
            }
        }
    }
}
