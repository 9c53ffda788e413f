//! Who is in the federation of `kontor up`, where its files lie and which addresses it uses.
//!
//! Members are fictional and say so in their names. Ports are fixed (5500 and 5577 by X-Road), so every process has
//! a loopback address of its own in 127.77.N.0/24; N is the first one that is free, and stays while it is free.

use std::io;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::path::{Path, PathBuf};

/// The instance; its name begins with TEST, so that production nodes refuse it.
pub const INSTANCE: &str = "TEST";
/// The subsystem that every member has.
pub const SUBSYSTEM: &str = "antrag";
/// The subsystem of every member in whose name its node shows checkpoints.
pub const LEDGER: &str = "ledger";
/// The service that takes applications.
pub const SERVICE: &str = "intake";

/// A member of the federation with its one server.
#[derive(Clone, Copy, Debug)]
pub struct Member {
    /// Member class.
    pub class: &'static str,
    /// Member code, also the name of its folder.
    pub code: &'static str,
    /// Name for people.
    pub name: &'static str,
    /// Code of its security server.
    pub server: &'static str,
}

/// Two municipalities and a chamber. The first sends, the second receives.
pub const MEMBERS: [Member; 3] = [
    Member {
        class: "GOV",
        code: "musterhafen-fiktiv",
        name: "Stadt Musterhafen (fiktiv)",
        server: "ss1",
    },
    Member {
        class: "GOV",
        code: "beispielsund-fiktiv",
        name: "Gemeinde Beispielsund (fiktiv)",
        server: "ss2",
    },
    Member {
        class: "COM",
        code: "hwk-musterkueste-fiktiv",
        name: "Handwerkskammer Musterküste (fiktiv)",
        server: "ss3",
    },
];

impl Member {
    /// Identifier of the member.
    pub fn id(&self) -> String {
        format!("{INSTANCE}/{}/{}", self.class, self.code)
    }

    /// Identifier of its subsystem.
    pub fn client(&self) -> String {
        format!("{}/{SUBSYSTEM}", self.id())
    }

    /// Identifier of the subsystem of its node.
    pub fn ledger(&self) -> String {
        format!("{}/{LEDGER}", self.id())
    }

    /// Identifier of its server.
    pub fn server_id(&self) -> String {
        format!("{}/{}", self.id(), self.server)
    }
}

/// Files and addresses of one federation.
#[derive(Clone, Debug)]
pub struct Layout {
    /// Everything lies below.
    pub dir: PathBuf,
    /// N of 127.77.N.0/24.
    pub net: u8,
}

impl Layout {
    fn address(&self, host: u8, port: u16) -> SocketAddr {
        (Ipv4Addr::new(127, 77, self.net, host), port).into()
    }

    /// The authority.
    pub fn authority(&self) -> SocketAddr {
        self.address(1, 4080)
    }

    /// A listener of a node, by the index of its member.
    pub fn node(&self, index: usize, port: u16) -> SocketAddr {
        self.address(11 + u8::try_from(index).unwrap_or(u8::MAX - 11), port)
    }

    /// The sample provider.
    pub fn provider(&self) -> SocketAddr {
        self.address(20, 8090)
    }

    /// Folder of the authority.
    pub fn authority_dir(&self) -> PathBuf {
        self.dir.join("authority")
    }

    /// Folder of a member's node.
    pub fn node_dir(&self, member: &Member) -> PathBuf {
        self.dir.join(member.code)
    }

    /// Configuration file of a member's node.
    pub fn node_config(&self, member: &Member) -> PathBuf {
        self.node_dir(member).join("node.toml")
    }

    /// Applications that arrived.
    pub fn provider_dir(&self) -> PathBuf {
        self.dir.join("provider")
    }

    /// Copy of the published configuration, for `kontor verify`.
    pub fn trust_dir(&self) -> PathBuf {
        self.dir.join("trust")
    }

    /// Logs of the children.
    pub fn logs_dir(&self) -> PathBuf {
        self.dir.join("logs")
    }

    /// Address of the sample provider's applications of one member.
    pub fn applications_url(&self, member: &Member) -> String {
        format!("http://{}/{}/antrag", self.provider(), member.code)
    }

    /// Address of a member's intake as seen by the information systems of the node `index`.
    pub fn intake_url(&self, index: usize, member: &Member) -> String {
        format!(
            "http://{}/r1/{}/{SERVICE}",
            self.node(index, 8080),
            member.client()
        )
    }
}

/// Ports of a node.
pub const NODE_PORTS: [u16; 6] = [8080, 8443, 5500, 5577, 9100, 4000];

/// A network that this process holds for itself until it ends.
#[derive(Debug)]
pub struct Claim {
    /// N of 127.77.N.0/24.
    pub net: u8,
    /// Whether the last run used another one, so that certificates name addresses that are gone.
    pub moved: bool,
    _held: TcpListener,
}

/// Claims the remembered network of `dir`, or the first free one.
///
/// The claim is a socket that nobody connects to; other `kontor up` processes see it taken. The ports themselves
/// are tried too: something else may listen there.
pub fn claim(dir: &Path) -> io::Result<Claim> {
    let file = dir.join("network");
    let remembered = std::fs::read_to_string(&file)
        .ok()
        .and_then(|text| text.trim().parse::<u8>().ok());
    let candidates = remembered.into_iter().chain(0..=254);
    for net in candidates {
        let layout = Layout {
            dir: dir.to_owned(),
            net,
        };
        let Ok(held) = TcpListener::bind(layout.address(254, 4080)) else {
            continue;
        };
        let nodes = (0..MEMBERS.len()).flat_map(|index| NODE_PORTS.map(|port| layout.node(index, port)));
        let mut all = nodes.chain([layout.authority(), layout.provider()]);
        if all.all(|address| TcpListener::bind(address).is_ok()) {
            let moved = remembered != Some(net);
            if moved {
                std::fs::write(&file, format!("{net}\n"))?;
            }
            return Ok(Claim {
                net,
                moved,
                _held: held,
            });
        }
    }
    Err(io::Error::new(
        io::ErrorKind::AddrInUse,
        "no network 127.77.N.0/24 is free; is the loopback range 127.0.0.0/8 available on this system?",
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_second_federation_gets_another_network_and_a_restart_the_same() {
        let (first, second) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let one = claim(first.path()).unwrap();
        let two = claim(second.path()).unwrap();
        assert_ne!(one.net, two.net);
        let net = two.net;
        drop(two);
        assert_eq!(claim(second.path()).unwrap().net, net);
    }

    #[test]
    fn every_member_says_that_it_is_fictional() {
        for member in MEMBERS {
            assert!(member.name.contains("fiktiv") && member.code.contains("fiktiv"));
            assert!(member.id().starts_with("TEST/"));
        }
    }
}
