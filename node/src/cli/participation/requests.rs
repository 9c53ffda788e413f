//! `kontor participation request`: what is done with a request of this house.

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Context, bail};
use clap::{Args, Subcommand};
use serde_json::{Value, json};

use super::lists::{invitation_in_words, percent};
use super::show::{Long, Show, free_words};
use super::words::request_in_words;
use super::{Look, One};
use crate::cli::casework::show;
use crate::desk::Desk;

/// Commands on requests of this house.
#[derive(Subcommand)]
pub(in crate::cli) enum Request {
    /// Show a request with its deadline step by step, its messages and receipts
    Show(One),
    /// Act on a request; --help lists the commands and what each wants
    #[command(long_about = "\
Act on a request of this house.

  approve             release it as it is; role releaser, another person than who prepared it
  send, drop          send it in a round that is open already; give it up before it is sent
  answer              a question: --text
  decide-extension    a wish for more time: --granted with --until, --days …, or --refused; --words
  extend              give more time unasked: --until, --days …
  supplement          show more: --purpose, --legal-basis, --part, --file …; --restarts begins the period anew
  stop-clock, continue-clock   while a question is open
  state-deadline      where none can be computed: --end
  record-delivery     another proof of delivery to a guest or a unit: --delivered-at
  expire, expire-unanswered    record that the time is over; the clock does it by itself
  revoke              take it back: --reason; revoke-files takes back some of what was shown: --reason, --file
  assess              weigh the statement: --treat for each point, or one for the whole
  notify              tell what became of it: --decision
  retry, void         a message that could not be settled: send it again, or give it up")]
    Do(Box<Do>),
    /// Make link and code for a guest; those before open nothing any more
    #[command(long_about = "\
Make link and code for a guest; those before open nothing any more.

Both are shown once. Hand them over by two ways - the link by e-mail, the code by telephone or letter - so that whoever reads one has \
not both. The first opening with the code is the delivery, and the clock runs from then.")]
    Invite(Invite),
    /// Write a file that came with a statement or a question to disk
    File(File),
}

#[derive(Args)]
pub(in crate::cli) struct Do {
    /// Id of the request
    id: String,
    /// The command
    command: String,
    /// answer: what is answered
    #[arg(long)]
    text: Option<String>,
    #[command(flatten)]
    long: Long,
    /// decide-extension: more time is granted
    #[arg(long, conflicts_with = "refused")]
    granted: bool,
    /// decide-extension: it is not
    #[arg(long)]
    refused: bool,
    /// decide-extension: in words that tell nothing of the applicant, which you confirm by giving them here
    #[arg(long)]
    words: Option<String>,
    /// state-deadline: the last day
    #[arg(long, value_name = "DAY")]
    end: Option<jiff::civil::Date>,
    /// record-delivery: when it was delivered, such as 2026-10-01T09:00:00Z
    #[arg(long, value_name = "INSTANT")]
    delivered_at: Option<jiff::Timestamp>,
    /// revoke, revoke-files: MUST_NOT_LEAVE, NO_LONGER_NEEDED, REPLACED, WRONG_RECIPIENT
    #[arg(long)]
    reason: Option<String>,
    #[command(flatten)]
    shown: Show,
    /// supplement: the period begins anew
    #[arg(long)]
    restarts: bool,
    /// assess: how the whole or a point is treated, such as 5000 or 1=1000 or '1=3000:because …'. 1000 followed, 2000 already
    /// followed, 3000 not followed, 4000 dealt with in a working group, 5000 noted
    #[arg(long, value_name = "[POINT=]CODE[:TEXT]")]
    treat: Vec<String>,
    /// assess: the version of the statement that is weighed [default: the newest]
    #[arg(long, value_name = "N")]
    version: Option<u32>,
    /// assess, notify: the decision that it went into
    #[arg(long, value_name = "TEXT")]
    decision: Option<String>,
    #[command(flatten)]
    look: Look,
}

#[derive(Args)]
pub(in crate::cli) struct Invite {
    /// Id of the request
    id: String,
    /// Address under which guests reach this node, such as `https://beteiligung.example.org` [default: --url]
    #[arg(long, value_name = "URL")]
    base: Option<String>,
    #[command(flatten)]
    look: Look,
}

#[derive(Args)]
pub(in crate::cli) struct File {
    /// Id of the request
    id: String,
    /// Id of the file
    file: String,
    /// Where it goes
    #[arg(long, value_name = "FILE")]
    out: PathBuf,
    #[command(flatten)]
    desk: Desk,
}

impl Request {
    pub(in crate::cli) fn run(self) -> anyhow::Result<ExitCode> {
        match self {
            Self::Show(one) => {
                let words = |page: &_| request_in_words(page, one.look.language);
                one.look.page(&format!("/api/v1/requests/{}", one.id), words)
            }
            Self::Do(it) => it.run(),
            Self::Invite(it) => it.run(),
            Self::File(it) => {
                let path = format!("/api/v1/requests/{}/files/{}", it.id, percent(&it.file));
                fetch(&it.desk, &path, &it.out)
            }
        }
    }
}

/// Writes a file of the interface to disk; one that is there stays.
pub(super) fn fetch(desk: &Desk, path: &str, out: &std::path::Path) -> anyhow::Result<ExitCode> {
    use std::io::Write as _;
    let octets = crate::cli::block_on(desk.octets(path))?;
    let mut file = std::fs::File::create_new(out)
        .with_context(|| format!("{} cannot be made; choose another --out", out.display()))?;
    file.write_all(&octets)?;
    crate::cli::print(&format!("{}: {} octets\n", out.display(), octets.len()))
}

/// What a parked message does, if the command is about one.
pub(super) fn parked(subject: &str, command: &str) -> Option<String> {
    matches!(command, "retry" | "void").then(|| format!("{subject}/parked/{command}"))
}

impl Do {
    fn run(&self) -> anyhow::Result<ExitCode> {
        let subject = format!("/api/v1/requests/{}", self.id);
        let path = match parked(&subject, &self.command) {
            Some(path) => path,
            None => format!("{subject}/commands/{}", self.command),
        };
        let page = crate::cli::block_on(async {
            let body = self.body(&subject).await?;
            self.look.desk.command(&subject, &path, &body).await
        })?;
        show(&page, self.look.json, |page| {
            request_in_words(page, self.look.language)
        })
    }

    async fn body(&self, subject: &str) -> anyhow::Result<Value> {
        let granted = match (self.granted, self.refused) {
            (true, _) => Some(true),
            (_, true) => Some(false),
            (false, false) => None,
        };
        let files: Vec<&str> = match self.command.as_str() {
            "revoke-files" => self.shown.file.iter().map(String::as_str).collect(),
            _ => Vec::new(),
        };
        let disclosure = match self.shown.is_wanted() || self.command == "supplement" {
            true => self.shown.wish()?,
            false => Value::Null,
        };
        Ok(json!({
            "text": self.text, "rule": self.long.rule(), "granted": granted, "end": self.end,
            "delivered_at": self.delivered_at, "words": free_words(self.words.as_ref()), "disclosure": disclosure,
            "restarts": self.restarts, "files": files, "reason": self.reason,
            "assessment": self.assessment(subject).await?,
        }))
    }

    /// How a statement is treated; of the newest version, unless another one is named.
    async fn assessment(&self, subject: &str) -> anyhow::Result<Value> {
        if self.treat.is_empty() && self.decision.is_none() {
            return Ok(Value::Null);
        }
        let version = match (self.version, self.treat.is_empty()) {
            (Some(version), _) => json!(version),
            (None, true) => Value::Null,
            (None, false) => {
                let page = self.look.desk.get(subject).await?;
                json!(page["statements"].as_array().map_or(0, Vec::len))
            }
        };
        let treated: Vec<Value> = self
            .treat
            .iter()
            .map(|text| treated(text))
            .collect::<Result<_, _>>()?;
        Ok(json!({ "version": version, "treated": treated, "decision": self.decision }))
    }
}

/// One line of an assessment.
fn treated(text: &str) -> anyhow::Result<Value> {
    let wrong = || {
        format!(
            "--treat {text}: [POINT=]CODE[:TEXT] is wanted, such as 5000 or '1=1000:Becomes a condition.'"
        )
    };
    let (head, words) = text.split_once(':').unwrap_or((text, ""));
    let (point, code) = match head.split_once('=') {
        Some((point, code)) => (Some(point.trim().parse::<u32>().with_context(wrong)?), code),
        None => (None, head),
    };
    let code: u16 = code.trim().parse().with_context(wrong)?;
    if ![1000, 2000, 3000, 4000, 5000].contains(&code) {
        bail!("{}", wrong());
    }
    Ok(json!({ "point": point, "treatment": code, "text": words.trim() }))
}

impl Invite {
    fn run(&self) -> anyhow::Result<ExitCode> {
        let subject = format!("/api/v1/requests/{}", self.id);
        let path = format!("{subject}/invitation");
        let page = crate::cli::block_on(async { self.look.desk.command(&subject, &path, &json!({})).await })?;
        let base = match &self.base {
            Some(base) => base.trim_end_matches('/').to_owned(),
            None => self.look.desk.address(),
        };
        show(&page, self.look.json, |page| {
            invitation_in_words(page, &base, self.look.language)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_assessment_is_written_in_one_line_for_each_point() {
        assert_eq!(
            treated("1=3000:Nein: zu laut.").unwrap(),
            json!({ "point": 1, "treatment": 3000, "text": "Nein: zu laut." })
        );
        assert_eq!(
            treated("5000").unwrap(),
            json!({ "point": null, "treatment": 5000, "text": "" })
        );
        for wrong in ["x=1000", "1=7", "followed"] {
            assert!(treated(wrong).is_err(), "{wrong}");
        }
    }
}
