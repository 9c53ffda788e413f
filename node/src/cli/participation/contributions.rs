//! `kontor participation contribution`: what a house does that is asked.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::Context;
use clap::{Args, Subcommand};
use http::Method;
use serde_json::{Value, json};

use super::lists::{files_in_words, percent};
use super::requests::{fetch, parked};
use super::show::free_words;
use super::words::request_in_words;
use super::{Look, One};
use crate::cli::casework::show;
use crate::desk::{Desk, multipart};

/// Commands on what this house is asked.
#[derive(Subcommand)]
pub(in crate::cli) enum Contribution {
    /// Show what is asked, until when, what silence means, what is shown, and the draft
    Show(One),
    /// Act on it; --help lists the commands and what each wants
    #[command(long_about = "\
Act on what this house is asked.

  acknowledge     we are competent: --reference, --contact; role coordinator
  decline         we are not: --reason, --suggestion, --words; role coordinator
  assign          give it to somebody of the house: --unit, --assignee (a pseudonym, which `me` shows); role coordinator
  prepare         tell that it is worked on
  ask             ask back: --text
  ask-for-time    --until, --extension-reason; role coordinator
  release         release the draft as it is
  submit          send what was released; role coordinator
  withdraw        take a statement back: --withdraw-reason; role coordinator
  retry, void     a message that could not be settled: send it again, or give it up

The statement itself is written with `contribution draft`.")]
    Do(Box<Do>),
    /// Put the draft of the statement; what was released before is not any more
    #[command(long_about = "\
Put the draft of the statement; what was released before is not any more.

Kinds: STATEMENT, NO_OBJECTION, NOT_AFFECTED, CONSENT, CONSENT_WITH_CONDITIONS, REFUSAL, DOCUMENTS_MISSING, NOT_COMPETENT. \
Points are numbered in their order. --put takes the whole draft from a file instead; its form is the body of `draftStatement` in \
`kontor case openapi`.

  kontor participation contribution draft ID --kind NO_OBJECTION --author 'Trade department'
  kontor participation contribution draft ID --kind CONSENT_WITH_CONDITIONS --author 'Trade department' \\
    --point 'Noise=On working days only.' --condition '1=From 7 to 20 h'")]
    Draft(Box<Draft>),
    /// Add files that may go with the statement; prints their ids, for `contribution draft --attachment`
    Attach(Attach),
    /// Write a file that is shown to this house to disk; each look is recorded
    File(File),
}

#[derive(Args)]
pub(in crate::cli) struct Do {
    /// Id of the request
    id: String,
    /// The command
    command: String,
    /// ask: what is asked
    #[arg(long)]
    text: Option<String>,
    /// acknowledge: the own reference
    #[arg(long)]
    reference: Option<String>,
    /// acknowledge: role and unit to write to, no names
    #[arg(long)]
    contact: Option<String>,
    /// decline: NOT_COMPETENT, CONFLICT_OF_INTEREST, LEGAL_GROUND, OTHER
    #[arg(long)]
    reason: Option<String>,
    /// decline: a member that may be competent instead
    #[arg(long, value_name = "MEMBER")]
    suggestion: Option<String>,
    /// decline, ask-for-time: in words that tell nothing of the applicant, which you confirm by giving them here
    #[arg(long)]
    words: Option<String>,
    /// ask-for-time: until the end of this day
    #[arg(long, value_name = "DAY")]
    until: Option<jiff::civil::Date>,
    /// ask-for-time: COMMITTEE_MEETS_LATER, DOCUMENTS_MISSING, SITE_VISIT, WORKLOAD, OTHER
    #[arg(long)]
    extension_reason: Option<String>,
    /// withdraw: MISTAKE, REASON_GONE, OTHER
    #[arg(long)]
    withdraw_reason: Option<String>,
    /// assign: the unit that works on it
    #[arg(long)]
    unit: Option<String>,
    /// assign: who works on it, by pseudonym
    #[arg(long)]
    assignee: Option<String>,
    #[command(flatten)]
    look: Look,
}

#[derive(Args)]
pub(in crate::cli) struct Draft {
    /// Id of the request
    id: String,
    /// What it says as a whole
    #[arg(long, required_unless_present = "put")]
    kind: Option<String>,
    /// Role and unit of who writes it, no names
    #[arg(long, required_unless_present = "put")]
    author: Option<String>,
    /// Role and unit of who releases it [default: the author]
    #[arg(long)]
    released_by: Option<String>,
    /// In words
    #[arg(long, default_value = "")]
    text: String,
    /// A point, such as 'Noise=On working days only.'
    #[arg(long, value_name = "TOPIC=TEXT")]
    point: Vec<String>,
    /// The condition of a point, such as '1=From 7 to 20 h'
    #[arg(long, value_name = "POINT=TEXT")]
    condition: Vec<String>,
    /// A file that goes with it, by its id
    #[arg(long, value_name = "ID")]
    attachment: Vec<String>,
    /// The whole draft as JSON from a file; - is standard input
    #[arg(long, value_name = "FILE", conflicts_with_all = ["kind", "author", "released_by", "text", "point", "condition", "attachment"])]
    put: Option<PathBuf>,
    #[command(flatten)]
    look: Look,
}

#[derive(Args)]
pub(in crate::cli) struct Attach {
    /// Id of the request
    id: String,
    /// Files
    #[arg(required = true)]
    files: Vec<PathBuf>,
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
    /// Take a copy to keep, where the right allows it: the authority is told of it if it takes the file back
    #[arg(long)]
    copy: bool,
    #[command(flatten)]
    desk: Desk,
}

fn subject(id: &str) -> String {
    format!("/api/v1/contributions/{id}")
}

impl Contribution {
    pub(in crate::cli) fn run(self) -> anyhow::Result<ExitCode> {
        match self {
            Self::Show(one) => {
                let words = |page: &_| request_in_words(page, one.look.language);
                one.look.page(&subject(&one.id), words)
            }
            Self::Do(it) => it.run(),
            Self::Draft(it) => it.run(),
            Self::Attach(it) => it.run(),
            Self::File(it) => {
                let path = format!("{}/files/{}?copy={}", subject(&it.id), percent(&it.file), it.copy);
                fetch(&it.desk, &path, &it.out)
            }
        }
    }
}

impl Do {
    fn run(&self) -> anyhow::Result<ExitCode> {
        let subject = subject(&self.id);
        let path = match parked(&subject, &self.command) {
            Some(path) => path,
            None => format!("{subject}/commands/{}", self.command),
        };
        let body = json!({
            "text": self.text, "reference": self.reference, "contact": free_words(self.contact.as_ref()),
            "reason": self.reason, "suggestion": self.suggestion, "words": free_words(self.words.as_ref()),
            "until": self.until, "extension_reason": self.extension_reason, "withdraw_reason": self.withdraw_reason,
            "unit": self.unit, "assignee": self.assignee,
        });
        let page = crate::cli::block_on(async { self.look.desk.command(&subject, &path, &body).await })?;
        show(&page, self.look.json, |page| {
            request_in_words(page, self.look.language)
        })
    }
}

/// Two pieces with = between them.
fn pair<'a>(name: &str, text: &'a str) -> anyhow::Result<(&'a str, &'a str)> {
    text.split_once('=')
        .map(|(left, right)| (left.trim(), right.trim()))
        .with_context(|| format!("--{name} {text}: two pieces with = between them are wanted"))
}

impl Draft {
    fn run(&self) -> anyhow::Result<ExitCode> {
        let body = self.body()?.to_string().into_bytes();
        let subject = subject(&self.id);
        let path = format!("{subject}/statement");
        let page = crate::cli::block_on(self.look.desk.change(
            Method::PUT,
            &subject,
            &path,
            "application/json",
            body,
        ))?;
        show(&page, self.look.json, |page| {
            request_in_words(page, self.look.language)
        })
    }

    fn body(&self) -> anyhow::Result<Value> {
        if let Some(file) = &self.put {
            let text = match file.as_os_str() == "-" {
                true => std::io::read_to_string(std::io::stdin()).context("standard input")?,
                false => std::fs::read_to_string(file)
                    .with_context(|| format!("{} cannot be read", file.display()))?,
            };
            return serde_json::from_str(&text).context("the draft is no JSON");
        }
        let mut points = Vec::new();
        for (place, point) in self.point.iter().enumerate() {
            let (topic, text) = pair("point", point)?;
            points.push(json!({ "number": place + 1, "topic": topic, "text": text }));
        }
        for condition in &self.condition {
            let (number, text) = pair("condition", condition)?;
            let place = number
                .parse::<usize>()
                .ok()
                .and_then(|number| number.checked_sub(1));
            let point = place.and_then(|place| points.get_mut(place));
            let point =
                point.with_context(|| format!("--condition {condition}: there is no point {number}"))?;
            point["condition"] = text.into();
        }
        Ok(json!({
            "kind": self.kind, "author": self.author, "released_by": self.released_by, "text": self.text,
            "points": points, "attachments": self.attachment,
        }))
    }
}

/// The media type that the end of a name suggests.
fn media_type(path: &Path) -> &'static str {
    let end = path.extension().and_then(|end| end.to_str()).unwrap_or_default();
    match end.to_ascii_lowercase().as_str() {
        "pdf" => "application/pdf",
        "txt" => "text/plain",
        "xml" => "application/xml",
        "json" => "application/json",
        "png" => "image/png",
        "jpg" | "jpeg" => "image/jpeg",
        _ => "application/octet-stream",
    }
}

impl Attach {
    fn run(&self) -> anyhow::Result<ExitCode> {
        let mut parts = Vec::with_capacity(self.files.len());
        for path in &self.files {
            let octets = std::fs::read(path).with_context(|| format!("{} cannot be read", path.display()))?;
            let name = path.file_name().unwrap_or(path.as_os_str());
            parts.push((
                "attachment".to_owned(),
                name.to_string_lossy().into_owned(),
                media_type(path).to_owned(),
                octets,
            ));
        }
        let (kind, body) = multipart(&parts);
        let subject = subject(&self.id);
        let path = format!("{subject}/attachments");
        let page = crate::cli::block_on(self.look.desk.change(Method::POST, &subject, &path, &kind, body))?;
        show(&page, self.look.json, files_in_words)
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser as _;

    use crate::cli::Cli;

    #[test]
    fn a_draft_from_a_file_is_the_whole_draft() {
        let is_taken = |more: &[&str]| {
            let draft = "kontor participation contribution draft ID --url https://x --key-file k --put f";
            Cli::try_parse_from(draft.split(' ').chain(more.iter().copied())).is_ok()
        };
        assert!(is_taken(&[]));
        for one in [
            "kind",
            "author",
            "released-by",
            "text",
            "point",
            "condition",
            "attachment",
        ] {
            assert!(!is_taken(&[&format!("--{one}"), "x"]), "{one}");
        }
    }
}
