//! The messages, evidence and trust of a Kontor node, without sockets, files, clocks or tasks.
//!
//! *In scope:* identifiers and fault codes of X-Road 7, the bytes of a REST message, the multipart transport between
//! security servers, hash chains and signatures, the global configuration, access rights, the formats of the message
//! log and its evidence containers. *Out of scope:* everything that waits, opens or remembers; that is `kontor-node`.
//!
//! Time comes in as a value, randomness as bytes. Every parser obeys a bound of [`limits`] and refuses with a code.
//! Clauses are cited as "wire 2.4": the section of the X-Road wire digest that the rule comes from.
//!
//! The modules read from the ground up: each imports only from those listed above it.

#![warn(missing_docs, clippy::wildcard_enum_match_arm)]

pub mod limits;
pub mod xml;
pub mod c14n;
pub mod id;
pub mod fault;
pub mod rest;
pub mod multipart;
pub mod transport;
pub mod hand_out;
pub mod hash_chain;
pub mod signature;
pub mod trust;
pub mod verify;
pub mod access;
pub mod log;
pub mod container;
pub mod statement;
pub mod archive;
pub mod package;
