//! The directory itself: written, kept up to date, deleted and claimed, whatever is put in its way.

use std::os::unix::fs::{PermissionsExt, symlink};

use serde_json::{Value, json};

use super::super::super::super::random_id;
use super::*;

fn place() -> (tempfile::TempDir, Place) {
    let dir = tempfile::tempdir().unwrap();
    let place = Place::new(dir.path().to_owned());
    place.prepare().unwrap();
    (dir, place)
}

fn wanted(name: &str, octets: &'static [u8]) -> Wanted {
    Wanted {
        name: name.to_owned(),
        size: octets.len() as u64,
        content: Some(Box::new(move |to| to.write_all(octets))),
    }
}

fn document(name: &str, page: &Value) -> (String, Vec<u8>) {
    (name.to_owned(), page.to_string().into_bytes())
}

fn names(dir: &Path) -> Vec<String> {
    let entries = fs::read_dir(dir).unwrap();
    let mut names: Vec<String> = entries
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort_unstable();
    names
}

#[test]
fn a_folder_appears_as_a_whole_is_kept_up_to_date_and_goes() {
    let (dir, place) = place();
    let (id, kept, gone) = (random_id(), random_id(), random_id());
    let name = |id: &Id| format!("{id}.pdf");
    let files = vec![wanted(&name(&kept), b"one"), wanted(&name(&gone), b"two")];
    assert_eq!(place.written(&id), None);
    place
        .write(&id, files, &[document("request.json", &json!({ "version": 3 }))])
        .unwrap();
    let inside = dir.path().join("in").join(id.to_string());
    assert_eq!(
        names(&inside),
        sorted([name(&kept), name(&gone), "request.json".into()])
    );
    assert_eq!(names(&dir.path().join("in")), [id.to_string()]);
    assert_eq!(place.written(&id), Some(3));
    let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!((mode(&inside), mode(&inside.join(name(&kept)))), (0o700, 0o600));
    // What is there stays, what is not to be there any more goes, what somebody else put there is left alone.
    fs::write(inside.join("note of the procedure"), b"").unwrap();
    let there = |name: String, size| Wanted {
        name,
        size,
        content: None,
    };
    place
        .write(
            &id,
            vec![there(name(&kept), 3)],
            &[document("request.json", &json!({ "version": 4 }))],
        )
        .unwrap();
    assert_eq!(
        names(&inside),
        sorted([name(&kept), "note of the procedure".into(), "request.json".into()])
    );
    assert_eq!(place.written(&id), Some(4));
    // A file that was taken away meanwhile is not named as if it were there.
    fs::remove_file(inside.join(name(&kept))).unwrap();
    let missing = place.write(
        &id,
        vec![there(name(&kept), 3)],
        &[document("request.json", &json!({ "version": 5 }))],
    );
    assert_eq!(missing.unwrap_err().kind(), io::ErrorKind::NotFound);
    assert_eq!(place.written(&id), Some(4));
    place.write(&id, vec![wanted(&name(&kept), b"one")], &[]).unwrap();
    place.remove_files(&id, &[kept.to_string()]).unwrap();
    assert!(!inside.join(name(&kept)).exists() && inside.exists());
    place.remove(&id).unwrap();
    place.remove(&id).unwrap();
    assert!(names(&dir.path().join("in")).is_empty());
}

fn sorted<const N: usize>(mut names: [String; N]) -> [String; N] {
    names.sort_unstable();
    names
}

#[test]
fn a_write_that_breaks_off_leaves_nothing_and_an_update_leaves_what_was_there() {
    let (dir, place) = place();
    let (id, file) = (random_id(), random_id());
    let breaks = || Wanted {
        name: format!("{file}.bin"),
        size: 10,
        content: Some(Box::new(|to| {
            to.write_all(b"half")?;
            Err(io::ErrorKind::StorageFull.into())
        })),
    };
    let full = place.write(&id, vec![breaks()], &[]).unwrap_err();
    assert!(crate::disk::is_full(&full));
    assert!(names(&dir.path().join("in")).is_empty());
    place
        .write(
            &id,
            Vec::new(),
            &[document("request.json", &json!({ "version": 1 }))],
        )
        .unwrap();
    place
        .write(
            &id,
            vec![breaks()],
            &[document("request.json", &json!({ "version": 2 }))],
        )
        .unwrap_err();
    assert_eq!(place.written(&id), Some(1));
    assert_eq!(
        names(&dir.path().join("in").join(id.to_string())),
        ["request.json"]
    );
}

#[test]
fn no_link_is_followed_where_is_written_or_deleted() {
    let (dir, place) = place();
    let (id, file) = (random_id(), random_id());
    let elsewhere = tempfile::tempdir().unwrap();
    let precious = elsewhere.path().join("precious");
    fs::write(&precious, b"precious").unwrap();
    let inside = dir.path().join("in").join(id.to_string());
    // In the place of the folder.
    symlink(elsewhere.path(), &inside).unwrap();
    place
        .write(&id, Vec::new(), &[document("request.json", &json!({}))])
        .unwrap_err();
    assert_eq!(place.written(&id), None);
    place.remove(&id).unwrap();
    assert_eq!(names(elsewhere.path()), ["precious"]);
    // In the place of files, also of those that are being written.
    fs::create_dir(&inside).unwrap();
    for name in [
        "request.json".to_owned(),
        ".request.json.new".to_owned(),
        format!("{file}.pdf"),
    ] {
        symlink(&precious, inside.join(name)).unwrap();
    }
    assert_eq!(place.written(&id), None);
    assert!(!place.has(&id, &format!("{file}.pdf"), 8));
    place
        .write(
            &id,
            vec![wanted(&format!("{file}.pdf"), b"disclosed")],
            &[document("request.json", &json!({ "version": 1 }))],
        )
        .unwrap();
    assert_eq!(place.written(&id), Some(1));
    assert_eq!(fs::read(&precious).unwrap(), b"precious");
    assert!(place.has(&id, &format!("{file}.pdf"), 9));
    // In the place of `in` itself: then nobody knows what lies where, and nothing is said to be deleted.
    fs::rename(dir.path().join("in"), dir.path().join("away")).unwrap();
    place.remove(&id).unwrap_err();
    symlink(elsewhere.path(), dir.path().join("in")).unwrap();
    place.remove(&id).unwrap_err();
    place.remove_files(&id, &[file.to_string()]).unwrap_err();
}

#[test]
fn names_come_from_ids_and_content_and_never_from_people() {
    let id = random_id().to_string();
    assert_eq!(file_name(&id, Some("application/pdf")), Some(format!("{id}.pdf")));
    for odd in [None, Some("text/html"), Some("../../evil")] {
        assert_eq!(file_name(&id, odd), Some(format!("{id}.bin")));
    }
    for odd in [
        "",
        "..",
        "../../etc/passwd",
        "a/b",
        "request.json",
        &id.to_uppercase(),
    ] {
        assert_eq!(file_name(odd, Some("application/pdf")), None, "{odd}");
    }
    for good in ["stellungnahme.pdf", "Anlage 1 – Größe.txt", "a"] {
        assert!(is_plain_name(good), "{good}");
    }
    let long = "x".repeat(256);
    for bad in [
        "",
        ".",
        "..",
        "../x",
        "/etc/passwd",
        "a/b",
        "a\\b",
        ".hidden",
        "a\0",
        "a\n",
        "statement.json",
        "submit",
        "ready",
        "result.json",
        &long,
    ] {
        assert!(!is_plain_name(bad), "{bad:?}");
    }
}

#[test]
fn only_folders_that_are_complete_are_claimed_each_under_a_number_of_its_own() {
    let (dir, place) = place();
    let out = dir.path().join("out");
    let (id, open, linked) = (random_id(), random_id(), random_id());
    for name in [id.to_string(), open.to_string(), "no id".to_owned()] {
        fs::create_dir(out.join(&name)).unwrap();
    }
    for name in ["ready", "result.json"] {
        fs::write(out.join(id.to_string()).join(name), b"").unwrap();
    }
    fs::write(out.join("no id").join("ready"), b"").unwrap();
    symlink(out.join(id.to_string()), out.join(linked.to_string())).unwrap();
    assert_eq!(place.answered().unwrap(), std::slice::from_ref(&id));
    assert_eq!(place.claim(&id, 0).unwrap(), 1);
    assert!(place.answered().unwrap().is_empty());
    assert_eq!(place.unfinished().unwrap(), [(id.clone(), 1)]);
    assert!(!place.taken(&id, 1).unwrap().submits);
    place.finish(&id, 1, b"{}").unwrap();
    assert!(place.unfinished().unwrap().is_empty());
    // Numbers that were submitted are not given again when what is done is cleared.
    fs::remove_dir_all(dir.path().join("done").join(format!("{id}-1"))).unwrap();
    fs::create_dir(out.join(id.to_string())).unwrap();
    fs::write(out.join(id.to_string()).join("submit"), b"").unwrap();
    assert_eq!(place.claim(&id, 1).unwrap(), 2);
    assert!(place.taken(&id, 2).unwrap().submits);
}
