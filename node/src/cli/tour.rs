//! `kontor tour`: a federation of its own, in which a whole transfer is played and explained step by step: what happens, who is
//! responsible now, and which entry of which log proves it. In German or English.

use std::io::{IsTerminal as _, Write as _};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, bail, ensure};
use clap::{Args, ValueEnum};
use serde_json::{Value, json};
use tokio::sync::oneshot;

use crate::clock::SystemClock;
use crate::desk::Desk;
use crate::up::layout::{Layout, MEMBERS, Member, Places};
use crate::up::samples::{self, Sample};
use crate::up::{self, Options, cases};

/// How long a step may take.
const PATIENCE: Duration = Duration::from_secs(60);

pub(super) const LONG_ABOUT: &str = "\
Play the hand-over of an application from one municipality to another, in a federation of its own, and explain each step: \
what happens, who is responsible now, and what proves it.

The federation is started for the tour and ends with it; everything in it is fictional. At the end an evidence package is \
written and checked offline: it alone says who was responsible when.";

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

#[derive(Clone, Copy, Eq, PartialEq, ValueEnum)]
enum Tongue {
    /// German
    De,
    /// English
    En,
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
        say(match self.language {
            Tongue::De => "Eine Föderation wird gestartet (alles darin ist erfunden) …\n",
            Tongue::En => "A federation is started (everything in it is made up) …\n",
        })?;
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
        let sample = all
            .iter()
            .find(|sample| sample.name == "hundesteuer")
            .context("the sample is missing")?;
        let transfer = stage.transfer(&layout, sample).await?;
        stage.evidence(&layout, program, &transfer).await
    }
}

fn say(text: &str) -> anyhow::Result<()> {
    super::print(text).map(drop)
}

impl Stage {
    /// Says what happened in one language, who is responsible, and waits for a key.
    fn tell(&mut self, german: &str, english: &str, responsible: &Member, proof: &str) -> anyhow::Result<()> {
        self.step += 1;
        let (text, who, what) = match self.tongue {
            Tongue::De => (german, "Zuständig", "Beleg"),
            Tongue::En => (english, "Responsible", "Proof"),
        };
        say(&format!(
            "\n{}. {text}\n   {who}: {}\n",
            self.step, responsible.name
        ))?;
        if !proof.is_empty() {
            say(&format!("   {what}: {proof}\n"))?;
        }
        if self.waits {
            say(match self.tongue {
                Tongue::De => "   [Eingabetaste]",
                Tongue::En => "   [Enter]",
            })?;
            std::io::stdout().flush()?;
            std::io::stdin().read_line(&mut String::new())?;
        }
        Ok(())
    }

    /// The receipt of the last message of this kind that a node sent.
    fn receipt(page: &Value, kind: &str) -> String {
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
                &receipt["entry"]["leaf"].as_str().unwrap_or_default()[..16],
            ),
            _ => String::new(),
        }
    }

    async fn until(desk: &Desk, id: &str, looks: impl Fn(&Value) -> bool) -> anyhow::Result<Value> {
        let begun = Instant::now();
        loop {
            match desk.get(&format!("/api/v1/transfers/{id}")).await {
                Ok(page) if looks(&page) => return Ok(page),
                Ok(page) if begun.elapsed() > PATIENCE => {
                    bail!("the transfer does not go on: {}", page["state"])
                }
                Err(error) if begun.elapsed() > PATIENCE => return Err(error),
                Ok(_) | Err(_) => tokio::time::sleep(Duration::from_millis(20)).await,
            }
        }
    }

    async fn command(desk: &Desk, id: &str, command: &str, body: &Value) -> anyhow::Result<Value> {
        let subject = format!("/api/v1/transfers/{id}");
        desk.command(&subject, &format!("{subject}/commands/{command}"), body)
            .await
    }

    async fn transfer(&mut self, layout: &Layout, sample: &Sample) -> anyhow::Result<String> {
        let (from, to) = (self.from, self.to);
        let case = loop {
            match cases::hand_in(layout, 0, from, sample).await {
                Ok(case) => break case,
                Err(error) if error.to_string().contains("starting") => {
                    tokio::time::sleep(Duration::from_millis(50)).await
                }
                Err(error) => return Err(error),
            }
        };
        let subject = format!("/api/v1/cases/{case}");
        let shown = self.here.get(&subject).await?;
        let number = shown["number"].as_str().unwrap_or_default().to_owned();
        self.tell(
            &format!(
                "Ein Formulardienst reicht bei {} einen Antrag ein: „{}“. Er wird zum Vorgang {number}.",
                from.name, sample.title
            ),
            &format!(
                "A form service hands an application in at {}: “{}”. It becomes case {number}.",
                from.name, sample.title
            ),
            from,
            &format!("{} {}", from.server_id(), shown["cites"]["number"]),
        )?;
        let found = self
            .here
            .get(&format!("{subject}/recipients?region=010585890008"))
            .await?;
        let suggestion = found["suggestions"]
            .as_array()
            .into_iter()
            .flatten()
            .find(|found| found["member"] == to.id());
        let suggestion = suggestion.context("the directory does not know who is competent")?;
        let reason = |name: &str| suggestion[name].as_str().unwrap_or_default().to_owned();
        self.tell(
            &format!("Die antragstellende Person ist umgezogen. Das Verzeichnis schlägt {} vor: {}. Ein Mensch bestätigt.", to.name, reason("reason_german")),
            &format!("The applicant has moved. The directory suggests {}: {}. A person confirms.", to.name, reason("reason")),
            from,
            "",
        )?;
        let wish = json!({ "to": to.id(), "situation": "COMPETENCE_CHANGED", "region": "010585890008" });
        let offered = self
            .here
            .command(&subject, &format!("{subject}/transfers"), &wish)
            .await?;
        let id = offered["id"].as_str().context("no transfer")?.to_owned();
        Self::until(&self.there, &id, |page| page["state"] == "OFFERED").await?;
        let sent = Self::until(&self.here, &id, |page| {
            page["sent"][0]["state"]["state"] == "answered"
        })
        .await?;
        let offer = &sent["offer"];
        self.tell(
            &format!(
                "{} bietet den Vorgang an. Das Angebot nennt Leistung {}, Region {}, {} Dateien, {} Byte, Fristen und einen Prüfwert - keinen Namen, keinen Inhalt. Die eigene Akte ist eingefroren.",
                from.name, offer["service"], offer["region"], offer["files"], offer["octets"]
            ),
            &format!(
                "{} offers the case. The offer names service {}, region {}, {} files, {} octets, deadlines and a digest - no name, no content. The own copy is frozen.",
                from.name, offer["service"], offer["region"], offer["files"], offer["octets"]
            ),
            from,
            &Self::receipt(&sent, "offer"),
        )?;
        Self::command(&self.there, &id, "accept", &json!({})).await?;
        let imported = Self::until(&self.there, &id, |page| page["state"] == "IMPORTED").await?;
        self.tell(
            &format!("Ein Mensch bei {} bestätigt die Zuständigkeit. Der Knoten holt das Paket und prüft jede Datei gegen den Prüfwert des Angebots. Noch ändert sich nichts.", to.name),
            &format!("A person at {} confirms competence. The node pulls the package and checks every file against the digest of the offer. Nothing changes yet.", to.name),
            from,
            &Self::receipt(&imported, "accept"),
        )?;
        let taken = Self::command(&self.there, &id, "take-over", &json!({})).await?;
        let at = taken["taken_over_at"].as_str().unwrap_or_default().to_owned();
        let closed = Self::until(&self.there, &id, |page| page["state"] == "CLOSED").await?;
        Self::until(&self.here, &id, |page| page["state"] == "CLOSED").await?;
        self.tell(
            &format!("{} übernimmt um {at}. In diesem Augenblick geht die Zuständigkeit über; beide Akten halten die Quittung.", to.name),
            &format!("{} takes over at {at}. At that instant responsibility moves; both files hold the receipt.", to.name),
            to,
            &Self::receipt(&closed, "taken-over"),
        )?;
        let late = vec![(
            "attachment".to_owned(),
            "nachgereicht.txt".to_owned(),
            "text/plain".to_owned(),
            b"Nachgereicht (fiktiv)\n".to_vec(),
        )];
        let (kind, body) = crate::desk::multipart(&late);
        let (status, said) = self
            .here
            .send(
                http::Method::POST,
                &format!("{subject}/late-items"),
                None,
                &kind,
                body,
            )
            .await?;
        ensure!(
            status == 202,
            "the late item was refused: {}",
            String::from_utf8_lossy(&said)
        );
        Self::until(&self.there, &id, |page| page["late_items"][0]["imported"] == true).await?;
        let relayed = Self::until(&self.here, &id, |page| {
            page["sent"]
                .as_array()
                .into_iter()
                .flatten()
                .all(|message| message["state"]["state"] == "answered")
        })
        .await?;
        self.tell(
            &format!("Eine Unterlage kommt noch bei {} an. Sie wird von selbst weitergereicht und liegt in der Akte von {}.", from.name, to.name),
            &format!("A document still arrives at {}. It is passed on by itself and lies in the file of {}.", from.name, to.name),
            to,
            &Self::receipt(&relayed, "late-item"),
        )?;
        Ok(id)
    }

    async fn evidence(&mut self, layout: &Layout, program: &Path, transfer: &str) -> anyhow::Result<()> {
        let package = layout.dir.join("evidence.zip");
        if package.exists() {
            std::fs::remove_file(&package)?;
        }
        let run = async |arguments: &[&str]| -> anyhow::Result<std::process::Output> {
            let mut command = tokio::process::Command::new(program);
            let output = command
                .args(arguments)
                .stdin(std::process::Stdio::null())
                .output()
                .await?;
            Ok(output)
        };
        let text = |path: &Path| path.display().to_string();
        let language = match self.tongue {
            Tongue::De => "de",
            Tongue::En => "en",
        };
        let page = self.here.get(&format!("/api/v1/transfers/{transfer}")).await?;
        let ids = layout.dir.join("query-ids");
        std::fs::write(&ids, super::casework::query_ids(&page))?;
        let (config, out, ids) = (text(&layout.node_config(self.from)), text(&package), text(&ids));
        let exported = run(&[
            "log",
            "export",
            "--config",
            &config,
            "--query-ids",
            &ids,
            "--package",
            &out,
            "--language",
            language,
        ])
        .await?;
        ensure!(
            exported.status.success(),
            "the evidence was not exported: {}",
            String::from_utf8_lossy(&exported.stderr)
        );
        self.tell(
            &format!("{} exportiert die Nachweise in ein Paket, das jeder ohne Knoten und ohne Netz prüfen kann.", self.from.name),
            &format!("{} exports the evidence into one package, which anybody can check without a node and without a network.", self.from.name),
            self.to,
            &out,
        )?;
        let checked = run(&[
            "verify",
            &out,
            "--trust",
            &text(&layout.trust_dir()),
            "--language",
            language,
        ])
        .await?;
        say(&format!("\n{}", String::from_utf8_lossy(&checked.stdout)))?;
        ensure!(checked.status.success(), "the evidence does not hold");
        ensure!(
            String::from_utf8_lossy(&checked.stdout).contains(transfer),
            "the package does not say who was responsible when"
        );
        say(match self.tongue {
            Tongue::De => "Ende des Rundgangs. `kontor up` startet eine Föderation zum Ausprobieren.\n",
            Tongue::En => "That is the end of the tour. `kontor up` starts a federation to try things in.\n",
        })
    }
}
