//! Judges the other end of a federation connection: path, OCSP and registration, per request, from values with an end.
//!
//! A verdict is kept until its earliest end or the next change of trust (performance 3); it is never tied to the
//! life of a connection.

use std::collections::HashMap;
use std::net::{IpAddr, SocketAddr};
use std::sync::Mutex;
use std::time::Duration;

use bytes::Bytes;
use kontor_pki::certificate::Certificate;
use kontor_pki::crypto::sha256;
use kontor_pki::ocsp::OcspResponse;
use kontor_pki::time::UnixTime;
use kontor_protocol::fault::{Fault, FaultCode};
use kontor_protocol::hand_out;
use kontor_protocol::id::ClientId;
use kontor_protocol::trust::TrustSet;
use kontor_protocol::verify::{PeerRole, verify_peer};

use crate::fetch::{Bounds, Fetcher};

/// Verdicts kept; beyond that all are judged anew.
const KEPT: usize = 4096;
const BOUNDS: Bounds = Bounds {
    connect: Duration::from_secs(20),
    total: Duration::from_secs(30),
    max_body: 256 * 1024,
};

#[derive(Debug, Eq, Hash, PartialEq)]
struct Key {
    side: bool,
    digest: [u8; 32],
    client: ClientId,
    generation: [u8; 32],
}

/// Verdicts about peers, and OCSP responses that providers handed out.
#[derive(Debug, Default)]
pub struct Peers {
    verdicts: Mutex<HashMap<Key, UnixTime>>,
    handed_out: Mutex<HashMap<[u8; 32], Bytes>>,
}

impl Peers {
    /// Judges a consumer node by what it presented and sent (wire 3.7 steps 6d–6f).
    pub fn judge_consumer(
        &self,
        trust: &TrustSet,
        presented: &[Certificate],
        ocsp: &[Bytes],
        client: &ClientId,
        now: UnixTime,
    ) -> Result<(), Fault> {
        self.judge(trust, presented, ocsp, client, PeerRole::Client, now)
    }

    /// Judges a provider node; what is not held of its OCSP responses is asked of port 5577 of the address that was
    /// just connected (wire 3.3, 3.4).
    pub async fn judge_provider(
        &self,
        trust: &TrustSet,
        presented: &[Certificate],
        address: IpAddr,
        provider: &ClientId,
        now: UnixTime,
    ) -> Result<(), Fault> {
        if let Some(held) = self.held(presented)
            && self
                .judge(trust, presented, &held, provider, PeerRole::Provider, now)
                .is_ok()
        {
            return Ok(());
        }
        let responses = ask(address, presented).await?;
        self.judge(trust, presented, &responses, provider, PeerRole::Provider, now)?;
        let mut kept = self
            .handed_out
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner);
        if kept.len() >= KEPT {
            kept.clear();
        }
        for (certificate, response) in presented.iter().zip(responses) {
            kept.insert(certificate.sha256(), response);
        }
        Ok(())
    }

    fn held(&self, presented: &[Certificate]) -> Option<Vec<Bytes>> {
        let kept = self
            .handed_out
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner);
        presented.iter().map(|c| kept.get(&c.sha256()).cloned()).collect()
    }

    fn judge(
        &self,
        trust: &TrustSet,
        presented: &[Certificate],
        ocsp: &[Bytes],
        client: &ClientId,
        side: PeerRole,
        now: UnixTime,
    ) -> Result<(), Fault> {
        let mut told = Vec::with_capacity(32 * (presented.len() + ocsp.len()));
        for certificate in presented {
            told.extend_from_slice(&certificate.sha256());
        }
        for response in ocsp {
            told.extend_from_slice(&sha256(response));
        }
        let key = Key {
            side: matches!(side, PeerRole::Client),
            digest: sha256(&told),
            client: client.clone(),
            generation: *trust.generation(),
        };
        {
            let verdicts = self
                .verdicts
                .lock()
                .unwrap_or_else(std::sync::PoisonError::into_inner);
            if verdicts.get(&key).is_some_and(|until| *until >= now) {
                return Ok(());
            }
        }
        let responses = ocsp
            .iter()
            .map(|der| OcspResponse::parse(der))
            .collect::<Result<Vec<_>, _>>()
            .map_err(|e| {
                Fault::new(
                    FaultCode::SslAuthenticationFailed,
                    format!("an OCSP response is unreadable: {e}"),
                )
            })?;
        let verdict = verify_peer(trust, presented, &responses, client, side, now)?;
        let mut verdicts = self
            .verdicts
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner);
        if verdicts.len() >= KEPT {
            verdicts.clear();
        }
        verdicts.insert(key, verdict.valid_until);
        Ok(())
    }
}

/// Asks the OCSP hand-out of a provider for the certificates it presented (wire 3.4).
async fn ask(address: IpAddr, presented: &[Certificate]) -> Result<Vec<Bytes>, Fault> {
    let place = SocketAddr::new(address, hand_out::PORT).to_string();
    let url = format!("http://{place}/?{}", hand_out::query(presented));
    let answer = Fetcher::default().get(&url, &BOUNDS).await.map_err(|e| {
        Fault::new(
            FaultCode::SslAuthenticationFailed,
            format!("no OCSP responses from the provider's server: {e}"),
        )
    })?;
    hand_out::read(answer.status, &answer.content_type, answer.body, presented.len())
        .map_err(|e| e.fault(&place))
}
