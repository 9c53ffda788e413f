//! The folder drop with real files: what is written, kept up to date and deleted, what is taken up and what is not, and what follows
//! from a disk that fails and from a process that ends. Everything in it is fictional.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::{DirBuilderExt, symlink};
use std::path::{Path, PathBuf};

use kontor_participation::round::delivery::{RevokeReason, Side};
use kontor_participation::round::release::Eyes;
use kontor_participation::round::state::State;
use kontor_participation::transfer::delivery::Deleted;
use kontor_participation::transfer::offer::Id;
use serde_json::{Value, json};

use super::super::super::intake::MAX_FILE;
use super::super::super::row::Process;
use super::super::super::tests::Bed;
use super::super::super::{Casework, Table, TxError, random_id};
use super::super::requester::{Command, Details};
use super::super::row::RequestRow;
use super::super::tests::person;
use super::{Folder, NOT_DELETED, NOT_WRITTEN};
use crate::config::casework as settings;
use crate::config::casework::{ParticipationSettings, Role};

fn names(dir: &Path) -> Vec<String> {
    let entries = fs::read_dir(dir).unwrap();
    let mut names: Vec<String> = entries
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort_unstable();
    names
}

fn with_folder(dir: &Path, eyes: Eyes) -> ParticipationSettings {
    let drop = dir.join("folder-drop");
    if !drop.exists() {
        fs::DirBuilder::new().mode(0o700).create(&drop).unwrap();
    }
    ParticipationSettings {
        eyes,
        folder: Some(settings::Folder {
            dir: drop,
            units: [].into(),
        }),
        ..ParticipationSettings::default()
    }
}

fn weeks() -> Value {
    json!({ "rule": { "kind": "weeks", "n": 6 } })
}

/// A node with a folder drop, whose unit is asked something.
struct House {
    bed: Bed,
    id: Id,
}

impl House {
    async fn asked(eyes: Eyes) -> Self {
        let bed = Bed::with("2027-01-04T08:00:00Z", |dir| with_folder(dir, eyes)).await;
        let id = bed.asked(1, "INTERNAL", "INTERNAL", weeks()).await;
        bed.deliver().await;
        Self { bed, id }
    }

    fn casework(&self) -> &Casework {
        self.bed.casework()
    }

    fn folder(&self) -> &Folder {
        self.casework().folder.as_ref().unwrap()
    }

    fn path(&self, room: &str) -> PathBuf {
        self.bed.dir().join("folder-drop").join(room)
    }

    fn row(&self, side: Side) -> RequestRow {
        self.casework().request(side, &self.id).unwrap()
    }

    /// Brings the folder up to date; gives the request as it is written.
    async fn written(&self) -> Option<Value> {
        self.casework().keep_in_folder(self.folder(), &self.id).await;
        let path = self.path("in").join(self.id.to_string()).join("request.json");
        serde_json::from_slice(&fs::read(path).ok()?).ok()
    }

    fn answers(&self, statement: &str, marker: &str) -> PathBuf {
        let out = self.path("out").join(self.id.to_string());
        fs::create_dir(&out).unwrap();
        fs::write(out.join("statement.json"), statement).unwrap();
        fs::write(out.join(marker), b"").unwrap();
        out
    }

    /// Takes up what is answered, and what an earlier process left; gives the result of this number.
    async fn taken(&self, number: u32) -> Value {
        let left = self.folder().place.unfinished().unwrap();
        let mut open = left
            .into_iter()
            .map(|claim| (claim, None))
            .collect::<BTreeMap<_, _>>();
        self.casework().take_answers(self.folder(), &mut open).await;
        assert!(open.is_empty(), "nothing waits");
        let path = self.path("done").join(format!("{}-{number}", self.id));
        serde_json::from_slice(&fs::read(path.join("result.json")).unwrap()).unwrap()
    }

    async fn revoke(&self) {
        let version = self.row(Side::Requester).version;
        let details = Details {
            reason: Some(RevokeReason::NoLongerNeeded),
            ..Details::default()
        };
        let worker = person("worker", &[Role::Worker]);
        self.casework()
            .request_command(&worker, &self.id, version, Command::Revoke, details)
            .await
            .unwrap();
        self.bed.deliver().await;
    }

    async fn falls_due(&self) -> Result<bool, &'static str> {
        let due = self
            .casework()
            .request_falls_due(Side::Participant, &self.id)
            .await;
        self.bed.deliver().await;
        due.map_err(|refused| refused.code)
    }

    fn purge(&self) -> Option<Deleted> {
        self.row(Side::Requester).purge.map(|purge| purge.folder_drop)
    }
}

#[tokio::test]
async fn a_request_lies_in_the_folder_as_it_stands_and_goes_before_that_is_stated() {
    let mut house = House::asked(Eyes::TWO).await;
    let page = house.written().await.unwrap();
    assert_eq!(page["version"], house.row(Side::Participant).version);
    assert!(page["deadline"].is_object() && page.get("attachments").is_none());
    let inside = house.path("in").join(house.id.to_string());
    assert_eq!(
        names(&inside),
        ["deadline.txt", "disclosure.json", "request.json"]
    );
    let words = fs::read_to_string(inside.join("deadline.txt")).unwrap();
    assert!(
        words.contains("Letzter Tag: ")
            && words.contains(", 00:00 Uhr (deutsche Zeit)")
            && words.contains("Berechnung:"),
        "{words}"
    );
    // What is up to date is not written again, also by another process.
    house.bed.restart().await;
    let before = fs::metadata(inside.join("request.json"))
        .unwrap()
        .modified()
        .unwrap();
    house.written().await.unwrap();
    assert_eq!(
        fs::metadata(inside.join("request.json"))
            .unwrap()
            .modified()
            .unwrap(),
        before
    );
    house.revoke().await;
    assert!(house.falls_due().await.unwrap());
    assert!(!inside.exists());
    assert_eq!(house.purge(), Some(Deleted::Done));
    assert_eq!(house.row(Side::Requester).state(), State::Purged);
    assert!(house.written().await.is_none(), "nothing is put there again");
}

#[tokio::test]
async fn a_folder_that_cannot_be_deleted_is_said_not_to_be_once_until_it_is() {
    let house = House::asked(Eyes::TWO).await;
    house.written().await.unwrap();
    let (inside, away) = (house.path("in"), house.path("away"));
    fs::rename(&inside, &away).unwrap();
    house.revoke().await;
    assert!(house.falls_due().await.unwrap());
    assert_eq!(house.purge(), Some(Deleted::NotDone));
    assert_eq!(house.row(Side::Requester).state(), State::Revoked);
    assert!(house.row(Side::Participant).notices.contains(NOT_DELETED));
    let said = house.row(Side::Participant).sent;
    for _ in 0..3 {
        assert_eq!(house.falls_due().await, Err(NOT_DELETED));
    }
    assert_eq!(house.row(Side::Participant).sent, said, "it is said once");
    fs::rename(&away, &inside).unwrap();
    assert!(house.falls_due().await.unwrap());
    assert_eq!(house.purge(), Some(Deleted::Done));
    assert_eq!(house.row(Side::Requester).state(), State::Purged);
    assert!(names(&inside).is_empty() && house.row(Side::Participant).notices.is_empty());
    assert_eq!(house.falls_due().await, Ok(false));
}

#[tokio::test]
async fn a_node_without_a_folder_says_that_nothing_was_ever_there() {
    let bed = Bed::at("2027-01-04T08:00:00Z").await;
    let id = bed.asked(1, "INTERNAL", "INTERNAL", weeks()).await;
    bed.deliver().await;
    let house = House { bed, id };
    house.revoke().await;
    assert!(house.falls_due().await.unwrap());
    assert_eq!(house.purge(), Some(Deleted::NeverThere));
}

#[tokio::test]
async fn what_cannot_be_written_is_a_notice_until_it_is_written_and_keeps_nobody_waiting() {
    let house = House::asked(Eyes::TWO).await;
    let inside = house.path("in");
    fs::remove_dir(&inside).unwrap();
    fs::write(&inside, b"in the way").unwrap();
    assert!(house.written().await.is_none());
    assert!(house.row(Side::Participant).notices.contains(NOT_WRITTEN));
    // It is tried again later and not at once.
    assert!(house.folder().take_changed(super::Instant::now()).is_empty());
    let later = super::Instant::now() + super::WAIT.1;
    assert_eq!(
        house.folder().take_changed(later),
        std::slice::from_ref(&house.id)
    );
    fs::remove_file(&inside).unwrap();
    house.written().await.unwrap();
    let page = house.written().await.unwrap();
    assert_eq!(page["notices"], json!([]));
    assert!(house.row(Side::Participant).notices.is_empty());
}

#[tokio::test]
async fn a_statement_is_submitted_once_also_when_a_process_ends_before_it_says_so() {
    let mut house = House::asked(Eyes::TWO).await;
    house.written().await.unwrap();
    let draft = json!({ "kind": "STATEMENT", "text": "Keine Bedenken. (fiktiv)", "author": "Referat", "attachments": ["a.pdf"] });
    let out = house.answers(&draft.to_string(), "ready");
    fs::write(out.join("a.pdf"), b"%PDF-1.7 fiktiv").unwrap();
    let drafted = house.taken(1).await;
    assert_eq!(
        (&drafted["accepted"], &drafted["submitted"]),
        (&json!(true), &json!(false))
    );
    assert!(!out.exists());
    let out = house.answers(&draft.to_string(), "submit");
    fs::write(out.join("a.pdf"), b"%PDF-1.7 fiktiv").unwrap();
    let submitted = house.taken(2).await;
    assert_eq!(submitted["submitted"], true, "{submitted}");
    assert_eq!(submitted["attachments"], drafted["attachments"]);
    let result = house
        .path("done")
        .join(format!("{}-2", house.id))
        .join("result.json");
    fs::remove_file(&result).unwrap();
    house.bed.restart().await;
    let again = house.taken(2).await;
    assert_eq!(
        (&again["submitted"], &again["statement_version"]),
        (&json!(true), &json!(1))
    );
    house.bed.deliver().await;
    let received = house.row(Side::Requester);
    assert_eq!(received.state(), State::Submitted);
    assert_eq!(received.expected().versions().len(), 1);
    // Another one is a newer version.
    let newer = json!({ "kind": "NO_OBJECTION", "author": "Referat" });
    house.answers(&newer.to_string(), "submit");
    assert_eq!(house.taken(3).await["statement_version"], 2);
}

#[tokio::test]
async fn one_statement_that_cannot_be_claimed_keeps_no_other_waiting() {
    let house = House::asked(Eyes::TWO).await;
    house.written().await.unwrap();
    let store = &house.casework().store;
    let key = |id: &Id| Process::Request(Side::Participant, id.clone()).key();
    let (worn, broken): (Id, Id) = (last_id(), last_id());
    let mut row = serde_json::to_value(house.row(Side::Participant)).unwrap();
    row["folder"]["submitted"] = json!(u32::MAX);
    for (id, row) in [(&worn, row), (&broken, json!("damaged"))] {
        store
            .run_tx("test", |tx| {
                tx.put(Table::Requests, &key(id), &row)
                    .map_err(TxError::<()>::from)
            })
            .await
            .unwrap();
        let out = house.path("out").join(id.to_string());
        fs::create_dir(&out).unwrap();
        fs::write(out.join("submit"), b"").unwrap();
    }
    house.answers(
        &json!({ "kind": "NO_OBJECTION", "author": "Referat" }).to_string(),
        "submit",
    );
    assert_eq!(house.taken(1).await["submitted"], true);
    let mut left = [worn.to_string(), broken.to_string()];
    left.sort_unstable();
    assert_eq!(names(&house.path("out")), left);
    assert_eq!(names(&house.path("done")), [format!("{}-1", house.id)]);
}

#[tokio::test]
async fn statements_of_one_request_are_taken_up_in_their_order() {
    let house = House::asked(Eyes::TWO).await;
    house.written().await.unwrap();
    let draft = json!({ "kind": "NO_OBJECTION", "author": "Referat" }).to_string();
    house.answers(&draft, "submit");
    house.folder().place.claim(&house.id, 0).unwrap();
    house.answers(&draft, "submit");
    let later = super::Instant::now() + super::WAIT.0;
    let mut open = BTreeMap::from([((house.id.clone(), 1), Some((later, 1)))]);
    house.casework().take_answers(house.folder(), &mut open).await;
    let waiting: Vec<u32> = open.keys().map(|(_, number)| *number).collect();
    assert_eq!(waiting, [1, 2]);
    assert!(house.row(Side::Participant).expected().versions().is_empty());
    assert_eq!(house.taken(1).await["statement_version"], 1);
    assert_eq!(house.row(Side::Participant).expected().versions().len(), 2);
    // What was submitted before the last one is not submitted again where its result is gone.
    let first = house.path("done").join(format!("{}-1", house.id));
    fs::remove_file(first.join("result.json")).unwrap();
    assert_eq!(house.taken(1).await["submitted"], true);
    assert_eq!(house.row(Side::Participant).expected().versions().len(), 2);
}

/// An id behind those that come by chance.
fn last_id() -> Id {
    let id = random_id().to_string();
    format!("ffffffff{}", &id[8..]).try_into().unwrap()
}

#[tokio::test]
async fn with_four_eyes_a_statement_stays_a_draft_for_a_person() {
    let house = House::asked(Eyes::FOUR).await;
    house.written().await.unwrap();
    house.answers(
        &json!({ "kind": "NO_OBJECTION", "author": "Referat" }).to_string(),
        "submit",
    );
    let result = house.taken(1).await;
    assert_eq!(
        (&result["accepted"], &result["submitted"]),
        (&json!(true), &json!(false))
    );
    assert_eq!(result["problem"]["code"], "release_second_pair");
    let row = house.row(Side::Participant);
    assert!(row.expected().versions().is_empty() && row.work.is_some());
    assert!(house.casework().desk(&row).unwrap().statement.is_some());
}

#[tokio::test]
async fn what_cannot_be_taken_is_refused_with_what_to_do_and_leaves_no_draft() {
    let house = House::asked(Eyes::TWO).await;
    house.written().await.unwrap();
    let named = |name: &str| {
        json!({ "kind": "NO_OBJECTION", "author": "Referat", "attachments": [name] }).to_string()
    };
    let mut number = 0;
    let mut refused = async |statement: &str, prepare: &dyn Fn(&Path), code: &str| {
        let out = house.answers(statement, "submit");
        prepare(&out);
        number += 1;
        let result = house.taken(number).await;
        assert_eq!(
            (&result["accepted"], &result["problem"]["code"]),
            (&json!(false), &json!(code)),
            "{result}"
        );
    };
    refused("{", &|_| {}, "malformed").await;
    refused(
        "{}",
        &|out| fs::remove_file(out.join("statement.json")).unwrap(),
        "folder_file_missing",
    )
    .await;
    refused(&named("../../in/x"), &|_| {}, "folder_name_unsafe").await;
    refused(&named("missing.pdf"), &|_| {}, "folder_file_missing").await;
    refused(
        &named("dir"),
        &|out| fs::create_dir(out.join("dir")).unwrap(),
        "folder_not_plain",
    )
    .await;
    refused(
        &named("link"),
        &|out| symlink("statement.json", out.join("link")).unwrap(),
        "folder_not_plain",
    )
    .await;
    refused(
        &named("huge"),
        &|out| {
            fs::File::create(out.join("huge"))
                .unwrap()
                .set_len(MAX_FILE + 1)
                .unwrap()
        },
        "file_too_large",
    )
    .await;
    refused(
        "{}",
        &|out| {
            fs::File::create(out.join("statement.json"))
                .unwrap()
                .set_len(1 << 40)
                .unwrap();
        },
        "body_too_large",
    )
    .await;
    refused(
        "{}",
        &|out| {
            fs::remove_file(out.join("statement.json")).unwrap();
            symlink("/etc/hostname", out.join("statement.json")).unwrap();
        },
        "folder_not_plain",
    )
    .await;
    assert!(house.row(Side::Participant).work.is_none());
    // A request that is not in the folder is not answered from it.
    let other = random_id();
    let out = house.path("out").join(other.to_string());
    fs::create_dir(&out).unwrap();
    fs::write(out.join("submit"), b"").unwrap();
    let mut open = BTreeMap::new();
    house.casework().take_answers(house.folder(), &mut open).await;
    let result = house.path("done").join(format!("{other}-1")).join("result.json");
    let result: Value = serde_json::from_slice(&fs::read(result).unwrap()).unwrap();
    assert_eq!(result["problem"]["code"], "not_found");
}

#[tokio::test]
async fn only_requests_of_the_units_that_are_named_are_written_and_none_to_a_guest() {
    let house = House::asked(Eyes::TWO).await;
    let mut row = house.row(Side::Participant);
    let of = |units: &[&str]| {
        Folder::new(&settings::Folder {
            dir: house.bed.dir().to_owned(),
            units: units.iter().map(|unit| (*unit).to_owned()).collect(),
        })
    };
    assert!(of(&[]).covers(&row) && of(&["u-1", "u-2"]).covers(&row));
    assert!(!of(&["u-2"]).covers(&row));
    assert!(!of(&[]).covers(&house.row(Side::Requester)));
    row.body.hosted = Some(format!("guest/{}", random_id()));
    assert!(!of(&[]).covers(&row));
}
