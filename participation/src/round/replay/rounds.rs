//! A round as its requests show it: whom it asked, and what came of each.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use jiff::Timestamp;
use kontor_protocol::package::cover::Language;
use serde::Serialize;

use super::Course;
use crate::round::message::Kind;
use crate::round::profile::effect_in_words;
use crate::round::state::State;
use crate::transfer::offer::SilenceEffect;

/// What came of one request.
#[derive(Clone, Debug, Eq, PartialEq, Serialize)]
pub struct Outcome {
    /// The request.
    pub request: String,
    /// Who was asked.
    pub participant: String,
    /// How it stands; nothing where messages are missing.
    pub state: Option<State>,
    /// When its time is over, or was.
    pub ends_at: Option<Timestamp>,
    /// What the statement that stands says, and whether it is in time.
    pub statement: Option<(Kind, bool)>,
    /// What silence meant, if that holds.
    pub silence: Option<SilenceEffect>,
    /// Whether nothing contradicts anything.
    pub is_sound: bool,
    /// Whether nothing is missing.
    pub is_complete: bool,
}

/// A round, as far as its requests are in this evidence.
#[derive(Clone, Debug, Eq, PartialEq, Serialize)]
pub struct Summary {
    /// The round.
    pub round: String,
    /// Its number, for the case and profile.
    pub round_number: u32,
    /// The round that it renews.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub renews: Option<String>,
    /// By which profile, in which version.
    pub profile: String,
    /// Who asked.
    pub requester: String,
    /// Its requests.
    pub requests: Vec<Outcome>,
}

/// The rounds of these requests, in the order of their profiles and numbers. A request whose first message is missing names none.
pub fn rounds(courses: &[Course]) -> Vec<Summary> {
    let mut rounds: BTreeMap<(String, String), Summary> = BTreeMap::new();
    for course in courses {
        let Some(asked) = &course.asked else {
            continue;
        };
        // Whoever asks names its rounds: two of them may use one id.
        let key = (course.requester.clone(), asked.round.to_string());
        let round = rounds.entry(key).or_insert_with(|| Summary {
            round: asked.round.to_string(),
            round_number: asked.round_number,
            renews: asked.renews.as_ref().map(ToString::to_string),
            profile: asked.profile.to_string(),
            requester: course.requester.clone(),
            requests: Vec::new(),
        });
        round.requests.push(Outcome::of(course));
    }
    let mut rounds: Vec<Summary> = rounds.into_values().collect();
    rounds
        .sort_by(|a, b| (&a.profile, a.round_number, &a.round).cmp(&(&b.profile, b.round_number, &b.round)));
    rounds
}

impl Outcome {
    fn of(course: &Course) -> Self {
        let standing = course.versions.iter().rfind(|version| version.counts());
        Self {
            request: course.request.clone(),
            participant: course.participant.clone(),
            state: course.state,
            ends_at: course.ends_at,
            statement: standing.map(|version| (version.kind, version.judgement.in_time)),
            silence: course.silence.map(|silence| silence.effect),
            is_sound: course.contradictions.is_empty(),
            is_complete: course.missing.is_empty(),
        }
    }

    fn in_words(&self, language: Language) -> String {
        let german = matches!(language, Language::German);
        let mut parts = Vec::new();
        parts.push(match (self.state, german) {
            (Some(state), true) => state.german().to_owned(),
            (Some(state), false) => state.name().to_owned(),
            (None, true) => "unvollständig".to_owned(),
            (None, false) => "incomplete".to_owned(),
        });
        if let Some((kind, in_time)) = self.statement {
            let judged = match (in_time, german) {
                (true, true) => "rechtzeitig",
                (true, false) => "in time",
                (false, true) => "VERSPÄTET",
                (false, false) => "LATE",
            };
            parts.push(format!("{} ({judged})", kind.name()));
        }
        if let Some(effect) = self.silence {
            parts.push(effect_in_words(effect, language).to_owned());
        }
        if !self.is_sound {
            parts.push(match german {
                true => "WIDERSPRUCH".to_owned(),
                false => "CONTRADICTION".to_owned(),
            });
        }
        if !self.is_complete {
            parts.push(match german {
                true => "ES FEHLT ETWAS".to_owned(),
                false => "SOMETHING IS MISSING".to_owned(),
            });
        }
        format!("{}  {}: {}", self.request, self.participant, parts.join("; "))
    }
}

impl Summary {
    /// The round in words: one line for itself, and one for each request.
    pub fn in_words(&self, language: Language) -> String {
        let mut text = String::new();
        let Self {
            round,
            round_number: number,
            renews,
            profile,
            requester,
            requests,
        } = self;
        let _ = match language {
            Language::German => write!(
                text,
                "Durchgang {number} ({round}) nach {profile}, von {requester}, Anfragen: {}",
                requests.len()
            ),
            Language::English => write!(
                text,
                "Round {number} ({round}) by {profile}, of {requester}, requests: {}",
                requests.len()
            ),
        };
        if let Some(renews) = renews {
            let _ = match language {
                Language::German => write!(text, "; erneuert {renews}"),
                Language::English => write!(text, "; renews {renews}"),
            };
        }
        text.push('\n');
        for request in requests {
            let _ = writeln!(text, "  {}", request.in_words(language));
        }
        text
    }
}
