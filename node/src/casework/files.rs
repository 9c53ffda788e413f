//! Files of cases and what is packed of them: large ones lie in the vault, small ones in rows of the store beside what names them.

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use http::{Response, StatusCode};
use kontor_participation::application::manifest::PART;
use kontor_participation::transfer::offer::Id;
use serde_json::json;

use super::cases::{WORKERS, may_act};
use super::intake::{MAX_FILES, Part};
use super::row::{CaseFile, CaseRow, Pack, Process, TransferRow};
use super::store::{StoreError, Table, Tx};
use super::{Casework, Principal, Refused, Step};
use crate::body::OutBody;
use crate::health::respond;
use crate::messagelog::{CHUNK_OCTETS, ContentReader, Kept, VaultPart};

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
    Process::Transfer(transfer.clone()).numbered(place)
}

impl Casework {
    /// Adds files to a case that may be acted on; gives it with those that were added.
    pub(crate) async fn add_files(
        &self,
        who: &Principal,
        id: &Id,
        version: u64,
        parts: Vec<Part>,
        redacts: Option<String>,
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
        if let Some(original) = &redacts
            && !content.files.iter().any(|file| file.file.file_id == *original)
        {
            let detail = format!("the case has no file {original} that could be redacted");
            return Err(Refused::invalid("redacts_unknown", detail).at("/redacts"));
        }
        let mut added = Vec::with_capacity(parts.len());
        for part in parts {
            let mut file = self.keep(part, now).await?;
            file.redacts.clone_from(&redacts);
            added.push(file);
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

    /// A part of a bundle: the manifest first, then every file of it.
    pub(super) async fn part(
        &self,
        row: &TransferRow,
        late: Option<usize>,
        part: u64,
    ) -> Result<Response<OutBody>, Refused> {
        self.part_of(self.pack(row, late)?, part).await
    }

    /// A part of what is packed.
    pub(super) async fn part_of(&self, pack: Pack, part: u64) -> Result<Response<OutBody>, Refused> {
        let manifest = pack.manifest.into_bytes();
        let total = manifest.len() as u64 + pack.files.iter().map(|kept| kept.length).sum::<u64>();
        let from = part.checked_mul(PART).filter(|from| *from < total);
        let from = from.ok_or_else(|| {
            Refused::new(
                StatusCode::NOT_FOUND,
                "no_part",
                format!("there are {} parts", total.div_ceil(PART)),
            )
        })?;
        let to = (from + PART).min(total);
        let mut out = Vec::with_capacity(usize::try_from(to - from).unwrap_or_default());
        let mut at = 0;
        let length = manifest.len() as u64;
        if from < length {
            let cut = |position: u64| usize::try_from(position.min(length)).unwrap_or(manifest.len());
            out.extend_from_slice(&manifest[cut(from)..cut(to)]);
        }
        at += length;
        for kept in &pack.files {
            let (begin, end) = (at, at + kept.length);
            at = end;
            if end <= from || begin >= to || kept.length == 0 {
                continue;
            }
            self.copy(kept, from.max(begin) - begin, to.min(end) - begin, &mut out)
                .await?;
        }
        Ok(respond(StatusCode::OK, "application/octet-stream", out))
    }

    /// Copies octets `from..to` of a file.
    pub(super) async fn copy(
        &self,
        kept: &Kept,
        from: u64,
        to: u64,
        out: &mut Vec<u8>,
    ) -> Result<(), Refused> {
        let mut reader: ContentReader = self.read_from(kept, from)?;
        let mut at = from - from % CHUNK_OCTETS;
        while at < to {
            let Some(piece) = reader.next().await? else { break };
            let length = piece.len() as u64;
            let cut = |position: u64| {
                usize::try_from(position.saturating_sub(at).min(length)).unwrap_or(piece.len())
            };
            out.extend_from_slice(&piece[cut(from)..cut(to)]);
            at += length;
        }
        Ok(())
    }
}
