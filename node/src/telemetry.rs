//! Logs and metrics of one process: the subscriber, the registry that is handed down, the page that shows it.
//!
//! Log lines carry a sentence and dotted fields; never bodies, keys or names of applicants.

use std::sync::Arc;

use prometheus_client::encoding::text::encode;
use prometheus_client::registry::Registry;
use tracing_subscriber::EnvFilter;

/// Content type of [`Metrics::page`].
pub const METRICS_CONTENT_TYPE: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// Starts logging to standard error: one line a record, or JSON.
pub fn start_logging(json: bool) {
    let filter = EnvFilter::try_from_env("KONTOR_LOG").unwrap_or_else(|_| EnvFilter::new("info"));
    let builder = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .with_ansi(std::io::IsTerminal::is_terminal(&std::io::stderr()))
        .with_target(false);
    // A second call (tests in one process) keeps the first subscriber.
    let _ = if json {
        builder.json().try_init()
    } else {
        builder.try_init()
    };
}

/// The registry once every room has entered its metrics.
#[derive(Clone, Debug)]
pub struct Metrics(Arc<Registry>);

impl Metrics {
    /// Closes the registry.
    pub fn new(registry: Registry) -> Self {
        Self(Arc::new(registry))
    }

    /// The metrics in the text form of OpenMetrics.
    pub fn page(&self) -> String {
        let mut page = String::new();
        // Writing to a String cannot fail.
        let _ = encode(&mut page, &self.0);
        page
    }
}
