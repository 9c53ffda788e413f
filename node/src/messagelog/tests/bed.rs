//! The bed of these tests: a log on a recording disk, entries with known content, and the check of a whole log from outside.

use std::{ops::ControlFlow, path::Path, sync::Arc};

use bytes::Bytes;
use kontor_pki::{crypto::sha512, sealed::MasterKey, time::UnixTime};
use kontor_protocol::log::{EntryKind as Kind, Leaf, parse_parts};

use crate::{
    clock::{Clock, ManualClock},
    disk::{Disk, recording::RecordingDisk},
    messagelog::{
        BatchSignature, EntryKind, LogError, LogSettings, LoggedBody, MessageLog, NewEntry, OpenLog, Receipt,
        blob::{Evidence, Head, Shared},
        read::{Reader, StoredBody},
        search::{Filter, Told, search},
    },
};

pub(super) const DIR: &str = "/data";

pub(super) fn clock() -> Arc<ManualClock> {
    ManualClock::at(UnixTime::parse_rfc3339("2030-01-31T23:59:00Z").unwrap())
}

pub(super) fn settings() -> LogSettings {
    LogSettings {
        first_segment_bytes: 16 * 1024,
        segment_bytes: 32 * 1024,
        reserve: 1024,
        ..LogSettings::default()
    }
}

pub(super) fn opening(disk: &RecordingDisk, clock: Arc<dyn Clock>) -> OpenLog {
    OpenLog {
        dir: DIR.into(),
        disk: Arc::new(disk.clone()),
        master: MasterKey::from_bytes([7; 32]),
        settings: settings(),
        server: "TEST/GOV/1001/ss1".parse().unwrap(),
        test: true,
        clock,
    }
}

pub(super) fn open(disk: &RecordingDisk) -> Result<MessageLog, LogError> {
    MessageLog::open(opening(disk, clock()))
}

pub(super) fn signature(batch: u64) -> Arc<BatchSignature> {
    let document = format!("<signatures batch='{batch}'>{}</signatures>", "s".repeat(600));
    BatchSignature::new(document.into(), Some(format!("<result {batch}/>").into()))
}

pub(super) fn message(id: u64) -> Bytes {
    format!(
        "GET /r1/TEST/GOV/1001/x HTTP/1.1\r\nx-road-id: query-{id}\r\n{}",
        "m".repeat((id % 7) as usize * 60)
    )
    .into()
}

/// An entry that [`check`] can recognise by its id.
pub(super) fn entry(kind: EntryKind, id: u64, answers: Option<u64>) -> NewEntry {
    let message = message(id);
    let body = Bytes::from(vec![id as u8; (id % 5) as usize * 100]);
    NewEntry {
        kind,
        answers,
        client: "TEST/GOV/1001/antrag".parse().unwrap(),
        service: "TEST/GOV/1002/antrag/intake".parse().unwrap(),
        client_server: Some("TEST/GOV/1001/ss1".parse().unwrap()),
        provider_server: None,
        query_id: format!("query-{id}"),
        request_id: format!("request-{id}"),
        message_digest: sha512(&message),
        request: Bytes::new(),
        message,
        body: match body.len() {
            0 => LoggedBody::None,
            _ => LoggedBody::Inline(body.clone(), sha512(&body)),
        },
        signature: signature(id / 4),
        chain: Some(format!("<chain {id}/>").into()),
    }
}

pub(super) fn request(id: u64) -> NewEntry {
    entry(EntryKind::RequestSent, id, None)
}

pub(super) fn response(id: u64, answers: u64) -> NewEntry {
    entry(EntryKind::ResponseReceived, id, Some(answers))
}

/// What stands at a number: the id of the message, or the fault of a closure with the number it closes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Found {
    Message(u64),
    Closure(u64, String),
    Token(Vec<u64>),
    Fact(Kind),
}

/// Reads the whole log and checks that every entry agrees with itself: leaf, commitment, digests, parts.
pub(super) fn check(log: &MessageLog) -> Result<Vec<Found>, LogError> {
    let mut reader = log.reader();
    let mut found = Vec::new();
    reader.scan(0, &mut |reader, entry| {
        let leaf = Leaf::parse(entry.leaf_bytes()).unwrap();
        assert_eq!(leaf.number, found.len() as u64, "numbers without gap");
        assert_eq!(entry.number, leaf.number);
        assert!(leaf.test);
        let opened = reader.evidence(entry)?;
        let evidence = Evidence::parse(&opened).unwrap();
        assert_eq!(
            kontor_protocol::log::commitment(&evidence.salt, evidence.parts),
            leaf.commitment
        );
        let parts = parse_parts(evidence.parts).unwrap();
        let part = |name: &str| parts.iter().find(|part| part.name == name);
        match leaf.kind {
            Kind::FailureClosure => {
                found.push(Found::Closure(
                    evidence.answers.unwrap(),
                    evidence.fault.unwrap().into(),
                ));
            }
            Kind::TimeStamp => found.push(Found::Token(evidence.covered)),
            kind if kind != Kind::Request && kind != Kind::Response => {
                for (name, bytes) in &evidence.documents {
                    assert_eq!(part(name).unwrap().digest, sha512(bytes));
                }
                if let Some(numbers) = evidence.concerned {
                    assert_eq!(part("numbers").unwrap().digest, sha512(numbers));
                }
                found.push(Found::Fact(kind));
            }
            _ => {
                let head = reader.head(entry)?.unwrap();
                let head = Head::parse(&head).unwrap();
                let id: u64 = head.query_id.strip_prefix("query-").unwrap().parse().unwrap();
                assert_eq!(head.message, message(id));
                assert_eq!(part("message.xml").unwrap().digest, sha512(head.message));
                let place = evidence.shared.unwrap();
                let shared = reader.shared(entry.number, &place)?;
                let shared = Shared::parse(&shared).unwrap();
                assert_eq!(shared.document, signature(id / 4).document());
                assert_eq!(part("signatures.xml").unwrap().digest, sha512(shared.document));
                assert_eq!(
                    part("sig-hashchain.xml").unwrap().digest,
                    sha512(evidence.chain.unwrap())
                );
                match reader.body(entry)? {
                    StoredBody::None => assert!(part("attachment1").is_none()),
                    StoredBody::Inline(body) => {
                        assert_eq!(part("attachment1").unwrap().digest, sha512(&body))
                    }
                    StoredBody::Content(mut chunks, _) => {
                        let mut body = Vec::new();
                        while let Some(chunk) = chunks.next_chunk()? {
                            body.extend(chunk);
                        }
                        assert_eq!(part("attachment1").unwrap().digest, sha512(&body));
                    }
                }
                found.push(Found::Message(id));
            }
        }
        Ok(ControlFlow::Continue(()))
    })?;
    assert_eq!(found.len() as u64, log.stats().entries);
    Ok(found)
}

/// Waits until the writer has ended the rounds of all entries acknowledged before. An append is answered once its entry and the
/// spooled body are synced; the body's file gets its last name after that answer.
pub(super) async fn settled(log: &MessageLog) {
    let nobody = Receipt {
        number: u64::MAX,
        leaf: [0; 32],
        second: 0,
    };
    let refused = log.close_failed(nobody, "nothing").await.unwrap_err();
    assert!(matches!(refused, LogError::NotFound { .. }), "{refused}");
}

pub(super) fn files(disk: &RecordingDisk, dir: &str) -> Vec<String> {
    disk.list(&Path::new(DIR).join("log").join(dir)).unwrap()
}

/// Numbers of the messages with a query id.
pub(super) fn find(reader: &mut Reader, query_id: &str) -> Vec<u64> {
    let (mut found, filter) = (
        Vec::new(),
        Filter {
            query_id: Some(query_id.into()),
            ..Filter::default()
        },
    );
    search(reader, &filter, &mut |_, told| {
        if let Told::Hit { entry, .. } = told {
            found.push(entry.number);
        }
        ControlFlow::Continue(())
    })
    .unwrap();
    found
}
