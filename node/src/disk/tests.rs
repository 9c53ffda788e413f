use std::{io, path::Path};

use super::{
    Disk, SystemDisk, read_all,
    recording::{Crash, Failure, Operation, RecordingDisk},
    replace,
};

fn written(disk: &RecordingDisk) {
    disk.create_dir(Path::new("/d")).unwrap();
    disk.sync_dir(Path::new("/")).unwrap();
    let file = disk.create(Path::new("/d/a")).unwrap();
    file.write_at(0, &[1; 1024]).unwrap();
    file.sync_data().unwrap();
    disk.sync_dir(Path::new("/d")).unwrap();
    file.write_at(1024, &[2; 1024]).unwrap();
}

#[test]
fn what_was_synced_survives_every_crash() {
    let disk = RecordingDisk::default();
    written(&disk);
    for seed in 0..200 {
        let after = disk.after_crash(disk.position(), Crash::Mixture(seed));
        let content = read_all(&after, Path::new("/d/a"), 1 << 20).unwrap();
        assert_eq!(content[..1024], [1; 1024]);
        assert!(content.len() <= 2048);
    }
}

#[test]
fn what_was_not_synced_is_lost_whole_in_parts_or_not_at_all() {
    let disk = RecordingDisk::default();
    written(&disk);
    let mut seen = std::collections::BTreeSet::new();
    for seed in 0..200 {
        let after = disk.after_crash(disk.position(), Crash::Mixture(seed));
        let mut content = read_all(&after, Path::new("/d/a"), 1 << 20).unwrap();
        content.resize(2048, 0);
        seen.insert((content[1024], content[1536]));
    }
    assert_eq!(seen.len(), 4, "both sectors must come and go on their own");
    let only = disk.after_crash(disk.position(), Crash::OnlySynced);
    assert_eq!(read_all(&only, Path::new("/d/a"), 4096).unwrap().len(), 1024);
    let killed = disk.after_crash(disk.position(), Crash::Process);
    assert_eq!(read_all(&killed, Path::new("/d/a"), 4096).unwrap().len(), 2048);
    let torn = disk.after_crash(disk.position() - 1, Crash::Torn(7));
    assert_eq!(read_all(&torn, Path::new("/d/a"), 4096).unwrap().len(), 1031);
}

#[test]
fn a_name_that_was_not_synced_may_be_lost() {
    let disk = RecordingDisk::default();
    disk.create_dir(Path::new("/d")).unwrap();
    disk.sync_dir(Path::new("/")).unwrap();
    disk.create(Path::new("/d/a")).unwrap().sync_data().unwrap();
    let after = disk.after_crash(disk.position(), Crash::OnlySynced);
    assert!(after.list(Path::new("/d")).unwrap().is_empty());
}

#[test]
fn a_replaced_file_is_the_old_or_the_new_after_every_crash() {
    let disk = RecordingDisk::default();
    let path = Path::new("/a");
    replace(&disk, path, &[1; 700]).unwrap();
    let from = disk.position();
    replace(&disk, path, &[2; 900]).unwrap();
    for position in from..=disk.position() {
        for seed in 0..50 {
            let after = disk.after_crash(position, Crash::Mixture(seed));
            let content = read_all(&after, path, 4096).unwrap();
            assert!(content == [1; 700] || content == [2; 900]);
        }
    }
    assert_eq!(read_all(&disk, path, 4096).unwrap(), [2; 900]);
}

#[test]
fn a_disk_fails_on_command_and_heals() {
    let disk = RecordingDisk::default();
    let file = disk.create(Path::new("/a")).unwrap();
    disk.fail(Failure {
        operation: Operation::Sync,
        path: "a",
        after: 1,
        kind: io::ErrorKind::Other,
    });
    file.sync_data().unwrap();
    assert!(file.sync_data().is_err());
    disk.heal();
    file.sync_data().unwrap();
}

#[test]
fn the_machines_disk_creates_once_locks_once_and_lists_files() {
    let dir = tempfile::tempdir().unwrap();
    let disk = SystemDisk;
    let path = dir.path().join("a");
    disk.create(&path).unwrap().write_at(0, b"x").unwrap();
    assert!(disk.create(&path).is_err());
    replace(&disk, &path, b"new").unwrap();
    assert_eq!(read_all(&disk, &path, 3).unwrap(), b"new");
    assert!(read_all(&disk, &path, 2).is_err());
    assert_eq!(disk.list(dir.path()).unwrap(), ["a"]);
    let lock = disk.lock(&dir.path().join("lock")).unwrap();
    let refused = disk.lock(&dir.path().join("lock")).map(drop).unwrap_err();
    assert_eq!(refused.kind(), io::ErrorKind::WouldBlock);
    drop(lock);
    disk.lock(&dir.path().join("lock")).map(drop).unwrap();
    assert!(disk.free_space(dir.path()).unwrap() > 0);
}
