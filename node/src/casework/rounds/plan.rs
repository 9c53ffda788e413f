//! Who is asked what, by which profile, and what is shown to them: everything is checked here before a word of it leaves, and
//! nothing is guessed that the profile leaves open.

mod wish;

pub(crate) use self::wish::{AskWish, RoundWish, ShowWish};

use std::collections::BTreeSet;

use jiff::Timestamp;
use kontor_participation::application::manifest::Digest;
use kontor_participation::calendar::{HolidayTable, Land, Place};
use kontor_participation::round::delivery::{Body, RequestBody, Side};
use kontor_participation::round::disclosure::{Disclosure, Selection, tree_digest};
use kontor_participation::round::life::{Asked, Party, Round};
use kontor_participation::round::profile::{Class, ProfileError, effect_name};
use kontor_participation::round::recipient::Ground;
use kontor_participation::round::requester::Requester;
use kontor_participation::round::state::State;
use kontor_participation::round::terms::Terms;
use kontor_participation::round::{Refusal, life, profile};
use kontor_participation::transfer::delivery::Bundle;
use kontor_participation::transfer::offer::{Flags, Id};
use serde_json::json;

use super::super::cases::{WORKERS, may_act};
use super::super::row::{CaseContent, CaseRow};
use super::super::{Casework, Principal, Refused, Step, Table, fresh_id, random_id, row_key};
use super::letters::{Choice, held, refused};
use super::row::{Asking, RequestRow, RoundRow, RoundWords, nothing_yet};
use crate::config::casework::PARTICIPATION;
use crate::messagelog::VaultPart;

/// Characters of a question, and of a line.
const MAX_QUESTION: usize = 20_000;
const MAX_LINE: usize = 300;
/// Who is asked in one round, at most.
const MAX_ASKED: usize = 1000;

impl From<ProfileError> for Refused {
    fn from(error: ProfileError) -> Self {
        let at = match &error {
            ProfileError::Unknown(_) => "/profile",
            ProfileError::Class { .. } => "/class",
            ProfileError::LengthFixed(_) | ProfileError::LengthMissing(_) | ProfileError::TooLong { .. } => {
                "/rule"
            }
            ProfileError::Open { what, .. } | ProfileError::NotAllowed { what, .. }
                if *what == "effect of silence" =>
            {
                "/effect"
            }
            ProfileError::Open { .. } | ProfileError::NotAllowed { .. } => "/extension",
            ProfileError::EffectWithoutEnd | ProfileError::Deadline(_) => "/rule",
        };
        Self::invalid(error.code(), error.to_string()).at(at)
    }
}

fn line(name: &str, text: &str, most: usize) -> Result<(), Refused> {
    let length = text.trim().chars().count();
    match length > 0 && length <= most {
        true => Ok(()),
        false => Err(
            Refused::invalid("text_length", format!("{name} has 1 to {most} characters"))
                .at(format!("/{name}")),
        ),
    }
}

impl Casework {
    /// The seat of this house, whose holidays count for whoever it asks.
    pub(super) fn seat(&self) -> Result<Place, Refused> {
        let region = self.settings.region.as_ref().map(ToString::to_string);
        let land = region.as_deref().and_then(Land::of_key).ok_or_else(|| {
            Refused::invalid(
                "region_missing",
                "the node knows no region of its own, and holidays depend on it",
            )
            .hint("the operator sets casework.region")
        })?;
        Ok(Place {
            land,
            local_holidays: self.settings.participation.local_holidays.clone(),
        })
    }

    pub(in crate::casework) fn round(&self, id: &Id) -> Result<RoundRow, Refused> {
        let row = self.store.get(Table::Rounds, &row_key(id))?;
        row.ok_or_else(|| Refused::not_found("round", id))
    }

    /// A round that may be seen.
    pub(in crate::casework) fn seen_round(&self, who: &Principal, id: &Id) -> Result<RoundRow, Refused> {
        who.reads()?;
        let row = self.round(id)?;
        match who.sees(row.unit.as_deref()) {
            true => Ok(row),
            false => Err(Refused::not_found("round", id)),
        }
    }

    /// The rounds of a case.
    pub(in crate::casework) fn rounds_of(&self, case: &CaseRow) -> Result<Vec<RoundRow>, Refused> {
        let mut rounds: Vec<RoundRow> = case
            .rounds
            .iter()
            .map(|id| self.round(id))
            .collect::<Result<_, _>>()?;
        // One that went away and came back belongs to the case that it came with.
        rounds.retain(|row| row.round.case == case.id);
        Ok(rounds)
    }

    /// Prepares a round.
    pub(in crate::casework) async fn prepare_round(
        &self,
        who: &Principal,
        case: &Id,
        version: u64,
        wish: RoundWish,
    ) -> Result<RoundRow, Refused> {
        who.needs(&WORKERS)?;
        line("question", &wish.question, MAX_QUESTION)?;
        line("contact", &wish.contact, MAX_LINE)?;
        for topic in &wish.topics {
            line("topics", topic, MAX_LINE)?;
        }
        let _lock = self.lock(&[case]).await;
        let mut case = self.matching(who, case, version)?;
        let now = self.decisive_now()?;
        may_act(who, &case)?;
        self.has_content(&case)?;
        let rounds = self.rounds_of(&case)?;
        let before: Vec<Round> = rounds.into_iter().map(|row| row.round).collect();
        let id = fresh_id(now);
        let round = match (&wish.renews, &wish.profile) {
            (Some(renews), _) => {
                let renewed = before.iter().find(|round| round.id == *renews).ok_or_else(|| {
                    Refused::invalid("round_unknown", "the case has no such round to be renewed")
                        .at("/renews")
                })?;
                renewed.renewed(id.clone(), Vec::new(), &before)?
            }
            (None, Some(code)) => {
                let profile = self.settings.participation.profiles.profile(code)?;
                Round::next(id.clone(), case.id.clone(), profile.id(), &before)
            }
            (None, None) => {
                let detail = "a round names the profile by which it asks, or the round that it renews";
                return Err(Refused::invalid("profile_missing", detail).at("/profile"));
            }
        };
        let words = RoundWords {
            question: wish.question,
            contact: wish.contact,
            topics: wish.topics,
        };
        let row = RoundRow {
            version: 0,
            unit: case.unit.clone(),
            coming: BTreeSet::new(),
            subject: case.subject,
            created_at: now,
            cites: nothing_yet(),
            words: self.seal(VaultPart::Content, case.subject, &words)?,
            round,
        };
        let details = json!({
            "case": case.id, "round": id, "profile": row.round.profile, "number": row.round.number,
            "renews": row.round.renews,
        });
        let cites = self.act(who, "prepare_round", "worker", details).await?;
        case.rounds.push(id.clone());
        case.open_round = true;
        let mut step = Step {
            case: Some(case),
            rounds: vec![row],
            ..Step::default()
        };
        step.event("round.prepared", now);
        self.commit("prepare_round", &cites, step).await?;
        self.round(&id)
    }

    /// Refuses where there is nothing to be shown any more.
    fn has_content(&self, case: &CaseRow) -> Result<(), Refused> {
        self.content(case).map(drop)
    }

    /// Who is asked: a member whose node takes requests, a guest that can be written to, or an own unit.
    async fn party(&self, wish: &AskWish) -> Result<(Party, String), Refused> {
        let own = self.own().to_string();
        match (&wish.to, &wish.guest, &wish.unit) {
            (Some(to), None, None) => {
                let (member, subsystem) = self.recipient(to, PARTICIPATION).await?;
                let party = Party::Node {
                    member: member.to_string(),
                };
                Ok((party, subsystem.to_string()))
            }
            (None, Some(guest), None) => {
                if guest.name.trim().is_empty() || guest.address.trim().is_empty() {
                    let detail = "a guest has a name, and an address to which the link is sent";
                    return Err(Refused::invalid("guest_address_missing", detail).at("/guest"));
                }
                for text in [&guest.name, &guest.address] {
                    line("guest", text, MAX_LINE)?;
                }
                Ok((Party::Guest { guest: random_id() }, own))
            }
            (None, None, Some(unit)) => Ok((Party::Internal { unit: unit.clone() }, own)),
            _ => {
                let detail = "exactly one is asked by a request: to (a member with a node), guest (with an address) or unit";
                Err(Refused::invalid("participant_missing", detail).at("/to"))
            }
        }
    }

    /// What a wish shows, and the names of its list that the form does not have.
    pub(super) fn shown(
        &self,
        case: &CaseRow,
        content: &CaseContent,
        profile: &str,
        class: Class,
        wish: &ShowWish,
    ) -> Result<(Disclosure, Vec<String>), Refused> {
        let participation = &self.settings.participation;
        let held: Vec<_> = content.files.iter().map(held).collect();
        let ground = || Ground {
            purpose: wish.purpose.clone(),
            legal_basis: wish.legal_basis.clone(),
            ends: wish.ends,
        };
        let chosen_by_hand = Disclosure {
            form: tree_digest(&content.form),
            parts: wish.parts.clone(),
            files: wish.files.clone(),
            purpose: wish.purpose.clone(),
            legal_basis: wish.legal_basis.clone(),
            ends: wish.ends,
            onward: wish.onward,
            selection: Selection::Person { template: None },
        };
        let by_hand = !(wish.parts.is_empty() && wish.files.is_empty());
        let (disclosure, missing) = match &wish.recipient_class {
            Some(code) => {
                let service = case.service.as_deref().unwrap_or_default();
                let list = participation.recipients.class(code, service).ok_or_else(|| {
                    let detail =
                        format!("there is no recipient class {code} with a list for the service {service:?}");
                    Refused::invalid("recipient_class_unknown", detail).at("/disclosure/recipient_class")
                })?;
                match by_hand {
                    false => list.disclosure(&content.form, &held, ground()).map_err(refused)?,
                    // Less than the list, and never more.
                    true => {
                        let disclosure = Disclosure {
                            selection: Selection::Class(list.id()),
                            ..chosen_by_hand
                        };
                        list.covers(&disclosure, &content.form, &held).map_err(refused)?;
                        (disclosure, Vec::new())
                    }
                }
            }
            None if wish.template => {
                let template = participation.recipients.template(profile, class).ok_or_else(|| {
                    Refused::invalid("template_unknown", "there is no template for this profile")
                        .hint("choose parts and files by hand, or add one to the tenant's file")
                        .at("/disclosure/template")
                })?;
                let (mut disclosure, missing) = template
                    .disclosure(&content.form, &held, ground())
                    .map_err(refused)?;
                if by_hand {
                    // A template is where a person begins.
                    (disclosure.parts, disclosure.files) = (wish.parts.clone(), wish.files.clone());
                }
                disclosure.onward = wish.onward;
                (disclosure, missing)
            }
            None => (chosen_by_hand, Vec::new()),
        };
        disclosure.check(&content.form, &held).map_err(refused)?;
        Ok((disclosure, missing))
    }

    fn terms(&self, profile: &profile::Profile, wish: &AskWish, now: Timestamp) -> Result<Terms, Refused> {
        let choice = profile::Choice {
            class: wish.class,
            rule: wish.rule,
            effect: wish.effect,
            extension: wish.extension,
            runs_from: wish.runs_from,
        };
        Ok(profile.terms(&choice, &self.seat()?, HolidayTable::built_in(), now)?)
    }

    /// Prepares a request to somebody.
    pub(in crate::casework) async fn ask(
        &self,
        who: &Principal,
        round: &Id,
        version: u64,
        wish: AskWish,
    ) -> Result<(RequestRow, Vec<String>), Refused> {
        who.needs(&WORKERS)?;
        // A silent node is waited for without holding anything.
        let (party, peer) = self.party(&wish).await?;
        let seen = self.seen_round(who, round)?;
        let case = seen.round.case.clone();
        let _lock = self.lock(&[&case, round]).await;
        let mut row = self.seen_round(who, round)?;
        if row.version != version {
            return Err(Refused::version(row.version, version));
        }
        let case = self.case(&case)?;
        let now = self.decisive_now()?;
        may_act(who, &case)?;
        if !row.round.takes_requests() {
            let refusal = Refusal::Illegal {
                command: "ask",
                state: row.round.state().name(),
                legal: row.round.state().legal(),
            };
            return Err(refusal.into());
        }
        if row.round.asked.len() == MAX_ASKED {
            let detail = format!("at most {MAX_ASKED} are asked in one round");
            return Err(Refused::invalid("too_many_asked", detail));
        }
        self.may_be_asked(&row, &party, wish.replaces.as_ref())?;
        let profile = self
            .settings
            .participation
            .profiles
            .recorded(&row.round.profile)?;
        let terms = self.terms(profile, &wish, now)?;
        let content = self.content(&case)?;
        let (disclosure, missing) = self.shown(
            &case,
            &content,
            profile.code.as_str(),
            wish.class,
            &wish.disclosure,
        )?;
        let service = case
            .service
            .as_deref()
            .and_then(|service| service.parse().ok())
            .ok_or_else(|| {
                Refused::invalid(
                    "service_missing",
                    "the case names no service, and a request needs one",
                )
            })?;
        let id = fresh_id(now);
        let hosted = match &party {
            Party::Node { .. } => None,
            Party::Guest { .. } | Party::Internal { .. } => Some(party.name()),
        };
        let body = RequestBody {
            request_id: id.clone(),
            round_id: row.round.id.clone(),
            round_number: row.round.number,
            renews: row.round.renews.clone(),
            application_id: case.application_id.clone(),
            service,
            profile: row.round.profile.clone(),
            class: wish.class,
            terms: terms.clone(),
            flags: Flags {
                special_categories: wish.special_categories || case.flags.special_categories,
                business_secrets: wish.business_secrets || case.flags.business_secrets,
                ..case.flags
            },
            disclosure_ends: disclosure.ends,
            proof_level: party.level(),
            hosted,
            // Until it is sent.
            bundle: Bundle {
                manifest: Digest([0; 32]),
                manifest_octets: 1,
                octets: 2,
            },
        };
        Body::Request {
            request: Box::new(body.clone()),
        }
        .check()
        .map_err(|error| Refused::invalid(error.code(), error.to_string()))?;
        let asking = Requester::created(terms, party.level(), profile.reminders.clone());
        let request = RequestRow {
            unit: row.unit.clone(),
            assignee: case.assignee.clone(),
            case: Some(case.id.clone()),
            drafted_by: Some(who.actor()),
            replaces: wish.replaces.clone(),
            party: Some(party.clone()),
            ..RequestRow::new(body, Asking::Requester(Box::new(asking)), peer, case.subject, now)
        };
        let choice = Choice {
            disclosure,
            name: wish.guest.as_ref().map(|guest| guest.name.clone()),
            address: wish.guest.as_ref().map(|guest| guest.address.clone()),
        };
        let mut step = Step::default();
        self.put_paper(&mut step, &request, Side::Requester, 0, &choice)?;
        row.round.asked.push(Asked {
            request: id.clone(),
            party: party.clone(),
            class: wish.class,
            replaces: wish.replaces,
        });
        let details = json!({
            "case": case.id, "round": row.round.id, "request": id, "party": party.name(), "class": wish.class,
            "effect": effect_name(request.body.terms.effect),
        });
        let cites = self.act(who, "prepare_request", "worker", details).await?;
        step.rounds.push(row);
        step.requests.push(request);
        step.event("request.prepared", now);
        self.commit("ask", &cites, step).await?;
        Ok((self.request(Side::Requester, &id)?, missing))
    }

    /// Nobody is asked twice in a round, unless the request that is replaced was declined or did not arrive.
    fn may_be_asked(&self, row: &RoundRow, party: &Party, replaces: Option<&Id>) -> Result<(), Refused> {
        let side = Side::Requester;
        if let Some(replaced) = replaces {
            let asked = row.round.asked.iter().any(|asked| asked.request == *replaced);
            let state = asked
                .then(|| self.request(side, replaced).map(|request| request.state()))
                .transpose()?;
            let fits = matches!(
                state,
                Some(State::Declined | State::Failed | State::Dropped | State::Revoked | State::Purged)
            );
            if !fits {
                let detail = "only a request of this round that was declined, dropped, taken back or could not be delivered is replaced";
                return Err(Refused::conflict("not_replaceable", detail).at("/replaces"));
            }
        }
        for asked in row.round.asked.iter().filter(|asked| asked.party == *party) {
            let state = self.request(side, &asked.request)?.state();
            let is_over = matches!(
                state,
                State::Dropped | State::Declined | State::Failed | State::Revoked | State::Purged
            );
            if !is_over {
                let detail = format!("{} is asked in this round already", party.name());
                return Err(Refused::conflict("asked_already", detail));
            }
        }
        Ok(())
    }

    /// Whether a round of a case is open, by what is known of all of them; `changed` stands for the one that changes now.
    pub(super) fn has_open_round(&self, case: &CaseRow, changed: &RoundRow) -> Result<bool, Refused> {
        let rounds = self.rounds_of(case)?;
        let is_open =
            |round: &Round| !matches!(round.state(), life::State::Concluded | life::State::Cancelled);
        Ok(rounds.iter().any(|row| {
            let round = match row.round.id == changed.round.id {
                true => &changed.round,
                false => &row.round,
            };
            is_open(round)
        }))
    }
}
