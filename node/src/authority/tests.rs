//! The authority as its members meet it: over a socket, with the configuration client of a node on the other side.

use std::net::SocketAddr;
use std::os::unix::fs::PermissionsExt as _;

use kontor_pki::authority::{CaParams, CertificateAuthority, Validity};
use kontor_pki::profile::Subject;
use kontor_pki::sealed::{MasterKey, seal_key};
use kontor_pki::signing::{KeyAlgorithm, SigningKey as _};
use kontor_protocol::trust::TrustSet;
use kontor_protocol::trust::anchor::ConfigurationAnchor;
use kontor_protocol::trust::directory::{Relation, verify};

use super::registry::tests::{FILE, with_keys};
use super::*;
use crate::clock::ManualClock;
use crate::config::{EgressSettings, Federations, Mode};
use crate::fetch::{Bounds, Fetched, Fetcher};
use crate::globalconf::{ConfigurationClient, GlobalConf, Setup};

const MINUTE: Duration = Duration::from_secs(60);

fn now() -> UnixTime {
    UnixTime::parse_rfc3339("2026-01-31T12:00:00Z").unwrap()
}

/// An authority in a directory of its own, on a socket.
struct Bed {
    dir: tempfile::TempDir,
    clock: Arc<ManualClock>,
    authority: Arc<Authority>,
    address: SocketAddr,
    sight: Sight,
    shutdown: Shutdown,
}

impl Bed {
    /// Another process of the same files, on another socket.
    fn second_host(&self, listener: TcpListener) -> Shutdown {
        let path = self.dir.path().join("authority.toml");
        let authority = Arc::new(Authority::open(&path, self.clock.clone()).unwrap());
        let shutdown = Shutdown::default();
        shutdown.spawn(serve(authority, listener, shutdown.clone()));
        shutdown
    }

    /// Serves the registry `text`, in which `127.0.0.1:4080` is replaced by the address it gets.
    async fn serving(text: &str) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let dir = tempfile::tempdir().unwrap();
        make_keys(dir.path());
        write_registry(dir.path(), address, text);
        let clock = ManualClock::at(now());
        let path = dir.path().join("authority.toml");
        let authority = Arc::new(Authority::open(&path, clock.clone()).unwrap());
        let shutdown = Shutdown::default();
        shutdown.spawn(serve(Arc::clone(&authority), listener, shutdown.clone()));
        let sight = Sight {
            seen: authority.changed_at(),
            refused: None,
        };
        Self {
            dir,
            clock,
            authority,
            address,
            sight,
            shutdown,
        }
    }

    /// The operator saves the registry anew; the authority sees it.
    fn change(&mut self, text: &str) {
        write_registry(self.dir.path(), self.address, text);
        self.look_again();
    }

    fn look_again(&mut self) {
        // Two writes within one tick of the file system's clock have one time.
        self.sight.seen.clear();
        self.authority.look(&mut self.sight);
    }

    fn anchor(&self, kind: Kind) -> ConfigurationAnchor {
        anchor::anchor(&self.dir.path().join("authority.toml"), kind).unwrap()
    }

    async fn get(&self, path: &str) -> (u16, Vec<u8>) {
        let fetcher = Fetcher::new(&EgressSettings::default()).unwrap();
        let url = format!("http://{}{path}", self.address);
        let bounds = Bounds {
            connect: MINUTE,
            total: MINUTE,
            max_body: 1 << 20,
        };
        let Fetched { status, body, .. } = fetcher.get(&url, &bounds).await.unwrap();
        (status, body.to_vec())
    }
}

impl Drop for Bed {
    fn drop(&mut self) {
        self.shutdown.stop();
    }
}

fn write_registry(dir: &Path, address: SocketAddr, text: &str) {
    let text = text.replace("127.0.0.1:4080", &address.to_string());
    std::fs::write(dir.join("authority.toml"), text).unwrap();
}

/// Every key and certificate that the registries of these tests name.
fn make_keys(dir: &Path) {
    let secret = [7; 32];
    let unseal = dir.join("unseal.key");
    std::fs::write(&unseal, secret).unwrap();
    std::fs::set_permissions(&unseal, std::fs::Permissions::from_mode(0o600)).unwrap();
    let master = MasterKey::from_bytes(secret);
    std::fs::create_dir(dir.join("issued")).unwrap();
    let validity = Validity::days(now(), 100);
    let ca = CertificateAuthority::generate(&CaParams {
        name: "CA".into(),
        organization: "Fictional".into(),
        test: true,
        key: KeyAlgorithm::EcdsaP256,
        validity,
    })
    .unwrap();
    std::fs::write(dir.join("ca.pem"), ca.certificate().to_pem()).unwrap();
    for name in ["c", "old", "new", "ext", "o", "t", "a"] {
        let key = SoftwareKey::generate(KeyAlgorithm::EcdsaP256).unwrap();
        let (public, subject) = (key.public_key(), Subject::common_name(name));
        let certificate = match name {
            "o" => ca.issue_ocsp_responder(public, subject, validity),
            "t" => ca.issue_tsa(public, subject, validity),
            _ => ca.issue_signing(public, subject, validity),
        };
        std::fs::write(dir.join(format!("{name}.pem")), certificate.unwrap().to_pem()).unwrap();
        std::fs::write(dir.join(format!("{name}.key")), seal_key(&key, &master)).unwrap();
    }
}

/// A node that starts from an anchor.
struct Node {
    _dir: tempfile::TempDir,
    conf: Arc<GlobalConf>,
    client: ConfigurationClient,
}

impl Node {
    fn of(bed: &Bed, anchor: &ConfigurationAnchor, federations: Federations) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("anchor.xml");
        std::fs::write(&path, anchor.to_xml()).unwrap();
        let conf = Arc::new(GlobalConf::new(Mode::Test));
        let client = ConfigurationClient::open(Setup {
            conf: conf.clone(),
            anchor: &path,
            own_instance: &anchor.instance,
            federations,
            dir: &dir.path().join("globalconf"),
            fetcher: Fetcher::new(&EgressSettings::default()).unwrap(),
            clock: bed.clock.clone(),
            refresh: MINUTE,
        })
        .unwrap();
        Self {
            _dir: dir,
            conf,
            client,
        }
    }

    fn held(&self) -> Arc<TrustSet> {
        self.conf.held().unwrap()
    }
}

#[tokio::test]
async fn each_version_has_its_address_and_none_means_the_second() {
    let bed = Bed::serving(FILE).await;
    let keys: Vec<_> = bed
        .anchor(Kind::Internal)
        .sources
        .swap_remove(0)
        .verification_certificates;
    for (query, version) in [
        ("", 2),
        ("?version=2", 2),
        ("?version=3", 3),
        ("?a=b&version=6", 6),
    ] {
        for (path, relation) in [
            ("internalconf", Relation::Own),
            ("externalconf", Relation::Federated),
        ] {
            let (status, body) = bed.get(&format!("/{path}{query}")).await;
            assert_eq!(status, 200, "{path}{query}");
            let directory = verify(&body, &keys, "TEST", relation, now()).unwrap();
            assert_eq!(directory.version(), version);
            for part in directory.parts() {
                let (status, bytes) = bed.get(part.location()).await;
                assert_eq!(status, 200);
                directory.accept_part(part, &bytes).unwrap();
            }
        }
    }
    for unknown in [
        "?version=1",
        "?version=7",
        "?version=",
        "?version=x",
        "?version=99999999999",
    ] {
        let (status, body) = bed.get(&format!("/internalconf{unknown}")).await;
        assert_eq!(status, 404, "{unknown}");
        assert!(String::from_utf8(body).unwrap().contains("2, 3, 4, 5, 6"));
    }
}

#[tokio::test]
async fn a_node_takes_the_newest_version_and_sees_maintenance_and_names() {
    let text = FILE.replace(
        "[[server]]",
        "subsystem_names = { antrag = \"Applications\" }\n[[server]]\nmaintenance = \"Until noon\"",
    );
    let mut bed = Bed::serving(&text).await;
    let mut node = Node::of(&bed, &bed.anchor(Kind::Internal), Federations::None);
    assert!(node.client.round().await);
    let of = |node: &Node| node.held().instance("TEST").unwrap().clone();
    assert_eq!(of(&node).version, 6);
    assert_eq!(
        of(&node).shared.servers[0].maintenance.as_deref(),
        Some("Until noon")
    );
    let name = &of(&node).shared.members[0].subsystems[0].name;
    assert_eq!(name.as_deref(), Some("Applications"));

    bed.clock.advance(MINUTE);
    bed.change(FILE);
    assert!(node.client.round().await);
    assert_eq!(of(&node).shared.servers[0].maintenance, None);
}

#[tokio::test]
async fn a_node_follows_a_new_key_from_its_old_anchor_if_the_key_was_announced() {
    // Before the rotation there is one internal key.
    let only = |name: &str| {
        let other = if name == "old" { "new" } else { "old" };
        let text = with_keys(name);
        let from = text
            .find(&format!("[[configuration_key]]\nname = \"{other}\""))
            .unwrap();
        let to = from + text[from..].find("active = false\n").unwrap() + "active = false\n".len();
        format!("{}{}", &text[..from], &text[to..])
    };
    let mut bed = Bed::serving(&only("old")).await;
    let first_anchor = bed.anchor(Kind::Internal);
    assert_eq!(first_anchor.sources[0].verification_certificates.len(), 1);
    let mut node = Node::of(&bed, &first_anchor, Federations::None);
    let mut absent = Node::of(&bed, &first_anchor, Federations::None);
    assert!(node.client.round().await && absent.client.round().await);

    // First the new key is announced, while the old one signs.
    bed.change(&with_keys("old"));
    assert!(node.client.round().await);
    let announced = bed.anchor(Kind::Internal);
    assert_eq!(announced.sources[0].verification_certificates.len(), 2);
    // Then it signs, then the old one is dropped.
    for text in [with_keys("new"), only("new")] {
        bed.change(&text);
        assert!(node.client.round().await);
    }
    let sources = &node.held().instance("TEST").unwrap().shared.sources.clone();
    assert_eq!(
        sources[0].internal_certificates,
        [announced.sources[0].verification_certificates[1].clone()]
    );

    // Whoever was away all the time, or begins with the old anchor, needs a new one: that is why there are three steps.
    absent.client.round().await;
    assert_eq!(absent.conf.failing().rounds, 1);
    assert_eq!(node.conf.failing().rounds, 0);
    assert!(
        !Node::of(&bed, &first_anchor, Federations::None)
            .client
            .round()
            .await
    );
    assert!(Node::of(&bed, &announced, Federations::None).client.round().await);
}

#[tokio::test]
async fn two_authorities_federate_by_their_external_anchors() {
    let text = with_keys("new").replace("TEST", "TESTX");
    let other = Bed::serving(&text).await;
    let mut bed = Bed::serving(FILE).await;
    let anchor = other.anchor(Kind::External);
    assert!(anchor.sources[0].download_url.ends_with("/externalconf"));
    std::fs::write(bed.dir.path().join("x.xml"), anchor.to_xml()).unwrap();
    bed.change(&format!("{FILE}[[federation]]\nanchor = \"x.xml\"\n"));

    let admitted = Federations::All;
    let mut node = Node::of(&bed, &bed.anchor(Kind::Internal), admitted);
    assert!(node.client.round().await);
    let held = node.held();
    assert_eq!(held.servers_of(&"TESTX/GOV/a/antrag".parse().unwrap()).len(), 1);
    assert!(held.instance("TESTX").unwrap().private.is_none());
    let mut closed = Node::of(&bed, &bed.anchor(Kind::Internal), Federations::None);
    assert!(closed.client.round().await);
    assert!(closed.held().instance("TESTX").is_none());
}

#[tokio::test]
async fn a_mistake_leaves_the_last_good_state_and_is_looked_at_again() {
    let mut bed = Bed::serving(FILE).await;
    let mut node = Node::of(&bed, &bed.anchor(Kind::Internal), Federations::None);
    let name = |node: &Node| {
        node.held()
            .member_name(&"TEST/GOV/a".parse().unwrap())
            .map(str::to_owned)
    };
    let federated =
        format!("{FILE}[[federation]]\nanchor = \"x.xml\"\n").replace("name = \"A\"", "name = \"B\"");
    bed.change(&federated);
    assert!(node.client.round().await);
    assert_eq!(name(&node).as_deref(), Some("A"));

    // The missing file comes, which nothing watches yet; with the next publication it is found.
    let anchor = bed.anchor_of_another_instance();
    std::fs::write(bed.dir.path().join("x.xml"), anchor).unwrap();
    bed.clock.advance(MINUTE);
    bed.authority.look(&mut bed.sight);
    assert!(node.client.round().await);
    assert_eq!(name(&node).as_deref(), Some("B"));
}

impl Bed {
    fn anchor_of_another_instance(&self) -> Vec<u8> {
        let anchor = ConfigurationAnchor {
            generated_at: None,
            instance: "TESTX".into(),
            sources: vec![kontor_protocol::trust::anchor::AnchorSource {
                download_url: "http://x.example/externalconf".into(),
                verification_certificates: vec![std::fs::read(self.dir.path().join("a.pem")).unwrap()],
            }],
        };
        anchor.to_xml()
    }
}

#[tokio::test]
async fn a_waiting_key_that_does_not_fit_is_reported_before_it_must_sign() {
    let bed = Bed::serving(FILE).await;
    let text = with_keys("new").replace("old.key", "ext.key");
    write_registry(bed.dir.path(), bed.address, &text);
    let refused = Authority::open(&bed.dir.path().join("authority.toml"), bed.clock.clone());
    assert!(matches!(
        refused.unwrap_err(),
        AuthorityError::Key(KeyError::Mismatch { .. })
    ));
}

#[tokio::test]
async fn an_anchor_is_the_same_each_time_and_needs_no_key() {
    let bed = Bed::serving(FILE).await;
    let first = bed.anchor(Kind::External).to_xml();
    std::fs::remove_file(bed.dir.path().join("c.key")).unwrap();
    assert_eq!(bed.anchor(Kind::External).to_xml(), first);
    assert_ne!(bed.anchor(Kind::Internal).to_xml(), first);
    // Central servers of X-Road refuse an anchor without an instant.
    assert!(bed.anchor(Kind::External).generated_at.is_some());
    let shown = anchor::fingerprint(kontor_pki::crypto::DigestAlgorithm::Sha256, b"abc").unwrap();
    assert!(shown.starts_with("BA:78:16:BF:") && shown.len() == 95);
}

#[tokio::test]
async fn an_older_publication_is_served_until_it_expires() {
    let mut bed = Bed::serving(FILE).await;
    let (_, body) = bed.get("/internalconf?version=6").await;
    let keys = bed
        .anchor(Kind::Internal)
        .sources
        .swap_remove(0)
        .verification_certificates;
    let old = verify(&body, &keys, "TEST", Relation::Own, now()).unwrap();
    bed.clock.advance(MINUTE);
    bed.change(&FILE.replace("name = \"A\"", "name = \"B\""));
    let shared = old
        .parts()
        .iter()
        .find(|p| p.identifier() == "SHARED-PARAMETERS")
        .unwrap();
    assert_eq!(bed.get(shared.location()).await.0, 200);
    bed.clock.advance(10 * MINUTE);
    bed.look_again();
    assert_eq!(bed.get(shared.location()).await.0, 404);
    // What did not change is where it was.
    let private = old
        .parts()
        .iter()
        .find(|p| p.identifier() == "PRIVATE-PARAMETERS")
        .unwrap();
    assert_eq!(bed.get(private.location()).await.0, 200);
}

#[tokio::test]
async fn a_new_key_is_sealed_and_announced_and_never_replaces_one() {
    let mut bed = Bed::serving(FILE).await;
    let config = bed.dir.path().join("authority.toml");
    let make = |name: &str| keys::make(&config, name, KeyAlgorithm::EcdsaP256, now());
    let files = make("2027").unwrap();
    let mode = std::fs::metadata(&files.key).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    let kept = std::fs::read(&files.key).unwrap();
    assert!(matches!(make("2027"), Err(keys::NewKeyError::Taken(_))));
    std::fs::remove_file(&files.certificate).unwrap();
    assert!(matches!(make("2027"), Err(keys::NewKeyError::Taken(_))));
    assert_eq!(std::fs::read(&files.key).unwrap(), kept);
    for name in ["", "../x", ".x", "a b", "a/b"] {
        assert!(matches!(make(name), Err(keys::NewKeyError::Name(_))), "{name}");
    }

    make("2028").unwrap();
    let present =
        "[[configuration_key]]\nname = \"c\"\nkey = \"c.key\"\ncertificate = \"c.pem\"\nactive = true\n";
    let new = present.replace("\"c", "\"2028").replace("active = true\n", "");
    let text = FILE.replace("key = \"c.key\"\ncertificate = \"c.pem\"\n", "");
    bed.change(&text.replacen("[ca]", &format!("{present}{new}[ca]"), 1));
    let mut node = Node::of(&bed, &bed.anchor(Kind::Internal), Federations::None);
    assert!(node.client.round().await);
    let sources = &node.held().instance("TEST").unwrap().shared.sources.clone();
    assert_eq!(sources[0].internal_certificates.len(), 2);
    assert_eq!(sources[0].external_certificates.len(), 2);
}

#[tokio::test]
async fn a_second_host_of_the_same_files_answers_when_the_first_is_gone() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let bed = Bed::serving(&format!("{FILE}[[source]]\naddress = \"{address}\"\n")).await;
    let second = bed.second_host(listener);
    let anchor = bed.anchor(Kind::Internal);
    let urls: Vec<_> = anchor.sources.iter().map(|s| s.download_url.as_str()).collect();
    assert_eq!(urls[1], format!("http://{address}/internalconf"));
    let mut node = Node::of(&bed, &anchor, Federations::None);
    assert!(node.client.round().await);

    bed.clock.advance(MINUTE);
    assert!(bed.shutdown.finish(MINUTE).await);
    assert!(tokio::net::TcpStream::connect(bed.address).await.is_err());
    assert!(node.client.round().await);
    assert_eq!(node.conf.failing().rounds, 0);
    let mut begins = Node::of(&bed, &anchor, Federations::None);
    assert!(begins.client.round().await, "also a node that begins now");

    assert!(second.finish(MINUTE).await);
    node.client.round().await;
    assert_eq!(node.conf.failing().rounds, 1);
}
