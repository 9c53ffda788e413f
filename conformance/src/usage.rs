//! What a process has used so far: CPU time and memory, as the kernel counts them in `/proc`.
//!
//! Owns the reading of `/proc/PID`; refuses to guess where the kernel does not tell (not Linux, process gone).

use std::fs;
use std::time::Duration;

use anyhow::{Context, Result, anyhow};

/// One look at a process.
#[derive(Clone, Copy, Debug)]
pub struct Usage {
    /// User and system time since the process started, in steps of the kernel's clock tick (10 ms).
    pub cpu: Duration,
    /// Resident memory now, in KiB.
    pub resident_kib: u64,
    /// Highest resident memory since the start or the last [`reset_peak`], in KiB.
    pub peak_kib: u64,
}

/// Reads what process `pid` has used.
pub fn of(pid: u32) -> Result<Usage> {
    let stat =
        fs::read_to_string(format!("/proc/{pid}/stat")).context("process is gone, or /proc is missing")?;
    let status = fs::read_to_string(format!("/proc/{pid}/status")).context("process is gone")?;
    let ticks = rustix::param::clock_ticks_per_second();
    Ok(Usage {
        cpu: cpu_time(&stat, ticks)?,
        resident_kib: status_kib(&status, "VmRSS:")?,
        peak_kib: status_kib(&status, "VmHWM:")?,
    })
}

/// Makes the peak of process `pid` start again from what it holds now.
pub fn reset_peak(pid: u32) -> Result<()> {
    fs::write(format!("/proc/{pid}/clear_refs"), "5").context("peak memory cannot be reset")
}

fn cpu_time(stat: &str, ticks_per_second: u64) -> Result<Duration> {
    // The command name is in parentheses and may hold spaces and parentheses itself: fields count from the last one.
    let (_, fields) = stat
        .rsplit_once(')')
        .ok_or_else(|| anyhow!("/proc stat line has no command name"))?;
    let mut fields = fields.split_ascii_whitespace().skip(11);
    let mut field = || -> Result<u64> {
        Ok(fields
            .next()
            .ok_or_else(|| anyhow!("/proc stat line is short"))?
            .parse::<u64>()?)
    };
    let ticks = field()? + field()?;
    Ok(Duration::from_micros(ticks * 1_000_000 / ticks_per_second.max(1)))
}

fn status_kib(status: &str, name: &str) -> Result<u64> {
    let line = status.lines().find_map(|line| line.strip_prefix(name));
    let value = line.and_then(|line| line.split_ascii_whitespace().next());
    Ok(value
        .ok_or_else(|| anyhow!("/proc status has no {name}"))?
        .parse()?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_command_name_with_parentheses_does_not_shift_the_fields() {
        let stat = "42 (a (b) c) S 1 2 3 4 5 6 7 8 9 10 150 50 0 0 20 0 1 0";
        assert_eq!(cpu_time(stat, 100).unwrap(), Duration::from_secs(2));
    }

    #[test]
    fn the_own_process_has_memory_and_a_peak() {
        let usage = of(std::process::id()).unwrap();
        assert!(usage.peak_kib >= usage.resident_kib / 2 && usage.resident_kib > 0);
    }
}
