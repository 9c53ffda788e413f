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
use super::world::{Attempt, P, R, World};
use super::*;
use crate::application::manifest::Digest;
use crate::transfer::delivery::{Bundle, Deleted, PurgeStatement};
use crate::transfer::offer::Id;
use crate::transfer::replay::Exchange;

/// Procedures that are simulated.
pub(super) const PROCEDURES: usize = 2_400;

pub(super) const COUNTY: &str = "TEST/GOV/1001";
pub(super) const CHAMBER: &str = "TEST/GOV/1002";
/// Who asks once the case was handed over.
const TOWN: &str = "TEST/GOV/1003";

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
        Message::Moved => Body::Moved {
            to: TOWN.to_owned(),
            transfer: id(),
            at: start(),
        },
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

/// A message as its sender has it, and its receipt.
fn exchange(world: &World, attempt: Attempt) -> (Exchange, Option<Vec<u8>>) {
    let Attempt {
        by, number, moved, ..
    } = attempt;
    let before = world.all[R].iter().take(number);
    let handed_over = before.into_iter().any(|told| told.message == Message::Moved);
    let asks = |later| match later {
        true => TOWN,
        false => COUNTY,
    };
    let (side, from, to) = match by {
        R => (Side::Requester, asks(handed_over), CHAMBER),
        _ => (Side::Participant, CHAMBER, asks(moved)),
    };
    let Told { heard, message } = &world.all[by][number];
    let path = Place::Message {
        request: id(),
        side,
        seq: u32::try_from(number + 1).unwrap(),
        kind: message.kind().to_owned(),
    };
    let sent = Sent::new(body(message), *heard, world.said_at[by][number], true);
    assert_eq!(
        sent.told().message,
        *message,
        "the body says what the machine said"
    );
    let bytes = serde_json::to_vec(&sent).unwrap();
    let answer = world.answers[1 - by].get(number);
    let receipt = answer.map(|answer| Receipt {
        contract: CONTRACT.into(),
        message: path.to_string(),
        sha256: Digest(sha256(&bytes)),
        x_road_id: "q".into(),
        x_road_request_id: "r".into(),
        received_at: world.answered_at[1 - by][number],
        proof_level: ProofLevel::Node,
        answer: *answer,
        detail: None,
        entry: None,
    });
    let exchange = Exchange {
        from: from.into(),
        to: to.into(),
        path: path.to_string(),
        body: bytes,
        answer: None,
    };
    (
        exchange,
        receipt.map(|receipt| serde_json::to_vec(&receipt).unwrap()),
    )
}

/// What lies in the logs of the two nodes: the requester's and the participant's.
pub(super) fn logs(world: &World) -> [Vec<Exchange>; 2] {
    let mut logs = [Vec::new(), Vec::new()];
    for attempt in &world.attempts {
        let (exchange, receipt) = exchange(world, *attempt);
        let answered = Exchange {
            answer: receipt,
            ..exchange.clone()
        };
        if attempt.arrived.is_some() {
            logs[1 - attempt.by].push(answered.clone());
        }
        logs[attempt.by].push(match attempt.returned {
            true => answered,
            false => exchange,
        });
    }
    logs
}

/// Simulated procedures. Some come to their end, some are looked at under way.
pub(super) fn procedures(count: usize) -> impl Iterator<Item = (World, bool)> {
    let mut runner = TestRunner::deterministic();
    (0..count).map(move |run| {
        let effect = match run % 3 {
            0 => SilenceEffect::None,
            _ => SilenceEffect::ConsentDeemedGiven,
        };
        let mut world = World::new(None, effect);
        // Clocks that never were the same.
        world.now[P] += [0, -50, 35, 0][run / 4 % 4].minutes();
        let ops = ops().new_tree(&mut runner).unwrap().current();
        assert_eq!(world.run(&ops), Ok(()));
        let settled = run % 4 != 3;
        match settled {
            true => assert_eq!(world.settle(), Ok(())),
            false => world.send_in_vain(),
        }
        (world, settled)
    })
}

#[test]
fn an_auditor_comes_to_the_same_request_from_messages_and_receipts_alone() {
    let mut replayed = 0;
    for (world, _) in procedures(PROCEDURES).filter(|(_, settled)| *settled) {
        let [here, there] = logs(&world);
        let both = [here.clone(), there.clone()].concat();
        for exchanges in [here, there, both] {
            for course in replay(&exchanges, HolidayTable::built_in()) {
                let request = world.requester.request();
                assert_eq!(course.contradictions, Vec::<String>::new(), "{course:#?}");
                assert_eq!(course.missing, Vec::<String>::new(), "{course:#?}");
                assert_eq!(course.state, Some(request.state()));
                assert_eq!(course.versions, request.versions());
                assert_eq!(course.silence, request.expiry());
                assert_eq!(course.ends_at, request.end());
                assert_eq!(course.steps.len(), world.all[R].len() + world.all[P].len());
                replayed += 1;
            }
        }
    }
    assert!(replayed > PROCEDURES * 2, "{replayed}");
}
