//! Messages and receipts of one request, as they lie in a package: each once, and each receipt with its message.

use std::collections::{BTreeMap, BTreeSet};

use crate::round::delivery::{Receipt, Sent, Side};
use crate::transfer::replay::Exchange;

/// A message with its receipt.
pub(super) struct Said {
    pub(super) sent: Sent,
    pub(super) by: String,
    pub(super) receipt: Option<Receipt>,
}

/// What was pulled of a bundle.
#[derive(Default)]
pub(super) struct Pulled {
    pub(super) parts: BTreeSet<u64>,
    pub(super) first: Option<Vec<u8>>,
}

/// What there is of a request.
#[derive(Default)]
pub(super) struct Collected {
    pub(super) said: BTreeMap<(Side, u32), Said>,
    pub(super) members: BTreeMap<Side, String>,
    pub(super) pulled: BTreeMap<(Side, u32), Pulled>,
    pub(super) contradictions: Vec<String>,
}

impl Collected {
    pub(super) fn take(&mut self, exchange: &Exchange, side: Side, seq: u32, kind: &str) {
        for (side, member) in [(side, &exchange.from), (side.other(), &exchange.to)] {
            let known = self.members.entry(side).or_insert_with(|| member.clone());
            if known != member {
                self.contradictions
                    .push(format!("the {} is {known} and {member}", side.name()));
            }
        }
        let what = format!("message {seq} of the {}", side.name());
        let sent = match Sent::read(&exchange.body, kind) {
            Ok(sent) => sent,
            Err(error) => {
                self.contradictions.push(format!("{what}: {error}"));
                return;
            }
        };
        if sent.body.side().is_some_and(|by| by != side) {
            self.contradictions.push(format!(
                "{what} ({kind}): it is not for the {} to say",
                side.name()
            ));
        }
        let receipt = exchange
            .answer
            .as_ref()
            .and_then(|answer| serde_json::from_slice::<Receipt>(answer).ok());
        let receipt = receipt.filter(|receipt| {
            let fits = receipt.message == exchange.path
                && receipt.sha256.0 == kontor_pki::crypto::sha256(&exchange.body);
            if !fits {
                self.contradictions
                    .push(format!("the receipt of {what} is about another message"));
            }
            fits
        });
        match self.said.get_mut(&(side, seq)) {
            // It was sent again until it was answered; the bytes have to be the same.
            Some(before) if before.sent != sent => self
                .contradictions
                .push(format!("{what} stands there twice, with different words")),
            Some(before) => before.receipt = before.receipt.take().or(receipt),
            None => {
                let said = Said {
                    sent,
                    by: exchange.from.clone(),
                    receipt,
                };
                self.said.insert((side, seq), said);
            }
        }
    }
}
