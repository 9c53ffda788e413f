//! Evidence over the control socket: which entries, then each with the bytes of its two files.

use std::{io, iter};

use kontor_pki::time::UnixTime;
use kontor_protocol::container::{BatchTimestamp, ChainFiles};
use serde::{Deserialize, Serialize};

use super::{
    Answer, Question, Side,
    client::Control,
    pieces_of,
    search::{Event, Wanted, events},
    send_pieces,
};
use crate::{
    messagelog::{MessageLog, export::Exported, search::Filter},
    timestamper::Timestamper,
};

/// Evidence of one entry, or of every message that fits.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Export {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    number: Option<u64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    filter: Option<Wanted>,
    #[serde(default)]
    unstamped: bool,
    /// With the evidence record of each.
    #[serde(default)]
    record: bool,
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
    /// `ts-hashchainresult.xml`, `ts-hashchain.xml` and the token of a time-stamp over many.
    #[serde(default)]
    timestamp: Option<[u64; 3]>,
    companion: u64,
    /// The evidence record, if it was asked for and there is one.
    #[serde(default)]
    record: Option<u64>,
    body: Option<u64>,
    notes: Vec<String>,
}

/// What to export.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Selection {
    /// One entry.
    Number(u64),
    /// Every message that fits, in ascending order.
    Every(Box<Filter>),
}

/// What a node tells while it exports.
pub enum Told {
    /// The index reflects so many entries of so many; the others are read.
    Partial(u64, u64),
    /// How many entries were read, and how many there are.
    Progress(u64, u64),
    /// One of them. Its body must be read to its end before the next line is.
    Entry(Box<Exported>),
    /// What can still be said of one whose content is gone.
    Statement {
        /// Its number.
        number: u64,
        /// `NAME.statement.json`.
        json: Vec<u8>,
        /// Why there is no more.
        notes: Vec<String>,
    },
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
        let record = self.record;
        let filter = match (self.number, self.filter.map(Wanted::filter)) {
            (Some(number), None) => return one(log, number, timestamper, record, side).await,
            (None, Some(Ok(filter))) => filter,
            (None, Some(Err(error))) => return side.refuse(None, "malformed", &error).await,
            _ => {
                return side
                    .refuse(None, "malformed", &"an export names a number or a filter")
                    .await;
            }
        };
        let mut events = events(
            log,
            Filter {
                messages: true,
                ..filter
            },
        );
        while let Some(event) = events.recv().await {
            match event {
                Event::Partial { indexed, of } => side.say(&Answer::Partial { indexed, of }).await?,
                Event::Progress { read, of } => side.say(&Answer::Progress { read, of }).await?,
                Event::Found(found) => one(log, found.number, timestamper, record, side).await?,
                Event::Failed(error) => return side.refuse(None, error.code(), &error).await,
            }
        }
        Ok(())
    }
}

async fn one(
    log: &MessageLog,
    number: u64,
    timestamper: Option<&Timestamper>,
    record: bool,
    side: &mut Side,
) -> io::Result<()> {
    let mut exported = match log.export(number, timestamper).await {
        Ok(exported) => exported,
        Err(error) => {
            // Only where content is gone; all else is refused.
            let Ok((statement, missing)) = log.statement(number).await else {
                return side.refuse(Some(number), error.code(), &error).await;
            };
            let json = statement.to_json();
            side.say(&Answer::Statement {
                number,
                length: json.len() as u64,
                notes: iter::once(error.to_string()).chain(missing).collect(),
            })
            .await?;
            return side.send(&json).await;
        }
    };
    if record {
        match log.evidence_record(number).await {
            Ok(Some(record)) => exported.record = Some(record),
            Ok(None) => exported.notes.push(format!(
                "entry {number} has no evidence record: its time-stamp was not renewed yet, see `kontor log renew`"
            )),
            Err(error) => return side.refuse(Some(number), error.code(), &error).await,
        }
    }
    entry(side, exported).await
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
        timestamp: exported
            .timestamp
            .as_ref()
            .map(|stamp| [length(&stamp.result), length(&stamp.chain), length(&stamp.token)]),
        companion: length(&exported.companion),
        record: exported.record.as_deref().map(length),
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
    if let Some(stamp) = &exported.timestamp {
        side.send(&stamp.result).await?;
        side.send(&stamp.chain).await?;
        side.send(&stamp.token).await?;
    }
    side.send(&exported.companion).await?;
    if let Some(record) = &exported.record {
        side.send(record).await?;
    }
    match exported.body {
        Some((_, pieces)) => send_pieces(side, pieces).await,
        None => Ok(()),
    }
}

impl Control {
    /// Asks for evidence, without time-stamps that are not there yet and with evidence records if so, and hands on what the
    /// node tells, until it is done.
    pub fn export(
        self,
        selection: Selection,
        (unstamped, record): (bool, bool),
        told: &mut dyn FnMut(Told) -> anyhow::Result<()>,
    ) -> anyhow::Result<()> {
        let (number, filter) = match selection {
            Selection::Number(number) => (Some(number), None),
            Selection::Every(filter) => (None, Some(Wanted::from(&*filter))),
        };
        let question = Question::Export(Export {
            number,
            filter,
            unstamped,
            record,
        });
        self.ask(&question, &mut |answer| {
            told(match answer {
                Answer::Progress { read, of } => Told::Progress(read, of),
                Answer::Partial { indexed, of } => Told::Partial(indexed, of),
                Answer::Entry(announced) => Told::Entry(Box::new(entry_of(&self, announced)?)),
                Answer::Statement {
                    number,
                    length,
                    notes,
                } => Told::Statement {
                    number,
                    json: self.bytes(length)?,
                    notes,
                },
                Answer::Error { number, code, text } => Told::Refused { number, code, text },
                answer => return answer.unexpected(),
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
    let timestamp = match announced.timestamp {
        None => None,
        Some([result, chain, token]) => Some(BatchTimestamp {
            result: control.bytes(result)?,
            chain: control.bytes(chain)?,
            token: control.bytes(token)?,
        }),
    };
    let companion = control.bytes(announced.companion)?;
    let record = announced.record.map(|length| control.bytes(length)).transpose()?;
    let body = announced.body.map(|length| (length, pieces_of(control, length)));
    Ok(Exported {
        number: announced.number,
        name: announced.name,
        at: UnixTime::from_millis(announced.at),
        message,
        signatures,
        chain,
        timestamp,
        companion,
        record,
        body,
        notes: announced.notes,
    })
}
