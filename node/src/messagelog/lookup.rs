//! Which messages of one client have a query id: what an information system may ask about its own exchanges (wire 6.7).

use std::ops::ControlFlow;

use kontor_protocol::{
    container::MessageRole,
    id::ClientId,
    log::{Direction, EntryKind, Leaf},
};
use tokio::sync::oneshot;

use super::{
    MessageLog,
    error::LogError,
    search::{self, Filter, Told},
};

/// The client on our side of a message: who asked where we sent the request, whose service it was where we answered.
pub fn own_side(leaf: &Leaf) -> Option<&ClientId> {
    match (leaf.kind, leaf.direction) {
        (EntryKind::Request, Direction::Sent) | (EntryKind::Response, Direction::Received) => {
            leaf.client.as_ref()
        }
        (EntryKind::Request, Direction::Received) | (EntryKind::Response, Direction::Sent) => {
            leaf.service.as_ref().map(|service| service.provider())
        }
        _ => None,
    }
}

impl MessageLog {
    /// The messages with this query id that `client` exchanged, in order, but no more than `most` and one. `kind`
    /// chooses requests or responses. A message whose head is deleted is not found.
    pub async fn messages_of(
        &self,
        client: ClientId,
        query_id: String,
        kind: Option<EntryKind>,
        most: usize,
    ) -> Result<Vec<(u64, MessageRole)>, LogError> {
        let mut reader = self.reader();
        let filter = Filter {
            query_id: Some(query_id),
            kind,
            messages: true,
            ..Filter::default()
        };
        let (done, found) = oneshot::channel();
        tokio::task::spawn_blocking(move || {
            let mut numbers = Vec::new();
            let searched = search::search(&mut reader, &filter, &mut |_, told| {
                if let Told::Hit { entry, leaf, .. } = told
                    && own_side(&leaf) == Some(&client)
                {
                    let role = match leaf.kind {
                        EntryKind::Response => MessageRole::Response,
                        _ => MessageRole::Request,
                    };
                    numbers.push((entry.number, role));
                }
                // Whoever asked may have gone.
                match numbers.len() > most || done.is_closed() {
                    true => ControlFlow::Break(()),
                    false => ControlFlow::Continue(()),
                }
            });
            let _ = done.send(searched.map(|()| numbers));
        });
        found.await.map_err(|_| LogError::Closed)?
    }
}
