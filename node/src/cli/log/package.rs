//! An evidence package while it is made: one ZIP file with containers, companions, the configuration to judge them by, and a
//! cover sheet. What is written on the way lies beside it, for the owner only, and goes when the package has its name.

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::BufWriter;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use anyhow::Context;
use clap::ValueEnum;
use kontor_pki::time::UnixTime;
use kontor_protocol::container::Report;
use kontor_protocol::container::check::{Question, check, check_record};
use kontor_protocol::package::cover::{Cover, Language};
use kontor_protocol::package::{CONFIGURATION, CONTAINERS, PackageWriter};
use kontor_protocol::statement::{Statement, StatementReport, judge};
use kontor_protocol::trust::TrustSet;

use crate::evidence::configuration_files;
use crate::globalconf;
use crate::messagelog::{Exported, Written};

/// The language of a cover sheet.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(super) enum Tongue {
    /// German
    De,
    /// English
    En,
}

/// The file with what can still be said of a message whose content is gone.
pub(super) fn statement_name(number: u64) -> String {
    format!("entry-{number}.statement.json")
}

/// See the module.
pub(super) struct Packing {
    path: PathBuf,
    draft: PathBuf,
    scratch: PathBuf,
    writer: Option<PackageWriter<BufWriter<File>>>,
    configuration: PathBuf,
    trust: TrustSet,
    reports: Vec<(String, Report)>,
    statements: Vec<(String, StatementReport)>,
    language: Language,
    issuer: String,
    created: UnixTime,
}

impl Packing {
    /// Begins a package. `configuration` is the verified global configuration of the node, `issuer` who answers for it.
    pub(super) fn begin(
        path: &Path,
        configuration: PathBuf,
        language: Tongue,
        issuer: String,
        created: UnixTime,
    ) -> anyhow::Result<Self> {
        let trust = globalconf::stored(&configuration).map_err(|reason| {
            anyhow::anyhow!("a package holds the global configuration, and there is none yet: {reason}")
        })?;
        let beside = |more: &str| {
            let mut name = path.as_os_str().to_owned();
            name.push(more);
            PathBuf::from(name)
        };
        let (draft, scratch) = (beside(".part"), beside(".part.d"));
        // Of a command that was ended before.
        let _ = fs::remove_dir_all(&scratch);
        let _ = fs::remove_file(&draft);
        let failed = |path: &Path| format!("could not make {}", path.display());
        DirBuilder::new()
            .mode(0o700)
            .create(&scratch)
            .with_context(|| failed(&scratch))?;
        let file = OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(&draft);
        let file = file.with_context(|| failed(&draft))?;
        Ok(Self {
            path: path.into(),
            draft,
            scratch,
            writer: Some(PackageWriter::new(BufWriter::new(file), created)),
            configuration,
            trust,
            reports: Vec::new(),
            statements: Vec::new(),
            language: match language {
                Tongue::De => Language::German,
                Tongue::En => Language::English,
            },
            issuer,
            created,
        })
    }

    /// Adds a message, and judges it by the configuration that goes along.
    pub(super) fn add(&mut self, exported: Exported) -> anyhow::Result<Written> {
        let written = exported.write(&self.scratch)?;
        let writer = self.writer.as_mut().expect("it is there until the end");
        let named = |path: &PathBuf| {
            let file = path.file_name().unwrap_or_default().to_string_lossy();
            format!("{CONTAINERS}{file}")
        };
        let files = [
            Some(&written.container),
            Some(&written.companion),
            written.record.as_ref(),
        ];
        for path in files.into_iter().flatten() {
            writer.add(&named(path), &mut File::open(path)?)?;
        }
        let companion = fs::read(&written.companion)?;
        let question = Question {
            trust: &self.trust,
            at: None,
            companion: Some(&companion),
        };
        let mut report = check(File::open(&written.container)?, &question);
        if let Some(record) = &written.record {
            let (container, record) = (File::open(&written.container)?, fs::read(record)?);
            check_record(container, &record, &question, &mut report);
        }
        for path in files.into_iter().flatten() {
            fs::remove_file(path)?;
        }
        let container = named(&written.container);
        self.reports.push((container.clone(), report));
        Ok(Written {
            container: container.into(),
            companion: named(&written.companion).into(),
            record: written.record.as_ref().map(|record| named(record).into()),
            ..written
        })
    }

    /// Adds what can still be said of a message whose content is gone.
    pub(super) fn add_statement(&mut self, number: u64, json: &[u8]) -> anyhow::Result<PathBuf> {
        let name = format!("{CONTAINERS}{}", statement_name(number));
        let writer = self.writer.as_mut().expect("it is there until the end");
        writer.add(&name, &mut &*json)?;
        let report = judge(&Statement::from_json(json)?, &self.trust);
        self.statements.push((name.clone(), report));
        Ok(name.into())
    }

    /// Adds configuration and cover sheet and gives the package its name; without a message there is none.
    pub(super) fn finish(mut self) -> anyhow::Result<Option<PathBuf>> {
        let mut writer = self.writer.take().expect("it is there until the end");
        if self.reports.is_empty() && self.statements.is_empty() {
            return Ok(None);
        }
        for (name, path) in configuration_files(&self.configuration)? {
            writer.add(&format!("{CONFIGURATION}{name}"), &mut File::open(path)?)?;
        }
        let cover = Cover {
            language: self.language,
            created: self.created,
            issuer: Some(&self.issuer),
            containers: &self.reports,
            statements: &self.statements,
        };
        let out = writer.finish(&cover.to_html())?;
        out.into_inner().map_err(|error| error.into_error())?.sync_all()?;
        fs::rename(&self.draft, &self.path)
            .with_context(|| format!("could not write {}", self.path.display()))?;
        Ok(Some(self.path.clone()))
    }
}

impl Drop for Packing {
    /// Nothing of what was on its way stays.
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.scratch);
        let _ = fs::remove_file(&self.draft);
    }
}
