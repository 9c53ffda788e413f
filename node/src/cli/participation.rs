//! `kontor participation`: who is asked for a contribution to a case, and what a house answers that is asked; over the same interface
//! that line-of-business systems use.

mod contributions;
mod lists;
mod profiles;
mod requests;
mod rounds;
mod show;
pub(super) mod words;

use std::collections::BTreeSet;
use std::process::ExitCode;

use clap::{Args, Subcommand};
use kontor_participation::round::contract::contract;
use serde_json::Value;

use self::lists::{board_in_words, me_in_words, parts_in_words, percent};
use super::casework::{document, query_ids, show};
use super::tongue::Tongue;
use crate::desk::Desk;

pub(super) const LONG_ABOUT: &str = "\
Work on participation at a running node: ask chambers, authorities, associations, guests and own units about a case, and answer \
what the own house is asked.

A round asks one question by one profile, which says on which legal basis, for how long, and what silence means. Each body that is \
asked has a request of its own, with what is shown to it and nothing else. Whoever asks works with `round`, `requests` and `request`; \
whoever is asked with `inbox` and `contribution`.

  kontor participation profiles                          what can be asked by
  kontor participation parts CASE                        what of a case can be shown
  kontor participation round prepare CASE --profile …    then `round ask` for each body, then `round open`
  kontor participation inbox                             what the own house is asked";

/// Commands on participation.
#[derive(Subcommand)]
pub(super) enum Participation {
    /// List the profiles by which others are asked, and the recipient classes that decide what is shown
    Profiles(Look),
    /// List what of a case can be shown: places of its form, and its files
    Parts(One),
    /// Prepare, fill, open and end rounds
    #[command(subcommand)]
    Round(rounds::Round),
    /// The board: what this house asks, what ends first comes first
    Requests(Board),
    /// Show a request of this house, invite a guest to it, or act on it
    #[command(subcommand)]
    Request(requests::Request),
    /// The inbox: what this house is asked, what ends first comes first
    Inbox(Board),
    /// Show what this house is asked, act on it, and write the statement
    #[command(subcommand)]
    Contribution(contributions::Contribution),
    /// Show whose key this is, under which pseudonym and with which roles
    Me(Look),
    /// Print the query ids of all messages of a request, or of all requests of a round, for `kontor log export --query-ids`
    Messages(Messages),
    /// Print the contract between nodes (OpenAPI 3.1), for whoever builds another implementation
    Contract,
}

/// How something is shown.
#[derive(Args)]
pub(super) struct Look {
    #[command(flatten)]
    desk: Desk,
    /// Language of what is said in words
    #[arg(long, value_enum, default_value = "en")]
    language: Tongue,
    /// Print as JSON
    #[arg(long)]
    json: bool,
}

impl Look {
    /// Reads a page and shows it.
    fn page(&self, path: &str, words: impl Fn(&Value) -> String) -> anyhow::Result<ExitCode> {
        let page = super::block_on(async { self.desk.get(path).await })?;
        show(&page, self.json, words)
    }
}

#[derive(Args)]
pub(super) struct One {
    /// Its id
    id: String,
    #[command(flatten)]
    look: Look,
}

#[derive(Args)]
pub(super) struct Board {
    /// Only those of the key's owner, or of nobody
    #[arg(long, value_parser = ["mine", "all", "unassigned"], default_value = "all")]
    list: String,
    /// Only this state, such as DELIVERED or SUBMITTED
    #[arg(long)]
    state: Option<String>,
    /// Only of this round
    #[arg(long, value_name = "ROUND")]
    round: Option<String>,
    /// Only of this case
    #[arg(long, value_name = "CASE")]
    case: Option<String>,
    /// Only what somebody has to look at: a question, a wish for more time, something overdue
    #[arg(long)]
    attention: bool,
    /// Only what ends before this instant, such as 2026-12-01T00:00:00Z
    #[arg(long, value_name = "INSTANT")]
    ends_before: Option<String>,
    /// Also what has ended
    #[arg(long)]
    everything: bool,
    /// Go on behind this request, where a list says that there are more
    #[arg(long, value_name = "REQUEST")]
    after: Option<String>,
    #[command(flatten)]
    look: Look,
}

#[derive(Args)]
pub(super) struct Messages {
    /// Id of the request, or of the round
    id: String,
    #[command(flatten)]
    desk: Desk,
    /// Print as a JSON list
    #[arg(long)]
    json: bool,
}

impl Participation {
    pub(super) fn run(self) -> anyhow::Result<ExitCode> {
        match self {
            Self::Profiles(look) => {
                look.page("/api/v1/profiles", |page| profiles::in_words(page, look.language))
            }
            Self::Parts(it) => it.parts(),
            Self::Round(round) => round.run(),
            Self::Requests(board) => board.run("/api/v1/requests"),
            Self::Request(request) => request.run(),
            Self::Inbox(board) => board.run("/api/v1/contributions"),
            Self::Contribution(contribution) => contribution.run(),
            Self::Me(look) => look.page("/api/v1/me", |page| me_in_words(page, look.language)),
            Self::Messages(messages) => {
                let ids = super::block_on(messages_of(&messages.desk, &messages.id))?;
                match messages.json {
                    true => super::print(&format!("{}\n", serde_json::to_string(&ids)?)),
                    false => super::print_words(&ids.iter().map(|id| format!("{id}\n")).collect::<String>()),
                }
            }
            Self::Contract => document(contract()),
        }
    }
}

impl Board {
    fn run(&self, path: &str) -> anyhow::Result<ExitCode> {
        let mut path = format!(
            "{path}?list={}&limit=500&attention={}&everything={}",
            self.list, self.attention, self.everything
        );
        for (name, value) in [
            ("state", &self.state),
            ("round", &self.round),
            ("case", &self.case),
            ("ends_before", &self.ends_before),
            ("after", &self.after),
        ] {
            if let Some(value) = value {
                path += &format!("&{name}={}", percent(value));
            }
        }
        self.look
            .page(&path, |page| board_in_words(page, self.look.language))
    }
}

impl One {
    fn parts(&self) -> anyhow::Result<ExitCode> {
        let subject = format!("/api/v1/cases/{}", self.id);
        let page = super::block_on(async {
            let form = self.look.desk.get(&format!("{subject}/form")).await?;
            let files = self.look.desk.get(&format!("{subject}/files")).await?;
            anyhow::Ok(serde_json::json!({ "form": form, "files": files["files"] }))
        })?;
        show(&page, self.look.json, |page| {
            parts_in_words(page, self.look.language)
        })
    }
}

/// Query ids of all messages of a request, whichever side of it this house is, or of all requests of a round; each once.
pub(super) async fn messages_of(desk: &Desk, id: &str) -> anyhow::Result<Vec<String>> {
    let places = ["requests", "contributions", "rounds"].map(|of| format!("/api/v1/{of}/{id}"));
    let (place, page) = desk.first_of(&places).await?;
    let mut pages = Vec::new();
    match place {
        2 => {
            let requests = page["requests"].as_array().into_iter().flatten();
            for request in requests.filter_map(|request| request["id"].as_str()) {
                pages.push(desk.get(&format!("/api/v1/requests/{request}")).await?);
            }
        }
        _ => pages.push(page),
    }
    let (mut seen, mut ids) = (BTreeSet::new(), Vec::new());
    for id in pages.iter().map(query_ids).collect::<String>().lines() {
        if seen.insert(id.to_owned()) {
            ids.push(id.to_owned());
        }
    }
    Ok(ids)
}
