//! A guest: somebody without a node, who opens a request by link and code at the requester's node.
//!
//! The first opening with the code is the delivery. The code is never kept, only its digest with the invitation's own salt; after
//! some wrong ones the invitation is locked until it is renewed. What follows is told as proof of the level `guest` everywhere.

use jiff::Timestamp;
use kontor_pki::crypto::sha256;
use serde::{Deserialize, Serialize};

use crate::application::manifest::Digest;
use crate::transfer::offer::Id;

/// Wrong codes after which an invitation is locked.
pub const MAX_TRIES: u8 = 5;

/// An invitation.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct Invitation {
    /// The guest: party `guest/<uuid>`.
    pub guest: Id,
    salt: Digest<32>,
    code: Digest<32>,
    /// Until when it can be opened.
    pub ends: Timestamp,
    tries: u8,
    opened_at: Option<Timestamp>,
}

/// What an opening shows.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Opening {
    /// It was the first one: the delivery.
    First,
    /// It was opened before.
    Again,
}

/// Why it is not opened.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
pub enum GuestError {
    /// Another code.
    #[error("this is not the code of the invitation; {left} tries are left")]
    WrongCode {
        /// How many tries are left.
        left: u8,
    },
    /// Too many wrong ones.
    #[error("the invitation is locked after {MAX_TRIES} wrong codes; ask the authority for a new code")]
    Locked,
    /// It is over.
    #[error("the invitation ended; ask the authority")]
    Ended,
}

impl GuestError {
    /// The machine code.
    pub const fn code(self) -> &'static str {
        match self {
            Self::WrongCode { .. } => "guest_code_wrong",
            Self::Locked => "guest_locked",
            Self::Ended => "guest_ended",
        }
    }
}

impl Invitation {
    /// An invitation with a code that nobody has seen, and a salt of its own.
    pub fn new(guest: Id, code: &str, salt: [u8; 32], ends: Timestamp) -> Self {
        Self {
            guest,
            salt: Digest(salt),
            code: digest(&salt, code),
            ends,
            tries: 0,
            opened_at: None,
        }
    }

    /// When it was opened first.
    pub const fn opened_at(&self) -> Option<Timestamp> {
        self.opened_at
    }

    /// Opens it. Wrong codes are counted here too: what this changes is to be kept whatever it returns.
    ///
    /// # Errors
    /// Another code, too many of them, or it is over.
    pub fn open(&mut self, code: &str, now: Timestamp) -> Result<Opening, GuestError> {
        if now >= self.ends {
            return Err(GuestError::Ended);
        }
        if self.tries >= MAX_TRIES {
            return Err(GuestError::Locked);
        }
        if digest(&self.salt.0, code) != self.code {
            self.tries += 1;
            return Err(match MAX_TRIES - self.tries {
                0 => GuestError::Locked,
                left => GuestError::WrongCode { left },
            });
        }
        self.tries = 0;
        let opening = match self.opened_at {
            None => Opening::First,
            Some(_) => Opening::Again,
        };
        self.opened_at.get_or_insert(now);
        Ok(opening)
    }

    /// A new code for the same guest; that it was opened before stays.
    pub fn renew(&mut self, code: &str, salt: [u8; 32], ends: Timestamp) {
        *self = Self {
            opened_at: self.opened_at,
            ..Self::new(self.guest.clone(), code, salt, ends)
        };
    }
}

/// Of salt and code together; comparing two of them tells nothing about the code.
fn digest(salt: &[u8; 32], code: &str) -> Digest<32> {
    Digest(sha256(&[&salt[..], code.trim().as_bytes()].concat()))
}

#[cfg(test)]
mod tests {
    use jiff::ToSpan;

    use super::*;

    #[test]
    fn the_first_opening_with_the_code_is_the_delivery_and_wrong_codes_lock() {
        let now: Timestamp = "2026-05-04T11:20:00Z".parse().unwrap();
        let guest = Id::try_from("0f8fad5b-d9cb-469f-a165-708676895012".to_owned()).unwrap();
        let mut invitation = Invitation::new(guest, "K7M-42Q", [3; 32], now + 100.hours());
        let kept = serde_json::to_string(&invitation).unwrap();
        assert!(!kept.contains("K7M"), "the code is not kept");
        assert_eq!(invitation.open("K7M-42Q ", now), Ok(Opening::First));
        assert_eq!(invitation.open("K7M-42Q", now + 1.hour()), Ok(Opening::Again));
        assert_eq!(invitation.opened_at(), Some(now));
        for left in [4, 3, 2, 1] {
            assert_eq!(invitation.open("k7m", now), Err(GuestError::WrongCode { left }));
        }
        assert_eq!(invitation.open("k7m", now), Err(GuestError::Locked));
        assert_eq!(invitation.open("K7M-42Q", now), Err(GuestError::Locked));
        invitation.renew("NEW-1", [4; 32], now + 10.hours());
        assert_eq!(invitation.open("NEW-1", now), Ok(Opening::Again));
        assert_eq!(invitation.open("NEW-1", now + 10.hours()), Err(GuestError::Ended));
    }
}
