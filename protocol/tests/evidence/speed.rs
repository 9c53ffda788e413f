//! How fast containers are judged by one core. Not a test of correctness: run it by hand with
//! `cargo test --release -p kontor-protocol --test evidence -- --ignored --nocapture speed`.

use std::io::Cursor;
use std::time::Instant;

use kontor_pki::ocsp::CertStatus;
use kontor_pki::signing::KeyAlgorithm;
use kontor_protocol::archive::{Archive, ArchiveWriter, container_name};
use kontor_protocol::container::check::{Question, Verdicts, check_with};
use kontor_protocol::container::timestamp::Batch;
use kontor_protocol::container::{MessageRole, Verdict};

use crate::world::{World, now};

/// An archive of `count` containers, each with a document of its own, stamped a hundred at once.
fn archive(world: &World, count: usize) -> Vec<u8> {
    let mut writer = ArchiveWriter::new(Cursor::new(Vec::new()), None).unwrap();
    // A node asks for an OCSP response now and then, not for each message.
    let signer = world.signer(CertStatus::Good);
    let mut record = 0;
    while record < count as u64 {
        let mut pieces: Vec<_> = (0..100).map(|_| world.unstamped_by(&signer)).collect();
        let batch = Batch::over(pieces.iter().map(|p| p.signatures.as_slice())).unwrap();
        let token = world.token(batch.stamped());
        for (place, piece) in pieces.iter_mut().enumerate() {
            piece.timestamp = batch.record(place, &token);
            record += 1;
            let name = container_name("speed", MessageRole::Request, record);
            writer.add(&name, now(), &mut &piece.archive()[..]).unwrap();
        }
    }
    writer.finish().unwrap().out.into_inner()
}

#[test]
#[ignore = "a measurement, not a test"]
fn speed_of_judging_an_archive() {
    const COUNT: usize = 4000;
    let kinds = [KeyAlgorithm::EcdsaP256, KeyAlgorithm::Rsa { bits: 2048 }];
    for (kind, shared) in kinds.into_iter().flat_map(|kind| [(kind, true), (kind, false)]) {
        let world = World::with(kind);
        let bytes = archive(&world, COUNT);
        let trust = world.trust();
        let question = Question {
            trust: &trust,
            at: None,
            companion: None,
        };
        let (begun, cpu) = (Instant::now(), on_cpu());
        let mut archive = Archive::open(Cursor::new(&bytes)).unwrap();
        let mut verdicts = Verdicts::new();
        for place in 0..COUNT {
            let mut container = Vec::new();
            assert_eq!(archive.container(place, &mut container), Ok(Some(true)));
            if !shared {
                verdicts = Verdicts::new();
            }
            let report = check_with(Cursor::new(container), &question, &mut verdicts);
            assert_eq!(report.verdict, Verdict::Valid, "{}", report.in_words());
        }
        let rate = |seconds: f64| COUNT as f64 / seconds;
        println!(
            "{kind:?}, verdicts shared: {shared}: {:.0} containers/s, {:.0} per second of one core, {} MB",
            rate(begun.elapsed().as_secs_f64()),
            rate(on_cpu() - cpu),
            bytes.len() / 1_000_000
        );
    }
}

/// Seconds that this thread was on a core, where the system tells: on a shared machine it was often not.
fn on_cpu() -> f64 {
    let text = std::fs::read_to_string("/proc/thread-self/schedstat").unwrap_or_default();
    let nanoseconds = text.split(' ').next().and_then(|n| n.parse::<f64>().ok());
    nanoseconds.unwrap_or(f64::NAN) / 1e9
}
