//! Why something was not done, as whoever asked is told it: a status, a stable code, a sentence, and what to do (RFC 9457).

use std::ops::Deref;

use http::StatusCode;
use kontor_participation::case::Illegal;
use kontor_participation::transfer::Refusal;
use kontor_participation::transfer::offer::Id;
use serde_json::{Value, json};

use super::transfers::COMMANDS;
use crate::config::casework::Role;
use crate::messagelog::LogError;

/// See the module. It is boxed, since almost nothing is refused.
#[derive(Clone, Debug)]
pub(crate) struct Refused(Box<Why>);

/// What is said.
#[derive(Clone, Debug)]
pub(crate) struct Why {
    pub(crate) status: StatusCode,
    pub(crate) code: &'static str,
    pub(crate) detail: String,
    /// What to do.
    pub(crate) hint: Option<String>,
    /// Where in the input, as a JSON pointer (RFC 6901).
    pub(crate) pointer: Option<String>,
    /// Commands that are possible instead.
    pub(crate) legal: Vec<String>,
    /// Seconds after which it may be tried again.
    pub(crate) retry_after: Option<u32>,
}

impl Deref for Refused {
    type Target = Why;

    fn deref(&self) -> &Why {
        &self.0
    }
}

impl Refused {
    pub(crate) fn new(status: StatusCode, code: &'static str, detail: impl Into<String>) -> Self {
        Self(Box::new(Why {
            status,
            code,
            detail: detail.into(),
            hint: None,
            pointer: None,
            legal: Vec::new(),
            retry_after: None,
        }))
    }

    pub(crate) fn legal(mut self, legal: impl IntoIterator<Item = impl Into<String>>) -> Self {
        self.0.legal = legal.into_iter().map(Into::into).collect();
        self
    }

    pub(crate) fn hint(mut self, hint: impl Into<String>) -> Self {
        self.0.hint = Some(hint.into());
        self
    }

    pub(crate) fn at(mut self, pointer: impl Into<String>) -> Self {
        self.0.pointer = Some(pointer.into());
        self
    }

    pub(crate) fn conflict(code: &'static str, detail: impl Into<String>) -> Self {
        Self::new(StatusCode::CONFLICT, code, detail)
    }

    pub(crate) fn invalid(code: &'static str, detail: impl Into<String>) -> Self {
        Self::new(StatusCode::UNPROCESSABLE_ENTITY, code, detail)
    }

    pub(crate) fn malformed(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, "malformed", detail)
    }

    pub(crate) fn unavailable(code: &'static str, detail: impl Into<String>) -> Self {
        let mut refused = Self::new(StatusCode::SERVICE_UNAVAILABLE, code, detail);
        refused.0.retry_after = Some(5);
        refused
    }

    pub(crate) fn not_found(what: &str, id: &Id) -> Self {
        let detail = format!("there is no {what} {id}, or it is not to be seen with this key");
        Self::new(StatusCode::NOT_FOUND, "not_found", detail)
    }

    pub(crate) fn purged(what: &str) -> Self {
        let detail = format!("the {what} was deleted; the receipts are still there");
        Self::new(StatusCode::GONE, "purged", detail)
    }

    pub(crate) fn changed(what: &str) -> Self {
        Self::conflict("changed", format!("the {what} was changed meanwhile"))
            .hint("read it again and decide anew")
    }

    pub(crate) fn version(is: u64, wanted: u64) -> Self {
        let detail = format!("If-Match names version {wanted}, it is version {is} now");
        Self::new(StatusCode::PRECONDITION_FAILED, "version_mismatch", detail)
            .hint("read it again and decide anew")
    }

    pub(crate) fn no_version() -> Self {
        let detail = "every command needs If-Match with the version that it was decided on";
        Self::new(StatusCode::PRECONDITION_REQUIRED, "version_required", detail)
            .hint("send the ETag of the last answer as If-Match")
    }

    pub(crate) fn role(roles: &[Role]) -> Self {
        let names: Vec<_> = roles
            .iter()
            .filter_map(|role| serde_json::to_value(role).ok()?.as_str().map(str::to_owned))
            .collect();
        let detail = format!("this needs the role {}", names.join(" or "));
        Self::new(StatusCode::FORBIDDEN, "role_missing", detail)
            .hint("ask the operator of the node for a key with that role under [[casework.key]], or the issuer of the token for a role that [[casework.oidc]] names")
    }

    pub(crate) fn clock_behind(seconds: i64) -> Self {
        let detail = format!("the clock of this node is {seconds} s behind what it has recorded");
        Self::unavailable("clock_behind", detail).hint("set the clock right; until then no command is taken")
    }

    /// The problem document (RFC 9457).
    pub(crate) fn problem(&self) -> Value {
        let mut page = json!({
            "type": format!("urn:kontor:problem:{}", self.code),
            "title": self.status.canonical_reason().unwrap_or("Refused"),
            "status": self.status.as_u16(),
            "code": self.code,
            "detail": self.detail,
        });
        if let Some(hint) = &self.hint {
            page["hint"] = hint.as_str().into();
        }
        if let Some(pointer) = &self.pointer {
            page["pointer"] = pointer.as_str().into();
        }
        if !self.legal.is_empty() {
            page["legal"] = self.legal.clone().into();
        }
        page
    }

    pub(crate) fn internal(error: &dyn std::fmt::Display) -> Self {
        tracing::error!(%error, "casework failed");
        let detail = "something failed here; the log of the node says what";
        Self::new(StatusCode::INTERNAL_SERVER_ERROR, "internal", detail)
    }
}

impl From<LogError> for Refused {
    fn from(error: LogError) -> Self {
        tracing::error!(%error, "the message log refused an entry of casework");
        match error {
            LogError::Full { .. } => {
                Self::new(StatusCode::INSUFFICIENT_STORAGE, "disk_full", error.to_string())
                    .hint("make room on the disk of the node")
            }
            error => Self::unavailable(error.code(), error.to_string()),
        }
    }
}

impl From<Illegal> for Refused {
    fn from(illegal: Illegal) -> Self {
        let legal = illegal.legal.iter().map(|command| command.name());
        Self::conflict(Illegal::CODE, illegal.to_string()).legal(legal)
    }
}

impl From<Refusal> for Refused {
    fn from(refusal: Refusal) -> Self {
        let refused = Self::conflict(refusal.code(), refusal.to_string());
        match refusal {
            Refusal::Illegal { legal, .. } => {
                refused.legal(legal.into_iter().filter(|name| COMMANDS.contains(name)))
            }
            Refusal::TooLate { .. } | Refusal::TooEarly { .. } => refused,
        }
    }
}
