//! `kontor log …`: what auditors and operators ask the message log. Each command is a file; `access` is how all of them reach
//! the log, and `progress` how they say how far they are.

mod access;
mod auditor;
mod check;
mod archive;
mod export;
mod filter;
mod package;
mod hold;
mod progress;
mod prove;
mod purge;
mod quarantine;
mod reconcile;
mod renew;
mod search;
mod show;
mod witness;

use std::process::ExitCode;

use clap::Subcommand;

/// Commands on the message log.
#[derive(Subcommand)]
pub(super) enum Command {
    /// Read every file of the log and say what is wrong with it
    #[command(long_about = check::LONG_ABOUT)]
    Check(check::Check),
    /// Let auditors look over the administration listener, for a time
    #[command(subcommand, long_about = auditor::LONG_ABOUT)]
    Auditor(auditor::Auditor),
    /// Archive logged messages outside of the log, in files that X-Road's tools read
    #[command(long_about = archive::LONG_ABOUT)]
    Archive(archive::Archive),
    /// Write the evidence of logged messages as ASiC-E containers
    #[command(long_about = export::LONG_ABOUT)]
    Export(Box<export::Export>),
    /// Keep entries from deletion, end that, or list what is kept
    #[command(long_about = hold::LONG_ABOUT)]
    Hold(hold::Hold),
    /// Prove that an entry is in the log, under a checkpoint that the node and its peers signed
    #[command(long_about = prove::LONG_ABOUT)]
    Prove(prove::Prove),
    /// Put damaged files aside so that the node starts again
    #[command(long_about = quarantine::LONG_ABOUT)]
    Quarantine(quarantine::Quarantine),
    /// Delete what the retention classes say is due
    #[command(long_about = purge::LONG_ABOUT)]
    Purge(purge::Purge),
    /// Compare this log with those of a member's nodes
    #[command(long_about = reconcile::LONG_ABOUT)]
    Reconcile(reconcile::Reconcile),
    /// Renew time-stamps before they lose their force
    #[command(long_about = renew::LONG_ABOUT)]
    Renew(renew::Renew),
    /// List entries by query id, party, service, kind and time
    #[command(long_about = search::LONG_ABOUT)]
    Search(Box<search::Search>),
    /// Show one entry: what is known of it, what is there, what was deleted
    #[command(long_about = show::LONG_ABOUT)]
    Show(show::Show),
    /// Show who co-signs this log, whose logs are watched here, and what contradicts itself
    #[command(long_about = witness::LONG_ABOUT)]
    Witness(witness::Witness),
}

impl Command {
    pub(super) fn run(self) -> anyhow::Result<ExitCode> {
        match self {
            Self::Check(check) => check.run(),
            Self::Auditor(auditor) => auditor.run(),
            Self::Archive(archive) => archive.run(),
            Self::Export(export) => export.run(),
            Self::Hold(hold) => hold.run(),
            Self::Prove(prove) => prove.run(),
            Self::Purge(purge) => purge.run(),
            Self::Quarantine(quarantine) => quarantine.run(),
            Self::Reconcile(reconcile) => reconcile.run(),
            Self::Renew(renew) => renew.run(),
            Self::Search(search) => search.run(),
            Self::Show(show) => show.run(),
            Self::Witness(witness) => witness.run(),
        }
    }
}
