//! What a check says: a verdict, its reasons, and the facts, as values, as JSON and in words.
//!
//! Owns the words that people read. Facts are what the evidence says; where the verdict is not `valid` they are claims.

use std::fmt::{self, Write as _};

use kontor_pki::time::UnixTime;
use serde::{Serialize, Serializer};

use super::record::RecordFacts;
use super::subject::{MessageForm, MessageRole, Subject};
use crate::id::{MemberId, ServerId};
use crate::trust::TrustSet;

/// The answer to "does it hold?". Ordered by what a list of files is judged by: the worst is last.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Verdict {
    /// Everything is there and fits.
    Valid,
    /// What is there fits, but a time-stamp or a part is missing.
    Incomplete,
    /// The trusted configuration does not know an authority that the evidence rests on.
    Undecided,
    /// Cryptography failed, parts contradict each other, or the archive is damaged.
    Invalid,
}

impl Verdict {
    /// The word.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Valid => "valid",
            Self::Incomplete => "incomplete",
            Self::Undecided => "undecided",
            Self::Invalid => "invalid",
        }
    }
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Why the verdict is not `valid`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Reason {
    /// A stable code: those of wire 10.2 where there is one.
    pub code: String,
    /// A sentence.
    pub text: String,
    /// How much it weighs.
    #[serde(skip)]
    pub verdict: Verdict,
}

/// Where the instant of the check comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum InstantSource {
    /// The time-stamp: somebody else vouches for it.
    TimeStamp,
    /// The one who asked.
    Given,
    /// The signer's clock.
    SigningTime,
}

/// The instant at which certificates and OCSP responses were judged.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Instant {
    /// The instant.
    #[serde(serialize_with = "instant")]
    pub at: UnixTime,
    /// Who says so.
    pub source: InstantSource,
}

/// Whether the proof still holds at a later instant.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct StillSound {
    /// The instant asked for.
    #[serde(serialize_with = "instant")]
    pub at: UnixTime,
    /// The answer.
    pub sound: bool,
    /// In a sentence.
    pub text: String,
}

/// The time-stamp.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct TokenFacts {
    /// When the signature existed, by the authority's clock.
    #[serde(serialize_with = "instant")]
    pub gen_time: UnixTime,
    /// Subject of the authority's certificate, if it is approved.
    pub authority: Option<String>,
    /// Over many records at once, or over this one.
    pub batch: bool,
}

/// The signer's certificate.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct CertificateFacts {
    /// RFC 2253.
    pub subject: String,
    /// RFC 2253.
    pub issuer: String,
    /// Decimal.
    pub serial: String,
    /// Hex.
    pub sha256: String,
    /// Begin of its validity.
    #[serde(serialize_with = "instant")]
    pub not_before: UnixTime,
    /// End of its validity.
    #[serde(serialize_with = "instant")]
    pub not_after: UnixTime,
}

/// One part of the message.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct PartFacts {
    /// For example `attachment1`.
    pub name: String,
    /// Its bytes; `None` if the signature covers it but it is not there.
    pub length: Option<u64>,
    /// Covered by the signature, and there.
    pub covered: bool,
}

/// The leaf of the message log that the container belongs to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct LeafFacts {
    /// Hex.
    pub log: String,
    /// Index in the log.
    pub number: u64,
    /// When it was logged, by the node's clock.
    #[serde(serialize_with = "instant")]
    pub logged: UnixTime,
    /// What was logged.
    pub kind: &'static str,
    /// Hex of the leaf hash.
    pub hash: String,
    /// Whether container and leaf belong to each other.
    pub belongs: bool,
    /// What proves that the leaf is in the log; `None` without a proof, or with one that does not hold.
    pub inclusion: Option<InclusionFacts>,
}

/// The tree that a leaf was proven to be in.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct InclusionFacts {
    /// Origin of the checkpoint.
    pub origin: String,
    /// Entries of the log then.
    pub size: u64,
    /// Hex of the root.
    pub root: String,
    /// Whose log.
    pub server: ServerId,
    /// Who answers for the key that signed the checkpoint.
    pub member: MemberId,
    /// Who co-signed it.
    pub witnesses: Vec<WitnessFacts>,
}

/// A co-signature of a checkpoint.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct WitnessFacts {
    /// Whose.
    pub server: ServerId,
    /// Who answers for its key.
    pub member: MemberId,
    /// When, by its clock.
    #[serde(serialize_with = "instant")]
    pub at: UnixTime,
}

/// The result of a check.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Report {
    /// Does it hold?
    pub verdict: Verdict,
    /// Why not; empty if it does.
    pub reasons: Vec<Reason>,
    /// When it was judged.
    pub instant: Option<Instant>,
    /// Whether it still holds at another instant, if that was asked.
    pub still_sound: Option<StillSound>,
    /// Who signed: certain only if the verdict is not `invalid` or `undecided`.
    #[serde(serialize_with = "text")]
    pub signer: Option<MemberId>,
    /// The signer's official name in the trusted configuration.
    pub signer_name: Option<String>,
    /// The signer's certificate.
    pub certificate: Option<CertificateFacts>,
    /// When the certificate was last known to be good before the instant.
    #[serde(serialize_with = "maybe_instant")]
    pub ocsp_this_update: Option<UnixTime>,
    /// The signer's clock.
    #[serde(serialize_with = "maybe_instant")]
    pub signing_time: Option<UnixTime>,
    /// The time-stamp.
    pub time_stamp: Option<TokenFacts>,
    /// The message.
    #[serde(serialize_with = "subject")]
    pub message: Option<Subject>,
    /// Its parts.
    pub parts: Vec<PartFacts>,
    /// Its leaf, if a companion was given.
    pub leaf: Option<LeafFacts>,
    /// What renewed its time-stamp, if an evidence record was given that holds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub evidence_record: Option<RecordFacts>,
    /// Made with test keys: it proves nothing about real bodies.
    pub test: bool,
    /// The own instance of the trusted configuration.
    pub trust_instance: String,
    /// Until when the trusted configuration was to be used; told, not judged.
    #[serde(serialize_with = "maybe_instant")]
    pub trust_expires: Option<UnixTime>,
    /// What else is worth knowing.
    pub notes: Vec<String>,
}

pub(super) fn instant<S: Serializer>(at: &UnixTime, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(&at.to_rfc3339())
}

#[expect(clippy::ref_option, reason = "serde hands over a reference to the field")]
fn maybe_instant<S: Serializer>(at: &Option<UnixTime>, serializer: S) -> Result<S::Ok, S::Error> {
    at.map(|at| at.to_rfc3339()).serialize(serializer)
}

#[expect(clippy::ref_option, reason = "serde hands over a reference to the field")]
fn text<S: Serializer>(id: &Option<MemberId>, serializer: S) -> Result<S::Ok, S::Error> {
    id.as_ref().map(ToString::to_string).serialize(serializer)
}

#[derive(Serialize)]
struct SubjectJson<'a> {
    form: &'static str,
    role: &'static str,
    client: String,
    service: String,
    query_id: Option<&'a str>,
    request_id: Option<&'a str>,
}

#[expect(clippy::ref_option, reason = "serde hands over a reference to the field")]
fn subject<S: Serializer>(subject: &Option<Subject>, serializer: S) -> Result<S::Ok, S::Error> {
    let json = subject.as_ref().map(|s| SubjectJson {
        form: form(s.form),
        role: role(s.role),
        client: s.client.to_string(),
        service: s.service.to_string(),
        query_id: s.query_id.as_deref(),
        request_id: s.request_id.as_deref(),
    });
    json.serialize(serializer)
}

fn form(form: MessageForm) -> &'static str {
    match form {
        MessageForm::Rest => "rest",
        MessageForm::Soap => "soap",
    }
}

fn role(role: MessageRole) -> &'static str {
    match role {
        MessageRole::Request => "request",
        MessageRole::Response => "response",
    }
}

/// Bytes as reports show them: lower-case hexadecimal.
pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut out, byte| {
        let _ = write!(out, "{byte:02x}");
        out
    })
}

/// Text from evidence is shown on one line and cannot write over what was printed before.
pub(super) fn shown(text: &str) -> String {
    text.chars()
        .map(|c| if c.is_control() { '\u{FFFD}' } else { c })
        .take(300)
        .collect()
}

impl Report {
    /// A report of which nothing is known but the trust it would be judged by.
    pub(super) fn empty(trust: &TrustSet) -> Self {
        Self {
            verdict: Verdict::Valid,
            reasons: Vec::new(),
            instant: None,
            still_sound: None,
            signer: None,
            signer_name: None,
            certificate: None,
            ocsp_this_update: None,
            signing_time: None,
            time_stamp: None,
            message: None,
            parts: Vec::new(),
            leaf: None,
            evidence_record: None,
            test: trust.is_test(),
            trust_instance: trust.own_instance().to_owned(),
            trust_expires: trust.expires(),
            notes: Vec::new(),
        }
    }

    /// A report about evidence that could not even be opened.
    #[must_use]
    pub fn refused(trust: &TrustSet, reason: Reason) -> Self {
        Self {
            verdict: reason.verdict,
            reasons: vec![reason],
            ..Self::empty(trust)
        }
    }

    /// The report in words, several lines, the verdict first.
    #[must_use]
    pub fn in_words(&self) -> String {
        let mut out = String::new();
        // Writing into a string cannot fail.
        let _ = self.write_words(&mut out);
        out
    }

    fn write_words(&self, out: &mut String) -> fmt::Result {
        writeln!(out, "{}", self.verdict.as_str().to_uppercase())?;
        for reason in &self.reasons {
            writeln!(out, "  because {} [{}]", shown(&reason.text), shown(&reason.code))?;
        }
        if self.test {
            writeln!(
                out,
                "  TEST: made with test keys, it proves nothing about real bodies"
            )?;
        }
        let held = matches!(self.verdict, Verdict::Valid | Verdict::Incomplete);
        if let Some(signer) = &self.signer {
            let name = self
                .signer_name
                .as_ref()
                .map(|n| format!(" ({})", shown(n)))
                .unwrap_or_default();
            let verb = if held { "signed by" } else { "said to be signed by" };
            writeln!(out, "  {verb} {}{name}", shown(&signer.to_string()))?;
        }
        if let Some(message) = &self.message {
            writeln!(
                out,
                "  a {} {} of {} to the service {}",
                form(message.form).to_uppercase(),
                role(message.role),
                shown(&message.client.to_string()),
                shown(&message.service.to_string())
            )?;
            if let Some(id) = &message.query_id {
                writeln!(out, "  message id {}", shown(id))?;
            }
        }
        self.write_times(out)?;
        for part in &self.parts {
            match part.length {
                Some(length) => {
                    let state = if part.covered {
                        "covered by the signature"
                    } else {
                        "NOT covered"
                    };
                    writeln!(out, "  {}: {length} bytes, {state}", shown(&part.name))?;
                }
                None => writeln!(
                    out,
                    "  {}: covered by the signature, but not in the container",
                    shown(&part.name)
                )?,
            }
        }
        if let Some(certificate) = &self.certificate {
            writeln!(out, "  certificate {}", shown(&certificate.subject))?;
            writeln!(
                out,
                "    issued by {}, serial {}",
                shown(&certificate.issuer),
                shown(&certificate.serial)
            )?;
        }
        if let Some(leaf) = &self.leaf {
            // Number and time are bound by the tree, not by the commitment: without a proof they are what a file says.
            let state = if leaf.belongs { "fits" } else { "does NOT fit" };
            let unproven = match leaf.inclusion {
                Some(_) => "",
                None => " (inclusion in the log is not proven here)",
            };
            writeln!(
                out,
                "  its companion {state}: entry {} of log {}, logged {}{unproven}",
                leaf.number, leaf.log, leaf.logged
            )?;
            if let Some(inclusion) = &leaf.inclusion {
                inclusion.write_words(out, leaf.number)?;
            }
        }
        if let Some(record) = &self.evidence_record {
            record.write_words(out)?;
        }
        if let Some(expires) = self.trust_expires {
            writeln!(
                out,
                "  judged by the configuration of {}, valid until {expires}",
                shown(&self.trust_instance)
            )?;
        } else {
            writeln!(
                out,
                "  judged by the configuration of {}",
                shown(&self.trust_instance)
            )?;
        }
        for note in &self.notes {
            writeln!(out, "  note: {}", shown(note))?;
        }
        Ok(())
    }

    fn write_times(&self, out: &mut String) -> fmt::Result {
        if let Some(time) = self.signing_time {
            writeln!(out, "  signed at {time} by the signer's clock")?;
        }
        if let Some(token) = &self.time_stamp {
            let by = token
                .authority
                .as_deref()
                .unwrap_or("an authority that is not approved");
            writeln!(
                out,
                "  existed at {} by the time-stamp of {}",
                token.gen_time,
                shown(by)
            )?;
        }
        if let Some(update) = self.ocsp_this_update {
            writeln!(out, "  the certificate was known to be good at {update}")?;
        }
        if let Some(instant) = self.instant {
            let source = match instant.source {
                InstantSource::TimeStamp => "of the time-stamp",
                InstantSource::Given => "that was asked for",
                InstantSource::SigningTime => "of the signer's clock, which nobody vouches for",
            };
            writeln!(out, "  judged at {}, the instant {source}", instant.at)?;
        }
        if let Some(sound) = &self.still_sound {
            let state = if sound.sound {
                "still sound"
            } else {
                "no longer sound"
            };
            writeln!(out, "  {state} at {}: {}", sound.at, shown(&sound.text))?;
        }
        Ok(())
    }
}

impl InclusionFacts {
    /// Adds them in words to what is said of an entry.
    pub(crate) fn write_to(&self, out: &mut String, number: u64) {
        self.write_words(out, number).expect("a string takes everything");
    }

    fn write_words(&self, out: &mut String, number: u64) -> fmt::Result {
        writeln!(
            out,
            "    proven: at place {number} of a tree of {} entries, signed by the checkpoint of {}",
            self.size,
            shown(&self.origin)
        )?;
        writeln!(
            out,
            "    {} answers for the log of the security server {}",
            shown(&self.member.to_string()),
            shown(&self.server.to_string())
        )?;
        for witness in &self.witnesses {
            writeln!(
                out,
                "    co-signed by the security server {} of {} at {}",
                shown(&witness.server.to_string()),
                shown(&witness.member.to_string()),
                witness.at
            )?;
        }
        if self.witnesses.is_empty() {
            writeln!(out, "    co-signed by nobody whose key is known here")?;
        }
        Ok(())
    }
}
