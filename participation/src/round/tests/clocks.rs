//! The clock of a request, and what falls due.

use super::super::message::{DeclineReason, Message, Says, Told};
use super::super::participant;
use super::super::requester::{Command, Delivery, Escalation, Proof, Requester};
use super::super::state::State;
use super::machines::{Pair, at, municipality, table};
use super::*;

#[test]
fn the_clock_stands_while_a_question_is_open_if_that_was_granted_and_goes_on_by_whole_days() {
    let now = at("2026-02-02T11:00:00Z");
    let mut by_months = terms(SilenceEffect::MayBeDisregarded);
    by_months.rule = Some(Rule::LaterOf { months: 1, days: 30 });
    let mut pair = Pair::delivered(by_months, vec![], now);
    assert_eq!(pair.end(), at("2026-03-04T23:00:00Z"));
    pair.participant(&participant::Command::Acknowledge, now);
    pair.participant(&participant::Command::Ask, at("2026-02-20T09:00:00Z"));
    pair.requester(Command::StopClock, at("2026-02-20T10:00:00Z"));
    assert_eq!(pair.requester.request().end(), None);
    let still = at("2026-03-04T23:30:00Z");
    assert_eq!(
        pair.clocks(still),
        ["escalate"],
        "the question waits, nothing else"
    );
    // Answered after the end that it had: 20 February to 5 March are fourteen days.
    pair.requester(Command::Answer, at("2026-03-05T08:00:00Z"));
    assert_eq!(pair.requester.request().end(), Some(at("2026-03-18T23:00:00Z")));
    assert!(!pair.requester.request().question_open());
    // A question alone stops nothing.
    pair.participant(&participant::Command::Ask, at("2026-03-06T09:00:00Z"));
    assert_eq!(pair.end(), at("2026-03-18T23:00:00Z"));
    // A round that is suspended stops all clocks.
    pair.requester(Command::Suspend, at("2026-03-10T09:00:00Z"));
    assert_eq!(
        pair.refused(Command::Inquire, at("2026-06-01T09:00:00Z")),
        "clock_stands"
    );
    pair.requester(Command::Resume, at("2026-03-11T09:00:00Z"));
    assert_eq!(pair.end(), at("2026-03-20T23:00:00Z"));
    // A supplement with which the period begins anew.
    pair.requester(Command::Supplement { restarts: true }, at("2026-03-12T09:00:00Z"));
    assert_eq!(pair.requester.request().end(), None);
    let fetched = pair
        .requester
        .fetched(at("2026-03-13T09:00:00Z"), table())
        .unwrap();
    pair.requester.apply(&fetched);
    pair.tell(&fetched.tell, at("2026-03-13T09:00:00Z"));
    assert_eq!(pair.requester.request().end(), Some(at("2026-04-13T22:00:00Z")));
}

#[test]
fn a_deadline_beyond_the_table_is_not_guessed_and_silence_means_nothing_until_a_person_states_it() {
    let far = at("2030-12-20T11:00:00Z");
    let mut pair = Pair::delivered(municipality(), vec![], far);
    assert_eq!(pair.requester.undetermined(), Some("calendar_unknown"));
    assert_eq!(pair.requester.request().deadline(), None);
    assert_eq!(
        pair.requester.due(far),
        Some(Command::Escalate(Escalation::DeadlineUndetermined))
    );
    let years_later = at("2035-01-01T00:00:00Z");
    assert_eq!(pair.refused(Command::Expire, years_later), "no_deadline");
    pair.requester(Command::StateDeadline(date(2031, 2, 20)), far);
    assert_eq!(pair.end(), at("2031-02-20T23:00:00Z"));
    assert_eq!(pair.requester.undetermined(), None);
}

#[test]
fn a_question_is_answered_although_the_calendar_ends_and_the_clock_stands_until_it_is_known() {
    let now = at("2030-12-02T11:00:00Z");
    let mut weeks = terms(SilenceEffect::MayBeDisregarded);
    weeks.rule = Some(Rule::Weeks { n: 4 });
    let mut pair = Pair::delivered(weeks, vec![], now);
    assert_eq!(pair.end(), at("2030-12-30T23:00:00Z"));
    pair.participant(&participant::Command::Ask, now);
    pair.requester(Command::StopClock, now);
    let later = at("2030-12-20T11:00:00Z");
    pair.requester(Command::Answer, later);
    assert!(!pair.requester.request().question_open());
    assert_eq!(pair.requester.request().end(), None);
    assert_eq!(pair.requester.undetermined(), Some("calendar_unknown"));
    assert_eq!(pair.refused(Command::ContinueClock, later), "calendar_unknown");
}

#[test]
fn reminders_fire_once_each_and_those_that_were_missed_are_one() {
    let now = at("2025-12-31T09:04:00Z");
    let mut pair = Pair::delivered(municipality(), vec![14, 3], now);
    pair.participant(&participant::Command::Acknowledge, now);
    let first = at("2026-02-16T23:00:00Z");
    assert_eq!(pair.requester.next_due(now), Some(first));
    assert_eq!(pair.clocks(first - 1.second()), Vec::<&str>::new());
    assert_eq!(pair.clocks(first), ["remind"]);
    assert_eq!(pair.requester.next_due(first), Some(at("2026-02-27T23:00:00Z")));
    assert_eq!(pair.clocks(at("2026-02-28T01:00:00Z")), ["remind"]);
    assert_eq!(pair.clocks(at("2026-03-01T01:00:00Z")), Vec::<&str>::new());
    let mut down = Pair::delivered(municipality(), vec![14, 3], now);
    down.participant(&participant::Command::Acknowledge, now);
    assert_eq!(down.clocks(at("2026-03-01T01:00:00Z")), ["remind"]);
}

#[test]
fn what_nobody_acts_on_is_shown_once() {
    let now = start();
    let mut requester = Requester::created(municipality(), ProofLevel::Guest, vec![]);
    let sent = requester
        .decide(Command::Send(cleared(&municipality())), now, table())
        .unwrap();
    requester.apply(&sent);
    let day = now + 24.hours();
    assert_eq!((requester.due(now), requester.next_due(now)), (None, Some(day)));
    assert_eq!(
        requester.due(day),
        Some(Command::Escalate(Escalation::NotDelivered))
    );
    let noted = requester
        .decide(requester.due(day).unwrap(), day, table())
        .unwrap();
    requester.apply(&noted);
    assert_eq!(requester.due(day + 1000.hours()), None);
    // A guest who never opens it is delivered by another proof that a person records.
    let arrived = requester
        .arrived(
            Delivery {
                delivered_at: day,
                proof: Proof::Recorded,
            },
            table(),
        )
        .unwrap();
    requester.apply(&arrived);
    assert_eq!(
        (requester.state(), requester.level()),
        (State::Delivered, ProofLevel::Guest)
    );
    assert_eq!(
        requester.due(day + 24.hours()),
        Some(Command::Escalate(Escalation::DocumentsNotFetched))
    );
    assert_eq!(
        requester.request().deadline(),
        None,
        "its clock does not run before it has everything"
    );
}

#[test]
fn a_decline_that_crossed_a_revocation_does_not_undo_it() {
    let mut pair = Pair::delivered(terms(SilenceEffect::ConsentDeemedGiven), vec![], start());
    pair.clocks(pair.end());
    assert_eq!(pair.state(), State::Expired);
    let later = pair.end() + 1.hours();
    pair.requester(Command::Revoke, later);
    // Entered in time, and under way until now.
    let told = Told {
        heard: 2,
        message: Message::Decline {
            reason: DeclineReason::NotCompetent,
            entered_at: start() + 1.hours(),
        },
    };
    let (decision, answer) = pair.requester.receive(&told, later);
    pair.requester.apply(&decision);
    assert_eq!(
        (answer.says, pair.state()),
        (
            Says::Refused {
                stands: State::Revoked
            },
            State::Revoked
        )
    );
}

#[test]
fn a_late_statement_that_was_taken_back_stays_so_when_there_is_more_time() {
    let mut pair = Pair::delivered(terms(SilenceEffect::ConsentDeemedGiven), vec![], start());
    let end = pair.end();
    pair.clocks(end);
    pair.submit(end + 1.minutes());
    pair.participant(&participant::Command::Withdraw, end + 2.minutes());
    assert_eq!(pair.state(), State::Expired);
    pair.requester(Command::Extend(Rule::Hours { n: 5 }), end + 3.minutes());
    assert_eq!(
        (pair.state(), pair.requester.request().expiry()),
        (State::Withdrawn, None)
    );
}

#[test]
fn a_period_that_begins_anew_takes_nothing_from_what_was_granted() {
    let mut pair = Pair::delivered(terms(SilenceEffect::ConsentDeemedGiven), vec![], start());
    pair.requester(Command::Extend(Rule::Hours { n: 3 }), start() + 1.minutes());
    let granted = pair.end();
    pair.requester(Command::Supplement { restarts: true }, start() + 2.minutes());
    assert_eq!(pair.requester.request().end(), None, "the clock stands");
    let there = start() + 3.minutes();
    let fetched = pair.requester.fetched(there, table()).unwrap();
    pair.requester.apply(&fetched);
    pair.tell(&fetched.tell, there);
    assert_eq!(pair.requester.request().end(), Some(granted));
    // Without that the whole period begins anew.
    let late = start() + 4.hours();
    pair.requester(Command::Supplement { restarts: true }, late);
    let fetched = pair.requester.fetched(late, table()).unwrap();
    pair.requester.apply(&fetched);
    assert_eq!(pair.requester.request().end(), Some(late + 2.hours()));
}

#[test]
fn nothing_begins_anew_after_the_end_although_nobody_has_recorded_it() {
    let mut pair = Pair::delivered(terms(SilenceEffect::ConsentDeemedGiven), vec![], start());
    let end = pair.end();
    let anew = || Command::Supplement { restarts: true };
    assert_eq!(pair.refused(anew(), end), "time_over");
    pair.requester(Command::Supplement { restarts: false }, end);
    pair.clocks(end);
    assert_eq!(pair.state(), State::Expired);
    assert_eq!(pair.refused(anew(), end), "time_over");
    let mut waiting = Pair::delivered(terms(SilenceEffect::ConsentDeemedGiven), vec![], start());
    waiting.requester(anew(), end - 1.second());
}

#[test]
fn more_time_does_not_take_the_place_of_the_period_that_begins_anew() {
    let mut pair = Pair::delivered(terms(SilenceEffect::ConsentDeemedGiven), vec![], start());
    let wanted = participant::Command::AskForTime {
        until: date(2026, 1, 9),
    };
    pair.participant(&wanted, start() + 1.minutes());
    let sent = start() + 90.minutes();
    pair.requester(Command::Supplement { restarts: true }, sent);
    let more = Rule::Hours { n: 1 };
    assert_eq!(pair.refused(Command::Extend(more), sent), "clock_stands");
    let granted = Command::DecideExtension { granted: Some(more) };
    assert_eq!(pair.refused(granted, sent), "clock_stands");
    pair.requester(Command::DecideExtension { granted: None }, sent);
    let there = sent + 1.minutes();
    let fetched = pair.requester.fetched(there, table()).unwrap();
    pair.requester.apply(&fetched);
    pair.tell(&fetched.tell, there);
    assert_eq!(pair.requester.request().end(), Some(there + 2.hours()));
    pair.requester(Command::Extend(more), there);
}
