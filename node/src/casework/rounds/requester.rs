//! Commands on requests of this house: decided by the machine, told in its order, each with what belongs to it.

mod command;
mod weigh;

pub(in crate::casework) use self::command::{COMMANDS, Command, Details, legal};
use self::command::{fits, illegal, may_be_recorded, missing};

use jiff::Timestamp;
use kontor_participation::calendar::HolidayTable;
use kontor_participation::round::delivery::{Body, CancelReason, RevokeReason, Sent, Side};
use kontor_participation::round::disclosure::FilePart;
use kontor_participation::round::disclosure::sheet::Cover;
use kontor_participation::round::message::{Message, Told};
use kontor_participation::round::profile::Text;
use kontor_participation::round::release::{Actor, Cleared, Draft, ReleaseError};
use kontor_participation::round::requester::{self, Delivery, Proof, ProofLevel, Requester};
use kontor_participation::transfer::delivery::Bundle;
use kontor_participation::transfer::offer::Id;
use serde_json::json;

use super::super::cases::{WORKERS, may_act};
use super::super::row::{OutRow, OutState, Process};
use super::super::{Casework, Principal, Refused, Step, Table};
use super::letters::{Letter, Packed};
use super::row::{Announced, Asking, RequestRow};
use crate::config::casework::Role;

/// Characters of an answer.
const MAX_TEXT: usize = 200_000;

impl Casework {
    pub(in crate::casework) fn request(&self, side: Side, id: &Id) -> Result<RequestRow, Refused> {
        let process = Process::Request(side, id.clone());
        let row = self.store.get(Table::Requests, &process.key())?;
        row.ok_or_else(|| Refused::not_found("request", id))
    }

    /// A request of this house that may be seen.
    pub(in crate::casework) fn seen_request(&self, who: &Principal, id: &Id) -> Result<RequestRow, Refused> {
        who.reads()?;
        let row = self.request(Side::Requester, id)?;
        match who.sees(row.unit.as_deref()) {
            true => Ok(row),
            false => Err(Refused::not_found("request", id)),
        }
    }

    /// Carries out a command of a person.
    pub(in crate::casework) async fn request_command(
        &self,
        who: &Principal,
        id: &Id,
        version: u64,
        command: Command,
        details: Details,
    ) -> Result<RequestRow, Refused> {
        match command {
            Command::Approve => who.needs(&[Role::Releaser])?,
            _ => who.needs(&WORKERS)?,
        }
        let seen = self.seen_request(who, id)?;
        let ids: Vec<&Id> = [id, &seen.body.round_id]
            .into_iter()
            .chain(seen.case.as_ref())
            .collect();
        let _lock = self.lock(&ids).await;
        let row = self.seen_request(who, id)?;
        if row.version != version {
            return Err(Refused::version(row.version, version));
        }
        let now = self.decisive_now()?;
        if let Some(case) = &row.case {
            may_act(who, &self.case(case)?)?;
        }
        self.carry_out_request(who, row, command, &details, now).await?;
        self.request(Side::Requester, id)
    }

    /// The same where the locks are held already.
    pub(super) async fn carry_out_request(
        &self,
        who: &Principal,
        mut row: RequestRow,
        command: Command,
        details: &Details,
        now: Timestamp,
    ) -> Result<(), Refused> {
        if command == Command::Approve {
            row = self.approved(row, who.actor())?;
        }
        let round = self.round(&row.body.round_id)?;
        fits(&row, command)?;
        if command == Command::Send && round.round.state() != kontor_participation::round::life::State::Open {
            let detail = "the round is not open; opening it sends its requests, and those that are prepared later are sent then";
            return Err(Refused::conflict("round_not_open", detail).hint("open the round"));
        }
        let (id, version) = (row.id().clone(), row.version);
        let (peer, process) = (row.peer.clone(), row.process());
        let mut step = Step::default();
        let row = self.follow_request(&mut step, row, command, details, now).await?;
        let acted = json!({
            "request": id, "round": row.body.round_id, "case": row.case, "version": version, "state": row.state().name(),
        });
        let name = command.name();
        let cites = self
            .act(
                who,
                &format!("request_{}", name.replace('-', "_")),
                "worker",
                acted,
            )
            .await?;
        step.requests.push(row);
        step.event(&format!("request.{}", name.replace('-', "_")), now);
        self.commit("request", &cites, step).await?;
        if command == Command::RecordDelivery {
            // What waited for the delivery goes now, with what follows from it.
            self.outbox.queue(&peer, &process);
        }
        Ok(())
    }

    /// Releases a request as it is: by another person than who prepared it.
    fn approved(&self, mut row: RequestRow, by: Actor) -> Result<RequestRow, Refused> {
        let machine = machine_of(&row)?;
        if !machine.allows(requester::Act::Send) {
            return Err(illegal(&row, "approve"));
        }
        let drafted = row.drafted_by.iter();
        if !by.is_second_pair_to(drafted) {
            return Err(ReleaseError::SecondPair("this request").into());
        }
        row.approved_by = Some(by);
        Ok(row)
    }

    fn cleared(&self, row: &RequestRow) -> Result<Cleared, Refused> {
        let choice = self.choice(row)?;
        let draft = Draft {
            terms: &row.body.terms,
            flags: row.body.flags,
            level: row.body.proof_level,
            purpose: &choice.disclosure.purpose,
            legal_basis: &choice.disclosure.legal_basis,
        };
        let by = row
            .drafted_by
            .clone()
            .ok_or_else(|| Refused::internal(&"a request that nobody prepared"))?;
        Ok(draft.clear(by, row.approved_by.clone())?)
    }

    fn cover(&self, row: &RequestRow) -> Result<Cover, Refused> {
        let round = self.round(&row.body.round_id)?;
        let words = self.round_words(&round)?;
        let profile = self.settings.participation.profiles.recorded(&row.body.profile)?;
        let silence = profile
            .silence
            .iter()
            .find(|silence| silence.effect == row.body.terms.effect)
            .ok_or_else(|| Refused::internal(&"an effect without a sentence"))?;
        Ok(Cover {
            question: words.question,
            profile: row.body.profile.clone(),
            profile_name: profile.name.clone(),
            silence: Text {
                de: silence.de.clone(),
                en: silence.en.clone(),
            },
            topics: words.topics,
            contact: words.contact,
        })
    }

    /// Decides a command and says what follows from it; the row as it is then.
    pub(super) async fn follow_request(
        &self,
        step: &mut Step,
        mut row: RequestRow,
        command: Command,
        details: &Details,
        now: Timestamp,
    ) -> Result<RequestRow, Refused> {
        use requester::Command as Wanted;
        fits(&row, command)?;
        let table = HolidayTable::built_in();
        let (mut packed, mut assessment) = (None, None);
        let wanted = match command {
            Command::Approve => return Ok(row),
            Command::RecordDelivery => return self.delivery_recorded(step, row, details, now),
            Command::Send => {
                let cleared = self.cleared(&row)?;
                // What is not possible is said before anything is packed.
                let wanted = Wanted::Send(cleared);
                machine_of(&row)?.decide(wanted.clone(), now, table)?;
                let case = row
                    .case
                    .clone()
                    .ok_or_else(|| Refused::internal(&"a request without a case"))?;
                let content = self.content(&self.case(&case)?)?;
                let choice = self.choice(&row)?;
                let bundle = self
                    .disclosed(&choice.disclosure, &content, self.cover(&row)?)
                    .await?;
                row.body.bundle = bundle.bundle;
                packed = Some(bundle);
                wanted
            }
            Command::Drop => Wanted::Drop,
            Command::Supplement => {
                packed = Some(self.supplement(&row, details).await?);
                Wanted::Supplement {
                    restarts: details.restarts,
                }
            }
            Command::Answer => {
                let text = details.text.as_deref().ok_or_else(|| missing(command, "text"))?;
                packed = Some(self.text(text).await?);
                Wanted::Answer
            }
            Command::DecideExtension => Wanted::DecideExtension {
                granted: match details.granted.ok_or_else(|| missing(command, "granted"))? {
                    true => Some(details.rule.ok_or_else(|| missing(command, "rule"))?),
                    false => None,
                },
            },
            Command::Extend => Wanted::Extend(details.rule.ok_or_else(|| missing(command, "rule"))?),
            Command::StopClock => Wanted::StopClock,
            Command::ContinueClock => Wanted::ContinueClock,
            Command::StateDeadline => {
                Wanted::StateDeadline(details.end.ok_or_else(|| missing(command, "end"))?)
            }
            Command::Remind => Wanted::Remind,
            Command::Inquire => Wanted::Inquire,
            Command::Expire => Wanted::Expire,
            Command::ExpireUnanswered => Wanted::ExpireUnanswered,
            Command::Suspend => Wanted::Suspend,
            Command::Resume => Wanted::Resume,
            Command::Cancel => Wanted::Cancel,
            Command::Revoke => {
                details.reason.ok_or_else(|| missing(command, "reason"))?;
                Wanted::Revoke
            }
            Command::RevokeFiles => {
                details.reason.ok_or_else(|| missing(command, "reason"))?;
                self.are_disclosed(&row, &details.files)?;
                Wanted::RevokeFiles
            }
            Command::Assess => {
                assessment = Some(self.assessed(&row, details)?);
                Wanted::Assess
            }
            Command::Notify => {
                packed = Some(self.outcome(&row, details).await?);
                Wanted::Notify
            }
            Command::Escalate(escalation) => {
                row.notices.insert(escalation.name().to_owned());
                Wanted::Escalate(escalation)
            }
        };
        let decision = machine_of(&row)?.decide(wanted, now, table)?;
        let tell = row.decided(&decision);
        if command == Command::RevokeFiles {
            row.access.revoke(details.files.iter().map(String::as_str));
        }
        self.tell(step, &mut row, tell, details, packed.as_ref(), now)?;
        if let Some(document) = assessment {
            // What was decided is kept beside the note that it was; it travels with the outcome.
            let letter = Letter {
                document,
                ..Letter::default()
            };
            let seq = row.sent;
            self.put_paper(step, &row, Side::Requester, seq, &letter)?;
        }
        Ok(row)
    }

    /// Has messages sent after the commit; what was packed goes with the first.
    pub(super) fn tell(
        &self,
        step: &mut Step,
        row: &mut RequestRow,
        tell: Vec<Told>,
        details: &Details,
        packed: Option<&Packed>,
        now: Timestamp,
    ) -> Result<(), Refused> {
        let mut packed = packed;
        for told in tell {
            let body = body_of(row, &told.message, details, packed.map(|packed| packed.bundle))?;
            body.check()
                .map_err(|error| Refused::invalid(error.code(), error.to_string()))?;
            row.sent += 1;
            let seq = row.sent;
            if let Some(bundle) = body.bundle() {
                row.bundles
                    .push(Announced::new(row.side(), seq, body.kind().to_owned(), *bundle));
                if let Some(packed) = packed.take() {
                    self.put_packed(step, row, seq, packed)?;
                }
            }
            let words = details.words.as_ref().map(|words| words.text.as_str());
            if matches!(body, Body::ExtensionDecision { .. }) {
                self.put_words(step, row, row.side(), seq, words)?;
            }
            step.out.push(self.out_row(row, body, told.heard, now)?);
        }
        Ok(())
    }

    pub(super) fn out_row(
        &self,
        row: &RequestRow,
        body: Body,
        heard: u32,
        now: Timestamp,
    ) -> Result<OutRow, Refused> {
        let kind = body.kind().to_owned();
        let sent = Sent::new(body, heard, now, self.test);
        Ok(OutRow {
            process: row.process(),
            peer: row.peer.clone(),
            seq: row.sent,
            kind,
            body: serde_json::to_string(&sent).map_err(|error| Refused::internal(&error))?,
            at: now,
            state: OutState::Waiting,
        })
    }

    /// A text as the document of a bundle.
    pub(super) async fn text(&self, text: &str) -> Result<Packed, Refused> {
        let length = text.trim().chars().count();
        if length == 0 || length > MAX_TEXT {
            let detail = format!("a text has 1 to {MAX_TEXT} characters");
            return Err(Refused::invalid("text_length", detail).at("/text"));
        }
        let document = json!({ "format": "kontor-text/1", "text": text }).to_string();
        self.packed(document.into_bytes(), "text.json", Vec::new()).await
    }

    async fn supplement(&self, row: &RequestRow, details: &Details) -> Result<Packed, Refused> {
        let wish = details
            .disclosure
            .as_ref()
            .ok_or_else(|| missing(Command::Supplement, "disclosure"))?;
        let case = row
            .case
            .clone()
            .ok_or_else(|| Refused::internal(&"a request without a case"))?;
        let case = self.case(&case)?;
        let content = self.content(&case)?;
        let (disclosure, _) = self.shown(
            &case,
            &content,
            row.body.profile.code.as_str(),
            row.body.class,
            wish,
        )?;
        let revoked = |part: &FilePart| row.access.is_revoked(&part.file_id);
        if let Some(place) = disclosure.files.iter().position(revoked) {
            let at = match wish.files.iter().position(revoked) {
                Some(place) => format!("/disclosure/files/{place}"),
                None => "/disclosure".to_owned(),
            };
            let file = &disclosure.files[place].file_id;
            let detail =
                format!("the file {file} was taken back in this request and is not shown in it again");
            return Err(Refused::invalid("file_revoked", detail)
                .hint("leave it out; where it is to be shown after all, add it to the case anew and show that copy")
                .at(at));
        }
        self.disclosed(&disclosure, &content, self.cover(row)?).await
    }

    /// Refuses to take back what was never shown.
    fn are_disclosed(&self, row: &RequestRow, files: &[String]) -> Result<(), Refused> {
        if files.is_empty() {
            return Err(missing(Command::RevokeFiles, "files"));
        }
        let mut shown = Vec::new();
        for announced in row.bundles.iter().filter(|one| one.side == Side::Requester) {
            let letter = self.letter(row, Side::Requester, announced.seq)?;
            shown.extend(letter.files.into_iter().map(|file| file.file.file_id));
        }
        match files.iter().find(|file| !shown.contains(file)) {
            None => Ok(()),
            Some(file) => Err(Refused::invalid(
                "file_not_disclosed",
                format!("the file {file} was not disclosed in this request"),
            )
            .at("/files")),
        }
    }

    /// Another proof of delivery than a signed answer, which a person has seen.
    fn delivery_recorded(
        &self,
        step: &mut Step,
        mut row: RequestRow,
        details: &Details,
        now: Timestamp,
    ) -> Result<RequestRow, Refused> {
        let command = Command::RecordDelivery;
        if !may_be_recorded(machine_of(&row)?) {
            return Err(illegal(&row, command.name()));
        }
        if row.body.proof_level == ProofLevel::Node {
            let detail = "a node signs its own delivery; what it has not signed is not delivered";
            return Err(
                Refused::conflict("delivery_by_node", detail).hint("wait for its answer, or ask another way")
            );
        }
        let delivered_at = details
            .delivered_at
            .ok_or_else(|| missing(command, "delivered_at"))?;
        if delivered_at > now || delivered_at < row.since {
            let detail = "the delivery lies between the sending of the request and now";
            return Err(Refused::invalid("delivery_instant", detail).at("/delivered_at"));
        }
        let delivery = Delivery {
            delivered_at,
            proof: Proof::Recorded,
        };
        let decision = machine_of(&row)?.arrived(delivery, HolidayTable::built_in());
        let Some(decision) = decision else {
            return Err(illegal(&row, command.name()));
        };
        let tell = row.decided(&decision);
        self.tell(step, &mut row, tell, details, None, now)?;
        Ok(row)
    }
}

/// The body of a message that the machine wants to be told.
fn body_of(
    row: &RequestRow,
    message: &Message,
    details: &Details,
    bundle: Option<Bundle>,
) -> Result<Body, Refused> {
    let packed = || bundle.ok_or_else(|| Refused::internal(&"nothing was packed"));
    let request = row.expected();
    Ok(match message {
        Message::Request(_) => Body::Request {
            request: Box::new(row.body.clone()),
        },
        Message::Supplement { restarts } => Body::Supplement {
            restarts: *restarts,
            bundle: packed()?,
        },
        Message::Answer => Body::Answer { bundle: packed()? },
        Message::ExtensionDecision { granted } => Body::ExtensionDecision {
            granted: *granted,
            words: details.words.clone(),
        },
        Message::Clock { stops, at } => Body::Clock {
            stops: *stops,
            at: *at,
        },
        Message::Deadline { deadline } => Body::Deadline {
            deadline: deadline.clone(),
        },
        Message::Reminder => Body::Reminder {
            ends_at: request
                .deadline()
                .map(|deadline| deadline.ends_at)
                .ok_or_else(|| Refused::conflict("no_deadline", "there is no deadline to be reminded of"))?,
            effect: row.body.terms.effect,
        },
        Message::Inquire { until } => Body::Inquire { until: *until },
        Message::Expired(expiry) => Body::Expired {
            expiry: *expiry,
            deadline: request.deadline().cloned().map(Box::new),
        },
        Message::Suspended { at } => Body::Suspended { at: *at },
        Message::Resumed { at } => Body::Resumed { at: *at },
        Message::Cancelled => Body::Cancelled {
            reason: details.cancel_reason.unwrap_or(CancelReason::Other),
        },
        Message::Revoke { whole } => Body::Revoke {
            whole: *whole,
            files: match whole {
                true => Vec::new(),
                false => details.files.clone(),
            },
            reason: details.reason.unwrap_or(RevokeReason::NoLongerNeeded),
        },
        Message::Assessed => Body::Assessed,
        Message::Outcome => Body::Outcome { bundle: packed()? },
        Message::Moved => {
            let moving = row.moving.as_ref();
            let it = &moving
                .ok_or_else(|| Refused::internal(&"a request that stays here"))?
                .it;
            Body::Moved {
                to: it.to.clone(),
                transfer: it.transfer.clone(),
                at: it.at,
            }
        }
        Message::Acknowledge
        | Message::Decline { .. }
        | Message::Preparing
        | Message::Question
        | Message::ExtensionRequest { .. }
        | Message::Statement { .. }
        | Message::WithdrawStatement { .. }
        | Message::Purged { .. }
        | Message::Void => {
            return Err(Refused::internal(&format!(
                "{} is not for the requester to say",
                message.kind()
            )));
        }
    })
}

/// The machine of the requester's side.
pub(super) fn machine_of(row: &RequestRow) -> Result<&Requester, Refused> {
    match &row.asking {
        Asking::Requester(machine) => Ok(machine),
        Asking::Participant(_) => Err(Refused::internal(&"a request on the wrong side")),
    }
}
