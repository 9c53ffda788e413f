use std::path::{Path, PathBuf};

use kontor_pki::crypto::sha256;
use proptest::prelude::*;

use super::intake;
use super::manifest::{Digest, File, Manifest, PART, Role};
use super::*;

fn samples() -> Vec<PathBuf> {
    let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("../node/samples");
    let mut all: Vec<_> = std::fs::read_dir(dir)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.join("formData.json").exists())
        .collect();
    all.sort();
    assert_eq!(all.len(), 4);
    all
}

/// Tokens of a JSON text outside of strings and the strings themselves, without white space: what a reader that keeps order and
/// digits sees. Escapes are read, so that two ways to write one string are one.
fn tokens(text: &str) -> Vec<String> {
    let (mut tokens, mut rest) = (Vec::new(), text.trim_start());
    while let Some(first) = rest.chars().next() {
        let end = match first {
            '"' => {
                let mut escaped = false;
                let inner = rest[1..]
                    .find(|c| {
                        let ends = c == '"' && !escaped;
                        escaped = c == '\\' && !escaped;
                        ends
                    })
                    .unwrap();
                inner + 2
            }
            '{' | '}' | '[' | ']' | ',' | ':' => 1,
            _ => rest
                .find(|c: char| ",:{}[]\"".contains(c) || c.is_whitespace())
                .unwrap_or(rest.len()),
        };
        let token = &rest[..end];
        tokens.push(match first {
            '"' => serde_json::from_str::<String>(token).unwrap() + "\"",
            _ => token.to_owned(),
        });
        rest = rest[end..].trim_start();
    }
    tokens
}

#[test]
fn every_sample_comes_out_as_it_came_in_token_by_token() {
    for sample in samples() {
        let text = std::fs::read_to_string(sample.join("formData.json")).unwrap();
        let form = intake::read(text.as_bytes()).unwrap();
        assert_eq!(
            tokens(&intake::write(&form).unwrap()),
            tokens(&text),
            "{sample:?}"
        );
        // And by the neutral form, as it travels.
        let travelled: Form = serde_json::from_str(&serde_json::to_string(&form).unwrap()).unwrap();
        assert_eq!(travelled, form);
        let mut nodes = 0;
        form.walk(&mut |at, _| {
            assert!(!at.is_empty());
            nodes += 1;
        });
        assert_eq!(
            nodes,
            text.matches("\"name\"").count() - 1,
            "{sample:?}: all but the form's own name"
        );
    }
}

#[test]
fn every_character_of_the_samples_is_kept_and_siblings_of_one_name_have_places_of_their_own() {
    let text = std::fs::read(samples()[2].join("formData.json")).unwrap();
    let form = intake::read(&text).unwrap();
    let (mut phones, mut found) = (Vec::new(), Vec::new());
    form.walk(&mut |at, node| {
        if node.name == "telefon" {
            phones.push(at.to_vec());
        }
        if let Content::Text(text) = &node.content {
            found.push(text.clone());
        }
    });
    assert_eq!(phones.len(), 2);
    assert_ne!(phones[0], phones[1]);
    for kept in [
        "12 a–c",
        "Țurcanu-Weiß",
        "Zimmerei Weiß & Şükürzadə <Holz-Werk> GbR",
        "",
    ] {
        assert!(found.iter().any(|text| text == kept), "{kept:?} is lost");
    }
}

fn with(items: &str) -> String {
    format!("{{\"control\":{{\"transactionId\":\"t\"}},\"formData\":[{items}]}}")
}

#[test]
fn digits_of_numbers_and_members_that_nobody_knows_stay() {
    for digits in [
        "0",
        "-0.0",
        "12.50",
        "1e3",
        "1E+30",
        "123456789012345678901234567890.10",
        "0.1000",
    ] {
        let text = with(&format!(
            "{{\"name\":\"n\",\"label\":\"\",\"numberValue\":{digits}}}"
        ));
        let written = intake::write(&intake::read(text.as_bytes()).unwrap()).unwrap();
        assert!(
            written.contains(&format!("\"numberValue\":{digits}}}")),
            "{written}"
        );
    }
    let text = concat!(
        "{\"control\":{\"transactionId\":\"t\",\"leikaIds\":[],\"neu\":{\"b\":1.0,\"a\":[ ]}},",
        "\"formData\":[{\"name\":\"n\",\"label\":\"L\",\"booleanValue\":false,\"hinweis\":null,\"x\":\"y\"}],\"zuletzt\":[1,2]}"
    );
    let form = intake::read(text.as_bytes()).unwrap();
    assert_eq!(tokens(&intake::write(&form).unwrap()), tokens(text));
    let travelled: Form = serde_json::from_str(&serde_json::to_string(&form).unwrap()).unwrap();
    assert_eq!(travelled, form);
}

#[test]
fn null_is_absent_and_a_field_may_be_empty() {
    let text = with(
        "{\"name\":\"n\",\"label\":null,\"stringValue\":null,\"numberValue\":null,\"dateValue\":null,\"booleanValue\":null,\"formItems\":[]}",
    );
    let form = intake::read(text.as_bytes()).unwrap();
    assert_eq!(form.items[0].content, Content::Group(vec![]));
    let text = with("{\"name\":\"n\",\"label\":\"L\",\"formItems\":null}");
    let form = intake::read(text.as_bytes()).unwrap();
    assert_eq!(form.items[0].content, Content::Nothing);
    assert_eq!(intake::read(intake::write(&form).unwrap().as_bytes()), Ok(form));
}

#[test]
fn what_is_not_the_contract_is_refused_with_code_and_place() {
    let deep = |levels: usize| {
        let open = "{\"name\":\"g\",\"label\":\"\",\"formItems\":[".repeat(levels);
        with(&(open + &"]}".repeat(levels)))
    };
    let many: Vec<_> = (0..65).map(|n| format!("\"{n}\":1")).collect();
    let many = many.join(",");
    for (text, code, pointer) in [
        ("".to_owned(), "form_not_json", ""),
        ("[]".to_owned(), "form_not_json", ""),
        ("{\"control\":{},\"control\":{}}".to_owned(), "form_not_json", ""),
        ("{\"formData\":[]}".to_owned(), "form_member_missing", "/control"),
        (
            "{\"control\":{\"transactionId\":\"t\"}}".to_owned(),
            "form_member_missing",
            "/formData",
        ),
        (
            "{\"control\":{},\"formData\":[]}".to_owned(),
            "form_member_missing",
            "/control/transactionId",
        ),
        (
            "{\"control\":{\"transactionId\":7},\"formData\":[]}".to_owned(),
            "form_member_type",
            "/control/transactionId",
        ),
        (
            with("{\"label\":\"\"}"),
            "form_member_missing",
            "/formData/0/name",
        ),
        (with("7"), "form_member_type", "/formData"),
        (
            with("{\"name\":\"a\",\"label\":\"\",\"stringValue\":\"\",\"numberValue\":1}"),
            "form_leaf",
            "/formData/0",
        ),
        (
            with("{\"name\":\"a\",\"label\":\"\",\"formItems\":[{\"name\":\"b\",\"numberValue\":\"1\"}]}"),
            "form_member_type",
            "/formData/0/formItems/0/numberValue",
        ),
        (
            with("{\"name\":\"a\",\"booleanValue\":\"ja\"}"),
            "form_member_type",
            "/formData/0/booleanValue",
        ),
        (
            format!("{{\"control\":{{{many}}},\"formData\":[]}}"),
            "form_member_type",
            "/control",
        ),
    ] {
        let refused = intake::read(text.as_bytes()).unwrap_err();
        assert_eq!(
            (refused.code, refused.pointer.as_str()),
            (code, pointer),
            "{text}: {refused}"
        );
    }
    assert!(intake::read(deep(32).as_bytes()).is_ok());
    assert_eq!(
        intake::read(deep(33).as_bytes()).unwrap_err().code,
        "form_too_large"
    );
    assert!(intake::read(deep(20_000).as_bytes()).is_err());
    let wide = with(&vec!["{\"name\":\"n\",\"label\":\"\"}"; intake::MAX_NODES + 1].join(","));
    assert_eq!(intake::read(wide.as_bytes()).unwrap_err().code, "form_too_large");
    let long = vec![b' '; intake::MAX_OCTETS + 1];
    assert_eq!(intake::read(&long).unwrap_err().code, "form_too_large");
}

#[test]
fn a_manifest_names_the_files_of_a_sample_as_it_does_and_finds_every_change() {
    #[derive(Deserialize)]
    struct Sample {
        files: Vec<SampleFile>,
    }
    #[derive(Deserialize)]
    struct SampleFile {
        file_id: String,
        path: String,
        original_name: String,
        declared_media_type: String,
        size: u64,
        sha256: Digest<32>,
        sha512: Digest<64>,
        stored: bool,
    }
    let folder = &samples()[2];
    let text = std::fs::read_to_string(folder.join("manifest.json")).unwrap();
    let sample: Sample = serde_json::from_str(&text).unwrap();
    let mut files = Vec::new();
    for file in sample.files.into_iter().filter(|file| file.stored) {
        let content = std::fs::read(folder.join(&file.path)).unwrap();
        let ours = File::of(
            file.file_id,
            Role::Attachment,
            file.original_name,
            file.declared_media_type,
            &content,
        );
        assert_eq!(
            (ours.size, ours.sha256, ours.sha512),
            (file.size, file.sha256, file.sha512),
            "{}",
            file.path
        );
        assert_eq!(ours.check(&content), Ok(()));
        let mut changed = content.clone();
        changed[0] ^= 1;
        assert_eq!(ours.check(&changed).unwrap_err().code(), "manifest_mismatch");
        changed.push(0);
        assert_eq!(ours.check(&changed).unwrap_err().code(), "manifest_mismatch");
        files.push(ours);
    }
    let manifest = Manifest::new(files.clone(), [7; 32]).unwrap();
    let (bytes, digest) = manifest.bytes().unwrap();
    assert_eq!(digest, Digest(sha256(&bytes)));
    assert_eq!(Manifest::read(&bytes, &digest), Ok(manifest.clone()));
    assert_eq!(manifest.files(), files);
    // The same files under another salt have another digest: nobody learns from it what they are.
    let (_, other) = Manifest::new(files.clone(), [8; 32]).unwrap().bytes().unwrap();
    assert_ne!(other, digest);
    let mut changed = bytes.clone();
    let middle = changed.len() / 2;
    changed[middle] ^= 1;
    assert_eq!(
        Manifest::read(&changed, &digest).unwrap_err().code(),
        "manifest_not_offered"
    );
    files.push(files[0].clone());
    assert_eq!(
        Manifest::new(files, [7; 32]).unwrap_err().code(),
        "manifest_file_twice"
    );
    let unlike = b"{\"format\":\"kontor-manifest/9\",\"salt\":\"00\",\"files\":[]}";
    let refused = Manifest::read(unlike, &Digest(sha256(unlike))).unwrap_err();
    assert_eq!(refused.code(), "manifest_malformed");
}

#[test]
fn files_are_pulled_in_parts_of_four_mebibytes_over_all_of_them() {
    let file = |id: &str, size| File {
        size,
        ..File::of(id.into(), Role::Attachment, "x".into(), "x/y".into(), b"")
    };
    let parts = |sizes: &[u64]| {
        let files = sizes
            .iter()
            .enumerate()
            .map(|(at, size)| file(&at.to_string(), *size));
        Manifest::new(files.collect(), [0; 32]).unwrap().parts()
    };
    assert_eq!(parts(&[]), 0);
    assert_eq!(parts(&[0, 1]), 1);
    assert_eq!(parts(&[PART - 1, 1]), 1);
    assert_eq!(parts(&[PART, 1]), 2);
    assert_eq!(parts(&[u64::MAX, u64::MAX]), u64::MAX.div_ceil(PART));
}

fn contents() -> impl Strategy<Value = Content> {
    let leaf = prop_oneof![
        ".{0,12}".prop_map(Content::Text),
        "-?(0|[1-9][0-9]{0,20})(\\.[0-9]{1,9})?([eE][+-]?[0-9]{1,3})?"
            .prop_map(|text| Content::Number(Decimal::try_from(text).unwrap())),
        "[0-9]{4}-[0-9]{2}-[0-9]{2}".prop_map(Content::Date),
        any::<bool>().prop_map(Content::Boolean),
        Just(Content::Nothing),
    ];
    leaf.prop_recursive(4, 32, 6, |inner| {
        prop::collection::vec((".{0,6}", ".{0,6}", inner), 0..6).prop_map(|nodes| {
            let node = |(name, label, content)| Node {
                name,
                label,
                content,
                extras: Extras::default(),
            };
            Content::Group(nodes.into_iter().map(node).collect())
        })
    })
}

proptest! {
    #[test]
    fn whatever_a_form_holds_survives_the_intake_and_the_way(content in contents(), id in ".{1,8}") {
        let form = Form {
            control: Control {
                transaction_id: id,
                competent_unit: None,
                service_keys: vec![],
                form_id: None,
                name: None,
                service_account: None,
                extras: Extras::default(),
            },
            items: vec![Node {
                name: "n".into(),
                label: "l".into(),
                content,
                extras: Extras::default(),
            }],
            extras: Extras::default(),
        };
        prop_assert_eq!(&intake::read(intake::write(&form).unwrap().as_bytes()).unwrap(), &form);
        let travelled: Form = serde_json::from_str(&serde_json::to_string(&form).unwrap()).unwrap();
        prop_assert_eq!(&travelled, &form);
    }

    #[test]
    fn what_json_does_not_take_as_a_number_is_none_here_and_the_reverse(text in "[-+0-9.eE]{1,8}") {
        let json = serde_json::from_str::<&serde_json::value::RawValue>(&text);
        let same = json.is_ok_and(|value| value.get() == text);
        prop_assert_eq!(Decimal::try_from(text).is_ok(), same);
    }

    #[test]
    fn arbitrary_octets_are_refused_without_a_panic(octets in prop::collection::vec(any::<u8>(), 0..200)) {
        let _ = intake::read(&octets);
    }
}
