//! The configuration client against publishers with real sockets: what it fetches, keeps, takes over and leaves out.

mod publisher;

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use kontor_pki::time::UnixTime;
use kontor_protocol::id::ClientId;
use kontor_protocol::trust::IndexedInstance;

use self::publisher::{Key, Publisher, tunnels};
use super::{ConfigurationClient, GlobalConf, Setup, store};
use crate::clock::ManualClock;
use crate::config::{EgressSettings, Federations, Mode};
use crate::fetch::Fetcher;

const MINUTE: Duration = Duration::from_secs(60);

fn now() -> UnixTime {
    UnixTime::parse_rfc3339("2030-01-31T12:00:00Z").unwrap()
}

/// A node that is a client of an instance, with a clock of its own.
struct Bed {
    dir: tempfile::TempDir,
    clock: Arc<ManualClock>,
    conf: Arc<GlobalConf>,
    own: String,
    federations: Federations,
    egress: EgressSettings,
}

impl Bed {
    fn of(publisher: &Publisher, federations: Federations) -> Self {
        let bed = Self {
            dir: tempfile::tempdir().unwrap(),
            clock: ManualClock::at(now()),
            conf: Arc::new(GlobalConf::new(Mode::Production)),
            own: publisher.instance.clone(),
            federations,
            egress: EgressSettings::default(),
        };
        std::fs::write(
            bed.dir.path().join("anchor.xml"),
            publisher.internal_anchor().to_xml(),
        )
        .unwrap();
        bed
    }

    fn open(&self) -> ConfigurationClient {
        ConfigurationClient::open(Setup {
            conf: self.conf.clone(),
            anchor: &self.dir.path().join("anchor.xml"),
            own_instance: &self.own,
            federations: self.federations.clone(),
            dir: &self.copy(),
            fetcher: Fetcher::new(&self.egress).unwrap(),
            clock: self.clock.clone(),
            refresh: MINUTE,
        })
        .unwrap()
    }

    fn copy(&self) -> std::path::PathBuf {
        self.dir.path().join("globalconf")
    }

    /// The instances that are in use.
    fn instances(&self) -> Vec<String> {
        let held = self.conf.held().unwrap();
        held.instances().map(|config| config.instance.clone()).collect()
    }

    fn indexed(&self, name: &str) -> Arc<IndexedInstance> {
        let held = self.conf.held().unwrap();
        let mut all = held.indexed().map(|(instance, _)| instance.clone());
        all.find(|instance| instance.name() == name).unwrap()
    }

    /// Files and folders of the copy.
    fn kept(&self) -> Vec<String> {
        let mut names = Vec::new();
        collect(&self.copy(), "", &mut names);
        names.sort();
        names
    }
}

fn collect(dir: &Path, prefix: &str, names: &mut Vec<String>) {
    for entry in std::fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        let name = format!("{prefix}{}", path.file_name().unwrap().to_str().unwrap());
        match path.is_dir() {
            true => collect(&path, &format!("{name}/"), names),
            false => names.push(name),
        }
    }
}

/// Publishers of the own instance, which lasts so long, and of one that it trusts, which lasts ten minutes.
async fn own_and_trusted(trusted: &str, lasts: Duration) -> (Publisher, Publisher) {
    let other = Publisher::of(trusted).await;
    other.publish(now() + 10 * MINUTE);
    let own = Publisher::of("DE").await;
    own.trust(&[other.external_anchor()]);
    own.publish(now() + lasts);
    (own, other)
}

fn client(text: &str) -> ClientId {
    text.parse().unwrap()
}

#[tokio::test]
async fn what_did_not_change_is_not_fetched_again_and_lasts_longer() {
    let publisher = Publisher::of("DE").await;
    publisher.publish(now() + 10 * MINUTE);
    let bed = Bed::of(&publisher, Federations::None);
    let mut node = bed.open();
    assert!(node.round().await);
    assert_eq!(publisher.asked().len(), 3, "{:?}", publisher.asked());
    let before = bed.indexed("DE");
    publisher.publish(now() + 20 * MINUTE);
    publisher.forget_asked();
    assert!(node.round().await);
    assert_eq!(publisher.asked(), ["/internalconf?version=6"]);
    assert!(Arc::ptr_eq(&before, &bed.indexed("DE")), "it is not read anew");
    assert_eq!(bed.conf.held().unwrap().expires(), Some(now() + 20 * MINUTE));
    let stored = store::stored(&bed.copy()).unwrap();
    assert_eq!(
        stored.expires(),
        Some(now() + 20 * MINUTE),
        "and the copy says so"
    );

    publisher.change(|shared| shared.members[0].name = "Another name".into());
    publisher.publish(now() + 30 * MINUTE);
    publisher.forget_asked();
    assert!(node.round().await);
    let member = "DE/GOV/1001".parse().unwrap();
    assert_eq!(
        bed.conf.held().unwrap().member_name(&member),
        Some("Another name")
    );
    assert_eq!(
        publisher.asked().len(),
        2,
        "the part that changed: {:?}",
        publisher.asked()
    );
}

#[tokio::test]
async fn a_trusted_instance_that_is_admitted_is_taken_with_its_shared_parameters_only() {
    let (own, other) = own_and_trusted("FX", 10 * MINUTE).await;
    for (federations, admitted) in [
        (Federations::None, false),
        (Federations::All, true),
        (Federations::Only(vec!["fx".into()]), true),
        (Federations::Only(vec!["XX".into()]), false),
    ] {
        other.forget_asked();
        let bed = Bed::of(&own, federations);
        let mut node = bed.open();
        assert!(node.round().await);
        let known = bed.conf.held().unwrap().servers_of(&client("FX/GOV/1001")).len();
        assert_eq!(known, usize::from(admitted));
        assert_eq!(other.asked().is_empty(), !admitted, "{:?}", other.asked());
        let of_other: Vec<_> = bed
            .kept()
            .into_iter()
            .filter(|name| name.starts_with("FX/"))
            .collect();
        match admitted {
            true => assert_eq!(
                of_other,
                ["FX/shared-params.xml", "FX/shared-params.xml.metadata"]
            ),
            false => assert!(of_other.is_empty()),
        }
    }
}

#[tokio::test]
async fn a_trusted_instance_that_fails_leaves_the_own_one_alone_and_ends_by_itself() {
    let (own, other) = own_and_trusted("FX", 60 * MINUTE).await;
    let bed = Bed::of(&own, Federations::All);
    let mut node = bed.open();
    assert!(node.round().await);
    assert_eq!(bed.instances(), ["DE", "FX"]);
    other.go_down(true);
    bed.clock.advance(9 * MINUTE);
    assert!(node.round().await);
    assert_eq!(bed.instances(), ["DE", "FX"], "until it expires");
    bed.clock.advance(MINUTE);
    assert!(node.round().await);
    assert_eq!(bed.instances(), ["DE"]);
    assert!(bed.conf.failing().since.is_none(), "the own one is well");
    other.go_down(false);
    other.publish(now() + 30 * MINUTE);
    assert!(node.round().await);
    assert_eq!(bed.instances(), ["DE", "FX"]);
}

#[tokio::test]
async fn an_instance_that_is_no_longer_trusted_is_gone_from_use_and_from_the_copy() {
    let (own, _other) = own_and_trusted("FX", 10 * MINUTE).await;
    let bed = Bed::of(&own, Federations::All);
    let mut node = bed.open();
    assert!(node.round().await);
    assert_eq!(bed.instances(), ["DE", "FX"]);
    own.trust(&[]);
    own.publish(now() + 10 * MINUTE);
    assert!(node.round().await);
    assert_eq!(bed.instances(), ["DE"]);
    assert!(bed.kept().iter().all(|name| !name.starts_with("FX")));
}

#[tokio::test]
async fn under_another_anchor_what_was_signed_by_the_old_key_is_not_used_any_more() {
    let (own, other) = own_and_trusted("FX", 10 * MINUTE).await;
    let bed = Bed::of(&own, Federations::All);
    let mut node = bed.open();
    assert!(node.round().await);
    let mut anchor = other.external_anchor();
    anchor.sources[0].verification_certificates = vec![Key::new("another").certificate];
    own.trust(&[anchor]);
    own.publish(now() + 10 * MINUTE);
    assert!(node.round().await);
    assert_eq!(
        bed.instances(),
        ["DE"],
        "its publisher still signs with the old key"
    );
}

#[tokio::test]
async fn a_start_takes_up_what_the_last_run_left_as_far_as_it_is_still_admitted_and_good() {
    let (own, _other) = own_and_trusted("FX", 60 * MINUTE).await;
    let mut bed = Bed::of(&own, Federations::All);
    assert!(bed.open().round().await);
    let restarted = |bed: &mut Bed| {
        bed.conf = Arc::new(GlobalConf::new(Mode::Production));
        let _node = bed.open();
        bed.instances()
    };
    assert_eq!(restarted(&mut bed), ["DE", "FX"]);
    bed.federations = Federations::None;
    assert_eq!(restarted(&mut bed), ["DE"]);
    bed.federations = Federations::All;
    bed.clock.advance(10 * MINUTE);
    assert_eq!(restarted(&mut bed), ["DE"], "it has expired");
}

#[tokio::test]
async fn an_instance_for_tests_is_left_out_of_one_that_is_not() {
    let (own, _other) = own_and_trusted("TESTFX", 10 * MINUTE).await;
    let bed = Bed::of(&own, Federations::All);
    assert!(bed.open().round().await);
    assert_eq!(bed.instances(), ["DE"]);
}

#[tokio::test]
async fn a_new_key_that_was_announced_is_followed_without_a_new_anchor() {
    let publisher = Publisher::of("DE").await;
    let next = Key::new("next");
    publisher.change(|shared| {
        shared.sources[0]
            .internal_certificates
            .push(next.certificate.clone());
    });
    publisher.publish(now() + 10 * MINUTE);
    let bed = Bed::of(&publisher, Federations::None);
    let mut node = bed.open();
    assert!(node.round().await);
    publisher.sign_with(next);
    publisher.publish(now() + 20 * MINUTE);
    assert!(node.round().await);
    assert_eq!(bed.conf.held().unwrap().expires(), Some(now() + 20 * MINUTE));
    // A key that nobody announced is not followed, and what is held stays.
    publisher.sign_with(Key::new("unknown"));
    publisher.publish(now() + 30 * MINUTE);
    assert!(node.round().await);
    assert_eq!(bed.conf.held().unwrap().expires(), Some(now() + 20 * MINUTE));
    let (since, reason) = bed.conf.failing().since.unwrap();
    assert_eq!(since, now());
    assert!(reason.contains("signed by a key that neither"), "{reason}");
}

#[tokio::test]
async fn another_source_answers_for_one_that_is_down_or_lies() {
    let (good, down) = (Publisher::of("DE").await, Publisher::of("DE").await);
    good.publish(now() + 10 * MINUTE);
    down.publish(now() + 10 * MINUTE);
    let bed = Bed::of(&good, Federations::None);
    let mut anchor = good.internal_anchor();
    // Whatever the order in which they are asked: this one is signed by a key that the anchor does not name for it.
    let mut liar = down.internal_anchor().sources.remove(0);
    liar.verification_certificates = vec![Key::new("another").certificate];
    anchor.sources.insert(0, liar);
    std::fs::write(bed.dir.path().join("anchor.xml"), anchor.to_xml()).unwrap();
    assert!(bed.open().round().await);
    down.go_down(true);
    assert!(bed.open().round().await);
}

#[tokio::test]
async fn the_highest_version_that_is_published_is_asked_for() {
    let publisher = Publisher::of("DE").await;
    publisher.only_version(3);
    publisher.publish(now() + 10 * MINUTE);
    let bed = Bed::of(&publisher, Federations::None);
    assert!(bed.open().round().await);
    let asked = publisher.asked();
    assert_eq!(
        asked[..4],
        [6, 5, 4, 3].map(|version| format!("/internalconf?version={version}"))
    );
}

#[tokio::test]
async fn sources_are_asked_over_tls_first() {
    let publisher = Publisher::over_tls("DE").await;
    publisher.publish(now() + 10 * MINUTE);
    let mut bed = Bed::of(&publisher, Federations::None);
    assert!(!bed.open().round().await, "nobody whom the system believes");
    let ca = bed.dir.path().join("ca.pem");
    std::fs::write(&ca, publisher.tls_authority()).unwrap();
    bed.egress.ca = Some(ca);
    publisher.forget_asked();
    assert!(bed.open().round().await);
    assert_eq!(publisher.asked().len(), 3, "{:?}", publisher.asked());

    let (proxy, targets) = tunnels().await;
    bed.egress.proxy = Some(proxy.parse().unwrap());
    publisher.publish(now() + 20 * MINUTE);
    assert!(bed.open().round().await);
    assert_eq!(bed.conf.held().unwrap().expires(), Some(now() + 20 * MINUTE));
    assert!(!targets.lock().unwrap().is_empty(), "through the proxy");
}

#[tokio::test]
async fn an_expired_configuration_ends_and_the_next_one_goes_on_without_a_restart() {
    let publisher = Publisher::of("DE").await;
    publisher.publish(now() + 10 * MINUTE);
    let bed = Bed::of(&publisher, Federations::None);
    let mut node = bed.open();
    assert!(node.round().await);
    publisher.go_down(true);
    bed.clock.advance(5 * MINUTE);
    assert!(node.round().await, "it is still good");
    assert_eq!(
        bed.conf.failing().since.map(|(since, _)| since),
        Some(now() + 5 * MINUTE),
        "and it is told that it will not last"
    );
    bed.clock.advance(5 * MINUTE);
    assert!(!node.round().await);
    let refused = bed.conf.current(now() + 10 * MINUTE).unwrap_err();
    assert!(refused.text().contains("has expired"), "{refused:?}");
    publisher.go_down(false);
    publisher.publish(now() + 30 * MINUTE);
    assert!(node.round().await);
    assert!(bed.conf.failing().since.is_none());
}
