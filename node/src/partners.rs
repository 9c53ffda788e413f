//! With whom the node has exchanged messages since its checkpoints were last shown to them.

use std::collections::HashSet;
use std::sync::{Mutex, MutexGuard, PoisonError};

use kontor_protocol::id::MemberId;

/// More members than a node exchanges with in a minute; those beyond are shown the checkpoint after their next message.
const MOST: usize = 4096;

/// See the module.
#[derive(Debug, Default)]
pub struct Partners(Mutex<HashSet<MemberId>>);

impl Partners {
    fn lock(&self) -> MutexGuard<'_, HashSet<MemberId>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Notes the other side of an exchange.
    pub fn note(&self, member: &MemberId) {
        let mut members = self.lock();
        if !members.contains(member) && members.len() < MOST {
            members.insert(member.clone());
        }
    }

    /// Takes those that were noted.
    pub fn take(&self) -> HashSet<MemberId> {
        std::mem::take(&mut *self.lock())
    }
}
