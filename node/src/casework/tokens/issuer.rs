//! The keys of one issuer: found by its discovery document, kept, and fetched anew when they are old or when a token names another.
//!
//! Nobody can make the node ask an issuer more often than [`Pace::floor`] allows, and whoever goes away while keys are fetched does
//! not stop that for the others. An issuer that does not answer takes nothing away at once: keys that are known stay in use for
//! [`Pace::usable`], so that a key that an issuer withdraws opens nothing after that at the latest.

use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwapOption;
use kontor_pki::token::{Claims, KeySet, Token, TokenError};
use serde::Deserialize;
use tokio::sync::Mutex;
use tokio::task::JoinHandle;
use tokio::time::Instant;

use crate::config::EgressSettings;
use crate::config::casework::oidc::{TokenIssuer, address};
use crate::fetch::{Bounds, Fetcher};

/// Whoever waits for keys holds a place for requests meanwhile.
const BOUNDS: Bounds = Bounds {
    connect: Duration::from_secs(3),
    total: Duration::from_secs(5),
    max_body: 256 * 1024,
};

/// How often an issuer is asked for its keys.
#[derive(Clone, Copy, Debug)]
pub(super) struct Pace {
    /// Between two fetches at least, whatever comes.
    pub(super) floor: Duration,
    /// After which keys are fetched anew when the next token comes.
    pub(super) fresh: Duration,
    /// How long they are used when that fails.
    pub(super) usable: Duration,
}

const PACE: Pace = Pace {
    floor: Duration::from_secs(5),
    fresh: Duration::from_secs(3600),
    usable: Duration::from_secs(12 * 3600),
};

/// See the module.
#[derive(Debug)]
pub(in crate::casework) struct Issuer {
    settings: TokenIssuer,
    pace: Pace,
    /// Or why it cannot be reached, in a sentence.
    fetcher: Result<Fetcher, String>,
    held: ArcSwapOption<Held>,
    /// The last attempt to fetch keys. Whoever has it is the one who fetches.
    last: Mutex<Option<Attempt>>,
}

#[derive(Debug)]
struct Held {
    keys: KeySet,
    since: Instant,
}

#[derive(Clone, Copy, Debug)]
struct Attempt {
    at: Instant,
    succeeded: bool,
}

/// A token of which nothing is believed.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Unverified {
    /// For what it is.
    Token(TokenError),
    /// Because nobody could say.
    Unreachable,
}

/// What is read of a discovery document (OpenID Connect Discovery 1.0, 3).
#[derive(Deserialize)]
struct Discovery {
    issuer: String,
    jwks_uri: String,
}

impl PartialEq for Issuer {
    /// By what the configuration says: keys come and go.
    fn eq(&self, other: &Self) -> bool {
        self.settings == other.settings
    }
}

impl Eq for Issuer {}

impl Issuer {
    pub(in crate::casework) fn new(settings: TokenIssuer, egress: &EgressSettings) -> Arc<Self> {
        Self::paced(settings, egress, PACE)
    }

    pub(super) fn paced(settings: TokenIssuer, egress: &EgressSettings, pace: Pace) -> Arc<Self> {
        let mut egress = egress.clone();
        if let Some(ca) = &settings.ca {
            egress.ca = Some(ca.path.clone());
        }
        Arc::new(Self {
            fetcher: Fetcher::new(&egress),
            settings,
            pace,
            held: ArcSwapOption::empty(),
            last: Mutex::new(None),
        })
    }

    pub(in crate::casework) fn settings(&self) -> &TokenIssuer {
        &self.settings
    }

    /// The claims of a token of this issuer.
    pub(super) async fn verify<'t>(self: &Arc<Self>, token: &'t Token<'_>) -> Result<Claims<'t>, Unverified> {
        let accepted = || self.settings.algorithms.iter().copied();
        // What no key could verify is not worth a question.
        if !accepted().any(|algorithm| algorithm == token.algorithm()) {
            return Err(Unverified::Token(TokenError::Algorithm));
        }
        let age = |held: &Arc<Held>| held.since.elapsed();
        let mut held = self.held.load_full();
        match held.as_ref().map(age) {
            Some(age) if age < self.pace.fresh => {}
            // Nobody waits for what is only to be looked at again.
            Some(age) if age < self.pace.usable => {
                if self.last.try_lock().is_ok() {
                    drop(self.renewing(held.clone()));
                }
            }
            Some(_) | None => {
                self.renew(held).await;
                held = self.held.load_full();
            }
        }
        let held = held.filter(|held| age(held) < self.pace.usable);
        let held = held.ok_or(Unverified::Unreachable)?;
        let verdict = match held.keys.verify(token, accepted()) {
            Ok(claims) => return Ok(claims),
            Err(verdict) => verdict,
        };
        // A key that is not known may be new; without a name any key may be the one.
        if verdict != TokenError::UnknownKey && token.names_key() {
            return Err(Unverified::Token(verdict));
        }
        let answered = self.renew(Some(held)).await;
        let held = self.held.load_full().ok_or(Unverified::Unreachable)?;
        held.keys
            .verify(token, accepted())
            .map_err(|verdict| match verdict {
                TokenError::UnknownKey if !answered => Unverified::Unreachable,
                verdict => Unverified::Token(verdict),
            })
    }

    /// Fetches other keys than `seen`, unless somebody did meanwhile or it is too soon. Whether the issuer answered the last time.
    async fn renew(self: &Arc<Self>, seen: Option<Arc<Held>>) -> bool {
        self.renewing(seen).await.unwrap_or(false)
    }

    /// In a task of its own: a request that is given up must not take the fetch with it, since the floor would keep everybody else
    /// from another one.
    fn renewing(self: &Arc<Self>, seen: Option<Arc<Held>>) -> JoinHandle<bool> {
        let issuer = Arc::clone(self);
        tokio::spawn(async move { issuer.renew_in_turn(seen).await })
    }

    async fn renew_in_turn(&self, seen: Option<Arc<Held>>) -> bool {
        let mut last = self.last.lock().await;
        let current = self.held.load_full();
        if current.as_ref().map(Arc::as_ptr) != seen.as_ref().map(Arc::as_ptr) {
            return true;
        }
        if let Some(attempt) = *last
            && attempt.at.elapsed() < self.pace.floor
        {
            return attempt.succeeded;
        }
        let fetched = self.fetch().await;
        let succeeded = fetched.is_ok();
        *last = Some(Attempt {
            at: Instant::now(),
            succeeded,
        });
        match fetched {
            Ok(keys) => self.held.store(Some(Arc::new(Held {
                keys,
                since: Instant::now(),
            }))),
            Err(reason) => {
                let issuer = &self.settings.issuer;
                tracing::warn!(
                    issuer,
                    reason,
                    "the keys of an issuer of tokens cannot be fetched"
                );
            }
        }
        succeeded
    }

    async fn fetch(&self) -> Result<KeySet, String> {
        let issuer = &self.settings.issuer;
        // OpenID Connect Discovery 1.0, 4.1.
        let url = format!(
            "{}/.well-known/openid-configuration",
            issuer.trim_end_matches('/')
        );
        let page = self.page(&url).await?;
        let discovery: Discovery = serde_json::from_slice(&page)
            .map_err(|error| format!("{url} is no discovery document: {error}"))?;
        // Otherwise one tenant of a provider could speak for another (4.3).
        if discovery.issuer != *issuer {
            return Err(format!(
                "{url} is about the issuer {:?}; [[casework.oidc]] issuer has to be that to the letter",
                discovery.issuer
            ));
        }
        let url = discovery.jwks_uri;
        address(&url).map_err(|reason| format!("{url} (jwks_uri): {reason}"))?;
        if issuer.starts_with("https:") && !url.starts_with("https:") {
            return Err(format!(
                "{url} (jwks_uri): the keys of an https:// issuer come by https://"
            ));
        }
        let page = self.page(&url).await?;
        KeySet::parse(&page).map_err(|error| format!("{url}: {error}"))
    }

    async fn page(&self, url: &str) -> Result<bytes::Bytes, String> {
        let fetcher = self.fetcher.as_ref().map_err(Clone::clone)?;
        let answer = fetcher
            .get(url, &BOUNDS)
            .await
            .map_err(|error| error.to_string())?;
        match answer.status {
            200 => Ok(answer.body),
            status => Err(format!("{url} answers with status {status}")),
        }
    }
}
