//! A start after the power came back: the log is opened on what the disk may hold, and everything that was promised before the
//! cut is looked for. Refuses to believe the log: each message is compared with the bytes that follow from its id, and each
//! search with the entries themselves.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use anyhow::{Context, Result, anyhow, bail, ensure};
use kontor_node::clock::ManualClock;
use kontor_node::messagelog::{
    CheckOrder, CheckReport, ExportError, Exported, LogError, MessageLog, NumberSet, check_unowned,
};

use super::dice::Dice;
use super::life::{self, DIR, Life, Promised, Purge, Signing, What, message};
use super::machine::Machine;

/// Ids of messages that are appended after a cut begin here.
pub(crate) const LATER: u64 = 1 << 32;

/// What was found after one cut.
#[derive(Default)]
pub(crate) struct Found {
    /// Acknowledged entries that were there as promised.
    pub(crate) acknowledged: usize,
    /// Entries there were.
    pub(crate) entries: usize,
    /// Messages read whole.
    pub(crate) messages: usize,
    /// Searches compared.
    pub(crate) searches: usize,
    /// How often the index was made anew.
    pub(crate) rebuilds: u64,
    /// What was appended and acknowledged after the start.
    pub(crate) appended: Vec<(usize, u64, What)>,
}

/// What is promised at a position of the first life, and what a later start promised.
pub(crate) struct Question<'a> {
    pub(crate) life: &'a Life,
    pub(crate) signing: &'a Signing,
    pub(crate) position: usize,
    pub(crate) later: &'a [(usize, u64, What)],
    pub(crate) dice: Dice,
}

/// Opens the log of a machine and judges it.
pub(crate) async fn judge(machine: &Machine, mut question: Question<'_>) -> Result<Found> {
    let log = life::open(machine, ManualClock::at(question.life.ended)).context("the log does not open")?;
    let judged = question.ask(&log, machine).await;
    log.shutdown().await;
    drop(log);
    let found = judged?;
    let (disk, order) = (Arc::new(machine.clone()), CheckOrder { deep: true });
    let stopped = check_unowned(Path::new(DIR), disk, life::master(), order, &mut |_, _| {})?;
    ensure_clean(&stopped).context("after the stop")?;
    Ok(found)
}

fn ensure_clean(report: &CheckReport) -> Result<()> {
    let finding = report.findings.first();
    ensure!(
        finding.is_none(),
        "the check finds {finding:?}, {} in all",
        report.findings.len()
    );
    Ok(())
}

impl Question<'_> {
    async fn ask(&mut self, log: &MessageLog, machine: &Machine) -> Result<Found> {
        let mut found = Found::default();
        let (truth, by_query) = self.read(log, &mut found).await?;
        // At first without the index, or with one that is behind.
        self.search(log, &by_query, 6, &mut found).await?;
        self.promised(&truth, &mut found)?;
        life::caught_up(log).await?;
        self.search(log, &by_query, 150, &mut found).await?;
        // A wrong hit has it made anew.
        life::caught_up(log).await?;
        self.search(log, &by_query, 20, &mut found).await?;
        found.rebuilds = log.index().rebuilds;
        self.checkpoints(log).await?;
        let order = CheckOrder { deep: true };
        ensure_clean(&log.check_files(order, |_, _| {}).await?).context("beside the writer")?;
        self.go_on(log, machine, &mut found).await?;
        Ok(found)
    }

    /// What stands at each number, and the numbers of each query id.
    async fn read(
        &self,
        log: &MessageLog,
        found: &mut Found,
    ) -> Result<(Vec<Seen>, BTreeMap<String, Vec<u64>>)> {
        let (mut truth, mut by_query) = (Vec::new(), BTreeMap::<String, Vec<u64>>::new());
        for number in 0..log.stats().entries {
            let seen = match log.export(number, None).await {
                Ok(exported) => {
                    let (id, has_body) = whole(exported).with_context(|| format!("entry {number}"))?;
                    ensure!(
                        id < self.life.ids || id >= LATER,
                        "entry {number} is of a message that nobody sent"
                    );
                    found.messages += 1;
                    by_query.entry(message::query_id(id)).or_default().push(number);
                    Seen::Message(id, has_body)
                }
                Err(ExportError::Log(LogError::Deleted { .. })) => Seen::Deleted,
                Err(ExportError::Log(LogError::Unsuited { found, .. })) => Seen::Other(found),
                Err(error) => return Err(anyhow!(error).context(format!("entry {number}"))),
            };
            truth.push(seen);
        }
        found.entries = truth.len();
        Ok((truth, by_query))
    }

    /// Every acknowledged entry, and every purge that was done and nothing else.
    fn promised(&self, truth: &[Seen], found: &mut Found) -> Result<()> {
        let Promised {
            entries,
            purges,
            held,
            ..
        } = &self.life.promised;
        let known = |position: &usize| *position <= self.position;
        let before = entries.iter().filter(|(position, ..)| known(position));
        let mut expected = BTreeMap::new();
        for (_, number, what) in before.chain(self.later) {
            let seen = truth
                .get(usize::try_from(*number)?)
                .with_context(|| format!("entry {number} is lost: {what:?}"))?;
            ensure!(seen.is(*what), "entry {number} was {what:?} and is {seen:?}");
            expected.insert(*number, *what);
            found.acknowledged += 1;
        }
        let done = || purges.iter().filter(|purge| known(&purge.done));
        let begun = purges
            .iter()
            .filter(|purge| known(&purge.begun))
            .map(|purge| purge.below);
        let may_be_gone_below = begun.max().unwrap_or(0);
        for (number, seen) in (0..).zip(truth) {
            let must = |kept: fn(&Purge) -> &NumberSet| done().any(|purge| kept(purge).contains(number));
            let on_hold = held
                .as_ref()
                .is_some_and(|(position, numbers)| known(position) && numbers.contains(number));
            let may = number < may_be_gone_below && !on_hold;
            match seen {
                Seen::Deleted => {
                    ensure!(may, "entry {number} is deleted and nobody ordered it");
                    if let Some(What::Message(id)) = expected.get(&number) {
                        ensure!(
                            message::is_short(*id),
                            "entry {number} is deleted and was not due"
                        );
                    }
                }
                Seen::Message(id, has_body) => {
                    ensure!(
                        !must(|purge| &purge.heads),
                        "the head of entry {number} came back"
                    );
                    let had = message::body(*id).is_some();
                    ensure!(
                        *has_body == had || (may && !has_body),
                        "the body of entry {number} is gone"
                    );
                    let back = *has_body && must(|purge| &purge.bodies);
                    ensure!(!back, "the body of entry {number} came back");
                }
                Seen::Other(_) => {}
            }
        }
        Ok(())
    }

    /// Query ids that there are, and some whose message the cut took or a purge deleted.
    async fn search(
        &mut self,
        log: &MessageLog,
        by_query: &BTreeMap<String, Vec<u64>>,
        count: usize,
        found: &mut Found,
    ) -> Result<()> {
        let all: Vec<_> = by_query.keys().cloned().collect();
        for turn in 0..count {
            let query_id = match turn % 4 {
                0 => message::query_id(self.dice.next() % self.life.ids),
                _ if all.is_empty() => continue,
                _ => all[self.dice.below(all.len())].clone(),
            };
            let expected = by_query.get(&query_id).cloned().unwrap_or_default();
            let answered = log.find(&query_id).await?;
            ensure!(
                answered == expected,
                "a search for {query_id} finds {answered:?} in place of {expected:?} ({:?})",
                log.index()
            );
            found.searches += 1;
        }
        Ok(())
    }

    /// The log goes on from every checkpoint that anybody saw, and still has the newest.
    async fn checkpoints(&self, log: &MessageLog) -> Result<()> {
        let signed = &self.life.promised.checkpoints;
        let shown = signed.iter().filter(|(position, _)| *position <= self.position);
        let mut newest = 0;
        for (_, checkpoint) in shown {
            newest = newest.max(checkpoint.claimed().size());
            let size = checkpoint.claimed().size();
            let compared = log.compare_with_seen(checkpoint.clone()).await;
            compared.with_context(|| format!("a checkpoint over {size} entries was signed before"))?;
        }
        let kept = log.checkpoint().map_or(0, |kept| kept.claimed().size());
        ensure!(
            kept >= newest,
            "the checkpoint over {newest} entries is lost, {kept} is kept"
        );
        Ok(())
    }

    /// The log takes entries, proves and signs.
    async fn go_on(&self, log: &MessageLog, machine: &Machine, found: &mut Found) -> Result<()> {
        let first = LATER + self.later.len() as u64 + 1;
        let signature = self.signing.batch(&format!("later {first}"))?;
        let mut asked = None;
        for id in [first, first + 1] {
            let entry = life::entry(log, id, asked, &signature).await?;
            let receipt = log.append(entry).await?;
            found
                .appended
                .push((machine.disk.position(), receipt.number, What::Message(id)));
            asked = Some(receipt.number);
        }
        let signed = log.sign_checkpoint().await?.context("nothing was signed")?;
        let entries = log.stats().entries;
        ensure!(
            signed.claimed().size() == entries,
            "signed over {} of {entries}",
            signed.claimed().size()
        );
        Ok(())
    }
}

#[derive(Debug)]
enum Seen {
    /// The message of an id, and whether its body was there.
    Message(u64, bool),
    Deleted,
    /// What else it is.
    Other(String),
}

impl Seen {
    fn is(&self, what: What) -> bool {
        match (self, what) {
            (Self::Message(id, _), What::Message(wanted)) => *id == wanted,
            (Self::Deleted, What::Message(_)) => true,
            (Self::Other(name), What::Closure) => name.contains("closure"),
            (Self::Other(name), What::Stamp) => name.contains("stamp"),
            (Self::Other(name), What::Fact) => !name.contains("closure") && !name.contains("stamp"),
            _ => false,
        }
    }
}

/// The id of a message whose bytes are those that follow from it, and whether its body is there.
fn whole(exported: Exported) -> Result<(u64, bool)> {
    let id = exported
        .name
        .strip_prefix('q')
        .and_then(|rest| rest.split('-').next());
    let id: u64 = id.context("no query id")?.parse()?;
    ensure!(
        exported.message == message::bytes(id)[..],
        "the message of {id} is another"
    );
    for note in &exported.notes {
        let expected =
            note.contains("is not bound to a member yet") || note.contains("is deleted under the rule");
        ensure!(expected, "{note}");
    }
    let Some((length, mut pieces)) = exported.body else {
        return Ok((id, false));
    };
    let Some(expected) = message::body(id) else {
        bail!("message {id} has a body that nobody sent");
    };
    let mut body = Vec::new();
    while let Some(piece) = pieces()? {
        body.extend(piece);
    }
    ensure!(
        body == expected && length == expected.len() as u64,
        "the body of {id} is another"
    );
    Ok((id, true))
}
