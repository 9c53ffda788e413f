//! `kontor verify` as a script sees it: exit codes, one JSON object a line, words.

#![expect(clippy::unwrap_used, reason = "a test that cannot run the command has failed")]

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use serde_json::Value;

const CONTAINERS_OF_JAVA: &str = "src/tool/asic-verifier-cli/src/test/resources";
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
        command.arg(root.join(CONTAINERS_OF_JAVA).join(format!("{name}.asice")));
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

const ARCHIVES: &str = "src/addons/messagelog/messagelog-archive-verifier/src/test/resources";
const ARCHIVES_TRUST: &str = "src/addons/messagelog/messagelog-addon/src/test/resources/globalconf";
/// What the first recorded archive ends with.
const END: &str = "9011ab557706b5050584d6888af7b390e5350f4edad296bd7a582aa51732aac7\
                   f49a4ec44dd361027945ade0de8b8cf607fb7b7d11f17b0560d44b965c358eaa";

/// The archives and containers are those of a Java server.
fn verify_archives(root: &Path, files: &[&Path], more: &[&str]) -> (i32, Vec<Value>, String) {
    let run = |json: bool| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_kontor"));
        command
            .arg("verify")
            .arg("--trust")
            .arg(root.join(ARCHIVES_TRUST))
            .args(json.then_some("--json"))
            .args(more)
            .args(files);
        command.output().unwrap()
    };
    let json = run(true);
    let lines = String::from_utf8(json.stdout).unwrap();
    let lines = lines
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    let words = String::from_utf8(run(false).stdout).unwrap();
    (json.status.code().unwrap(), lines, words)
}

fn archive_lines(lines: &[Value]) -> Vec<&Value> {
    lines.iter().filter(|line| line["kind"] == "archive").collect()
}

#[test]
fn a_directory_of_archives_is_put_into_order_and_walked() {
    let Some(root) = upstream() else { return };
    let folder = root.join(ARCHIVES);
    let (code, lines, words) = verify_archives(&root, &[&folder], &["--first"]);
    // Attachments of SOAP messages were never stored: three containers are incomplete.
    assert_eq!(code, 2, "{words}");
    assert_eq!(lines.len(), 23);
    let archives = archive_lines(&lines);
    assert_eq!(archives[0]["last"], END);
    assert_eq!(archives[1]["previous"], END);
    let counts =
        |line: &Value| ["containers", "valid", "incomplete", "invalid"].map(|k| line[k].as_u64().unwrap());
    assert_eq!(counts(archives[0])[0] + counts(archives[1])[0], 21);
    assert_eq!(counts(archives[0])[1] + counts(archives[1])[1], 18);
    assert!(
        archives
            .iter()
            .all(|line| line["reasons"].as_array().unwrap().is_empty())
    );
    assert!(words.contains("archive of 20 containers") && words.contains(&format!("it ends with {END}")));
}

#[test]
fn an_archive_alone_needs_to_be_told_what_it_continues() {
    let Some(root) = upstream() else { return };
    let second = root.join(ARCHIVES).join("message-archive-1.zip");
    let reasons = |more: &[&str]| {
        let (code, lines, _) = verify_archives(&root, &[&second], more);
        let reasons = archive_lines(&lines)[0]["reasons"].clone();
        let codes = reasons
            .as_array()
            .unwrap()
            .iter()
            .map(|r| r["code"].as_str().unwrap().to_owned());
        (code, codes.collect::<Vec<_>>())
    };
    assert_eq!(reasons(&["--previous", END]), (2, vec![]));
    assert_eq!(reasons(&[]), (2, vec!["archive_predecessor_unknown".to_owned()]));
    assert_eq!(reasons(&["--first"]), (1, vec!["archive_not_first".to_owned()]));
    let other = "0".repeat(128);
    assert_eq!(
        reasons(&["--previous", &other]),
        (1, vec!["archive_other_predecessor".to_owned()])
    );
}

#[test]
fn a_changed_archive_is_invalid_and_an_encrypted_one_undecided() {
    let Some(root) = upstream() else { return };
    let dir = tempfile::tempdir().unwrap();
    let write = |name: &str, bytes: &[u8]| {
        let path = dir.path().join(name);
        std::fs::write(&path, bytes).unwrap();
        path
    };
    let mut bytes = std::fs::read(root.join(ARCHIVES).join("message-archive-0.zip")).unwrap();
    let encrypted = write("mlog-x.zip.gpg", b"\x85\x01\x0c\x03");
    let (code, lines, words) = verify_archives(&root, &[&encrypted], &[]);
    assert_eq!(
        (code, &lines[0]["reasons"][0]["code"]),
        (2, &Value::from("archive_encrypted"))
    );
    assert!(words.contains("gpg --decrypt"));
    bytes[300] ^= 1;
    let changed = write("mlog-y.zip", &bytes);
    let (code, lines, _) = verify_archives(&root, &[&changed], &["--first"]);
    assert_eq!(
        (code, &archive_lines(&lines)[0]["verdict"]),
        (1, &Value::from("invalid"))
    );
    let no_archive = write("mlog-z.zip", b"PK no archive");
    let (code, lines, _) = verify_archives(&root, &[&no_archive], &[]);
    assert_eq!(code, 1);
    assert_eq!(lines[0]["reasons"][0]["code"], "archive_linkinginfo_missing");
}

/// A package with one container of a Java server and the configuration that it was made under.
fn package(root: &Path, dir: &Path) -> PathBuf {
    use kontor_protocol::package::{CONFIGURATION, CONTAINERS, PackageWriter};
    let at = kontor_pki::time::UnixTime::from_secs(1_800_000_000);
    let mut writer = PackageWriter::new(std::io::Cursor::new(Vec::new()), at);
    let mut add = |name: String, path: PathBuf| {
        writer
            .add(&name, &mut std::fs::File::open(path).unwrap())
            .unwrap();
    };
    let container = root.join(CONTAINERS_OF_JAVA).join("valid-batch-ts.asice");
    add(format!("{CONTAINERS}one.asice"), container);
    for file in ["instance-identifier", "DEV/shared-params.xml"] {
        add(format!("{CONFIGURATION}{file}"), root.join(TRUST).join(file));
    }
    let path = dir.join("package.zip");
    let bytes = writer.finish("<!DOCTYPE html>").unwrap().into_inner();
    std::fs::write(&path, bytes).unwrap();
    path
}

fn verify_package(arguments: &[&Path]) -> (i32, Vec<Value>) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_kontor"));
    let output = command
        .args(["verify", "--json"])
        .args(arguments)
        .output()
        .unwrap();
    let lines = String::from_utf8(output.stdout).unwrap();
    let lines = lines
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    (output.status.code().unwrap(), lines)
}

#[test]
fn a_package_by_itself_proves_only_that_it_fits_together() {
    let Some(root) = upstream() else { return };
    let dir = tempfile::tempdir().unwrap();
    let package = package(&root, dir.path());
    let (code, lines) = verify_package(&[&package]);
    assert_eq!((code, lines.len()), (2, 2), "{lines:?}");
    assert_eq!(lines[0]["container"], "containers/one.asice");
    assert_eq!(lines[0]["verdict"], "valid");
    assert_eq!(
        (&lines[1]["kind"], &lines[1]["trust"]),
        (&"package".into(), &"package".into())
    );
    assert_eq!(lines[1]["verdict"], "undecided");
    assert_eq!(lines[1]["reasons"][0]["code"], "package_trust");

    let trust = root.join(TRUST);
    let (code, lines) = verify_package(&[&package, Path::new("--trust"), &trust]);
    assert_eq!(
        (code, &lines[1]["trust"]),
        (0, &Value::from("given")),
        "{lines:?}"
    );
}

#[test]
fn a_package_with_a_changed_file_is_invalid() {
    let Some(root) = upstream() else { return };
    let dir = tempfile::tempdir().unwrap();
    let path = package(&root, dir.path());
    let mut bytes = std::fs::read(&path).unwrap();
    bytes[200] ^= 1;
    std::fs::write(&path, bytes).unwrap();
    let trust = root.join(TRUST);
    let (code, lines) = verify_package(&[&path, Path::new("--trust"), &trust]);
    assert_eq!(
        (code, &lines.last().unwrap()["verdict"]),
        (1, &Value::from("invalid")),
        "{lines:?}"
    );
}
