//! Packages: every file against the manifest, then every container with its companion.

use std::fs::File;
use std::io::{BufReader, Write};
use std::path::{Path, PathBuf};

use kontor_protocol::container::Verdict;
use kontor_protocol::container::check::{Question, Verdicts};
use kontor_protocol::limits;
use kontor_protocol::package::{Package, PackageError, PackageFault};
use kontor_protocol::trust::TrustSet;
use serde::Serialize;

use super::bundle::{BundleReport, judge_renewed};
use super::course::{self, Collected, Collector, Flaw};
use super::progress::Progress;
use super::{Verify, shown, statement};

/// What only a package has.
#[derive(Serialize)]
struct Origin {
    /// By which configuration it was judged: `given` by the one who asks, or that in the `package`.
    trust: &'static str,
    /// When it says that it was made.
    created: Option<String>,
}

type PackageReport = BundleReport<Origin>;

impl PackageReport {
    fn fault(&mut self, fault: &PackageFault) {
        self.refuse(Verdict::Invalid, fault.code(), fault.to_string());
    }

    fn damaged(&mut self, error: &PackageError) {
        self.refuse(Verdict::Invalid, error.code(), error.to_string());
    }

    /// What is wrong with its transfers and requests.
    fn flawed(&mut self, (transfers, rounds): (Flaw, Flaw)) {
        if transfers.contradiction {
            let text = "the messages of a transfer in it contradict each other";
            self.refuse(Verdict::Invalid, "transfer_contradiction", text);
        }
        if rounds.contradiction {
            let text = "the messages of a participation in it contradict each other";
            self.refuse(Verdict::Invalid, "participation_contradiction", text);
        }
        if transfers.gap {
            let text =
                "messages of a transfer are missing in it, so that it does not say who was responsible";
            self.refuse(Verdict::Incomplete, "transfer_gap", text);
        }
        if rounds.gap {
            let text = "messages or receipts of a participation are missing in it, so that it does not say how a request stands; \
                        what another house has of it can be verified together with it";
            self.refuse(Verdict::Incomplete, "participation_gap", text);
        }
    }

    fn say_origin(&self, json: bool) -> anyhow::Result<()> {
        let mut sentences = Vec::new();
        sentences.extend(
            self.more
                .created
                .as_ref()
                .map(|at| format!("it says that it was made at {at}")),
        );
        sentences.push(match self.more.trust {
            "given" => "judged by the configuration given with --trust".to_owned(),
            _ => "judged by the configuration in the package itself, which proves only that it fits together"
                .to_owned(),
        });
        self.say(json, &sentences)
    }
}

impl Verify {
    /// Judges packages; gives the worst verdict.
    pub(super) fn packages(&self, files: &[PathBuf], trust: Option<&TrustSet>) -> anyhow::Result<Verdict> {
        let (mut reports, mut held) = (Vec::new(), Vec::new());
        for file in files {
            let origin = Origin {
                trust: if trust.is_some() { "given" } else { "package" },
                created: None,
            };
            let mut report = BundleReport::new(shown(file), "package", origin);
            let collected = match File::open(file) {
                Ok(opened) => match Package::open(BufReader::new(opened)) {
                    Ok(package) => self.package(&mut report, package, trust)?,
                    Err(error) => {
                        report.damaged(&error);
                        Collected::default()
                    }
                },
                Err(error) => {
                    let text = format!("the file cannot be read: {error}");
                    report.refuse(Verdict::Undecided, "io_error", text);
                    Collected::default()
                }
            };
            held.push((report.file.clone(), collected));
            reports.push(report);
        }
        // What one house lacks another one may have.
        let flaws = course::say_all(&held, self.language, self.json)?;
        let mut worst = Verdict::Valid;
        for (report, (_, collected)) in reports.iter_mut().zip(&held) {
            report.flawed(flaws.of(collected));
            report.say_origin(self.json)?;
            worst = worst.max(report.verdict);
        }
        Ok(worst)
    }

    fn package(
        &self,
        report: &mut PackageReport,
        mut package: Package<BufReader<File>>,
        given: Option<&TrustSet>,
    ) -> anyhow::Result<Collected> {
        report.more.created = Some(package.created().to_rfc3339());
        for fault in package.faults().to_vec() {
            report.fault(&fault);
        }
        match package.changed() {
            Ok(faults) => faults.iter().for_each(|fault| report.fault(fault)),
            Err(error) => report.damaged(&error),
        }
        let own;
        let trust = match given {
            Some(trust) => trust,
            None => {
                let configuration = package.configuration().map_err(|e| e.to_string());
                let read =
                    configuration.and_then(|files| TrustSet::from_files(files).map_err(|e| e.to_string()));
                match read {
                    Ok(trust) => own = trust,
                    Err(error) => {
                        let text = format!(
                            "the configuration in the package cannot be used ({error}); give one with --trust"
                        );
                        report.refuse(Verdict::Undecided, "package_configuration", text);
                        return Ok(Collected::default());
                    }
                }
                let text = "the configuration in the package says whom to believe, and whoever made the package could have \
                            made it too; give one from elsewhere with --trust";
                report.refuse(Verdict::Undecided, "package_trust", text);
                &own
            }
        };
        let names: Vec<String> = package.containers().map(str::to_owned).collect();
        let statements: Vec<String> = package.statements().map(str::to_owned).collect();
        for name in &statements {
            match package.held(name, limits::CONTAINER_ENTRY) {
                // One that is not what the manifest lists is told already.
                Ok(None) => {}
                Ok(Some(json)) => report.statement(name, &statement::judged(&json, trust), self.json)?,
                Err(error) => report.damaged(&error),
            }
        }
        if names.is_empty() && statements.is_empty() {
            report.refuse(
                Verdict::Incomplete,
                "package_empty",
                "there is neither a container nor a statement in it",
            );
        }
        let (mut verdicts, mut progress) = (Verdicts::new(), Progress::new(names.len()));
        let mut courses = Collector::default();
        for name in names {
            let beside = package
                .companion(&name)
                .and_then(|companion| Ok((companion, package.record(&name)?)));
            let judged = beside.and_then(|(companion, record)| {
                let question = Question {
                    trust,
                    at: self.at,
                    companion: companion.as_deref(),
                };
                let size = package.size(&name).unwrap_or_default();
                let io = |e: std::io::Error| PackageError::Damaged(e.to_string());
                let copy = |mut out: &mut dyn Write| package.file(&name, &mut out);
                judge_renewed(size, (&question, record.as_deref()), &mut verdicts, io, copy)
            });
            progress.clear();
            match judged {
                Ok((_, container)) => {
                    report.container(&name, &container, self.json)?;
                    let small = package.size(&name).is_some_and(|size| size <= course::LIMIT);
                    if container.verdict != Verdict::Invalid && small {
                        let mut whole = Vec::new();
                        if let Err(error) = package.file(&name, &mut whole) {
                            report.damaged(&error);
                        }
                        courses.take(&whole);
                    }
                }
                Err(error) => report.damaged(&error),
            }
            progress.done(1);
        }
        progress.end();
        Ok(courses.collected())
    }
}

/// Packages have a manifest.
pub(super) fn is_package(file: &Path) -> bool {
    File::open(file).is_ok_and(|file| kontor_protocol::package::is_package(BufReader::new(file)))
}
