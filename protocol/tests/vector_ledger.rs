//! The ledger of recorded vectors, held to the truth: every vector is judged by a test that exists and reads it, or waits
//! with a reason; and what waits does not pass yet.

#![expect(
    clippy::unwrap_used,
    reason = "a ledger that is not as described must fail the test"
)]

use std::collections::BTreeMap;
use std::fs;
use std::io::Cursor;
use std::path::{Path, PathBuf};

use kontor_protocol::container::Container;
use kontor_protocol::rest::RestRequest;
use serde::Deserialize;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Ledger {
    consumed: Vec<Entry>,
    waiting: Vec<Entry>,
}

/// One entry of either list; which fields it must have depends on the list.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Entry {
    items: Vec<String>,
    #[serde(default)]
    by: Vec<String>,
    #[serde(default)]
    situations: Vec<String>,
    part: Option<String>,
    later: Option<String>,
    reason: Option<String>,
    attempt: Option<Attempt>,
    missing: Option<String>,
    #[serde(default)]
    below: Vec<String>,
}

/// What today's code can make of a vector that waits.
#[derive(Clone, Copy, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Attempt {
    /// Reading the member from a certificate by its profile.
    /// Reading an archive: the only reader of zip files is that of containers.
    Archive,
    /// Taking the request of the information system as one of REST.
    Rest,
}

impl Ledger {
    fn read() -> Self {
        toml::from_str(include_str!("vectors/ledger.toml")).unwrap()
    }

    fn entries(&self) -> impl Iterator<Item = &Entry> {
        self.consumed.iter().chain(&self.waiting)
    }

    /// Entries of which something waits.
    fn unfinished(&self) -> impl Iterator<Item = &Entry> {
        let parts = self.consumed.iter().filter(|entry| entry.part.is_some());
        parts.chain(&self.waiting)
    }
}

impl Entry {
    fn name(&self) -> String {
        self.items.join(", ")
    }

    fn matches(&self, item: &str) -> bool {
        self.items.iter().any(|pattern| fits(pattern, item))
    }
}

/// Whether a path fits a pattern, in which `*` stands for anything but a slash.
fn fits(pattern: &str, path: &str) -> bool {
    let Some((before, after)) = pattern.split_once('*') else {
        return pattern == path;
    };
    let Some(rest) = path.strip_prefix(before) else {
        return false;
    };
    let end = rest.find('/').unwrap_or(rest.len());
    (0..=end)
        .filter(|at| rest.is_char_boundary(*at))
        .any(|at| fits(after, &rest[at..]))
}

fn workspace() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().to_owned()
}

fn vectors() -> Option<PathBuf> {
    let path = workspace().join("../shared/vectors/xroad");
    if !path.is_dir() {
        eprintln!("SKIPPED: the ledger is not compared with recorded vectors, needs ../shared");
        return None;
    }
    Some(path)
}

/// Every vector with the verdict that its index states.
fn items(root: &Path) -> BTreeMap<String, String> {
    let mut items = BTreeMap::new();
    let mut add = |path: String, stated: &str| {
        assert!(
            root.join(&path).exists(),
            "{path} is in an index and nowhere else"
        );
        assert!(items.insert(path.clone(), stated.to_owned()).is_none(), "{path}");
    };
    for (index, prefix, column) in [("cases.tsv", "", 2), ("upstream/verdicts.tsv", "upstream/", 1)] {
        for line in fs::read_to_string(root.join(index)).unwrap().lines().skip(1) {
            let columns: Vec<_> = line.split('\t').collect();
            add(format!("{prefix}{}", columns[0]), columns[column]);
        }
    }
    add("codes.json".to_owned(), "");
    // These have no index.
    for path in files_below(&root.join("trust"), &|name| name != "README.md") {
        let path = path.strip_prefix(root).unwrap();
        add(path.to_str().unwrap().to_owned(), "");
    }
    items
}

fn files_below(folder: &Path, wanted: &dyn Fn(&str) -> bool) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(files_below(&path, wanted));
        } else if wanted(path.file_name().unwrap().to_str().unwrap()) {
            found.push(path);
        }
    }
    found
}

#[test]
fn every_vector_has_one_entry_and_every_entry_a_vector() {
    let ledger = Ledger::read();
    let Some(root) = vectors() else { return };
    let items = items(&root);
    let mut wrong = Vec::new();
    let (mut whole, mut partly, mut waiting) = (0, 0, 0);
    for path in items.keys() {
        let found: Vec<_> = ledger.entries().filter(|entry| entry.matches(path)).collect();
        match found.as_slice() {
            [] => wrong.push(format!(
                "{path} is neither consumed nor listed as waiting: add it to the ledger"
            )),
            [one] if one.reason.is_some() => waiting += 1,
            [one] if one.part.is_some() => partly += 1,
            [_] => whole += 1,
            more => wrong.push(format!("{path} has {} entries", more.len())),
        }
    }
    for pattern in ledger.entries().flat_map(|entry| &entry.items) {
        if !items.keys().any(|path| fits(pattern, path)) {
            wrong.push(format!("{pattern} fits no vector"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    eprintln!(
        "{} vectors: {} consumed, {partly} of them in part, {waiting} waiting",
        items.len(),
        whole + partly
    );
}

#[test]
fn what_is_recorded_is_in_an_index() {
    let Some(root) = vectors() else { return };
    let items = items(&root);
    let mut unlisted = Vec::new();
    let cases = files_below(&root, &|name| name == "case.json" || name.ends_with(".der"));
    for path in cases {
        let path = path.strip_prefix(&root).unwrap();
        let case = if path.ends_with("case.json") {
            path.parent().unwrap()
        } else {
            path
        };
        let case = case.to_str().unwrap();
        if !items.contains_key(case) {
            unlisted.push(case.to_owned());
        }
    }
    assert!(unlisted.is_empty(), "{unlisted:?}");
}

#[test]
fn entries_say_what_their_list_asks_for() {
    let ledger = Ledger::read();
    for entry in &ledger.consumed {
        let name = entry.name();
        assert!(!entry.by.is_empty(), "{name}: by whom");
        assert!(entry.reason.is_none(), "{name}: a reason is for what waits");
        assert_eq!(
            entry.part.is_some(),
            entry.later.is_some(),
            "{name}: a part has a rest"
        );
        assert_eq!(
            entry.part.is_some(),
            entry.missing.is_some(),
            "{name}: a rest has a ratchet"
        );
    }
    for entry in &ledger.waiting {
        let name = entry.name();
        assert!(
            entry.reason.is_some() && entry.part.is_none() && entry.later.is_none(),
            "{name}: why"
        );
        assert!(
            entry.by.is_empty() && entry.situations.is_empty(),
            "{name}: it is consumed then"
        );
        assert!(
            entry.missing.is_some() || entry.attempt.is_some(),
            "{name}: no ratchet"
        );
    }
}

/// A test by its name in the ledger: the text of its file and the name of the function.
fn named(test: &str) -> (String, &str) {
    let (file, function) = test.split_once(": ").unwrap();
    let text = fs::read_to_string(workspace().join(file)).unwrap_or_else(|_| panic!("there is no {file}"));
    (text, function)
}

#[test]
fn every_named_test_exists() {
    for test in Ledger::read()
        .entries()
        .flat_map(|entry| entry.by.iter().chain(&entry.situations))
    {
        let (text, function) = named(test);
        let declared = format!("fn {function}(");
        let (before, _) = text
            .split_once(&declared)
            .unwrap_or_else(|| panic!("no function {test}"));
        let attributes = before.rsplit("\n\n").next().unwrap();
        // The cases of the conformance suite stand in a table.
        let listed = text.contains(&format!("=> {function};"));
        let is_test = attributes.contains("#[test]") || attributes.contains("#[tokio::test]");
        assert!(is_test || listed, "{test} is no test");
    }
}

/// How a test that reads a vector may mention it: its folder where the test goes through that, else the file.
fn mentions(path: &str) -> Vec<String> {
    let parts: Vec<_> = path.split('/').collect();
    match parts.as_slice() {
        ["golden", family, _] => vec![
            format!("\"{family}\""),
            format!("\"{family}/"),
            format!("golden/{family}\""),
        ],
        ["trust", place, ..] => vec![format!("trust/{place}")],
        ["upstream", .., file] => {
            let stem = file.rsplit_once('.').map_or(*file, |(stem, _)| stem);
            let above = &parts[parts.len().saturating_sub(5)..parts.len() - 1];
            vec![format!("\"{stem}"), format!("/{file}"), above.join("/")]
        }
        [folder, _] => vec![format!("xroad/{folder}\""), format!("\"{folder}")],
        _ => vec![format!("\"{path}\"")],
    }
}

#[test]
fn every_named_test_reads_what_it_is_named_for() {
    let Some(root) = vectors() else { return };
    for path in items(&root).keys() {
        for entry in Ledger::read().consumed.iter().filter(|entry| entry.matches(path)) {
            for test in &entry.by {
                let (text, _) = named(test);
                assert!(
                    mentions(path).iter().any(|word| text.contains(word)),
                    "{test} does not mention {path}"
                );
            }
        }
    }
}

/// The product's sources without comments and tests.
fn sources(below: &[String]) -> Vec<(PathBuf, String)> {
    let everywhere = ["pki/src", "protocol/src", "node/src"].map(str::to_owned);
    let below = if below.is_empty() { &everywhere } else { below };
    let mut found = Vec::new();
    for place in below {
        let place = workspace().join(place);
        if place.is_dir() {
            found.extend(files_below(&place, &|name| name.ends_with(".rs")));
        } else {
            found.push(place);
        }
    }
    found
        .into_iter()
        .filter(|path| {
            !path
                .components()
                .any(|part| part.as_os_str().to_string_lossy().starts_with("tests"))
        })
        .map(|path| {
            let text = fs::read_to_string(&path).unwrap_or_else(|_| panic!("there is no {}", path.display()));
            let code = text.split("#[cfg(test)]\nmod tests {").next().unwrap();
            let code = code
                .lines()
                .filter(|line| !line.trim_start().starts_with("//"))
                .collect::<Vec<_>>()
                .join("\n");
            (path, code)
        })
        .collect()
}

#[test]
fn nothing_reads_what_waits() {
    for entry in Ledger::read().unfinished() {
        let Some(word) = &entry.missing else { continue };
        for (path, code) in sources(&entry.below) {
            assert!(
                !code.contains(word.as_str()),
                "{} knows {word}: judge {} anew and move what passes to consumed",
                path.display(),
                entry.name()
            );
        }
    }
}

#[test]
fn nothing_that_waits_passes() {
    let Some(root) = vectors() else { return };
    let mut passing = Vec::new();
    for entry in Ledger::read().unfinished() {
        let Some(attempt) = entry.attempt else { continue };
        for (path, stated) in items(&root).iter().filter(|(path, _)| entry.matches(path)) {
            let passes = match attempt {
                Attempt::Archive => is_read_as_container(&root.join(path)) && stated.starts_with("ok"),
                Attempt::Rest => becomes_a_request(&root.join(path)),
            };
            if passes {
                passing.push(format!("{path} passes now: move it to consumed"));
            }
        }
    }
    assert!(passing.is_empty(), "{}", passing.join("\n"));
}

fn is_read_as_container(path: &Path) -> bool {
    Container::read(Cursor::new(fs::read(path).unwrap())).is_ok()
}

fn becomes_a_request(case: &Path) -> bool {
    let sent = fs::read_to_string(case.join("1-is-request.http")).unwrap();
    let mut first = sent.lines().next().unwrap().split(' ');
    let (verb, target) = (first.next().unwrap(), first.next().unwrap());
    let client: (&[u8], &[u8]) = (b"x-road-client", b"DX/GOV/1001/PORTAL");
    RestRequest::build(verb, target, [client], "id", "id").is_ok()
}

#[test]
fn a_star_stays_in_its_folder() {
    assert!(fits("a/*", "a/b") && fits("a/*/c", "a/b/c") && fits("a/b-*", "a/b-"));
    assert!(fits("a/*-x*", "a/b-c-xy"));
    for (pattern, path) in [("a/*", "a/b/c"), ("a", "a/b"), ("a/b", "a"), ("*/c", "a/b/c")] {
        assert!(!fits(pattern, path), "{pattern} {path}");
    }
}
