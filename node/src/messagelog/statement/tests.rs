//! Statements as an auditor gets them: of a real log with a real deletion, and what becomes of them when somebody changes them.

use kontor_protocol::{
    container::{Companion, Verdict},
    statement::{Entry, Left, Statement, judge},
};

use crate::messagelog::{
    Given, LogSettings, MessageLog, Part, PurgeOrder,
    control::tests::{World, now},
};
use crate::{clock::ManualClock, config::retention::Logging};

const ERASED: &str = "request 3/2030";

async fn erase(log: &MessageLog, numbers: &str, parts: &[Part]) {
    let order = PurgeOrder {
        ground: "Art. 17 GDPR".into(),
        dry_run: false,
        given: Some(Given {
            numbers: numbers.parse().unwrap(),
            parts: parts.into(),
            by: Some(ERASED.into()),
            who: "uid:7".into(),
        }),
    };
    let done = log.purge(order).await.unwrap();
    assert_eq!(done.deletions.len(), parts.len(), "{done:?}");
}

/// A log with four messages of which the second has lost all, and the third its head.
async fn erased() -> (World, MessageLog) {
    let world = World::new().await;
    let log = world.log();
    world.bind(&log).await;
    for id in ["id-0", "id-1", "id-2", "id-3"] {
        log.append(world.request(id)).await.unwrap();
    }
    let first = numbers(&log)[1];
    erase(&log, &first.to_string(), &[Part::Head, Part::Evidence]).await;
    erase(&log, &(first + 1).to_string(), &[Part::Head]).await;
    (world, log)
}

async fn stated(log: &MessageLog, number: u64) -> Statement {
    let (statement, missing) = log.statement(number).await.unwrap();
    assert_eq!(missing, None);
    statement
}

/// Numbers of the messages.
fn numbers(log: &MessageLog) -> Vec<u64> {
    let mut found = Vec::new();
    for number in 0..log.stats().entries {
        let reader = log.reader();
        let entry = reader.entry(number).unwrap();
        if reader.leaf(&entry).unwrap().client.is_some() {
            found.push(number);
        }
    }
    found
}

/// Codes of the reasons, with what is left to prove.
fn verdict(world: &World, statement: &Statement) -> (Verdict, Vec<String>, Left) {
    let read = Statement::from_json(&statement.to_json()).unwrap();
    assert_eq!(&read, statement, "the file says what was said");
    let report = judge(&read, &world.trust);
    let codes = report.reasons.into_iter().map(|reason| reason.code);
    (report.verdict, codes.collect(), report.left)
}

#[tokio::test]
async fn of_a_message_whose_head_and_evidence_are_deleted_the_leaf_and_the_deletion_are_proven() {
    let (world, log) = erased().await;
    let number = numbers(&log)[1];
    let statement = stated(&log, number).await;
    assert_eq!(verdict(&world, &statement), (Verdict::Valid, vec![], Left::Leaf));
    let report = judge(&statement, &world.trust);
    assert_eq!(report.number, Some(number));
    assert_eq!(report.client.as_deref(), Some("TEST/GOV/1001/antrag"));
    let mut parts: Vec<_> = report.deleted.iter().map(|gone| gone.part.as_str()).collect();
    parts.sort_unstable();
    assert_eq!(parts, ["evidence", "head"]);
    for gone in &report.deleted {
        assert_eq!(
            (gone.rule.as_str(), gone.ground.as_str()),
            ("order", "Art. 17 GDPR")
        );
        assert_eq!(gone.by.as_deref(), Some(ERASED));
        assert!(gone.inclusion.is_some());
    }
    let words = report.in_words();
    assert!(
        words.contains("was deleted under rule `order` by entry"),
        "{words}"
    );
    let file = String::from_utf8(statement.to_json()).unwrap();
    for said in ["id-1", "intake/applications"] {
        assert!(!file.contains(said) && !words.contains(said), "{said}");
    }
}

#[tokio::test]
async fn of_a_message_whose_head_alone_is_deleted_the_digests_of_its_parts_are_still_there() {
    let (world, log) = erased().await;
    let number = numbers(&log)[2];
    let statement = stated(&log, number).await;
    assert_eq!(
        verdict(&world, &statement),
        (Verdict::Valid, vec![], Left::Digests)
    );
    let report = judge(&statement, &world.trust);
    let message = report.parts.iter().find(|(name, ..)| name == "message.xml");
    let entry = world.request("id-2");
    assert_eq!(message.unwrap().1, entry.message.len() as u64);
}

#[tokio::test]
async fn what_can_be_exported_and_what_is_no_message_have_no_statement() {
    let (_world, log) = erased().await;
    let messages = numbers(&log);
    for number in 0..log.stats().entries {
        let code = log.statement(number).await.err().map(|error| error.code());
        let is_gone = [messages[1], messages[2]].contains(&number);
        assert_eq!(code.is_none(), is_gone, "{number}: {code:?}");
    }
    assert!(log.statement(1_000).await.is_err());
}

#[tokio::test]
async fn a_head_that_was_never_kept_is_explained_by_the_operator_and_not_by_a_deletion() {
    let world = World::new().await;
    let mut settings = LogSettings::default();
    let own = "TEST/GOV/1001/antrag".parse().unwrap();
    settings.retention.clients.insert(own, Logging::ShortHead);
    let log = world.log_with(ManualClock::at(now()), settings);
    world.bind(&log).await;
    let number = log.append(world.request("id-1")).await.unwrap().number;
    let statement = stated(&log, number).await;
    assert_eq!(
        verdict(&world, &statement),
        (Verdict::Valid, vec![], Left::Digests)
    );
    let report = judge(&statement, &world.trust);
    assert!(report.deleted.is_empty());
    assert!(
        report.notes.iter().any(|note| note.contains("proven by nothing")),
        "{:?}",
        report.notes
    );
}

#[tokio::test]
async fn a_changed_statement_is_not_valid_and_says_what_was_changed() {
    let (world, log) = erased().await;
    let messages = numbers(&log);
    let [leaf, digests] = [messages[1], messages[2]];
    let (leaf, digests) = (stated(&log, leaf).await, stated(&log, digests).await);
    let (_other_world, other) = erased().await;
    let foreign = stated(&other, messages[1]).await;
    let changed = |statement: &Statement, change: &dyn Fn(&mut Statement)| {
        let mut changed = statement.clone();
        change(&mut changed);
        let (verdict, mut codes, left) = verdict(&world, &changed);
        codes.sort_unstable();
        codes.dedup();
        (verdict, codes, left)
    };
    let incomplete = |code: &str, left| (Verdict::Incomplete, vec![code.to_owned()], left);

    // The rule, the ground, and the entries concerned are committed to.
    let fact = |statement: &mut Statement| {
        let text = String::from_utf8(statement.deletions[0].fact.clone()).unwrap();
        statement.deletions[0].fact = text.replace("order", "retention").into_bytes();
    };
    assert_eq!(changed(&leaf, &fact).1, ["deletion_other", "not_explained"]);
    assert_eq!(changed(&leaf, &fact).0, Verdict::Invalid);
    let widened = |statement: &mut Statement| {
        statement
            .deletions
            .iter_mut()
            .for_each(|gone| gone.numbers = vec![0, 100]);
    };
    assert_eq!(changed(&leaf, &widened).0, Verdict::Invalid);
    // A deletion of something else explains nothing.
    let borrowed = |statement: &mut Statement| statement.deletions.clone_from(&digests.deletions);
    assert_eq!(changed(&leaf, &borrowed).0, Verdict::Invalid);
    let of_another_log = |statement: &mut Statement| statement.deletions.clone_from(&foreign.deletions);
    assert_eq!(changed(&leaf, &of_another_log).0, Verdict::Invalid);
    let no_deletion = |statement: &mut Statement| {
        let Entry::Evidence(companion) = &digests.entry else {
            unreachable!()
        };
        statement.deletions[0].entry = companion.clone();
    };
    assert_eq!(changed(&leaf, &no_deletion).0, Verdict::Invalid);
    // Without a deletion nothing explains what is not there.
    let unexplained = |statement: &mut Statement| statement.deletions.clear();
    assert_eq!(
        changed(&leaf, &unexplained),
        incomplete("not_explained", Left::Leaf)
    );
    assert_eq!(
        changed(&digests, &unexplained),
        incomplete("not_explained", Left::Digests)
    );
    // Without a proof an entry may have been made up.
    let unproven = |statement: &mut Statement| match &mut statement.entry {
        Entry::Leaf { proof, .. } | Entry::Evidence(Companion { proof, .. }) => *proof = None,
    };
    assert_eq!(changed(&leaf, &unproven), incomplete("proof_missing", Left::Leaf));
    assert_eq!(
        changed(&digests, &unproven),
        incomplete("proof_missing", Left::Digests)
    );
    let deletion_unproven = |statement: &mut Statement| statement.deletions[0].entry.proof = None;
    assert_eq!(
        changed(&leaf, &deletion_unproven),
        incomplete("proof_missing", Left::Leaf)
    );
    // Another leaf is not in the tree, digests that the leaf does not commit to are not its own.
    let other_second = |statement: &mut Statement| match &mut statement.entry {
        Entry::Leaf { leaf, .. } => *leaf = in_another_second(leaf),
        Entry::Evidence(companion) => companion.leaf = in_another_second(&companion.leaf),
    };
    assert_eq!(changed(&leaf, &other_second).0, Verdict::Invalid);
    assert_eq!(changed(&digests, &other_second).0, Verdict::Invalid);
    let other_digest = |statement: &mut Statement| {
        let Entry::Evidence(companion) = &mut statement.entry else {
            unreachable!()
        };
        companion.parts[0].digest[0] ^= 1;
    };
    assert_eq!(changed(&digests, &other_digest).0, Verdict::Invalid);
    // A log for which nobody answers here whom the configuration knows.
    let (found, codes, left) = verdict(&world, &foreign);
    assert_eq!((found, left), (Verdict::Invalid, Left::Nothing));
    assert!(
        codes.iter().all(|code| code == "cannot_create_cert_path"),
        "{codes:?}"
    );
}

/// The same leaf, logged in another second.
fn in_another_second(leaf: &[u8]) -> Vec<u8> {
    let mut read = kontor_protocol::log::Leaf::parse(leaf).unwrap();
    read.second += 1;
    read.to_bytes()
}
