//! Legal hold: names entries of which nothing may be deleted, and ends that. Owns that a hold and a purge never overlap: once
//! a hold is acknowledged no purge that was planned before it goes on.

use std::sync::PoisonError;

use super::{
    MessageLog,
    archive::ArchivedCopies,
    deletion::{Held, Released},
    entry::Receipt,
    error::LogError,
    fact::{Fact, FactKind},
    keytree::BlobClass,
    numbers::NumberSet,
    purge::State,
};

/// A hold in force.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Hold {
    /// Its entry.
    pub entry: u64,
    /// What it says.
    pub said: Held,
    /// What may not be deleted.
    pub numbers: NumberSet,
}

impl MessageLog {
    /// Holds entries. Waits for a purge that is on its way.
    pub async fn hold(&self, numbers: NumberSet, said: Held) -> Result<Receipt, LogError> {
        let log = self.clone();
        let hold = move || {
            let _no_purge = log.purging.lock().unwrap_or_else(PoisonError::into_inner);
            // What does not exist yet cannot be meant.
            if let Some(number) = numbers.last().filter(|last| *last >= log.stats().entries) {
                return Err(LogError::NotFound { number });
            }
            log.append_blocking(Fact::new(FactKind::Hold, &said).about(numbers))
        };
        tokio::task::spawn_blocking(hold)
            .await
            .map_err(|_| LogError::Closed)?
    }

    /// Archives that alone hold the content of some of these entries: a hold cannot keep those files.
    pub async fn only_archived(&self, numbers: NumberSet) -> Result<Option<ArchivedCopies>, LogError> {
        let mut reader = self.reader();
        let look = move || {
            let dropped = reader.dropped(BlobClass::Head)?;
            reader.copies(&numbers.both(&dropped), BlobClass::Head)
        };
        tokio::task::spawn_blocking(look)
            .await
            .map_err(|_| LogError::Closed)?
    }

    /// Ends a hold, by the number of its entry.
    pub async fn release(&self, said: Released) -> Result<Receipt, LogError> {
        let log = self.clone();
        let release = move || {
            let _no_purge = log.purging.lock().unwrap_or_else(PoisonError::into_inner);
            let holds = log.reader().holds()?;
            let found = holds.into_iter().find(|(entry, ..)| *entry == said.hold);
            let (_, _, numbers) = found.ok_or_else(|| LogError::Unsuited {
                number: said.hold,
                found: "no hold or released already".into(),
                wanted: "a hold in force",
            })?;
            let first = numbers.iter().next().unwrap_or(0);
            let receipt = log.append_blocking(Fact::new(FactKind::HoldReleased, &said).about(numbers))?;
            // A crash before this is written: what was on hold stays until the purge state is made anew.
            let mut state = State::load(&log.home);
            state.look_again(first);
            state.save(&log.home)?;
            Ok(receipt)
        };
        tokio::task::spawn_blocking(release)
            .await
            .map_err(|_| LogError::Closed)?
    }

    /// The holds in force.
    pub async fn holds(&self) -> Result<Vec<Hold>, LogError> {
        let mut reader = self.reader();
        let holds = tokio::task::spawn_blocking(move || reader.holds())
            .await
            .map_err(|_| LogError::Closed)??;
        let hold = |(entry, said, numbers)| Hold { entry, said, numbers };
        Ok(holds.into_iter().map(hold).collect())
    }
}
