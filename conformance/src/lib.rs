//! Conformance suite and benchmark for X-Road nodes.
//!
//! The suite talks to a node as others do: over its sockets and its command line. It starts real processes with directories
//! and addresses of their own, an authority that lies on command, a service that counts its calls and peers that keep or
//! break the protocol. It never uses the crate `node`; what it sends is written by its own small writers, and what it judges
//! is judged by other tools where they exist.
//!
//! The modules from the ground up: each imports only those above it.

pub mod requirement;
pub mod report;
pub mod clock;
pub mod usage;
pub mod address;
pub mod wire;
pub mod directory;
pub mod authority;
pub mod subject;
pub mod plan;
pub mod peer;
pub mod federation;
pub mod tamper;
pub mod evidence;
pub mod service;
pub mod bench;
pub mod kill;
pub mod power;
pub mod memory;
pub mod change;
pub mod hostile;
pub mod handshakes;
pub mod wires;
mod document;
pub mod desk;
mod scripted;
pub mod instance;
pub mod issuer;
pub mod cases;
pub mod oidc;
pub mod large;
pub mod transfers;
pub mod suite;
pub mod interface;
pub mod requests;
