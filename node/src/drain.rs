//! Refusing early without a reset: what the sender still writes is discarded for a while, then the connection ends.

use std::time::Duration;

use hyper::body::Incoming;

use crate::link::next_piece;

/// Bytes discarded at most (architecture 6).
const BYTES: usize = 1 << 20;
/// Time spent on it at most.
const TIME: Duration = Duration::from_secs(2);

/// Discards the rest of a body within bounds.
pub async fn drain(mut body: Incoming) {
    let discarded = async {
        let mut left = BYTES;
        while let Some(Ok(piece)) = next_piece(&mut body).await {
            match left.checked_sub(piece.len()) {
                Some(rest) => left = rest,
                None => return,
            }
        }
    };
    let _ = tokio::time::timeout(TIME, discarded).await;
}
