//! `kontor participation round`: from the question to the end.

use std::process::ExitCode;

use clap::{Args, Subcommand, ValueEnum};
use serde_json::json;

use super::lists::{round_in_words, rounds_in_words};
use super::show::{Long, Show};
use super::words::request_in_words;
use super::{Look, One};
use crate::cli::casework::show;

/// Commands on rounds.
#[derive(Subcommand)]
pub(in crate::cli) enum Round {
    /// Prepare a round of a case: what is asked, and by which profile
    #[command(long_about = "\
Prepare a round of a case: what is asked, and by which profile.

The profile says on which legal basis others are asked, for how long, and what silence means; `profiles` lists them. Nothing leaves: \
fill the round with `round ask`, then send it with `round open`. --renews names a round that is asked anew; its profile is taken.")]
    Prepare(Prepare),
    /// Prepare a request in a round: whom, how long, and what is shown
    #[command(long_about = "\
Prepare a request in a round: whom, how long, and what is shown.

Exactly one is asked: --to a member with a node, --guest with --address somebody who has none, or --unit a unit of the own house. What \
is shown is chosen by the list of a recipient class, by the house's template, or by hand with --part and --file; `parts CASE` lists \
places and files. What the profile leaves open (period, effect of silence, extension) is said here, and nothing is guessed.

Where silence has an effect, or the content is special, a person with the role releaser has to release it first: \
`request do ID approve`.")]
    Ask(Box<Ask>),
    /// Show a round with its requests
    Show(One),
    /// List the rounds of a case
    List(One),
    /// Send the requests of a round
    Open(One),
    /// Take no newer versions of statements
    Close(One),
    /// Begin to weigh statements
    Evaluate(One),
    /// End a round, when everybody was told what became of it
    Conclude(One),
    /// Let the clocks of all its requests stand still
    Suspend(One),
    /// Let them go on
    Resume(One),
    /// Give a round up; what was shown is taken back
    Cancel(Cancel),
}

#[derive(Args)]
pub(in crate::cli) struct Prepare {
    /// Id of the case
    case: String,
    /// Code of the profile, such as LBO_STATEMENT
    #[arg(long, required_unless_present = "renews")]
    profile: Option<String>,
    /// What is asked
    #[arg(long)]
    question: String,
    /// Role and unit to write to
    #[arg(long)]
    contact: String,
    /// The only topics that statements are wanted on
    #[arg(long, value_name = "TEXT")]
    topic: Vec<String>,
    /// The round that is asked anew
    #[arg(long, value_name = "ROUND", conflicts_with = "profile")]
    renews: Option<String>,
    #[command(flatten)]
    look: Look,
}

#[derive(Args)]
#[command(group = clap::ArgGroup::new("whom").required(true).args(["to", "guest", "unit"]))]
pub(in crate::cli) struct Ask {
    /// Id of the round
    round: String,
    /// A member with a node, INSTANCE/CLASS/CODE
    #[arg(long, value_name = "MEMBER")]
    to: Option<String>,
    /// A guest, by name: somebody without a node
    #[arg(long, value_name = "NAME", requires = "address")]
    guest: Option<String>,
    /// Where the guest is written to
    #[arg(long, requires = "guest")]
    address: Option<String>,
    /// A unit of the own house
    #[arg(long)]
    unit: Option<String>,
    /// What it is
    #[arg(long, value_enum, ignore_case = true)]
    class: Class,
    #[command(flatten)]
    long: Long,
    /// What silence means, where the profile leaves it open
    #[arg(long, value_enum, ignore_case = true)]
    effect: Option<Effect>,
    /// Whether more time can be had, where the profile leaves it open: free, for_reason, none
    #[arg(long, value_parser = ["free", "for_reason", "none"])]
    extension: Option<String>,
    /// The day with whose end the period begins, if that is later than the delivery
    #[arg(long, value_name = "DAY")]
    runs_from: Option<jiff::civil::Date>,
    #[command(flatten)]
    shown: Show,
    /// The content has data of special categories (Art. 9 GDPR)
    #[arg(long)]
    special_categories: bool,
    /// The content has business secrets (§ 30 VwVfG)
    #[arg(long)]
    business_secrets: bool,
    /// The request that this one replaces, because it was declined or did not arrive
    #[arg(long, value_name = "REQUEST")]
    replaces: Option<String>,
    #[command(flatten)]
    look: Look,
}

/// What somebody who is asked is.
#[derive(Clone, Copy, ValueEnum)]
enum Class {
    /// A recognised association
    #[value(name = "ASSOCIATION")]
    Association,
    /// An authority
    #[value(name = "AUTHORITY")]
    Authority,
    /// A chamber
    #[value(name = "CHAMBER")]
    Chamber,
    /// A unit that only contributes within the house
    #[value(name = "INTERNAL")]
    Internal,
    /// A municipality
    #[value(name = "MUNICIPALITY")]
    Municipality,
    /// Another body whose public interests are affected
    #[value(name = "PUBLIC_BODY")]
    PublicBody,
}

/// What silence means.
#[derive(Clone, Copy, ValueEnum)]
enum Effect {
    /// Nothing
    #[value(name = "NONE")]
    Nothing,
    /// A late statement may be disregarded
    #[value(name = "MAY_BE_DISREGARDED")]
    MayBeDisregarded,
    /// It may be assumed that there are no objections
    #[value(name = "ASSUME_NO_OBJECTION")]
    AssumeNoObjection,
    /// Consent is deemed given
    #[value(name = "CONSENT_DEEMED_GIVEN")]
    ConsentDeemedGiven,
}

/// The name that the interface has for a value.
fn name(value: impl ValueEnum) -> Option<String> {
    Some(value.to_possible_value()?.get_name().to_owned())
}

#[derive(Args)]
pub(in crate::cli) struct Cancel {
    /// Its id
    id: String,
    /// Why
    #[arg(long, value_parser = ["APPLICATION_WITHDRAWN", "COMPETENCE_CHANGED", "STARTED_ANEW", "OTHER"])]
    reason: String,
    #[command(flatten)]
    look: Look,
}

impl Round {
    pub(in crate::cli) fn run(self) -> anyhow::Result<ExitCode> {
        match self {
            Self::Prepare(it) => it.run(),
            Self::Ask(it) => it.run(),
            Self::Show(one) => {
                let words = |page: &_| round_in_words(page, one.look.language);
                one.look.page(&format!("/api/v1/rounds/{}", one.id), words)
            }
            Self::List(one) => {
                let words = |page: &_| rounds_in_words(page, one.look.language);
                one.look.page(&format!("/api/v1/cases/{}/rounds", one.id), words)
            }
            Self::Open(one) => one.command("open"),
            Self::Close(one) => one.command("close"),
            Self::Evaluate(one) => one.command("evaluate"),
            Self::Conclude(one) => one.command("conclude"),
            Self::Suspend(one) => one.command("suspend"),
            Self::Resume(one) => one.command("resume"),
            Self::Cancel(it) => command(&it.look, &it.id, "cancel", &json!({ "reason": it.reason })),
        }
    }
}

impl One {
    fn command(&self, name: &str) -> anyhow::Result<ExitCode> {
        command(&self.look, &self.id, name, &json!({}))
    }
}

fn command(look: &Look, id: &str, name: &str, body: &serde_json::Value) -> anyhow::Result<ExitCode> {
    let subject = format!("/api/v1/rounds/{id}");
    let path = format!("{subject}/commands/{name}");
    let page = crate::cli::block_on(async { look.desk.command(&subject, &path, body).await })?;
    show(&page, look.json, |page| round_in_words(page, look.language))
}

impl Prepare {
    fn run(&self) -> anyhow::Result<ExitCode> {
        let subject = format!("/api/v1/cases/{}", self.case);
        let wish = json!({
            "profile": self.profile, "question": self.question, "contact": self.contact, "topics": self.topic,
            "renews": self.renews,
        });
        let path = format!("{subject}/rounds");
        let page = crate::cli::block_on(async { self.look.desk.command(&subject, &path, &wish).await })?;
        show(&page, self.look.json, |page| {
            round_in_words(page, self.look.language)
        })
    }
}

impl Ask {
    fn run(&self) -> anyhow::Result<ExitCode> {
        let subject = format!("/api/v1/rounds/{}", self.round);
        let guest = self
            .guest
            .as_ref()
            .zip(self.address.as_ref())
            .map(|(name, address)| json!({ "name": name, "address": address }));
        let wish = json!({
            "to": self.to, "guest": guest, "unit": self.unit, "class": name(self.class), "rule": self.long.rule(),
            "effect": self.effect.and_then(name), "extension": self.extension, "runs_from": self.runs_from,
            "disclosure": self.shown.wish()?, "special_categories": self.special_categories,
            "business_secrets": self.business_secrets, "replaces": self.replaces,
        });
        let path = format!("{subject}/requests");
        let page = crate::cli::block_on(async { self.look.desk.command(&subject, &path, &wish).await })?;
        show(&page, self.look.json, |page| {
            request_in_words(page, self.look.language)
        })
    }
}
