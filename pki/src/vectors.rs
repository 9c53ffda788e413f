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

/// What stands between `<name>` elements of an XML text, white space removed; enough for fixtures.
pub(crate) fn elements<'a>(xml: &'a str, name: &str) -> Vec<&'a str> {
    let (open, close) = (format!("{name}>"), format!("/{name}>"));
    let mut found = Vec::new();
    let mut rest = xml;
    while let Some((_, after)) = rest
        .split_once(&format!("<{open}"))
        .or_else(|| rest.split_once(&format!(":{open}")))
    {
        let Some(end) = after.find(&close).or_else(|| after.find(&format!(":{open}"))) else {
            break;
        };
        found.push(
            after[..end]
                .rsplit_once('<')
                .map_or(&after[..end], |(inner, _)| inner),
        );
        rest = &after[end + close.len()..];
    }
    found
}
