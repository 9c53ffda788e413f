//! The listener as auditors and strangers meet it: over TLS, on a real socket, with a log on real files.

mod bed;
mod entries;
mod go;
mod tree;
mod visitors;
