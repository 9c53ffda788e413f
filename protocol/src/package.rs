//! Evidence packages: one file for a court or an auditor, with containers and all that is needed to judge them.
//!
//! Owns the form and the cover sheet. [`PackageWriter`] makes a package, [`Package`] reads one within bounds and says
//! whether it is what its manifest lists, [`cover::Cover`] is the sheet that people read. The containers in it are judged
//! by [`crate::container::check`] like any other.
//!
//! # Form, version 1
//!
//! A ZIP file with
//!
//! | Entry | Content |
//! |---|---|
//! | `manifest.json` | `format` 1, `kind` `kontor-evidence-package`, `created` (RFC 3339), and for each other entry its `name`, `length` and `sha256` in hex; the last entry |
//! | `cover.html` | the cover sheet: one file, no script |
//! | `containers/NAME.asice` | evidence containers; certificates, OCSP responses and time-stamps are in them |
//! | `containers/NAME.leaf.json` | the companion of a container: leaf, inclusion proof, checkpoint with co-signatures |
//! | `containers/NAME.ers` | the evidence record of a container whose time-stamp was renewed (RFC 4998, DER); it may be missing |
//! | `containers/NAME.statement.json` | what can still be proven of a message whose content is gone: see [`crate::statement`] |
//! | `verificationconf/…` | the global configuration at that time, in the layout of wire 7.8 |
//! | `more/NAME` | anything else, carried and listed |
//!
//! The manifest proves nothing about where a package comes from: whoever changes a file can change it too. What proves is
//! in the containers, judged by a configuration that the reader has from elsewhere; that in the package shows only that
//! all of it fits together.

pub mod cover;
mod html;
mod read;
mod write;

pub use self::read::{Package, PackageError, PackageFault, is_package};
pub use self::write::{PackageWriter, WriteError};

pub(crate) const MANIFEST: &str = "manifest.json";
pub(crate) const COVER: &str = "cover.html";
/// Folder of the containers and their companions.
pub const CONTAINERS: &str = "containers/";
/// Folder of the global configuration.
pub const CONFIGURATION: &str = "verificationconf/";
/// Folder of everything else.
pub const MORE: &str = "more/";

const FORMAT: u32 = 1;
const KIND: &str = "kontor-evidence-package";

#[derive(serde::Serialize, serde::Deserialize)]
struct Manifest {
    format: u32,
    kind: String,
    created: String,
    files: Vec<Listed>,
}

#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
struct Listed {
    name: String,
    length: u64,
    sha256: String,
}

/// A name that means the same place everywhere: relative, of known folders, without anything a system could read
/// otherwise.
fn is_name(name: &str) -> bool {
    let pieces: Vec<_> = name.split('/').collect();
    let plain = |piece: &str| {
        !piece.is_empty()
            && piece != "."
            && piece != ".."
            && !piece
                .chars()
                .any(|c| c.is_control() || matches!(c, '\\' | ':' | '<' | '>' | '"' | '|' | '?'))
    };
    let known = [CONTAINERS, CONFIGURATION, MORE]
        .iter()
        .any(|folder| name.starts_with(folder));
    (known || name == COVER)
        && name.len() <= crate::limits::CONTAINER_NAME
        && pieces.iter().all(|piece| plain(piece))
}
