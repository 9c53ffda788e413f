//! Evidence of our own making and of others': containers, time-stamps over many records, archives, packages.

#![expect(
    clippy::unwrap_used,
    reason = "a test that cannot make or read its evidence has failed"
)]

mod archive;
mod batch;
mod container;
mod inclusion;
mod package;
mod repack;
mod speed;
mod world;
