//! The verdict about a signature document, and which received parts it covers (wire 4.7).

use kontor_pki::certificate::Certificate;
use kontor_pki::chain::build_path;
use kontor_pki::crypto::{DigestAlgorithm, digest};
use kontor_pki::ocsp::{OcspPolicy, OcspResponse};
use kontor_pki::time::UnixTime;

use super::{NotGood, VerifyError, is_for_signing, judge_path};
use crate::hash_chain::{self, ChainError, MESSAGE, PartDigest, SIGNATURE_CHAIN, SIGNATURE_CHAIN_RESULT};
use crate::id::MemberId;
use crate::signature::{Reference, SignatureDocument};
use crate::trust::{CaEntry, TrustSet};

/// A signature document that is believed until [`valid_until`](Self::valid_until); only [`verify_document`] makes one.
/// It says who signed and when, and of which digests; whether these are those of a message is for
/// [`covers`](Self::covers) to say.
#[derive(Clone, Debug)]
pub struct DocumentVerdict {
    signer: MemberId,
    certificate: Certificate,
    issuer: Certificate,
    references: Vec<Reference>,
    signing_time: Option<UnixTime>,
    ocsp_this_update: UnixTime,
    valid_until: UnixTime,
}

/// The verdict about the certificate of a signature and its OCSP responses: the same for every document that carries
/// them. Keep it under [`SignatureDocument::signer_key`], the expected signer and the generation of the trust set,
/// until [`valid_until`](Self::valid_until); then a further document of that signer costs one signature check.
#[derive(Clone, Debug)]
pub struct SignerVerdict {
    key: [u8; 32],
    signer: MemberId,
    issuer: Certificate,
    ocsp_this_update: UnixTime,
    valid_until: UnixTime,
}

/// Verifies all of a document that is the same for its whole batch: structure, signature value, signer, certificate
/// path and OCSP at the instant `at`, by the configuration of the signer's instance.
///
/// `at` is now for messages and the time-stamp's instant for containers; `policy` is that of the verifier's own
/// instance (wire 8.5).
pub fn verify_document(
    trust: &TrustSet,
    document: &SignatureDocument,
    signer: &MemberId,
    at: UnixTime,
    policy: &OcspPolicy,
) -> Result<DocumentVerdict, VerifyError> {
    let anchor = check_signer(trust, document, signer)?;
    // Before the path, as in Java: the first thing that is wrong names the fault.
    document.check_value()?;
    Ok(judge_signer(trust, document, signer, anchor, at, policy)?.of(document))
}

/// Verifies the certificate and the OCSP responses of a document, not its signature value: see [`SignerVerdict`].
pub fn verify_signer(
    trust: &TrustSet,
    document: &SignatureDocument,
    signer: &MemberId,
    at: UnixTime,
    policy: &OcspPolicy,
) -> Result<SignerVerdict, VerifyError> {
    let anchor = check_signer(trust, document, signer)?;
    judge_signer(trust, document, signer, anchor, at, policy)
}

impl SignerVerdict {
    /// Verifies a document that carries the certificate and responses of this verdict.
    pub fn verify(&self, document: &SignatureDocument) -> Result<DocumentVerdict, VerifyError> {
        if document.signer_key() != self.key {
            return Err(VerifyError::Signer {
                expected: self.signer.clone(),
                reason: "the document has another certificate or other OCSP responses".to_owned(),
            });
        }
        document.check_value()?;
        Ok(self.of(document))
    }

    /// The last instant at which the verdict holds.
    #[must_use]
    pub const fn valid_until(&self) -> UnixTime {
        self.valid_until
    }

    /// When the signer's certificate was known to be good.
    #[must_use]
    pub const fn ocsp_this_update(&self) -> UnixTime {
        self.ocsp_this_update
    }

    fn of(&self, document: &SignatureDocument) -> DocumentVerdict {
        DocumentVerdict {
            signer: self.signer.clone(),
            certificate: document.certificate().clone(),
            issuer: self.issuer.clone(),
            references: document.references().to_vec(),
            signing_time: document.signing_time(),
            ocsp_this_update: self.ocsp_this_update,
            valid_until: self.valid_until,
        }
    }
}

/// Whether the certificate is for signing and speaks for the expected member; gives the authority that issued it.
fn check_signer<'a>(
    trust: &'a TrustSet,
    document: &SignatureDocument,
    signer: &MemberId,
) -> Result<&'a CaEntry, VerifyError> {
    let certificate = document.certificate();
    let instance = signer.instance();
    if !is_for_signing(certificate) {
        return Err(VerifyError::Usage(certificate.subject().to_string()));
    }
    let anchor = trust
        .issuer_of(instance, certificate)
        .ok_or_else(|| VerifyError::UnknownIssuer {
            subject: certificate.subject().to_string(),
            issuer: certificate.issuer().to_string(),
            instance: instance.to_owned(),
        })?;
    if anchor.authentication_only {
        return Err(VerifyError::AuthenticationOnly(anchor.name.clone()));
    }
    check_subject(anchor, certificate, signer)?;
    Ok(anchor)
}

/// Path and OCSP.
fn judge_signer(
    trust: &TrustSet,
    document: &SignatureDocument,
    signer: &MemberId,
    anchor: &CaEntry,
    at: UnixTime,
    policy: &OcspPolicy,
) -> Result<SignerVerdict, VerifyError> {
    let path = build_path(
        document.certificate(),
        document.extra_certificates(),
        &anchor.certificate,
        at,
    )?;
    let responses = document
        .ocsp_values()
        .iter()
        .map(|der| OcspResponse::parse(der))
        .collect::<Result<Vec<_>, _>>()?;
    let (ocsp, valid_until) = judge_path(trust, signer.instance(), &path, anchor, &responses, policy, at)
        .map_err(|not_good| match not_good {
            NotGood::Missing(subject) => VerifyError::OcspMissing(subject),
            NotGood::Refused(error) => VerifyError::Ocsp(error),
        })?;
    Ok(SignerVerdict {
        key: document.signer_key(),
        signer: signer.clone(),
        issuer: anchor.certificate.clone(),
        ocsp_this_update: ocsp.this_update,
        valid_until,
    })
}

/// The certificate's subject must name the expected member, by the profile of the authority that issued it (wire 8.1).
fn check_subject(
    anchor: &CaEntry,
    certificate: &Certificate,
    expected: &MemberId,
) -> Result<(), VerifyError> {
    let refuse = |reason: String| VerifyError::Signer {
        expected: expected.clone(),
        reason,
    };
    let profile = anchor.profile.ok_or_else(|| VerifyError::UnknownProfile {
        authority: anchor.name.clone(),
        profile: anchor.profile_class.clone(),
    })?;
    let found = profile
        .member(certificate.subject(), expected.instance())
        .map_err(|error| refuse(error.to_string()))?;
    let found = MemberId::new(&found.instance, &found.class, &found.code)
        .map_err(|error| refuse(error.to_string()))?;
    if found == *expected {
        Ok(())
    } else {
        Err(refuse(format!("the certificate belongs to {found}")))
    }
}

impl DocumentVerdict {
    /// Checks that the signature covers exactly these parts: it refers to the message and to nothing else, to the
    /// message and every attachment one by one (X-Road 8), or to a chain result whose chain uses all parts.
    ///
    /// `chain_result` and `chain` are the documents received with the message; received, they must be referenced.
    pub fn covers(
        &self,
        parts: &[PartDigest],
        chain_result: Option<&[u8]>,
        chain: Option<&[u8]>,
    ) -> Result<(), VerifyError> {
        self.covers_message(parts, None, chain_result, chain)
    }

    /// As [`covers`](Self::covers), with the octets of the message part at hand: it may then be referenced by another
    /// digest than SHA-512, as Java accepts it.
    pub fn covers_message(
        &self,
        parts: &[PartDigest],
        message: Option<&[u8]>,
        chain_result: Option<&[u8]>,
        chain: Option<&[u8]>,
    ) -> Result<(), VerifyError> {
        if parts.iter().all(|part| part.name != MESSAGE) {
            return Err(VerifyError::NotReceived(MESSAGE.to_owned()));
        }
        if let Some(reference) = self
            .references
            .iter()
            .find(|reference| reference.uri == SIGNATURE_CHAIN_RESULT)
        {
            if let Some(other) = self.references.iter().find(|other| *other != reference) {
                return Err(VerifyError::NotReceived(other.uri.clone()));
            }
            let Some(result) = chain_result else {
                return Err(VerifyError::ChainMissing);
            };
            let chain = chain.ok_or_else(|| ChainError::Unresolvable(SIGNATURE_CHAIN.to_owned()))?;
            hash_chain::evaluate(result, chain, SIGNATURE_CHAIN, parts)?;
            return data_fits(reference, result);
        }
        if chain_result.is_some() || chain.is_some() {
            return Err(VerifyError::ChainNotReferenced);
        }
        for (at, part) in parts.iter().enumerate() {
            let reference = self
                .references
                .iter()
                .find(|reference| reference.uri == part.name);
            let reference = reference
                .filter(|_| !parts[..at].iter().any(|before| before.name == part.name))
                .ok_or_else(|| VerifyError::NotCovered(part.name.to_string()))?;
            if reference.algorithm == DigestAlgorithm::Sha512 {
                if reference.digest != part.digest {
                    return Err(VerifyError::OtherDigest(reference.uri.clone()));
                }
            } else {
                let octets = message
                    .filter(|_| part.name == MESSAGE)
                    .ok_or_else(|| VerifyError::OtherAlgorithm(reference.uri.clone()))?;
                data_fits(reference, octets)?;
            }
        }
        match self
            .references
            .iter()
            .find(|reference| parts.iter().all(|part| part.name != reference.uri))
        {
            Some(reference) => Err(VerifyError::NotReceived(reference.uri.clone())),
            None => Ok(()),
        }
    }

    /// The member that signed: the one that was expected to.
    #[must_use]
    pub const fn signer(&self) -> &MemberId {
        &self.signer
    }

    /// The signer's certificate.
    #[must_use]
    pub const fn certificate(&self) -> &Certificate {
        &self.certificate
    }

    /// The approved authority that issued it.
    #[must_use]
    pub const fn issuer(&self) -> &Certificate {
        &self.issuer
    }

    /// What was signed.
    #[must_use]
    pub fn references(&self) -> &[Reference] {
        &self.references
    }

    /// The signer's clock; nobody has checked it.
    #[must_use]
    pub const fn signing_time(&self) -> Option<UnixTime> {
        self.signing_time
    }

    /// When the signer's certificate was known to be good.
    #[must_use]
    pub const fn ocsp_this_update(&self) -> UnixTime {
        self.ocsp_this_update
    }

    /// The last instant at which the verdict holds: the earliest end of a certificate's validity or an OCSP response's
    /// freshness. It ends before that with the generation of the trust set.
    #[must_use]
    pub const fn valid_until(&self) -> UnixTime {
        self.valid_until
    }
}

fn data_fits(reference: &Reference, data: &[u8]) -> Result<(), VerifyError> {
    if digest(reference.algorithm, data).is_ok_and(|value| value == reference.digest) {
        Ok(())
    } else {
        Err(VerifyError::OtherDigest(reference.uri.clone()))
    }
}
