//! Offers: who can be offered what until when, and the package that is made of a case before a word of it leaves.

use bytes::Bytes;
use jiff::Timestamp;
use kontor_participation::application::intake as form;
use kontor_participation::application::manifest::{File, Manifest, Role as FileRole};
use kontor_participation::calendar::{HolidayTable, Land, Place};
use kontor_participation::deadline::{Deadline, Rule};
use kontor_participation::transfer::delivery::{Body, Bundle};
use kontor_participation::transfer::dossier::Dossier;
use kontor_participation::transfer::message::Clocks;
use kontor_participation::transfer::offer::{Circle, Id, Offer, Situation};
use kontor_participation::transfer::receiver::Receiver;
use kontor_participation::transfer::sender::{self, Sender};
use kontor_participation::transfer::{Moves, Responsibility};
use kontor_pki::crypto::random;
use kontor_protocol::id::{ClientId, MemberId};
use serde_json::json;

use super::cases::may_act;
use super::files::pack_key;
use super::intake::Received;
use super::row::{CaseContent, CaseRow, Machine, Pack, TransferRow};
use super::transfers::WORKERS;
use super::{Casework, Held, Principal, Refused, Step, fresh_id};
use crate::config::casework::{SERVICE, SUBSYSTEM};
use crate::messagelog::{Kept, VaultPart};

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

impl Casework {
    /// Whether a recipient offers a service of ours; `None` while that cannot be known.
    pub(super) async fn offers(&self, subsystem: &ClientId, service: &str) -> Option<bool> {
        match self.caller.get() {
            Some(caller) => caller.offers(subsystem, service).await,
            None => None,
        }
    }

    /// The subsystem of a recipient that has a node.
    pub(super) async fn recipient(&self, to: &str, service: &str) -> Result<(MemberId, ClientId), Refused> {
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
            if self.offers(&subsystem, service).await == Some(false) {
                let detail = format!("the node of {member} does not offer the service {service}");
                return Err(Refused::invalid("recipient_without_node", detail)
                    .hint("ask its operator to set up [casework], or hand it over by another way and note that in the case")
                    .at("/to"));
            }
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
                    .hint("`kontor case recipients ID` (GET /api/v1/cases/ID/recipients) suggests who is competent")
                    .at("/to"),
            ),
        }
    }

    /// Offers a case to another authority. With `send` off everything is checked and nothing leaves: what would be offered, as a draft.
    pub(crate) async fn offer(
        &self,
        who: &Principal,
        case: &Id,
        version: u64,
        wish: &Wish,
        send: bool,
    ) -> Result<TransferRow, Refused> {
        who.needs(&WORKERS)?;
        // A silent recipient is waited for without holding anything.
        let recipient = self.recipient(&wish.to, SERVICE).await;
        self.offer_to(who, case, version, wish, send, recipient).await
    }

    /// The same to a recipient that was looked for.
    pub(super) async fn offer_to(
        &self,
        who: &Principal,
        case: &Id,
        version: u64,
        wish: &Wish,
        send: bool,
        recipient: Result<(MemberId, ClientId), Refused>,
    ) -> Result<TransferRow, Refused> {
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
        match situation.moves() {
            Moves::Responsibility => self.rounds_may_go(&case)?,
            Moves::Work if case.open_round => {
                let detail = "a round of participation is open; who is responsible asks there, and a delegation moves the work only";
                return Err(
                    Refused::conflict("open_round", detail).hint("conclude or cancel the round first")
                );
            }
            Moves::Work | Moves::Nothing => {}
        }
        let (member, subsystem) = recipient?;
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
        if let Some(returns) = &wish.returns {
            let before = self.transfer(returns).ok().filter(|before| {
                before.peer == subsystem.to_string()
                    && before.case.as_ref() == Some(&case.id)
                    && matches!(before.machine, Machine::Receiver(_))
                    && before.machine.taken_over_at().is_some()
            });
            if before.is_none() {
                let detail =
                    "a return names the transfer in which the case was taken over from the same authority";
                return Err(Refused::invalid("return_unknown", detail).at("/returns"));
            }
        }
        let content = self.content(&case)?;
        let dossier = self.travelling(&case, &content)?;
        let (manifest, pack) = self.pack_up(&content, &dossier).await?;
        let (bytes, digest) = manifest.bytes().map_err(|error| Refused::internal(&error))?;
        let (answer, until) = self.offer_clocks(&case, &region, wish, now)?;
        let id = fresh_id(now);
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
        if send {
            machine.apply(&decision);
        }
        let bundle = Bundle {
            manifest: digest,
            manifest_octets: bytes.len() as u64,
            octets: bytes.len() as u64 + manifest.octets(),
        };
        let anew = pack.files.iter().take(pack.anew);
        let files = anew.map(|kept| Held::by(&id, kept)).collect();
        let mut transfer = TransferRow::new(
            Machine::Sender(machine),
            offer.clone(),
            subsystem.to_string(),
            now,
        );
        transfer.case = Some(case.id.clone());
        transfer.subject = Some(case.subject);
        transfer.unit.clone_from(&case.unit);
        transfer.assignee.clone_from(&case.assignee);
        transfer.bundle = Some(bundle);
        if !send {
            for kept in pack.files.iter().take(pack.anew) {
                self.vault.remove(kept)?;
            }
            self.look(who, &format!("draft of an offer of case {}", case.id), "work")
                .await?;
            return Ok(transfer);
        }
        transfer.packed = true;
        let sealed = self.seal(VaultPart::Content, case.subject, &pack)?;
        let details = json!({
            "case": case.id, "transfer": id, "to": member.to_string(), "situation": situation,
            "manifest": digest, "files": offer.files, "octets": offer.octets,
        });
        let cites = self.act(who, "offer", "worker", details).await?;
        case.transfer = Some(id.clone());
        case.responsibility = transfer.machine.responsibility();
        let mut step = Step {
            files,
            packs: vec![(pack_key(&id, None), Some(sealed))],
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

    /// Makes the package of a case: the form and the dossier as they are now and every file, in the order in which they are pulled.
    async fn pack_up(&self, content: &CaseContent, dossier: &Dossier) -> Result<(Manifest, Pack), Refused> {
        let text = form::write(&content.form).map_err(|error| Refused::internal(&error))?;
        let told = dossier.bytes().map_err(|error| Refused::internal(&error))?;
        // As its receiver reads it: with comments and follow-ups it may have become too long.
        Dossier::read(&told).map_err(|error| Refused::invalid(error.code(), error.to_string()))?;
        let (mut files, mut keeps) = (Vec::new(), Vec::new());
        for (role, name, octets) in [
            (FileRole::Data, "formData.json", Bytes::from(text)),
            (FileRole::Dossier, "case.json", Bytes::from(told)),
        ] {
            let (file, kept) = self.written(role, name, octets).await?;
            files.push(file);
            keeps.push(kept);
        }
        let anew = keeps.len();
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
                anew,
                parts: Vec::new(),
            },
        ))
    }

    /// A JSON document of a package as a file.
    async fn written(&self, role: FileRole, name: &str, octets: Bytes) -> Result<(File, Kept), Refused> {
        let mut receiving = self.receive()?;
        receiving.write(octets).await?;
        let Received {
            content,
            sha256,
            sha512,
            ..
        } = receiving.finish().await?;
        let file = File {
            file_id: uuid::Uuid::new_v4().to_string(),
            role,
            group: None,
            original_name: name.into(),
            declared_media_type: "application/json".into(),
            detected_media_type: None,
            size: content.len(),
            sha256,
            sha512,
        };
        Ok((file, self.vault.keep(content).await?))
    }

    /// A row for an offer that came.
    pub(super) fn offered(offer: Offer, peer: &ClientId, now: Timestamp) -> TransferRow {
        let clocks = Clocks {
            answer_wanted_by: offer.answer_wanted_by.ends_at,
            take_over_until: offer.take_over_until,
        };
        let machine = Machine::Receiver(Receiver::offered(offer.situation.moves(), clocks));
        TransferRow::new(machine, offer, peer.to_string(), now)
    }
}
