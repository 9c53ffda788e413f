//! The administration listener: `[administration]`. Without the table there is none.
//!
//! Owns the rule that nobody's token crosses a network in clear: plain HTTP is for loopback alone.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use serde::Deserialize;

use super::KeyPair;

/// Where auditors look, and how the listener proves itself to them.
#[derive(Debug, Clone)]
pub struct AdministrationSettings {
    /// Address and port.
    pub listen: SocketAddr,
    /// Its certificate.
    pub tls: AdministrationTls,
}

/// How the listener proves itself.
#[derive(Debug, Clone)]
pub enum AdministrationTls {
    /// By this key and certificate.
    Configured(KeyPair),
    /// Not at all: plain HTTP, on loopback only.
    Off,
    /// By a certificate that the node makes, for its address and these names.
    Own(Vec<String>),
}

/// The table of the file.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct AdministrationTable {
    listen: String,
    #[serde(default = "own")]
    tls: String,
    key: Option<PathBuf>,
    certificate: Option<PathBuf>,
    #[serde(default)]
    names: Vec<String>,
}

fn own() -> String {
    "own".into()
}

impl AdministrationTable {
    /// The settings, or its mistakes.
    pub(super) fn read(self, base: &Path, mistakes: &mut Vec<String>) -> Option<AdministrationSettings> {
        let before = mistakes.len();
        let mut mistake = |text: String| mistakes.push(format!("administration.{text}"));
        let listen = self.listen.parse::<SocketAddr>().ok();
        if listen.is_none() {
            mistake(format!(
                "listen = {:?} is not of the form ADDRESS:PORT",
                self.listen
            ));
        }
        let tls = match (self.tls.as_str(), self.key, self.certificate) {
            ("own", None, None) => AdministrationTls::Own(self.names),
            ("off", None, None) => AdministrationTls::Off,
            ("own", Some(key), Some(certificate)) => AdministrationTls::Configured(KeyPair {
                key: base.join(key),
                certificate: base.join(certificate),
            }),
            ("own", ..) => {
                mistake("key and certificate belong together: name both, or neither".into());
                AdministrationTls::Off
            }
            ("off", ..) => {
                mistake("key and certificate are of no use with tls = \"off\"".into());
                AdministrationTls::Off
            }
            (other, ..) => {
                mistake(format!("tls = {other:?}: choose one of own, off"));
                AdministrationTls::Off
            }
        };
        let open = listen.filter(|address| !address.ip().is_loopback());
        if let (AdministrationTls::Off, "off", Some(address)) = (&tls, self.tls.as_str(), open) {
            mistake(format!(
                "tls = \"off\" with {address}: tokens and evidence would cross the network in clear; leave it out, or listen on loopback"
            ));
        }
        let listen = listen.filter(|_| mistakes.len() == before)?;
        Some(AdministrationSettings { listen, tls })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<AdministrationSettings, Vec<String>> {
        let table: AdministrationTable = toml::from_str(text).map_err(|error| vec![error.to_string()])?;
        let mut mistakes = Vec::new();
        table
            .read(Path::new("/etc/kontor"), &mut mistakes)
            .ok_or(mistakes)
    }

    #[test]
    fn a_listener_proves_itself_by_its_own_certificate_or_a_configured_one() {
        let own = read("listen = '192.0.2.1:4000'\nnames = ['audit.example']").unwrap();
        assert!(matches!(own.tls, AdministrationTls::Own(names) if names == ["audit.example"]));
        let configured = read("listen = '[::]:4000'\nkey = 'a.key'\ncertificate = 'a.pem'").unwrap();
        let AdministrationTls::Configured(pair) = configured.tls else {
            panic!("{configured:?}")
        };
        assert_eq!(pair.key, Path::new("/etc/kontor/a.key"));
    }

    #[test]
    fn plain_http_is_for_loopback_alone() {
        assert!(read("listen = '127.0.0.1:4000'\ntls = 'off'").is_ok());
        assert!(read("listen = '[::1]:4000'\ntls = 'off'").is_ok());
        for address in ["0.0.0.0:4000", "192.0.2.1:4000", "[::]:4000"] {
            let mistakes = read(&format!("listen = '{address}'\ntls = 'off'")).unwrap_err();
            assert!(mistakes[0].contains("in clear"), "{mistakes:?}");
        }
    }

    #[test]
    fn mistakes_are_named() {
        for (text, word) in [
            ("listen = 'here'", "ADDRESS:PORT"),
            (
                "listen = '127.0.0.1:4000'\ntls = 'maybe'",
                "choose one of own, off",
            ),
            ("listen = '127.0.0.1:4000'\nkey = 'a.key'", "belong together"),
            (
                "listen = '127.0.0.1:4000'\ntls = 'off'\nkey = 'a'\ncertificate = 'b'",
                "no use",
            ),
            ("listen = '127.0.0.1:4000'\nport = 1", "unknown field"),
        ] {
            let mistakes = read(text).unwrap_err();
            assert!(mistakes[0].contains(word), "{text}: {mistakes:?}");
        }
    }
}
