//! What the simulation said, as an evidence package: an auditor who has the messages and receipts alone comes to the same request.

use kontor_pki::crypto::sha256;
use proptest::strategy::{Strategy, ValueTree};
use proptest::test_runner::TestRunner;

use super::super::delivery::{
    Body, CONTRACT, CancelReason, ExtensionReason, Place, Receipt, RequestBody, RevokeReason, Sent, Side,
    WithdrawReason,
};
use super::super::message::{Message, Told};
use super::super::replay::replay;
use super::simulation::ops;
use super::world::{P, R, World};
use super::*;
use crate::application::manifest::Digest;
use crate::transfer::delivery::{Bundle, Deleted, PurgeStatement};
use crate::transfer::offer::Id;
use crate::transfer::replay::Exchange;

fn id() -> Id {
    Id::try_from("3f2504e0-4f89-41d3-9a0c-0305e82c3301".to_owned()).unwrap()
}

/// A body that says that.
fn body(message: &Message) -> Body {
    let bundle = Bundle {
        manifest: Digest([0; 32]),
        manifest_octets: 5,
        octets: 10,
    };
    match message.clone() {
        Message::Request(terms) => Body::Request {
            request: Box::new(RequestBody {
                hosted: None,
                request_id: id(),
                round_id: id(),
                round_number: 1,
                renews: None,
                application_id: id(),
                service: "99050012104000".parse().unwrap(),
                profile: ProfileTable::built_in().profile("AMTSHILFE").unwrap().id(),
                class: Class::Chamber,
                terms,
                flags: Flags::default(),
                disclosure_ends: None,
                proof_level: ProofLevel::Node,
                bundle,
            }),
        },
        Message::Supplement { restarts } => Body::Supplement { restarts, bundle },
        Message::Answer => Body::Answer { bundle },
        Message::ExtensionDecision { granted } => Body::ExtensionDecision { granted, words: None },
        Message::Clock { stops, at } => Body::Clock { stops, at },
        Message::Deadline { deadline } => Body::Deadline { deadline },
        Message::Reminder => Body::Reminder {
            ends_at: start(),
            effect: SilenceEffect::None,
        },
        Message::Inquire { until } => Body::Inquire { until },
        Message::Expired(expiry) => Body::Expired {
            expiry,
            deadline: None,
        },
        Message::Suspended { at } => Body::Suspended { at },
        Message::Resumed { at } => Body::Resumed { at },
        Message::Cancelled => Body::Cancelled {
            reason: CancelReason::Other,
        },
        Message::Revoke { whole } => Body::Revoke {
            whole,
            files: match whole {
                true => vec![],
                false => vec!["f-1".into()],
            },
            reason: RevokeReason::NoLongerNeeded,
        },
        Message::Assessed => Body::Assessed,
        Message::Outcome => Body::Outcome { bundle },
        Message::Acknowledge => Body::Acknowledge {
            reference: None,
            contact: None,
        },
        Message::Decline { reason, entered_at } => Body::Decline {
            reason,
            entered_at,
            suggestion: None,
            words: None,
        },
        Message::Preparing => Body::Preparing,
        Message::Question => Body::Question { bundle },
        Message::ExtensionRequest { until, entered_at } => Body::ExtensionRequest {
            until,
            entered_at,
            reason: ExtensionReason::SiteVisit,
            words: None,
        },
        Message::Statement {
            version,
            statement,
            entered_at,
        } => Body::Statement {
            version,
            statement,
            entered_at,
            bundle,
        },
        Message::WithdrawStatement { entered_at } => Body::WithdrawStatement {
            entered_at,
            reason: WithdrawReason::Mistake,
        },
        Message::Purged { whole, complete } => Body::Purged {
            whole,
            complete,
            statement: PurgeStatement {
                node: Deleted::Done,
                message_log: Deleted::Done,
                folder_drop: Deleted::NeverThere,
                instance: Deleted::NeverThere,
                archives: Deleted::NeverThere,
            },
            downloaded: vec![],
        },
        Message::Void => Body::Void {
            gives_up: "reminder".into(),
        },
    }
}

fn exchanges(world: &World) -> Vec<Exchange> {
    let mut all = Vec::new();
    for (side, name, from, to) in [
        (R, Side::Requester, "TEST/GOV/1001", "TEST/GOV/1002"),
        (P, Side::Participant, "TEST/GOV/1002", "TEST/GOV/1001"),
    ] {
        for (at, Told { heard, message }) in world.all[side].iter().enumerate() {
            let path = Place::Message {
                request: id(),
                side: name,
                seq: u32::try_from(at + 1).unwrap(),
                kind: message.kind().to_owned(),
            };
            let sent = Sent::new(body(message), *heard, start(), true);
            assert_eq!(
                sent.told().message,
                *message,
                "the body says what the machine said"
            );
            let bytes = serde_json::to_vec(&sent).unwrap();
            let receipt = world.answers[1 - side].get(at).map(|answer| Receipt {
                contract: CONTRACT.into(),
                message: path.to_string(),
                sha256: Digest(sha256(&bytes)),
                x_road_id: "q".into(),
                x_road_request_id: "r".into(),
                received_at: start(),
                proof_level: ProofLevel::Node,
                answer: *answer,
                detail: None,
                entry: None,
            });
            all.push(Exchange {
                from: from.into(),
                to: to.into(),
                path: path.to_string(),
                body: bytes,
                answer: receipt.map(|receipt| serde_json::to_vec(&receipt).unwrap()),
            });
        }
    }
    all
}

#[test]
fn an_auditor_comes_to_the_same_request_from_messages_and_receipts_alone() {
    let mut runner = TestRunner::deterministic();
    let mut replayed = 0;
    for run in 0..600 {
        let effect = match run % 2 {
            0 => SilenceEffect::ConsentDeemedGiven,
            _ => SilenceEffect::None,
        };
        let mut world = World::new(None, effect);
        world
            .run(&ops().new_tree(&mut runner).unwrap().current())
            .unwrap();
        world.settle().unwrap();
        for course in replay(&exchanges(&world), HolidayTable::built_in()) {
            let request = world.requester.request();
            assert_eq!(course.contradictions, Vec::<String>::new());
            assert_eq!(course.state, request.state());
            assert_eq!(course.versions, request.versions());
            assert_eq!(course.silence, request.expiry());
            assert_eq!(course.steps.len(), world.all[R].len() + world.all[P].len());
            replayed += 1;
        }
    }
    assert!(replayed > 500, "{replayed}");
}
