//! Bytes as the suite writes and reads them, independent of the code under test.
//!
//! What it sends to a subject is written here; nothing of it comes from the writers of `kontor_protocol`.

pub mod chain;
pub mod filler;
pub mod http;
pub mod message;
pub mod pace;
pub mod parts;
pub mod signature;
pub mod soap;
pub mod tls;
