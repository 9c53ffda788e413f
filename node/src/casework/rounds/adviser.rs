//! Advisers of a participant: they look at chosen files until an instant, and only where the requester allowed it to be shown onward.
//! They take no copies, write nothing, and see nothing else of the request.

use std::collections::BTreeSet;

use jiff::Timestamp;
use jiff::civil::Date;
use kontor_participation::deadline::end_of;
use kontor_participation::round::delivery::Side;
use kontor_participation::round::disclosure::Right;
use kontor_participation::round::disclosure::access::AccessError;
use kontor_participation::round::disclosure::sheet::Sheet;
use kontor_participation::transfer::offer::Id;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::super::row::{CaseFile, Process};
use super::super::{Casework, Principal, Refused, Step, Table};
use super::participant::machine_of;
use super::row::RequestRow;
use crate::config::casework::Role;

/// Advisers of one request, at most.
const MAX_ADVISERS: usize = 50;

/// An adviser of a request.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub(crate) struct Adviser {
    /// By pseudonym.
    pub(crate) pseudonym: String,
    /// What may be looked at.
    pub(crate) files: BTreeSet<String>,
    /// Until when.
    pub(crate) until: Timestamp,
    /// Who admitted it, by pseudonym.
    pub(crate) by: String,
}

/// An adviser that is wanted.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct AdviserWish {
    /// By pseudonym, as `GET /api/v1/me` shows it to the adviser.
    pub(crate) pseudonym: String,
    /// What may be looked at; nothing: it may not any more.
    #[serde(default)]
    pub(crate) files: BTreeSet<String>,
    /// The last day.
    pub(crate) until: Date,
}

impl Casework {
    /// Lets an adviser look at files, or at other ones than before; without files it looks at nothing any more.
    pub(in crate::casework) async fn advise(
        &self,
        who: &Principal,
        id: &Id,
        version: u64,
        wish: AdviserWish,
    ) -> Result<RequestRow, Refused> {
        who.needs(&[Role::Coordinator])?;
        let _lock = self.lock(&[id]).await;
        let mut row = self.seen_contribution(who, id)?;
        if row.version != version {
            return Err(Refused::version(row.version, version));
        }
        let now = self.decisive_now()?;
        let until = end_of(wish.until)
            .map_err(|error| Refused::invalid(error.code(), error.to_string()).at("/until"))?;
        if until <= now {
            return Err(Refused::invalid("adviser_until", "the last day is over already").at("/until"));
        }
        let sheets = self.sheets(&row)?;
        for file in &wish.files {
            match newest(&sheets, file) {
                None => return Err(AccessError::NotDisclosed.into()),
                Some(_) if row.access.is_revoked(file) => return Err(AccessError::Revoked.into()),
                Some((sheet, _)) if !sheet.onward => {
                    let detail = "who asks did not allow this to be shown to an adviser";
                    return Err(
                        Refused::conflict("onward_not_granted", detail).hint("ask for it by a question")
                    );
                }
                Some(_) => {}
            }
        }
        row.advisers.retain(|known| known.pseudonym != wish.pseudonym);
        if row.advisers.len() == MAX_ADVISERS {
            let detail = format!("at most {MAX_ADVISERS} advisers look at one request");
            return Err(Refused::invalid("too_many_advisers", detail));
        }
        let details =
            json!({ "request": id, "adviser": wish.pseudonym, "files": wish.files, "until": until });
        if !wish.files.is_empty() {
            row.advisers.push(Adviser {
                pseudonym: wish.pseudonym,
                files: wish.files,
                until,
                by: who.pseudonym.clone(),
            });
        }
        let cites = self.act(who, "contribution_adviser", "worker", details).await?;
        let mut step = Step {
            requests: vec![row],
            ..Step::default()
        };
        step.event("contribution.adviser", now);
        self.commit("adviser", &cites, step).await?;
        self.request(Side::Participant, id)
    }

    /// What an adviser may look at now: what is asked, and the files, request by request.
    pub(in crate::casework) fn advice(&self, who: &Principal) -> Result<Vec<Value>, Refused> {
        who.needs(&[Role::Adviser])?;
        let now = self.now();
        let mut shown = Vec::new();
        for id in self.board.advised(&who.pseudonym) {
            let row = self.request(Side::Participant, &id)?;
            if !machine_of(&row)?.may_open(now) {
                continue;
            }
            let Some(adviser) = admitted(&row, who, now) else {
                continue;
            };
            let sheets = self.sheets(&row)?;
            let onward: Vec<_> = adviser
                .files
                .iter()
                .filter(|file| !row.access.is_revoked(file))
                .filter_map(|file| newest(&sheets, file))
                .filter(|(sheet, _)| sheet.onward)
                .collect();
            let Some(question) = onward.first().map(|(sheet, _)| &sheet.cover.question) else {
                continue;
            };
            let files: Vec<Value> = onward
                .iter()
                .filter_map(|(_, file)| *file)
                .map(|file| {
                    json!({
                        "file_id": file.file.file_id, "original_name": file.file.original_name, "size": file.file.size,
                        "media_type": file.file.detected_media_type,
                    })
                })
                .collect();
            shown
                .push(json!({ "request": id, "question": question, "until": adviser.until, "files": files }));
        }
        Ok(shown)
    }

    /// Opens a file for an adviser: a look, never a copy.
    pub(in crate::casework) async fn open_for_adviser(
        &self,
        who: &Principal,
        id: &Id,
        file: &str,
    ) -> Result<CaseFile, Refused> {
        who.needs(&[Role::Adviser])?;
        let row: Option<RequestRow> = self.store.get(
            Table::Requests,
            &Process::Request(Side::Participant, id.clone()).key(),
        )?;
        let now = self.now();
        // Of what it is not admitted to, an adviser does not learn that it exists.
        let unknown = || Refused::not_found("file for advice in the request", id);
        let row = row.ok_or_else(unknown)?;
        if !admitted(&row, who, now).is_some_and(|adviser| adviser.files.contains(file)) {
            return Err(unknown());
        }
        if machine_of(&row)?.may_open(now)
            && newest(&self.sheets(&row)?, file).is_none_or(|(sheet, _)| !sheet.onward)
        {
            return Err(unknown());
        }
        self.disclosed_file(who, id, file, Right::View).await
    }
}

/// The newest sheet that shows a file, which is the one that says who may see it; with the file as far as it is here.
fn newest<'a>(
    sheets: &'a [(u32, Sheet, Vec<CaseFile>)],
    file: &str,
) -> Option<(&'a Sheet, Option<&'a CaseFile>)> {
    let (_, sheet, files) = sheets
        .iter()
        .rfind(|(_, sheet, _)| sheet.files.iter().any(|shown| shown.file_id == file))?;
    Some((sheet, files.iter().find(|one| one.file.file_id == file)))
}

/// What an adviser is admitted to now.
fn admitted<'a>(row: &'a RequestRow, who: &Principal, now: Timestamp) -> Option<&'a Adviser> {
    row.advisers
        .iter()
        .find(|adviser| adviser.pseudonym == who.pseudonym && now < adviser.until)
}
