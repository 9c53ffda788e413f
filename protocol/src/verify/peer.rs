//! The verdict about a TLS peer: the certificates it presented, their OCSP responses, and the client or service it
//! speaks for (wire 3.3, 3.7 step 6 d-f).

use kontor_pki::certificate::Certificate;
use kontor_pki::chain::build_path;
use kontor_pki::ocsp::OcspResponse;
use kontor_pki::time::UnixTime;

use super::{NotGood, judge_path, ocsp_code};
use crate::fault::{Fault, FaultCode};
use crate::id::ClientId;
use crate::trust::TrustSet;

/// What the peer is to us; the rules differ in how the trusted authority is found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PeerRole {
    /// It sent us a request: its OCSP responses came with the message (wire 3.7).
    Client,
    /// We are about to send it a request: its OCSP responses came from port 5577 (wire 3.3).
    Provider,
}

/// A peer that may speak for a client or a service.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PeerVerdict {
    /// The last instant at which the verdict holds; it ends before that with the generation of the trust set.
    pub valid_until: UnixTime,
}

/// Judges a peer. `presented` are its TLS certificates, its own first; `ocsp` the responses about them in any order;
/// `party` the client of its request or the provider of the service.
///
/// The fault has the code of wire 10.2, and the text says what is wrong with which certificate.
pub fn verify_peer(
    trust: &TrustSet,
    presented: &[Certificate],
    ocsp: &[OcspResponse],
    party: &ClientId,
    role: PeerRole,
    at: UnixTime,
) -> Result<PeerVerdict, Fault> {
    let refuse = |text: String| Fault::new(FaultCode::SslAuthenticationFailed, text);
    let [leaf, intermediates @ ..] = presented else {
        return Err(refuse("the peer presented no certificate".to_owned()));
    };
    let below_anchor = match role {
        PeerRole::Client if ocsp.is_empty() => {
            return Err(refuse(
                "the request brought no OCSP response about its TLS certificate".to_owned(),
            ));
        }
        PeerRole::Client => presented.last().unwrap_or(leaf),
        PeerRole::Provider if ocsp.len() != presented.len() => {
            return Err(refuse(format!(
                "the peer presented {} certificates, but there are {} OCSP responses about them",
                presented.len(),
                ocsp.len()
            )));
        }
        PeerRole::Provider => leaf,
    };
    let instance = party.instance();
    let anchor = trust.issuer_of(instance, below_anchor).ok_or_else(|| {
        let text = format!(
            "the TLS certificate of the peer was issued by {}, which is no approved authority of {instance}",
            below_anchor.issuer()
        );
        match role {
            PeerRole::Client => Fault::new(FaultCode::InternalError, text),
            PeerRole::Provider => no_path(role, text),
        }
    })?;
    if !leaf.is_authentication().unwrap_or(false) {
        return Err(refuse(format!(
            "the TLS certificate {} is not for authentication",
            leaf.subject()
        )));
    }
    let path = build_path(leaf, intermediates, &anchor.certificate, at)
        .map_err(|error| no_path(role, error.to_string()))?;
    let (_, valid_until) = judge_path(trust, instance, &path, anchor, ocsp, &trust.ocsp_policy(), at)
        .map_err(|error| not_good(role, error))?;
    if !trust.is_auth_cert_registered(leaf, party) {
        return Err(refuse(format!(
            "{party} is not registered at the security server with the certificate {}",
            leaf.subject()
        )));
    }
    Ok(PeerVerdict { valid_until })
}

/// A provider's server does not say more to its client than that authentication failed; a consumer's server tells its
/// information system the reason (as recorded).
fn no_path(role: PeerRole, text: String) -> Fault {
    match role {
        PeerRole::Client => Fault::new(FaultCode::SslAuthenticationFailed, text),
        PeerRole::Provider => {
            Fault::new(FaultCode::CannotCreateCertPath, text).within(FaultCode::SslAuthenticationFailed)
        }
    }
}

fn not_good(role: PeerRole, error: NotGood) -> Fault {
    let (code, text) = match error {
        NotGood::Missing(subject) => (
            FaultCode::CertValidation,
            format!("there is no OCSP response about {subject}"),
        ),
        NotGood::Refused(error) => (ocsp_code(&error), error.to_string()),
    };
    match role {
        PeerRole::Client => Fault::new(FaultCode::SslAuthenticationFailed, text),
        PeerRole::Provider => Fault::new(code, text)
            .within(FaultCode::InvalidCertPath)
            .within(FaultCode::SslAuthenticationFailed),
    }
}
