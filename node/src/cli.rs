//! The command line: what each command is for, and the exit code it ends with.
//!
//! Owns parsing and help. Everything a command does is in the rooms below; only this room and its files print.

mod authority;
mod casework;
mod health;
mod log;
mod node;
mod participation;
mod tongue;
mod tour;
mod up;
mod verify;

use std::io::{IsTerminal, Write};
use std::process::ExitCode;
use std::time::Duration;

use clap::{Parser, Subcommand};

use crate::shutdown::{self, Shutdown};

/// Wrong usage (sysexits `EX_USAGE`).
const USAGE: u8 = 64;

/// With what is built in and not everywhere.
const VERSION: &str = match (cfg!(feature = "aws-lc"), cfg!(feature = "legacy-cbc")) {
    (true, false) => concat!(env!("CARGO_PKG_VERSION"), " (cryptography: aws-lc-rs)"),
    (true, true) => concat!(
        env!("CARGO_PKG_VERSION"),
        " (cryptography: aws-lc-rs, legacy-cbc)"
    ),
    (false, false) => concat!(env!("CARGO_PKG_VERSION"), " (cryptography: ring)"),
    (false, true) => concat!(env!("CARGO_PKG_VERSION"), " (cryptography: ring, legacy-cbc)"),
};

const ABOUT: &str = "Signed, logged exchange between public bodies, compatible with X-Road 7";

const LONG_ABOUT: &str = "\
Kontor is a node of a federation of public bodies. Each body runs its own node; information systems talk only to \
their own node over HTTP, and nodes exchange their messages over mutual TLS, signed by the member that sends, and \
recorded on both sides before anything is released. The protocol is X-Road 7: a security server of X-Road can be \
the other side.";

const AFTER_HELP: &str = "\
Begin with `kontor up`: a federation of four members on this machine, with test trust, samples and the commands \
to try it. `kontor tour` plays a hand-over and a participation and explains them. `kontor help COMMAND` says more about each command.

Exit codes: 0 done, 1 failed, 64 wrong usage; `kontor verify` has its own.";

#[derive(Parser)]
#[command(
    name = "kontor",
    version = VERSION,
    about = ABOUT,
    long_about = LONG_ABOUT,
    after_help = AFTER_HELP,
    arg_required_else_help = true
)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Run the authority of a federation: global configuration, OCSP, time-stamps
    #[command(subcommand)]
    Authority(authority::Command),
    /// Work on cases of a running node: list, show, move, offer to another authority
    #[command(subcommand)]
    Case(casework::Case),
    /// Ask the message log of a node
    #[command(subcommand)]
    Log(log::Command),
    /// Run a node
    #[command(subcommand)]
    Node(node::Command),
    /// Ask chambers, authorities, guests and own units about a case, and answer what the own house is asked
    #[command(subcommand, long_about = participation::LONG_ABOUT)]
    Participation(participation::Participation),
    /// Play a hand-over and a participation and explain each step: whose turn it is, and what proves it
    #[command(long_about = tour::LONG_ABOUT)]
    Tour(tour::Tour),
    /// Work on transfers of a running node: list, show, accept, take over
    #[command(subcommand)]
    Transfer(casework::Transfer),
    /// Run a whole federation on this machine: authority, four nodes, a sample service
    #[command(long_about = up::LONG_ABOUT)]
    Up(up::Up),
    /// Check evidence containers offline: who signed what and when, and does it hold
    #[command(long_about = verify::LONG_ABOUT)]
    Verify(verify::Verify),
}

/// Runs the command of this process.
pub fn run() -> ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(refused) => {
            // Help and version are "errors" of clap's; only real ones go to standard error.
            let code = if refused.use_stderr() { USAGE } else { 0 };
            let _ = refused.print();
            return ExitCode::from(code);
        }
    };
    let ended = match cli.command {
        Command::Authority(command) => command.run(),
        Command::Case(command) => command.run(),
        Command::Log(command) => command.run(),
        Command::Node(command) => command.run(),
        Command::Participation(command) => command.run(),
        Command::Tour(tour) => tour.run(),
        Command::Transfer(command) => command.run(),
        Command::Up(up) => up.run(),
        Command::Verify(verify) => verify.run(),
    };
    match ended {
        Ok(code) => code,
        Err(error) => {
            complain(&error);
            ExitCode::FAILURE
        }
    }
}

fn complain(error: &anyhow::Error) {
    let name = if std::io::stderr().is_terminal() {
        "\u{1b}[1;31mkontor:\u{1b}[0m"
    } else {
        "kontor:"
    };
    let _ = writeln!(std::io::stderr(), "{name} {}", plain(&format!("{error:#}")));
}

/// Ends a command whose arguments name something that is not there or not of that kind.
fn refuse(error: &anyhow::Error) -> anyhow::Result<ExitCode> {
    complain(error);
    Ok(ExitCode::from(USAGE))
}

/// Something worth knowing that is no part of the answer.
fn note(text: &str) {
    let _ = writeln!(std::io::stderr(), "note: {}", plain(text));
}

/// Prints to standard output; a reader that closed it early is no mistake.
fn print(text: &str) -> anyhow::Result<ExitCode> {
    match std::io::stdout().write_all(text.as_bytes()) {
        Err(error) if error.kind() != std::io::ErrorKind::BrokenPipe => Err(error.into()),
        Ok(()) | Err(_) => Ok(ExitCode::SUCCESS),
    }
}

/// Prints words, which may hold what strangers wrote.
fn print_words(text: &str) -> anyhow::Result<ExitCode> {
    print(&plain(text))
}

/// Text that moves, hides or colours nothing on a terminal, whoever wrote it.
fn plain(text: &str) -> String {
    let odd = |c: char| c.is_control() && c != '\n';
    text.replace("\r\n", "\n").replace(odd, "\u{FFFD}")
}

/// Runs a command that needs few threads to its end.
fn block_on<T>(work: impl Future<Output = anyhow::Result<T>>) -> anyhow::Result<T> {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()?;
    let ended = runtime.block_on(work);
    // A thread may hang in a read of standard input for as long as the other end is open.
    runtime.shutdown_background();
    ended
}

/// Resolves on SIGTERM, on Ctrl-C and, for children of `kontor up`, when the parent is gone.
async fn until_stopped(stop_on_eof: bool) -> anyhow::Result<()> {
    tokio::select! {
        signalled = shutdown::signalled() => signalled.map_err(anyhow::Error::from),
        () = shutdown::stdin_closed(), if stop_on_eof => Ok(()),
    }
}

/// Runs a service until it fails or is stopped, then gives what runs `grace` to end.
async fn serve<F, E>(
    serving: impl FnOnce(Shutdown) -> F,
    stopped: impl Future<Output = anyhow::Result<()>>,
    grace: Duration,
) -> anyhow::Result<()>
where
    F: Future<Output = Result<(), E>>,
    anyhow::Error: From<E>,
{
    let shutdown = Shutdown::default();
    let ended = tokio::select! {
        ended = serving(shutdown.clone()) => ended.map_err(anyhow::Error::from),
        stopped = stopped => stopped,
    };
    shutdown.finish(grace).await;
    ended
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn words_of_strangers_command_no_terminal() {
        assert_eq!(plain("Größe: 1 m²\r\nzwei\n"), "Größe: 1 m²\nzwei\n");
        let odd = "a\u{1b}[2J\u{9b}31m\rb\u{7}\u{7f}\t";
        assert_eq!(plain(odd).replace('\u{FFFD}', "?"), "a?[2J?31m?b???");
    }

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
    }

    #[test]
    fn every_command_and_option_is_explained() {
        fn check(command: &clap::Command) {
            assert!(
                command.is_hide_set() || command.get_about().is_some(),
                "{} has no help",
                command.get_name()
            );
            for argument in command.get_arguments().filter(|a| !a.is_hide_set()) {
                assert!(
                    argument.get_help().is_some(),
                    "{} {} has no help",
                    command.get_name(),
                    argument.get_id()
                );
            }
            command.get_subcommands().for_each(check);
        }
        check(&Cli::command());
    }
}
