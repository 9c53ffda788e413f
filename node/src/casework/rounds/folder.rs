//! The folder drop: requests to this house as files, for a procedure that calls no interface, and the statements that it answers with.
//!
//! | Room | Owns |
//! |---|---|
//! | `place` | the directory, as plain files |
//! | `answers` | statements that are taken from it |
//! | `words` | what is written for people and procedures |
//!
//! What is written follows from the row of a request: the version stands in its `request.json`, and whatever is older is written
//! anew. So nothing has to be noted of it but that it was ever there, which a deletion has to know. One task writes, on its own: a disk
//! that is full or slow keeps nobody from hearing or telling anything.

mod answers;
mod place;
#[cfg(test)]
mod tests;
mod words;

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::sync::{Arc, Mutex as StdMutex, PoisonError};
use std::time::Duration;

use kontor_participation::round::delivery::Side;
use kontor_participation::round::disclosure::Right;
use kontor_participation::round::disclosure::sheet::Sheet;
use kontor_participation::transfer::offer::Id;
use tokio::sync::MutexGuard;
use tokio::time::Instant;

use self::place::{Place, Wanted, file_name};
use super::super::row::{CaseFile, Verdict};
use super::super::{Casework, OpenError, Principal, Refused, Step};
use super::row::{Dropped, RequestRow};
use crate::config::CaseworkSettings;
use crate::config::casework as settings;
use crate::disk::is_full;

/// How often is looked for what changed and what was answered.
const ROUND: Duration = Duration::from_secs(2);
/// The first wait after a failure, and the longest.
const WAIT: (Duration, Duration) = (Duration::from_secs(15), Duration::from_secs(600));
/// Octets that are left to others on the disk.
const RESERVE: u64 = 16 << 20;
/// What people are shown while a request cannot be written.
const NOT_WRITTEN: &str = "folder_not_written";
/// What people are shown while something that has to go is still there.
pub(super) const NOT_DELETED: &str = "folder_not_deleted";

/// See the module.
pub(in crate::casework) struct Folder {
    place: Place,
    units: BTreeSet<String>,
    /// Whoever holds it writes or deletes below `in`; taken before the lock of a request.
    busy: tokio::sync::Mutex<()>,
    /// Requests that changed since they were looked at.
    changed: StdMutex<BTreeSet<Id>>,
    /// When one is tried again that could not be written, and how often it was tried.
    waits: StdMutex<BTreeMap<Id, (Instant, u32)>>,
}

/// Why something was not written.
enum Failed {
    Disk(io::Error),
    Refused(Refused),
}

impl From<io::Error> for Failed {
    fn from(error: io::Error) -> Self {
        Self::Disk(error)
    }
}

impl From<Refused> for Failed {
    fn from(refused: Refused) -> Self {
        Self::Refused(refused)
    }
}

impl Failed {
    fn code(&self) -> &'static str {
        match self {
            Self::Disk(error) if is_full(error) => "folder_full",
            Self::Disk(_) => "folder_unwritable",
            Self::Refused(refused) => refused.code,
        }
    }
}

/// What of a disclosure is written, and what is not and why.
#[derive(Default)]
struct Shown {
    /// By file id: the name it gets, and the file.
    files: BTreeMap<String, (String, CaseFile)>,
    /// By file id: the reason, by code.
    left_out: BTreeMap<String, &'static str>,
}

impl Shown {
    /// What the newest sheet that names a file says of it counts, as it does at the interface.
    fn of(row: &RequestRow, sheets: &[(u32, Sheet, Vec<CaseFile>)]) -> Self {
        let mut shown = Self::default();
        for (_, sheet, files) in sheets {
            for part in &sheet.files {
                let id = &part.file_id;
                shown.files.remove(id);
                shown.left_out.remove(id);
                let file = files.iter().find(|file| file.file.file_id == *id);
                let Some(file) = file.filter(|_| !row.access.is_revoked(id)) else {
                    continue;
                };
                let reason = match file_name(id, file.file.detected_media_type.as_deref()) {
                    _ if part.right == Right::View => "view_only",
                    _ if file.scan.verdict == Verdict::Infected => "infected",
                    None => "id_unsafe",
                    Some(name) => {
                        shown.files.insert(id.clone(), (name, file.clone()));
                        continue;
                    }
                };
                shown.left_out.insert(id.clone(), reason);
            }
        }
        shown
    }
}

impl Folder {
    /// Opens the folder that the settings name; none where they name none.
    pub(in crate::casework) fn open(settings: &CaseworkSettings) -> Result<Option<Self>, OpenError> {
        let Some(folder) = &settings.participation.folder else {
            return Ok(None);
        };
        folder.check().map_err(OpenError::Folder)?;
        let opened = Self::new(folder);
        opened.place.prepare().map_err(|error| {
            let dir = folder.dir.display();
            OpenError::Folder(format!(
                "casework.participation.folder.dir: {dir} has no room for in, out and done: {error}"
            ))
        })?;
        Ok(Some(opened))
    }

    fn new(folder: &settings::Folder) -> Self {
        Self {
            place: Place::new(folder.dir.clone()),
            units: folder.units.clone(),
            busy: tokio::sync::Mutex::default(),
            changed: StdMutex::default(),
            waits: StdMutex::default(),
        }
    }

    /// Whether a request is for the procedure: one to this house or a unit of it, never one to a guest.
    fn covers(&self, row: &RequestRow) -> bool {
        let is_guest = row
            .body
            .hosted
            .as_deref()
            .is_some_and(|hosted| hosted.starts_with("guest/"));
        let unit = row.unit.as_deref().is_some_and(|unit| self.units.contains(unit));
        row.side() == Side::Participant && !is_guest && (self.units.is_empty() || unit)
    }

    /// Notes that a request may be another than the one that was written.
    pub(in crate::casework) fn changed(&self, row: &RequestRow) {
        if row.side() == Side::Participant && (row.folder.is_some() || self.covers(row)) {
            self.note(row.id().clone());
        }
    }

    fn note(&self, id: Id) {
        self.changed
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .insert(id);
    }

    /// What is to be looked at now.
    fn take_changed(&self, now: Instant) -> Vec<Id> {
        let waits = self.waits.lock().unwrap_or_else(PoisonError::into_inner);
        let mut changed = self.changed.lock().unwrap_or_else(PoisonError::into_inner);
        let (later, ready): (BTreeSet<Id>, BTreeSet<Id>) = std::mem::take(&mut *changed)
            .into_iter()
            .partition(|id| waits.get(id).is_some_and(|(at, _)| *at > now));
        *changed = later;
        ready.into_iter().collect()
    }

    fn again_later(&self, id: &Id) {
        let mut waits = self.waits.lock().unwrap_or_else(PoisonError::into_inner);
        let tries = waits.get(id).map_or(0, |(_, tries)| *tries);
        let wait = WAIT.0.saturating_mul(1 << tries.min(12)).min(WAIT.1);
        waits.insert(id.clone(), (Instant::now() + wait, tries + 1));
        drop(waits);
        self.note(id.clone());
    }

    /// Does something with files away from where messages are handled.
    async fn blocking<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Place) -> io::Result<T> + Send + 'static,
    ) -> io::Result<T> {
        let place = self.place.clone();
        let done = tokio::task::spawn_blocking(move || work(&place)).await;
        done.map_err(io::Error::other)?
    }
}

impl Casework {
    /// Writes what changes and takes up what is answered, for as long as the node runs.
    pub(in crate::casework) async fn run_folder(self: Arc<Self>) {
        let Some(folder) = &self.folder else { return };
        let work = async { tokio::join!(self.fill_folder(folder), self.empty_folder(folder)) };
        tokio::select! {
            _ = work => {}
            () = self.shutdown.soft() => {}
        }
    }

    async fn fill_folder(&self, folder: &Folder) {
        let mut round = tokio::time::interval(ROUND);
        round.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            round.tick().await;
            for id in folder.take_changed(Instant::now()) {
                self.keep_in_folder(folder, &id).await;
            }
        }
    }

    /// Brings the folder of one request up to date, or says why not.
    async fn keep_in_folder(&self, folder: &Folder, id: &Id) {
        let failed = match self.put_in_folder(folder, id).await {
            Ok(()) => {
                folder
                    .waits
                    .lock()
                    .unwrap_or_else(PoisonError::into_inner)
                    .remove(id);
                return;
            }
            Err(failed) => failed,
        };
        let code = failed.code();
        match &failed {
            Failed::Disk(error) => {
                tracing::error!(request = %id, code, %error, "a request could not be written into the folder drop; it is tried again");
            }
            Failed::Refused(refused) => {
                tracing::warn!(request = %id, code, "a request waits for its place in the folder drop: {}", refused.detail);
            }
        }
        folder.again_later(id);
        if matches!(failed, Failed::Disk(_))
            && let Err(refused) = self.noticed(id, true).await
        {
            tracing::warn!(request = %id, code = refused.code, "that it is not in the folder drop could not be noted: {}", refused.detail);
        }
    }

    async fn put_in_folder(&self, folder: &Folder, id: &Id) -> Result<(), Failed> {
        let _busy = folder.busy.lock().await;
        let who = Principal::folder();
        let mut opened: BTreeMap<String, CaseFile> = BTreeMap::new();
        let (row, sheets, shown) = loop {
            let row = self.request(Side::Participant, id)?;
            let may_open = row
                .participant()
                .is_some_and(|machine| machine.may_open(self.now()));
            // What was taken back or has ended is deleted by what says so to the requester.
            if !may_open {
                return Ok(());
            }
            if !folder.covers(&row) {
                if row.folder.is_some() {
                    let gone = id.clone();
                    folder.blocking(move |place| place.remove(&gone)).await?;
                }
                return Ok(());
            }
            let written = id.clone();
            let written = folder.blocking(move |place| Ok(place.written(&written))).await?;
            if written == Some(row.version) && !row.notices.contains(NOT_WRITTEN) {
                return Ok(());
            }
            let sheets = self.sheets(&row)?;
            if sheets.is_empty() {
                return Ok(());
            }
            let shown = Shown::of(&row, &sheets);
            let place = &folder.place;
            let missing: Vec<(&String, u64)> = shown
                .files
                .iter()
                .filter(|(id, _)| !opened.contains_key(*id))
                .filter(|(_, (name, file))| !place.has(row.id(), name, file.file.size))
                .map(|(id, (_, file))| (id, file.file.size))
                .collect();
            if missing.is_empty() && row.folder.is_some() {
                break (row, sheets, shown);
            }
            // Nothing counts as a copy that was taken when there is no room for one.
            folder.blocking(Place::prepare).await?;
            let octets = missing.iter().map(|(_, size)| size).sum::<u64>();
            if folder.blocking(Place::free).await? < octets.saturating_add(RESERVE) {
                return Err(io::Error::from(io::ErrorKind::StorageFull).into());
            }
            if row.folder.is_none() {
                self.note_in_folder(id).await?;
            }
            for (file, _) in missing {
                match self.open_disclosed(&who, id, file, Right::Download).await {
                    Ok(found) => _ = opened.insert(file.clone(), found),
                    // It was taken back meanwhile; that change is looked at next.
                    Err(refused) if refused.status.is_client_error() => {
                        folder.note(id.clone());
                        return Ok(());
                    }
                    Err(refused) => return Err(refused.into()),
                }
            }
        };
        self.look(&who, &format!("contribution {id}"), "participation")
            .await?;
        let page = super::super::api::asking::page(self, &row)?;
        let documents = words::documents(&row, page, &sheets, &shown)?;
        let mut files = Vec::with_capacity(shown.files.len());
        for (file_id, (name, file)) in &shown.files {
            files.push(Wanted {
                name: name.clone(),
                size: file.file.size,
                content: match opened.get(file_id) {
                    Some(found) => Some(self.content_of(found)?),
                    None => None,
                },
            });
        }
        let id = row.id().clone();
        folder
            .blocking(move |place| place.write(&id, files, &documents))
            .await?;
        if row.notices.contains(NOT_WRITTEN) {
            self.noticed(row.id(), false).await?;
        }
        Ok(())
    }

    /// The content of a file, for a thread that may wait.
    fn content_of(&self, file: &CaseFile) -> Result<place::Content, Refused> {
        let mut reader = self.read(&file.kept)?;
        let runtime = tokio::runtime::Handle::current();
        Ok(Box::new(move |to| {
            while let Some(piece) = runtime.block_on(reader.next()).map_err(io::Error::other)? {
                to.write_all(&piece)?;
            }
            Ok(())
        }))
    }

    /// Notes that something of a request is in the folder, before it is: a deletion looks there from then on.
    async fn note_in_folder(&self, id: &Id) -> Result<(), Refused> {
        let _lock = self.lock(&[id]).await;
        let mut row = self.request(Side::Participant, id)?;
        row.folder.get_or_insert_with(Dropped::default);
        self.put_noted(row).await
    }

    /// Shows people that a request is not in the folder as it should be, or no longer.
    async fn noticed(&self, id: &Id, is_so: bool) -> Result<(), Refused> {
        let _lock = self.lock(&[id]).await;
        let mut row = self.request(Side::Participant, id)?;
        let changed = match is_so {
            true => row.notices.insert(NOT_WRITTEN.to_owned()),
            false => row.notices.remove(NOT_WRITTEN),
        };
        match changed {
            true => self.put_noted(row).await,
            false => Ok(()),
        }
    }

    async fn put_noted(&self, row: RequestRow) -> Result<(), Refused> {
        let cites = row.cites.clone();
        let step = Step {
            requests: vec![row],
            ..Step::default()
        };
        self.commit("folder", &cites, step).await
    }

    /// Keeps others from writing into the folder, until it is dropped. Taken before the lock of a request.
    pub(super) async fn folder_stays(&self) -> Option<MutexGuard<'_, ()>> {
        match &self.folder {
            Some(folder) => Some(folder.busy.lock().await),
            None => None,
        }
    }

    /// Deletes what lies in the folder of a request, or these files of it. Where nothing was ever put there is nothing to do.
    pub(super) async fn clear_folder(
        &self,
        row: &RequestRow,
        files: Option<Vec<String>>,
    ) -> Result<(), Refused> {
        if row.folder.is_none() {
            return Ok(());
        }
        let failed = |error: &dyn std::fmt::Display| {
            tracing::error!(request = %row.id(), code = NOT_DELETED, %error, "what was disclosed could not be deleted from the folder drop; it is tried again");
            Refused::unavailable(
                NOT_DELETED,
                "what was disclosed could not be deleted from the folder drop",
            )
        };
        let Some(folder) = &self.folder else {
            return Err(failed(&"there is no [casework.participation.folder] any more"));
        };
        let id = row.id().clone();
        let deleted = folder.blocking(move |place| match files {
            None => place.remove(&id),
            Some(files) => place.remove_files(&id, &files),
        });
        deleted.await.map_err(|error| failed(&error))
    }
}
