//! Both sides of a request together, over links that lose and repeat, with clocks that differ and processes that start again.
//!
//! A failure is: silence that means something without a proven delivery, before the participant's node was asked, or although
//! something was entered in time; a statement that is lost, or not in time although it was entered in time; a person's instant that
//! a node that was down has changed; sides that have heard everything and differ. What is not simulated: stores that lose what they
//! had committed.

mod clocks;
mod evidence;
mod machines;
mod samples;
mod second_opinion;
mod simulation;
mod table;
mod world;

use jiff::civil::date;
use jiff::{Timestamp, ToSpan};

use super::message::Kind;
use super::profile::{Choice, Class, ProfileTable};
use super::release::{Actor, Cleared, Draft, Eyes};
use super::requester::ProofLevel;
use super::statement::work::Work;
use super::statement::{Statement, Submission};
use super::terms::{Extendable, Terms};
use crate::calendar::{HolidayTable, Land, Place};
use crate::deadline::Rule;
use crate::transfer::offer::{Flags, SilenceEffect};

pub(super) fn start() -> Timestamp {
    "2026-01-05T08:00:00Z".parse().unwrap()
}

/// Two hours, so that instants can be told apart by minutes.
pub(super) fn terms(effect: SilenceEffect) -> Terms {
    Terms {
        rule: Some(Rule::Hours { n: 2 }),
        at_most: None,
        runs_from: None,
        place: Place::of(Land::Sh),
        effect,
        extension: Extendable::Free,
    }
}

pub(super) fn cleared(terms: &Terms) -> Cleared {
    let draft = Draft {
        terms,
        flags: Flags::default(),
        level: ProofLevel::Node,
        purpose: "Prüfung",
        legal_basis: "§§ 4–8 VwVfG",
    };
    draft
        .clear(Actor::person("p-1"), Some(Actor::person("p-2")))
        .unwrap()
}

pub(super) fn submission(kind: Kind) -> Submission {
    let mut statement = Statement {
        statement_id: "1f91aa5c-9d29-40eb-b22b-5143ac348c19"
            .to_owned()
            .try_into()
            .unwrap(),
        version: 1,
        kind,
        text: "Fiktiv.".into(),
        points: Vec::new(),
        attachments: Vec::new(),
        author: String::new(),
        released_by: String::new(),
        dated: date(2026, 1, 5),
    };
    if kind == Kind::ConsentWithConditions {
        statement.kind = Kind::Consent;
    }
    let by = Actor::person("q-1");
    let mut work = Work::begun(Eyes::TWO, by.clone());
    work.release(&statement, by.clone()).unwrap();
    work.submit(&statement, by).unwrap()
}
