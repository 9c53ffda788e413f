//! Commands on cases. Each is an act in the message log first and a transaction then, and none is taken while a transfer has the
//! case frozen.

use http::StatusCode;
use jiff::Timestamp;
use jiff::civil::Date;
use kontor_participation::case::{Command, Next};
use kontor_participation::transfer::Responsibility;
use kontor_participation::transfer::dossier::Done;
use kontor_participation::transfer::offer::Id;
use serde_json::json;

use super::files::pack_key;
use super::row::{CaseContent, CaseRow, Comment, Decided, FollowUp, Machine};
use super::{Casework, Held, Principal, Refused, Step};
use crate::config::casework::Role;
use crate::messagelog::VaultPart;

/// Who may do what people who work on cases do.
pub(super) const WORKERS: [Role; 2] = [Role::Worker, Role::Supervisor];
/// Acts of a case that are kept beside it; all of them are in the log.
const MAX_HISTORY: usize = 200;
/// Characters of a comment or a follow-up.
const MAX_TEXT: usize = 4000;

/// What a case's people may want besides moving it from state to state.
#[derive(Debug)]
pub(crate) enum Change {
    /// Who works on it.
    Assign {
        unit: Option<String>,
        assignee: Option<String>,
    },
    /// Aktenzeichen.
    Reference(String),
    /// A comment, and whether it goes with the application.
    Comment { text: String, travels: bool },
    /// A follow-up.
    FollowUp { date: Date, text: String },
    /// A follow-up is done.
    FollowUpDone(String),
    /// Something that was found does not hold it back any more.
    Release { finding: usize, ground: String },
    /// It is not to be deleted.
    Hold { ground: String },
    /// It may be again.
    Unhold,
    /// Its region, which decides who is competent.
    Region(String),
}

impl Change {
    const fn name(&self) -> &'static str {
        match self {
            Self::Assign { .. } => "assign",
            Self::Reference(_) => "reference",
            Self::Comment { .. } => "comment",
            Self::FollowUp { .. } => "follow_up",
            Self::FollowUpDone(_) => "follow_up_done",
            Self::Release { .. } => "release",
            Self::Hold { .. } => "hold",
            Self::Unhold => "unhold",
            Self::Region(_) => "region",
        }
    }

    const fn roles(&self) -> &'static [Role] {
        match self {
            Self::Release { .. } => &[Role::Releaser],
            Self::Hold { .. } | Self::Unhold => &[Role::DataProtection],
            Self::Assign { .. }
            | Self::Reference(_)
            | Self::Comment { .. }
            | Self::FollowUp { .. }
            | Self::FollowUpDone(_)
            | Self::Region(_) => &WORKERS,
        }
    }
}

/// Whether the case may be acted on now.
pub(super) fn may_act(who: &Principal, case: &CaseRow) -> Result<(), Refused> {
    let by = case
        .transfer
        .as_ref()
        .map(ToString::to_string)
        .unwrap_or_default();
    match case.responsibility {
        Responsibility::Mine | Responsibility::TheirsDelegated => Ok(()),
        Responsibility::MineFrozen | Responsibility::MineDelegated => Err(Refused::conflict(
            "frozen",
            format!("the case is frozen by the transfer {by} until that has an outcome"),
        )
        .hint("withdraw the transfer, or wait for the other side")),
        Responsibility::Unconfirmed if who.roles.contains(&Role::Supervisor) => Ok(()),
        Responsibility::Unconfirmed => Err(Refused::new(
            StatusCode::FORBIDDEN,
            "unconfirmed",
            format!(
                "whether the other side has taken the case over in {by} is not known; only a supervisor acts on it"
            ),
        )),
        Responsibility::Theirs => Err(Refused::conflict(
            "not_responsible",
            "another authority is responsible for the case",
        )),
    }
}

fn text(text: String) -> Result<String, Refused> {
    match text.chars().count() {
        1..=MAX_TEXT => Ok(text),
        _ => {
            Err(Refused::invalid("text_length", format!("1 to {MAX_TEXT} characters are wanted")).at("/text"))
        }
    }
}

impl Casework {
    /// A case that may be seen.
    pub(crate) fn seen_case(&self, who: &Principal, id: &Id) -> Result<CaseRow, Refused> {
        who.reads()?;
        let case = self.case(id)?;
        match who.sees(case.unit.as_deref()) {
            true => Ok(case),
            false => Err(Refused::not_found("case", id)),
        }
    }

    pub(super) fn matching(&self, who: &Principal, id: &Id, version: u64) -> Result<CaseRow, Refused> {
        let case = self.seen_case(who, id)?;
        match case.version == version {
            true => Ok(case),
            false => Err(Refused::version(case.version, version)),
        }
    }

    /// Moves a case from state to state.
    pub(crate) async fn command(
        &self,
        who: &Principal,
        id: &Id,
        version: u64,
        command: Command,
    ) -> Result<CaseRow, Refused> {
        who.needs(&WORKERS)?;
        let _lock = self.lock(&[id]).await;
        let mut case = self.matching(who, id, version)?;
        let now = self.decisive_now()?;
        may_act(who, &case)?;
        let next = case.status.decide(command)?;
        match next {
            Next::Status(status) => {
                case.status = status;
                case.status_since = now;
                if case.history.len() == MAX_HISTORY {
                    case.history.remove(0);
                }
                case.history.push(Done {
                    at: now,
                    command: command.name().to_owned(),
                    role: who.acts_as().to_owned(),
                    unit: case.unit.clone(),
                    to: Some(status.name().to_owned()),
                });
                let details = json!({ "case": id, "version": version, "status": status });
                let cites = self.act(who, command.name(), "worker", details).await?;
                let mut step = Step {
                    case: Some(case),
                    ..Step::default()
                };
                step.event("case.status", now);
                self.commit(command.name(), &cites, step).await?;
            }
            Next::Gone if case.open_round => {
                let detail = "a round of participation is open, and those who are asked wait for its outcome";
                return Err(
                    Refused::conflict("open_round", detail).hint("conclude or cancel the round first")
                );
            }
            Next::Gone => {
                self.purge(who, case, "deleted by its people", now).await?;
            }
        }
        self.case(id)
    }

    /// Changes something else of a case.
    pub(crate) async fn change(
        &self,
        who: &Principal,
        id: &Id,
        version: u64,
        change: Change,
    ) -> Result<CaseRow, Refused> {
        who.needs(change.roles())?;
        let moved = match &change {
            Change::Assign { .. } => self.asked_of(&self.seen_case(who, id)?)?,
            _ => Vec::new(),
        };
        let ids: Vec<&Id> = std::iter::once(id).chain(&moved).collect();
        let _lock = self.lock(&ids).await;
        let mut case = self.matching(who, id, version)?;
        let now = self.decisive_now()?;
        let name = change.name();
        let mut content = None;
        let mut step = Step::default();
        let mut details = json!({ "case": id, "version": version });
        match change {
            Change::Assign { unit, assignee } => {
                details["unit"] = json!(unit);
                details["assignee"] = json!(assignee);
                case.unit = unit;
                case.assignee = assignee;
                if self.asked_of(&case)? != moved {
                    return Err(Refused::changed("case"));
                }
                self.follow_case(&mut step, &case)?;
            }
            Change::Reference(reference) => {
                may_act(who, &case)?;
                let mut record = self.record(&case)?;
                record.file_reference = Some(text(reference)?);
                case.record = self.seal(VaultPart::Record, case.subject, &record)?;
            }
            Change::Comment { text: words, travels } => {
                let mut inner: CaseContent = self.content(&case)?;
                inner.comments.push(Comment {
                    by: who.pseudonym.clone(),
                    at: now,
                    role: who.acts_as().to_owned(),
                    text: text(words)?,
                    travels,
                });
                content = Some(self.seal(VaultPart::Content, case.subject, &inner)?);
            }
            Change::FollowUp { date, text: words } => {
                let mut inner: CaseContent = self.content(&case)?;
                let follow_up = uuid::Uuid::new_v4().to_string();
                inner.follow_ups.push((follow_up.clone(), text(words)?));
                content = Some(self.seal(VaultPart::Content, case.subject, &inner)?);
                case.follow_ups.push(FollowUp {
                    id: follow_up,
                    date,
                    done: false,
                });
            }
            Change::FollowUpDone(follow_up) => {
                let found = case.follow_ups.iter_mut().find(|it| it.id == follow_up);
                let found = found.ok_or_else(|| {
                    Refused::new(StatusCode::NOT_FOUND, "not_found", "there is no such follow-up")
                })?;
                found.done = true;
            }
            Change::Release { finding, ground } => {
                if case.assignee.as_deref() == Some(who.pseudonym.as_str()) {
                    return Err(Refused::new(
                        StatusCode::FORBIDDEN,
                        "second_person",
                        "what was found is released by a second person, not by who works on the case",
                    ));
                }
                let found = case.findings.get_mut(finding).ok_or_else(|| {
                    Refused::new(StatusCode::NOT_FOUND, "not_found", "there is no such finding")
                })?;
                details["finding"] = json!(found.code);
                found.released = Some(Decided {
                    by: who.pseudonym.clone(),
                    at: now,
                    ground: text(ground)?,
                });
            }
            Change::Hold { ground } => {
                case.hold = Some(Decided {
                    by: who.pseudonym.clone(),
                    at: now,
                    ground: text(ground)?,
                });
            }
            Change::Unhold => case.hold = None,
            Change::Region(region) => {
                may_act(who, &case)?;
                let region: kontor_participation::competence::Region =
                    region
                        .parse()
                        .map_err(|error: kontor_participation::competence::KeyError| {
                            Refused::invalid(error.code(), error.to_string()).at("/region")
                        })?;
                details["region"] = json!(region.to_string());
                case.region = Some(region.to_string());
            }
        }
        let cites = self.act(who, name, "worker", details).await?;
        step.content = content.map(|sealed| (id.clone(), Some(sealed)));
        step.case = Some(case);
        step.event(&format!("case.{name}"), now);
        self.commit(name, &cites, step).await?;
        self.case(id)
    }

    /// Deletes the content of a case for good: the entry first, then the key, then rows and files. Its record stays as long as the
    /// receipts do.
    pub(super) async fn purge(
        &self,
        who: &Principal,
        mut case: CaseRow,
        ground: &str,
        now: Timestamp,
    ) -> Result<(), Refused> {
        if let Some(hold) = &case.hold {
            let detail = format!("the case is held against deletion since {}", hold.at);
            return Err(
                Refused::conflict("on_hold", detail).hint("the data-protection officer releases the hold")
            );
        }
        let files = match self.content(&case) {
            Ok(content) => content.files,
            // Its key is gone already: what is left are names in a directory, which the next start sweeps.
            Err(refused) if refused.code == "purged" => Vec::new(),
            Err(refused) => return Err(refused),
        };
        let mut step = Step {
            files: files.iter().map(|file| Held::dropped(&file.kept)).collect(),
            ..Step::default()
        };
        self.drop_packed(&case, &mut step);
        let of_rounds = self.drop_rounds(&case, &mut step)?;
        let details = json!({ "case": case.id, "files": files.len() });
        let cites = self.act(who, "purge", ground, details).await?;
        self.vault.forget(VaultPart::Content, case.subject)?;
        for kept in files.iter().map(|file| &file.kept).chain(&of_rounds) {
            self.vault.remove(kept)?;
        }
        case.purged_at = Some(now);
        case.delete_at = None;
        case.follow_ups.clear();
        step.content = Some((case.id.clone(), None));
        step.case = Some(case);
        step.event("case.purged", now);
        self.commit("purge", &cites, step).await
    }

    /// What was packed of a case for its transfer; it goes with the content.
    fn drop_packed(&self, case: &CaseRow, step: &mut Step) {
        let transfer = case.transfer.as_ref().and_then(|id| self.transfer(id).ok());
        let Some(transfer) = transfer.filter(|row| matches!(row.machine, Machine::Sender(_))) else {
            return;
        };
        // Where the key is gone already only rows are left.
        let form = self.pack(&transfer, None).unwrap_or_default();
        step.files
            .extend(form.files.iter().take(form.anew).map(Held::dropped));
        step.packs.push((pack_key(&transfer.id, None), None));
        for place in 0..transfer.late.len() {
            let pack = self.pack(&transfer, Some(place)).unwrap_or_default();
            step.files.extend(pack.files.iter().map(Held::dropped));
            step.packs.push((pack_key(&transfer.id, Some(place)), None));
        }
    }
}
