//! What of the tree is shown to outsiders: tiles and entry bundles (C2SP tlog-tiles), never beyond the newest checkpoint that
//! was signed, and never before the leaves were compared with it.

use kontor_protocol::log::{
    checkpoint::SignedCheckpoint,
    leaf_hash,
    tile::{Tile, TileKind, push_entry},
    tree::Hash,
};

use super::{Ledger, State};
use crate::messagelog::{MessageLog, error::LogError, leaves::LeafCursor, read::Reader};

impl Ledger {
    /// How many leaves may be shown.
    fn signed_size(&self, state: &mut State, reader: &Reader) -> Result<u64, LogError> {
        if !state.is_checked {
            self.advanced(state, reader)?;
        }
        // What contradicts its checkpoint is not handed out as if it did not.
        self.check()?;
        let checkpoint = self.shown().checkpoint.clone();
        Ok(checkpoint.map_or(0, |signed| signed.claimed().size()))
    }

    fn shown_tile(&self, tile: Tile, reader: &Reader) -> Result<Option<Vec<u8>>, LogError> {
        let mut state = self.state();
        let size = self.signed_size(&mut state, reader)?;
        if !tile.fits(size) || tile.kind() == TileKind::Entries {
            return Ok(None);
        }
        let mut bytes = state.tree.tile(tile)?;
        bytes.truncate(32 * usize::from(tile.width()));
        Ok(Some(bytes))
    }

    fn shown_bundle(&self, bundle: Tile, reader: Reader) -> Result<Option<Vec<u8>>, LogError> {
        let level = TileKind::Hashes { level: 0 };
        let hashes = Tile::new(level, bundle.index(), bundle.width())
            .ok()
            .filter(|_| bundle.kind() == TileKind::Entries);
        let Some(hashes) = hashes
            .map(|tile| self.shown_tile(tile, &reader))
            .transpose()?
            .flatten()
        else {
            return Ok(None);
        };
        let range = bundle.leaves();
        let (mut cursor, mut bytes, mut at) = (LeafCursor::at(range.start), Vec::new(), 0);
        let reader = reader.up_to(range.end);
        reader.leaves(&mut cursor, &mut |leaf| {
            // A leaf that is not the one in the tree must not leave the house.
            if hashes.get(at..at + 32) != Some(&leaf_hash(leaf)[..]) {
                let path = self.0.home.layout.tree();
                return Err(LogError::damaged(
                    &path,
                    "a leaf is not the one that it was made from",
                ));
            }
            at += 32;
            push_entry(&mut bytes, leaf)
                .map_err(|error| LogError::damaged(&self.0.home.layout.leaves(), error))
        })?;
        Ok(Some(bytes))
    }
}

impl MessageLog {
    /// Has the log take nothing more, as after a start that found it set back.
    #[cfg(test)]
    pub(crate) fn refuse_for_test(&self, error: LogError) {
        self.ledger.refuse(error);
    }

    /// The newest checkpoint that was signed, with the co-signatures that it has.
    pub fn newest_checkpoint(&self) -> Option<SignedCheckpoint> {
        let shown = self.ledger.shown();
        let newest = shown.checkpoint.as_ref()?;
        let cosigned = shown.cosigned.as_ref().map(|(kept, _)| kept);
        let cosigned = cosigned.filter(|kept| kept.claimed() == newest.claimed());
        Some(cosigned.unwrap_or(newest).clone())
    }

    /// That the tree of `new` leaves, else of the newest checkpoint, goes on from that of `old`; with the size that was meant.
    /// `None` where the newest checkpoint does not reach that far.
    pub async fn consistency(
        &self,
        old: u64,
        new: Option<u64>,
    ) -> Result<Option<(u64, Vec<Hash>)>, LogError> {
        let (ledger, reader) = (self.ledger.clone(), self.reader());
        let prove = move || {
            let mut state = ledger.state();
            let signed = ledger.signed_size(&mut state, &reader)?;
            let new = new.unwrap_or(signed);
            if old == 0 || old > new || new > signed {
                return Ok(None);
            }
            Ok(Some((new, state.tree.consistency(old, new)?)))
        };
        tokio::task::spawn_blocking(prove)
            .await
            .map_err(|_| LogError::Closed)?
    }

    /// The bytes of a tile of hashes or of an entry bundle; `None` where the newest checkpoint does not cover it.
    pub async fn tile(&self, tile: Tile) -> Result<Option<Vec<u8>>, LogError> {
        let (ledger, reader) = (self.ledger.clone(), self.reader());
        let read = move || match tile.kind() {
            TileKind::Hashes { .. } => ledger.shown_tile(tile, &reader),
            TileKind::Entries => ledger.shown_bundle(tile, reader),
        };
        tokio::task::spawn_blocking(read)
            .await
            .map_err(|_| LogError::Closed)?
    }
}
