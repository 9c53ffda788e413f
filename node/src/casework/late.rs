//! Late items: what comes for an application after it was handed over, or while its copy is frozen, is relayed for a set time.

use bytes::Bytes;
use jiff::Timestamp;
use kontor_participation::application::manifest::Manifest;
use kontor_participation::transfer::Responsibility;
use kontor_participation::transfer::delivery::{Body, Bundle, Place};
use kontor_participation::transfer::offer::Id;
use kontor_pki::crypto::random;
use serde_json::json;

use super::caller::Caller;
use super::files::pack_key;
use super::pull::whence_of;
use super::rounds::moved::Passed;
use super::row::{CaseRow, Late, Machine, Pack, TransferRow};
use super::{Casework, Held, Principal, Refused, Step};
use crate::config::casework::Role;
use crate::messagelog::{Kept, VaultPart};

impl Casework {
    /// Adds files that came for an application which was handed over, or is being.
    pub(crate) async fn late_item(
        &self,
        who: &Principal,
        case: &Id,
        files: Vec<super::intake::Part>,
    ) -> Result<TransferRow, Refused> {
        who.needs(&[Role::Worker, Role::Supervisor])?;
        if files.is_empty() {
            return Err(Refused::invalid(
                "late_item_empty",
                "a late item has at least one file",
            ));
        }
        let seen = self.seen_case(who, case)?;
        let id = seen.transfer.clone().ok_or_else(|| {
            Refused::conflict(
                "not_handed_over",
                "the case is in no transfer; add the files to the case itself",
            )
        })?;
        let _lock = self.lock(&[case, &id]).await;
        let (seen, mut transfer) = (self.seen_case(who, case)?, self.transfer(&id)?);
        let now = self.decisive_now()?;
        let Machine::Sender(machine) = transfer.machine.clone() else {
            let detail = "the application came here; add the files to the case itself";
            return Err(Refused::conflict("not_handed_over", detail));
        };
        if machine.responsibility() == Responsibility::Mine {
            return Err(Refused::conflict(
                "not_handed_over",
                "the transfer has ended; add the files to the case itself",
            ));
        }
        let taken = transfer.machine.taken_over_at();
        if let Some(at) = taken
            && now.duration_since(at).unsigned_abs() > self.settings.clocks.relay
        {
            let detail = format!("late items are relayed for a set time, and it was taken over at {at}");
            return Err(
                Refused::conflict("relay_ended", detail).hint("send it to the new authority by another way")
            );
        }
        let mut kept = Vec::new();
        for part in files {
            kept.push(self.keep(part, now).await?);
        }
        if let Some(finding) = kept.iter().find_map(|file| self.file_finding(file)) {
            let detail = format!("the scanner holds it back: {}", finding.code);
            return Err(Refused::conflict("findings_open", detail)
                .hint("look at the file, and send it by another way if need be"));
        }
        let manifest = Manifest::new(kept.iter().map(|file| file.file.clone()).collect(), random())
            .map_err(|error| Refused::internal(&error))?;
        let (bytes, digest) = manifest.bytes().map_err(|error| Refused::internal(&error))?;
        let bundle = Bundle {
            manifest: digest,
            manifest_octets: bytes.len() as u64,
            octets: bytes.len() as u64 + manifest.octets(),
        };
        let pack = Pack {
            manifest: String::from_utf8(bytes).map_err(|error| Refused::internal(&error))?,
            files: kept.iter().map(|file| file.kept.clone()).collect(),
            anew: kept.len(),
            parts: Vec::new(),
        };
        let details = json!({ "case": case, "transfer": id, "files": kept.len(), "manifest": digest });
        let cites = self.act(who, "late_item", "worker", details).await?;
        let mut step = Step {
            files: kept.iter().map(|file| Held::by(&id, &file.kept)).collect(),
            packs: vec![(
                pack_key(&id, Some(transfer.late.len())),
                Some(self.seal(VaultPart::Content, seen.subject, &pack)?),
            )],
            ..Step::default()
        };
        transfer.late.push(Late {
            item: 0,
            received_at: now,
            before_take_over: taken.is_none(),
            bundle,
            request: None,
            packed: true,
            pulled: 0,
            imported: false,
        });
        self.relay(&mut step, &mut transfer, now);
        step.transfer = Some(transfer);
        step.event("transfer.late_item", now);
        self.commit("late_item", &cites, step).await?;
        self.transfer(&id)
    }

    /// Tells the receiver of late items that it was not told of, once it has taken over.
    pub(super) fn relay(&self, step: &mut Step, transfer: &mut TransferRow, now: Timestamp) {
        if transfer.machine.taken_over_at().is_none() {
            return;
        }
        for index in 0..transfer.late.len() {
            let Some(late) = transfer.late.get(index).filter(|late| late.item == 0) else {
                continue;
            };
            let body = Body::LateItem {
                received_at: late.received_at,
                before_take_over: late.before_take_over,
                request: late.request.clone(),
                bundle: late.bundle,
            };
            step.tell(transfer, body, now, self.test);
            let item = transfer.sent;
            if let Some(late) = transfer.late.get_mut(index) {
                late.item = item;
            }
        }
    }

    /// Pulls late items and puts them into the case.
    pub(super) async fn pull_late(&self, caller: &Caller, id: &Id) -> Result<bool, Refused> {
        let row = self.transfer(id)?;
        let Some(index) = row.late.iter().position(|late| !late.imported) else {
            return Ok(false);
        };
        let late = row.late[index].clone();
        let mut pack = self.pack(&row, Some(index))?;
        while (pack.parts.len() as u64) < late.bundle.parts() {
            let part = pack.parts.len() as u64;
            let place = Place::Late {
                transfer: id.clone(),
                item: late.item,
                part,
            };
            let kept = self
                .fetch(caller, &whence_of(&row, &place), late.bundle, part)
                .await?;
            let held = Held::by(id, &kept);
            pack.parts.push(kept);
            let _lock = self.lock(&[id]).await;
            let mut row = self.transfer(id)?;
            let sealed = self.seal_pack(&row, &pack)?;
            if let Some(late) = row.late.get_mut(index) {
                late.packed = true;
                late.pulled = pack.parts.len() as u64;
            }
            let step = Step {
                files: vec![held],
                packs: vec![(pack_key(id, Some(index)), Some(sealed))],
                ..Step::default()
            };
            self.note(row, step).await?;
        }
        let mut imported = self.check(&pack, Bytes::new(), late.bundle).await?;
        let case = row
            .case
            .clone()
            .ok_or_else(|| Refused::internal(&"a take-over without a case"))?;
        let request = late.request.as_ref();
        let passed = request.map(|request| Passed::read(&imported.texts.form, request));
        let round = passed.iter().flatten().map(Passed::round);
        let ids: Vec<&Id> = [id, &case].into_iter().chain(request).chain(round).collect();
        let _lock = self.lock(&ids).await;
        let (mut row, mut case): (TransferRow, CaseRow) = (self.transfer(id)?, self.case(&case)?);
        let now = self.now();
        let mut step = Step {
            files: pack.parts.iter().map(Held::dropped).collect(),
            packs: vec![(pack_key(id, Some(index)), None)],
            ..Step::default()
        };
        if let Some(found) = row.late.get_mut(index) {
            found.imported = true;
            found.packed = false;
        }
        let whole = imported.complete && case.purged_at.is_none();
        let ok = match passed {
            None => whole,
            Some(passed) => {
                let kept: Vec<Kept> = imported.files.iter().map(|file| file.kept.clone()).collect();
                let findings = imported.files.iter().filter_map(|file| self.file_finding(file));
                let findings: Vec<_> = findings.collect();
                let files = std::mem::take(&mut imported.files);
                let taken = match passed.filter(|_| whole) {
                    Some(passed) => self.take_request_over(&mut step, &mut case, &row.peer, passed, files)?,
                    None => false,
                };
                match taken {
                    true => case.findings.extend(findings),
                    false => {
                        for kept in &kept {
                            self.vault.remove(kept)?;
                        }
                        row.flags.push("round_unusable".into());
                    }
                }
                taken
            }
        };
        if late.request.is_some() {
            // What came lies with the request.
        } else if ok {
            let mut content = self.content(&case)?;
            for mut file in imported.files {
                file.late = Some(late.item);
                case.files += 1;
                case.octets += file.file.size;
                case.findings.extend(self.file_finding(&file));
                step.files.push(Held::by(&case.id, &file.kept));
                content.files.push(file);
            }
            let sealed = self.seal(VaultPart::Content, case.subject, &content)?;
            step.content = Some((case.id.clone(), Some(sealed)));
        } else {
            for file in &imported.files {
                self.vault.remove(&file.kept)?;
            }
            row.flags.push("late_item_unusable".into());
        }
        let details = json!({ "transfer": id, "case": case.id, "item": late.item, "complete": ok });
        let cites = self
            .act(&Principal::node(), "late_item", "relayed", details)
            .await?;
        step.case = Some(case);
        step.transfer = Some(row);
        step.event(
            match late.request {
                None => "case.late_item",
                Some(_) => "request.taken_over",
            },
            now,
        );
        self.commit("late_item", &cites, step).await?;
        for kept in &pack.parts {
            self.vault.remove(kept)?;
        }
        Ok(true)
    }
}
