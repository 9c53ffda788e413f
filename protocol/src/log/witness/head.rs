//! What a log learns from the checkpoint that a witness keeps of it: whether it still has everything that it once showed.

use super::super::checkpoint::VerifiedCheckpoint;
use super::super::tree::{HashSource, root};

/// How the own log stands to a checkpoint that it signed at some time, whoever kept it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OwnHead {
    /// The tree of then is the beginning of the tree of now.
    GoesOn,
    /// The log has fewer entries than then: it was restored from an older state, or lost a disk. Whatever it writes now gets
    /// numbers that are taken, so it must not write.
    Behind {
        /// Entries of then.
        seen: u64,
        /// Entries of now.
        own: u64,
    },
    /// The log has other entries than then among the first ones: it was rewritten, or went on after it was behind.
    Forked {
        /// Entries of then.
        seen: u64,
    },
}

/// Compares the own log, of `size` entries, with a checkpoint that was verified by its own key.
///
/// # Errors
/// What the source of the own tree says.
pub fn own_head<S: HashSource>(
    seen: &VerifiedCheckpoint,
    size: u64,
    own: &mut S,
) -> Result<OwnHead, S::Error> {
    let seen = seen.checkpoint();
    if seen.size() > size {
        return Ok(OwnHead::Behind {
            seen: seen.size(),
            own: size,
        });
    }
    Ok(if root(seen.size(), own)? == *seen.root() {
        OwnHead::GoesOn
    } else {
        OwnHead::Forked { seen: seen.size() }
    })
}
