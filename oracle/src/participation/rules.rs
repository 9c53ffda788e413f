//! What cannot be true together.
//!
//! Owns the rules: that both sides put what they said into one order, on clocks that do not go back; that each message fits the place
//! where it stands, and was answered and judged as it had to be; that ends are told after the delivery and never shortened; and that
//! silence means something only where it can.

use jiff::{SignedDuration, Timestamp};

use super::Opinion;
use super::facts::{Facts, Said, Says, Side, instant};
use super::story::Story;
use super::time::can_end;

/// What each side may say.
const REQUESTER: [&str; 16] = [
    "request",
    "supplement",
    "answer",
    "extension-decision",
    "clock",
    "deadline",
    "reminder",
    "inquire",
    "expired",
    "suspended",
    "resumed",
    "cancelled",
    "revoke",
    "assessed",
    "outcome",
    "moved",
];
const PARTICIPANT: [&str; 8] = [
    "acknowledge",
    "decline",
    "preparing",
    "question",
    "extension-request",
    "statement",
    "withdraw-statement",
    "purged",
];
/// What the requester may give up: it changes nothing.
const GIVEN_UP: [&str; 2] = ["inquire", "reminder"];
/// How far a clock may step back and nothing is concluded from it: a node whose clock is farther behind its own log takes no commands.
const STEP_BACK: SignedDuration = SignedDuration::from_secs(60);
/// The time that a node has to answer what it had, before silence is recorded without its answer.
const TO_ANSWER: SignedDuration = SignedDuration::from_hours(24);

/// What can be said of each message by itself.
pub(crate) fn form(facts: &Facts, opinion: &mut Opinion) {
    let wrong = &mut opinion.contradictions;
    for said in facts.all() {
        let own: &[&str] = match said.by {
            Side::Requester => &REQUESTER,
            Side::Participant => &PARTICIPANT,
        };
        let can_say = match said.is("void") {
            // What the requester has said holds at its side, but for these.
            true if said.by == Side::Requester => GIVEN_UP.contains(&said.text("gives_up")),
            true => own.contains(&said.text("gives_up")),
            false => own.contains(&said.kind.as_str()),
        };
        if !can_say {
            wrong.push(format!(
                "{} is not for the {} to say",
                said.name(),
                said.by.name()
            ));
        }
    }
    let Some(request) = facts.request() else {
        if facts.of(Side::Requester).any(|said| said.number == 1) {
            wrong.push("the first message is no request".to_owned());
        }
        return;
    };
    let body = &request.body["request"];
    if body["request_id"] != opinion.request.as_str() {
        wrong.push("the request names another one than its path".to_owned());
    }
    if body["hosted"].is_string() != (opinion.requester == opinion.participant) {
        wrong.push("a member asks itself for whom it hosts, and another member for itself".to_owned());
    }
}

/// Whether both sides put everything into one order, and into that of their clocks.
pub(crate) fn order(facts: &Facts, wrong: &mut Vec<String>) {
    for side in Side::BOTH {
        for said in facts.of(side) {
            for other in facts.of(side.other()) {
                let Some(receipt) = other.receipt else { continue };
                // Either this had been decided when the other one was taken, or the other one had been taken when this was decided.
                let decided_before = receipt.after >= said.number;
                let taken_before = said.heard >= other.number;
                if decided_before == taken_before {
                    wrong.push(format!(
                        "{} and {} each come before the other, or after it",
                        said.name(),
                        other.name()
                    ));
                }
                if taken_before && receipt.received_at.duration_since(said.sent_at) > STEP_BACK {
                    wrong.push(format!("{} was said before what had been heard", said.name()));
                }
            }
        }
        let goes_back = |instants: Vec<Timestamp>| {
            let pairs = || instants.iter().enumerate();
            pairs().any(|(place, at)| {
                instants[..place]
                    .iter()
                    .any(|before| before.duration_since(*at) > STEP_BACK)
            })
        };
        let said = facts.of(side).map(|said| said.sent_at).collect();
        let heard = facts
            .of(side.other())
            .filter_map(|said| Some(said.receipt?.received_at));
        if goes_back(said) || goes_back(heard.collect()) {
            wrong.push(format!("the clock of the {} went back", side.name()));
        }
    }
}

/// What each message says that cannot be where it stands.
pub(crate) fn judge(story: &Story<'_>, opinion: &mut Opinion) {
    for i in 0..story.len() {
        let said = story.event(i);
        let mut found = Vec::new();
        match said.by {
            Side::Requester => {
                fits(story, i, &mut found);
                match said.kind.as_str() {
                    "deadline" => deadline(story, i, &mut found),
                    "expired" => silence(story, i, &mut found, &mut opinion.missing),
                    _ => {}
                }
            }
            Side::Participant => {
                answered(story, i, &mut found);
                entered(story, i, &mut found);
            }
        }
        let name = said.name();
        opinion
            .contradictions
            .extend(found.into_iter().map(|why| format!("{name}: {why}")));
    }
}

/// Whether what the requester says, and how it is answered, fits.
fn fits(story: &Story<'_>, i: usize, found: &mut Vec<&'static str>) {
    let said = story.event(i);
    let state = story.state(i);
    let revoked = ["REVOKED", "PURGED"].contains(&state);
    let fits = match said.kind.as_str() {
        "request" => said.number == 1,
        "supplement" => said.body["restarts"] != true || !revoked,
        "reminder" | "inquire" | "void" => true,
        "answer" => story.question_open(i),
        "extension-decision" => story.wants_time(i).is_some(),
        "clock" => {
            !(revoked && said.body["stops"] == true)
                && story.stands_for(i, "clock") != (said.body["stops"] == true)
        }
        "suspended" => !revoked && !story.stands_for(i, "suspended"),
        "resumed" => story.stands_for(i, "resumed"),
        "deadline" => story.is_waiting(i) || ["SUBMITTED", "AMENDED", "EXPIRED", "LATE"].contains(&state),
        "expired" => story.is_silent(i),
        "cancelled" | "revoke" => !revoked,
        "assessed" => ["SUBMITTED", "AMENDED", "WITHDRAWN", "LATE"].contains(&state),
        "outcome" => ["ASSESSED", "EXPIRED"].contains(&state),
        _ => true,
    };
    if !fits {
        found.push("it does not fit what stands before it");
    }
    let answered = match said.says() {
        None | Some(Says::Taken) => true,
        Some(Says::Delivered(_)) => said.number == 1,
        Some(Says::Judged { .. } | Says::Refused) => false,
    };
    if !answered {
        found.push("nobody answers it like that");
    }
}

/// Whether the requester could answer that to what the participant says.
fn answered(story: &Story<'_>, i: usize, found: &mut Vec<&'static str>) {
    let said = story.event(i);
    if story.was_taken(i) != story.fits(i) {
        found.push("it was taken where it does not fit, or refused where it does");
    }
    match (said.says(), story.judgement(i)) {
        (None | Some(Says::Refused), _) | (Some(Says::Taken), None) => {}
        (Some(Says::Judged { in_time, kept_beside }), Some(right)) => {
            if in_time != right.0 {
                found.push("by its instant it was judged the other way round");
            }
            // That the round is closed, nobody is told; what is kept beside for it says so.
            let closable = said.is("statement") && story.something_counts(i);
            if (right.1 && !kept_beside) || (kept_beside && !right.1 && !closable) {
                found.push("it is kept beside where it counts, or counts where it is kept beside");
            }
        }
        (Some(Says::Taken), Some(_)) | (Some(Says::Judged { .. }), None) | (Some(Says::Delivered(_)), _) => {
            found.push("nobody answers it like that");
        }
    }
}

/// Whether it can have been entered when it says.
fn entered(story: &Story<'_>, i: usize, found: &mut Vec<&'static str>) {
    let said = story.event(i);
    let Some(at) = said.instant("entered_at") else {
        return;
    };
    let before = |other: &&Said| other.by == Side::Participant && other.number < said.number;
    let earlier = (0..story.len()).map(|k| story.event(k));
    let newest = earlier
        .clone()
        .filter(before)
        .filter_map(|other| other.instant("entered_at"));
    if newest.chain(story.delivered_at()).any(|newest| at < newest) {
        found.push("it was entered before what was entered before it");
    }
    // Whoever answers what it had before an end, enters nothing before that end any more.
    let asked = earlier.filter(|other| other.is("inquire") && other.number <= said.heard);
    if asked
        .filter_map(|other| other.instant("until"))
        .any(|until| at < until)
    {
        found.push("its node had answered what was entered by then");
    }
}

/// Ends run from the delivery at the earliest, by the rule that was fixed, and are never shortened.
fn deadline(story: &Story<'_>, i: usize, found: &mut Vec<&'static str>) {
    let told = &story.event(i).body["deadline"];
    let trigger = instant(&told["trigger"]);
    if trigger.is_none() || story.delivered_at().is_some_and(|at| trigger < Some(at)) {
        found.push("it runs from before the delivery");
    }
    if told["place"] != *story.fixed("place") {
        found.push("it is computed for another place");
    }
    let (rule, at_most) = (story.fixed("rule"), story.fixed("at_most"));
    let stated = told["rule"]["kind"] == "until" && told["rule"]["stands"] == true && rule.is_object();
    if !stated && told["rule"] != *rule && (at_most.is_null() || told["rule"] != *at_most) {
        found.push("its rule is not the one that was fixed");
    }
    if !can_end(told) {
        found.push("by its rule it cannot end then");
    }
    let Some(before) = story.told(i) else { return };
    if instant(&told["ends_at"]) < instant(&before["ends_at"]) {
        found.push("it ends before the one that was told before it");
    }
    let anew = story
        .back(i)
        .take_while(|(_, said)| !said.is("deadline"))
        .any(|(_, said)| said.is("supplement") && said.body["restarts"] == true);
    if !anew && told["trigger"] != before["trigger"] {
        found.push("it runs from another event");
    }
}

/// Silence is recorded after an end that was told and had passed; it means something only where the delivery is proven, nobody waits for
/// more time, and the participant's node was asked before.
fn silence(story: &Story<'_>, i: usize, found: &mut Vec<&'static str>, missing: &mut Vec<String>) {
    let expired = story.event(i);
    if expired.body["effect"] != *story.fixed("effect") {
        found.push("it is another effect than the one that was fixed");
    }
    let (ended, recorded) = (expired.instant("ended_at"), expired.instant("recorded_at"));
    let endless =
        story.fixed("rule").is_null() && story.told(i).is_none() && story.stands_still_since(i).is_none();
    let passed = match endless {
        true => ended == recorded,
        false => ended.is_some() && ended == story.end(i),
    };
    if !passed || recorded < ended {
        found.push("no end that was told had passed");
    }
    let named = &expired.body["deadline"];
    if named.is_object() && story.told(i).map(|told| &told["ends_at"]) != Some(&named["ends_at"]) {
        found.push("its deadline is not the one that was told");
    }
    if !endless && story.wants_time(i) == Some(true) {
        found.push("more time had been asked for in time, and nobody had decided");
    }
    if !story.has_effect() {
        return;
    }
    if story.delivered_at().is_none() {
        missing.push("a proof of the delivery".to_owned());
    }
    let until = |said: &Said| match &said.given_up {
        Some(given_up) if said.is("void") => instant(&given_up["until"]),
        _ => said.instant("until").filter(|_| said.is("inquire")),
    };
    let asks = |said: &Said| said.by == Side::Requester && ended.is_some() && until(said) == ended;
    let Some((_, asked)) = story.back(i).find(|(_, said)| asks(said)) else {
        found.push("the participant's node was not asked");
        return;
    };
    match expired.body["answered"] == true {
        true => match asked.receipt.filter(|_| asked.is("inquire")) {
            Some(receipt) if receipt.after <= expired.heard => {}
            Some(_) => found.push("what the participant's node had named was not there"),
            None => found.push("the participant's node had not answered"),
        },
        false => {
            let waited = expired.instant("asked_at").zip(recorded);
            if waited.is_none_or(|(asked, recorded)| recorded.duration_since(asked) < TO_ANSWER) {
                found.push("the participant's node had less time to answer than it has");
            }
        }
    }
}
