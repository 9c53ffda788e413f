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
        let to = from + PART;
        if from < self.manifest_octets {
            return None;
        }
        let (mut at, mut pieces) = (self.manifest_octets, Vec::new());
        for (size, kept) in &self.files {
            let (begin, end) = (at, at + size);
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
        let mut octets = Vec::new();
        for (kept, from, to) in pieces {
            self.copy(kept, from, to, &mut octets).await?;
        }
        let mut writer = self.vault.spool();
        writer.write(Bytes::from(octets)).await?;
        Ok(Some(self.vault.keep(writer.finish().await?.into()).await?))
    }
}
