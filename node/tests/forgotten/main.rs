//! The promise of deletion, shown by a tool that shares no code with the node: with the master key, every file of today and a
//! copy of the data (not of the keys) from before, a living message opens byte for byte and a deleted one does not; and
//! whoever guesses what a deleted message said finds nothing that confirms it. Beside each stands the same try where it
//! must succeed: with a copy of the keys, or about a living message.

#![expect(
    clippy::unwrap_used,
    reason = "a test that cannot go on should stop where it stands"
)]

mod guess;
mod tool;

use std::{
    fs,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use bytes::Bytes;
use kontor_node::{
    clock::ManualClock,
    disk::SystemDisk,
    messagelog::{
        BatchSignature, EntryKind, Given, LogSettings, LoggedBody, MessageLog, NewEntry, OpenLog, Part,
        PurgeOrder,
    },
};
use kontor_pki::{crypto::sha512, sealed::MasterKey, time::UnixTime};

use tool::{Files, Opened, Tool, files_of, without_keys};

const MASTER: [u8; 32] = [7; 32];
const MESSAGES: u64 = 60;
/// Deleted: some with a body in a content file, one beside a living message under the same signature document.
const DELETED: [u64; 5] = [3, 8, 9, 25, 26];

/// A message as it was sent; all of it is fictional.
struct Sent {
    path: String,
    query_id: String,
    request_id: String,
    message: String,
    body: Vec<u8>,
    chain: String,
    document: String,
}

impl Sent {
    fn new(id: u64) -> Self {
        let path = format!("/r1/TEST/GOV/1002/antrag/register/persons/erika-beispiel-{id:04}");
        let (query_id, request_id) = (format!("antrag-4711-{id:04}"), uuid::Uuid::new_v4().to_string());
        let message = format!(
            "GET {path} HTTP/1.1\r\nx-road-client: TEST/GOV/1001/antrag\r\nx-road-id: {query_id}\r\n\
             x-road-request-id: {request_id}\r\n\r\n"
        );
        let size = if id % 5 == 3 { 150_000 } else { 300 };
        let body = format!("body of {id} ").into_bytes().repeat(size / 10);
        let document = format!("<signatures of='{}'>{}</signatures>", batch(id), "s".repeat(600));
        let chain = format!("<chain of='{id}'>{}</chain>", sha512(message.as_bytes())[0]);
        Self {
            path,
            query_id,
            request_id,
            message,
            body,
            chain,
            document,
        }
    }

    fn opened(&self) -> Opened {
        Opened {
            message: Some(self.message.clone().into()),
            chain: Some(self.chain.clone().into()),
            document: Some(self.document.clone().into()),
            body: Some(self.body.clone()),
        }
    }

    /// What somebody who knows all but the request id can say.
    fn known(&self) -> Vec<String> {
        let without = self
            .message
            .replace(&format!("x-road-request-id: {}\r\n", self.request_id), "");
        let name = self.path.rsplit('/').next().unwrap();
        let mut known = vec![self.path.clone(), name.into(), self.query_id.clone(), without];
        let lines = self
            .message
            .lines()
            .filter(|line| line.starts_with("GET") || line.contains("x-road-id"));
        known.extend(lines.map(str::to_owned));
        known
    }

    /// What only somebody who has the message can say.
    fn whole(&self) -> Vec<String> {
        let body = String::from_utf8(self.body.clone()).unwrap();
        vec![self.message.clone(), self.request_id.clone(), body]
    }
}

/// 8 and 9 are deleted with all of their batch; 3 shares one with 2, which lives.
fn batch(id: u64) -> u64 {
    id / 2
}

fn open(dir: &Path) -> MessageLog {
    MessageLog::open(OpenLog {
        dir: dir.into(),
        disk: Arc::new(SystemDisk),
        master: MasterKey::from_bytes(MASTER),
        settings: LogSettings {
            first_segment_bytes: 16 * 1024,
            segment_bytes: 32 * 1024,
            reserve: 0,
            ..LogSettings::default()
        },
        server: "TEST/GOV/1001/ss1".parse().unwrap(),
        test: true,
        clock: ManualClock::at(UnixTime::parse_rfc3339("2030-01-31T12:00:00Z").unwrap()),
    })
    .unwrap()
}

/// Until the search index is at the end of the log; it has a thread of its own.
async fn indexed(log: &MessageLog) {
    for _ in 0..3000 {
        if log.index().open && log.index().position == log.stats().entries {
            return;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    panic!("the index does not come to the end of the log: {:?}", log.index());
}

fn copy(from: &Files, to: &Path) -> PathBuf {
    for (name, bytes) in from {
        let path = to.join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, bytes).unwrap();
    }
    let indexes = fs::read_dir(to.join("log/index")).unwrap();
    let mut indexes = indexes
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.is_dir());
    indexes.next().unwrap()
}

/// A log before and after some of its messages were deleted.
struct Scene {
    dir: tempfile::TempDir,
    sent: Vec<Sent>,
    before: Files,
    today: Files,
}

async fn scene() -> Scene {
    let dir = tempfile::tempdir().unwrap();
    let data = dir.path().join("data");
    let sent: Vec<_> = (0..MESSAGES).map(Sent::new).collect();
    let log = open(&data);
    for message in &sent {
        let body = Bytes::from(message.body.clone());
        let digest = sha512(&body);
        let body = match body.len() {
            length if length > 64 * 1024 => {
                let mut spooled = log.spool();
                spooled.write(body).await.unwrap();
                LoggedBody::Content(spooled.finish().await.unwrap(), digest)
            }
            _ => LoggedBody::Inline(body, digest),
        };
        let entry = NewEntry {
            kind: EntryKind::RequestSent,
            answers: None,
            client: "TEST/GOV/1001/antrag".parse().unwrap(),
            service: "TEST/GOV/1002/antrag/register".parse().unwrap(),
            client_server: Some("TEST/GOV/1001/ss1".parse().unwrap()),
            provider_server: None,
            query_id: message.query_id.clone(),
            request_id: message.request_id.clone(),
            message_digest: sha512(message.message.as_bytes()),
            request: Bytes::new(),
            message: message.message.clone().into(),
            body,
            signature: BatchSignature::new(message.document.clone().into(), None),
            chain: Some(message.chain.clone().into()),
        };
        log.append(entry).await.unwrap();
    }
    indexed(&log).await;
    log.shutdown().await;
    drop(log);
    let before = files_of(&data);

    let log = open(&data);
    indexed(&log).await;
    let given = Given {
        numbers: DELETED.into_iter().collect(),
        parts: Part::ALL.to_vec(),
        by: Some("a court".into()),
        who: "uid:0".into(),
    };
    let order = PurgeOrder {
        given: Some(given),
        ..PurgeOrder::due("order of a court", false)
    };
    let report = log.purge(order).await.unwrap();
    assert_eq!(report.deletions.len(), 3, "{report:?}");
    assert_eq!(report.content_files, 2, "{report:?}");
    indexed(&log).await;
    log.shutdown().await;
    drop(log);
    let today = files_of(&data);
    Scene {
        dir,
        sent,
        before,
        today,
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_tool_of_its_own_opens_the_living_and_with_no_key_of_today_the_deleted() {
    let Scene {
        sent, before, today, ..
    } = scene().await;
    let old_data = without_keys(&before);
    let mut tool = Tool::new(&MASTER, &[&old_data, &today]);
    for (number, sent) in (0..).zip(&sent) {
        let opened = tool.open(number);
        if DELETED.contains(&number) {
            assert_eq!(opened, Opened::default(), "{number} was deleted");
        } else {
            assert_eq!(opened, sent.opened(), "{number} lives");
        }
    }
    // Nor does a key that some other entry gave away open what was only theirs.
    let content = tool.content_ids();
    assert_eq!(content.iter().filter(|id| tool.content(id).is_none()).count(), 2);
    let closed = tool.documents();
    let closed: Vec<_> = closed
        .iter()
        .filter(|(segment, name)| tool.document(*segment, *name).is_none())
        .collect();
    assert!(!closed.is_empty(), "documents of 8 and 9 lie in the copy");

    // The tool is able: with a copy of the keys the same files open.
    let mut able = Tool::new(&MASTER, &[&before, &today]);
    for number in DELETED {
        assert_eq!(able.open(number), sent[number as usize].opened(), "{number}");
    }
    // And a master key is needed at all.
    let refused = std::panic::catch_unwind(|| Tool::new(&[8; 32], &[&before]));
    assert!(refused.is_err(), "no key file opens with another master key");
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_guesses_a_deleted_message_finds_nothing_that_confirms_it() {
    let scene = scene().await;
    let (sent, old_data) = (&scene.sent, without_keys(&scene.before));
    let old_index = copy(&old_data, &scene.dir.path().join("old"));
    let new_index = copy(&scene.today, &scene.dir.path().join("new"));
    let tool = Tool::new(&MASTER, &[&old_data, &scene.today]);
    let files = [&old_data, &scene.today];
    for number in DELETED {
        let sent = &sent[number as usize];
        // Not even who has the whole message can tie it to the log: head and evidence are gone.
        for texts in [sent.known(), sent.whole()] {
            let found = guess::confirm(&texts, &tool, &files, &[&old_index, &new_index]);
            assert!(found.is_empty(), "{number} is confirmed by {found:?}");
        }
    }
    // A living one is confirmed by what opens and by the index of today.
    let found = guess::confirm(&sent[10].known(), &tool, &files, &[&new_index]);
    for place in ["the text in what opens", "a keyed mark in the index"] {
        assert!(found.contains(place), "{place}: {found:?}");
    }
    let found = guess::confirm(&sent[10].whole(), &tool, &files, &[]);
    assert!(found.contains("a digest in what opens"), "{found:?}");
    // And the deleted one by the same means, had the keys of then been kept.
    let tool = Tool::new(&MASTER, &[&scene.before, &scene.today]);
    let found = guess::confirm(&sent[8].known(), &tool, &[], &[&old_index]);
    for place in ["the text in what opens", "a keyed mark in the index"] {
        assert!(found.contains(place), "{place}: {found:?}");
    }
}
