//! The asking end of the control socket, for commands: blocking, one question per connection.

use std::{
    io::{self, BufRead, BufReader, Read, Write},
    os::unix::net::UnixStream,
    path::Path,
    sync::{Arc, Mutex, PoisonError},
};

use kontor_protocol::limits;

use super::{Address, Answer, LINE, Question};

const GONE: &str = "the node ended before it had answered; its log says why";

/// A connection to the node that owns a log.
pub struct Control {
    pub(super) stream: Shared,
}

/// The connection is read by the loop of answers and by the body of the entry at hand, one after the other.
pub(super) type Shared = Arc<Mutex<BufReader<UnixStream>>>;

impl Control {
    /// Connects; `None` when no process listens in this data directory.
    pub fn connect(data_dir: &Path) -> io::Result<Option<Self>> {
        let address = match Address::of(data_dir) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            address => address?,
        };
        match UnixStream::connect(&address.path) {
            Ok(stream) => Ok(Some(Self::over(stream))),
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

    /// Asks over a connection that is there.
    pub fn over(stream: UnixStream) -> Self {
        Self {
            stream: Arc::new(Mutex::new(BufReader::new(stream))),
        }
    }

    /// Asks and hands on each line of the answer, until it is done.
    pub(super) fn ask(
        &self,
        question: &Question,
        told: &mut dyn FnMut(Answer) -> anyhow::Result<()>,
    ) -> anyhow::Result<()> {
        let mut question = serde_json::to_vec(question)?;
        question.push(b'\n');
        // A node that ends closes the connection before it has read the question, or in the middle of its answer.
        let gone = |error: io::Error| match error.kind() {
            io::ErrorKind::BrokenPipe | io::ErrorKind::ConnectionReset => anyhow::anyhow!(GONE),
            _ => error.into(),
        };
        self.lock().get_mut().write_all(&question).map_err(gone)?;
        loop {
            let mut line = Vec::new();
            Read::take(&mut *self.lock(), LINE)
                .read_until(b'\n', &mut line)
                .map_err(gone)?;
            if line.is_empty() {
                anyhow::bail!(GONE);
            }
            match serde_json::from_slice(&line)? {
                Answer::Done {} => return Ok(()),
                answer => told(answer)?,
            }
        }
    }

    pub(super) fn lock(&self) -> std::sync::MutexGuard<'_, BufReader<UnixStream>> {
        self.stream.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Bytes that were announced.
    pub(super) fn bytes(&self, length: u64) -> io::Result<Vec<u8>> {
        // Everything but the body is held in memory by the node too.
        let length = usize::try_from(length)
            .ok()
            .filter(|length| *length <= limits::CONTAINER_ENTRY);
        let mut bytes = vec![0; length.ok_or(io::ErrorKind::InvalidData)?];
        self.lock().read_exact(&mut bytes)?;
        Ok(bytes)
    }
}
