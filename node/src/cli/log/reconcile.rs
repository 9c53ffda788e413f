//! `kontor log reconcile`: whether this log and that of a peer tell the same.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Args;
use kontor_protocol::id::MemberId;

use super::super::print;
use super::access::Access;
use super::progress::Progress;
use crate::config::NodeConfig;
use crate::witness::reconcile::Reconciled;

pub(super) const LONG_ABOUT: &str = "\
Compare this log with those of a member's nodes and name what one side lacks or has otherwise.

The running node asks each node of the member for its account of the messages exchanged with this member, over the service \
`ledger`; every line of it is proven against the checkpoint that the peer signed. Messages are matched by request id and \
compared by the digests of message and body. The peer also proves that its log goes on from the checkpoint that this node \
keeps of it, so that entries that were changed or cut off are noticed even where no message tells. Ends with exit code 1 if there is a discrepancy.";

/// Arguments of `kontor log reconcile`.
#[derive(Args)]
pub(in crate::cli) struct Reconcile {
    /// Configuration file of the node (TOML)
    #[arg(long, value_name = "FILE")]
    config: PathBuf,
    /// The member whose nodes are asked: INSTANCE/CLASS/CODE
    #[arg(long, value_name = "ID")]
    member: MemberId,
    /// Print one JSON object for each node
    #[arg(long)]
    json: bool,
}

impl Reconcile {
    pub(super) fn run(self) -> anyhow::Result<ExitCode> {
        let config = NodeConfig::read(&self.config)?;
        let mut progress = Progress::new();
        let mut show = |read, of| progress.show(read, of);
        let reports = Access::to(&config)?.ask(|control| control.reconcile(&self.member, &mut show))?;
        progress.end();
        let mut is_alike = true;
        for report in reports {
            let report: Reconciled = serde_json::from_slice(&report)?;
            is_alike &= report.discrepancies.is_empty();
            if self.json {
                print(&format!("{}\n", serde_json::to_string(&report)?))?;
            } else {
                print(&page(&report))?;
            }
        }
        Ok(if is_alike {
            ExitCode::SUCCESS
        } else {
            ExitCode::FAILURE
        })
    }
}

fn page(report: &Reconciled) -> String {
    let mut page = format!(
        "{}: {} messages are the same on both sides\n",
        report.server, report.alike
    );
    if report.deleted_here + report.deleted_there > 0 {
        page += &format!(
            "  {} here and {} there cannot be compared: their ids or digests are deleted\n",
            report.deleted_here, report.deleted_there
        );
    }
    if report.failed > 0 {
        page += &format!(
            "  {} requests ended with a fault here and are not there\n",
            report.failed
        );
    }
    for found in &report.discrepancies {
        if found.message == "log" {
            page += &format!("  {}: {}\n", found.code, found.text);
            continue;
        }
        let entry =
            |number: Option<u64>| number.map_or_else(|| "none".to_owned(), |number| number.to_string());
        page += &format!(
            "  {}: {} {} (entry here {}, there {}): {}\n",
            found.code,
            found.message,
            found.request_id.escape_debug(),
            entry(found.here),
            entry(found.there),
            found.text
        );
    }
    if report.discrepancies.is_empty() {
        page += "  no discrepancy\n";
    }
    page
}
