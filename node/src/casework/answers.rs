//! What the answers to messages of a transfer lead to.

use kontor_participation::transfer::delivery::{Body, Receipt, Sent};
use kontor_participation::transfer::message::Answer;
use kontor_participation::transfer::offer::Id;
use serde_json::json;

use super::row::{Machine, OutRow};
use super::{Casework, Principal, Refused, Step};

impl Casework {
    /// Takes the answer to a message; gives the peer, and how many messages there are for it.
    pub(super) async fn transfer_answered(
        &self,
        row: OutRow,
        receipt: Receipt,
    ) -> Result<Option<(String, u32)>, Refused> {
        let id = row.process.id().clone();
        let before = self.transfer(&id)?;
        let ids: Vec<&Id> = std::iter::once(&id).chain(before.case.as_ref()).collect();
        let _lock = self.lock(&ids).await;
        let mut transfer = self.transfer(&id)?;
        let was = transfer.machine.clone();
        let mut case = transfer.case.as_ref().map(|case| self.case(case)).transpose()?;
        let now = self.now();
        let sent: Sent = serde_json::from_str(&row.body).map_err(|error| Refused::internal(&error))?;
        let answer = receipt.answer;
        if let Some(message) = sent.body.message() {
            match transfer.machine.clone() {
                Machine::Sender(mut machine) => {
                    if let Some(decision) = machine.answered(message, answer) {
                        machine.apply(&decision);
                        transfer.machine = Machine::Sender(machine);
                    }
                }
                Machine::Receiver(mut machine) => {
                    if let Some(decision) = machine.answered(message, answer) {
                        machine.apply(&decision);
                        transfer.machine = Machine::Receiver(machine);
                    }
                }
            }
        }
        if let Some(case) = &mut case {
            self.settle_case(case, &transfer, now);
        }
        if matches!(sent.body, Body::TakenOver { .. }) && answer == Answer::Taken {
            transfer.proven_below = Some(self.log.stamp_soon());
        }
        let changed = transfer.machine != was;
        let cites = match changed {
            // The answer is an entry of its own in the log; what follows from it is an act that cites the message.
            true => {
                let details = json!({
                    "transfer": transfer.id, "seq": row.seq, "kind": row.kind, "state": transfer.machine.state(),
                });
                self.act(&Principal::node(), "answered", "receipt", details)
                    .await?
            }
            false => transfer.cites.clone(),
        };
        let state = transfer.machine.state();
        let mut step = Step {
            case: case.filter(|_| changed),
            transfer: Some(transfer).filter(|_| changed),
            ..Step::default()
        };
        if changed {
            step.event(&format!("transfer.{}", state.to_lowercase()), now);
        }
        self.put_out(&cites, step, row).await?;
        let known = self.transfer(&id)?;
        Ok(Some((known.peer, known.sent)))
    }
}
