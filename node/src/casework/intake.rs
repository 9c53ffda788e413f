//! An application becomes a case: what a form service hands in, read as the intake of an OZG-Cloud instance reads it.
//!
//! Refused is only what cannot be read as that contract, is too large or cannot be stored. Everything else opens the case, with
//! findings that hold its release back. The same application twice is one case; the same transaction id with other content is kept
//! and flagged.

use bytes::Bytes;
use jiff::Timestamp;
use kontor_participation::application::manifest::{Digest, File, Role};
use kontor_participation::application::{Content, Form, intake};
use kontor_participation::case::Status;
use kontor_participation::competence::ServiceKey;
use kontor_participation::findings::{self, Kind};
use kontor_participation::transfer::Responsibility;
use kontor_participation::transfer::dossier::{Dossier, ReferenceKind};
use kontor_participation::transfer::offer::{Flags, Id};
use kontor_pki::crypto::{DigestAlgorithm, Hasher, Sha512, sha256};
use serde::{Deserialize, Serialize};

use super::row::{CaseContent, CaseFile, CaseRecord, CaseRow, Cited, FindingRow, Origin, Verdict};
use super::{Casework, Held, Principal, Refused, Step, fresh_id, random_id};
use crate::messagelog::{ContentWriter, Kept, Unkept, Vault, VaultPart};

/// Octets of one file.
pub(crate) const MAX_FILE: u64 = 4 << 30;
/// Files of one application.
pub(crate) const MAX_FILES: usize = 500;
/// Octets of a file's name.
const MAX_NAME: usize = 1024;

/// Which case a transaction id opened.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub(super) struct IntakeRow {
    pub(super) case: Id,
    /// SHA-256 over the digests of all parts.
    pub(super) digest: Digest<32>,
}

/// A file on its way in: hashed, and sealed on disk when it is not small.
pub(crate) struct Receiving {
    vault: Vault,
    writer: ContentWriter,
    sha256: Hasher,
    sha512: Sha512,
    beginning: Vec<u8>,
}

/// A file that is there and not yet part of anything.
pub(crate) struct Received {
    pub(super) content: Unkept,
    pub(super) sha256: Digest<32>,
    pub(super) sha512: Digest<64>,
    pub(super) detected: Option<String>,
}

impl Receiving {
    /// Adds a piece.
    pub(crate) async fn write(&mut self, piece: Bytes) -> Result<(), Refused> {
        if self.writer.written() + piece.len() as u64 > MAX_FILE {
            let detail = format!("a file has at most {MAX_FILE} octets");
            return Err(Refused::new(
                http::StatusCode::PAYLOAD_TOO_LARGE,
                "file_too_large",
                detail,
            ));
        }
        self.sha256.update(&piece);
        self.sha512.update(&piece);
        if self.beginning.len() < 512 {
            let wanted = 512 - self.beginning.len();
            self.beginning
                .extend_from_slice(&piece[..piece.len().min(wanted)]);
        }
        Ok(self.writer.write(piece).await?)
    }

    /// Ends it.
    pub(crate) async fn finish(self) -> Result<Received, Refused> {
        let content = self.vault.finish(self.writer).await?;
        let digest: [u8; 32] = self
            .sha256
            .finish()
            .try_into()
            .map_err(|_| Refused::internal(&"SHA-256 has another length"))?;
        Ok(Received {
            content,
            sha256: Digest(digest),
            sha512: Digest(self.sha512.finish()),
            detected: detected(&self.beginning).map(str::to_owned),
        })
    }
}

/// The media type that the first octets show.
fn detected(beginning: &[u8]) -> Option<&'static str> {
    let known: [(&[u8], &str); 8] = [
        (b"%PDF-", "application/pdf"),
        (b"\x89PNG\r\n\x1a\n", "image/png"),
        (b"\xff\xd8\xff", "image/jpeg"),
        (b"GIF8", "image/gif"),
        (b"II*\0", "image/tiff"),
        (b"MM\0*", "image/tiff"),
        (b"PK\x03\x04", "application/zip"),
        (b"<?xml", "application/xml"),
    ];
    let trimmed = beginning.strip_prefix(b"\xef\xbb\xbf").unwrap_or(beginning);
    known
        .iter()
        .find(|(magic, _)| trimmed.starts_with(magic))
        .map(|(_, media)| *media)
}

/// A file of an application that came in.
pub(crate) struct Part {
    pub(crate) role: Role,
    pub(crate) name: String,
    pub(crate) media_type: String,
    pub(crate) received: Received,
}

/// What the form service is told.
#[derive(Debug)]
pub(crate) struct Opened {
    pub(crate) case: CaseRow,
    pub(crate) record: CaseRecord,
    /// It was here before.
    pub(crate) again: bool,
}

impl Casework {
    /// Begins to take a file.
    pub(crate) fn receive(&self) -> Result<Receiving, Refused> {
        let hasher = Hasher::new(DigestAlgorithm::Sha256).map_err(|error| Refused::internal(&error))?;
        Ok(Receiving {
            vault: self.vault.clone(),
            writer: self.vault.spool(),
            sha256: hasher,
            sha512: Sha512::new(),
            beginning: Vec::new(),
        })
    }

    /// Opens the case of an application.
    pub(crate) async fn take_in(
        &self,
        who: &Principal,
        form: &[u8],
        parts: Vec<Part>,
    ) -> Result<Opened, Refused> {
        let read = intake::read(form).map_err(|error| {
            let detail = error.to_string();
            Refused::invalid(error.code, detail).at(error.pointer)
        })?;
        let mut all = sha256(form).to_vec();
        for part in &parts {
            all.extend_from_slice(&part.received.sha256.0);
        }
        let digest = Digest(sha256(&all));
        let blind = self.vault.blind(&read.control.transaction_id);
        // One application at a time under one transaction id.
        let held = Id::try_from(uuid_of(&blind)).map_err(|error| Refused::internal(&error))?;
        let _lock = self.lock(&[&held]).await;
        let before: Option<IntakeRow> = self.store.get(super::Table::Intakes, blind.as_bytes())?;
        if let Some(before) = before.as_ref().filter(|before| before.digest == digest) {
            let case = self.case(&before.case)?;
            let record = self.record(&case)?;
            return Ok(Opened {
                case,
                record,
                again: true,
            });
        }
        let now = self.decisive_now()?;
        let mut files = Vec::with_capacity(parts.len());
        for part in parts {
            files.push(self.keep(part, now).await?);
        }
        let mut findings = self.findings(&read, &files);
        if before.is_some() {
            findings.push(FindingRow {
                code: "transaction_id_again".into(),
                at: String::new(),
                released: None,
            });
        }
        let keeps: Vec<Kept> = files.iter().map(|file| file.kept.clone()).collect();
        let (case, record, content) = self.new_case(read, files, findings, now, Arrived::Intake).await?;
        let details = serde_json::json!({ "case": case.id, "application": case.application_id });
        let cites = self.act(who, "open", "intake", details).await?;
        let mut step = Step {
            intake: before.is_none().then(|| {
                let row = IntakeRow {
                    case: case.id.clone(),
                    digest,
                };
                (blind, row)
            }),
            files: keeps.iter().map(|kept| Held::by(&case.id, kept)).collect(),
            content: Some((case.id.clone(), Some(content))),
            case: Some(case.clone()),
            ..Step::default()
        };
        step.event("case.opened", now);
        self.commit("intake", &cites, step).await?;
        Ok(Opened {
            case: self.case(&case.id)?,
            record,
            again: false,
        })
    }

    /// Gives a file its place and has it looked into.
    pub(super) async fn keep(&self, part: Part, now: Timestamp) -> Result<CaseFile, Refused> {
        let Received {
            content,
            sha256,
            sha512,
            detected,
        } = part.received;
        let file = File {
            file_id: uuid::Uuid::new_v4().to_string(),
            role: part.role,
            group: None,
            original_name: part.name.chars().take(MAX_NAME).collect(),
            declared_media_type: part.media_type.chars().take(255).collect(),
            detected_media_type: detected,
            size: content.len(),
            sha256,
            sha512,
        };
        self.keep_as(file, content, now).await
    }

    /// The same, for a file whose description came with it.
    pub(super) async fn keep_as(
        &self,
        file: File,
        content: Unkept,
        now: Timestamp,
    ) -> Result<CaseFile, Refused> {
        let kept = self.vault.keep(content).await?;
        let scan = self.scanning.scan(self.read(&kept)?, now).await;
        Ok(CaseFile {
            file,
            kept,
            scan,
            late: None,
            redacts: None,
        })
    }

    /// What in an application holds its release back.
    pub(super) fn findings(&self, form: &Form, files: &[CaseFile]) -> Vec<FindingRow> {
        let service = service_of(form);
        let secrecy = service
            .and_then(|service| self.settings.secrecy.get(&service).copied())
            .unwrap_or_default();
        let mut found: Vec<FindingRow> = findings::find(form, secrecy)
            .into_iter()
            .map(|finding| FindingRow {
                code: code(finding.kind).into(),
                at: finding.at.iter().map(|index| format!("/{index}")).collect(),
                released: None,
            })
            .collect();
        found.extend(files.iter().filter_map(|file| self.file_finding(file)));
        found
    }

    pub(super) fn file_finding(&self, file: &CaseFile) -> Option<FindingRow> {
        let code = match file.scan.verdict {
            Verdict::Clean => return None,
            Verdict::Infected => "file_infected",
            // Who has no scanner knows that; who has one wants to know what it could not look into.
            Verdict::Unscannable if !self.scanning.is_there() => return None,
            Verdict::Unscannable => "file_unscannable",
            Verdict::Error => "file_scan_failed",
        };
        Some(FindingRow {
            code: code.into(),
            at: file.file.file_id.clone(),
            released: None,
        })
    }

    /// A case that is not stored yet.
    pub(super) async fn new_case(
        &self,
        form: Form,
        files: Vec<CaseFile>,
        findings: Vec<FindingRow>,
        now: Timestamp,
        arrived: Arrived,
    ) -> Result<(CaseRow, CaseRecord, String), Refused> {
        let subject = match &arrived {
            Arrived::Intake => self.subject(now).await?,
            Arrived::Transfer { subject, .. } => *subject,
        };
        let dossier = match &arrived {
            Arrived::Intake => Dossier::default(),
            Arrived::Transfer { dossier, .. } => (**dossier).clone(),
        };
        let id = fresh_id(now);
        let (applicant, born) = person(&form);
        let account = form.control.service_account.as_ref();
        let trust_level = account
            .and_then(|account| account.trust_level.as_deref()?.rsplit('-').next()?.parse().ok())
            .filter(|level| (1..=4).contains(level));
        let mut record = CaseRecord {
            number: id.short(),
            title: form.control.name.clone().unwrap_or_default(),
            transaction_id: form.control.transaction_id.clone(),
            applicant,
            born,
            mailbox: account.and_then(|account| Some(account.mailbox.as_ref()?.identifier.clone())),
            ..CaseRecord::default()
        };
        let codes: Vec<&str> = findings.iter().map(|finding| finding.code.as_str()).collect();
        let flags = Flags {
            tax_secrecy: codes.contains(&"tax_secrecy"),
            social_data: codes.contains(&"social_data"),
            ..Flags::default()
        };
        let service = service_of(&form).map(|service| service.to_string());
        let unit = form.control.competent_unit.clone();
        let count = u32::try_from(files.len()).unwrap_or(u32::MAX);
        let octets = files.iter().map(|file| file.file.size).sum();
        let content = CaseContent {
            form,
            files,
            dossier,
            comments: Vec::new(),
            follow_ups: Vec::new(),
        };
        let mut case = CaseRow {
            id,
            subject,
            application_id: random_id(),
            version: 0,
            status: Status::New,
            status_since: now,
            first_received_at: now,
            received_here_at: now,
            service,
            region: self.settings.region.as_ref().map(ToString::to_string),
            unit,
            assignee: None,
            responsibility: Responsibility::Mine,
            transfer: None,
            origin: Origin::Intake,
            hops: Vec::new(),
            files: count,
            octets,
            trust_level,
            flags,
            deadlines: Vec::new(),
            findings,
            follow_ups: Vec::new(),
            open_round: false,
            rounds: Vec::new(),
            hold: None,
            delete_at: None,
            purged_at: None,
            history: Vec::new(),
            export: None,
            cites: Cited {
                number: 0,
                leaf: Digest([0; 32]),
            },
            record: String::new(),
        };
        if let Arrived::Transfer {
            transfer,
            application_id,
            first_received_at,
            dossier,
            ..
        } = arrived
        {
            case.application_id = application_id;
            case.first_received_at = first_received_at;
            case.responsibility = Responsibility::Theirs;
            case.origin = Origin::Transfer {
                transfer: transfer.clone(),
            };
            case.transfer = Some(transfer);
            // The last one is of whoever handed over.
            let numbers = dossier.references.into_iter().rev();
            let mut numbers = numbers.filter(|it| it.kind == ReferenceKind::CaseNumber);
            record.foreign_number = numbers.next().map(|it| it.value);
        }
        case.record = self.seal(VaultPart::Record, subject, &record)?;
        let content = self.seal(VaultPart::Content, subject, &content)?;
        Ok((case, record, content))
    }
}

/// How an application came.
pub(super) enum Arrived {
    /// A form service handed it in.
    Intake,
    /// In a transfer.
    Transfer {
        transfer: Id,
        subject: (u32, u64),
        application_id: Id,
        first_received_at: Timestamp,
        dossier: Box<Dossier>,
    },
}

/// A lock's name for a digest.
fn uuid_of(hex: &str) -> String {
    format!(
        "{}-{}-{}-{}-{}",
        &hex[..8],
        &hex[8..12],
        &hex[12..16],
        &hex[16..20],
        &hex[20..32]
    )
}

const fn code(kind: Kind) -> &'static str {
    match kind {
        Kind::IdentificationNumber => "identification_number",
        Kind::TaxSecrecy => "tax_secrecy",
        Kind::SocialData => "social_data",
    }
}

/// The first service that a form names.
fn service_of(form: &Form) -> Option<ServiceKey> {
    form.control.service_keys.iter().find_map(|key| key.parse().ok())
}

/// Name and date of birth of the applicant, as far as the form has fields that are called so.
fn person(form: &Form) -> (Option<String>, Option<String>) {
    let (mut first, mut last, mut company, mut born) = (None, None, None, None);
    form.walk(&mut |_, node| {
        let (Content::Text(text) | Content::Date(text)) = &node.content else {
            return;
        };
        if text.trim().is_empty() {
            return;
        }
        let place = match node.name.to_lowercase().as_str() {
            "vorname" | "vornamen" => &mut first,
            "nachname" | "familienname" | "name" => &mut last,
            "firma" | "firmenname" | "unternehmen" | "vereinsname" => &mut company,
            "geburtsdatum" => &mut born,
            _ => return,
        };
        if place.is_none() {
            *place = Some(text.trim().to_owned());
        }
    });
    let name = [first, last.or(company)]
        .into_iter()
        .flatten()
        .collect::<Vec<_>>()
        .join(" ");
    (Some(name).filter(|name| !name.is_empty()), born)
}
