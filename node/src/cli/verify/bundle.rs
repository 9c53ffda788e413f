//! What is said of a file with many containers in it, an archive or a package, and how one container in it is judged.

use std::io::{BufReader, Cursor, Seek as _, SeekFrom, Write};

use kontor_protocol::container::check::{Question, Verdicts, check_record, check_with};
use kontor_protocol::container::{Reason, Report, Verdict};
use kontor_protocol::statement::StatementReport;
use serde::Serialize;

/// Containers above this size wait in a file and not in memory.
const IN_MEMORY: u64 = 16 * 1024 * 1024;

/// A verdict with what it is made of; `more` is what only this kind of file has.
#[derive(Serialize)]
pub(super) struct BundleReport<M> {
    pub(super) file: String,
    pub(super) kind: &'static str,
    pub(super) verdict: Verdict,
    pub(super) reasons: Vec<Reason>,
    containers: usize,
    valid: usize,
    incomplete: usize,
    undecided: usize,
    invalid: usize,
    /// Statements about messages whose content is gone; their verdicts count for that of the file.
    statements: usize,
    #[serde(flatten)]
    pub(super) more: M,
}

#[derive(Serialize)]
struct ContainerLine<'a> {
    file: &'a str,
    container: &'a str,
    #[serde(flatten)]
    report: &'a Report,
}

#[derive(Serialize)]
struct StatementLine<'a> {
    file: &'a str,
    statement: &'a str,
    #[serde(flatten)]
    report: &'a StatementReport,
}

impl<M: Serialize> BundleReport<M> {
    pub(super) fn new(file: String, kind: &'static str, more: M) -> Self {
        Self {
            file,
            kind,
            verdict: Verdict::Valid,
            reasons: Vec::new(),
            containers: 0,
            valid: 0,
            incomplete: 0,
            undecided: 0,
            invalid: 0,
            statements: 0,
            more,
        }
    }

    pub(super) fn refuse(&mut self, verdict: Verdict, code: &str, text: impl Into<String>) {
        self.verdict = self.verdict.max(verdict);
        self.reasons.push(Reason {
            code: code.to_owned(),
            text: text.into(),
            verdict,
        });
    }

    /// Counts a container and prints it: each as a line of JSON, in words only what is not valid.
    pub(super) fn container(&mut self, name: &str, report: &Report, json: bool) -> anyhow::Result<()> {
        self.verdict = self.verdict.max(report.verdict);
        self.containers += 1;
        *match report.verdict {
            Verdict::Valid => &mut self.valid,
            Verdict::Incomplete => &mut self.incomplete,
            Verdict::Undecided => &mut self.undecided,
            Verdict::Invalid => &mut self.invalid,
        } += 1;
        if json {
            let line = ContainerLine {
                file: &self.file,
                container: name,
                report,
            };
            crate::cli::print(&(serde_json::to_string(&line)? + "\n"))?;
        } else if report.verdict != Verdict::Valid {
            crate::cli::print_words(&format!("{}: {name}: {}\n", self.file, report.in_words()))?;
        }
        Ok(())
    }

    /// Counts a statement and prints it, likewise.
    pub(super) fn statement(
        &mut self,
        name: &str,
        report: &StatementReport,
        json: bool,
    ) -> anyhow::Result<()> {
        self.verdict = self.verdict.max(report.verdict);
        self.statements += 1;
        if json {
            let line = StatementLine {
                file: &self.file,
                statement: name,
                report,
            };
            crate::cli::print(&(serde_json::to_string(&line)? + "\n"))?;
        } else {
            crate::cli::print_words(&format!("{}: {name}: {}\n", self.file, report.in_words()))?;
        }
        Ok(())
    }

    /// Prints the report: as a line of JSON, or in words with these sentences at the end.
    pub(super) fn say(&self, json: bool, sentences: &[String]) -> anyhow::Result<()> {
        if json {
            crate::cli::print(&(serde_json::to_string(self)? + "\n"))?;
            return Ok(());
        }
        let mut out = format!("{}: {}\n", self.file, self.verdict.as_str().to_uppercase());
        for reason in &self.reasons {
            out += &format!("  because {} [{}]\n", reason.text, reason.code);
        }
        out += &format!(
            "  {} of {} containers: {} valid, {} incomplete, {} undecided, {} invalid\n",
            self.kind, self.containers, self.valid, self.incomplete, self.undecided, self.invalid
        );
        if self.statements > 0 {
            out += &format!(
                "  and {} statements about messages whose content is gone\n",
                self.statements
            );
        }
        for sentence in sentences {
            out += &format!("  {sentence}\n");
        }
        crate::cli::print_words(&(out + "\n"))?;
        Ok(())
    }
}

/// Judges a container of this stated size that `copy` writes out, with what `copy` says of it.
pub(super) fn judge<T, E>(
    size: u64,
    question: &Question<'_>,
    verdicts: &mut Verdicts,
    io: impl Fn(std::io::Error) -> E,
    copy: impl FnOnce(&mut dyn Write) -> Result<T, E>,
) -> Result<(T, Report), E> {
    judge_renewed(size, (question, None), verdicts, io, copy)
}

/// The same with the evidence record of the container, if there is one.
pub(super) fn judge_renewed<T, E>(
    size: u64,
    (question, record): (&Question<'_>, Option<&[u8]>),
    verdicts: &mut Verdicts,
    io: impl Fn(std::io::Error) -> E,
    copy: impl FnOnce(&mut dyn Write) -> Result<T, E>,
) -> Result<(T, Report), E> {
    if size <= IN_MEMORY {
        let mut bytes = Vec::with_capacity(usize::try_from(size).unwrap_or_default());
        let said = copy(&mut bytes)?;
        let mut report = check_with(Cursor::new(&bytes), question, verdicts);
        if let Some(record) = record {
            check_record(Cursor::new(&bytes), record, question, &mut report);
        }
        return Ok((said, report));
    }
    let mut file = tempfile::tempfile().map_err(&io)?;
    let said = copy(&mut file)?;
    file.seek(SeekFrom::Start(0)).map_err(&io)?;
    let mut report = check_with(BufReader::new(&file), question, verdicts);
    if let Some(record) = record {
        file.seek(SeekFrom::Start(0)).map_err(io)?;
        check_record(BufReader::new(&file), record, question, &mut report);
    }
    Ok((said, report))
}
