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

use std::collections::BTreeSet;

use http::StatusCode;
use jiff::{Timestamp, ToSpan};
use kontor_participation::application::manifest::Digest;
use kontor_participation::round::delivery::{ExtensionReason, RequestBody, Side};
use kontor_participation::round::disclosure::access::{Access, Downloaded};
use kontor_participation::round::life::{self, Party, Round};
use kontor_participation::round::message::DeclineReason;
use kontor_participation::round::requester::Requester;
use kontor_participation::round::state::State;
use kontor_participation::transfer::Responsibility;
use kontor_participation::transfer::delivery::PurgeStatement;
use kontor_participation::transfer::offer::Id;
use kontor_protocol::id::{ClientId, MemberId};
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::super::files::{Held, pack_key};
use super::super::row::{CaseFile, CaseRow, InRow, Late, Machine, OutRow, OutState, Process, TransferRow};
use super::super::{Casework, Principal, Refused, Step, Table};
use super::letters::{Choice, Letter};
use super::plan::nothing_yet;
use super::row::{Announced, Asking, RequestRow, RoundRow, RoundWords, member_of};
use crate::config::casework::SUBSYSTEM;
use crate::messagelog::VaultPart;

/// What the document of such a late item says it is.
const FORMAT: &str = "kontor-moved-request/1";
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

/// A request as it is handed over, with its round.
#[derive(Deserialize, Serialize)]
pub(in crate::casework) struct Passed {
    format: String,
    round: Round,
    words: RoundWords,
    /// Requests of the round that go over, one by one.
    together: BTreeSet<Id>,
    body: RequestBody,
    party: Party,
    peer: String,
    machine: Requester,
    since: Timestamp,
    sent: u32,
    received: u32,
    bundles: Vec<Announced>,
    access: Access,
    replaces: Option<Id>,
    reference: Option<String>,
    declined: Option<(DeclineReason, Option<String>)>,
    extension: Option<ExtensionReason>,
    purge: Option<PurgeStatement>,
    downloaded: Vec<Downloaded>,
    moves: Vec<Move>,
    choice: Option<Choice>,
    letters: Vec<PassedLetter>,
    messages: Vec<PassedMessage>,
}

#[derive(Deserialize, Serialize)]
struct PassedLetter {
    side: Side,
    seq: u32,
    document: String,
    words: String,
    /// Ids of its files: of the case, or beside this document.
    files: Vec<String>,
}

/// A message that was received and answered: it may come again.
#[derive(Deserialize, Serialize)]
struct PassedMessage {
    seq: u32,
    kind: String,
    sha256: Digest<32>,
    at: Timestamp,
    receipt: String,
}

impl Passed {
    /// Reads the document of a late item that is about this request.
    pub(in crate::casework) fn read(document: &[u8], request: &Id) -> Option<Self> {
        let passed: Self = serde_json::from_slice(document).ok()?;
        let whole = passed.format == FORMAT
            && passed.body.request_id == *request
            && passed.body.round_id == passed.round.id
            && passed.round.asked.iter().any(|asked| asked.request == *request)
            && passed.machine.state().is_sent()
            && passed.peer.ends_with(&format!("/{SUBSYSTEM}"))
            && member_of(&passed.peer).parse::<MemberId>().is_ok();
        whole.then_some(passed)
    }

    pub(in crate::casework) fn round(&self) -> &Id {
        &self.round.id
    }
}

impl Casework {
    /// Refuses to hand over a case with a round that cannot go along: one that is being prepared, or a request that nobody has yet.
    pub(in crate::casework) fn rounds_may_go(&self, case: &CaseRow) -> Result<(), Refused> {
        for row in self.open_rounds(case)? {
            let number = row.round.number;
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

    /// All of a request that who asks needs, and the files that came with it.
    fn passed(&self, row: &RequestRow) -> Result<(Passed, Vec<CaseFile>), Refused> {
        let round = self.round(&row.body.round_id)?;
        let together = round.round.asked.iter().map(|asked| &asked.request);
        let mut goes = BTreeSet::new();
        for id in together {
            if self.request(Side::Requester, id)?.state().is_sent() {
                goes.insert(id.clone());
            }
        }
        let (mut letters, mut files) = (Vec::new(), Vec::<CaseFile>::new());
        for (side, last) in [(Side::Requester, row.sent), (Side::Participant, row.received)] {
            for seq in 1..=last {
                let letter = self.letter(row, side, seq)?;
                if letter.document.is_empty() && letter.words.is_empty() {
                    continue;
                }
                letters.push(PassedLetter {
                    side,
                    seq,
                    files: letter
                        .files
                        .iter()
                        .map(|file| file.file.file_id.clone())
                        .collect(),
                    document: letter.document,
                    words: letter.words,
                });
                // What this house showed lies in the case, which is there.
                let theirs = letter.files.into_iter().filter(|_| side == Side::Participant);
                for file in theirs {
                    if files.iter().all(|known| known.file.file_id != file.file.file_id) {
                        files.push(file);
                    }
                }
            }
        }
        let received = self.store.below::<InRow>(Table::Inbox, &row.process().key())?;
        let messages = received.into_iter().map(|(key, row)| PassedMessage {
            seq: key.last_chunk::<4>().map_or(0, |seq| u32::from_be_bytes(*seq)),
            kind: row.kind,
            sha256: row.sha256,
            at: row.at,
            receipt: row.receipt,
        });
        let mut moves = row.moves.clone();
        moves.extend(row.moving.iter().map(|moving| moving.it.clone()));
        let party = row.party.clone();
        let passed = Passed {
            format: FORMAT.to_owned(),
            words: self.round_words(&round)?,
            round: round.round,
            together: goes,
            body: row.body.clone(),
            party: party.ok_or_else(|| Refused::internal(&"a request to nobody"))?,
            peer: row.peer.clone(),
            machine: super::requester::machine_of(row)?.clone(),
            since: row.since,
            sent: row.sent,
            received: row.received,
            bundles: row.bundles.clone(),
            access: row.access.clone(),
            replaces: row.replaces.clone(),
            reference: row.reference.clone(),
            declined: row.declined.clone(),
            extension: row.extension,
            purge: row.purge,
            downloaded: row.downloaded.clone(),
            moves,
            choice: self.choice(row).ok(),
            letters,
            messages: messages.collect(),
        };
        Ok((passed, files))
    }

    /// Goes on asking where another house has left off. `false` if something of that id is here already that did not go to that house.
    pub(in crate::casework) fn take_request_over(
        &self,
        step: &mut Step,
        case: &mut CaseRow,
        from: &str,
        passed: Passed,
        files: Vec<CaseFile>,
    ) -> Result<bool, Refused> {
        let process = Process::Request(Side::Requester, passed.body.request_id.clone());
        let before: Option<RequestRow> = self.store.get(Table::Requests, &process.key())?;
        let comes_back = |row: &RequestRow| {
            let gone = row.moving.as_ref();
            gone.is_some_and(|moving| moving.stage == Stage::HandedOver && moving.it.to == member_of(from))
        };
        let there: Option<RoundRow> = self
            .store
            .get(Table::Rounds, &super::super::row_key(&passed.round.id))?;
        let is_ours = |row: &RoundRow| {
            row.round.case != case.id
                && self
                    .case(&row.round.case)
                    .is_ok_and(|other| other.responsibility != Responsibility::Theirs)
        };
        if before.as_ref().is_some_and(|row| !comes_back(row)) || there.as_ref().is_some_and(is_ours) {
            return Ok(false);
        }
        let shown = self.content(case)?.files;
        let version = there.as_ref().map_or(0, |row| row.version);
        let mut round = match there.filter(|row| row.round.case == case.id) {
            Some(row) => row,
            None => RoundRow {
                round: passed.round.clone().of_case(case.id.clone()),
                // Of one that comes back the row goes on.
                version,
                unit: case.unit.clone(),
                subject: case.subject,
                created_at: self.now(),
                coming: BTreeSet::new(),
                cites: nothing_yet(),
                words: self.seal(VaultPart::Content, case.subject, &passed.words)?,
            },
        };
        let here = |id: &Id, round: &Round| round.asked.iter().any(|asked| asked.request == *id);
        let asked = passed.round.asked.iter();
        let asked = asked.filter(|asked| asked.request == passed.body.request_id);
        for asked in asked {
            if !here(&asked.request, &round.round) {
                round.round.asked.push(asked.clone());
            }
        }
        round.coming = passed
            .together
            .iter()
            .filter(|id| !here(id, &round.round))
            .cloned()
            .collect();
        let mut row = RequestRow::new(
            passed.body,
            Asking::Requester(Box::new(passed.machine)),
            passed.peer,
            case.subject,
            passed.since,
        );
        if let Some(before) = before {
            row.version = before.version;
            // The guest that is hosted here keeps its link and code, whoever asks.
            row.invitation = before.invitation;
        }
        row.party = Some(passed.party);
        row.case = Some(case.id.clone());
        row.unit.clone_from(&case.unit);
        (row.sent, row.received) = (passed.sent, passed.received);
        row.bundles = passed.bundles;
        row.access = passed.access;
        row.replaces = passed.replaces;
        row.reference = passed.reference;
        row.declined = passed.declined;
        row.extension = passed.extension;
        row.purge = passed.purge;
        row.downloaded = passed.downloaded;
        row.moves = passed.moves;
        if let Some(choice) = &passed.choice {
            self.put_paper(step, &row, Side::Requester, 0, choice)?;
        }
        for letter in passed.letters {
            let own = match letter.side {
                Side::Requester => &shown,
                Side::Participant => &files,
            };
            let of = |id: &String| own.iter().find(|file| file.file.file_id == *id).cloned();
            let paper = Letter {
                files: letter.files.iter().filter_map(of).collect(),
                document: letter.document,
                words: letter.words,
            };
            self.put_paper(step, &row, letter.side, letter.seq, &paper)?;
        }
        for file in &files {
            step.files.push(Held::by(row.id(), &file.kept));
        }
        for message in passed.messages {
            let came = InRow {
                kind: message.kind,
                sha256: message.sha256,
                at: message.at,
                receipt: message.receipt,
                again: None,
                elsewhere: true,
            };
            step.passed.push((process.numbered(message.seq), came));
        }
        if !case.rounds.contains(&round.round.id) {
            case.rounds.push(round.round.id.clone());
        }
        case.open_round |= !matches!(
            round.round.state(),
            life::State::Concluded | life::State::Cancelled
        );
        step.round = Some(round);
        step.requests.push(row);
        Ok(true)
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
