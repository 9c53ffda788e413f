use bytes::Bytes;

use super::bed::*;
use crate::{
    disk::recording::{Crash, RecordingDisk},
    messagelog::{
        MessageLog,
        vault::{Kept, Unkept},
    },
};

async fn kept(log: &MessageLog, octets: &[u8]) -> Kept {
    let vault = log.vault("casework").unwrap();
    let mut writer = vault.spool();
    writer.write(Bytes::copy_from_slice(octets)).await.unwrap();
    let arrived = vault.finish(writer).await.unwrap();
    vault.keep(arrived).await.unwrap()
}

async fn read(log: &MessageLog, kept: &Kept) -> Vec<u8> {
    let mut reader = log.vault("casework").unwrap().read_from(kept, 0).unwrap();
    let mut all = Vec::new();
    while let Some(piece) = reader.next().await.unwrap() {
        all.extend_from_slice(&piece);
    }
    all
}

#[tokio::test]
async fn a_small_file_is_sealed_for_whoever_refers_to_it_and_touches_no_disk() {
    let disk = RecordingDisk::default();
    let log = open(&disk).unwrap();
    let vault = log.vault("casework").unwrap();
    let before = disk.position();
    let mut writer = vault.spool();
    writer.write(Bytes::from_static(b"klein (fiktiv)")).await.unwrap();
    let arrived = vault.finish(writer).await.unwrap();
    assert!(matches!(arrived, Unkept::Small(_)) && arrived.len() == 14);
    let small = vault.keep(arrived).await.unwrap();
    assert_eq!(disk.position(), before);
    let sealed = small.fresh().unwrap().to_vec();
    assert!(!sealed.windows(5).any(|window| window == b"klein"));
    let mut reader = vault.read_small(&small, sealed.clone()).unwrap();
    assert_eq!(reader.next().await.unwrap().unwrap(), b"klein (fiktiv)"[..]);
    assert!(reader.next().await.unwrap().is_none());
    for at in 0..sealed.len() {
        let mut changed = sealed.clone();
        changed[at] ^= 1;
        assert!(vault.read_small(&small, changed).is_err(), "octet {at}");
    }
    let other = Kept::clone(&kept(&log, b"another").await);
    assert!(vault.read_small(&other, sealed).is_err());
}

#[tokio::test]
async fn a_file_that_was_kept_survives_a_power_cut_whole_and_what_only_arrived_is_swept() {
    let octets: Vec<u8> = (0..200_000_u32).map(|at| at.to_le_bytes()[0]).collect();
    for crash in [
        Crash::Process,
        Crash::OnlySynced,
        Crash::Mixture(1),
        Crash::Mixture(2),
        Crash::Mixture(3),
    ] {
        let disk = RecordingDisk::default();
        let log = open(&disk).unwrap();
        let file = kept(&log, &octets).await;
        let cut = disk.position();
        let mut arrived = log.vault("casework").unwrap().spool();
        arrived.write(Bytes::from(octets.clone())).await.unwrap();
        let arrived = arrived.finish().await.unwrap();
        for position in [cut, disk.position()] {
            let after = disk.after_crash(position, crash);
            let log = open(&after).unwrap();
            assert_eq!(read(&log, &file).await, octets, "{crash:?}");
            let vault = log.vault("casework").unwrap();
            vault.sweep(&[file.name().to_owned()].into()).unwrap();
            assert_eq!(read(&log, &file).await, octets, "{crash:?}: swept");
            assert_eq!(vault.sweep(&[file.name().to_owned()].into()).unwrap(), 0);
        }
        drop(arrived);
    }
}
