//! Issuers whose tokens let persons in: `[[casework.oidc]]` (OpenID Connect; access tokens in the form of JWT).
//!
//! Owns what of a token becomes a role or a unit. A token stands for a person, so the role of form services cannot be had by one.
//! No units mean all of them, so whoever works on cases of units is refused where the claim for units is set and a token lacks it.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::time::Duration;

use kontor_pki::crypto::sha256;
use kontor_pki::token::TokenAlgorithm;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use serde::Deserialize;

use super::{ApiKey, Mistakes, Role};

/// Longest difference between the clocks of issuer and node that may be allowed.
const MAX_LEEWAY: u64 = 300;

/// An issuer of tokens, and what they are worth here.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct TokenIssuer {
    /// Its name and address, as `iss` has it.
    pub issuer: String,
    /// What `aud` has to hold.
    pub audience: String,
    /// How its tokens may be signed.
    pub algorithms: BTreeSet<TokenAlgorithm>,
    /// Where roles stand: the name of a claim, or a JSON pointer.
    pub role_claim: String,
    /// What a value there stands for.
    pub roles: BTreeMap<String, BTreeSet<Role>>,
    /// Where organisational units stand; without it whoever comes in sees all of them.
    pub unit_claim: Option<String>,
    /// How far the clocks may be apart.
    pub leeway: Duration,
    /// Whom TLS believes, if not those of `[egress]`.
    pub ca: Option<Authorities>,
}

/// A PEM file of authorities, as it was when it was read: another content is another setting.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Authorities {
    /// Where it is.
    pub path: PathBuf,
    /// SHA-256 of its content.
    pub digest: [u8; 32],
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct IssuerTable {
    issuer: String,
    audience: String,
    algorithms: Option<Vec<String>>,
    role_claim: String,
    roles: BTreeMap<String, BTreeSet<Role>>,
    unit_claim: Option<String>,
    leeway_seconds: Option<u64>,
    ca: Option<PathBuf>,
}

/// The issuers. Names of keys stand in one table with them wherever somebody is named.
pub(super) fn read(
    tables: Vec<IssuerTable>,
    keys: &[ApiKey],
    base: &Path,
    mistakes: &mut Mistakes<'_>,
) -> Vec<TokenIssuer> {
    let mut issuers: Vec<TokenIssuer> = Vec::new();
    for table in tables {
        let name = table.issuer.clone();
        if issuers.iter().any(|known| known.issuer == name) {
            mistakes.say(format_args!("oidc.issuer = {name:?}: it stands twice"));
        }
        if keys.iter().any(|key| key.name == name) {
            mistakes.say(format_args!(
                "oidc.issuer = {name:?}: a key has this name, whose holder could act in the name of the issuer's persons"
            ));
        }
        issuers.extend(table.read(base, mistakes));
    }
    issuers
}

impl IssuerTable {
    fn read(self, base: &Path, mistakes: &mut Mistakes<'_>) -> Option<TokenIssuer> {
        if let Err(reason) = address(&self.issuer) {
            mistakes.say(format_args!("oidc.issuer = {:?}: {reason}", self.issuer));
        } else if self.issuer.contains(['?', '#']) {
            mistakes.say(format_args!(
                "oidc.issuer = {:?}: an issuer has neither query nor fragment",
                self.issuer
            ));
        }
        if self.audience.is_empty() {
            mistakes.say("oidc.audience: the name that the issuer gives this node in `aud` is wanted");
        }
        for (key, claim) in [
            ("role_claim", Some(&self.role_claim)),
            ("unit_claim", self.unit_claim.as_ref()),
        ] {
            if claim.is_some_and(|claim| claim.trim_start_matches('/').is_empty()) {
                mistakes.say(format_args!(
                    "oidc.{key}: the name of a claim is wanted, or a JSON pointer such as \"/realm_access/roles\""
                ));
            }
        }
        if self.roles.values().all(BTreeSet::is_empty) {
            mistakes.say("oidc.roles: no value of the claim stands for a role; nobody could do anything");
        }
        if self.roles.values().any(|roles| roles.contains(&Role::Intake)) {
            mistakes
                .say("oidc.roles: a token stands for a person, and systems hand in; give the form service a [[casework.key]]");
        }
        let names = self
            .algorithms
            .unwrap_or_else(|| TokenAlgorithm::ALL.map(|it| it.name().to_owned()).into());
        if names.is_empty() {
            mistakes
                .say("oidc.algorithms: with none no token is accepted; leave it out for all that are known");
        }
        let algorithms: Option<BTreeSet<_>> = names
            .iter()
            .map(|name| mistakes.parsed("oidc.algorithms", name))
            .collect();
        let leeway = self.leeway_seconds.unwrap_or(60);
        if leeway > MAX_LEEWAY {
            mistakes.say(format_args!(
                "oidc.leeway_seconds = {leeway}: at most {MAX_LEEWAY}; set the clocks right"
            ));
        }
        let ca = self.ca.map(|path| {
            Authorities::read(base.join(path))
                .map_err(|reason| mistakes.say(format_args!("oidc.ca: {reason}")))
        });
        Some(TokenIssuer {
            issuer: self.issuer,
            audience: self.audience,
            algorithms: algorithms?,
            role_claim: self.role_claim,
            roles: self.roles,
            unit_claim: self.unit_claim,
            leeway: Duration::from_secs(leeway),
            ca: ca.transpose().ok()?,
        })
    }
}

impl Authorities {
    fn read(path: PathBuf) -> Result<Self, String> {
        let pem =
            std::fs::read(&path).map_err(|error| format!("{} cannot be read: {error}", path.display()))?;
        match CertificateDer::pem_slice_iter(&pem).any(|found| found.is_ok()) {
            true => Ok(Self {
                digest: sha256(&pem),
                path,
            }),
            false => Err(format!("{} holds no certificate of an authority", path.display())),
        }
    }
}

/// Refuses addresses from which keys cannot be fetched, or where whoever is on the way could put others in their place.
pub fn address(text: &str) -> Result<(), &'static str> {
    let uri: http::Uri = text.parse().map_err(|_| "it is no address")?;
    let authority = uri.authority().ok_or("it is no address")?;
    let host = uri.host().unwrap_or_default();
    let loopback = host == "localhost"
        || host
            .trim_matches(['[', ']'])
            .parse::<std::net::IpAddr>()
            .is_ok_and(|address| address.is_loopback());
    match uri.scheme_str() {
        _ if host.is_empty() || authority.as_str().contains('@') => Err("it is no address"),
        Some("https") => Ok(()),
        Some("http") if loopback => Ok(()),
        _ => Err("it is neither https:// nor on loopback: keys could be exchanged on their way"),
    }
}
