//! How far a long check is: told on a terminal, and to nobody else.

use std::io::{IsTerminal as _, Write as _};
use std::time::{Duration, Instant};

/// One line on a terminal's standard error, rewritten, and gone before anything is printed.
pub(super) struct Progress {
    shown: bool,
    /// Standard output goes to a terminal as well, perhaps the same.
    mixed: bool,
    begun: Instant,
    last: Option<Instant>,
    done: usize,
    total: usize,
}

impl Progress {
    pub(super) fn new(total: usize) -> Self {
        Self {
            shown: std::io::stderr().is_terminal(),
            mixed: std::io::stdout().is_terminal(),
            begun: Instant::now(),
            last: None,
            done: 0,
            total,
        }
    }

    pub(super) fn done(&mut self, more: usize) {
        self.done += more;
        let quiet = self
            .last
            .is_some_and(|last| last.elapsed() < Duration::from_millis(200));
        if !self.shown || quiet {
            return;
        }
        self.last = Some(Instant::now());
        let rate = self.done as f64 / self.begun.elapsed().as_secs_f64().max(0.001);
        let _ = write!(
            std::io::stderr(),
            "\r\u{1b}[K{} of {} containers, {rate:.0} a second",
            self.done,
            self.total
        );
    }

    /// Makes room for something to be printed.
    pub(super) fn clear(&mut self) {
        if self.mixed {
            self.end();
        }
    }

    /// Nothing more will be judged.
    pub(super) fn end(&mut self) {
        if self.shown && self.last.take().is_some() {
            let _ = write!(std::io::stderr(), "\r\u{1b}[K");
        }
    }
}
