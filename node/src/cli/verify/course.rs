//! Transfers and participation in a package: the messages of containers that hold are put together, and replayed, so that the report
//! says who was responsible when, and who was asked what, until when, with what result.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::io::{Cursor, Read, Seek};

use bytes::Bytes;
use kontor_participation::calendar::HolidayTable;
use kontor_participation::round::delivery::Place;
use kontor_participation::round::replay as round;
use kontor_participation::transfer::replay::{self as transfer, Exchange};
use kontor_protocol::container::Container;
use kontor_protocol::package::cover::Language;
use kontor_protocol::rest::{RestRequest, RestResponse};
use serde::Serialize;

use crate::config::casework::{SERVICE, SUBSYSTEM};

/// Containers above this size are neither messages nor parts of a bundle, which have at most 4 MiB.
pub(super) const LIMIT: u64 = 5 * 1024 * 1024;
/// The service of participation.
const PARTICIPATION: &str = "participation";

/// Collects the messages of both services.
#[derive(Default)]
pub(super) struct Collector {
    /// By request id.
    transfers: HashMap<String, Exchange>,
    rounds: HashMap<String, Exchange>,
    answers: HashMap<String, Answer>,
}

struct Answer {
    status: u16,
    body: Vec<u8>,
}

/// What is wrong with the procedures of one service.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub(super) struct Flaw {
    /// Messages contradict each other.
    pub(super) contradiction: bool,
    /// Messages are not there.
    pub(super) gap: bool,
}

impl Flaw {
    const fn of(contradictions: &[String], missing: &[String]) -> Self {
        Self {
            contradiction: !contradictions.is_empty(),
            gap: !missing.is_empty(),
        }
    }

    const fn and(self, other: Self) -> Self {
        Self {
            contradiction: self.contradiction || other.contradiction,
            gap: self.gap || other.gap,
        }
    }
}

/// What there is of the procedures of one package.
#[derive(Default)]
pub(super) struct Collected {
    transfers: Vec<Exchange>,
    rounds: Vec<Exchange>,
}

/// What is wrong with each procedure, by its id.
#[derive(Default)]
pub(super) struct Flaws {
    transfers: BTreeMap<String, Flaw>,
    rounds: BTreeMap<String, Flaw>,
}

impl Flaws {
    /// What is wrong with the transfers and the requests of which something is in a package.
    pub(super) fn of(&self, package: &Collected) -> (Flaw, Flaw) {
        let all = |flaws: &BTreeMap<String, Flaw>, ids: BTreeSet<String>| {
            let found = ids.iter().filter_map(|id| flaws.get(id).copied());
            found.fold(Flaw::default(), Flaw::and)
        };
        (
            all(&self.transfers, ids(&package.transfers, transfer_of)),
            all(&self.rounds, ids(&package.rounds, request_of)),
        )
    }
}

fn transfer_of(path: &str) -> Option<String> {
    use kontor_participation::transfer::delivery::Place;
    match Place::read(path)? {
        Place::Message { transfer, .. } | Place::Package { transfer, .. } | Place::Late { transfer, .. } => {
            Some(transfer.to_string())
        }
    }
}

fn request_of(path: &str) -> Option<String> {
    match Place::read(path)? {
        Place::Message { request, .. } | Place::Part { request, .. } => Some(request.to_string()),
    }
}

fn ids(exchanges: &[Exchange], of: fn(&str) -> Option<String>) -> BTreeSet<String> {
    exchanges
        .iter()
        .filter_map(|exchange| of(&exchange.path))
        .collect()
}

#[derive(Serialize)]
struct Line<'a, C> {
    file: &'a str,
    kind: &'static str,
    #[serde(flatten)]
    course: &'a C,
}

impl Collector {
    /// Takes a container that was judged and holds; one that is about something else is passed over.
    pub(super) fn take(&mut self, container: &[u8]) {
        let Ok(read) = Container::read(Cursor::new(container)) else {
            return;
        };
        let message = Bytes::from(read.message);
        if let Ok(request) = RestRequest::parse(message.clone()) {
            let service = request.service();
            let requests = match service.code() {
                _ if service.provider().subsystem() != Some(SUBSYSTEM) => return,
                SERVICE => &mut self.transfers,
                PARTICIPATION => &mut self.rounds,
                _ => return,
            };
            let exchange = Exchange {
                from: request.client().member().to_string(),
                to: service.provider().member().to_string(),
                path: request.service_path().to_owned(),
                body: body_of(Cursor::new(container)),
                answer: None,
            };
            requests.insert(request.request_id().to_owned(), exchange);
        } else if let Ok(response) = RestResponse::parse(message)
            && let Some(id) = response.request_id()
        {
            let mut body = body_of(Cursor::new(container));
            // Receipts and manifests, with which a bundle begins, are JSON. Of other parts it is enough that they are there.
            if !body.starts_with(b"{") {
                body = Vec::new();
            }
            let status = response.status();
            self.answers.insert(id.to_owned(), Answer { status, body });
        }
    }

    /// The exchanges, each with its answer.
    pub(super) fn collected(mut self) -> Collected {
        Collected {
            transfers: answered(self.transfers, &mut self.answers),
            rounds: answered(self.rounds, &mut self.answers),
        }
    }
}

/// Says the course of every transfer and of every request, what came of each round, and what is wrong with them. What packages of
/// several houses hold of one procedure is told as one.
pub(super) fn say_all(
    packages: &[(String, Collected)],
    language: Language,
    json: bool,
) -> anyhow::Result<Flaws> {
    let mut flaws = Flaws::default();
    let files = |id: &str, of: fn(&Collected) -> BTreeSet<String>| {
        let has = packages.iter().filter(|(_, package)| of(package).contains(id));
        has.map(|(file, _)| file.as_str()).collect::<Vec<_>>().join(", ")
    };
    let of = |one: fn(&Collected) -> &Vec<Exchange>| -> Vec<Exchange> {
        let all = packages.iter().flat_map(|(_, package)| one(package));
        all.cloned().collect()
    };
    for course in transfer::replay(&of(|package| &package.transfers)) {
        let flaw = Flaw::of(&course.contradictions, &course.missing);
        let file = files(&course.transfer, |package| ids(&package.transfers, transfer_of));
        flaws.transfers.insert(course.transfer.clone(), flaw);
        say(&file, "transfer", &course, json, || course.in_words(language))?;
    }
    let table = HolidayTable::built_in();
    let courses = round::replay(&of(|package| &package.rounds), table);
    let requests: fn(&Collected) -> BTreeSet<String> = |package| ids(&package.rounds, request_of);
    for course in &courses {
        let flaw = Flaw::of(&course.contradictions, &course.missing);
        flaws.rounds.insert(course.request.clone(), flaw);
        let file = files(&course.request, requests);
        say(&file, "participation", course, json, || {
            course.in_words(language, table)
        })?;
    }
    for summary in round::rounds(&courses) {
        let mut file: Vec<String> = Vec::new();
        for request in &summary.requests {
            let one = files(&request.request, requests);
            if !file.contains(&one) {
                file.push(one);
            }
        }
        say(&file.join(", "), "round", &summary, json, || {
            summary.in_words(language)
        })?;
    }
    Ok(flaws)
}

fn answered(requests: HashMap<String, Exchange>, answers: &mut HashMap<String, Answer>) -> Vec<Exchange> {
    let answered = requests.into_iter().map(|(id, exchange)| {
        let is_part = matches!(Place::read(&exchange.path), Some(Place::Part { .. }));
        // A part that was refused was not shown.
        let answer = answers
            .remove(&id)
            .filter(|answer| !is_part || answer.status == 200);
        Exchange {
            answer: answer.map(|answer| answer.body),
            ..exchange
        }
    });
    answered.collect()
}

fn say<C: Serialize>(
    file: &str,
    kind: &'static str,
    course: &C,
    json: bool,
    words: impl FnOnce() -> String,
) -> anyhow::Result<()> {
    match json {
        true => crate::cli::print(&(serde_json::to_string(&Line { file, kind, course })? + "\n")),
        false => crate::cli::print_words(&words()),
    }
    .map(drop)
}

fn body_of(container: impl Read + Seek) -> Vec<u8> {
    let mut body = Vec::new();
    match Container::copy_body(container, &mut body) {
        Ok(_) => body,
        Err(_) => Vec::new(),
    }
}

#[cfg(test)]
mod tests {
    use kontor_participation::round::contract::contract;
    use serde_json::Value;

    use super::*;

    const ID: &str = "3f2504e0-4f89-41d3-9a0c-0305e82c3301";

    /// The example of the contract for a message.
    fn exchange(side: &str, kind: &str, heard: u32) -> Exchange {
        let document: Value = serde_json::from_str(contract()).unwrap();
        let put = &document["paths"][format!("/v1/requests/{{request}}/{side}/{{seq}}/{kind}")]["put"];
        let mut body = put["requestBody"]["content"]["application/json"]["example"].clone();
        assert_eq!(body["kind"], kind);
        body["heard"] = heard.into();
        let (from, to) = match side {
            "requester" => ("TEST/GOV/1", "TEST/GOV/2"),
            _ => ("TEST/GOV/2", "TEST/GOV/1"),
        };
        Exchange {
            from: from.to_owned(),
            to: to.to_owned(),
            path: format!("/v1/requests/{ID}/{side}/1/{kind}"),
            body: body.to_string().into_bytes(),
            answer: None,
        }
    }

    fn flaws(exchanges: Vec<Exchange>) -> Flaw {
        let mut collector = Collector::default();
        for (place, exchange) in exchanges.into_iter().enumerate() {
            collector.rounds.insert(place.to_string(), exchange);
        }
        let packages = [("package.zip".to_owned(), collector.collected())];
        let flaws = say_all(&packages, Language::English, true).unwrap();
        let (transfers, rounds) = flaws.of(&packages[0].1);
        assert_eq!(transfers, Flaw::default());
        rounds
    }

    #[test]
    fn a_message_of_a_participation_that_is_missing_is_a_gap_and_no_contradiction() {
        let request = || exchange("requester", "request", 0);
        let whole = flaws(vec![request(), exchange("participant", "acknowledge", 1)]);
        assert!(!whole.gap && !whole.contradiction);
        // It had taken one more.
        let gap = flaws(vec![request(), exchange("participant", "acknowledge", 2)]);
        assert!(gap.gap && !gap.contradiction);
        let mut alone = request();
        alone.to.clone_from(&alone.from);
        let contradiction = flaws(vec![alone]);
        assert!(contradiction.contradiction && !contradiction.gap);
    }

    #[test]
    fn what_one_house_lacks_another_one_has_and_only_packages_with_something_of_it_are_flawed() {
        let package = |exchanges: Vec<Exchange>| {
            let mut collector = Collector::default();
            for (place, exchange) in exchanges.into_iter().enumerate() {
                collector.rounds.insert(place.to_string(), exchange);
            }
            ("package.zip".to_owned(), collector.collected())
        };
        let answer = || exchange("participant", "acknowledge", 1);
        let mut other = answer();
        other.path = other.path.replace(ID, &ID.replace('3', "4"));
        let alone = [package(vec![answer()]), package(vec![other])];
        let flaws = say_all(&alone, Language::English, true).unwrap();
        assert!(flaws.of(&alone[0].1).1.gap && flaws.of(&alone[1].1).1.gap);
        let together = [
            package(vec![answer()]),
            package(vec![exchange("requester", "request", 0)]),
            package(Vec::new()),
        ];
        let flaws = say_all(&together, Language::English, true).unwrap();
        for (_, package) in &together {
            assert_eq!(flaws.of(package), (Flaw::default(), Flaw::default()));
        }
    }

    #[test]
    fn a_part_that_was_refused_was_not_shown() {
        let parts = |status| {
            let part = Exchange {
                path: format!("/v1/bundles/{ID}/requester/1/0"),
                body: Vec::new(),
                ..exchange("participant", "acknowledge", 1)
            };
            let requests = HashMap::from([("q".to_owned(), part)]);
            let body = b"{}".to_vec();
            let mut answers = HashMap::from([("q".to_owned(), Answer { status, body })]);
            answered(requests, &mut answers).remove(0).answer
        };
        assert!(parts(200).is_some());
        assert_eq!(parts(404), None);
    }
}
