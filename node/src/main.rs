//! `kontor`: parses the command line, runs one command, turns its end into an exit code.

use std::process::ExitCode;

use mimalloc::MiMalloc;

/// An exchange makes and frees a few hundred small values on several threads, which the C library's allocator, and
/// that of musl still more, answers with locks and consolidation.
#[global_allocator]
static ALLOCATOR: MiMalloc = MiMalloc;

fn main() -> ExitCode {
    kontor_node::cli::run()
}
