//! Evidence over the control socket: which entries, then each with the bytes of its two files.

use std::{
    io::{self, Read},
    sync::{Arc, PoisonError},
};

use kontor_pki::time::UnixTime;
use kontor_protocol::container::ChainFiles;
use serde::{Deserialize, Serialize};
use tokio::time::timeout;

use super::{Answer, PROGRESS, Question, Side, client::Control};
use crate::{
    messagelog::{MessageLog, Pieces, error::LogError, export::Exported},
    timestamper::Timestamper,
};

/// Evidence of one entry, or of every message with a query id.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Export {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    number: Option<u64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    query_id: Option<String>,
    #[serde(default)]
    unstamped: bool,
}

/// An entry whose bytes follow.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Announced {
    number: u64,
    name: String,
    /// Milliseconds since 1970.
    at: i64,
    message: u64,
    signatures: u64,
    chain_result: Option<u64>,
    chain: Option<u64>,
    companion: u64,
    body: Option<u64>,
    notes: Vec<String>,
}

/// What to export.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Selection {
    /// One entry.
    Number(u64),
    /// Every message with this query id.
    QueryId(String),
}

/// What a node tells while it exports.
pub enum Told {
    /// How many entries were read, and how many there are.
    Progress(u64, u64),
    /// Which entries will follow.
    Found(Vec<u64>),
    /// One of them. Its body must be read to its end before the next line is.
    Entry(Box<Exported>),
    /// One of them, or all, could not be had.
    Refused {
        /// Which entry, if it is about one.
        number: Option<u64>,
        /// The name of the error.
        code: String,
        /// The sentence.
        text: String,
    },
}

impl Export {
    pub(super) async fn answer(
        self,
        log: &MessageLog,
        timestamper: &Timestamper,
        side: &mut Side,
    ) -> io::Result<()> {
        let timestamper = (!self.unstamped).then_some(timestamper);
        let numbers = match (self.number, self.query_id) {
            (Some(number), None) => vec![number],
            (None, Some(query_id)) => match find(side, log, &query_id).await? {
                Ok(numbers) => numbers,
                Err(error) => return side.refuse(None, error.code(), &error).await,
            },
            _ => {
                return side
                    .refuse(None, "malformed", &"an export names a number or a query id")
                    .await;
            }
        };
        side.say(&Answer::Found {
            numbers: numbers.clone(),
        })
        .await?;
        for number in numbers {
            match log.export(number, timestamper).await {
                Ok(exported) => entry(side, exported).await?,
                Err(error) => side.refuse(Some(number), error.code(), &error).await?,
            }
        }
        Ok(())
    }
}

async fn find(side: &mut Side, log: &MessageLog, query_id: &str) -> io::Result<Result<Vec<u64>, LogError>> {
    let (progress, mut seen) = tokio::sync::watch::channel((0, 0));
    let mut finding = Box::pin(log.find(query_id, move |read, of| _ = progress.send_replace((read, of))));
    loop {
        match timeout(PROGRESS, &mut finding).await {
            Ok(found) => return Ok(found),
            Err(_) => {
                let (read, of) = *seen.borrow_and_update();
                side.say(&Answer::Progress { read, of }).await?;
            }
        }
    }
}

async fn entry(side: &mut Side, exported: Exported) -> io::Result<()> {
    let length = |bytes: &[u8]| bytes.len() as u64;
    side.say(&Answer::Entry(Announced {
        number: exported.number,
        name: exported.name,
        at: exported.at.millis(),
        message: length(&exported.message),
        signatures: length(&exported.signatures),
        chain_result: exported.chain.as_ref().map(|chain| length(&chain.result)),
        chain: exported.chain.as_ref().map(|chain| length(&chain.chain)),
        companion: length(&exported.companion),
        body: exported.body.as_ref().map(|(length, _)| *length),
        notes: exported.notes,
    }))
    .await?;
    side.send(&exported.message).await?;
    side.send(&exported.signatures).await?;
    if let Some(chain) = &exported.chain {
        side.send(&chain.result).await?;
        side.send(&chain.chain).await?;
    }
    side.send(&exported.companion).await?;
    if let Some((_, mut pieces)) = exported.body {
        loop {
            let read = tokio::task::spawn_blocking(move || pieces().map(|piece| (piece, pieces))).await;
            // A body that does not read ends the connection: the command sees that bytes are missing.
            let (piece, rest) = read.map_err(io::Error::other)??;
            pieces = rest;
            match piece {
                Some(piece) => side.send(&piece).await?,
                None => break,
            }
        }
    }
    Ok(())
}

impl Control {
    /// Asks for evidence and hands on what the node tells, until it is done.
    pub fn export(
        self,
        selection: Selection,
        unstamped: bool,
        told: &mut dyn FnMut(Told) -> anyhow::Result<()>,
    ) -> anyhow::Result<()> {
        let (number, query_id) = match selection {
            Selection::Number(number) => (Some(number), None),
            Selection::QueryId(query_id) => (None, Some(query_id)),
        };
        let question = Question::Export(Export {
            number,
            query_id,
            unstamped,
        });
        self.ask(&question, &mut |answer| {
            told(match answer {
                Answer::Progress { read, of } => Told::Progress(read, of),
                Answer::Found { numbers } => Told::Found(numbers),
                Answer::Entry(announced) => Told::Entry(Box::new(entry_of(&self, announced)?)),
                Answer::Error { number, code, text } => Told::Refused { number, code, text },
                Answer::Done {} | Answer::Hold(_) | Answer::Purged(_) => return Ok(()),
            })
        })
    }
}

fn entry_of(control: &Control, announced: Announced) -> io::Result<Exported> {
    if announced.name.contains(['/', '\0']) {
        return Err(io::ErrorKind::InvalidData.into());
    }
    let (message, signatures) = (
        control.bytes(announced.message)?,
        control.bytes(announced.signatures)?,
    );
    let chain = match (announced.chain_result, announced.chain) {
        (Some(result), Some(chain)) => Some(ChainFiles {
            result: control.bytes(result)?,
            chain: control.bytes(chain)?,
        }),
        (None, None) => None,
        _ => return Err(io::ErrorKind::InvalidData.into()),
    };
    let companion = control.bytes(announced.companion)?;
    let body = announced.body.map(|length| {
        let (stream, mut left) = (Arc::clone(&control.stream), length);
        let next = move || {
            let piece = left.min(64 * 1024);
            if piece == 0 {
                return Ok(None);
            }
            let mut bytes = vec![0; usize::try_from(piece).map_err(io::Error::other)?];
            stream
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .read_exact(&mut bytes)?;
            left -= piece;
            Ok(Some(bytes))
        };
        (length, Box::new(next) as Pieces)
    });
    Ok(Exported {
        number: announced.number,
        name: announced.name,
        at: UnixTime::from_millis(announced.at),
        message,
        signatures,
        chain,
        companion,
        body,
        notes: announced.notes,
    })
}
