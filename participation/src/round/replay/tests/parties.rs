//! Who is who in a round, and what came of each.

use super::*;

#[test]
fn a_round_says_in_a_line_what_came_of_each_request() {
    let mut exchanges = silence();
    let other = ID.replace("3f2504e0", "4f2504e0");
    for mut exchange in crossing() {
        let was = exchange.body.clone();
        exchange.path = exchange.path.replace(ID, &other);
        exchange.body = String::from_utf8(was)
            .unwrap()
            .replace(
                &format!("\"request_id\":\"{ID}\""),
                &format!("\"request_id\":\"{other}\""),
            )
            .into_bytes();
        if let Some(answer) = &exchange.answer {
            let mut receipt: Receipt = serde_json::from_slice(answer).unwrap();
            receipt.message.clone_from(&exchange.path);
            receipt.sha256 = Digest(kontor_pki::crypto::sha256(&exchange.body));
            exchange.answer = Some(serde_json::to_vec(&receipt).unwrap());
        }
        exchanges.push(exchange);
    }
    let courses = replay(&exchanges, table());
    let [round] = &rounds(&courses)[..] else {
        panic!("{courses:?}")
    };
    assert_eq!((round.round_number, round.requests.len()), (1, 2));
    let words = round.in_words(Language::German);
    assert!(
        words.contains("nach BAUGB_36 (1), von TEST/GOV/1057, Anfragen: 2"),
        "{words}"
    );
    assert!(
        words.contains("TEST/GOV/1057091: Frist abgelaufen; Die Zustimmung gilt als erteilt."),
        "{words}"
    );
    let words = round.in_words(Language::English);
    assert!(words.contains("TEST/GOV/1057091: SUBMITTED; "), "{words}");
    assert!(words.contains("(in time)"), "{words}");
}

#[test]
fn who_is_hosted_speaks_through_its_host_and_nobody_else_does() {
    let guest = "guest/0f8fad5b-d9cb-469f-a165-708676895012";
    let mut exchanges = changed(silence(), 0, &|body| {
        body["request"]["hosted"] = guest.into();
        body["request"]["proof_level"] = "guest".into();
    });
    let course = &replay(&exchanges, table())[0];
    assert!(course.contradictions[0].contains("speaks for it"), "{course:?}");
    for exchange in &mut exchanges {
        (exchange.from, exchange.to) = (COUNTY.into(), COUNTY.into());
    }
    let course = &replay(&exchanges, table())[0];
    assert_eq!(course.contradictions, Vec::<String>::new());
    assert_eq!(course.participant, guest);
    assert_eq!(course.steps[2].by, guest);
    assert!(course.in_words(Language::English, table()).contains("as a guest"));
    // A member that asks itself as if it were another one.
    let mut alone = silence();
    for exchange in &mut alone {
        (exchange.from, exchange.to) = (COUNTY.into(), COUNTY.into());
    }
    assert!(replay(&alone, table())[0].contradictions[0].contains("asks itself"));
    // A part that a stranger got.
    let mut stranger = silence();
    stranger[6].from = "TEST/GOV/1".into();
    let course = &replay(&stranger, table())[0];
    assert!(
        course.contradictions[0].contains("handed to TEST/GOV/1"),
        "{course:?}"
    );
}

#[test]
fn a_message_that_was_given_up_makes_room_for_saying_so_and_one_that_counts_is_not_given_up() {
    let void =
        |gives_up: &str| json!({ "contract": CONTRACT, "kind": "void", "test": true, "gives_up": gives_up });
    let in_place_of = |seq, gives_up, says| {
        let at = "2026-03-03T09:00:00Z";
        exchange(Side::Requester, seq, 1, at, void(gives_up), 1, says)
    };
    // The reminder was refused as unreadable, and given up.
    let mut exchanges = silence();
    exchanges.truncate(4);
    exchanges[3].answer = Some(b"{\"code\":\"message_invalid\"}".to_vec());
    exchanges.push(in_place_of(3, "reminder", Some(Says::Taken)));
    for exchanges in [exchanges.clone(), exchanges.into_iter().rev().collect()] {
        let course = &replay(&exchanges, table())[0];
        assert_eq!(course.contradictions, Vec::<String>::new());
        assert_eq!(course.missing, Vec::<String>::new());
        assert_eq!(course.steps.last().unwrap().kind, "void");
        assert_eq!(course.state, Some(State::Acknowledged));
    }
    // It had been taken, and the other side takes no second message of that number.
    let mut exchanges = silence();
    exchanges.push(in_place_of(3, "reminder", None));
    let course = &replay(&exchanges, table())[0];
    assert_eq!(
        (&course.contradictions, course.state),
        (&vec![], Some(State::Expired))
    );
    let mut exchanges = silence();
    exchanges.push(in_place_of(3, "reminder", Some(Says::Taken)));
    let course = &replay(&exchanges, table())[0];
    assert!(
        course.contradictions[0].contains("stands there twice"),
        "{course:?}"
    );
    // An end that was told holds.
    let mut exchanges = silence();
    exchanges[1].answer = None;
    exchanges.push(in_place_of(2, "deadline", Some(Says::Taken)));
    let course = &replay(&exchanges, table())[0];
    assert!(
        course.contradictions[0].contains("retry the others"),
        "{course:?}"
    );
}

#[test]
fn the_role_of_who_asks_goes_over_to_whom_its_last_message_names_and_to_nobody_else() {
    let at = "2026-03-04T09:00:00Z";
    let mut exchanges = silence();
    exchanges.push(exchange(
        Side::Requester,
        6,
        1,
        at,
        example("moved"),
        1,
        Some(Says::Taken),
    ));
    let mut outcome = exchange(
        Side::Requester,
        7,
        1,
        at,
        example("outcome"),
        1,
        Some(Says::Taken),
    );
    outcome.from = "TEST/GOV/1003".into();
    let mut by_another = exchanges.clone();
    exchanges.push(outcome.clone());
    let course = &replay(&exchanges, table())[0];
    assert_eq!((&course.contradictions, &course.missing), (&vec![], &vec![]));
    assert_eq!(course.state, Some(State::Notified));
    let words = course.in_words(Language::English, table());
    assert!(
        words.contains("TEST/GOV/1003 asks in the place of TEST/GOV/1057"),
        "{words}"
    );
    // Who has handed it over asks no more, and nobody else does.
    for from in [COUNTY, "TEST/GOV/9"] {
        outcome.from = from.into();
        by_another.push(outcome.clone());
        let course = &replay(&by_another, table())[0];
        assert!(
            course.contradictions[0].contains("the requester is"),
            "{course:?}"
        );
        by_another.pop();
    }
    // Without the message that says so it is missing, and nothing is concluded.
    let without: Vec<_> = exchanges
        .iter()
        .filter(|exchange| !exchange.path.ends_with("/moved"))
        .cloned()
        .collect();
    let course = &replay(&without, table())[0];
    assert_eq!(course.contradictions, Vec::<String>::new());
    assert_eq!(course.missing, ["message 6 of the requester"]);
}
