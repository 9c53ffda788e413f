//! Time-stamps by an authority over a socket that can be made to fail, by a clock that is moved by hand.

use std::sync::atomic::Ordering;

use kontor_protocol::container::Verdict;

use super::*;
use crate::{
    clock::ManualClock,
    messagelog::{
        LogSettings,
        control::tests::{World, now},
        read::Stamp,
    },
};

const HOUR: Duration = Duration::from_secs(3600);

async fn append(world: &World, log: &MessageLog, count: usize) -> Vec<u64> {
    let mut numbers = Vec::new();
    for index in 0..count {
        let receipt = log.append(world.request(&format!("id-{index}"))).await.unwrap();
        numbers.push(receipt.number);
    }
    numbers
}

fn with(stamping: StampingSettings) -> LogSettings {
    LogSettings {
        stamping,
        ..LogSettings::default()
    }
}

/// The numbers among these that have no token.
fn unstamped(log: &MessageLog, numbers: &[u64]) -> Vec<u64> {
    let mut reader = log.reader();
    let lacks = |number: &&u64| reader.stamp(**number).unwrap().is_none();
    numbers.iter().filter(lacks).copied().collect()
}

#[tokio::test]
async fn one_run_stamps_all_that_wait_with_one_token_and_each_container_of_the_batch_is_valid() {
    let world = World::new().await;
    let log = world.log();
    let numbers = append(&world, &log, 5).await;
    assert_eq!(log.stamp_run(&world.timestamper()).await.unwrap(), Ran::Done);
    assert_eq!(world.tokens.load(Ordering::SeqCst), 1);
    assert_eq!(unstamped(&log, &numbers), [0_u64; 0]);
    for number in numbers {
        let stamp = log.reader().stamp(number).unwrap().unwrap();
        assert!(matches!(stamp, Stamp::Batch(_)));
        let exported = log.export(number, None).await.unwrap();
        assert!(exported.timestamp.is_some());
        let written = exported.write(&world.out()).unwrap();
        assert_eq!(
            world.verdict(&written),
            (Verdict::Valid, vec![]),
            "entry {number}"
        );
    }
    // Nothing new: nobody is asked.
    assert_eq!(log.stamp_run(&world.timestamper()).await.unwrap(), Ran::Done);
    assert_eq!(world.tokens.load(Ordering::SeqCst), 1);
    // One alone is stamped over its signature value.
    let number = append(&world, &log, 1).await[0];
    log.stamp_run(&world.timestamper()).await.unwrap();
    let stamp = log.reader().stamp(number).unwrap().unwrap();
    assert!(matches!(stamp, Stamp::Single(_)));
    let written = log
        .export(number, None)
        .await
        .unwrap()
        .write(&world.out())
        .unwrap();
    assert_eq!(world.verdict(&written), (Verdict::Valid, vec![]));
}

#[tokio::test]
async fn more_than_one_token_takes_are_stamped_run_after_run() {
    let world = World::new().await;
    let settings = StampingSettings {
        limit: 3,
        ..StampingSettings::default()
    };
    let log = world.log_with(ManualClock::at(now()), with(settings));
    let numbers = append(&world, &log, 8).await;
    let mut runs = 1;
    while log.stamp_run(&world.timestamper()).await.unwrap() == Ran::More {
        runs += 1;
    }
    // Two are left after the second run, which is less than a run takes.
    assert_eq!(runs, 2);
    assert_eq!(log.stamping().waiting, 2);
    assert_eq!(log.stamp_run(&world.timestamper()).await.unwrap(), Ran::Done);
    assert_eq!(unstamped(&log, &numbers), [0_u64; 0]);
}

#[tokio::test]
async fn messages_flow_while_no_token_can_be_had_until_the_limit_and_again_after_it() {
    let world = World::new().await;
    let clock = ManualClock::at(now());
    let log = world.log_with(clock.clone(), LogSettings::default());
    let mut numbers = append(&world, &log, 3).await;
    world.down.store(true, Ordering::SeqCst);
    assert_eq!(log.stamp_run(&world.timestamper()).await.unwrap(), Ran::Failed);
    let stats = log.stamping();
    assert_eq!(
        (stats.failing_since, stats.refusing),
        (Some(now()), false),
        "told long before"
    );
    for _ in 0..4 {
        numbers.extend(append(&world, &log, 2).await);
        clock.advance(HOUR);
        assert_eq!(log.stamp_run(&world.timestamper()).await.unwrap(), Ran::Failed);
    }
    assert!(!log.stamping().refusing, "four hours are acceptable");
    clock.advance(Duration::from_secs(1));
    log.stamp_run(&world.timestamper()).await.unwrap();
    let refused = log.append(world.request("late")).await.unwrap_err();
    assert_eq!(refused.code(), "log_not_stamped");
    assert!(
        refused.to_string().contains("acceptable_failure_seconds"),
        "{refused}"
    );
    // A restart does not begin the four hours anew.
    log.shutdown().await;
    drop(log);
    let log = world.log_with(clock.clone(), LogSettings::default());
    log.stamp_run(&world.timestamper()).await.unwrap();
    assert!(log.stamping().refusing);

    world.down.store(false, Ordering::SeqCst);
    // First one message, then all the others with one token.
    assert_eq!(log.stamp_run(&world.timestamper()).await.unwrap(), Ran::More);
    assert_eq!(log.stamping().waiting, numbers.len() as u64 - 1);
    assert_eq!(log.stamp_run(&world.timestamper()).await.unwrap(), Ran::Done);
    numbers.extend(append(&world, &log, 1).await);
    log.stamp_run(&world.timestamper()).await.unwrap();
    assert_eq!(unstamped(&log, &numbers), [0_u64; 0]);
    assert_eq!(log.stamping().failing_since, None);
}

#[tokio::test]
async fn with_a_limit_of_zero_messages_are_never_refused() {
    let world = World::new().await;
    let clock = ManualClock::at(now());
    let settings = StampingSettings {
        acceptable_failure: Duration::ZERO,
        ..StampingSettings::default()
    };
    let log = world.log_with(clock.clone(), with(settings));
    world.down.store(true, Ordering::SeqCst);
    for _ in 0..3 {
        append(&world, &log, 1).await;
        log.stamp_run(&world.timestamper()).await.unwrap();
        clock.advance(100 * HOUR);
    }
    assert!(log.stamping().failing_since.is_some());
}

#[tokio::test]
async fn without_any_authority_no_message_is_taken() {
    let world = World::new().await;
    let log = world.log();
    append(&world, &log, 1).await;
    let config = kontor_protocol::trust::InstanceConfig {
        instance: "TEST".into(),
        shared: kontor_protocol::trust::shared::SharedParams {
            instance: "TEST".into(),
            ..kontor_protocol::trust::shared::SharedParams::default()
        },
        private: None,
        optional: kontor_protocol::trust::optional::OptionalParts::default(),
        version: 3,
        expires: None,
    };
    let trust = Arc::new(kontor_protocol::trust::TrustSet::new("TEST", vec![config]).unwrap());
    let nobody = Timestamper::new(vec![], Arc::new(move || Some(Arc::clone(&trust))));
    assert_eq!(log.stamp_run(&nobody).await.unwrap(), Ran::Failed);
    let refused = log.append(world.request("id")).await.unwrap_err();
    assert_eq!(refused.code(), "log_no_timestamp_authority");
    // One is approved: it goes on.
    log.stamp_run(&world.timestamper()).await.unwrap();
    log.append(world.request("id")).await.unwrap();
}

#[tokio::test]
async fn what_waits_is_found_again_after_every_end_of_the_process() {
    let world = World::new().await;
    let clock = ManualClock::at(now());
    let mut numbers = Vec::new();
    for round in 0..6 {
        let log = world.log_with(clock.clone(), LogSettings::default());
        numbers.extend(append(&world, &log, 3).await);
        // An export stamps one in the middle by itself, which leaves a gap.
        if round % 2 == 0 {
            let middle = numbers[numbers.len() - 2];
            log.export(middle, Some(&world.timestamper())).await.unwrap();
        }
        if round % 3 == 1 {
            log.stamp_run(&world.timestamper()).await.unwrap();
            assert_eq!(unstamped(&log, &numbers), [0_u64; 0], "round {round}");
        }
        log.shutdown().await;
    }
    let log = world.log_with(clock, LogSettings::default());
    let waiting = unstamped(&log, &numbers);
    assert!(!waiting.is_empty());
    let stamping = log.stamping.clone();
    stamping.look(&mut log.reader()).unwrap();
    assert_eq!(
        stamping.state().waiting.keys().copied().collect::<Vec<_>>(),
        waiting
    );
    let seen = log.reader().stamped_below().unwrap();
    assert!(
        seen > 0 && seen <= waiting[0],
        "it does not begin at 0, nor beyond what waits"
    );
}

#[tokio::test]
async fn a_message_is_stamped_while_it_is_logged_or_goes_no_further() {
    let world = World::new().await;
    let settings = StampingSettings {
        immediate: true,
        ..StampingSettings::default()
    };
    let log = world.log_with(ManualClock::at(now()), with(settings));
    log.stamp_immediately(world.timestamper());
    let number = log.append(world.request("id-1")).await.unwrap().number;
    assert_eq!(unstamped(&log, &[number]), [0_u64; 0]);
    world.down.store(true, Ordering::SeqCst);
    let refused = log.append(world.request("id-2")).await.unwrap_err();
    assert_eq!(refused.code(), "log_not_stamped");
    assert_eq!(log.stats().open_exchanges, 1, "the one that failed is closed");
    // What was recorded all the same gets its token later.
    world.down.store(false, Ordering::SeqCst);
    log.stamp_run(&world.timestamper()).await.unwrap();
    assert_eq!(log.stamping().waiting, 0);
    log.append(world.request("id-3")).await.unwrap();
}
