//! A second opinion on every transfer of a campaign: an evidence package of it from either node, what `kontor verify` says of each,
//! and what the oracle says of the exchanges in it.
//!
//! Owns the way from a package to exchanges; refuses to judge anything itself. What the two say differently is a failure.

use std::collections::{BTreeMap, HashMap};
use std::fs::File;
use std::io::{BufReader, Cursor};
use std::path::{Path, PathBuf};
use std::time::Instant;

use anyhow::{Context, Result, ensure};
use bytes::Bytes;
use kontor_oracle::{Exchange, Opinion, opinions};
use kontor_protocol::container::Container;
use kontor_protocol::package::Package;
use kontor_protocol::rest::{RestRequest, RestResponse};
use serde::Serialize;
use serde_json::{Value, json};
use tokio::task::JoinSet;

use crate::desk::Desk;
use crate::federation::{Federation, Node};
use crate::subject::Subject;

/// Packages that are made and judged at a time.
const AT_ONCE: usize = 4;
/// What the messages of the two nodes begin with, of which the first hands over.
const OWN: [&str; 2] = ["sender/", "receiver/"];
/// Containers above this size are no messages of a transfer.
const LARGEST: usize = 4 * 1024 * 1024;

/// What came of it.
#[derive(Clone, Debug, Default, Serialize)]
pub struct OpinionsReport {
    pub packages: usize,
    /// Packages of which the oracle says the same as `kontor verify`, and those of both nodes together.
    pub agreements: usize,
    pub disagreements: usize,
    /// How the transfers ended, by the oracle.
    pub endings: BTreeMap<String, usize>,
    /// Messages in packages whose receipt is not in the same package.
    pub without_receipt: usize,
    pub seconds: f64,
}

/// Where an evidence package comes from.
#[derive(Clone, Debug)]
pub(crate) struct Source {
    pub(crate) name: String,
    config: PathBuf,
    trust: PathBuf,
    pub(crate) desk: Desk,
}

impl Source {
    pub(crate) fn of(node: &Node) -> Self {
        Self {
            name: node.name().to_owned(),
            config: node.config().to_owned(),
            trust: node.trust(),
            desk: Desk::at(node),
        }
    }
}

/// What is said of one transfer by the evidence of one node, or of both.
struct Judged {
    opinion: Opinion,
    /// What the two say differently.
    differently: Option<String>,
}

/// Compares opinions on these transfers from the first node to the second; what is wrong is added.
pub(crate) async fn compare(
    subject: &Subject,
    federation: &Federation,
    nodes: [&str; 2],
    transfers: &[String],
    wrong: &mut Vec<String>,
) -> Result<OpinionsReport> {
    let sources = nodes.map(|name| Source::of(federation.node(name)));
    let dir = tempfile::tempdir()?;
    let begun = Instant::now();
    let mut report = OpinionsReport::default();
    let (mut running, mut waiting) = (JoinSet::new(), transfers.iter());
    loop {
        while running.len() < AT_ONCE
            && let Some(transfer) = waiting.next()
        {
            let (subject, sources) = (subject.clone(), sources.clone());
            let (transfer, dir) = (transfer.clone(), dir.path().join(transfer));
            running.spawn(async move {
                let judged = both(&subject, &sources, &transfer, &dir).await;
                judged.with_context(|| transfer.clone())
            });
        }
        let Some(judged) = running.join_next().await else {
            break;
        };
        let judged = match judged.context("a task")? {
            Ok(judged) => judged,
            Err(error) => {
                report.disagreements += 1;
                wrong.push(format!("{error:#}"));
                continue;
            }
        };
        for (place, judged) in judged.into_iter().enumerate() {
            let transfer = &judged.opinion.transfer;
            // The last one is about the evidence of both nodes together.
            if place < sources.len() {
                report.packages += 1;
                let unconfirmed = &judged.opinion.unconfirmed;
                report.without_receipt += unconfirmed.len();
                // Whoever sent a message has its receipt, however often an answer was lost on the way.
                let own = OWN.get(place).copied().unwrap_or_default();
                let lost = unconfirmed.iter().filter(|message| message.starts_with(own));
                let lost = lost.map(|message| format!("{transfer}: {message} without its receipt"));
                wrong.extend(lost);
            } else {
                let ending = judged.opinion.ending.name().to_owned();
                *report.endings.entry(ending).or_default() += 1;
            }
            match judged.differently {
                None => report.agreements += 1,
                Some(text) => {
                    report.disagreements += 1;
                    wrong.push(text);
                }
            }
        }
    }
    report.seconds = begun.elapsed().as_secs_f64();
    Ok(report)
}

/// What the oracle says differently from what `kontor verify` said of a transfer in a package.
pub fn differently(course: &Value, package: &Path) -> Result<Option<String>> {
    let transfer = course["transfer"].as_str().unwrap_or_default();
    Ok(judge(
        "the package",
        transfer,
        &[course],
        &exchanges(package, "transfer")?,
    )?
    .differently)
}

/// The opinions on the evidence of each node, and on all of it.
async fn both(subject: &Subject, sources: &[Source; 2], transfer: &str, dir: &Path) -> Result<Vec<Judged>> {
    std::fs::create_dir_all(dir)?;
    let (mut judged, mut courses, mut all) = (Vec::new(), Vec::new(), Vec::new());
    for source in sources {
        let (course, exchanges) = evidence(subject, source, transfer, dir).await?;
        judged.push(judge(&source.name, transfer, &[&course], &exchanges)?);
        courses.push(course);
        all.extend(exchanges);
    }
    let courses: Vec<&Value> = courses.iter().collect();
    judged.push(judge("both", transfer, &courses, &all)?);
    std::fs::remove_dir_all(dir)?;
    Ok(judged)
}

/// What `kontor verify` says of a transfer by the package of one node, and the exchanges in that package.
async fn evidence(
    subject: &Subject,
    source: &Source,
    transfer: &str,
    dir: &Path,
) -> Result<(Value, Vec<Exchange>)> {
    let page = source.desk.get(&format!("/api/v1/transfers/{transfer}")).await?;
    let (lines, package) = verified(subject, source, &query_ids(&page), dir).await?;
    let course = lines
        .iter()
        .find(|line| line["kind"] == "transfer" && line["transfer"] == transfer);
    let course = course.with_context(|| format!("kontor verify says nothing of it: {lines:?}"))?;
    Ok((course.clone(), exchanges(&package, "transfer")?))
}

/// Exports a package with the exchanges of these query ids from a node, and verifies it: what is said of it, line by line.
pub(crate) async fn verified(
    subject: &Subject,
    source: &Source,
    query_ids: &str,
    dir: &Path,
) -> Result<(Vec<Value>, PathBuf)> {
    let (ids, package) = (
        dir.join(format!("{}.ids", source.name)),
        dir.join(format!("{}.zip", source.name)),
    );
    std::fs::write(&ids, query_ids)?;
    let said = subject
        .run([
            "log".as_ref(),
            "export".as_ref(),
            "--config".as_ref(),
            source.config.as_os_str(),
            "--query-ids".as_ref(),
            ids.as_os_str(),
            "--package".as_ref(),
            package.as_os_str(),
        ])
        .await?;
    ensure!(said.code == Some(0), "log export on {}: {said:?}", source.name);
    let said = subject
        .run([
            "verify".as_ref(),
            package.as_os_str(),
            "--trust".as_ref(),
            source.trust.as_os_str(),
            "--json".as_ref(),
        ])
        .await?;
    let lines: Vec<Value> = said
        .out
        .lines()
        .filter_map(|line| serde_json::from_str(line).ok())
        .collect();
    let sound = |line: &&Value| line["verdict"] == "valid";
    ensure!(
        said.code == Some(0),
        "the evidence of {} does not hold: {}",
        source.name,
        lines
            .iter()
            .filter(|line| !sound(line))
            .map(Value::to_string)
            .collect::<Vec<_>>()
            .join("\n")
    );
    Ok((lines, package))
}

/// The query ids of the messages of a transfer or a request, as `kontor transfer messages` prints them. Content that was pulled
/// is not logged a second time, and what cannot be judged whole is no part of a package.
pub(crate) fn query_ids(page: &Value) -> String {
    let all = |name: &str| page[name].as_array().cloned().unwrap_or_default();
    let sent = all("sent").into_iter().flat_map(|message| {
        let state = &message["state"];
        [state["receipt"]["x_road_id"].clone(), state["exchange"].clone()]
    });
    // What another house had received before the case came here lies in its log.
    let own = |message: &Value| message["elsewhere"] != true;
    let received = all("received").into_iter().filter(own).flat_map(|message| {
        // The exchange that came first, and the last one in which it came again.
        [message["receipt"]["x_road_id"].clone(), message["again"].clone()]
    });
    sent.chain(received)
        .filter_map(|id| Some(id.as_str()?.to_owned() + "\n"))
        .collect()
}

/// The exchanges with a service of casework in a package.
pub(crate) fn exchanges(package: &Path, code: &str) -> Result<Vec<Exchange>> {
    let mut package = Package::open(BufReader::new(File::open(package)?))?;
    let names: Vec<String> = package.containers().map(str::to_owned).collect();
    let (mut requests, mut answers) = (Vec::new(), HashMap::new());
    for name in names {
        let container = package.held(&name, LARGEST)?;
        let container = container.with_context(|| format!("{name} is not what the package lists"))?;
        let message = Bytes::from(Container::read(Cursor::new(&container))?.message);
        let mut body = Vec::new();
        Container::copy_body(Cursor::new(&container), &mut body)?;
        if let Ok(request) = RestRequest::parse(message.clone()) {
            let service = request.service();
            if service.code() == code && service.provider().subsystem() == Some("KONTOR") {
                let exchange = Exchange {
                    from: request.client().member().to_string(),
                    to: service.provider().member().to_string(),
                    path: request.service_path().to_owned(),
                    body,
                    answer: None,
                };
                requests.push((request.request_id().to_owned(), exchange));
            }
        } else if let Ok(response) = RestResponse::parse(message)
            && let Some(id) = response.request_id()
        {
            answers.insert(id.to_owned(), body);
        }
    }
    let answered = requests.into_iter().map(|(id, exchange)| Exchange {
        answer: answers.get(&id).cloned(),
        ..exchange
    });
    Ok(answered.collect())
}

/// Holds what was said of a transfer against the oracle's opinion.
fn judge(whose: &str, transfer: &str, courses: &[&Value], exchanges: &[Exchange]) -> Result<Judged> {
    let opinion = opinions(exchanges)
        .into_iter()
        .find(|opinion| opinion.transfer == transfer);
    let opinion = opinion.with_context(|| format!("the evidence of {whose} holds no message of it"))?;
    let terms: Vec<Value> = opinion
        .responsible
        .iter()
        .map(|term| json!({ "from": term.from.to_string(), "until": term.until.map(|at| at.to_string()), "member": term.member }))
        .collect();
    let differs = |course: &&Value| {
        let is_sound = course["contradictions"] == json!([]) && course["missing"] == json!([]);
        let agrees = is_sound == opinion.is_sound()
            && course["responsible"] == json!(terms)
            && course["ending"] == opinion.ending.name();
        (!agrees).then(|| format!("{transfer}: by {whose} {course} and by the oracle {opinion:?}"))
    };
    let unsound = (!opinion.is_sound())
        .then(|| format!("{transfer}: by the evidence of {whose} the oracle says {opinion:?}"));
    Ok(Judged {
        differently: courses.iter().find_map(differs).or(unsound),
        opinion,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const ID: &str = "3f2504e0-4f89-41d3-9a0c-0305e82c3301";

    fn offered() -> Vec<Exchange> {
        let body = json!({
            "contract": "kontor-transfer/1", "kind": "offer", "sent_at": "2026-01-05T08:00:00Z", "test": true,
            "offer": {
                "transfer_id": ID, "situation": "MIGRATION", "first_received_at": "2026-01-05T07:00:00Z",
                "running_deadlines": [], "take_over_until": "2026-01-12T23:00:00Z", "manifest": "00",
            },
        });
        vec![Exchange {
            from: "TEST/GOV/1001".into(),
            to: "TEST/GOV/1002".into(),
            path: format!("/v1/transfers/{ID}/sender/1/offer"),
            body: body.to_string().into_bytes(),
            answer: None,
        }]
    }

    #[test]
    fn whatever_is_said_differently_is_told() {
        let right = json!({
            "responsible": [{ "from": "2026-01-05T07:00:00Z", "until": null, "member": "TEST/GOV/1001" }],
            "ending": "OPEN", "contradictions": [], "missing": [],
        });
        let said = |course: &Value| judge("alpha", ID, &[course], &offered()).unwrap().differently;
        assert_eq!(said(&right), None);
        for (member, other) in [
            ("responsible", json!([])),
            ("ending", json!("TAKEN_OVER")),
            ("contradictions", json!(["something"])),
            ("missing", json!(["something"])),
        ] {
            let mut wrong = right.clone();
            wrong[member] = other;
            assert!(said(&wrong).is_some(), "{member}");
        }
        let mut later = right.clone();
        later["responsible"][0]["from"] = "2026-01-05T07:00:00.001Z".into();
        assert!(said(&later).is_some());
    }
}
