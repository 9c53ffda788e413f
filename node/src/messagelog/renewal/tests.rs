//! Renewals over ten years by authorities that follow each other, by a clock that is moved by hand, judged as an auditor would.

use std::{
    fs::{self, File},
    io::Cursor,
    path::Path,
    process::Command,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use bytes::Bytes;
use kontor_pki::{
    authority::{CaParams, CertificateAuthority, TimestampAuthority, Validity},
    crypto::{DigestAlgorithm, sha512},
    der,
    evidence_record::EvidenceRecord,
    profile::Subject,
    sealed::MasterKey,
    signing::{KeyAlgorithm, SigningKey, SoftwareKey},
    time::UnixTime,
};
use kontor_protocol::{
    container::{
        Container, Report, Verdict,
        check::{Question, check, check_record},
    },
    trust::{InstanceConfig, TrustSet, optional::OptionalParts, shared::ApprovedTsa},
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpListener,
};

use super::{Sizes, *};
use crate::{
    clock::{Clock, ManualClock},
    disk::recording::{Crash, RecordingDisk},
    messagelog::{
        LogSettings, LoggedBody, NewEntry, OpenLog, PurgeOrder, Written,
        control::tests::{World, now},
    },
};

const DAY: Duration = Duration::from_secs(86_400);

fn at(text: &str) -> UnixTime {
    UnixTime::parse_rfc3339(&format!("{text}T12:00:00Z")).unwrap()
}

/// The world of a member, whose first authority ends in March 2030, and authorities that come after it.
struct Eras {
    world: World,
    clock: Arc<ManualClock>,
    root: CertificateAuthority,
    trust: Arc<TrustSet>,
    serial: Arc<AtomicU64>,
    tsas: Vec<ApprovedTsa>,
}

impl Eras {
    async fn new() -> Self {
        let params = CaParams {
            name: "Test TSA root".into(),
            organization: "Nobody".into(),
            test: true,
            key: KeyAlgorithm::EcdsaP256,
            validity: Validity {
                not_before: now(),
                not_after: at("2060-01-01"),
            },
        };
        let world = World::new().await;
        Self {
            trust: Arc::clone(&world.trust),
            tsas: world.shared.tsas.clone(),
            world,
            clock: ManualClock::at(now()),
            root: CertificateAuthority::generate(&params).unwrap(),
            serial: Arc::default(),
        }
    }

    fn log(&self) -> MessageLog {
        self.world.log_with(self.clock.clone(), LogSettings::default())
    }

    /// A new authority until this day, approved from now on. Its tokens are of the instant of the clock.
    async fn authority(&mut self, until: &str) -> Timestamper {
        let key = Arc::new(SoftwareKey::generate(KeyAlgorithm::EcdsaP256).unwrap());
        let validity = Validity {
            not_before: now(),
            not_after: at(until),
        };
        let subject = Subject::common_name(format!("TSA until {until}"));
        let certificate = self.root.issue_tsa(key.public_key(), subject, validity).unwrap();
        let authority = TimestampAuthority::new(certificate.clone(), key).unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/tsa", listener.local_addr().unwrap());
        tokio::spawn(serve(
            listener,
            authority,
            self.clock.clone(),
            Arc::clone(&self.serial),
        ));
        self.tsas.push(ApprovedTsa {
            cost: None,
            name: format!("until {until}"),
            url: url.clone(),
            certificate: certificate.der().to_vec(),
        });
        self.trust = self.trust_in(&self.tsas);
        let trust = Arc::clone(&self.trust);
        Timestamper::new(vec![url], Arc::new(move || Some(Arc::clone(&trust))))
    }

    fn trust_in(&self, tsas: &[ApprovedTsa]) -> Arc<TrustSet> {
        let mut shared = self.world.shared.clone();
        shared.tsas = tsas.to_vec();
        let config = InstanceConfig {
            instance: "TEST".into(),
            shared,
            private: None,
            optional: OptionalParts::default(),
            version: 3,
            expires: None,
        };
        Arc::new(TrustSet::new("TEST", vec![config]).unwrap())
    }

    /// Moves the clock to a day.
    fn on(&self, day: &str) {
        self.clock.advance(at(day).since(self.clock.now()));
    }

    /// The files of a message, with its record.
    async fn export(&self, log: &MessageLog, number: u64) -> Written {
        let mut exported = log.export(number, None).await.unwrap();
        exported.record = log.evidence_record(number).await.unwrap();
        exported.write(&self.world.out()).unwrap()
    }

    fn judge(&self, written: &Written) -> Report {
        let record = fs::read(written.record.as_ref().expect("it was renewed")).unwrap();
        self.judge_with(written, &record, &self.trust)
    }

    fn judge_with(&self, written: &Written, record: &[u8], trust: &TrustSet) -> Report {
        let companion = fs::read(&written.companion).unwrap();
        let question = Question {
            trust,
            at: Some(self.clock.now()),
            companion: Some(&companion),
        };
        let container = fs::read(&written.container).unwrap();
        let mut report = check(Cursor::new(&container), &question);
        check_record(Cursor::new(&container), record, &question, &mut report);
        report
    }
}

async fn serve(
    listener: TcpListener,
    authority: TimestampAuthority,
    clock: Arc<ManualClock>,
    serial: Arc<AtomicU64>,
) {
    while let Ok((mut stream, _)) = listener.accept().await {
        let (mut asked, mut buffer) = (Vec::new(), [0; 4096]);
        let query = loop {
            let read = stream.read(&mut buffer).await.unwrap();
            asked.extend_from_slice(&buffer[..read]);
            let Some(head) = asked.windows(4).position(|window| window == b"\r\n\r\n") else {
                continue;
            };
            let text = String::from_utf8_lossy(&asked[..head]).to_lowercase();
            let length = text
                .split("content-length: ")
                .nth(1)
                .unwrap()
                .lines()
                .next()
                .unwrap();
            if asked.len() >= head + 4 + length.parse::<usize>().unwrap() {
                break asked[head + 4..].to_vec();
            }
        };
        let token = authority.respond(&query, clock.now(), serial.fetch_add(1, Ordering::SeqCst) + 1);
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

fn due() -> RenewalOrder {
    RenewalOrder {
        ground: "test".into(),
        ..RenewalOrder::default()
    }
}

fn by_digest(digest: &str) -> RenewalOrder {
    RenewalOrder {
        digest: Some(digest.into()),
        ..due()
    }
}

async fn renew(
    log: &MessageLog,
    order: RenewalOrder,
    timestamper: &Timestamper,
) -> Result<RenewalReport, RenewalError> {
    log.renew(order, timestamper.clone(), |_, _| {}).await
}

/// Five messages under one token, and one that has its own.
async fn stamped(eras: &Eras, log: &MessageLog) -> Vec<u64> {
    let mut numbers = Vec::new();
    for batch in [5, 1] {
        for index in 0..batch {
            let request = eras.world.request(&format!("id-{batch}-{index}"));
            numbers.push(log.append(request).await.unwrap().number);
        }
        log.stamp_run(&eras.world.timestamper()).await.unwrap();
    }
    numbers
}

fn codes(report: &Report) -> Vec<&str> {
    report.reasons.iter().map(|reason| reason.code.as_str()).collect()
}

#[tokio::test]
async fn time_stamps_are_renewed_again_and_again_and_each_message_is_proven_through_all_of_them() {
    let mut eras = Eras::new().await;
    let mut log = eras.log();
    // Three entries for six messages.
    log.renewal.sizes.entry = 1;
    let numbers = stamped(&eras, &log).await;
    assert_eq!(log.evidence_record(numbers[0]).await.unwrap(), None);

    eras.on("2030-03-01");
    let second = eras.authority("2035-01-01").await;
    let planned = renew(
        &log,
        RenewalOrder {
            dry_run: true,
            ..due()
        },
        &second,
    )
    .await
    .unwrap();
    assert_eq!((planned.stamps, planned.tokens.len()), (2, 0));
    let report = renew(&log, due(), &second).await.unwrap();
    assert_eq!((report.stamps, report.messages, report.late), (2, 6, 0));
    assert_eq!(
        (report.tokens.len(), report.tokens[0].entries),
        (1, 2),
        "one token, two entries"
    );
    // Nothing is due any more, and nobody is asked.
    let asked = eras.serial.load(Ordering::SeqCst);
    let again = renew(&log, due(), &second).await.unwrap();
    assert_eq!((again.stamps, again.renewals, again.tokens.len()), (0, 0, 0));
    assert_eq!(eras.serial.load(Ordering::SeqCst), asked);
    for number in &numbers {
        let report = eras.judge(&eras.export(&log, *number).await);
        assert_eq!((report.verdict, codes(&report)), (Verdict::Valid, vec![]));
        let record = report.evidence_record.unwrap();
        assert_eq!((record.existed, record.time_stamps.len()), (at("2030-03-01"), 1));
        assert!(report.still_sound.unwrap().sound);
    }

    // The renewal is renewed: one leaf for each of its entries, whatever they cover.
    eras.on("2034-12-01");
    let third = eras.authority("2040-01-01").await;
    let report = renew(&log, due(), &third).await.unwrap();
    assert_eq!((report.stamps, report.renewals, report.messages), (0, 2, 0));
    assert_eq!(report.tokens[0].leaves, 2);

    // And its trees by another digest, over the messages and all of that. The log is closed and opened, without its state.
    log.shutdown().await;
    drop(log);
    fs::remove_file(eras.world.dir.path().join("data/log/renewal.state")).unwrap();
    let log = eras.log();
    eras.on("2039-12-01");
    let fourth = eras.authority("2050-01-01").await;
    let report = renew(&log, by_digest("sha384"), &fourth).await.unwrap();
    assert_eq!((report.trees, report.messages, report.not_renewable), (1, 6, 0));
    eras.on("2049-12-01");
    let fifth = eras.authority("2059-01-01").await;
    let report = renew(&log, due(), &fifth).await.unwrap();
    assert_eq!((report.renewals, report.trees), (1, 0));
    eras.on("2055-01-01");
    for number in &numbers {
        let written = eras.export(&log, *number).await;
        let report = eras.judge(&written);
        assert_eq!((report.verdict, codes(&report)), (Verdict::Valid, vec![]));
        let words = report.in_words();
        assert!(words.contains("5. 2049-12-01T12:00:00.000Z by "), "{words}");
        let record = report.evidence_record.unwrap();
        let over: Vec<_> = record.time_stamps.iter().map(|stamp| stamp.over).collect();
        // The token of 2034 was due too: what has no new tree needs it, and the tree is over it.
        assert_eq!(over, ["first", "timestamp", "timestamp", "tree", "timestamp"]);
        assert_eq!(record.carried_until, at("2059-01-01"));
        assert!(report.still_sound.unwrap().sound);
    }
}

#[tokio::test]
async fn an_authority_that_lasts_no_longer_or_does_not_answer_renews_nothing_and_is_told() {
    let mut eras = Eras::new().await;
    let log = eras.log();
    stamped(&eras, &log).await;
    let entries = log.stats().entries;
    let refused = renew(&log, due(), &eras.world.timestamper()).await.unwrap_err();
    assert_eq!(refused.code(), "timestamp_refused");
    assert!(refused.to_string().contains("no later than"), "{refused}");
    eras.world.down.store(true, Ordering::SeqCst);
    renew(&log, due(), &eras.world.timestamper()).await.unwrap_err();
    let stats = log.renewal();
    assert_eq!(
        (stats.failures, stats.failing_since, stats.due),
        (2, Some(now()), 2)
    );
    assert_eq!(log.stats().entries, entries, "nothing was recorded");
    assert!(back_off(0) < back_off(1) && back_off(60) == Duration::from_secs(3600));
    // What an operator asks for is done by whom there is.
    eras.world.down.store(false, Ordering::SeqCst);
    let all = RenewalOrder { all: true, ..due() };
    let report = renew(&log, all, &eras.world.timestamper()).await.unwrap();
    assert_eq!((report.messages, report.tokens.len()), (6, 1));
    assert_eq!(log.renewal().failing_since, None);
    let second = eras.authority("2035-01-01").await;
    assert_eq!(renew(&log, due(), &second).await.unwrap().renewals, 1);
}

#[tokio::test]
async fn what_ends_by_the_configuration_is_due_by_then() {
    let mut eras = Eras::new().await;
    let mut settings = LogSettings::default();
    let ends = &mut settings.stamping.renewal;
    ends.before = 60 * DAY;
    ends.digest = DigestAlgorithm::Sha384;
    ends.digests.push((DigestAlgorithm::Sha512, at("2032-01-01")));
    let log = eras.world.log_with(eras.clock.clone(), settings);
    stamped(&eras, &log).await;
    let second = eras.authority("2040-01-01").await;
    let first = renew(&log, due(), &second).await.unwrap();
    assert_eq!(first.tokens[0].digest, "SHA-512", "it holds for a while");
    eras.on("2031-10-01");
    assert_eq!(renew(&log, due(), &second).await.unwrap().trees, 0);
    eras.on("2031-12-01");
    let report = renew(&log, due(), &second).await;
    // The authority's certificate lasts no longer than before, but the new tree is by another digest.
    let report = report.unwrap();
    assert_eq!((report.trees, report.messages), (1, 6));
    assert_eq!(report.tokens[0].digest, "SHA-384");
    let refused = renew(&log, by_digest("sha512"), &second).await.unwrap_err();
    assert_eq!(refused.code(), "renewal_digest_ends");
    let refused = renew(&log, by_digest("md5"), &second).await.unwrap_err();
    assert_eq!(refused.code(), "renewal_digest_unknown");
}

#[tokio::test]
async fn without_its_body_a_message_keeps_its_record_but_gets_no_new_tree() {
    let mut eras = Eras::new().await;
    let log = eras.log();
    let numbers = stamped(&eras, &log).await;
    let body = Bytes::from_static(b"{\"fictional\":true}");
    let with_body = NewEntry {
        body: LoggedBody::Inline(body.clone(), sha512(&body)),
        ..eras.world.request("id-body")
    };
    let number = log.append(with_body).await.unwrap().number;
    log.stamp_run(&eras.world.timestamper()).await.unwrap();
    let second = eras.authority("2060-01-01").await;
    renew(&log, due(), &second).await.unwrap();
    eras.on("2031-01-01");
    log.purge(PurgeOrder::due("retention", false)).await.unwrap();
    let written = eras.export(&log, number).await;
    let report = eras.judge(&written);
    assert!(report.evidence_record.is_some(), "{}", report.in_words());
    assert!(codes(&report).contains(&"part_missing"));
    let report = renew(&log, by_digest("sha256"), &second).await.unwrap();
    assert_eq!((report.messages, report.not_renewable), (numbers.len() as u64, 1));
    assert_eq!(report.not_renewable_numbers, number.to_string());
    // The record it has is renewed as before.
    let third = eras.authority("2061-01-01").await;
    let all = RenewalOrder { all: true, ..due() };
    assert_eq!(renew(&log, all, &third).await.unwrap().renewals, 2);
    let report = eras.judge(&eras.export(&log, number).await);
    assert_eq!(report.evidence_record.unwrap().time_stamps.len(), 2);
}

#[tokio::test]
async fn a_cut_chain_another_container_a_late_renewal_and_a_changed_digest_are_refused() {
    let mut eras = Eras::new().await;
    let log = eras.log();
    let numbers = stamped(&eras, &log).await;
    eras.on("2030-03-01");
    let second = eras.authority("2035-01-01").await;
    renew(&log, due(), &second).await.unwrap();
    eras.on("2034-12-01");
    let third = eras.authority("2040-01-01").await;
    renew(&log, due(), &third).await.unwrap();
    let (written, other) = (
        eras.export(&log, numbers[0]).await,
        eras.export(&log, numbers[1]).await,
    );
    let record = fs::read(written.record.as_ref().unwrap()).unwrap();
    let whole = eras.judge_with(&written, &record, &eras.trust);
    assert_eq!(whole.verdict, Verdict::Valid);
    let refused = |written: &Written, record: &[u8]| {
        let report = eras.judge_with(written, record, &eras.trust);
        assert_eq!(report.evidence_record, None);
        assert_eq!(report.verdict, Verdict::Invalid);
        codes(&report).join(" ")
    };
    assert_eq!(refused(&other, &record), "evidence_not_covered");
    // The first link is taken out.
    let mut fields = der::only(&record, der::SEQUENCE).unwrap().contents();
    let (version, digests) = (fields.any().unwrap(), fields.any().unwrap());
    let mut chain = fields.sequence().unwrap().sequence().unwrap();
    let (first, last) = (chain.any().unwrap(), chain.any().unwrap());
    let cut = |kept: &[u8]| {
        der::sequence(|w| {
            w.raw(version.raw).raw(digests.raw);
            w.sequence(|w| {
                w.sequence(|w| {
                    w.raw(kept);
                });
            });
        })
    };
    assert_eq!(refused(&written, &cut(last.raw)), "evidence_not_covered");
    assert_eq!(
        refused(&written, &record[..record.len() - 1]),
        "evidence_malformed"
    );
    // Without its last link it holds as far as it goes, and the report says how far that is.
    let short = eras.judge_with(&written, &cut(first.raw), &eras.trust);
    assert_eq!(short.evidence_record.unwrap().carried_until, at("2035-01-01"));
    // A digest of the first list is changed.
    let digest = sha512(&fs::read(&written.container).unwrap());
    assert!(
        !record.windows(64).any(|window| window == digest),
        "the container itself is no data object"
    );
    let place = record
        .windows(2)
        .position(|window| window == [0x04, 0x40])
        .unwrap()
        + 10;
    let mut changed = record.clone();
    changed[place] ^= 1;
    assert_eq!(refused(&written, &changed), "evidence_not_covered");
    // Nobody approved the authority of the renewal.
    let nobody = eras.trust_in(&eras.tsas[..2]);
    let report = eras.judge_with(&written, &record, &nobody);
    assert_eq!(
        (report.verdict, codes(&report)),
        (Verdict::Undecided, vec!["timestamp_unknown_signer"])
    );

    // A message whose token had ended, and the renewal of one that had.
    let late = Eras::new().await;
    let mut late = late;
    let log = late.log();
    let numbers = stamped(&late, &log).await;
    late.on("2030-06-01");
    let second = late.authority("2032-01-01").await;
    let report = renew(&log, due(), &second).await.unwrap();
    assert_eq!(report.late, 2);
    let report = late.judge(&late.export(&log, numbers[0]).await);
    assert_eq!(
        (report.verdict, codes(&report)),
        (Verdict::Invalid, vec!["evidence_expired"])
    );
    assert!(
        report.in_words().contains("renewed too late"),
        "{}",
        report.in_words()
    );
    late.on("2033-01-01");
    let third = late.authority("2035-01-01").await;
    assert_eq!(renew(&log, due(), &third).await.unwrap().late, 1);
    let report = late.judge(&late.export(&log, numbers[0]).await);
    assert_eq!(
        (report.verdict, codes(&report)),
        (Verdict::Invalid, vec!["evidence_expired"])
    );
}

/// Opens a log on a recording disk.
fn open(disk: &RecordingDisk, clock: &Arc<ManualClock>) -> MessageLog {
    let mut log = MessageLog::open(OpenLog {
        dir: "/data".into(),
        disk: Arc::new(disk.clone()),
        master: MasterKey::from_bytes([7; 32]),
        settings: LogSettings {
            first_segment_bytes: 64 * 1024,
            segment_bytes: 64 * 1024,
            reserve: 0,
            ..LogSettings::default()
        },
        server: "TEST/GOV/1001/ss1".parse().unwrap(),
        test: true,
        clock: clock.clone(),
    })
    .unwrap();
    log.renewal.sizes = Sizes { entry: 1, token: 3 };
    log
}

#[tokio::test]
async fn a_crash_anywhere_in_a_renewal_leaves_what_is_recorded_and_the_rest_due() {
    let mut eras = Eras::new().await;
    let disk = RecordingDisk::default();
    let log = open(&disk, &eras.clock);
    let mut numbers = Vec::new();
    for _ in 0..3 {
        numbers.extend(stamped(&eras, &log).await);
    }
    let second = eras.authority("2035-01-01").await;
    let before = disk.position();
    let report = renew(&log, due(), &second).await.unwrap();
    assert!(report.tokens.len() > 1 && report.messages == 18, "{report:?}");
    let after = disk.position();
    drop(log);
    let steps = (before..=after).step_by(((after - before) / 24).max(1));
    for position in steps {
        let crashed = disk.after_crash(position, Crash::Mixture(position as u64));
        let log = open(&crashed, &eras.clock);
        renew(&log, due(), &second).await.unwrap();
        let left = renew(&log, due(), &second).await.unwrap();
        assert_eq!((left.stamps, left.renewals), (0, 0), "at {position}");
        for number in &numbers {
            let record = log.evidence_record(*number).await.unwrap();
            let record = record.unwrap_or_else(|| panic!("entry {number} after {position}"));
            assert_eq!(EvidenceRecord::parse(&record).unwrap().timestamps().count(), 1);
        }
        drop(log);
    }
}

/// What a tool of others says, or nothing where it is missing.
fn openssl(dir: &Path, arguments: &str) -> Option<(bool, String)> {
    let run = Command::new("openssl")
        .args(arguments.split(' '))
        .current_dir(dir)
        .output();
    match run {
        Ok(output) => {
            let text = [output.stdout, output.stderr].concat();
            Some((
                output.status.success(),
                String::from_utf8_lossy(&text).into_owned(),
            ))
        }
        Err(_) => {
            eprintln!("SKIPPED: there is no openssl");
            None
        }
    }
}

#[tokio::test]
async fn openssl_reads_the_record_finds_the_files_in_it_and_verifies_its_time_stamps() {
    let mut eras = Eras::new().await;
    let log = eras.log();
    let numbers = stamped(&eras, &log).await;
    eras.on("2030-03-01");
    let second = eras.authority("2035-01-01").await;
    renew(&log, due(), &second).await.unwrap();
    eras.on("2034-12-01");
    let third = eras.authority("2040-01-01").await;
    renew(&log, due(), &third).await.unwrap();
    let written = eras.export(&log, numbers[0]).await;
    let dir = eras.world.dir.path().join("tool");
    fs::create_dir_all(&dir).unwrap();
    let record = fs::read(written.record.as_ref().unwrap()).unwrap();
    fs::write(dir.join("r.ers"), &record).unwrap();
    fs::write(dir.join("ca.pem"), eras.root.certificate().to_pem()).unwrap();
    let Some((reads, text)) = openssl(&dir, "asn1parse -inform DER -in r.ers") else {
        return;
    };
    assert!(reads, "{text}");
    // Every file of the container but mimetype and the manifests is among the first digests, and nothing else.
    let container = Container::read(File::open(&written.container).unwrap()).unwrap();
    let stamp = container.timestamp.unwrap();
    let files = [
        container.message,
        container.signatures,
        stamp.result,
        stamp.chain,
        stamp.token,
    ];
    for bytes in files {
        fs::write(dir.join("file"), &bytes).unwrap();
        let (_, digest) = openssl(&dir, "dgst -sha512 -r file").unwrap();
        let digest = digest.split(' ').next().unwrap().to_uppercase();
        assert!(text.contains(&format!("[HEX DUMP]:{digest}")), "{digest}: {text}");
    }
    let parsed = EvidenceRecord::parse(&record).unwrap();
    for (stamp, day) in parsed.timestamps().zip(["2030-03-01", "2034-12-01"]) {
        fs::write(dir.join("t.der"), stamp.token().der()).unwrap();
        let digest: String = stamp
            .token()
            .imprint()
            .1
            .iter()
            .map(|byte| format!("{byte:02x}"))
            .collect();
        let verify = |digest: &str| {
            let at = at(day).secs();
            openssl(
                &dir,
                &format!("ts -verify -digest {digest} -token_in -in t.der -CAfile ca.pem -attime {at}"),
            )
            .unwrap()
        };
        let (holds, text) = verify(&digest);
        assert!(holds, "{text}");
        assert!(!verify(&"0".repeat(128)).0);
    }
}
