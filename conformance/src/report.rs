//! What came of a run: one line per case on the terminal, all of it as JSON, and the ratchet of known gaps.
//!
//! Owns the verdict of a run: it is bad if a case fails that is not a known gap, or a known gap passes. Refuses to call a
//! skipped case passed.

use std::collections::BTreeMap;
use std::fmt;
use std::io::{self, Write};
use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result};
use serde::{Deserialize, Serialize};

use crate::requirement::Requirement;

/// Known gaps of the subject: requirement id = reason.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(transparent)]
pub struct Gaps(BTreeMap<String, String>);

impl Gaps {
    /// The list that ships with the suite.
    pub fn shipped() -> Result<Self> {
        Self::parse(include_str!("../gaps.toml"))
    }

    /// Reads a list from `path`.
    pub fn read(path: &Path) -> Result<Self> {
        let text = std::fs::read_to_string(path).with_context(|| format!("reading {}", path.display()))?;
        Self::parse(&text)
    }

    fn parse(text: &str) -> Result<Self> {
        toml::from_str(text).context("the list of gaps is a table of requirement = \"reason\"")
    }

    /// Entries that name no requirement of the suite: they would hide nothing and stay for ever.
    pub fn unknown<'a>(&'a self, known: &'a [&'a Requirement]) -> impl Iterator<Item = &'a str> {
        self.0
            .keys()
            .map(String::as_str)
            .filter(|id| !known.iter().any(|requirement| requirement.id == *id))
    }
}

/// How a case ended.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(tag = "outcome", rename_all = "kebab-case")]
pub enum Outcome {
    Passed,
    Failed {
        why: String,
    },
    /// Failed as the list of gaps says.
    KnownGap {
        why: String,
        reason: String,
    },
    /// Passed although the list of gaps says that it fails: the entry has to go.
    GapClosed {
        reason: String,
    },
    Skipped {
        why: String,
    },
}

impl Outcome {
    /// Whether the run fails because of it.
    pub fn is_bad(&self) -> bool {
        match self {
            Self::Failed { .. } | Self::GapClosed { .. } => true,
            Self::Passed | Self::KnownGap { .. } | Self::Skipped { .. } => false,
        }
    }
}

/// One case of a run.
#[derive(Clone, Debug, Serialize)]
pub struct Line {
    pub requirement: &'static str,
    pub clause: &'static str,
    pub sentence: &'static str,
    #[serde(flatten)]
    pub outcome: Outcome,
    pub millis: u64,
}

/// All cases of a run.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Report {
    pub subject: String,
    pub cases: Vec<Line>,
}

/// What a case says about itself before the gaps are looked at.
#[derive(Debug)]
pub enum Finding {
    Passed,
    Failed(anyhow::Error),
    Skipped(String),
}

impl Report {
    /// A report without cases about `subject`.
    pub fn new(subject: impl Into<String>) -> Self {
        Self {
            subject: subject.into(),
            cases: Vec::new(),
        }
    }

    /// Adds what a case found, read against the known gaps, and says how it ended.
    pub fn add(
        &mut self,
        requirement: &'static Requirement,
        finding: Finding,
        took: Duration,
        gaps: &Gaps,
    ) -> &Line {
        let gap = gaps.0.get(requirement.id);
        let outcome = match (finding, gap) {
            (Finding::Passed, None) => Outcome::Passed,
            (Finding::Passed, Some(reason)) => Outcome::GapClosed {
                reason: reason.clone(),
            },
            (Finding::Failed(error), None) => Outcome::Failed {
                why: format!("{error:#}"),
            },
            (Finding::Failed(error), Some(reason)) => Outcome::KnownGap {
                why: format!("{error:#}"),
                reason: reason.clone(),
            },
            (Finding::Skipped(why), _) => Outcome::Skipped { why },
        };
        self.cases.push(Line {
            requirement: requirement.id,
            clause: requirement.clause,
            sentence: requirement.sentence,
            outcome,
            millis: u64::try_from(took.as_millis()).unwrap_or(u64::MAX),
        });
        self.cases.last().expect("pushed in the line above")
    }

    /// Whether nothing failed that is not a known gap and no known gap passed.
    pub fn is_good(&self) -> bool {
        !self.cases.iter().any(|line| line.outcome.is_bad())
    }

    /// The count line at the end of a run.
    pub fn summary(&self) -> String {
        let count =
            |matches: fn(&Outcome) -> bool| self.cases.iter().filter(|line| matches(&line.outcome)).count();
        format!(
            "{} cases: {} passed, {} failed, {} known gaps, {} gaps closed, {} skipped",
            self.cases.len(),
            count(|outcome| matches!(outcome, Outcome::Passed)),
            count(|outcome| matches!(outcome, Outcome::Failed { .. })),
            count(|outcome| matches!(outcome, Outcome::KnownGap { .. })),
            count(|outcome| matches!(outcome, Outcome::GapClosed { .. })),
            count(|outcome| matches!(outcome, Outcome::Skipped { .. })),
        )
    }

    /// Writes the run as JSON to `path`.
    pub fn write_json(&self, path: &Path) -> Result<()> {
        let text = serde_json::to_string_pretty(self)?;
        std::fs::write(path, text + "\n").with_context(|| format!("writing {}", path.display()))
    }
}

impl fmt::Display for Line {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (word, why) = match &self.outcome {
            Outcome::Passed => ("ok", None),
            Outcome::Failed { why } => ("FAILED", Some(why.clone())),
            Outcome::KnownGap { why, reason } => ("gap", Some(format!("{reason} ({why})"))),
            Outcome::GapClosed { reason } => (
                "CLOSED",
                Some(format!("passes now: take it out of the list of gaps ({reason})")),
            ),
            Outcome::Skipped { why } => ("skipped", Some(why.clone())),
        };
        write!(
            f,
            "{word:<8}{:<34} {:<12} {:>6} ms  {}",
            self.requirement, self.clause, self.millis, self.sentence
        )?;
        match why {
            Some(why) => write!(f, "\n        {}", why.replace('\n', "\n        ")),
            None => Ok(()),
        }
    }
}

/// Says `line` to whoever runs the suite.
pub fn say(line: impl fmt::Display) {
    // A closed terminal must not turn a finished measurement into a panic.
    let _ = writeln!(io::stdout().lock(), "{line}");
}

#[cfg(test)]
mod tests {
    use super::*;

    static REQUIREMENT: Requirement = Requirement {
        id: "a.b",
        clause: "wire 1",
        sentence: "does",
    };

    fn outcome(finding: Finding, gaps: &str) -> Outcome {
        let gaps = Gaps::parse(gaps).unwrap();
        Report::new("x")
            .add(&REQUIREMENT, finding, Duration::ZERO, &gaps)
            .outcome
            .clone()
    }

    #[test]
    fn a_known_gap_that_passes_fails_the_run() {
        assert!(outcome(Finding::Passed, "\"a.b\" = \"later\"").is_bad());
        assert!(!outcome(Finding::Passed, "").is_bad());
    }

    #[test]
    fn a_known_gap_that_fails_does_not_fail_the_run_and_any_other_failure_does() {
        let failed = || Finding::Failed(anyhow::anyhow!("no"));
        assert!(!outcome(failed(), "\"a.b\" = \"later\"").is_bad());
        assert!(outcome(failed(), "\"a.c\" = \"later\"").is_bad());
    }

    #[test]
    fn a_gap_that_names_no_requirement_is_found() {
        let gaps = Gaps::parse("\"a.c\" = \"later\"").unwrap();
        assert_eq!(gaps.unknown(&[&REQUIREMENT]).collect::<Vec<_>>(), ["a.c"]);
    }
}
