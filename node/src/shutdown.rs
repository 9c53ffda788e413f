//! Stopping: a soft token (accept no more, finish what runs), a hard token (drop it), and every task counted.

use std::future::Future;
use std::time::Duration;

use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

/// Handle to the tokens and the tasks of one process; clones share them.
#[derive(Clone, Debug, Default)]
pub struct Shutdown {
    soft: CancellationToken,
    hard: CancellationToken,
    tasks: TaskTracker,
}

impl Shutdown {
    /// Runs a task that [`Shutdown::finish`] waits for and that the hard token ends.
    pub fn spawn(&self, task: impl Future<Output = ()> + Send + 'static) {
        let hard = self.hard.clone();
        // An exchange is a future of many kilobytes, and each layer that wraps a task moves it: boxed, it stays where it is.
        let task = Box::pin(task);
        self.tasks.spawn(async move {
            tokio::select! {
                () = hard.cancelled() => {}
                () = task => {}
            }
        });
    }

    /// Resolves when no more work is to be accepted.
    pub async fn soft(&self) {
        self.soft.cancelled().await;
    }

    /// Whether no more work is to be accepted.
    pub fn is_stopping(&self) -> bool {
        self.soft.is_cancelled()
    }

    /// Asks for a stop.
    pub fn stop(&self) {
        self.soft.cancel();
    }

    /// Waits for the tasks that run, at most `grace`, then drops those that are left. `true` if all had ended.
    pub async fn finish(&self, grace: Duration) -> bool {
        self.soft.cancel();
        self.tasks.close();
        let ended = tokio::time::timeout(grace, self.tasks.wait()).await.is_ok();
        self.hard.cancel();
        self.tasks.wait().await;
        ended
    }
}

/// Resolves on SIGTERM or SIGINT.
pub async fn signalled() -> std::io::Result<()> {
    let mut term = signal(SignalKind::terminate())?;
    let mut int = signal(SignalKind::interrupt())?;
    tokio::select! {
        _ = term.recv() => {}
        _ = int.recv() => {}
    }
    Ok(())
}

/// Resolves when the parent closes our standard input; for children that must not outlive it.
///
/// A thread of its own reads, so that a process that ends for another reason need not wait for the read.
pub async fn stdin_closed() {
    let (closed, wait) = tokio::sync::oneshot::channel();
    let reading = move || {
        let mut buffer = [0u8; 64];
        while !matches!(
            std::io::Read::read(&mut std::io::stdin(), &mut buffer),
            Ok(0) | Err(_)
        ) {}
        let _ = closed.send(());
    };
    if std::thread::Builder::new()
        .name("stdin".into())
        .spawn(reading)
        .is_ok()
    {
        let _ = wait.await;
    }
}
