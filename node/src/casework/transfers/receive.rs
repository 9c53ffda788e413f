//! Messages of the other side of a transfer. What comes here is signed, verified and on disk; its entry is what the transaction cites,
//! and the answer, which goes out signed, is the receipt.

use std::sync::Arc;

use bytes::Bytes;
use jiff::Timestamp;
use kontor_participation::application::manifest::Digest;
use kontor_participation::transfer::delivery::{Body, CONTRACT, LogPlace, Party, Place, Receipt, Sent};
use kontor_participation::transfer::message::{Answer, Message};
use kontor_participation::transfer::offer::Id;
use kontor_participation::transfer::receiver::{self, Receiver};
use kontor_participation::transfer::sender;
use kontor_pki::crypto::sha256;

use super::super::inbox::{Answered, Arrival, Brought};
use super::super::row::{Asked, CaseRow, InRow, Late, Machine, Process, TransferRow};
use super::super::{Casework, Refused, Step, Table};
use super::APART;

impl Casework {
    /// Takes a message: what it is answered once stays its answer.
    pub(in crate::casework) async fn take_transfer(
        self: &Arc<Self>,
        brought: &Brought,
        id: &Id,
        party: Party,
        seq: u32,
        kind: &str,
        bytes: Bytes,
    ) -> Result<Answered, Refused> {
        let before: Option<TransferRow> = self.store.get(Table::Transfers, id.to_string().as_bytes())?;
        let case = before.as_ref().and_then(|row| row.case.clone());
        let ids: Vec<&Id> = std::iter::once(id).chain(case.as_ref()).collect();
        let _lock = self.lock(&ids).await;
        let row: Option<TransferRow> = self.store.get(Table::Transfers, id.to_string().as_bytes())?;
        if let Some(row) = &row
            && (row.peer != brought.client.to_string() || row.machine.party() == party)
        {
            return Err(Refused::not_found("transfer", id));
        }
        let digest = Digest(sha256(&bytes));
        let process = Process::Transfer(id.clone());
        let came = Arrival {
            brought,
            process: &process,
            seq,
            kind,
            sha256: digest,
        };
        let received = row.as_ref().map_or(0, |row| row.received);
        if let Some(answered) = self.answered_before(&came, received).await? {
            return Ok(answered);
        }
        let sent =
            Sent::read(&bytes, kind).map_err(|error| Refused::invalid(error.code(), error.to_string()))?;
        let may = sent.body.party().is_none_or(|wanted| wanted == party);
        self.may_say(&came, sent.test, (party.name(), may))?;
        let now = self.decisive_now()?;
        let (transfer, is_new) = match (row, &sent.body) {
            (Some(row), _) => (row, false),
            (None, Body::Offer { offer }) if offer.transfer_id == *id => {
                if offer.test != self.test {
                    return Err(Refused::invalid(
                        "test_mismatch",
                        "the test mark of the offer differs from that of this node",
                    ));
                }
                (Self::offered((**offer).clone(), &brought.client, now), true)
            }
            (None, Body::Offer { .. }) => {
                return Err(Refused::invalid(
                    "id_mismatch",
                    "the offer names another transfer than its path",
                ));
            }
            (None, _) => return Err(Refused::not_found("transfer", id)),
        };
        let case = transfer.case.as_ref().map(|case| self.case(case)).transpose()?;
        let cites = self.cited(&brought.entry);
        let mut step = Step::default();
        let (transfer, case, answer, event) = self.follow(&mut step, transfer, case, &sent, is_new, now)?;
        let receipt = Receipt {
            contract: CONTRACT.to_owned(),
            message: Place::Message {
                transfer: id.clone(),
                party,
                seq,
                kind: kind.to_owned(),
            }
            .to_string(),
            sha256: digest,
            x_road_id: brought.query_id.clone(),
            x_road_request_id: brought.request_id.clone(),
            received_at: now,
            detail: match answer {
                Answer::Taken => None,
                Answer::Refused { .. } => Some(format!(
                    "{kind} does not fit: the transfer is {} here",
                    transfer.machine.state()
                )),
            },
            answer,
            entry: Some(LogPlace {
                log: self.server.to_string(),
                number: cites.number,
                leaf: cites.leaf,
            }),
        };
        let mut transfer = transfer;
        transfer.received = seq;
        if matches!(sent.body, Body::TakenOver { .. }) && receipt.answer == Answer::Taken {
            transfer.proven_below = Some(self.log.stamp_soon());
        }
        let text = serde_json::to_string(&receipt).map_err(|error| Refused::internal(&error))?;
        step.incoming = Some((
            process.numbered(seq),
            InRow {
                kind: kind.to_owned(),
                sha256: digest,
                at: now,
                receipt: text.clone(),
                again: None,
                elsewhere: false,
            },
        ));
        step.case = case;
        step.transfer = Some(transfer);
        step.event(&event, now);
        self.commit("receive", &cites, step).await?;
        Ok(Answered::settled(&text))
    }

    /// What follows from a message.
    fn follow(
        &self,
        step: &mut Step,
        mut transfer: TransferRow,
        mut case: Option<CaseRow>,
        sent: &Sent,
        is_new: bool,
        now: Timestamp,
    ) -> Result<(TransferRow, Option<CaseRow>, Answer, String), Refused> {
        let kind = sent.body.kind();
        let event = format!("transfer.{}", kind.replace('-', "_"));
        let Some(message) = sent.body.message() else {
            return Ok((transfer, case, Answer::Taken, event));
        };
        if is_new {
            self.accept_by_rule(step, &mut transfer, now);
            return Ok((transfer, case, Answer::Taken, "transfer.offered".to_owned()));
        }
        let answer = match transfer.machine.clone() {
            Machine::Sender(mut machine) => {
                if let Body::TakenOver { at, manifest, .. } = &sent.body {
                    if *manifest != transfer.offer.manifest {
                        let detail = "what was taken over is not what was offered: the digest of the manifest is another one";
                        return Err(Refused::invalid("manifest_mismatch", detail));
                    }
                    transfer.clocks_apart = (at.as_second() - now.as_second()).abs() > APART;
                }
                let (decision, answer) = machine.receive(message);
                if let Some(decision) = decision {
                    machine.apply(&decision);
                }
                // What follows from it without a person: the package of an accepted offer, the note of a take-over.
                let until = transfer.offer.take_over_until;
                let next = match machine.state() {
                    sender::State::Accepted if message == Message::Accept => {
                        Some(sender::Command::SendPackage {
                            take_over_until: until,
                        })
                    }
                    sender::State::TakenOver(_) => Some(sender::Command::Close),
                    _ => None,
                };
                transfer.machine = Machine::Sender(machine.clone());
                if answer == Answer::Taken {
                    self.note_as_sender(&mut transfer, &sent.body, now);
                }
                if let Some(next) = next
                    && let Ok(decision) = machine.decide(next, now)
                {
                    machine.apply(&decision);
                    transfer.machine = Machine::Sender(machine);
                    if let (Some(Message::Package { take_over_until }), Some(bundle)) =
                        (decision.tell, transfer.bundle)
                    {
                        let body = Body::Package {
                            take_over_until,
                            bundle,
                        };
                        transfer.package_at = Some(now);
                        step.tell(&mut transfer, body, now, self.test);
                    }
                    self.relay(step, &mut transfer, now);
                }
                answer
            }
            Machine::Receiver(mut machine) => {
                if let Body::Package { bundle, .. } = &sent.body
                    && (bundle.manifest != transfer.offer.manifest
                        || bundle.octets != bundle.manifest_octets.saturating_add(transfer.offer.octets))
                {
                    let detail =
                        "the package is not the one that was offered: its digest or its size is another one";
                    return Err(Refused::invalid("manifest_mismatch", detail));
                }
                let (decision, answer) = machine.receive(message);
                if let Some(decision) = decision {
                    machine.apply(&decision);
                    transfer.machine = Machine::Receiver(machine);
                }
                if answer == Answer::Taken {
                    self.note_as_receiver(&mut transfer, &sent.body, now);
                }
                answer
            }
        };
        if let Some(case) = &mut case {
            if matches!(sent.body, Body::TakenOver { .. }) && answer == Answer::Taken {
                transfer.rounds_wait = transfer.takes_rounds_along(case);
            }
            self.settle_case(case, &transfer, now);
        }
        Ok((transfer, case, answer, event))
    }

    fn note_as_sender(&self, transfer: &mut TransferRow, body: &Body, now: Timestamp) {
        match body {
            Body::Accept { standing_rule } => transfer.standing_rule.clone_from(standing_rule),
            Body::Refuse { suggestion, .. } => transfer.suggestion.clone_from(suggestion),
            Body::ImportResult {
                complete: false,
                files,
            } => {
                let first = files.first().map(|file| file.result);
                transfer.import_problem = first
                    .and_then(|result| serde_json::to_value(result).ok()?.as_str().map(str::to_owned))
                    .or_else(|| Some("incomplete".into()));
            }
            Body::TakenOver { case_number, .. } => {
                transfer.number = Some(case_number.clone());
                transfer.take_over_known_at = Some(now);
            }
            Body::RecallResult { statement, .. } => transfer.their_purge = Some(*statement),
            Body::Number { case_number } => transfer.instance_number = Some(case_number.clone()),
            Body::Query { question, words } => transfer.questions.push(Asked {
                question: *question,
                words: words.clone(),
                at: now,
                answer: None,
            }),
            _ => {}
        }
    }

    fn note_as_receiver(&self, transfer: &mut TransferRow, body: &Body, now: Timestamp) {
        match body {
            Body::Package {
                bundle,
                take_over_until,
            } => {
                transfer.bundle = Some(*bundle);
                transfer.package_at = Some(now);
                transfer.offer.take_over_until = *take_over_until;
                transfer.pulled = 0;
                transfer.import_problem = None;
            }
            Body::Recall { reason } => transfer.recalled = Some(*reason),
            Body::Answer { answer, words } => {
                if let Some(open) = transfer.questions.iter_mut().find(|asked| asked.answer.is_none()) {
                    open.answer = Some((*answer, words.clone(), now));
                }
            }
            Body::LateItem {
                received_at,
                before_take_over,
                request,
                bundle,
            } => transfer.late.push(Late {
                item: transfer.received + 1,
                received_at: *received_at,
                before_take_over: *before_take_over,
                bundle: *bundle,
                request: request.clone(),
                packed: false,
                pulled: 0,
                imported: false,
            }),
            Body::Purged { statement } => transfer.their_purge = Some(*statement),
            _ => {}
        }
    }

    /// A standing rule accepts and pulls what it names; taking over stays a person's.
    fn accept_by_rule(&self, step: &mut Step, transfer: &mut TransferRow, now: Timestamp) {
        let member = transfer
            .peer
            .rsplit_once('/')
            .map_or("", |(member, _)| member)
            .to_owned();
        let admitted = self.admitted.load();
        let rule = admitted
            .standing_rules
            .iter()
            .find(|rule| rule.from.to_string() == member && rule.services.contains(&transfer.offer.service));
        let Some(rule) = rule else { return };
        let Machine::Receiver(machine) = transfer.machine.clone() else {
            return;
        };
        let mut machine: Receiver = machine;
        if let Ok(decision) = machine.decide(receiver::Command::Accept, now) {
            machine.apply(&decision);
            transfer.machine = Machine::Receiver(machine);
            transfer.standing_rule = Some(rule.id.clone());
            let body = Body::Accept {
                standing_rule: Some(rule.id.clone()),
            };
            step.tell(transfer, body, now, self.test);
        }
    }
}
