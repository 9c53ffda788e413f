//! Where tests find recorded bytes and other tools; what is missing is said loudly.

use std::path::PathBuf;

/// The directory of recorded vectors beside the workspace.
pub(crate) fn shared() -> Option<PathBuf> {
    let path = PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../../shared"));
    if path.is_dir() {
        return Some(path);
    }
    eprintln!("SKIPPED: this test needs ../shared beside the workspace");
    None
}
