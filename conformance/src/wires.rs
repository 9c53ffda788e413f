//! A line between two nodes that breaks: a proxy in front of a node, at the address that others know, which now and then swallows an
//! answer and closes both ends. What was asked has arrived then, and who asked does not know.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use anyhow::{Context, Result};
use kontor_pki::crypto::sha256;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;

use crate::address::Net;

/// Lines to one node.
#[derive(Debug)]
pub struct Wire {
    cuts: Arc<AtomicUsize>,
    tasks: Vec<JoinHandle<()>>,
}

impl Drop for Wire {
    fn drop(&mut self) {
        for task in &self.tasks {
            task.abort();
        }
    }
}

impl Wire {
    /// In front of the node at `behind`, at the address `front`: one in `often` pieces of an answer is swallowed.
    pub async fn start(net: &Net, front: u8, behind: u8, often: u16, seed: u64) -> Result<Self> {
        let cuts = Arc::new(AtomicUsize::new(0));
        let mut tasks = Vec::new();
        for (port, often) in [(5500, often), (5577, 0)] {
            let listener = TcpListener::bind(net.address(front, port))
                .await
                .context("binding the front of a line")?;
            let (to, cuts) = (net.address(behind, port), Arc::clone(&cuts));
            tasks.push(tokio::spawn(serve(listener, to, often, seed, cuts)));
        }
        Ok(Self { cuts, tasks })
    }

    /// How often it was cut.
    pub fn cuts(&self) -> usize {
        self.cuts.load(Ordering::Relaxed)
    }
}

async fn serve(listener: TcpListener, to: SocketAddr, often: u16, seed: u64, cuts: Arc<AtomicUsize>) {
    let mut lines = 0_u64;
    while let Ok((near, _)) = listener.accept().await {
        lines += 1;
        let (line, cuts) = (lines, Arc::clone(&cuts));
        tokio::spawn(async move {
            // A node that is down refuses, and so does the line to it.
            let Ok(far) = TcpStream::connect(to).await else {
                return;
            };
            let _ = (near.set_nodelay(true), far.set_nodelay(true));
            carry(near, far, |piece| {
                let drawn = sha256(format!("{seed} {line} {piece}").as_bytes());
                let cut = often > 0 && u16::from_be_bytes([drawn[0], drawn[1]]).is_multiple_of(often);
                cuts.fetch_add(usize::from(cut), Ordering::Relaxed);
                cut
            })
            .await;
        });
    }
}

/// Carries both ways until one end closes, or a piece of an answer is to be swallowed.
async fn carry(near: TcpStream, far: TcpStream, is_cut: impl Fn(u64) -> bool) {
    let (mut near_in, mut near_out) = near.into_split();
    let (mut far_in, mut far_out) = far.into_split();
    let asks = tokio::spawn(async move {
        // Whatever ends it, the other direction ends with the connection.
        let _ = tokio::io::copy(&mut near_in, &mut far_out).await;
        let _ = far_out.shutdown().await;
    });
    let mut buffer = vec![0; 64 * 1024];
    let mut piece = 0;
    while let Ok(length) = far_in.read(&mut buffer).await {
        if length == 0 || is_cut(piece) || near_out.write_all(&buffer[..length]).await.is_err() {
            break;
        }
        piece += 1;
    }
    asks.abort();
}
