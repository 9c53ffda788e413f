//! `kontor`: parses the command line, runs one command, turns its end into an exit code.

use std::process::ExitCode;

fn main() -> ExitCode {
    kontor_node::cli::run()
}
