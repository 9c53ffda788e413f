//! `kontor verify` as a script sees it: exit codes, one JSON object a line, words.

#![expect(clippy::unwrap_used, reason = "a test that cannot run the command has failed")]

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use serde_json::Value;

const CONTAINERS: &str = "src/tool/asic-verifier-cli/src/test/resources";
const TRUST: &str = "src/lib/globalconf-core/src/test/resources/globalconf_good2_v3";

fn upstream() -> Option<PathBuf> {
    let path = Path::new(concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/../../shared/vectors/xroad/upstream"
    ));
    if !path.is_dir() {
        eprintln!("SKIPPED: containers of X-Road need ../shared");
        return None;
    }
    Some(path.to_owned())
}

fn verify(root: &Path, names: &[&str], more: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_kontor"));
    command
        .arg("verify")
        .arg("--trust")
        .arg(root.join(TRUST))
        .args(more);
    for name in names {
        command.arg(root.join(CONTAINERS).join(format!("{name}.asice")));
    }
    command.output().unwrap()
}

#[test]
fn the_exit_code_is_that_of_the_worst_file() {
    let Some(root) = upstream() else { return };
    let code = |names: &[&str]| verify(&root, names, &[]).status.code().unwrap();
    assert_eq!(code(&["valid-signed-message", "valid-batch-ts"]), 0);
    assert_eq!(code(&["valid-signed-message", "valid-signed-hashchain"]), 2);
    assert_eq!(
        code(&["valid-signed-hashchain", "wrong-message", "valid-signed-message"]),
        1
    );
}

#[test]
fn each_file_is_one_json_object_on_a_line() {
    let Some(root) = upstream() else { return };
    let names = ["valid-signed-message", "wrong-message", "valid-signed-hashchain"];
    let output = verify(&root, &names, &["--json", "--at", "2025-01-01T00:00:00Z"]);
    let text = String::from_utf8(output.stdout).unwrap();
    let lines: Vec<Value> = text
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    let verdicts: Vec<_> = lines
        .iter()
        .map(|line| line["verdict"].as_str().unwrap())
        .collect();
    assert_eq!(verdicts, ["valid", "invalid", "incomplete"]);
    assert_eq!(lines[1]["reasons"][0]["code"], "invalid_signature_value");
    assert!(lines[1]["reasons"][0]["text"].is_string());
    for (line, name) in lines.iter().zip(names) {
        assert!(line["file"].as_str().unwrap().ends_with(&format!("{name}.asice")));
        assert_eq!(line["still_sound"]["sound"], true);
        assert_eq!(line["instant"]["source"], "time-stamp");
    }
}

#[test]
fn people_read_who_signed_what_and_when() {
    let Some(root) = upstream() else { return };
    let text = String::from_utf8(verify(&root, &["valid-batch-ts"], &[]).stdout).unwrap();
    for words in [
        "VALID",
        "signed by DEV/COM/4321 (Test client)",
        "TestService/getRandom",
        "existed at 2024-12-05T07:34:14",
    ] {
        assert!(text.contains(words), "{words}\n{text}");
    }
}

#[test]
fn what_cannot_be_asked_is_wrong_usage() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("x.asice");
    std::fs::write(&file, "x").unwrap();
    let code = |arguments: &[&str]| {
        let output = Command::new(env!("CARGO_BIN_EXE_kontor"))
            .arg("verify")
            .args(arguments)
            .output()
            .unwrap();
        assert!(
            !output.stderr.is_empty(),
            "{arguments:?} is refused without a word"
        );
        output.status.code().unwrap()
    };
    let (file, dir) = (file.to_str().unwrap(), dir.path().to_str().unwrap());
    assert_eq!(code(&[]), 64);
    assert_eq!(code(&[file]), 64, "no trust");
    assert_eq!(
        code(&[file, "--trust", dir]),
        64,
        "a directory that is no configuration"
    );
    assert_eq!(code(&[file, "--trust", dir, "--at", "yesterday"]), 64);
    assert_eq!(code(&["/nowhere/x.asice", "--trust", dir]), 64);
}

#[test]
fn a_file_that_is_no_container_is_invalid() {
    let Some(root) = upstream() else { return };
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("x.asice");
    std::fs::write(&file, "no archive").unwrap();
    let output = verify(&root, &[], &["--json", file.to_str().unwrap()]);
    assert_eq!(output.status.code(), Some(1));
    let line: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(line["reasons"][0]["code"], "asic_mime_type_not_found");
}
