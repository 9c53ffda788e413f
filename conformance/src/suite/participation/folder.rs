//! The folder drop: a chamber whose procedure calls no interface gets what it is asked as files, and answers with files.

use std::os::unix::fs::{DirBuilderExt, PermissionsExt, symlink};
use std::path::Path;
use std::time::Instant;

use anyhow::{Context, Result, bail, ensure};
use serde_json::{Value, json};

use super::super::{World, cases};
use super::{PATIENCE, PURPOSE, Rounds, act, disclosure, until};
use crate::address::Net;
use crate::desk::{BETA, Desk, application, files, settings, text};
use crate::federation::Federation;
use crate::plan::NodePlan;

cases! {
    slow PARTICIPATION_FOLDER => folder;
}

/// How a procedure answers: as the handbook shows it.
const ANSWER: &str = r#"set -e
mkdir "out/$1"
cp stellungnahme.pdf "out/$1/"
cat > "out/$1/statement.json" <<'END'
{
  "kind": "CONSENT_WITH_CONDITIONS",
  "author": "Referat Gewerbe (fiktiv)",
  "points": [
    { "number": 1, "topic": "Lärm", "text": "Nur werktags.", "condition": "Betrieb 7 bis 20 Uhr" }
  ],
  "attachments": ["stellungnahme.pdf"]
}
END
: > "out/$1/submit"
"#;
/// What the chamber attaches.
const OPINION: &[u8] = b"%PDF-1.7 Stellungnahme (fiktiv)";

/// Waits until something is as it is wanted; gives what was seen.
async fn wait<T>(what: &str, look: impl Fn() -> Option<T>) -> Result<T> {
    let begun = Instant::now();
    loop {
        if let Some(seen) = look() {
            return Ok(seen);
        }
        ensure!(begun.elapsed() < PATIENCE, "not in time: {what}");
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
    }
}

fn read(path: &Path) -> Option<Value> {
    serde_json::from_slice(&std::fs::read(path).ok()?).ok()
}

/// Puts a statement as a procedure does: everything first, then what says that it is complete.
fn answer(dir: &Path, statement: &Value, attachment: Option<(&str, &[u8])>, marker: &str) -> Result<()> {
    std::fs::create_dir(dir)?;
    if let Some((name, octets)) = attachment {
        std::fs::write(dir.join(name), octets)?;
    }
    std::fs::write(dir.join("statement.json"), statement.to_string())?;
    Ok(std::fs::write(dir.join(marker), b"")?)
}

async fn folder(world: &World) -> Result<()> {
    let net = Net::claim().await?;
    let base = world.federation.dir();
    let (clock, drop) = (
        base.join("clock-of-the-folder-training"),
        base.join("folder-of-the-chamber"),
    );
    std::fs::DirBuilder::new().mode(0o700).create(&drop)?;
    let training = format!("training_clock = {:?}\n", clock.display().to_string());
    let with_folder = format!(
        "{training}[casework.participation.folder]\ndir = {:?}\n",
        drop.display().to_string()
    );
    let federation = Federation::builder(&net)
        .node(NodePlan::new("alpha", "1001").casework(&settings("010585890008", &training)))
        .node(NodePlan::new("beta", "1002").casework(&settings("010020000000", &with_folder)))
        .group("KONTOR", &[("1001", "KONTOR"), ("1002", "KONTOR")])
        .start(world.federation.subject())
        .await
        .context("an authority, and a chamber with a folder drop")?;
    let here = Desk::at(federation.node("alpha"));
    let ids = asked(&here, "0b9f1d9e-0f3c-4f53-8d5c-5f2f3f0a0201").await?;
    let [case, request] = &ids;
    let listed = here.get(&format!("/api/v1/cases/{case}/files")).await?;
    let file = |place: usize| -> Result<String> { Ok(text(&listed["files"][place], "file_id")?.to_owned()) };
    let (copied, viewed, other) = (file(0)?, file(1)?, file(2)?);
    let ours = format!("/api/v1/requests/{request}");

    // What is asked lies there, once the deadline has come too: request, sheet, deadline in words, and the files to be copied.
    let inside = drop.join("in").join(request);
    let page = wait("the request in the folder", || {
        read(&inside.join("request.json")).filter(|page| page["deadline"].is_object())
    })
    .await?;
    let delivered = here.get(&ours).await?;
    ensure!(page["deadline"] == delivered["deadline"], "the deadlines differ");
    ensure!(
        page["side"] == "participant" && page.get("attachments").is_none(),
        "{page}"
    );
    let sheet = read(&inside.join("disclosure.json")).context("no sheet")?;
    ensure!(sheet["purpose"] == PURPOSE, "{sheet}");
    let words = std::fs::read_to_string(inside.join("deadline.txt"))?;
    ensure!(
        words.contains("Letzter Tag: ")
            && words.contains(", 00:00 Uhr (deutsche Zeit)")
            && words.contains("§ 187 Abs. 1 BGB"),
        "{words}"
    );
    let pdf = inside.join(format!("{copied}.pdf"));
    ensure!(std::fs::read(&pdf)? == files()[0].2, "the file is another one");
    let left_out = &page["folder"]["not_written"];
    ensure!(
        left_out[0]["file_id"] == viewed.as_str() && left_out[0]["reason"] == "view_only",
        "{left_out}"
    );
    let mut names: Vec<String> = std::fs::read_dir(&inside)?
        .map(|entry| Ok(entry?.file_name().to_string_lossy().into_owned()))
        .collect::<Result<_>>()?;
    names.sort_unstable();
    let mut wanted = vec![
        format!("{copied}.pdf"),
        format!("{other}.bin"),
        "deadline.txt".into(),
        "disclosure.json".into(),
        "request.json".into(),
    ];
    wanted.sort_unstable();
    ensure!(names == wanted, "{names:?} lie there");
    let mode = |path: &Path| -> Result<u32> { Ok(std::fs::metadata(path)?.permissions().mode() & 0o777) };
    ensure!(
        mode(&inside)? == 0o700 && mode(&pdf)? == 0o600,
        "others may read what lies there"
    );

    // A single file that is taken back disappears there, and that is said.
    act(
        &here,
        &ours,
        "revoke-files",
        &json!({ "files": [other], "reason": "NO_LONGER_NEEDED" }),
    )
    .await?;
    let purged = until(&here, &ours, |page| page["purge"].is_object()).await?;
    ensure!(
        purged["purge"]["folder_drop"] == "done" && purged["downloaded"][0]["file_id"] == other.as_str(),
        "{purged}"
    );
    ensure!(
        !inside.join(format!("{other}.bin")).exists(),
        "it lies there still"
    );
    wait("the request without the file", || {
        read(&inside.join("request.json")).filter(|page| {
            page["folder"]["files"]
                .as_array()
                .is_some_and(|all| all.len() == 1)
        })
    })
    .await?;

    // An answer that reaches for files elsewhere is refused, and says how.
    let out = drop.join("out").join(request);
    let mut statement = json!({
        "kind": "CONSENT_WITH_CONDITIONS", "author": "Referat Gewerbe (fiktiv)", "attachments": ["../../in/secret"],
        "points": [{ "number": 1, "topic": "Lärm", "text": "Nur werktags.", "condition": "Betrieb 7 bis 20 Uhr" }],
    });
    answer(&out, &statement, None, "submit")?;
    let result = |number: u32| {
        drop.join("done")
            .join(format!("{request}-{number}"))
            .join("result.json")
    };
    let refused = wait("a refusal", || read(&result(1))).await?;
    ensure!(
        refused["accepted"] == false && refused["problem"]["code"] == "folder_name_unsafe",
        "{refused}"
    );
    std::fs::create_dir(&out)?;
    symlink(&pdf, out.join("stellungnahme.pdf"))?;
    statement["attachments"] = json!(["stellungnahme.pdf"]);
    std::fs::write(out.join("statement.json"), statement.to_string())?;
    std::fs::write(out.join("submit"), b"")?;
    let refused = wait("a refusal", || read(&result(2))).await?;
    ensure!(refused["problem"]["code"] == "folder_not_plain", "{refused}");

    // A draft, then the statement with its attachment.
    answer(&out, &statement, Some(("stellungnahme.pdf", OPINION)), "ready")?;
    let drafted = wait("a draft", || read(&result(3))).await?;
    ensure!(
        drafted["accepted"] == true && drafted["submitted"] == false && !out.exists(),
        "{drafted}"
    );
    std::fs::write(drop.join("stellungnahme.pdf"), OPINION)?;
    let procedure = std::process::Command::new("sh")
        .args(["-c", ANSWER, "answer.sh", request])
        .current_dir(&drop)
        .status()?;
    ensure!(procedure.success(), "the procedure ended with {procedure}");
    let submitted = wait("a submission", || read(&result(4))).await?;
    ensure!(
        submitted["submitted"] == true
            && submitted["statement_version"] == 1
            && submitted["attachments"] == drafted["attachments"],
        "{submitted}"
    );
    let received = until(&here, &ours, |page| {
        page["state"] == "SUBMITTED" && statement_of(page).is_some_and(|letter| letter["files"].is_array())
    })
    .await?;
    ensure!(received["statements"][0]["in_time"] == true, "{received}");
    let letter = statement_of(&received).context("no statement")?;
    ensure!(
        letter["document"]["points"][0]["condition"] == "Betrieb 7 bis 20 Uhr"
            && letter["files"][0]["original_name"] == "stellungnahme.pdf"
            && letter["files"][0]["size"] == OPINION.len(),
        "{letter}"
    );
    wait("the statement in the request", || {
        read(&inside.join("request.json")).filter(|page| page["state"] == "SUBMITTED")
    })
    .await?;

    // Then everything is taken back.
    act(&here, &ours, "revoke", &json!({ "reason": "NO_LONGER_NEEDED" })).await?;
    let purged = until(&here, &ours, |page| page["state"] == "PURGED").await?;
    ensure!(
        purged["purge"]["folder_drop"] == "done" && purged["purge"]["node"] == "done",
        "{purged}"
    );
    ensure!(
        !inside.exists(),
        "what was disclosed lies in the folder after it was said to be deleted"
    );
    let downloaded = purged["downloaded"].as_array().map_or(0, Vec::len);
    ensure!(downloaded == 2, "{downloaded} copies were told");
    for probe in ["ermákovy", "Antrag.pdf", "Nur werktags", "stellungnahme.pdf"] {
        ensure!(
            !federation.node("beta").log().contains(probe),
            "the log of the chamber tells {probe}"
        );
    }
    Ok(())
}

/// The statement among what was received.
fn statement_of(page: &Value) -> Option<&Value> {
    let received = page["received"].as_array()?;
    let statement = received.iter().find(|one| one["kind"] == "statement")?;
    Some(&statement["letter"])
}

/// A case with a request to the chamber: the first file to be copied, the second to be looked at, the third to be copied.
async fn asked(here: &Desk, transaction: &str) -> Result<[String; 2]> {
    let rounds = Rounds { here };
    let case = here.hand_in(&application(transaction), &files()).await?;
    let case = text(&case, "id")?.to_owned();
    let listed = here.get(&format!("/api/v1/cases/{case}/files")).await?;
    let ids: Vec<&str> = listed["files"]
        .as_array()
        .into_iter()
        .flatten()
        .filter_map(|file| file["file_id"].as_str())
        .collect();
    let [copied, viewed, other] = ids[..] else {
        bail!("the application has three files: {listed}")
    };
    let mut shown = disclosure(&[copied, viewed, other]);
    shown["files"][1]["right"] = "VIEW".into();
    let round = rounds.prepare(&case, "LBO_STATEMENT").await?;
    let round = text(&round, "id")?.to_owned();
    let wish = json!({
        "to": BETA, "class": "CHAMBER", "disclosure": shown, "effect": "ASSUME_NO_OBJECTION", "extension": "for_reason",
    });
    let request = rounds.ask(&round, &wish).await?;
    let id = text(&request, "id")?.to_owned();
    act(
        &here.of("releaser"),
        &format!("/api/v1/requests/{id}"),
        "approve",
        &json!({}),
    )
    .await?;
    rounds.round(&round, "open", &json!({})).await?;
    Ok([case, id])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_procedure_is_the_one_of_the_handbook() {
        let handbook = Path::new(env!("CARGO_MANIFEST_DIR")).join("../README.md");
        assert!(std::fs::read_to_string(handbook).unwrap().contains(ANSWER));
    }
}
