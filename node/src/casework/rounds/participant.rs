//! Commands on what this house is asked, or what a guest is asked that it hosts: decided by the machine, told with what belongs to
//! each, and what was opened of what is disclosed.

use jiff::Timestamp;
use jiff::civil::Date;
use kontor_participation::round::Refusal;
use kontor_participation::round::delivery::{Body, ExtensionReason, Side, WithdrawReason};
use kontor_participation::round::disclosure::Right;
use kontor_participation::round::disclosure::access::AccessError;
use kontor_participation::round::disclosure::sheet::Sheet;
use kontor_participation::round::message::{DeclineReason, Message};
use kontor_participation::round::participant::{self, Participant};
use kontor_participation::transfer::delivery::{Bundle, Deleted, PurgeStatement, Words};
use kontor_participation::transfer::offer::Id;
use serde::Deserialize;
use serde_json::json;

use super::super::row::CaseFile;
use super::super::{Casework, Principal, Refused, Step};
use super::letters::Packed;
use super::row::{Announced, Asking, RequestRow};
use crate::config::casework::Role;

/// Names of the commands that people have, as they stand in the interface.
pub(in crate::casework) const COMMANDS: [&str; 9] = [
    "acknowledge",
    "decline",
    "prepare",
    "ask",
    "ask-for-time",
    "release",
    "submit",
    "withdraw",
    "assign",
];

/// Who may do what coordinators do: speak for the house.
const COORDINATORS: [Role; 1] = [Role::Coordinator];
/// Who may work on what the house is asked.
pub(super) const EVERYBODY: [Role; 2] = [Role::Coordinator, Role::Specialist];

/// What is wanted of a request to this house.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(in crate::casework) enum Command {
    Acknowledge,
    Decline,
    Prepare,
    Ask,
    AskForTime,
    Release,
    Submit,
    Withdraw,
    Assign,
}

/// What a command says besides its name.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Details {
    /// In words: a question.
    pub(crate) text: Option<String>,
    /// The own reference.
    pub(crate) reference: Option<String>,
    /// Role and unit to write to.
    pub(crate) contact: Option<Words>,
    /// Why it is declined.
    pub(crate) reason: Option<DeclineReason>,
    /// Who may be competent instead.
    pub(crate) suggestion: Option<String>,
    /// Words outside of a bundle.
    pub(crate) words: Option<Words>,
    /// Until when more time is wanted.
    pub(crate) until: Option<Date>,
    /// Why.
    pub(crate) extension_reason: Option<ExtensionReason>,
    /// Why a statement is taken back.
    pub(crate) withdraw_reason: Option<WithdrawReason>,
    /// The unit that works on it.
    pub(crate) unit: Option<String>,
    /// Who works on it.
    pub(crate) assignee: Option<String>,
    /// The number under which a statement was taken up from the folder drop.
    #[serde(skip)]
    pub(super) taken: Option<u32>,
}

impl Command {
    /// The command of this name.
    pub(in crate::casework) fn named(name: &str) -> Option<Self> {
        Some(match name {
            "acknowledge" => Self::Acknowledge,
            "decline" => Self::Decline,
            "prepare" => Self::Prepare,
            "ask" => Self::Ask,
            "ask-for-time" => Self::AskForTime,
            "release" => Self::Release,
            "submit" => Self::Submit,
            "withdraw" => Self::Withdraw,
            "assign" => Self::Assign,
            _ => return None,
        })
    }

    /// What it is to the machine; nothing where it is for this house alone. Releasing is worth something where submitting is.
    const fn act(self) -> Option<participant::Act> {
        use participant::Act;
        Some(match self {
            Self::Acknowledge => Act::Acknowledge,
            Self::Decline => Act::Decline,
            Self::Prepare => Act::Prepare,
            Self::Ask => Act::Ask,
            Self::AskForTime => Act::AskForTime,
            Self::Release | Self::Submit => Act::Submit,
            Self::Withdraw => Act::Withdraw,
            Self::Assign => return None,
        })
    }

    const fn name(self) -> &'static str {
        match self {
            Self::Acknowledge => "acknowledge",
            Self::Decline => "decline",
            Self::Prepare => "prepare",
            Self::Ask => "ask",
            Self::AskForTime => "ask-for-time",
            Self::Release => "release",
            Self::Submit => "submit",
            Self::Withdraw => "withdraw",
            Self::Assign => "assign",
        }
    }

    const fn roles(self) -> &'static [Role] {
        match self {
            Self::Acknowledge
            | Self::Decline
            | Self::AskForTime
            | Self::Submit
            | Self::Withdraw
            | Self::Assign => &COORDINATORS,
            Self::Prepare | Self::Ask | Self::Release => &EVERYBODY,
        }
    }
}

fn missing(command: Command, member: &str) -> Refused {
    Refused::invalid("member_missing", format!("{} needs {member}", command.name())).at(format!("/{member}"))
}

/// Names of what people can do with what this house is asked, as it stands.
pub(in crate::casework) fn legal(row: &RequestRow) -> Vec<&'static str> {
    let Some(machine) = row.participant() else {
        return Vec::new();
    };
    let mut legal: Vec<&'static str> = machine
        .legal()
        .into_iter()
        .filter(|name| COMMANDS.contains(name))
        .collect();
    if !row.is_guest() {
        legal.push("assign");
    }
    if machine.allows(participant::Act::Submit) && row.work.is_some() {
        legal.push("release");
    }
    legal
}

impl From<AccessError> for Refused {
    fn from(error: AccessError) -> Self {
        let status = match error {
            AccessError::NotDisclosed => http::StatusCode::NOT_FOUND,
            AccessError::ViewOnly => http::StatusCode::FORBIDDEN,
            AccessError::Revoked | AccessError::Closed => http::StatusCode::GONE,
        };
        Self::new(status, error.code(), error.to_string())
    }
}

impl Casework {
    /// Something this house is asked, that may be seen: a coordinator sees everything, a specialist what is with it or its unit.
    pub(in crate::casework) fn seen_contribution(
        &self,
        who: &Principal,
        id: &Id,
    ) -> Result<RequestRow, Refused> {
        who.needs(&[Role::Coordinator, Role::Specialist, Role::Supervisor])?;
        let row = self.request(Side::Participant, id)?;
        match sees(who, &row) {
            true => Ok(row),
            false => Err(Refused::not_found("request", id)),
        }
    }

    /// Carries out a command of a person.
    pub(in crate::casework) async fn contribution_command(
        &self,
        who: &Principal,
        id: &Id,
        version: u64,
        command: Command,
        details: Details,
    ) -> Result<RequestRow, Refused> {
        who.needs(command.roles())?;
        let _lock = self.lock(&[id]).await;
        let row = self.seen_contribution(who, id)?;
        if row.version != version {
            return Err(Refused::version(row.version, version));
        }
        let now = self.decisive_now()?;
        self.carry_out_contribution(who, row, command, &details, now)
            .await?;
        self.request(Side::Participant, id)
    }

    async fn carry_out_contribution(
        &self,
        who: &Principal,
        mut row: RequestRow,
        command: Command,
        details: &Details,
        now: Timestamp,
    ) -> Result<(), Refused> {
        use participant::Command as Wanted;
        let machine = machine_of(&row)?;
        if command.act().is_some_and(|act| !machine.allows(act)) {
            return Err(Refusal::Illegal {
                command: command.name(),
                state: row.state().name(),
                legal: legal(&row),
            }
            .into());
        }
        let mut packed = None;
        let mut step = Step::default();
        let wanted = match command {
            Command::Assign => {
                (row.unit, row.assignee) = (details.unit.clone(), details.assignee.clone());
                None
            }
            Command::Release => {
                self.release(who, &mut row)?;
                None
            }
            Command::Acknowledge => Some(Wanted::Acknowledge),
            Command::Decline => Some(Wanted::Decline(
                details.reason.ok_or_else(|| missing(command, "reason"))?,
            )),
            Command::Prepare => Some(Wanted::Prepare),
            Command::Ask => {
                let text = details.text.as_deref().ok_or_else(|| missing(command, "text"))?;
                machine.decide(&Wanted::Ask, now)?;
                packed = Some(self.text(text).await?);
                Some(Wanted::Ask)
            }
            Command::AskForTime => {
                let until = details.until.ok_or_else(|| missing(command, "until"))?;
                details
                    .extension_reason
                    .ok_or_else(|| missing(command, "extension_reason"))?;
                Some(Wanted::AskForTime { until })
            }
            Command::Submit => {
                let (submission, bundle) = self.submission(who, &mut row, now).await?;
                packed = Some(bundle);
                // In the commit that submits it, so that it is never submitted twice.
                if let (Some(number), Some(dropped)) = (details.taken, &mut row.folder) {
                    dropped.submitted = number;
                }
                Some(Wanted::Submit(submission))
            }
            Command::Withdraw => {
                details
                    .withdraw_reason
                    .ok_or_else(|| missing(command, "withdraw_reason"))?;
                Some(Wanted::Withdraw)
            }
        };
        if let Some(wanted) = wanted {
            let decision = machine_of(&row)?.decide(&wanted, now)?;
            if let Asking::Participant(machine) = &mut row.asking {
                machine.apply(&decision);
            }
            if command == Command::Acknowledge {
                row.reference.clone_from(&details.reference);
            }
            if let (Command::Decline, Some(reason)) = (command, details.reason) {
                row.declined = Some((reason, details.suggestion.clone()));
            }
            for told in decision.tell {
                self.say(
                    &mut step,
                    &mut row,
                    &told.message,
                    told.heard,
                    details,
                    packed.as_ref(),
                    now,
                )?;
            }
        }
        let name = command.name().replace('-', "_");
        let acted = json!({
            "request": row.id(), "version": row.version, "state": row.state().name(),
            "unit": row.unit, "assignee": row.assignee,
        });
        let cites = self
            .act(who, &format!("contribution_{name}"), "worker", acted)
            .await?;
        step.requests.push(row);
        step.event(&format!("contribution.{name}"), now);
        self.commit("contribution", &cites, step).await
    }

    /// Has one message of the participant sent after the commit.
    #[expect(
        clippy::too_many_arguments,
        reason = "what is said, in which order, with what, when"
    )]
    pub(super) fn say(
        &self,
        step: &mut Step,
        row: &mut RequestRow,
        message: &Message,
        heard: u32,
        details: &Details,
        packed: Option<&Packed>,
        now: Timestamp,
    ) -> Result<(), Refused> {
        let body = body_of(row, message, details, packed.map(|packed| packed.bundle))?;
        body.check()
            .map_err(|error| Refused::invalid(error.code(), error.to_string()))?;
        row.sent += 1;
        let seq = row.sent;
        if let (Some(bundle), Some(packed)) = (body.bundle(), packed) {
            let announced = Announced::new(Side::Participant, seq, body.kind().to_owned(), *bundle);
            row.bundles.push(announced);
            self.put_packed(step, row, seq, packed)?;
        }
        let words = match &body {
            Body::Acknowledge { .. } => details.contact.as_ref(),
            Body::Decline { .. } | Body::ExtensionRequest { .. } => details.words.as_ref(),
            _ => None,
        };
        let words = words.map(|words| words.text.as_str());
        self.put_words(step, row, Side::Participant, seq, words)?;
        step.out.push(self.out_row(row, body, heard, now)?);
        Ok(())
    }

    /// What is disclosed: every sheet, the newest last, each with its files. Refused once that is deleted.
    pub(in crate::casework) fn sheets(
        &self,
        row: &RequestRow,
    ) -> Result<Vec<(u32, Sheet, Vec<CaseFile>)>, Refused> {
        let mut sheets = Vec::new();
        for announced in &row.bundles {
            let is_sheet = matches!(announced.kind.as_str(), "request" | "supplement");
            if announced.side != Side::Requester || !is_sheet {
                continue;
            }
            if row.side() == Side::Participant && !announced.complete {
                continue;
            }
            let letter = self.letter(row, Side::Requester, announced.seq)?;
            if letter.document.is_empty() {
                return Err(AccessError::Closed.into());
            }
            let sheet: Sheet =
                serde_json::from_str(&letter.document).map_err(|error| Refused::internal(&error))?;
            sheets.push((announced.seq, sheet, letter.files));
        }
        Ok(sheets)
    }

    /// Opens a file that was disclosed: recorded first, then read.
    pub(in crate::casework) async fn open_disclosed(
        &self,
        who: &Principal,
        id: &Id,
        file: &str,
        wanted: Right,
    ) -> Result<CaseFile, Refused> {
        self.seen_contribution(who, id)?;
        self.disclosed_file(who, id, file, wanted).await
    }

    /// The same for somebody who may see it.
    pub(super) async fn disclosed_file(
        &self,
        who: &Principal,
        id: &Id,
        file: &str,
        wanted: Right,
    ) -> Result<CaseFile, Refused> {
        let _lock = self.lock(&[id]).await;
        let mut row = self.request(Side::Participant, id)?;
        let now = self.decisive_now()?;
        if !machine_of(&row)?.may_open(now) {
            return Err(AccessError::Closed.into());
        }
        let before = row.access.clone();
        let (_, sheet, files) = self
            .sheets(&row)?
            .into_iter()
            .rfind(|(_, sheet, _)| sheet.files.iter().any(|shown| shown.file_id == file))
            .ok_or(AccessError::NotDisclosed)?;
        row.access.open(&sheet, file, wanted, true, now)?;
        let found = files.into_iter().find(|one| one.file.file_id == file);
        let found = found.ok_or(AccessError::Revoked)?;
        let what = match wanted {
            Right::View => "look at",
            Right::Download => "copy of",
        };
        self.look(
            who,
            &format!("{what} file {file} of request {id}"),
            "participation",
        )
        .await?;
        if row.access != before {
            let cites = row.cites.clone();
            let step = Step {
                requests: vec![row],
                ..Step::default()
            };
            self.commit("opened", &cites, step).await?;
        }
        Ok(found)
    }
}

/// Whether somebody may see something that this house is asked.
pub(in crate::casework) fn sees(who: &Principal, row: &RequestRow) -> bool {
    let has = |role| who.roles.contains(&role);
    if let Some(only) = &who.only {
        return only == row.id();
    }
    // What a guest works on is the guest's until it says it; this house only hosts it.
    if row.is_guest() {
        return false;
    }
    if has(Role::Coordinator) || has(Role::Supervisor) {
        return true;
    }
    let own = row.assignee.as_deref() == Some(who.pseudonym.as_str());
    let unit = row.unit.as_deref().is_some_and(|unit| who.units.contains(unit));
    has(Role::Specialist) && (own || unit)
}

/// The machine of the participant's side.
pub(super) fn machine_of(row: &RequestRow) -> Result<&Participant, Refused> {
    match &row.asking {
        Asking::Participant(machine) => Ok(machine),
        Asking::Requester(_) => Err(Refused::internal(&"a request on the wrong side")),
    }
}

fn body_of(
    row: &RequestRow,
    message: &Message,
    details: &Details,
    bundle: Option<Bundle>,
) -> Result<Body, Refused> {
    let packed = || bundle.ok_or_else(|| Refused::internal(&"nothing was packed"));
    Ok(match message {
        Message::Acknowledge => Body::Acknowledge {
            reference: details.reference.clone(),
            contact: details.contact.clone(),
        },
        Message::Decline { reason, entered_at } => Body::Decline {
            reason: *reason,
            entered_at: *entered_at,
            suggestion: details.suggestion.clone(),
            words: details.words.clone(),
        },
        Message::Preparing => Body::Preparing,
        Message::Question => Body::Question { bundle: packed()? },
        Message::ExtensionRequest { until, entered_at } => Body::ExtensionRequest {
            until: *until,
            entered_at: *entered_at,
            reason: details.extension_reason.unwrap_or(ExtensionReason::Other),
            words: details.words.clone(),
        },
        Message::Statement {
            version,
            statement,
            entered_at,
        } => Body::Statement {
            version: *version,
            statement: *statement,
            entered_at: *entered_at,
            bundle: packed()?,
        },
        Message::WithdrawStatement { entered_at } => Body::WithdrawStatement {
            entered_at: *entered_at,
            reason: details.withdraw_reason.unwrap_or(WithdrawReason::Other),
        },
        Message::Purged { whole, complete } => Body::Purged {
            whole: *whole,
            complete: *complete,
            statement: PurgeStatement {
                node: Deleted::Done,
                // Content is not kept there.
                message_log: Deleted::NeverThere,
                folder_drop: match &row.folder {
                    None => Deleted::NeverThere,
                    Some(dropped) if dropped.stuck => Deleted::NotDone,
                    Some(_) => Deleted::Done,
                },
                instance: Deleted::NeverThere,
                archives: Deleted::NeverThere,
            },
            downloaded: row.access.downloaded(match whole {
                true => None,
                false => Some(&row.to_delete),
            }),
        },
        Message::Request(_)
        | Message::Supplement { .. }
        | Message::Answer
        | Message::ExtensionDecision { .. }
        | Message::Clock { .. }
        | Message::Deadline { .. }
        | Message::Reminder
        | Message::Inquire { .. }
        | Message::Expired(_)
        | Message::Suspended { .. }
        | Message::Resumed { .. }
        | Message::Cancelled
        | Message::Revoke { .. }
        | Message::Assessed
        | Message::Outcome
        | Message::Moved
        | Message::Void => {
            return Err(Refused::internal(&format!(
                "{} is not for the participant to say",
                message.kind()
            )));
        }
    })
}
