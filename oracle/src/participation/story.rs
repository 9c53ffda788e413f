//! One order of everything that was said, and what can be asked of a place in it.
//!
//! Owns what follows from what: each question looks back from a place at what stands before it. Place `i` is the one right before the
//! event of that number; the last place is behind all of them.

use jiff::Timestamp;

use super::Version;
use super::facts::{Facts, Said, Says, Side, instant};

/// What the participant still owes an answer in.
const WAITING: [&str; 4] = ["DELIVERED", "ACKNOWLEDGED", "IN_PREPARATION", "WITHDRAWN"];
/// What is judged.
const JUDGED: [&str; 3] = ["statement", "decline", "extension-request"];

pub(crate) struct Story<'a> {
    /// With which everything begins.
    request: &'a Said,
    events: Vec<&'a Said>,
    /// How each event of the participant counts; those of the requester always do.
    taken: Vec<bool>,
    judged: Vec<Option<(bool, bool)>>,
}

/// The place of a message of the participant: behind so many of the requester's.
fn place(facts: &Facts, said: &Said) -> u32 {
    match said.receipt {
        Some(receipt) => receipt.after,
        // Before the first message of the requester that knows it.
        None => facts
            .of(Side::Requester)
            .take_while(|other| other.heard < said.number)
            .map(|other| other.number)
            .last()
            .unwrap_or(0),
    }
}

impl<'a> Story<'a> {
    pub(crate) fn of(facts: &'a Facts, request: &'a Said) -> Self {
        let requester = facts.of(Side::Requester).map(|said| ((said.number, 0, 0), said));
        let participant = facts
            .of(Side::Participant)
            .map(|said| ((place(facts, said), 1, said.number), said));
        let mut placed: Vec<_> = requester.chain(participant).collect();
        placed.sort_by_key(|(key, _)| *key);
        let mut story = Self {
            request,
            events: placed.into_iter().map(|(_, said)| said).collect(),
            taken: Vec::new(),
            judged: Vec::new(),
        };
        for i in 0..story.events.len() {
            let said = story.events[i];
            let (judged, taken) = match (said.by, said.says()) {
                (Side::Requester, _) => (None, true),
                (_, Some(Says::Refused)) => (None, false),
                (_, Some(Says::Judged { in_time, kept_beside })) => (Some((in_time, kept_beside)), true),
                (_, Some(Says::Taken | Says::Delivered(_))) => (None, true),
                (_, None) => (story.judgement(i), story.fits(i)),
            };
            story.judged.push(judged.filter(|_| taken));
            story.taken.push(taken);
        }
        story
    }

    pub(crate) fn len(&self) -> usize {
        self.events.len()
    }

    pub(crate) fn event(&self, i: usize) -> &'a Said {
        self.events[i]
    }

    pub(crate) fn was_taken(&self, i: usize) -> bool {
        self.taken[i]
    }

    pub(crate) fn fixed(&self, name: &str) -> &'a serde_json::Value {
        &self.request.body["request"]["terms"][name]
    }

    /// Whether silence means something.
    pub(crate) fn has_effect(&self) -> bool {
        self.fixed("effect") != "NONE"
    }

    pub(crate) fn delivered_at(&self) -> Option<Timestamp> {
        match self.request.says() {
            Some(Says::Delivered(at)) => Some(at),
            Some(Says::Taken | Says::Judged { .. } | Says::Refused) | None => None,
        }
    }

    /// What counted and stands before a place, newest first.
    pub(crate) fn back(&self, i: usize) -> impl Iterator<Item = (usize, &'a Said)> {
        let of = |k: usize| (k, self.events[k]);
        (0..i).rev().filter(|k| self.taken[*k]).map(of)
    }

    /// The newest of some kinds.
    fn newest(&self, i: usize, kinds: &[&str]) -> Option<(usize, &'a Said)> {
        self.back(i).find(|(_, said)| kinds.contains(&said.kind.as_str()))
    }

    /// The end that was told last.
    pub(crate) fn told(&self, i: usize) -> Option<&'a serde_json::Value> {
        let (_, said) = self.newest(i, &["deadline"])?;
        Some(&said.body["deadline"])
    }

    /// The places between which the clock stood still for a question, with the round, and for a supplement, until `i`.
    fn still(&self, i: usize) -> Vec<(usize, usize, Option<Timestamp>)> {
        let starts = |said: &Said| match said.kind.as_str() {
            "clock" if said.body["stops"] == true => Some(0),
            "suspended" => Some(1),
            "supplement" if said.body["restarts"] == true => Some(2),
            _ => None,
        };
        let ends = |said: &Said| match said.kind.as_str() {
            "clock" if said.body["stops"] == false => Some(0),
            "resumed" => Some(1),
            "deadline" => Some(2),
            _ => None,
        };
        let mut spans = Vec::new();
        for k in 0..i {
            let said = self.events[k];
            let Some(why) = starts(said) else { continue };
            let until = (k + 1..i).find(|later| ends(self.events[*later]) == Some(why));
            // A supplement stops the clock from the event of the deadline on that it replaces.
            let trigger = || self.told(k).and_then(|told| instant(&told["trigger"]));
            let since = if why == 2 { trigger() } else { said.instant("at") };
            spans.push((k, until.unwrap_or(i), since));
        }
        spans
    }

    /// Whether the clock stands still for the round or a question, whichever is named by the kind that lets it go on.
    pub(crate) fn stands_for(&self, i: usize, kind: &str) -> bool {
        let (stops, goes_on) = match kind {
            "clock" => ("clock", "clock"),
            _ => ("suspended", "resumed"),
        };
        self.newest(i, &[stops, goes_on])
            .is_some_and(|(_, said)| said.is("suspended") || said.body["stops"] == true)
    }

    /// Since when the clock stands still, without a break.
    pub(crate) fn stands_still_since(&self, i: usize) -> Option<Timestamp> {
        let spans = self.still(i);
        let mut from = spans
            .iter()
            .filter(|(_, until, _)| *until == i)
            .map(|(from, ..)| *from)
            .min()?;
        // Whatever it stood for before, if that overlaps.
        while let Some((earlier, ..)) = spans.iter().find(|(k, until, _)| *k < from && *until > from) {
            from = *earlier;
        }
        let (.., since) = spans.iter().find(|(k, ..)| *k == from)?;
        Some(since.unwrap_or(Timestamp::MIN))
    }

    /// When the time is over, as far as is known at a place.
    pub(crate) fn end(&self, i: usize) -> Option<Timestamp> {
        let end = instant(&self.told(i)?["ends_at"])?;
        let stands = self.stands_still_since(i).is_some_and(|since| since < end);
        (!stands).then_some(end)
    }

    /// Whether what was entered then is in time, by what was told before a place.
    pub(crate) fn is_in_time(&self, i: usize, entered_at: Timestamp) -> bool {
        self.end(i).is_none_or(|end| entered_at < end)
    }

    /// Whether an event that was judged is in time at a later place: an end that was told since may have made it so.
    fn timely(&self, k: usize, i: usize) -> bool {
        let at_once = self.judged[k].is_some_and(|(in_time, _)| in_time);
        let entered_at = self.events[k].instant("entered_at");
        at_once
            || self
                .back(i)
                .take_while(|(later, _)| *later > k)
                .filter(|(_, said)| said.is("deadline"))
                .any(|(_, said)| instant(&said.body["deadline"]["ends_at"]) > entered_at)
    }

    fn counts(&self, k: usize) -> bool {
        self.events[k].is("statement") && self.judged[k].is_some_and(|(_, kept_beside)| !kept_beside)
    }

    fn statements(&self, i: usize) -> impl Iterator<Item = usize> {
        (0..i).filter(|k| self.taken[*k] && self.events[*k].is("statement"))
    }

    pub(crate) fn something_counts(&self, i: usize) -> bool {
        self.statements(i)
            .any(|k| self.counts(k) && self.withdrawn_at(k, i).is_none())
    }

    fn withdrawn_at(&self, k: usize, i: usize) -> Option<Timestamp> {
        let later =
            (k + 1..i).find(|later| self.taken[*later] && self.events[*later].is("withdraw-statement"));
        self.events[later?].instant("entered_at")
    }

    pub(crate) fn versions(&self) -> Vec<Version> {
        let end = self.len();
        let version = |k: usize| {
            let (_, kept_beside) = self.judged[k]?;
            Some(Version {
                entered_at: self.events[k].instant("entered_at")?,
                in_time: self.timely(k, end),
                kept_beside,
                withdrawn_at: self.withdrawn_at(k, end),
            })
        };
        self.statements(end).filter_map(version).collect()
    }

    /// What is recorded of silence and holds: nothing that was in time came after it, and no later end was told.
    pub(crate) fn silence(&self, i: usize) -> Option<&'a Said> {
        let (e, expired) = self.newest(i, &["expired"])?;
        let undone = |k: usize, said: &Said| match said.kind.as_str() {
            "deadline" => instant(&said.body["deadline"]["ends_at"]) > expired.instant("ended_at"),
            "statement" => self.counts(k) && self.judged[k].is_some_and(|(in_time, _)| in_time),
            "decline" => true,
            "extension-request" => self.judged[k].is_some_and(|(in_time, _)| in_time),
            _ => false,
        };
        let mut later = self.back(i).take_while(|(k, _)| *k > e);
        (!later.any(|(k, said)| undone(k, said))).then_some(expired)
    }

    /// Whether more time was asked for in time, and nobody has decided; nothing where nobody waits.
    pub(crate) fn wants_time(&self, i: usize) -> Option<bool> {
        let (k, said) = self.newest(i, &["extension-request", "extension-decision"])?;
        said.is("extension-request").then(|| self.timely(k, i))
    }

    pub(crate) fn question_open(&self, i: usize) -> bool {
        self.newest(i, &["question", "answer"])
            .is_some_and(|(_, said)| said.is("question"))
    }

    /// Where the request was taken back.
    fn revoked(&self, i: usize) -> Option<usize> {
        let revokes = |said: &Said| said.is("cancelled") || (said.is("revoke") && said.body["whole"] == true);
        (0..i).find(|k| revokes(self.events[*k]))
    }

    /// How the request stands at a place, by its name in the contract.
    pub(crate) fn state(&self, i: usize) -> &'static str {
        if let Some(revoked) = self.revoked(i) {
            let deleted = |said: &Said| {
                said.is("purged") && said.body["whole"] == true && said.body["complete"] == true
            };
            let mut after = self.back(i).take_while(|(k, _)| *k > revoked);
            return match after.any(|(_, said)| deleted(said)) {
                true => "PURGED",
                false => "REVOKED",
            };
        }
        let decides = |(k, said): &(usize, &Said)| match said.kind.as_str() {
            "statement" => self.counts(*k),
            "withdraw-statement" | "decline" | "assessed" | "outcome" => true,
            _ => false,
        };
        let silent = self.silence(i).is_some();
        match self.back(i).find(decides).map(|(_, said)| said.kind.as_str()) {
            Some("statement") => self.said_state(i),
            Some("decline") => "DECLINED",
            Some("assessed") => "ASSESSED",
            Some("outcome") => "NOTIFIED",
            _ if silent => "EXPIRED",
            Some(_) => "WITHDRAWN",
            None => self.progress(i),
        }
    }

    /// What the statements since the last one that was taken back come to.
    fn said_state(&self, i: usize) -> &'static str {
        let since = self.newest(i, &["withdraw-statement"]).map_or(0, |(k, _)| k);
        let counted: Vec<usize> = (since..i).filter(|k| self.taken[*k] && self.counts(*k)).collect();
        let kept: Vec<usize> = self.statements(i).filter(|k| *k > since).collect();
        // From when on one of them was in time: at once, or when a later end was told.
        let there = |at: usize| {
            let said = self.events[at];
            let at_once = self.counts(at) && self.timely(at, at + 1);
            let later = said.is("deadline")
                && counted.first().is_some_and(|first| *first < at)
                && kept.iter().any(|k| *k < at && self.timely(*k, at + 1));
            at_once || later
        };
        match (since..i).find(|at| self.taken[*at] && there(*at)) {
            None => "LATE",
            Some(at) if counted.iter().any(|k| *k > at) => "AMENDED",
            Some(_) => "SUBMITTED",
        }
    }

    /// How far the participant has come without a statement.
    fn progress(&self, i: usize) -> &'static str {
        let there = self.delivered_at().is_some() && i > 0;
        let speaks = self.events[..i].iter().any(|said| said.by == Side::Participant);
        if self.newest(i, &["preparing"]).is_some() {
            "IN_PREPARATION"
        } else if self.newest(i, &["acknowledge"]).is_some() {
            "ACKNOWLEDGED"
        } else if there || speaks {
            "DELIVERED"
        } else {
            "SENT"
        }
    }

    pub(crate) fn is_waiting(&self, i: usize) -> bool {
        WAITING.contains(&self.state(i))
    }

    /// Whether nothing stands that was said before the end, and that is not recorded yet.
    pub(crate) fn is_silent(&self, i: usize) -> bool {
        let end = self.end(i);
        let stands = |k: usize| {
            let taken_back = self.withdrawn_at(k, i);
            self.timely(k, i) && taken_back.is_none_or(|at| end.is_some_and(|end| at >= end))
        };
        (self.is_waiting(i) || self.state(i) == "LATE")
            && self.silence(i).is_none()
            && !self.statements(i).any(stands)
    }

    /// Whether a statement comes when nothing is decided by it any more.
    pub(crate) fn is_past(&self, i: usize, in_time: bool) -> bool {
        match self.state(i) {
            "DECLINED" | "REVOKED" | "PURGED" => true,
            "ASSESSED" | "NOTIFIED" => !(in_time && self.silence(i).is_some()),
            _ => false,
        }
    }

    /// When the round had been closed at the latest: by then something was kept beside that could have counted otherwise.
    pub(crate) fn closed_by(&self, i: usize) -> Option<Timestamp> {
        let kept = self.statements(i).filter(|k| {
            self.judged[*k].is_some_and(|(in_time, kept_beside)| kept_beside && !self.is_past(*k, in_time))
        });
        kept.filter_map(|k| self.events[k].instant("entered_at")).min()
    }

    /// How an event has to be judged, whether it is in time and whether it is kept beside; nothing where nothing is.
    pub(crate) fn judgement(&self, i: usize) -> Option<(bool, bool)> {
        let said = self.events[i];
        if !JUDGED.contains(&said.kind.as_str()) {
            return None;
        }
        let entered_at = said.instant("entered_at")?;
        let in_time = self.is_in_time(i, entered_at);
        let closed = || self.closed_by(i).is_some_and(|at| entered_at >= at) && self.something_counts(i);
        let kept_beside = said.is("statement") && (self.is_past(i, in_time) || closed());
        Some((in_time, kept_beside))
    }

    /// Whether what the participant says fits the place where it stands.
    pub(crate) fn fits(&self, i: usize) -> bool {
        let said = self.events[i];
        // Whoever says something has it.
        let state = match self.state(i) {
            "SENT" => "DELIVERED",
            state => state,
        };
        let waiting = WAITING.contains(&state);
        let step = |allowed: &[&str]| {
            let base = if state == "EXPIRED" && self.newest(i, &["withdraw-statement"]).is_none() {
                self.progress(i)
            } else {
                state
            };
            allowed.contains(&if base == "SENT" { "DELIVERED" } else { base })
        };
        match said.kind.as_str() {
            "acknowledge" => step(&["DELIVERED"]),
            "preparing" => step(&["DELIVERED", "ACKNOWLEDGED"]),
            "question" => (waiting || state == "EXPIRED") && !self.question_open(i),
            "extension-request" => (waiting || state == "EXPIRED") && self.wants_time(i).is_none(),
            "decline" => {
                let open = waiting || (self.silence(i).is_some() && self.revoked(i).is_none());
                open && self.judgement(i).is_some_and(|(in_time, _)| in_time)
            }
            "statement" => said.body["version"].as_u64() == Some(self.statements(i).count() as u64 + 1),
            "withdraw-statement" => ["SUBMITTED", "AMENDED", "LATE"].contains(&state),
            "purged" | "void" => true,
            _ => false,
        }
    }
}
