//! `kontor tour`: a federation of its own, in which a whole transfer and a whole participation are played and explained step by step:
//! what happens, who is responsible or to act now, and which entry of which log proves it. In German or English.

mod evidence;
mod participation;
mod transfer;

use std::io::{IsTerminal as _, Write as _};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, bail, ensure};
use clap::Args;
use serde_json::Value;
use tokio::sync::oneshot;

use super::tongue::Tongue;
use crate::clock::SystemClock;
use crate::desk::Desk;
use crate::up::layout::{CHAMBER, Layout, MEMBERS, Member, Places};
use crate::up::samples::{self, Sample};
use crate::up::{self, Options, cases};

/// How long a step may take.
const PATIENCE: Duration = Duration::from_secs(60);

pub(super) const LONG_ABOUT: &str = "\
Play what two municipalities, a chamber and others do with each other, in a federation of its own, and explain each step: what \
happens, who is responsible or to act now, and what proves it.

The first chapter hands an application over from one municipality to another. In the second one a chamber, a guest without a node \
and an own unit are asked about another application: one asks back and sets conditions, one has no objection, one is silent until \
silence has its effect - a month, which passes in a moment here.

The federation is started for the tour and ends with it; everything in it is fictional. Each chapter ends with an evidence package, \
which is checked offline: it alone says what happened.";

/// Arguments of `kontor tour`.
#[derive(Args)]
pub(super) struct Tour {
    /// Go straight through, without waiting for a key
    #[arg(long, short)]
    yes: bool,
    /// Language
    #[arg(long, value_enum, default_value = "de")]
    language: Tongue,
    /// Directory for everything; made, and left behind [default: a temporary one that is deleted]
    #[arg(long, value_name = "DIR")]
    dir: Option<PathBuf>,
}

/// The stage: what the steps need.
struct Stage {
    tongue: Tongue,
    waits: bool,
    step: usize,
    here: Desk,
    there: Desk,
    from: &'static Member,
    to: &'static Member,
}

impl Tour {
    pub(super) fn run(self) -> anyhow::Result<ExitCode> {
        let temporary = match &self.dir {
            Some(_) => None,
            None => Some(tempfile::Builder::new().prefix("kontor-tour-").tempdir()?),
        };
        let dir = match (&self.dir, &temporary) {
            (Some(dir), _) => std::path::absolute(dir)?,
            (None, Some(temporary)) => temporary.path().to_owned(),
            (None, None) => bail!("no directory"),
        };
        super::block_on(self.play(dir))
    }

    async fn play(self, dir: PathBuf) -> anyhow::Result<ExitCode> {
        let program = std::env::current_exe().context("the path of this program is unknown")?;
        let options = Options {
            dir: dir.clone(),
            fresh: false,
            cases: false,
            program: program.clone(),
        };
        say(self.language.pick(
            "Eine Föderation wird gestartet (alles darin ist erfunden) …\n",
            "A federation is started (everything in it is made up) …\n",
        ))?;
        let (stop, stopped) = oneshot::channel::<()>();
        let running = tokio::spawn(async move {
            let ended = async {
                // The tour has ended, however.
                let _ = stopped.await;
                anyhow::Ok(())
            };
            up::run(&options, Arc::new(SystemClock), &mut std::io::sink(), ended).await
        });
        let begun = Instant::now();
        while !dir.join("federation.json").exists() {
            if running.is_finished() {
                running.await??;
                bail!("the federation ended before it was ready");
            }
            ensure!(begun.elapsed() < PATIENCE, "the federation is not ready in time");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        let played = self.steps(&dir, &program).await;
        // It may have ended by itself, which its outcome says.
        let _ = stop.send(());
        let ended = running.await?;
        played?;
        ended?;
        Ok(ExitCode::SUCCESS)
    }

    async fn steps(&self, dir: &Path, program: &Path) -> anyhow::Result<()> {
        let net: u8 = std::fs::read_to_string(dir.join("network"))?.trim().parse()?;
        let layout = Layout {
            dir: dir.to_owned(),
            places: Places::Loopback(net),
        };
        let (from, last) = (&MEMBERS[0], MEMBERS.len() - 1);
        let to = &MEMBERS[last];
        let mut stage = Stage {
            tongue: self.language,
            waits: !self.yes && std::io::stdin().is_terminal(),
            step: 0,
            here: cases::desk(&layout, 0, from, "worker")?,
            there: cases::desk(&layout, last, to, "worker")?,
            from,
            to,
        };
        let all = samples::write(&dir.join("samples"))?;
        let sample = |name: &str| {
            let found = all.iter().find(|sample| sample.name == name);
            found.context("the sample is missing")
        };
        stage.chapter(
            "Teil 1: Ein Antrag wird abgegeben",
            "Part 1: An application is handed over",
        )?;
        let transfer = stage.transfer(&layout, sample("hundesteuer")?).await?;
        stage.evidence_of_transfer(&layout, program, &transfer).await?;
        stage.chapter("Teil 2: Andere werden beteiligt", "Part 2: Others are asked")?;
        let round = stage.participation(&layout, sample("bauvoranfrage")?).await?;
        stage.evidence_of_participation(&layout, program, &round).await?;
        say(self.language.pick(
            "Ende des Rundgangs. `kontor up` startet eine Föderation zum Ausprobieren.\n",
            "That is the end of the tour. `kontor up` starts a federation to try things in.\n",
        ))
    }
}

fn say(text: &str) -> anyhow::Result<()> {
    super::print(text).map(drop)
}

/// The receipt of the last message of this kind that a node sent.
fn receipt_of(page: &Value, kind: &str) -> String {
    let sent = page["sent"].as_array().into_iter().flatten();
    let receipt = sent
        .filter(|message| message["kind"] == kind)
        .map(|message| &message["state"]["receipt"])
        .next_back();
    match receipt {
        Some(receipt) if receipt["entry"].is_object() => format!(
            "{} {}, {}",
            receipt["entry"]["log"].as_str().unwrap_or_default(),
            receipt["entry"]["number"],
            receipt["entry"]["leaf"]
                .as_str()
                .and_then(|leaf| leaf.get(..16))
                .unwrap_or_default(),
        ),
        _ => String::new(),
    }
}

impl Stage {
    fn chapter(&self, german: &str, english: &str) -> anyhow::Result<()> {
        let title = self.tongue.pick(german, english);
        say(&format!("\n{title}\n{}\n", "=".repeat(title.chars().count())))
    }

    /// Says what happened in one language, who is responsible, and waits for a key.
    fn tell(&mut self, german: &str, english: &str, responsible: &Member, proof: &str) -> anyhow::Result<()> {
        let label = self.tongue.pick("Zuständig", "Responsible");
        self.said(german, english, &format!("{label}: {}", responsible.name), proof)
    }

    /// The same, with who is to act.
    fn turn(&mut self, german: &str, english: &str, next: &str, proof: &str) -> anyhow::Result<()> {
        let label = self.tongue.pick("Am Zug", "Next");
        self.said(german, english, &format!("{label}: {next}"), proof)
    }

    fn said(&mut self, german: &str, english: &str, who: &str, proof: &str) -> anyhow::Result<()> {
        self.step += 1;
        let text = self.tongue.pick(german, english).replace('\n', "\n   ");
        say(&format!("\n{}. {text}\n   {who}\n", self.step))?;
        if !proof.is_empty() {
            say(&format!("   {}: {proof}\n", self.tongue.pick("Beleg", "Proof")))?;
        }
        if self.waits {
            say(self.tongue.pick("   [Eingabetaste]", "   [Enter]"))?;
            std::io::stdout().flush()?;
            std::io::stdin().read_line(&mut String::new())?;
        }
        Ok(())
    }

    /// Waits until a page looks as it is wanted.
    async fn until(desk: &Desk, path: &str, looks: impl Fn(&Value) -> bool) -> anyhow::Result<Value> {
        let begun = Instant::now();
        loop {
            match desk.get(path).await {
                Ok(page) if looks(&page) => return Ok(page),
                Ok(page) if begun.elapsed() > PATIENCE => {
                    bail!("{path} does not go on: {}", page["state"])
                }
                Err(error) if begun.elapsed() > PATIENCE => return Err(error),
                Ok(_) | Err(_) => tokio::time::sleep(Duration::from_millis(20)).await,
            }
        }
    }

    /// A command on what lies at `subject`.
    async fn act(desk: &Desk, subject: &str, command: &str, body: &Value) -> anyhow::Result<Value> {
        desk.command(subject, &format!("{subject}/commands/{command}"), body)
            .await
    }

    /// Hands a sample in, as soon as the node takes applications.
    async fn hand_in(layout: &Layout, member: &Member, sample: &Sample) -> anyhow::Result<String> {
        loop {
            match cases::hand_in(layout, 0, member, sample).await {
                Err(error) if error.to_string().contains("starting") => {
                    tokio::time::sleep(Duration::from_millis(50)).await;
                }
                handed_in => return handed_in,
            }
        }
    }
}
