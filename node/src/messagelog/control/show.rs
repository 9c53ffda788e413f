//! One entry over the control socket, with its body if that was asked for.

use std::io;

use serde::{Deserialize, Serialize};

use super::{Answer, Question, Side, client::Control, pieces_of, send_pieces};
use crate::messagelog::{
    MessageLog, Pieces,
    error::LogError,
    read::StoredBody,
    show::{ShownEntry, show},
};

/// What is there of an entry.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Show {
    number: u64,
    /// Whether the bytes of the body follow.
    #[serde(default)]
    body: bool,
}

impl Show {
    pub(super) async fn answer(self, log: &MessageLog, side: &mut Side) -> io::Result<()> {
        let mut reader = log.reader();
        let shown = tokio::task::spawn_blocking(move || show(&mut reader, self.number)).await;
        match shown.unwrap_or(Err(LogError::Closed)) {
            Ok((shown, body)) => {
                side.say(&Answer::Shown(Box::new(shown))).await?;
                match body {
                    _ if !self.body => Ok(()),
                    StoredBody::None => Ok(()),
                    StoredBody::Inline(bytes) => side.send(&bytes).await,
                    StoredBody::Content(mut chunks, _) => {
                        send_pieces(
                            side,
                            Box::new(move || chunks.next_chunk().map_err(io::Error::other)),
                        )
                        .await
                    }
                }
            }
            Err(error) => side.refuse(Some(self.number), error.code(), &error).await,
        }
    }
}

impl Control {
    /// Asks for one entry; with `body`, what is there of its body must be read to its end by `told`.
    pub fn show(
        self,
        number: u64,
        body: bool,
        told: &mut dyn FnMut(ShownEntry, Option<Pieces>) -> anyhow::Result<()>,
    ) -> anyhow::Result<()> {
        self.ask(
            &Question::Show(Show { number, body }),
            &mut |answer| match answer {
                Answer::Shown(shown) => {
                    let length = shown.body_bytes.filter(|_| body);
                    told(*shown, length.map(|length| pieces_of(&self, length)))
                }
                answer => answer.unexpected(),
            },
        )
    }
}
