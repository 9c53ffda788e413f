//! Granting, showing and revoking tokens, on real files and a clock that is moved.

use std::{fs, sync::Arc, time::Duration};

use kontor_protocol::log::EntryKind;

use super::*;
use crate::{
    clock::{Clock, ManualClock},
    messagelog::{
        LogSettings,
        control::tests::{World, now},
    },
};

const DAY: Duration = Duration::from_secs(86_400);

async fn open() -> (World, Arc<ManualClock>, MessageLog) {
    let (world, clock) = (World::new().await, ManualClock::at(now()));
    let log = world.log_with(clock.clone(), LogSettings::default());
    (world, clock, log)
}

fn wanted(clock: &ManualClock) -> NewGrant {
    NewGrant {
        name: "Rechnungsprüfung (fiktiv)".into(),
        ground: "case 7".into(),
        scope: AuditScope::Entries,
        only: Restriction::default(),
        until: clock.now() + DAY,
        by: "uid:1000".into(),
    }
}

fn file(world: &World) -> std::path::PathBuf {
    world.dir.path().join("data/auditors.json")
}

#[tokio::test]
async fn a_token_is_told_once_and_only_its_digest_is_kept() {
    let (world, clock, log) = open().await;
    let (grant, token) = log.grant(wanted(&clock)).await.unwrap();
    assert_eq!(log.auditor(&token).as_ref(), Ok(&grant));
    let secret = token.rsplit_once('_').unwrap().1;
    assert_eq!(secret.len(), 64);
    assert!(!fs::read_to_string(file(&world)).unwrap().contains(secret));
    let said: Acted = log.fact(grant.entry).await.unwrap().said().unwrap();
    assert_eq!((said.act.as_str(), said.who.as_str()), (GRANTED, "uid:1000"));
    assert_eq!(said.details["scope"], "entries");
    assert!(!said.details.to_string().contains(secret));
    log.shutdown().await;
    let again = world.log_with(clock, LogSettings::default());
    assert_eq!(again.auditor(&token).map(|grant| grant.id), Ok(grant.id));
}

#[tokio::test]
async fn a_token_that_is_not_exactly_the_one_that_was_told_opens_nothing() {
    let (_world, clock, log) = open().await;
    let (grant, token) = log.grant(wanted(&clock)).await.unwrap();
    let (other, _) = log.grant(wanted(&clock)).await.unwrap();
    let secret = token.rsplit_once('_').unwrap().1;
    let twins = [
        String::new(),
        token.replace("kontor_audit_", ""),
        token[..token.len() - 1].to_owned(),
        format!("{token}0"),
        token.to_uppercase(),
        format!("{PREFIX}{}_{secret}", other.id),
        format!("{PREFIX}{}_", grant.id),
        format!("{PREFIX}{}_{}", grant.id, grant.digest),
        format!("{PREFIX}_{secret}"),
    ];
    for twin in twins {
        assert_eq!(log.auditor(&twin), Err(TokenError::Unknown), "{twin}");
    }
}

#[tokio::test]
async fn a_token_ends_with_its_time() {
    let (_world, clock, log) = open().await;
    let (grant, token) = log.grant(wanted(&clock)).await.unwrap();
    clock.advance(DAY - Duration::from_secs(1));
    assert!(log.auditor(&token).is_ok());
    clock.advance(Duration::from_secs(1));
    assert_eq!(log.auditor(&token), Err(TokenError::Expired));
    assert_eq!(log.auditor_again(&grant.id), Err(TokenError::Expired));
}

#[tokio::test]
async fn a_revoked_token_opens_nothing_and_the_log_says_why() {
    let (world, clock, log) = open().await;
    let (grant, token) = log.grant(wanted(&clock)).await.unwrap();
    let revoked = log.revoke(&grant.id, "audit closed", "uid:0").await.unwrap();
    assert_eq!(log.auditor(&token), Err(TokenError::Revoked));
    assert_eq!(log.auditor_again(&grant.id), Err(TokenError::Revoked));
    let entry = revoked.revoked.clone().unwrap().entry.unwrap();
    let fact = log.fact(entry).await.unwrap();
    assert_eq!(fact.kind, EntryKind::Act);
    let said: Acted = fact.said().unwrap();
    assert_eq!(
        (said.act.as_str(), said.ground.as_str()),
        (REVOKED, "audit closed")
    );
    assert_eq!(said.details["granted_by_entry"], grant.entry);
    // Asked twice it stands once in the log.
    assert_eq!(log.revoke(&grant.id, "again", "uid:0").await.unwrap(), revoked);
    let unknown = log.revoke("00000000", "x", "uid:0").await.unwrap_err();
    assert_eq!(unknown.code(), "auditor_unknown");
    log.shutdown().await;
    let again = world.log_with(clock, LogSettings::default());
    assert_eq!(again.auditor(&token), Err(TokenError::Revoked));
}

#[tokio::test]
async fn a_log_that_takes_nothing_still_shuts_somebody_out_and_lets_nobody_in() {
    let (_world, clock, log) = open().await;
    let (grant, token) = log.grant(wanted(&clock)).await.unwrap();
    log.ledger.refuse(LogError::Contradiction { size: 1 });
    let refused = log.grant(wanted(&clock)).await.unwrap_err();
    assert_eq!(refused.code(), "log_contradiction");
    let refused = log.revoke(&grant.id, "stolen", "uid:0").await.unwrap_err();
    assert_eq!(refused.code(), "log_contradiction");
    assert_eq!(log.auditor(&token), Err(TokenError::Revoked));
    let kept = log.grants().pop().unwrap().revoked.unwrap();
    assert_eq!((kept.entry, kept.ground.as_str()), (None, "stolen"));
}

#[tokio::test]
async fn a_life_without_end_and_a_name_that_is_none_are_refused() {
    let (_world, clock, log) = open().await;
    for until in [clock.now(), clock.now() + LONGEST + DAY] {
        let new = NewGrant {
            until,
            ..wanted(&clock)
        };
        assert_eq!(log.grant(new).await.unwrap_err().code(), "auditor_until");
    }
    for name in ["", "  ", "a\nb", &"x".repeat(201)] {
        let new = NewGrant {
            name: name.into(),
            ..wanted(&clock)
        };
        assert_eq!(log.grant(new).await.unwrap_err().code(), "auditor_text");
    }
    assert_eq!(log.stats().entries, 0, "what is refused leaves no entry");
}

#[tokio::test]
async fn a_file_that_does_not_read_lets_nobody_in() {
    let (world, clock, log) = open().await;
    log.grant(wanted(&clock)).await.unwrap();
    log.shutdown().await;
    for content in [
        "{",
        r#"{"format":2,"grants":[]}"#,
        r#"{"format":1,"grants":[{"id":"x"}]}"#,
    ] {
        fs::write(file(&world), content).unwrap();
        let opened = MessageLog::open(world.opening(clock.clone(), LogSettings::default()));
        let error = opened.unwrap_err();
        assert_eq!(error.code(), "log_damaged", "{content}");
        assert!(error.to_string().contains("auditors.json"));
    }
}

#[test]
fn a_restriction_survives_its_text_and_an_unknown_one_is_no_wider_view() {
    let only = Restriction {
        member: Some("TEST/GOV/1001".parse().unwrap()),
        client: Some("TEST/GOV/1001/antrag".parse().unwrap()),
        from: Some(UnixTime::from_secs(10)),
        to: Some(UnixTime::from_secs(20)),
        numbers: Some("3-9,12".parse().unwrap()),
    };
    let text = RestrictionText::from(&only);
    assert_eq!(text.read(), Ok(only));
    assert!(RestrictionText::default().read().unwrap().is_none());
    for wrong in [r#"{"member":"x"}"#, r#"{"numbers":"9-3"}"#, r#"{"from":"never"}"#] {
        let text: RestrictionText = serde_json::from_str(wrong).unwrap();
        assert!(text.read().is_err(), "{wrong}");
    }
    assert!(serde_json::from_str::<RestrictionText>(r#"{"service":"x"}"#).is_err());
}
