//! The state store on one machine: a redb file. Owns nothing but the mapping of tables and rows; a value is the version at which
//! it was written, eight octets, and the row.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::ops::Bound;
use std::path::Path;

use redb::{
    AccessGuard, Database, ReadTransaction, ReadableDatabase, ReadableTable, StorageError, TableDefinition,
    TableError, WriteTransaction,
};

use super::{Change, Engine, Row, StoreError, Table, View, appended};
use crate::disk::{Disk, SystemDisk};

/// Octets of pages that are kept in memory.
const CACHE: usize = 16 * 1024 * 1024;
/// Where the version of the last commit stands.
const VERSION: TableDefinition<'static, &str, u64> = TableDefinition::new("version");
/// What every file of this form says of itself.
const FORMAT: u64 = 1;

type Guard<'a> = AccessGuard<'a, &'static [u8]>;

/// See the module.
pub(crate) struct Redb(Database);

fn table(table: Table) -> TableDefinition<'static, &'static [u8], &'static [u8]> {
    TableDefinition::new(table.name())
}

fn failed(error: impl std::fmt::Display) -> StoreError {
    StoreError::Failed(error.to_string())
}

fn row(table: Table, value: &[u8]) -> Result<Row, StoreError> {
    let (version, bytes) = value
        .split_first_chunk::<8>()
        .ok_or_else(|| StoreError::Damaged {
            table: table.name(),
            reason: "it is shorter than its version".into(),
        })?;
    Ok((u64::from_be_bytes(*version), bytes.to_vec()))
}

impl Redb {
    /// Opens the file, or makes it.
    pub(crate) fn open(path: &Path) -> Result<Self, StoreError> {
        let opened = Database::builder().set_cache_size(CACHE).create(path);
        let database = opened
            .map_err(|error| StoreError::Failed(format!("{} cannot be opened: {error}", path.display())))?;
        let engine = Self::over(database, &path.display())?;
        // A new file has its name on disk before anything rests on it.
        let dir = path.parent().unwrap_or(Path::new("/"));
        SystemDisk.sync_dir(dir).map_err(failed)?;
        Ok(engine)
    }

    /// Takes a database that is open; `path` is what it is called in errors.
    pub(super) fn over(database: Database, path: &dyn std::fmt::Display) -> Result<Self, StoreError> {
        let writing = database.begin_write().map_err(failed)?;
        {
            let mut version = writing.open_table(VERSION).map_err(failed)?;
            let format = version.get("format").map_err(failed)?.map(|it| it.value());
            match format {
                None => _ = version.insert("format", FORMAT).map_err(failed)?,
                Some(FORMAT) => {}
                Some(other) => {
                    let text = format!("{path} has format {other}, this program knows {FORMAT}");
                    return Err(StoreError::Failed(text));
                }
            }
            for each in Table::ALL {
                writing.open_table(table(each)).map_err(failed)?;
            }
        }
        writing.commit().map_err(failed)?;
        Ok(Self(database))
    }
}

type Rows<'a> = redb::Table<'a, &'static [u8], &'static [u8]>;

/// A table of a transaction, opened once.
fn open<'a, 'b>(
    writing: &'a WriteTransaction,
    opened: &'b mut BTreeMap<Table, Rows<'a>>,
    wanted: Table,
) -> Result<&'b mut Rows<'a>, StoreError> {
    match opened.entry(wanted) {
        Entry::Occupied(there) => Ok(there.into_mut()),
        Entry::Vacant(place) => Ok(place.insert(writing.open_table(table(wanted)).map_err(failed)?)),
    }
}

struct Snapshot(ReadTransaction);

impl View for Snapshot {
    fn get(&self, from: Table, key: &[u8]) -> Result<Option<Row>, StoreError> {
        match self.0.open_table(table(from)) {
            Ok(rows) => {
                let found = rows.get(key).map_err(failed)?;
                found.map(|value| row(from, value.value())).transpose()
            }
            Err(TableError::TableDoesNotExist(_)) => Ok(None),
            Err(error) => Err(failed(error)),
        }
    }

    fn range(
        &self,
        from: Table,
        bounds: (Bound<&[u8]>, Bound<&[u8]>),
        backwards: bool,
        most: usize,
    ) -> Result<Vec<(Vec<u8>, Row)>, StoreError> {
        let rows = self.0.open_table(table(from)).map_err(failed)?;
        let range = rows.range::<&[u8]>(bounds).map_err(failed)?;
        let read = |found: Result<(Guard<'_>, Guard<'_>), StorageError>| {
            let (key, value) = found.map_err(failed)?;
            Ok((key.value().to_vec(), row(from, value.value())?))
        };
        match backwards {
            true => range.rev().take(most).map(read).collect(),
            false => range.take(most).map(read).collect(),
        }
    }
}

impl Engine for Redb {
    fn view(&self) -> Result<Box<dyn View>, StoreError> {
        Ok(Box::new(Snapshot(self.0.begin_read().map_err(failed)?)))
    }

    fn commit(&self, changes: &[Change]) -> Result<Vec<Option<u64>>, StoreError> {
        let writing = self.0.begin_write().map_err(failed)?;
        let mut held = Vec::with_capacity(changes.len());
        {
            let mut versions = writing.open_table(VERSION).map_err(failed)?;
            let last = versions.get("last").map_err(failed)?.map_or(0, |it| it.value());
            let mut version = last;
            // Opening and closing a table costs more than a row does.
            let mut opened = BTreeMap::new();
            for change in changes {
                let mut holds = true;
                for ((from, key), seen) in &change.reads {
                    let rows = open(&writing, &mut opened, *from)?;
                    let found = rows.get(key.as_slice()).map_err(failed)?;
                    let now = found.map(|value| row(*from, value.value())).transpose()?;
                    holds &= now.map_or(0, |(version, _)| version) == *seen;
                }
                if !holds {
                    held.push(None);
                    continue;
                }
                version += 1;
                held.push(Some(version));
                for (place, (to, bytes)) in change.appends.iter().enumerate() {
                    let mut value = version.to_be_bytes().to_vec();
                    value.extend_from_slice(bytes);
                    let rows = open(&writing, &mut opened, *to)?;
                    rows.insert(appended(version, place).as_slice(), value.as_slice())
                        .map_err(failed)?;
                }
                for ((to, key), bytes) in &change.writes {
                    let rows = open(&writing, &mut opened, *to)?;
                    match bytes {
                        None => _ = rows.remove(key.as_slice()).map_err(failed)?,
                        Some(bytes) => {
                            let mut value = version.to_be_bytes().to_vec();
                            value.extend_from_slice(bytes);
                            rows.insert(key.as_slice(), value.as_slice()).map_err(failed)?;
                        }
                    }
                }
            }
            versions.insert("last", version).map_err(failed)?;
        }
        writing.commit().map_err(failed)?;
        Ok(held)
    }
}
