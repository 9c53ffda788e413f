//! What becomes of content that is over: deleted with its case, taken back, or ended by its day.

use bytes::Bytes;
use http_body_util::BodyExt;
use jiff::civil::date;
use kontor_participation::round::delivery::{Body, ExtensionReason, RevokeReason, Sent, Side};
use kontor_participation::round::disclosure::Right;
use kontor_participation::round::state::State;
use kontor_participation::transfer::delivery::Words;
use kontor_participation::transfer::offer::Id;
use serde_json::{Value, json};

use super::super::super::files::Held;
use super::super::super::row::Pack;
use super::super::super::tests::{Bed, at};
use super::super::super::{Principal, Refused, Step};
use super::super::adviser::AdviserWish;
use super::super::participant::{self, Command as Theirs};
use super::super::requester::{Command, Details};
use super::super::row::{Announced, RequestRow};
use super::super::statement::Draft;
use super::person;
use crate::config::casework::Role;
use crate::messagelog::Kept;

fn weeks() -> Value {
    json!({ "rule": { "kind": "weeks", "n": 6 } })
}

impl Bed {
    async fn enters(&self, id: &Id, command: Theirs, details: participant::Details) {
        let coordinator = person("coordinator", &[Role::Coordinator]);
        let version = self.casework().request(Side::Participant, id).unwrap().version;
        self.casework()
            .contribution_command(&coordinator, id, version, command, details)
            .await
            .unwrap();
        self.deliver().await;
    }

    /// The case's people want something of a request.
    pub(super) async fn wants(
        &self,
        id: &Id,
        command: Command,
        details: Value,
    ) -> Result<RequestRow, Refused> {
        let worker = person("worker", &[Role::Worker]);
        let version = self.casework().request(Side::Requester, id).unwrap().version;
        let details: Details = serde_json::from_value(details).unwrap();
        self.casework()
            .request_command(&worker, id, version, command, details)
            .await
    }

    /// Shows other files of so many octets each, which are announced and not pulled yet; gives their ids and the number of the message.
    async fn shows_besides<const N: usize>(&self, id: &Id, octets: [usize; N]) -> ([String; N], u32) {
        let case = self
            .casework()
            .request(Side::Requester, id)
            .unwrap()
            .case
            .unwrap();
        let mut files = octets.map(|_| String::new());
        for (file, octets) in files.iter_mut().zip(octets) {
            *file = self.added(&case, "Schnitt", vec![b'x'; octets].into()).await;
        }
        let parts = files
            .each_ref()
            .map(|file| json!({ "file_id": file, "right": "VIEW" }));
        let disclosure = json!({ "files": parts.as_slice(), "purpose": "fiktiv", "legal_basis": "fiktiv" });
        let details = json!({ "disclosure": disclosure });
        let row = self.wants(id, Command::Supplement, details).await.unwrap();
        self.bring().await;
        (files, row.sent)
    }

    async fn takes_back(&self, id: &Id, file: &str) {
        let details = json!({ "files": [file], "reason": "NO_LONGER_NEEDED" });
        self.wants(id, Command::RevokeFiles, details).await.unwrap();
        self.bring().await;
        while self
            .casework()
            .request_falls_due(Side::Participant, id)
            .await
            .unwrap()
        {}
        self.bring().await;
    }

    fn announced(&self, id: &Id, seq: u32) -> Announced {
        let row = self.casework().request(Side::Participant, id).unwrap();
        let mut all = row.bundles.into_iter();
        all.find(|one| one.side == Side::Requester && one.seq == seq)
            .unwrap()
    }

    /// The one part of a bundle.
    async fn part(&self, id: &Id, seq: u32) -> Bytes {
        let brought = self.brought().await;
        let part = self
            .casework()
            .round_part(&brought, id, Side::Requester, seq, 0)
            .await
            .unwrap();
        part.into_body().collect().await.unwrap().to_bytes()
    }

    async fn kept(&self, octets: Bytes) -> Kept {
        let vault = &self.casework().vault;
        let mut writer = vault.spool();
        writer.write(octets).await.unwrap();
        vault.keep(writer.finish().await.unwrap().into()).await.unwrap()
    }

    /// Pulls the one part of a bundle and keeps it, as one that is large is kept until it is imported.
    async fn pulls(&self, id: &Id, seq: u32) -> Pack {
        let casework = self.casework();
        let pack = Pack {
            parts: vec![self.kept(self.part(id, seq).await).await],
            ..Pack::default()
        };
        let row = casework.request(Side::Participant, id).unwrap();
        let mut step = Step {
            files: vec![Held::by(id, &pack.parts[0])],
            ..Step::default()
        };
        casework.put_pulled(&mut step, &row, seq, Some(&pack)).unwrap();
        let cites = row.cites.clone();
        step.requests.push(row);
        casework.commit("test", &cites, step).await.unwrap();
        pack
    }

    /// Files of content that lie on the disk.
    fn lies_here(&self) -> usize {
        std::fs::read_dir(self.dir().join("casework").join("content"))
            .unwrap()
            .count()
    }

    async fn asks_back(&self, id: &Id) {
        let details = participant::Details {
            text: Some("Welche Höhe? (fiktiv)".into()),
            ..participant::Details::default()
        };
        self.enters(id, Theirs::Ask, details).await;
    }
}

#[tokio::test]
async fn once_the_content_of_a_case_is_deleted_nothing_is_pulled_into_it_and_messages_are_taken() {
    let bed = Bed::at("2027-01-04T08:00:00Z").await;
    let id = bed.asked(1, "INTERNAL", "INTERNAL", weeks()).await;
    bed.deliver().await;
    let casework = bed.casework();
    let case = casework.request(Side::Requester, &id).unwrap().case.unwrap();
    let row = casework.case(&case).unwrap();
    casework
        .purge(&Principal::node(), row, "test", casework.now())
        .await
        .unwrap();
    bed.asks_back(&id).await;
    let details = participant::Details {
        until: Some(date(2027, 3, 31)),
        extension_reason: Some(ExtensionReason::SiteVisit),
        words: Some(Words {
            text: "Ortstermin".into(),
            free_of_personal_data: true,
        }),
        ..participant::Details::default()
    };
    bed.enters(&id, Theirs::AskForTime, details).await;
    let row = casework.request(Side::Requester, &id).unwrap();
    let request = row.expected();
    assert!(request.question_open() && request.extension_wanted().is_some());
    assert!(
        row.bundles
            .iter()
            .any(|one| one.side == Side::Participant && !one.complete)
    );
    let due = casework.request_due(&row);
    assert!(due.is_none_or(|at| at > casework.now()), "{due:?}");
    let answered = bed
        .wants(&id, Command::Answer, json!({ "text": "Sieben Meter (fiktiv)" }))
        .await;
    assert_eq!(answered.unwrap_err().code, "purged");
}

#[tokio::test]
async fn after_the_disclosure_ended_a_file_is_closed_and_a_statement_may_still_be_drafted() {
    let bed = Bed::at("2027-01-04T08:00:00Z").await;
    let mut wish = weeks();
    wish["ends"] = json!("2027-01-20");
    wish["files"] = json!(["Lageplan"]);
    let id = bed.asked(1, "INTERNAL", "INTERNAL", wish).await;
    bed.deliver().await;
    let casework = bed.casework();
    let coordinator = person("coordinator", &[Role::Coordinator]);
    let row = casework.request(Side::Participant, &id).unwrap();
    let file = casework.sheets(&row).unwrap()[0].1.files[0].file_id.clone();
    let opened = || casework.open_disclosed(&coordinator, &id, &file, Right::View);
    opened().await.unwrap();
    bed.clock.set(at("2027-01-20T23:00:00Z"));
    assert_eq!(opened().await.unwrap_err().code, "disclosure_closed");
    assert!(casework.request_falls_due(Side::Participant, &id).await.unwrap());
    assert_eq!(opened().await.unwrap_err().code, "disclosure_closed");
    let version = || casework.request(Side::Participant, &id).unwrap().version;
    let wish: AdviserWish =
        serde_json::from_value(json!({ "pseudonym": "adviser", "files": [file], "until": "2027-02-01" }))
            .unwrap();
    let advised = casework.advise(&coordinator, &id, version(), wish).await;
    assert_eq!(advised.unwrap_err().code, "disclosure_closed");
    let draft: Draft = serde_json::from_value(json!({
        "kind": "STATEMENT", "author": "Amt", "text": "Bedenken (fiktiv)",
        "points": [{ "number": 1, "topic": "Plan", "refers_to": { "file": file }, "text": "fiktiv" }],
    }))
    .unwrap();
    casework.draft(&coordinator, &id, version(), draft).await.unwrap();
}

/// Octets of a bundle that is imported from the disk and not from memory.
const LARGE: usize = 300 * 1024;

async fn with_a_file() -> (Bed, Id, String) {
    let bed = Bed::at("2027-01-04T08:00:00Z").await;
    let mut wish = weeks();
    wish["files"] = json!(["Lageplan"]);
    let id = bed.asked(1, "INTERNAL", "INTERNAL", wish).await;
    bed.deliver().await;
    let row = bed.casework().request(Side::Participant, &id).unwrap();
    let file = bed.casework().sheets(&row).unwrap()[0].1.files[0].file_id.clone();
    (bed, id, file)
}

#[tokio::test]
async fn a_file_that_is_taken_back_leaves_other_bundles_as_far_as_they_were_pulled() {
    let (bed, id, file) = with_a_file().await;
    let casework = bed.casework();
    let ([other], seq) = bed.shows_besides(&id, [LARGE]).await;
    let pack = bed.pulls(&id, seq).await;
    bed.takes_back(&id, &file).await;
    let row = casework.request(Side::Participant, &id).unwrap();
    assert!(row.to_delete.is_empty());
    let announced = bed.announced(&id, seq);
    casework
        .arrived_bundle(&row, &announced, &pack, Bytes::new())
        .await
        .unwrap();
    assert!(bed.announced(&id, seq).complete);
    let coordinator = person("coordinator", &[Role::Coordinator]);
    let opened = async |file: &str| {
        let opened = casework
            .open_disclosed(&coordinator, &id, file, Right::View)
            .await;
        opened
            .map(|file| file.kept.length)
            .map_err(|refused| refused.code)
    };
    assert_eq!(opened(&other).await, Ok(LARGE as u64));
    assert_eq!(opened(&file).await, Err("file_revoked"));
}

#[tokio::test]
async fn a_bundle_whose_file_is_taken_back_goes_as_far_as_it_was_pulled_and_is_not_pulled_again() {
    let (bed, id, _) = with_a_file().await;
    let casework = bed.casework();
    let ([file], seq) = bed.shows_besides(&id, [LARGE]).await;
    let before = bed.lies_here();
    bed.pulls(&id, seq).await;
    bed.takes_back(&id, &file).await;
    assert_eq!(bed.lies_here(), before);
    let announced = bed.announced(&id, seq);
    assert_eq!(announced.problem.as_deref(), Some("file_revoked"));
    let row = casework.request(Side::Participant, &id).unwrap();
    assert!(casework.request_due(&row).is_none_or(|at| at > casework.now()));
}

#[tokio::test]
async fn a_file_that_is_taken_back_while_its_bundle_is_on_its_way_is_not_kept() {
    let (bed, id, _) = with_a_file().await;
    let casework = bed.casework();
    let ([file], seq) = bed.shows_besides(&id, [LARGE]).await;
    let before = bed.lies_here();
    let row = casework.request(Side::Participant, &id).unwrap();
    let octets = bed.part(&id, seq).await;
    bed.takes_back(&id, &file).await;
    casework
        .arrived_bundle(&row, &bed.announced(&id, seq), &Pack::default(), octets)
        .await
        .unwrap();
    assert_eq!(bed.lies_here(), before);
}

#[tokio::test]
async fn files_that_are_taken_back_after_everything_is_deleted_are_not_deleted_for_ever() {
    let (bed, id, file) = with_a_file().await;
    let casework = bed.casework();
    let reason = json!({ "reason": "NO_LONGER_NEEDED" });
    bed.wants(&id, Command::Revoke, reason).await.unwrap();
    bed.deliver().await;
    assert!(casework.request_falls_due(Side::Participant, &id).await.unwrap());
    bed.deliver().await;
    let row = || casework.request(Side::Participant, &id).unwrap();
    assert_eq!(row().state(), State::Purged);
    let body = Body::Revoke {
        whole: false,
        files: vec![file],
        reason: RevokeReason::NoLongerNeeded,
    };
    let sent = Sent::new(body, row().sent, casework.now(), true);
    let seq = row().received + 1;
    let bytes = serde_json::to_vec(&sent).unwrap();
    casework
        .take_round(
            &bed.brought().await,
            &id,
            Side::Requester,
            seq,
            "revoke",
            bytes.into(),
        )
        .await
        .unwrap();
    assert_eq!(row().received, seq);
    assert!(casework.request_due(&row()).is_none_or(|at| at > casework.now()));
    assert!(!casework.request_falls_due(Side::Participant, &id).await.unwrap());
}

#[tokio::test]
async fn what_was_taken_back_is_not_shown_again_by_a_supplement() {
    let (bed, id, file) = with_a_file().await;
    bed.takes_back(&id, &file).await;
    let part = |file: &str| json!({ "file_id": file, "right": "VIEW" });
    let shows = |files: Vec<Value>| {
        let disclosure = json!({ "files": files, "purpose": "fiktiv", "legal_basis": "fiktiv" });
        bed.wants(&id, Command::Supplement, json!({ "disclosure": disclosure }))
    };
    let case = bed
        .casework()
        .request(Side::Requester, &id)
        .unwrap()
        .case
        .unwrap();
    let other = bed.added(&case, "Schnitt", Bytes::from_static(b"x")).await;
    let refused = shows(vec![part(&other), part(&file)]).await.unwrap_err();
    let said = (refused.status.as_u16(), refused.code, refused.pointer.as_deref());
    assert_eq!(said, (422, "file_revoked", Some("/disclosure/files/1")));
    assert!(refused.detail.contains(&file) && refused.hint.is_some());
    shows(vec![part(&other)]).await.unwrap();
}

#[tokio::test]
async fn what_is_disclosed_is_handed_out_until_its_last_day_ends() {
    let bed = Bed::at("2027-01-04T08:00:00Z").await;
    let mut wish = weeks();
    wish["ends"] = json!("2027-01-20");
    let id = bed.asked(1, "INTERNAL", "INTERNAL", wish).await;
    bed.bring().await;
    let part = async || {
        let brought = bed.brought().await;
        let part = bed
            .casework()
            .round_part(&brought, &id, Side::Requester, 1, 0)
            .await;
        part.map(drop)
            .map_err(|refused| (refused.status.as_u16(), refused.code))
    };
    bed.clock.set(at("2027-01-20T22:59:59Z"));
    assert_eq!(part().await, Ok(()));
    bed.clock.set(at("2027-01-20T23:00:00Z"));
    assert_eq!(part().await, Err((410, "disclosure_closed")));
}

#[tokio::test]
async fn a_bundle_that_ends_damaged_or_unwanted_or_breaks_off_leaves_no_files() {
    let (bed, id, _) = with_a_file().await;
    let casework = bed.casework();
    let (_, seq) = bed.shows_besides(&id, [LARGE]).await;
    let (_, second) = bed.shows_besides(&id, [LARGE, LARGE]).await;
    let before = bed.lies_here();
    let octets = bed.part(&id, seq).await;
    let row = casework.request(Side::Participant, &id).unwrap();
    let arrived = async |seq: u32, parts: Vec<Kept>, octets: Bytes| {
        let pack = Pack {
            parts,
            ..Pack::default()
        };
        let announced = bed.announced(&id, seq);
        casework.arrived_bundle(&row, &announced, &pack, octets).await
    };
    let both = bed.part(&id, second).await;
    // The part that is to be read last is lost.
    let middle = both.len() - 1;
    let there = bed.kept(both.slice(..middle)).await;
    let lost = bed.kept(both.slice(middle..)).await;
    casework.vault.remove(&lost).unwrap();
    arrived(second, vec![there.clone(), lost], Bytes::new())
        .await
        .unwrap_err();
    casework.vault.remove(&there).unwrap();
    assert_eq!(bed.lies_here(), before, "it breaks off");
    let mut damaged = both.to_vec();
    *damaged.last_mut().unwrap() ^= 1;
    arrived(second, Vec::new(), damaged.into()).await.unwrap();
    let problem = bed.announced(&id, second).problem;
    assert_eq!(problem.as_deref(), Some("manifest_mismatch"));
    assert_eq!(bed.lies_here(), before, "its last file is damaged");
    let reason = json!({ "reason": "NO_LONGER_NEEDED" });
    bed.wants(&id, Command::Revoke, reason).await.unwrap();
    bed.bring().await;
    arrived(seq, Vec::new(), octets).await.unwrap();
    assert_eq!(bed.lies_here(), before, "nobody wants it any more");
}

#[tokio::test]
async fn with_the_content_of_a_case_goes_what_was_answered_on_it() {
    let (bed, id, _) = with_a_file().await;
    let casework = bed.casework();
    let coordinator = person("coordinator", &[Role::Coordinator]);
    let version = || casework.request(Side::Participant, &id).unwrap().version;
    let before = bed.lies_here();
    let photo = bed.file("Foto", vec![b'x'; LARGE].into()).await;
    let (_, added) = casework
        .attach(&coordinator, &id, version(), vec![photo])
        .await
        .unwrap();
    let draft: Draft = serde_json::from_value(json!({
        "kind": "STATEMENT", "author": "Amt", "text": "siehe Foto", "attachments": [added[0].file.file_id],
    }))
    .unwrap();
    casework.draft(&coordinator, &id, version(), draft).await.unwrap();
    bed.enters(&id, Theirs::Submit, participant::Details::default())
        .await;
    let row = casework.request(Side::Requester, &id).unwrap();
    let answer = casework.letter(&row, Side::Participant, row.received).unwrap();
    let path = |kept: &Kept| bed.dir().join("casework").join("content").join(kept.name());
    let (ours, theirs) = (path(&answer.files[0].kept), path(&added[0].kept));
    assert!(ours.exists() && theirs.exists() && before < bed.lies_here());
    let case = casework.case(&row.case.unwrap()).unwrap();
    casework
        .purge(&Principal::node(), case, "test", casework.now())
        .await
        .unwrap();
    assert!(!ours.exists() && theirs.exists());
}
