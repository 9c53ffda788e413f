//! Certificates, OCSP, time-stamps and keys of a Kontor node.
//!
//! This crate owns what is true of bytes alone: it reads and writes X.509 certificates, OCSP messages, RFC 3161
//! tokens and sealed keys, reads tokens that persons are known by, and judges them at an instant that the caller names. It has no sockets, files, clocks or
//! tasks, and knows neither X-Road messages nor global configuration.
//!
//! Clauses cited as "wire N" are sections of the project's digest of the X-Road 7 wire format.
//!
//! The modules, from the ground up; each imports only modules above it.

#![warn(missing_docs, clippy::wildcard_enum_match_arm)]

pub mod time;
pub mod der;
pub mod crypto;
pub mod signing;
pub mod token;
pub mod certificate;
pub mod chain;
pub mod profile;
pub mod ocsp;
pub mod timestamp;
pub mod evidence_record;
pub mod sealed;
pub mod request;
#[cfg(feature = "legacy-cbc")]
pub mod legacy_cbc;
pub mod authority;

#[cfg(test)]
mod vectors;

pub use time::UnixTime;
