//! `kontor case` and `kontor transfer`: cases and transfers of a running node from the command line, over the same interface that
//! line-of-business systems use.

mod webhook;
mod words;

use std::fmt::Write as _;
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Context;
use base64::Engine as _;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use clap::{Args, Subcommand, ValueEnum};
use http::Method;
use kontor_participation::transfer::contract::contract;
use kontor_pki::crypto::{random, sha256};
use serde_json::{Value, json};

use self::webhook::WebhookSecret;
use self::words::{case_in_words, transfer_in_words};
pub(super) use self::words::{query_ids, said};
use crate::desk::Desk;

/// Commands on cases.
#[derive(Subcommand)]
pub(super) enum Case {
    /// Make a key for a person or a system, and the lines of the configuration that let it in
    #[command(long_about = "\
Make a key for a person or a system, and the lines of the configuration that let it in.

The key is written to a file of its own, which only its owner reads; the lines, with the SHA-256 of the key, go into the node's \
configuration file. Whoever has the key may do what its roles may, in its units, until it expires.")]
    Key(Key),
    /// Make a secret for a webhook, and the lines of the configuration that use it
    #[command(long_about = "\
Make a secret for a webhook, and the lines of the configuration that use it.

The secret is written to a file of its own, which only its owner reads. The receiver gets the same line, by a way that you trust: \
with it the receiver knows that a post is the node's. While one secret takes the place of another the file has a line for each.")]
    WebhookSecret(WebhookSecret),
    /// List cases: those of the key's owner, of nobody, or all that may be seen
    List(List),
    /// Show a case
    Show(One),
    /// Move a case: accept, discard, take_back, start, put_back, decide, close, reopen, mark_for_deletion, unmark, delete
    Do(Do),
    /// Show or replace what goes with a case besides form and files
    #[command(long_about = "\
Show or replace what goes with a case besides form and files: messages with the applicant, questions, decisions, payment, \
deadlines, parties, retention.

Without --put the dossier, the comments and the words of follow-ups are printed as JSON. With --put the file (JSON, - for standard \
input) takes the place of the dossier. When the case is handed over it goes with it, together with the case's numbers, official \
acts, open follow-ups, and those comments that their authors let travel.")]
    Dossier(Dossier),
    /// Suggest who is competent for a case, with the reasons
    Recipients(One),
    /// Offer a case to another authority
    Offer(Offer),
    /// Print the description of the interface for line-of-business systems (OpenAPI 3.1)
    Openapi,
}

/// Commands on transfers.
#[derive(Subcommand)]
pub(super) enum Transfer {
    /// List transfers that have not ended, or all
    List(Transfers),
    /// Show a transfer with its messages and receipts
    Show(One),
    /// Act on a transfer: accept, refuse, dispute, query, take-over; withdraw, answer, recall, reclaim, send-package
    Do(DoTransfer),
    /// Print the query ids of all messages of a transfer, for `kontor log export --query-ids`
    Messages(One),
    /// Print the text for the notice to the applicant
    Notice(One),
    /// Print the contract between nodes (OpenAPI 3.1), for whoever builds another implementation
    Contract,
}

#[derive(Args)]
pub(super) struct Key {
    /// A name for the log: of the system, or the account of the person
    #[arg(long)]
    name: String,
    /// Whether it is a person's or a system's
    #[arg(long, value_enum)]
    holder: Holder,
    /// What may be done: intake, worker, releaser, supervisor, data_protection; coordinator, specialist
    #[arg(long, value_delimiter = ',', required = true)]
    roles: Vec<String>,
    /// Organisational units; without one all of them
    #[arg(long, value_delimiter = ',')]
    units: Vec<String>,
    /// Its last day, such as 2027-12-31
    #[arg(long)]
    expires: jiff::civil::Date,
    /// File for the key
    #[arg(long, value_name = "FILE")]
    out: PathBuf,
}

#[derive(Clone, Copy, ValueEnum)]
enum Holder {
    /// One person
    Person,
    /// A system; never a second pair of eyes
    System,
}

#[derive(Args)]
pub(super) struct One {
    /// Its id
    id: String,
    #[command(flatten)]
    desk: Desk,
    /// Print as JSON
    #[arg(long)]
    json: bool,
}

#[derive(Args)]
pub(super) struct List {
    /// Which list
    #[arg(long, value_enum, default_value = "all")]
    list: Which,
    /// Only this state: NEW, ACCEPTED, IN_PROGRESS, DECIDED, CLOSED, DISCARDED, TO_DELETE
    #[arg(long)]
    status: Option<String>,
    /// Only cases with these words in number, title, name or reference
    #[arg(long)]
    search: Option<String>,
    /// Also what another authority is responsible for, or was deleted
    #[arg(long)]
    everything: bool,
    #[command(flatten)]
    desk: Desk,
    /// Print as JSON
    #[arg(long)]
    json: bool,
}

#[derive(Clone, Copy, ValueEnum)]
enum Which {
    /// Those of the key's owner
    Mine,
    /// All that may be seen
    All,
    /// Those of nobody
    Unassigned,
}

#[derive(Args)]
pub(super) struct Do {
    /// Id of the case
    id: String,
    /// The command
    command: String,
    #[command(flatten)]
    desk: Desk,
    /// Print the case as JSON
    #[arg(long)]
    json: bool,
}

#[derive(Args)]
pub(super) struct Dossier {
    /// Id of the case
    id: String,
    /// A file with the new dossier; - is standard input
    #[arg(long, value_name = "FILE")]
    put: Option<PathBuf>,
    #[command(flatten)]
    desk: Desk,
    /// Print as JSON; what is shown without --put is JSON always
    #[arg(long)]
    json: bool,
}

#[derive(Args)]
pub(super) struct Offer {
    /// Id of the case
    id: String,
    /// The member, INSTANCE/CLASS/CODE
    #[arg(long)]
    to: String,
    /// Why: MISDIRECTED, COMPETENCE_CHANGED, MIGRATION, DELEGATION, COPY
    #[arg(long)]
    situation: String,
    /// The transfer in which it was taken over, when it goes back to that authority
    #[arg(long, value_name = "TRANSFER")]
    returns: Option<String>,
    /// Regional key that decides, if the case has none
    #[arg(long)]
    region: Option<String>,
    /// You have seen that it has been there or was refused before
    #[arg(long)]
    confirmed: bool,
    /// Only show what would be offered: exactly what leaves before an acceptance, as JSON
    #[arg(long)]
    preview: bool,
    #[command(flatten)]
    desk: Desk,
    /// Print the transfer as JSON
    #[arg(long)]
    json: bool,
}

#[derive(Args)]
pub(super) struct Transfers {
    /// Also those that have ended
    #[arg(long)]
    all: bool,
    #[command(flatten)]
    desk: Desk,
    /// Print as JSON
    #[arg(long)]
    json: bool,
}

#[derive(Args)]
pub(super) struct DoTransfer {
    /// Id of the transfer
    id: String,
    /// The command
    command: String,
    /// Why it is refused, such as NOT_COMPETENT_PLACE
    #[arg(long)]
    reason: Option<String>,
    /// Why it is called back: WRONG_RECIPIENT, WRONG_APPLICATION, MUST_NOT_LEAVE
    #[arg(long)]
    recall_reason: Option<String>,
    /// The member that may be competent instead
    #[arg(long)]
    suggestion: Option<String>,
    /// What is asked: WHY_US, WHICH_PLACE, WHICH_SERVICE, WHAT_WAS_DONE, OTHER
    #[arg(long)]
    question: Option<String>,
    /// What is answered: YES, NO, UNKNOWN, IN_WORDS
    #[arg(long)]
    answer: Option<String>,
    /// In words that tell nothing of the applicant, which you confirm by giving them here
    #[arg(long)]
    words: Option<String>,
    /// Whether what was called back is deleted
    #[arg(long)]
    purged: Option<bool>,
    #[command(flatten)]
    desk: Desk,
    /// Print the transfer as JSON
    #[arg(long)]
    json: bool,
}

/// A document, with a line for each member.
pub(super) fn document(text: &str) -> anyhow::Result<ExitCode> {
    let page: Value = serde_json::from_str(text)?;
    super::print(&format!("{page:#}\n"))
}

impl Case {
    pub(super) fn run(self) -> anyhow::Result<ExitCode> {
        match self {
            Self::Key(key) => key.make(),
            Self::WebhookSecret(secret) => secret.make(),
            Self::Openapi => document(&crate::casework::api::openapi().to_string()),
            Self::List(list) => list.run(),
            Self::Show(one) => one.print(|id| format!("/api/v1/cases/{id}"), case_in_words),
            Self::Do(it) => {
                let subject = format!("/api/v1/cases/{}", it.id);
                let path = format!("{subject}/commands/{}", it.command);
                let page = super::block_on(async { it.desk.command(&subject, &path, &Value::Null).await })?;
                show(&page, it.json, case_in_words)
            }
            Self::Dossier(it) => {
                let subject = format!("/api/v1/cases/{}", it.id);
                let path = format!("{subject}/dossier");
                let Some(file) = it.put else {
                    let page = super::block_on(async { it.desk.get(&path).await })?;
                    return document(&page.to_string());
                };
                let text = match file.as_os_str() == "-" {
                    true => std::io::read_to_string(std::io::stdin()).context("standard input")?,
                    false => std::fs::read_to_string(&file)
                        .with_context(|| format!("{} cannot be read", file.display()))?,
                };
                let dossier: Value = serde_json::from_str(&text).context("the dossier is no JSON")?;
                let page = super::block_on(async {
                    let now = it.desk.get(&subject).await?;
                    it.desk
                        .ask(Method::PUT, &path, now["version"].as_u64(), &dossier)
                        .await
                })?;
                show(&page, it.json, case_in_words)
            }
            Self::Recipients(one) => one.print(
                |id| format!("/api/v1/cases/{id}/recipients"),
                |page| {
                    let mut text = String::new();
                    for found in page["suggestions"].as_array().into_iter().flatten() {
                        let node = if found["with_node"] == true {
                            "has a node"
                        } else {
                            "has no node"
                        };
                        let _ = writeln!(
                            text,
                            "{} ({}), {node}\n  {}",
                            said(found, "name"),
                            said(found, "member"),
                            said(found, "reason")
                        );
                    }
                    match text.is_empty() {
                        true => "Nobody is known to be competent.\n".into(),
                        false => text + "These are suggestions: a person confirms.\n",
                    }
                },
            ),
            Self::Offer(it) => {
                let subject = format!("/api/v1/cases/{}", it.id);
                let wish = json!({ "to": it.to, "situation": it.situation, "region": it.region, "confirmed": it.confirmed, "returns": it.returns });
                let path = match it.preview {
                    true => format!("{subject}/preview"),
                    false => format!("{subject}/transfers"),
                };
                let page = super::block_on(async { it.desk.command(&subject, &path, &wish).await })?;
                match it.preview {
                    true => document(&page["offer"].to_string()),
                    false => show(&page, it.json, transfer_in_words),
                }
            }
        }
    }
}

impl Transfer {
    pub(super) fn run(self) -> anyhow::Result<ExitCode> {
        match self {
            Self::List(list) => {
                let path = format!("/api/v1/transfers?limit=500&all={}", list.all);
                let page = super::block_on(async { list.desk.get(&path).await })?;
                show(&page, list.json, |page| {
                    let mut text = String::new();
                    for row in page["transfers"].as_array().into_iter().flatten() {
                        let _ = writeln!(
                            text,
                            "{}  {:<9} {:<16} {:<8} {}",
                            said(row, "id"),
                            said(row, "short"),
                            said(row, "state"),
                            said(row, "party"),
                            said(row, "peer")
                        );
                    }
                    text
                })
            }
            Self::Show(one) => one.print(|id| format!("/api/v1/transfers/{id}"), transfer_in_words),
            Self::Do(it) => {
                let subject = format!("/api/v1/transfers/{}", it.id);
                let words = it
                    .words
                    .map(|text| json!({ "text": text, "free_of_personal_data": true }));
                let body = json!({
                    "reason": it.reason, "recall_reason": it.recall_reason, "suggestion": it.suggestion,
                    "question": it.question, "answer": it.answer, "words": words, "purged": it.purged,
                });
                let path = format!("{subject}/commands/{}", it.command);
                let page = super::block_on(async { it.desk.command(&subject, &path, &body).await })?;
                show(&page, it.json, transfer_in_words)
            }
            Self::Contract => document(contract()),
            Self::Messages(one) => one.print(|id| format!("/api/v1/transfers/{id}"), query_ids),
            Self::Notice(one) => one.print(
                |id| format!("/api/v1/transfers/{id}/notice"),
                |page| format!("{}\n", said(page, "text")),
            ),
        }
    }
}

impl One {
    fn print(
        &self,
        path: impl Fn(&str) -> String,
        words: impl Fn(&Value) -> String,
    ) -> anyhow::Result<ExitCode> {
        let page = super::block_on(async { self.desk.get(&path(&self.id)).await })?;
        show(&page, self.json, words)
    }
}

impl List {
    fn run(self) -> anyhow::Result<ExitCode> {
        let list = match self.list {
            Which::Mine => "mine",
            Which::All => "all",
            Which::Unassigned => "unassigned",
        };
        let mut path = format!(
            "/api/v1/cases?list={list}&limit=500&everything={}",
            self.everything
        );
        for (name, value) in [("status", &self.status), ("q", &self.search)] {
            if let Some(value) = value {
                let encoded: String = value.bytes().map(|byte| format!("%{byte:02X}")).collect();
                let _ = write!(path, "&{name}={encoded}");
            }
        }
        let page = super::block_on(async { self.desk.get(&path).await })?;
        show(&page, self.json, |page| {
            let mut text = String::new();
            for case in page["cases"].as_array().into_iter().flatten() {
                let _ = writeln!(
                    text,
                    "{}  {:<10} {:<12} {:<14} {}",
                    said(case, "id"),
                    said(case, "number"),
                    said(case, "status"),
                    said(case, "responsibility"),
                    said(case, "title")
                );
            }
            let counts = page["counts"].as_object().cloned().unwrap_or_default();
            let counts: Vec<String> = counts
                .iter()
                .map(|(status, count)| format!("{status} {count}"))
                .collect();
            let _ = writeln!(
                text,
                "{}; follow-ups due: {}",
                counts.join(", "),
                page["follow_ups_due"]
            );
            text
        })
    }
}

impl Key {
    fn make(self) -> anyhow::Result<ExitCode> {
        let key = BASE64_URL_SAFE_NO_PAD.encode(random::<32>());
        write_key(&self.out, &key)?;
        let list = |all: &[String]| {
            all.iter()
                .map(|one| format!("{one:?}"))
                .collect::<Vec<_>>()
                .join(", ")
        };
        let holder = match self.holder {
            Holder::Person => "person",
            Holder::System => "system",
        };
        super::print(&format!(
            "[[casework.key]]\nname = {:?}\nholder = \"{holder}\"\nsha256 = \"{}\"\nroles = [{}]\nunits = [{}]\nexpires = \"{}\"\n",
            self.name,
            digest(&key),
            list(&self.roles),
            list(&self.units),
            self.expires
        ))
    }
}

/// Writes a key for its owner alone; one that is there stays.
pub(super) fn write_key(path: &std::path::Path, key: &str) -> anyhow::Result<()> {
    use std::io::Write as _;
    use std::os::unix::fs::OpenOptionsExt as _;
    let mut file = std::fs::OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(path)
        .with_context(|| format!("{} cannot be made", path.display()))?;
    Ok(writeln!(file, "{key}")?)
}

fn digest(key: &str) -> String {
    sha256(key.as_bytes())
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect()
}

/// Prints an answer as it came, or in words.
pub(super) fn show(
    page: &Value,
    as_json: bool,
    words: impl Fn(&Value) -> String,
) -> anyhow::Result<ExitCode> {
    match as_json {
        true => super::print(&format!("{page}\n")),
        false => super::print_words(&words(page)),
    }
}
