//! Transfers of applications (Vorgänge) between authorities and participation of chambers and associations, without
//! I/O: states, decisions and messages of procedures with rounds, deadlines and statements.
//!
//! In scope: what may happen next in a procedure, and what each side is told. Out of scope: delivering it (an ordinary
//! X-Road service of a node) and keeping it (ports that the node implements).
//!
//! This version of Kontor carries messages only; the crate holds its place between `protocol` and `node`, so that
//! imports keep their one direction when procedures come.

#![warn(missing_docs, clippy::wildcard_enum_match_arm)]
