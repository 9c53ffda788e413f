//! An auditor's client that is not ours: Go's checksum database, over the listener's own TLS.

use std::path::Path;
use std::process::Command;

use kontor_protocol::log::checkpoint::SignedCheckpoint;

use super::bed::Bed;
use crate::messagelog::AuditScope;

/// Where Debian's golang-golang-x-mod-dev puts its source.
const GOPATH: &str = "/usr/share/gocode";
const PACKAGE: &str = "src/golang.org/x/mod/sumdb/tlog/tlog.go";

fn oracle(directory: &Path) -> Option<std::path::PathBuf> {
    let go = Command::new("go").arg("version").output();
    if !go.is_ok_and(|output| output.status.success()) || !Path::new(GOPATH).join(PACKAGE).exists() {
        eprintln!("SKIPPED: needs go and golang.org/x/mod (Debian: golang-go golang-golang-x-mod-dev)");
        return None;
    }
    let program = directory.join("tiles");
    let source = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/oracles/tiles/main.go");
    let built = Command::new("go")
        .args(["build", "-o"])
        .args([&program, Path::new(source)])
        .env("GO111MODULE", "off")
        .env("GOPATH", GOPATH)
        .env("GOCACHE", directory.join("cache"))
        .env("GOFLAGS", "")
        .env("CGO_ENABLED", "0")
        .output()
        .unwrap();
    assert!(
        built.status.success(),
        "{}",
        String::from_utf8_lossy(&built.stderr)
    );
    Some(program)
}

#[tokio::test]
async fn go_reads_the_tree_over_the_listener_and_believes_it_only_when_it_is_whole() {
    let directory = tempfile::tempdir().unwrap();
    let Some(program) = oracle(directory.path()) else {
        return;
    };
    let bed = Bed::new().await;
    let token = bed.token(AuditScope::Entries).await;
    let tree_only = bed.token(AuditScope::Tree).await;
    for id in 0..20 {
        bed.log
            .append(bed.world.request(&format!("q-{id}")))
            .await
            .unwrap();
    }
    bed.log.sign_checkpoint().await.unwrap();
    let old = SignedCheckpoint::parse(&bed.get("/checkpoint", &token).await.body).unwrap();
    for id in 0..260 {
        bed.log
            .append(bed.world.request(&format!("q-{id}")))
            .await
            .unwrap();
    }
    bed.log.sign_checkpoint().await.unwrap();
    let key = bed.log.ledger_keys()[0].to_string();
    let other = bed.log.ledger_keys()[1].to_string();
    let (size, root) = (
        old.claimed().size().to_string(),
        crate::messagelog::hex(old.claimed().root()),
    );
    let address = format!("https://{}", bed.address);
    let ca = bed.world.dir.path().join("administration/ca.pem");
    let run = async |key: &str, token: &str, root: &str, spoil: &str| {
        let mut command = tokio::process::Command::new(&program);
        command.args([&address, ca.to_str().unwrap(), token, key, &size, root, spoil]);
        let output = command.output().await.unwrap();
        assert!(output.status.success(), "{output:?}");
        String::from_utf8(output.stdout).unwrap().trim().to_owned()
    };
    let said = run(&key, &token, &root, "").await;
    assert_eq!(said, "283 entries, and all of 22 go on");
    let other_digit = if root.starts_with('0') { "1" } else { "0" };
    let wrong_root = format!("{other_digit}{}", &root[1..]);
    for (why, said) in [
        ("another key", run(&other, &token, &root, "").await),
        ("no token", run(&key, "kontor_audit_00000000_0", &root, "").await),
        ("a token without leaves", run(&key, &tree_only, &root, "").await),
        ("another past", run(&key, &token, &wrong_root, "").await),
        ("a tile that was changed", run(&key, &token, &root, "tile").await),
        ("a leaf that was changed", run(&key, &token, &root, "leaf").await),
    ] {
        assert!(said.starts_with("refused: "), "{why}: {said}");
    }
    bed.end().await;
}
