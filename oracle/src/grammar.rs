//! What one party may say, by its own numbers alone: no clock, no receipt, and nothing of the other party.
//!
//! Owns who may say what, which message may follow which, and that no number is left out.

use crate::facts::{Facts, Party, Said};

/// For each kind the kinds that may come next from the same party. What may come first stands at "".
const SENDER: [(&str, &[&str]); 10] = [
    ("", &["offer"]),
    (
        "offer",
        &["answer", "withdraw", "expire", "package", "reclaim", "recall"],
    ),
    (
        "answer",
        &["answer", "withdraw", "expire", "package", "reclaim", "recall"],
    ),
    ("withdraw", &[]),
    ("expire", &[]),
    (
        "package",
        &["package", "reclaim", "recall", "late-item", "purged"],
    ),
    ("reclaim", &["late-item", "purged"]),
    ("recall", &["late-item", "purged"]),
    ("late-item", &["late-item", "purged"]),
    ("purged", &["late-item", "purged"]),
];

const RECEIVER: [(&str, &[&str]); 9] = [
    ("", &["query", "accept", "refuse", "dispute"]),
    ("query", &["query", "accept", "refuse", "dispute"]),
    ("accept", &["import-result", "refuse", "recall-result"]),
    (
        "import-result",
        &["import-result", "taken-over", "refuse", "recall-result"],
    ),
    ("taken-over", &["number"]),
    ("number", &["number"]),
    ("refuse", &["recall-result"]),
    ("dispute", &[]),
    ("recall-result", &[]),
];

/// A message that is given up may stand anywhere, and anything may follow it.
const VOID: &str = "void";

pub(crate) fn judge(facts: &mut Facts) {
    let (mut contradictions, mut missing) = (Vec::new(), Vec::new());
    for (party, table) in [(Party::Sender, &SENDER[..]), (Party::Receiver, &RECEIVER[..])] {
        let mut before: Option<&Said> = None;
        let mut number = 1;
        for said in facts.of(party) {
            let whole = number == said.number;
            for left_out in number..said.number.min(number + 8) {
                missing.push(format!("message {left_out} of the {}", party.name()));
            }
            number = said.number + 1;
            if said.kind != VOID && !table.iter().any(|(kind, _)| *kind == said.kind) {
                contradictions.push(format!("{} is not for the {} to say", said.name(), party.name()));
            } else if whole && !follows(table, before, said) {
                let after = before.map_or("nothing", |before| before.kind.as_str());
                contradictions.push(format!("{} cannot follow {after}", said.name()));
            }
            before = Some(said);
        }
        if party == Party::Sender && before.is_none() {
            missing.push("message 1 of the sender".to_owned());
        }
    }
    facts.contradictions.append(&mut contradictions);
    facts.missing.append(&mut missing);
}

fn follows(table: &[(&str, &[&str])], before: Option<&Said>, said: &Said) -> bool {
    let before = before.map_or("", |before| before.kind.as_str());
    before == VOID
        || said.kind == VOID
        || table
            .iter()
            .any(|(kind, next)| *kind == before && next.contains(&said.kind.as_str()))
}
