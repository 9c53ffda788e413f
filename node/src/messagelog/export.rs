//! Evidence for outsiders: one logged message as an ASiC-E container with its companion. Owns what goes into it and the
//! names of the files; the layout is that of [`kontor_protocol::container`]. A message without a time-stamp is stamped
//! first, and the token is an entry of its own, so that the next export finds it.

use std::{
    fs::{self, File},
    io::{self, BufWriter},
    path::{Path, PathBuf},
};

use kontor_pki::time::UnixTime;
use kontor_protocol::{
    container::{Absent, BatchTimestamp, ChainFiles, Companion, ContainerWriter, Evidence, WriteError},
    log::{EntryKind, binding::Binding, proof::LogProof},
    signature::{SignatureDocument, SignatureError, insert_timestamp},
};

use super::{
    ArchiveError, MessageLog,
    error::LogError,
    read::{LoggedMessage, Stamp, StoredBody},
};
use crate::timestamper::{TimestampError, Timestamper};

/// Longest query id in a file name (wire 6.8).
const NAME: usize = 226;

/// Why there is no container.
#[derive(Debug, thiserror::Error)]
pub enum ExportError {
    /// The log refused.
    #[error(transparent)]
    Log(#[from] LogError),
    /// No time-stamp could be had.
    #[error("entry {number} cannot be time-stamped: {error}")]
    Timestamp {
        /// Which entry.
        number: u64,
        /// Why.
        error: TimestampError,
    },
    /// A signature document that was logged and does not read.
    #[error("the signature document of entry {number} has no place for a time-stamp: {error}")]
    Signature {
        /// Which entry.
        number: u64,
        /// Why.
        error: SignatureError,
    },
    /// An archive could not be read, or does not hold what was archived.
    #[error(
        "entry {number} was dropped from the log and lies in the archive {file}, which was written to {place}: {error}"
    )]
    Archive {
        /// Which entry.
        number: u64,
        /// The archive.
        file: String,
        /// Where it was written to.
        place: String,
        /// Why not.
        error: Box<ArchiveError>,
    },
    /// The files could not be written.
    #[error("could not write {path}: {reason}")]
    Output {
        /// Which file.
        path: String,
        /// Why.
        reason: String,
    },
}

impl ExportError {
    /// The name of this error in logs and JSON.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Log(error) => error.code(),
            Self::Timestamp { error, .. } => error.code(),
            Self::Signature { .. } => "export_signature",
            Self::Archive { error, .. } => error.code(),
            Self::Output { .. } => "export_output",
        }
    }
}

/// Gives the next piece of a body, `None` after the last.
pub type Pieces = Box<dyn FnMut() -> io::Result<Option<Vec<u8>>> + Send>;

/// Everything that goes into the two files of one message.
pub struct Exported {
    /// Number of the entry.
    pub number: u64,
    /// Name of both files, without extension.
    pub name: String,
    /// When the message was logged.
    pub at: UnixTime,
    /// The signed message.
    pub message: Vec<u8>,
    /// The signature document, with the time-stamp unless none was asked for.
    pub signatures: Vec<u8>,
    /// The hash chain, for a message of a batch.
    pub chain: Option<ChainFiles>,
    /// The time-stamp over many records, for a message of such a batch.
    pub timestamp: Option<BatchTimestamp>,
    /// The companion, as JSON.
    pub companion: Vec<u8>,
    /// The evidence record, DER, if it was asked for and there is one.
    pub record: Option<Vec<u8>>,
    /// Length and pieces of `attachment1`.
    pub body: Option<(u64, Pieces)>,
    /// What the reader of the evidence should know, for example that the body is deleted.
    pub notes: Vec<String>,
}

/// The files of one message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Written {
    /// Number of the entry.
    pub number: u64,
    /// `NAME.asice`.
    pub container: PathBuf,
    /// `NAME.leaf.json`.
    pub companion: PathBuf,
    /// `NAME.ers`.
    pub record: Option<PathBuf>,
    /// As in [`Exported`].
    pub notes: Vec<String>,
}

impl MessageLog {
    /// One message with all that proves it. Without a time-stamp so far it gets one from `timestamper`; `None` leaves it as
    /// it is.
    pub async fn export(
        &self,
        number: u64,
        timestamper: Option<&Timestamper>,
    ) -> Result<Exported, ExportError> {
        let mut reader = self.reader();
        let read = tokio::task::spawn_blocking(move || reader.message(number)).await;
        let logged = match read.map_err(|_| LogError::Closed)? {
            Err(LogError::Archived { .. }) => None,
            // Its body was dropped and a crash came before the rest was.
            Ok(logged) if matches!(logged.body, Err(LogError::Archived { .. })) => None,
            read => Some(read?),
        };
        let (proof, missing) = match self.proof_or_why(number).await {
            Ok(proof) => (Some(proof), None),
            Err(why) => (None, Some(why)),
        };
        let mut exported = match logged {
            Some(logged) => self.evidence_of(logged, proof, timestamper).await?,
            None => {
                let log = self.clone();
                let fetched = tokio::task::spawn_blocking(move || log.fetch_archived(number, proof)).await;
                fetched.map_err(|_| LogError::Closed)??
            }
        };
        exported.notes.extend(missing);
        Ok(exported)
    }

    /// The proof of an entry with the bindings that it needs, or a note that says why there is none.
    pub(super) async fn proof_or_why(&self, number: u64) -> Result<(LogProof, Vec<Binding>), String> {
        let why = match self.prove_to_others(number).await {
            Ok((_, keys)) if keys.is_empty() => {
                "the key of this log is not bound to a member yet, which a node does soon after its start; export it again then"
                    .to_owned()
            }
            Ok(proven) => return Ok(proven),
            Err(error) => error.to_string(),
        };
        Err(format!(
            "it is not proven that entry {number} is in the log: {why}"
        ))
    }

    async fn evidence_of(
        &self,
        mut logged: LoggedMessage,
        proof: Option<(LogProof, Vec<Binding>)>,
        timestamper: Option<&Timestamper>,
    ) -> Result<Exported, ExportError> {
        if logged.stamp.is_none()
            && let Some(timestamper) = timestamper
        {
            let token = self.stamp(&logged, timestamper).await?;
            logged.stamp = token.map(Stamp::Single);
        }
        exported(logged, proof)
    }

    /// Stamps the signature value (wire 5.2, single layout) and records the token. `None` when the document came with a
    /// time-stamp in it.
    async fn stamp(
        &self,
        logged: &LoggedMessage,
        timestamper: &Timestamper,
    ) -> Result<Option<Vec<u8>>, ExportError> {
        let number = logged.number;
        let document = SignatureDocument::parse(&logged.document);
        let document = document.map_err(|error| ExportError::Signature { number, error })?;
        if document.timestamp().is_some() {
            return Ok(None);
        }
        let token = timestamper.stamp(document.signature_value()).await;
        let token = token.map_err(|error| ExportError::Timestamp { number, error })?;
        // A crash before this entry costs a token, which the next export asks for again.
        let recorded = self
            .append_timestamp(token.der().to_vec().into(), vec![number])
            .await;
        match recorded {
            Ok(_) => {}
            // A log that takes nothing more can still be proven to others.
            Err(error) if error.is_end() => {}
            Err(error) => return Err(error.into()),
        }
        Ok(Some(token.der().to_vec()))
    }
}

pub(super) fn exported(
    logged: LoggedMessage,
    proof: Option<(LogProof, Vec<Binding>)>,
) -> Result<Exported, ExportError> {
    let number = logged.number;
    if logged.not_kept.head {
        return Err(LogError::Shortened { number }.into());
    }
    let (signatures, timestamp) = match logged.stamp {
        Some(Stamp::Single(token)) => {
            let stamped = insert_timestamp(&logged.document, &token);
            let stamped = stamped.map_err(|error| ExportError::Signature { number, error })?;
            (stamped, None)
        }
        Some(Stamp::Batch(timestamp)) => (logged.document, Some(timestamp)),
        None => (logged.document, None),
    };
    let side = if logged.leaf.kind == EntryKind::Response {
        "response"
    } else {
        "request"
    };
    let (mut notes, mut absent) = (Vec::new(), Vec::new());
    if logged.not_kept.body {
        let text =
            format!("the body of entry {number} was not kept when it was logged (logging = \"no-body\")");
        notes.push(text.clone());
        absent.push(Absent {
            name: "attachment1".into(),
            code: "log_body_not_kept".into(),
            text,
        });
    }
    let body = match logged.body {
        Ok(StoredBody::None) => None,
        Ok(StoredBody::Inline(bytes)) => {
            let (length, mut bytes) = (bytes.len() as u64, Some(bytes.to_vec()));
            Some((length, Box::new(move || Ok(bytes.take())) as Pieces))
        }
        Ok(StoredBody::Content(mut chunks, length)) => {
            let next = move || chunks.next_chunk().map_err(io::Error::other);
            Some((length, Box::new(next) as Pieces))
        }
        Err(gone @ (LogError::Deleted { .. } | LogError::Lost { .. } | LogError::Quarantined { .. })) => {
            notes.push(gone.to_string());
            absent.push(Absent {
                name: "attachment1".into(),
                code: gone.code().into(),
                text: gone.to_string(),
            });
            None
        }
        Err(error) => return Err(error.into()),
    };
    let (proof, keys) = proof.unzip();
    let companion = Companion {
        leaf: logged.leaf_bytes,
        salt: logged.salt,
        parts: logged.parts,
        proof,
        keys: keys.unwrap_or_default(),
        absent,
    };
    Ok(Exported {
        number,
        name: file_stem(&logged.query_id, side, number),
        at: logged.at,
        message: logged.message,
        signatures,
        chain: logged.chain,
        timestamp,
        companion: companion.to_json(),
        record: None,
        body,
        notes,
    })
}

/// The name of both files, without extension.
pub(super) fn file_stem(query_id: &str, side: &str, number: u64) -> String {
    format!("{}-{side}-{number}", sanitised(query_id))
}

/// A query id as it may stand in a file name: what is not a letter, digit, `.`, `_` or `-` is percent-encoded.
fn sanitised(query_id: &str) -> String {
    let mut name = String::new();
    for byte in query_id.bytes() {
        let plain = byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'-');
        // A hidden file, or one that looks like an option, helps nobody.
        let piece = match plain && !(name.is_empty() && matches!(byte, b'.' | b'-')) {
            true => char::from(byte).to_string(),
            false => format!("%{byte:02X}"),
        };
        if name.len() + piece.len() > NAME {
            break;
        }
        name.push_str(&piece);
    }
    if name.is_empty() {
        "without-id".into()
    } else {
        name
    }
}

impl Exported {
    /// Whether a time-stamp vouches for it.
    pub(crate) fn is_stamped(&self) -> bool {
        let single = || SignatureDocument::parse(&self.signatures).map(|it| it.timestamp().is_some());
        self.timestamp.is_some() || single().unwrap_or(false)
    }

    /// What its container shows beside the attachments.
    pub(crate) fn evidence(&self, attachments: usize) -> Evidence<'_> {
        Evidence {
            message: &self.message,
            signatures: &self.signatures,
            chain: self.chain.as_ref(),
            timestamp: self.timestamp.as_ref(),
            attachments,
        }
    }

    /// Writes the files to a directory that exists. Each gets its name when it is complete; files of an earlier export are
    /// replaced, and an evidence record of one that has none now is removed: it may be about other files.
    pub fn write(self, dir: &Path) -> Result<Written, ExportError> {
        let container = dir.join(format!("{}.asice", self.name));
        let companion = dir.join(format!("{}.leaf.json", self.name));
        let failed = |path: &Path, reason: String| ExportError::Output {
            path: path.display().to_string(),
            reason,
        };
        let draft = dir.join(format!("{}.asice.part", self.name));
        let written = write_container(
            &draft,
            &self.message,
            &self.signatures,
            (self.chain.as_ref(), self.timestamp.as_ref()),
            self.at,
            self.body,
        )
        .and_then(|()| Ok(fs::rename(&draft, &container)?));
        if let Err(error) = written {
            let _ = fs::remove_file(&draft);
            return Err(failed(&container, error.to_string()));
        }
        fs::write(&companion, &self.companion).map_err(|error| failed(&companion, error.to_string()))?;
        let record = dir.join(format!("{}.ers", self.name));
        let kept = match &self.record {
            Some(der) => fs::write(&record, der),
            None => match fs::remove_file(&record) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
                _ => Ok(()),
            },
        };
        kept.map_err(|error| failed(&record, error.to_string()))?;
        Ok(Written {
            number: self.number,
            container,
            companion,
            record: self.record.map(|_| record),
            notes: self.notes,
        })
    }
}

fn write_container(
    path: &Path,
    message: &[u8],
    signatures: &[u8],
    (chain, timestamp): (Option<&ChainFiles>, Option<&BatchTimestamp>),
    at: UnixTime,
    body: Option<(u64, Pieces)>,
) -> Result<(), WriteError> {
    let evidence = Evidence {
        message,
        signatures,
        chain,
        timestamp,
        attachments: usize::from(body.is_some()),
    };
    let mut writer = ContainerWriter::new(BufWriter::new(File::create(path)?), &evidence, at)?;
    if let Some((_, mut pieces)) = body {
        writer.start_attachment()?;
        while let Some(piece) = pieces()? {
            writer.write(&piece)?;
        }
    }
    let file = writer
        .finish()?
        .into_inner()
        .map_err(|error| WriteError::Output(error.to_string()))?;
    Ok(file.sync_all()?)
}

#[cfg(test)]
mod tests {
    use super::sanitised;

    #[test]
    fn a_query_id_becomes_a_file_name_that_stays_in_its_directory() {
        for (query_id, name) in [
            ("d5bd7d86-8c5e", "d5bd7d86-8c5e"),
            ("a/b", "a%2Fb"),
            ("../../etc/passwd", "%2E.%2F..%2Fetc%2Fpasswd"),
            ("--out", "%2D-out"),
            ("Größe 1", "Gr%C3%B6%C3%9Fe%201"),
            ("a\0b\n", "a%00b%0A"),
            ("", "without-id"),
        ] {
            assert_eq!(sanitised(query_id), name);
        }
        assert_eq!(sanitised(&"ü".repeat(300)).len(), 226 / 3 * 3);
    }
}
