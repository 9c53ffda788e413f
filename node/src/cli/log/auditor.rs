//! `kontor log auditor`: who else than the operator may look at the log.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, Subcommand, ValueEnum};
use kontor_pki::time::UnixTime;
use kontor_protocol::id::{ClientId, MemberId};

use super::super::{print, refuse};
use super::access::Access;
use super::filter::instant;
use crate::config::{AdministrationTls, NodeConfig};
use crate::messagelog::{AuditScope, AuditorOrder, NumberSet, Restriction, RestrictionText, ToldGrant};

pub(super) const LONG_ABOUT: &str = "\
Let auditors look at the log over the administration listener, list who may, and shut somebody out.

Each auditor gets a token of their own that ends; it is shown once, and only a digest of it is kept. Granting and revoking \
are entries of the log, and so is every look. The listener needs a table [administration] in the configuration.

  kontor log auditor grant --config node.toml --name 'Rechnungsprüfung' --ground 'audit 2030/7' --until 2030-03-31
  kontor log auditor list --config node.toml
  kontor log auditor revoke --config node.toml --token 1f0c22ab --ground 'audit closed'";

/// Commands about auditors.
#[derive(Subcommand)]
pub(in crate::cli) enum Auditor {
    /// Let somebody look, until an instant, and show the token
    #[command(long_about = GRANT)]
    Grant(Box<Grant>),
    /// List who may look, and who might
    List(List),
    /// Shut somebody out, at once
    Revoke(Revoke),
}

const GRANT: &str = "\
Let somebody look, until an instant, and show the token. It is shown this once.

--scope says how far the token reaches: `tree` shows checkpoints, hashes and proofs over them, from which it can be told \
whether the log is whole; `entries` shows besides who exchanged with whom and when, and query ids; `content` shows besides \
what was said, as evidence containers. Each includes the ones before it.

A matter is named by --query-id or --numbers, a party by --member or --client, a time by --from and --to; everything given \
must hold. Such a token shows single entries, and no bundles of leaves.";

/// Arguments of `kontor log auditor grant`.
#[derive(Args)]
pub(in crate::cli) struct Grant {
    /// Configuration file of the node (TOML)
    #[arg(long, value_name = "FILE")]
    config: PathBuf,
    /// Whom: an office, a role or a pseudonym; stands in the log
    #[arg(long, value_name = "NAME")]
    name: String,
    /// Why; stands in the log
    #[arg(long, value_name = "TEXT")]
    ground: String,
    /// When the token ends, such as 2026-01-31 or 2026-01-31T12:00:00Z; within 366 days
    #[arg(long, value_name = "INSTANT", value_parser = instant)]
    until: UnixTime,
    /// How far the token reaches
    #[arg(long, value_enum, default_value = "entries")]
    scope: Reach,
    /// Only messages with this query id (x-road-id) that there are now
    #[arg(long, value_name = "ID", conflicts_with = "numbers")]
    query_id: Option<String>,
    /// Only these entries, for example 3-9,12
    #[arg(long, value_name = "LIST")]
    numbers: Option<NumberSet>,
    /// Only messages of this member, whether it asked or was asked
    #[arg(long, value_name = "ID")]
    member: Option<MemberId>,
    /// Only messages of this subsystem, whether it asked or was asked
    #[arg(long, value_name = "ID")]
    client: Option<ClientId>,
    /// Only what was logged at this instant or later
    #[arg(long, value_name = "INSTANT", value_parser = instant)]
    from: Option<UnixTime>,
    /// Only what was logged before this instant
    #[arg(long, value_name = "INSTANT", value_parser = instant)]
    to: Option<UnixTime>,
    /// Print as JSON
    #[arg(long)]
    json: bool,
}

#[derive(Clone, Copy, ValueEnum)]
enum Reach {
    /// Checkpoints, hashes and proofs over them
    Tree,
    /// Also leaves, search and single entries
    Entries,
    /// Also evidence containers
    Content,
}

/// Arguments of `kontor log auditor list`.
#[derive(Args)]
pub(in crate::cli) struct List {
    /// Configuration file of the node (TOML)
    #[arg(long, value_name = "FILE")]
    config: PathBuf,
    /// Print as JSON
    #[arg(long)]
    json: bool,
}

/// Arguments of `kontor log auditor revoke`.
#[derive(Args)]
pub(in crate::cli) struct Revoke {
    /// Configuration file of the node (TOML)
    #[arg(long, value_name = "FILE")]
    config: PathBuf,
    /// Id of the token, as `list` shows it
    #[arg(long, value_name = "ID")]
    token: String,
    /// Why; stands in the log
    #[arg(long, value_name = "TEXT")]
    ground: String,
    /// Print as JSON
    #[arg(long)]
    json: bool,
}

impl Auditor {
    pub(super) fn run(self) -> anyhow::Result<ExitCode> {
        let (config, order, json) = match self {
            Self::Grant(grant) => {
                let only = Restriction {
                    member: grant.member,
                    client: grant.client,
                    from: grant.from,
                    to: grant.to,
                    numbers: grant.numbers,
                };
                let order = AuditorOrder::Grant {
                    name: grant.name,
                    ground: grant.ground,
                    scope: match grant.scope {
                        Reach::Tree => AuditScope::Tree,
                        Reach::Entries => AuditScope::Entries,
                        Reach::Content => AuditScope::Content,
                    },
                    only: RestrictionText::from(&only),
                    query_id: grant.query_id,
                    until: grant.until.secs(),
                };
                (grant.config, order, grant.json)
            }
            Self::List(list) => (list.config, AuditorOrder::List, list.json),
            Self::Revoke(revoke) => {
                let order = AuditorOrder::Revoke {
                    token: revoke.token,
                    ground: revoke.ground,
                };
                (revoke.config, order, revoke.json)
            }
        };
        let config = NodeConfig::read(&config)?;
        let is_grant = matches!(order, AuditorOrder::Grant { .. });
        if is_grant && config.administration.is_none() {
            return refuse(&anyhow::anyhow!(
                "no auditor could come in: the configuration has no table [administration]; add one, such as\n  [administration]\n  listen = \"127.0.0.1:4000\"\nand start the node again"
            ));
        }
        let grants = Access::to(&config)?.ask(|control| control.auditor(order))?;
        if json {
            return print(&format!("{}\n", serde_json::to_string(&grants)?));
        }
        if grants.is_empty() {
            return print("nobody but the operator may look\n");
        }
        for grant in &grants {
            print(&line(grant))?;
            if let Some(token) = &grant.token {
                print(&first_steps(&config, token))?;
            }
        }
        Ok(ExitCode::SUCCESS)
    }
}

fn line(grant: &ToldGrant) -> String {
    let only = match grant.only.is_none() {
        true => "every entry".into(),
        false => grant.only.in_words(),
    };
    let state = match grant.revoked_entry {
        Some(entry) => format!("{} by entry {entry}", grant.state),
        None => grant.state.clone(),
    };
    format!(
        "{}  {state}, until {}: {} ({}; {only}), {}; granted by {}, entry {}\n",
        grant.id,
        grant.until,
        grant.name,
        grant.scope.name(),
        grant.ground,
        grant.by,
        grant.entry
    )
}

/// The token, and how to use it.
fn first_steps(config: &NodeConfig, token: &str) -> String {
    let Some(administration) = &config.administration else {
        return String::new();
    };
    let address = administration.listen;
    let authority = config.data_dir.join("administration/ca.pem");
    let (scheme, trust) = match administration.tls {
        AdministrationTls::Off => ("http", String::new()),
        AdministrationTls::Configured(_) => ("https", String::new()),
        AdministrationTls::Own(_) => ("https", format!(" --cacert {}", authority.display())),
    };
    let mut text = format!("\nThe token, shown this once:\n  {token}\n");
    if !trust.is_empty() {
        text += &format!(
            "Hand it over together with {}, by which the listener is known.\n",
            authority.display()
        );
    }
    text + &format!(
        "Try it:\n  curl{trust} -H 'Authorization: Bearer {token}' {scheme}://{address}/checkpoint\n"
    )
}
