//! Transfers of applications (Vorgänge) between authorities and participation of chambers and associations, without
//! I/O: states, decisions and messages of procedures with rounds, deadlines and statements.
//!
//! In scope: what may happen next in a procedure, and what each side is told. Out of scope: delivering it (an ordinary
//! X-Road service of a node) and keeping it (ports that the node implements).
//!
//! This version holds the application as it travels, what in it needs a look, who is competent, the calendar and deadlines, the
//! life of a transfer, and that of rounds and requests of participation. A node runs both.

#![warn(missing_docs, clippy::wildcard_enum_match_arm)]

pub mod application;
pub mod calendar;
pub mod case;
pub mod competence;
pub mod deadline;
pub mod envelope;
pub mod findings;
pub mod transfer;
pub mod round;
