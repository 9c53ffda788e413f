//! How a statement comes about in this house: drafted, with its attachments; released; submitted word by word as it was released.

use http::StatusCode;
use jiff::Timestamp;
use kontor_participation::deadline::day_of;
use kontor_participation::round::delivery::Side;
use kontor_participation::round::message::Kind;
use kontor_participation::round::participant;
use kontor_participation::round::release::Eyes;
use kontor_participation::round::statement::work::{Submission, Work, WorkError};
use kontor_participation::round::statement::{Point, Statement};
use kontor_participation::round::{Refusal, statement};
use kontor_participation::transfer::offer::Id;
use serde::Deserialize;
use serde_json::json;

use super::super::files::Held;
use super::super::intake::Part;
use super::super::row::CaseFile;
use super::super::{Casework, Principal, Refused, Step, random_id};
use super::letters::{Desk, Packed};
use super::participant::{EVERYBODY, legal, machine_of};
use super::row::RequestRow;

/// A statement as it is drafted. Its id, number and date are the node's to give, its roles too where they are not given.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Draft {
    /// What it says as a whole.
    pub(crate) kind: Kind,
    /// In words.
    #[serde(default)]
    pub(crate) text: String,
    /// Point by point.
    #[serde(default)]
    pub(crate) points: Vec<Point>,
    /// Ids of files that go with it.
    #[serde(default)]
    pub(crate) attachments: Vec<String>,
    /// Role and unit of who writes it.
    pub(crate) author: String,
    /// Role and unit of who releases it.
    #[serde(default)]
    pub(crate) released_by: Option<String>,
}

impl From<WorkError> for Refused {
    fn from(error: WorkError) -> Self {
        match error {
            WorkError::Release(error) => error.into(),
            WorkError::Statement(error) => error.into(),
        }
    }
}

impl From<statement::StatementError> for Refused {
    fn from(error: statement::StatementError) -> Self {
        Self::invalid(error.code(), error.to_string())
    }
}

impl Casework {
    /// Puts a draft in the place of the one that is there. What was released before is not released any more.
    pub(in crate::casework) async fn draft(
        &self,
        who: &Principal,
        id: &Id,
        version: u64,
        draft: Draft,
    ) -> Result<RequestRow, Refused> {
        who.needs(&EVERYBODY)?;
        let _lock = self.lock(&[id]).await;
        let mut row = self.workable(who, id, version)?;
        let now = self.decisive_now()?;
        let mut desk = self.desk(&row)?;
        let before = desk.statement.take();
        let versions = row.expected().versions().len();
        let statement = Statement {
            statement_id: before.map_or_else(random_id, |before| before.statement_id),
            version: u32::try_from(versions + 1).unwrap_or(u32::MAX),
            kind: draft.kind,
            text: draft.text,
            points: draft.points,
            attachments: draft.attachments,
            released_by: draft.released_by.unwrap_or_else(|| draft.author.clone()),
            author: draft.author,
            dated: day_of(now),
        };
        if let Some(unknown) = statement
            .attachments
            .iter()
            .find(|file| !desk.files.iter().any(|known| known.file.file_id == **file))
        {
            return Err(statement::StatementError::Reference(unknown.clone()).into());
        }
        let disclosed = match self.sheets(&row) {
            Ok(sheets) => {
                let files = sheets.into_iter().flat_map(|(_, sheet, _)| sheet.files);
                Some(files.map(|file| file.file_id).collect())
            }
            // A statement may come after the disclosure ended; what it refers to is not known here any more.
            Err(refused) if refused.status == StatusCode::GONE => None,
            Err(refused) => return Err(refused),
        };
        statement.check(disclosed.as_ref())?;
        desk.statement = Some(statement);
        match &mut row.work {
            Some(work) => work.change(who.actor()),
            None => row.work = Some(Work::begun(self.eyes(&row), who.actor())),
        }
        self.put_desk(who, row, &desk, "draft", Vec::new(), now).await?;
        self.request(Side::Participant, id)
    }

    /// Adds files that may go with the statement.
    pub(in crate::casework) async fn attach(
        &self,
        who: &Principal,
        id: &Id,
        version: u64,
        parts: Vec<Part>,
    ) -> Result<(RequestRow, Vec<CaseFile>), Refused> {
        who.needs(&EVERYBODY)?;
        let _lock = self.lock(&[id]).await;
        let row = self.workable(who, id, version)?;
        let now = self.decisive_now()?;
        let mut desk = self.desk(&row)?;
        if desk.files.len() + parts.len() > statement::MAX_ATTACHMENTS {
            let detail = format!(
                "a statement has at most {} attachments",
                statement::MAX_ATTACHMENTS
            );
            return Err(Refused::invalid("too_many_files", detail));
        }
        let mut added = Vec::with_capacity(parts.len());
        for part in parts {
            added.push(self.keep(part, now).await?);
        }
        let held = added.iter().map(|file| Held::by(id, &file.kept)).collect();
        desk.files.extend(added.iter().cloned());
        self.put_desk(who, row, &desk, "attach", held, now).await?;
        Ok((self.request(Side::Participant, id)?, added))
    }

    /// A request on which a statement can be worked.
    fn workable(&self, who: &Principal, id: &Id, version: u64) -> Result<RequestRow, Refused> {
        let row = self.seen_contribution(who, id)?;
        if row.version != version {
            return Err(Refused::version(row.version, version));
        }
        match machine_of(&row)?.allows(participant::Act::Submit) {
            true => Ok(row),
            false => Err(Refusal::Illegal {
                command: "draft",
                state: row.state().name(),
                legal: legal(&row),
            }
            .into()),
        }
    }

    /// How many persons a statement needs: what this house wants of its own people. A guest is one person.
    fn eyes(&self, row: &RequestRow) -> Eyes {
        match row.is_guest() {
            true => Eyes::TWO,
            false => self.settings.participation.eyes,
        }
    }

    async fn put_desk(
        &self,
        who: &Principal,
        row: RequestRow,
        desk: &Desk,
        act: &str,
        files: Vec<Held>,
        now: Timestamp,
    ) -> Result<(), Refused> {
        let details = json!({ "request": row.id(), "version": row.version });
        let cites = self
            .act(who, &format!("contribution_{act}"), "worker", details)
            .await?;
        let mut step = Step {
            files,
            ..Step::default()
        };
        self.put_paper(&mut step, &row, Side::Participant, 0, desk)?;
        step.requests.push(row);
        step.event(&format!("contribution.{act}"), now);
        self.commit("desk", &cites, step).await
    }

    /// Releases the draft as it is.
    pub(super) fn release(&self, who: &Principal, row: &mut RequestRow) -> Result<(), Refused> {
        let desk = self.desk(row)?;
        let (Some(statement), Some(work)) = (&desk.statement, &mut row.work) else {
            return Err(nothing_drafted());
        };
        Ok(work.release(statement, who.actor())?)
    }

    /// What was released, ready to be submitted.
    pub(super) async fn submission(
        &self,
        who: &Principal,
        row: &mut RequestRow,
        now: Timestamp,
    ) -> Result<(Submission, Packed), Refused> {
        let desk = self.desk(row)?;
        let eyes = self.eyes(row);
        let next = row.expected().versions().len() + 1;
        let (Some(statement), Some(work)) = (desk.statement, &mut row.work) else {
            return Err(nothing_drafted());
        };
        // One before it was given up meanwhile; persons have released it with its number.
        if usize::try_from(statement.version) != Ok(next) {
            let detail = format!(
                "it was drafted as version {}, and version {next} is next",
                statement.version
            );
            return Err(Refused::conflict("draft_outdated", detail).hint("put the draft once more"));
        }
        // Where one person does it all, submitting is releasing.
        if !work.is_released() && !eyes.release_by_another {
            work.release(&statement, who.actor())?;
        }
        let submission = work.submit(&statement, who.actor())?;
        machine_of(row)?.decide(&participant::Command::Submit(submission.clone()), now)?;
        let files = desk
            .files
            .into_iter()
            .filter(|file| statement.attachments.contains(&file.file.file_id));
        let packed = self
            .packed(statement.bytes()?, "statement.json", files.collect())
            .await?;
        // The next version begins with other hands.
        row.work = None;
        Ok((submission, packed))
    }
}

fn nothing_drafted() -> Refused {
    Refused::conflict("statement_missing", "there is no draft of a statement").hint("put one first")
}
