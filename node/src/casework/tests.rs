//! What falls due, by a clock that is set: once, at the instant that the law's day ends, across months, the change to summer time,
//! and restarts. The other side's messages come as its node would bring them.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use kontor_participation::transfer::delivery::{Body, FileResult, ImportedFile, Party, Sent};
use kontor_participation::transfer::offer::Id;
use kontor_pki::sealed::MasterKey;
use kontor_pki::time::UnixTime;

use super::inbox::Brought;
use super::offers::Wish;
use super::row::{OutState, Process, TransferRow};
use super::{Casework, Principal, Refused, Setup, Table};
use crate::clock::ManualClock;
use crate::config::casework::{CaseworkSettings, ParticipationSettings, Periods, Scanner};
use crate::config::{EgressSettings, Mode};
use crate::disk::SystemDisk;
use crate::globalconf::GlobalConf;
use crate::messagelog::{LogSettings, MessageLog, OpenLog};
use crate::shutdown::Shutdown;

const PEER: &str = "TEST/GOV/1002/KONTOR";
const DAY: Duration = Duration::from_secs(86_400);

pub(super) fn at(text: &str) -> UnixTime {
    UnixTime::parse_rfc3339(text).unwrap()
}

pub(super) struct Bed {
    dir: tempfile::TempDir,
    pub(super) clock: Arc<ManualClock>,
    participation: ParticipationSettings,
    open: Option<(Arc<Casework>, MessageLog)>,
}

impl Bed {
    pub(super) async fn at(instant: &str) -> Self {
        Self::with(instant, |_| ParticipationSettings::default()).await
    }

    /// With other settings of participation, which may name what lies in its directory.
    pub(super) async fn with(
        instant: &str,
        participation: impl FnOnce(&Path) -> ParticipationSettings,
    ) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let clock = ManualClock::at(at(instant));
        let participation = participation(dir.path());
        let open = Some(open(dir.path(), &clock, &participation).await);
        Self {
            dir,
            clock,
            participation,
            open,
        }
    }

    /// Where it keeps everything.
    pub(super) fn dir(&self) -> &Path {
        self.dir.path()
    }

    pub(super) fn casework(&self) -> &Arc<Casework> {
        &self.open.as_ref().unwrap().0
    }

    /// The process ends, and another one opens what it left.
    pub(super) async fn restart(&mut self) {
        let (casework, log) = self.open.take().unwrap();
        log.shutdown().await;
        drop((casework, log));
        self.open = Some(open(self.dir.path(), &self.clock, &self.participation).await);
    }

    /// An application that is offered to the peer.
    async fn offered(&self, form: &str) -> TransferRow {
        let opened = self
            .casework()
            .take_in(&Principal::node(), form.as_bytes(), Vec::new())
            .await
            .unwrap();
        let wish: Wish = serde_json::from_value(
            serde_json::json!({ "to": "TEST/GOV/1002", "situation": "COMPETENCE_CHANGED" }),
        )
        .unwrap();
        let recipient = ("TEST/GOV/1002".parse().unwrap(), PEER.parse().unwrap());
        self.casework()
            .offer_to(
                &Principal::node(),
                &opened.case.id,
                opened.case.version,
                &wish,
                true,
                Ok(recipient),
            )
            .await
            .unwrap()
    }

    /// The peer says something, which is taken.
    async fn says(&self, id: &Id, seq: u32, body: Body) {
        let kind = body.kind().to_owned();
        let sent = Sent::new(body, self.casework().now(), true);
        let entry = self.casework().log.append_fact(crate::messagelog::Fact::new(
            crate::messagelog::FactKind::Look,
            &crate::messagelog::Looked {
                who: "peer".into(),
                what: kind.clone(),
                ground: "test".into(),
            },
        ));
        let brought = Brought {
            client: PEER.parse().unwrap(),
            query_id: format!("query-{seq}"),
            request_id: format!("request-{seq}"),
            entry: entry.await.unwrap(),
        };
        let bytes = serde_json::to_vec(&sent).unwrap();
        let answered = self
            .casework()
            .take_transfer(&brought, id, Party::Receiver, seq, &kind, bytes.into())
            .await
            .unwrap();
        assert_eq!(answered.status, http::StatusCode::ACCEPTED, "{kind}");
    }

    fn state(&self, id: &Id) -> &'static str {
        self.casework().transfer(id).unwrap().machine.state()
    }

    /// How many rows a table has.
    fn rows(&self, table: Table) -> usize {
        let rows = self
            .casework()
            .store
            .below::<serde_json::Value>(table, b"")
            .unwrap();
        rows.len()
    }

    /// How many messages of a kind wait or went.
    fn told(&self, id: &Id, kind: &str) -> usize {
        let sent = self
            .casework()
            .sent_messages(&Process::Transfer(id.clone()))
            .unwrap();
        sent.iter()
            .filter(|message| message.kind == kind && matches!(message.state, OutState::Waiting))
            .count()
    }
}

async fn open(
    dir: &Path,
    clock: &Arc<ManualClock>,
    participation: &ParticipationSettings,
) -> (Arc<Casework>, MessageLog) {
    let log = MessageLog::open(OpenLog {
        dir: dir.to_owned(),
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
        clock: clock.clone(),
    })
    .unwrap();
    let settings = CaseworkSettings {
        client: "TEST/GOV/1001/KONTOR".parse().unwrap(),
        rights: Vec::new(),
        region: Some("010585890008".parse().unwrap()),
        directory: None,
        secrecy: [].into(),
        instance: None,
        scanner: Scanner::None,
        keys: Vec::new(),
        issuers: Vec::new(),
        standing_rules: Vec::new(),
        participation: participation.clone(),
        training_clock: Some(dir.join("ahead")).filter(|file| file.exists()),
        webhooks: Vec::new(),
        clocks: Periods {
            answer_days: 3,
            take_over_days: 5,
            receipt: Duration::from_secs(900),
            import: Duration::from_secs(3600),
            relay: 365 * DAY,
            grace: 30 * DAY,
            unconfirmed: DAY,
        },
    };
    let setup = || Setup {
        settings: settings.clone(),
        log: log.clone(),
        trust: Arc::new(GlobalConf::new(Mode::Test)),
        clock: clock.clone(),
        server: "TEST/GOV/1001/ss1".parse().unwrap(),
        test: true,
        egress: EgressSettings::default(),
        shutdown: Shutdown::default(),
    };
    // The committer of the one before lets go of the file a moment after whoever used it.
    let mut tries = 0;
    let casework = loop {
        match Casework::open(dir, setup()) {
            Ok(casework) => break casework,
            Err(error) => assert!(tries < 500, "{error}"),
        }
        tries += 1;
        tokio::time::sleep(Duration::from_millis(10)).await;
    };
    casework.begin().await.unwrap();
    (casework, log)
}

pub(super) fn form(number: u32) -> String {
    serde_json::json!({
        "control": { "transactionId": format!("0b9f1d9e-0f3c-4f53-8d5c-{number:012x}"), "leikaIds": ["99102013104000"], "name": "fiktiv" },
        "formData": [{ "name": "a", "label": "A", "stringValue": "b" }],
    })
    .to_string()
}

#[tokio::test]
async fn a_token_ends_by_the_clock_of_the_machine_also_in_a_training() {
    let mut bed = Bed::at("2026-10-23T07:00:00Z").await;
    std::fs::write(bed.dir().join("ahead"), "86400").unwrap();
    bed.restart().await;
    let casework = bed.casework();
    let until = |instant| {
        let mut who = Principal::node();
        who.admitted = Some(casework.admitted.load_full());
        who.until = Some(jiff::Timestamp::from_millisecond(at(instant).millis()).unwrap());
        who
    };
    let (held, ended) = (until("2026-10-23T07:00:01Z"), until("2026-10-23T07:00:00Z"));
    assert!(casework.now() > held.until.unwrap());
    assert!(casework.admits(&held) && !casework.admits(&ended));
}

#[tokio::test]
async fn an_offer_ends_with_its_last_working_day_after_the_change_of_the_clocks_and_ends_once() {
    // Friday in summer time; three working days later it is winter time.
    let mut bed = Bed::at("2026-10-23T07:00:00Z").await;
    let id = bed.offered(&form(1)).await.id;
    let ends = bed
        .casework()
        .transfer(&id)
        .unwrap()
        .offer
        .answer_wanted_by
        .ends_at;
    assert_eq!(ends.to_string(), "2026-10-28T23:00:00Z");
    bed.clock.set(at("2026-10-28T22:59:59Z"));
    assert!(!bed.casework().fall_due(&id).await.unwrap());
    bed.restart().await;
    assert!(!bed.casework().fall_due(&id).await.unwrap());
    assert_eq!(bed.state(&id), "OFFERED");
    bed.clock.set(at("2026-10-28T23:00:00Z"));
    assert!(bed.casework().fall_due(&id).await.unwrap());
    assert_eq!((bed.state(&id), bed.told(&id, "expire")), ("EXPIRED", 1));
    bed.restart().await;
    // What was packed for nobody goes, once; the case keeps what it has.
    assert!(bed.casework().transfer(&id).unwrap().packed && bed.rows(Table::Packs) == 1);
    assert_eq!(bed.rows(Table::Blobs), 2, "form and dossier as they were packed");
    assert!(bed.casework().fall_due(&id).await.unwrap());
    assert_eq!((bed.rows(Table::Packs), bed.rows(Table::Blobs)), (0, 0));
    let case = bed.casework().transfer(&id).unwrap().case.unwrap();
    let case = bed.casework().case(&case).unwrap();
    assert!(bed.casework().content(&case).is_ok());
    bed.restart().await;
    assert!(!bed.casework().fall_due(&id).await.unwrap());
    bed.clock.advance(400 * DAY);
    assert!(!bed.casework().fall_due(&id).await.unwrap());
    assert_eq!((bed.state(&id), bed.told(&id, "expire")), ("EXPIRED", 1));
}

#[tokio::test]
async fn what_is_not_taken_over_in_five_working_days_is_asked_back_over_easter_and_given_up_a_day_later() {
    // Tuesday before Easter; Good Friday and Easter Monday are none, and summer time begins in between.
    let mut bed = Bed::at("2024-03-26T09:00:00Z").await;
    let id = bed.offered(&form(1)).await.id;
    bed.says(&id, 1, Body::Accept { standing_rule: None }).await;
    let until = bed.casework().transfer(&id).unwrap().offer.take_over_until;
    assert_eq!(until.to_string(), "2024-04-04T22:00:00Z");
    bed.clock.set(at("2024-04-04T22:00:00Z"));
    assert!(!bed.casework().fall_due(&id).await.unwrap());
    bed.restart().await;
    bed.clock.set(at("2024-04-04T22:00:01Z"));
    assert!(bed.casework().fall_due(&id).await.unwrap());
    assert_eq!((bed.state(&id), bed.told(&id, "reclaim")), ("RECLAIMING", 1));
    bed.clock.advance(DAY);
    assert!(!bed.casework().fall_due(&id).await.unwrap());
    bed.restart().await;
    bed.clock.advance(Duration::from_secs(1));
    assert!(bed.casework().fall_due(&id).await.unwrap());
    assert_eq!(bed.state(&id), "UNCONFIRMED");
    assert!(!bed.casework().fall_due(&id).await.unwrap());
    assert_eq!(bed.told(&id, "reclaim"), 1);
}

#[tokio::test]
async fn content_is_deleted_thirty_days_after_the_take_over_and_that_is_told_once() {
    let mut bed = Bed::at("2027-02-26T11:00:00Z").await;
    let row = bed.offered(&form(1)).await;
    let (id, case) = (row.id.clone(), row.case.clone().unwrap());
    bed.says(&id, 1, Body::Accept { standing_rule: None }).await;
    let files = vec![ImportedFile {
        file_id: "0b9f1d9e-0f3c-4f53-8d5c-000000000001".into(),
        result: FileResult::Complete,
    }];
    bed.says(
        &id,
        2,
        Body::ImportResult {
            complete: true,
            files,
        },
    )
    .await;
    let taken = Body::TakenOver {
        at: bed.casework().now(),
        manifest: row.offer.manifest,
        case_number: "X-1".into(),
    };
    bed.says(&id, 3, taken).await;
    assert_eq!(bed.state(&id), "CLOSED");
    // Nobody gives time-stamps here: the take-over holds, and its proof waits.
    let proven = bed.casework().transfer(&id).unwrap().proven_below.unwrap();
    assert!(!bed.casework().log.is_stamped_below(proven));
    // A month of 28 days and an hour that summer time takes are in between: it is days that count.
    bed.clock.set(at("2027-03-28T10:59:59Z"));
    bed.casework().cases_due().await.unwrap();
    assert!(bed.casework().case(&case).unwrap().purged_at.is_none());
    bed.restart().await;
    bed.clock.set(at("2027-03-28T11:00:00Z"));
    bed.casework().cases_due().await.unwrap();
    let row = bed.casework().case(&case).unwrap();
    assert!(row.purged_at.is_some() && bed.casework().content(&row).is_err());
    // Nothing that was packed of it is left, and no sealed file of it.
    let left = [Table::Contents, Table::Packs, Table::Blobs].map(|table| bed.rows(table));
    assert_eq!(left, [0, 0, 0]);
    assert_eq!(bed.told(&id, "purged"), 1);
    bed.restart().await;
    bed.casework().cases_due().await.unwrap();
    assert_eq!(bed.told(&id, "purged"), 1);
    // What a later letter is found by is still there.
    assert!(
        bed.casework()
            .record(&bed.casework().case(&case).unwrap())
            .is_ok()
    );
}

#[tokio::test]
async fn a_clock_that_was_set_back_refuses_commands_also_after_a_restart() {
    let mut bed = Bed::at("2026-06-01T10:00:00Z").await;
    bed.offered(&form(1)).await;
    let refused = |taken: Result<super::intake::Opened, Refused>| taken.unwrap_err().code;
    bed.clock.set(at("2026-06-01T09:59:30Z"));
    bed.casework()
        .take_in(&Principal::node(), form(2).as_bytes(), Vec::new())
        .await
        .unwrap();
    bed.clock.set(at("2026-06-01T08:00:00Z"));
    let taken = bed
        .casework()
        .take_in(&Principal::node(), form(3).as_bytes(), Vec::new())
        .await;
    assert_eq!(refused(taken), "clock_behind");
    bed.restart().await;
    let taken = bed
        .casework()
        .take_in(&Principal::node(), form(3).as_bytes(), Vec::new())
        .await;
    assert_eq!(refused(taken), "clock_behind");
    bed.clock.set(at("2026-06-01T10:00:01Z"));
    bed.casework()
        .take_in(&Principal::node(), form(3).as_bytes(), Vec::new())
        .await
        .unwrap();
    let rows: Vec<(Vec<u8>, super::row::CaseRow)> = bed.casework().store.below(Table::Cases, b"").unwrap();
    assert_eq!(rows.len(), 3);
}

#[tokio::test]
async fn the_mark_of_acts_moves_at_a_node_that_is_never_quiet_and_never_past_an_act_that_is_not_carried_out()
{
    let bed = Bed::at("2026-06-01T10:00:00Z").await;
    let casework = bed.casework();
    let opened = |number| async move {
        let (form, who) = (form(number), Principal::node());
        let taken = casework.take_in(&who, form.as_bytes(), Vec::new());
        taken.await.unwrap().case.id
    };
    let (one, other) = (opened(1).await, opened(2).await);
    let entries = || casework.log.stats().entries;
    let marked = || async {
        casework.mark_acts().await.unwrap();
        casework
            .store
            .get::<u64>(Table::Meta, b"acts checked")
            .unwrap()
            .unwrap()
    };
    let (one, other) = ([&one], [&other]);
    let first = casework.lock(&one).await;
    let before = marked().await;
    let seen = entries();
    assert!(before < seen, "everything was marked already");
    // Others go on meanwhile; who holds the first lock may not have carried out what it logged.
    opened(3).await;
    assert_eq!(marked().await, before);
    let second = casework.lock(&other).await;
    assert_eq!(marked().await, before);
    drop(first);
    let later = entries();
    assert!(later > seen);
    assert_eq!(
        marked().await,
        seen,
        "up to where the first was the last one that was held"
    );
    // Somebody always holds something, but not the same.
    let first = casework.lock(&one).await;
    assert_eq!(marked().await, seen);
    drop(second);
    assert_eq!(marked().await, later);
    drop(first);
}
