//! The Kontor node.

pub mod disk;
