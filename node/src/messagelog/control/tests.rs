//! Evidence from a real signature to a judged container, over the socket of a log that runs and without one.

use std::{
    fs::File,
    sync::{
        Mutex,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
};

use bytes::Bytes;
use kontor_pki::{
    authority::{CaParams, CertificateAuthority, OcspResponder, TimestampAuthority, Validity},
    crypto::sha512,
    ocsp::CertStatus,
    profile::{CertificateProfile, ProfileMember, Subject},
    sealed::MasterKey,
    signing::{KeyAlgorithm, SigningKey, SoftwareKey},
    time::UnixTime,
};
use kontor_protocol::{
    container::{
        Verdict,
        check::{Question as Asked, check},
    },
    log::binding::{Binding, Statement},
    rest::RestRequest,
    signature::{SignedObject, SignerInfo, prepare},
    trust::{
        InstanceConfig, TrustSet,
        optional::OptionalParts,
        shared::{ApprovedCa, ApprovedTsa, CaInfo, SecurityServer, SharedParams},
    },
};
use tokio::net::TcpListener;

use super::*;
use super::{
    client::Control,
    export::{Selection, Told},
    search::SearchTold,
};
use crate::{
    clock::ManualClock,
    disk::SystemDisk,
    messagelog::{
        BatchSignature, EntryKind, Filter, LogSettings, LoggedBody, NewEntry, OpenLog, PartState, Written,
    },
};

const MINUTE: Duration = Duration::from_secs(60);

pub(crate) fn now() -> UnixTime {
    UnixTime::parse_rfc3339("2030-01-31T12:00:00Z").unwrap()
}

/// A member that signs, and the federation that vouches for it, with a time-stamp authority that counts its tokens.
pub(crate) struct World {
    pub(crate) dir: tempfile::TempDir,
    pub(crate) key: SoftwareKey,
    pub(crate) signer: SignerInfo,
    pub(crate) trust: Arc<TrustSet>,
    /// What the trust is made of, so that a test can approve further authorities.
    pub(crate) shared: SharedParams,
    pub(crate) tokens: Arc<AtomicU64>,
    /// Whether the authority answers with an error.
    pub(crate) down: Arc<AtomicBool>,
}

impl World {
    pub(crate) async fn new() -> Self {
        let params = CaParams {
            name: "Test CA".into(),
            organization: "Nobody".into(),
            test: true,
            key: KeyAlgorithm::EcdsaP256,
            validity: Validity::days(now(), 100),
        };
        let ca = CertificateAuthority::generate(&params).unwrap();
        let validity = Validity::days(now(), 50);
        let key = SoftwareKey::generate(KeyAlgorithm::EcdsaP256).unwrap();
        let member = ProfileMember {
            instance: "TEST".into(),
            class: "GOV".into(),
            code: "1001".into(),
        };
        let subject = CertificateProfile::Ejbca.signing_subject(&member, "Musterstadt");
        let certificate = ca.issue_signing(key.public_key(), subject, validity).unwrap();
        let responder = OcspResponder::new(ca.certificate().clone(), ca.key().clone(), 10 * MINUTE).unwrap();
        let ocsp = responder
            .respond_for(&certificate, ca.certificate(), CertStatus::Good, now(), None)
            .unwrap();

        let tsa_key = Arc::new(SoftwareKey::generate(KeyAlgorithm::EcdsaP256).unwrap());
        let subject = Subject::common_name("Test TSA");
        let tsa = ca.issue_tsa(tsa_key.public_key(), subject, validity).unwrap();
        let authority = TimestampAuthority::new(tsa.clone(), tsa_key).unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/tsa", listener.local_addr().unwrap());
        let tokens = Arc::new(AtomicU64::new(0));
        let down = Arc::new(AtomicBool::new(false));
        tokio::spawn(stamps(
            listener,
            authority,
            Arc::clone(&tokens),
            Arc::clone(&down),
        ));

        let info = CaInfo {
            certificate: ca.certificate().der().to_vec(),
            ocsp: vec![],
        };
        let shared = SharedParams {
            instance: "TEST".into(),
            authorities: vec![ApprovedCa {
                name: "Test CA".into(),
                authentication_only: false,
                top: info,
                intermediates: vec![],
                profile_class: CertificateProfile::Ejbca.class_name(),
                csr_format: None,
                acme: None,
            }],
            tsas: vec![
                // The first in the file does not answer; the next one is asked.
                ApprovedTsa {
                    cost: None,
                    name: "gone".into(),
                    url: "http://127.0.0.1:1/".into(),
                    certificate: tsa.der().to_vec(),
                },
                ApprovedTsa {
                    cost: None,
                    name: "TSA".into(),
                    url,
                    certificate: tsa.der().to_vec(),
                },
            ],
            servers: vec![SecurityServer {
                id: "TEST/GOV/1001/ss1".parse().unwrap(),
                address: None,
                authentication_hashes: vec![],
                clients: vec!["TEST/GOV/1001/antrag".parse().unwrap()],
                maintenance: None,
            }],
            ..SharedParams::default()
        };
        let optional = OptionalParts::default();
        let config = InstanceConfig {
            instance: "TEST".into(),
            shared: shared.clone(),
            private: None,
            optional,
            version: 3,
            expires: None,
        };
        let trust = Arc::new(TrustSet::new("TEST", vec![config]).unwrap());
        let signer = SignerInfo::new(&certificate, &ocsp, &[]);
        Self {
            dir: tempfile::tempdir().unwrap(),
            key,
            signer,
            trust,
            shared,
            tokens,
            down,
        }
    }

    pub(crate) fn log(&self) -> MessageLog {
        self.log_with(ManualClock::at(now()), LogSettings::default())
    }

    pub(crate) fn log_with(&self, clock: Arc<ManualClock>, settings: LogSettings) -> MessageLog {
        MessageLog::open(self.opening(clock, settings)).unwrap()
    }

    pub(crate) fn opening(&self, clock: Arc<ManualClock>, settings: LogSettings) -> OpenLog {
        OpenLog {
            dir: self.dir.path().join("data"),
            disk: Arc::new(SystemDisk),
            master: MasterKey::from_bytes([7; 32]),
            settings: LogSettings {
                reserve: 0,
                ..settings
            },
            server: "TEST/GOV/1001/ss1".parse().unwrap(),
            test: true,
            clock,
        }
    }

    pub(crate) fn timestamper(&self) -> Timestamper {
        let trust = Arc::clone(&self.trust);
        Timestamper::new(vec![], Arc::new(move || Some(Arc::clone(&trust))))
    }

    /// A signed request without a body.
    pub(crate) fn request(&self, query_id: &str) -> NewEntry {
        let headers: [(&[u8], &[u8]); 2] = [
            (b"X-Road-Client", b"TEST/GOV/1001/antrag"),
            (b"X-Road-Id", query_id.as_bytes()),
        ];
        let target = "/r1/TEST/GOV/1002/antrag/intake/applications";
        let rest = RestRequest::build(
            "POST",
            target,
            headers,
            "4c6cb1a3-0d8c-4b58-a3b1-3f5db1f5e3a5",
            "x",
        )
        .unwrap();
        let message = rest.bytes().clone();
        let digest = sha512(&message);
        let algorithm = self.key.key_algorithm().message_algorithm();
        let prepared = prepare(&self.signer, SignedObject::Message(digest), algorithm, now());
        let document = prepared.sign(&self.key).unwrap();
        NewEntry {
            kind: EntryKind::RequestSent,
            answers: None,
            client: rest.client().clone(),
            service: rest.service().clone(),
            client_server: Some("TEST/GOV/1001/ss1".parse().unwrap()),
            provider_server: None,
            query_id: rest.query_id().into(),
            request: Bytes::new(),
            request_id: rest.request_id().into(),
            message,
            message_digest: digest,
            body: LoggedBody::None,
            signature: BatchSignature::new(document.into(), None),
            chain: None,
        }
    }

    /// Has the member answer for the key that signs checkpoints.
    pub(crate) async fn bind(&self, log: &MessageLog) {
        let [key, _] = log.ledger_keys();
        let second = u64::try_from(now().secs()).unwrap();
        let statement = Statement::new(key, "TEST/GOV/1001".parse().unwrap(), second).unwrap();
        let object = SignedObject::Message(sha512(statement.to_string().as_bytes()));
        let algorithm = self.key.key_algorithm().message_algorithm();
        let signature = prepare(&self.signer, object, algorithm, now())
            .sign(&self.key)
            .unwrap();
        let binding = Binding {
            statement,
            signature,
            chain: None,
        };
        log.bind_ledger_key(binding).await.unwrap();
    }

    pub(crate) fn verdict(&self, written: &Written) -> (Verdict, Vec<String>) {
        let companion = std::fs::read(&written.companion).unwrap();
        let asked = Asked {
            trust: &self.trust,
            at: None,
            companion: Some(&companion),
        };
        let report = check(File::open(&written.container).unwrap(), &asked);
        (
            report.verdict,
            report
                .reasons
                .into_iter()
                .map(|reason| format!("{}: {}", reason.code, reason.text))
                .collect(),
        )
    }

    pub(crate) fn out(&self) -> PathBuf {
        let out = self.dir.path().join("out");
        std::fs::create_dir_all(&out).unwrap();
        out
    }
}

/// One HTTP answer per connection, with a token of `now`.
async fn stamps(
    listener: TcpListener,
    authority: TimestampAuthority,
    tokens: Arc<AtomicU64>,
    down: Arc<AtomicBool>,
) {
    let answer = |query: &[u8]| {
        let serial = tokens.fetch_add(1, Ordering::SeqCst) + 1;
        authority.respond(query, now(), serial)
    };
    while let Ok((mut stream, _)) = listener.accept().await {
        let (mut asked, mut buffer) = (Vec::new(), [0; 4096]);
        let query = loop {
            let read = stream.read(&mut buffer).await.unwrap();
            asked.extend_from_slice(&buffer[..read]);
            let Some(head) = asked.windows(4).position(|window| window == b"\r\n\r\n") else {
                continue;
            };
            let text = String::from_utf8_lossy(&asked[..head]).to_lowercase();
            assert!(text.contains("content-type: application/timestamp-query"));
            let length: usize = text
                .split("content-length: ")
                .nth(1)
                .unwrap()
                .lines()
                .next()
                .unwrap()
                .parse()
                .unwrap();
            if asked.len() >= head + 4 + length {
                break asked[head + 4..].to_vec();
            }
        };
        if down.load(Ordering::SeqCst) {
            let refusal = b"HTTP/1.1 500 Out of order\r\nContent-Length: 0\r\nConnection: close\r\n\r\n";
            stream.write_all(refusal).await.unwrap();
            continue;
        }
        let token = answer(&query);
        let head = format!(
            "HTTP/1.1 200 OK\r\nContent-Length: {}\r\nConnection: close\r\n\r\n",
            token.len()
        );
        stream
            .write_all(&[head.as_bytes(), &token].concat())
            .await
            .unwrap();
    }
}

fn by_query_id(query_id: &str) -> Selection {
    let query_id = Some(query_id.into());
    Selection::Every(Box::new(Filter {
        query_id,
        ..Filter::default()
    }))
}

/// Asks as a command does, on a thread of its own.
async fn ask(dir: &Path, selection: Selection, unstamped: bool, out: &Path) -> (Vec<Written>, Vec<String>) {
    let (dir, out) = (dir.to_owned(), out.to_owned());
    let asking = move || {
        let (mut written, mut refused) = (Vec::new(), Vec::new());
        let control = Control::connect(&dir).unwrap().expect("a node listens");
        control
            .export(selection, (unstamped, false), &mut |told| {
                match told {
                    Told::Entry(exported) => written.push(exported.write(&out)?),
                    Told::Refused { code, .. } => refused.push(code),
                    Told::Statement { notes, .. } => refused.extend(notes),
                    Told::Partial(..) | Told::Progress(..) => {}
                }
                Ok(())
            })
            .unwrap();
        (written, refused)
    };
    tokio::task::spawn_blocking(asking).await.unwrap()
}

#[tokio::test]
async fn an_exported_container_is_valid_stamped_once_and_tied_to_its_leaf() {
    let world = World::new().await;
    let log = world.log();
    let number = log.append(world.request("id-1")).await.unwrap().number;
    let first = log.export(number, Some(&world.timestamper())).await.unwrap();
    assert_eq!(first.name, "id-1-request-0");
    let stamped = first.signatures.clone();
    let written = first.write(&world.out()).unwrap();
    assert_eq!(world.verdict(&written), (Verdict::Valid, vec![]));
    assert_eq!(log.stats().entries, 2, "the token is an entry");
    // The log is closed and opened: the token is found again, nobody is asked.
    log.shutdown().await;
    let again = world
        .log()
        .export(number, Some(&world.timestamper()))
        .await
        .unwrap();
    assert_eq!(again.signatures, stamped);
    assert_eq!(world.tokens.load(Ordering::SeqCst), 1);
}

#[tokio::test]
async fn a_command_gets_its_containers_over_the_socket() {
    let world = World::new().await;
    let (log, shutdown) = (world.log(), Shutdown::default());
    log.serve_control(world.timestamper(), &shutdown).unwrap();
    let data = world.dir.path().join("data");
    let mode = std::fs::metadata(data.join("control.sock"))
        .unwrap()
        .permissions()
        .mode()
        & 0o777;
    assert_eq!(mode, 0o600);

    // A body that is streamed, and a direct signature cannot cover: the container says so, but has every byte of it.
    let body = Bytes::from((0..200_000).map(|at| (at % 251) as u8).collect::<Vec<_>>());
    let mut spooled = log.spool();
    spooled.write(body.clone()).await.unwrap();
    let content = LoggedBody::Content(spooled.finish().await.unwrap(), sha512(&body));
    log.append(NewEntry {
        body: content,
        ..world.request("large/1")
    })
    .await
    .unwrap();
    for _ in 0..3 {
        log.append(world.request("same")).await.unwrap();
    }

    let (written, refused) = ask(&data, by_query_id("same"), false, &world.out()).await;
    assert_eq!((written.len(), refused.len()), (3, 0));
    for written in &written {
        assert_eq!(world.verdict(written), (Verdict::Valid, vec![]));
    }
    let (written, refused) = ask(&data, Selection::Number(0), true, &world.out()).await;
    assert_eq!((written.len(), refused.len()), (1, 0));
    assert!(written[0].container.ends_with("large%2F1-request-0.asice"));
    let container =
        kontor_protocol::container::Container::read(File::open(&written[0].container).unwrap()).unwrap();
    assert_eq!(container.attachments[0].length, body.len() as u64);
    let digest = container.attachments[0].digest(kontor_pki::crypto::DigestAlgorithm::Sha512);
    assert_eq!(digest, Some(&sha512(&body)[..]));

    let (written, refused) = ask(&data, Selection::Number(99), false, &world.out()).await;
    assert_eq!(
        (written.len(), refused),
        (0, vec!["log_entry_not_found".to_owned()])
    );
    // Entry 4 is the first token.
    let (_, refused) = ask(&data, Selection::Number(4), false, &world.out()).await;
    assert_eq!(refused, ["log_entry_unsuited"]);
    let (written, refused) = ask(&data, by_query_id("none"), false, &world.out()).await;
    assert!(written.is_empty() && refused.is_empty());

    assert!(shutdown.finish(Duration::from_secs(5)).await);
    assert!(
        Control::connect(&data).unwrap().is_none(),
        "nobody listens any more"
    );
}

#[tokio::test]
async fn a_message_without_a_reachable_authority_is_exported_only_if_asked_for_unstamped() {
    let world = World::new().await;
    let log = world.log();
    let number = log.append(world.request("id-1")).await.unwrap().number;
    let trust = Arc::clone(&world.trust);
    let unreachable = vec!["http://127.0.0.1:1/".to_owned()];
    let timestamper = Timestamper::new(unreachable, Arc::new(move || Some(Arc::clone(&trust))));
    let refused = log
        .export(number, Some(&timestamper))
        .await
        .map(|_| ())
        .unwrap_err();
    assert_eq!(refused.code(), "timestamp_refused");
    assert!(refused.to_string().contains("127.0.0.1:1"), "{refused}");
    let nobody = Timestamper::new(vec![], Arc::new(|| None));
    let refused = log.export(number, Some(&nobody)).await.map(|_| ()).unwrap_err();
    assert_eq!(refused.code(), "timestamp_no_trust");
    let written = log
        .export(number, None)
        .await
        .unwrap()
        .write(&world.out())
        .unwrap();
    assert_eq!(world.verdict(&written).0, Verdict::Incomplete);
}

#[tokio::test]
async fn a_command_searches_and_looks_at_one_entry_over_the_socket() {
    let world = World::new().await;
    let (log, shutdown) = (world.log(), Shutdown::default());
    log.serve_control(world.timestamper(), &shutdown).unwrap();
    let data = world.dir.path().join("data");
    let body = Bytes::from_static(b"a body");
    for query_id in ["one", "two", "one"] {
        log.append(NewEntry {
            body: LoggedBody::Inline(body.clone(), sha512(&body)),
            ..world.request(query_id)
        })
        .await
        .unwrap();
    }
    let asking = move || {
        let connect = || Control::connect(&data).unwrap().expect("a node listens");
        let search = |filter: Filter, limit| {
            let (mut found, mut more) = (Vec::new(), None);
            connect()
                .search(&filter, limit, &mut |told| {
                    match told {
                        SearchTold::Found(entry) => found.push(entry),
                        SearchTold::More(first) => more = Some(first),
                        SearchTold::Partial(..) | SearchTold::Progress(..) => {}
                    }
                    Ok(())
                })
                .unwrap();
            (found, more)
        };
        let Selection::Every(filter) = by_query_id("one") else {
            unreachable!()
        };
        let (found, more) = search(*filter, 10);
        let numbers: Vec<_> = found.iter().map(|entry| entry.number).collect();
        assert_eq!((numbers, more), (vec![0, 2], None));
        assert_eq!(found[0].service.as_deref(), Some("TEST/GOV/1002/antrag/intake"));
        assert_eq!(found[0].body, PartState::There);
        let (found, more) = search(Filter::default(), 2);
        assert_eq!((found.len(), more), (2, Some(2)));

        let (mut shown, mut bytes) = (None, Vec::new());
        connect()
            .show(1, true, &mut |entry, pieces| {
                shown = Some(entry);
                let mut pieces = pieces.unwrap();
                while let Some(piece) = pieces()? {
                    bytes.extend(piece);
                }
                Ok(())
            })
            .unwrap();
        let shown = shown.unwrap();
        assert_eq!(shown.found.query_id.as_deref(), Some("two"));
        assert_eq!((shown.body_bytes, &bytes[..]), (Some(6), &b"a body"[..]));
        assert_eq!(shown.parts[1].name, "attachment1");
        let missing = connect().show(99, false, &mut |_, _| Ok(())).unwrap_err();
        assert!(missing.to_string().contains("no entry 99"), "{missing}");
    };
    tokio::task::spawn_blocking(asking).await.unwrap();
    assert!(shutdown.finish(Duration::from_secs(5)).await);
}

#[tokio::test]
async fn a_socket_path_longer_than_an_address_still_works() {
    let world = World::new().await;
    let long = world.dir.path().join("d".repeat(120));
    std::fs::create_dir(&long).unwrap();
    let address = Address::of(&long).unwrap();
    let _listener = UnixListener::bind(&address.path).unwrap();
    assert!(Control::connect(&long).unwrap().is_some());
}

#[tokio::test]
async fn what_is_no_question_is_answered_with_an_error() {
    let world = World::new().await;
    let (log, shutdown) = (world.log(), Shutdown::default());
    log.serve_control(world.timestamper(), &shutdown).unwrap();
    let seen = Mutex::new(Vec::new());
    for question in [
        "",
        "{}\n",
        "[1,2\n",
        "{\"op\":\"export\"}\n",
        "{\"op\":\"export\",\"number\":1,\"filter\":{}}\n",
        "{\"op\":\"export\",\"filter\":{\"client\":\"a\"}}\n",
        "{\"op\":\"search\",\"limit\":1}\n",
        "{\"op\":\"show\"}\n",
    ] {
        let mut stream = UnixStream::connect(world.dir.path().join("data/control.sock"))
            .await
            .unwrap();
        stream.write_all(question.as_bytes()).await.unwrap();
        stream.shutdown().await.unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.unwrap();
        assert!(
            answer.starts_with("{\"error\":{\"number\":null,\"code\":\"malformed\""),
            "{question}: {answer}"
        );
        seen.lock().unwrap().push(answer);
    }
    assert_eq!(seen.lock().unwrap().len(), 8);
}
