//! How fast the message log acknowledges, by itself, beside what its disk gives a group commit of the same bytes. Not a test of correctness: run it by hand with
//! `cargo test --release -p kontor-node --test log_speed -- --ignored --nocapture`.

#![expect(clippy::unwrap_used, reason = "a measurement that fails may say so and stop")]

use std::{path::Path, sync::Arc, time::Instant};

use bytes::Bytes;
use kontor_node::{
    clock::SystemClock,
    disk::{Disk, SystemDisk},
    messagelog::{BatchSignature, EntryKind, LogSettings, LoggedBody, MessageLog, NewEntry, OpenLog},
};
use kontor_pki::{crypto::sha512, sealed::MasterKey};

/// What is appended.
#[derive(Clone, Copy)]
struct Shape {
    name: &'static str,
    message: usize,
    body: usize,
    chain: Option<usize>,
    document: usize,
}

/// About 1 KiB of blobs, and what an exchange of 1 KiB leaves.
const SHAPES: [Shape; 2] = [
    Shape {
        name: "1 KiB",
        message: 256,
        body: 384,
        chain: None,
        document: 1024,
    },
    Shape {
        name: "exchange",
        message: 512,
        body: 512,
        chain: Some(1500),
        document: 6000,
    },
];

fn entry(kind: EntryKind, answers: Option<u64>, shape: Shape, signature: &Arc<BatchSignature>) -> NewEntry {
    let message = Bytes::from(vec![b'm'; shape.message]);
    let body = Bytes::from(vec![b'b'; shape.body]);
    NewEntry {
        kind,
        answers,
        client: "TEST/GOV/1001/antrag".parse().unwrap(),
        service: "TEST/GOV/1002/antrag/intake".parse().unwrap(),
        client_server: Some("TEST/GOV/1001/ss1".parse().unwrap()),
        provider_server: Some("TEST/GOV/1002/ss1".parse().unwrap()),
        query_id: "d5bd7d86-8c5e-4ce4-8dc6-0d8aab9ab7a1".into(),
        request_id: "4c6cb1a3-0d8c-4b58-a3b1-3f5db1f5e3a5".into(),
        message_digest: sha512(&message),
        request: message.clone(),
        message,
        body: LoggedBody::Inline(body.clone(), sha512(&body)),
        signature: Arc::clone(signature),
        chain: shape.chain.map(|bytes| Bytes::from(vec![b'c'; bytes])),
    }
}

/// (writers, appends, messages a signature document covers)
const RUNS: [(usize, usize, usize); 4] = [
    (1, 20_000, 1),
    (32, 200_000, 8),
    (64, 200_000, 16),
    (128, 200_000, 32),
];

async fn exchanges(log: MessageLog, writer: usize, count: usize, batch: usize, shape: Shape) -> Vec<u128> {
    let (mut took, mut signature) = (Vec::new(), None);
    for round in 0..count {
        if round % batch == 0 {
            let document = format!("{writer} {round} {}", "s".repeat(shape.document));
            signature = Some(BatchSignature::new(document.into(), Some("r".repeat(600).into())));
        }
        let signature = signature.as_ref().unwrap();
        let at = Instant::now();
        let asked = log
            .append(entry(EntryKind::RequestSent, None, shape, signature))
            .await
            .unwrap();
        took.push(at.elapsed().as_micros());
        let at = Instant::now();
        let answer = entry(EntryKind::ResponseReceived, Some(asked.number), shape, signature);
        log.append(answer).await.unwrap();
        took.push(at.elapsed().as_micros());
    }
    took
}

/// Group commits a second that the disk gives by itself: so many bytes written behind each other into a file that was
/// filled with zeros before, and synced, one after the other for two seconds.
fn commits_per_second(path: &Path, bytes: usize) -> f64 {
    const FILE: u64 = 256 * 1024 * 1024;
    let file = SystemDisk.create(path).unwrap();
    let zeros = vec![0; 1024 * 1024];
    for at in (0..FILE).step_by(zeros.len()) {
        file.write_at(at, &zeros).unwrap();
    }
    file.sync_data().unwrap();
    let (data, mut at, mut commits) = (vec![0x5a; bytes], 0, 0_u32);
    let began = Instant::now();
    while began.elapsed().as_secs_f64() < 2.0 {
        if at + bytes as u64 > FILE {
            at = 0;
        }
        file.write_at(at, &data).unwrap();
        file.sync_data().unwrap();
        at += bytes as u64;
        commits += 1;
    }
    let rate = f64::from(commits) / began.elapsed().as_secs_f64();
    SystemDisk.remove(path).unwrap();
    rate
}

#[test]
#[ignore = "a measurement, for a release build on a quiet machine"]
fn appends_per_second() {
    let root = std::env::temp_dir().join(format!("kontor-log-speed-{}", std::process::id()));
    std::fs::create_dir_all(&root).unwrap();
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .enable_all()
        .build()
        .unwrap();
    for (shape, (writers, total, batch)) in SHAPES.iter().flat_map(|shape| RUNS.map(|run| (*shape, run))) {
        let open = || {
            MessageLog::open(OpenLog {
                dir: root.join(format!("{} {writers}", shape.name)),
                disk: Arc::new(SystemDisk),
                master: MasterKey::from_bytes([7; 32]),
                settings: LogSettings::default(),
                server: "TEST/GOV/1001/ss1".parse().unwrap(),
                test: true,
                clock: Arc::new(SystemClock),
            })
            .unwrap()
        };
        let log = open();
        let (cpu, began) = (cpu_seconds(), Instant::now());
        let mut took: Vec<u128> = runtime.block_on(async {
            let count = total / writers / 2;
            let tasks: Vec<_> = (0..writers)
                .map(|writer| tokio::spawn(exchanges(log.clone(), writer, count, batch, shape)))
                .collect();
            let mut all = Vec::new();
            for task in tasks {
                all.extend(task.await.unwrap());
            }
            all
        });
        let (seconds, cpu) = (began.elapsed().as_secs_f64(), cpu_seconds() - cpu);
        took.sort_unstable();
        let (stats, count) = (log.stats(), took.len());
        println!(
            "{}, {writers:3} writers: {:.0} appends/s, p50 {} us, p99 {} us, mean batch {:.1}, {:.1} MB/s, {:.1} us CPU each",
            shape.name,
            count as f64 / seconds,
            took[count / 2],
            took[count * 99 / 100],
            stats.mean_batch(),
            stats.bytes as f64 / seconds / 1e6,
            cpu * 1e6 / count as f64,
        );
        runtime.block_on(log.shutdown());
        let bytes = (stats.bytes as f64 / count as f64 * stats.mean_batch()) as usize;
        let commits = commits_per_second(&root.join("ceiling"), bytes);
        println!(
            "    the disk alone: {commits:.0} commits/s of {bytes} bytes, {:.0} appends/s in such batches; the log is at {:.2} of it",
            commits * stats.mean_batch(),
            count as f64 / seconds / (commits * stats.mean_batch()),
        );
        let at = Instant::now();
        let entries = open().stats().entries;
        println!(
            "    opened again with {entries} entries in {} ms",
            at.elapsed().as_millis()
        );
    }
    std::fs::remove_dir_all(&root).unwrap();
}

/// User and system time of this process, in seconds.
fn cpu_seconds() -> f64 {
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap();
    let fields: Vec<&str> = stat.rsplit(')').next().unwrap().split_whitespace().collect();
    (fields[11].parse::<f64>().unwrap() + fields[12].parse::<f64>().unwrap()) / 100.0
}
