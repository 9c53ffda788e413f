//! What the sample cases disclose, and that nothing else is in it, whatever the form and the choice are.

mod samples;

use proptest::prelude::*;

use super::access::{Access, AccessError};
use super::sheet::{Cover, Package};
use super::*;
use crate::application::{Control, Extras};
use crate::round::profile::ProfileTable;
use crate::transfer::offer::SilenceEffect;

pub(super) fn cover() -> Cover {
    let profile = ProfileTable::built_in().profile("AMTSHILFE").unwrap();
    let silence = &profile.silence[0];
    assert_eq!(silence.effect, SilenceEffect::None);
    Cover {
        question: "Ist der Betrieb eingetragen?".into(),
        profile: profile.id(),
        profile_name: profile.name.clone(),
        silence: crate::round::profile::Text {
            de: silence.de.clone(),
            en: silence.en.clone(),
        },
        topics: vec![],
        contact: "Gewerbeangelegenheiten".into(),
    }
}

pub(super) fn chosen(form: &Form, parts: Vec<FormPart>, files: Vec<FilePart>) -> Disclosure {
    Disclosure {
        form: tree_digest(form),
        parts,
        files,
        purpose: "Prüfung".into(),
        legal_basis: "§ 1".into(),
        ends: None,
        onward: false,
        selection: Selection::Person { template: None },
    }
}

pub(super) fn package(disclosure: &Disclosure, form: &Form, held: &[Held]) -> Package {
    disclosure
        .package(
            form,
            held,
            cover(),
            "00000000-0000-4000-8000-000000000001".into(),
            [7; 32],
        )
        .unwrap()
}

/// Everything that leaves, as text; files are named by the manifest and looked at there.
pub(super) fn text(package: &Package) -> String {
    let (manifest, _) = package.manifest.bytes().unwrap();
    String::from_utf8(package.sheet_bytes.clone()).unwrap() + &String::from_utf8(manifest).unwrap()
}

fn file(id: &str, role: Role) -> File {
    let mut file = File::of(
        id.into(),
        role,
        format!("name-of-{id}.pdf"),
        "application/pdf".into(),
        id.as_bytes(),
    );
    file.group = Some(format!("group-of-{id}"));
    file
}

fn held(id: &str, redacts: Option<&str>) -> Held {
    Held {
        file: file(id, Role::Attachment),
        redacts: redacts.map(str::to_owned),
    }
}

fn form(items: Vec<Node>) -> Form {
    Form {
        control: Control {
            transaction_id: "transaction-secret".into(),
            competent_unit: Some("unit-secret".into()),
            service_keys: vec![],
            form_id: Some("form-id".into()),
            name: Some("Formular".into()),
            service_account: None,
            extras: Extras::default(),
        },
        items,
        extras: [("extra-secret".to_owned(), "1".to_owned())]
            .into_iter()
            .collect(),
    }
}

#[test]
fn what_is_chosen_has_to_be_there_once_and_may_leave() {
    let leaf = Node {
        name: "n".into(),
        label: "l".into(),
        content: Content::Text("v".into()),
        extras: Extras::default(),
    };
    let form = form(vec![leaf]);
    let mut raw = held("raw", None);
    raw.file.role = Role::Data;
    let files = [
        held("original", None),
        held("copy", Some("original")),
        held("other", None),
        raw,
    ];
    let (view, download) = (Right::View, Right::Download);
    let part = |at: &[usize]| FormPart {
        at: at.to_vec(),
        right: view,
    };
    let of = |id: &str| FilePart {
        file_id: id.into(),
        right: download,
    };
    let good = chosen(&form, vec![part(&[0])], vec![of("copy"), of("other")]);
    assert_eq!(good.check(&form, &files), Ok(()));
    let mut elsewhere = good.clone();
    elsewhere.form = Digest([0; 32]);
    let mut baseless = good.clone();
    baseless.legal_basis.clear();
    for (disclosure, code) in [
        (elsewhere, "disclosure_form_changed"),
        (baseless, "disclosure_no_basis"),
        (chosen(&form, vec![part(&[1])], vec![]), "disclosure_part_unknown"),
        (
            chosen(&form, vec![part(&[0, 0])], vec![]),
            "disclosure_part_unknown",
        ),
        (chosen(&form, vec![part(&[])], vec![]), "disclosure_part_unknown"),
        (
            chosen(&form, vec![part(&[0]), part(&[0])], vec![]),
            "disclosure_twice",
        ),
        (
            chosen(&form, vec![], vec![of("other"), of("other")]),
            "disclosure_twice",
        ),
        (
            chosen(&form, vec![], vec![of("nothing")]),
            "disclosure_file_unknown",
        ),
        (chosen(&form, vec![], vec![of("original")]), "disclosure_original"),
        (chosen(&form, vec![], vec![of("raw")]), "disclosure_raw_form"),
    ] {
        assert_eq!(disclosure.check(&form, &files).unwrap_err().code(), code);
    }
    let shown = package(&good, &form, &files).sheet;
    assert_eq!(
        shown.files.iter().map(|file| file.redacted).collect::<Vec<_>>(),
        [true, false]
    );
    assert_eq!(shown.more, None, "original and raw form are nothing more");
}

#[test]
fn a_file_is_opened_by_its_right_until_it_is_taken_back_and_what_was_taken_is_told() {
    let form = form(vec![]);
    let files = [held("a", None), held("b", None)];
    let of = |id: &str, right| FilePart {
        file_id: id.into(),
        right,
    };
    let disclosure = chosen(
        &form,
        vec![],
        vec![of("a", Right::Download), of("b", Right::View)],
    );
    let sheet = package(&disclosure, &form, &files).sheet;
    let now = "2026-01-05T08:00:00Z".parse().unwrap();
    let mut access = Access::default();
    let mut open = |file: &str, right, is_open| access.open(&sheet, file, right, is_open, now);
    assert_eq!(open("a", Right::Download, true), Ok(()));
    assert_eq!(open("b", Right::View, true), Ok(()));
    assert_eq!(open("b", Right::Download, true), Err(AccessError::ViewOnly));
    assert_eq!(open("c", Right::View, true), Err(AccessError::NotDisclosed));
    assert_eq!(open("a", Right::View, false), Err(AccessError::Closed));
    access.revoke(["a"]);
    assert_eq!(
        access.open(&sheet, "a", Right::View, true, now),
        Err(AccessError::Revoked)
    );
    let taken: Vec<_> = access
        .downloaded(None)
        .into_iter()
        .map(|one| one.file_id)
        .collect();
    assert_eq!(taken, ["a"], "looking is not taking");
    assert_eq!(access.downloaded(Some(&["b".to_owned()])), vec![]);
}

/// Trees in which every name, label and value says where it stands.
fn trees() -> impl Strategy<Value = Vec<Node>> {
    let leaf = prop_oneof![Just(0usize), Just(1), Just(2)].prop_map(|kind| match kind {
        0 => Content::Text(String::new()),
        1 => Content::Date(String::new()),
        _ => Content::Nothing,
    });
    let content = leaf.prop_recursive(3, 30, 4, |inner| {
        prop::collection::vec(inner, 0..4).prop_map(|contents| {
            let node = |content| Node {
                name: String::new(),
                label: String::new(),
                content,
                extras: Extras::default(),
            };
            Content::Group(contents.into_iter().map(node).collect())
        })
    });
    prop::collection::vec(content, 1..5).prop_map(|contents| {
        let mut items: Vec<Node> = contents
            .into_iter()
            .map(|content| Node {
                name: String::new(),
                label: String::new(),
                content,
                extras: Extras::default(),
            })
            .collect();
        let mut next = 0;
        name_all(&mut items, &mut next);
        items
    })
}

fn name_all(items: &mut [Node], next: &mut usize) {
    for node in items {
        let id = *next;
        *next += 1;
        node.name = format!("name-{id}-");
        node.label = format!("label-{id}-");
        node.extras = [(format!("extra-{id}-"), "true".to_owned())]
            .into_iter()
            .collect();
        match &mut node.content {
            Content::Text(text) | Content::Date(text) => *text = format!("value-{id}-"),
            Content::Group(inner) => name_all(inner, next),
            Content::Number(_) | Content::Boolean(_) | Content::Nothing => {}
        }
    }
}

proptest! {
    #[test]
    fn nothing_but_what_is_disclosed_and_its_headings_leaves(
        items in trees(), picks in prop::collection::vec(any::<prop::sample::Index>(), 0..4), files in 0..4usize, by_class in any::<bool>(),
    ) {
        let form = form(items);
        let mut places: Vec<Vec<usize>> = Vec::new();
        form.walk(&mut |at, _| places.push(at.to_vec()));
        let mut parts: Vec<FormPart> = Vec::new();
        for pick in picks {
            let at = pick.get(&places).clone();
            if !parts.iter().any(|part| part.at == at) {
                parts.push(FormPart { at, right: Right::View });
            }
        }
        let all: Vec<Held> = ["a", "b", "c", "d"].iter().map(|id| held(&format!("file-{id}-"), None)).collect();
        let shown: Vec<FilePart> = all[..files]
            .iter()
            .map(|held| FilePart { file_id: held.file.file_id.clone(), right: Right::Download })
            .collect();
        let mut disclosure = chosen(&form, parts.clone(), shown);
        let class = Versioned { code: "HWK".to_owned().try_into().unwrap(), version: "1".to_owned().try_into().unwrap() };
        if by_class {
            disclosure.selection = Selection::Class(class.clone());
        }
        let package = package(&disclosure, &form, &all);
        let leaves = text(&package);
        let mut hidden = 0;
        form.walk(&mut |at, node| {
            let disclosed = parts.iter().any(|part| at.starts_with(&part.at));
            let heading = parts.iter().any(|part| part.at.starts_with(at));
            let id = node.name.trim_start_matches("name-");
            assert_eq!(leaves.contains(&node.name), disclosed || heading, "{}", node.name);
            assert_eq!(leaves.contains(&node.label), disclosed || heading, "{}", node.label);
            assert!(!leaves.contains(&format!("extra-{id}")), "members that nobody knows stay");
            match &node.content {
                Content::Text(_) | Content::Date(_) => {
                    assert_eq!(leaves.contains(&format!("value-{id}")), disclosed);
                    hidden += u32::from(!disclosed);
                }
                Content::Nothing => hidden += u32::from(!disclosed),
                Content::Number(_) | Content::Boolean(_) | Content::Group(_) => {}
            }
        });
        for (at, held) in all.iter().enumerate() {
            for word in [&held.file.file_id, &held.file.original_name, &held.file.sha256.to_string()] {
                prop_assert_eq!(leaves.contains(word.as_str()), at < files, "{}", word);
            }
            prop_assert!(!leaves.contains(held.file.group.as_ref().unwrap().as_str()));
        }
        for secret in ["transaction-secret", "unit-secret", "extra-secret"] {
            prop_assert!(!leaves.contains(secret));
        }
        prop_assert!(!leaves.contains(&disclosure.form.to_string()), "the digest of the tree stays");
        let sheet = &package.sheet;
        if by_class {
            prop_assert_eq!((&sheet.filter, sheet.more), (&Some(class), None));
        } else {
            let more = sheet.more.unwrap_or_default();
            prop_assert_eq!((more.fields, more.files), (hidden, u32::try_from(4 - files).unwrap()));
        }
        // The rights stand at places of what is shown.
        let reduced = Form { items: sheet.items.clone(), ..form.clone() };
        prop_assert_eq!(sheet.parts.len(), parts.len());
        for part in &sheet.parts {
            prop_assert!(node_at(&reduced, &part.at).is_some());
        }
    }
}
