//! The check of a container: who signed what and when, and does it hold (wire 6.6, architecture 6).
//!
//! Owns the order of judgements and what each failure means for the verdict. Everything that can be judged is judged,
//! so that the report names every fault, not the first.
//!
//! Stricter than Java: an attachment that a chain names but the container lacks makes it incomplete; a wrong one, a
//! chain that nothing refers to, a part or file that nothing covers make it invalid.

mod coverage;
mod inclusion;
mod record;
mod stamp;
mod verdicts;

use std::io::{Read, Seek};

pub(crate) use self::inclusion::proven;
pub use self::record::check_record;
pub(super) use self::stamp::without_timestamp;
pub use self::verdicts::Verdicts;

use kontor_pki::chain::PathError;
use kontor_pki::ocsp::OcspError;
use kontor_pki::time::UnixTime;

use super::read::{Container, ContainerError};
use super::report::{
    CertificateFacts, Instant, InstantSource, LeafFacts, Reason, Report, StillSound, Verdict,
};
use super::subject::{MessageRole, Subject};
use super::{Companion, hex};
use crate::log::{EntryKind, Leaf, ListedPart, leaf_hash};
use crate::signature::SignatureDocument;
use crate::trust::TrustSet;
use crate::verify::VerifyError;

/// What to judge by, besides the evidence.
#[derive(Debug, Clone, Copy)]
pub struct Question<'a> {
    /// The configuration that the one who asks decided to trust.
    pub trust: &'a TrustSet,
    /// Judge at this instant if there is no time-stamp; with one, say whether the proof still holds then.
    pub at: Option<UnixTime>,
    /// The companion of the container (`NAME.leaf.json`), if there is one.
    pub companion: Option<&'a [u8]>,
}

/// Checks a container.
pub fn check<R: Read + Seek>(archive: R, question: &Question<'_>) -> Report {
    check_with(archive, question, &mut Verdicts::new())
}

/// Checks one of many containers: what it shares with those before is not judged again.
pub fn check_with<R: Read + Seek>(archive: R, question: &Question<'_>, verdicts: &mut Verdicts) -> Report {
    verdicts.under(question.trust);
    let mut judge = Judge::new(question, verdicts);
    match Container::read(archive) {
        Ok(container) => judge.container(&container),
        Err(error) => {
            let verdict = match error {
                ContainerError::MessageNotFound => Verdict::Incomplete,
                ContainerError::BatchTimestampIncomplete(_)
                | ContainerError::Damaged(_)
                | ContainerError::InvalidMimeType
                | ContainerError::HalfChain(_)
                | ContainerError::MimeTypeNotFound
                | ContainerError::SignatureNotFound
                | ContainerError::TooLarge(_)
                | ContainerError::TwoSignatures => Verdict::Invalid,
            };
            judge.refuse(verdict, error.code(), error.to_string());
        }
    }
    judge.report
}

struct Judge<'a> {
    question: &'a Question<'a>,
    verdicts: &'a mut Verdicts,
    report: Report,
}

impl<'a> Judge<'a> {
    fn new(question: &'a Question<'a>, verdicts: &'a mut Verdicts) -> Self {
        Self {
            question,
            verdicts,
            report: Report::empty(question.trust),
        }
    }

    fn refuse(&mut self, verdict: Verdict, code: impl Into<String>, text: impl Into<String>) {
        self.report.verdict = self.report.verdict.max(verdict);
        self.report.reasons.push(Reason {
            code: code.into(),
            text: text.into(),
            verdict,
        });
    }

    fn container(&mut self, container: &Container) {
        self.foreign_entries(container);
        let subject = match Subject::of(&container.message) {
            Ok(subject) => Some(subject),
            Err(error) => {
                self.refuse(Verdict::Undecided, "message_unreadable", error.to_string());
                None
            }
        };
        match &*self.verdicts.document(&container.signatures) {
            Ok((document, value)) => {
                self.signed(document);
                if let Err(error) = value {
                    self.refuse(Verdict::Invalid, error.code().snake(), error.to_string());
                }
                self.document(container, document, subject.as_ref());
            }
            Err(error) => self.refuse(Verdict::Invalid, error.code().snake(), error.to_string()),
        }
        if let Some(companion) = self.question.companion {
            self.companion(container, companion, subject.as_ref());
        }
        self.report.message = subject;
    }

    fn foreign_entries(&mut self, container: &Container) {
        for name in &container.foreign {
            if name.starts_with("META-INF/") {
                self.report
                    .notes
                    .push(format!("the entry {name} was not looked at"));
            } else {
                let text = format!("the container holds {name}, which nothing signs");
                self.refuse(Verdict::Invalid, "foreign_entry", text);
            }
        }
    }

    /// What the document says of its signer.
    fn signed(&mut self, document: &SignatureDocument) {
        let certificate = document.certificate();
        self.report.test |= certificate.is_test();
        self.report.signing_time = document.signing_time();
        self.report.certificate = Some(CertificateFacts {
            subject: certificate.subject().to_rfc2253(),
            issuer: certificate.issuer().to_rfc2253(),
            serial: certificate.serial_decimal(),
            sha256: hex(&certificate.sha256()),
            not_before: certificate.not_before(),
            not_after: certificate.not_after(),
        });
    }

    fn document(&mut self, container: &Container, document: &SignatureDocument, subject: Option<&Subject>) {
        self.coverage(container, document);
        let stamped = self.time_stamp(container, document);
        let instant = stamped.or_else(|| self.other_instant(document));
        self.report.instant = instant;
        let (Some(instant), Some(subject)) = (instant, subject) else {
            return;
        };
        self.signer(document, subject, instant);
    }

    /// Without a time-stamp: the instant asked for, else the signer's clock.
    fn other_instant(&mut self, document: &SignatureDocument) -> Option<Instant> {
        if let Some(at) = self.question.at {
            return Some(Instant {
                at,
                source: InstantSource::Given,
            });
        }
        if let Some(at) = document.signing_time() {
            return Some(Instant {
                at,
                source: InstantSource::SigningTime,
            });
        }
        let text = "nothing says when it was signed; name an instant to judge it by";
        self.refuse(Verdict::Undecided, "no_instant", text);
        None
    }

    fn signer(&mut self, document: &SignatureDocument, subject: &Subject, instant: Instant) {
        let trust = self.question.trust;
        let signer = subject.signer();
        self.report.signer = Some(signer.clone());
        self.report.signer_name = trust.member_name(signer).map(str::to_owned);
        if trust.instance(signer.instance()).is_none() {
            let text = format!(
                "the trusted configuration does not know the instance {}",
                signer.instance()
            );
            return self.refuse(Verdict::Undecided, "unknown_instance", text);
        }
        match self.verdicts.signer(trust, document, signer, instant.at) {
            Ok(update) => self.report.ocsp_this_update = Some(update),
            Err(error) => {
                let verdict = weight(&error, instant.source);
                self.refuse(verdict, error.fault().cause().snake(), error.to_string());
            }
        }
    }

    /// Ties the container to a leaf: commitment, parts, parties.
    fn companion(&mut self, container: &Container, companion: &[u8], subject: Option<&Subject>) {
        let before = self.report.reasons.len();
        let read = Companion::from_json(companion).and_then(|c| c.verified_leaf().map(|leaf| (c, leaf)));
        let (companion, leaf) = match read {
            Ok(read) => read,
            Err(error) => return self.refuse(Verdict::Invalid, error.code(), error.to_string()),
        };
        self.listed_parts(container, &companion);
        if let Some(subject) = subject {
            self.parties(&leaf, subject);
        }
        if leaf.test != self.report.test {
            let text = "the leaf says otherwise than the keys whether this is a test";
            self.refuse(Verdict::Invalid, "leaf_test_bit", text);
        }
        let inclusion = self.inclusion(&companion, &leaf);
        let belongs = !self.report.reasons[before..]
            .iter()
            .any(|r| r.verdict == Verdict::Invalid);
        self.report.leaf = Some(LeafFacts {
            log: hex(&leaf.log_id),
            number: leaf.number,
            logged: inclusion::second(leaf.second),
            kind: leaf.kind.name(),
            hash: hex(&leaf_hash(&companion.leaf)),
            belongs,
            inclusion,
        });
    }

    fn listed_parts(&mut self, container: &Container, companion: &Companion) {
        let listed: &[ListedPart] = &companion.parts;
        let there = container.parts();
        for part in listed {
            match there.iter().find(|there| there.name == part.name) {
                Some(there) if there == part => {}
                Some(_) => {
                    let text = format!("{} is not what the leaf commits to", part.name);
                    self.refuse(Verdict::Invalid, "leaf_other_part", text);
                }
                None => {
                    let text = format!("the log recorded {}, which the container lacks", part.name);
                    let why = companion.absent.iter().find(|absent| absent.name == part.name);
                    // Whoever keeps the log says why; the part is missing in any case.
                    let text = match why {
                        Some(why) => format!("{text}: {}", printable(&why.text)),
                        None => text,
                    };
                    self.refuse(Verdict::Incomplete, "part_missing", text);
                }
            }
        }
        for there in &there {
            if !listed.iter().any(|part| part.name == there.name) {
                let text = format!("the leaf does not commit to {}", there.name);
                self.refuse(Verdict::Invalid, "leaf_other_part", text);
            }
        }
    }

    fn parties(&mut self, leaf: &Leaf, subject: &Subject) {
        let same_client = leaf.client.as_ref() == Some(&subject.client);
        let same_service = leaf.service.as_ref() == Some(&subject.service);
        let kind = match subject.role {
            MessageRole::Request => EntryKind::Request,
            MessageRole::Response => EntryKind::Response,
        };
        if !same_client || !same_service || leaf.kind != kind {
            let text = "the leaf is about another kind of message, client or service than the container";
            self.refuse(Verdict::Invalid, "leaf_other_parties", text);
        }
    }

    /// Whether the proof still holds at the instant asked for, beside the verdict (architecture 6).
    fn still_sound(&mut self, gen_time: UnixTime, authority: &kontor_pki::certificate::Certificate) {
        let Some(at) = self.question.at else { return };
        let (sound, text) = if at < gen_time {
            (false, "the time-stamp is from later".to_owned())
        } else if at > authority.not_after() {
            (
                false,
                format!(
                    "the certificate of the time-stamp ended at {}",
                    authority.not_after()
                ),
            )
        } else {
            (
                true,
                format!(
                    "the certificate of the time-stamp lasts until {}",
                    authority.not_after()
                ),
            )
        };
        self.report.still_sound = Some(StillSound { at, sound, text });
    }
}

/// What a failed verification means. What depends on the instant contradicts only an instant that somebody vouches for.
fn weight(error: &VerifyError, source: InstantSource) -> Verdict {
    let timely = match error {
        VerifyError::UnknownIssuer { .. }
        | VerifyError::UnknownProfile { .. }
        | VerifyError::Ocsp(OcspError::UnknownResponder) => return Verdict::Undecided,
        VerifyError::Path(error) => {
            matches!(error, PathError::Expired { .. } | PathError::NotYetValid { .. })
        }
        VerifyError::Ocsp(error) => matches!(
            error,
            OcspError::Stale { .. } | OcspError::Overdue { .. } | OcspError::FromFuture { .. }
        ),
        VerifyError::Signature(_)
        | VerifyError::Chain(_)
        | VerifyError::NotCovered(_)
        | VerifyError::NotReceived(_)
        | VerifyError::OtherDigest(_)
        | VerifyError::OtherAlgorithm(_)
        | VerifyError::ChainNotReferenced
        | VerifyError::ChainMissing
        | VerifyError::Usage(_)
        | VerifyError::AuthenticationOnly(_)
        | VerifyError::Signer { .. }
        | VerifyError::OcspMissing(_) => false,
    };
    if timely && source != InstantSource::TimeStamp {
        Verdict::Incomplete
    } else {
        Verdict::Invalid
    }
}

/// A sentence of somebody else as it may stand in a report: one line of bounded length.
fn printable(text: &str) -> String {
    text.chars().filter(|c| !c.is_control()).take(300).collect()
}
