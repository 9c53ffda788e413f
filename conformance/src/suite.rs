//! The cases: each says what a node has to do, by whose clause, and does it to real processes.
//!
//! Owns the world that cases share (two nodes, a scripted peer, a service that counts its calls) and what they assert;
//! refuses order: a case names its exchange by a fresh message id and relies on no other case.

pub mod access;
pub mod client;
pub mod crash;
pub mod download;
pub mod instances;
pub mod ledger;
pub mod legacy;
pub mod log;
pub mod message;
pub mod methods;
pub mod ocsp;
pub mod reconcile;
pub mod reload;
pub mod response;
pub mod service;
pub mod several;
pub mod signature;
pub mod stamping;
pub mod tampering;
pub mod participation;
pub mod transfer;
pub mod transport;
pub mod trust;

use std::pin::Pin;
use std::time::Instant;

use anyhow::{Context, Result, anyhow, ensure};
use bytes::Bytes;
use http_body_util::Full;

use crate::address::Net;
use crate::authority::throwaway_identity;
use crate::federation::{Federation, Node};
use crate::peer::Peer;
use crate::peer::consumer::{Answered, Ask, Outgoing};
use crate::peer::provider::Listening;
use crate::plan::{INSTANCE, NodePlan, PeerPlan, ServicePlan};
use crate::report::{Finding, Gaps, Outcome, Report, say};
use crate::requirement::Requirement;
use crate::service::Service;
use crate::subject::Subject;
use crate::wire::http::Answer;
use crate::wire::soap::Fault;
use crate::wire::tls::Identity;

type Running<'a> = Pin<Box<dyn Future<Output = Result<()>> + 'a>>;

/// One case.
pub struct Case {
    pub requirement: &'static Requirement,
    /// Whether it belongs to the quick run that is part of the tests.
    pub quick: bool,
    pub run: for<'a> fn(&'a World) -> Running<'a>,
}

/// Declares the cases of a room: requirement, speed and function.
macro_rules! cases {
    ($($speed:ident $requirement:ident => $run:ident;)*) => {
        /// The cases of this room.
        pub static CASES: &[$crate::suite::Case] = &[$($crate::suite::Case {
            requirement: &$crate::requirement::$requirement,
            quick: $crate::suite::is_quick(stringify!($speed)),
            run: |world| Box::pin($run(world)),
        }),*];
    };
}
pub(crate) use cases;

/// Whether the word in a table of cases is `quick`.
pub(crate) const fn is_quick(speed: &str) -> bool {
    speed.len() == 5
}

/// All cases in the order of the requirements' rooms.
pub fn all() -> impl Iterator<Item = &'static Case> {
    let rooms = [
        message::CASES,
        client::CASES,
        access::CASES,
        methods::CASES,
        reload::CASES,
        transport::CASES,
        legacy::CASES,
        signature::CASES,
        trust::CASES,
        ocsp::CASES,
        response::CASES,
        service::CASES,
        several::CASES,
        instances::CASES,
        download::CASES,
        log::CASES,
        ledger::CASES,
        reconcile::CASES,
        tampering::CASES,
        stamping::CASES,
        participation::CASES,
        participation::folder::CASES,
        participation::states::CASES,
        participation::refusals::CASES,
        participation::messages::CASES,
        participation::secrecy::CASES,
        participation::renewed::CASES,
        participation::moved::CASES,
        participation::time::CASES,
        participation::assignment::CASES,
        transfer::CASES,
        transfer::clocks::CASES,
        transfer::release::CASES,
        transfer::contract::CASES,
        transfer::samples::CASES,
        transfer::states::CASES,
        transfer::refusals::CASES,
        transfer::returns::CASES,
        transfer::dossier::CASES,
        transfer::keys::CASES,
        transfer::tokens::CASES,
        transfer::webhooks::CASES,
        crash::CASES,
    ];
    rooms.into_iter().flatten()
}

/// Which cases to run.
#[derive(Clone, Debug, Default)]
pub struct Selection {
    pub quick: bool,
    /// Only requirements whose id contains one of these; all if empty.
    pub only: Vec<String>,
    /// Says only what went wrong.
    pub quiet: bool,
}

impl Selection {
    fn takes(&self, case: &Case) -> bool {
        (!self.quick || case.quick)
            && (self.only.is_empty()
                || self
                    .only
                    .iter()
                    .any(|part| case.requirement.id.contains(part.as_str())))
    }
}

/// Runs the selected cases against `subject`, saying each as it ends.
pub async fn run(subject: &Subject, selection: &Selection, gaps: &Gaps) -> Result<Report> {
    let world = World::start(subject)
        .await
        .context("starting the federation of the suite")?;
    let mut report = Report::new(subject.path().display().to_string());
    for case in all().filter(|case| selection.takes(case)) {
        let begin = Instant::now();
        let finding = match (case.run)(&world).await {
            Ok(()) => Finding::Passed,
            Err(error) => match error.downcast::<Skip>() {
                Ok(Skip(why)) => Finding::Skipped(why),
                Err(error) => Finding::Failed(error),
            },
        };
        let line = report.add(case.requirement, finding, begin.elapsed(), gaps);
        if !selection.quiet || line.outcome != Outcome::Passed {
            say(line);
        }
    }
    say(report.summary());
    Ok(report)
}

/// Why a case cannot be run here.
#[derive(Debug)]
pub struct Skip(pub String);

impl std::fmt::Display for Skip {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for Skip {}

/// What the cases share.
#[derive(Debug)]
pub struct World {
    pub federation: Federation,
    /// Behind the services of both nodes.
    pub service: Service,
    /// The peer `gamma` as a provider.
    pub gamma: Listening,
    /// An information system's certificate that alpha's client `mtls` knows, and one that nobody knows.
    pub known_is: Identity,
    pub foreign_is: Identity,
    /// The federation of the cases about ledgers, once one of them runs.
    pub tampering: tokio::sync::OnceCell<tokio::sync::Mutex<tampering::Tampering>>,
    pub ledgers: tokio::sync::OnceCell<ledger::Ledgers>,
}

/// What the service `intake` says about itself.
const INTAKE: &str = r#"{"openapi":"3.0.3","info":{"title":"intake","version":"1"},
    "servers":[{"url":"https://intern.example:8443/intake/v1"}],"paths":{"/akten/{id}":{"get":{"responses":{}}}}}"#;

impl World {
    /// Two nodes with services of every kind, a peer and a service.
    pub async fn start(subject: &Subject) -> Result<Self> {
        let net = Net::claim().await?;
        let service = Service::start(net.address(20, 8090)).await?;
        let (known_is, foreign_is) = (throwaway_identity()?, throwaway_identity()?);
        let at = service.address();
        let id = |member: &str, subsystem: &str| format!("{INSTANCE}/GOV/{member}/{subsystem}");
        let (alpha, beta, gamma) = (id("1001", "antrag"), id("1002", "antrag"), id("1003", "portal"));
        let federation = Federation::builder(&net)
            .node(
                NodePlan::new("alpha", "1001")
                    .client("antrag")
                    .service(ServicePlan::new("intake", at, "/alpha").right(&beta))
                    .client("other")
                    .client_with("tls", "SSLNOAUTH", Vec::new())
                    .client_with("mtls", "SSLAUTH", vec![known_is.chain[0].clone()])
                    .guest("1010", "zweig")
                    .service(ServicePlan::new("branch", at, "/branch").right(&gamma)),
            )
            .node(
                NodePlan::new("beta", "1002")
                    .client("antrag")
                    .service(
                        ServicePlan::new("intake", at, "/base")
                            .described(INTAKE)
                            .right(&alpha)
                            .right(&gamma)
                            .right(&id("1001", "tls"))
                            .right(&id("1001", "mtls"))
                            .right(&id("1010", "zweig")),
                    )
                    .service(
                        ServicePlan::new("narrow", at, "/narrow")
                            .narrow_right(&alpha, "GET", "/akten/*")
                            .narrow_right(&gamma, "GET", "/akten/*"),
                    )
                    .service(ServicePlan::new("closed", at, "/closed"))
                    .service(ServicePlan::new("member", at, "/member").right(&format!("{INSTANCE}/GOV/1001")))
                    .service(
                        ServicePlan::new("off", at, "/off")
                            .right(&alpha)
                            .disabled("closed for the holidays"),
                    )
                    .service(
                        ServicePlan::new("grouped", at, "/grouped")
                            .right(&format!("group:{INSTANCE}/chambers")),
                    )
                    .service(ServicePlan::new("slow", at, "").right(&alpha).timeout(1))
                    .service(ServicePlan::new("lent", at, "/lent").right(&gamma))
                    .service(ServicePlan::new("gone", net.address(21, 8090), "/").right(&alpha)),
            )
            .peer(PeerPlan::new("gamma", "1003", "portal").guest("1004", "kammer"))
            .peer(PeerPlan::new("delta", "1005", "absent").guest("1007", "twin"))
            .peer(PeerPlan::new("zeta", "1008", "portal").guest("1007", "twin"))
            .peer(PeerPlan::new("eta", "1009", "portal").guest("1007", "twin"))
            .peer(PeerPlan::new("epsilon", "1006", "revoked"))
            .group("chambers", &[("1001", "antrag")])
            .start(subject)
            .await?;
        let gamma = Listening::start(federation.peer("gamma"), federation.authority()).await?;
        Ok(Self {
            federation,
            service,
            gamma,
            known_is,
            foreign_is,
            tampering: tokio::sync::OnceCell::new(),
            ledgers: tokio::sync::OnceCell::new(),
        })
    }

    pub fn alpha(&self) -> &Node {
        self.federation.node("alpha")
    }

    pub fn beta(&self) -> &Node {
        self.federation.node("beta")
    }

    pub fn peer(&self) -> &Peer {
        self.federation.peer("gamma")
    }

    /// `/r1/…` of a service of beta.
    pub fn at_beta(&self, service: &str, rest: &str) -> String {
        format!("/r1/{}/{service}{rest}", self.beta().client_id("antrag"))
    }

    /// Sends a request of alpha's `antrag` without a body.
    pub async fn send(&self, method: &str, path: &str, id: &str) -> Result<Answer> {
        self.send_with(method, path, id, Bytes::new()).await
    }

    /// Sends a request of alpha's `antrag` with a body.
    pub async fn send_with(
        &self,
        method: &str,
        path: &str,
        id: &str,
        body: impl Into<Bytes>,
    ) -> Result<Answer> {
        let request = self
            .alpha()
            .request(method, path, "antrag", id)
            .body(Full::new(body.into()))?;
        self.alpha().call(request).await
    }

    /// A correct request of the peer to beta, not yet signed.
    pub fn ask(&self, verb: &str, service: &str, rest: &str, id: &str) -> Ask {
        Ask::new(self.peer(), verb, &self.at_beta(service, rest), id)
    }

    /// The same signed by the peer.
    pub fn signed(&self, ask: &Ask) -> Result<Outgoing> {
        ask.sign(self.peer(), &self.peer().signer, self.federation.authority())
    }

    /// Sends the peer's request to beta and asserts that it is refused for one of `causes` and reached nobody.
    pub async fn beta_refuses(&self, outgoing: &Outgoing, id: &str, causes: &[&str]) -> Result<Fault> {
        let answered = outgoing.send(self.beta().federation()).await?;
        let fault = self.is_refusal(&answered, causes)?;
        self.never_called(id)?;
        Ok(fault)
    }

    /// Asserts that what beta answered the peer is a fault for one of `causes`.
    pub fn is_refusal(&self, answered: &Answered, causes: &[&str]) -> Result<Fault> {
        let fault = answered.fault()?;
        ensure!(
            fault.is_one_of(causes),
            "fault {fault}, expected one of {causes:?}"
        );
        ensure!(
            fault.has("serverproxy"),
            "a provider's fault is prefixed server.serverproxy (wire 3.9): {fault}"
        );
        ensure!(
            answered.status.as_u16() == 200,
            "a fault between servers has status 200 (wire 3.9): {}",
            answered.status
        );
        Ok(fault.clone())
    }

    /// Asserts that no service was called by the exchange `id`.
    pub fn never_called(&self, id: &str) -> Result<()> {
        let calls = self.service.calls(id).len();
        ensure!(
            calls == 0,
            "the service was called {calls} times by a message that failed"
        );
        Ok(())
    }
}

/// A message id nobody used before.
pub fn fresh(word: &str) -> String {
    format!("{word}-{}", uuid::Uuid::new_v4())
}

/// Asserts that an information system got a good answer.
pub fn is_served(answer: &Answer) -> Result<()> {
    let said = String::from_utf8_lossy(&answer.body[..answer.body.len().min(400)]).into_owned();
    ensure!(
        answer.header("x-road-error").is_none(),
        "X-Road error {:?}: {said}",
        answer.header("x-road-error")
    );
    ensure!(answer.status.is_success(), "status {}: {said}", answer.status);
    Ok(())
}

/// Asserts that an information system got an X-Road error for one of `causes`, in the form of wire 2.8.
pub fn is_refused(answer: &Answer, causes: &[&str]) -> Result<Fault> {
    let said = String::from_utf8_lossy(&answer.body[..answer.body.len().min(400)]).into_owned();
    let code = answer
        .header("x-road-error")
        .ok_or_else(|| anyhow!("no X-Road-Error, status {}: {said}", answer.status))?;
    let document: serde_json::Value =
        serde_json::from_slice(&answer.body).with_context(|| format!("body is no JSON: {said}"))?;
    let field = |name: &str| {
        document
            .get(name)
            .and_then(|value| value.as_str())
            .unwrap_or_default()
            .to_owned()
    };
    let fault = Fault {
        code: code.to_owned(),
        text: field("message"),
    };
    ensure!(
        fault.is_one_of(causes),
        "fault {fault}, expected one of {causes:?}"
    );
    ensure!(
        field("type") == code,
        "type {:?} is not the code {code}",
        field("type")
    );
    ensure!(!fault.text.is_empty(), "the fault {code} has no text");
    ensure!(!field("detail").is_empty(), "the fault {code} has no detail id");
    let expected = if code.starts_with("server.") || code.starts_with("Server.") {
        500
    } else {
        400
    };
    ensure!(
        answer.status.as_u16() == expected,
        "status {} for {code}, expected {expected} (wire 2.8)",
        answer.status
    );
    let content_type = answer.header("content-type").unwrap_or_default();
    ensure!(
        content_type.starts_with("application/json"),
        "content type {content_type} of an error (wire 2.8)"
    );
    Ok(fault)
}
