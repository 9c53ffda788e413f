//! Who is in the federation of `kontor up`, where its files lie and which addresses it uses.
//!
//! Members are fictional and say so in their names. Ports are fixed (5500 and 5577 by X-Road), so every process has
//! an address of its own: on this machine in 127.77.N.0/24, where N is the first one that is free, and stays while it is
//! free; in containers in the networks of the compose file, where the others know it by name.

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

/// Name of the file that says by how many seconds the clock of cases and deadlines is ahead, beside the folders of the members.
pub const TRAINING_CLOCK: &str = "training-clock";

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

/// Two municipalities, a chamber and an Amt. The first sends, the second receives; the last works for the places of a
/// regional key that the samples name, and is there where all run on this machine.
pub const MEMBERS: [Member; 4] = [
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
    Member {
        class: "GOV",
        code: "amt-musterau-fiktiv",
        name: "Amt Musterau (fiktiv)",
        server: "ss4",
    },
];

/// The chamber among them.
pub const CHAMBER: usize = 2;

/// For which beginnings of regional keys the members are competent, in their order: those of the samples. The keys are real
/// places' so that routing can be tried; that these members are competent there is made up.
pub const REGIONS: [&str; 4] = ["010020000000", "01057", "01", "010585890"];

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

    /// Identifier of the subsystem in which its casework speaks.
    pub fn casework(&self) -> String {
        format!("{}/{}", self.id(), crate::config::casework::SUBSYSTEM)
    }

    /// Identifier of its server.
    pub fn server_id(&self) -> String {
        format!("{}/{}", self.id(), self.server)
    }
}

/// Where the processes run.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Places {
    /// All on this machine: N of 127.77.N.0/24.
    Loopback(u8),
    /// Each in a container: the first two octets of the networks. A.B.0.0/24 is the one between nodes and authority,
    /// A.B.(1+i).0/24 the own one of the member i with its information systems.
    Containers([u8; 2]),
}

/// Files and addresses of one federation.
#[derive(Clone, Debug)]
pub struct Layout {
    /// Everything lies below.
    pub dir: PathBuf,
    /// Where the processes run.
    pub places: Places,
}

impl Layout {
    fn address(&self, host: u8, port: u16) -> SocketAddr {
        match self.places {
            Places::Loopback(net) => (Ipv4Addr::new(127, 77, net, host), port).into(),
            Places::Containers([a, b]) => (Ipv4Addr::new(a, b, 0, host), port).into(),
        }
    }

    /// What others call a process that listens there.
    fn host(&self, name: &str, listens: SocketAddr) -> String {
        match self.places {
            Places::Loopback(_) => listens.ip().to_string(),
            Places::Containers(_) => name.to_owned(),
        }
    }

    /// Who takes part: in containers, those that have a network there.
    pub fn members(&self) -> &'static [Member] {
        match self.places {
            Places::Loopback(_) => &MEMBERS,
            Places::Containers(_) => &MEMBERS[..3],
        }
    }

    /// The key of a principal at a member's desk, by its name in the folder `desk`: `intake`, `worker`, `coordinator` …
    pub fn desk_key(&self, member: &Member, principal: &str) -> PathBuf {
        self.node_dir(member)
            .join("desk")
            .join(principal)
            .with_extension("key")
    }

    /// The file that says how far the clock of cases and deadlines is ahead, where all members can read one.
    pub fn training_clock(&self) -> Option<PathBuf> {
        match self.places {
            Places::Loopback(_) => Some(self.dir.join(TRAINING_CLOCK)),
            // Each container has the folder of its own member only.
            Places::Containers(_) => None,
        }
    }

    /// Where the authority listens.
    pub fn authority(&self) -> SocketAddr {
        self.address(1 + self.below(), AUTHORITY_PORT)
    }

    /// Host and port by which nodes reach the authority.
    pub fn authority_host(&self) -> String {
        format!("{}:{AUTHORITY_PORT}", self.host("authority", self.authority()))
    }

    /// The first address of a container network is its gateway.
    fn below(&self) -> u8 {
        match self.places {
            Places::Loopback(_) => 0,
            Places::Containers(_) => 1,
        }
    }

    /// A listener of a node, by the index of its member.
    pub fn node(&self, index: usize, port: u16) -> SocketAddr {
        let index = u8::try_from(index).unwrap_or(u8::MAX - 11);
        match self.places {
            Places::Containers([a, b]) if !FEDERATION_PORTS.contains(&port) => {
                (Ipv4Addr::new(a, b, 1 + index, 11), port).into()
            }
            Places::Loopback(_) | Places::Containers(_) => self.address(11 + index, port),
        }
    }

    /// Under which name or address other nodes reach a node.
    pub fn node_host(&self, index: usize, member: &Member) -> String {
        self.host(member.code, self.node(index, FEDERATION_PORTS[0]))
    }

    /// The sample provider that all share.
    pub fn provider(&self) -> SocketAddr {
        self.address(20, PROVIDER_PORT)
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
        self.authority_dir().join("trust")
    }

    /// Logs of the children.
    pub fn logs_dir(&self) -> PathBuf {
        self.dir.join("logs")
    }

    /// Address of the sample provider's applications of one member, as its node calls it.
    pub fn applications_url(&self, member: &Member) -> String {
        let host = self.host(&format!("{}-provider", member.code), self.provider());
        format!("http://{host}:{PROVIDER_PORT}/{}/antrag", member.code)
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

/// Port of the authority.
const AUTHORITY_PORT: u16 = 4080;
/// Port of the sample provider.
const PROVIDER_PORT: u16 = 8090;
/// Ports of a node that other nodes use.
const FEDERATION_PORTS: [u16; 2] = [5500, 5577];
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
            places: Places::Loopback(net),
        };
        let Ok(held) = TcpListener::bind(layout.address(254, AUTHORITY_PORT)) else {
            continue;
        };
        let nodes =
            (0..layout.members().len()).flat_map(|index| NODE_PORTS.map(|port| layout.node(index, port)));
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
