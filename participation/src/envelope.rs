//! What the bodies of all messages have in common: they name their contract and their kind, and are read in this order.

use serde::Deserialize;
use serde::de::DeserializeOwned;

/// Why a body is not taken. Nothing is settled: the sender has to mend it.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub enum BodyError {
    /// Not of this form.
    #[error("the body is no message of {contract}: {problem}")]
    Malformed {
        /// The contract of the path.
        contract: &'static str,
        /// What is wrong with it.
        problem: String,
    },
    /// Of another contract.
    #[error("the body follows {named}; this node speaks {contract}")]
    OtherContract {
        /// The contract of the path.
        contract: &'static str,
        /// By the body; its first characters.
        named: String,
    },
    /// Another kind than the path says.
    #[error("the path says {path}, the body {body}")]
    OtherKind {
        /// By the path.
        path: String,
        /// By the body.
        body: &'static str,
    },
    /// Something in it is not as it has to be.
    #[error("{0}")]
    Wrong(String),
}

impl BodyError {
    /// The machine code.
    pub const fn code(&self) -> &'static str {
        match self {
            Self::Malformed { .. } => "message_malformed",
            Self::OtherContract { .. } => "contract_unknown",
            Self::OtherKind { .. } => "kind_mismatch",
            Self::Wrong(_) => "message_invalid",
        }
    }
}

/// Reads a message of this contract that came on a path of this kind. What it says is still to be checked.
pub(crate) fn read<S: DeserializeOwned>(
    contract: &'static str,
    kind: &str,
    bytes: &[u8],
    kind_of: impl Fn(&S) -> &'static str,
) -> Result<S, BodyError> {
    #[derive(Deserialize)]
    struct Named {
        contract: String,
    }
    let few = |text: &str| text.chars().take(64).collect();
    let malformed = |error: serde_json::Error| BodyError::Malformed {
        contract,
        problem: error.to_string(),
    };
    let named: Named = serde_json::from_slice(bytes).map_err(malformed)?;
    if named.contract != contract {
        return Err(BodyError::OtherContract {
            contract,
            named: few(&named.contract),
        });
    }
    let sent: S = serde_json::from_slice(bytes).map_err(malformed)?;
    let body = kind_of(&sent);
    if body != kind {
        return Err(BodyError::OtherKind {
            path: few(kind),
            body,
        });
    }
    Ok(sent)
}
