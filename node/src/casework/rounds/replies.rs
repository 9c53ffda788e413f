//! Answers of the other side to messages of a request, and what has to be noted before one is sent.

use kontor_participation::calendar::HolidayTable;
use kontor_participation::round::delivery::{Receipt, Sent, Side};
use kontor_participation::round::message::Message;
use kontor_participation::transfer::offer::Id;
use serde_json::json;

use super::super::row::OutRow;
use super::super::{Casework, Principal, Refused, Step};
use super::moved::Stage;
use super::requester::Details;
use super::row::{Asking, RequestRow};

impl Casework {
    /// Whether a message goes now: what is for a guest waits until the guest opens it, or its delivery is proven otherwise. That the
    /// participant's node is asked for what it entered is noted before it is.
    pub(in crate::casework) async fn may_send(
        &self,
        side: Side,
        id: &Id,
        row: &OutRow,
    ) -> Result<bool, Refused> {
        if side == Side::Participant {
            return Ok(true);
        }
        if row.kind != "inquire" {
            return Ok(is_reached(&self.request(side, id)?));
        }
        let _lock = self.lock(&[id]).await;
        let mut request = self.request(side, id)?;
        if !is_reached(&request) {
            return Ok(false);
        }
        let sent: Sent = serde_json::from_str(&row.body).map_err(|error| Refused::internal(&error))?;
        let now = self.decisive_now()?;
        let machine = super::requester::machine_of(&request)?;
        let Some(decision) = machine.attempted(&sent.body.message(), now) else {
            return Ok(true);
        };
        request.decided(&decision);
        let details = json!({ "request": id, "seq": row.seq, "kind": row.kind });
        let cites = self
            .act(&Principal::node(), "attempted", "clock", details)
            .await?;
        let step = Step {
            requests: vec![request],
            ..Step::default()
        };
        self.commit("attempted", &cites, step).await?;
        Ok(true)
    }

    /// Takes the answer to a message; gives the peer, and how many messages there are for it.
    pub(in crate::casework) async fn request_answered(
        &self,
        out: OutRow,
        receipt: Receipt,
    ) -> Result<Option<(String, u32)>, Refused> {
        let super::super::row::Process::Request(side, id) = out.process.clone() else {
            return Ok(None);
        };
        let _lock = self.lock(&[&id]).await;
        let mut row = self.request(side, &id)?;
        let now = self.now();
        let sent: Sent = serde_json::from_str(&out.body).map_err(|error| Refused::internal(&error))?;
        let message = sent.body.message();
        let mut step = Step::default();
        let decided = match &mut row.asking {
            Asking::Requester(machine) => {
                let decision = machine.answered(&message, receipt.answer, HolidayTable::built_in());
                if let Some(decision) = &decision {
                    machine.apply(decision);
                }
                decision
            }
            Asking::Participant(machine) => {
                let decision = machine.answered(receipt.answer);
                machine.apply(&decision);
                None
            }
        };
        let moved = row.moving.as_mut().filter(|_| message == Message::Moved);
        let is_heard = moved.is_some();
        if let Some(moving) = moved {
            moving.stage = Stage::Heard;
        }
        let changed = decided.is_some() || side == Side::Participant || is_heard;
        let cites = match &decided {
            // The answer is an entry of its own in the log; what follows from it is an act.
            Some(_) => {
                let details = json!({
                    "request": id, "seq": out.seq, "kind": out.kind, "state": row.state().name(),
                });
                self.act(&Principal::node(), "answered", "receipt", details)
                    .await?
            }
            None => row.cites.clone(),
        };
        if let Some(decision) = decided {
            self.tell(&mut step, &mut row, decision.tell, &Details::default(), None, now)?;
        }
        let delivered = matches!(message, Message::Request(_)) && side == Side::Requester;
        let more = (row.peer.clone(), row.sent);
        if changed {
            step.requests.push(row);
        }
        if delivered && receipt.answer.says.is_taken() {
            step.event("request.delivered", now);
        }
        self.put_out(&cites, step, out).await?;
        Ok(Some(more))
    }
}

/// Whether what is told to the participant can reach it: a guest is there once it has opened its invitation.
fn is_reached(row: &RequestRow) -> bool {
    let opened = row
        .invitation
        .as_ref()
        .is_some_and(|invitation| invitation.opened_at().is_some());
    let proven = row
        .requester()
        .is_some_and(|machine| machine.delivery().is_some());
    !row.is_guest() || opened || proven
}
