//! The Kontor node: sockets, files, clocks and tasks around the pure crates `participation`, `protocol` and `pki`.
//!
//! Reading order is the order of the modules below; a module uses only modules listed above it.
//! Three invariants hold everywhere:
//!
//! 1. **Nothing leaves unrecorded.** A request or an answer is released only while its log receipt is held.
//! 2. **Nothing is used unverified.** Services and information systems see only what was verified and permitted.
//! 3. **A crash at any point** leaves a state that start-up repairs through the function the running node uses.

pub mod clock;
pub mod disk;
pub mod secret;
pub mod config;
pub mod shutdown;
pub mod telemetry;
pub mod suites;
pub mod roots;
pub mod fetch;
pub mod bucket;
pub mod timestamper;
pub mod messagelog;
pub mod pace;
pub mod body;
pub mod head;
pub mod link;
pub mod drain;
pub mod failing;
pub mod globalconf;
pub mod chronicle;
pub mod purger;
pub mod keystore;
pub mod ocsp;
pub mod admission;
pub mod crowd;
pub mod listen;
pub mod tls;
pub mod sight;
pub mod gate;
pub mod in_force;
pub mod health;
pub mod hand_out;
pub mod methods;
pub mod registry;
pub mod peers;
pub mod verdicts;
pub mod signer;
pub mod spool;
pub mod partners;
pub mod quota;
pub mod handles;
pub mod reload;
pub mod receive;
pub mod evidence;
pub mod archiver;
pub mod renewer;
pub mod outbound;
pub mod witness;
pub mod casework;
pub mod transparency;
pub mod inbound;
pub mod administration;
pub mod startup;
pub mod authority;
mod desk;
pub mod up;
pub mod cli;

#[cfg(test)]
mod recorded;
