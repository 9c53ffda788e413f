use std::{path::Path, sync::Arc};

use bytes::Bytes;

use super::*;
use crate::disk::recording::RecordingDisk;

fn store(disk: &RecordingDisk) -> ContentStore {
    let layout = Layout::new(Path::new("/data"));
    for dir in layout.directories() {
        disk.create_dir(&dir).unwrap();
    }
    let disk: Arc<dyn Disk> = Arc::new(disk.clone());
    let status = Status::new(Arc::clone(&disk), "/data".into(), 0);
    ContentStore {
        disk,
        layout,
        status,
        rests_in_spool: true,
    }
}

async fn all(mut reader: ContentReader) -> Result<Vec<u8>, LogError> {
    let mut body = Vec::new();
    while let Some(piece) = reader.next().await? {
        body.extend_from_slice(&piece);
    }
    Ok(body)
}

async fn spooled(store: &ContentStore, length: usize, piece: usize) -> (Vec<u8>, ContentFile) {
    let body: Vec<u8> = (0..length).map(|at| (at % 251) as u8).collect();
    let mut writer = store.spool();
    for piece in body.chunks(piece) {
        writer.write(Bytes::copy_from_slice(piece)).await.unwrap();
    }
    assert_eq!(writer.written(), length as u64);
    (body, writer.finish().await.unwrap())
}

#[tokio::test]
async fn a_body_of_any_length_in_any_pieces_reads_back() {
    let disk = RecordingDisk::default();
    let store = store(&disk);
    for length in [0, 1, CHUNK - 1, CHUNK, CHUNK + 1, 3 * CHUNK, 3 * CHUNK + 5] {
        for piece in [1000, CHUNK, 100_000] {
            let (body, file) = spooled(&store, length, piece).await;
            assert_eq!(file.len(), length as u64);
            assert!(
                all(file.reader()).await.unwrap() == body,
                "{length} in pieces of {piece}"
            );
            assert!(all(file.reader()).await.unwrap() == body, "again");
        }
    }
}

#[tokio::test]
async fn a_body_without_an_entry_is_removed_and_a_taken_one_stays() {
    let disk = RecordingDisk::default();
    let store = store(&disk);
    let spool = Path::new("/data/log/spool");
    let (_, file) = spooled(&store, 100, 10).await;
    let reader = file.reader();
    drop(file);
    assert_eq!(disk.list(spool).unwrap().len(), 1, "it is being read");
    drop(reader);
    let mut unfinished = store.spool();
    unfinished.write(Bytes::from(vec![0; 3 * CHUNK])).await.unwrap();
    drop(unfinished);
    let (_, taken) = spooled(&store, 100, 10).await;
    taken.taken();
    store.keep(taken.id()).unwrap();
    drop(taken);
    // Removal is left to a thread that may block.
    for _ in 0..1000 {
        if disk.list(spool).unwrap().is_empty() {
            break;
        }
        tokio::time::sleep(std::time::Duration::from_millis(2)).await;
    }
    assert!(disk.list(spool).unwrap().is_empty());
    assert_eq!(disk.list(Path::new("/data/log/content")).unwrap().len(), 1);
}

#[tokio::test]
async fn a_changed_cut_or_reordered_chunk_is_refused() {
    let disk = RecordingDisk::default();
    let store = store(&disk);
    let (body, file) = spooled(&store, 3 * CHUNK, CHUNK).await;
    let path = store.spooled(file.id());
    let step = CHUNK + TAG;
    for at in [
        CONTENT_HEADER,
        CONTENT_HEADER + step + 7,
        CONTENT_HEADER + 3 * step - 1,
    ] {
        disk.flip_bit(&path, at, 5);
        assert_eq!(all(file.reader()).await.unwrap_err().code(), "log_damaged");
        disk.flip_bit(&path, at, 5);
    }
    assert!(all(file.reader()).await.unwrap() == body);
    // A shorter length makes another chunk the last, which its flag denies.
    let mut cut = store.open(file.id(), file.key(), 2 * CHUNK as u64).unwrap();
    assert!(cut.next_chunk().is_ok());
    assert!(cut.next_chunk().is_err());
    let opened = disk.open(&path).unwrap();
    let mut chunk = vec![0; step];
    disk::read_exact_at(&*opened, CONTENT_HEADER as u64, &mut chunk).unwrap();
    opened.write_at((CONTENT_HEADER + step) as u64, &chunk).unwrap();
    assert!(all(file.reader()).await.is_err());
}
