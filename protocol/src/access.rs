//! Access rights: who may call which service, with which verb, on which paths (wire 2.10). Nobody may by default.
//!
//! [`AccessRights`] is the one judge and [`Permit`] the value that only it makes. A right of a member does not extend to
//! its subsystems, nor the reverse. A right on a whole service does not look at the path. A narrower right does, and
//! since the service gets the path as it was sent, it counts only where path and pattern cannot be read in two ways:
//! escapes are decoded once, and what hides a slash, a question mark or a hash in an escape, begins with an empty
//! segment, or matches only before or only after its empty segments and dots are removed, has no right.
//!
//! Which clients are registered here is not asked; the caller knows its own.

mod pattern;
#[cfg(test)]
mod tests;

pub use pattern::{InvalidPattern, PathPattern};

use std::collections::HashMap;
use std::fmt;
use std::str::FromStr;

use crate::fault::{Fault, FaultCode};
use crate::id::{ClientId, GroupId, InvalidId, ServiceId};
use crate::rest::{Verb, climbs};
use crate::trust::TrustSet;

/// Who a right is given to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Subject {
    /// Exactly this member or subsystem.
    Client(ClientId),
    /// Whoever global configuration lists in this group.
    Group(GroupId),
}

/// `TEST/GOV/1002/antrag`, or `group:TEST/all-municipalities`.
impl FromStr for Subject {
    type Err = InvalidId;

    fn from_str(text: &str) -> Result<Self, InvalidId> {
        match text.strip_prefix("group:") {
            Some(group) => group.parse().map(Self::Group),
            None => text.parse().map(Self::Client),
        }
    }
}

/// The verbs of a right.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Method {
    /// `*`.
    Any,
    /// One verb.
    Only(Verb),
}

impl fmt::Display for Method {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Any => "*",
            Self::Only(verb) => verb.as_str(),
        })
    }
}

/// A method that is neither `*` nor a verb.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is neither * nor one of DELETE, GET, HEAD, OPTIONS, PATCH, POST, PUT, TRACE")]
pub struct InvalidMethod(pub String);

impl FromStr for Method {
    type Err = InvalidMethod;

    fn from_str(text: &str) -> Result<Self, InvalidMethod> {
        if text == "*" {
            return Ok(Self::Any);
        }
        Verb::from_name(text)
            .map(Self::Only)
            .ok_or_else(|| InvalidMethod(text.to_owned()))
    }
}

/// A right on a service or on a part of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Right {
    /// Who has it.
    pub subject: Subject,
    /// With which verb.
    pub method: Method,
    /// On which paths.
    pub path: PathPattern,
}

/// A service and the rights on it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ServiceRights {
    /// The service.
    pub service: ServiceId,
    /// The administrator's notice while the service is switched off.
    pub disabled: Option<String>,
    /// Who may use it.
    pub rights: Vec<Right>,
}

/// The services of a node and the rights on them.
#[derive(Debug, Clone, Default)]
pub struct AccessRights {
    services: HashMap<ServiceId, (Option<String>, Vec<Right>)>,
}

impl AccessRights {
    /// The rights on these services; of a service listed twice both lists of rights hold, and either notice.
    pub fn new(services: impl IntoIterator<Item = ServiceRights>) -> Self {
        let mut all = Self::default();
        for ServiceRights {
            service,
            disabled,
            rights,
        } in services
        {
            let entry = all.services.entry(service).or_default();
            entry.0 = disabled.or(entry.0.take());
            entry.1.extend(rights);
        }
        all
    }

    /// Judges a call. It is asked twice per exchange: with the claimed client before a body is accepted, and with the
    /// verified signer before anything is used.
    ///
    /// `service_path` is the raw path after the service code: empty, or beginning with `/`.
    ///
    /// # Errors
    /// In this order (wire 2.10): `unknown_service`, `access_denied` (`internal_error` for a path that cannot be
    /// decoded at all), `service_disabled`.
    pub fn judge(
        &self,
        trust: &TrustSet,
        client: &ClientId,
        service: &ServiceId,
        method: Verb,
        service_path: &str,
    ) -> Result<Permit, Fault> {
        let (disabled, rights) = self.services.get(service).ok_or_else(|| {
            Fault::new(
                FaultCode::UnknownService,
                format!("Unknown service: {}", service.typed()),
            )
        })?;
        // Java cannot decode such a path, whatever the rights.
        if !service_path.is_ascii() {
            return Err(Fault::new(
                FaultCode::InternalError,
                "letters beyond ASCII in a service path must be percent-encoded",
            ));
        }
        if climbs(service_path) {
            return Err(Fault::new(
                FaultCode::AccessDenied,
                "`..` is not allowed in a service path",
            ));
        }
        let mut path = None;
        let permitted = rights.iter().any(|right| {
            let method_fits = match right.method {
                Method::Any => true,
                Method::Only(verb) => verb == method,
            };
            let mut path_fits = || {
                let path = path.get_or_insert_with(|| pattern::DecodedPath::new(service_path));
                right.path.is_everything() || path.as_ref().is_some_and(|path| path.fits(&right.path))
            };
            method_fits && right.is_of(trust, client) && path_fits()
        });
        if !permitted {
            return Err(Fault::new(
                FaultCode::AccessDenied,
                format!("Request is not allowed: {}", service.typed()),
            ));
        }
        if let Some(notice) = disabled {
            let service = service.typed();
            return Err(Fault::new(
                FaultCode::ServiceDisabled,
                format!("Service {service} is disabled: {notice}"),
            ));
        }
        Ok(Permit {
            client: client.clone(),
            service: service.clone(),
        })
    }
}

impl Right {
    /// Whether it is given to this client.
    #[must_use]
    pub fn is_of(&self, trust: &TrustSet, client: &ClientId) -> bool {
        match &self.subject {
            Subject::Client(subject) => subject == client,
            Subject::Group(group) => trust.group_contains(group, client),
        }
    }
}

/// Proof that a client may make the call it was judged for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Permit {
    client: ClientId,
    service: ServiceId,
}

impl Permit {
    /// Who may.
    #[must_use]
    pub fn client(&self) -> &ClientId {
        &self.client
    }

    /// What may be called.
    #[must_use]
    pub fn service(&self) -> &ServiceId {
        &self.service
    }
}
