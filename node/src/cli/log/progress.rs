//! How far a long command is, on standard error, once it has taken a while.

use std::io::{IsTerminal, Write};
use std::time::{Duration, Instant};

/// What takes longer says how far it is.
const QUIET: Duration = Duration::from_secs(2);
/// How often the line is written anew on a terminal.
const PACE: Duration = Duration::from_millis(500);
/// How often there is a line in a file, where nothing can be written over.
const LINES: Duration = Duration::from_secs(10);

/// See the module. What was shown is ended with a line break when the value goes.
pub(super) struct Progress {
    began: Instant,
    last: Option<Instant>,
    terminal: bool,
}

impl Progress {
    pub(super) fn new() -> Self {
        Self {
            began: Instant::now(),
            last: None,
            terminal: std::io::stderr().is_terminal(),
        }
    }

    /// The index reflects so many entries; the others are read.
    pub(super) fn partial(&mut self, indexed: u64, of: u64) {
        self.end();
        let _ = writeln!(
            std::io::stderr(),
            "note: the index reflects {indexed} of {of} entries; the others are read, which takes longer"
        );
    }

    /// So many of so many entries were read.
    pub(super) fn show(&mut self, read: u64, of: u64) {
        let now = Instant::now();
        let pace = if self.terminal { PACE } else { LINES };
        let due = self.last.is_none_or(|last| now - last >= pace);
        if now - self.began >= QUIET && due {
            self.last = Some(now);
            let _ = match self.terminal {
                true => write!(std::io::stderr(), "\rread {read} of {of} entries"),
                false => writeln!(std::io::stderr(), "read {read} of {of} entries"),
            };
            if read == of {
                self.end();
            }
        }
    }

    /// What follows begins on a line of its own.
    pub(super) fn end(&mut self) {
        if self.last.take().is_some() && self.terminal {
            let _ = writeln!(std::io::stderr());
        }
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        self.end();
    }
}
