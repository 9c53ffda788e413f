//! Messages out of archives: what was dropped from the log is taken from the archive that holds it. Nothing of it is used
//! before the chain of the archive and the commitment of the leaf say that it is what was logged; what was deleted since is
//! not handed out, whatever the archive still holds.

use std::io::{BufReader, Read, Seek, SeekFrom};

use kontor_protocol::{
    archive::{Archive, container_name},
    container::{Absent, Companion, Container, MessageRole},
    log::{EntryKind, binding::Binding, proof::LogProof},
};
use tempfile::spooled_tempfile_in;

use super::{
    ArchiveError,
    draft::{Place, Source},
};
use crate::messagelog::{
    MessageLog, Pieces,
    blob::{Evidence, Head},
    error::LogError,
    export::{ExportError, Exported, file_stem},
    keytree::BlobClass,
    read::{Reader, StoredBody},
};
use kontor_pki::time::UnixTime;

/// Containers up to this size are held in memory, others in an unnamed file.
const HELD: usize = 4 * 1024 * 1024;

impl MessageLog {
    /// One message out of its archive. Blocks.
    pub(in crate::messagelog) fn fetch_archived(
        &self,
        number: u64,
        proof: Option<(LogProof, Vec<Binding>)>,
    ) -> Result<Exported, ExportError> {
        let mut reader = self.reader();
        let settings = self.archive.as_ref();
        let known = reader.archive_of(number)?;
        let (Some(known), Some(settings)) = (known, settings) else {
            let archived = reader.archived(number, BlobClass::Head)?;
            return Err(archived.unwrap_or(LogError::NotFound { number }).into());
        };
        let unreachable = |error: ArchiveError| ExportError::Archive {
            number,
            file: known.file.clone(),
            place: known.place.clone().unwrap_or_default(),
            error: Box::new(error),
        };
        let entry = reader.entry(number)?;
        let leaf = reader.leaf(&entry)?;
        let opened = reader.evidence(&entry).map_err(|error| reader.explain(error))?;
        let evidence = Evidence::parse(&opened).ok_or_else(|| reader.changed(number, "evidence"))?;
        let head = reader.head(&entry).map_err(|error| reader.explain(error))?;
        let head = head.as_deref().and_then(|head| Head::parse(head));
        let query_id = head.map(|head| head.query_id.to_owned());
        let query_id = query_id.ok_or_else(|| reader.changed(number, "head"))?;
        let (role, side) = match leaf.kind {
            EntryKind::Response => (MessageRole::Response, "response"),
            _ => (MessageRole::Request, "request"),
        };
        let other = |reason: String| {
            unreachable(ArchiveError::Verify {
                path: known.file.clone(),
                reason,
            })
        };
        let file = self.opened_archive(&known.file, settings).map_err(unreachable)?;
        let mut archive = Archive::open(BufReader::with_capacity(64 * 1024, file))
            .map_err(|error| other(error.to_string()))?;
        if archive.linking().last() != known.digest {
            return Err(other("its chain ends with another digest".into()));
        }
        let name = container_name(&query_id, role, number);
        let place = archive
            .place_of(&name)
            .ok_or_else(|| other(format!("it has no {name}")))?;
        let spool = self.home.layout.spool();
        let mut container = spooled_tempfile_in(HELD, &spool);
        match archive.container(place, &mut container) {
            Ok(Some(true)) => {}
            Ok(_) => return Err(other(format!("{name} is not what was archived"))),
            Err(error) => return Err(other(error.to_string())),
        }
        let rewind = |error: std::io::Error| other(error.to_string());
        container.seek(SeekFrom::Start(0)).map_err(rewind)?;
        let read = Container::read(&mut container).map_err(|error| other(error.to_string()))?;
        let (mut notes, mut absent) = (Vec::new(), Vec::new());
        let parts = kontor_protocol::log::parse_parts(evidence.parts)
            .map_err(|_| reader.changed(number, "evidence"))?;
        let companion = Companion {
            leaf: entry.leaf_bytes().to_vec(),
            salt: evidence.salt,
            parts,
            proof: None,
            keys: Vec::new(),
            absent: Vec::new(),
        };
        companion
            .verified_leaf()
            .map_err(|error| other(error.to_string()))?;
        let there = read.parts();
        for part in &there {
            if !companion.parts.contains(part) {
                return Err(other(format!("the leaf does not commit to its {}", part.name)));
            }
        }
        for part in &companion.parts {
            // A body may have been left out on purpose; nothing else may.
            if part.name != "attachment1" && !there.contains(part) {
                return Err(other(format!("{} is not in it", part.name)));
            }
        }
        let recorded = companion.parts.iter().any(|part| part.name == "attachment1");
        let mut lacks = |code: &str, text: String| {
            notes.push(text.clone());
            absent.push(Absent {
                name: "attachment1".into(),
                code: code.into(),
                text,
            });
        };
        let body = match body_of(&mut reader, number)? {
            LiveBody::There(body) => Some(body),
            LiveBody::Gone(gone) => {
                lacks(gone.code(), gone.to_string());
                None
            }
            LiveBody::None if !recorded => None,
            LiveBody::None | LiveBody::Archived if !read.attachments.is_empty() => {
                let mut spooled = spooled_tempfile_in(HELD, &spool);
                container.seek(SeekFrom::Start(0)).map_err(rewind)?;
                let copied = Container::copy_body(&mut container, &mut spooled);
                let length = copied.map_err(|error| other(error.to_string()))?;
                spooled.seek(SeekFrom::Start(0)).map_err(rewind)?;
                length.map(|length| (length, pieces(spooled)))
            }
            LiveBody::None | LiveBody::Archived => {
                let text =
                    format!("the body of entry {number} was not kept when it was logged, or not archived");
                lacks("log_body_not_kept", text);
                None
            }
        };
        notes.push(format!(
            "taken from the archive {} (SHA-256 {}), as entry {} says",
            known.file, known.sha256, known.entry
        ));
        let (proof, keys) = proof.unzip();
        Ok(Exported {
            number,
            name: file_stem(&query_id, side, number),
            at: UnixTime::from_millis(evidence.millis),
            message: read.message,
            signatures: read.signatures,
            chain: read.chain,
            timestamp: read.timestamp,
            companion: Companion {
                proof,
                keys: keys.unwrap_or_default(),
                absent,
                ..companion
            }
            .to_json(),
            record: None,
            body,
            notes,
        })
    }

    fn opened_archive(
        &self,
        name: &str,
        settings: &crate::config::ArchiveSettings,
    ) -> Result<Box<dyn Source>, ArchiveError> {
        Place::new(&self.home, settings)?.open(name)
    }
}

/// What the log itself has of a body.
enum LiveBody {
    None,
    There((u64, Pieces)),
    /// Deleted, lost or put aside.
    Gone(LogError),
    Archived,
}

fn body_of(reader: &mut Reader, number: u64) -> Result<LiveBody, LogError> {
    let entry = reader.entry(number)?;
    let body = reader.body(&entry).map_err(|error| reader.explain(error));
    Ok(match body {
        Ok(StoredBody::None) => LiveBody::None,
        Ok(StoredBody::Inline(bytes)) => {
            let (length, mut bytes) = (bytes.len() as u64, Some(bytes.to_vec()));
            LiveBody::There((length, Box::new(move || Ok(bytes.take()))))
        }
        Ok(StoredBody::Content(mut chunks, length)) => {
            let next = move || chunks.next_chunk().map_err(std::io::Error::other);
            LiveBody::There((length, Box::new(next)))
        }
        Err(LogError::Archived { .. }) => LiveBody::Archived,
        Err(gone @ (LogError::Deleted { .. } | LogError::Lost { .. } | LogError::Quarantined { .. })) => {
            LiveBody::Gone(gone)
        }
        Err(error) => return Err(error),
    })
}

fn pieces(mut file: tempfile::SpooledTempFile) -> Pieces {
    Box::new(move || {
        let mut piece = vec![0; 64 * 1024];
        let read = file.read(&mut piece)?;
        piece.truncate(read);
        Ok((read > 0).then_some(piece))
    })
}
