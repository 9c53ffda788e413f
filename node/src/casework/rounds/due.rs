//! What falls due of requests: inquiry and expiry, reminders, what somebody has to look at, bundles to be pulled, and deletion of what
//! was disclosed. Everything follows from what is stored and the clock, so that nothing happens twice.

use jiff::Timestamp;
use kontor_participation::application::manifest::Manifest;
use kontor_participation::calendar::HolidayTable;
use kontor_participation::round::delivery::Side;
use kontor_participation::round::participant::{self, Participant};
use kontor_participation::round::requester;
use kontor_participation::transfer::delivery::Bundle;
use kontor_participation::transfer::offer::Id;
use serde_json::json;

use super::super::files::Held;
use super::super::row::{OutRow, Pack, Process};
use super::super::{Casework, Principal, Refused, Step};
use super::moved::Stage;
use super::participant::Details;
use super::requester::Command;
use super::row::{Asking, RequestRow};
use crate::messagelog::{Kept, VaultPart};

impl Casework {
    /// When something of a request may be due next; now, if something is to be fetched or deleted.
    pub(in crate::casework) fn request_due(&self, row: &RequestRow) -> Option<Timestamp> {
        let now = self.now();
        let announced = row
            .bundles
            .iter()
            .any(|one| one.side != row.side() && one.is_open());
        // What cannot be said now is looked at when it is fetched.
        let fetches = announced && self.wants(row).unwrap_or(true);
        if let Some(moving) = &row.moving {
            let due = self.moving_due(row, moving);
            return match fetches && moving.stage == Stage::Waiting {
                true => Some(now),
                false => due,
            };
        }
        match &row.asking {
            Asking::Requester(machine) => match fetches || machine.due(now).is_some() {
                true => Some(now),
                false => machine.next_due(now),
            },
            Asking::Participant(machine) => {
                let deletes = machine.purge_is_due(now) && machine.purged_at().is_none();
                match deletes || has_taken_back(row, machine) || fetches {
                    true => Some(now),
                    false => machine.next_due(now),
                }
            }
        }
    }

    /// Does what the clock says of a request; whether it did something.
    pub(in crate::casework) async fn request_falls_due(&self, side: Side, id: &Id) -> Result<bool, Refused> {
        let row = self.request(side, id)?;
        let now = self.decisive_now()?;
        if let Some(moving) = &row.moving {
            return self.moves_on(id, moving, now).await;
        }
        match &row.asking {
            Asking::Requester(machine) => {
                let Some(due) = machine.due(now) else {
                    return Ok(false);
                };
                let command = match due {
                    requester::Command::Inquire => Command::Inquire,
                    requester::Command::Expire => Command::Expire,
                    requester::Command::Remind => Command::Remind,
                    requester::Command::Escalate(escalation) => Command::Escalate(escalation),
                    other => return Err(Refused::internal(&format!("{} by the clock", other.act().name()))),
                };
                let ids: Vec<&Id> = [id, &row.body.round_id]
                    .into_iter()
                    .chain(row.case.as_ref())
                    .collect();
                let _lock = self.lock(&ids).await;
                let row = self.request(side, id)?;
                let details = super::requester::Details::default();
                self.carry_out_request(&Principal::node(), row, command, &details, now)
                    .await?;
                Ok(true)
            }
            Asking::Participant(machine) => {
                if machine.purge_is_due(now) && machine.purged_at().is_none() {
                    self.delete_disclosed(id, true, now).await?;
                    return Ok(true);
                }
                if has_taken_back(&row, machine) {
                    self.delete_disclosed(id, false, now).await?;
                    return Ok(true);
                }
                Ok(false)
            }
        }
    }

    /// Deletes what was disclosed, or the files of it that were taken back, and says so: the entry first, then the key, then rows.
    ///
    /// What cannot be deleted from the folder drop is said not to be, once; it is tried again until it is, and then said again.
    async fn delete_disclosed(&self, id: &Id, whole: bool, now: Timestamp) -> Result<(), Refused> {
        let _folder = self.folder_stays().await;
        let _lock = self.lock(&[id]).await;
        let mut row = self.request(Side::Participant, id)?;
        let Asking::Participant(machine) = &row.asking else {
            return Ok(());
        };
        let wanted = |complete| participant::Command::StatePurge { whole, complete };
        machine.decide(&wanted(true), now)?;
        let dropped = || (!whole).then(|| row.to_delete.clone());
        let was_stuck = row.folder.as_ref().is_some_and(|folder| folder.stuck);
        if was_stuck {
            self.clear_folder(&row, dropped()).await?;
        }
        let mut step = Step::default();
        let (mut gone, mut closed) = (Vec::new(), Vec::new());
        for announced in row.bundles.iter().filter(|one| one.side == Side::Requester) {
            let letter = match self.letter(&row, Side::Requester, announced.seq) {
                Ok(letter) => letter,
                // Its key is gone already: what is left are rows.
                Err(refused) if refused.code == "purged" => super::Letter::default(),
                Err(refused) => return Err(refused),
            };
            let (deleted, stay): (Vec<_>, Vec<_>) = letter
                .files
                .iter()
                .cloned()
                .partition(|file| whole || row.to_delete.contains(&file.file.file_id));
            gone.extend(deleted.iter().map(|file| file.kept.clone()));
            let pulled = self.pulled_of(&row, announced.seq)?;
            let key = super::letters::letter_key(&row.process(), Side::Requester, announced.seq);
            if whole || self.names(&pulled, announced.bundle, &row.to_delete).await? {
                gone.extend(pulled.parts);
                closed.push(announced.seq);
                step.packs.push((key.clone(), None));
            }
            match whole {
                true => step.letters.push((key, None)),
                false if !deleted.is_empty() => {
                    let letter = super::Letter {
                        files: stay,
                        ..letter
                    };
                    self.put_paper(&mut step, &row, Side::Requester, announced.seq, &letter)?;
                }
                false => {}
            }
        }
        let details = json!({ "request": id, "whole": whole, "files": gone.len() });
        let cites = self
            .act(
                &Principal::node(),
                "delete_disclosed",
                "taken back or ended",
                details,
            )
            .await?;
        let is_stuck = !was_stuck && self.clear_folder(&row, dropped()).await.is_err();
        if let Some(folder) = &mut row.folder {
            folder.stuck = is_stuck;
            match is_stuck {
                true => _ = row.notices.insert(super::folder::NOT_DELETED.to_owned()),
                false => _ = row.notices.remove(super::folder::NOT_DELETED),
            }
        }
        for announced in &mut row.bundles {
            if announced.side == Side::Requester && closed.contains(&announced.seq) {
                announced.close(whole);
            }
        }
        if whole {
            self.vault.forget(VaultPart::Content, row.subject)?;
        }
        for kept in &gone {
            self.vault.remove(kept)?;
        }
        step.files.extend(gone.iter().map(Held::dropped));
        let decision = super::participant::machine_of(&row)?.decide(&wanted(!is_stuck), now)?;
        if let Asking::Participant(machine) = &mut row.asking {
            machine.apply(&decision);
        }
        for told in decision.tell {
            let details = Details::default();
            self.say(
                &mut step,
                &mut row,
                &told.message,
                told.heard,
                &details,
                None,
                now,
            )?;
        }
        // Those that are stuck are what the next try deletes.
        if whole || !is_stuck {
            row.to_delete.clear();
        }
        step.requests.push(row);
        step.event("contribution.deleted", now);
        self.commit("delete_disclosed", &cites, step).await
    }

    /// Whether a bundle that is not all here has one of these files, as far as its manifest is here. Where it is not, whoever sends it
    /// refuses the rest.
    async fn names(&self, pulled: &Pack, bundle: Bundle, files: &[String]) -> Result<bool, Refused> {
        let manifest = self.manifest_of(pulled, bundle).await?;
        let manifest = manifest.and_then(|bytes| Manifest::read(&bytes, &bundle.manifest).ok());
        Ok(
            manifest
                .is_some_and(|manifest| manifest.files().iter().any(|file| files.contains(&file.file_id))),
        )
    }

    /// What of rounds goes with the content of a case: letters and bundles of its requests. Their key is that of the case. Gives the
    /// files of them.
    pub(in crate::casework) fn drop_rounds(
        &self,
        case: &super::super::row::CaseRow,
        step: &mut Step,
    ) -> Result<Vec<Kept>, Refused> {
        let mut gone = Vec::new();
        for round in self.rounds_of(case)? {
            for asked in &round.round.asked {
                let process = Process::Request(Side::Requester, asked.request.clone());
                let key = process.key();
                for table in [super::super::Table::Letters, super::super::Table::Packs] {
                    let rows = self.store.below::<String>(table, &key)?;
                    let keys = rows.into_iter().map(|(key, _)| (key, None));
                    match table {
                        super::super::Table::Letters => step.letters.extend(keys),
                        _ => step.packs.extend(keys),
                    }
                }
                let row = self.request(Side::Requester, &asked.request)?;
                gone.extend(self.files_of(&row));
            }
        }
        step.files.extend(gone.iter().map(Held::dropped));
        Ok(gone)
    }

    /// What lies here of a request of ours besides the files of its case.
    pub(in crate::casework) fn files_of(&self, row: &RequestRow) -> Vec<Kept> {
        let mut kept = Vec::new();
        for announced in &row.bundles {
            match announced.side {
                Side::Requester => {
                    if let Ok(pack) = self.pack_of(row, announced.seq) {
                        kept.extend(pack.files.into_iter().take(pack.anew));
                    }
                }
                Side::Participant => {
                    let letter = self.letter(row, Side::Participant, announced.seq);
                    kept.extend(letter.unwrap_or_default().files.into_iter().map(|file| file.kept));
                    kept.extend(self.pulled_of(row, announced.seq).unwrap_or_default().parts);
                }
            }
        }
        kept
    }
}

/// Whether files that were taken back are still to be deleted. Once everything is deleted there are none.
fn has_taken_back(row: &RequestRow, machine: &Participant) -> bool {
    !row.to_delete.is_empty() && machine.allows(participant::Act::StatePurge)
}

impl Step {
    /// A request that could not be delivered, or whose delivery is tried again.
    pub(in crate::casework) fn undeliverable(&mut self, now: Timestamp) {
        let table = HolidayTable::built_in();
        for row in &mut self.requests {
            let decision = row
                .requester()
                .and_then(|machine| machine.decide(requester::Command::Fail, now, table).ok());
            if let Some(decision) = decision {
                row.decided(&decision);
            }
        }
    }

    /// A parked message is sent again, or given up: whatever who asks has decided counts, so that it gives up only what asks or reminds;
    /// what who is asked has entered may be given up, and nothing follows from it, but for a statement that a newer version is built on.
    pub(in crate::casework) fn tried_again(
        &mut self,
        again: bool,
        parked: &OutRow,
        now: Timestamp,
    ) -> Result<(), Refused> {
        let table = HolidayTable::built_in();
        for row in &mut self.requests {
            match &mut row.asking {
                Asking::Participant(machine) if !again && machine.is_built_on() => {
                    let detail =
                        "a newer version waits behind this statement, and would be refused without it";
                    return Err(Refused::conflict("not_voidable", detail)
                        .hint("send it again; the newer one follows it"));
                }
                Asking::Participant(machine) => {
                    if let Some(decision) = machine.gave_up().filter(|_| !again) {
                        machine.apply(&decision);
                    }
                }
                Asking::Requester(_) if !again && !matches!(parked.kind.as_str(), "inquire" | "reminder") => {
                    let detail = format!(
                        "{} is decided and counts; it can be sent again, and not be given up",
                        parked.kind
                    );
                    return Err(Refused::conflict("not_voidable", detail)
                        .hint("send it again, or take the request back and ask anew"));
                }
                Asking::Requester(machine) => {
                    let retry = (again && parked.seq == 1)
                        .then(|| machine.decide(requester::Command::Retry, now, table).ok());
                    if let Some(decision) = retry.flatten() {
                        machine.apply(&decision);
                    }
                }
            }
        }
        Ok(())
    }
}
