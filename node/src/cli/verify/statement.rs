//! Statements, `NAME.statement.json`: what a log can still prove of a message whose content is gone.

use std::path::{Path, PathBuf};

use kontor_protocol::container::Verdict;
use kontor_protocol::limits;
use kontor_protocol::statement::{Statement, StatementReport, judge};
use kontor_protocol::trust::TrustSet;
use serde::Serialize;

use super::{Verify, bounded, shown};

#[derive(Serialize)]
struct Line<'a> {
    file: &'a str,
    #[serde(flatten)]
    report: &'a StatementReport,
}

impl Verify {
    /// Judges statements; gives the worst verdict.
    pub(super) fn statements(&self, files: &[PathBuf], trust: &TrustSet) -> anyhow::Result<Verdict> {
        let mut worst = Verdict::Valid;
        for file in files {
            let report = match bounded(file, limits::CONTAINER_ENTRY) {
                Ok(json) => judged(&json, trust),
                Err(error) => StatementReport::refused(
                    Verdict::Undecided,
                    "io_error",
                    format!("the file cannot be read: {error:#}"),
                ),
            };
            worst = worst.max(report.verdict);
            let (file, report) = (&shown(file), &report);
            match self.json {
                true => crate::cli::print(&(serde_json::to_string(&Line { file, report })? + "\n"))?,
                false => crate::cli::print_words(&format!("{file}: {}\n", report.in_words()))?,
            };
        }
        Ok(worst)
    }
}

/// The verdict on a file; one that is no statement is invalid.
pub(super) fn judged(json: &[u8], trust: &TrustSet) -> StatementReport {
    match Statement::from_json(json) {
        Ok(statement) => judge(&statement, trust),
        Err(error) => StatementReport::refused(Verdict::Invalid, error.code(), error.to_string()),
    }
}

/// Statements end with `.statement.json`.
pub(super) fn is_statement(file: &Path) -> bool {
    file.to_string_lossy().ends_with(".statement.json")
}
