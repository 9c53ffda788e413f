//! Short runs of what has commands of its own: kills under load, and memory under a large body.

use anyhow::{Result, ensure};

use super::{World, cases};
use crate::kill::{self, KillPlan};
use crate::memory::{self, MemoryPlan};

cases! {
    quick LOG_CRASH => kills;
    quick MEMORY_BOUNDED => large_body;
}

async fn kills(world: &World) -> Result<()> {
    let plan = KillPlan {
        times: 2,
        connections: 32,
        looked_for: 12,
        verified: 4,
        aloud: false,
    };
    let report = kill::run(world.federation.subject(), plan).await?;
    ensure!(
        report.missing.is_empty(),
        "missing: {}",
        report.missing.join("; ")
    );
    ensure!(
        report.acknowledged > 0,
        "nothing was acknowledged before the kills"
    );
    Ok(())
}

async fn large_body(world: &World) -> Result<()> {
    let plan = MemoryPlan {
        fast_bytes: 64 << 20,
        slow_bytes: 4 << 20,
        bytes_per_second: 4 << 20,
        aloud: false,
    };
    let report = memory::run(world.federation.subject(), plan).await?;
    // What a node holds when it is idle is mostly the program, which a build for debugging has much of.
    let idle = report.idle_kib.into_iter().min().unwrap_or_default();
    let grown = report.highest_kib().saturating_sub(idle) >> 10;
    ensure!(
        grown < 32,
        "a node grew by {grown} MiB while a body of 64 MiB passed: {:?}, idle {:?}",
        report.passages,
        report.idle_kib
    );
    Ok(())
}
