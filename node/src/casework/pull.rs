//! Packages on their way here: part by part, each on disk before the next is asked for, so that a start goes on where the last one
//! ended; then the check of every file against the manifest that was offered, the scanner, and the case that comes of it.

use bytes::{Bytes, BytesMut};
use http::{Method, StatusCode};
use kontor_participation::application::intake as form;
use kontor_participation::application::manifest::{File, Manifest, PART, Role};
use kontor_participation::transfer::delivery::{Body, Bundle, FileResult, ImportedFile, Place};
use kontor_participation::transfer::dossier::{self, Dossier};
use kontor_participation::transfer::offer::Id;
use kontor_participation::transfer::receiver::{self, State};
use serde_json::json;

use super::caller::{Caller, Pulled};
use super::files::pack_key;
use super::intake::{Arrived, Received};
use super::row::{CaseFile, Machine, Pack, TransferRow, Verdict};
use super::{Casework, Held, Principal, Refused, Step};
use crate::config::casework::SERVICE;
use crate::messagelog::{ContentReader, Kept, VaultPart};

/// A package up to this size is imported from memory; one above it is on disk, part by part, before it is.
pub(super) const SMALL: u64 = 256 * 1024;
/// Octets of a manifest.
const MAX_MANIFEST: u64 = 16 * 1024 * 1024;

/// That the other side has a part no more, and will not have it again.
pub(super) const PART_GONE: &str = "part_gone";
/// The same, because a file in it was taken back.
pub(super) const PART_REVOKED: &str = "part_revoked";

/// Whether such an answer says so, and with which of both codes.
pub(super) fn part_gone(status: StatusCode, said: &[u8]) -> Option<&'static str> {
    let problem: serde_json::Value = serde_json::from_slice(said).unwrap_or_default();
    (status == StatusCode::GONE).then(|| match problem["code"] == "file_revoked" {
        true => PART_REVOKED,
        false => PART_GONE,
    })
}

/// Where parts are pulled from.
pub(super) struct Whence<'a> {
    pub(super) peer: &'a str,
    pub(super) service: &'a str,
    /// Of one part.
    pub(super) path: String,
}

/// The documents of a package, which are no files of the case.
#[derive(Default)]
pub(super) struct Texts {
    /// The form of an application, or the document of a letter.
    pub(super) form: Vec<u8>,
    dossier: Option<Vec<u8>>,
}

/// What an import found.
pub(super) struct Imported {
    pub(super) files: Vec<CaseFile>,
    pub(super) texts: Texts,
    results: Vec<ImportedFile>,
    pub(super) complete: bool,
}

/// Reads parts one after the other as one stream.
struct Parts<'a> {
    casework: &'a Casework,
    waiting: std::slice::Iter<'a, Kept>,
    reading: Option<ContentReader>,
    left: BytesMut,
}

impl Parts<'_> {
    /// At most so many octets; none at the end.
    async fn take(&mut self, most: usize) -> Result<Bytes, Refused> {
        while self.left.is_empty() {
            if let Some(reader) = &mut self.reading {
                match reader.next().await? {
                    Some(piece) => self.left.extend_from_slice(&piece),
                    None => self.reading = None,
                }
                continue;
            }
            match self.waiting.next() {
                Some(kept) => self.reading = Some(self.casework.read(kept)?),
                None => return Ok(Bytes::new()),
            }
        }
        let length = self.left.len().min(most);
        Ok(self.left.split_to(length).freeze())
    }

    /// Exactly so many octets, or what there is.
    async fn whole(&mut self, wanted: u64) -> Result<Vec<u8>, Refused> {
        let wanted = usize::try_from(wanted).unwrap_or(usize::MAX);
        let mut out = Vec::new();
        while out.len() < wanted {
            let piece = self.take(wanted - out.len()).await?;
            if piece.is_empty() {
                break;
            }
            out.extend_from_slice(&piece);
        }
        Ok(out)
    }
}

impl Casework {
    /// Pulls and checks what a transfer still has to get: its package, or late items. Gives whether it got further.
    pub(super) async fn pull(&self, caller: &Caller, id: &Id) -> Result<bool, Refused> {
        let row = self.transfer(id)?;
        let Machine::Receiver(machine) = &row.machine else {
            return Ok(false);
        };
        match machine.state() {
            State::PackageReady => self.pull_package(caller, id).await,
            State::TakenOver(_) | State::Closed(_) => self.pull_late(caller, id).await,
            _ => Ok(false),
        }
    }

    async fn pull_package(&self, caller: &Caller, id: &Id) -> Result<bool, Refused> {
        let mut row = self.transfer(id)?;
        let Some(bundle) = row.bundle else {
            return Ok(false);
        };
        if bundle.octets <= SMALL {
            let octets = self.fetch_small(caller, &row, bundle).await?;
            self.import(id, &Pack::default(), octets, bundle).await?;
            return Ok(true);
        }
        if row.subject.is_none() {
            let subject = self.subject(self.now()).await?;
            let _lock = self.lock(&[id]).await;
            row = self.transfer(id)?;
            row.subject = Some(subject);
            self.note(row.clone(), Step::default()).await?;
            row = self.transfer(id)?;
        }
        let mut pack = self.pack(&row, None)?;
        let mut here = None;
        while (pack.parts.len() as u64) < bundle.parts() {
            let part = pack.parts.len() as u64;
            if here.is_none() {
                here = self.here(&row, &pack, bundle).await;
            }
            let own = match &here {
                Some(here) => self.own_part(here, part).await?,
                None => None,
            };
            let is_own = own.is_some();
            let kept = match own {
                Some(own) => own,
                None => {
                    let place = Place::Package {
                        transfer: id.clone(),
                        part,
                    };
                    self.fetch(caller, &whence_of(&row, &place), bundle, part).await?
                }
            };
            let _lock = self.lock(&[id]).await;
            row = self.transfer(id)?;
            if !is_ready(&row) {
                // It ended meanwhile; what was pulled is removed with its key.
                self.vault.remove(&kept)?;
                return Ok(false);
            }
            let held = Held::by(id, &kept);
            pack.parts.push(kept);
            row.packed = true;
            row.pulled = pack.parts.len() as u64;
            row.parts_here += u64::from(is_own);
            let sealed = self.seal_pack(&row, &pack)?;
            let step = Step {
                files: vec![held],
                packs: vec![(pack_key(id, None), Some(sealed))],
                ..Step::default()
            };
            self.note(row.clone(), step).await?;
            row = self.transfer(id)?;
        }
        self.import(id, &pack, Bytes::new(), bundle).await?;
        Ok(true)
    }

    /// The bytes of the manifest, once the parts that hold it are there.
    pub(super) async fn manifest_of(&self, pack: &Pack, bundle: Bundle) -> Result<Option<Vec<u8>>, Refused> {
        let there = pack.parts.iter().map(|kept| kept.length).sum::<u64>();
        if there < bundle.manifest_octets || bundle.manifest_octets > MAX_MANIFEST {
            return Ok(None);
        }
        let mut parts = Parts {
            casework: self,
            waiting: pack.parts.iter(),
            reading: None,
            left: BytesMut::new(),
        };
        parts.whole(bundle.manifest_octets).await.map(Some)
    }

    pub(super) fn seal_pack(&self, row: &TransferRow, pack: &Pack) -> Result<String, Refused> {
        let subject = row
            .subject
            .ok_or_else(|| Refused::internal(&"a package without a subject"))?;
        self.seal(VaultPart::Content, subject, pack)
    }

    /// Commits a row that rests on what it rested on before: progress, and nothing that was decided.
    pub(super) async fn note(&self, row: TransferRow, step: Step) -> Result<(), Refused> {
        let cites = row.cites.clone();
        let step = Step {
            transfer: Some(row),
            ..step
        };
        self.commit("progress", &cites, step).await
    }

    /// A package of one small part, in memory: what a crash costs until it is imported is one question.
    async fn fetch_small(
        &self,
        caller: &Caller,
        row: &TransferRow,
        bundle: Bundle,
    ) -> Result<Bytes, Refused> {
        let place = Place::Package {
            transfer: row.id.clone(),
            part: 0,
        };
        let came = caller
            .call(&row.peer, SERVICE, Method::GET, &place.to_string(), Bytes::new())
            .await
            .map_err(|error| Refused::unavailable("part_not_pulled", error))?;
        if came.status != StatusCode::OK {
            let text: String = String::from_utf8_lossy(&came.body).chars().take(300).collect();
            let detail = format!("status {}: {text}", came.status.as_u16());
            return Err(Refused::unavailable("part_not_pulled", detail));
        }
        if came.body.len() as u64 != bundle.octets {
            let detail = format!(
                "the part has {} octets, {} are expected",
                came.body.len(),
                bundle.octets
            );
            return Err(Refused::unavailable("part_length", detail));
        }
        Ok(came.body)
    }

    /// One part, on disk.
    pub(super) async fn fetch(
        &self,
        caller: &Caller,
        whence: &Whence<'_>,
        bundle: Bundle,
        part: u64,
    ) -> Result<Kept, Refused> {
        let mut writer = self.vault.spool();
        let came = caller
            .pull(whence.peer, whence.service, &whence.path, &mut writer)
            .await;
        let came = match came.map_err(|error| Refused::unavailable("part_not_pulled", error))? {
            Pulled::Octets(came) => came,
            Pulled::Refused(status, said) => {
                if let Some(code) = part_gone(status, &said) {
                    return Err(Refused::new(
                        StatusCode::GONE,
                        code,
                        "the other side has it no more",
                    ));
                }
                let text: String = String::from_utf8_lossy(&said).chars().take(300).collect();
                let detail = format!("status {}: {text}", status.as_u16());
                return Err(Refused::unavailable("part_not_pulled", detail));
            }
        };
        let from = part * PART;
        let expected = bundle.octets.saturating_sub(from).min(PART);
        if came != expected {
            let detail = format!("part {part} has {came} octets, {expected} are expected");
            return Err(Refused::unavailable("part_length", detail));
        }
        Ok(self.vault.keep(writer.finish().await?.into()).await?)
    }

    /// Checks what was pulled, file by file. Where that breaks off nothing of it is left.
    pub(super) async fn check(
        &self,
        pack: &Pack,
        octets: Bytes,
        bundle: Bundle,
    ) -> Result<Imported, Refused> {
        let parts = Parts {
            casework: self,
            waiting: pack.parts.iter(),
            reading: None,
            left: octets.into(),
        };
        let mut imported = Imported {
            files: Vec::new(),
            texts: Texts::default(),
            results: Vec::new(),
            complete: false,
        };
        if let Err(refused) = self.check_files(parts, bundle, &mut imported).await {
            for file in &imported.files {
                self.vault.remove(&file.kept)?;
            }
            return Err(refused);
        }
        Ok(imported)
    }

    async fn check_files(
        &self,
        mut parts: Parts<'_>,
        bundle: Bundle,
        imported: &mut Imported,
    ) -> Result<(), Refused> {
        let now = self.now();
        if bundle.manifest_octets > MAX_MANIFEST {
            return Ok(());
        }
        let bytes = parts.whole(bundle.manifest_octets).await?;
        let manifest = match Manifest::read(&bytes, &bundle.manifest) {
            Ok(manifest) => manifest,
            Err(error) => {
                tracing::warn!(code = error.code(), "a package is not what was offered");
                return Ok(());
            }
        };
        imported.complete = true;
        for file in manifest.files() {
            let (result, kept) = self.check_file(&mut parts, file, &mut imported.texts).await?;
            let result = match kept {
                None => result,
                Some(received) => {
                    let kept = self.keep_as(file.clone(), received.content, now).await?;
                    let result = match kept.scan.verdict {
                        Verdict::Infected => FileResult::Infected,
                        Verdict::Unscannable | Verdict::Error if self.scanning.is_there() => {
                            FileResult::Unscannable
                        }
                        Verdict::Clean | Verdict::Unscannable | Verdict::Error => FileResult::Complete,
                    };
                    imported.files.push(kept);
                    result
                }
            };
            imported.complete &= result != FileResult::Mismatch;
            imported.results.push(ImportedFile {
                file_id: file.file_id.clone(),
                result,
            });
        }
        Ok(())
    }

    /// Reads one file of the stream; form and dossier are kept in memory and not as files.
    async fn check_file(
        &self,
        parts: &mut Parts<'_>,
        file: &File,
        texts: &mut Texts,
    ) -> Result<(FileResult, Option<Received>), Refused> {
        let mismatch = Ok((FileResult::Mismatch, None));
        let is_form =
            file.role == Role::Data && texts.form.is_empty() && file.size <= form::MAX_OCTETS as u64;
        let is_dossier =
            file.role == Role::Dossier && texts.dossier.is_none() && file.size <= dossier::MAX_OCTETS as u64;
        if is_form || is_dossier {
            let octets = parts.whole(file.size).await?;
            if file.check(&octets).is_err() {
                return mismatch;
            }
            match is_form {
                true => texts.form = octets,
                false => texts.dossier = Some(octets),
            }
            return Ok((FileResult::Complete, None));
        }
        let mut receiving = self.receive()?;
        let mut left = file.size;
        while left > 0 {
            let piece = parts
                .take(usize::try_from(left.min(64 * 1024)).unwrap_or(65536))
                .await?;
            if piece.is_empty() {
                return mismatch;
            }
            left -= piece.len() as u64;
            receiving.write(piece).await?;
        }
        let received = receiving.finish().await?;
        match received.sha256 == file.sha256 && received.sha512 == file.sha512 {
            true => Ok((FileResult::Complete, Some(received))),
            false => mismatch,
        }
    }

    /// Makes a case of a package that is whole, and says to the sender how it went.
    async fn import(&self, id: &Id, pack: &Pack, octets: Bytes, bundle: Bundle) -> Result<(), Refused> {
        let imported = self.check(pack, octets, bundle).await?;
        let form = form::read(&imported.texts.form);
        // Without one an application has nothing but its form and files.
        let dossier = imported
            .texts
            .dossier
            .as_deref()
            .map_or_else(|| Ok(Dossier::default()), Dossier::read);
        let _lock = self.lock(&[id]).await;
        let mut transfer = self.transfer(id)?;
        let now = self.decisive_now()?;
        let subject = match transfer.subject {
            Some(subject) => subject,
            None => self.subject(now).await?,
        };
        transfer.subject = Some(subject);
        let mut step = Step {
            files: pack.parts.iter().map(Held::dropped).collect(),
            ..Step::default()
        };
        if transfer.packed {
            step.packs.push((pack_key(id, None), None));
        }
        let complete = imported.complete && form.is_ok() && dossier.is_ok() && is_ready(&transfer);
        if let (true, Ok(form), Ok(dossier)) = (complete, form, dossier) {
            let findings = self.findings(&form, &imported.files);
            let arrived = Arrived::Transfer {
                transfer: id.clone(),
                subject,
                application_id: transfer.offer.application_id.clone(),
                first_received_at: transfer.offer.first_received_at,
                dossier: Box::new(dossier),
            };
            let keeps: Vec<Kept> = imported.files.iter().map(|file| file.kept.clone()).collect();
            let (mut case, _, content) = self
                .new_case(form, imported.files, findings, now, arrived)
                .await?;
            case.region = Some(transfer.offer.region.to_string());
            case.deadlines.clone_from(&transfer.offer.running_deadlines);
            case.flags = transfer.offer.flags;
            case.hops.clone_from(&transfer.offer.hops);
            case.unit.clone_from(&transfer.unit);
            transfer.case = Some(case.id.clone());
            step.files
                .extend(keeps.iter().map(|kept| Held::by(&case.id, kept)));
            step.content = Some((case.id.clone(), Some(content)));
            step.case = Some(case);
        } else {
            for file in &imported.files {
                self.vault.remove(&file.kept)?;
            }
        }
        if let Machine::Receiver(machine) = transfer.machine.clone()
            && is_ready(&transfer)
        {
            let mut machine = machine;
            let decision = machine.decide(receiver::Command::ReportImport { complete }, now)?;
            machine.apply(&decision);
            transfer.machine = Machine::Receiver(machine);
            transfer.packed = false;
            transfer.pulled = 0;
            transfer.import_problem = (!complete).then(|| "package_mismatch".to_owned());
            let details = json!({ "transfer": id, "complete": complete, "case": transfer.case });
            let cites = self.act(&Principal::node(), "import", "package", details).await?;
            let body = Body::ImportResult {
                complete,
                files: imported.results,
            };
            step.tell(&mut transfer, body, now, self.test);
            step.transfer = Some(transfer);
            step.event(
                if complete {
                    "transfer.imported"
                } else {
                    "transfer.import_failed"
                },
                now,
            );
            self.commit("import", &cites, step).await?;
        }
        for kept in &pack.parts {
            self.vault.remove(kept)?;
        }
        Ok(())
    }
}

/// Where a part of a transfer is.
pub(super) fn whence_of<'a>(row: &'a TransferRow, place: &Place) -> Whence<'a> {
    Whence {
        peer: &row.peer,
        service: SERVICE,
        path: place.to_string(),
    }
}

fn is_ready(row: &TransferRow) -> bool {
    match &row.machine {
        Machine::Receiver(machine) => machine.state() == State::PackageReady,
        Machine::Sender(_) => false,
    }
}
