//! `[egress]`: how the node reaches the authorities of its federation (configuration, OCSP, time-stamps), issuers of
//! tokens, and a bucket for archives. Peers and services are always reached directly.

use std::path::{Path, PathBuf};

use http::uri::Authority;
use serde::Deserialize;

/// The way out.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct EgressSettings {
    /// `HOST[:PORT]` of an HTTP proxy; its port is 3128 if it has none.
    pub proxy: Option<Authority>,
    /// A file with `USER:PASSWORD` for it.
    pub credentials: Option<PathBuf>,
    /// Hosts, or endings of their names after a dot, that are reached without it.
    pub direct: Vec<String>,
    /// PEM file with the authorities that are trusted for TLS; `None`: those of the system.
    pub ca: Option<PathBuf>,
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct EgressTable {
    proxy: Option<String>,
    credentials: Option<PathBuf>,
    direct: Vec<String>,
    ca: Option<PathBuf>,
}

impl EgressTable {
    pub(super) fn checked(self, base: &Path, mistakes: &mut Vec<String>) -> EgressSettings {
        let proxy = self.proxy.and_then(|text| {
            let bare = text.strip_prefix("http://").unwrap_or(&text).trim_end_matches('/');
            let parsed = bare.parse::<Authority>().ok();
            let parsed = parsed.filter(|found| !found.host().is_empty() && !found.as_str().contains('@'));
            if parsed.is_none() {
                mistakes.push(format!(
                    "egress.proxy = {text:?} is no address of an HTTP proxy; write http://HOST:PORT, and its user and password \
                     into the file that egress.credentials names"
                ));
            }
            parsed
        });
        EgressSettings {
            proxy,
            credentials: self.credentials.map(|path| base.join(path)),
            direct: self.direct,
            ca: self.ca.map(|path| base.join(path)),
        }
    }
}
