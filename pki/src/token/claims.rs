//! What a verified token says, and whether that lets somebody in here and now.

use std::time::Duration;

use serde_json::{Map, Value};

use crate::UnixTime;

/// What a token says whose signature holds; only [`KeySet::verify`](super::KeySet::verify) makes it.
#[derive(Clone, Copy, Debug)]
pub struct Claims<'t>(&'t Map<String, Value>);

/// What claims must say.
#[derive(Clone, Copy, Debug)]
pub struct Expected<'e> {
    /// `iss`, to the letter.
    pub issuer: &'e str,
    /// What `aud` is or holds.
    pub audience: &'e str,
    /// How far the clocks of issuer and judge may be apart.
    pub leeway: Duration,
}

/// Whom claims stand for.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Holds<'t> {
    /// `sub`.
    pub subject: &'t str,
    /// From when it holds no more, leeway included.
    pub until: UnixTime,
}

/// Claims that let nobody in.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
pub enum ClaimsRefused {
    /// A claim that has to be there is not, or is of another type.
    #[error("the token has no usable claim `{0}`")]
    Missing(&'static str),
    /// Another issuer.
    #[error("the token is of another issuer")]
    Issuer,
    /// Made for somebody else.
    #[error("the token is for another audience")]
    Audience,
    /// Over.
    #[error("the token ended at {0}")]
    Expired(UnixTime),
    /// Not begun.
    #[error("the token holds from {0} only")]
    NotYet(UnixTime),
    /// Bound to a key of whoever sends it (RFC 8705, RFC 9449), which is not looked at here.
    #[error("the token is bound to a key, of which no proof is judged here")]
    Bound,
    /// The account of a program (RFC 9068, 2.2).
    #[error("the token stands for a program and not for a person")]
    Program,
}

impl<'t> Claims<'t> {
    pub(super) fn of(claims: &'t Map<String, Value>) -> Self {
        Self(claims)
    }

    /// Whom the claims let in at an instant.
    ///
    /// # Errors
    /// The first thing that is not as it must be.
    pub fn hold(&self, expected: &Expected<'_>, now: UnixTime) -> Result<Holds<'t>, ClaimsRefused> {
        if self.text("iss")? != expected.issuer {
            return Err(ClaimsRefused::Issuer);
        }
        let audience = self.0.get("aud").ok_or(ClaimsRefused::Missing("aud"))?;
        if !texts(audience).any(|it| it == expected.audience) {
            return Err(ClaimsRefused::Audience);
        }
        let leeway = i64::try_from(expected.leeway.as_millis()).unwrap_or(i64::MAX);
        let ends = self.instant("exp")?.ok_or(ClaimsRefused::Missing("exp"))?;
        let until = UnixTime::from_millis(ends.millis().saturating_add(leeway));
        if now >= until {
            return Err(ClaimsRefused::Expired(ends));
        }
        if let Some(begins) = self.instant("nbf")?
            && begins.millis() > now.millis().saturating_add(leeway)
        {
            return Err(ClaimsRefused::NotYet(begins));
        }
        if self.0.contains_key("cnf") {
            return Err(ClaimsRefused::Bound);
        }
        let subject = self.text("sub")?;
        if self.0.get("client_id").and_then(Value::as_str) == Some(subject) {
            return Err(ClaimsRefused::Program);
        }
        Ok(Holds { subject, until })
    }

    /// Texts of a claim, which is one text or a list of them; none where it is not there. A place that begins with `/` is a JSON
    /// pointer (RFC 6901), any other is the claim's name to the letter: names with dots and slashes are common.
    pub fn texts(&self, place: &str) -> impl Iterator<Item = &'t str> + use<'t> {
        let found = match place.strip_prefix('/') {
            None => self.0.get(place),
            Some(path) => {
                let (first, rest) = match path.split_once('/') {
                    Some((first, rest)) => (first, Some(rest)),
                    None => (path, None),
                };
                let first = self.0.get(&first.replace("~1", "/").replace("~0", "~"));
                match rest {
                    None => first,
                    Some(rest) => first.and_then(|value| value.pointer(&format!("/{rest}"))),
                }
            }
        };
        found.into_iter().flat_map(texts)
    }

    fn text(&self, name: &'static str) -> Result<&'t str, ClaimsRefused> {
        let found = self.0.get(name).and_then(Value::as_str);
        found
            .filter(|text| !text.is_empty())
            .ok_or(ClaimsRefused::Missing(name))
    }

    /// A NumericDate: seconds, which may have a fraction (RFC 7519, 2). Something else in its place is never "not there".
    fn instant(&self, name: &'static str) -> Result<Option<UnixTime>, ClaimsRefused> {
        let Some(value) = self.0.get(name) else {
            return Ok(None);
        };
        let seconds = value.as_f64().ok_or(ClaimsRefused::Missing(name))?;
        // The conversion saturates; what is too far away for it is far enough.
        Ok(Some(UnixTime::from_millis((seconds * 1000.0) as i64)))
    }
}

fn texts(value: &Value) -> impl Iterator<Item = &str> {
    let (one, many) = match value {
        Value::String(one) => (Some(one.as_str()), [].as_slice()),
        Value::Array(many) => (None, many.as_slice()),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::Object(_) => (None, [].as_slice()),
    };
    one.into_iter().chain(many.iter().filter_map(Value::as_str))
}
