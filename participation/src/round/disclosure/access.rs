//! What a participant may open now, and what it had opened and kept: so that a purge can say honestly what was already taken.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::Right;
use super::sheet::Sheet;

/// What was done with a file.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
pub struct Opened {
    /// When it was looked at first.
    pub viewed_at: Option<Timestamp>,
    /// When a copy was taken first: that cannot be called back.
    pub downloaded_at: Option<Timestamp>,
}

/// Files of a request at the participant, or at the host of a guest.
#[derive(Clone, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
pub struct Access {
    opened: BTreeMap<String, Opened>,
    revoked: BTreeSet<String>,
}

/// Why a file is not opened.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
pub enum AccessError {
    /// It was not disclosed.
    #[error("this file was not disclosed")]
    NotDisclosed,
    /// It was taken back.
    #[error("the requester took this file back")]
    Revoked,
    /// It may be looked at only.
    #[error("this file may be looked at; a copy was not granted")]
    ViewOnly,
    /// The request was taken back, or its disclosure ended.
    #[error("what was disclosed is closed")]
    Closed,
}

impl AccessError {
    /// The machine code.
    pub const fn code(self) -> &'static str {
        match self {
            Self::NotDisclosed => "file_not_disclosed",
            Self::Revoked => "file_revoked",
            Self::ViewOnly => "file_view_only",
            Self::Closed => "disclosure_closed",
        }
    }
}

/// That a copy of a file had been taken before it was deleted here.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct Downloaded {
    /// Which.
    pub file_id: String,
    /// When first.
    pub at: Timestamp,
}

impl Access {
    /// Opens a file. `open`: whether the request still shows anything, by [`super::super::participant::Participant::may_open`].
    ///
    /// # Errors
    /// Why not.
    pub fn open(
        &mut self,
        sheet: &Sheet,
        file_id: &str,
        wanted: Right,
        open: bool,
        now: Timestamp,
    ) -> Result<(), AccessError> {
        if !open {
            return Err(AccessError::Closed);
        }
        let file = sheet
            .files
            .iter()
            .find(|file| file.file_id == file_id)
            .ok_or(AccessError::NotDisclosed)?;
        if self.revoked.contains(file_id) {
            return Err(AccessError::Revoked);
        }
        if wanted > file.right {
            return Err(AccessError::ViewOnly);
        }
        let opened = self.opened.entry(file_id.to_owned()).or_default();
        match wanted {
            Right::View => opened.viewed_at.get_or_insert(now),
            Right::Download => opened.downloaded_at.get_or_insert(now),
        };
        Ok(())
    }

    /// The requester takes single files back.
    pub fn revoke<'a>(&mut self, files: impl IntoIterator<Item = &'a str>) {
        self.revoked.extend(files.into_iter().map(str::to_owned));
    }

    /// Whether a file was taken back.
    pub fn is_revoked(&self, file_id: &str) -> bool {
        self.revoked.contains(file_id)
    }

    /// What was done with which file.
    pub const fn opened(&self) -> &BTreeMap<String, Opened> {
        &self.opened
    }

    /// What had been taken, of those files, or of all.
    pub fn downloaded(&self, files: Option<&[String]>) -> Vec<Downloaded> {
        self.opened
            .iter()
            .filter(|(file_id, _)| files.is_none_or(|files| files.contains(file_id)))
            .filter_map(|(file_id, opened)| {
                let at = opened.downloaded_at?;
                Some(Downloaded {
                    file_id: file_id.clone(),
                    at,
                })
            })
            .collect()
    }
}
