//! Tokens of issuers: a person comes in with one instead of a key.
//!
//! Owns what a verified token is worth here, and how a refusal is told. Nobody is written down who has no role, and no token is
//! ever in a log, an answer or the store.

mod issuer;
#[cfg(test)]
mod tests;

pub(super) use self::issuer::Issuer;

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use http::StatusCode;
use jiff::Timestamp;
use kontor_pki::token::{Claims, ClaimsRefused, Expected, Token, TokenError, looks_like_token};

use self::issuer::Unverified;
use super::persons::MAX_SUBJECT;
use super::principal::Admitted;
use super::{Casework, Principal, Refused};
use crate::config::casework::oidc::TokenIssuer;
use crate::config::casework::{Holder, Role};

/// Every role that a token can give.
const MAPPED: [Role; 7] = [
    Role::Worker,
    Role::Releaser,
    Role::Supervisor,
    Role::DataProtection,
    Role::Coordinator,
    Role::Specialist,
    Role::Adviser,
];
/// Units of one person that are looked at.
const MAX_UNITS: usize = 256;

impl Admitted {
    /// Whether what somebody shows is a token, of which issuers are to say what it is worth.
    pub(super) fn judges(&self, shown: &str) -> bool {
        !self.issuers.is_empty() && looks_like_token(shown)
    }
}

impl Casework {
    /// The person whom a token stands for.
    pub(super) async fn holder_of(
        &self,
        admitted: &Arc<Admitted>,
        token: &str,
    ) -> Result<Principal, Refused> {
        let token = Token::parse(token).map_err(refused)?;
        // Which keys are asked is the token's word; that they made it shows that the word was true.
        let named = token.unverified_issuer();
        let issuer = admitted
            .issuers
            .iter()
            .find(|issuer| named == Some(&issuer.settings().issuer));
        let issuer = issuer.ok_or_else(|| no_entry(ClaimsRefused::Issuer))?;
        let settings = issuer.settings();
        let claims = match issuer.verify(&token).await {
            Ok(claims) => claims,
            Err(Unverified::Token(error)) => return Err(refused(error)),
            Err(Unverified::Unreachable) => return Err(unreachable(settings)),
        };
        let expected = Expected {
            issuer: &settings.issuer,
            audience: &settings.audience,
            leeway: settings.leeway,
        };
        // The machine's clock, also in a training: the issuer knows of no other.
        let now = self.clock.now();
        let holds = claims.hold(&expected, now).map_err(no_entry)?;
        if holds.subject.chars().count() > MAX_SUBJECT || holds.subject.chars().any(char::is_control) {
            return Err(no_entry(ClaimsRefused::Missing("sub")));
        }
        let roles = roles(settings, &claims);
        if roles.is_empty() {
            return Err(Refused::role(&MAPPED));
        }
        Ok(Principal {
            units: units(settings, &claims, &roles)?,
            pseudonym: self.introduce(&settings.issuer, holds.subject).await?,
            holder: Holder::Person,
            roles,
            on_behalf_of: None,
            until: Some(Timestamp::from_millisecond(holds.until.millis()).unwrap_or(Timestamp::MAX)),
            admitted: Some(Arc::clone(admitted)),
            only: None,
        })
    }

    /// How long what let somebody in holds by itself.
    pub(super) fn holds_for(&self, who: &Principal) -> Duration {
        let left = who.until.map(|until| {
            until.duration_since(
                Timestamp::from_millisecond(self.clock.now().millis()).unwrap_or(Timestamp::MAX),
            )
        });
        left.map_or(Duration::MAX, |left| Duration::try_from(left).unwrap_or_default())
    }
}

fn roles(settings: &TokenIssuer, claims: &Claims<'_>) -> BTreeSet<Role> {
    let known = claims
        .texts(&settings.role_claim)
        .filter_map(|value| settings.roles.get(value));
    known.flatten().copied().collect()
}

/// In which units; none means all, so that whoever works in units and has none is refused.
fn units(
    settings: &TokenIssuer,
    claims: &Claims<'_>,
    roles: &BTreeSet<Role>,
) -> Result<BTreeSet<String>, Refused> {
    let Some(place) = &settings.unit_claim else {
        return Ok(BTreeSet::new());
    };
    let units: BTreeSet<_> = claims
        .texts(place)
        .filter(|unit| !unit.is_empty())
        .take(MAX_UNITS)
        .map(str::to_owned)
        .collect();
    let bound = roles.contains(&Role::Worker) || roles.contains(&Role::Releaser);
    match units.is_empty() && bound && !roles.contains(&Role::Supervisor) {
        false => Ok(units),
        true => {
            let detail =
                format!("the token names no organisational unit: its claim {place} is empty or not there");
            Err(Refused::new(StatusCode::FORBIDDEN, "unit_missing", detail)
                .hint("ask whoever keeps accounts at the issuer to put you into your unit"))
        }
    }
}

fn unauthorized(code: &'static str, error: impl std::fmt::Display, hint: &str) -> Refused {
    Refused::new(StatusCode::UNAUTHORIZED, code, error.to_string()).hint(hint)
}

fn refused(error: TokenError) -> Refused {
    let (code, hint) = match error {
        TokenError::Malformed(_) => (
            "token_malformed",
            "send the access token of the issuer as it came, in its signed form (JWT)",
        ),
        TokenError::Algorithm => (
            "token_algorithm",
            "the operator of the node says under [[casework.oidc]] algorithms how tokens may be signed",
        ),
        TokenError::Type => (
            "token_type",
            "send an access token, not another token of the issuer",
        ),
        TokenError::UnknownKey => (
            "token_key_unknown",
            "get a new token; if the issuer has just changed its keys, try again in some seconds",
        ),
        TokenError::Signature => ("token_signature", "get a new token from the issuer"),
    };
    unauthorized(code, error, hint)
}

fn no_entry(refused: ClaimsRefused) -> Refused {
    let (code, hint) = match refused {
        ClaimsRefused::Missing(_) => (
            "token_claim_missing",
            "a token needs iss, sub, aud and exp, with the types of RFC 7519",
        ),
        ClaimsRefused::Issuer => (
            "token_issuer",
            "the operator of the node names issuers under [[casework.oidc]]",
        ),
        ClaimsRefused::Audience => (
            "token_audience",
            "ask the issuer for a token for this node; its name is [[casework.oidc]] audience",
        ),
        ClaimsRefused::Expired(_) => ("token_expired", "get a new token from the issuer"),
        ClaimsRefused::NotYet(_) => (
            "token_not_yet",
            "if it was issued just now, the clocks of issuer and node differ",
        ),
        ClaimsRefused::Bound => (
            "token_bound",
            "ask the issuer for a plain bearer token for this node",
        ),
        ClaimsRefused::Program => (
            "token_of_program",
            "the operator of the node gives programs a key under [[casework.key]]",
        ),
    };
    unauthorized(code, refused, hint)
}

fn unreachable(settings: &TokenIssuer) -> Refused {
    let detail = format!(
        "the keys of {} could not be fetched, so that its token cannot be judged",
        settings.issuer
    );
    Refused::unavailable("issuer_unreachable", detail).hint(
        "try again; the log of the node says why, and its operator checks the issuer's address, [egress] and [[casework.oidc]] ca",
    )
}
