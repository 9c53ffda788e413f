//! Commands on transfers, of both sides. What is legal is decided by the machines of `kontor_participation::transfer`; here is what it
//! takes to get there: recipient, package, room on the disk, the case that is frozen or moves.

use http::StatusCode;
use jiff::Timestamp;
use kontor_participation::transfer::delivery::{
    AnswerCode, Body, Deleted, PurgeStatement, QuestionCode, RecallReason, Words,
};
use kontor_participation::transfer::message::Message;
use kontor_participation::transfer::offer::{Hop, Id, Outcome};
use kontor_participation::transfer::{RefusalReason, Responsibility, receiver, sender};
use serde_json::json;

use super::row::{CaseRow, Export, Machine, TransferRow};
use super::{Casework, Principal, Refused, Step};
use crate::config::casework::Role;
use crate::messagelog::VaultPart;

mod receive;

/// Who works on transfers.
pub(super) const WORKERS: [Role; 2] = [Role::Worker, Role::Supervisor];
/// Instants between the two clocks that are shown, in seconds.
pub(super) const APART: i64 = 60;

/// Names of the commands of people; what else the machines decide is the node's own to do.
pub(crate) const COMMANDS: [&str; 15] = [
    "withdraw",
    "expire",
    "send-package",
    "reclaim",
    "give-up-waiting",
    "recall",
    "answer",
    "accept",
    "refuse",
    "dispute",
    "query",
    "take-over",
    "lapse",
    "answer-recall",
    "tell-number",
];

/// What is wanted of a transfer.
#[derive(Debug)]
pub(crate) enum Command {
    Withdraw,
    Expire,
    SendPackage,
    Reclaim,
    GiveUpWaiting,
    Recall(RecallReason),
    Answer(AnswerCode, Option<Words>),
    Accept,
    Refuse {
        reason: RefusalReason,
        suggestion: Option<String>,
        words: Option<Words>,
    },
    Dispute(Option<Words>),
    Query(QuestionCode, Option<Words>),
    TakeOver,
    Lapse,
    AnswerRecall {
        purged: bool,
    },
    TellNumber(String),
    Purged,
}

impl Command {
    pub(crate) const fn name(&self) -> &'static str {
        match self {
            Self::Withdraw => "withdraw",
            Self::Expire => "expire",
            Self::SendPackage => "send-package",
            Self::Reclaim => "reclaim",
            Self::GiveUpWaiting => "give-up-waiting",
            Self::Recall(_) => "recall",
            Self::Answer(..) => "answer",
            Self::Accept => "accept",
            Self::Refuse { .. } => "refuse",
            Self::Dispute(_) => "dispute",
            Self::Query(..) => "query",
            Self::TakeOver => "take-over",
            Self::Lapse => "lapse",
            Self::AnswerRecall { .. } => "answer-recall",
            Self::TellNumber(_) => "tell-number",
            Self::Purged => "purge",
        }
    }

    /// The command of the other side's people, if it is theirs.
    fn for_sender(&self, until: Timestamp) -> Option<sender::Command> {
        Some(match self {
            Self::Withdraw => sender::Command::Withdraw,
            Self::Expire => sender::Command::Expire,
            Self::SendPackage => sender::Command::SendPackage {
                take_over_until: until,
            },
            Self::Reclaim => sender::Command::Reclaim,
            Self::GiveUpWaiting => sender::Command::GiveUpWaiting,
            Self::Recall(_) => sender::Command::Recall,
            Self::Answer(..) => sender::Command::Answer,
            Self::Purged => sender::Command::Purge,
            Self::Accept
            | Self::Refuse { .. }
            | Self::Dispute(_)
            | Self::Query(..)
            | Self::TakeOver
            | Self::Lapse
            | Self::AnswerRecall { .. }
            | Self::TellNumber(_) => return None,
        })
    }

    fn for_receiver(&self) -> Option<receiver::Command> {
        Some(match self {
            Self::Accept => receiver::Command::Accept,
            Self::Refuse { reason, .. } => receiver::Command::Refuse(*reason),
            Self::Dispute(_) => receiver::Command::Dispute,
            Self::Query(..) => receiver::Command::Query,
            Self::TakeOver => receiver::Command::TakeOver,
            Self::Lapse => receiver::Command::Lapse,
            Self::AnswerRecall { purged } => receiver::Command::AnswerRecall { purged: *purged },
            Self::TellNumber(_) => receiver::Command::TellNumber,
            Self::Withdraw
            | Self::Expire
            | Self::SendPackage
            | Self::Reclaim
            | Self::GiveUpWaiting
            | Self::Recall(_)
            | Self::Purged
            | Self::Answer(..) => return None,
        })
    }
}

fn other_side(command: &str, machine: &Machine) -> Refused {
    let party = machine.party().name();
    let detail = format!("{command} is for the other side of the transfer; this node is its {party}");
    Refused::conflict("illegal_for_state", detail).legal(machine.legal())
}

impl Casework {
    /// A transfer that may be seen.
    pub(crate) fn seen_transfer(&self, who: &Principal, id: &Id) -> Result<TransferRow, Refused> {
        who.reads()?;
        let transfer = self.transfer(id)?;
        match who.sees(transfer.unit.as_deref()) {
            true => Ok(transfer),
            false => Err(Refused::not_found("transfer", id)),
        }
    }

    /// Carries out a command on a transfer.
    pub(crate) async fn transfer_command(
        &self,
        who: &Principal,
        id: &Id,
        version: u64,
        command: Command,
    ) -> Result<TransferRow, Refused> {
        who.needs(&WORKERS)?;
        let before = self.seen_transfer(who, id)?;
        let ids: Vec<&Id> = std::iter::once(id).chain(before.case.as_ref()).collect();
        let _lock = self.lock(&ids).await;
        let transfer = self.seen_transfer(who, id)?;
        if transfer.version != version {
            return Err(Refused::version(transfer.version, version));
        }
        let now = self.decisive_now()?;
        self.carry_out(who, transfer, command, now).await?;
        self.transfer(id)
    }

    /// The same where the locks are held already.
    pub(super) async fn carry_out(
        &self,
        who: &Principal,
        mut transfer: TransferRow,
        command: Command,
        now: Timestamp,
    ) -> Result<(), Refused> {
        let name = command.name();
        let until = transfer.offer.take_over_until;
        let tell = match &transfer.machine {
            Machine::Sender(machine) => {
                let command = command
                    .for_sender(until)
                    .ok_or_else(|| other_side(name, &transfer.machine))?;
                let decision = machine.decide(command, now)?;
                let mut machine = machine.clone();
                machine.apply(&decision);
                transfer.machine = Machine::Sender(machine);
                decision.tell
            }
            Machine::Receiver(machine) => {
                let command = command
                    .for_receiver()
                    .ok_or_else(|| other_side(name, &transfer.machine))?;
                let decision = machine.decide(command, now)?;
                let mut machine = machine.clone();
                machine.apply(&decision);
                transfer.machine = Machine::Receiver(machine);
                decision.tell
            }
        };
        if matches!(command, Command::Accept) {
            self.has_room(transfer.offer.octets)?;
        }
        if matches!(command, Command::AnswerRecall { purged: true }) {
            // What is told as deleted is: a hold refuses it, and then nothing is told.
            self.purge_recalled(who, &transfer, now).await?;
        }
        let mut case = transfer.case.as_ref().map(|case| self.case(case)).transpose()?;
        let body = match tell {
            None => None,
            Some(message) => Some(self.body_of(message, &mut transfer, &command, case.as_ref(), now)?),
        };
        if let Some(body) = &body {
            body.check()
                .map_err(|error| Refused::invalid(error.code(), error.to_string()))?;
        }
        if let Some(case) = &mut case {
            self.settle_case(case, &transfer, now);
        }
        let details = json!({
            "transfer": transfer.id, "case": transfer.case, "version": transfer.version,
            "state": transfer.machine.state(), "responsibility": transfer.machine.responsibility(),
        });
        let cites = self.act(who, name, "worker", details).await?;
        let mut step = Step::default();
        if let Some(body) = body {
            step.tell(&mut transfer, body, now, self.test);
        }
        if matches!(command, Command::Reclaim) {
            transfer.reclaimed_at = Some(now);
        }
        step.case = case;
        step.transfer = Some(transfer);
        step.event(&format!("transfer.{}", name.replace('-', "_")), now);
        self.commit(name, &cites, step).await
    }

    /// Deletes what lies here of an application that was called back.
    async fn purge_recalled(
        &self,
        who: &Principal,
        transfer: &TransferRow,
        now: Timestamp,
    ) -> Result<(), Refused> {
        match &transfer.case {
            Some(case) => {
                let case = self.case(case)?;
                if case.purged_at.is_none() {
                    self.purge(who, case, "recalled", now).await?;
                }
            }
            None => {
                if let Some(subject) = transfer.subject {
                    self.vault.forget(VaultPart::Content, subject)?;
                }
                // The parts themselves are swept with what ended.
            }
        }
        Ok(())
    }

    fn has_room(&self, octets: u64) -> Result<(), Refused> {
        let (free, needed) = (self.vault.room()?, octets.saturating_mul(2));
        match free >= needed {
            true => Ok(()),
            false => {
                let detail = format!("the package has {octets} octets, {needed} have to be free, {free} are");
                Err(Refused::new(StatusCode::INSUFFICIENT_STORAGE, "disk_low", detail)
                    .hint("make room on the disk of the node, or accept it later"))
            }
        }
    }

    /// The body of a message that a machine wants to be sent.
    fn body_of(
        &self,
        message: Message,
        transfer: &mut TransferRow,
        command: &Command,
        case: Option<&CaseRow>,
        now: Timestamp,
    ) -> Result<Body, Refused> {
        let statement = |purged: bool| {
            let done = if purged { Deleted::Done } else { Deleted::NotDone };
            PurgeStatement {
                node: done,
                // Content is not kept there.
                message_log: Deleted::NeverThere,
                folder_drop: Deleted::NeverThere,
                instance: match case.and_then(|case| case.export.as_ref()) {
                    None => Deleted::NeverThere,
                    Some(_) => Deleted::NotDone,
                },
                archives: Deleted::NeverThere,
            }
        };
        Ok(match (message, command) {
            (Message::Withdraw, _) => Body::Withdraw,
            (Message::Expire, _) => Body::Expire,
            (Message::Accept, _) => Body::Accept {
                standing_rule: transfer.standing_rule.clone(),
            },
            (
                Message::Refuse { reason },
                Command::Refuse {
                    suggestion, words, ..
                },
            ) => Body::Refuse {
                reason,
                suggestion: suggestion.clone(),
                words: words.clone(),
            },
            (Message::Refuse { reason }, _) => Body::Refuse {
                reason,
                suggestion: None,
                words: None,
            },
            (Message::Dispute, Command::Dispute(words)) => Body::Dispute { words: words.clone() },
            (Message::Dispute, _) => Body::Dispute { words: None },
            (Message::Package { take_over_until }, _) => Body::Package {
                take_over_until,
                bundle: transfer
                    .bundle
                    .ok_or_else(|| Refused::internal(&"a sender without a package"))?,
            },
            (Message::TakenOver { at }, _) => {
                transfer.take_over_known_at = Some(now);
                let case = case.ok_or_else(|| Refused::internal(&"a take-over without a case"))?;
                let record = self.record(case)?;
                transfer.number = Some(record.number.clone());
                Body::TakenOver {
                    at,
                    manifest: transfer.offer.manifest,
                    case_number: record.number,
                }
            }
            (Message::Reclaim, _) => Body::Reclaim,
            (Message::Recall, Command::Recall(reason)) => {
                transfer.recalled = Some(*reason);
                Body::Recall { reason: *reason }
            }
            (Message::RecallResult { purged }, _) => {
                let statement = statement(purged);
                transfer.our_purge = Some(statement);
                Body::RecallResult { purged, statement }
            }
            (Message::Query, Command::Query(question, words)) => {
                transfer.questions.push(super::row::Asked {
                    question: *question,
                    words: words.clone(),
                    at: now,
                    answer: None,
                });
                Body::Query {
                    question: *question,
                    words: words.clone(),
                }
            }
            (Message::Answer, Command::Answer(answer, words)) => {
                let open = transfer.questions.iter_mut().find(|asked| asked.answer.is_none());
                let open = open.ok_or_else(|| {
                    Refused::conflict("no_question", "nothing was asked that is not answered")
                })?;
                open.answer = Some((*answer, words.clone(), now));
                Body::Answer {
                    answer: *answer,
                    words: words.clone(),
                }
            }
            (Message::Number, Command::TellNumber(number)) => Body::Number {
                case_number: number.clone(),
            },
            (Message::Purged, _) => {
                let statement = statement(true);
                transfer.our_purge = Some(statement);
                Body::Purged { statement }
            }
            (
                Message::Offer(_)
                | Message::ImportResult { .. }
                | Message::Recall
                | Message::Query
                | Message::Answer
                | Message::LateItem
                | Message::Number,
                _,
            ) => {
                return Err(Refused::internal(&format!(
                    "{} is not told by {}",
                    message.kind(),
                    command.name()
                )));
            }
        })
    }

    /// Brings a case to where its transfer stands.
    pub(super) fn settle_case(&self, case: &mut CaseRow, transfer: &TransferRow, now: Timestamp) {
        if case.transfer.as_ref() != Some(&transfer.id) {
            return;
        }
        let before = case.responsibility;
        case.responsibility = transfer.machine.responsibility();
        match &transfer.machine {
            Machine::Sender(machine) => {
                let outcome = match machine.state() {
                    sender::State::TakenOver(_) | sender::State::Closed(_) => Some(Outcome::TakenOver),
                    sender::State::Refused(reason) => Some(Outcome::Refused { reason }),
                    sender::State::Expired => Some(Outcome::Expired),
                    sender::State::Disputed => Some(Outcome::Disputed),
                    sender::State::Draft
                    | sender::State::Offered
                    | sender::State::Accepted
                    | sender::State::PackageSent
                    | sender::State::Imported
                    | sender::State::Withdrawn
                    | sender::State::Reclaiming
                    | sender::State::Unconfirmed(_)
                    | sender::State::Reclaimed
                    | sender::State::Recalling
                    | sender::State::Recalled { .. }
                    | sender::State::Copied => None,
                };
                if let Some(outcome) = outcome
                    && !case.hops.iter().any(|hop| hop.transfer_id == transfer.id)
                {
                    let member = transfer
                        .peer
                        .rsplit_once('/')
                        .map_or(transfer.peer.as_str(), |(member, _)| member);
                    case.hops.push(Hop {
                        member: member.to_owned(),
                        transfer_id: transfer.id.clone(),
                        outcome,
                    });
                }
                if case.responsibility == Responsibility::Theirs
                    && case.delete_at.is_none()
                    && case.purged_at.is_none()
                {
                    case.delete_at = now.checked_add(self.settings.clocks.grace).ok();
                }
            }
            Machine::Receiver(_) => {
                let ours = matches!(
                    case.responsibility,
                    Responsibility::Mine | Responsibility::TheirsDelegated
                );
                if ours && before == Responsibility::Theirs {
                    // Whoever is offered it next sees that it has been here.
                    case.hops.push(Hop {
                        member: self.own().member().to_string(),
                        transfer_id: transfer.id.clone(),
                        outcome: Outcome::TakenOver,
                    });
                    case.export = self.settings.instance.as_ref().map(|_| Export::Wanted);
                }
            }
        }
    }
}
