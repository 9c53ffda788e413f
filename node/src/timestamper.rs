//! Time-stamps on demand: asks the configured authorities in turn and takes the first token that holds against the trust of
//! the instance (wire 5.2, 5.3). Knows no log; what a token is for is the caller's affair.

use std::{
    collections::HashMap,
    fmt,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use bytes::Bytes;
use kontor_pki::{
    certificate::Certificate,
    crypto::{DigestAlgorithm, sha512},
    timestamp::{TimestampToken, parse_response, query_for},
};
use kontor_protocol::{limits, trust::TrustSet};

use tokio::time::Instant;

use crate::fetch::{Bounds, Fetcher};

/// Where the trust of the moment comes from.
pub type TrustSource = Arc<dyn Fn() -> Option<Arc<TrustSet>> + Send + Sync>;

/// As Java waits (wire 5.3).
const CONNECT: Duration = Duration::from_secs(20);
const TOTAL: Duration = Duration::from_secs(60);
/// So long after a failure an authority is asked after the others: one that is slow must not delay every token.
const SET_BACK: Duration = Duration::from_secs(300);

/// Says why a token that holds is not wanted.
pub type Accept<'a> = &'a (dyn Fn(&TimestampToken, &Certificate) -> Result<(), String> + Send + Sync);

/// Why there is no token.
#[derive(Debug, Clone, thiserror::Error)]
pub enum TimestampError {
    /// No global configuration is held.
    #[error(
        "there is no global configuration yet, so no time-stamp authority can be trusted; wait for its download"
    )]
    NoTrust,
    /// Neither configuration nor trust names an authority.
    #[error("no time-stamp authority is configured and global configuration approves none")]
    NoAuthority,
    /// Every authority failed.
    #[error("no time-stamp authority gave a valid token: {}", .0.join("; "))]
    Refused(
        /// One sentence for each.
        Vec<String>,
    ),
}

impl TimestampError {
    /// The name of this error in logs and JSON.
    pub fn code(&self) -> &'static str {
        match self {
            Self::NoTrust => "timestamp_no_trust",
            Self::NoAuthority => "timestamp_no_authority",
            Self::Refused(_) => "timestamp_refused",
        }
    }
}

/// Asks for tokens.
#[derive(Clone)]
pub struct Timestamper {
    urls: Vec<String>,
    trust: TrustSource,
    timeout: Duration,
    fetcher: Fetcher,
    failed: Arc<Mutex<HashMap<String, Instant>>>,
}

impl fmt::Debug for Timestamper {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Timestamper")
            .field("urls", &self.urls)
            .finish_non_exhaustive()
    }
}

impl Timestamper {
    /// Uses these addresses in order; none means every approved authority of the own instance, in the order of its file.
    pub fn new(urls: Vec<String>, trust: TrustSource) -> Self {
        Self {
            urls,
            trust,
            timeout: TOTAL,
            fetcher: Fetcher::default(),
            failed: Arc::default(),
        }
    }

    /// The same with another bound for what one authority may take.
    #[must_use]
    pub fn within(mut self, timeout: Duration) -> Self {
        self.timeout = timeout;
        self
    }

    /// The same by another way out.
    #[must_use]
    pub fn through(mut self, fetcher: Fetcher) -> Self {
        self.fetcher = fetcher;
        self
    }

    fn failed(&self) -> MutexGuard<'_, HashMap<String, Instant>> {
        self.failed.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The addresses in order, those that failed a short while ago last.
    fn in_turn<'a>(&self, urls: &'a [String]) -> Vec<&'a String> {
        let mut failed = self.failed();
        failed.retain(|url, at| at.elapsed() < SET_BACK && urls.contains(url));
        let mut urls: Vec<_> = urls.iter().collect();
        urls.sort_by_key(|url| failed.contains_key(*url));
        urls
    }

    /// Whether nobody could be asked: global configuration is held, and neither it nor the settings name an authority.
    pub fn has_no_authority(&self) -> bool {
        self.urls.is_empty() && (self.trust)().is_some_and(|trust| trust.tsas().is_empty())
    }

    /// How often time-stamps are due, as the instance says; a minute without its configuration.
    pub fn interval(&self) -> Duration {
        (self.trust)().map_or(Duration::from_secs(60), |trust| trust.time_stamping_interval())
    }

    /// A token over data, with the authority's certificate in it, ready to be stored.
    pub async fn stamp(&self, data: &[u8]) -> Result<TimestampToken, TimestampError> {
        let (token, _) = self
            .stamp_digest(DigestAlgorithm::Sha512, &sha512(data), &|_, _| Ok(()))
            .await?;
        Ok(token)
    }

    /// A token over data with this digest, and the certificate of its authority. What `accept` refuses, with a reason, is
    /// not taken, and the next authority is asked.
    pub async fn stamp_digest(
        &self,
        algorithm: DigestAlgorithm,
        digest: &[u8],
        accept: Accept<'_>,
    ) -> Result<(TimestampToken, Certificate), TimestampError> {
        let trust = (self.trust)().ok_or(TimestampError::NoTrust)?;
        let approved: Vec<_> = trust
            .tsas()
            .iter()
            .map(|authority| authority.url.clone())
            .collect();
        let urls = if self.urls.is_empty() {
            &approved
        } else {
            &self.urls
        };
        if urls.is_empty() {
            return Err(TimestampError::NoAuthority);
        }
        let asked = Bytes::from(query_for(algorithm, digest));
        let mut refusals = Vec::new();
        for url in self.in_turn(urls) {
            match self.ask(url, asked.clone(), (algorithm, digest), &trust).await {
                Ok((token, signer)) => {
                    self.failed().remove(url);
                    // A refusal here is no failure of the authority: it answers well, and is asked in its turn again.
                    match accept(&token, &signer) {
                        Ok(()) => return Ok((token, signer)),
                        Err(reason) => refusals.push(format!("{url}: {reason}")),
                    }
                }
                Err(reason) => {
                    self.failed().insert(url.clone(), Instant::now());
                    refusals.push(reason);
                }
            }
        }
        Err(TimestampError::Refused(refusals))
    }

    async fn ask(
        &self,
        url: &str,
        query: Bytes,
        (algorithm, digest): (DigestAlgorithm, &[u8]),
        trust: &TrustSet,
    ) -> Result<(TimestampToken, Certificate), String> {
        let bounds = Bounds {
            connect: CONNECT.min(self.timeout),
            total: self.timeout,
            // A token and little else.
            max_body: limits::TIMESTAMP + 1024,
        };
        let answer = self
            .fetcher
            .post(url, "application/timestamp-query", query, &bounds)
            .await
            .map_err(|error| error.to_string())?;
        if answer.status != 200 {
            return Err(format!("{url} answered with status {}", answer.status));
        }
        let token = parse_response(&answer.body).map_err(|error| format!("{url}: {error}"))?;
        let signer = token
            .verify_digest(algorithm, digest, trust.tsa_certificates())
            .map_err(|error| format!("{url}: {error}"))?;
        // The query did not ask for the certificate (wire 5.3); whoever checks the token later needs it.
        Ok((token.with_certificate(&signer), signer))
    }
}
