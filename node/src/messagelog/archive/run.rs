//! One archiving, from the first message that is not archived to the first that is not time-stamped.

use std::{collections::BTreeMap, io::BufWriter, ops::ControlFlow};

use kontor_protocol::{
    archive::{self, ArchiveWriter, Link, container_name, group_name},
    container::{self, MessageRole},
    log::{EntryKind, Leaf, RetentionClass},
};
use tokio::runtime::Handle;

use super::{
    ArchiveError, ArchiveReport,
    draft::{Place, Positioned},
    drop,
    state::{ACT, Pending, Recorded, State},
};
use crate::config::{ArchiveSettings, Bodies, Grouping};
use crate::messagelog::{
    MessageLog,
    error::LogError,
    export::{self, ExportError, Exported},
    fact::Acted,
    lookup::own_side,
    numbers::NumberSet,
};

/// Messages looked up before they are read.
const STEP: usize = 256;

/// Where a progress goes.
pub(super) type Progress = Box<dyn FnMut(u64, u64) + Send>;

/// See the module. Blocks.
pub(super) struct Run<'a> {
    log: &'a MessageLog,
    settings: &'a ArchiveSettings,
    runtime: Handle,
    progress: Progress,
    place: Place,
    state: State,
    open: BTreeMap<String, Open>,
    report: ArchiveReport,
}

/// An archive in the making.
struct Open {
    writer: ArchiveWriter<BufWriter<Positioned>>,
    previous: Option<Link>,
    numbers: NumberSet,
    /// Those whose body is in it.
    bodies: NumberSet,
}

/// Number, role and group of a message.
type Grouped = (u64, MessageRole, String);

/// A message for an archive.
struct Item {
    exported: Exported,
    name: String,
}

/// Whether a message has no container any more, or never had one. What was lost is damage, and all the same no reason
/// to archive nothing that comes after.
fn is_gone(error: &ArchiveError) -> bool {
    let (ArchiveError::Log(error) | ArchiveError::Export(ExportError::Log(error))) = error else {
        return false;
    };
    if matches!(error, LogError::Lost { .. } | LogError::Quarantined { .. }) {
        tracing::error!(%error, "a message cannot be archived");
    }
    matches!(
        error,
        LogError::Deleted { .. }
            | LogError::Archived { .. }
            | LogError::Forgotten { .. }
            | LogError::Lost { .. }
            | LogError::Quarantined { .. }
            | LogError::Shortened { .. }
    )
}

impl<'a> Run<'a> {
    pub(super) fn new(
        log: &'a MessageLog,
        settings: &'a ArchiveSettings,
        runtime: Handle,
        progress: Progress,
    ) -> Result<Self, ArchiveError> {
        Ok(Self {
            log,
            settings,
            runtime,
            progress,
            place: Place::new(&log.home, settings)?,
            state: State::default(),
            open: BTreeMap::new(),
            report: ArchiveReport::default(),
        })
    }

    pub(super) fn run(mut self, dry_run: bool) -> Result<ArchiveReport, ArchiveError> {
        self.state = State::load(&self.log.home, &mut self.log.reader())?;
        if !dry_run {
            self.place.prepare()?;
            self.settle()?;
        }
        let ended = self.all(dry_run).and_then(|()| {
            if let Some(days) = self.settings.drop_after_days {
                self.report.dropped = self.log.drop_archived(&self.place, days, dry_run)?;
            }
            Ok(())
        });
        // What was written of archives that do not come to be is of no use to anybody.
        for group in std::mem::take(&mut self.open).into_keys() {
            self.place.discard(&group);
        }
        ended.map(|()| self.report)
    }

    fn all(&mut self, dry_run: bool) -> Result<(), ArchiveError> {
        let (mut next, of) = (self.state.through, self.log.reader().entries());
        while next < of && self.report.waiting.is_none() {
            let (messages, after) = self.messages(next)?;
            for (number, role, group) in messages {
                if self.state.has(&group, number) {
                    continue;
                }
                let item = match self.item(number, role) {
                    Ok(Some(item)) => item,
                    Ok(None) => {
                        self.report.waiting = Some(number);
                        break;
                    }
                    Err(error) if is_gone(&error) => {
                        self.report.deleted += 1;
                        continue;
                    }
                    Err(error) => return Err(error),
                };
                self.report.messages += 1;
                if !dry_run {
                    self.add(&group, item)?;
                }
            }
            next = self.report.waiting.unwrap_or(after);
            (self.progress)(next, of);
        }
        if dry_run {
            return Ok(());
        }
        while let Some((group, open)) = self.open.pop_first() {
            self.finish(&group, open)?;
        }
        self.state.through = next;
        Ok(self.state.save(&self.log.home)?)
    }

    fn group(&self, leaf: &Leaf) -> String {
        let own = own_side(leaf);
        let id = match self.settings.group {
            Grouping::None => None,
            Grouping::Member => own.map(|client| client.member().to_string()),
            Grouping::Subsystem => own.map(ToString::to_string),
        };
        id.map(|id| group_name(&id)).unwrap_or_default()
    }

    /// The next messages from an entry on, and the entry after them.
    fn messages(&self, from: u64) -> Result<(Vec<Grouped>, u64), LogError> {
        let mut reader = self.log.reader();
        let (mut found, mut after) = (Vec::new(), reader.entries());
        let mut seen = 0;
        reader.scan(from, &mut |reader, entry| {
            let leaf = reader.leaf(entry)?;
            let role = match leaf.kind {
                EntryKind::Request => Some(MessageRole::Request),
                EntryKind::Response => Some(MessageRole::Response),
                _ => None,
            };
            found.extend(role.map(|role| (entry.number, role, self.group(leaf))));
            seen += 1;
            if found.len() == STEP || seen == 16 * STEP {
                after = entry.number + 1;
                return Ok(ControlFlow::Break(()));
            }
            Ok(ControlFlow::Continue(()))
        })?;
        Ok((found, after))
    }

    /// A message, unless it has no time-stamp yet.
    fn item(&self, number: u64, role: MessageRole) -> Result<Option<Item>, ArchiveError> {
        let logged = self.log.reader().message(number)?;
        let name = container_name(&logged.query_id, role, number);
        let takes_body = self.takes_body(&logged.leaf);
        let mut exported = export::exported(logged, None)?;
        exported.body.take_if(|_| !takes_body);
        Ok(exported.is_stamped().then_some(Item { exported, name }))
    }

    /// Whether a body goes into the archive, which is kept by a rule of its own and out of reach of any deletion here.
    fn takes_body(&self, leaf: &Leaf) -> bool {
        match self.settings.bodies {
            Bodies::All => true,
            Bodies::None => false,
            Bodies::AsLong => {
                let kept = |class: &Option<RetentionClass>| {
                    let class = class.as_ref();
                    class.map_or(Some(0), |class| self.log.schedule.kept(class).until(leaf.second))
                };
                let (head, body) = (kept(&leaf.retention.head), kept(&leaf.retention.body));
                // None is for ever.
                body.is_none() || head.is_some() && body >= head
            }
        }
    }

    fn add(&mut self, group: &str, item: Item) -> Result<(), ArchiveError> {
        let Item { mut exported, name } = item;
        if !self.open.contains_key(group) {
            let previous = self.state.end(group);
            let out = BufWriter::with_capacity(64 * 1024, self.place.draft(group)?);
            let writer = ArchiveWriter::new(out, previous.clone())?;
            let open = Open {
                writer,
                previous,
                numbers: NumberSet::default(),
                bodies: NumberSet::default(),
            };
            self.open.insert(group.into(), open);
        }
        let open = self.open.get_mut(group).expect("it was opened above");
        let mut body = exported.body.take();
        let (number, at, attachments) = (exported.number, exported.at, usize::from(body.is_some()));
        open.writer.add_with(&name, at, |entry| {
            let body = body.as_mut().map(|(length, next)| container::Body {
                length: *length,
                next,
            });
            container::stream(entry, &exported.evidence(attachments), at, body)?;
            Ok::<_, ArchiveError>(())
        })?;
        open.numbers.insert(number);
        if attachments > 0 {
            open.bodies.insert(number);
        }
        if open.writer.bytes() > self.settings.rotate || open.writer.is_full() {
            let open = self.open.remove(group).expect("it was opened above");
            self.finish(group, open)?;
        }
        Ok(())
    }

    /// Ends an archive, and records it when it has been read back.
    fn finish(&mut self, group: &str, open: Open) -> Result<(), ArchiveError> {
        let Open {
            writer,
            previous,
            numbers,
            bodies,
        } = open;
        let finished = writer.finish()?;
        let file = finished.file_name(Some(group).filter(|group| !group.is_empty()));
        let out = finished.out.into_inner().map_err(|error| error.into_error());
        // A crash from here on: the draft is on disk, and nothing knows of it.
        out.and_then(|out| out.sync())
            .map_err(|error| archive::WriteError::Output(error.to_string()))?;
        let pending = Pending::new(group, file, finished.digest, previous, &numbers, &bodies);
        self.state.pending = Some(pending.clone());
        self.state.save(&self.log.home)?;
        // Here: it is announced, and the next archiving does not find it.
        self.place.publish(group, &pending)?;
        // Here: the next archiving finds it, reads it back and records it.
        self.record(&pending)
    }

    /// Reads an archive back and records it.
    fn record(&mut self, pending: &Pending) -> Result<(), ArchiveError> {
        let sha256 = self.place.verify(pending)?;
        let numbers = pending.numbers();
        let recorded = Recorded {
            group: pending.group.clone(),
            file: pending.file.clone(),
            digest: pending.digest.clone(),
            sha256,
            containers: pending.containers,
            through: self.state.through,
            place: Some(self.place.to_string()),
            bodies: pending.bodies.clone(),
        };
        let acted = Acted {
            act: ACT.into(),
            who: "the node".into(),
            ground: "configuration [archive]".into(),
            details: serde_json::to_value(&recorded).expect("numbers and strings always serialise"),
        };
        let fact = drop::about_archives(&acted, numbers.clone());
        let receipt = self.runtime.block_on(self.log.append_fact(fact))?;
        // A crash from here on: the entry says it all.
        self.state.record(&recorded, numbers.last().unwrap_or(0));
        self.state.save(&self.log.home)?;
        self.report.archives.push(recorded.told(&numbers, receipt.number));
        Ok(())
    }

    /// Takes up an archive that was announced and never recorded.
    fn settle(&mut self) -> Result<(), ArchiveError> {
        let Some(pending) = self.state.pending.clone() else {
            return Ok(());
        };
        if self.place.has(&pending.file)? {
            match self.record(&pending) {
                Err(ArchiveError::Verify { path, reason }) => {
                    tracing::warn!(path, reason, "an archive that was not finished is made anew");
                    self.place.remove(&pending.file)?;
                }
                recorded => return recorded,
            }
        }
        self.state.pending = None;
        Ok(self.state.save(&self.log.home)?)
    }
}
