//! Every recorded crash: whatever the disk holds after one, the start-up function makes a log of it in which every
//! acknowledged entry is whole and at its number, no number is missing, and nothing half written is served.

use std::time::Duration;

use bytes::Bytes;
use kontor_pki::crypto::sha512;

use super::bed::*;
use crate::{
    disk::recording::{Crash, RecordingDisk},
    messagelog::{ABANDONED, INTERRUPTED, LoggedBody, MessageLog, NewEntry, OpenLog, Receipt},
};

/// Entries that were acknowledged, each with the position of the disk when its caller knew.
#[derive(Default)]
struct Promised(Vec<(usize, u64, Found)>);

impl Promised {
    fn note(&mut self, disk: &RecordingDisk, receipt: Receipt, found: Found) {
        self.0.push((disk.position(), receipt.number, found));
    }

    fn at(&self, position: usize) -> impl Iterator<Item = (u64, &Found)> {
        self.0
            .iter()
            .filter(move |(known, ..)| *known <= position)
            .map(|(_, number, found)| (*number, found))
    }
}

async fn with_content(log: &MessageLog, id: u64, length: usize) -> NewEntry {
    let body = Bytes::from(vec![id as u8; length]);
    let mut spooled = log.spool();
    spooled.write(body.clone()).await.unwrap();
    NewEntry {
        body: LoggedBody::Content(spooled.finish().await.unwrap(), sha512(&body)),
        ..request(id)
    }
}

/// A day in the life of a log: exchanges that succeed and fail, rounds of one and of many, large bodies, full segments, the
/// turn of a month, a clean stop and a start.
async fn life(disk: &RecordingDisk) -> Promised {
    let (mut promised, clock) = (Promised::default(), clock());
    for run in 0..3_u64 {
        let log = MessageLog::open(opening(disk, clock.clone())).unwrap();
        let base = run * 1000;
        for step in 0..20 {
            let id = base + 10 * step;
            let asked = log.append(request(id)).await.unwrap();
            promised.note(disk, asked, Found::Message(id));
            match step % 4 {
                0 => {
                    let closed = log.close_failed(asked, "fault").await.unwrap();
                    promised.note(disk, closed, Found::Closure(asked.number, "fault".into()));
                }
                1 => {
                    let answered = log.append(response(id + 1, asked.number)).await.unwrap();
                    promised.note(disk, answered, Found::Message(id + 1));
                    let stamped = log
                        .append_timestamp("token".into(), vec![asked.number])
                        .await
                        .unwrap();
                    promised.note(disk, stamped, Found::Token(vec![asked.number]));
                }
                2 => {
                    let large = with_content(&log, id + 2, 70_000).await;
                    let unused = with_content(&log, id + 3, 10).await;
                    let large = log.append(large).await.unwrap();
                    promised.note(disk, large, Found::Message(id + 2));
                    drop(unused);
                }
                _ => {
                    let together: Vec<_> = (3..9)
                        .map(|offset| {
                            let log = log.clone();
                            tokio::spawn(async move { log.append(request(id + offset)).await.unwrap() })
                        })
                        .collect();
                    for (offset, task) in (3..9).zip(together) {
                        promised.note(disk, task.await.unwrap(), Found::Message(id + offset));
                    }
                    drop(log.exchange(asked));
                }
            }
        }
        // A crash around it may cost the checkpoint; it never leaves one over more than there is.
        log.sign_checkpoint().await.unwrap();
        clock.advance(Duration::from_secs(50));
        if run == 1 {
            log.shutdown().await;
        } else {
            // The process dies: nothing is stopped, the next one finds what there is.
            let dead = disk.after_crash(disk.position(), Crash::Process);
            assert!(open(&dead).is_ok());
            log.shutdown().await;
        }
    }
    promised
}

fn assert_kept(after: &RecordingDisk, promised: &Promised, position: usize, what: &str) -> RecordingDisk {
    let log = MessageLog::open(OpenLog {
        clock: clock(),
        ..opening(after, clock())
    })
    .unwrap_or_else(|error| panic!("{what}: {error}"));
    let found = check(&log).unwrap_or_else(|error| panic!("{what}: {error}"));
    let mut last = 0;
    for (number, expected) in promised.at(position) {
        assert_eq!(
            found.get(number as usize),
            Some(expected),
            "{what}: entry {number}"
        );
        last = last.max(number + 1);
    }
    // What nobody was promised is whole, and every request there is has one end.
    let mut ends = std::collections::BTreeMap::new();
    for closure in &found {
        if let Found::Closure(request, fault) = closure {
            assert!(
                [INTERRUPTED, ABANDONED, "fault"].contains(&fault.as_str()),
                "{what}"
            );
            assert!(
                ends.insert(*request, fault).is_none(),
                "{what}: {request} closed twice"
            );
        }
    }
    assert_eq!(log.stats().open_exchanges, 0, "{what}");
    assert!(
        files(after, "spool").is_empty(),
        "{what}: a body without an entry stayed"
    );
    let again = after.after_crash(after.position(), Crash::OnlySynced);
    drop(log);
    again
}

#[tokio::test]
async fn every_acknowledged_entry_survives_every_crash() {
    let disk = RecordingDisk::default();
    let promised = life(&disk).await;
    assert!(promised.0.len() > 90, "{}", promised.0.len());
    let (mut points, mut states) = (0, 0);
    let last = disk.position();
    for position in 0..=last {
        points += 1;
        let seed = position as u64;
        // All four kinds of crash, in turn; the mixtures are the hardest.
        let mut crashes = vec![match position % 3 {
            0 => Crash::Process,
            1 => Crash::OnlySynced,
            _ => Crash::Mixture(seed.wrapping_mul(31)),
        }];
        if let Some(length) = disk.write_length(position) {
            crashes.push(match position % 4 {
                0 => Crash::Torn((seed.wrapping_mul(0x9e37_79b9) as usize) % (length + 1)),
                1 => Crash::Torn(length / 512 * 512),
                2 => Crash::Torn(length.saturating_sub(1)),
                _ => Crash::Mixture(seed.wrapping_mul(77)),
            });
        }
        for crash in crashes {
            let what = format!("{crash:?} at {position} of {last}");
            let after = disk.after_crash(position, crash);
            let again = assert_kept(&after, &promised, position, &what);
            // What the start itself promised survives the next crash too.
            if position % 16 == 0 {
                assert_kept(&again, &promised, position, &format!("{what}, twice"));
            }
            states += 1;
        }
    }
    assert!(points >= 500, "only {points} crash points");
    eprintln!("{points} crash points, {states} states of the disk");
}

#[tokio::test]
async fn a_key_that_is_on_disk_before_its_round_serves_the_numbers_that_are_given_again() {
    let disk = RecordingDisk::default();
    let log = open(&disk).unwrap();
    // All in one round but the first or so, and only the last has a body: its key is made in the middle of the round.
    let without_a_body = (1..40).map(|step| log.append(request(5 * step)));
    let with_one = std::iter::once(log.append(request(6)));
    let receipts = futures_util::future::join_all(without_a_body.chain(with_one)).await;
    assert!(receipts.iter().all(Result::is_ok));
    assert!(log.stats().largest_round > 2, "{:?}", log.stats());
    let last = disk.position();
    for position in 0..=last {
        let after = disk.after_crash(position, Crash::OnlySynced);
        let log = open(&after).unwrap_or_else(|error| panic!("at {position} of {last}: {error}"));
        let again = log.append(request(7)).await;
        assert!(again.is_ok(), "at {position} of {last}: {again:?}");
    }
}

#[tokio::test]
async fn a_crash_during_recovery_loses_nothing() {
    let disk = RecordingDisk::default();
    let promised = life(&disk).await;
    let last = disk.position();
    for round in 0..60_u64 {
        let position = (round.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 33) as usize % (last + 1);
        let after = disk.after_crash(position, Crash::Mixture(round));
        assert_kept(
            &after,
            &promised,
            position,
            &format!("mixture {round} at {position}"),
        );
        let recovered = after.position();
        for step in 0..4 {
            let at = recovered * step / 4;
            let twice = after.after_crash(at, Crash::Mixture(round + step as u64));
            assert_kept(
                &twice,
                &promised,
                position,
                &format!("mixture {round} at {position}, then at {at} of {recovered}"),
            );
        }
    }
}
