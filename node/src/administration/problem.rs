//! Refusals of the administration listener, as RFC 9457 has them: `type` is `urn:kontor:problem:CODE`, `code` the same word
//! alone, `detail` a sentence that says what to do. The codes of the log are handed on.

use std::borrow::Cow;

use axum::response::{IntoResponse, Response};
use http::StatusCode;
use http::header::{CONTENT_TYPE, HeaderValue, RETRY_AFTER, WWW_AUTHENTICATE};
use serde_json::json;

use crate::messagelog::{ExportError, LogError};

/// Why there is no answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Problem {
    pub(super) status: StatusCode,
    pub(super) code: Cow<'static, str>,
    pub(super) detail: String,
    retry_after: Option<u32>,
}

impl Problem {
    pub(super) fn new(
        status: StatusCode,
        code: impl Into<Cow<'static, str>>,
        detail: impl Into<String>,
    ) -> Self {
        Self {
            status,
            code: code.into(),
            detail: detail.into(),
            retry_after: None,
        }
    }

    /// Says when to come again, in seconds.
    pub(super) fn retry_after(self, seconds: u32) -> Self {
        Self {
            retry_after: Some(seconds),
            ..self
        }
    }

    /// A question that cannot be read.
    pub(super) fn question(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, "malformed", detail)
    }
}

impl From<LogError> for Problem {
    fn from(error: LogError) -> Self {
        let status = match &error {
            LogError::NotFound { .. } => StatusCode::NOT_FOUND,
            LogError::OnHold { .. } | LogError::Unsuited { .. } => StatusCode::CONFLICT,
            LogError::Deleted { .. }
            | LogError::Forgotten { .. }
            | LogError::Shortened { .. }
            | LogError::Quarantined { .. } => StatusCode::GONE,
            LogError::Archived { .. }
            | LogError::Behind { .. }
            | LogError::Closed
            | LogError::Contradiction { .. }
            | LogError::Failed { .. }
            | LogError::Full { .. }
            | LogError::LeafLost { .. }
            | LogError::NoAuthority
            | LogError::NotStamped { .. } => StatusCode::SERVICE_UNAVAILABLE,
            LogError::Damaged { .. }
            | LogError::Io { .. }
            | LogError::Locked { .. }
            | LogError::Lost { .. }
            | LogError::OtherServer { .. }
            | LogError::TooLarge { .. }
            | LogError::WrongKey { .. } => StatusCode::INTERNAL_SERVER_ERROR,
        };
        Self::new(status, error.code(), error.to_string())
    }
}

impl From<ExportError> for Problem {
    fn from(error: ExportError) -> Self {
        match error {
            ExportError::Log(error) => error.into(),
            ExportError::Archive { .. } | ExportError::Timestamp { .. } => {
                Self::new(StatusCode::SERVICE_UNAVAILABLE, error.code(), error.to_string())
            }
            ExportError::Signature { .. } | ExportError::Output { .. } => {
                Self::new(StatusCode::INTERNAL_SERVER_ERROR, error.code(), error.to_string())
            }
        }
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let body = json!({
            "type": format!("urn:kontor:problem:{}", self.code),
            "title": self.status.canonical_reason().unwrap_or("Refused"),
            "status": self.status.as_u16(),
            "detail": self.detail,
            "code": self.code,
        });
        let mut response = (self.status, format!("{body}\n")).into_response();
        let headers = response.headers_mut();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/problem+json"));
        if self.status == StatusCode::UNAUTHORIZED {
            headers.insert(
                WWW_AUTHENTICATE,
                HeaderValue::from_static("Bearer realm=\"kontor\""),
            );
        }
        if let Some(seconds) = self.retry_after {
            headers.insert(RETRY_AFTER, seconds.into());
        }
        response
    }
}
