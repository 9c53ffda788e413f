//! Sealed segments that a start did not read to their last byte are read in the background after it. Damage there was not made
//! by this process and stops nothing, but it is said loudly: in the log and in the node's health.

use std::sync::{Arc, Mutex, PoisonError, Weak};

use super::{error::LogError, identity::Home, segment::Segment};

/// What the background found. Clones share it.
#[derive(Clone, Default)]
pub(crate) struct Damage(Arc<Mutex<Vec<String>>>);

impl Damage {
    pub(crate) fn found(&self) -> Vec<String> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn add(&self, report: String) {
        tracing::error!(
            report,
            "the message log is damaged; `kontor log check` says what to do before the node is stopped"
        );
        self.0.lock().unwrap_or_else(PoisonError::into_inner).push(report);
    }
}

/// Reads segments until all are read or the log is closed.
pub(crate) fn check(
    home: &Home,
    segments: Vec<Segment>,
    damage: &Damage,
    open: Weak<()>,
) -> Result<(), LogError> {
    if segments.is_empty() {
        return Ok(());
    }
    let damage = damage.clone();
    let run = move || {
        for segment in segments {
            if open.upgrade().is_none() {
                return;
            }
            // A purge may have rewritten it since: then what is open here is the file of before, which is as good a witness.
            match segment.scan(&mut |_| Ok(())) {
                Ok(end) if end.sealed => {}
                Ok(end) => damage.add(format!(
                    "{}: no sound record at byte {}",
                    segment.path.display(),
                    end.offset
                )),
                Err(error) => damage.add(error.to_string()),
            }
        }
    };
    let spawned = std::thread::Builder::new()
        .name("log-background".into())
        .spawn(run);
    spawned
        .map(drop)
        .map_err(LogError::io("could not start a thread for", &home.layout.root()))
}
