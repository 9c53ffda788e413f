//! `kontor log archive`: archives of logged messages, outside of the log.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Args;

use super::super::print;
use super::access::Access;
use super::progress::Progress;
use crate::config::NodeConfig;
use crate::messagelog::ArchiveReport;

pub(super) const LONG_ABOUT: &str = "\
Archive logged messages as X-Road does: containers in ZIP files of 32 MiB, tied to each other by a chain of digests. The \
directory is that of [archive] in the configuration, and a running node does this by itself.

Messages are archived in the order of their entries, and only when they have a time-stamp. Each archive is read back after \
it was written; then an entry of the log records its name, digest and the entries in it.

With drop_after_days in [archive] what has been archived leaves the log after that time, if its archive is still as it was \
recorded; nothing of entries on hold does. The log is made of segments (the first of 4 MiB, the others of 64 MiB), and each is \
rewritten once, when it is full and all in it is that old. Ids, digests and leaves stay, and `kontor log export` takes the container from \
the archive.

Check them with `kontor verify --trust DIR --first ARCHIVES`, where ARCHIVES is the directory.

Try it with --dry-run first.";

/// Arguments of `kontor log archive`.
#[derive(Args)]
pub(in crate::cli) struct Archive {
    /// Configuration file of the node (TOML)
    #[arg(long, value_name = "FILE")]
    config: PathBuf,
    /// Say how many messages would be archived and write nothing
    #[arg(long)]
    dry_run: bool,
    /// Print what was archived as JSON
    #[arg(long)]
    json: bool,
}

impl Archive {
    pub(super) fn run(self) -> anyhow::Result<ExitCode> {
        let config = NodeConfig::read(&self.config)?;
        let mut progress = Progress::new();
        let report = Access::to(&config)?
            .ask(|control| control.archive(self.dry_run, &mut |read, of| progress.show(read, of)))?;
        progress.end();
        if self.json {
            print(&format!("{}\n", serde_json::to_string(&report)?))?;
        } else {
            print(&in_words(&report, self.dry_run))?;
        }
        Ok(ExitCode::SUCCESS)
    }
}

fn in_words(report: &ArchiveReport, dry_run: bool) -> String {
    let mut text = String::new();
    for archive in &report.archives {
        text += &format!(
            "{}: {} containers of entries {} to {}, recorded as entry {}\n",
            archive.file, archive.containers, archive.first, archive.last, archive.entry
        );
    }
    text += &match (report.messages, dry_run) {
        (0, _) => "nothing to archive\n".to_owned(),
        (count, true) => format!("{count} messages would be archived\n"),
        (count, false) => format!("{count} messages archived\n"),
    };
    if report.deleted > 0 {
        let count = report.deleted;
        text += &format!("{count} messages were deleted before they were archived\n");
    }
    if let Some(number) = report.waiting {
        text += &format!("entry {number} has no time-stamp yet; archiving goes on there next time\n");
    }
    let dropped = &report.dropped;
    if dropped.messages > 0 {
        let verb = if dry_run { "would be dropped" } else { "dropped" };
        text += &format!(
            "{} archived messages {verb} from the log, {} with their bodies\n",
            dropped.messages, dropped.bodies
        );
    }
    if dropped.on_hold > 0 {
        text += &format!(
            "{} archived messages are on hold and stay in the log\n",
            dropped.on_hold
        );
    }
    for archive in &dropped.unverified {
        text += &format!(
            "{}: {}; nothing in it is dropped from the log\n",
            archive.file, archive.reason
        );
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::messagelog::{ArchivedFile, DropReport};

    #[test]
    fn an_archiving_says_what_was_written_and_what_it_waits_for() {
        let file = "mlog-20300131120000-20300131120100-0123456789abcdef.zip";
        let report = ArchiveReport {
            archives: vec![ArchivedFile {
                group: None,
                file: file.into(),
                digest: "01".into(),
                sha256: "02".into(),
                containers: 2,
                first: 4,
                last: 9,
                entry: 12,
            }],
            messages: 2,
            deleted: 1,
            waiting: Some(10),
            dropped: DropReport::default(),
        };
        assert_eq!(
            in_words(&report, false),
            format!(
                "{file}: 2 containers of entries 4 to 9, recorded as entry 12\n2 messages archived\n\
                 1 messages were deleted before they were archived\n\
                 entry 10 has no time-stamp yet; archiving goes on there next time\n"
            )
        );
        assert_eq!(in_words(&ArchiveReport::default(), true), "nothing to archive\n");
    }
}
