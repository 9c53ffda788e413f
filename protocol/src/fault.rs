//! Faults: their codes, how a code grows prefixes on its way, and both spellings on the wire (wire 10).
//!
//! [`FaultCode`] is the one list of codes: on the wire, in logs and as a metrics label. A fault of this node is a
//! [`Fault`]; a fault read from a peer is a [`ForeignFault`], handed on as it came. Their documents are in [`soap`] and
//! [`rest`].
//!
//! Knows nothing of who is right: the module that refuses chooses the code.

mod code;
pub mod rest;
pub mod soap;
#[cfg(test)]
mod tests;

pub use code::FaultCode;

use std::fmt;

/// Which spelling of codes goes out: it changed in X-Road 7.8 and decides 400 or 500 at a Java consumer (wire 2.8).
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Spelling {
    /// `server.serverproxy.access_denied`: 7.8 and later.
    #[default]
    Snake,
    /// `Server.ServerProxy.AccessDenied`: up to 7.7.
    Camel,
}

/// A fault raised here: what is wrong, where it was noticed, and a sentence for people.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fault {
    path: Vec<FaultCode>,
    text: String,
    detail: String,
}

impl Fault {
    /// A fault with a cause and a sentence, without prefixes and detail.
    pub fn new(code: FaultCode, text: impl Into<String>) -> Self {
        Self {
            path: vec![code],
            text: text.into(),
            detail: String::new(),
        }
    }

    /// The same fault noticed further out. A prefix is not added twice, and nothing is put before `client`: that fault
    /// is of the information system's making (wire 10.1).
    #[must_use]
    pub fn within(mut self, prefix: FaultCode) -> Self {
        let first = self.path.first().copied();
        let known = first == Some(prefix)
            || first == Some(FaultCode::Client)
            || (prefix == FaultCode::ServerProxy && first == Some(FaultCode::OpMonitor));
        if !known {
            self.path.insert(0, prefix);
        }
        self
    }

    /// The same fault with the id under which the node's log tells more, usually a UUID.
    #[must_use]
    pub fn with_detail(mut self, detail: impl Into<String>) -> Self {
        self.detail = detail.into();
        self
    }

    /// The cause: the last element, the only one to decide anything by.
    #[must_use]
    pub fn cause(&self) -> FaultCode {
        *self
            .path
            .last()
            .expect("a fault begins with its cause and only gains prefixes")
    }

    /// Prefixes and cause, outermost first.
    #[must_use]
    pub fn path(&self) -> &[FaultCode] {
        &self.path
    }

    /// The code as it stands on the wire.
    #[must_use]
    pub fn code_string(&self, spelling: Spelling) -> String {
        let mut out = String::new();
        for code in &self.path {
            if !out.is_empty() {
                out.push('.');
            }
            out.push_str(match spelling {
                Spelling::Snake => code.snake(),
                Spelling::Camel => code.camel(),
            });
        }
        out
    }

    /// The sentence.
    #[must_use]
    pub fn text(&self) -> &str {
        &self.text
    }

    /// The id in the node's log; empty until the fault leaves.
    #[must_use]
    pub fn detail(&self) -> &str {
        &self.detail
    }

    /// What goes out: code in the spelling, text and detail.
    #[must_use]
    pub fn spelled(&self, spelling: Spelling) -> ForeignFault {
        ForeignFault {
            code: self.code_string(spelling),
            text: self.text.clone(),
            detail: self.detail.clone(),
        }
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.code_string(Spelling::Snake), self.text)
    }
}

impl std::error::Error for Fault {}

/// A fault as it stands on the wire: read from a peer and handed on unchanged (wire 10.1), or ours, spelled out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ForeignFault {
    /// The whole code, in whichever spelling the peer uses. From a peer it can hold any character.
    pub code: String,
    /// The sentence.
    pub text: String,
    /// The id in the log of the server that raised it.
    pub detail: String,
}

impl ForeignFault {
    /// The cause, if it is one we know; faults of services have codes of their own.
    #[must_use]
    pub fn cause(&self) -> Option<FaultCode> {
        FaultCode::from_element(self.code.rsplit('.').next().unwrap_or_default())
    }
}

impl fmt::Display for ForeignFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.code, self.text)
    }
}

/// Whether an information system sees status 500 rather than 400 for this code, in either spelling (wire 2.8).
///
/// Java compares with the spelling of its own release only; we know both, so a fault of a server is 500 whoever sent it.
#[must_use]
pub fn is_server_fault(code: &str) -> bool {
    code.starts_with("server.") || code.starts_with("Server.")
}
