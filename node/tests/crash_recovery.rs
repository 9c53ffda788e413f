//! The log of a process that is killed under load: started again by the same function, it has every entry that was
//! acknowledged. The recorded crash points, power cuts among them, are tests of `messagelog` itself; kills of whole nodes
//! belong to the conformance suite.

#![expect(
    clippy::unwrap_used,
    reason = "a test that cannot go on should stop where it stands"
)]

use std::{
    collections::BTreeMap,
    fs::File,
    io::{BufRead, BufReader, Read, Write},
    path::Path,
    process::{Command, Stdio},
    sync::Arc,
    time::Duration,
};

use bytes::Bytes;
use kontor_node::{
    clock::SystemClock,
    disk::SystemDisk,
    messagelog::{BatchSignature, EntryKind, LogSettings, LoggedBody, MessageLog, NewEntry, OpenLog},
};
use kontor_pki::{crypto::sha512, sealed::MasterKey};

const KILLS: u32 = 10;
const WRITERS: u64 = 32;

fn open(dir: &Path) -> MessageLog {
    MessageLog::open(OpenLog {
        dir: dir.to_owned(),
        disk: Arc::new(SystemDisk),
        master: MasterKey::from_bytes([7; 32]),
        // Small segments, so that kills meet their beginning and end too.
        settings: LogSettings {
            first_segment_bytes: 64 * 1024,
            segment_bytes: 256 * 1024,
            reserve: 0,
            ..LogSettings::default()
        },
        server: "TEST/GOV/1001/ss1".parse().unwrap(),
        test: true,
        clock: Arc::new(SystemClock),
    })
    .unwrap()
}

fn entry(kind: EntryKind, query_id: &str, answers: Option<u64>) -> NewEntry {
    let message = Bytes::from(format!("message {query_id} {}", "m".repeat(query_id.len() * 20)));
    let body = Bytes::from(vec![b'b'; 700]);
    NewEntry {
        kind,
        answers,
        client: "TEST/GOV/1001/antrag".parse().unwrap(),
        service: "TEST/GOV/1002/antrag/intake".parse().unwrap(),
        client_server: None,
        provider_server: None,
        query_id: query_id.into(),
        request_id: String::new(),
        request: Bytes::new(),
        message_digest: sha512(&message),
        message,
        body: LoggedBody::Inline(body.clone(), sha512(&body)),
        signature: BatchSignature::new(format!("<signatures of='{query_id}'/>").into(), None),
        chain: None,
    }
}

/// Not a test of its own: [`every_acknowledged_entry_survives_a_kill`] starts this program again to run it, in a directory
/// of its own, and kills it.
#[test]
#[ignore = "runs in the child process only"]
fn child_that_writes_until_it_is_killed() {
    let run = std::fs::read_to_string("run").unwrap();
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .enable_all()
        .build()
        .unwrap();
    let log = open(Path::new("data"));
    let said = |number: u64, query_id: &str| {
        // One write per line, which a kill cannot divide.
        let line = format!("on-disk {number} {query_id}\n");
        std::io::stdout().lock().write_all(line.as_bytes()).unwrap();
    };
    runtime.block_on(async {
        let writers: Vec<_> = (0..WRITERS)
            .map(|writer| {
                let (log, run) = (log.clone(), run.clone());
                tokio::spawn(async move {
                    for round in 0.. {
                        let asked = format!("q-{run}-{writer}-{round}");
                        let receipt = log
                            .append(entry(EntryKind::RequestSent, &asked, None))
                            .await
                            .unwrap();
                        said(receipt.number, &asked);
                        let answered = format!("a-{run}-{writer}-{round}");
                        let answer = entry(EntryKind::ResponseReceived, &answered, Some(receipt.number));
                        said(log.append(answer).await.unwrap().number, &answered);
                    }
                })
            })
            .collect();
        for writer in writers {
            writer.await.unwrap();
        }
    });
}

#[test]
fn every_acknowledged_entry_survives_a_kill() {
    let dir = tempfile::tempdir().unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    let mut acknowledged: BTreeMap<u64, String> = BTreeMap::new();
    for run in 0..KILLS {
        std::fs::write(dir.path().join("run"), run.to_string()).unwrap();
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args([
                "--exact",
                "child_that_writes_until_it_is_killed",
                "--ignored",
                "--nocapture",
                "--quiet",
            ])
            .current_dir(dir.path())
            .stdout(Stdio::piped())
            .stderr(File::create(dir.path().join("stderr")).unwrap())
            .spawn()
            .unwrap();
        let mut said = BufReader::new(child.stdout.take().unwrap());
        // Killed after it has acknowledged a while, at another moment of its work each time; every fifth while it opens.
        let wanted = if run % 5 == 4 { 0 } else { 40 + 30 * run };
        let mut lines = Vec::new();
        for _ in 0..wanted {
            let mut line = String::new();
            if said.read_line(&mut line).unwrap() == 0 {
                let mut stderr = String::new();
                File::open(dir.path().join("stderr"))
                    .unwrap()
                    .read_to_string(&mut stderr)
                    .unwrap();
                panic!("the child ended by itself: {stderr}");
            }
            lines.push(line);
        }
        std::thread::sleep(Duration::from_micros(u64::from(run) * 700));
        child.kill().unwrap();
        child.wait().unwrap();
        lines.extend(said.lines().map(Result::unwrap));
        for line in &lines {
            // The harness of the child says a few words of its own.
            if let Some((number, query_id)) = line
                .trim_end()
                .strip_prefix("on-disk ")
                .and_then(|rest| rest.split_once(' '))
            {
                let earlier = acknowledged.insert(number.parse().unwrap(), query_id.to_owned());
                assert_eq!(earlier, None, "number {number} was given twice");
            }
        }
    }
    let log = open(&dir.path().join("data"));
    let stats = log.stats();
    assert_eq!(stats.open_exchanges, 0, "every request has an end");
    assert!(
        acknowledged.len() > 1000,
        "only {} acknowledged",
        acknowledged.len()
    );
    assert!(stats.entries > *acknowledged.keys().last().unwrap());
    // Every entry is whole; those that are messages are the ones that were acknowledged, or were never heard of.
    for number in (0..stats.entries)
        .step_by(31)
        .chain(stats.entries - 50..stats.entries)
    {
        match runtime.block_on(log.export(number, None)) {
            Ok(exported) => {
                let kind = exported.name.trim_end_matches(|c: char| c.is_ascii_digit());
                let query_id = kind.trim_end_matches("-request-").trim_end_matches("-response-");
                assert!(
                    exported
                        .message
                        .starts_with(format!("message {query_id} ").as_bytes())
                );
                if let Some(expected) = acknowledged.get(&number) {
                    assert_eq!(query_id, expected, "entry {number}");
                }
            }
            Err(error) => {
                assert_eq!(error.code(), "log_entry_unsuited", "{error}");
                assert!(
                    !acknowledged.contains_key(&number),
                    "entry {number} was a message"
                );
            }
        }
    }
    runtime.block_on(log.shutdown());
}
