//! Whether the log still stands, known to everything that writes: the first failure is final for the process, answers
//! every waiter and wakes whoever must end the node. Also the one measure of free space.

use std::{path::PathBuf, sync::Arc};

use tokio::sync::watch;

use super::error::LogError;
use crate::disk::Disk;

/// See the module. Clones share it.
#[derive(Clone)]
pub(crate) struct Status {
    failure: Arc<watch::Sender<Option<LogError>>>,
    disk: Arc<dyn Disk>,
    data: PathBuf,
    reserve: u64,
}

impl Status {
    pub(crate) fn new(disk: Arc<dyn Disk>, data: PathBuf, reserve: u64) -> Self {
        Self {
            failure: Arc::new(watch::Sender::new(None)),
            disk,
            data,
            reserve,
        }
    }

    /// Notes a failure and gives back the first there was.
    pub(crate) fn fail(&self, error: LogError) -> LogError {
        let mut first = error.clone();
        self.failure.send_if_modified(|failure| match failure {
            Some(earlier) => {
                first = earlier.clone();
                false
            }
            None => {
                *failure = Some(error);
                true
            }
        });
        first
    }

    pub(crate) fn check(&self) -> Result<(), LogError> {
        match &*self.failure.borrow() {
            Some(error) => Err(error.clone()),
            None => Ok(()),
        }
    }

    /// Resolves with the failure, should there ever be one.
    pub(crate) async fn failed(&self) -> LogError {
        let mut failure = self.failure.subscribe();
        let seen = failure.wait_for(Option::is_some).await;
        // The sender lives in `self`, so the wait cannot end without a value.
        seen.ok()
            .and_then(|seen| seen.clone())
            .unwrap_or(LogError::Closed)
    }

    /// Refuses work while less than the reserve is free. What cannot be measured is not refused: the write will tell.
    pub(crate) fn room(&self) -> Result<(), LogError> {
        match self.disk.free_space(&self.data) {
            Ok(free) if free < self.reserve => Err(self.full(free)),
            _ => Ok(()),
        }
    }

    /// The error for a write that found no space.
    pub(crate) fn no_space(&self) -> LogError {
        self.full(self.disk.free_space(&self.data).unwrap_or(0))
    }

    fn full(&self, free: u64) -> LogError {
        LogError::Full {
            path: self.data.display().to_string(),
            free,
            reserve: self.reserve,
        }
    }
}
