//! A message log of a million entries: how fast it opens, how fast its index is made and answers, and what it costs on disk
//! and in memory. Not a test of correctness: run it by hand with
//! `cargo test --release -p kontor-node --test log_million -- --ignored --nocapture`; `KONTOR_ENTRIES` changes the size.

#![expect(clippy::unwrap_used, reason = "a measurement that fails may say so and stop")]

use std::{
    path::Path,
    process::Command,
    sync::Arc,
    time::{Duration, Instant},
};

use bytes::Bytes;
use kontor_node::{
    clock::SystemClock,
    disk::SystemDisk,
    messagelog::{BatchSignature, EntryKind, LogSettings, LoggedBody, MessageLog, NewEntry, OpenLog},
};
use kontor_pki::{crypto::sha512, sealed::MasterKey};
use kontor_protocol::log::leaf_hash;

/// The part that is killed runs in a process of its own.
const CHILD: &str = "KONTOR_MILLION_CHILD";

fn open(dir: &Path) -> MessageLog {
    MessageLog::open(OpenLog {
        dir: dir.into(),
        disk: Arc::new(SystemDisk),
        master: MasterKey::from_bytes([7; 32]),
        settings: LogSettings::default(),
        server: "TEST/GOV/1001/ss1".parse().unwrap(),
        test: true,
        clock: Arc::new(SystemClock),
    })
    .unwrap()
}

fn entry(kind: EntryKind, id: usize, answers: Option<u64>, signature: &Arc<BatchSignature>) -> NewEntry {
    let (message, body) = (Bytes::from(vec![b'm'; 512]), Bytes::from(vec![b'b'; 512]));
    NewEntry {
        kind,
        answers,
        client: format!("TEST/GOV/{}/antrag", 1000 + id % 50).parse().unwrap(),
        service: format!("TEST/GOV/1002/antrag/intake{}", id % 10).parse().unwrap(),
        client_server: Some("TEST/GOV/1001/ss1".parse().unwrap()),
        provider_server: Some("TEST/GOV/1002/ss1".parse().unwrap()),
        query_id: format!("d5bd7d86-8c5e-4ce4-8dc6-{id:012x}"),
        request_id: format!("4c6cb1a3-0d8c-4b58-a3b1-{id:012x}"),
        request: Bytes::new(),
        message_digest: sha512(&message),
        message,
        body: LoggedBody::Inline(body.clone(), sha512(&body)),
        signature: Arc::clone(signature),
        chain: Some(Bytes::from(vec![b'c'; 1500])),
    }
}

/// Exchanges by 64 writers, 16 messages under one signature document; their ids count from `first`.
async fn fill(log: &MessageLog, first: usize, entries: usize) {
    let each = entries / 2 / 64;
    let writers: Vec<_> = (0..64)
        .map(|writer| {
            let log = log.clone();
            tokio::spawn(async move {
                let mut signature = None;
                for round in 0..each {
                    if round % 16 == 0 {
                        let document = format!("{writer} {round} {}", "s".repeat(6000));
                        signature = Some(BatchSignature::new(document.into(), Some("r".repeat(600).into())));
                    }
                    let (signature, id) = (signature.as_ref().unwrap(), first + writer * each + round);
                    let asked = log
                        .append(entry(EntryKind::RequestSent, id, None, signature))
                        .await
                        .unwrap();
                    let answers = Some(asked.number);
                    log.append(entry(EntryKind::ResponseReceived, id, answers, signature))
                        .await
                        .unwrap();
                }
            })
        })
        .collect();
    for writer in writers {
        writer.await.unwrap();
    }
}

fn indexed(log: &MessageLog) {
    while log.index().position < log.stats().entries || !log.index().open {
        std::thread::sleep(Duration::from_millis(20));
    }
}

fn bytes_below(dir: &Path) -> u64 {
    std::fs::read_dir(dir)
        .unwrap()
        .map(|entry| entry.unwrap())
        .map(|entry| match entry.file_type().unwrap().is_dir() {
            true => bytes_below(&entry.path()),
            false => entry.metadata().unwrap().len(),
        })
        .sum()
}

/// What the kernel says of the memory of this process, in MiB.
fn memory(field: &str) -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find(|line| line.starts_with(field)).unwrap();
    line.split_whitespace().nth(1).unwrap().parse::<u64>().unwrap() / 1024
}

#[test]
#[ignore = "a measurement, for a release build on a quiet machine"]
fn a_million_entries() {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .unwrap();
    if let Some(dir) = std::env::var_os(CHILD) {
        // Opens, writes a little, and waits to be killed.
        let log = open(Path::new(&dir));
        runtime.block_on(fill(&log, usize::MAX / 4, 1280));
        println!("written");
        loop {
            std::thread::sleep(Duration::from_secs(60));
        }
    }
    let entries =
        std::env::var_os("KONTOR_ENTRIES").map_or(1_000_000, |n| n.to_str().unwrap().parse().unwrap());
    let root = std::env::temp_dir().join(format!("kontor-million-{}", std::process::id()));
    std::fs::create_dir_all(&root).unwrap();
    let dir = root.join("data");
    let log = open(&dir);
    let began = Instant::now();
    for part in 0..10 {
        runtime.block_on(fill(&log, part * entries / 20, entries / 10));
        println!(
            "{} entries: {} MiB of memory now",
            log.stats().entries,
            memory("VmRSS:")
        );
    }
    println!("{} entries written in {:?}", log.stats().entries, began.elapsed());
    indexed(&log);
    println!("the index was up {:?} after the first of them", began.elapsed());
    let began = Instant::now();
    runtime.block_on(log.shutdown());
    println!("stopped in {:?}", began.elapsed());
    drop(log);

    let began = Instant::now();
    let log = open(&dir);
    println!("opened after a clean stop in {:?}", began.elapsed());
    indexed(&log);
    println!("its index open after {:?}", began.elapsed());
    let total = usize::try_from(log.stats().entries).unwrap();
    let mut took = Duration::ZERO;
    for part in 0..100 {
        let id = part % 10 * entries / 20 + part / 10 * (entries / 400);
        let query_id = format!("d5bd7d86-8c5e-4ce4-8dc6-{id:012x}");
        let began = Instant::now();
        let found = runtime.block_on(log.find(&query_id)).unwrap();
        assert_eq!(found.len(), 2, "{query_id}");
        if part == 0 {
            println!("the first search by query id: {:?}", began.elapsed());
        }
        took = took.max(began.elapsed());
    }
    println!("searches by query id: {took:?} the slowest of 100");
    let began = Instant::now();
    let checkpoint = runtime.block_on(log.sign_checkpoint()).unwrap().unwrap();
    println!("checkpoint over all signed in {:?}", began.elapsed());
    let mut took = Duration::ZERO;
    for part in 0..100 {
        let number = (total / 100 * part) as u64;
        let began = Instant::now();
        let proof = runtime.block_on(log.prove(number)).unwrap();
        took = took.max(began.elapsed());
        let leaf = leaf_hash(&runtime.block_on(log.leaf(number)).unwrap());
        proof.verify(&leaf, &log.ledger_keys()[0], &[]).unwrap();
        assert_eq!(proof.checkpoint, checkpoint);
    }
    println!("inclusion proofs: {took:?} the slowest of 100");
    runtime.block_on(log.shutdown());
    drop(log);

    let mut child = Command::new(std::env::current_exe().unwrap())
        .args(["--ignored", "--nocapture", "a_million_entries"])
        .env(CHILD, &dir)
        .stdout(std::process::Stdio::piped())
        .spawn()
        .unwrap();
    let out = std::io::BufReader::new(child.stdout.take().unwrap());
    assert!(std::io::BufRead::lines(out).any(|line| line.unwrap().contains("written")));
    child.kill().unwrap();
    child.wait().unwrap();
    let began = Instant::now();
    let log = open(&dir);
    println!("opened after a kill in {:?}", began.elapsed());
    indexed(&log);
    println!(
        "its index up after {:?}, made anew {} times",
        began.elapsed(),
        log.index().rebuilds
    );
    runtime.block_on(log.shutdown());
    drop(log);

    std::fs::remove_dir_all(dir.join("log/index")).unwrap();
    let log = open(&dir);
    let began = Instant::now();
    let total = log.stats().entries;
    indexed(&log);
    println!("index made anew over {total} entries in {:?}", began.elapsed());
    runtime.block_on(log.shutdown());
    let (all, index) = (bytes_below(&dir), bytes_below(&dir.join("log/index")));
    println!(
        "{:.2} KB on disk for each exchange, index {:.2} KB of it; at most {} MiB of memory",
        all as f64 / (total / 2) as f64 / 1e3,
        index as f64 / (total / 2) as f64 / 1e3,
        memory("VmHWM:"),
    );
    std::fs::remove_dir_all(&root).unwrap();
}
