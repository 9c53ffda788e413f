//! Persons: who stands behind a pseudonym. One table for everybody who acts here, by key, by token, or on whose behalf a system says
//! that it does; everything else that is kept names pseudonyms only.

use std::collections::HashSet;
use std::sync::{Mutex, PoisonError};

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::store::TxError;
use super::{Casework, Principal, Refused, Table};
use crate::config::casework::Role;
use crate::messagelog::VaultPart;

/// Pseudonyms that are known without a look into the store.
const KNOWN: usize = 16 * 1024;
/// Characters of a subject.
pub(super) const MAX_SUBJECT: usize = 256;

/// Pseudonyms that have their row.
#[derive(Default)]
pub(super) struct Persons(Mutex<HashSet<String>>);

#[derive(Clone, Debug, Deserialize, Serialize)]
struct PersonRow {
    /// Number under which it is sealed.
    subject: (u32, u64),
    /// Since when it acts here.
    since: Timestamp,
    /// Sealed [`Named`], base64.
    sealed: String,
}

/// Whom a pseudonym stands for.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub(crate) struct Named {
    /// Who says so: `key`, the system that acts on behalf, or an issuer of tokens.
    pub(crate) issuer: String,
    /// The account there.
    pub(crate) subject: String,
}

impl Casework {
    /// The pseudonym of whoever acts; its row is there before anything names it.
    pub(super) async fn introduce(&self, issuer: &str, subject: &str) -> Result<String, Refused> {
        let pseudonym = self.pseudonym(issuer, subject);
        let known = || self.persons.0.lock().unwrap_or_else(PoisonError::into_inner);
        if known().contains(&pseudonym) {
            return Ok(pseudonym);
        }
        let row: Option<PersonRow> = self.store.get(Table::Persons, pseudonym.as_bytes())?;
        if row.is_none() {
            let now = self.now();
            let number = self.subject(now).await?;
            let named = Named {
                issuer: issuer.to_owned(),
                subject: subject.to_owned(),
            };
            let row = PersonRow {
                subject: number,
                since: now,
                sealed: self.seal(VaultPart::Record, number, &named)?,
            };
            self.store
                .run_tx("person", |tx| {
                    // Another request of the same person may have been quicker.
                    if tx
                        .get::<PersonRow>(Table::Persons, pseudonym.as_bytes())?
                        .is_none()
                    {
                        tx.put(Table::Persons, pseudonym.as_bytes(), &row)?;
                    }
                    Ok::<_, TxError<Refused>>(())
                })
                .await?;
        }
        let mut known = known();
        if known.len() >= KNOWN {
            known.clear();
        }
        known.insert(pseudonym.clone());
        drop(known);
        Ok(pseudonym)
    }

    /// Whom a pseudonym stands for: for the data-protection officer, who has to answer questions about it. A look.
    pub(crate) async fn person(
        &self,
        who: &Principal,
        pseudonym: &str,
    ) -> Result<(Named, Timestamp), Refused> {
        who.needs(&[Role::DataProtection])?;
        let row: Option<PersonRow> = self.store.get(Table::Persons, pseudonym.as_bytes())?;
        let row = row.ok_or_else(|| {
            Refused::new(
                http::StatusCode::NOT_FOUND,
                "not_found",
                "nobody acts here under that pseudonym",
            )
        })?;
        self.look(who, &format!("person {pseudonym}"), "data protection")
            .await?;
        let named: Option<Named> = self.open_sealed(VaultPart::Record, row.subject, &row.sealed)?;
        Ok((named.ok_or_else(|| Refused::purged("person"))?, row.since))
    }
}
