//! Imports point one way: between crates by their manifests, inside a crate by the order of modules in its `lib.rs`.

#![expect(clippy::unwrap_used, reason = "a test may fail where it stands")]

use std::collections::HashMap;
use std::path::{Path, PathBuf};

/// Each crate and the crates of ours that it may depend on.
const CRATES: [(&str, &[&str]); 6] = [
    ("pki", &[]),
    ("protocol", &["pki"]),
    ("participation", &["pki", "protocol"]),
    ("node", &["pki", "protocol", "participation"]),
    ("oracle", &[]),
    ("conformance", &["pki", "protocol", "oracle"]),
];

fn workspace() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().to_owned()
}

#[test]
fn no_crate_depends_on_one_above_it() {
    for (name, allowed) in CRATES {
        let manifest = std::fs::read_to_string(workspace().join(name).join("Cargo.toml")).unwrap();
        let manifest: toml::Table = manifest.parse().unwrap();
        for dependency in manifest["dependencies"].as_table().unwrap().keys() {
            if let Some(ours) = dependency.strip_prefix("kontor-") {
                assert!(allowed.contains(&ours), "{name} depends on {ours}");
            }
        }
    }
}

#[test]
fn a_module_uses_only_modules_listed_above_it() {
    let mut upward = Vec::new();
    for (name, _) in CRATES {
        let source = workspace().join(name).join("src");
        let lib = std::fs::read_to_string(source.join("lib.rs")).unwrap();
        let order: HashMap<&str, usize> = lib
            .lines()
            .filter_map(|line| {
                line.trim_start_matches("pub ")
                    .strip_prefix("mod ")?
                    .strip_suffix(';')
            })
            .enumerate()
            .map(|(place, module)| (module, place))
            .collect();
        for (module, place) in &order {
            for file in files_of(&source, module) {
                let text = std::fs::read_to_string(&file).unwrap();
                for used in code(&text).split("crate::").skip(1).flat_map(named) {
                    if order.get(used).is_some_and(|other| other > place) {
                        upward.push(format!("{} uses {used}", file.display()));
                    }
                }
            }
        }
    }
    assert!(upward.is_empty(), "imports that point up:\n{}", upward.join("\n"));
}

/// The modules named right after `crate::`, one or a list in braces.
fn named(rest: &str) -> Vec<&str> {
    fn word(text: &str) -> &str {
        let text = text.trim_start();
        text.split(|c: char| !c.is_alphanumeric() && c != '_')
            .next()
            .unwrap_or(text)
    }
    match rest.strip_prefix('{') {
        Some(list) => list
            .split('}')
            .next()
            .unwrap_or(list)
            .split(',')
            .map(word)
            .collect(),
        None => vec![word(rest)],
    }
}

/// A module's own file and those in its folder, without its tests: a test may look at anything.
fn files_of(source: &Path, module: &str) -> Vec<PathBuf> {
    let mut found = vec![source.join(module).with_extension("rs")];
    let mut folders = vec![source.join(module)];
    while let Some(folder) = folders.pop() {
        let Ok(entries) = std::fs::read_dir(folder) else {
            continue;
        };
        for entry in entries {
            let path = entry.unwrap().path();
            let name = path.file_stem().unwrap().to_string_lossy().into_owned();
            if path.is_dir() && name != "tests" {
                folders.push(path);
            } else if path.extension().is_some_and(|e| e == "rs") && !name.ends_with("tests") {
                found.push(path);
            }
        }
    }
    found
}

/// The text up to its tests, without comments.
fn code(text: &str) -> String {
    let text = text.split("#[cfg(test)]\nmod tests {").next().unwrap_or(text);
    text.lines()
        .filter(|line| !line.trim_start().starts_with("//"))
        .collect::<Vec<_>>()
        .join("\n")
}
