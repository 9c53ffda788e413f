//! The asking end of the control socket, for commands: blocking, one question per connection.

use std::{
    io::{self, BufRead, BufReader, Read, Write},
    os::unix::net::UnixStream,
    path::Path,
    sync::{Arc, Mutex, PoisonError},
};

use kontor_pki::time::UnixTime;
use kontor_protocol::{container::ChainFiles, limits};

use super::{Address, Announced, Answer, LINE, Question};
use crate::messagelog::export::Exported;

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

/// A connection to the node that owns a log.
pub struct Control {
    stream: Shared,
}

/// The connection is read by the loop of answers and by the body of the entry at hand, one after the other.
type Shared = Arc<Mutex<BufReader<UnixStream>>>;

impl Control {
    /// Connects; `None` when no process listens in this data directory.
    pub fn connect(data_dir: &Path) -> io::Result<Option<Self>> {
        let address = match Address::of(data_dir) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            address => address?,
        };
        match UnixStream::connect(&address.path) {
            Ok(stream) => Ok(Some(Self {
                stream: Arc::new(Mutex::new(BufReader::new(stream))),
            })),
            Err(error)
                if matches!(
                    error.kind(),
                    io::ErrorKind::NotFound | io::ErrorKind::ConnectionRefused
                ) =>
            {
                Ok(None)
            }
            Err(error) => Err(error),
        }
    }

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
        let mut question = serde_json::to_vec(&Question::Export {
            number,
            query_id,
            unstamped,
        })?;
        question.push(b'\n');
        self.lock().get_mut().write_all(&question)?;
        loop {
            let mut line = Vec::new();
            Read::take(&mut *self.lock(), LINE).read_until(b'\n', &mut line)?;
            if line.is_empty() {
                anyhow::bail!("the node ended before it had answered; its log says why");
            }
            told(match serde_json::from_slice(&line)? {
                Answer::Progress { read, of } => Told::Progress(read, of),
                Answer::Found { numbers } => Told::Found(numbers),
                Answer::Entry(announced) => Told::Entry(Box::new(self.entry(announced)?)),
                Answer::Error { number, code, text } => Told::Refused { number, code, text },
                Answer::Done {} => return Ok(()),
            })?;
        }
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, BufReader<UnixStream>> {
        self.stream.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn bytes(&self, length: u64) -> io::Result<Vec<u8>> {
        // Everything but the body is held in memory by the node too.
        let length = usize::try_from(length)
            .ok()
            .filter(|length| *length <= limits::CONTAINER_ENTRY);
        let mut bytes = vec![0; length.ok_or(io::ErrorKind::InvalidData)?];
        self.lock().read_exact(&mut bytes)?;
        Ok(bytes)
    }

    fn entry(&self, announced: Announced) -> io::Result<Exported> {
        if announced.name.contains(['/', '\0']) {
            return Err(io::ErrorKind::InvalidData.into());
        }
        let (message, signatures) = (self.bytes(announced.message)?, self.bytes(announced.signatures)?);
        let chain = match (announced.chain_result, announced.chain) {
            (Some(result), Some(chain)) => Some(ChainFiles {
                result: self.bytes(result)?,
                chain: self.bytes(chain)?,
            }),
            (None, None) => None,
            _ => return Err(io::ErrorKind::InvalidData.into()),
        };
        let companion = self.bytes(announced.companion)?;
        let body = announced.body.map(|length| {
            let (stream, mut left) = (Arc::clone(&self.stream), length);
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
            (length, Box::new(next) as crate::messagelog::Pieces)
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
}
