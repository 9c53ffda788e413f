//! Single courses of a request, told step by step.

use super::super::message::{Answer, DeclineReason, Message, Says, Told};
use super::super::participant::{self, Participant};
use super::super::requester::{self, Command, Escalation, Requester};
use super::super::state::State;
use super::*;

pub(super) fn table() -> &'static HolidayTable {
    HolidayTable::built_in()
}

pub(super) fn at(text: &str) -> Timestamp {
    text.parse().unwrap()
}

/// Both sides, with everything arriving at once.
pub(super) struct Pair {
    pub(super) requester: Requester,
    pub(super) participant: Participant,
}

impl Pair {
    /// A request that was delivered and fetched at an instant.
    pub(super) fn delivered(terms: Terms, reminders: Vec<u16>, now: Timestamp) -> Self {
        let mut requester = Requester::created(terms.clone(), ProofLevel::Node, reminders);
        let cleared = cleared(&terms);
        let sent = requester.decide(Command::Send(cleared), now, table()).unwrap();
        requester.apply(&sent);
        let (participant, answer) = Participant::delivered(terms, None, now);
        let arrived = requester
            .answered(&sent.tell[0].message, answer, table())
            .unwrap();
        requester.apply(&arrived);
        assert_eq!(requester.state(), State::Delivered);
        let mut pair = Self {
            requester,
            participant,
        };
        let fetched = pair.requester.fetched(now, table()).unwrap();
        pair.requester.apply(&fetched);
        pair.tell(&fetched.tell, now);
        pair
    }

    pub(super) fn tell(&mut self, tell: &[Told], now: Timestamp) {
        for told in tell {
            if let Some(decision) = self.requester.attempted(&told.message, now) {
                self.requester.apply(&decision);
            }
            let (decision, answer) = self.participant.receive(told);
            self.participant.apply(&decision);
            if let Some(decision) = self.requester.answered(&told.message, answer, table()) {
                self.requester.apply(&decision);
            }
        }
    }

    pub(super) fn requester(&mut self, command: Command, now: Timestamp) -> &mut Self {
        let decision = self.requester.decide(command, now, table()).unwrap();
        self.requester.apply(&decision);
        self.tell(&decision.tell, now);
        assert_eq!(self.participant.agreed(), self.requester.request());
        self
    }

    pub(super) fn refused(&self, command: Command, now: Timestamp) -> &'static str {
        self.requester.decide(command, now, table()).unwrap_err().code()
    }

    pub(super) fn participant(&mut self, command: &participant::Command, now: Timestamp) -> Says {
        let decision = self.participant.decide(command, now).unwrap();
        self.participant.apply(&decision);
        let mut says = Says::Taken;
        for told in &decision.tell {
            let (decision, answer) = self.requester.receive(told, now);
            self.requester.apply(&decision);
            self.participant.apply(&self.participant.answered(answer));
            says = answer.says;
        }
        assert_eq!(self.participant.agreed(), self.requester.request());
        says
    }

    pub(super) fn clocks(&mut self, now: Timestamp) -> Vec<&'static str> {
        let mut done = Vec::new();
        while let Some(command) = self.requester.due(now) {
            done.push(command.act().name());
            self.requester(command, now);
        }
        done
    }

    pub(super) fn submit(&mut self, now: Timestamp) -> Says {
        self.participant(&participant::Command::Submit(submission(Kind::Consent)), now)
    }

    pub(super) fn end(&self) -> Timestamp {
        self.requester.request().deadline().unwrap().ends_at
    }

    pub(super) fn state(&self) -> State {
        self.requester.state()
    }
}

pub(super) fn municipality() -> Terms {
    let choice = Choice {
        class: Class::Municipality,
        rule: None,
        effect: None,
        extension: None,
        runs_from: None,
    };
    ProfileTable::built_in()
        .profile("BAUGB_36")
        .unwrap()
        .terms(&choice, &Place::of(Land::Sh), table(), start())
        .unwrap()
}

/// The town of the sample case that does not answer: two months from 31 December, the raw end on a Saturday.
#[test]
fn silence_of_a_municipality_is_consent_at_the_end_and_not_before_its_node_was_asked() {
    let mut pair = Pair::delivered(municipality(), vec![14, 3], at("2025-12-31T09:04:00Z"));
    assert_eq!(pair.end(), at("2026-03-02T23:00:00Z"));
    assert_eq!(
        pair.refused(Command::Expire, at("2026-03-02T22:59:59Z")),
        "too_early"
    );
    assert_eq!(pair.refused(Command::Expire, pair.end()), "participant_not_asked");
    pair.participant(&participant::Command::Acknowledge, at("2026-01-02T09:00:00Z"));
    assert_eq!(pair.clocks(pair.end()), ["inquire", "expire"]);
    assert_eq!(pair.state(), State::Expired);
    let expiry = pair.requester.request().expiry().unwrap();
    assert_eq!(
        (expiry.effect, expiry.answered),
        (SilenceEffect::ConsentDeemedGiven, true)
    );
    assert_eq!(expiry.asked_at, Some(pair.end()));
    // The outcome is told all the same.
    pair.requester(Command::Notify, at("2026-03-05T09:00:00Z"));
    assert_eq!(pair.state(), State::Notified);
    assert_eq!(pair.participant.legal(), ["state-purge"]);
}

#[test]
fn a_node_that_does_not_answer_does_not_hold_the_expiry_up_for_ever_and_what_it_had_entered_counts() {
    let now = start();
    let mut pair = Pair::delivered(terms(SilenceEffect::ConsentDeemedGiven), vec![], now);
    // It enters a statement and cannot reach the requester; then the requester cannot reach it.
    let submit = participant::Command::Submit(submission(Kind::Refusal));
    let entered = pair.participant.decide(&submit, now + 90.minutes()).unwrap();
    pair.participant.apply(&entered);
    let asked = pair
        .requester
        .decide(Command::Inquire, pair.end(), table())
        .unwrap();
    pair.requester.apply(&asked);
    let later = pair.end() + 30.hours();
    assert_eq!(
        pair.refused(Command::ExpireUnanswered, later),
        "participant_not_asked",
        "it was never attempted"
    );
    let attempted = pair
        .requester
        .attempted(&asked.tell[0].message, pair.end())
        .unwrap();
    pair.requester.apply(&attempted);
    assert_eq!(
        pair.refused(Command::ExpireUnanswered, pair.end() + 23.hours()),
        "too_early"
    );
    assert_eq!(pair.refused(Command::Expire, later), "inquiry_unanswered");
    assert_eq!(
        pair.requester.due(later),
        Some(Command::Escalate(Escalation::InquiryUnanswered))
    );
    let expired = pair
        .requester
        .decide(Command::ExpireUnanswered, later, table())
        .unwrap();
    pair.requester.apply(&expired);
    assert!(!pair.requester.request().expiry().unwrap().answered);
    // The link comes back.
    let (decision, answer) = pair.requester.receive(&entered.tell[0], later);
    pair.requester.apply(&decision);
    assert!(answer.says.judgement().unwrap().in_time);
    assert_eq!(
        (pair.state(), pair.requester.request().expiry()),
        (State::Submitted, None)
    );
    pair.participant.apply(&pair.participant.answered(answer));
    assert!(
        !pair.participant.is_settled(),
        "the expiry came first, and is not here yet"
    );
    pair.tell(&asked.tell, later);
    pair.tell(&expired.tell, later);
    assert_eq!(pair.participant.agreed(), pair.requester.request());
}

#[test]
fn a_timely_request_for_more_time_blocks_the_expiry_until_it_is_decided() {
    let now = start();
    let mut pair = Pair::delivered(terms(SilenceEffect::MayBeDisregarded), vec![], now);
    pair.participant(
        &participant::Command::AskForTime {
            until: date(2026, 1, 9),
        },
        now + 100.minutes(),
    );
    assert_eq!(pair.refused(Command::Inquire, pair.end()), "extension_undecided");
    assert_eq!(pair.clocks(pair.end()), Vec::<&str>::new());
    let until = Rule::Until {
        date: date(2026, 1, 9),
        stands: true,
    };
    let late = pair.end() + 1.hour();
    pair.requester(Command::DecideExtension { granted: Some(until) }, late);
    assert_eq!(pair.end(), at("2026-01-09T23:00:00Z"));
    assert_eq!(pair.requester.request().deadline().unwrap().extensions.len(), 1);
    assert_eq!(pair.state(), State::Delivered);
    // Refused ones are over at once.
    pair.participant(
        &participant::Command::AskForTime {
            until: date(2026, 1, 30),
        },
        late,
    );
    pair.requester(Command::DecideExtension { granted: None }, late);
    assert_eq!(pair.end(), at("2026-01-09T23:00:00Z"));
    // More time afterwards, if that is fair: the expiry does not hold.
    pair.clocks(pair.end());
    assert_eq!(pair.state(), State::Expired);
    let more = pair.end() + 1.hour();
    pair.requester(Command::Extend(Rule::Weeks { n: 1 }), more);
    assert_eq!(
        (pair.state(), pair.end()),
        (State::Delivered, at("2026-01-16T23:00:00Z"))
    );
    assert_eq!(pair.refused(Command::Expire, more), "too_early");
    let mut fixed = Pair::delivered(municipality(), vec![], now);
    assert_eq!(
        fixed.refused(Command::Extend(Rule::Weeks { n: 1 }), now),
        "not_extendable"
    );
    let refused = fixed.participant.decide(
        &participant::Command::AskForTime {
            until: date(2026, 4, 9),
        },
        now,
    );
    assert_eq!(refused.unwrap_err().code(), "not_extendable");
    fixed.clocks(now);
}

#[test]
fn a_statement_that_is_taken_back_early_lets_the_clock_run_on_and_late_it_does_not() {
    let now = start();
    let mut early = Pair::delivered(terms(SilenceEffect::ConsentDeemedGiven), vec![], now);
    assert!(early.submit(now + 10.minutes()).judgement().unwrap().in_time);
    early.participant(&participant::Command::Withdraw, now + 20.minutes());
    assert_eq!(early.state(), State::Withdrawn);
    early.clocks(early.end());
    assert_eq!(early.state(), State::Expired);

    let mut late = Pair::delivered(terms(SilenceEffect::ConsentDeemedGiven), vec![], now);
    late.submit(now + 10.minutes());
    let after = late.end() + 1.hour();
    late.participant(&participant::Command::Withdraw, after);
    late.clocks(after);
    assert_eq!(late.state(), State::Withdrawn, "it was not silent at the end");
    late.requester(Command::Assess, after);
    late.requester(Command::Notify, after);
    assert_eq!(late.state(), State::Notified);
}

#[test]
fn what_comes_late_is_kept_as_late_and_what_silence_meant_is_recorded_first() {
    let now = start();
    let mut pair = Pair::delivered(terms(SilenceEffect::ConsentDeemedGiven), vec![], now);
    let after = pair.end() + 1.minute();
    assert!(!pair.submit(after).judgement().unwrap().in_time);
    assert_eq!(pair.state(), State::Late);
    assert_eq!(pair.refused(Command::Assess, after), "expiry_first");
    pair.clocks(after);
    let expiry = pair.requester.request().expiry().unwrap();
    assert_eq!(
        (pair.state(), expiry.effect),
        (State::Late, SilenceEffect::ConsentDeemedGiven)
    );
    pair.requester(Command::Assess, after);
    pair.requester(Command::Notify, after);
    assert_eq!(pair.requester.request().versions().len(), 1);
}

#[test]
fn a_newer_version_counts_until_the_round_is_closed_and_is_kept_beside_then() {
    let now = start();
    let mut pair = Pair::delivered(terms(SilenceEffect::None), vec![], now);
    pair.submit(now);
    assert_eq!(pair.state(), State::Submitted);
    pair.submit(now + 3.hours());
    assert_eq!(
        pair.state(),
        State::Amended,
        "after the deadline, before the round is closed"
    );
    pair.requester
        .apply(&pair.requester.round_closed(now + 4.hours()));
    let judgement = pair.submit(now + 5.hours()).judgement().unwrap();
    assert!(judgement.kept_beside && !judgement.in_time);
    assert_eq!(
        (pair.state(), pair.requester.request().versions().len()),
        (State::Amended, 3)
    );
}

#[test]
fn what_follows_a_statement_that_was_taken_back_counts_also_when_the_round_is_closed() {
    let now = start();
    let mut pair = Pair::delivered(terms(SilenceEffect::ConsentDeemedGiven), vec![], now);
    pair.submit(now + 10.minutes());
    pair.participant(&participant::Command::Withdraw, now + 20.minutes());
    pair.requester
        .apply(&pair.requester.round_closed(now + 30.minutes()));
    let judgement = pair.submit(now + 40.minutes()).judgement().unwrap();
    assert!(judgement.in_time && !judgement.kept_beside);
    assert_eq!(pair.state(), State::Submitted);
    let newer = pair.submit(now + 50.minutes()).judgement().unwrap();
    assert!(newer.kept_beside);
    assert_eq!(pair.clocks(pair.end()), Vec::<&str>::new(), "it was not silent");
}

#[test]
fn what_is_taken_back_is_locked_deleted_and_that_is_stated() {
    let now = start();
    let mut pair = Pair::delivered(terms(SilenceEffect::None), vec![], now);
    assert!(pair.participant.may_open(now) && !pair.participant.purge_is_due(now));
    pair.submit(now);
    pair.requester(Command::RevokeFiles, now);
    assert_eq!(pair.state(), State::Submitted, "only some files are");
    pair.requester(Command::Revoke, now);
    assert!(!pair.participant.may_open(now) && pair.participant.purge_is_due(now));
    let part = participant::Command::StatePurge {
        whole: true,
        complete: false,
    };
    pair.participant(&part, now);
    assert_eq!(pair.state(), State::Revoked, "something is left there");
    let whole = participant::Command::StatePurge {
        whole: true,
        complete: true,
    };
    pair.participant(&whole, now);
    assert_eq!(pair.state(), State::Purged);
    assert_eq!(
        pair.requester.request().versions().len(),
        1,
        "the statement stays"
    );
    assert!(pair.requester.legal().iter().all(|act| *act == "escalate"));
    // A disclosure ends by itself.
    let (participant, _) = Participant::delivered(municipality(), Some(now + 1.hour()), now);
    assert!(participant.may_open(now) && !participant.may_open(now + 1.hour()));
    assert_eq!(participant.next_due(now), Some(now + 1.hour()));
    assert!(participant.purge_is_due(now + 1.hour()));
}

#[test]
fn a_body_that_declines_in_time_was_not_silent() {
    let now = start();
    let mut pair = Pair::delivered(terms(SilenceEffect::ConsentDeemedGiven), vec![], now);
    let decline = participant::Command::Decline(DeclineReason::NotCompetent);
    let decided = pair.participant.decide(&decline, now + 5.hours());
    assert_eq!(
        decided.unwrap_err().code(),
        "time_over",
        "a late statement of that kind is possible"
    );
    pair.participant(&decline, now);
    assert_eq!(pair.state(), State::Declined);
    assert_eq!(pair.clocks(pair.end() + 1.hour()), Vec::<&str>::new());
    assert!(pair.participant.purge_is_due(now));
}

#[test]
fn a_request_that_was_not_cleared_for_what_it_fixes_is_not_sent() {
    let requester = Requester::created(municipality(), ProofLevel::Node, vec![]);
    let other = cleared(&terms(SilenceEffect::None));
    let refused = requester
        .decide(Command::Send(other), start(), table())
        .unwrap_err();
    assert_eq!(refused.code(), "not_cleared");
    let draft = |effect, flags, level| {
        let terms = terms(effect);
        let draft = Draft {
            terms: &terms,
            flags,
            level,
            purpose: "Zweck",
            legal_basis: "§ 1",
        };
        draft
            .clear(Actor::person("p-1"), None)
            .err()
            .map(|error| error.code())
    };
    let flagged = |change: fn(&mut Flags)| {
        let mut flags = Flags::default();
        change(&mut flags);
        flags
    };
    let none = SilenceEffect::None;
    assert_eq!(draft(none, Flags::default(), ProofLevel::Guest), None);
    assert_eq!(
        draft(
            SilenceEffect::MayBeDisregarded,
            Flags::default(),
            ProofLevel::Node
        ),
        Some("release_second_pair")
    );
    let special = flagged(|flags| flags.special_categories = true);
    assert_eq!(
        draft(none, special, ProofLevel::Node),
        Some("release_second_pair")
    );
    let tax = flagged(|flags| flags.tax_secrecy = true);
    assert_eq!(
        draft(none, tax, ProofLevel::Guest),
        Some("release_not_for_guests")
    );
    let paid = flagged(|flags| flags.payment_done = true);
    assert_eq!(draft(none, paid, ProofLevel::Node), None);
}

#[test]
fn messages_and_answers_keep_their_names_on_the_way() {
    for (told, text) in [
        (
            Told {
                heard: 0,
                message: Message::Acknowledge,
            },
            r#"{"heard":0,"kind":"acknowledge"}"#.to_owned(),
        ),
        (
            Told {
                heard: 2,
                message: Message::Statement {
                    version: 1,
                    statement: Kind::NoObjection,
                    entered_at: start(),
                },
            },
            r#"{"heard":2,"kind":"statement","version":1,"statement":"NO_OBJECTION","entered_at":"2026-01-05T08:00:00Z"}"#
                .to_owned(),
        ),
    ] {
        assert_eq!(serde_json::to_string(&told).unwrap(), text);
        assert_eq!(serde_json::from_str::<Told>(&text).unwrap(), told);
    }
    let answer = Answer {
        after: 3,
        says: Says::Refused {
            stands: State::InPreparation,
        },
    };
    let text = r#"{"after":3,"answer":"refused","stands":"IN_PREPARATION"}"#;
    assert_eq!(serde_json::to_string(&answer).unwrap(), text);
    assert_eq!(serde_json::from_str::<Answer>(text).unwrap(), answer);
    assert_eq!(requester::Act::ALL.len(), 23);
}

#[test]
fn what_the_participant_gives_up_counts_at_neither_side() {
    let mut pair = Pair::delivered(terms(SilenceEffect::None), vec![], start());
    let decision = pair
        .participant
        .decide(&participant::Command::Acknowledge, start())
        .unwrap();
    pair.participant.apply(&decision);
    let given_up = pair.participant.gave_up().unwrap();
    pair.participant.apply(&given_up);
    assert_eq!(pair.participant.expected().state(), State::Delivered);
    let void = Told {
        heard: decision.tell[0].heard,
        message: Message::Void,
    };
    let (received, answer) = pair.requester.receive(&void, start());
    pair.requester.apply(&received);
    pair.participant.apply(&pair.participant.answered(answer));
    assert_eq!(pair.participant.agreed(), pair.requester.request());
    assert_eq!(pair.state(), State::Delivered);
    assert!(
        pair.participant.gave_up().is_none(),
        "nothing is left to be given up"
    );
    // What comes next is counted.
    pair.participant(&participant::Command::Acknowledge, start());
    assert_eq!(pair.state(), State::Acknowledged);
}

#[test]
fn a_statement_that_a_newer_version_is_built_on_is_not_given_up_and_both_come() {
    let mut pair = Pair::delivered(terms(SilenceEffect::ConsentDeemedGiven), vec![], start());
    let mut entered = Vec::new();
    for minutes in [10, 20] {
        let submit = participant::Command::Submit(submission(Kind::Consent));
        let decision = pair
            .participant
            .decide(&submit, start() + minutes.minutes())
            .unwrap();
        pair.participant.apply(&decision);
        entered.extend(decision.tell);
    }
    assert_eq!(pair.participant.gave_up(), None);
    for told in &entered {
        let (decision, answer) = pair.requester.receive(told, pair.end());
        pair.requester.apply(&decision);
        pair.participant.apply(&pair.participant.answered(answer));
    }
    assert_eq!(
        (pair.state(), pair.requester.request().versions().len()),
        (State::Amended, 2)
    );
    // What waits behind it besides does not need it.
    let mut pair = Pair::delivered(terms(SilenceEffect::None), vec![], start());
    for command in [
        participant::Command::Submit(submission(Kind::Consent)),
        participant::Command::Withdraw,
    ] {
        let decision = pair.participant.decide(&command, start()).unwrap();
        pair.participant.apply(&decision);
    }
    assert!(pair.participant.gave_up().is_some());
}
