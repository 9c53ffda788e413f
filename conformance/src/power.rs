//! Power cuts of a real file system: both nodes keep their files on an ext4 of their own, which is shut down under load as if
//! the power were cut; after its journal was replayed they start again, and exchanges that were acknowledged are looked for
//! in both logs.
//!
//! Owns the file system: an image, a loop device, the mount; all of it goes when it is dropped. Needs root, mkfs.ext4, a kernel
//! that mounts loop devices, and xfs_io or python3 for the one ioctl; without them it says so and judges nothing.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use kontor_pki::crypto::random;
use serde::Serialize;
use tempfile::TempDir;
use tokio::task::JoinSet;
use tokio::time::sleep;

use crate::address::Net;
use crate::federation::Federation;
use crate::kill::{Acknowledged, choose, information_system, look, verify};
use crate::plan::{INSTANCE, NodePlan, ServicePlan};
use crate::report::say;
use crate::service::Service;
use crate::subject::Subject;

const NODES: [&str; 2] = ["alpha", "beta"];
/// EXT4_IOC_SHUTDOWN with EXT4_GOING_FLAGS_NOLOGFLUSH: nothing more reaches the device, the journal neither.
const SHUTDOWN: &str = "import fcntl,os,struct,sys; \
    fcntl.ioctl(os.open(sys.argv[1], os.O_RDONLY), 0x8004587d, struct.pack('I', 2))";

/// How often, and how much is looked at.
#[derive(Clone, Copy, Debug)]
pub struct PowerPlan {
    pub times: usize,
    pub connections: usize,
    pub looked_for: usize,
    pub verified: usize,
}

/// What came of it.
#[derive(Clone, Debug, Default, Serialize)]
pub struct PowerReport {
    /// Why nothing was judged.
    pub skipped: Option<String>,
    pub cuts: usize,
    pub acknowledged: usize,
    pub looked_for: usize,
    pub containers_verified: usize,
    /// Starts after which the search index was made anew, because the machine ended while it was open.
    pub index_made_anew: usize,
    pub missing: Vec<String>,
}

/// An ext4 that can lose its power.
struct Volume {
    dir: TempDir,
}

impl Volume {
    fn make() -> Result<Self> {
        let dir = tempfile::Builder::new().prefix("kontor-power-cut-").tempdir()?;
        let volume = Self { dir };
        File::create(volume.image())?.set_len(2 << 30)?;
        tool(Command::new("mkfs.ext4").args(["-q", "-F"]).arg(volume.image()))?;
        fs::create_dir(volume.path())?;
        volume.mount()?;
        Ok(volume)
    }

    fn image(&self) -> PathBuf {
        self.dir.path().join("image")
    }

    fn path(&self) -> PathBuf {
        self.dir.path().join("mounted")
    }

    fn mount(&self) -> Result<()> {
        tool(
            Command::new("mount")
                .args(["-o", "loop"])
                .args([self.image(), self.path()]),
        )
    }

    fn sync(&self) -> Result<()> {
        Ok(rustix::fs::syncfs(File::open(self.path())?)?)
    }

    fn cut(&self) -> Result<()> {
        let mut xfs_io = Command::new("xfs_io");
        tool(xfs_io.args(["-x", "-c", "shutdown"]).arg(self.path()))
            .or_else(|_| tool(Command::new("python3").args(["-c", SHUTDOWN]).arg(self.path())))
    }

    fn mount_again(&self) -> Result<()> {
        tool(Command::new("umount").arg(self.path()))?;
        self.mount()
    }
}

impl Drop for Volume {
    fn drop(&mut self) {
        let _ = tool(Command::new("umount").arg("-l").arg(self.path()));
    }
}

fn tool(command: &mut Command) -> Result<()> {
    let name = command.get_program().to_string_lossy().into_owned();
    let output = command
        .output()
        .with_context(|| format!("{name} cannot be run"))?;
    let said = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "{name}: {}", said.trim());
    Ok(())
}

/// Whether this machine can do it, tried on a file system of its own.
fn possible() -> Result<()> {
    let volume = Volume::make()?;
    volume.cut()?;
    volume.mount_again()
}

/// Cuts, restarts and looks.
pub async fn run(subject: &Subject, plan: PowerPlan) -> Result<PowerReport> {
    let mut report = PowerReport::default();
    if let Err(error) = possible() {
        report.skipped = Some(format!("{error:#}"));
        return Ok(report);
    }
    let volume = Volume::make()?;
    let net = Net::claim().await?;
    let service = Service::start(net.address(20, 8090)).await?;
    let right = format!("{INSTANCE}/GOV/1001/antrag");
    let intake = ServicePlan::new("intake", service.address(), "").right(&right);
    let mut federation = Federation::builder(&net)
        .within(&volume.path())
        .node(NodePlan::new("alpha", "1001").client("antrag"))
        .node(NodePlan::new("beta", "1002").client("antrag").service(intake))
        .start(subject)
        .await?;
    // Keys and configuration are the operator's; they were there long before the power goes.
    volume.sync()?;
    let out = tempfile::tempdir()?;
    for turn in 0..plan.times {
        let acknowledged = load_and_cut(&federation, &volume, plan)
            .await
            .with_context(|| format!("cut {turn}"))?;
        for name in NODES {
            federation.node_mut(name).kill().await?;
        }
        volume.mount_again()?;
        for name in NODES {
            let node = federation.node(name);
            let (log, state) = (
                node.dir().join("node.log"),
                node.dir().join("data/log/index/state"),
            );
            let _ = fs::remove_file(&log);
            let was_open = another_boot(&state)?;
            federation
                .restart(name)
                .await
                .with_context(|| format!("after cut {turn}"))?;
            if was_open {
                let said = federation.node(name).log();
                ensure!(
                    said.contains("the machine was restarted while it was open"),
                    "{name} believes an index that was open when the machine ended"
                );
                report.index_made_anew += 1;
            }
        }
        let chosen = choose(&acknowledged, plan.looked_for.max(plan.verified));
        let (to_verify, to_look_for) = chosen.split_at(plan.verified.min(chosen.len()));
        let dir = out.path().join(turn.to_string());
        let (verified, mut missing) = verify(&federation, to_verify, &dir).await;
        missing.extend(look(&federation, to_look_for.to_vec(), &dir).await);
        for name in NODES {
            let config = federation.node(name).config().to_owned();
            let arguments = [
                "log".as_ref(),
                "check".as_ref(),
                "--deep".as_ref(),
                "--config".as_ref(),
            ];
            let said = subject
                .run(arguments.into_iter().chain([config.as_os_str()]))
                .await?;
            if said.code != Some(0) {
                missing.push(format!("log check on {name}: {}{}", said.out, said.err));
            }
        }
        say(format_args!(
            "cut {turn:>3}: {} acknowledged, {} looked for, {verified} containers verified, {} missing",
            acknowledged.len(),
            chosen.len(),
            missing.len()
        ));
        report.cuts += 1;
        report.acknowledged += acknowledged.len();
        report.looked_for += chosen.len();
        report.containers_verified += verified;
        report.missing.extend(missing);
    }
    for name in NODES {
        federation.node_mut(name).kill().await?;
    }
    drop(federation);
    Ok(report)
}

/// The machine did not start anew, its file system did: an index that was open is given the boot id of another machine's
/// start. Whether it was open.
fn another_boot(state: &Path) -> Result<bool> {
    let Ok(text) = fs::read_to_string(state) else {
        return Ok(false);
    };
    let Some((before, _)) = text.split_once("\nopen ") else {
        return Ok(false);
    };
    fs::write(
        state,
        format!("{before}\nopen 00000000-0000-0000-0000-000000000000\n"),
    )?;
    Ok(true)
}

async fn load_and_cut(federation: &Federation, volume: &Volume, plan: PowerPlan) -> Result<Vec<String>> {
    let alpha = federation.node("alpha");
    let path = format!("/r1/{}/intake/echo", federation.node("beta").client_id("antrag"));
    let (stop, acknowledged) = (Arc::new(AtomicBool::new(false)), Acknowledged::default());
    let mut load = JoinSet::new();
    for _ in 0..plan.connections {
        let (path, client) = (path.clone(), alpha.client_id("antrag"));
        load.spawn(information_system(
            alpha.is_http(),
            path,
            client,
            acknowledged.clone(),
            stop.clone(),
        ));
    }
    let begin = Instant::now();
    while acknowledged.lock().expect("no holder of the list panics").len() < plan.connections {
        if begin.elapsed() > Duration::from_secs(30) {
            bail!("the load does not get going: {}", alpha.log_tail());
        }
        sleep(Duration::from_millis(2)).await;
    }
    sleep(Duration::from_micros(
        u64::from(u16::from_le_bytes(random::<2>())) * 10,
    ))
    .await;
    volume.cut()?;
    // What is acknowledged from here on would be a lie: it is looked for as well.
    sleep(Duration::from_millis(200)).await;
    stop.store(true, Ordering::Relaxed);
    load.shutdown().await;
    let acknowledged = std::mem::take(&mut *acknowledged.lock().expect("no holder of the list panics"));
    Ok(acknowledged)
}
