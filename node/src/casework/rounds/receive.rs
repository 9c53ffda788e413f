//! Messages of the other side of a request. What comes here is signed, verified and on disk; its entry is what the transaction cites,
//! and the answer, which goes out signed, is the receipt.

use bytes::Bytes;
use jiff::Timestamp;
use kontor_participation::application::manifest::Digest;
use kontor_participation::deadline::end_of;
use kontor_participation::round::delivery::{Body, CONTRACT, Place, Receipt, RequestBody, Sent, Side};
use kontor_participation::round::message::{Answer, Says};
use kontor_participation::round::participant::Participant;
use kontor_participation::transfer::delivery::LogPlace;
use kontor_participation::transfer::offer::Id;
use kontor_pki::crypto::sha256;

use super::super::inbox::{Answered, Arrival, Brought};
use super::super::row::{InRow, Process};
use super::super::{Casework, Refused, Step, Table};
use super::moved::{MOVED, Stage};
use super::row::{Announced, Asking, RequestRow};

impl Casework {
    /// Takes a message: what it is answered once stays its answer.
    pub(in crate::casework) async fn take_round(
        &self,
        brought: &Brought,
        id: &Id,
        by: Side,
        seq: u32,
        kind: &str,
        bytes: Bytes,
    ) -> Result<Answered, Refused> {
        let process = Process::Request(by.other(), id.clone());
        let _lock = self.lock(&[id]).await;
        let row: Option<RequestRow> = self.store.get(Table::Requests, &process.key())?;
        if let Some(row) = &row
            && row.peer != brought.client.to_string()
            && !(seq <= row.received && row.was_asked_by(&brought.client))
        {
            return Err(Refused::not_found("request", id));
        }
        // No gap: nobody answers what was not asked. It may be asked yet, by who takes a case over.
        if row.is_none() && by == Side::Participant && seq > 1 {
            return Err(Refused::not_found("request", id));
        }
        let digest = Digest(sha256(&bytes));
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
        let gone = row.as_ref().and_then(|row| row.moving.as_ref());
        if let Some(moving) = gone.filter(|moving| moving.stage > Stage::Waiting) {
            let detail = format!("{} asks from now on, and takes this message", moving.it.to);
            return Err(Refused::unavailable(MOVED, detail));
        }
        let sent =
            Sent::read(&bytes, kind).map_err(|error| Refused::invalid(error.code(), error.to_string()))?;
        let may = sent.body.side().is_none_or(|wanted| wanted == by);
        self.may_say(&came, sent.test, (by.name(), may))?;
        let now = self.decisive_now()?;
        let mut step = Step::default();
        let (mut row, answer) = match (row, &sent.body) {
            (Some(row), _) => self.heard(&mut step, row, &sent, seq, now)?,
            (None, Body::Request { request }) => self.asked(id, (**request).clone(), brought, now).await?,
            (None, _) => return Err(Refused::not_found("request", id)),
        };
        row.received = seq;
        let cites = self.cited(&brought.entry);
        let message = Place::Message {
            request: id.clone(),
            side: by,
            seq,
            kind: kind.to_owned(),
        };
        let receipt = Receipt {
            contract: CONTRACT.to_owned(),
            message: message.to_string(),
            sha256: digest,
            x_road_id: brought.query_id.clone(),
            x_road_request_id: brought.request_id.clone(),
            received_at: now,
            proof_level: row.body.proof_level,
            detail: match answer.says {
                Says::Refused { stands } => Some(format!(
                    "{kind} does not fit: the request is {} here",
                    stands.name()
                )),
                Says::Taken | Says::Delivered { .. } | Says::Judged(_) => None,
            },
            answer,
            entry: Some(LogPlace {
                log: self.server.to_string(),
                number: cites.number,
                leaf: cites.leaf,
            }),
        };
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
        let event = format!("{}.{}", row.process().name(), kind.replace('-', "_"));
        step.requests.push(row);
        step.event(&event, now);
        self.commit("receive", &cites, step).await?;
        Ok(Answered::settled(&text))
    }

    /// A request that came: its answer is the delivery.
    async fn asked(
        &self,
        id: &Id,
        body: RequestBody,
        brought: &Brought,
        now: Timestamp,
    ) -> Result<(RequestRow, Answer), Refused> {
        if body.request_id != *id {
            return Err(Refused::invalid(
                "id_mismatch",
                "the message names another request than its path",
            ));
        }
        if body.hosted.is_some() != (brought.client == *self.own()) {
            let detail =
                "only the own house asks guests and units of its own, and nobody else is hosted here";
            return Err(Refused::invalid("not_hosted_here", detail));
        }
        let ends = body.disclosure_ends.map(end_of).transpose();
        let ends = ends.map_err(|error| Refused::invalid(error.code(), error.to_string()))?;
        let (machine, answer) = Participant::delivered(body.terms.clone(), ends, now);
        let subject = self.subject(now).await?;
        let unit = body
            .hosted
            .as_deref()
            .and_then(|hosted| hosted.strip_prefix("unit/"))
            .map(str::to_owned);
        let announced = Announced::new(Side::Requester, 1, "request".into(), body.bundle);
        let asking = Asking::Participant(Box::new(machine));
        let mut row = RequestRow::new(body, asking, brought.client.to_string(), subject, now);
        row.unit = unit;
        row.bundles.push(announced);
        Ok((row, answer))
    }

    /// What follows from a message.
    fn heard(
        &self,
        step: &mut Step,
        mut row: RequestRow,
        sent: &Sent,
        seq: u32,
        now: Timestamp,
    ) -> Result<(RequestRow, Answer), Refused> {
        let told = sent.told();
        let (answer, tell) = match &mut row.asking {
            Asking::Requester(machine) => {
                let (decision, answer) = machine.receive(&told, now);
                machine.apply(&decision);
                (answer, decision.tell)
            }
            Asking::Participant(machine) => {
                let (decision, answer) = machine.receive(&told);
                machine.apply(&decision);
                (answer, Vec::new())
            }
        };
        self.tell(
            step,
            &mut row,
            tell,
            &super::requester::Details::default(),
            None,
            now,
        )?;
        if !answer.says.is_taken() {
            return Ok((row, answer));
        }
        let by = row.side().other();
        if let Some(bundle) = sent.body.bundle() {
            let announced = Announced::new(by, seq, sent.body.kind().to_owned(), *bundle);
            row.bundles.push(announced);
        }
        let words = match &sent.body {
            Body::Acknowledge { reference, contact } => {
                row.reference.clone_from(reference);
                contact.as_ref()
            }
            Body::Decline {
                reason,
                suggestion,
                words,
                ..
            } => {
                row.declined = Some((*reason, suggestion.clone()));
                words.as_ref()
            }
            Body::ExtensionRequest { reason, words, .. } => {
                row.extension = Some(*reason);
                words.as_ref()
            }
            Body::ExtensionDecision { words, .. } => words.as_ref(),
            Body::Moved { to, transfer, at } => {
                self.asked_by_another(step, &mut row, (to, transfer, *at))?;
                None
            }
            Body::Revoke {
                whole: false, files, ..
            } => {
                row.access.revoke(files.iter().map(String::as_str));
                row.to_delete.extend(files.iter().cloned());
                None
            }
            Body::Purged {
                statement,
                downloaded,
                ..
            } => {
                row.purge = Some(*statement);
                for one in downloaded {
                    if !row.downloaded.contains(one) {
                        row.downloaded.push(one.clone());
                    }
                }
                None
            }
            Body::Request { .. }
            | Body::Supplement { .. }
            | Body::Answer { .. }
            | Body::Clock { .. }
            | Body::Deadline { .. }
            | Body::Reminder { .. }
            | Body::Inquire { .. }
            | Body::Expired { .. }
            | Body::Suspended { .. }
            | Body::Resumed { .. }
            | Body::Cancelled { .. }
            | Body::Revoke { whole: true, .. }
            | Body::Assessed
            | Body::Outcome { .. }
            | Body::Preparing
            | Body::Question { .. }
            | Body::Statement { .. }
            | Body::WithdrawStatement { .. }
            | Body::Void { .. } => None,
        };
        let words = words.map(|words| words.text.as_str());
        // Where the content is deleted already there is no key for them any more, and nobody reads them.
        match self.put_words(step, &row, by, seq, words) {
            Err(refused) if refused.code == "purged" => {}
            other => other?,
        }
        Ok((row, answer))
    }
}
