//! Segments and their leaf files: numbers without a gap, sound records, leaves that are the same in both, parts that open.

use kontor_protocol::log::{Leaf, commitment};

use super::{Checker, Code};
use crate::messagelog::{
    blob::{Body, Evidence, Head},
    error::LogError,
    format::number_in_name,
    keytree::{BlobClass, KeyName, associated_data, open},
    leaf,
    marks::Mark,
    record::{BODY, BlobState, EVIDENCE, HEAD, LEAF, RecordKind},
    segment::{self, Record, Segment},
};

const PARTS: [(usize, BlobClass); 3] = [
    (EVIDENCE, BlobClass::Evidence),
    (HEAD, BlobClass::Head),
    (BODY, BlobClass::Body),
];

impl Checker<'_> {
    fn numbers(&self, dir: &std::path::Path, extension: &str) -> Result<Vec<u64>, LogError> {
        let names = self
            .disk()
            .list(dir)
            .map_err(LogError::io("could not list", dir))?;
        Ok(names
            .iter()
            .filter_map(|name| number_in_name(name, extension))
            .collect())
    }

    /// Walks over all segments in order.
    pub(super) fn segments(&mut self) -> Result<(), LogError> {
        let layout = self.home.layout.clone();
        let mut segments = self.numbers(&layout.segments(), ".seg")?;
        // What the writer began since the check began is none of its business.
        segments.retain(|first| *first == 0 || self.synced.is_none_or(|synced| *first < synced));
        let leaf_files = self.numbers(&layout.leaves(), ".leaf")?;
        let (mut next, mut index) = (0, 0);
        while index < segments.len() || leaf_files.binary_search(&next).is_ok() {
            let leaves = match leaf_files.binary_search(&next) {
                Ok(_) => self.leaf_file(next),
                Err(_) => None,
            };
            let following = segments.get(index + 1).copied();
            next = match segments.get(index).copied() {
                Some(first) if first == next => {
                    index += 1;
                    self.segment(first, leaves.as_deref(), following)
                }
                Some(first) if first < next => {
                    index += 1;
                    let file = self.file(&layout.segment(first));
                    let text = format!("it begins at {first}, though the one before it ends at {next}");
                    self.findings.add(Code::SegmentHeader, &file, text, None);
                    next
                }
                after => match leaves {
                    // Archived: the leaves are all there has to be.
                    Some(leaves) if !leaves.is_empty() => {
                        self.archived(next, &leaves);
                        next + leaves.len() as u64
                    }
                    _ => {
                        let file = self.file(&layout.segment(next));
                        self.unread = true;
                        self.findings
                            .add(Code::SegmentGap, &file, "it is missing", Some(next));
                        match after {
                            Some(first) => first,
                            None => break,
                        }
                    }
                },
            };
            self.report.entries = self.report.entries.max(next);
            let of = self.synced.unwrap_or(next).max(next);
            (self.progress)(next, of);
        }
        if let Some(synced) = self.synced.filter(|synced| next < *synced) {
            let file = self.file(&layout.segments());
            let text = format!("the log has {synced} entries, the files hold {next}");
            self.findings.add(Code::SegmentGap, &file, text, Some(next));
        }
        Ok(())
    }

    fn archived(&mut self, first: u64, leaves: &[Vec<u8>]) {
        for (number, leaf) in (first..).zip(leaves) {
            self.grow(number, leaf);
        }
        let marks = leaves
            .iter()
            .filter_map(|leaf| Mark::of(&Leaf::parse(leaf).ok()?));
        self.marks.extend(marks);
    }

    fn leaf_file(&mut self, first: u64) -> Option<Vec<Vec<u8>>> {
        self.report.leaf_files += 1;
        match segment::read_leaves(self.disk(), &self.home.layout, &self.home.id, first) {
            Ok(leaves) => Some(leaves),
            Err(error) => {
                let file = self.file(&self.home.layout.leaf_file(first));
                self.findings.add(Code::LeafFile, &file, error.to_string(), None);
                None
            }
        }
    }

    /// Reads one segment; gives the number after its last entry, as far as anybody knows.
    fn segment(&mut self, first: u64, leaves: Option<&[Vec<u8>]>, following: Option<u64>) -> u64 {
        self.report.segments += 1;
        let path = self.home.layout.segment(first);
        let file = self.file(&path);
        // What its neighbours say of its end, when it does not say itself.
        let by_others = leaves.map(|leaves| first + leaves.len() as u64).or(following);
        let segment = match Segment::open(self.disk(), &self.home.layout, &self.home.id, first) {
            Ok(segment) => segment,
            Err(error) => {
                self.unread = true;
                self.findings
                    .add(Code::SegmentHeader, &file, error.to_string(), None);
                return by_others.unwrap_or(first + 1);
            }
        };
        let synced = self.synced.unwrap_or(u64::MAX);
        let scanned = segment.scan(&mut |record| {
            if record.header.kind == RecordKind::Entry && record.header.number < synced {
                let kept = leaves.map(|leaves| {
                    let index = usize::try_from(record.header.number - first).unwrap_or(usize::MAX);
                    leaves.get(index).map(Vec::as_slice)
                });
                self.entry(record, &file, kept);
            }
            Ok(())
        });
        let end = match scanned {
            Ok(end) => end,
            Err(error) => {
                self.unread = true;
                self.findings
                    .add(Code::SegmentDamaged, &file, error.to_string(), None);
                return by_others.unwrap_or(first + 1);
            }
        };
        let later = match (following.is_none(), self.synced) {
            // A sealed segment says where it ends.
            (false, _) => (!end.sealed).then_some(None),
            (true, Some(synced)) => (end.next < synced && !end.sealed).then_some(None),
            (true, None) if end.sealed => None,
            (true, None) => match segment.later_round(end.offset) {
                Ok(Some(later)) => Some(Some(later)),
                _ => None,
            },
        };
        if let Some(later) = later {
            let mut text = format!("no sound record at byte {}", end.offset);
            if let Some(later) = later {
                text += &format!(", though the record at byte {later} was written after it was synced");
            }
            self.unread = true;
            self.findings
                .add(Code::SegmentDamaged, &file, text, Some(end.next));
        } else {
            self.sound.push(first);
        }
        let by_others = by_others.filter(|_| !end.sealed);
        by_others.unwrap_or(end.next).max(end.next)
    }

    /// One entry: its leaf, the same in the leaf file, and parts that open or were forgotten.
    fn entry(&mut self, record: &Record<'_>, file: &str, kept: Option<Option<&[u8]>>) {
        let (number, bytes) = (record.header.number, record.blob(LEAF));
        if kept.is_some_and(|kept| kept != Some(bytes)) {
            let text = "the leaf in the leaf file is another one";
            self.findings.add(Code::LeafWrong, file, text, Some(number));
        }
        if record.header.states[LEAF] == BlobState::Removed {
            self.forgotten.entry("leaf").or_default().insert(number);
            self.grow(number, &[]);
            return;
        }
        let leaf = match Leaf::parse(bytes) {
            Ok(leaf) if leaf.number == number && leaf.log_id == self.home.id => leaf,
            Ok(_) => {
                let text = "the leaf is of another entry or log";
                return self.findings.add(Code::LeafWrong, file, text, Some(number));
            }
            Err(error) => {
                return self
                    .findings
                    .add(Code::LeafWrong, file, error.to_string(), Some(number));
            }
        };
        self.marks.extend(Mark::of(&leaf));
        self.grow(number, bytes);
        for (place, class) in PARTS {
            let state = record.header.states[place];
            if let Some((period, retention)) = leaf::key_of(&leaf, class) {
                let name = KeyName {
                    class,
                    retention,
                    period,
                };
                self.part(record, place, state, &name, &leaf, file);
            } else if state != BlobState::Absent {
                let text = format!("the leaf knows no {}", class.name());
                self.findings.add(Code::LeafWrong, file, text, Some(number));
            }
        }
    }

    fn part(
        &mut self,
        record: &Record<'_>,
        place: usize,
        state: BlobState,
        name: &KeyName,
        leaf: &Leaf,
        file: &str,
    ) {
        let (number, part) = (record.header.number, name.class.name());
        let key = match state {
            BlobState::Absent => {
                let text = format!("the leaf names a {part} that the record lacks");
                return self.findings.add(Code::LeafWrong, file, text, Some(number));
            }
            BlobState::Removed => None,
            // A key file that does not open was reported.
            BlobState::There | BlobState::ContentFile => match self.keys.for_reading(name, number) {
                Ok(key) => key,
                Err(_) => {
                    self.unread |= state == BlobState::ContentFile;
                    return;
                }
            },
        };
        let Some(key) = key else {
            self.forgotten.entry(part).or_default().insert(number);
            return;
        };
        if !self.deep && state != BlobState::ContentFile {
            return;
        }
        let associated = associated_data(&self.home.id, number, name.class, name.period);
        let opened = open(&key, &associated, record.blob(place));
        let reads = match (&opened, name.class) {
            (Err(_), _) => false,
            (Ok(opened), BlobClass::Head) => Head::parse(opened).is_some(),
            (Ok(opened), BlobClass::Evidence) => Evidence::parse(opened)
                .is_some_and(|evidence| commitment(&evidence.salt, evidence.parts) == leaf.commitment),
            (Ok(opened), BlobClass::Body) => match Body::parse(opened) {
                Some(Body::Content { id, key, length }) => {
                    self.content_file(number, id, &key, length);
                    true
                }
                Some(Body::Inline(_)) => true,
                None => false,
            },
            (Ok(_), BlobClass::Shared) => true,
        };
        if !reads {
            let text = format!("the {part} does not open, or is not what the leaf commits to");
            self.findings.add(Code::PartDamaged, file, text, Some(number));
        }
    }
}
