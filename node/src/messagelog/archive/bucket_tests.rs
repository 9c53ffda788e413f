//! Archives in a bucket of an S3 server that is not ours (`s3s-fs`), behind something that can fail in every way a network and
//! a store do.

use std::{
    path::PathBuf,
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
};

use bytes::Bytes;
use http_body_util::{BodyExt, Full, combinators::BoxBody};
use hyper::{Request, Response, StatusCode, body::Incoming, server::conn::http1, service::service_fn};
use hyper_util::rt::TokioIo;
use kontor_conformance::authority::{pem, stranger};
use kontor_conformance::wire::tls;
use kontor_pki::authority::{CertificateAuthority, Validity};
use kontor_pki::profile::Subject;
use kontor_pki::signing::{KeyAlgorithm, SigningKey, SoftwareKey};
use kontor_protocol::archive::Archive;
use s3s::{auth::SimpleAuth, service::S3ServiceBuilder};
use s3s_fs::FileSystem;
use tokio::io::{AsyncBufReadExt, AsyncRead, AsyncWrite, AsyncWriteExt, BufReader, copy_bidirectional};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;

use super::*;
use crate::{
    bucket::{Bucket, PIECE},
    clock::ManualClock,
    config::{ArchiveSettings, ArchiveTarget, BucketSettings, EgressSettings},
    messagelog::{
        LogSettings,
        control::tests::{World, now},
    },
};

const KEY: &str = "TESTKEYFICTIONAL";
const SECRET: &str = "a secret of the test, fictional";

/// What the network does with an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Weather {
    Fair,
    /// Every request gets 500.
    Ill,
    /// What is put is stored, and nobody hears of it.
    Deaf,
    /// Objects come back with another byte.
    Lying,
    /// Objects come back without their end.
    Short,
}

trait Both: AsyncRead + AsyncWrite + Send + Unpin {}

impl<S: AsyncRead + AsyncWrite + Send + Unpin> Both for S {}

struct Store {
    root: tempfile::TempDir,
    url: String,
    weather: Arc<Mutex<Weather>>,
    asked: Arc<AtomicUsize>,
}

impl Store {
    async fn new() -> Self {
        Self::over(None).await
    }

    /// Over TLS, with a certificate of this authority.
    async fn secure(ca: &CertificateAuthority) -> Self {
        let key = SoftwareKey::generate(KeyAlgorithm::EcdsaP256).unwrap();
        let names = ["127.0.0.1".to_owned()];
        let validity = Validity::days(kontor_conformance::clock::now(), 1);
        let certificate = ca
            .issue_authentication(key.public_key(), Subject::common_name("store"), &names, validity)
            .unwrap();
        let identity = tls::Identity {
            chain: vec![certificate.der().to_vec()],
            pkcs8: key.to_pkcs8().to_vec(),
        };
        let config = tls::server(&identity, tls::Ask::Nothing, rustls::ALL_VERSIONS).unwrap();
        Self::over(Some(TlsAcceptor::from(config))).await
    }

    async fn over(tls: Option<TlsAcceptor>) -> Self {
        let root = tempfile::tempdir().unwrap();
        std::fs::create_dir(root.path().join("archives")).unwrap();
        let mut service = S3ServiceBuilder::new(FileSystem::new(root.path()).unwrap());
        service.set_auth(SimpleAuth::from_single(KEY, SECRET));
        let service = service.build();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let scheme = if tls.is_some() { "https" } else { "http" };
        let url = format!("{scheme}://{}", listener.local_addr().unwrap());
        let weather = Arc::new(Mutex::new(Weather::Fair));
        let asked = Arc::new(AtomicUsize::new(0));
        let store = Self {
            root,
            url,
            weather: Arc::clone(&weather),
            asked: Arc::clone(&asked),
        };
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let (service, weather, asked) = (service.clone(), Arc::clone(&weather), Arc::clone(&asked));
                let serve = service_fn(move |request: Request<Incoming>| {
                    asked.fetch_add(1, Ordering::Relaxed);
                    let (service, weather) = (service.clone(), *weather.lock().unwrap());
                    async move { Ok::<_, std::io::Error>(answer(&service, weather, request).await) }
                });
                let tls = tls.clone();
                tokio::spawn(async move {
                    let stream: Box<dyn Both> = match tls {
                        None => Box::new(stream),
                        Some(tls) => match tls.accept(stream).await {
                            Ok(stream) => Box::new(stream),
                            Err(_) => return,
                        },
                    };
                    let served = http1::Builder::new().serve_connection(TokioIo::new(stream), serve);
                    let _ = served.await;
                });
            }
        });
        store
    }

    fn weather(&self, weather: Weather) {
        *self.weather.lock().unwrap() = weather;
    }

    fn bucket(&self, world: &World) -> BucketSettings {
        let credentials = world.dir.path().join("s3.toml");
        write(&credentials, SECRET, 0o600);
        BucketSettings {
            endpoint: self.url.clone(),
            region: "eu-central-1".into(),
            bucket: "archives".into(),
            prefix: "node/one".into(),
            credentials,
            egress: EgressSettings::default(),
            path_style: true,
            retries: 0,
        }
    }

    fn settings(&self, world: &World) -> ArchiveSettings {
        ArchiveSettings {
            target: ArchiveTarget::Bucket(Box::new(self.bucket(world))),
            rotate: 10_000,
            ..ArchiveSettings::in_dir(PathBuf::new())
        }
    }

    fn objects(&self) -> Vec<PathBuf> {
        let dir = self.root.path().join("archives/node/one");
        let Ok(entries) = std::fs::read_dir(dir) else {
            return Vec::new();
        };
        let mut paths: Vec<_> = entries.map(|entry| entry.unwrap().path()).collect();
        paths.sort();
        paths
    }
}

async fn answer(
    service: &s3s::service::S3Service,
    weather: Weather,
    request: Request<Incoming>,
) -> Response<BoxBody<Bytes, std::io::Error>> {
    let whole = |status, bytes: Bytes| {
        let mut response = Response::new(Full::new(bytes).map_err(|never| match never {}).boxed());
        *response.status_mut() = status;
        response
    };
    if weather == Weather::Ill {
        return whole(StatusCode::INTERNAL_SERVER_ERROR, Bytes::from_static(b"ill"));
    }
    let (is_put, is_get) = (request.method() == "PUT", request.method() == "GET");
    let answered = service.call(request.map(s3s::Body::from)).await;
    let Ok(response) = answered else {
        return whole(StatusCode::BAD_GATEWAY, Bytes::new());
    };
    if weather == Weather::Deaf && is_put {
        return whole(StatusCode::INTERNAL_SERVER_ERROR, Bytes::from_static(b"deaf"));
    }
    let (mut parts, body) = response.into_parts();
    let mut bytes = body.collect().await.unwrap().to_bytes().to_vec();
    if is_get && parts.status.is_success() {
        match weather {
            Weather::Lying => {
                let middle = bytes.len() / 3;
                bytes[middle] ^= 1;
            }
            Weather::Short => {
                bytes.truncate(bytes.len() / 2);
                parts.headers.insert("content-length", bytes.len().into());
            }
            _ => {}
        }
    }
    if !is_get {
        // What there is no body for says how long the object is.
        let body = Full::new(Bytes::from(bytes))
            .map_err(|never| match never {})
            .boxed();
        return Response::from_parts(parts, body);
    }
    let mut response = whole(parts.status, bytes.into());
    *response.headers_mut() = parts.headers;
    response
}

fn write(path: &std::path::Path, secret: &str, mode: u32) {
    use std::os::unix::fs::PermissionsExt;
    std::fs::write(
        path,
        format!("access_key_id = \"{KEY}\"\nsecret_access_key = \"{secret}\"\n"),
    )
    .unwrap();
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).unwrap();
}

fn open(world: &World, settings: ArchiveSettings) -> MessageLog {
    let settings = LogSettings {
        archive: Some(settings),
        ..LogSettings::default()
    };
    world.log_with(ManualClock::at(now()), settings)
}

async fn messages(log: &MessageLog, world: &World, ids: std::ops::Range<u64>) {
    for id in ids {
        let number = log.append(world.request(&format!("m{id}"))).await.unwrap().number;
        log.export(number, Some(&world.timestamper())).await.unwrap();
    }
}

async fn archive(log: &MessageLog) -> Result<ArchiveReport, ArchiveError> {
    log.archive(false, |_, _| {}).await
}

/// Every object is an archive, and they form one chain.
fn chained(objects: &[PathBuf]) {
    let mut ends: Vec<(String, String)> = Vec::new();
    for path in objects {
        let mut archive = Archive::open(std::fs::File::open(path).unwrap()).unwrap();
        assert!(archive.faults().is_empty() && archive.changed().unwrap().is_empty());
        let previous = archive
            .linking()
            .previous
            .as_ref()
            .map(|link| link.digest.clone());
        ends.push((previous.unwrap_or_default(), archive.linking().last().to_owned()));
    }
    let first = ends.iter().position(|(previous, _)| previous.is_empty()).unwrap();
    let mut end = ends.remove(first).1;
    while !ends.is_empty() {
        let next = ends.iter().position(|(previous, _)| *previous == end);
        end = ends.remove(next.expect("the chain goes on")).1;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn archives_go_to_a_bucket_and_are_recorded_when_they_were_read_back() {
    let (world, store) = (World::new().await, Store::new().await);
    let log = open(&world, store.settings(&world));
    messages(&log, &world, 0..12).await;
    let report = archive(&log).await.unwrap();
    assert_eq!(report.messages, 12);
    assert!(report.archives.len() > 1, "{report:?}");
    assert_eq!(store.objects().len(), report.archives.len());
    chained(&store.objects());
    assert_eq!(archive(&log).await.unwrap().messages, 0);
    messages(&log, &world, 12..20).await;
    archive(&log).await.unwrap();
    chained(&store.objects());
    let shown = log.shown(report.archives[0].first).await.unwrap();
    assert_eq!(
        shown.archive.unwrap().place.as_deref(),
        Some("s3://archives/node/one")
    );
    let drafts: Vec<_> = std::fs::read_dir(log.home.layout.spool()).unwrap().collect();
    assert!(drafts.is_empty(), "{drafts:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whatever_the_store_does_nothing_is_lost_and_nothing_is_archived_twice() {
    let (world, store) = (World::new().await, Store::new().await);
    let log = open(&world, store.settings(&world));
    messages(&log, &world, 0..6).await;
    for (weather, code) in [
        (Weather::Ill, "archive_bucket"),
        // Stored and not heard of: the next archiving finds it.
        (Weather::Deaf, "archive_bucket"),
        (Weather::Lying, "archive_not_verified"),
        (Weather::Short, "archive_not_verified"),
    ] {
        store.weather(weather);
        let error = archive(&log).await.unwrap_err();
        let codes = [code, "archive_bucket", "archive_io"];
        assert!(codes.contains(&error.code()), "{weather:?}: {error}");
        // Messages flow, whatever becomes of archives.
        messages(&log, &world, 6..7).await;
        store.weather(Weather::Fair);
    }
    while archive(&log).await.unwrap().messages > 0 {}
    chained(&store.objects());
    let mut archived: Vec<String> = Vec::new();
    for path in store.objects() {
        let archive = Archive::open(std::fs::File::open(path).unwrap()).unwrap();
        archived.extend(archive.linking().containers.iter().map(|link| link.name.clone()));
    }
    let all = archived.len();
    archived.sort();
    archived.dedup();
    assert_eq!((archived.len(), all), (10, 10));
    log.shutdown().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_store_that_refuses_is_named_and_no_secret_is_told() {
    let (world, store) = (World::new().await, Store::new().await);
    let refusal = async |settings: BucketSettings| {
        let dir = World::new().await;
        let target = ArchiveTarget::Bucket(Box::new(settings));
        let log = open(
            &dir,
            ArchiveSettings {
                target,
                ..ArchiveSettings::in_dir(PathBuf::new())
            },
        );
        messages(&log, &dir, 0..1).await;
        let error = archive(&log).await.unwrap_err();
        let text = error.to_string();
        assert!(!text.contains(SECRET), "{text}");
        text
    };
    let bucket = store.bucket(&world);
    let other = world.dir.path().join("other.toml");
    write(&other, "another secret", 0o600);
    let wrong = BucketSettings {
        credentials: other.clone(),
        ..bucket.clone()
    };
    let text = refusal(wrong).await;
    assert!(
        text.contains("SignatureDoesNotMatch") && text.contains("s3://archives/node/one/"),
        "{text}"
    );
    write(&other, SECRET, 0o644);
    let open_to_all = BucketSettings {
        credentials: other.clone(),
        ..bucket.clone()
    };
    assert!(refusal(open_to_all).await.contains("chmod 600"));
    write(&other, SECRET, 0o600);
    std::fs::write(&other, format!("key = \"{SECRET}\"")).unwrap();
    let malformed = BucketSettings {
        credentials: other,
        ..bucket.clone()
    };
    assert!(refusal(malformed).await.contains("access_key_id"));
    let down = BucketSettings {
        endpoint: "http://127.0.0.1:9".into(),
        ..bucket
    };
    assert!(refusal(down).await.contains("refused"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_large_object_goes_in_pieces_and_none_is_written_over() {
    let (world, store) = (World::new().await, Store::new().await);
    let bucket = Bucket::open(&store.bucket(&world)).unwrap();
    for (name, length) in [("small", 1000), ("empty", 0), ("large", 2 * PIECE + 12_345)] {
        let content: Vec<u8> = (0..length).map(|at| (at % 251) as u8).collect();
        assert!(!bucket.has(name).await.unwrap());
        assert!(
            bucket
                .put_new(name, &mut &content[..], length as u64)
                .await
                .unwrap()
        );
        assert!(bucket.has(name).await.unwrap());
        assert!(!bucket.put_new(name, &mut &[7_u8; 10][..], 10).await.unwrap());
        let mut read = Vec::new();
        bucket.fetch(name, &mut read).await.unwrap();
        assert!(read == content, "{name}");
        bucket.remove(name).await.unwrap();
        bucket.remove(name).await.unwrap();
        assert!(bucket.fetch(name, &mut Vec::new()).await.is_err());
    }
    assert!(store.asked.load(Ordering::Relaxed) > 12);
}

/// A proxy that lets through tunnels with its credentials only; gives its address and how often it did.
async fn proxy(wanted: &'static str) -> (http::uri::Authority, Arc<AtomicUsize>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap().to_string().parse().unwrap();
    let through = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&through);
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let counted = Arc::clone(&counted);
            tokio::spawn(async move {
                let mut stream = BufReader::new(stream);
                let mut head = String::new();
                while !head.ends_with("\r\n\r\n") {
                    if stream.read_line(&mut head).await.unwrap_or(0) == 0 {
                        return;
                    }
                }
                let target = head
                    .strip_prefix("CONNECT ")
                    .and_then(|rest| rest.split(' ').next());
                let known = head
                    .lines()
                    .any(|line| line.eq_ignore_ascii_case(&format!("proxy-authorization: {wanted}")));
                let (Some(target), true) = (target, known) else {
                    let _ = stream
                        .write_all(b"HTTP/1.1 407 Proxy Authentication Required\r\nContent-Length: 0\r\n\r\n")
                        .await;
                    return;
                };
                let mut server = TcpStream::connect(target).await.unwrap();
                counted.fetch_add(1, Ordering::Relaxed);
                let _ = stream.write_all(b"HTTP/1.1 200 Connected\r\n\r\n").await;
                let _ = copy_bidirectional(&mut stream, &mut server).await;
            });
        }
    });
    (address, through)
}

async fn put(settings: &BucketSettings, name: &str) -> Result<bool, String> {
    let bucket = Bucket::open(settings).map_err(|error| error.to_string())?;
    let content = b"an archive";
    let put = bucket
        .put_new(name, &mut &content[..], content.len() as u64)
        .await;
    put.map_err(|error| error.to_string())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_store_is_believed_under_its_authority_only_and_nothing_is_sent_to_another() {
    let ca = stranger().unwrap();
    let (world, store) = (World::new().await, Store::secure(&ca).await);
    let trusting = |name: &str, authority: &[u8]| {
        let path = world.dir.path().join(name);
        std::fs::write(&path, pem(authority)).unwrap();
        let mut settings = store.bucket(&world);
        settings.egress.ca = Some(path);
        settings
    };
    let right = trusting("right.pem", ca.certificate().der());
    let log = open(
        &world,
        ArchiveSettings {
            target: ArchiveTarget::Bucket(Box::new(right)),
            ..store.settings(&world)
        },
    );
    messages(&log, &world, 0..4).await;
    assert_eq!(archive(&log).await.unwrap().messages, 4);
    chained(&store.objects());
    let asked = store.asked.load(Ordering::Relaxed);
    let wrong = trusting("wrong.pem", stranger().unwrap().certificate().der());
    let refused = put(&wrong, "x").await.unwrap_err();
    assert!(refused.contains("invalid peer certificate"), "{refused}");
    assert_eq!(store.asked.load(Ordering::Relaxed), asked);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_store_is_reached_through_the_proxy_of_the_node_unless_it_is_to_be_reached_directly() {
    let ca = stranger().unwrap();
    let (world, store) = (World::new().await, Store::secure(&ca).await);
    let (address, through) = proxy("Basic dXNlcjpzZWNyZXQ=").await;
    let file = |name: &str, text: &str| {
        use std::os::unix::fs::PermissionsExt;
        let path = world.dir.path().join(name);
        std::fs::write(&path, text).unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600)).unwrap();
        path
    };
    let mut settings = store.bucket(&world);
    settings.egress = EgressSettings {
        proxy: Some(address),
        credentials: Some(file("proxy", "user:secret")),
        direct: Vec::new(),
        ca: Some(file("ca.pem", &pem(ca.certificate().der()))),
    };
    assert_eq!(put(&settings, "one").await, Ok(true));
    assert_eq!(put(&settings, "one").await, Ok(false));
    assert_eq!(through.load(Ordering::Relaxed), 2);
    settings.egress.direct = vec!["127.0.0.1".into()];
    assert_eq!(put(&settings, "two").await, Ok(true));
    assert_eq!(through.load(Ordering::Relaxed), 2);
    settings.egress.direct.clear();
    settings.egress.credentials = Some(file("other", "user:wrong"));
    let refused = put(&settings, "three").await.unwrap_err();
    assert!(
        refused.contains("refuses the tunnel with status 407"),
        "{refused}"
    );
    assert!(!refused.contains("wrong"), "{refused}");
    assert_eq!(store.objects().len(), 2);
}
