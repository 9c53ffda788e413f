//! A second opinion on every request of a campaign: an evidence package of it from each node that has it, what `kontor verify` says of
//! each, and what the oracle says of the exchanges in it. What the two say differently is a failure.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Instant;

use anyhow::{Context, Result};
use kontor_oracle::Exchange;
use kontor_oracle::participation::{Opinion, opinions};
use serde::Serialize;
use serde_json::{Value, json};
use tokio::task::JoinSet;

use super::NAMES;
use super::steps::seen;
use crate::federation::Federation;
use crate::subject::Subject;
use crate::transfers::opinions::{Source, exchanges, query_ids, verified};

/// Requests that are judged at a time.
const AT_ONCE: usize = 4;

/// What came of it.
#[derive(Clone, Debug, Default, Serialize)]
pub struct OpinionsReport {
    pub packages: usize,
    /// Packages of which the oracle says the same as `kontor verify`, and those of all nodes together.
    pub agreements: usize,
    pub disagreements: usize,
    /// How the requests stand, by the oracle.
    pub states: BTreeMap<String, usize>,
    /// Messages in packages whose receipt is not in the same package.
    pub without_receipt: usize,
    pub seconds: f64,
}

struct Judged {
    opinion: Opinion,
    is_package: bool,
    differently: Option<String>,
}

/// Compares opinions on these requests, each with the place of who was asked: the first two have nodes of their own, the third is a guest.
pub(super) async fn compare(
    subject: &Subject,
    federation: &Federation,
    requests: &[(String, usize)],
    wrong: &mut Vec<String>,
) -> Result<OpinionsReport> {
    let sources = NAMES.map(|name| Source::of(federation.node(name)));
    let dir = tempfile::tempdir()?;
    let begun = Instant::now();
    let mut report = OpinionsReport::default();
    let (mut running, mut waiting) = (JoinSet::new(), requests.iter());
    loop {
        while running.len() < AT_ONCE
            && let Some((request, place)) = waiting.next()
        {
            let subject = subject.clone();
            let mut of = vec![sources[0].clone()];
            of.extend(sources.get(place + 1).cloned());
            let (request, dir) = (request.clone(), dir.path().join(request));
            running.spawn(async move {
                all(&subject, &of, &request, &dir)
                    .await
                    .with_context(|| request.clone())
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
        for judged in judged {
            if judged.is_package {
                report.packages += 1;
                report.without_receipt += judged.opinion.unconfirmed.len();
            } else {
                let state = judged.opinion.state.unwrap_or("nothing").to_owned();
                *report.states.entry(state).or_default() += 1;
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

/// The opinions on the evidence of each node, and on all of it.
async fn all(subject: &Subject, sources: &[Source], request: &str, dir: &Path) -> Result<Vec<Judged>> {
    std::fs::create_dir_all(dir)?;
    let (mut judged, mut courses, mut together) = (Vec::new(), Vec::new(), Vec::new());
    for (place, source) in sources.iter().enumerate() {
        let (desk, path) = match place {
            0 => (source.desk.clone(), format!("/api/v1/requests/{request}")),
            _ => (
                source.desk.of("coordinator"),
                format!("/api/v1/contributions/{request}"),
            ),
        };
        let page = seen(&desk, &path).await?;
        let (lines, package) = verified(subject, source, &query_ids(&page), dir).await?;
        let course = lines
            .iter()
            .find(|line| line["kind"] == "participation" && line["request"] == request);
        let course = course.with_context(|| format!("kontor verify says nothing of it: {lines:?}"))?;
        let exchanges = exchanges(&package, "participation")?;
        judged.push(judge(&source.name, request, &[course], &exchanges, true)?);
        courses.push(course.clone());
        together.extend(exchanges);
    }
    let courses: Vec<&Value> = courses.iter().collect();
    judged.push(judge("all", request, &courses, &together, false)?);
    std::fs::remove_dir_all(dir)?;
    Ok(judged)
}

/// Holds what was said of a request against the oracle's opinion.
fn judge(
    whose: &str,
    request: &str,
    courses: &[&Value],
    exchanges: &[Exchange],
    is_package: bool,
) -> Result<Judged> {
    let opinion = opinions(exchanges)
        .into_iter()
        .find(|opinion| opinion.request == request);
    let opinion = opinion.with_context(|| format!("the evidence of {whose} holds no message of it"))?;
    let versions: Vec<Value> = opinion
        .versions
        .iter()
        .map(|version| {
            let mut said = json!({
                "entered_at": version.entered_at.to_string(), "in_time": version.in_time, "kept_beside": version.kept_beside,
            });
            if let Some(at) = version.withdrawn_at {
                said["withdrawn_at"] = at.to_string().into();
            }
            said
        })
        .collect();
    let differs = |course: &&Value| {
        let is_sound = course["contradictions"] == json!([]) && course["missing"] == json!([]);
        let said: Vec<Value> = course["versions"]
            .as_array()
            .into_iter()
            .flatten()
            .map(|version| {
                let mut version = version.clone();
                // What it says is for the replay; when and how it counts is for both.
                version.as_object_mut().map(|version| version.remove("kind"));
                version
            })
            .collect();
        let silence = opinion.silence.as_ref().map(|silence| {
            (
                silence.effect.clone(),
                silence.ended_at.to_string(),
                silence.answered,
            )
        });
        let meant = &course["silence"];
        let meant =
            (!meant.is_null()).then(|| json!([meant["effect"], meant["ended_at"], meant["answered"]]));
        let agrees = is_sound == opinion.is_sound()
            && course["state"] == json!(opinion.state)
            && course["ends_at"] == json!(opinion.ends_at.map(|at| at.to_string()))
            && said == versions
            && json!(meant) == json!(silence);
        (!agrees).then(|| format!("{request}: by {whose} {course} and by the oracle {opinion:?}"))
    };
    let unsound = (!opinion.is_sound())
        .then(|| format!("{request}: by the evidence of {whose} the oracle says {opinion:?}"));
    Ok(Judged {
        differently: courses.iter().find_map(differs).or(unsound),
        is_package,
        opinion,
    })
}

#[cfg(test)]
mod tests {
    use kontor_pki::crypto::sha256;

    use super::*;

    const ID: &str = "3f2504e0-4f89-41d3-9a0c-0305e82c3301";
    const END: &str = "2026-01-05T10:00:00Z";

    fn exchange(number: u32, at: &str, mut body: Value, answer: Option<Value>) -> Exchange {
        let path = format!(
            "/v1/requests/{ID}/requester/{number}/{}",
            body["kind"].as_str().unwrap()
        );
        body["contract"] = "kontor-participation/1".into();
        body["heard"] = 0.into();
        body["sent_at"] = at.into();
        let body = body.to_string().into_bytes();
        let digest: String = sha256(&body).iter().map(|byte| format!("{byte:02x}")).collect();
        let answer = answer.map(|mut answer| {
            answer["contract"] = "kontor-participation/1".into();
            answer["message"] = path.clone().into();
            answer["sha256"] = digest.into();
            answer["received_at"] = at.into();
            answer["after"] = 0.into();
            answer.to_string().into_bytes()
        });
        Exchange {
            from: "TEST/GOV/1001".into(),
            to: "TEST/GOV/1002".into(),
            path,
            body,
            answer,
        }
    }

    /// Two hours to answer, in which nothing is said; the last receipt is there or not.
    fn silence(receipt: bool) -> Vec<Exchange> {
        let asked = "2026-01-05T08:00:00Z";
        let recorded = "2026-01-05T10:01:00Z";
        let (place, rule) = (json!({ "land": "SH" }), json!({ "kind": "hours", "n": 2 }));
        let terms =
            json!({ "rule": rule, "place": place, "effect": "CONSENT_DEEMED_GIVEN", "extension": "free" });
        let deadline = json!({ "rule": rule, "trigger": asked, "place": place, "ends_at": END });
        let expired = json!({
            "kind": "expired", "ended_at": END, "effect": "CONSENT_DEEMED_GIVEN", "asked_at": END, "answered": true,
            "recorded_at": recorded,
        });
        let taken = || json!({ "answer": "taken" });
        let delivered = json!({ "answer": "delivered", "delivered_at": asked });
        let request = json!({ "kind": "request", "request": { "request_id": ID, "terms": terms } });
        vec![
            exchange(1, asked, request, Some(delivered)),
            exchange(
                2,
                asked,
                json!({ "kind": "deadline", "deadline": deadline }),
                Some(taken()),
            ),
            exchange(3, END, json!({ "kind": "inquire", "until": END }), Some(taken())),
            exchange(4, recorded, expired, receipt.then(taken)),
        ]
    }

    fn said() -> Value {
        json!({
            "state": "EXPIRED", "ends_at": END, "versions": [], "contradictions": [], "missing": [],
            "silence": { "ended_at": END, "effect": "CONSENT_DEEMED_GIVEN", "asked_at": END, "answered": true },
        })
    }

    fn judged(course: &Value, exchanges: &[Exchange]) -> Judged {
        judge("alpha", ID, &[course], exchanges, true).unwrap()
    }

    #[test]
    fn whatever_is_said_differently_is_told() {
        assert_eq!(judged(&said(), &silence(true)).differently, None);
        let version = json!({ "kind": "CONSENT", "entered_at": END, "in_time": false, "kept_beside": false });
        for (place, other) in [
            ("/state", json!("LATE")),
            ("/ends_at", json!("2026-01-05T10:00:00.001Z")),
            ("/ends_at", Value::Null),
            ("/versions", json!([version])),
            ("/silence", Value::Null),
            ("/silence/effect", json!("ASSUME_NO_OBJECTION")),
            ("/silence/ended_at", json!("2026-01-05T10:01:00Z")),
            ("/silence/answered", json!(false)),
            ("/contradictions", json!(["something"])),
            ("/missing", json!(["something"])),
        ] {
            let mut wrong = said();
            *wrong.pointer_mut(place).unwrap() = other;
            assert!(judged(&wrong, &silence(true)).differently.is_some(), "{place}");
        }
    }

    #[test]
    fn a_last_message_whose_receipt_is_on_its_way_is_counted_and_nothing_is_wrong_with_it() {
        let judged = judged(&said(), &silence(false));
        assert_eq!(judged.differently, None);
        assert_eq!(judged.opinion.unconfirmed, ["requester/4/expired"]);
    }
}
