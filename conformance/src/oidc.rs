//! Tokens of a provider that is not ours: oidc-provider runs on loopback, fictional persons log in as with a browser (code flow with
//! PKCE), and a node is shown what they get.
//!
//! Owns what is expected of each token. The provider comes from the registry of node.js and is not part of the project.

use std::path::PathBuf;
use std::process::Stdio;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use hyper::Method;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader, Lines};
use tokio::process::{Child, ChildStdin, ChildStdout, Command};

use crate::address::Net;
use crate::desk::{Desk, settings, text};
use crate::federation::{Federation, Node};
use crate::issuer::AUDIENCE;
use crate::plan::NodePlan;
use crate::subject::Subject;
use crate::wire::http;

const PROGRAM: &str = include_str!("oidc/provider.mjs");
/// How long a provider may take for what it is asked.
const PATIENCE: Duration = Duration::from_secs(60);

/// What to do.
#[derive(Clone, Debug)]
pub struct OidcPlan {
    /// The program of node.js.
    pub node: PathBuf,
    /// A folder in whose `node_modules` oidc-provider is installed.
    pub provider: PathBuf,
}

/// What was seen.
#[derive(Clone, Debug, Default, Deserialize, Serialize)]
pub struct OidcReport {
    /// Why nothing was.
    pub skipped: Option<String>,
    /// What was shown, with the status and the code that it was answered with.
    pub answers: Vec<(String, u16, String)>,
}

/// A running provider.
struct Provider {
    _process: Child,
    asks: ChildStdin,
    answers: Lines<BufReader<ChildStdout>>,
    issuer: String,
}

impl Provider {
    async fn start(plan: &OidcPlan, program: &std::path::Path) -> Result<Self> {
        // Taken from the system and given back: nobody else of this suite listens there.
        let port = std::net::TcpListener::bind(("127.0.0.1", 0))?
            .local_addr()?
            .port();
        let mut process = Command::new(&plan.node)
            .arg(program)
            .arg(port.to_string())
            .arg(AUDIENCE)
            .current_dir(&plan.provider)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .kill_on_drop(true)
            .spawn()
            .with_context(|| format!("starting {}", plan.node.display()))?;
        let asks = process.stdin.take().context("no standard input")?;
        let answers = process.stdout.take().context("no standard output")?;
        let mut provider = Self {
            _process: process,
            asks,
            answers: BufReader::new(answers).lines(),
            issuer: String::new(),
        };
        provider.issuer = text(&provider.answer().await?, "issuer")?.to_owned();
        Ok(provider)
    }

    async fn answer(&mut self) -> Result<Value> {
        let line = tokio::time::timeout(PATIENCE, self.answers.next_line()).await;
        let line = line.context("the provider does not answer")??;
        let page: Value = serde_json::from_str(&line.context("the provider ended")?)?;
        ensure!(page["error"].is_null(), "the provider: {page}");
        Ok(page)
    }

    async fn ask(&mut self, what: &Value) -> Result<Value> {
        self.asks.write_all(format!("{what}\n").as_bytes()).await?;
        self.answer().await
    }

    async fn token(&mut self, account: &str, algorithm: &str) -> Result<String> {
        let wish = json!({ "do": "token", "account": account, "alg": algorithm });
        Ok(text(&self.ask(&wish).await?, "token")?.to_owned())
    }
}

/// Why the provider cannot run here.
fn missing(plan: &OidcPlan) -> Option<String> {
    let runs = std::process::Command::new(&plan.node)
        .arg("--version")
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status();
    if !runs.is_ok_and(|status| status.success()) {
        return Some(format!("{} (node.js) is not installed", plan.node.display()));
    }
    let package = plan.provider.join("node_modules/oidc-provider/package.json");
    match package.exists() {
        true => None,
        false => Some(format!(
            "oidc-provider is not installed in {}; `npm install oidc-provider` there does it",
            plan.provider.display()
        )),
    }
}

/// Runs it; fails when a token is answered otherwise than it must be.
pub async fn run(subject: &Subject, plan: &OidcPlan) -> Result<OidcReport> {
    let mut report = OidcReport {
        skipped: missing(plan),
        answers: Vec::new(),
    };
    if report.skipped.is_some() {
        return Ok(report);
    }
    let dir = tempfile::tempdir().context("no temporary directory")?;
    let program = dir.path().join("provider.mjs");
    std::fs::write(&program, PROGRAM)?;
    let mut provider = Provider::start(plan, &program).await?;
    let net = Net::claim().await?;
    let table = format!(
        "[[casework.oidc]]\nissuer = \"{}\"\naudience = \"{AUDIENCE}\"\nrole_claim = \"groups\"\nunit_claim = \"/org/units\"\n\
         [casework.oidc.roles]\nsachbearbeitung = [\"worker\"]\nleitung = [\"worker\", \"supervisor\"]\n",
        provider.issuer
    );
    let federation = Federation::builder(&net)
        .node(NodePlan::new("alpha", "1001").casework(&settings("010585890008", &table)))
        .group("KONTOR", &[("1001", "KONTOR")])
        .start(subject)
        .await?;
    let node = federation.node("alpha");
    Desk::at(node).get("/api/v1/me").await?;
    let mut pseudonyms = Vec::new();
    for algorithm in ["ES256", "RS256", "PS256", "EdDSA"] {
        let token = provider.token("anna", algorithm).await?;
        let page = report
            .shows(node, &format!("anna, {algorithm}"), &token, 200)
            .await?;
        ensure!(
            page["holder"] == "person"
                && page["roles"] == json!(["worker"])
                && page["units"] == json!(["u-42"]),
            "{page}"
        );
        pseudonyms.push(text(&page, "pseudonym")?.to_owned());
        ensure!(!node.log().contains(&token), "the log tells a token");
    }
    pseudonyms.dedup();
    ensure!(
        pseudonyms.len() == 1,
        "one person has several pseudonyms: {pseudonyms:?}"
    );
    let supervisor = provider.token("berta", "ES256").await?;
    let page = report
        .shows(node, "berta, supervisor without a unit", &supervisor, 200)
        .await?;
    ensure!(page["roles"] == json!(["worker", "supervisor"]), "{page}");
    let stranger = provider.token("carla", "ES256").await?;
    let page = report
        .shows(node, "carla, without a role", &stranger, 403)
        .await?;
    ensure!(page["code"] == "role_missing", "{page}");
    let granted = provider.ask(&json!({ "do": "program", "alg": "ES256" })).await?;
    let page = report
        .shows(node, "a program", text(&granted, "token")?, 401)
        .await?;
    ensure!(page["code"] == "token_of_program", "{page}");
    let granted = provider
        .ask(&json!({ "do": "token", "account": "anna", "alg": "ES256" }))
        .await?;
    let page = report
        .shows(
            node,
            "anna, with the token that is for the pages",
            text(&granted, "id_token")?,
            401,
        )
        .await?;
    ensure!(page["code"] == "token_audience", "{page}");
    // Other keys are found within the time after which a node may ask again.
    provider.ask(&json!({ "do": "rotate" })).await?;
    let token = provider.token("anna", "ES256").await?;
    let begun = Instant::now();
    loop {
        let (status, page) = shown(node, &token).await?;
        match status {
            200 => break,
            401 if page["code"] == "token_key_unknown" && begun.elapsed() < PATIENCE => {}
            _ => bail!("with another key: {status}: {page}"),
        }
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
    report
        .shows(node, "anna, after the provider changed its keys", &token, 200)
        .await?;
    let page = report
        .shows(node, "berta, signed by a key that is gone", &supervisor, 401)
        .await?;
    ensure!(page["code"] == "token_key_unknown", "{page}");
    // Without its provider a node still knows whom it has met.
    drop(provider);
    report
        .shows(node, "anna, without the provider", &token, 200)
        .await?;
    Ok(report)
}

impl OidcReport {
    async fn shows(&mut self, node: &Node, what: &str, token: &str, wanted: u16) -> Result<Value> {
        let (status, page) = shown(node, token).await?;
        let code = page["code"].as_str().unwrap_or_default();
        self.answers.push((what.to_owned(), status, code.to_owned()));
        ensure!(status == wanted, "{what}: {status} instead of {wanted}: {page}");
        Ok(page)
    }
}

/// What a node answers to whoever shows this token.
async fn shown(node: &Node, token: &str) -> Result<(u16, Value)> {
    let mut request = Desk::at(node).request(Method::GET, "/api/v1/me")?;
    request
        .headers_mut()
        .insert("authorization", format!("Bearer {token}").parse()?);
    let answer = http::once(node.administration(), None, request).await?;
    Ok((answer.status.as_u16(), serde_json::from_slice(&answer.body)?))
}
