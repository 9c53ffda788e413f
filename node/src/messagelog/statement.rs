//! What the log can still say of a message whose content is gone: its leaf, what is left beside it, and the entries that say
//! what was deleted, each with its proof (evidence 3 and 4).

#[cfg(test)]
mod tests;

use kontor_protocol::{
    container::{Absent, Companion},
    log::{EntryKind, parse_parts},
    statement::{Deletion, Entry, Statement},
};

use super::{
    MessageLog,
    blob::Evidence,
    error::LogError,
    fact::FACT_DOCUMENT,
    keytree::BlobClass,
    read::{Reader, StoredEntry},
    show::PartState,
};

impl MessageLog {
    /// The statement about a message whose head is gone, or was not kept, with a note if it lacks a proof.
    ///
    /// # Errors
    /// An entry that is no message, or whose container can be had.
    pub async fn statement(&self, number: u64) -> Result<(Statement, Option<String>), LogError> {
        let mut reader = self.reader();
        let read = tokio::task::spawn_blocking(move || read(&mut reader, number)).await;
        let (mut statement, by) = read.map_err(|_| LogError::Closed)??;
        let mut missing = None;
        match self.proof_or_why(number).await {
            Err(why) => missing = Some(why),
            Ok((proven, bound)) => match &mut statement.entry {
                Entry::Evidence(Companion { proof, keys, .. }) | Entry::Leaf { proof, keys, .. } => {
                    (*proof, *keys) = (Some(proven), bound);
                }
            },
        }
        for (deletion, number) in statement.deletions.iter_mut().zip(by) {
            match self.proof_or_why(number).await {
                Err(why) => missing = missing.or(Some(why)),
                Ok((proof, keys)) => (deletion.entry.proof, deletion.entry.keys) = (Some(proof), keys),
            }
        }
        Ok((statement, missing))
    }
}

/// The statement without proofs, and the numbers of the deletions in it.
fn read(reader: &mut Reader, number: u64) -> Result<(Statement, Vec<u64>), LogError> {
    let entry = reader.entry(number)?;
    let kind = reader.leaf(&entry)?.kind;
    let unsuited = |found: String| LogError::Unsuited {
        number,
        found,
        wanted: "a message whose content is gone",
    };
    if !matches!(kind, EntryKind::Request | EntryKind::Response) {
        return Err(unsuited(format!("a {}", kind.name())));
    }
    let companion = companion(reader, &entry)?;
    let not_kept = match &companion {
        Some((_, not_kept)) => *not_kept,
        None => false,
    };
    let head = reader.part_state(&entry, BlobClass::Head)?;
    if matches!(head, PartState::There | PartState::Archived) && !not_kept {
        return Err(unsuited("a message that can be exported".into()));
    }
    let (mut deletions, mut by) = (Vec::new(), Vec::new());
    for deletion in reader.deletions(number, number)? {
        if deletion.numbers.contains(number)
            && let Some(said) = self::deletion(reader, deletion.number)?
        {
            deletions.push(said);
            by.push(deletion.number);
        }
    }
    let mut absent = Vec::new();
    let gone = [
        (BlobClass::Head, !matches!(head, PartState::There)),
        (BlobClass::Evidence, companion.is_none()),
    ];
    for (class, is_gone) in gone {
        let why = match is_gone {
            true => reader.explain(LogError::Forgotten {
                number,
                part: class.name(),
            }),
            false if class == BlobClass::Head => LogError::Shortened { number },
            false => continue,
        };
        if !matches!(why, LogError::Deleted { .. }) {
            absent.push(Absent {
                name: class.name().into(),
                code: why.code().into(),
                text: why.to_string(),
            });
        }
    }
    let entry = match companion {
        Some((companion, _)) => Entry::Evidence(companion),
        None => Entry::Leaf {
            leaf: entry.leaf_bytes().to_vec(),
            proof: None,
            keys: Vec::new(),
        },
    };
    let statement = Statement {
        entry,
        deletions,
        absent,
    };
    Ok((statement, by))
}

/// What an entry commits to, if its evidence is there; and whether its head was not kept.
fn companion(reader: &mut Reader, entry: &StoredEntry) -> Result<Option<(Companion, bool)>, LogError> {
    let opened = match reader.evidence(entry) {
        Err(LogError::Forgotten { .. }) => return Ok(None),
        opened => opened?,
    };
    let changed = || reader.changed(entry.number, "evidence");
    let evidence = Evidence::parse(&opened).ok_or_else(changed)?;
    let companion = Companion {
        leaf: entry.leaf_bytes().to_vec(),
        salt: evidence.salt,
        parts: parse_parts(evidence.parts).map_err(|_| changed())?,
        proof: None,
        keys: Vec::new(),
        absent: Vec::new(),
    };
    Ok(Some((companion, evidence.not_kept.head)))
}

/// A deletion, if what it says is still there.
fn deletion(reader: &mut Reader, number: u64) -> Result<Option<Deletion>, LogError> {
    let entry = reader.entry(number)?;
    let Some((companion, _)) = companion(reader, &entry)? else {
        return Ok(None);
    };
    let opened = reader.evidence(&entry)?;
    let changed = || reader.changed(number, "evidence");
    let evidence = Evidence::parse(&opened).ok_or_else(changed)?;
    let fact = evidence.documents.iter().find(|(name, _)| *name == FACT_DOCUMENT);
    let (_, fact) = fact.ok_or_else(changed)?;
    Ok(Some(Deletion {
        entry: companion,
        fact: fact.to_vec(),
        numbers: evidence.concerned.unwrap_or_default().to_vec(),
    }))
}
