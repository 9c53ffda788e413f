//! Webhooks with receivers at real sockets: what they get, in which order, and what becomes of it when they fail or the node ends.

use std::collections::{BTreeSet, VecDeque};
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use aws_lc_rs::hmac;
use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use kontor_participation::transfer::offer::Id;
use kontor_pki::sealed::MasterKey;
use kontor_pki::time::UnixTime;
use serde_json::Value;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;
use tokio::sync::{Notify, mpsc};
use tokio::time::timeout;

use super::{WAIT, wait_after};
use crate::casework::row::EventRow;
use crate::casework::{Casework, Setup, Table, TxError, random_id};
use crate::clock::{Clock, ManualClock};
use crate::config::casework::{CaseworkSettings, ParticipationSettings, Periods, Scanner};
use crate::config::webhook::{Secrets, Webhook};
use crate::config::{EgressSettings, Mode};
use crate::disk::SystemDisk;
use crate::globalconf::GlobalConf;
use crate::messagelog::{LogSettings, MessageLog, OpenLog};
use crate::shutdown::Shutdown;

const DAY: Duration = Duration::from_secs(86_400);
const SECRET: [u8; 32] = [9; 32];

/// How a receiver answers the next post.
#[derive(Clone, Copy, Debug)]
enum Answer {
    Status(u16),
    /// It wants to be left alone for so many seconds.
    Later(u64),
    /// It reads the post and closes.
    Breaks,
    /// It reads the post and says nothing until it is let go.
    Silent,
}

/// What it got.
#[derive(Debug)]
struct Got {
    id: String,
    body: Value,
}

struct Receiver {
    url: String,
    got: mpsc::Receiver<Got>,
    answers: Arc<Mutex<VecDeque<Answer>>>,
    let_go: Arc<Notify>,
}

impl Receiver {
    /// Takes everything, but for these first answers.
    async fn start(answers: &[Answer]) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/in", listener.local_addr().unwrap());
        let (told, got) = mpsc::channel(1024);
        let answers = Arc::new(Mutex::new(answers.iter().copied().collect::<VecDeque<_>>()));
        let (next, let_go) = (Arc::clone(&answers), Arc::new(Notify::new()));
        let released = Arc::clone(&let_go);
        tokio::spawn(async move {
            while let Ok((mut stream, _)) = listener.accept().await {
                let (told, next, released) = (told.clone(), Arc::clone(&next), Arc::clone(&released));
                tokio::spawn(async move {
                    while let Some(got) = read(&mut stream).await {
                        let _ = told.send(got).await;
                        let answer = next.lock().unwrap().pop_front().unwrap_or(Answer::Status(204));
                        let mut more = String::new();
                        let status = match answer {
                            Answer::Status(status) => status,
                            Answer::Later(seconds) => {
                                more = format!("retry-after: {seconds}\r\n");
                                429
                            }
                            Answer::Breaks => return,
                            Answer::Silent => {
                                released.notified().await;
                                204
                            }
                        };
                        let text = format!("HTTP/1.1 {status} x\r\n{more}content-length: 0\r\n\r\n");
                        if stream.write_all(text.as_bytes()).await.is_err() {
                            return;
                        }
                    }
                });
            }
        });
        Self {
            url,
            got,
            answers,
            let_go,
        }
    }

    async fn next(&mut self) -> Got {
        timeout(Duration::from_secs(20), self.got.recv())
            .await
            .unwrap()
            .unwrap()
    }

    /// The kinds of the next posts.
    async fn kinds(&mut self, count: usize) -> Vec<String> {
        let mut kinds = Vec::new();
        for _ in 0..count {
            kinds.push(self.next().await.body["kind"].as_str().unwrap().to_owned());
        }
        kinds
    }
}

/// Reads one post; judges its signature by its bytes.
async fn read(stream: &mut tokio::net::TcpStream) -> Option<Got> {
    let mut bytes = Vec::new();
    let head = loop {
        if let Some(at) = bytes.windows(4).position(|window| window == b"\r\n\r\n") {
            break at + 4;
        }
        if stream.read_buf(&mut bytes).await.ok()? == 0 {
            return None;
        }
    };
    let text = String::from_utf8(bytes[..head].to_vec()).unwrap();
    let header = |name: &str| -> String {
        let line = text
            .lines()
            .find_map(|line| line.strip_prefix(&format!("{name}: ")));
        line.unwrap_or_else(|| panic!("no {name}: {text}")).to_owned()
    };
    let length: usize = header("content-length").parse().unwrap();
    while bytes.len() < head + length {
        assert!(stream.read_buf(&mut bytes).await.unwrap() > 0);
    }
    let body = &bytes[head..];
    assert!(text.starts_with("POST /in HTTP/1.1\r\n"), "{text}");
    let (id, second) = (header("webhook-id"), header("webhook-timestamp"));
    let signed = [id.as_bytes(), b".", second.as_bytes(), b".", body].concat();
    let mac = BASE64_STANDARD
        .decode(header("webhook-signature").strip_prefix("v1,").unwrap())
        .unwrap();
    hmac::verify(&hmac::Key::new(hmac::HMAC_SHA256, &SECRET), &signed, &mac).unwrap();
    Some(Got {
        id,
        body: serde_json::from_slice(body).unwrap(),
    })
}

fn webhook(name: &str, receiver: &Receiver) -> Webhook {
    Webhook {
        name: name.into(),
        url: receiver.url.parse().unwrap(),
        ca: None,
        secrets: Secrets::parse(&BASE64_STANDARD.encode(SECRET)).unwrap(),
        kinds: BTreeSet::new(),
        units: BTreeSet::new(),
        give_up: 5 * DAY,
    }
}

/// A node's casework with webhooks that run.
struct Bed {
    dir: tempfile::TempDir,
    clock: Arc<ManualClock>,
    settings: CaseworkSettings,
    open: Option<(Arc<Casework>, MessageLog, Shutdown)>,
}

impl Bed {
    async fn with(webhooks: Vec<Webhook>) -> Self {
        let mut bed = Self {
            dir: tempfile::tempdir().unwrap(),
            clock: ManualClock::at(UnixTime::parse_rfc3339("2026-06-01T10:00:00Z").unwrap()),
            settings: CaseworkSettings {
                client: "TEST/GOV/1001/KONTOR".parse().unwrap(),
                rights: Vec::new(),
                region: None,
                directory: None,
                secrecy: [].into(),
                instance: None,
                scanner: Scanner::None,
                keys: Vec::new(),
                issuers: Vec::new(),
                standing_rules: Vec::new(),
                participation: ParticipationSettings::default(),
                training_clock: None,
                webhooks,
                clocks: Periods {
                    answer_days: 3,
                    take_over_days: 5,
                    receipt: DAY,
                    import: DAY,
                    relay: DAY,
                    grace: DAY,
                    unconfirmed: DAY,
                },
            },
            open: None,
        };
        bed.start().await;
        bed
    }

    async fn start(&mut self) {
        let log = MessageLog::open(OpenLog {
            dir: self.dir.path().to_owned(),
            disk: Arc::new(SystemDisk),
            master: MasterKey::from_bytes([7; 32]),
            settings: LogSettings {
                first_segment_bytes: 64 * 1024,
                segment_bytes: 128 * 1024,
                reserve: 1024,
                ..LogSettings::default()
            },
            server: "TEST/GOV/1001/ss1".parse().unwrap(),
            test: true,
            clock: self.clock.clone(),
        })
        .unwrap();
        let shutdown = Shutdown::default();
        let casework = open(self.dir.path(), &self.settings, &log, &self.clock, &shutdown).await;
        casework.begin().await.unwrap();
        shutdown.spawn(Arc::clone(&casework).run_webhooks());
        self.open = Some((casework, log, shutdown));
    }

    /// The process ends, asked to or killed.
    async fn end(&mut self, asked: bool) {
        let (casework, log, shutdown) = self.open.take().unwrap();
        // Without grace every task is dropped where it is.
        let grace = if asked {
            Duration::from_secs(20)
        } else {
            Duration::ZERO
        };
        assert!(shutdown.finish(grace).await || !asked, "webhooks hold up the end");
        log.shutdown().await;
        drop(casework);
    }

    async fn restart(&mut self, asked: bool) {
        self.end(asked).await;
        self.start().await;
    }

    fn casework(&self) -> &Casework {
        &self.open.as_ref().unwrap().0
    }

    async fn happens(&self, kind: &str, unit: Option<&str>) {
        self.happens_to(None, kind, unit).await;
    }

    async fn happens_to(&self, request: Option<Id>, kind: &str, unit: Option<&str>) {
        let casework = self.casework();
        let event = EventRow {
            kind: kind.into(),
            at: casework.now(),
            case: None,
            transfer: None,
            round: None,
            request,
            unit: unit.map(str::to_owned),
            version: Some(1),
            state: None,
        };
        casework
            .store
            .run_tx("event", |tx| {
                tx.append(Table::Events, &event)?;
                Ok::<_, TxError<()>>(())
            })
            .await
            .unwrap();
        let _ = casework.told.send(());
    }

    fn status(&self, name: &str) -> Value {
        let page = self.casework().webhooks_page().unwrap();
        page.into_iter().find(|one| one["name"] == name).unwrap()
    }

    async fn until(&self, name: &str, holds: impl Fn(&Value) -> bool) -> Value {
        let waited = timeout(Duration::from_secs(20), async {
            loop {
                let page = self.status(name);
                if holds(&page) {
                    return page;
                }
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        });
        waited.await.unwrap_or_else(|_| panic!("{}", self.status(name)))
    }
}

async fn open(
    dir: &Path,
    settings: &CaseworkSettings,
    log: &MessageLog,
    clock: &Arc<ManualClock>,
    shutdown: &Shutdown,
) -> Arc<Casework> {
    let mut tries = 0;
    loop {
        let setup = Setup {
            settings: settings.clone(),
            log: log.clone(),
            trust: Arc::new(GlobalConf::new(Mode::Test)),
            clock: clock.clone(),
            egress: EgressSettings::default(),
            server: "TEST/GOV/1001/ss1".parse().unwrap(),
            test: true,
            shutdown: shutdown.clone(),
        };
        // The committer of the one before lets go of the file a moment after whoever used it.
        match Casework::open(dir, setup) {
            Ok(casework) => return casework,
            Err(error) => assert!(tries < 500, "{error}"),
        }
        tries += 1;
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

fn numbered(range: std::ops::Range<usize>) -> Vec<String> {
    range.map(|number| format!("case.n{number}")).collect()
}

#[tokio::test]
async fn what_the_feed_would_hide_is_passed_over() {
    let mut receiver = Receiver::start(&[]).await;
    let bed = Bed::with(vec![webhook("one", &receiver)]).await;
    bed.happens_to(Some(random_id()), "contribution.draft", None)
        .await;
    bed.happens("case.opened", None).await;
    assert_eq!(receiver.kinds(1).await, ["case.opened"]);
    bed.until("one", |page| page["waiting"] == 0).await;
}

#[tokio::test]
async fn events_come_signed_in_their_order_with_what_the_feed_has_and_nothing_from_before() {
    let mut receiver = Receiver::start(&[]).await;
    let mut bed = Bed::with(Vec::new()).await;
    bed.happens("case.before", None).await;
    bed.settings.webhooks = vec![webhook("w", &receiver)];
    bed.restart(true).await;
    for kind in numbered(0..100) {
        bed.happens(&kind, Some("u-1")).await;
    }
    let first = receiver.next().await;
    assert_eq!(first.body["kind"], "case.n0");
    for (name, value) in [
        ("server", "TEST/GOV/1001/ss1".into()),
        ("test", true.into()),
        ("unit", "u-1".into()),
        ("version", 1.into()),
        ("at", "2026-06-01T10:00:00Z".into()),
    ] {
        let value: Value = value;
        assert_eq!(first.body[name], value, "{}", first.body);
    }
    let id = first.body["id"].as_str().unwrap();
    assert!(
        id.len() == 20 && first.id.starts_with(&format!("{id}-")),
        "{first:?}"
    );
    assert_eq!(receiver.kinds(99).await, numbered(1..100));
    bed.until("w", |page| page["waiting"] == 0 && page["failures_in_a_row"] == 0)
        .await;
    // Asked to end it repeats nothing.
    bed.restart(true).await;
    bed.happens("case.after", None).await;
    assert_eq!(receiver.next().await.body["kind"], "case.after");
}

#[tokio::test]
async fn what_is_not_taken_comes_again_under_its_id_before_anything_else() {
    let answers = [Answer::Status(500), Answer::Breaks, Answer::Status(302)];
    let mut receiver = Receiver::start(&answers).await;
    let bed = Bed::with(vec![webhook("w", &receiver)]).await;
    for kind in ["case.a", "case.b"] {
        bed.happens(kind, None).await;
    }
    let first = receiver.next().await;
    let page = bed.until("w", |page| page["problem"] == "status_500").await;
    assert!(
        page["waiting"] == 2 && page["failing_since"].is_string(),
        "{page}"
    );
    for _ in 0..3 {
        let again = receiver.next().await;
        assert_eq!((&again.id, &again.body), (&first.id, &first.body));
    }
    assert_eq!(receiver.next().await.body["kind"], "case.b");
    let page = bed.until("w", |page| page["waiting"] == 0).await;
    assert!(
        page["problem"].is_null() && page["failing_since"].is_null(),
        "{page}"
    );
}

#[tokio::test]
async fn who_wants_to_be_left_alone_is_for_an_hour_at_most_and_another_configuration_ends_that() {
    for (asked, waits) in [(1800, 1800), (1_000_000, 3600)] {
        let mut receiver = Receiver::start(&[Answer::Later(asked)]).await;
        let mut bed = Bed::with(vec![webhook("w", &receiver)]).await;
        bed.happens("case.a", None).await;
        let first = receiver.next().await;
        let page = bed.until("w", |page| page["problem"] == "status_429").await;
        let again = UnixTime::parse_rfc3339(page["next_at"].as_str().unwrap()).unwrap();
        assert_eq!(again.secs() - bed.clock.now().secs(), waits, "{page}");
        assert!(receiver.got.is_empty());
        bed.settings.webhooks[0].give_up = 6 * DAY;
        bed.casework().admit(&bed.settings);
        assert_eq!(receiver.next().await.id, first.id);
        let page = bed.until("w", |page| page["waiting"] == 0).await;
        assert!(page["next_at"].is_null(), "{page}");
    }
}

#[tokio::test]
async fn an_end_in_the_middle_loses_nothing_and_repeats_a_few_under_their_ids() {
    let mut receiver = Receiver::start(&[]).await;
    let mut bed = Bed::with(vec![webhook("w", &receiver)]).await;
    let mut got = Vec::<(String, String)>::new();
    for kind in numbered(0..200) {
        bed.happens(&kind, None).await;
    }
    let last = numbered(199..200).remove(0);
    while got.last().is_none_or(|(kind, _)| *kind != last) {
        if got.len() == 60 {
            bed.restart(false).await;
        }
        let one = receiver.next().await;
        got.push((one.body["kind"].as_str().unwrap().to_owned(), one.id));
    }
    // Each of them, first in their order, and one that came twice came twice as itself.
    let mut seen = Vec::<(String, String)>::new();
    for one in got {
        match seen.iter().find(|known| known.0 == one.0) {
            Some(known) => assert_eq!(*known, one),
            None => seen.push(one),
        }
    }
    let kinds: Vec<String> = seen.into_iter().map(|(kind, _)| kind).collect();
    assert_eq!(kinds, numbered(0..200));
}

#[tokio::test]
async fn who_is_gone_gets_nothing_more_until_the_configuration_is_another_one() {
    let mut receiver = Receiver::start(&[Answer::Status(410)]).await;
    let mut bed = Bed::with(vec![webhook("w", &receiver)]).await;
    bed.happens("case.a", None).await;
    receiver.next().await;
    bed.until("w", |page| page["disabled_at"].is_string()).await;
    bed.happens("case.b", None).await;
    bed.restart(true).await;
    let page = bed.until("w", |page| page["waiting"] == 2).await;
    assert!(
        page["disabled_at"].is_string() && receiver.got.is_empty(),
        "{page}"
    );
    // The file is read again while the node runs.
    bed.settings.webhooks[0].give_up = 6 * DAY;
    bed.casework().admit(&bed.settings);
    assert_eq!(receiver.kinds(2).await, ["case.a", "case.b"]);
    bed.until("w", |page| page["waiting"] == 0 && page["disabled_at"].is_null())
        .await;
}

#[tokio::test]
async fn each_gets_its_kinds_and_units_and_a_slow_one_holds_up_nobody() {
    let mut slow = Receiver::start(&[Answer::Silent]).await;
    let (mut kinds, mut units) = (Receiver::start(&[]).await, Receiver::start(&[]).await);
    let mut of_kinds = webhook("kinds", &kinds);
    of_kinds.kinds = ["transfer.".to_owned(), "case.opened".to_owned()].into();
    let mut of_units = webhook("units", &units);
    of_units.units = ["u-1".to_owned()].into();
    let bed = Bed::with(vec![webhook("slow", &slow), of_kinds, of_units]).await;
    for (kind, unit) in [
        ("case.opened", Some("u-1")),
        ("case.status", Some("u-2")),
        ("transfer.offered", None),
        ("case.files", Some("u-1")),
        ("transfer.closed", Some("u-2")),
    ] {
        bed.happens(kind, unit).await;
    }
    slow.next().await;
    assert_eq!(
        kinds.kinds(3).await,
        ["case.opened", "transfer.offered", "transfer.closed"]
    );
    assert_eq!(units.kinds(2).await, ["case.opened", "case.files"]);
    bed.until("kinds", |page| page["waiting"] == 0).await;
    assert_eq!(bed.status("slow")["waiting"], 5);
    slow.let_go.notify_one();
    slow.kinds(4).await;
    bed.until("slow", |page| page["waiting"] == 0).await;
}

#[tokio::test]
async fn what_waits_too_long_is_given_up_and_counted_and_what_is_newer_is_not() {
    let mut receiver = Receiver::start(&[Answer::Status(503), Answer::Status(503)]).await;
    let mut bed = Bed::with(vec![webhook("w", &receiver)]).await;
    bed.happens("case.a", None).await;
    bed.happens("case.b", None).await;
    receiver.next().await;
    bed.until("w", |page| page["failures_in_a_row"] == 1).await;
    bed.clock.advance(5 * DAY + Duration::from_secs(1));
    bed.happens("case.c", None).await;
    // It is tried once more, and the failure of before a restart counts.
    bed.restart(true).await;
    assert_eq!(receiver.kinds(2).await, ["case.a", "case.c"]);
    let page = bed.until("w", |page| page["waiting"] == 0).await;
    assert_eq!(page["skipped"], 2, "{page}");
}

#[tokio::test]
async fn a_webhook_that_comes_and_goes_with_the_file_goes_on_where_it_was() {
    let mut receiver = Receiver::start(&[]).await;
    let mut bed = Bed::with(Vec::new()).await;
    bed.happens("case.before", None).await;
    let none = bed.settings.clone();
    bed.settings.webhooks = vec![webhook("w", &receiver)];
    bed.casework().admit(&bed.settings);
    bed.until_there("w").await;
    bed.happens("case.a", None).await;
    assert_eq!(receiver.next().await.body["kind"], "case.a");
    bed.casework().admit(&none);
    bed.happens("case.b", None).await;
    // With other kinds, too, nothing that was passed comes back.
    bed.settings.webhooks[0].kinds = ["case.".to_owned()].into();
    bed.casework().admit(&bed.settings);
    loop {
        // What was posted when the file changed may come again.
        match receiver.next().await.body["kind"].as_str() {
            Some("case.a") => {}
            kind => break assert_eq!(kind, Some("case.b")),
        }
    }
    assert!(receiver.answers.lock().unwrap().is_empty());
}

impl Bed {
    /// Waits until a webhook of a changed file has its position.
    async fn until_there(&self, name: &str) {
        while self
            .casework()
            .webhooks_page()
            .unwrap()
            .iter()
            .all(|one| one["name"] != name)
        {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }
}

#[test]
fn waits_double_up_to_a_bound_with_half_of_them_by_chance() {
    for failures in 1..80 {
        let full = WAIT.0.saturating_mul(1 << (failures - 1).min(12)).min(WAIT.1);
        let waits: Vec<Duration> = (0..20).map(|_| wait_after(failures)).collect();
        assert!(
            waits.iter().all(|wait| (full / 2..=full).contains(wait)),
            "{waits:?}"
        );
        assert!(waits.iter().any(|wait| *wait != waits[0]));
    }
}
