//! Auditors: who else than the operator may look at this log, how far and until when. Owns the tokens, of which only digests
//! are kept (`auditors.json`), and the rule that granting and revoking are entries of the log.
//!
//! - A grant is recorded before its token is told. A crash in between leaves a grant that nobody can use.
//! - A revocation takes effect before it is recorded, because a log that takes nothing more must still be able to shut
//!   somebody out; one that could not be recorded then is recorded when it is repeated.
//! - A token is random (256 bits). It is looked up by its id, which is no secret, and compared in constant time.

mod restriction;

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use kontor_pki::{
    crypto::{self, sha256},
    time::UnixTime,
};
use serde::{Deserialize, Serialize};

pub use self::restriction::{InvalidRestriction, Restriction, RestrictionText};
use super::{
    MessageLog,
    error::LogError,
    fact::{Acted, Fact, FactKind},
    identity::{Home, hex},
};
use crate::disk;

/// What a grant and a revocation are called in the log.
const GRANTED: &str = "auditor-granted";
const REVOKED: &str = "auditor-revoked";
/// How every token begins, so that people and scanners of secrets know it.
const PREFIX: &str = "kontor_audit_";
/// The longest life of a token.
pub const LONGEST: Duration = Duration::from_secs(366 * 86_400);
/// Grants that are kept; the ones that ended longest ago make room.
const GRANTS: usize = 1000;
/// Bytes of the file at most.
const LIMIT: usize = 4 * 1024 * 1024;
/// Characters of a restriction.
const NUMBERS: usize = 4000;
/// Characters of a name or a ground.
const TEXT: usize = 200;

/// How far a token reaches; each scope includes the ones before it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum AuditScope {
    /// Checkpoints, hashes of the tree and proofs over them: whether the log is whole, not what is in it.
    Tree,
    /// Leaves, search, one entry: who exchanged with whom and when, query ids.
    Entries,
    /// Containers and packages: what was said.
    Content,
}

impl AuditScope {
    /// The word for people and configuration.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Tree => "tree",
            Self::Entries => "entries",
            Self::Content => "content",
        }
    }
}

/// What was granted to an auditor.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Grant {
    /// Eight hexadecimal digits; no secret.
    pub id: String,
    /// Whom: an office, a role or a pseudonym.
    pub name: String,
    /// Why.
    pub ground: String,
    /// How far.
    pub scope: AuditScope,
    /// Which entries.
    #[serde(default, skip_serializing_if = "RestrictionText::is_none")]
    pub only: RestrictionText,
    /// Seconds since 1970.
    pub granted: i64,
    /// The first second at which it is no longer good.
    pub until: i64,
    /// Who granted it.
    pub by: String,
    /// The entry that says so.
    pub entry: u64,
    /// SHA-256 of the secret, in hexadecimal.
    digest: String,
    /// That it was ended before its time.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub revoked: Option<Revoked>,
}

/// The end of a grant before its time.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Revoked {
    /// Seconds since 1970.
    pub at: i64,
    /// Who ended it.
    pub by: String,
    /// Why.
    pub ground: String,
    /// The entry that says so; none while it could not be recorded.
    pub entry: Option<u64>,
}

impl Grant {
    /// Whether its token is good now.
    pub fn is_good(&self, now: UnixTime) -> bool {
        self.revoked.is_none() && now.secs() < self.until
    }

    /// Who looks, as looks name it: never more than what was granted says.
    pub fn who(&self) -> String {
        format!("auditor {} (token {})", self.name, self.id)
    }

    /// When it stopped or stops being good.
    fn end(&self) -> i64 {
        self.revoked.as_ref().map_or(self.until, |revoked| revoked.at)
    }
}

/// What is to be granted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewGrant {
    /// Whom.
    pub name: String,
    /// Why.
    pub ground: String,
    /// How far.
    pub scope: AuditScope,
    /// Which entries.
    pub only: Restriction,
    /// Until when.
    pub until: UnixTime,
    /// Who grants it.
    pub by: String,
}

/// Why nothing was granted or revoked.
#[derive(Debug, thiserror::Error)]
pub enum GrantError {
    /// It could not be recorded or kept.
    #[error(transparent)]
    Log(#[from] LogError),
    /// There are as many as are kept, and all of them are good.
    #[error("{GRANTS} tokens are good now; revoke some first")]
    Full,
    /// Too many entries by number.
    #[error("so many single entries cannot be named; restrict the token by party or time instead")]
    Many,
    /// A name or ground that is empty, too long, or no line of text.
    #[error("{0} must be one line of 1 to {TEXT} characters")]
    Text(&'static str),
    /// A life that does not begin or is too long.
    #[error("a token ends after now and within 366 days: say another --until")]
    Until,
    /// No such token.
    #[error("there is no token {0}; `kontor log auditor list` names those that there are")]
    Unknown(String),
}

impl GrantError {
    /// The name of this error in JSON.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Log(error) => error.code(),
            Self::Full => "auditor_too_many",
            Self::Many => "auditor_too_many_entries",
            Self::Text(_) => "auditor_text",
            Self::Until => "auditor_until",
            Self::Unknown(_) => "auditor_unknown",
        }
    }
}

/// Why a token opens nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum TokenError {
    /// Its time is over.
    #[error("the token has expired; ask the operator of the node for another one")]
    Expired,
    /// It was revoked.
    #[error("the token was revoked by the operator of the node")]
    Revoked,
    /// It is none of this node's.
    #[error("this is no token of this node")]
    Unknown,
}

impl TokenError {
    /// The name of this error in answers.
    pub const fn code(self) -> &'static str {
        match self {
            Self::Expired => "token_expired",
            Self::Revoked => "token_revoked",
            Self::Unknown => "token_unknown",
        }
    }
}

/// See the module. Clones share it.
#[derive(Clone)]
pub(crate) struct Auditors(Arc<Shared>);

struct Shared {
    home: Home,
    grants: Mutex<Vec<Grant>>,
    /// One change at a time: an entry and the file belong together.
    changing: tokio::sync::Mutex<()>,
}

#[derive(Serialize, Deserialize)]
struct File {
    format: u32,
    grants: Vec<Grant>,
}

impl Auditors {
    /// Reads what was granted before.
    pub(crate) fn open(home: &Home) -> Result<Self, LogError> {
        let path = home.layout.auditors();
        let grants = match disk::read_all(&*home.disk, &path, LIMIT) {
            Ok(bytes) => match serde_json::from_slice::<File>(&bytes) {
                Ok(File { format: 1, grants }) => grants,
                Ok(File { format, .. }) => {
                    let what = format!("it has format {format}; this version reads 1");
                    return Err(LogError::damaged(&path, what));
                }
                // Who may look is not guessed: without the file nobody may, and granting anew is cheap.
                Err(error) => {
                    let what = format!("{error}; remove it, and grant anew what is needed");
                    return Err(LogError::damaged(&path, what));
                }
            },
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Vec::new(),
            Err(error) => return Err(LogError::io("could not read", &path)(error)),
        };
        Ok(Self(Arc::new(Shared {
            home: home.clone(),
            grants: Mutex::new(grants),
            changing: tokio::sync::Mutex::default(),
        })))
    }

    fn grants(&self) -> MutexGuard<'_, Vec<Grant>> {
        self.0.grants.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Writes the file and then believes it.
    fn keep(&self, grants: Vec<Grant>) -> Result<(), LogError> {
        let path = self.0.home.layout.auditors();
        let file = File { format: 1, grants };
        let bytes = serde_json::to_vec_pretty(&file).expect("strings and numbers always serialise");
        disk::replace(&*self.0.home.disk, &path, &bytes).map_err(LogError::io("could not write", &path))?;
        *self.grants() = file.grants;
        Ok(())
    }

    fn find(&self, id: &str) -> Option<Grant> {
        self.grants().iter().find(|grant| grant.id == id).cloned()
    }
}

fn line(what: &'static str, text: &str) -> Result<(), GrantError> {
    let length = text.chars().count();
    let is_line = !text.trim().is_empty() && length <= TEXT && !text.chars().any(char::is_control);
    if is_line {
        Ok(())
    } else {
        Err(GrantError::Text(what))
    }
}

impl MessageLog {
    /// Grants access, records that, and tells the token: it is not kept and cannot be told again.
    pub async fn grant(&self, new: NewGrant) -> Result<(Grant, String), GrantError> {
        line("the name", &new.name)?;
        line("the ground", &new.ground)?;
        let now = self.now();
        if new.until <= now || new.until > now + LONGEST {
            return Err(GrantError::Until);
        }
        let only = RestrictionText::from(&new.only);
        if only.in_words().len() > NUMBERS {
            return Err(GrantError::Many);
        }
        let auditors = &self.auditors;
        let _changing = auditors.0.changing.lock().await;
        let mut grants = auditors.grants().clone();
        if grants.len() >= GRANTS {
            let ended = grants.iter().enumerate().filter(|(_, grant)| !grant.is_good(now));
            let oldest = ended.min_by_key(|(_, grant)| grant.end()).map(|(at, _)| at);
            grants.remove(oldest.ok_or(GrantError::Full)?);
        }
        let id = loop {
            let id = hex(&crypto::random::<4>());
            if !grants.iter().any(|grant| grant.id == id) {
                break id;
            }
        };
        let secret = hex(&crypto::random::<32>());
        let said = Acted {
            act: GRANTED.into(),
            who: new.by.clone(),
            ground: new.ground.clone(),
            details: serde_json::json!({
                "token": id,
                "name": new.name,
                "scope": new.scope,
                "only": only,
                "until": new.until.to_rfc3339(),
            }),
        };
        let receipt = self.append_fact(Fact::new(FactKind::Act, &said)).await?;
        let grant = Grant {
            digest: hex(&sha256(secret.as_bytes())),
            name: new.name,
            ground: new.ground,
            scope: new.scope,
            only,
            granted: now.secs(),
            until: new.until.secs(),
            by: new.by,
            entry: receipt.number,
            revoked: None,
            id,
        };
        grants.push(grant.clone());
        self.keep_grants(grants).await?;
        let token = format!("{PREFIX}{}_{secret}", grant.id);
        Ok((grant, token))
    }

    /// Ends a grant now. Its token opens nothing any more when this returns, whatever it returns but `Unknown`.
    pub async fn revoke(&self, id: &str, ground: &str, by: &str) -> Result<Grant, GrantError> {
        line("the ground", ground)?;
        let auditors = &self.auditors;
        let _changing = auditors.0.changing.lock().await;
        let found = auditors
            .find(id)
            .ok_or_else(|| GrantError::Unknown(id.chars().take(TEXT).collect()))?;
        if let Some(Revoked { entry: Some(_), .. }) = found.revoked {
            return Ok(found);
        }
        let change = |revoked: Revoked| {
            let mut grants = auditors.grants().clone();
            for grant in grants.iter_mut().filter(|grant| grant.id == id) {
                grant.revoked = Some(revoked.clone());
            }
            grants
        };
        let mut revoked = found.revoked.unwrap_or_else(|| Revoked {
            at: self.now().secs(),
            by: by.into(),
            ground: ground.into(),
            entry: None,
        });
        self.keep_grants(change(revoked.clone())).await?;
        let said = Acted {
            act: REVOKED.into(),
            who: revoked.by.clone(),
            ground: revoked.ground.clone(),
            details: serde_json::json!({ "token": id, "name": found.name, "granted_by_entry": found.entry }),
        };
        let receipt = self.append_fact(Fact::new(FactKind::Act, &said)).await?;
        revoked.entry = Some(receipt.number);
        self.keep_grants(change(revoked)).await?;
        auditors.find(id).ok_or_else(|| GrantError::Unknown(id.into()))
    }

    async fn keep_grants(&self, grants: Vec<Grant>) -> Result<(), LogError> {
        let auditors = self.auditors.clone();
        tokio::task::spawn_blocking(move || auditors.keep(grants))
            .await
            .map_err(|_| LogError::Closed)?
    }

    /// Every grant that is kept, in the order in which they were granted.
    pub fn grants(&self) -> Vec<Grant> {
        self.auditors.grants().clone()
    }

    /// What a token is good for now.
    pub fn auditor(&self, token: &str) -> Result<Grant, TokenError> {
        let parts = token.strip_prefix(PREFIX).and_then(|rest| rest.split_once('_'));
        let (id, secret) = parts.ok_or(TokenError::Unknown)?;
        let digest = hex(&sha256(secret.as_bytes()));
        let grant = self.auditors.find(id).ok_or(TokenError::Unknown)?;
        if !crypto::equal(digest.as_bytes(), grant.digest.as_bytes()) {
            return Err(TokenError::Unknown);
        }
        self.still_good(grant)
    }

    /// The grant of an auditor who showed the token before.
    pub fn auditor_again(&self, id: &str) -> Result<Grant, TokenError> {
        let grant = self.auditors.find(id).ok_or(TokenError::Unknown)?;
        self.still_good(grant)
    }

    fn still_good(&self, grant: Grant) -> Result<Grant, TokenError> {
        match (&grant.revoked, grant.is_good(self.now())) {
            (Some(_), _) => Err(TokenError::Revoked),
            (None, false) => Err(TokenError::Expired),
            (None, true) => Ok(grant),
        }
    }
}

#[cfg(test)]
mod tests;
