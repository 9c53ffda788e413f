//! `kontor authority …`

use std::io::Write as _;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use clap::{ArgGroup, Args, Subcommand};
use kontor_pki::crypto::DigestAlgorithm;
use kontor_pki::signing::KeyAlgorithm;
use kontor_protocol::trust::anchor::ConfigurationAnchor;
use serde_json::json;

use crate::authority::anchor::fingerprint;
use crate::authority::registry::{Kind, Registry};
use crate::clock::{Clock as _, SystemClock};
use crate::{authority, telemetry};

/// How long running answers may take at the end.
const GRACE: Duration = Duration::from_secs(5);

/// Commands on an authority.
#[derive(Subcommand)]
pub(super) enum Command {
    /// Make the anchor that others start from, and show its digests
    #[command(long_about = "\
Make the anchor that others start from, and show its digests.

An anchor says where the configuration of this instance is published and which keys sign it; whoever holds it trusts \
what they sign. Hand out the internal anchor to the instance's own members and the external one to operators of other \
instances, and tell them a digest by another way, for example by telephone: central servers and security servers of \
X-Road show SHA-224.

The anchor follows from the registry file: as long as addresses and keys in it stay, it is the same to the last octet. \
Without --out it goes to standard output and the digests to standard error. No key is opened, so this can run anywhere \
the registry file and the certificates are.")]
    Anchor(Anchor),
    /// Ask the running authority of this file whether what it publishes is valid
    #[command(long_about = "\
Ask the running authority of this file whether what it publishes is valid.

Ends with 0 when it is, 1 when it is not or when nothing answers within seconds: for health checks of containers and services.")]
    Health(super::health::Health),
    /// Make a new key for the configuration and show how to list it
    #[command(long_about = "\
Make a new key for the configuration and show how to list it.

The key is sealed with the authority's secret and stands beside the one that signs now; nothing else changes. List it in \
the registry file as the answer shows, so that members learn of it while the present key still signs, and let it sign \
when all have: README, \"A new configuration key\".")]
    Key(Key),
    /// Serve until SIGTERM or Ctrl-C
    #[command(long_about = "\
Serve until SIGTERM or Ctrl-C.

Publishes the global configuration of an instance, signed anew every configuration.refresh_seconds, and answers OCSP \
requests and time-stamp queries. Who takes part stands in the registry file: members, servers with their \
authentication certificates, groups, revoked certificates. The file is looked at every second; a change is published \
at once, and a mistake in it is reported while the last good state stays published.

`kontor up` writes such a file for its own federation; copy it to begin one of your own. The key of the certification \
authority is not needed to run this and should not be on this machine.")]
    Run(Run),
}

/// Arguments of `kontor authority anchor`.
#[derive(Args)]
#[command(group(ArgGroup::new("kind").required(true)))]
pub(super) struct Anchor {
    /// Registry file (TOML)
    #[arg(long, value_name = "FILE")]
    config: PathBuf,
    /// For the instance's own members: everything
    #[arg(long, group = "kind")]
    internal: bool,
    /// For other instances: shared parameters only
    #[arg(long, group = "kind")]
    external: bool,
    /// Write the anchor here
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
    /// Print sources and digests as JSON
    #[arg(long, requires = "out")]
    json: bool,
}

/// Arguments of `kontor authority key`.
#[derive(Args)]
pub(super) struct Key {
    /// Registry file (TOML)
    #[arg(long, value_name = "FILE")]
    config: PathBuf,
    /// Name of the key and of its files, such as a year
    #[arg(long)]
    name: String,
    /// RSA with 3072 bits instead of ECDSA P-256
    #[arg(long)]
    rsa: bool,
    /// Print the files as JSON
    #[arg(long)]
    json: bool,
}

/// Arguments of `kontor authority run`.
#[derive(Args)]
pub(super) struct Run {
    /// Registry file (TOML)
    #[arg(long, value_name = "FILE")]
    config: PathBuf,
    /// Write log lines as JSON
    #[arg(long)]
    log_json: bool,
    /// End when standard input ends, as a child of `kontor up` does
    #[arg(long, hide = true)]
    stop_on_eof: bool,
}

impl Command {
    pub(super) fn run(self) -> anyhow::Result<ExitCode> {
        let run = match self {
            Self::Anchor(anchor) => return anchor.run(),
            Self::Health(health) => {
                return health.ask(Registry::read(&health.config)?.listen);
            }
            Self::Key(key) => return key.run(),
            Self::Run(run) => run,
        };
        telemetry::start_logging(run.log_json);
        super::block_on(async move {
            let stopping = super::until_stopped(run.stop_on_eof);
            let serving =
                |shutdown| async move { authority::run(&run.config, Arc::new(SystemClock), shutdown).await };
            super::serve(serving, stopping, GRACE)
                .await
                .context("the authority ended")
        })?;
        Ok(ExitCode::SUCCESS)
    }
}

impl Anchor {
    fn run(&self) -> anyhow::Result<ExitCode> {
        let kind = if self.internal {
            Kind::Internal
        } else {
            Kind::External
        };
        let anchor = authority::anchor::anchor(&self.config, kind).context("no anchor was made")?;
        let xml = anchor.to_xml();
        let sha256 = fingerprint(DigestAlgorithm::Sha256, &xml)?;
        // What X-Road shows; a build with ring cannot make it and must not fail for it.
        let sha224 = fingerprint(DigestAlgorithm::Sha224, &xml);
        if let Some(path) = &self.out {
            std::fs::write(path, &xml).with_context(|| format!("{} cannot be written", path.display()))?;
        }
        if self.json {
            let told = json!({
                "file": self.out,
                "generated_at": anchor.generated_at.map(|at| at.to_rfc3339()),
                "instance": anchor.instance,
                "kind": kind.path(),
                "sha224": sha224.ok(),
                "sha256": sha256,
                "sources": sources(&anchor),
            });
            return super::print(&format!("{told}\n"));
        }
        let mut told = format!("Anchor of {} ({})\n", anchor.instance, kind.path());
        for source in sources(&anchor) {
            told += &format!("  {source}\n");
        }
        let sha224 = sha224.unwrap_or_else(|e| e.to_string());
        told += &format!("SHA-224: {sha224}\nSHA-256: {sha256}\n");
        match &self.out {
            Some(path) => super::print(&format!("{told}Written to {}\n", path.display())),
            None => {
                let _ = std::io::stderr().write_all(told.as_bytes());
                super::print(std::str::from_utf8(&xml)?)
            }
        }
    }
}

impl Key {
    fn run(&self) -> anyhow::Result<ExitCode> {
        let algorithm = if self.rsa {
            KeyAlgorithm::Rsa { bits: 3072 }
        } else {
            KeyAlgorithm::EcdsaP256
        };
        let files = authority::keys::make(&self.config, &self.name, algorithm, SystemClock.now())
            .context("no key was made")?;
        let name = &self.name;
        if self.json {
            let told = json!({ "certificate": files.certificate, "key": files.key, "name": name });
            return super::print(&format!("{told}\n"));
        }
        super::print(&format!(
            "A new key is in {key}.\n\nList it in {config}; it signs nothing yet:\n\n\
             [[configuration_key]]\nname = {name:?}\nkey = {key:?}\ncertificate = {certificate:?}\n\n\
             Where [configuration] itself names `key` and `certificate`, move these two lines into a\n\
             [[configuration_key]] of their own, with a name and with active = true.\n",
            key = files.key.display().to_string(),
            certificate = files.certificate.display().to_string(),
            config = self.config.display(),
        ))
    }
}

fn sources(anchor: &ConfigurationAnchor) -> Vec<&str> {
    anchor.sources.iter().map(|s| s.download_url.as_str()).collect()
}
