use jiff::civil::date;

use super::assessment::{Assessment, Progress, Treated, Treatment};
use super::work::Work;
use super::*;
use crate::round::release::{Actor, Eyes};
use crate::round::state::State;

fn statement(kind: Kind) -> Statement {
    Statement {
        statement_id: Id::try_from("1f91aa5c-9d29-40eb-b22b-5143ac348c19".to_owned()).unwrap(),
        version: 1,
        kind,
        text: String::new(),
        points: Vec::new(),
        attachments: Vec::new(),
        author: "Fachreferat (fiktiv)".into(),
        released_by: "Vorstand (fiktiv)".into(),
        dated: date(2026, 6, 11),
    }
}

fn point(number: u16) -> Point {
    Point {
        number,
        topic: "Artenschutz".into(),
        refers_to: None,
        text: "Kontrolle am Tag der Fällung.".into(),
        condition: None,
    }
}

#[test]
fn a_statement_says_what_its_kind_needs_and_one_click_is_enough_for_the_others() {
    for kind in Kind::ALL {
        let empty = statement(kind).check(None);
        let needs = matches!(
            kind,
            Kind::Statement | Kind::Refusal | Kind::DocumentsMissing | Kind::ConsentWithConditions
        );
        assert_eq!(empty.is_err(), needs, "{}", kind.name());
    }
    let mut conditional = statement(Kind::ConsentWithConditions);
    conditional.points = vec![point(1)];
    assert_eq!(conditional.check(None).unwrap_err().code(), "statement_empty");
    conditional.points[0].condition = Some("Nur außerhalb der Brutzeit.".into());
    assert_eq!(conditional.check(None), Ok(()));
    assert_eq!(Statement::read(&conditional.bytes().unwrap()), Ok(conditional));
}

#[test]
fn points_are_numbered_bounded_and_about_what_was_disclosed() {
    let mut wrong = statement(Kind::Statement);
    wrong.points = vec![point(1), point(3)];
    assert_eq!(wrong.check(None).unwrap_err().code(), "statement_numbers");
    wrong.points = vec![point(1)];
    wrong.points[0].refers_to = Some(Reference::File("hidden".into()));
    let disclosed = BTreeSet::from(["shown".to_owned()]);
    assert_eq!(
        wrong.check(Some(&disclosed)).unwrap_err().code(),
        "statement_reference"
    );
    wrong.attachments = vec!["hidden".into()];
    assert_eq!(wrong.check(Some(&disclosed)), Ok(()), "it is attached");
    wrong.text = "x".repeat(MAX_TEXT + 1);
    assert_eq!(wrong.check(None).unwrap_err().code(), "statement_too_large");
    assert_eq!(Statement::read(b"{}").unwrap_err().code(), "statement_malformed");
}

#[test]
fn a_second_person_releases_and_a_system_is_none() {
    let words = {
        let mut words = statement(Kind::Statement);
        words.text = "Keine Einwände, wenn nachgepflanzt wird.".into();
        words
    };
    let system = |name: Option<&str>| Actor::System {
        key: "key-7".into(),
        on_behalf_of: name.map(str::to_owned),
    };
    let (a, b, c) = (Actor::person("p-1"), Actor::person("p-2"), Actor::person("p-3"));
    // (eyes, who releases, who submits, the code of the refusal)
    let rows = [
        (Eyes::TWO, &a, &a, None),
        (Eyes::FOUR, &a, &a, Some("release_second_pair")),
        (Eyes::FOUR, &b, &b, None),
        (Eyes::FOUR, &system(Some("p-2")), &b, Some("release_second_pair")),
        (Eyes::SIX, &b, &b, Some("release_second_pair")),
        (Eyes::SIX, &b, &a, Some("release_second_pair")),
        (Eyes::SIX, &b, &c, None),
        (Eyes::SIX, &b, &system(None), Some("release_second_pair")),
    ];
    for (eyes, releases, submits, refused) in rows {
        let mut work = Work::begun(eyes, a.clone());
        let done = work
            .release(&words, releases.clone())
            .and_then(|()| work.submit(&words, submits.clone()));
        assert_eq!(
            done.as_ref().err().map(|error| error.code()),
            refused,
            "{eyes:?} {releases:?} {submits:?}"
        );
        if let Ok(submission) = done {
            assert_eq!(submission.statement(), words.digest().unwrap());
            assert_eq!(submission.by(), (&[a.clone()][..], releases, submits));
        }
    }
    // Drafted by a system on somebody's behalf: that somebody is no second pair.
    let mut work = Work::begun(Eyes::FOUR, system(Some("p-2")));
    assert_eq!(
        work.release(&words, b.clone()).unwrap_err().code(),
        "release_second_pair"
    );
    work.release(&words, c.clone()).unwrap();
    // What is changed afterwards is not what was released.
    let mut other = words.clone();
    other.text.push('!');
    assert_eq!(
        work.submit(&other, c.clone()).unwrap_err().code(),
        "release_changed"
    );
    work.change(c.clone());
    assert!(!work.is_released());
    assert_eq!(work.submit(&words, c).unwrap_err().code(), "release_missing");
}

#[test]
fn every_point_is_treated_once_in_the_codes_of_the_standard() {
    let mut two = statement(Kind::Statement);
    two.points = vec![point(1), point(2)];
    let treated = |point, treatment| Treated {
        point,
        treatment,
        text: String::new(),
    };
    let of = |treated: &[Treated]| Assessment {
        version: Some(1),
        treated: treated.to_vec(),
        decision: None,
    };
    let (one, both) = (
        treated(Some(1), Treatment::Followed),
        treated(Some(2), Treatment::Noted),
    );
    assert_eq!(of(&[one.clone(), both.clone()]).check(&two), Ok(()));
    assert_eq!(of(&[treated(None, Treatment::NotFollowed)]).check(&two), Ok(()));
    for (assessment, code) in [
        (of(std::slice::from_ref(&one)), "assessment_point_missing"),
        (
            of(&[one.clone(), one.clone(), both.clone()]),
            "assessment_point_unknown",
        ),
        (
            of(&[treated(Some(3), Treatment::Noted)]),
            "assessment_point_unknown",
        ),
        (
            Assessment {
                version: Some(2),
                ..of(&[one, both])
            },
            "assessment_version",
        ),
    ] {
        assert_eq!(assessment.check(&two).unwrap_err().code(), code);
    }
    assert_eq!(
        of(&[]).check(&statement(Kind::Consent)).unwrap_err().code(),
        "assessment_whole_missing"
    );
    let codes: Vec<_> = [1000, 2000, 3000, 4000, 5000]
        .into_iter()
        .map(|code| u16::from(Treatment::try_from(code).unwrap()))
        .collect();
    assert_eq!(codes, [1000, 2000, 3000, 4000, 5000]);
    assert_eq!(serde_json::to_string(&Treatment::NotFollowed).unwrap(), "3000");
    assert!(Treatment::try_from(6000).is_err() && Progress::try_from(5000).is_err());
    assert_eq!(Progress::of(State::Notified, true).map(u16::from), Some(4000));
    assert_eq!(Progress::of(State::Submitted, true).map(u16::from), Some(2000));
    assert_eq!(Progress::of(State::Expired, true), None);
}
