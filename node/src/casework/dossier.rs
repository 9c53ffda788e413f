//! The dossier of a case: what its line-of-business system says of it besides form and files, what came with it from another
//! authority, and what of both goes with it when it is handed over.

use kontor_participation::transfer::dossier::{
    Comment, Dossier, MAX_ITEMS, Proposal, Reference, ReferenceKind,
};
use kontor_participation::transfer::offer::{Id, RunningDeadline};
use serde_json::json;

use super::cases::{WORKERS, may_act};
use super::row::{CaseContent, CaseRow};
use super::{Casework, Principal, Refused, Step};
use crate::messagelog::VaultPart;

impl Casework {
    /// Puts another dossier in the place of the one that is there. Running deadlines and what an offer says of payment, decisions and
    /// questions follow from it.
    pub(crate) async fn put_dossier(
        &self,
        who: &Principal,
        id: &Id,
        version: u64,
        document: &[u8],
    ) -> Result<CaseRow, Refused> {
        who.needs(&WORKERS)?;
        let refused = |error: kontor_participation::transfer::dossier::DossierError| {
            Refused::invalid(error.code(), error.to_string()).at(error.pointer().to_owned())
        };
        let dossier = Dossier::read(document).map_err(refused)?;
        let _lock = self.lock(&[id]).await;
        let mut case = self.matching(who, id, version)?;
        let now = self.decisive_now()?;
        may_act(who, &case)?;
        let mut content = self.content(&case)?;
        dossier
            .check_files(|file| content.files.iter().any(|known| known.file.file_id == file))
            .map_err(refused)?;
        let (paid, decided, open) = dossier.flags();
        case.flags.payment_done = paid;
        case.flags.decision_exists = decided;
        case.flags.open_question = open;
        case.deadlines = dossier
            .deadlines
            .iter()
            .filter(|deadline| deadline.running)
            .map(|deadline| RunningDeadline {
                effective_end: deadline.deadline.effective_end,
                ends_at: deadline.deadline.ends_at,
                silence_effect: deadline.silence_effect,
            })
            .collect();
        content.dossier = dossier;
        let sealed = self.seal(VaultPart::Content, case.subject, &content)?;
        let details = json!({ "case": id, "version": version });
        let cites = self.act(who, "dossier", "worker", details).await?;
        let mut step = Step {
            content: Some((id.clone(), Some(sealed))),
            case: Some(case),
            ..Step::default()
        };
        step.event("case.dossier", now);
        self.commit("dossier", &cites, step).await?;
        self.case(id)
    }

    /// The dossier as it goes with the case: with the own numbers as references, the own acts, open follow-ups as proposals, and the
    /// comments that travel.
    pub(super) fn travelling(&self, case: &CaseRow, content: &CaseContent) -> Result<Dossier, Refused> {
        let mut dossier = content.dossier.clone();
        let record = self.record(case)?;
        let authority = self.own().member().to_string();
        let own = [
            (ReferenceKind::CaseNumber, Some(record.number)),
            (ReferenceKind::FileReference, record.file_reference),
        ];
        for (kind, value) in own {
            let reference = value.map(|value| Reference {
                authority: authority.clone(),
                kind,
                value,
            });
            let known = reference
                .as_ref()
                .is_some_and(|it| dossier.references.contains(it));
            dossier.references.extend(reference.filter(|_| !known));
        }
        dossier.history.extend(case.history.iter().cloned());
        // The oldest ones stay in the log of whoever did them.
        let surplus = dossier.history.len().saturating_sub(MAX_ITEMS);
        dossier.history.drain(..surplus);
        let open = case.follow_ups.iter().filter(|follow_up| !follow_up.done);
        dossier.follow_ups.extend(open.map(|follow_up| {
            let words = content.follow_ups.iter().find(|(id, _)| *id == follow_up.id);
            Proposal {
                due: follow_up.date,
                text: words.map(|(_, text)| text.clone()).unwrap_or_default(),
            }
        }));
        let comments = content.comments.iter().filter(|comment| comment.travels);
        dossier.comments.extend(comments.map(|comment| Comment {
            at: comment.at,
            role: comment.role.clone(),
            text: comment.text.clone(),
        }));
        Ok(dossier)
    }
}
