//! Archives: their order, the chain of digests through them, and every container in them, on all cores.

use std::fs::File;
use std::io::{BufReader, Write};
use std::path::{Path, PathBuf};
use std::thread;

use kontor_pki::time::UnixTime;
use kontor_protocol::archive::{
    Archive, ArchiveError, ArchiveFault, LinkingInfo, Position, Predecessor, group_of, sequence,
};
use kontor_protocol::container::check::{Question, Verdicts};
use kontor_protocol::container::{Report, Verdict};
use kontor_protocol::trust::TrustSet;
use serde::Serialize;

use super::bundle::{BundleReport, judge};
use super::progress::Progress;
use super::{Verify, shown};

/// Containers judged before they are printed and the progress is shown.
const WINDOW: usize = 512;

/// What only an archive has.
#[derive(Default, Serialize)]
struct Links {
    /// The digest it continues.
    previous: Option<String>,
    /// The digest that the next one continues: keep it for `--previous`.
    last: Option<String>,
}

type ArchiveReport = BundleReport<Links>;

fn report_of(file: &Path) -> ArchiveReport {
    BundleReport::new(shown(file), "archive", Links::default())
}

impl ArchiveReport {
    fn fault(&mut self, fault: &ArchiveFault) {
        self.refuse(Verdict::Invalid, fault.code(), fault.to_string());
    }

    fn damaged(&mut self, error: &ArchiveError) {
        self.refuse(Verdict::Invalid, error.code(), error.to_string());
    }

    fn say_links(&self, json: bool) -> anyhow::Result<()> {
        let mut sentences = Vec::new();
        match (&self.more.previous, &self.more.last) {
            (Some(digest), _) => sentences.push(format!("it continues {digest}")),
            (None, Some(_)) => sentences.push("it is the first of its chain".to_owned()),
            (None, None) => {}
        }
        sentences.extend(
            self.more
                .last
                .as_ref()
                .map(|digest| format!("it ends with {digest}")),
        );
        self.say(json, &sentences)
    }
}

/// One thread's means: its own handle on the archive and what it has judged before.
struct Worker {
    archive: Archive<BufReader<File>>,
    verdicts: Verdicts,
}

impl Verify {
    /// Judges archives in the order of their chain; gives the worst verdict.
    pub(super) fn archives(&self, files: &[PathBuf], trust: &TrustSet) -> anyhow::Result<Verdict> {
        let mut worst = Verdict::Valid;
        let (mut readable, mut infos) = (Vec::new(), Vec::new());
        for file in files {
            match opened(file) {
                Ok(archive) => {
                    infos.push(archive.linking().clone());
                    readable.push(file);
                }
                Err(error) => {
                    let mut report = report_of(file);
                    match error {
                        // A file that cannot be read, or not yet, is no evidence either way.
                        Unopened::Io(text) => report.refuse(Verdict::Undecided, "io_error", text),
                        Unopened::Archive(error @ ArchiveError::Encrypted) => {
                            report.refuse(Verdict::Undecided, error.code(), error.to_string());
                        }
                        Unopened::Archive(error) => report.damaged(&error),
                    }
                    worst = worst.max(report.verdict);
                    report.say_links(self.json)?;
                }
            }
        }
        let order = sequence(&infos.iter().collect::<Vec<_>>());
        let total = infos.iter().map(|info| info.containers.len()).sum();
        let mut progress = Progress::new(total);
        for &(place, position) in &order {
            let mut report = report_of(readable[place]);
            report.more.previous = infos[place].previous.as_ref().map(|link| link.digest.clone());
            report.more.last = Some(infos[place].last().to_owned());
            self.place(&mut report, position, &infos[place], &readable);
            if position == Position::First {
                begins_again(&mut report, place, &order, &readable);
            }
            self.containers(&mut report, readable[place], &infos[place], trust, &mut progress)?;
            worst = worst.max(report.verdict);
            progress.clear();
            report.say_links(self.json)?;
        }
        progress.end();
        Ok(worst)
    }

    /// Whether an archive continues what it should.
    fn place(&self, report: &mut ArchiveReport, position: Position, info: &LinkingInfo, files: &[&PathBuf]) {
        let expected = match (position, &self.previous) {
            // What it continues was found by its digest.
            (Position::Follows(_), _) => return,
            (Position::Fork(other), _) => {
                let other = shown(files[other]);
                let text =
                    format!("it continues the same archive as {other}: one of the two was put in later");
                return report.refuse(Verdict::Invalid, "archive_fork", text);
            }
            (Position::First | Position::Detached, Some(digest)) => Predecessor::Digest(digest),
            (Position::First | Position::Detached, None) if self.first => Predecessor::First,
            (Position::First, None) => return,
            (Position::Detached, None) => {
                let file = info.previous.as_ref().map_or("another", |link| &link.file);
                let text = format!(
                    "it continues {file}, which is not among the files; name that too, or the digest it ended with by --previous"
                );
                return report.refuse(Verdict::Incomplete, "archive_predecessor_unknown", text);
            }
        };
        let previous = info.previous.as_ref();
        let fault = match (expected, previous) {
            (Predecessor::First, Some(link)) => Some(ArchiveFault::NotFirst(link.file.clone())),
            (Predecessor::Digest(digest), previous)
                if previous.is_none_or(|link| !link.digest.eq_ignore_ascii_case(digest)) =>
            {
                let found = previous.map_or("nothing: it says that it is the first", |link| &link.digest);
                Some(ArchiveFault::OtherPredecessor {
                    found: found.to_owned(),
                    expected: digest.to_owned(),
                })
            }
            _ => None,
        };
        if let Some(fault) = fault {
            report.fault(&fault);
        }
    }

    /// Judges every container of an archive and its link in the chain.
    fn containers(
        &self,
        report: &mut ArchiveReport,
        file: &Path,
        info: &LinkingInfo,
        trust: &TrustSet,
        progress: &mut Progress,
    ) -> anyhow::Result<()> {
        let count = info.containers.len();
        let cores = thread::available_parallelism().map_or(1, usize::from);
        let mut workers = Vec::new();
        for _ in 0..cores.min(count.div_ceil(64)) {
            match opened(file) {
                Ok(archive) => workers.push(Worker {
                    archive,
                    verdicts: Verdicts::new(),
                }),
                Err(error) => {
                    report.refuse(Verdict::Undecided, "io_error", error.text());
                    return Ok(());
                }
            }
        }
        for fault in workers[0].archive.faults().to_vec() {
            report.fault(&fault);
        }
        for begin in (0..count).step_by(WINDOW) {
            let end = count.min(begin + WINDOW);
            let share = (end - begin).div_ceil(workers.len());
            let judged = thread::scope(|scope| {
                let running: Vec<_> = workers
                    .iter_mut()
                    .enumerate()
                    .map(|(nth, worker)| {
                        let places = (begin + nth * share).min(end)..(begin + (nth + 1) * share).min(end);
                        let judge = move || places.map(|place| worker.judge(place, trust, self.at)).collect();
                        scope.spawn(judge)
                    })
                    .collect();
                let joined = running.into_iter().map(|worker| worker.join());
                joined.collect::<Result<Vec<Vec<_>>, _>>()
            });
            let judged = judged.map_err(|_| anyhow::anyhow!("a thread that judges containers has ended"))?;
            progress.clear();
            for (one, judged) in info.containers[begin..end]
                .iter()
                .zip(judged.into_iter().flatten())
            {
                match judged {
                    Ok(Some((fits, container))) => {
                        if !fits {
                            report.fault(&ArchiveFault::Changed(one.name.clone()));
                        }
                        report.container(&one.name, &container, self.json)?;
                    }
                    // Told by the faults of the archive.
                    Ok(None) => {}
                    Err(error) => report.damaged(&error),
                }
            }
            progress.done(end - begin);
        }
        Ok(())
    }
}

/// Two chains of one group cannot both be the whole.
fn begins_again(report: &mut ArchiveReport, place: usize, order: &[(usize, Position)], files: &[&PathBuf]) {
    let group = |place: usize| files[place].file_name()?.to_str().and_then(group_of);
    let other = order.iter().find(|&&(other, position)| {
        position == Position::First
            && other != place
            && group(place).is_some()
            && group(other) == group(place)
    });
    if let Some(&(other, _)) = other {
        let text = format!(
            "{} is the first of a chain of the same group as well; nothing ties the two together",
            shown(files[other])
        );
        report.refuse(Verdict::Incomplete, "archive_two_chains", text);
    }
}

impl Worker {
    /// Whether the container at this place is the one that was archived, and what it proves; `None` if it is not there.
    fn judge(
        &mut self,
        place: usize,
        trust: &TrustSet,
        at: Option<UnixTime>,
    ) -> Result<Option<(bool, Report)>, ArchiveError> {
        let question = Question {
            trust,
            at,
            companion: None,
        };
        let io = |e: std::io::Error| ArchiveError::Damaged(e.to_string());
        let Some(size) = self.archive.size(place) else {
            return Ok(None);
        };
        let (archive, verdicts) = (&mut self.archive, &mut self.verdicts);
        let copy = |mut out: &mut dyn Write| archive.container(place, &mut out);
        let (fits, report) = judge(size, &question, verdicts, io, copy)?;
        Ok(fits.map(|fits| (fits, report)))
    }
}

enum Unopened {
    Archive(ArchiveError),
    Io(String),
}

impl Unopened {
    fn text(&self) -> String {
        match self {
            Self::Archive(error) => error.to_string(),
            Self::Io(text) => text.clone(),
        }
    }
}

fn opened(file: &Path) -> Result<Archive<BufReader<File>>, Unopened> {
    let opened = File::open(file).map_err(|e| Unopened::Io(format!("the file cannot be read: {e}")))?;
    Archive::open(BufReader::new(opened)).map_err(Unopened::Archive)
}
