//! Letting days pass in a federation of `kontor up`: one file says to all its members by how many seconds their clock of cases and
//! deadlines is ahead. Certificates, signatures and time-stamps go by the real clock all the while.

use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

use super::MARKER;
use super::layout::TRAINING_CLOCK;

/// Seconds of a day.
const DAY: u32 = 86_400;
/// So many days ahead and no further: holidays are known for some years only, and no deadline is computed outside of them.
const MOST: u32 = 1_000;

/// Why no days pass.
#[derive(Debug, thiserror::Error)]
pub(crate) enum TrainingError {
    /// The file cannot be written.
    #[error("{path}: {source}", path = .path.display())]
    File {
        /// Which.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// Not one of ours.
    #[error(
        "{0} holds no federation that `kontor up` made, and only such a one has a clock that can be moved; name its directory with --dir"
    )]
    Foreign(PathBuf),
    /// Ours, from a time before.
    #[error("the federation in {0} has no training clock yet; start it once with `kontor up`")]
    None(PathBuf),
    /// What stands there is no number.
    #[error(
        "{0} does not say by how many seconds the clock is ahead; write 0 into it, or start over with --fresh"
    )]
    Unreadable(PathBuf),
    /// Too far.
    #[error(
        "the clock would be {days} days ahead, and holidays are not known so far ahead: {MOST} is the most; start over with `kontor up --fresh`"
    )]
    TooFar {
        /// How far.
        days: u32,
    },
}

/// Lets days pass for all members of the federation in `dir`; gives by how many seconds their clock is ahead then.
pub(crate) fn pass(dir: &Path, days: u32) -> Result<u32, TrainingError> {
    if !dir.join(MARKER).exists() {
        return Err(TrainingError::Foreign(dir.to_owned()));
    }
    let path = dir.join(TRAINING_CLOCK);
    let text = match std::fs::read_to_string(&path) {
        Ok(text) => text,
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            return Err(TrainingError::None(dir.to_owned()));
        }
        Err(source) => return Err(TrainingError::File { path, source }),
    };
    let before: u32 = text
        .trim()
        .parse()
        .map_err(|_| TrainingError::Unreadable(path.clone()))?;
    let whole = (before / DAY).saturating_add(days);
    if whole > MOST {
        return Err(TrainingError::TooFar { days: whole });
    }
    let ahead = before + days * DAY;
    let unfinished = path.with_extension("new");
    // By rename: a node that reads meanwhile sees the old number or the new one.
    let written = || -> io::Result<()> {
        let mut file = std::fs::File::create(&unfinished)?;
        writeln!(file, "{ahead}")?;
        file.sync_data()?;
        std::fs::rename(&unfinished, &path)
    };
    match written() {
        Ok(()) => Ok(ahead),
        Err(source) => Err(TrainingError::File { path, source }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn days_add_up_where_there_is_a_clock_and_are_refused_where_there_is_none() {
        let dir = tempfile::tempdir().unwrap();
        let refused = |days| pass(dir.path(), days).unwrap_err().to_string();
        assert!(refused(1).contains("no federation that `kontor up` made"));
        std::fs::write(dir.path().join(MARKER), "").unwrap();
        assert!(refused(1).contains("has no training clock yet"));
        let clock = dir.path().join(TRAINING_CLOCK);
        std::fs::write(&clock, "0\n").unwrap();
        assert_eq!(pass(dir.path(), 10).unwrap(), 10 * DAY);
        assert_eq!(pass(dir.path(), 30).unwrap(), 40 * DAY);
        assert_eq!(std::fs::read_to_string(&clock).unwrap(), "3456000\n");
        assert!(refused(961).contains("1001 days ahead"));
        std::fs::write(&clock, "noon").unwrap();
        assert!(refused(1).contains("does not say by how many seconds"));
    }
}
