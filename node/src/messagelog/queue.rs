//! What is sent to the writer.

use tokio::sync::oneshot;

use super::{draft::Draft, round::Done};

/// One thing to do; the queue of these is bounded.
pub(crate) enum Work {
    Append(Box<Draft>, Done),
    /// Ends an exchange that has no answer.
    Close {
        request: u64,
        fault: String,
        done: Done,
    },
    /// Exchanges were abandoned: look.
    Wake,
    /// Write what waits and end.
    Stop(oneshot::Sender<()>),
}
