//! Statements that are taken from the folder drop: claimed by one rename, drafted with their attachments, submitted once, told in
//! `result.json`.
//!
//! What a crash leaves is a claim without a result, which the next start takes up again: attachments that are there already are not
//! added again, the draft takes its own place, and the number of a claim that was submitted stands in the row since that very commit.

use std::collections::{BTreeMap, BTreeSet};
use std::io;

use bytes::{Bytes, BytesMut};
use http::StatusCode;
use kontor_participation::application::manifest::Role as FileRole;
use kontor_participation::round::delivery::Side;
use kontor_participation::round::release::ReleaseError;
use kontor_participation::transfer::offer::Id;
use serde_json::{Value, json};
use tokio::io::AsyncReadExt;
use tokio::time::Instant;

use super::super::super::intake::{MAX_FILE, Part};
use super::super::super::{Casework, Principal, Refused};
use super::super::participant::{Command, Details};
use super::super::row::RequestRow;
use super::super::statement::Draft;
use super::place::{STATEMENT, Taken, is_plain_name};
use super::{Folder, ROUND, WAIT, words};

/// Octets of a statement as it is drafted.
const MAX_STATEMENT: u64 = 4 << 20;
/// How often it is begun anew when others change the request meanwhile.
const TRIES: u32 = 16;

/// Claims without a result: when each is tried again, after how many failures.
type Open = BTreeMap<(Id, u32), Option<(Instant, u32)>>;

impl Casework {
    pub(super) async fn empty_folder(&self, folder: &Folder) {
        let mut open = Open::new();
        let mut begun = false;
        let mut round = tokio::time::interval(ROUND);
        round.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            round.tick().await;
            if !begun {
                match folder.blocking(|place| place.unfinished()).await {
                    Ok(left) => {
                        open.extend(left.into_iter().map(|claim| (claim, None)));
                        begun = true;
                    }
                    Err(error) => {
                        tracing::error!(code = "folder_unreadable", %error, "the folder drop cannot be read; it is tried again");
                        continue;
                    }
                }
            }
            self.take_answers(folder, &mut open).await;
        }
    }

    /// Claims what is complete, and works on every claim that is due.
    pub(super) async fn take_answers(&self, folder: &Folder, open: &mut Open) {
        if let Err(error) = self.claim_answered(folder, open).await {
            tracing::error!(code = "folder_unreadable", %error, "answers cannot be taken from the folder drop; it is tried again");
        }
        let now = Instant::now();
        let due: Vec<(Id, u32)> = open
            .iter()
            .filter(|(_, waits)| waits.is_none_or(|(at, _)| at <= now))
            .map(|(claim, _)| claim.clone())
            .collect();
        for (id, number) in due {
            // In their order: an older statement must not be taken for a newer version.
            if open.range((id.clone(), 0)..(id.clone(), number)).next().is_some() {
                continue;
            }
            let failed = match self.settled(folder, &id, number).await {
                Ok(result) => {
                    let finished = id.clone();
                    let written = folder.blocking(move |place| place.finish(&finished, number, &result));
                    match written.await {
                        Ok(()) => {
                            open.remove(&(id, number));
                            continue;
                        }
                        Err(error) => error.to_string(),
                    }
                }
                // Its sentence may name an attachment, which is nothing for the log.
                Err(refused) => refused.code.to_owned(),
            };
            tracing::warn!(request = %id, number, code = "folder_answer_waits", "a statement from the folder drop waits: {failed}");
            let tries = open
                .get(&(id.clone(), number))
                .copied()
                .flatten()
                .map_or(0, |(_, tries)| tries);
            let wait = WAIT.0.saturating_mul(1 << tries.min(12)).min(WAIT.1);
            open.insert((id, number), Some((Instant::now() + wait, tries + 1)));
        }
    }

    /// What was moved is noted at once, whatever comes of the next one: nobody else looks for it before the next start.
    async fn claim_answered(&self, folder: &Folder, open: &mut Open) -> io::Result<()> {
        for id in folder.blocking(|place| place.answered()).await? {
            // A number that was submitted is not used again, also when somebody clears what is done.
            let submitted = match self.request(Side::Participant, &id) {
                Ok(row) => row.folder.map_or(0, |dropped| dropped.submitted),
                Err(refused) if refused.status.is_client_error() => 0,
                Err(refused) => {
                    tracing::warn!(request = %id, code = refused.code, "a statement waits in the folder drop: {}", refused.detail);
                    continue;
                }
            };
            let claimed = id.clone();
            match folder
                .blocking(move |place| place.claim(&claimed, submitted))
                .await
            {
                Ok(number) => _ = open.insert((id, number), None),
                Err(error) => {
                    tracing::error!(request = %id, code = "folder_unwritable", %error, "a statement cannot be taken from the folder drop; it is tried again");
                }
            }
        }
        Ok(())
    }

    /// What became of a statement; an error where it is not decided yet.
    async fn settled(&self, folder: &Folder, id: &Id, number: u32) -> Result<Vec<u8>, Refused> {
        let result = match self.take_up(folder, id, number).await {
            Ok(result) => result,
            Err(refused) if refused.status.is_server_error() => return Err(refused),
            Err(refused) => {
                tracing::warn!(request = %id, number, code = refused.code, "a statement from the folder drop is refused");
                json!({ "accepted": false, "request": id, "problem": refused.problem() })
            }
        };
        words::json(&result)
    }

    async fn take_up(&self, folder: &Folder, id: &Id, number: u32) -> Result<Value, Refused> {
        let row = self.request(Side::Participant, id)?;
        if row.folder.is_none() || !folder.covers(&row) {
            return Err(Refused::not_found("request", id));
        }
        let claimed = id.clone();
        let taken = folder
            .blocking(move |place| place.taken(&claimed, number))
            .await
            .map_err(|error| unread(STATEMENT, &error))?;
        let taken_before = row
            .folder
            .as_ref()
            .is_some_and(|dropped| dropped.submitted >= number);
        if taken_before {
            return Ok(accepted(&row, taken.submits, &BTreeMap::new(), None));
        }
        let draft = read_draft(&taken).await?;
        let named = self.receive_all(&taken, &draft).await?;
        let who = Principal::folder();
        let ids = self.attach_new(&who, id, named).await?;
        let row = self.draft_of(&who, id, &draft, &ids).await?;
        if !taken.submits {
            return Ok(accepted(&row, false, &ids, None));
        }
        let eyes = self.settings.participation.eyes;
        if eyes.release_by_another || eyes.submit_by_another {
            let why = Refused::from(ReleaseError::SecondPair("the statement"))
                .hint("it lies there as a draft: a person releases and submits it at the interface");
            return Ok(accepted(&row, false, &ids, Some(&why)));
        }
        match self.submit_taken(&who, id, number).await {
            Ok(row) => Ok(accepted(&row, true, &ids, None)),
            Err(refused) if refused.status.is_server_error() => Err(refused),
            Err(refused) => Ok(accepted(&row, false, &ids, Some(&refused))),
        }
    }

    /// Takes every attachment that the draft names.
    async fn receive_all(&self, taken: &Taken, draft: &Draft) -> Result<Vec<(String, Part)>, Refused> {
        let names: BTreeSet<&String> = draft.attachments.iter().collect();
        if names.len() > kontor_participation::round::statement::MAX_ATTACHMENTS {
            return Err(Refused::invalid(
                "too_many_files",
                "a statement has at most 500 attachments",
            ));
        }
        let mut files = Vec::with_capacity(names.len());
        let mut octets = 0_u64;
        // All are looked at before the first is read.
        for name in names {
            if !is_plain_name(name) {
                let detail = format!(
                    "the attachment {name:?} is no name of a file beside {STATEMENT}: no directories, no leading dot, at most 255 octets"
                );
                return Err(Refused::invalid("folder_name_unsafe", detail).at("/attachments"));
            }
            let (file, length) = taken.open(name).map_err(|error| unread(name, &error))?;
            octets = octets.saturating_add(length);
            if octets > MAX_FILE {
                let detail =
                    format!("the attachments of a statement have at most {MAX_FILE} octets together");
                return Err(Refused::new(
                    StatusCode::PAYLOAD_TOO_LARGE,
                    "file_too_large",
                    detail,
                ));
            }
            files.push((name.clone(), file));
        }
        let mut received = Vec::with_capacity(files.len());
        for (name, file) in files {
            let mut file = tokio::fs::File::from_std(file);
            let mut receiving = self.receive()?;
            loop {
                let mut piece = BytesMut::with_capacity(64 * 1024);
                let read = file.read_buf(&mut piece).await;
                if read.map_err(|error| unread(&name, &error))? == 0 {
                    break;
                }
                receiving.write(piece.freeze()).await?;
            }
            let part = Part {
                role: FileRole::Attachment,
                name: name.clone(),
                media_type: "application/octet-stream".to_owned(),
                received: receiving.finish().await?,
            };
            received.push((name, part));
        }
        Ok(received)
    }

    /// Adds the attachments that are not on the desk yet, under the same name with the same content; gives the id of each.
    async fn attach_new(
        &self,
        who: &Principal,
        id: &Id,
        named: Vec<(String, Part)>,
    ) -> Result<BTreeMap<String, String>, Refused> {
        let mut ids = BTreeMap::new();
        if named.is_empty() {
            return Ok(ids);
        }
        let desk = self.desk(&self.request(Side::Participant, id)?)?;
        let (mut names, mut parts) = (Vec::new(), Vec::new());
        for (name, part) in named {
            let known = desk
                .files
                .iter()
                .find(|known| known.file.original_name == name && known.file.sha256 == part.received.sha256);
            match known {
                Some(known) => _ = ids.insert(name, known.file.file_id.clone()),
                None => {
                    names.push(name);
                    parts.push(part);
                }
            }
        }
        if parts.is_empty() {
            return Ok(ids);
        }
        // Parts go by value: where the request changes in this instant, all of it is tried again later.
        let version = self.request(Side::Participant, id)?.version;
        let (_, added) =
            self.attach(who, id, version, parts)
                .await
                .map_err(|refused| match is_crossed(&refused) {
                    true => Refused::unavailable("changed", "the request changed meanwhile"),
                    false => refused,
                })?;
        ids.extend(
            names
                .into_iter()
                .zip(added.into_iter().map(|file| file.file.file_id)),
        );
        Ok(ids)
    }

    async fn draft_of(
        &self,
        who: &Principal,
        id: &Id,
        draft: &Draft,
        ids: &BTreeMap<String, String>,
    ) -> Result<RequestRow, Refused> {
        let attachments: Vec<String> = draft
            .attachments
            .iter()
            .filter_map(|name| ids.get(name).cloned())
            .collect();
        let mut tries = 0;
        loop {
            let version = self.request(Side::Participant, id)?.version;
            let draft = Draft {
                attachments: attachments.clone(),
                ..draft.clone()
            };
            match self.draft(who, id, version, draft).await {
                Err(refused) if is_crossed(&refused) && tries < TRIES => tries += 1,
                done => return done,
            }
        }
    }

    async fn submit_taken(&self, who: &Principal, id: &Id, number: u32) -> Result<RequestRow, Refused> {
        let mut tries = 0;
        loop {
            let version = self.request(Side::Participant, id)?.version;
            let details = Details {
                taken: Some(number),
                ..Details::default()
            };
            match self
                .contribution_command(who, id, version, Command::Submit, details)
                .await
            {
                Err(refused) if is_crossed(&refused) && tries < TRIES => tries += 1,
                done => return done,
            }
        }
    }
}

/// Whether somebody else was quicker.
fn is_crossed(refused: &Refused) -> bool {
    matches!(refused.code, "version_mismatch" | "changed")
}

fn accepted(
    row: &RequestRow,
    submitted: bool,
    ids: &BTreeMap<String, String>,
    why: Option<&Refused>,
) -> Value {
    json!({
        "accepted": true, "request": row.id(), "version": row.version, "state": row.state().name(), "submitted": submitted,
        "statement_version": submitted.then(|| row.expected().versions().len()), "attachments": ids,
        "problem": why.map(|why| why.problem()),
    })
}

async fn read_draft(taken: &Taken) -> Result<Draft, Refused> {
    let (file, length) = taken.open(STATEMENT).map_err(|error| unread(STATEMENT, &error))?;
    let too_large = || {
        let detail = format!("{STATEMENT} has at most {MAX_STATEMENT} octets");
        Refused::new(StatusCode::PAYLOAD_TOO_LARGE, "body_too_large", detail)
    };
    if length > MAX_STATEMENT {
        return Err(too_large());
    }
    let mut octets = Vec::new();
    let mut bounded = tokio::fs::File::from_std(file).take(MAX_STATEMENT + 1);
    bounded
        .read_to_end(&mut octets)
        .await
        .map_err(|error| unread(STATEMENT, &error))?;
    // It may have grown since.
    if octets.len() as u64 > MAX_STATEMENT {
        return Err(too_large());
    }
    super::super::super::api::read_document(&Bytes::from(octets))
}

/// A file that is not there or is none that is read here; anything else may be otherwise later.
fn unread(name: &str, error: &io::Error) -> Refused {
    // What a link and a socket in the place of a file are answered with.
    let odd = [rustix::io::Errno::LOOP, rustix::io::Errno::NXIO].map(rustix::io::Errno::raw_os_error);
    let is_odd = error.raw_os_error().is_some_and(|code| odd.contains(&code));
    match error.kind() {
        io::ErrorKind::NotFound => {
            let detail = format!("there is no file {name:?} in the folder of the statement");
            Refused::invalid("folder_file_missing", detail)
        }
        io::ErrorKind::InvalidInput | io::ErrorKind::NotADirectory | io::ErrorKind::IsADirectory => {
            not_plain(name)
        }
        _ if is_odd => not_plain(name),
        io::ErrorKind::PermissionDenied => {
            let detail = format!("the node may not read {name:?}; its user needs to");
            Refused::invalid("folder_file_closed", detail)
        }
        _ => {
            tracing::error!(code = "folder_unreadable", %error, "a file of the folder drop cannot be read");
            Refused::unavailable("folder_unreadable", format!("{name:?} cannot be read"))
        }
    }
}

fn not_plain(name: &str) -> Refused {
    let detail = format!("{name:?} is no plain file; links, pipes and directories are not followed");
    Refused::invalid("folder_not_plain", detail)
}
