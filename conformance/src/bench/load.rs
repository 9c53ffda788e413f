//! The information system that loads what is measured: kept connections, one request after the other on each.
//!
//! Owns the clock of an exchange (first byte out to last byte in) and counts what went wrong; refuses to hide an error
//! in an average: a failed exchange is counted, not timed.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use http_body_util::BodyExt;
use hyper::Request;
use hyper::client::conn::http1::{SendRequest, handshake};
use hyper_util::rt::TokioIo;
use serde::{Deserialize, Serialize};
use tokio::net::TcpStream;
use tokio::time::sleep_until;

use super::provider::ANSWER_BYTES;
use crate::wire::filler::Filler;

/// What to send, for how long.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct LoadPlan {
    pub target: SocketAddr,
    pub path: String,
    pub headers: Vec<(String, String)>,
    pub request_bytes: u64,
    pub answer_bytes: u64,
    pub connections: usize,
    pub warm_up_millis: u64,
    pub window_millis: u64,
    /// Exchanges a second over all connections; without it each connection sends as fast as it is answered.
    pub rate: Option<f64>,
    /// One exchange only, however long it takes, without warm-up.
    pub once: bool,
}

/// What came of it. Times are microseconds.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct LoadResult {
    pub exchanges: u64,
    pub errors: u64,
    pub first_error: Option<String>,
    pub seconds: f64,
    pub p50: u32,
    pub p99: u32,
    pub longest: u32,
}

#[derive(Default)]
struct Tally {
    times: Vec<u32>,
    errors: u64,
    first_error: Option<String>,
}

/// Runs `plan`; `at_begin` is called when the warm-up is over and counting begins, `at_end` when counting ends (what is
/// under way then is still waited for).
pub async fn run(plan: LoadPlan, at_begin: impl FnOnce(), at_end: impl FnOnce()) -> Result<LoadResult> {
    let plan = Arc::new(plan);
    if plan.once {
        at_begin();
        let mut connection = Connection::open(&plan).await?;
        let begin = Instant::now();
        connection.exchange(&plan).await?;
        let took = begin.elapsed();
        at_end();
        let micros = u32::try_from(took.as_micros()).unwrap_or(u32::MAX);
        let seconds = took.as_secs_f64();
        return Ok(LoadResult {
            exchanges: 1,
            seconds,
            p50: micros,
            p99: micros,
            longest: micros,
            ..LoadResult::default()
        });
    }
    let window_begin = Instant::now() + Duration::from_millis(plan.warm_up_millis);
    let window_end = window_begin + Duration::from_millis(plan.window_millis);
    let tally = Arc::new(Mutex::new(Tally::default()));
    let mut tasks = Vec::new();
    for index in 0..plan.connections {
        tasks.push(tokio::spawn(one_connection(
            plan.clone(),
            index,
            window_begin,
            window_end,
            tally.clone(),
        )));
    }
    sleep_until(window_begin.into()).await;
    at_begin();
    sleep_until(window_end.into()).await;
    at_end();
    for task in tasks {
        task.await.context("a load connection panicked")?;
    }
    let mut tally = std::mem::take(&mut *tally.lock().expect("no holder of the tally panics"));
    tally.times.sort_unstable();
    Ok(LoadResult {
        exchanges: tally.times.len() as u64,
        errors: tally.errors,
        first_error: tally.first_error,
        seconds: (window_end - window_begin).as_secs_f64(),
        p50: quantile(&tally.times, 0.50),
        p99: quantile(&tally.times, 0.99),
        longest: tally.times.last().copied().unwrap_or(0),
    })
}

async fn one_connection(
    plan: Arc<LoadPlan>,
    index: usize,
    window_begin: Instant,
    window_end: Instant,
    tally: Arc<Mutex<Tally>>,
) {
    let mut own = Tally::default();
    let mut connection = None;
    // Paced: each connection has its own places in a common schedule, and an exchange's time runs from its place, so that
    // a stall is felt by all exchanges that it delays.
    let step = plan
        .rate
        .map(|rate| Duration::from_secs_f64(plan.connections as f64 / rate));
    let mut place = Instant::now()
        + step.map_or(Duration::ZERO, |step| {
            step.mul_f64(index as f64 / plan.connections as f64)
        });
    loop {
        let begin = if let Some(step) = step {
            let due = place;
            place += step;
            if due > Instant::now() {
                sleep_until(due.into()).await;
                // The timer's own lateness is not the subject's.
                Instant::now()
            } else {
                due
            }
        } else {
            Instant::now()
        };
        if begin >= window_end {
            break;
        }
        let outcome = exchange(&mut connection, &plan).await;
        let end = Instant::now();
        let counted = end >= window_begin && end < window_end;
        match outcome {
            Ok(()) if counted => own
                .times
                .push(u32::try_from((end - begin).as_micros()).unwrap_or(u32::MAX)),
            Ok(()) => {}
            Err(error) => {
                connection = None;
                own.errors += 1;
                own.first_error.get_or_insert_with(|| format!("{error:#}"));
                // A subject that refuses connections must not turn the load into a busy loop.
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        }
    }
    let mut tally = tally.lock().expect("no holder of the tally panics");
    tally.times.append(&mut own.times);
    tally.errors += own.errors;
    if tally.first_error.is_none() {
        tally.first_error = own.first_error;
    }
}

async fn exchange(connection: &mut Option<Connection>, plan: &LoadPlan) -> Result<()> {
    if connection.is_none() {
        *connection = Some(Connection::open(plan).await?);
    }
    connection.as_mut().expect("opened above").exchange(plan).await
}

struct Connection {
    sender: SendRequest<Filler>,
}

impl Connection {
    async fn open(plan: &LoadPlan) -> Result<Self> {
        let stream = TcpStream::connect(plan.target).await.context("connecting")?;
        stream.set_nodelay(true)?;
        let (sender, connection) = handshake(TokioIo::new(stream)).await?;
        tokio::spawn(connection);
        Ok(Self { sender })
    }

    async fn exchange(&mut self, plan: &LoadPlan) -> Result<()> {
        self.sender.ready().await?;
        let mut request = Request::post(&plan.path)
            .header("host", "bench")
            .header(ANSWER_BYTES, plan.answer_bytes);
        for (name, value) in &plan.headers {
            request = request.header(name, value);
        }
        let answer = self
            .sender
            .send_request(request.body(Filler::new(plan.request_bytes))?)
            .await?;
        let status = answer.status();
        let mut body = answer.into_body();
        let mut got = 0;
        let mut said = Vec::new();
        while let Some(frame) = body.frame().await {
            if let Ok(data) = frame?.into_data() {
                got += data.len() as u64;
                if !status.is_success() && said.len() < 300 {
                    said.extend_from_slice(&data);
                }
            }
        }
        if !status.is_success() {
            bail!("answered {status}: {}", String::from_utf8_lossy(&said));
        }
        if got != plan.answer_bytes {
            bail!("answered {got} bytes instead of {}", plan.answer_bytes);
        }
        Ok(())
    }
}

fn quantile(sorted: &[u32], part: f64) -> u32 {
    let Some(last) = sorted.len().checked_sub(1) else {
        return 0;
    };
    sorted[(last as f64 * part).round() as usize]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles_of_little_data_are_the_data() {
        assert_eq!(quantile(&[], 0.5), 0);
        assert_eq!(quantile(&[7], 0.99), 7);
        assert_eq!(quantile(&[1, 2, 3, 4, 100], 0.5), 3);
        assert_eq!(quantile(&[1, 2, 3, 4, 100], 0.99), 100);
    }
}
