//! A request as it goes from the house that asked to the one that asks from then on: a document and what came with statements, in a
//! late item of the transfer. What this house showed lies in the case, which is there already.

use std::collections::BTreeSet;

use jiff::Timestamp;
use kontor_participation::application::manifest::Digest;
use kontor_participation::round::delivery::{ExtensionReason, RequestBody, Side};
use kontor_participation::round::disclosure::access::{Access, Downloaded};
use kontor_participation::round::life::{self, Party, Round};
use kontor_participation::round::message::DeclineReason;
use kontor_participation::round::requester::Requester;
use kontor_participation::transfer::Responsibility;
use kontor_participation::transfer::delivery::PurgeStatement;
use kontor_participation::transfer::offer::Id;
use kontor_protocol::id::MemberId;
use serde::{Deserialize, Serialize};

use super::super::super::files::Held;
use super::super::super::row::{CaseFile, CaseRow, InRow, Process};
use super::super::super::{Casework, Refused, Step, Table, row_key};
use super::super::letters::{Choice, Letter};
use super::super::requester::machine_of;
use super::super::row::{Announced, Asking, RequestRow, RoundRow, RoundWords, member_of, nothing_yet};
use super::{Move, Stage};
use crate::config::casework::SUBSYSTEM;
use crate::messagelog::VaultPart;

/// What the document says it is.
const FORMAT: &str = "kontor-moved-request/1";

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
    /// All of a request that who asks needs, and the files that came with it.
    pub(super) fn passed(&self, row: &RequestRow) -> Result<(Passed, Vec<CaseFile>), Refused> {
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
            machine: machine_of(row)?.clone(),
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
        let there: Option<RoundRow> = self.store.get(Table::Rounds, &row_key(&passed.round.id))?;
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
        step.rounds.push(round);
        step.requests.push(row);
        Ok(true)
    }
}
