//! The quick part of the conformance suite against the binary that was just built: two node processes, an authority, a peer
//! that breaks the protocol and a service that counts its calls.

use kontor_conformance::report::Gaps;
use kontor_conformance::subject::Subject;
use kontor_conformance::suite::{self, Selection};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_nodes_do_what_the_suite_asks_of_them() {
    let subject = Subject::at(env!("CARGO_BIN_EXE_kontor"));
    let selection = Selection {
        quick: true,
        quiet: true,
        only: Vec::new(),
    };
    let report = suite::run(&subject, &selection, &Gaps::shipped().unwrap())
        .await
        .unwrap();
    assert!(report.is_good(), "{}", report.summary());
}
