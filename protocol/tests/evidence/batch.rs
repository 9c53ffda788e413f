//! Time-stamps over many records, against those a Java server made: the same digests give the same tree.

use std::fs::File;
use std::io::{Cursor, Read as _};
use std::path::Path;

use kontor_protocol::container::Container;
use kontor_protocol::container::timestamp::Batch;

/// The containers of the recorded archive that were stamped together, in the order of their record ids.
fn recorded() -> Option<Vec<Container>> {
    let path = Path::new(concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/../../shared/vectors/xroad/upstream/src/addons/messagelog/messagelog-archive-verifier/src/test/resources/\
         message-archive-1.zip"
    ));
    if !path.is_file() {
        eprintln!("SKIPPED: time-stamps of X-Road need ../shared");
        return None;
    }
    let mut zip = zip::ZipArchive::new(File::open(path).unwrap()).unwrap();
    let mut found = Vec::new();
    for index in 0..zip.len() {
        let mut file = zip.by_index(index).unwrap();
        let name = file.name().unwrap().into_owned();
        let Some(stem) = name.strip_suffix(".asice") else {
            continue;
        };
        let id = u64::from_str_radix(stem.rsplit('-').next().unwrap(), 32).unwrap();
        let mut bytes = Vec::new();
        file.read_to_end(&mut bytes).unwrap();
        found.push((id, Container::read(Cursor::new(bytes)).unwrap()));
    }
    found.sort_by_key(|(id, _)| *id);
    Some(found.into_iter().map(|(_, container)| container).collect())
}

/// What a chain says, whatever its prefixes and white space.
fn said(xml: &[u8]) -> Vec<String> {
    let text = std::str::from_utf8(xml).unwrap();
    let document = roxmltree::Document::parse(text).unwrap();
    document
        .descendants()
        .filter(|node| node.is_element())
        .map(|node| {
            let name = node.tag_name();
            let attributes: Vec<_> = node.attributes().map(|a| (a.name(), a.value())).collect();
            let text = node.text().unwrap_or_default().trim();
            format!("{{{:?}}}{} {attributes:?} {text}", name.namespace(), name.name())
        })
        .collect()
}

#[test]
fn the_tree_of_a_java_server_is_built_again_step_by_step() {
    let Some(containers) = recorded() else { return };
    assert_eq!(containers.len(), 20);
    let batch = Batch::over(containers.iter().map(|c| c.signatures.as_slice())).unwrap();
    for (place, container) in containers.iter().enumerate() {
        let theirs = container.timestamp.as_ref().unwrap();
        assert_eq!(said(batch.stamped()), said(&theirs.result));
        assert_eq!(said(&batch.chain(place).unwrap()), said(&theirs.chain), "{place}");
    }
}

#[test]
fn recorded_chains_cover_their_own_document_and_no_other() {
    let Some(containers) = recorded() else { return };
    for (place, container) in containers.iter().enumerate() {
        let timestamp = container.timestamp.as_ref().unwrap();
        timestamp.covers(&container.signatures).unwrap();
        let other = &containers[(place + 1) % containers.len()].signatures;
        if *other != container.signatures {
            assert!(timestamp.covers(other).is_err(), "{place}");
        }
    }
}
