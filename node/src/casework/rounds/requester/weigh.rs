//! Weighing (Abwägung): the statement that counts, how it is treated, and what the participant is told of it.

use kontor_participation::round::delivery::Side;
use kontor_participation::round::statement::Statement;
use kontor_participation::round::statement::assessment::Assessment;

use super::super::super::{Casework, Refused};
use super::super::letters::Packed;
use super::super::row::RequestRow;
use super::{Command, Details, missing};

impl Casework {
    /// The newest statement that counts, as it came.
    pub(in crate::casework) fn newest_statement(
        &self,
        row: &RequestRow,
    ) -> Result<Option<Statement>, Refused> {
        let request = row.expected();
        let counts = |statement: &Statement| {
            let place = usize::try_from(statement.version.saturating_sub(1)).ok();
            let version = place.and_then(|place| request.versions().get(place));
            version.is_some_and(|version| !version.judgement.kept_beside)
        };
        let here = row
            .bundles
            .iter()
            .filter(|one| one.side == Side::Participant && one.kind == "statement" && one.complete);
        for announced in here.rev() {
            let letter = self.letter(row, Side::Participant, announced.seq)?;
            let statement = Statement::read(letter.document.as_bytes()).ok();
            if let Some(statement) = statement.filter(counts) {
                return Ok(Some(statement));
            }
        }
        Ok(None)
    }

    /// An assessment, held against the statement; kept until it is told.
    pub(super) fn assessed(&self, row: &RequestRow, details: &Details) -> Result<String, Refused> {
        let assessment = details
            .assessment
            .as_ref()
            .ok_or_else(|| missing(Command::Assess, "assessment"))?;
        if let Some(waits) = row
            .bundles
            .iter()
            .find(|one| one.side == Side::Participant && one.kind == "statement" && !one.complete)
        {
            let detail = match &waits.problem {
                None => "the statement is being fetched".to_owned(),
                Some(problem) => format!("the statement cannot be read: {problem}"),
            };
            return Err(Refused::conflict("statement_not_here", detail));
        }
        let statement = self.newest_statement(row)?.ok_or_else(|| {
            Refused::conflict(
                "nothing_to_assess",
                "there is no statement that could be assessed",
            )
        })?;
        assessment
            .check(&statement)
            .map_err(|error| Refused::invalid(error.code(), error.to_string()).at("/assessment"))?;
        serde_json::to_string(assessment).map_err(|error| Refused::internal(&error))
    }

    /// What the participant is told: the assessment that was recorded, or that there was nothing to assess.
    pub(super) async fn outcome(&self, row: &RequestRow, details: &Details) -> Result<Packed, Refused> {
        let recorded = self.assessment_of(row)?;
        let mut assessment = match (recorded, &details.assessment) {
            (Some(recorded), _) => recorded,
            (None, Some(given)) if given.version.is_none() => given.clone(),
            (None, Some(_)) => {
                let detail = "there is no statement of which an assessment could be told";
                return Err(Refused::invalid("nothing_to_assess", detail).at("/assessment/version"));
            }
            (None, None) => Assessment {
                version: None,
                treated: Vec::new(),
                decision: None,
            },
        };
        if let Some(decision) = details
            .assessment
            .as_ref()
            .and_then(|given| given.decision.clone())
        {
            assessment.decision = Some(decision);
        }
        let document = serde_json::to_vec(&assessment).map_err(|error| Refused::internal(&error))?;
        self.packed(document, "assessment.json", Vec::new()).await
    }

    /// The assessment that is recorded.
    pub(in crate::casework) fn assessment_of(&self, row: &RequestRow) -> Result<Option<Assessment>, Refused> {
        let rows = self.sent_messages(&row.process())?;
        let Some(seq) = rows.iter().rfind(|out| out.kind == "assessed").map(|out| out.seq) else {
            return Ok(None);
        };
        let letter = self.letter(row, Side::Requester, seq)?;
        Ok(serde_json::from_str(&letter.document).ok())
    }
}
