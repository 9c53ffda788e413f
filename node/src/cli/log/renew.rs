//! `kontor log renew`: time-stamps, before what they rest on ends.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Args;

use super::super::print;
use super::access::Access;
use super::progress::Progress;
use crate::config::NodeConfig;
use crate::messagelog::{RenewalOrder, RenewalReport};

pub(super) const LONG_ABOUT: &str = "\
Renew time-stamps before they lose their force.

A time-stamp proves something only as long as the certificate of its authority lasts and its algorithms are sound. Before that \
ends, all time-stamps that are due go into one hash tree, and one new time-stamp is had over all of it (RFC 4998). It is kept \
in the log in entries of the kind renewal. Later that one is renewed too, and so on for as long as the log is to prove \
something. `kontor log export --evidence-record` gives the whole chain of a message, `kontor verify` checks it.

Due is what ends within renew_before_days of [timestamping], by its certificate or by the dates of [timestamping.ends]. A \
running node renews by itself, every hour; this command does it now. A new token is taken only if it lasts longer than what \
it renews: have the new certificate of the authority approved in good time. What was renewed too late is told as such by \
everybody who checks it.

--all renews everything, due or not. --digest DIGEST makes all hash trees anew by another digest, before the old one grows weak: \
that needs the content of the messages, so those whose content was deleted are named and keep the record that they have.

Try it with --dry-run first.";

/// Arguments of `kontor log renew`.
#[derive(Args)]
pub(in crate::cli) struct Renew {
    /// Configuration file of the node (TOML)
    #[arg(long, value_name = "FILE")]
    config: PathBuf,
    /// Renew everything, due or not
    #[arg(long)]
    all: bool,
    /// Make hash trees anew by this digest: sha256, sha384 or sha512
    #[arg(long, value_name = "DIGEST")]
    digest: Option<String>,
    /// Why; stands in the entries of the renewal
    #[arg(long, value_name = "TEXT", default_value = "asked for by the operator")]
    ground: String,
    /// Say what would be renewed and do nothing
    #[arg(long)]
    dry_run: bool,
    /// Print what was renewed as JSON
    #[arg(long)]
    json: bool,
}

impl Renew {
    pub(super) fn run(self) -> anyhow::Result<ExitCode> {
        let config = NodeConfig::read(&self.config)?;
        let order = RenewalOrder {
            all: self.all,
            digest: self.digest,
            dry_run: self.dry_run,
            ground: self.ground,
        };
        let mut progress = Progress::new();
        let report = Access::to(&config)?
            .ask(|control| control.renew(order, &mut |read, of| progress.show(read, of)))?;
        progress.end();
        if self.json {
            print(&format!("{}\n", serde_json::to_string(&report)?))?;
        } else {
            print(&in_words(&report, self.dry_run))?;
        }
        Ok(ExitCode::SUCCESS)
    }
}

fn in_words(report: &RenewalReport, dry_run: bool) -> String {
    let mut text = String::new();
    let due = report.stamps + report.renewals + report.trees;
    match (due, dry_run) {
        (0, _) => text += "nothing is due\n",
        (_, true) => {
            text += &format!(
                "would be renewed: {} time-stamps of messages, {} renewals, {} hash trees\n",
                report.stamps, report.renewals, report.trees
            );
        }
        (_, false) => {
            for token in &report.tokens {
                let kept = match token.first == token.last {
                    true => format!("entry {}", token.first),
                    false => format!("entries {} to {}", token.first, token.last),
                };
                text += &format!(
                    "one time-stamp of {} by {} over {} leaves ({}), good until {}; {kept}\n",
                    token.at, token.authority, token.leaves, token.digest, token.ends,
                );
            }
            text += &format!(
                "{} messages have a new archive time-stamp of their own\n",
                report.messages
            );
        }
    }
    if report.late > 0 {
        text += &format!(
            "{} of these time-stamps had ended before: what they proved ends there, and a check says so\n",
            report.late
        );
    }
    if report.not_renewable > 0 {
        text += &format!(
            "{} messages cannot be renewed by this digest, because content of theirs is deleted or was not kept: entries {}\n",
            report.not_renewable, report.not_renewable_numbers
        );
    }
    text += &match &report.next_end {
        Some(end) => format!("the first time-stamp ends at {end}\n"),
        None => "the log has no time-stamps\n".to_owned(),
    };
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::messagelog::RenewedToken;

    #[test]
    fn a_renewal_says_what_it_is_over_what_was_late_and_what_was_left() {
        let report = RenewalReport {
            stamps: 3,
            renewals: 1,
            trees: 0,
            late: 1,
            tokens: vec![RenewedToken {
                at: "2035-01-31T12:00:00Z".into(),
                authority: "CN=TSA".into(),
                ends: "2040-01-31T12:00:00Z".into(),
                digest: "SHA-512".into(),
                leaves: 21,
                entries: 2,
                first: 70,
                last: 71,
            }],
            messages: 20,
            not_renewable: 2,
            not_renewable_numbers: "4,9".into(),
            next_end: Some("2040-01-31T12:00:00Z".into()),
        };
        assert_eq!(
            in_words(&report, false),
            "one time-stamp of 2035-01-31T12:00:00Z by CN=TSA over 21 leaves (SHA-512), good until 2040-01-31T12:00:00Z; \
             entries 70 to 71\n20 messages have a new archive time-stamp of their own\n\
             1 of these time-stamps had ended before: what they proved ends there, and a check says so\n\
             2 messages cannot be renewed by this digest, because content of theirs is deleted or was not kept: entries 4,9\n\
             the first time-stamp ends at 2040-01-31T12:00:00Z\n"
        );
        assert!(in_words(&report, true).starts_with("would be renewed: 3 time-stamps"));
        let nothing = in_words(&RenewalReport::default(), false);
        assert_eq!(nothing, "nothing is due\nthe log has no time-stamps\n");
    }
}
