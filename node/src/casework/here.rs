//! What of a return is here already: an application that comes back brings the files that this node handed over, and parts of its
//! package that consist of nothing else are made from these instead of being pulled. The check at the import is the same.

use bytes::Bytes;
use kontor_participation::application::manifest::{File, Manifest, PART};
use kontor_participation::transfer::delivery::Bundle;

use super::row::{CaseFile, Machine, Pack, TransferRow};
use super::{Casework, Refused};
use crate::messagelog::Kept;

/// The files of a package in their order, each with the own one that has the same content.
pub(super) struct Here {
    manifest_octets: u64,
    files: Vec<(u64, Option<Kept>)>,
}

impl Here {
    fn of(manifest: &Manifest, manifest_octets: u64, own: &[CaseFile]) -> Self {
        let same = |file: &File| {
            let found = own.iter().find(|known| {
                let known = &known.file;
                known.file_id == file.file_id
                    && (known.size, known.sha256, known.sha512) == (file.size, file.sha256, file.sha512)
            });
            found.map(|known| known.kept.clone())
        };
        Self {
            manifest_octets,
            files: manifest
                .files()
                .iter()
                .map(|file| (file.size, same(file)))
                .collect(),
        }
    }

    /// Which octets of which files make a part; nothing when one of them is not here.
    fn pieces(&self, part: u64) -> Option<Vec<(&Kept, u64, u64)>> {
        let from = part.checked_mul(PART)?;
        let to = from.checked_add(PART)?;
        if from < self.manifest_octets {
            return None;
        }
        let (mut at, mut pieces) = (self.manifest_octets, Vec::new());
        for (size, kept) in &self.files {
            // The sizes are the other side's words.
            let (begin, end) = (at, at.checked_add(*size)?);
            at = end;
            if end <= from || begin >= to || *size == 0 {
                continue;
            }
            pieces.push((kept.as_ref()?, from.max(begin) - begin, to.min(end) - begin));
        }
        Some(pieces)
    }
}

impl Casework {
    /// What of the package of a return is here; nothing for another transfer, before its manifest is there, or when the own copy is
    /// deleted.
    pub(super) async fn here(&self, row: &TransferRow, pack: &Pack, bundle: Bundle) -> Option<Here> {
        let before = self.transfer(row.offer.returns.as_ref()?).ok()?;
        if before.peer != row.peer || !matches!(before.machine, Machine::Sender(_)) {
            return None;
        }
        let own = self.content(&self.case(before.case.as_ref()?).ok()?).ok()?;
        let bytes = self.manifest_of(pack, bundle).await.ok()??;
        let manifest = Manifest::read(&bytes, &bundle.manifest).ok()?;
        Some(Here::of(&manifest, bundle.manifest_octets, &own.files))
    }

    /// A part made of what is here, on disk as if it had been pulled; nothing when it has to be pulled.
    pub(super) async fn own_part(&self, here: &Here, part: u64) -> Result<Option<Kept>, Refused> {
        let Some(pieces) = here.pieces(part) else {
            return Ok(None);
        };
        let (mut octets, mut wanted) = (Vec::new(), 0);
        for (kept, from, to) in pieces {
            wanted += to - from;
            // What was deleted or damaged meanwhile is pulled as what was never here.
            if let Err(refused) = self.copy(kept, from, to, &mut octets).await {
                tracing::warn!(
                    code = refused.code,
                    "a part of a return is pulled: {}",
                    refused.detail
                );
                return Ok(None);
            }
        }
        if octets.len() as u64 != wanted {
            return Ok(None);
        }
        let mut writer = self.vault.spool();
        writer.write(Bytes::from(octets)).await?;
        Ok(Some(self.vault.keep(writer.finish().await?.into()).await?))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn here(manifest_octets: u64, files: &[(u64, bool)]) -> Here {
        let kept: Kept =
            serde_json::from_value(serde_json::json!({ "id": "0", "key": "0", "length": 0 })).unwrap();
        let files = files
            .iter()
            .map(|(size, is_here)| (*size, is_here.then(|| kept.clone())));
        Here {
            manifest_octets,
            files: files.collect(),
        }
    }

    fn ranges(here: &Here, part: u64) -> Option<Vec<(u64, u64)>> {
        let pieces = here.pieces(part)?;
        Some(pieces.into_iter().map(|(_, from, to)| (from, to)).collect())
    }

    #[test]
    fn a_part_is_made_of_files_that_are_all_here_and_never_of_the_manifest() {
        let whole = here(100, &[(50, false), (2 * PART, true), (10, true)]);
        assert_eq!(ranges(&whole, 0), None, "manifest and form");
        assert_eq!(ranges(&whole, 1), Some(vec![(PART - 150, 2 * PART - 150)]));
        assert_eq!(ranges(&whole, 2), Some(vec![(2 * PART - 150, 2 * PART), (0, 10)]));
        let lacking = here(100, &[(50, false), (2 * PART, true), (10, false)]);
        assert!(ranges(&lacking, 1).is_some() && ranges(&lacking, 2).is_none());
    }

    #[test]
    fn sizes_that_cannot_be_make_no_part() {
        let wild = here(100, &[(u64::MAX, true), (u64::MAX, true)]);
        assert_eq!(ranges(&wild, 1), None);
        assert_eq!(ranges(&wild, u64::MAX), None);
    }
}
