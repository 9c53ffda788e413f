//! Commands on transfers, of both sides. What is legal is decided by the machines of `kontor_participation::transfer`; here is what it
//! takes to get there: recipient, package, room on the disk, the case that is frozen or moves.

use bytes::Bytes;
use http::StatusCode;
use jiff::Timestamp;
use kontor_participation::application::intake as form;
use kontor_participation::application::manifest::{Digest, File, Manifest, Role as FileRole};
use kontor_participation::calendar::{HolidayTable, Land, Place};
use kontor_participation::deadline::{Deadline, Rule};
use kontor_participation::transfer::delivery::{
    AnswerCode, Body, Bundle, Deleted, ImportedFile, PurgeStatement, QuestionCode, RecallReason, Words,
};
use kontor_participation::transfer::message::{Clocks, Message};
use kontor_participation::transfer::offer::{Circle, Hop, Id, Offer, Outcome, Situation};
use kontor_participation::transfer::receiver::{self, Receiver};
use kontor_participation::transfer::sender::{self, Sender};
use kontor_participation::transfer::{RefusalReason, Responsibility};
use kontor_pki::crypto::random;
use kontor_protocol::id::{ClientId, MemberId};
use serde_json::json;

use super::cases::may_act;
use super::intake::Received;
use super::row::{CaseContent, CaseRow, Cited, Export, Late, Machine, Pack, TransferRow};
use super::{Casework, Principal, Refused, Step, fresh_id};
use crate::config::casework::{Role, SUBSYSTEM};
use crate::messagelog::{Kept, VaultPart};

const WORKERS: [Role; 2] = [Role::Worker, Role::Supervisor];
/// Instants between the two clocks that are shown, in seconds.
pub(super) const APART: i64 = 60;

/// What an offer is to be.
#[derive(Clone, Debug, serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Wish {
    /// The recipient's member, `INSTANCE/CLASS/CODE`.
    pub(crate) to: String,
    /// Why.
    pub(crate) situation: String,
    /// The region that decides, if the case has none.
    #[serde(default)]
    pub(crate) region: Option<String>,
    /// A person has seen that it has been there or was refused before.
    #[serde(default)]
    pub(crate) confirmed: bool,
    /// Instant until which an answer is wanted; by default working days of the receiver.
    #[serde(default)]
    pub(crate) answer_wanted_by: Option<jiff::civil::Date>,
    /// Instant until which it can be taken over.
    #[serde(default)]
    pub(crate) take_over_until: Option<Timestamp>,
    /// The transfer that brought it, if this is a return.
    #[serde(default)]
    pub(crate) returns: Option<Id>,
}

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

fn other_side(command: &str, party: &str) -> Refused {
    Refused::conflict(
        "illegal_for_state",
        format!("{command} is for the other side of the transfer; this node is its {party}"),
    )
}

impl Casework {
    /// A transfer that may be seen.
    pub(crate) fn seen_transfer(&self, who: &Principal, id: &Id) -> Result<TransferRow, Refused> {
        let transfer = self.transfer(id)?;
        match who.sees(transfer.unit.as_deref()) {
            true => Ok(transfer),
            false => Err(Refused::not_found("transfer", id)),
        }
    }

    /// The subsystem of a recipient that has a node.
    fn recipient(&self, to: &str) -> Result<(MemberId, ClientId), Refused> {
        let member: MemberId = to.parse().map_err(|error: kontor_protocol::id::InvalidId| {
            Refused::invalid("recipient_malformed", format!("{to:?} names no member: {error}")).at("/to")
        })?;
        if member == *self.own().member() {
            let detail = "that is this member itself; assign the case to another unit instead";
            return Err(Refused::invalid("recipient_self", detail).at("/to"));
        }
        let trust = self
            .trust
            .current(self.clock.now())
            .map_err(|fault| Refused::unavailable("no_trust", fault.text().to_owned()))?;
        let subsystem = ClientId::subsystem_of(member.clone(), SUBSYSTEM)
            .map_err(|error| Refused::invalid("recipient_malformed", error.to_string()).at("/to"))?;
        if !trust.servers_of(&subsystem).is_empty() {
            return Ok((member, subsystem));
        }
        match trust.member_name(&member) {
            Some(name) => {
                let detail = format!("{name} ({member}) has no subsystem {SUBSYSTEM} in the federation");
                Err(Refused::invalid("recipient_without_node", detail)
                    .hint("hand it over on paper or by another way, and note that in the case")
                    .at("/to"))
            }
            None => Err(
                Refused::invalid("recipient_unknown", format!("{member} is not in the federation"))
                    .hint("look for the competent authority with GET /api/v1/recipients")
                    .at("/to"),
            ),
        }
    }

    /// Offers a case to another authority.
    pub(crate) async fn offer(
        &self,
        who: &Principal,
        case: &Id,
        version: u64,
        wish: &Wish,
    ) -> Result<TransferRow, Refused> {
        who.needs(&WORKERS)?;
        let _lock = self.lock(&[case]).await;
        let mut case = self.seen_case(who, case)?;
        if case.version != version {
            return Err(Refused::version(case.version, version));
        }
        let now = self.decisive_now()?;
        self.may_offer(who, &case)?;
        let situation: Situation = match wish.situation.as_str() {
            "ASSISTANCE" => {
                let detail = "a contribution of another authority (Amtshilfe) hands nothing over";
                return Err(Refused::invalid("assistance", detail)
                    .hint("ask for it as participation")
                    .at("/situation"));
            }
            other => serde_json::from_value(json!(other)).map_err(|_| {
                let detail = format!(
                    "{other:?} is none of MISDIRECTED, COMPETENCE_CHANGED, MIGRATION, DELEGATION, COPY"
                );
                Refused::invalid("situation_unknown", detail).at("/situation")
            })?,
        };
        let (member, subsystem) = self.recipient(&wish.to)?;
        let missing = |what: &'static str, code: &'static str| {
            Refused::invalid(code, format!("the case names no {what}, and an offer needs one"))
        };
        let service = case
            .service
            .as_deref()
            .ok_or_else(|| missing("service", "service_missing"))?;
        let service = service.parse().map_err(|error| Refused::internal(&error))?;
        let region = wish.region.as_deref().or(case.region.as_deref());
        let region = region.ok_or_else(|| missing("region", "region_missing").at("/region"))?;
        let region: kontor_participation::competence::Region =
            region
                .parse()
                .map_err(|error: kontor_participation::competence::KeyError| {
                    Refused::invalid(error.code(), error.to_string()).at("/region")
                })?;
        let content = self.content(&case)?;
        let (manifest, pack) = self.pack_up(&content).await?;
        let (bytes, digest) = manifest.bytes().map_err(|error| Refused::internal(&error))?;
        let (answer, until) = self.offer_clocks(&case, &region, wish, now)?;
        let id = fresh_id();
        let offer = Offer {
            transfer_id: id.clone(),
            application_id: case.application_id.clone(),
            situation,
            service,
            region,
            first_received_at: case.first_received_at,
            running_deadlines: case.deadlines.clone(),
            files: 0,
            octets: 0,
            trust_level: case.trust_level,
            flags: case.flags,
            answer_wanted_by: answer,
            take_over_until: until,
            manifest: digest,
            hops: case.hops.clone(),
            test: self.test,
            returns: wish.returns.clone(),
        };
        let offer = offer
            .of_package(&manifest)
            .map_err(|error| Refused::internal(&error))?;
        offer
            .check()
            .map_err(|error| Refused::invalid(error.code(), error.to_string()))?;
        if let Some(circle) = offer
            .circle(&member)
            .filter(|_| !wish.confirmed && wish.returns.is_none())
        {
            let (code, text) = match circle {
                Circle::RefusedBefore => (
                    "circle_refused_before",
                    "that authority has refused this application before",
                ),
                Circle::HadIt => (
                    "circle_had_it",
                    "that authority had taken this application over before",
                ),
                Circle::RefusedTwice => (
                    "circle_refused_twice",
                    "two authorities have refused this application; the supervisory authority should see it (§ 3 Abs. 2 VwVfG)",
                ),
            };
            return Err(Refused::conflict(code, text).hint("send `confirmed: true` once a person has looked"));
        }
        let clocks = offer.clocks();
        let machine = Sender::draft(situation.moves());
        let decision = machine.decide(sender::Command::Offer(clocks), now)?;
        let mut machine = machine;
        machine.apply(&decision);
        let bundle = Bundle {
            manifest: digest,
            manifest_octets: bytes.len() as u64,
            octets: bytes.len() as u64 + manifest.octets(),
        };
        let names = pack
            .files
            .iter()
            .map(|kept| (kept.name().to_owned(), Some(id.clone())));
        // The form was written anew; the other files belong to the case.
        let files = names.take(1).collect();
        let mut transfer = TransferRow {
            id: id.clone(),
            version: 0,
            peer: subsystem.to_string(),
            case: Some(case.id.clone()),
            subject: Some(case.subject),
            machine: Machine::Sender(machine),
            offer: offer.clone(),
            offered_at: now,
            unit: case.unit.clone(),
            assignee: case.assignee.clone(),
            sent: 0,
            received: 0,
            bundle: Some(bundle),
            pack: Some(self.seal(VaultPart::Content, case.subject, &pack)?),
            pulled: 0,
            import_problem: None,
            package_at: None,
            questions: Vec::new(),
            late: Vec::new(),
            number: None,
            instance_number: None,
            take_over_known_at: None,
            clocks_apart: false,
            flags: Vec::new(),
            recalled: None,
            their_purge: None,
            our_purge: None,
            suggestion: None,
            standing_rule: None,
            reclaimed_at: None,
            cites: case.cites.clone(),
        };
        let details = json!({
            "case": case.id, "transfer": id, "to": member.to_string(), "situation": situation,
            "manifest": digest, "files": offer.files, "octets": offer.octets,
        });
        let cites = self.act(who, "offer", "worker", details).await?;
        case.transfer = Some(id.clone());
        case.responsibility = transfer.machine.responsibility();
        let mut step = Step {
            files,
            ..Step::default()
        };
        step.tell(
            &mut transfer,
            Body::Offer {
                offer: Box::new(offer),
            },
            now,
            self.test,
        );
        step.case = Some(case);
        step.transfer = Some(transfer);
        step.event("transfer.offered", now);
        self.commit("offer", &cites, step).await?;
        self.transfer(&id)
    }

    fn may_offer(&self, who: &Principal, case: &CaseRow) -> Result<(), Refused> {
        if let Some(before) = &case.transfer
            && let Ok(before) = self.transfer(before)
            && !before.machine.has_ended()
            && case.responsibility != Responsibility::Unconfirmed
        {
            let detail = format!(
                "the case is offered in {} ({}) already",
                before.id,
                before.machine.state()
            );
            return Err(Refused::conflict("second_offer", detail).hint("withdraw that one first"));
        }
        may_act(who, case)?;
        if case.open_round {
            let detail = "a round of participation is open; who asks there cannot be handed over yet";
            return Err(Refused::conflict("open_round", detail).hint("close the round first"));
        }
        let open: Vec<&str> = case
            .findings
            .iter()
            .filter(|finding| finding.released.is_none())
            .map(|finding| finding.code.as_str())
            .collect();
        if !open.is_empty() {
            let detail = format!("what was found holds the release back: {}", open.join(", "));
            return Err(Refused::conflict("findings_open", detail)
                .hint("a second person with the role releaser looks at it and releases it, or not"));
        }
        Ok(())
    }

    fn offer_clocks(
        &self,
        case: &CaseRow,
        region: &kontor_participation::competence::Region,
        wish: &Wish,
        now: Timestamp,
    ) -> Result<(Deadline, Timestamp), Refused> {
        let land = Land::of_key(&region.to_string());
        let land = land.ok_or_else(|| Refused::invalid("region_key_invalid", "the region names no Land"))?;
        let place = Place::of(land);
        let table = HolidayTable::built_in();
        let computed = |rule| {
            Deadline::compute(rule, now, &place, table)
                .map_err(|error| Refused::invalid(error.code(), error.to_string()))
        };
        let days = |n: u32| Rule::WorkingDays {
            n: u16::try_from(n).unwrap_or(u16::MAX),
        };
        let earliest = case.deadlines.iter().map(|deadline| deadline.ends_at).min();
        let until = match wish.take_over_until {
            Some(until) => until,
            None => {
                let until = computed(days(self.settings.clocks.take_over_days))?.ends_at;
                // Always before the earliest running deadline.
                let before = earliest.map(|end| end - jiff::SignedDuration::from_hours(1));
                before.map_or(until, |before| before.min(until))
            }
        };
        if until <= now {
            let detail = format!("it could be taken over until {until} only, which is over");
            return Err(Refused::invalid("offer_no_time", detail)
                .hint("a running deadline leaves no time to hand it over; act yourself"));
        }
        let mut answer = match wish.answer_wanted_by {
            Some(date) => computed(Rule::Until { date, stands: false })?,
            None => computed(days(self.settings.clocks.answer_days))?,
        };
        if answer.ends_at > until && wish.answer_wanted_by.is_none() {
            // As many hours as are left.
            let hours = (until.as_second() - now.as_second()) / 3600;
            answer = computed(Rule::Hours {
                n: u16::try_from(hours.max(1)).unwrap_or(u16::MAX),
            })?;
            answer.ends_at = answer.ends_at.min(until);
        }
        Ok((answer, until))
    }

    /// Makes the package of a case: the form as it is now and every file, in the order in which they are pulled.
    async fn pack_up(&self, content: &CaseContent) -> Result<(Manifest, Pack), Refused> {
        let text = form::write(&content.form).map_err(|error| Refused::internal(&error))?;
        let mut receiving = self.receive()?;
        receiving.write(Bytes::from(text)).await?;
        let Received {
            content: written,
            sha256,
            sha512,
            ..
        } = receiving.finish().await?;
        let data = File {
            file_id: uuid::Uuid::new_v4().to_string(),
            role: FileRole::Data,
            group: None,
            original_name: "formData.json".into(),
            declared_media_type: "application/json".into(),
            detected_media_type: None,
            size: written.len(),
            sha256,
            sha512,
        };
        let kept = self.vault.keep(written).await?;
        let mut files = vec![data];
        let mut keeps: Vec<Kept> = vec![kept];
        for file in &content.files {
            files.push(file.file.clone());
            keeps.push(file.kept.clone());
        }
        let manifest = Manifest::new(files, random()).map_err(|error| Refused::internal(&error))?;
        let (bytes, _) = manifest.bytes().map_err(|error| Refused::internal(&error))?;
        let manifest_text = String::from_utf8(bytes).map_err(|error| Refused::internal(&error))?;
        Ok((
            manifest,
            Pack {
                manifest: manifest_text,
                files: keeps,
                parts: Vec::new(),
            },
        ))
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
                    .ok_or_else(|| other_side(name, "sender"))?;
                let decision = machine.decide(command, now)?;
                let mut machine = machine.clone();
                machine.apply(&decision);
                transfer.machine = Machine::Sender(machine);
                decision.tell
            }
            Machine::Receiver(machine) => {
                let command = command
                    .for_receiver()
                    .ok_or_else(|| other_side(name, "receiver"))?;
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
                    case.export = self.settings.instance.as_ref().map(|_| Export::Wanted);
                }
            }
        }
    }

    /// Adds files that came for an application which was handed over, or is being.
    pub(crate) async fn late_item(
        &self,
        who: &Principal,
        case: &Id,
        files: Vec<super::intake::Part>,
    ) -> Result<TransferRow, Refused> {
        who.needs(&[Role::Worker, Role::Supervisor, Role::Intake])?;
        if files.is_empty() {
            return Err(Refused::invalid(
                "late_item_empty",
                "a late item has at least one file",
            ));
        }
        let seen = self.seen_case(who, case)?;
        let id = seen.transfer.clone().ok_or_else(|| {
            Refused::conflict(
                "not_handed_over",
                "the case is in no transfer; add the files to the case itself",
            )
        })?;
        let _lock = self.lock(&[case, &id]).await;
        let (seen, mut transfer) = (self.seen_case(who, case)?, self.transfer(&id)?);
        let now = self.decisive_now()?;
        let Machine::Sender(machine) = transfer.machine.clone() else {
            let detail = "the application came here; add the files to the case itself";
            return Err(Refused::conflict("not_handed_over", detail));
        };
        if machine.responsibility() == Responsibility::Mine {
            return Err(Refused::conflict(
                "not_handed_over",
                "the transfer has ended; add the files to the case itself",
            ));
        }
        let taken = transfer.machine.taken_over_at();
        if let Some(at) = taken
            && now.duration_since(at).unsigned_abs() > self.settings.clocks.relay
        {
            let detail = format!("late items are relayed for a set time, and it was taken over at {at}");
            return Err(
                Refused::conflict("relay_ended", detail).hint("send it to the new authority by another way")
            );
        }
        let mut kept = Vec::new();
        for part in files {
            kept.push(self.keep(part, now).await?);
        }
        if let Some(finding) = kept.iter().find_map(|file| self.file_finding(file)) {
            let detail = format!("the scanner holds it back: {}", finding.code);
            return Err(Refused::conflict("findings_open", detail)
                .hint("look at the file, and send it by another way if need be"));
        }
        let manifest = Manifest::new(kept.iter().map(|file| file.file.clone()).collect(), random())
            .map_err(|error| Refused::internal(&error))?;
        let (bytes, digest) = manifest.bytes().map_err(|error| Refused::internal(&error))?;
        let bundle = Bundle {
            manifest: digest,
            manifest_octets: bytes.len() as u64,
            octets: bytes.len() as u64 + manifest.octets(),
        };
        let pack = Pack {
            manifest: String::from_utf8(bytes).map_err(|error| Refused::internal(&error))?,
            files: kept.iter().map(|file| file.kept.clone()).collect(),
            parts: Vec::new(),
        };
        let details = json!({ "case": case, "transfer": id, "files": kept.len(), "manifest": digest });
        let cites = self.act(who, "late_item", "worker", details).await?;
        let mut step = Step {
            files: kept
                .iter()
                .map(|file| (file.kept.name().to_owned(), Some(id.clone())))
                .collect(),
            ..Step::default()
        };
        transfer.late.push(Late {
            item: 0,
            received_at: now,
            before_take_over: taken.is_none(),
            bundle,
            pack: Some(self.seal(VaultPart::Content, seen.subject, &pack)?),
            pulled: 0,
            imported: false,
        });
        self.relay(&mut step, &mut transfer, now);
        step.transfer = Some(transfer);
        step.event("transfer.late_item", now);
        self.commit("late_item", &cites, step).await?;
        self.transfer(&id)
    }

    /// Tells the receiver of late items that it was not told of, once it has taken over.
    pub(super) fn relay(&self, step: &mut Step, transfer: &mut TransferRow, now: Timestamp) {
        if transfer.machine.taken_over_at().is_none() {
            return;
        }
        for index in 0..transfer.late.len() {
            let Some(late) = transfer.late.get(index).filter(|late| late.item == 0) else {
                continue;
            };
            let body = Body::LateItem {
                received_at: late.received_at,
                before_take_over: late.before_take_over,
                bundle: late.bundle,
            };
            step.tell(transfer, body, now, self.test);
            let item = transfer.sent;
            if let Some(late) = transfer.late.get_mut(index) {
                late.item = item;
            }
        }
    }

    /// A row for an offer that came.
    pub(super) fn offered(&self, offer: Offer, peer: &ClientId, now: Timestamp) -> TransferRow {
        let clocks = Clocks {
            answer_wanted_by: offer.answer_wanted_by.ends_at,
            take_over_until: offer.take_over_until,
        };
        TransferRow {
            id: offer.transfer_id.clone(),
            version: 0,
            peer: peer.to_string(),
            case: None,
            subject: None,
            machine: Machine::Receiver(Receiver::offered(offer.situation.moves(), clocks)),
            offer,
            offered_at: now,
            unit: None,
            assignee: None,
            sent: 0,
            received: 0,
            bundle: None,
            pack: None,
            pulled: 0,
            import_problem: None,
            package_at: None,
            questions: Vec::new(),
            late: Vec::new(),
            number: None,
            instance_number: None,
            take_over_known_at: None,
            clocks_apart: false,
            flags: Vec::new(),
            recalled: None,
            their_purge: None,
            our_purge: None,
            suggestion: None,
            standing_rule: None,
            reclaimed_at: None,
            cites: Cited {
                number: 0,
                leaf: Digest([0; 32]),
            },
        }
    }

    /// The result of an import, as the sender is told.
    pub(super) fn import_result(&self, complete: bool, files: Vec<ImportedFile>) -> Body {
        Body::ImportResult { complete, files }
    }
}
