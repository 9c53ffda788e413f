//! `[[casework.webhook]]`: whom the node tells what happens, so that a line-of-business system need not ask.
//!
//! Owns what an address, a secret and a choice of events look like. A changed file is taken up while the node runs.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, STANDARD_NO_PAD};
use http::Uri;
use kontor_pki::crypto::{hmac_sha256, sha256};
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use serde::Deserialize;
use zeroize::Zeroizing;

use super::casework::Mistakes;
use crate::secret;

/// Octets of a secret, as the Standard Webhooks want them.
const OCTETS: std::ops::RangeInclusive<usize> = 24..=64;
/// What secrets begin with in files, so that they are known for what they are; it is no part of them.
pub const PREFIX: &str = "whsec_";
/// Secrets of one webhook: while one takes the place of another there are two.
const SECRETS: usize = 4;
/// Webhooks of one node.
const MOST: usize = 64;

/// Somebody who is told what happens.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Webhook {
    /// Under this name its position is kept, and it stands in log and status.
    pub name: String,
    /// Where events are posted to: http or https, with a host, without credentials.
    pub url: Uri,
    /// Whom TLS believes; without it the authorities of the system.
    pub ca: Option<Authorities>,
    /// What posts are signed with.
    pub secrets: Secrets,
    /// Beginnings of the kinds that it gets; none means all.
    pub kinds: BTreeSet<String>,
    /// Units whose events it gets; none means all, and what no unit has.
    pub units: BTreeSet<String>,
    /// After so long in vain an event is given up.
    pub give_up: Duration,
}

/// A PEM file with certificates of authorities, and what it held when it was read.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Authorities {
    /// The file.
    pub path: PathBuf,
    sha256: [u8; 32],
}

/// Secrets that are shared with a receiver; they are never shown.
#[derive(Clone, Eq, PartialEq)]
pub struct Secrets(Vec<Zeroizing<Vec<u8>>>);

impl std::fmt::Debug for Secrets {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Secrets")
    }
}

impl Secrets {
    /// Reads base64, one secret a line, with or without [`PREFIX`].
    ///
    /// # Errors
    /// What is wrong, without the secret.
    pub fn parse(text: &str) -> Result<Self, String> {
        let lines = text.lines().map(str::trim).filter(|line| !line.is_empty());
        let read = lines.map(|line| {
            let line = line.strip_prefix(PREFIX).unwrap_or(line);
            let octets = STANDARD.decode(line).or_else(|_| STANDARD_NO_PAD.decode(line));
            octets
                .ok()
                .map(Zeroizing::new)
                .filter(|octets| OCTETS.contains(&octets.len()))
        });
        let read: Option<Vec<_>> = read.collect();
        match read {
            Some(secrets) if (1..=SECRETS).contains(&secrets.len()) => Ok(Self(secrets)),
            _ => Err(format!(
                "holds 1 to {SECRETS} lines of base64 with {} to {} octets each; `kontor case webhook-secret` writes one",
                OCTETS.start(),
                OCTETS.end()
            )),
        }
    }

    /// HMAC-SHA-256 of a text that consists of these parts, with each of the secrets.
    pub fn sign(&self, parts: &[&[u8]]) -> Vec<[u8; 32]> {
        self.0.iter().map(|secret| hmac_sha256(secret, parts)).collect()
    }
}

impl Webhook {
    /// Whether it gets an event of this kind and unit.
    pub fn wants(&self, kind: &str, unit: Option<&str>) -> bool {
        let kinds = self.kinds.is_empty() || self.kinds.iter().any(|begin| kind.starts_with(begin.as_str()));
        kinds && (self.units.is_empty() || unit.is_some_and(|unit| self.units.contains(unit)))
    }

    /// Another one for every other setting, which says nothing of the secret.
    pub fn fingerprint(&self) -> String {
        let settings = format!("{self:?}");
        let macs = self.secrets.sign(&[b"settings\0", settings.as_bytes()]);
        macs.concat().iter().map(|byte| format!("{byte:02x}")).collect()
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct WebhookTable {
    name: String,
    url: String,
    secret: PathBuf,
    ca: Option<PathBuf>,
    #[serde(default)]
    kinds: BTreeSet<String>,
    #[serde(default)]
    units: BTreeSet<String>,
    #[serde(default = "days")]
    give_up_days: u64,
}

const fn days() -> u64 {
    5
}

/// The webhooks of the file, without those that have mistakes.
pub(super) fn read(tables: Vec<WebhookTable>, base: &Path, mistakes: &mut Mistakes<'_>) -> Vec<Webhook> {
    let mut webhooks = Vec::<Webhook>::new();
    if tables.len() > MOST {
        mistakes.say(format_args!("webhook: there are at most {MOST}"));
    }
    for table in tables {
        let name = table.name.clone();
        if name.is_empty() || name.len() > 64 || name.chars().any(char::is_control) {
            mistakes.say(format_args!("webhook {name:?}: a name has 1 to 64 characters"));
        }
        if webhooks.iter().any(|webhook| webhook.name == name) {
            mistakes.say(format_args!("webhook {name:?}: the name stands twice"));
        }
        webhooks.extend(table.read(base, &mut |key, why| {
            mistakes.say(format_args!("webhook {name:?}: {key}: {why}"));
        }));
    }
    webhooks
}

impl WebhookTable {
    fn read(self, base: &Path, wrong: &mut dyn FnMut(&str, &str)) -> Option<Webhook> {
        let url = self.url.parse::<Uri>().ok().filter(|url| {
            let plain = url
                .authority()
                .is_some_and(|it| !it.host().is_empty() && !it.as_str().contains('@'));
            plain && matches!(url.scheme_str(), Some("http" | "https"))
        });
        if url.is_none() {
            wrong(
                "url",
                "an http or https address is wanted, without user and password: posts are signed instead",
            );
        }
        let path = base.join(self.secret);
        let secrets = match secret::read(&path) {
            Ok(read) => Secrets::parse(&String::from_utf8_lossy(&read))
                .map_err(|why| format!("{} {why}", path.display())),
            Err(error) => Err(error.to_string()),
        };
        let secrets = secrets.map_err(|why| wrong("secret", &why)).ok();
        let ca = match self.ca.map(|path| Authorities::read(base.join(path))) {
            Some(Err(why)) => {
                wrong("ca", &why);
                None
            }
            Some(Ok(_)) if url.as_ref().is_some_and(|url| url.scheme_str() != Some("https")) => {
                wrong("ca", "it is for https addresses only");
                None
            }
            Some(Ok(ca)) => Some(ca),
            None => None,
        };
        for (key, words) in [("kinds", &self.kinds), ("units", &self.units)] {
            let is_none =
                |word: &String| word.is_empty() || word.chars().any(|c| c.is_whitespace() || c == '*');
            if words.iter().any(is_none) {
                wrong(
                    key,
                    "each is a word without spaces and stars; left out, all are meant",
                );
            }
        }
        if !(1..=60).contains(&self.give_up_days) {
            wrong("give_up_days", "1 to 60 days");
        }
        Some(Webhook {
            name: self.name,
            url: url?,
            ca,
            secrets: secrets?,
            kinds: self.kinds,
            units: self.units,
            give_up: Duration::from_secs(86_400 * self.give_up_days.clamp(1, 60)),
        })
    }
}

impl Authorities {
    /// Reads such a file.
    ///
    /// # Errors
    /// One that cannot be read, or holds no certificate, in a sentence.
    pub fn read(path: PathBuf) -> Result<Self, String> {
        let failed = |error: &dyn std::fmt::Display| format!("{} cannot be read: {error}", path.display());
        let bytes = std::fs::read(&path).map_err(|error| failed(&error))?;
        match CertificateDer::pem_slice_iter(&bytes).next() {
            Some(Ok(_)) => Ok(Self {
                sha256: sha256(&bytes),
                path,
            }),
            Some(Err(error)) => Err(failed(&error)),
            None => Err(format!("{} holds no certificate", path.display())),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    fn mistakes_of(dir: &Path, lines: &str) -> (Vec<Webhook>, Vec<String>) {
        #[derive(Deserialize)]
        struct File {
            webhook: Vec<WebhookTable>,
        }
        let mut mistakes = Vec::new();
        let file: File = toml::from_str(lines).unwrap();
        let read = read(file.webhook, dir, &mut Mistakes(&mut mistakes));
        (read, mistakes)
    }

    fn file(dir: &Path, name: &str, text: &str, mode: u32) {
        std::fs::write(dir.join(name), text).unwrap();
        std::fs::set_permissions(dir.join(name), std::fs::Permissions::from_mode(mode)).unwrap();
    }

    #[test]
    fn a_webhook_is_read_and_mistakes_name_their_keys() {
        let dir = tempfile::tempdir().unwrap();
        let long = STANDARD.encode([7; 24]);
        file(dir.path(), "good", &format!("{PREFIX}{long}\n{long}\n"), 0o600);
        file(dir.path(), "open", &long, 0o644);
        file(dir.path(), "short", &STANDARD.encode([7; 23]), 0o600);
        file(dir.path(), "empty", "\n", 0o600);
        let begin = "[[webhook]]\nname = \"a\"\n";
        let good = "url = \"https://h.example:8443/in?x=1\"\nsecret = \"good\"\n";
        let (read, mistakes) = mistakes_of(
            dir.path(),
            &format!("{begin}{good}kinds = [\"transfer.\"]\nunits = [\"u-1\"]"),
        );
        assert!(mistakes.is_empty(), "{mistakes:?}");
        let webhook = &read[0];
        assert_eq!(webhook.secrets.sign(&[b"x"]).len(), 2);
        assert!(!format!("{webhook:?}").contains(&long) && !format!("{webhook:?}").contains("[7, 7"));
        assert!(webhook.wants("transfer.offered", Some("u-1")));
        assert!(!webhook.wants("transfer.offered", None) && !webhook.wants("case.opened", Some("u-1")));
        for (lines, key) in [
            ("url = \"ftp://h/\"\nsecret = \"good\"", "url"),
            ("url = \"https://u:p@h/\"\nsecret = \"good\"", "url"),
            ("url = \"/in\"\nsecret = \"good\"", "url"),
            ("url = \"http://h/\"\nsecret = \"open\"", "secret"),
            ("url = \"http://h/\"\nsecret = \"short\"", "secret"),
            ("url = \"http://h/\"\nsecret = \"empty\"", "secret"),
            ("url = \"http://h/\"\nsecret = \"none\"", "secret"),
            ("url = \"https://h/\"\nsecret = \"good\"\nca = \"good\"", "ca"),
            (
                "url = \"https://h/\"\nsecret = \"good\"\nkinds = [\"*\"]",
                "kinds",
            ),
            ("url = \"https://h/\"\nsecret = \"good\"\nunits = [\"\"]", "units"),
            (
                "url = \"https://h/\"\nsecret = \"good\"\ngive_up_days = 0",
                "give_up_days",
            ),
        ] {
            let (_, mistakes) = mistakes_of(dir.path(), &format!("{begin}{lines}"));
            assert_eq!(mistakes.len(), 1, "{lines}: {mistakes:?}");
            assert!(
                mistakes[0].starts_with(&format!("casework.webhook \"a\": {key}: ")),
                "{mistakes:?}"
            );
            assert!(!mistakes[0].contains(&long), "{mistakes:?}");
        }
        let (_, twice) = mistakes_of(dir.path(), &format!("{begin}{good}{begin}{good}"));
        assert_eq!(twice, ["casework.webhook \"a\": the name stands twice"]);
    }

    #[test]
    fn another_setting_or_secret_has_another_fingerprint() {
        let webhook = |url: &'static str, octet: u8| Webhook {
            name: "a".into(),
            url: Uri::from_static(url),
            ca: None,
            secrets: Secrets::parse(&STANDARD.encode([octet; 32])).unwrap(),
            kinds: BTreeSet::new(),
            units: BTreeSet::new(),
            give_up: Duration::from_secs(1),
        };
        let first = webhook("http://h/", 1).fingerprint();
        assert_eq!(first, webhook("http://h/", 1).fingerprint());
        assert_ne!(first, webhook("http://h/x", 1).fingerprint());
        assert_ne!(first, webhook("http://h/", 2).fingerprint());
    }
}
