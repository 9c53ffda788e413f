//! Holds exchanges back at the start, until the log was compared with what peers keep of it: a message that is taken by a log
//! that was set back forks it.

use tokio::sync::watch;

/// See the module.
#[derive(Debug, Default)]
pub struct Gate(watch::Sender<bool>);

impl Gate {
    /// Lets exchanges go on.
    pub fn open(&self) {
        self.0.send_replace(true);
    }

    /// Whether they go on.
    pub fn is_open(&self) -> bool {
        *self.0.borrow()
    }

    /// Resolves when they go on.
    pub async fn opened(&self) {
        // The sender lives in `self`, so the wait ends only with the value.
        let _ = self.0.subscribe().wait_for(|is_open| *is_open).await;
    }
}
