//! What one change writes: its rows, what it sends and what it tells, in one transaction that cites the entry it rests on.

use jiff::Timestamp;
use kontor_participation::transfer::delivery::{Body, Sent};
use kontor_participation::transfer::offer::Id;

use super::files::Held;
use super::intake::IntakeRow;
use super::rounds::row::{RequestRow, RoundRow};
use super::row::{CaseRow, Cited, EventRow, InRow, OutRow, OutState, Process, TransferRow};
use super::store::{Table, TxError};
use super::{Casework, Refused, row_key};
use crate::messagelog::VaultPart;

/// What a change writes: rows as they are to be, with the versions at which they were read.
#[derive(Default)]
pub(super) struct Step {
    pub(super) case: Option<CaseRow>,
    pub(super) content: Option<(Id, Option<String>)>,
    pub(super) transfer: Option<TransferRow>,
    pub(super) rounds: Vec<RoundRow>,
    pub(super) requests: Vec<RequestRow>,
    /// Letters of requests as they are now, sealed, and those that are gone.
    pub(super) letters: Vec<(Vec<u8>, Option<String>)>,
    /// Invitations of guests: what leads from a link to its request and back.
    pub(super) guests: Vec<(Vec<u8>, Option<String>)>,
    pub(super) out: Vec<OutRow>,
    pub(super) files: Vec<Held>,
    /// Packages as they are now, sealed, and those that are gone.
    pub(super) packs: Vec<(Vec<u8>, Option<String>)>,
    pub(super) incoming: Option<(Vec<u8>, InRow)>,
    /// Messages that another house had received and answered.
    pub(super) passed: Vec<(Vec<u8>, InRow)>,
    pub(super) intake: Option<(String, IntakeRow)>,
    pub(super) events: Vec<EventRow>,
}

impl Step {
    /// Sends a message after the commit.
    pub(super) fn tell(&mut self, transfer: &mut TransferRow, body: Body, at: Timestamp, test: bool) {
        transfer.sent += 1;
        let kind = body.kind().to_owned();
        let sent = serde_json::to_string(&Sent::new(body, at, test));
        self.out.push(OutRow {
            process: Process::Transfer(transfer.id.clone()),
            peer: transfer.peer.clone(),
            seq: transfer.sent,
            kind,
            body: sent.expect("messages have string keys only"),
            at,
            state: OutState::Waiting {},
        });
    }

    /// Tells whoever follows what happened.
    pub(super) fn event(&mut self, kind: &str, at: Timestamp) {
        let (case, transfer) = (self.case.as_ref(), self.transfer.as_ref());
        // What happened to a case is told of the case, and what happened to a round of the round and not of each of its requests.
        let round = self.rounds.first().filter(|_| !kind.starts_with("case."));
        let request = self.requests.first();
        let request = request.filter(|_| !kind.starts_with("case.") && !kind.starts_with("round."));
        let unit = case
            .and_then(|case| case.unit.clone())
            .or_else(|| transfer.and_then(|transfer| transfer.unit.clone()))
            .or_else(|| request.and_then(|request| request.unit.clone()))
            .or_else(|| round.and_then(|round| round.unit.clone()));
        self.events.push(EventRow {
            kind: kind.to_owned(),
            at,
            case: case
                .map(|case| case.id.clone())
                .or_else(|| transfer.and_then(|transfer| transfer.case.clone()))
                .or_else(|| request.and_then(|request| request.case.clone()))
                .or_else(|| round.map(|round| round.round.case.clone())),
            transfer: transfer.map(|transfer| transfer.id.clone()),
            round: round
                .map(|round| round.round.id.clone())
                .or_else(|| request.map(|request| request.body.round_id.clone())),
            request: request.map(|request| request.id().clone()),
            unit,
            version: transfer
                .map(|transfer| transfer.version)
                .or_else(|| request.map(|request| request.version))
                .or_else(|| round.map(|round| round.version))
                .or_else(|| case.map(|case| case.version))
                .map(|version| version + 1),
            state: transfer
                .map(|transfer| transfer.machine.state().to_owned())
                .or_else(|| request.map(|request| request.state().name().to_owned()))
                .or_else(|| round.map(|round| round.round.state().name().to_owned()))
                .or_else(|| case.map(|case| case.status.name().to_owned())),
        });
    }
}

impl Casework {
    /// Commits a change that rests on an entry. Rows must be as they were read, which the locks see to.
    pub(super) async fn commit(&self, name: &'static str, cites: &Cited, step: Step) -> Result<(), Refused> {
        let Step {
            mut case,
            content,
            mut transfer,
            mut rounds,
            mut requests,
            letters,
            guests,
            out,
            files,
            packs,
            incoming,
            passed,
            intake,
            events,
        } = step;
        if let Some(case) = &mut case {
            case.cites = cites.clone();
        }
        if let Some(transfer) = &mut transfer {
            transfer.cites = cites.clone();
        }
        for round in &mut rounds {
            round.cites = cites.clone();
        }
        for request in &mut requests {
            request.cites = cites.clone();
        }
        self.store
            .run_tx(name, |tx| {
                if let Some(case) = &case {
                    let key = row_key(&case.id);
                    let there = tx
                        .get::<CaseRow>(Table::Cases, &key)?
                        .map_or(0, |row| row.version);
                    if there != case.version {
                        return Err(TxError::Refused(Refused::changed("case")));
                    }
                    let mut row = case.clone();
                    row.version += 1;
                    tx.put(Table::Cases, &key, &row)?;
                }
                if let Some((id, sealed)) = &content {
                    match sealed {
                        Some(sealed) => tx.put(Table::Contents, &row_key(id), sealed)?,
                        None => tx.remove(Table::Contents, &row_key(id)),
                    }
                }
                if let Some(transfer) = &transfer {
                    let key = row_key(&transfer.id);
                    let there = tx
                        .get::<TransferRow>(Table::Transfers, &key)?
                        .map_or(0, |row| row.version);
                    if there != transfer.version {
                        return Err(TxError::Refused(Refused::changed("transfer")));
                    }
                    let mut row = transfer.clone();
                    row.version += 1;
                    tx.put(Table::Transfers, &key, &row)?;
                }
                for round in &rounds {
                    let key = row_key(&round.round.id);
                    let there = tx
                        .get::<RoundRow>(Table::Rounds, &key)?
                        .map_or(0, |row| row.version);
                    if there != round.version {
                        return Err(TxError::Refused(Refused::changed("round")));
                    }
                    let mut row = round.clone();
                    row.version += 1;
                    tx.put(Table::Rounds, &key, &row)?;
                }
                for request in &requests {
                    let key = request.process().key();
                    let there = tx
                        .get::<RequestRow>(Table::Requests, &key)?
                        .map_or(0, |row| row.version);
                    if there != request.version {
                        return Err(TxError::Refused(Refused::changed("request")));
                    }
                    let mut row = request.clone();
                    row.version += 1;
                    tx.put(Table::Requests, &key, &row)?;
                }
                for file in &files {
                    file.write(tx)?;
                }
                let sealed = [
                    (Table::Packs, &packs),
                    (Table::Letters, &letters),
                    (Table::Guests, &guests),
                ];
                for (table, rows) in sealed {
                    for (key, sealed) in rows {
                        match sealed {
                            Some(sealed) => tx.put(table, key, sealed)?,
                            None => tx.remove(table, key),
                        }
                    }
                }
                for row in &out {
                    tx.put(Table::Outbox, &row.process.numbered(row.seq), row)?;
                }
                for (key, row) in incoming.iter().chain(&passed) {
                    tx.put(Table::Inbox, key, row)?;
                }
                if let Some((key, row)) = &intake {
                    tx.put(Table::Intakes, key.as_bytes(), row)?;
                }
                for event in &events {
                    tx.append(Table::Events, event)?;
                }
                // A request of a peer is no act that something has to follow from, and where no row rests on it anew it stands there.
                let rests =
                    case.is_some() || transfer.is_some() || !rounds.is_empty() || !requests.is_empty();
                if incoming.is_none() && rests {
                    tx.put(Table::Acts, &cites.number.to_be_bytes(), &cites.leaf)?;
                }
                Ok(())
            })
            .await?;
        if let Some(case) = case {
            let record = self.open_sealed(VaultPart::Record, case.subject, &case.record)?;
            self.index.put(&case, record.as_ref());
        }
        if !events.is_empty() {
            // Nobody may be listening.
            let _ = self.told.send(());
        }
        for row in &out {
            self.outbox.queue(&row.peer, &row.process);
        }
        if let Some(transfer) = transfer {
            self.busy(&transfer);
        }
        for request in &requests {
            self.busy_request(request);
        }
        Ok(())
    }
}
