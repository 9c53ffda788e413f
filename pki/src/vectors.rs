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

/// What stands in each element of this local name, whatever its prefix: enough for fixtures that do not nest it.
pub(crate) fn elements<'a>(xml: &'a str, name: &str) -> Vec<&'a str> {
    let is_tag = |at: usize| xml[..at].ends_with(['<', ':', '/']) && xml[at + name.len()..].starts_with('>');
    let tags: Vec<usize> = xml
        .match_indices(name)
        .map(|(at, _)| at)
        .filter(|&at| is_tag(at))
        .collect();
    tags.chunks_exact(2)
        .map(|pair| {
            let inside = &xml[pair[0] + name.len() + 1..pair[1]];
            inside.rsplit_once('<').map_or(inside, |(inside, _)| inside)
        })
        .collect()
}
