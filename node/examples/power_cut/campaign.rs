//! Power cuts: a life of the message log is recorded, write by write; at random points the disk is made that a power cut there
//! may have left, with the search index of that moment, of another, damaged or gone; and what a start makes of it is judged.

mod dice;
mod judge;
mod life;
mod machine;

use std::fmt;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use kontor_node::disk::recording::Crash;
use serde::Serialize;

use dice::Dice;
use judge::{Found, Question};
use life::{Life, Signing, What};
use machine::Machine;

/// How many cuts under how many writers.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Plan {
    pub(crate) times: usize,
    pub(crate) writers: usize,
    pub(crate) seed: u64,
}

/// What came of it.
#[derive(Clone, Debug, Default, Serialize)]
pub(crate) struct Report {
    pub(crate) seed: u64,
    pub(crate) writers: usize,
    /// Power cuts, those during a start after one included.
    pub(crate) cuts: usize,
    pub(crate) cuts_after_a_start: usize,
    /// Operations on the disk that were recorded, each a place for a cut.
    pub(crate) operations: usize,
    pub(crate) segments: usize,
    /// Acknowledged entries that were looked for, over all cuts.
    pub(crate) acknowledged: usize,
    pub(crate) lost_or_wrong: usize,
    pub(crate) messages_read: usize,
    pub(crate) searches: usize,
    /// Cuts after which the index was that of another moment, and of these ahead of the log.
    pub(crate) index_of_another_moment: usize,
    pub(crate) index_ahead: usize,
    pub(crate) index_damaged: usize,
    pub(crate) index_missing: usize,
    /// Cuts after which the index was made anew.
    pub(crate) index_made_anew: usize,
    /// One sentence for each cut that was not survived.
    pub(crate) failures: Vec<String>,
    /// The disk after the first of them.
    pub(crate) kept: Option<PathBuf>,
}

/// What the index is after a cut.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum IndexIs {
    /// That of the moment before.
    Own,
    /// That of a copy.
    Other(usize),
    Damaged,
    Missing,
}

/// Where and how the power goes.
struct Cut {
    position: usize,
    crash: Crash,
    index: IndexIs,
}

impl fmt::Display for Cut {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            position,
            crash,
            index,
        } = self;
        write!(f, "cut at operation {position}, {crash:?}, index {index:?}")
    }
}

/// Failures after which there is nothing to be learnt from more.
const ENOUGH: usize = 10;

/// Records a life and cuts it. `told` hears of each cut.
pub(crate) async fn run(plan: Plan, mut told: impl FnMut(usize, &str)) -> Result<Report> {
    let life = life::live(plan.seed, plan.writers)
        .await
        .context("recording a life")?;
    let signing = Signing::new()?;
    let mut dice = Dice::of(plan.seed, 0);
    let mut report = Report {
        seed: plan.seed,
        writers: plan.writers,
        operations: life.machine.disk.position(),
        segments: life.segments,
        ..Report::default()
    };
    for turn in 0..plan.times {
        let cut = choose(&life, turn, &mut dice);
        let position = cut.position;
        let machine = Machine::with(life.machine.disk.after_crash(position, cut.crash))?;
        put_index(&machine, &life, &cut, &mut dice, &mut report)?;
        let what = format!("seed {}, turn {turn}: {cut}", plan.seed);
        let again = cut_once(
            &mut report,
            &machine,
            &life,
            &signing,
            (position, &[]),
            &mut dice,
            &what,
        )
        .await;
        // What the start itself did is cut, too.
        if let Some(found) = again
            && turn % 4 == 0
        {
            let later_position = dice.below(machine.disk.position() + 1);
            let crash = Crash::Mixture(dice.next());
            let later = Machine::with(machine.disk.after_crash(later_position, crash))?;
            machine.copy_index(&later.index())?;
            believed(&later.index(), true)?;
            let known = |(position, ..): &&(usize, u64, What)| *position <= later_position;
            let appended: Vec<_> = found.appended.iter().filter(known).copied().collect();
            let what = format!("{what}; then a cut at operation {later_position} of the start, {crash:?}");
            report.cuts_after_a_start += 1;
            let promised = (position, &appended[..]);
            cut_once(&mut report, &later, &life, &signing, promised, &mut dice, &what).await;
        }
        told(turn + 1, &what);
        if report.failures.len() >= ENOUGH {
            break;
        }
    }
    Ok(report)
}

fn choose(life: &Life, turn: usize, dice: &mut Dice) -> Cut {
    let position = dice.below(life.machine.disk.position() + 1);
    let crash = match dice.below(8) {
        0 => Crash::OnlySynced,
        _ => Crash::Mixture(dice.next()),
    };
    let index = match (turn % 2, turn / 2 % 4) {
        // Half of them: that of another moment, before or after.
        (0, _) => IndexIs::Other(dice.below(life.copies.len())),
        (_, 0) => IndexIs::Missing,
        (_, 1) => IndexIs::Damaged,
        (_, _) => IndexIs::Own,
    };
    Cut {
        position,
        crash,
        index,
    }
}

fn put_index(machine: &Machine, life: &Life, cut: &Cut, dice: &mut Dice, report: &mut Report) -> Result<()> {
    let before = life.copies.iter().rposition(|copy| copy.position <= cut.position);
    let from = match cut.index {
        IndexIs::Missing => None,
        IndexIs::Other(copy) => Some(copy),
        IndexIs::Own | IndexIs::Damaged => before,
    };
    let Some(copy) = from.map(|from| &life.copies[from]) else {
        report.index_missing += 1;
        return Ok(());
    };
    machine.put_index(&copy.path)?;
    // Nothing but what stands in it may give it away.
    believed(&machine.index(), dice.below(2) == 0)?;
    if let IndexIs::Other(_) = cut.index {
        report.index_of_another_moment += 1;
        report.index_ahead += usize::from(copy.position > cut.position);
    }
    if cut.index == IndexIs::Damaged {
        report.index_damaged += 1;
        damage(&machine.index(), dice)?;
    }
    Ok(())
}

/// Marks an index as closed cleanly, or as open in this boot of the machine: neither is doubted.
fn believed(index: &Path, clean: bool) -> Result<()> {
    let path = index.join("state");
    let Ok(text) = fs::read_to_string(&path) else {
        return Ok(());
    };
    let boot = fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap_or_default();
    let mut lines: Vec<_> = text.lines().map(str::to_owned).collect();
    lines.pop();
    lines.push(match clean {
        true => "clean".into(),
        false => format!("open {}", boot.trim()),
    });
    fs::write(path, lines.join("\n") + "\n")?;
    Ok(())
}

fn damage(index: &Path, dice: &mut Dice) -> Result<()> {
    for entry in fs::read_dir(index)? {
        let file = entry?.path().join("db");
        let Ok(mut bytes) = fs::read(&file) else {
            continue;
        };
        if bytes.is_empty() {
            continue;
        }
        let end = bytes.iter().rposition(|byte| *byte != 0).unwrap_or(0) + 1;
        for _ in 0..4 {
            let at = dice.below(end);
            bytes[at] ^= 1 << dice.below(8);
        }
        fs::write(file, bytes)?;
    }
    Ok(())
}

async fn cut_once(
    report: &mut Report,
    machine: &Machine,
    life: &Life,
    signing: &Signing,
    (position, later): (usize, &[(usize, u64, What)]),
    dice: &mut Dice,
    what: &str,
) -> Option<Found> {
    report.cuts += 1;
    let as_found = machine.disk.after_crash(machine.disk.position(), Crash::Process);
    let question = Question {
        life,
        signing,
        position,
        later,
        dice: Dice::of(dice.next(), 1),
    };
    match judge::judge(machine, question).await {
        Ok(found) => {
            report.acknowledged += found.acknowledged;
            report.messages_read += found.messages;
            report.searches += found.searches;
            report.index_made_anew += usize::from(found.rebuilds > 0);
            Some(found)
        }
        Err(error) => {
            report.lost_or_wrong += 1;
            report.failures.push(format!("{what}: {error:#}"));
            if report.kept.is_none() {
                let dir = tempfile::Builder::new().prefix("kontor-power-cut-").tempdir();
                let dir = dir.map(tempfile::TempDir::keep);
                report.kept = dir.and_then(|dir| as_found.copy_to(&dir).map(|()| dir)).ok();
            }
            None
        }
    }
}
