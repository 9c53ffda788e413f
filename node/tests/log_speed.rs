//! How fast the message log acknowledges, by itself. Not a test of correctness: run it by hand with
//! `cargo test --release -p kontor-node --test log_speed -- --ignored --nocapture`.

#![expect(clippy::unwrap_used, reason = "a measurement that fails may say so and stop")]

use std::{sync::Arc, time::Instant};

use bytes::Bytes;
use kontor_node::{
    clock::SystemClock,
    disk::SystemDisk,
    messagelog::{BatchSignature, EntryKind, LogSettings, LoggedBody, MessageLog, NewEntry, OpenLog},
};
use kontor_pki::{crypto::sha512, sealed::MasterKey};

fn entry(kind: EntryKind, answers: Option<u64>, signature: &Arc<BatchSignature>) -> NewEntry {
    let message = Bytes::from(vec![b'm'; 512]);
    let body = Bytes::from(vec![b'b'; 512]);
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
        chain: Some(Bytes::from(vec![b'c'; 1500])),
    }
}

/// (writers, appends, messages a signature document covers)
const RUNS: [(usize, usize, usize); 4] = [
    (1, 20_000, 1),
    (32, 200_000, 8),
    (64, 200_000, 16),
    (128, 200_000, 32),
];

async fn exchanges(log: MessageLog, writer: usize, count: usize, batch: usize) -> Vec<u128> {
    let (mut took, mut signature) = (Vec::new(), None);
    for round in 0..count {
        if round % batch == 0 {
            let document = format!("{writer} {round} {}", "s".repeat(6000));
            signature = Some(BatchSignature::new(document.into(), Some("r".repeat(600).into())));
        }
        let signature = signature.as_ref().unwrap();
        let at = Instant::now();
        let asked = log
            .append(entry(EntryKind::RequestSent, None, signature))
            .await
            .unwrap();
        took.push(at.elapsed().as_micros());
        let at = Instant::now();
        let answer = entry(EntryKind::ResponseReceived, Some(asked.number), signature);
        log.append(answer).await.unwrap();
        took.push(at.elapsed().as_micros());
    }
    took
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
    for (writers, total, batch) in RUNS {
        let open = || {
            MessageLog::open(OpenLog {
                dir: root.join(format!("w{writers}")),
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
                .map(|writer| tokio::spawn(exchanges(log.clone(), writer, count, batch)))
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
            "{writers:3} writers: {:.0} appends/s, p50 {} us, p99 {} us, mean batch {:.1}, {:.1} MB/s, {:.1} us CPU each",
            count as f64 / seconds,
            took[count / 2],
            took[count * 99 / 100],
            stats.mean_batch(),
            stats.bytes as f64 / seconds / 1e6,
            cpu * 1e6 / count as f64,
        );
        runtime.block_on(log.shutdown());
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
