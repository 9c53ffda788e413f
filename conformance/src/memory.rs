//! What a node holds while a large body passes: peak resident memory of each node process, with a fast and with a slow
//! provider and client.
//!
//! Owns the sizes and speeds; refuses to measure anything but what the kernel says of the process.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use bytes::Bytes;
use http_body_util::BodyExt;
use hyper::Request;
use hyper::client::conn::http1::handshake;
use hyper_util::rt::TokioIo;
use serde::Serialize;
use tokio::net::TcpStream;
use tokio::time::sleep;

use crate::address::Net;
use crate::federation::{Federation, Node};
use crate::plan::{INSTANCE, NodePlan, ServicePlan};
use crate::report::say;
use crate::service::Service;
use crate::subject::Subject;
use crate::usage;
use crate::wire::filler::Filler;

/// How large and how slow.
#[derive(Clone, Copy, Debug)]
pub struct MemoryPlan {
    /// Size of the body that passes as fast as it goes.
    pub fast_bytes: u64,
    /// Size of the body that passes slowly; 0 leaves it out.
    pub slow_bytes: u64,
    /// Speed of the slow provider and the slow client.
    pub bytes_per_second: u64,
    /// Whether each measurement is said aloud.
    pub aloud: bool,
}

/// One body's passage.
#[derive(Clone, Debug, Serialize)]
pub struct Passage {
    pub what: &'static str,
    pub bytes: u64,
    pub seconds: f64,
    /// Peak of alpha and beta, KiB.
    pub peak_kib: [u64; 2],
}

/// Memory of idle nodes and of each passage.
#[derive(Clone, Debug, Serialize)]
pub struct MemoryReport {
    /// From starting alpha's process to ready, with configuration and OCSP on its disk.
    pub ready_millis: u128,
    /// Resident memory of alpha and beta before the first exchange, KiB.
    pub idle_kib: [u64; 2],
    pub passages: Vec<Passage>,
}

impl MemoryReport {
    /// The highest peak of any passage, KiB.
    pub fn highest_kib(&self) -> u64 {
        self.passages
            .iter()
            .flat_map(|passage| passage.peak_kib)
            .max()
            .unwrap_or(0)
    }
}

/// Starts two nodes and sends the bodies.
pub async fn run(subject: &Subject, plan: MemoryPlan) -> Result<MemoryReport> {
    let net = Net::claim().await?;
    let service = Service::start(net.address(20, 8090)).await?;
    let mut federation = Federation::builder(&net)
        .node(NodePlan::new("alpha", "1001").client("antrag"))
        .node(
            NodePlan::new("beta", "1002").client("antrag").service(
                ServicePlan::new("intake", service.address(), "")
                    .right(&format!("{INSTANCE}/GOV/1001/antrag"))
                    .timeout(600),
            ),
        )
        .start(subject)
        .await?;
    federation.node_mut("alpha").stop().await?;
    let begin = Instant::now();
    federation.restart("alpha").await?;
    let ready_millis = begin.elapsed().as_millis();
    // What start-up needed is given back by then.
    sleep(Duration::from_secs(1)).await;
    let (alpha, beta) = (federation.node("alpha"), federation.node("beta"));
    let idle_kib = [
        usage::of(alpha.pid())?.resident_kib,
        usage::of(beta.pid())?.resident_kib,
    ];
    if plan.aloud {
        say(format_args!("restart to ready: {ready_millis} ms"));
        say(format_args!(
            "idle: alpha {:.1} MiB, beta {:.1} MiB",
            mib(idle_kib[0]),
            mib(idle_kib[1])
        ));
    }
    let mut report = MemoryReport {
        ready_millis,
        idle_kib,
        passages: Vec::new(),
    };
    let at = |rest: String| format!("/r1/{}/intake/{rest}", beta.client_id("antrag"));
    let speed = plan.bytes_per_second;
    let ways = [
        ("request", plan.fast_bytes, at("bytes/10".into()), true, None),
        (
            "answer",
            plan.fast_bytes,
            at(format!("bytes/{}", plan.fast_bytes)),
            false,
            None,
        ),
        (
            "request to a slow provider",
            plan.slow_bytes,
            at(format!("sip/{speed}")),
            true,
            None,
        ),
        (
            "answer to a slow client",
            plan.slow_bytes,
            at(format!("bytes/{}", plan.slow_bytes)),
            false,
            Some(speed),
        ),
    ];
    for (what, bytes, path, up, slowly) in ways {
        if bytes == 0 {
            continue;
        }
        usage::reset_peak(alpha.pid())?;
        usage::reset_peak(beta.pid())?;
        let begin = Instant::now();
        pass(
            alpha,
            &path,
            if up { bytes } else { 0 },
            if up { None } else { Some(bytes) },
            slowly,
        )
        .await
        .with_context(|| format!("{what} of {bytes} bytes"))?;
        let peak_kib = [usage::of(alpha.pid())?.peak_kib, usage::of(beta.pid())?.peak_kib];
        let passage = Passage {
            what,
            bytes,
            seconds: begin.elapsed().as_secs_f64(),
            peak_kib,
        };
        if plan.aloud {
            say(format_args!(
                "{what} of {} MiB: {:.1} s, peak alpha {:.1} MiB, beta {:.1} MiB",
                bytes >> 20,
                passage.seconds,
                mib(peak_kib[0]),
                mib(peak_kib[1])
            ));
        }
        report.passages.push(passage);
    }
    Ok(report)
}

fn mib(kib: u64) -> f64 {
    kib as f64 / 1024.0
}

async fn pass(node: &Node, path: &str, up: u64, down: Option<u64>, slowly: Option<u64>) -> Result<()> {
    let request = node
        .request("POST", path, "antrag", &uuid::Uuid::new_v4().to_string())
        .header("content-type", "application/octet-stream")
        .body(Filler::new(up))?;
    let got = stream(node.is_http(), request, slowly).await?;
    if let Some(down) = down {
        ensure!(got == down, "{got} bytes came back instead of {down}");
    }
    Ok(())
}

/// Sends a request and reads the answer without keeping it, at most `slowly` bytes a second.
async fn stream(target: SocketAddr, request: Request<Filler>, slowly: Option<u64>) -> Result<u64> {
    let stream = TcpStream::connect(target).await?;
    let (mut sender, connection) = handshake(TokioIo::new(stream)).await?;
    tokio::spawn(connection);
    let answer = sender.send_request(request).await?;
    let status = answer.status();
    let mut body = answer.into_body();
    let mut got = 0;
    let mut said: Option<Bytes> = None;
    let begin = Instant::now();
    while let Some(frame) = body.frame().await {
        let Ok(data) = frame?.into_data() else { continue };
        got += data.len() as u64;
        if said.is_none() {
            said = Some(data.slice(..data.len().min(300)));
        }
        if let Some(speed) = slowly {
            let due = Duration::from_secs_f64(got as f64 / speed as f64);
            sleep(due.saturating_sub(begin.elapsed())).await;
        }
    }
    ensure!(
        status.is_success(),
        "status {status}: {}",
        String::from_utf8_lossy(&said.unwrap_or_default())
    );
    Ok(got)
}
