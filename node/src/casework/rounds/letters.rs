//! What people wrote, and what is disclosed: a letter for each message that has a bundle, and words for those that carry some. They
//! are sealed one by one; what was disclosed dies with its key, what this house wrote itself lives as its own file does.

use bytes::Bytes;
use kontor_participation::application::manifest::{File, Manifest, Role};
use kontor_participation::round::delivery::Side;
use kontor_participation::round::disclosure::{self, Disclosure};
use kontor_participation::round::statement::Statement;
use kontor_participation::transfer::delivery::Bundle;
use kontor_pki::crypto::random;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use super::super::files::Held;
use super::super::row::{CaseContent, CaseFile, Pack, Process};
use super::super::{Casework, Refused, Step, Table};
use super::row::{RequestRow, RoundRow, RoundWords};
use crate::messagelog::VaultPart;

/// What a message says to people: its document (a sheet, a statement, an assessment, a text) and its files.
#[derive(Clone, Debug, Default, Deserialize, Serialize)]
pub(crate) struct Letter {
    /// The document, as it travels.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub(crate) document: String,
    /// Words outside of a bundle.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub(crate) words: String,
    /// Files beside the document.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) files: Vec<CaseFile>,
}

/// What the participant works on: the statement as it is drafted, and files that may go with it.
#[derive(Clone, Debug, Default, Deserialize, Serialize)]
pub(crate) struct Desk {
    /// The draft.
    pub(crate) statement: Option<Statement>,
    /// What was added.
    #[serde(default)]
    pub(crate) files: Vec<CaseFile>,
}

/// What a requester is going to show, and to whom in words.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub(crate) struct Choice {
    /// What is shown.
    pub(crate) disclosure: Disclosure,
    /// Name of a guest.
    #[serde(default)]
    pub(crate) name: Option<String>,
    /// Where a guest is written to.
    #[serde(default)]
    pub(crate) address: Option<String>,
}

/// A bundle that is ready to be sent with the next message.
pub(super) struct Packed {
    pub(super) bundle: Bundle,
    pub(super) pack: Pack,
    letter: Letter,
}

/// Where a letter lies: of a side's message of that number; 0 is what a side has on its own desk.
pub(super) fn letter_key(process: &Process, side: Side, seq: u32) -> Vec<u8> {
    let mut key = process.key();
    key.push(match side {
        Side::Participant => b'p',
        Side::Requester => b'r',
    });
    key.extend_from_slice(&seq.to_be_bytes());
    key
}

/// What belongs to a side's own words lives on when what was disclosed is deleted.
const fn part(own: Side, side: Side) -> VaultPart {
    match (own, side) {
        (Side::Participant, Side::Participant) => VaultPart::Record,
        (Side::Participant, Side::Requester) | (Side::Requester, _) => VaultPart::Content,
    }
}

/// A file of a case, as far as disclosing it goes.
pub(super) fn held(file: &CaseFile) -> disclosure::Held {
    disclosure::Held {
        file: file.file.clone(),
        redacts: file.redacts.clone(),
    }
}

impl Casework {
    /// A letter; an empty one where nothing was written.
    pub(in crate::casework) fn letter(
        &self,
        row: &RequestRow,
        side: Side,
        seq: u32,
    ) -> Result<Letter, Refused> {
        Ok(self.paper(row, side, seq)?.unwrap_or_default())
    }

    /// What the participant works on.
    pub(in crate::casework) fn desk(&self, row: &RequestRow) -> Result<Desk, Refused> {
        Ok(self.paper(row, Side::Participant, 0)?.unwrap_or_default())
    }

    /// What the requester chose to show.
    pub(in crate::casework) fn choice(&self, row: &RequestRow) -> Result<Choice, Refused> {
        let choice = self.paper(row, Side::Requester, 0)?;
        choice.ok_or_else(|| Refused::purged("disclosure of the request"))
    }

    fn paper<T: DeserializeOwned>(
        &self,
        row: &RequestRow,
        side: Side,
        seq: u32,
    ) -> Result<Option<T>, Refused> {
        let sealed: Option<String> = self
            .store
            .get(Table::Letters, &letter_key(&row.process(), side, seq))?;
        let Some(sealed) = sealed else { return Ok(None) };
        match self.open_sealed(part(row.side(), side), row.subject, &sealed)? {
            Some(paper) => Ok(Some(paper)),
            None => Err(Refused::purged("content of the request")),
        }
    }

    pub(super) fn put_paper(
        &self,
        step: &mut Step,
        row: &RequestRow,
        side: Side,
        seq: u32,
        paper: &impl Serialize,
    ) -> Result<(), Refused> {
        let sealed = self.seal(part(row.side(), side), row.subject, paper)?;
        step.letters
            .push((letter_key(&row.process(), side, seq), Some(sealed)));
        Ok(())
    }

    /// Words of a message of ours or theirs, outside of a bundle.
    pub(super) fn put_words(
        &self,
        step: &mut Step,
        row: &RequestRow,
        side: Side,
        seq: u32,
        words: Option<&str>,
    ) -> Result<(), Refused> {
        let Some(words) = words else { return Ok(()) };
        let letter = Letter {
            words: words.to_owned(),
            ..Letter::default()
        };
        self.put_paper(step, row, side, seq, &letter)
    }

    pub(in crate::casework) fn round_words(&self, row: &RoundRow) -> Result<RoundWords, Refused> {
        let words = self.open_sealed(VaultPart::Content, row.subject, &row.words)?;
        words.ok_or_else(|| Refused::purged("words of the round"))
    }

    /// Packs a document and files for the next message.
    pub(super) async fn packed(
        &self,
        document: Vec<u8>,
        name: &str,
        files: Vec<CaseFile>,
    ) -> Result<Packed, Refused> {
        let own = File::of(
            uuid::Uuid::new_v4().to_string(),
            Role::Data,
            name.to_owned(),
            "application/json".to_owned(),
            &document,
        );
        let shown = files.iter().map(|file| file.file.clone());
        let manifest = Manifest::new([own].into_iter().chain(shown).collect(), random())
            .map_err(|error| Refused::internal(&error))?;
        self.packed_as(&manifest, document, files).await
    }

    /// What a disclosure shows, packed.
    pub(super) async fn disclosed(
        &self,
        disclosure: &Disclosure,
        content: &CaseContent,
        cover: disclosure::sheet::Cover,
    ) -> Result<Packed, Refused> {
        let held: Vec<_> = content.files.iter().map(held).collect();
        let sheet_id = uuid::Uuid::new_v4().to_string();
        let package = disclosure
            .package(&content.form, &held, cover, sheet_id, random())
            .map_err(refused)?;
        let chosen = disclosure.files.iter().filter_map(|part| {
            let file = content
                .files
                .iter()
                .find(|file| file.file.file_id == part.file_id)?;
            // The group is a name of the form, which may not be shown.
            let mut file = file.clone();
            file.file.group = None;
            Some(file)
        });
        let files = chosen.collect();
        self.packed_as(&package.manifest, package.sheet_bytes, files)
            .await
    }

    async fn packed_as(
        &self,
        manifest: &Manifest,
        document: Vec<u8>,
        files: Vec<CaseFile>,
    ) -> Result<Packed, Refused> {
        let (bytes, digest) = manifest.bytes().map_err(|error| Refused::internal(&error))?;
        let bundle = Bundle {
            manifest: digest,
            manifest_octets: bytes.len() as u64,
            octets: bytes.len() as u64 + manifest.octets(),
        };
        let text = String::from_utf8(document.clone()).map_err(|error| Refused::internal(&error))?;
        let mut writer = self.vault.spool();
        writer.write(Bytes::from(document)).await?;
        let own = self.vault.keep(writer.finish().await?.into()).await?;
        let kept = files.iter().map(|file| file.kept.clone());
        Ok(Packed {
            bundle,
            pack: Pack {
                manifest: String::from_utf8(bytes).map_err(|error| Refused::internal(&error))?,
                files: [own].into_iter().chain(kept).collect(),
                anew: 1,
                parts: Vec::new(),
            },
            letter: Letter {
                document: text,
                words: String::new(),
                files,
            },
        })
    }

    /// Puts what was packed beside the message that announces it.
    pub(super) fn put_packed(
        &self,
        step: &mut Step,
        row: &RequestRow,
        seq: u32,
        packed: &Packed,
    ) -> Result<(), Refused> {
        let side = row.side();
        self.put_paper(step, row, side, seq, &packed.letter)?;
        let sealed = self.seal(part(side, side), row.subject, &packed.pack)?;
        step.packs
            .push((letter_key(&row.process(), side, seq), Some(sealed)));
        let anew = packed.pack.files.iter().take(packed.pack.anew);
        step.files.extend(anew.map(|kept| Held::by(row.id(), kept)));
        Ok(())
    }

    /// What is packed for a message of ours.
    pub(super) fn pack_of(&self, row: &RequestRow, seq: u32) -> Result<Pack, Refused> {
        let side = row.side();
        self.any_pack(row, side, seq)?
            .ok_or_else(|| Refused::purged("bundle"))
    }

    /// What was pulled so far of a message of theirs.
    pub(super) fn pulled_of(&self, row: &RequestRow, seq: u32) -> Result<Pack, Refused> {
        Ok(self.any_pack(row, row.side().other(), seq)?.unwrap_or_default())
    }

    pub(super) fn put_pulled(
        &self,
        step: &mut Step,
        row: &RequestRow,
        seq: u32,
        pack: Option<&Pack>,
    ) -> Result<(), Refused> {
        let side = row.side().other();
        let sealed = match pack {
            Some(pack) => Some(self.seal(part(row.side(), side), row.subject, pack)?),
            None => None,
        };
        step.packs.push((letter_key(&row.process(), side, seq), sealed));
        Ok(())
    }

    fn any_pack(&self, row: &RequestRow, side: Side, seq: u32) -> Result<Option<Pack>, Refused> {
        let key = letter_key(&row.process(), side, seq);
        let sealed: Option<String> = self.store.get(Table::Packs, &key)?;
        let Some(sealed) = sealed else { return Ok(None) };
        self.open_sealed(part(row.side(), side), row.subject, &sealed)
    }
}

/// Why something is not disclosed, as it is told.
pub(super) fn refused(error: disclosure::DisclosureError) -> Refused {
    Refused::invalid(error.code(), error.to_string()).at("/disclosure")
}
