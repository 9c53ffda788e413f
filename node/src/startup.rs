//! Configuration to running node: the only file that names concrete engines, and the order of start and stop.

use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use prometheus_client::registry::Registry;
use rustix::process::{Resource, Rlimit};
use tokio::sync::watch;

use crate::administration::{self, Administration, IdentityError, Opening};
use crate::admission::Admission;
use crate::archiver;
use crate::casework::{self, Casework};
use crate::chronicle::{self, Chronicle};
use crate::clock::{SharedClock, SystemClock};
use crate::config::{Mode, NodeConfig, Tls12};
use crate::crowd::Crowd;
use crate::disk::SystemDisk;
use crate::evidence::Evidence;
use crate::fetch::Fetcher;
use crate::gate::Gate;
use crate::globalconf::{self, ConfigurationClient, GlobalConf, GlobalConfError};
use crate::hand_out;
use crate::handles::{ExchangeMetrics, Handles};
use crate::health::Health;
use crate::in_force::FileState;
use crate::inbound::Inbound;
use crate::inbound::provider::{Own, Services};
use crate::keystore::{self, Identity, KeyError};
use crate::listen::{self, ListenError};
use crate::messagelog::{self, LogError, LogSettings, MessageLog, OpenLog};
use crate::ocsp::{self, OwnOcsp};
use crate::outbound::{Dialects, Outbound};
use crate::partners::Partners;
use crate::peers::Peers;
use crate::purger;
use crate::quota::Quota;
use crate::registry::{ClientRegistry, RegistryError};
use crate::reload::Reloader;
use crate::renewer;
use crate::shutdown::{Shutdown, signalled, stdin_closed};
use crate::sight::Sight;
use crate::signer::{InFlight, Signer};
use crate::suites;
use crate::telemetry::Metrics;
use crate::timestamper::Timestamper;
use crate::tls;
use crate::transparency;
use crate::verdicts::Verdicts;
use crate::witness::{self, Witness, ask::Asker, reconcile::reconciler, show::Shower};

/// Exchanges under way at once, in each direction; a quarter of them for each client and each peer.
const EXCHANGES: usize = 1024;

/// Why a node does not start, or ended on its own.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// Global configuration or its anchor.
    #[error(transparent)]
    GlobalConf(#[from] GlobalConfError),
    /// The certificate of the administration listener.
    #[error(transparent)]
    Administration(#[from] IdentityError),
    /// Certificates or credentials of the way out.
    #[error("[egress] cannot be used: {0}")]
    Egress(String),
    /// A key or certificate.
    #[error(transparent)]
    Key(#[from] KeyError),
    /// Clients and services.
    #[error(transparent)]
    Clients(#[from] RegistryError),
    /// A port.
    #[error(transparent)]
    Listen(#[from] ListenError),
    /// The message log, at the start or while the node ran.
    #[error(transparent)]
    Log(#[from] LogError),
    /// Signals or threads.
    #[error("the system refused something the node needs: {0}")]
    System(#[from] std::io::Error),
    /// Test certificates in production.
    #[error("{subject} is marked OU=TEST; mode = \"production\" refuses test certificates")]
    TestCertificate {
        /// Subject of the certificate.
        subject: String,
    },
    /// Casework.
    #[error("casework cannot be opened: {0}")]
    Casework(#[from] casework::OpenError),
    /// The state store, while the node ran.
    #[error("{0}")]
    Store(String),
    /// TLS settings.
    #[error("TLS cannot be set up: {0}; check key and certificate files")]
    Tls(#[from] rustls::Error),
}

/// Runs a node until it is told to stop or its log fails.
pub fn run(config: NodeConfig, stop_on_eof: bool) -> Result<(), StartError> {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let outcome = runtime.block_on(serve(config, stop_on_eof));
    // What still blocks (a read of a slow disk, for example) must not hold up the end.
    runtime.shutdown_timeout(Duration::from_secs(1));
    outcome
}

async fn serve(config: NodeConfig, stop_on_eof: bool) -> Result<(), StartError> {
    let clock: SharedClock = Arc::new(SystemClock);
    let shutdown = Shutdown::default();
    let mut registry = Registry::default();
    let keys = Keys::load(&config)?;
    raise_open_files();
    std::fs::create_dir_all(&config.data_dir)?;
    let provider = suites::provider();
    let administration = Administered::open(&config, &keys.master, &provider, clock.now())?;
    let log = MessageLog::open(OpenLog {
        dir: config.data_dir.clone(),
        disk: Arc::new(SystemDisk),
        master: keys.master,
        settings: LogSettings::of(&config),
        server: config.server.clone(),
        test: config.mode == Mode::Test,
        clock: clock.clone(),
    })?;
    registry.register_collector(Box::new(messagelog::Figures(log.clone())));

    let trust = Arc::new(GlobalConf::new(config.mode));
    registry.register_collector(Box::new(globalconf::Figures(trust.clone())));
    let fetcher = Fetcher::new(&config.egress).map_err(StartError::Egress)?;
    let configuration = ConfigurationClient::open(globalconf::Setup {
        conf: trust.clone(),
        anchor: &config.anchor,
        own_instance: config.server.owner().instance(),
        federations: config.federations.clone(),
        dir: &config.data_dir.join("globalconf"),
        fetcher: fetcher.clone(),
        clock: clock.clone(),
        refresh: config.trust_refresh,
    })?;
    let ocsp = OwnOcsp::new(
        &config.data_dir.join("ocsp"),
        config.server.owner().instance(),
        keys.authentication
            .certificates
            .iter()
            .chain(keys.signing.iter().flat_map(|(_, i)| &i.certificates))
            .cloned()
            .collect(),
        fetcher.clone(),
        config.ocsp_timeout,
    );
    registry.register_collector(Box::new(ocsp::Figures(ocsp.clone())));
    if let Some(held) = trust.held() {
        ocsp.load(&held, clock.now());
    }
    let (digest, in_force) = watch::channel(config.digest);
    let file = FileState::new(clock.now());
    let chronicle = Chronicle::begin(log.clone(), trust.clone(), &config, in_force).await?;
    let in_flight = InFlight::default();
    let signer = Signer::start(keys.signing, &in_flight, &clock, &mut registry)?;
    // Before the first look: a response that comes while the node starts is not missed.
    let responses = ocsp.changes();
    signer.refresh(&ocsp);

    let internal = keys.internal.map(Arc::new);
    let mut clients = ClientRegistry::new(&config.clients, internal.as_deref())?;
    if let Some(own) = &config.ledger {
        clients = clients.with_own(own.clone());
    }
    let (gate, quota) = (Arc::<Gate>::default(), Arc::<Quota>::default());
    let sight = config.ledger.is_some().then(Sight::default);
    let witness = match &sight {
        Some(sight) => {
            registry.register_collector(Box::new(sight.clone()));
            let setup = witness::Setup {
                log: log.clone(),
                trust: trust.clone(),
                clock: clock.clone(),
                quota: quota.clone(),
                sight: sight.clone(),
            };
            Some(Witness::open(
                &config.data_dir.join("witness"),
                Arc::new(SystemDisk),
                setup,
            )?)
        }
        None => {
            gate.open();
            None
        }
    };
    let casework = match config.casework.clone() {
        None => None,
        Some(settings) => {
            let setup = casework::Setup {
                settings,
                log: log.clone(),
                trust: trust.clone(),
                clock: clock.clone(),
                server: config.server.clone(),
                test: config.mode == Mode::Test,
                egress: config.egress.clone(),
                shutdown: shutdown.clone(),
            };
            let casework = Casework::open(&config.data_dir, setup)?;
            registry.register_collector(Box::new(casework::webhooks::Figures(casework.clone())));
            Some(casework)
        }
    };
    let own = Own {
        ledger: witness.clone(),
        casework: casework.clone(),
    };
    let services = Services::new(own, shutdown.clone());
    let outbound_tls =
        |tls12| tls::federation_client(&provider, &keys.authentication, tls12, &trust).map(Arc::new);
    let outbound_tls = Dialects {
        off: outbound_tls(Tls12::Off)?,
        gcm: outbound_tls(Tls12::Gcm)?,
        legacy_cbc: outbound_tls(Tls12::LegacyCbc)?,
    };
    let most = config.tls12.most();
    let federation_tls = tls::federation_server(&provider, &keys.authentication, most, &trust)?;
    let is_tls = internal
        .as_deref()
        .map(|identity| tls::is_server(&provider, identity))
        .transpose()?;
    let handles = Arc::new(Handles {
        server: config.server.clone(),
        clock: clock.clone(),
        trust: trust.clone(),
        ocsp: ocsp.clone(),
        clients: ArcSwap::from_pointee(clients),
        signer,
        log: log.clone(),
        inline_body: config.inline_body,
        clients_at_once: Admission::new(EXCHANGES, EXCHANGES / 4),
        peers_at_once: Admission::new(EXCHANGES, EXCHANGES / 4),
        peers: Peers::default(),
        tls12: config.tls12.clone(),
        verdicts: Verdicts::default(),
        authentication: Arc::new(keys.authentication),
        in_flight,
        partners: Partners::default(),
        gate: gate.clone(),
        quota,
        shutdown: shutdown.clone(),
        exchanges: ExchangeMetrics::register(&mut registry),
    });
    let reloader = Reloader::new(
        config.clone(),
        internal,
        handles.clone(),
        digest,
        file.clone(),
        clock.clone(),
        {
            let casework = casework.clone();
            Box::new(move |settings| {
                if let Some(casework) = &casework {
                    casework.admit(settings);
                }
            })
        },
    );
    let held = trust.clone();
    let timestamper = Timestamper::new(config.timestamping_urls, Arc::new(move || held.held()))
        .within(config.stamping.timeout)
        .through(fetcher);
    let globalconf = config.data_dir.join("globalconf");
    let evidence = Evidence::new(handles.clone(), timestamper.clone(), globalconf);
    let outbound = Outbound::new(handles.clone(), evidence, outbound_tls);
    let inbound = Inbound::new(handles.clone(), services);
    let opening = Opening::of(log.clone(), timestamper.clone(), shutdown.clone());
    let auditors = Administration::open(opening, casework.clone(), &mut registry);
    let health = Health {
        trust: trust.clone(),
        ocsp: ocsp.clone(),
        signs: {
            let handles = Arc::clone(&handles);
            Arc::new(move || handles.signer.is_ready())
        },
        log: log.clone(),
        gate,
        sight: sight.clone(),
        file: file.clone(),
        clock: clock.clone(),
        shutdown: shutdown.clone(),
        metrics: Metrics::new(registry),
    };

    log.serve_control(timestamper.clone(), &shutdown)?;
    log.stamp_immediately(timestamper.clone());

    // Every port is opened before any is served: a node that cannot have one must not have begun.
    let listen = config.listen;
    let is_http = bound("is_http", listen.is_http).await?;
    let is_https = bound("is_https", listen.is_https).await?;
    let federation = bound("federation", listen.federation).await?;
    let hand_outs = bound("ocsp", listen.ocsp).await?;
    let healths = bound("health", listen.health).await?;
    let administrations = bound("administration", administration.as_ref().map(|it| it.listen)).await?;

    if let Some(casework) = &casework {
        shutdown.spawn(Arc::clone(casework).run(outbound.clone()));
    }
    shutdown.spawn(configuration.run(shutdown.clone()));
    shutdown.spawn(chronicle.run(shutdown.clone()));
    shutdown.spawn(reloader.run(shutdown.clone()));
    shutdown.spawn(renewer::run(log.clone(), timestamper.clone(), shutdown.clone()));
    shutdown.spawn(log.clone().run_stamping(timestamper, shutdown.clone()));
    shutdown.spawn(purger::run(
        log.clone(),
        trust.clone(),
        clock.clone(),
        shutdown.clone(),
    ));
    if let Some(archiving) = &config.archiving {
        shutdown.spawn(archiver::run(log.clone(), archiving.interval, shutdown.clone()));
    }
    shutdown.spawn(
        ocsp.clone()
            .run(trust, clock, config.ocsp_refresh, shutdown.clone()),
    );
    let asker = config
        .ledger
        .map(|own| Arc::new(Asker::new(handles.clone(), outbound.clone(), own)));
    let (newest, checkpoints) = watch::channel(None);
    if let Some(((asker, witness), sight)) = asker.zip(witness).zip(sight) {
        log.set_reconciler(reconciler(Arc::downgrade(&asker), witness.clone()));
        log.set_overseer(witness::overseer(witness.clone()));
        let shower = Shower::new(asker, witness, sight, config.checkpoint_age);
        shutdown.spawn(shower.run(checkpoints, shutdown.clone()));
    }
    shutdown.spawn(transparency::run(
        handles.clone(),
        newest,
        config.checkpoint_age,
        shutdown.clone(),
    ));
    shutdown.spawn(refresh_signer(handles, ocsp.clone(), responses, shutdown.clone()));
    if let Some(listener) = is_http {
        let side = outbound.clone();
        let answer = move |connection, request| side.clone().answer(connection, request);
        shutdown.spawn(listen::serve(
            "is_http",
            listener,
            None,
            None,
            shutdown.clone(),
            answer,
        ));
    }
    if let Some((listener, tls)) = is_https.zip(is_tls) {
        let answer = move |connection, request| outbound.clone().answer(connection, request);
        shutdown.spawn(listen::serve(
            "is_https",
            listener,
            Some(Arc::new(tls)),
            None,
            shutdown.clone(),
            answer,
        ));
    }
    if let Some(listener) = federation {
        let answer = move |connection, request| inbound.clone().answer(connection, request);
        shutdown.spawn(listen::serve(
            "federation",
            listener,
            Some(Arc::new(federation_tls)),
            Some(Crowd::default()),
            shutdown.clone(),
            answer,
        ));
    }
    if let Some(listener) = hand_outs {
        let answer = move |_, request| hand_out::answer(ocsp.clone(), request);
        shutdown.spawn(listen::serve(
            "ocsp",
            listener,
            None,
            Some(Crowd::default()),
            shutdown.clone(),
            answer,
        ));
    }
    if let Some(listener) = healths {
        let answer = move |_, request| health.clone().answer(request);
        shutdown.spawn(listen::serve(
            "health",
            listener,
            None,
            None,
            shutdown.clone(),
            answer,
        ));
    }
    if let Some((listener, administered)) = administrations.zip(administration) {
        let answer = move |connection, request| auditors.clone().answer(connection, request);
        shutdown.spawn(listen::serve(
            "administration",
            listener,
            administered.tls,
            Some(Crowd::default()),
            shutdown.clone(),
            answer,
        ));
    }
    tracing::info!(server = %config.server, "node started");

    let failed = tokio::select! {
        signal = signalled() => { signal?; None }
        () = stdin_closed(), if stop_on_eof => None,
        error = log.failed() => Some(error.into()),
        error = async {
            match &casework {
                Some(casework) => casework.failed().await,
                None => std::future::pending().await,
            }
        } => Some(StartError::Store(error)),
    };
    match &failed {
        None => tracing::info!("stopping: no more is accepted, running exchanges are finished"),
        Some(error) => tracing::error!(%error, "what must be on disk cannot be written; the node stops"),
    }
    if !shutdown.finish(config.stop_grace).await {
        tracing::warn!("some exchanges did not end in time and were dropped");
    }
    if failed.is_none() {
        chronicle::stop(&log).await;
    }
    log.shutdown().await;
    failed.map_or(Ok(()), Err)
}

/// The administration listener before it is opened.
struct Administered {
    listen: std::net::SocketAddr,
    tls: Option<Arc<rustls::ServerConfig>>,
}

impl Administered {
    fn open(
        config: &NodeConfig,
        master: &kontor_pki::sealed::MasterKey,
        provider: &Arc<rustls::crypto::CryptoProvider>,
        now: kontor_pki::time::UnixTime,
    ) -> Result<Option<Self>, StartError> {
        let Some(settings) = &config.administration else {
            return Ok(None);
        };
        let dir = config.data_dir.join("administration");
        let owner = (master, &config.server, config.mode == Mode::Test);
        let identity = administration::identity(settings, &dir, owner, now)?;
        let tls = identity
            .as_ref()
            .map(|identity| tls::administration_server(provider, identity))
            .transpose()?;
        Ok(Some(Self {
            listen: settings.listen,
            tls: tls.map(Arc::new),
        }))
    }
}

async fn bound(
    name: &'static str,
    address: Option<std::net::SocketAddr>,
) -> Result<Option<tokio::net::TcpListener>, ListenError> {
    match address {
        Some(address) => listen::bind(name, address).await.map(Some),
        None => Ok(None),
    }
}

/// A connection is a file, and so is each body on its way: as many as the system allows.
fn raise_open_files() {
    let limit = rustix::process::getrlimit(Resource::Nofile);
    let raised = Rlimit {
        current: limit.maximum,
        maximum: limit.maximum,
    };
    if let Err(error) = rustix::process::setrlimit(Resource::Nofile, raised) {
        tracing::warn!(%error, "the limit of open files could not be raised");
    }
    let now = rustix::process::getrlimit(Resource::Nofile).current;
    let files = now.map_or_else(|| "unlimited".to_owned(), |files| files.to_string());
    tracing::info!(files, "open files that the node may have");
    if now.is_some_and(|files| files < ENOUGH) {
        tracing::warn!(
            files,
            "few for a node with many peers: set LimitNOFILE of the service to {ENOUGH} or more"
        );
    }
}

/// Open files that a node with every listener at its limit needs.
const ENOUGH: u64 = 16_384;

/// Hands new OCSP responses to the signer, whose documents embed them.
async fn refresh_signer(
    handles: Arc<Handles>,
    ocsp: OwnOcsp,
    mut changes: watch::Receiver<u64>,
    shutdown: Shutdown,
) {
    loop {
        tokio::select! {
            () = shutdown.soft() => return,
            changed = changes.changed() => if changed.is_err() { return },
        }
        handles.signer.refresh(&ocsp);
    }
}

struct Keys {
    master: kontor_pki::sealed::MasterKey,
    authentication: Identity,
    internal: Option<Identity>,
    signing: Vec<(kontor_protocol::id::MemberId, Arc<Identity>)>,
}

impl Keys {
    fn load(config: &NodeConfig) -> Result<Self, StartError> {
        let master = keystore::master_key(&config.unseal, &config.authentication.key)?;
        let load = |pair| {
            let identity = keystore::load(pair, &master)?;
            match identity.certificates.iter().find(|c| c.is_test()) {
                Some(test) if config.mode == Mode::Production => Err(StartError::TestCertificate {
                    subject: test.subject().to_string(),
                }),
                Some(_) | None => Ok(identity),
            }
        };
        let authentication = load(&config.authentication)?;
        let internal = config.internal_tls.as_ref().map(load).transpose()?;
        let mut signing = Vec::new();
        for member in &config.members {
            signing.push((member.id.clone(), Arc::new(load(&member.sign)?)));
        }
        Ok(Self {
            authentication,
            internal,
            signing,
            master,
        })
    }
}
