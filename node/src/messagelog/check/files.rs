//! The small files of a log: keys, marks, content.

use super::{Checker, Code};
use crate::{
    disk,
    messagelog::{
        content::ContentId,
        error::LogError,
        format::CONTENT_HEADER,
        marks::{self, Mark},
    },
};

impl Checker<'_> {
    /// Every key file opens and reads.
    pub(super) fn key_files(&mut self) -> Result<(), LogError> {
        let dir = self.home.layout.keys();
        let names = self
            .disk()
            .list(&dir)
            .map_err(LogError::io("could not list", &dir))?;
        // The keys of the search index are made again with it.
        let trees = |name: &&String| name.ends_with(".key") && !name.starts_with("index.");
        for name in names.iter().filter(trees) {
            self.report.key_files += 1;
            if let Err(error) = self.keys.open_file(name) {
                let file = self.file(&dir.join(name));
                self.findings.add(Code::KeyFile, &file, error.to_string(), None);
            }
        }
        Ok(())
    }

    /// The marks are those of the leaves.
    pub(super) fn marks_file(&mut self) {
        let path = self.home.layout.marks();
        let read = match disk::read_all(self.disk(), &path, marks::LIMIT) {
            // It comes with the first sealed segment, and when it is missing it is made.
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return,
            Err(error) => {
                let (file, text) = (self.file(&path), format!("it cannot be read: {error}"));
                return self.findings.add(Code::MarksFile, &file, text, None);
            }
            Ok(bytes) => marks::parse(&self.home.id, &bytes),
        };
        let file = self.file(&path);
        let Some((upto, marks)) = read else {
            return self
                .findings
                .add(Code::MarksFile, &file, "it does not read", None);
        };
        // A damaged segment has been reported, and hides what marks stand in it.
        let known = |mark: &&Mark| mark.number < upto;
        let same = self
            .marks
            .iter()
            .filter(known)
            .map(|mark| (mark.number, mark.kind))
            .eq(marks.iter().map(|mark| (mark.number, mark.kind)));
        if !same && !self.unread {
            let text = "it does not name the deletions, holds and acts that the segments hold";
            self.findings.add(Code::MarksFile, &file, text, None);
        }
    }

    /// Each content file is named by an entry; each that an entry names was met in its segment.
    pub(super) fn content_files(&mut self) -> Result<(), LogError> {
        let dir = self.home.layout.content();
        let names = self
            .disk()
            .list(&dir)
            .map_err(LogError::io("could not list", &dir))?;
        self.report.content_files = names.len() as u64;
        // Entries that came while this check ran may name files that it knows nothing of.
        if self.unread || self.synced.is_some() {
            return Ok(());
        }
        self.named.sort_unstable_by_key(|id| id.0);
        for name in names {
            let known = ContentId::parse(&name)
                .is_some_and(|id| self.named.binary_search_by_key(&id.0, |named| named.0).is_ok());
            if !known {
                let file = self.file(&dir.join(&name));
                self.findings
                    .add(Code::ContentUnused, &file, "no entry names it", None);
            }
        }
        Ok(())
    }

    /// The content file of a body is there and as long as the entry says; deep: each chunk opens.
    pub(super) fn content_file(&mut self, number: u64, id: ContentId, key: &[u8; 32], length: u64) {
        self.named.push(id);
        let path = self.home.layout.content().join(id.to_string());
        let file = self.file(&path);
        let mut chunks = match self.content.open(id, key, length) {
            Ok(chunks) => chunks,
            Err(error) => {
                return self
                    .findings
                    .add(Code::ContentMissing, &file, error.to_string(), Some(number));
            }
        };
        let expected = crate::messagelog::content::file_length(length);
        match chunks.file_length() {
            Ok(found) if found == expected => {}
            Ok(found) => {
                let text = format!("it has {found} bytes, its entry needs {expected}");
                return self.findings.add(Code::ContentDamaged, &file, text, Some(number));
            }
            Err(error) => {
                return self
                    .findings
                    .add(Code::ContentDamaged, &file, error.to_string(), Some(number));
            }
        }
        debug_assert!(expected >= CONTENT_HEADER as u64);
        while self.deep {
            match chunks.next_chunk() {
                Ok(Some(_)) => {}
                Ok(None) => break,
                Err(error) => {
                    return self
                        .findings
                        .add(Code::ContentDamaged, &file, error.to_string(), Some(number));
                }
            }
        }
    }
}
