//! The evidence record beside a container (RFC 4998): does it prove that every file in it existed, and was each time-stamp
//! renewed while it still held, that of the container first?
//!
//! The data objects are one group: `message.xml`, the attachments, both files of the signature's hash chain, the signature
//! document, and of a time-stamp over many its two chain files and its token. What the log had no more is in the companion by its
//! SHA-512. `mimetype` and the manifests say nothing about the message and are not among them.

use std::io::{Read, Seek};

use kontor_pki::certificate::Certificate;
use kontor_pki::crypto::DigestAlgorithm;
use kontor_pki::evidence_record::{EvidenceError, EvidenceRecord, ObjectDigests, Verified, Windows};
use kontor_pki::time::UnixTime;
use kontor_pki::timestamp::{TimestampError, TimestampToken};

use super::Question;
use crate::container::Companion;
use crate::container::read::Container;
use crate::container::record::{RecordFacts, RecordStampFacts};
use crate::container::report::{Reason, Report, StillSound, Verdict};
use crate::signature::SignatureDocument;

/// Checks the evidence record of a container, and puts what it says into the report of its check.
pub fn check_record<R: Read + Seek>(archive: R, record: &[u8], question: &Question<'_>, report: &mut Report) {
    // What is no container was refused by its own check.
    let Ok(container) = Container::read(archive) else {
        return;
    };
    match judge(&container, record, question) {
        Ok((facts, renewed_late)) => {
            if let Some(text) = renewed_late {
                refuse(report, Verdict::Invalid, "evidence_expired", text);
            }
            if let Some(at) = question.at {
                still_sound(at, &facts, report);
            }
            report.evidence_record = Some(facts);
        }
        Err((verdict, code, text)) => refuse(report, verdict, code, text),
    }
}

fn refuse(report: &mut Report, verdict: Verdict, code: &str, text: String) {
    report.verdict = report.verdict.max(verdict);
    report.reasons.push(Reason {
        code: code.to_owned(),
        text,
        verdict,
    });
}

type Refusal = (Verdict, &'static str, String);

/// The facts of a record that holds, and why it came too late for the container's own time-stamp, if it did.
fn judge(
    container: &Container,
    record: &[u8],
    question: &Question<'_>,
) -> Result<(RecordFacts, Option<String>), Refusal> {
    let said =
        |verdict, error: &EvidenceError| (verdict, error.code(), format!("its evidence record: {error}"));
    let record = EvidenceRecord::parse(record).map_err(|error| said(Verdict::Invalid, &error))?;
    let objects = objects(container, question.companion);
    // Each must hold until the next; the last one is judged at its own instant, and what is asked about later is told.
    let at = record.last().token().gen_time();
    let verify =
        |authorities: Vec<Certificate>| record.verify(&objects, &Windows::open_ended(authorities), at);
    let verified = verify(question.trust.tsa_certificates().to_vec()).map_err(|error| {
        let verdict = match &error {
            // Undecided only if all of it holds by the certificates that the tokens bring.
            EvidenceError::Timestamp {
                error: TimestampError::UnknownSigner,
                ..
            } => match verify(brought(&record)) {
                Ok(_) => Verdict::Undecided,
                Err(other) => return said(Verdict::Invalid, &other),
            },
            // A file that is not there, and a record by another digest than the companion has.
            EvidenceError::DigestMissing(_) => Verdict::Incomplete,
            EvidenceError::Malformed(_)
            | EvidenceError::TooLarge(_)
            | EvidenceError::Encrypted
            | EvidenceError::Algorithm { .. }
            | EvidenceError::Expired { .. }
            | EvidenceError::NotYetValid { .. }
            | EvidenceError::NotCovered { .. }
            | EvidenceError::MixedDigests { .. }
            | EvidenceError::Order { .. }
            | EvidenceError::Timestamp { .. }
            | EvidenceError::Unsupported(_) => Verdict::Invalid,
        };
        said(verdict, &error)
    })?;
    let late = late(container, question, verified.existed);
    Ok((facts(&record, &verified), late))
}

/// The certificates in the tokens: nobody vouches for them.
fn brought(record: &EvidenceRecord) -> Vec<Certificate> {
    let tokens = record.timestamps().map(|stamp| stamp.token());
    let certificates = tokens.flat_map(|token| {
        token
            .certificates()
            .filter_map(|der| Certificate::parse(der).ok())
    });
    certificates.collect()
}

fn facts(record: &EvidenceRecord, verified: &Verified) -> RecordFacts {
    let mut time_stamps = Vec::new();
    for (nth, chain) in record.chains().enumerate() {
        for (place, stamp) in chain.iter().enumerate() {
            let Some(authority) = verified.authorities.get(time_stamps.len()) else {
                continue;
            };
            time_stamps.push(RecordStampFacts {
                gen_time: stamp.token().gen_time(),
                authority: authority.subject().to_rfc2253(),
                certificate_ends: authority.not_after(),
                digest: stamp.algorithm().name(),
                over: match (nth, place) {
                    (0, 0) => "first",
                    (_, 0) => "tree",
                    _ => "timestamp",
                },
            });
        }
    }
    RecordFacts {
        existed: verified.existed,
        renewed: verified.renewed,
        carried_until: verified.carried_until,
        time_stamps,
    }
}

/// Why the record does not go on from the container's own time-stamp; a container without one begins with the record.
fn late(container: &Container, question: &Question<'_>, existed: UnixTime) -> Option<String> {
    let single = || {
        let document = SignatureDocument::parse(&container.signatures).ok()?;
        document.timestamp().map(<[u8]>::to_vec)
    };
    let token = match &container.timestamp {
        Some(batch) => batch.token.clone(),
        None => single()?,
    };
    let token = TimestampToken::parse(&token).ok()?;
    if token.gen_time() > existed {
        return Some(format!(
            "the evidence record began at {existed}, before the time-stamp of the container at {}",
            token.gen_time()
        ));
    }
    let brought = token
        .certificates()
        .filter_map(|der| Certificate::parse(der).ok());
    let known = question.trust.tsa_certificates().iter().cloned();
    let authority = known.chain(brought).find(|one| token.signer().names(one))?;
    (existed > authority.not_after()).then(|| {
        format!(
            "the time-stamp of the container was renewed too late: its certificate ended at {}, and the evidence record \
             begins at {existed}",
            authority.not_after()
        )
    })
}

/// The certificate under the newest time-stamp decides, not that of the first.
fn still_sound(at: UnixTime, facts: &RecordFacts, report: &mut Report) {
    if at < facts.renewed {
        return;
    }
    let (sound, until) = (at <= facts.carried_until, facts.carried_until);
    let text = match sound {
        true => format!("its evidence record is carried until {until}"),
        false => format!("the certificate under its evidence record ended at {until}"),
    };
    report.still_sound = Some(StillSound { at, sound, text });
}

fn objects(container: &Container, companion: Option<&[u8]>) -> Vec<ObjectDigests> {
    let chain = container
        .chain
        .iter()
        .flat_map(|chain| [&chain.result, &chain.chain]);
    let batch = container
        .timestamp
        .iter()
        .flat_map(|batch| [&batch.result, &batch.chain, &batch.token]);
    let held = [&container.message, &container.signatures]
        .into_iter()
        .chain(chain)
        .chain(batch);
    let mut objects: Vec<_> = held.map(|file| ObjectDigests::of(file)).collect();
    for attachment in &container.attachments {
        let algorithms = [
            DigestAlgorithm::Sha256,
            DigestAlgorithm::Sha384,
            DigestAlgorithm::Sha512,
        ];
        let digests = algorithms
            .into_iter()
            .filter_map(|a| Some((a, attachment.digest(a)?.to_vec())));
        objects.push(ObjectDigests::new(digests.collect()));
    }
    // What is not there any more: a wrong digest of it would not be among what was stamped.
    let companion = companion.and_then(|json| Companion::from_json(json).ok());
    for part in companion.iter().flat_map(|companion| &companion.parts) {
        let number = part.name.strip_prefix("attachment");
        let is_there = |number: &str| {
            container
                .attachments
                .iter()
                .any(|it| it.number.to_string() == number)
        };
        if number.is_some_and(|number| !is_there(number)) {
            objects.push(ObjectDigests::new(vec![(
                DigestAlgorithm::Sha512,
                part.digest.to_vec(),
            )]));
        }
    }
    objects
}
