//! OCSP responses of the node's own certificates: fetched ahead of their end, verified, kept on disk, handed out.
//!
//! Peers judge freshness by their own limit (wire 8.5), so responses are renewed long before ours would end. A
//! response that does not verify never replaces one that does.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use bytes::Bytes;
use futures_util::future::join_all;
use kontor_pki::certificate::Certificate;
use kontor_pki::ocsp::{OcspResponse, request};
use kontor_pki::time::UnixTime;
use kontor_protocol::trust::TrustSet;
use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric};
use prometheus_client::metrics::counter::ConstCounter;
use prometheus_client::metrics::gauge::ConstGauge;
use tokio::sync::watch;

use crate::clock::SharedClock;
use crate::failing::{Attempts, Failing};
use crate::fetch::{Bounds, Fetcher};
use crate::globalconf::GlobalConf;
use crate::shutdown::Shutdown;

/// Largest response that is taken.
const MAX_BODY: usize = 16 * 1024;
/// Wait after a failed fetch (wire 8.5).
const RETRY: Duration = Duration::from_secs(60);
/// The first retries come faster, so that a federation that starts together is soon ready.
const FIRST_RETRY: Duration = Duration::from_millis(250);

/// A verified response.
#[derive(Clone, Debug)]
pub struct Held {
    /// The response as received.
    pub der: Bytes,
    /// When it was produced.
    pub this_update: UnixTime,
    /// Until when it is good by this node's own rules.
    pub good_until: UnixTime,
}

/// The responses held for the node's own certificates; clones share them.
#[derive(Clone, Debug)]
pub struct OwnOcsp {
    dir: PathBuf,
    instance: String,
    certificates: Arc<Vec<Certificate>>,
    fetcher: Fetcher,
    bounds: Bounds,
    attempts: Arc<Attempts>,
    held: Arc<ArcSwap<HashMap<[u8; 20], Held>>>,
    changed: watch::Sender<u64>,
}

impl OwnOcsp {
    /// A cache for these certificates (every one that is presented or signs), kept under `dir`. A responder that takes longer
    /// than `timeout` is given up on.
    pub fn new(
        dir: &Path,
        instance: &str,
        certificates: Vec<Certificate>,
        fetcher: Fetcher,
        timeout: Duration,
    ) -> Self {
        Self {
            dir: dir.to_owned(),
            instance: instance.to_owned(),
            certificates: Arc::new(certificates),
            fetcher,
            bounds: Bounds {
                connect: timeout,
                total: timeout,
                max_body: MAX_BODY,
            },
            attempts: Arc::default(),
            held: Arc::default(),
            changed: watch::Sender::new(0),
        }
    }

    /// The response held for one of the certificates.
    pub fn held(&self, certificate: &Certificate) -> Option<Held> {
        self.by_sha1(&certificate.sha1())
    }

    /// The response held for the certificate with this hash (wire 3.4).
    pub fn by_sha1(&self, hash: &[u8; 20]) -> Option<Held> {
        self.held.load().get(hash).cloned()
    }

    /// How renewals fail.
    pub fn failing(&self) -> Failing {
        self.attempts.failing()
    }

    /// Told whenever responses change.
    pub fn changes(&self) -> watch::Receiver<u64> {
        self.changed.subscribe()
    }

    /// Whether every certificate has a response that is good at an instant.
    pub fn is_complete(&self, now: UnixTime) -> bool {
        let held = self.held.load();
        self.certificates
            .iter()
            .all(|c| held.get(&c.sha1()).is_some_and(|h| h.good_until >= now))
    }

    /// When the first response ends that is held; `None` if one is missing.
    pub fn good_until(&self) -> Option<UnixTime> {
        let held = self.held.load();
        self.certificates
            .iter()
            .map(|c| held.get(&c.sha1()).map(|h| h.good_until))
            .min()
            .flatten()
    }

    /// Takes over what the last run left on disk, as far as it is still good.
    pub fn load(&self, trust: &TrustSet, now: UnixTime) {
        for certificate in self.certificates.iter() {
            let Ok(der) = std::fs::read(self.path(certificate)) else {
                continue;
            };
            match self.judge(certificate, &der, trust, now) {
                Ok(held) => self.hold(certificate, held),
                Err(reason) => tracing::info!(reason, "an OCSP response of the last run is of no more use"),
            }
        }
    }

    /// Keeps responses fresh until the stop.
    pub async fn run(
        self,
        trust: Arc<GlobalConf>,
        clock: SharedClock,
        refresh: Duration,
        shutdown: Shutdown,
    ) {
        let mut changes = trust.changes();
        let mut failures = 0u32;
        loop {
            let due = match trust.held() {
                Some(set) => self.renew(&set, &clock, refresh).await,
                None => false,
            };
            let wait = if due {
                failures = 0;
                refresh
            } else {
                failures += 1;
                if failures <= 40 { FIRST_RETRY } else { RETRY }
            };
            tokio::select! {
                () = shutdown.soft() => return,
                () = tokio::time::sleep(wait) => {}
                // New trust may name another responder or a certificate's issuer for the first time.
                _ = changes.changed() => {}
            }
        }
    }

    /// Fetches what is older than the refresh interval; `false` if something could not be had. All at once: a slow responder of
    /// one authority keeps nobody else's certificate waiting.
    async fn renew(&self, trust: &TrustSet, clock: &SharedClock, refresh: Duration) -> bool {
        // Half the interval: a run that comes a little early must not skip a certificate for a whole round.
        let due = self.certificates.iter().filter(|certificate| {
            let age = self.held(certificate).map(|h| clock.now().since(h.this_update));
            age.is_none_or(|age| age >= refresh / 2)
        });
        let fetches = due.map(async |certificate| {
            let fetched = self.fetch(certificate, trust, clock).await;
            fetched.map_err(|reason| format!("{}: {reason}", certificate.subject().to_rfc2253()))
        });
        let failed: Vec<_> = join_all(fetches)
            .await
            .into_iter()
            .filter_map(Result::err)
            .collect();
        for reason in &failed {
            tracing::warn!(reason, "no new OCSP response");
        }
        self.attempts
            .note(failed.first().map(String::as_str), clock.now());
        failed.is_empty()
    }

    async fn fetch(
        &self,
        certificate: &Certificate,
        trust: &TrustSet,
        clock: &SharedClock,
    ) -> Result<(), String> {
        let issuer = trust
            .issuer_of(&self.instance, certificate)
            .ok_or("the certificate's issuer is no approved CA of this instance")?;
        let asked = request(certificate, &issuer.certificate);
        let mut last = "global configuration names no OCSP responder for its CA".to_owned();
        for url in &issuer.ocsp_urls {
            match self
                .fetcher
                .post(
                    url,
                    "application/ocsp-request",
                    Bytes::from(asked.clone()),
                    &self.bounds,
                )
                .await
            {
                Ok(answer) if answer.status == 200 => {
                    match self.judge(certificate, &answer.body, trust, clock.now()) {
                        Ok(held) => {
                            self.keep(certificate, &held.der).await;
                            self.hold(certificate, held);
                            return Ok(());
                        }
                        Err(reason) => last = format!("{url}: {reason}"),
                    }
                }
                Ok(answer) => last = format!("{url} answered with status {}", answer.status),
                Err(error) => last = error.to_string(),
            }
        }
        Err(last)
    }

    fn judge(
        &self,
        certificate: &Certificate,
        der: &[u8],
        trust: &TrustSet,
        now: UnixTime,
    ) -> Result<Held, String> {
        let issuer = trust
            .issuer_of(&self.instance, certificate)
            .ok_or("its issuer is no approved CA")?;
        let response = OcspResponse::parse(der).map_err(|e| e.to_string())?;
        let responders = trust.responders_for(issuer);
        let verdict = response
            .verify(
                certificate,
                &issuer.certificate,
                &responders,
                &trust.ocsp_policy(),
                now,
            )
            .map_err(|e| e.to_string())?;
        Ok(Held {
            der: Bytes::copy_from_slice(der),
            this_update: verdict.this_update,
            good_until: verdict.good_until,
        })
    }

    fn hold(&self, certificate: &Certificate, held: Held) {
        self.held.rcu(|map| {
            let mut map = HashMap::clone(map);
            map.insert(certificate.sha1(), held.clone());
            map
        });
        self.changed.send_modify(|generation| *generation += 1);
    }

    /// Written by rename; a lost or torn file costs one fetch at the next start.
    async fn keep(&self, certificate: &Certificate, der: &Bytes) {
        let (path, der) = (self.path(certificate), der.clone());
        let written = tokio::task::spawn_blocking(move || {
            let temporary = path.with_extension("tmp");
            std::fs::create_dir_all(path.parent().unwrap_or(Path::new(".")))?;
            std::fs::write(&temporary, &der)?;
            std::fs::rename(&temporary, &path)
        });
        if let Ok(Err(error)) = written.await {
            tracing::warn!(%error, "an OCSP response could not be kept on disk");
        }
    }

    fn path(&self, certificate: &Certificate) -> PathBuf {
        let name: String = certificate.sha256().iter().map(|b| format!("{b:02x}")).collect();
        self.dir.join(name).with_extension("ocsp")
    }
}

/// The figures of the node's own OCSP responses, read when the metrics page is.
#[derive(Debug)]
pub struct Figures(pub OwnOcsp);

impl Collector for Figures {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> Result<(), std::fmt::Error> {
        let until = ConstGauge::new(self.0.good_until().map_or(0, UnixTime::secs));
        until.encode(encoder.encode_descriptor(
            "kontor_ocsp_good_until",
            "When the first OCSP response about a certificate of this node is too old, in seconds since 1970; 0: one is missing",
            None,
            until.metric_type(),
        )?)?;
        let failures = ConstCounter::new(self.0.failing().rounds);
        failures.encode(encoder.encode_descriptor(
            "kontor_ocsp_failures",
            "Rounds in which an OCSP response about a certificate of this node could not be had",
            None,
            failures.metric_type(),
        )?)
    }
}
