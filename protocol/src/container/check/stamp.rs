//! The time-stamp of a container: over its signature value, or over many records at once (wire 5.2).
//!
//! A token whose signer is not approved is undecided only if it holds together with the certificate it brings;
//! otherwise it was changed.

use kontor_pki::certificate::Certificate;
use kontor_pki::timestamp::{TimestampError, TimestampToken};

use super::Judge;
use super::verdicts::TokenVerdict;
use crate::container::manifest;
use crate::container::read::{BatchTimestamp, Container};
use crate::container::report::{Instant, InstantSource, TokenFacts, Verdict};
use crate::fault::FaultCode;
use crate::signature::{SignatureDocument, insert_timestamp};

impl Judge<'_> {
    /// Judges the time-stamp. The instant it names is returned if it is one that can be judged by.
    pub(super) fn time_stamp(
        &mut self,
        container: &Container,
        document: &SignatureDocument,
    ) -> Option<Instant> {
        let single = document.timestamp();
        if container.stray_timestamp {
            let text = "the container has a time-stamp, but no chain that says what it is over";
            self.refuse(Verdict::Invalid, "asic_hash_chain_result_not_found", text);
        }
        match (&container.timestamp, single) {
            (None, None) => {
                let text = "there is no time-stamp: nobody but the signer says when it was signed";
                self.refuse(Verdict::Incomplete, "timestamp_missing", text);
                None
            }
            (Some(batch), None) => {
                self.batch_chain(container, batch);
                self.token(&batch.token, &batch.result, true)
            }
            (None, Some(token)) => self.token(token, document.signature_value(), false),
            (Some(batch), Some(token)) => {
                self.batch_chain(container, batch);
                let first = self.token(&batch.token, &batch.result, true);
                let second = self.token(token, document.signature_value(), false);
                [first, second]
                    .into_iter()
                    .flatten()
                    .min_by_key(|instant| instant.at)
            }
        }
    }

    /// The signature document must be among what the token is over.
    fn batch_chain(&mut self, container: &Container, batch: &BatchTimestamp) {
        if let Err(error) = batch.covers(&container.signatures) {
            let text = format!("the time-stamp does not cover the signature: {error}");
            self.refuse(Verdict::Invalid, error.code().snake(), text);
        }
        match container
            .asic_manifest
            .as_deref()
            .map(|m| manifest::asic_is_about(m, &batch.result))
        {
            None | Some(Ok(true)) => {}
            Some(Ok(false)) => {
                let text = "ASiCManifest.xml is about another file or digest than the time-stamp";
                self.refuse(Verdict::Invalid, "asic_manifest", text);
            }
            Some(Err(why)) => {
                let text = format!("ASiCManifest.xml cannot be read: {why}");
                self.refuse(Verdict::Invalid, "asic_manifest", text);
            }
        }
    }

    fn token(&mut self, token: &[u8], stamped: &[u8], batch: bool) -> Option<Instant> {
        let authorities = self.question.trust.tsa_certificates();
        let judged = if batch {
            self.verdicts
                .token(token, stamped, || judge(token, stamped, authorities))
        } else {
            judge(token, stamped, authorities).into()
        };
        if let Some(gen_time) = judged.gen_time {
            if let Some(authority) = &judged.authority {
                self.still_sound(gen_time, authority);
            }
            self.report.time_stamp = Some(TokenFacts {
                gen_time,
                authority: judged.authority.as_ref().map(|a| a.subject().to_rfc2253()),
                batch,
            });
        }
        if let Some((verdict, code, text)) = &judged.refusal {
            self.refuse(*verdict, *code, text.clone());
        }
        // Even if its signer is not known, nothing else says better when it was: the verdict carries the doubt.
        judged.gen_time.map(|at| Instant {
            at,
            source: InstantSource::TimeStamp,
        })
    }
}

fn judge(token: &[u8], stamped: &[u8], authorities: &[Certificate]) -> TokenVerdict {
    let token = match TimestampToken::parse(token) {
        Ok(token) => token,
        Err(error) => {
            return TokenVerdict {
                gen_time: None,
                authority: None,
                refusal: Some((Verdict::Invalid, error.code(), error.to_string())),
            };
        }
    };
    let verified = token.verify(stamped, authorities);
    let refusal = match &verified {
        Ok(authority) if brings_another(&token, authority) => Some((
            Verdict::Invalid,
            "timestamp_other_certificate",
            "the time-stamp brings another certificate than that of its authority".to_owned(),
        )),
        Ok(_) => None,
        Err(error @ TimestampError::UnknownSigner) => {
            let verdict = if holds_by_itself(&token, stamped) {
                Verdict::Undecided
            } else {
                Verdict::Invalid
            };
            let code = FaultCode::TspCertificateNotFound.snake();
            Some((verdict, code, error.to_string()))
        }
        Err(error) => Some((Verdict::Invalid, error.code(), error.to_string())),
    };
    TokenVerdict {
        gen_time: Some(token.gen_time()),
        authority: verified.ok(),
        refusal,
    }
}

/// Certificates in a token are not signed. If there are any, that of the authority must be among them unchanged.
fn brings_another(token: &TimestampToken, authority: &Certificate) -> bool {
    token.certificates().next().is_some() && !token.contains(authority)
}

/// Whether a token whose signer is not approved is at least unchanged: by the certificate it brings, or, if it brings
/// none, as far as anybody can tell.
fn holds_by_itself(token: &TimestampToken, stamped: &[u8]) -> bool {
    let brought: Vec<_> = token
        .certificates()
        .filter_map(|der| Certificate::parse(der).ok())
        .collect();
    if token.certificates().next().is_none() {
        return token.verify(stamped, &[]) == Err(TimestampError::UnknownSigner);
    }
    token.verify(stamped, &brought).is_ok()
}

/// The signature document as it was before a single time-stamp was put into it.
pub(in crate::container) fn without_timestamp(document: &[u8]) -> Vec<u8> {
    // The log writes the stamp in one form: what stands between these tags, if putting it back gives the same bytes.
    const OPEN: &[u8] = b"<xades:SignatureTimeStamp>";
    const CLOSE: &[u8] = b"</xades:SignatureTimeStamp>";
    let find = |needle: &[u8]| document.windows(needle.len()).position(|w| w == needle);
    let (Some(start), Some(end)) = (find(OPEN), find(CLOSE)) else {
        return document.to_vec();
    };
    let end = end + CLOSE.len();
    if end < start {
        return document.to_vec();
    }
    let unstamped = [&document[..start], &document[end..]].concat();
    let token = SignatureDocument::parse(document)
        .ok()
        .and_then(|d| d.timestamp().map(<[u8]>::to_vec));
    let again = token.and_then(|token| insert_timestamp(&unstamped, &token).ok());
    if again.as_deref() == Some(document) {
        unstamped
    } else {
        document.to_vec()
    }
}
