//! A case that is handed over takes its open rounds along: who took it over asks from then on, and everybody who is asked is told.
//!
//! | Stage, at who asked | What happens |
//! |---|---|
//! | [`Stage::Waiting`] | what is on its way comes to its end, on both sides |
//! | [`Stage::Said`] | who is asked is told by whom, signed; nothing new of it is taken here |
//! | [`Stage::Heard`] | it knows; how the request stands goes to who took over, as a late item of the transfer |
//! | [`Stage::HandedOver`] | the other house asks |
//!
//! So nobody asks who is not known to who is asked, and no message has two readers. A guest or an own unit stays hosted here, and is
//! asked by the other house as if it had a node.

mod passed;

pub(in crate::casework) use self::passed::Passed;

use http::StatusCode;
use jiff::{Timestamp, ToSpan};
use kontor_participation::round::delivery::Side;
use kontor_participation::round::life;
use kontor_participation::round::state::State;
use kontor_participation::transfer::offer::Id;
use kontor_protocol::id::{ClientId, MemberId};
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::super::files::{Held, pack_key};
use super::super::row::{CaseRow, Late, Machine, OutRow, OutState, Process, TransferRow};
use super::super::{Casework, Principal, Refused, Step};
use super::row::{Announced, RequestRow, RoundRow, member_of};
use crate::config::casework::SUBSYSTEM;
use crate::messagelog::VaultPart;

/// The code of the answer to whoever is asked and does not know yet.
pub(super) const MOVED: &str = "requester_moved";
/// How often it is looked whether something came to its end of which nobody tells.
const LATER: i64 = 15;

/// That the asking went over from one house to another.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub(crate) struct Move {
    /// The member that asked.
    pub(crate) from: String,
    /// The one that asks since.
    pub(crate) to: String,
    /// The transfer in which it took the case over.
    pub(crate) transfer: Id,
    /// The instant of the take-over.
    pub(crate) at: Timestamp,
}

/// A request that goes over.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub(crate) struct Moving {
    /// From where to where.
    #[serde(flatten)]
    pub(crate) it: Move,
    /// How far that is.
    pub(crate) stage: Stage,
}

/// See the module.
#[derive(Clone, Copy, Debug, Deserialize, Eq, Ord, PartialEq, PartialOrd, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Stage {
    Waiting,
    Said,
    Heard,
    HandedOver,
}

impl Casework {
    /// Refuses to hand over a case with a round that cannot go along: one that is being prepared, or a request that nobody has yet.
    pub(in crate::casework) fn rounds_may_go(&self, case: &CaseRow) -> Result<(), Refused> {
        for row in self.open_rounds(case)? {
            let number = row.round.number;
            if !row.coming.is_empty() {
                let detail = format!(
                    "{} requests of round {number} are still with who asked before",
                    row.coming.len()
                );
                return Err(Refused::conflict("open_round", detail).hint("wait until they are here"));
            }
            if row.round.state() == life::State::Preparing {
                let detail = format!("round {number} is being prepared, and nobody is asked yet");
                return Err(Refused::conflict("open_round", detail).hint("open the round, or cancel it"));
            }
            for asked in &row.round.asked {
                let request = self.request(Side::Requester, &asked.request)?;
                if matches!(request.state(), State::Created | State::Sent | State::Failed) {
                    let detail = format!(
                        "{} is asked in round {number}, and that has not arrived: the request is {}",
                        asked.party.name(),
                        request.state().name()
                    );
                    return Err(Refused::conflict("open_round", detail)
                        .hint("wait until it is delivered, record another proof, or drop or take it back"));
                }
            }
        }
        Ok(())
    }

    fn open_rounds(&self, case: &CaseRow) -> Result<Vec<RoundRow>, Refused> {
        let mut rounds = self.rounds_of(case)?;
        rounds.retain(|row| !matches!(row.round.state(), life::State::Concluded | life::State::Cancelled));
        Ok(rounds)
    }

    /// The case was taken over: its open rounds go along from now on.
    pub(in crate::casework) async fn rounds_go(&self, transfer: &Id) -> Result<(), Refused> {
        let seen = self.transfer(transfer)?;
        let case = seen.case.clone().map(|case| self.case(&case)).transpose()?;
        let rounds = case.as_ref().map(|case| self.open_rounds(case)).transpose()?;
        let asked = rounds.iter().flatten().flat_map(|row| &row.round.asked);
        let requests: Vec<Id> = asked.map(|asked| asked.request.clone()).collect();
        let ids: Vec<&Id> = requests
            .iter()
            .chain(case.as_ref().map(|case| &case.id))
            .chain([transfer])
            .collect();
        let _lock = self.lock(&ids).await;
        let mut row = self.transfer(transfer)?;
        let mut step = Step::default();
        if let (Some(case), Some(at)) = (case, row.machine.taken_over_at()) {
            for id in &requests {
                let mut request = self.request(Side::Requester, id)?;
                if request.state().is_sent() && request.moving.is_none() {
                    request.moving = Some(Moving {
                        it: Move {
                            from: self.own().member().to_string(),
                            to: member_of(&row.peer).to_owned(),
                            transfer: transfer.clone(),
                            at,
                        },
                        stage: Stage::Waiting,
                    });
                    step.requests.push(request);
                }
            }
            let mut case = self.case(&case.id)?;
            case.open_round = false;
            step.case = Some(case);
        }
        row.rounds_wait = false;
        let details = json!({ "transfer": transfer, "requests": requests });
        let cites = self
            .act(&Principal::node(), "rounds_go", "taken over", details)
            .await?;
        step.transfer = Some(row);
        self.commit("rounds_go", &cites, step).await
    }

    /// Whether a request of a case is on its way to who took that over.
    pub(in crate::casework) fn rounds_are_going(&self, case: &CaseRow) -> Result<bool, Refused> {
        let waits = |id: &Id| Ok::<_, Refused>(self.transfer(id)?.rounds_wait);
        if case.transfer.as_ref().map(waits).transpose()? == Some(true) {
            return Ok(true);
        }
        for row in self.rounds_of(case)? {
            for asked in &row.round.asked {
                let request = self.request(Side::Requester, &asked.request)?;
                if request
                    .moving
                    .is_some_and(|moving| moving.stage < Stage::HandedOver)
                {
                    return Ok(true);
                }
            }
        }
        Ok(false)
    }

    /// When something is to be done for a request that goes over.
    pub(super) fn moving_due(&self, row: &RequestRow, moving: &Moving) -> Option<Timestamp> {
        let now = self.now();
        match moving.stage {
            Stage::Waiting if !self.is_quiet(row).unwrap_or_default() => {
                now.checked_add(LATER.seconds()).ok()
            }
            Stage::Waiting | Stage::Heard => Some(now),
            Stage::Said | Stage::HandedOver => None,
        }
    }

    /// Does the next step for a request that goes over; whether there was one.
    pub(super) async fn moves_on(&self, id: &Id, moving: &Moving, now: Timestamp) -> Result<bool, Refused> {
        match moving.stage {
            Stage::Waiting => self.says_so(id, now).await,
            Stage::Heard => self.hand_over(id, &moving.it.transfer, now).await.map(|()| true),
            Stage::Said | Stage::HandedOver => Ok(false),
        }
    }

    /// Whether nothing of a request is on its way, in either direction.
    fn is_quiet(&self, row: &RequestRow) -> Result<bool, Refused> {
        let open = |out: &OutRow| matches!(out.state, OutState::Waiting | OutState::Parked { .. });
        if self.sent_messages(&row.process())?.iter().any(open) {
            return Ok(false);
        }
        let is_over = |one: &Announced| {
            let closed = one.side == Side::Requester && !row.state().is_open_to_participant();
            !one.is_open() || closed
        };
        Ok(row.bundles.iter().all(is_over))
    }

    async fn says_so(&self, id: &Id, now: Timestamp) -> Result<bool, Refused> {
        let _lock = self.lock(&[id]).await;
        let mut row = self.request(Side::Requester, id)?;
        if !self.is_quiet(&row)? {
            self.board.put(&row, self.request_due(&row));
            return Ok(false);
        }
        let Some(moving) = row.moving.as_mut() else {
            return Ok(false);
        };
        moving.stage = Stage::Said;
        let it = moving.it.clone();
        let decision = super::requester::machine_of(&row)?.moved_away();
        let decision =
            decision.ok_or_else(|| Refused::internal(&"a request that was never sent goes over"))?;
        let tell = row.decided(&decision);
        let mut step = Step::default();
        let details = super::requester::Details::default();
        self.tell(&mut step, &mut row, tell, &details, None, now)?;
        let details = json!({ "request": id, "transfer": it.transfer, "to": it.to });
        let cites = self
            .act(&Principal::node(), "request_moves", "taken over", details)
            .await?;
        step.requests.push(row);
        step.event("request.moving", now);
        self.commit("request_moves", &cites, step).await?;
        Ok(true)
    }

    /// How the request stands goes to who took the case over.
    async fn hand_over(&self, id: &Id, transfer: &Id, now: Timestamp) -> Result<(), Refused> {
        let seen = self.request(Side::Requester, id)?;
        let ids: Vec<&Id> = [id, transfer].into_iter().chain(seen.case.as_ref()).collect();
        let _lock = self.lock(&ids).await;
        let (mut row, mut transfer) = (self.request(Side::Requester, id)?, self.transfer(transfer)?);
        let subject = transfer
            .subject
            .ok_or_else(|| Refused::internal(&"a take-over without a case"))?;
        let (passed, files) = self.passed(&row)?;
        let document = serde_json::to_vec(&passed).map_err(|error| Refused::internal(&error))?;
        let packed = self.packed(document, "request.json", files).await?;
        let mut step = Step::default();
        step.packs.push((
            pack_key(&transfer.id, Some(transfer.late.len())),
            Some(self.seal(VaultPart::Content, subject, &packed.pack)?),
        ));
        let anew = packed.pack.files.iter().take(packed.pack.anew);
        step.files.extend(anew.map(|kept| Held::by(&transfer.id, kept)));
        transfer.late.push(Late {
            item: 0,
            received_at: now,
            before_take_over: false,
            bundle: packed.bundle,
            request: Some(id.clone()),
            packed: true,
            pulled: 0,
            imported: false,
        });
        self.relay(&mut step, &mut transfer, now);
        if let Some(moving) = &mut row.moving {
            moving.stage = Stage::HandedOver;
            row.moves.push(moving.it.clone());
        }
        let details = json!({ "request": id, "transfer": transfer.id, "manifest": packed.bundle.manifest });
        let cites = self
            .act(&Principal::node(), "request_hand_over", "taken over", details)
            .await?;
        step.transfer = Some(transfer);
        step.requests.push(row);
        step.event("request.handed_over", now);
        self.commit("request_hand_over", &cites, step).await
    }

    /// Who is asked goes on with who asks now: what waits goes there.
    pub(super) fn asked_by_another(
        &self,
        step: &mut Step,
        row: &mut RequestRow,
        it: (&str, &Id, Timestamp),
    ) -> Result<(), Refused> {
        let (to, transfer, at) = it;
        let member: MemberId = to
            .parse()
            .map_err(|_| Refused::invalid("member_unknown", format!("{to} is no member")))?;
        let client = ClientId::subsystem_of(member, SUBSYSTEM).map_err(|error| Refused::internal(&error))?;
        row.moves.push(Move {
            from: member_of(&row.peer).to_owned(),
            to: to.to_owned(),
            transfer: transfer.clone(),
            at,
        });
        row.peer = client.to_string();
        for mut out in self.sent_messages(&row.process())? {
            if matches!(out.state, OutState::Waiting | OutState::Parked { .. }) {
                out.peer.clone_from(&row.peer);
                step.out.push(out);
            }
        }
        Ok(())
    }

    /// Whether a message of who is asked has to wait: who asked hands the case over just now, or who took it over has not got the
    /// request yet.
    pub(in crate::casework) fn waits_for_who_asks(
        &self,
        process: &Process,
        status: StatusCode,
        body: &[u8],
    ) -> bool {
        let Process::Request(Side::Participant, id) = process else {
            return false;
        };
        match status {
            StatusCode::SERVICE_UNAVAILABLE => {
                let problem: serde_json::Value = serde_json::from_slice(body).unwrap_or_default();
                problem["code"] == MOVED
            }
            StatusCode::NOT_FOUND => self
                .request(Side::Participant, id)
                .is_ok_and(|row| !row.moves.is_empty()),
            _ => false,
        }
    }
}

impl RequestRow {
    /// Whether that is who asked before. What it said is answered again, its last message too, whose answer it may not have got.
    pub(super) fn was_asked_by(&self, client: &ClientId) -> bool {
        let member = client.member().to_string();
        client.subsystem() == Some(SUBSYSTEM) && self.moves.iter().any(|moved| moved.from == member)
    }
}

impl TransferRow {
    /// Whether rounds have to go along with what was taken over just now.
    pub(in crate::casework) fn takes_rounds_along(&self, case: &CaseRow) -> bool {
        use kontor_participation::transfer::Moves;
        case.open_round
            && case.transfer.as_ref() == Some(&self.id)
            && matches!(self.machine, Machine::Sender(_))
            && self.offer.situation.moves() == Moves::Responsibility
    }
}
