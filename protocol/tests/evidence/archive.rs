//! Archives: those of a Java server get its verdicts, and every change to one of ours is found.

use std::fs;
use std::io::Cursor;
use std::path::{Path, PathBuf};

use kontor_protocol::archive::{
    Archive, ArchiveError, ArchiveFault, ArchiveWriter, Link, Predecessor, container_name,
};
use kontor_protocol::container::{MessageRole, Verdict};

use crate::container::judge;
use crate::repack::{archive_of, entries};
use crate::world::{World, now};

const RECORDED: &str = "src/addons/messagelog/messagelog-archive-verifier/src/test/resources";
const OLD: &str = "src/addons/messagelog/messagelog-addon/src/test/resources/logarchive";

fn upstream(folder: &str) -> Option<PathBuf> {
    let root = Path::new(concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/../../shared/vectors/xroad/upstream"
    ));
    if !root.is_dir() {
        eprintln!("SKIPPED: archives of X-Road need ../shared");
        return None;
    }
    Some(root.join(folder))
}

fn open(bytes: Vec<u8>) -> Archive<Cursor<Vec<u8>>> {
    Archive::open(Cursor::new(bytes)).unwrap()
}

/// All that is wrong with an archive.
fn faults(bytes: &[u8], predecessor: Predecessor<'_>) -> Vec<ArchiveFault> {
    let mut archive = open(bytes.to_vec());
    let mut faults = archive.faults().to_vec();
    faults.extend(archive.follows(predecessor).err());
    faults.extend(archive.changed().unwrap());
    faults
}

#[test]
fn the_archives_of_a_java_server_are_whole_and_continue_each_other() {
    let Some(folder) = upstream(RECORDED) else { return };
    let first = fs::read(folder.join("message-archive-0.zip")).unwrap();
    let second = fs::read(folder.join("message-archive-1.zip")).unwrap();
    assert_eq!(faults(&first, Predecessor::First), []);
    let end = open(first.clone()).linking().last().to_owned();
    assert_eq!(faults(&second, Predecessor::Digest(&end)), []);
    assert_eq!(faults(&second, Predecessor::First).len(), 1);
    assert_eq!(faults(&second, Predecessor::Digest(&"0".repeat(128))).len(), 1);
    assert_eq!(faults(&first, Predecessor::Digest(&end)).len(), 1);
}

#[test]
fn our_writer_links_the_containers_of_a_java_server_as_that_did() {
    let Some(folder) = upstream(RECORDED) else { return };
    let mut theirs = open(fs::read(folder.join("message-archive-1.zip")).unwrap());
    let linking = theirs.linking().clone();
    let mut writer = ArchiveWriter::new(Cursor::new(Vec::new()), linking.previous.clone()).unwrap();
    for (place, one) in linking.containers.iter().enumerate() {
        let mut container = Vec::new();
        assert_eq!(theirs.container(place, &mut container), Ok(Some(true)));
        writer.add(&one.name, now(), &mut &container[..]).unwrap();
    }
    let ours = writer.finish().unwrap();
    assert_eq!(ours.digest, linking.last());
    assert_eq!(*open(ours.out.into_inner()).linking(), linking);
}

#[test]
fn old_archives_are_malformed_in_the_way_their_names_say() {
    let Some(folder) = upstream(OLD) else { return };
    let read = |name: &str| fs::read(folder.join(format!("mlog-{name}.zip"))).unwrap();
    let error = |name: &str| Archive::open(Cursor::new(read(name))).err();
    assert_eq!(faults(&read("WITH_LINKINGINFO"), Predecessor::First), []);
    assert!(matches!(
        error("WITH_INVALID_LINKINGINFO"),
        Some(ArchiveError::Malformed(_))
    ));
    assert_eq!(error("NO_LINKINGINFO"), Some(ArchiveError::NotArchive));
    let missing = |name: &str| {
        let faults = faults(&read(name), Predecessor::First);
        faults.iter().map(ArchiveFault::code).collect::<Vec<_>>()
    };
    assert_eq!(
        missing("EXCESSIVE_FILES_IN_LINKINGINFO"),
        ["archive_container_missing"]
    );
    assert_eq!(missing("NO_ASIC_CONTAINERS"), ["archive_container_missing"]);
}

/// An archive of three containers that hold, and the archive after it.
fn ours(world: &World) -> (Vec<u8>, Vec<u8>) {
    let mut previous = None;
    let archives = [1, 4].map(|first| {
        let mut writer = ArchiveWriter::new(Cursor::new(Vec::new()), previous.take()).unwrap();
        for record in first..first + 3 {
            let name = container_name("q1", MessageRole::Request, record);
            let container = world.batch_stamped().archive();
            writer.add(&name, now(), &mut &container[..]).unwrap();
        }
        let finished = writer.finish().unwrap();
        previous = Some(Link {
            digest: finished.digest.clone(),
            file: finished.file_name(None),
        });
        finished.out.into_inner()
    });
    archives.into()
}

#[test]
fn what_we_archive_is_read_again_and_holds() {
    let world = World::new();
    let (first, second) = ours(&world);
    assert_eq!(entries(&first).last().unwrap().0, "linkinginfo");
    let mut zip = zip::ZipArchive::new(Cursor::new(&first)).unwrap();
    for index in 0..zip.len() {
        let entry = zip.by_index(index).unwrap();
        assert_eq!(entry.compression(), zip::CompressionMethod::Stored);
    }
    let end = open(first.clone()).linking().last().to_owned();
    assert_eq!(faults(&first, Predecessor::First), []);
    assert_eq!(faults(&second, Predecessor::Digest(&end)), []);
    let mut archive = open(first);
    let mut container = Vec::new();
    archive.container(0, &mut container).unwrap();
    assert_eq!(archive.size(0), Some(container.len() as u64));
    assert_eq!(judge(&container, &world.trust()).verdict, Verdict::Valid);
}

#[test]
fn every_change_to_an_archive_is_found_and_named() {
    let world = World::new();
    let (first, _) = ours(&world);
    let good = entries(&first);
    let name = |record: &str| format!("q1-request-{record}.asice");
    let code = |entries: &[(String, Vec<u8>)]| {
        let faults = faults(&archive_of(entries), Predecessor::First);
        faults
            .into_iter()
            .map(|f| (f.code(), f.to_string()))
            .collect::<Vec<_>>()
    };
    assert_eq!(code(&good), []);

    let mut removed = good.clone();
    removed.remove(1);
    let found = code(&removed);
    assert_eq!(found.len(), 1);
    assert_eq!(found[0].0, "archive_container_missing");
    assert!(found[0].1.contains(&name("2")));

    // Removed from the list as well: the next one no longer continues what is before it.
    let mut forgotten = removed.clone();
    let lines = String::from_utf8(forgotten[2].1.clone()).unwrap();
    let kept: Vec<_> = lines.lines().filter(|line| !line.contains(&name("2"))).collect();
    forgotten[2].1 = (kept.join("\n") + "\n").into_bytes();
    let found = code(&forgotten);
    assert_eq!(
        found.iter().map(|f| f.0).collect::<Vec<_>>(),
        ["archive_container_changed"]
    );
    assert!(found[0].1.contains(&name("3")));

    let mut changed = good.clone();
    changed[1].1[100] ^= 1;
    let found = code(&changed);
    assert_eq!(found.len(), 1);
    assert_eq!(found[0].0, "archive_container_changed");
    assert!(found[0].1.contains(&name("2")));

    let mut added = good.clone();
    added.insert(1, ("q9-request-9.asice".to_owned(), good[0].1.clone()));
    assert_eq!(code(&added)[0].0, "archive_container_unlisted");

    let mut digest = good.clone();
    let place = digest[3].1.iter().position(|&b| b == b'\n').unwrap() + 5;
    digest[3].1[place] = if digest[3].1[place] == b'0' { b'1' } else { b'0' };
    let found = code(&digest);
    assert!(
        found.iter().any(|f| f.0 == "archive_container_changed"),
        "{found:?}"
    );

    let mut swapped = good.clone();
    (swapped[0].1, swapped[1].1) = (good[1].1.clone(), good[0].1.clone());
    let found = code(&swapped);
    assert_eq!(
        found.iter().map(|f| f.0).collect::<Vec<_>>(),
        ["archive_container_changed"; 2]
    );

    let mut twice = good.clone();
    let text = String::from_utf8(twice[3].1.clone()).unwrap();
    let line = text.lines().nth(1).unwrap().to_owned();
    twice[3].1 = (text + &line + "\n").into_bytes();
    assert!(code(&twice).iter().any(|f| f.0 == "archive_listed_twice"));
}
