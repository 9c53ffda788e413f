//! Bundles on their way: those of the other side, pulled part by part and checked file by file, and those that are pulled from here.

use bytes::Bytes;
use http::{Method, Response, StatusCode};
use kontor_participation::application::manifest::PART;
use kontor_participation::calendar::HolidayTable;
use kontor_participation::deadline::end_of;
use kontor_participation::round::delivery::{Place, Side};
use kontor_participation::round::disclosure::sheet::Sheet;
use kontor_participation::round::statement::Statement;
use kontor_participation::round::statement::assessment::Assessment;
use kontor_participation::transfer::offer::Id;
use serde_json::json;

use super::super::caller::Caller;
use super::super::files::Held;
use super::super::inbox::Brought;
use super::super::pull::{Imported, PART_GONE, PART_REVOKED, SMALL, Whence, part_gone};
use super::super::row::{Pack, Process};
use super::super::{Casework, Refused, Step};
use super::letters::Letter;
use super::requester::Details;
use super::row::{Announced, Asking, RequestRow};
use crate::body::OutBody;
use crate::config::casework::PARTICIPATION;
use crate::messagelog::Kept;

impl Casework {
    /// A part of a bundle of ours, for whoever it was announced to. What the requester shows counts as fetched once all of it went out.
    pub(in crate::casework) async fn round_part(
        &self,
        brought: &Brought,
        id: &Id,
        by: Side,
        seq: u32,
        part: u64,
    ) -> Result<Response<OutBody>, Refused> {
        let row = self.request(by, id)?;
        if row.peer != brought.client.to_string() {
            return Err(Refused::not_found("request", id));
        }
        let announced = row.bundles.iter().find(|one| one.side == by && one.seq == seq);
        let Some(announced) = announced.cloned() else {
            return Err(Refused::new(
                StatusCode::NOT_FOUND,
                "not_found",
                "no message of that number has a bundle",
            ));
        };
        let shows = matches!(announced.kind.as_str(), "request" | "supplement");
        if by == Side::Requester && shows && !row.state().is_open_to_participant() {
            let detail = format!(
                "what was disclosed is closed: the request is {}",
                row.state().name()
            );
            return Err(Refused::new(StatusCode::GONE, "disclosure_closed", detail));
        }
        let ends = row.body.disclosure_ends.map(end_of).transpose();
        let ends = ends.map_err(|error| Refused::internal(&error))?;
        if by == Side::Requester && shows && ends.is_some_and(|ends| ends <= self.now()) {
            let detail = "what was disclosed is closed: its last day is over";
            return Err(Refused::new(StatusCode::GONE, "disclosure_closed", detail));
        }
        let pack = self.pack_of(&row, seq)?;
        self.has_nothing_revoked(&row, &announced)?;
        let answer = self.part_of(pack, part).await?;
        if by == Side::Requester && !announced.complete && part < announced.bundle.parts() {
            self.served(brought, id, seq, part).await?;
        }
        Ok(answer)
    }

    /// A bundle with a file that was taken back goes out no more: its parts are one stream.
    fn has_nothing_revoked(&self, row: &RequestRow, announced: &Announced) -> Result<(), Refused> {
        let letter = self.letter(row, announced.side, announced.seq)?;
        let revoked = letter
            .files
            .iter()
            .any(|file| row.access.is_revoked(&file.file.file_id));
        match revoked {
            false => Ok(()),
            true => Err(Refused::new(
                StatusCode::GONE,
                "file_revoked",
                "a file of this bundle was taken back before it was fetched",
            )),
        }
    }

    /// Notes that a part went out; with the last one the participant has everything, which is what its clock waits for.
    async fn served(&self, brought: &Brought, id: &Id, seq: u32, part: u64) -> Result<(), Refused> {
        let _lock = self.lock(&[id]).await;
        let mut row = self.request(Side::Requester, id)?;
        let Some(announced) = row
            .bundles
            .iter_mut()
            .find(|one| one.side == Side::Requester && one.seq == seq && !one.complete)
        else {
            return Ok(());
        };
        if !announced.served.insert(part) {
            return Ok(());
        }
        announced.complete = announced.served.len() as u64 == announced.bundle.parts();
        if announced.complete {
            announced.served.clear();
            announced.exchange = Some(brought.query_id.clone());
        }
        let shown = |one: &&Announced| {
            one.side == Side::Requester && matches!(one.kind.as_str(), "request" | "supplement")
        };
        let all = row.bundles.iter().filter(shown).all(|one| one.complete);
        let now = self.now();
        let mut step = Step::default();
        let Asking::Requester(machine) = &row.asking else {
            return Ok(());
        };
        if let Some(decision) = all
            .then(|| machine.fetched(now, HolidayTable::built_in()))
            .flatten()
        {
            let tell = row.decided(&decision);
            self.tell(&mut step, &mut row, tell, &Details::default(), None, now)?;
            step.requests.push(row);
            step.event("request.fetched", now);
        } else {
            step.requests.push(row);
        }
        // The question that was answered is the entry that this rests on.
        let cites = self.cited(&brought.entry);
        self.commit("served", &cites, step).await
    }

    /// Pulls what was announced and is not here; whether it got further.
    pub(in crate::casework) async fn fetch_announced(
        &self,
        caller: &Caller,
        process: &Process,
    ) -> Result<bool, Refused> {
        let Process::Request(side, id) = process else {
            return Ok(false);
        };
        let row = self.request(*side, id)?;
        if !self.wants(&row)? {
            return Ok(false);
        }
        let theirs = row.side().other();
        let next = row.bundles.iter().find(|one| one.side == theirs && one.is_open());
        let Some(announced) = next.cloned() else {
            return Ok(false);
        };
        let mut announced = announced;
        let (pack, octets) = match announced.bundle.octets <= SMALL {
            true => {
                let place = place(&row, &announced, 0);
                let came = caller
                    .call(&row.peer, PARTICIPATION, Method::GET, &place, Bytes::new())
                    .await
                    .map_err(|error| Refused::unavailable("part_not_pulled", error))?;
                if let Some(code) = part_gone(came.status, &came.body) {
                    return self.gone(&row, &announced, code).await;
                }
                if came.status != StatusCode::OK || came.body.len() as u64 != announced.bundle.octets {
                    let detail = format!(
                        "status {} and {} octets, {} are expected",
                        came.status.as_u16(),
                        came.body.len(),
                        announced.bundle.octets
                    );
                    return Err(Refused::unavailable("part_not_pulled", detail));
                }
                announced.exchange = came.query_id;
                (Pack::default(), came.body)
            }
            false => match self.fetch_parts(caller, &row, &announced).await {
                Ok(Some(pack)) => (pack, Bytes::new()),
                Ok(None) => return Ok(false),
                Err(refused) if matches!(refused.code, PART_GONE | PART_REVOKED) => {
                    return self.gone(&row, &announced, refused.code).await;
                }
                Err(refused) => return Err(refused),
            },
        };
        self.arrived_bundle(&row, &announced, &pack, octets).await?;
        Ok(true)
    }

    /// Whether this side still wants what was announced: what comes is sealed under a key that goes with the content.
    pub(super) fn wants(&self, row: &RequestRow) -> Result<bool, Refused> {
        match &row.asking {
            Asking::Requester(_) => match &row.case {
                Some(case) => Ok(self.case(case)?.purged_at.is_none()),
                None => Ok(false),
            },
            Asking::Participant(machine) => Ok(machine.may_open(self.now())),
        }
    }

    /// The same for one bundle, which may have been closed meanwhile.
    fn awaits(&self, row: &mut RequestRow, announced: &Announced) -> Result<bool, Refused> {
        Ok(announced_in(row, announced).is_some_and(|one| one.is_open()) && self.wants(row)?)
    }

    /// A large bundle, part by part, each on disk before the next is asked for.
    async fn fetch_parts(
        &self,
        caller: &Caller,
        row: &RequestRow,
        announced: &Announced,
    ) -> Result<Option<Pack>, Refused> {
        let mut pack = self.pulled_of(row, announced.seq)?;
        while (pack.parts.len() as u64) < announced.bundle.parts() {
            let part = pack.parts.len() as u64;
            let whence = Whence {
                peer: &row.peer,
                service: PARTICIPATION,
                path: place(row, announced, part),
            };
            let kept = self.fetch(caller, &whence, announced.bundle, part).await?;
            let _lock = self.lock(&[row.id()]).await;
            let mut now_row = self.request(row.side(), row.id())?;
            if !self.awaits(&mut now_row, announced)? {
                self.vault.remove(&kept)?;
                return Ok(None);
            }
            let mut step = Step {
                files: vec![Held::by(row.id(), &kept)],
                ..Step::default()
            };
            pack.parts.push(kept);
            if let Some(one) = announced_in(&mut now_row, announced) {
                one.pulled = part + 1;
            }
            self.put_pulled(&mut step, &now_row, announced.seq, Some(&pack))?;
            let cites = now_row.cites.clone();
            step.requests.push(now_row);
            self.commit("progress", &cites, step).await?;
        }
        Ok(Some(pack))
    }

    /// What was announced is not to be had any more.
    async fn gone(&self, row: &RequestRow, announced: &Announced, code: &str) -> Result<bool, Refused> {
        let _lock = self.lock(&[row.id()]).await;
        let mut row = self.request(row.side(), row.id())?;
        let pulled = self.pulled_of(&row, announced.seq)?.parts;
        if let Some(one) = announced_in(&mut row, announced) {
            one.close(code != PART_REVOKED);
        }
        let cites = row.cites.clone();
        let mut step = Step {
            files: pulled.iter().map(Held::dropped).collect(),
            ..Step::default()
        };
        self.put_pulled(&mut step, &row, announced.seq, None)?;
        step.requests.push(row);
        self.commit("progress", &cites, step).await?;
        for part in &pulled {
            self.vault.remove(part)?;
        }
        Ok(false)
    }

    /// Checks a bundle file by file and puts it where people read it.
    pub(super) async fn arrived_bundle(
        &self,
        row: &RequestRow,
        announced: &Announced,
        pack: &Pack,
        octets: Bytes,
    ) -> Result<(), Refused> {
        let imported = self.check(pack, octets, announced.bundle).await?;
        let came: Vec<Kept> = imported.files.iter().map(|file| file.kept.clone()).collect();
        // Where this ends with an error it is not known whether something refers to them; the next start removes what nothing does.
        let taken = self.take_bundle(row, announced, pack, imported).await?;
        for kept in came.iter().filter(|kept| !taken.contains(kept)) {
            self.vault.remove(kept)?;
        }
        Ok(())
    }

    /// Puts what was checked where people read it, as far as it is still wanted; gives what is kept of its files.
    async fn take_bundle(
        &self,
        row: &RequestRow,
        announced: &Announced,
        pack: &Pack,
        imported: Imported,
    ) -> Result<Vec<Kept>, Refused> {
        let document = String::from_utf8(imported.texts.form).unwrap_or_default();
        let problem = match imported.complete {
            false => Some("manifest_mismatch"),
            true => unreadable(&announced.kind, &document),
        };
        let _lock = self.lock(&[row.id()]).await;
        let mut row = self.request(row.side(), row.id())?;
        let now = self.now();
        if !self.awaits(&mut row, announced)? {
            return Ok(Vec::new());
        }
        let mut step = Step {
            files: pack.parts.iter().map(Held::dropped).collect(),
            ..Step::default()
        };
        if !pack.parts.is_empty() {
            self.put_pulled(&mut step, &row, announced.seq, None)?;
        }
        let (theirs, seq) = (announced.side, announced.seq);
        if let Some(one) = announced_in(&mut row, announced) {
            one.complete = problem.is_none();
            one.exchange.clone_from(&announced.exchange);
            one.problem = problem.map(str::to_owned);
        }
        // What was taken back before it was here is deleted already, as the other side was told.
        let files = imported.files.into_iter();
        let files: Vec<_> = files
            .filter(|file| !row.access.is_revoked(&file.file.file_id))
            .collect();
        let mut taken = Vec::new();
        match problem {
            None => {
                taken.extend(files.iter().map(|file| file.kept.clone()));
                step.files
                    .extend(files.iter().map(|file| Held::by(row.id(), &file.kept)));
                let letter = Letter {
                    document,
                    words: String::new(),
                    files,
                };
                self.put_paper(&mut step, &row, theirs, seq, &letter)?;
            }
            Some(code) => {
                tracing::warn!(request = %row.id(), seq, code, "a bundle is not what was announced");
                row.notices.insert("bundle_unreadable".to_owned());
            }
        }
        let details = json!({
            "request": row.id(), "seq": seq, "kind": announced.kind, "complete": problem.is_none(),
            "manifest": announced.bundle.manifest,
        });
        let cites = self
            .act(
                &super::super::Principal::node(),
                "fetched",
                "participation",
                details,
            )
            .await?;
        let name = row.process().name();
        step.requests.push(row);
        step.event(&format!("{name}.fetched"), now);
        self.commit("fetched", &cites, step).await?;
        for part in &pack.parts {
            self.vault.remove(part)?;
        }
        Ok(taken)
    }
}

fn place(row: &RequestRow, announced: &Announced, part: u64) -> String {
    Place::Part {
        request: row.id().clone(),
        side: announced.side,
        seq: announced.seq,
        part,
    }
    .to_string()
}

fn announced_in<'a>(row: &'a mut RequestRow, announced: &Announced) -> Option<&'a mut Announced> {
    row.bundles
        .iter_mut()
        .find(|one| one.side == announced.side && one.seq == announced.seq)
}

/// Why the document of a bundle cannot be read as what it has to be.
fn unreadable(kind: &str, document: &str) -> Option<&'static str> {
    let reads = match kind {
        "request" | "supplement" => serde_json::from_str::<Sheet>(document).is_ok(),
        "statement" => Statement::read(document.as_bytes()).is_ok(),
        "outcome" => serde_json::from_str::<Assessment>(document).is_ok(),
        _ => serde_json::from_str::<serde_json::Value>(document).is_ok_and(|text| text["text"].is_string()),
    };
    (!reads).then_some("document_unreadable")
}

/// Octets of the largest part.
const _: () = assert!(
    PART <= 8 * 1024 * 1024,
    "an answer between nodes has at most 8 MiB"
);
