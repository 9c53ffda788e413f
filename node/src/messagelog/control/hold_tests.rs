//! Holds and purges as commands ask for them, over the socket.

use std::{sync::Arc, time::Duration};

use kontor_pki::{sealed::MasterKey, time::UnixTime};

use super::client::Control;
use crate::{
    clock::ManualClock,
    disk::SystemDisk,
    messagelog::{Fact, FactKind, HoldOrder, LogSettings, MessageLog, OpenLog, PurgeAsked},
    timestamper::Timestamper,
};

/// Asks as a command does and gives what came of it.
async fn ask<T: Send + 'static>(
    log: &MessageLog,
    question: impl FnOnce(Control) -> anyhow::Result<T> + Send + 'static,
) -> Result<T, String> {
    let (asking, answering) = std::os::unix::net::UnixStream::pair().unwrap();
    answering.set_nonblocking(true).unwrap();
    let asked = tokio::task::spawn_blocking(move || question(Control::over(asking)));
    let stream = tokio::net::UnixStream::from_std(answering).unwrap();
    let timestamper = Timestamper::new(vec![], Arc::new(|| None));
    // A command that was refused hangs up before the last line.
    let _ = log.answer(stream, &timestamper).await;
    asked.await.unwrap().map_err(|error| error.to_string())
}

#[tokio::test]
async fn holds_and_purges_are_asked_over_the_socket_and_name_who_ordered_them() {
    let dir = tempfile::tempdir().unwrap();
    let clock = ManualClock::at(UnixTime::parse_rfc3339("2030-01-31T12:00:00Z").unwrap());
    let log = MessageLog::open(OpenLog {
        dir: dir.path().join("data"),
        disk: Arc::new(SystemDisk),
        master: MasterKey::from_bytes([7; 32]),
        settings: LogSettings {
            reserve: 0,
            ..LogSettings::default()
        },
        server: "TEST/GOV/1001/ss1".parse().unwrap(),
        test: true,
        clock: clock.clone(),
    })
    .unwrap();
    for _ in 0..4 {
        log.append_fact(Fact::new(FactKind::Look, &())).await.unwrap();
    }
    let hold = |numbers: &str| HoldOrder::Numbers {
        numbers: numbers.into(),
        ground: "case".into(),
    };
    let order = hold("1-2");
    let held = ask(&log, move |control| control.hold(order)).await.unwrap();
    assert_eq!(
        (held[0].entry, held[0].entries, held[0].numbers.as_str()),
        (4, 2, "1-2")
    );
    assert_eq!(
        held[0].who,
        format!("uid:{}", rustix::process::geteuid().as_raw())
    );
    for (order, why) in [
        (hold("7-x"), "no list of entry numbers"),
        (hold("99"), "no entry 99"),
        (
            HoldOrder::QueryId {
                query_id: "none".into(),
                ground: "case".into(),
            },
            "no message with the query id",
        ),
    ] {
        let refused = ask(&log, move |control| control.hold(order)).await.unwrap_err();
        assert!(refused.contains(why), "{refused}");
    }
    let listed = ask(&log, |control| control.hold(HoldOrder::List)).await.unwrap();
    assert_eq!(listed, held);

    // Looks are kept until the end of the following year.
    clock.advance(Duration::from_secs(3 * 366 * 86_400));
    let order = |dry_run| PurgeAsked {
        ground: "retention".into(),
        dry_run,
        given: None,
    };
    let (dry, wet) = (order(true), order(false));
    let due = ask(&log, move |control| control.purge(dry)).await.unwrap();
    assert_eq!((due.deletions[0].said.entries, due.on_hold), (2, 2));
    assert_eq!(log.stats().entries, 5);
    let done = ask(&log, move |control| control.purge(wet)).await.unwrap();
    assert_eq!(done.deletions[0].entry, Some(5));
    let release = HoldOrder::Release {
        hold: 4,
        ground: "closed".into(),
    };
    let (first, again) = (release.clone(), release);
    assert_eq!(
        ask(&log, move |control| control.hold(first)).await.unwrap()[0].entry,
        6
    );
    assert!(ask(&log, move |control| control.hold(again)).await.is_err());
    assert!(
        ask(&log, |control| control.hold(HoldOrder::List))
            .await
            .unwrap()
            .is_empty()
    );
}
