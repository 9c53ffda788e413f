//! The node's own file, read again while it runs: rights that are withdrawn are gone at once.

use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use rustix::process::{Pid, Signal, kill_process};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::sync::{Mutex, MutexGuard};
use tokio::time::{sleep, timeout};

use super::{World, cases, fresh};
use crate::peer::consumer::{Answered, Link, connect};
use crate::wire::http;

cases! {
    quick RELOAD_WITHDRAWN => withdrawn;
    quick RELOAD_WHILE_RECEIVED => while_received;
    quick RELOAD_MISTAKE => mistake;
}

/// What is promised to an operator.
const SECOND: Duration = Duration::from_secs(1);

/// Beta's file, as long as a case changes it.
static FILE: Mutex<()> = Mutex::const_new(());

struct Edited<'a> {
    world: &'a World,
    original: String,
    _one: MutexGuard<'static, ()>,
}

impl<'a> Edited<'a> {
    async fn of(world: &'a World) -> Result<Self> {
        let one = FILE.lock().await;
        let edited = Self {
            world,
            original: std::fs::read_to_string(world.beta().config())?,
            _one: one,
        };
        // What the last case withdrew is given back in the background.
        let begun = Instant::now();
        while lent(world).await?.fault().is_ok() {
            ensure!(begun.elapsed() < SECOND * 10, "the right does not come back");
        }
        Ok(edited)
    }

    /// Writes a file and asks the node to read it.
    fn write(&self, text: &str) -> Result<()> {
        let beta = self.world.beta();
        std::fs::write(beta.config(), text)?;
        let pid = Pid::from_raw(i32::try_from(beta.pid())?).context("beta has no process")?;
        kill_process(pid, Signal::HUP).context("telling beta to read its file")
    }

    /// The file without the rights on one service.
    fn without_rights(&self, service: &str) -> String {
        let named = format!("code = \"{service}\"");
        let (mut text, mut of_it, mut is_right) = (String::new(), false, false);
        for line in self.original.lines() {
            if line.starts_with('[') {
                is_right = line == "[[client.service.right]]";
                of_it = of_it && is_right;
            }
            of_it = of_it || line == named;
            if !(is_right && of_it) {
                text += line;
                text.push('\n');
            }
        }
        text
    }

    /// Waits until health says so.
    async fn until(&self, said: impl Fn(&str) -> bool) -> Result<()> {
        let begun = Instant::now();
        loop {
            let health = health(self.world).await?;
            if said(&health) {
                return Ok(());
            }
            ensure!(
                begun.elapsed() < SECOND * 10,
                "health does not follow the file: {health}"
            );
            sleep(Duration::from_millis(5)).await;
        }
    }
}

impl Drop for Edited<'_> {
    fn drop(&mut self) {
        let _ = self.write(&self.original);
    }
}

async fn health(world: &World) -> Result<String> {
    let answer = http::get(world.beta().health(), "/health").await?;
    Ok(String::from_utf8_lossy(&answer.body).into_owned())
}

async fn withdrawn(world: &World) -> Result<()> {
    let file = Edited::of(world).await?;
    let mut link = Link::open(
        world.beta().federation(),
        Some(&world.peer().identity),
        &[&rustls::version::TLS13],
    )
    .await?;
    let mut ask = async || {
        let id = fresh("lent");
        let outgoing = world.signed(&world.ask("GET", "lent", "/x", &id))?;
        anyhow::Ok((id, link.send(&outgoing).await?))
    };
    let (id, served) = ask().await?;
    served.message()?;
    ensure!(
        world.service.calls(&id).len() == 1,
        "the permitted call did not arrive"
    );
    file.write(&file.without_rights("lent"))?;
    let begun = Instant::now();
    loop {
        let sent = begun.elapsed();
        let (id, answered) = ask().await?;
        if world.is_refusal(&answered, &["access_denied"]).is_ok() {
            return world.never_called(&id);
        }
        ensure!(sent < SECOND, "the right is still there after a second");
    }
}

async fn while_received(world: &World) -> Result<()> {
    // A node that is late has not judged the message yet when the right goes: it refuses rightly, without that sentence.
    for millis in [0, 100, 500, 2000, 5000] {
        let text = withdrawn_in_mid_body(world, Duration::from_millis(millis)).await?;
        if text.contains("withdrawn while the message came in") {
            return Ok(());
        }
    }
    bail!("no refusal says that the right was withdrawn while the message came in")
}

/// Withdraws the right some time after half a long message was sent, sends the rest, and gives the refusal.
async fn withdrawn_in_mid_body(world: &World, pause: Duration) -> Result<String> {
    let file = Edited::of(world).await?;
    let id = fresh("lent-long");
    let ask = world.ask("POST", "lent", "/x", &id).body(vec![b'x'; 600_000]);
    let outgoing = world.signed(&ask)?;
    let bytes = outgoing.parts.encode();
    let mut head = String::from("POST / HTTP/1.1\r\nhost: localhost:5500\r\nconnection: close\r\n");
    for (name, value) in &outgoing.headers {
        head += &format!("{name}: {value}\r\n");
    }
    head += &format!("content-length: {}\r\n\r\n", bytes.len());
    let node = world.beta().federation();
    let mut stream = connect(node, Some(&world.peer().identity), &[&rustls::version::TLS13]).await?;
    stream.write_all(head.as_bytes()).await?;
    let (first, rest) = bytes.split_at(bytes.len() / 2);
    stream.write_all(first).await?;
    stream.flush().await?;
    sleep(pause).await;
    file.write(&file.without_rights("lent"))?;
    refused_to_others(world).await?;
    stream.write_all(rest).await?;
    stream.flush().await?;
    let mut answer = Vec::new();
    timeout(http::PATIENCE, stream.read_to_end(&mut answer))
        .await
        .context("no answer")?
        .or_else(|error| match answer_ended(&error) {
            true => Ok(0),
            false => Err(error),
        })?;
    let text = String::from_utf8_lossy(&answer).into_owned();
    ensure!(text.contains("access_denied"), "the body was taken: {text}");
    world.never_called(&id)?;
    Ok(text)
}

/// Peers need not say goodbye on a connection that they close.
fn answer_ended(error: &std::io::Error) -> bool {
    error.kind() == std::io::ErrorKind::UnexpectedEof
}

/// A call of the peer on a connection of its own.
async fn lent(world: &World) -> Result<Answered> {
    let outgoing = world.signed(&world.ask("GET", "lent", "/x", &fresh("lent")))?;
    outgoing.send(world.beta().federation()).await
}

/// Waits until beta refuses the peer's other calls of the service.
async fn refused_to_others(world: &World) -> Result<()> {
    let begun = Instant::now();
    loop {
        let sent = begun.elapsed();
        if lent(world).await?.fault().is_ok() {
            return Ok(());
        }
        ensure!(sent < SECOND, "the right is still there after a second");
    }
}

async fn mistake(world: &World) -> Result<()> {
    let file = Edited::of(world).await?;
    file.write(&file.original.replace("[stop]", "[stopp]"))?;
    file.until(|health| health.contains("stopp")).await?;
    let said = health(world).await?;
    ensure!(said.contains("changes nothing"), "{said}");
    lent(world).await?.message()?;
    file.write(&file.original.replace("grace_seconds = 10", "grace_seconds = 11"))?;
    file.until(|health| health.contains("[stop] wait for a restart"))
        .await?;
    file.write(&file.original)?;
    file.until(|health| !health.contains("wait for a restart") && !health.contains("changes nothing"))
        .await
}
