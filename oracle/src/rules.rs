//! What cannot be true together, whatever the order in which it happened: rules over what both parties said and how it was answered.
//!
//! Owns the arbiters: what the sender has committed decides whether an offer stands, what the receiver has committed decides whether the
//! application was taken over. An answer is held against what its signer had surely said before, on its own clock; where two events
//! bear the same instant either order is believed.

use jiff::{SignedDuration, Timestamp};
use serde_json::Value;

use crate::facts::{Facts, Party, Said, Stands, instant};
use crate::verdict::until;

/// By these the sender ends an offer.
const ENDS_OFFER: [&str; 2] = ["withdraw", "expire"];
/// By these the sender asks for it back.
const ASKS_BACK: [&str; 2] = ["reclaim", "recall"];
/// By one of these the receiver answers an offer.
const ANSWERS_OFFER: [&str; 3] = ["accept", "refuse", "dispute"];
/// What is in a message only because the offer was accepted.
const NEEDS_ACCEPTANCE: [&str; 7] = [
    "package",
    "reclaim",
    "recall",
    "import-result",
    "taken-over",
    "recall-result",
    "late-item",
];
/// What is always taken: its party could not have said it where the other had reason to refuse it.
const ALWAYS_TAKEN: [&str; 10] = [
    "offer",
    "withdraw",
    "expire",
    "refuse",
    "dispute",
    "taken-over",
    "number",
    "recall-result",
    "late-item",
    "purged",
];

pub(crate) fn judge(facts: &mut Facts, transfer: &str) {
    let mut found = Found(Vec::new());
    if facts.offer().is_some() {
        offer(facts, transfer, &mut found);
        clocks(facts, &mut found);
        always_taken(facts, &mut found);
        offer_phase(facts, &mut found);
        packages(facts, &mut found);
        imports(facts, &mut found);
        take_over(facts, &mut found);
        asked_back(facts, &mut found);
        after_an_end(facts, &mut found);
    } else if facts.of(Party::Sender).any(|said| said.number == 1) {
        found.0.push("the first message is no offer".to_owned());
    }
    facts.contradictions.append(&mut found.0);
}

struct Found(Vec<String>);

impl Found {
    fn unless(&mut self, holds: bool, said: &Said, why: &str) {
        if !holds {
            self.0.push(format!("{}: {why}", said.name()));
        }
    }
}

/// Of which of these the signer had surely spoken before it heard something.
fn spoken_before<'a>(facts: &'a Facts, kinds: &'a [&str], heard: &'a Said) -> impl Iterator<Item = &'a Said> {
    facts.all(kinds).filter(|said| heard.heard_after(said))
}

/// Whether somebody may have answered what the other side said: it had been said before the answer was heard, and heard before the
/// answer was said.
fn may_answer(answer: &Said, said: &Said) -> bool {
    !answer.heard_before(said) && !said.heard_after(answer)
}

/// Which of these the signer may have said before it heard something.
fn spoken_perhaps<'a>(
    facts: &'a Facts,
    kinds: &'a [&str],
    heard: &'a Said,
) -> impl Iterator<Item = &'a Said> {
    facts.all(kinds).filter(|said| !heard.heard_before(said))
}

fn offer(facts: &Facts, transfer: &str, found: &mut Found) {
    let Some(said) = facts.offer() else { return };
    let offer = &said.body["offer"];
    found.unless(
        offer["transfer_id"] == transfer,
        said,
        "it names another transfer than its path",
    );
    let known = [
        "MISDIRECTED",
        "COMPETENCE_CHANGED",
        "MIGRATION",
        "DELEGATION",
        "COPY",
    ];
    found.unless(
        known.contains(&facts.situation()),
        said,
        "there is no such situation",
    );
    found.unless(
        in_time(offer, &offer["take_over_until"]),
        said,
        "the time to take over ends before every running deadline",
    );
    found.unless(
        facts.member(Party::Sender) != facts.member(Party::Receiver),
        said,
        "nobody hands over to itself",
    );
}

/// How far a clock may step back and nothing is concluded from it: a node whose clock is farther behind its own log takes no commands.
const STEP_BACK: SignedDuration = SignedDuration::from_secs(60);

/// Numbers are given in the order of time, on the clock of who gives them and on that of who hears them; and the offer is the first.
fn clocks(facts: &Facts, found: &mut Found) {
    let went_back = |from: Timestamp, to: Timestamp| from.duration_since(to) > STEP_BACK;
    let heard_at = |said: &Said| said.receipt.map(|receipt| receipt.received_at);
    let Some(offer) = facts.offer() else { return };
    for party in [Party::Sender, Party::Receiver] {
        let (mut newest, mut heard): (Option<Timestamp>, Option<Timestamp>) = (None, None);
        for said in facts.of(party) {
            let first = match party {
                Party::Sender => Some(offer.sent_at),
                Party::Receiver => heard_at(offer),
            };
            let back = newest
                .max(first)
                .is_some_and(|newest| went_back(newest, said.sent_at));
            found.unless(!back, said, "it was said before what came before it");
            newest = newest.max(Some(said.sent_at));
            let first = (party == Party::Receiver).then_some(offer.sent_at);
            let at = heard_at(said);
            let back = at
                .zip(heard.max(first))
                .is_some_and(|(at, newest)| went_back(newest, at));
            found.unless(!back, said, "it was heard before what came before it");
            heard = heard.max(at);
        }
    }
}

/// Whether an instant lies before every deadline that runs.
fn in_time(offer: &Value, until: &Value) -> bool {
    let deadlines = offer["running_deadlines"].as_array();
    let mut ends = deadlines
        .into_iter()
        .flatten()
        .map(|deadline| instant(&deadline["ends_at"]));
    instant(until).is_some_and(|until| ends.all(|end| end.is_some_and(|end| until < end)))
}

fn always_taken(facts: &Facts, found: &mut Found) {
    for said in facts.all(&ALWAYS_TAKEN) {
        found.unless(!said.was_refused(), said, "nobody could have refused it");
    }
}

/// Until the offer is answered or ended.
fn offer_phase(facts: &Facts, found: &mut Found) {
    let ended = || facts.all(&ENDS_OFFER);
    for end in ended() {
        let wanted = facts
            .offer()
            .and_then(|offer| instant(&offer.body["offer"]["answer_wanted_by"]["ends_at"]));
        let due = end.kind != "expire" || wanted.is_some_and(|wanted| end.sent_at >= wanted);
        found.unless(due, end, "the time to answer had not ended");
    }
    // The sender answers these; what it has committed decides.
    for said in facts.all(&["accept", "query"]) {
        if said.was_taken() {
            let before = spoken_before(facts, &ENDS_OFFER, said).next().is_some();
            let never = said.kind == "accept" && ended().next().is_some();
            found.unless(!before && !never, said, "it was taken, and the offer was ended");
        }
        if let Some(stands) = said.refusal() {
            let ended = spoken_perhaps(facts, &ENDS_OFFER, said).next().is_some();
            let went_on = facts
                .all(&NEEDS_ACCEPTANCE)
                .any(|other| other.by == Party::Sender);
            let unseen = facts.may_have_said_more(Party::Sender, said) && !went_on;
            found.unless(
                (ended || unseen) && stands == Stands::Ended,
                said,
                "it was refused, and the offer stood",
            );
        }
    }
    // The receiver answers this one.
    for said in facts.all(&["answer"]) {
        let decided = spoken_before(facts, &ANSWERS_OFFER, said).next().is_some();
        found.unless(
            !(decided && said.was_taken()),
            said,
            "it was taken, and the offer had been answered",
        );
        if said.was_refused() {
            let decided = spoken_perhaps(facts, &ANSWERS_OFFER, said).next().is_some();
            // Where the time was over, nothing was said either.
            found.unless(
                decided || facts.may_have_said_more(Party::Receiver, said),
                said,
                "it was refused, and the offer had not been answered",
            );
        }
    }
    // An offer that has ended does not begin again.
    for kinds in [["query", "accept"], ["answer", "answer"]] {
        let first = facts.all(&kinds).find(|said| said.was_refused());
        for said in facts.all(&kinds).filter(|said| said.was_taken()) {
            let again = first.is_some_and(|first| first.number < said.number);
            found.unless(!again, said, "it was taken after the offer had ended");
        }
    }
    let acceptance = facts.one("accept");
    for said in facts.all(&NEEDS_ACCEPTANCE) {
        let Some(acceptance) = acceptance else {
            found.unless(false, said, "the offer was not accepted");
            continue;
        };
        found.unless(!acceptance.was_refused(), said, "the acceptance was refused");
        if said.by == Party::Sender {
            let unheard = acceptance.heard_after(said);
            found.unless(!unheard, said, "the acceptance had not been heard");
        }
    }
    if let Some(acceptance) = acceptance {
        for answer in facts.all(&["answer"]) {
            let late = acceptance.was_taken() && acceptance.heard_before(answer);
            found.unless(!late, answer, "the offer had been accepted");
        }
    }
}

/// Whether the time to take over had ended on the receiver's clock when it heard this.
fn lapsed(facts: &Facts, heard: &Said) -> bool {
    let until = until(facts, heard.number);
    heard
        .receipt
        .zip(until)
        .is_some_and(|(receipt, until)| receipt.received_at > until)
}

fn packages(facts: &Facts, found: &mut Found) {
    let offered = facts.offer().map(|said| &said.body["offer"]);
    let Some(offered) = offered else { return };
    let results: Vec<&Said> = facts.all(&["import-result"]).collect();
    for (place, package) in facts.all(&["package"]).enumerate() {
        let body = &package.body;
        let whole = body["manifest_octets"]
            .as_u64()
            .zip(offered["octets"].as_u64())
            .map(|(manifest, files)| manifest.saturating_add(files));
        found.unless(
            body["manifest"] == offered["manifest"] && body["octets"].as_u64() == whole,
            package,
            "it is not what was offered",
        );
        found.unless(
            in_time(offered, &body["take_over_until"]),
            package,
            "the time to take over ends before every running deadline",
        );
        found.unless(
            package
                .instant("take_over_until")
                .is_some_and(|until| until > package.sent_at),
            package,
            "the time to take over had ended",
        );
        let accepted = facts.one("accept");
        found.unless(
            accepted.is_none_or(|accept| may_answer(package, accept)),
            package,
            "it came before the acceptance",
        );
        if package.was_taken() {
            let gone = spoken_before(facts, &["refuse"], package).next().is_some();
            found.unless(!gone, package, "it was taken after a refusal");
        }
        if let Some(stands) = package.refusal() {
            let recalled = |said: &Said| said.kind == "recall-result" || !package.heard_before(said);
            let ended = spoken_perhaps(facts, &["refuse"], package).next().is_some()
                || (lapsed(facts, package) && facts.of(Party::Receiver).all(recalled))
                || facts.may_have_said_more(Party::Receiver, package);
            found.unless(
                ended && stands == Stands::Ended,
                package,
                "nobody could have refused it",
            );
        }
        // Another one only where the one before did not arrive whole.
        if let Some(before) = place.checked_sub(1) {
            let failed = results.get(before).is_some_and(|result| {
                result.body["complete"] == false && !result.was_refused() && may_answer(package, result)
            });
            found.unless(
                failed,
                package,
                "the package before was not reported as incomplete",
            );
        }
    }
}

fn imports(facts: &Facts, found: &mut Found) {
    let packages: Vec<&Said> = facts.all(&["package"]).collect();
    let results: Vec<&Said> = facts.all(&["import-result"]).collect();
    for (place, result) in results.iter().enumerate() {
        let there = packages
            .get(place)
            .is_some_and(|package| !package.was_refused() && may_answer(result, package));
        found.unless(there, result, "there was no package to be imported");
        let last = place + 1 == results.len();
        found.unless(
            last || result.body["complete"] == false,
            result,
            "it was complete, and another one followed",
        );
        if result.was_refused() {
            let asked = spoken_perhaps(facts, &ASKS_BACK, result).next().is_some();
            found.unless(asked, result, "nobody could have refused it");
        }
    }
}

fn take_over(facts: &Facts, found: &mut Found) {
    let last = facts.all(&["import-result"]).last();
    let offered = facts.offer().map(|offer| &offer.body["offer"]["manifest"]);
    for said in facts.all(&["taken-over"]) {
        found.unless(facts.situation() != "COPY", said, "a copy is not taken over");
        found.unless(
            Some(&said.body["manifest"]) == offered,
            said,
            "it is not what was offered",
        );
        let Some(at) = said.instant("at") else {
            found.unless(false, said, "it names no instant");
            continue;
        };
        let in_time = until(facts, u32::MAX).is_some_and(|until| at <= until);
        found.unless(in_time, said, "the time to take over had ended");
        let whole = last.is_some_and(|last| last.body["complete"] == true);
        found.unless(whole, said, "nothing had been imported whole");
        // The instant is no earlier than what its signer had recorded, and no later than its own words.
        let newest = facts
            .of(Party::Receiver)
            .take_while(|other| other.number < said.number)
            .map(|other| other.sent_at)
            .chain(
                facts
                    .all(&["offer", "package"])
                    .filter_map(|heard| heard.receipt.map(|receipt| receipt.received_at)),
            )
            .max();
        found.unless(
            newest.is_none_or(|newest| newest <= at) && at <= said.sent_at,
            said,
            "its instant is not the one at which it was said",
        );
        for asked in facts.all(&ASKS_BACK) {
            found.unless(
                !asked.was_taken(),
                said,
                "its signer has answered that it will not take it over",
            );
        }
    }
    for said in facts.all(&["late-item", "purged"]) {
        let heard = facts.all(&["taken-over"]).any(|taken| may_answer(said, taken));
        let answered = facts
            .all(&ASKS_BACK)
            .any(|asked| asked.answered_as_taken_over().is_some());
        found.unless(heard || answered, said, "nothing had been taken over");
    }
}

fn asked_back(facts: &Facts, found: &mut Found) {
    let is_copy = facts.situation() == "COPY";
    for asked in facts.all(&ASKS_BACK) {
        let due = until(facts, asked.number).is_some_and(|until| asked.sent_at > until);
        found.unless(
            asked.kind == "recall" || due,
            asked,
            "the time to take over had not ended",
        );
        let taken_over = facts.one("taken-over");
        let imports = facts.all(&["import-result"]).count();
        let copied = || {
            facts
                .all(&["import-result"])
                .find(|result| is_copy && result.body["complete"] == true)
        };
        match asked.refusal() {
            None => {
                let copied = asked.was_taken() && copied().is_some();
                found.unless(!copied, asked, "it was taken, and the copy was there");
            }
            Some(Stands::Open) => found.unless(false, asked, "nobody could have left it open"),
            Some(Stands::Ended) => {
                let copied = copied().is_some_and(|copied| !asked.heard_before(copied))
                    || (is_copy
                        && facts.all(&["package"]).count() > imports
                        && facts.may_have_said_more(Party::Receiver, asked));
                found.unless(copied, asked, "nobody could have refused it");
            }
            Some(Stands::TakenOver(at)) => {
                let said = match taken_over {
                    Some(said) => said.instant("at") == Some(at) && !asked.heard_before(said),
                    None => {
                        facts.may_have_said_more(Party::Receiver, asked)
                            && facts.one("package").is_some_and(|package| !package.was_refused())
                            && facts
                                .all(&["refuse", "dispute", "recall-result"])
                                .next()
                                .is_none()
                            && until(facts, asked.number).is_some_and(|until| at <= until)
                    }
                };
                found.unless(
                    said && !is_copy,
                    asked,
                    "the instant in its answer is not that of a take-over",
                );
            }
        }
    }
    let recall = facts.one("recall");
    for said in facts.all(&["recall-result"]) {
        let asked = recall.is_some_and(|recall| !recall.was_refused() && may_answer(said, recall));
        found.unless(asked, said, "nothing had been called back");
    }
}

/// Who has heard an end says nothing more but what belongs to it.
fn after_an_end(facts: &Facts, found: &mut Found) {
    let is_copy = facts.situation() == "COPY";
    let ends_for_sender = facts.all(&["refuse", "dispute", "taken-over", "import-result"]);
    let ends_for_sender: Vec<&Said> = ends_for_sender
        .filter(|end| end.kind != "import-result" || (is_copy && end.body["complete"] == true))
        .collect();
    let ends_for_receiver = facts.all(&["withdraw", "expire", "reclaim", "recall"]);
    let ends_for_receiver: Vec<&Said> = ends_for_receiver.filter(|end| end.was_taken()).collect();
    for (party, ends) in [
        (Party::Sender, ends_for_sender),
        (Party::Receiver, ends_for_receiver),
    ] {
        for end in ends {
            for said in facts.of(party).filter(|said| end.heard_before(said)) {
                let belongs = match end.kind.as_str() {
                    "taken-over" => ["late-item", "purged"].contains(&said.kind.as_str()),
                    "recall" => said.kind == "recall-result",
                    _ => false,
                };
                found.unless(
                    belongs || said.kind == "void",
                    said,
                    "it was said after the end had been heard",
                );
            }
        }
    }
}
