//! The directory of `kontor up`: whose it is, and what `--fresh` may delete.

use super::*;

fn options(dir: &Path, fresh: bool) -> Options {
    Options {
        cases: true,
        dir: dir.to_owned(),
        fresh,
        program: "kontor".into(),
    }
}

#[test]
fn a_directory_with_other_things_in_it_is_left_alone() {
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("thesis.txt"), "years of work").unwrap();
    for fresh in [false, true] {
        assert!(matches!(
            take_directory(&options(dir.path(), fresh)),
            Err(UpError::Foreign(_))
        ));
    }
    assert!(dir.path().join("thesis.txt").exists());
}

#[test]
fn a_second_up_in_the_same_directory_is_refused_before_it_deletes() {
    let dir = tempfile::tempdir().unwrap();
    let held = take_directory(&options(dir.path(), false)).unwrap();
    std::fs::write(dir.path().join("network"), "1").unwrap();
    assert!(matches!(
        take_directory(&options(dir.path(), true)),
        Err(UpError::Busy(_))
    ));
    assert!(dir.path().join("network").exists());
    drop(held);
    let _held = take_directory(&options(dir.path(), true)).unwrap();
    assert!(!dir.path().join("network").exists());
}
