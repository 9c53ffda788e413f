//! Short runs of the campaigns over requests for participation: rounds of three bodies, and rounds that go over to another house,
//! nodes killed on the way, lines cut under answers, and the evidence of some of them held against a second opinion.

use kontor_conformance::requests::handovers::{self, HandoversPlan};
use kontor_conformance::requests::{self, RequestsPlan};
use kontor_conformance::subject::Subject;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_request_ends_once_although_nodes_are_killed_and_answers_lost() {
    let subject = Subject::at(env!("CARGO_BIN_EXE_kontor"));
    let plan = RequestsPlan {
        requests: 90,
        at_once: 6,
        kills: 12,
        seed: 7,
        packages: Some(24),
        aloud: false,
    };
    let report = requests::run(&subject, plan).await.unwrap();
    assert!(report.wrong.is_empty(), "{}", report.wrong.join("\n"));
    assert_eq!(report.requests, 90);
    assert_eq!(report.ends.values().sum::<usize>(), 90, "{report:?}");
    assert!(report.kills > 0, "no node was killed: {report:?}");
    assert!(
        report.kills_after_the_end > 0,
        "no node was killed while it recorded ends: {report:?}"
    );
    assert!(report.ends.contains_key("LATE"), "nothing came late: {report:?}");
    assert!(report.files_compared > 0, "no file was compared: {report:?}");
    assert!(report.cuts > 0, "no line was cut: {report:?}");
    assert!(report.statements > 0, "nobody submitted anything: {report:?}");
    assert!(
        report.opinions.agreements > 0,
        "no evidence was judged: {report:?}"
    );
    assert_eq!(report.opinions.disagreements, 0, "{report:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn rounds_go_over_with_their_cases_although_nodes_are_killed_and_answers_lost() {
    let subject = Subject::at(env!("CARGO_BIN_EXE_kontor"));
    let plan = HandoversPlan {
        cases: 16,
        at_once: 4,
        kills: 8,
        seed: 7,
        packages: 4,
        aloud: false,
    };
    let report = handovers::run(&subject, plan).await.unwrap();
    assert!(report.wrong.is_empty(), "{}", report.wrong.join("\n"));
    assert_eq!((report.requests, report.packages), (32, 4), "{report:?}");
    assert!(report.kills > 0 && report.files_compared > 0, "{report:?}");
    assert_eq!(report.statements, 16 * 3 + 8, "{report:?}");
}
