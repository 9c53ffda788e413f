//! How each chapter of the tour ends: with a package that anybody can check.

use std::path::{Path, PathBuf};

use anyhow::ensure;

use super::{Stage, say};
use crate::up::layout::{Layout, Member};

/// Runs this program with these arguments.
async fn run(program: &Path, arguments: &[&str]) -> anyhow::Result<std::process::Output> {
    let mut command = tokio::process::Command::new(program);
    let output = command
        .args(arguments)
        .stdin(std::process::Stdio::null())
        .output()
        .await?;
    Ok(output)
}

fn text(path: &Path) -> String {
    path.display().to_string()
}

impl Stage {
    /// Exports the messages with these query ids from a member's node into a package of that name.
    pub(super) async fn export(
        &self,
        layout: &Layout,
        program: &Path,
        member: &Member,
        name: &str,
        ids: &str,
    ) -> anyhow::Result<PathBuf> {
        let package = layout.dir.join(name);
        if package.exists() {
            std::fs::remove_file(&package)?;
        }
        let list = layout.dir.join("query-ids");
        std::fs::write(&list, ids)?;
        let (config, out, list) = (text(&layout.node_config(member)), text(&package), text(&list));
        let language = self.tongue.code();
        let exported = run(
            program,
            &[
                "log",
                "export",
                "--config",
                &config,
                "--query-ids",
                &list,
                "--package",
                &out,
                "--language",
                language,
            ],
        )
        .await?;
        ensure!(
            exported.status.success(),
            "the evidence was not exported: {}",
            String::from_utf8_lossy(&exported.stderr)
        );
        Ok(package)
    }

    /// Has a package checked offline and shows what is said of it, and says that.
    pub(super) async fn verify(
        &self,
        layout: &Layout,
        program: &Path,
        package: &Path,
    ) -> anyhow::Result<String> {
        let (out, trust) = (text(package), text(&layout.trust_dir()));
        let language = self.tongue.code();
        let checked = run(
            program,
            &["verify", &out, "--trust", &trust, "--language", language],
        )
        .await?;
        let verdict = String::from_utf8_lossy(&checked.stdout).into_owned();
        say(&format!("\n{verdict}"))?;
        ensure!(checked.status.success(), "the evidence does not hold");
        Ok(verdict)
    }

    /// The evidence of the transfer.
    pub(super) async fn evidence_of_transfer(
        &mut self,
        layout: &Layout,
        program: &Path,
        transfer: &str,
    ) -> anyhow::Result<()> {
        let page = self.here.get(&format!("/api/v1/transfers/{transfer}")).await?;
        let ids = crate::cli::casework::query_ids(&page);
        let package = self
            .export(layout, program, self.from, "evidence.zip", &ids)
            .await?;
        self.tell(
            &format!("{} exportiert die Nachweise in ein Paket, das jeder ohne Knoten und ohne Netz prüfen kann.", self.from.name),
            &format!("{} exports the evidence into one package, which anybody can check without a node and without a network.", self.from.name),
            self.to,
            &text(&package),
        )?;
        let verdict = self.verify(layout, program, &package).await?;
        ensure!(
            verdict.contains(transfer),
            "the package does not say who was responsible when"
        );
        Ok(())
    }

    /// The evidence of the round, with every message of each of its requests.
    pub(super) async fn evidence_of_participation(
        &mut self,
        layout: &Layout,
        program: &Path,
        round: &str,
    ) -> anyhow::Result<()> {
        let ids = crate::cli::participation::messages_of(&self.here, round).await?;
        let lines: String = ids.iter().map(|id| format!("{id}\n")).collect();
        let package = self
            .export(layout, program, self.from, "participation.zip", &lines)
            .await?;
        self.turn(
            &format!(
                "{} exportiert alle {} Nachrichten der Runde in ein Paket. Gast und eigenes Amt haben keinen Knoten: Was mit ihnen ausgetauscht wurde, hat das Haus an sich selbst gesendet, und es steht im Protokoll wie alles andere.",
                self.from.name, ids.len()
            ),
            &format!(
                "{} exports all {} messages of the round into one package. Guest and own unit have no node: what was exchanged with them the house sent to itself, and it is in the log like everything else.",
                self.from.name, ids.len()
            ),
            self.tongue.pick("niemand: die Runde ist beendet", "nobody: the round has ended"),
            &text(&package),
        )?;
        let verdict = self.verify(layout, program, &package).await?;
        ensure!(
            verdict.contains(round),
            "the package does not say what came of the round"
        );
        Ok(())
    }
}
