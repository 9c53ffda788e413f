//! Files of cases and what is packed of them: large ones lie in the vault, small ones in rows of the store beside what names them.

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use kontor_participation::transfer::offer::Id;
use serde_json::json;

use super::cases::{WORKERS, may_act};
use super::intake::{MAX_FILES, Part};
use super::row::{CaseFile, CaseRow, Pack, TransferRow};
use super::store::{StoreError, Table, Tx};
use super::{Casework, Principal, Refused, Step, out_key};
use crate::messagelog::{ContentReader, Kept, VaultPart};

/// A file that belongs to something now, or to nothing any more.
pub(super) struct Held {
    name: String,
    small: bool,
    owner: Option<Id>,
    /// Octets that are not in the store yet, sealed.
    fresh: Option<String>,
}

impl Held {
    /// By a case or a transfer.
    pub(super) fn by(owner: &Id, kept: &Kept) -> Self {
        Self {
            name: kept.name().to_owned(),
            small: kept.is_small(),
            owner: Some(owner.clone()),
            fresh: kept.fresh().map(|octets| BASE64_STANDARD.encode(octets)),
        }
    }

    /// By nobody.
    pub(super) fn dropped(kept: &Kept) -> Self {
        Self {
            name: kept.name().to_owned(),
            small: kept.is_small(),
            owner: None,
            fresh: None,
        }
    }

    pub(super) fn write(&self, tx: &mut Tx<'_>) -> Result<(), StoreError> {
        match (&self.owner, self.small) {
            (Some(owner), false) => tx.put(Table::Files, self.name.as_bytes(), owner)?,
            (None, false) => tx.remove(Table::Files, self.name.as_bytes()),
            (Some(_), true) => {
                if let Some(fresh) = &self.fresh {
                    tx.put(Table::Blobs, self.name.as_bytes(), fresh)?;
                }
            }
            (None, true) => tx.remove(Table::Blobs, self.name.as_bytes()),
        }
        Ok(())
    }
}

/// The key of what is packed for a transfer, or of a late item by its place.
pub(super) fn pack_key(transfer: &Id, late: Option<usize>) -> Vec<u8> {
    let place = late.map_or(0, |place| u32::try_from(place).unwrap_or(u32::MAX - 1) + 1);
    out_key(transfer, place)
}

impl Casework {
    /// Adds files to a case that may be acted on; gives it with those that were added.
    pub(crate) async fn add_files(
        &self,
        who: &Principal,
        id: &Id,
        version: u64,
        parts: Vec<Part>,
    ) -> Result<(CaseRow, Vec<CaseFile>), Refused> {
        who.needs(&WORKERS)?;
        if parts.is_empty() {
            return Err(Refused::malformed("no file came"));
        }
        let _lock = self.lock(&[id]).await;
        let mut case = self.matching(who, id, version)?;
        let now = self.decisive_now()?;
        may_act(who, &case)?;
        let mut content = self.content(&case)?;
        if content.files.len() + parts.len() > MAX_FILES {
            let detail = format!("a case has at most {MAX_FILES} files");
            return Err(Refused::invalid("too_many_files", detail));
        }
        let mut added = Vec::with_capacity(parts.len());
        for part in parts {
            added.push(self.keep(part, now).await?);
        }
        let mut step = Step {
            files: added.iter().map(|file| Held::by(id, &file.kept)).collect(),
            ..Step::default()
        };
        for file in &added {
            case.files += 1;
            case.octets += file.file.size;
            case.findings.extend(self.file_finding(file));
        }
        content.files.extend(added.iter().cloned());
        step.content = Some((
            id.clone(),
            Some(self.seal(VaultPart::Content, case.subject, &content)?),
        ));
        let details = json!({ "case": id, "version": version, "files": added.len() });
        let cites = self.act(who, "files", "worker", details).await?;
        step.case = Some(case);
        step.event("case.files", now);
        self.commit("files", &cites, step).await?;
        Ok((self.case(id)?, added))
    }

    /// Reads a file from its start.
    pub(super) fn read(&self, kept: &Kept) -> Result<ContentReader, Refused> {
        self.read_from(kept, 0)
    }

    /// Reads a file from the chunk on in which this octet lies; a small one is one chunk.
    pub(super) fn read_from(&self, kept: &Kept, from: u64) -> Result<ContentReader, Refused> {
        if !kept.is_small() {
            return Ok(self.vault.read_from(kept, from)?);
        }
        let sealed = match kept.fresh() {
            Some(fresh) => fresh.to_vec(),
            None => {
                let row: Option<String> = self.store.get(Table::Blobs, kept.name().as_bytes())?;
                let row = row.ok_or_else(|| Refused::purged("file"))?;
                BASE64_STANDARD
                    .decode(row)
                    .map_err(|error| Refused::internal(&error))?
            }
        };
        Ok(self.vault.read_small(kept, sealed)?)
    }

    /// What is packed for a transfer or for its late item at this place; empty where nothing is.
    pub(super) fn pack(&self, row: &TransferRow, late: Option<usize>) -> Result<Pack, Refused> {
        let packed = match late {
            None => row.packed,
            Some(place) => row.late.get(place).is_some_and(|late| late.packed),
        };
        let (Some(subject), true) = (row.subject, packed) else {
            return Ok(Pack::default());
        };
        let sealed: Option<String> = self.store.get(Table::Packs, &pack_key(&row.id, late))?;
        let opened = self.open_sealed(VaultPart::Content, subject, sealed.as_deref().unwrap_or_default())?;
        opened.ok_or_else(|| Refused::purged("package"))
    }
}
