//! Loopback addresses of a run, so that several federations can live on one machine.
//!
//! Owns the draw of a free /24 out of 127.64.0.0/10, because ports 5500 and 5577 are fixed by X-Road (wire 0.2); refuses
//! 127.77.0.0/16, which belongs to `kontor up`.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;

use anyhow::{Result, bail};
use kontor_pki::crypto::random;
use tokio::net::TcpListener;

/// Never served: holding it is the claim.
const CLAIM_PORT: u16 = 4079;

/// A network of one run; held as long as the run lasts.
#[derive(Clone, Debug)]
pub struct Net {
    octets: [u8; 2],
    _claim: Arc<TcpListener>,
}

impl Net {
    /// Draws a network nobody else of this suite uses now.
    pub async fn claim() -> Result<Self> {
        for _ in 0..64 {
            let [second, third] = random::<2>();
            let octets = [64 + second % 64, third];
            if octets[0] == 77 {
                continue;
            }
            // It goes when the process goes, however that ends.
            if let Ok(claim) =
                TcpListener::bind((Ipv4Addr::new(127, octets[0], octets[1], 1), CLAIM_PORT)).await
            {
                return Ok(Self {
                    octets,
                    _claim: Arc::new(claim),
                });
            }
        }
        bail!("no free loopback network in 127.64.0.0/10")
    }

    /// `127.x.y.host`.
    pub fn host(&self, host: u8) -> Ipv4Addr {
        Ipv4Addr::new(127, self.octets[0], self.octets[1], host)
    }

    /// `127.x.y.host:port`.
    pub fn address(&self, host: u8, port: u16) -> SocketAddr {
        (self.host(host), port).into()
    }
}
