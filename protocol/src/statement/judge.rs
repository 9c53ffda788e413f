//! What a statement proves, offline: that an entry is in its log, and under which rule and by which entry its content was
//! deleted. Owns the sentences that say what is left to prove (evidence 4).

use std::fmt::Write as _;

use kontor_pki::crypto::sha512;
use kontor_pki::time::UnixTime;
use serde::Serialize;

use super::{Deletion, Entry, Statement};
use crate::container::check::proven;
use crate::container::{Companion, InclusionFacts, Reason, Verdict, hex};
use crate::log::{EntryKind, Leaf};
use crate::trust::TrustSet;

/// What can be shown where the evidence of an entry is there and its head is not.
#[must_use]
pub fn left_of_evidence() -> &'static str {
    "that a message with given bytes, shown by anyone who still has it, is this entry"
}

/// What can be shown where only the leaf of an entry is there; `deleted` are rule and entry of the deletion, if they are known.
#[must_use]
pub fn left_of_leaf(deleted: Option<(&str, u64)>) -> String {
    let how = match deleted {
        Some((rule, entry)) => format!("was deleted under rule `{rule}` by entry {entry}"),
        None => "is not readable any more".into(),
    };
    format!(
        "that an exchange of this kind between these parties existed in that second and {how}; not what it was, nor that a \
         counterparty's copy belongs to it"
    )
}

/// What a deletion says, as far as it holds.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct DeletedFacts {
    /// `head`, `body` or `evidence`.
    pub part: String,
    /// Under which rule.
    pub rule: String,
    /// On which ground.
    pub ground: String,
    /// Who ordered it, for the rule `order`.
    pub by: Option<String>,
    /// The entry that records it.
    pub entry: u64,
    /// When, by the clock of the log.
    pub at: String,
    /// Its place in the log.
    pub inclusion: Option<InclusionFacts>,
}

/// What is left to prove with a statement.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Left {
    /// That given bytes are this message: digests of its parts are there.
    Digests,
    /// That the exchange existed, and how its content went.
    Leaf,
    /// Nothing: the statement contradicts itself.
    Nothing,
}

/// The answer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct StatementReport {
    /// `valid` when the entry and the deletion of its content are proven.
    pub verdict: Verdict,
    /// Why it is not valid.
    pub reasons: Vec<Reason>,
    /// What is left to prove with it.
    pub left: Left,
    /// The same in words.
    pub provable: String,
    /// The log, in hexadecimal.
    pub log: Option<String>,
    /// Number of the entry.
    pub number: Option<u64>,
    /// What kind of entry.
    pub kind: Option<String>,
    /// Who asked.
    pub client: Option<String>,
    /// What was asked.
    pub service: Option<String>,
    /// When, by the clock of the log, to the second.
    pub at: Option<String>,
    /// Made in test mode: it proves nothing about real bodies.
    pub test: bool,
    /// Its place in the log.
    pub inclusion: Option<InclusionFacts>,
    /// Names, lengths and SHA-512 of the parts that were logged, where the evidence is there.
    pub parts: Vec<(String, u64, String)>,
    /// What was deleted.
    pub deleted: Vec<DeletedFacts>,
    /// What else is worth knowing.
    pub notes: Vec<String>,
}

/// What the fact of a deletion says; other members are for people.
#[derive(serde::Deserialize)]
struct Said {
    rule: String,
    part: String,
    ground: String,
    #[serde(default)]
    by: Option<String>,
}

/// Judges a statement by a configuration that is trusted.
#[must_use]
pub fn judge(statement: &Statement, trust: &TrustSet) -> StatementReport {
    let mut report = StatementReport::empty();
    let (bytes, proof, keys) = match &statement.entry {
        Entry::Evidence(companion) => (&companion.leaf, &companion.proof, &companion.keys),
        Entry::Leaf { leaf, proof, keys } => (leaf, proof, keys),
    };
    let read = match &statement.entry {
        Entry::Evidence(companion) => companion
            .verified_leaf()
            .map_err(|error| (error.code(), error.to_string())),
        Entry::Leaf { leaf, .. } => Leaf::parse(leaf).map_err(|error| (error.code(), error.to_string())),
    };
    let leaf = match read {
        Ok(leaf) => leaf,
        Err((code, text)) => {
            refuse(&mut report, Verdict::Invalid, code, text);
            return report;
        }
    };
    report.log = Some(hex(&leaf.log_id));
    report.number = Some(leaf.number);
    report.kind = Some(leaf.kind.name().into());
    report.client = leaf.client.as_ref().map(ToString::to_string);
    report.service = leaf.service.as_ref().map(ToString::to_string);
    report.at = Some(second(&leaf));
    report.test = leaf.test;
    report.inclusion = match proof {
        Some(proof) => included(&mut report, &leaf, bytes, (proof, keys), trust),
        None => {
            let text = format!("entry {} is not proven to be in its log", leaf.number);
            refuse(&mut report, Verdict::Incomplete, "proof_missing", text);
            None
        }
    };
    for deletion in &statement.deletions {
        match deleted(&mut report, &leaf, deletion, trust) {
            Ok(facts) => report.deleted.push(facts),
            Err((code, text)) => refuse(&mut report, Verdict::Invalid, code, text),
        }
    }
    let gone: &[&str] = match &statement.entry {
        Entry::Evidence(companion) => {
            report.parts = companion
                .parts
                .iter()
                .map(|part| (part.name.clone(), part.length, hex(&part.digest)))
                .collect();
            &["head"]
        }
        Entry::Leaf { .. } => &["head", "evidence"],
    };
    for part in gone {
        if report.deleted.iter().any(|deleted| deleted.part == *part) {
            continue;
        }
        match statement.absent.iter().find(|absent| absent.name == *part) {
            Some(absent) => report.notes.push(format!(
                "why the {part} is not there is said by the operator of the log and proven by nothing: {}",
                absent.text
            )),
            None => {
                let text = format!(
                    "nothing says why the {part} of entry {} is not there",
                    leaf.number
                );
                refuse(&mut report, Verdict::Incomplete, "not_explained", text);
            }
        }
    }
    let (left, provable) = match (&statement.entry, report.verdict) {
        (_, Verdict::Invalid) => (
            Left::Nothing,
            "nothing: parts of the statement contradict each other".into(),
        ),
        (Entry::Evidence(_), _) => (Left::Digests, left_of_evidence().into()),
        (Entry::Leaf { .. }, _) => {
            let by = report.deleted.iter().find(|deleted| deleted.part == "evidence");
            (
                Left::Leaf,
                left_of_leaf(by.map(|by| (by.rule.as_str(), by.entry))),
            )
        }
    };
    (report.left, report.provable) = (left, provable);
    report
}

fn refuse(report: &mut StatementReport, verdict: Verdict, code: &str, text: String) {
    report.verdict = report.verdict.max(verdict);
    report.reasons.push(Reason {
        code: code.into(),
        text,
        verdict,
    });
}

fn included(
    report: &mut StatementReport,
    leaf: &Leaf,
    bytes: &[u8],
    (proof, keys): (&crate::log::proof::LogProof, &[crate::log::binding::Binding]),
    trust: &TrustSet,
) -> Option<InclusionFacts> {
    match proven(leaf, bytes, proof, keys, trust) {
        Ok((facts, mut notes)) => {
            report.notes.append(&mut notes);
            Some(facts)
        }
        Err(reason) => {
            refuse(report, reason.verdict, &reason.code, reason.text);
            None
        }
    }
}

/// What a deletion says of the entry, if it is one of the same log, says it in the bytes that its leaf commits to, and names
/// the entry.
fn deleted(
    report: &mut StatementReport,
    leaf: &Leaf,
    deletion: &Deletion,
    trust: &TrustSet,
) -> Result<DeletedFacts, (&'static str, String)> {
    let by = deletion
        .entry
        .verified_leaf()
        .map_err(|error| (error.code(), error.to_string()))?;
    let number = by.number;
    let other = |what: &str| ("deletion_other", format!("entry {number} {what}"));
    if by.kind != EntryKind::Deletion {
        return Err(other("records no deletion"));
    }
    if by.log_id != leaf.log_id {
        return Err(other("is of another log"));
    }
    if number <= leaf.number {
        return Err(other("was written before what it should have deleted"));
    }
    if !holds(&deletion.entry, "fact.json", &deletion.fact)
        || !holds(&deletion.entry, "numbers", &deletion.numbers)
    {
        return Err(other("says something else than what is shown of it"));
    }
    let said: Said =
        serde_json::from_slice(&deletion.fact).map_err(|_| other("does not say what it deleted"))?;
    let numbers = deletion.numbers().ok_or_else(|| other("names no entries"))?;
    if !numbers.contains(leaf.number) {
        return Err(other("deleted nothing of this entry"));
    }
    let inclusion = match &deletion.entry.proof {
        Some(proof) => included(
            report,
            &by,
            &deletion.entry.leaf,
            (proof, &deletion.entry.keys),
            trust,
        ),
        None => {
            let text = format!("entry {number} is not proven to be in its log");
            refuse(report, Verdict::Incomplete, "proof_missing", text);
            None
        }
    };
    Ok(DeletedFacts {
        part: said.part,
        rule: said.rule,
        ground: said.ground,
        by: said.by,
        entry: number,
        at: second(&by),
        inclusion,
    })
}

fn holds(entry: &Companion, name: &str, bytes: &[u8]) -> bool {
    let mut parts = entry.parts.iter().filter(|part| part.name == name);
    let is_it = parts
        .next()
        .is_some_and(|part| part.length == bytes.len() as u64 && part.digest == sha512(bytes));
    is_it && parts.next().is_none()
}

fn second(leaf: &Leaf) -> String {
    UnixTime::from_secs(i64::try_from(leaf.second).unwrap_or(i64::MAX / 1000)).to_rfc3339()
}

/// Text from a file on one line.
fn shown(text: &str) -> String {
    text.chars()
        .map(|c| if c.is_control() { '\u{FFFD}' } else { c })
        .collect()
}

impl StatementReport {
    /// The report of a file that is no statement, or cannot be read.
    #[must_use]
    pub fn refused(verdict: Verdict, code: &str, text: String) -> Self {
        let mut report = Self::empty();
        refuse(&mut report, verdict, code, text);
        report
    }

    fn empty() -> Self {
        Self {
            verdict: Verdict::Valid,
            reasons: Vec::new(),
            left: Left::Nothing,
            provable: "nothing".into(),
            log: None,
            number: None,
            kind: None,
            client: None,
            service: None,
            at: None,
            test: false,
            inclusion: None,
            parts: Vec::new(),
            deleted: Vec::new(),
            notes: Vec::new(),
        }
    }

    /// The report for people.
    #[must_use]
    pub fn in_words(&self) -> String {
        let mut out = format!("{}\n", self.verdict.as_str().to_uppercase());
        for reason in &self.reasons {
            let _ = writeln!(out, "  {}: {}", reason.code, shown(&reason.text));
        }
        if self.test {
            out += "  TEST: made in test mode, it proves nothing about real bodies\n";
        }
        if let (Some(number), Some(log), Some(kind), Some(at)) =
            (self.number, &self.log, &self.kind, &self.at)
        {
            let _ = writeln!(out, "  entry {number} of log {log}: a {kind}, logged {at}");
        }
        if let (Some(client), Some(service)) = (&self.client, &self.service) {
            let _ = writeln!(out, "  {} asked {}", shown(client), shown(service));
        }
        if let (Some(inclusion), Some(number)) = (&self.inclusion, self.number) {
            inclusion.write_to(&mut out, number);
        }
        for (name, length, digest) in &self.parts {
            let _ = writeln!(out, "  {}: {length} bytes, SHA-512 {digest}", shown(name));
        }
        for deleted in &self.deleted {
            let by = deleted.by.as_deref().map(|by| format!(", ordered by {by}"));
            let _ = writeln!(
                out,
                "  its {} was deleted at {} under rule `{}` by entry {}{}: {}",
                shown(&deleted.part),
                deleted.at,
                shown(&deleted.rule),
                deleted.entry,
                shown(&by.unwrap_or_default()),
                shown(&deleted.ground),
            );
            if let Some(inclusion) = &deleted.inclusion {
                inclusion.write_to(&mut out, deleted.entry);
            }
        }
        let _ = writeln!(out, "  what can be shown with it: {}", shown(&self.provable));
        for note in &self.notes {
            let _ = writeln!(out, "  note: {}", shown(note));
        }
        out
    }
}
