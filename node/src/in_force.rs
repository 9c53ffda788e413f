//! What of the node's own file is in force, for health: since when, what waits for a restart, and why the last one read was
//! refused.

use std::fmt::Write as _;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use kontor_pki::time::UnixTime;

#[derive(Debug)]
struct InForce {
    /// Since when what is in force is.
    since: UnixTime,
    /// Tables that say something else than what is in force.
    waiting: Vec<String>,
    /// When a file was refused after that, and why.
    refused: Option<(UnixTime, String)>,
}

/// What is in force, for whoever shows it.
#[derive(Clone, Debug)]
pub struct FileState(Arc<Mutex<InForce>>);

impl FileState {
    /// The file that the node started with.
    pub fn new(since: UnixTime) -> Self {
        Self(Arc::new(Mutex::new(InForce {
            since,
            waiting: Vec::new(),
            refused: None,
        })))
    }

    fn state(&self) -> MutexGuard<'_, InForce> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What was read took effect but for the tables that wait for a restart.
    pub fn took_effect(&self, since: UnixTime, waiting: Vec<String>) {
        *self.state() = InForce {
            since,
            waiting,
            refused: None,
        };
    }

    /// What was read changes nothing.
    pub fn was_refused(&self, at: UnixTime, reason: String) {
        self.state().refused = Some((at, reason));
    }

    /// Whether the file is what is in force.
    pub fn is_current(&self) -> bool {
        let state = self.state();
        state.refused.is_none() && state.waiting.is_empty()
    }

    /// The state in a sentence.
    pub fn in_words(&self) -> String {
        let state = self.state();
        let mut text = format!("in force since {}", state.since);
        if !state.waiting.is_empty() {
            let _ = write!(text, "; {} wait for a restart", state.waiting.join(", "));
        }
        if let Some((at, reason)) = &state.refused {
            let _ = write!(text, "; what was read at {at} changes nothing: {reason}");
        }
        text
    }
}
