//! Commands on rounds: what happens to a round happens to each of its requests, in one commit.

use jiff::Timestamp;
use kontor_participation::round::delivery::CancelReason;
use kontor_participation::round::delivery::Side;
use kontor_participation::round::life;
use kontor_participation::round::requester::Act;
use kontor_participation::transfer::offer::Id;
use serde::Deserialize;
use serde_json::json;

use super::super::cases::{WORKERS, may_act};
use super::super::row::CaseRow;
use super::super::{Casework, Principal, Refused, Step};
use super::requester::{Command, Details};
use super::row::{Asking, RequestRow, RoundRow};

/// What a command on a round says besides its name.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct RoundDetails {
    /// Why it is cancelled.
    #[serde(default)]
    pub(crate) reason: Option<CancelReason>,
}

/// The command of this name.
pub(in crate::casework) fn command(name: &str) -> Option<life::Command> {
    life::Command::ALL
        .into_iter()
        .find(|command| command.name() == name)
}

impl Casework {
    /// Carries out a command on a round and all of its requests.
    pub(in crate::casework) async fn round_command(
        &self,
        who: &Principal,
        id: &Id,
        version: u64,
        command: life::Command,
        details: RoundDetails,
    ) -> Result<RoundRow, Refused> {
        who.needs(&WORKERS)?;
        let seen = self.seen_round(who, id)?;
        let case = seen.round.case.clone();
        let ids = [&case, id].into_iter();
        let ids: Vec<&Id> = ids
            .chain(seen.round.asked.iter().map(|asked| &asked.request))
            .collect();
        let _lock = self.lock(&ids).await;
        let mut row = self.seen_round(who, id)?;
        if row.version != version {
            return Err(Refused::version(row.version, version));
        }
        let mut case = self.case(&case)?;
        let now = self.decisive_now()?;
        may_act(who, &case)?;
        if !row.coming.is_empty() {
            let detail = format!(
                "{} requests of the round are still with who asked before",
                row.coming.len()
            );
            return Err(Refused::conflict("requests_coming", detail).hint("wait until they are here"));
        }
        let requests: Vec<RequestRow> = row
            .round
            .asked
            .iter()
            .map(|asked| self.request(Side::Requester, &asked.request))
            .collect::<Result<_, _>>()?;
        let states: Vec<_> = requests.iter().map(RequestRow::state).collect();
        let decision = row.round.decide(command, &states, now)?;
        let wanted = match command {
            life::Command::Cancel => Details {
                cancel_reason: Some(details.reason.ok_or_else(|| {
                    Refused::invalid("member_missing", "cancel needs reason").at("/reason")
                })?),
                ..Details::default()
            },
            life::Command::Open
            | life::Command::Close
            | life::Command::Evaluate
            | life::Command::Conclude
            | life::Command::Suspend
            | life::Command::Resume => Details::default(),
        };
        let mut step = Step::default();
        for request in requests {
            let changed = self
                .with_its_round(&mut step, request, command, decision.each, &wanted, now)
                .await?;
            step.requests.extend(changed);
        }
        row.round.apply(&decision);
        let acted = json!({
            "case": case.id, "round": id, "version": version, "state": row.round.state().name(),
            "requests": step.requests.iter().map(RequestRow::id).collect::<Vec<_>>(),
        });
        let cites = self
            .act(who, &format!("round_{}", command.name()), "worker", acted)
            .await?;
        let open = self.has_open_round(&case, &row)?;
        if open != case.open_round {
            case.open_round = open;
            step.case = Some(case);
        }
        step.rounds.push(row);
        step.event(&format!("round.{}", command.name()), now);
        self.commit("round", &cites, step).await?;
        self.round(id)
    }

    /// The rounds of a case, and who is asked in them.
    pub(in crate::casework) fn asked_of(&self, case: &CaseRow) -> Result<Vec<Id>, Refused> {
        let rounds = self.rounds_of(case)?.into_iter();
        Ok(rounds
            .flat_map(|row| {
                let asked = row.round.asked.into_iter().map(|asked| asked.request);
                std::iter::once(row.round.id).chain(asked)
            })
            .collect())
    }

    /// Hands rounds and requests of a case to whom the case was handed to: whoever sees it sees them.
    pub(in crate::casework) fn follow_case(&self, step: &mut Step, case: &CaseRow) -> Result<(), Refused> {
        for mut row in self.rounds_of(case)? {
            for asked in &row.round.asked {
                let mut request = self.request(Side::Requester, &asked.request)?;
                request.unit.clone_from(&case.unit);
                request.assignee.clone_from(&case.assignee);
                step.requests.push(request);
            }
            row.unit.clone_from(&case.unit);
            step.rounds.push(row);
        }
        Ok(())
    }

    /// What a command on the round does to one of its requests; nothing where that does not allow it.
    async fn with_its_round(
        &self,
        step: &mut Step,
        mut request: RequestRow,
        command: life::Command,
        each: Option<Act>,
        wanted: &Details,
        now: Timestamp,
    ) -> Result<Option<RequestRow>, Refused> {
        let Some(machine) = request.requester() else {
            return Ok(None);
        };
        if command == life::Command::Close {
            let decision = machine.round_closed(now);
            request.decided(&decision);
            return Ok(Some(request));
        }
        let fits = |act: Act| machine.allows(act).then_some(());
        let own = match each {
            Some(Act::Send) => fits(Act::Send).map(|()| Command::Send),
            Some(Act::Suspend) => fits(Act::Suspend).map(|()| Command::Suspend),
            Some(Act::Resume) => fits(Act::Resume).map(|()| Command::Resume),
            Some(Act::Cancel) => fits(Act::Cancel).map(|()| Command::Cancel),
            Some(_) | None => None,
        };
        let Some(own) = own else { return Ok(None) };
        debug_assert!(matches!(request.asking, Asking::Requester(_)));
        self.follow_request(step, request, own, wanted, now)
            .await
            .map(Some)
    }
}
