//! What the node tells its own log beside messages: that it started and stopped, and which configuration was in force. An
//! auditor reads there which trust a verdict rested on.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use kontor_protocol::trust::PartMetadata;

use crate::config::{Mode, NodeConfig};
use crate::globalconf::{self, GlobalConf};
use crate::messagelog::{
    Fact, FactKind, LogError, MessageLog, Snapshot, SnapshotPart, Started, Stopped, hex,
};
use crate::shutdown::Shutdown;
use tokio::sync::watch;

/// When a snapshot could not be recorded (a full disk), it is tried again after this time.
const RETRY: Duration = Duration::from_secs(60);

/// Records facts of this node.
#[derive(Debug)]
pub struct Chronicle {
    log: MessageLog,
    trust: Arc<GlobalConf>,
    globalconf_dir: PathBuf,
    node: watch::Receiver<[u8; 32]>,
    recorded: Option<Snapshot>,
}

impl Chronicle {
    /// Records the start, and the configuration if there is one yet. `node` is the digest of the node's own file in force.
    pub async fn begin(
        log: MessageLog,
        trust: Arc<GlobalConf>,
        config: &NodeConfig,
        node: watch::Receiver<[u8; 32]>,
    ) -> Result<Self, LogError> {
        let mode = match config.mode {
            Mode::Production => "production",
            Mode::Test => "test",
        };
        let started = Started {
            server: config.server.to_string(),
            kontor: env!("CARGO_PKG_VERSION").into(),
            mode: mode.into(),
        };
        let refusal = log.checkpoint_refusal();
        match &refusal {
            None => _ = log.append_fact(Fact::new(FactKind::Start, &started)).await?,
            Some(error) => {
                tracing::error!(%error, "the log may not go on: it can be read, and nothing is taken")
            }
        }
        let mut chronicle = Self {
            log,
            trust,
            globalconf_dir: config.data_dir.join("globalconf"),
            node,
            recorded: None,
        };
        if refusal.is_none() {
            chronicle.record_configuration().await?;
        }
        Ok(chronicle)
    }

    /// Records a snapshot unless the content in force is the one of the last snapshot.
    async fn record_configuration(&mut self) -> Result<(), LogError> {
        if self.trust.held().is_none() || self.log.checkpoint_refusal().is_some() {
            return Ok(());
        }
        let (dir, node_sha256) = (self.globalconf_dir.clone(), hex(&*self.node.borrow_and_update()));
        let read = tokio::task::spawn_blocking(move || parts(&dir)).await;
        let global = match read.unwrap_or_else(|_| Err(io::ErrorKind::Interrupted.into())) {
            Ok(global) => global,
            Err(error) => {
                let dir = self.globalconf_dir.display();
                tracing::error!(%error, %dir, "the configuration in force could not be read for the message log");
                return Ok(());
            }
        };
        let snapshot = Snapshot { global, node_sha256 };
        let content = snapshot.content();
        if self.recorded.as_ref() != Some(&content) {
            let fact = Fact::new(FactKind::ConfigurationSnapshot, &snapshot);
            self.log.append_fact(fact).await?;
            self.recorded = Some(content);
        }
        Ok(())
    }

    /// Records a snapshot whenever the content changes, until the node stops. Between the change and its entry a message may
    /// already rest on the new content; the second of each leaf shows it.
    pub async fn run(mut self, shutdown: Shutdown) {
        let (mut changes, mut node) = (self.trust.changes(), self.node.clone());
        // What changed since the first snapshot is noticed.
        changes.mark_changed();
        let mut retry = false;
        loop {
            tokio::select! {
                () = shutdown.soft() => return,
                changed = changes.changed() => if changed.is_err() { return },
                Ok(()) = node.changed() => {}
                () = tokio::time::sleep(RETRY), if retry => {}
            }
            let recorded = self.record_configuration().await;
            retry = recorded.is_err();
            if let Err(error) = recorded {
                tracing::warn!(%error, "the configuration in force could not be recorded; it is tried again");
            }
        }
    }
}

/// Records a clean stop.
pub async fn stop(log: &MessageLog) {
    if log.checkpoint_refusal().is_some() {
        return;
    }
    let stopped = Stopped {
        reason: "asked".into(),
    };
    if let Err(error) = log.append_fact(Fact::new(FactKind::Stop, &stopped)).await {
        tracing::warn!(%error, "the stop could not be recorded");
    }
}

/// Every part of the global configuration that stands in a directory in the layout of wire 7.8.
fn parts(dir: &Path) -> io::Result<Vec<SnapshotPart>> {
    let files = globalconf::files(dir)?;
    let metadata = |name: &str| {
        let beside = format!("{name}.metadata");
        let (_, bytes) = files.iter().find(|(name, _)| *name == beside)?;
        PartMetadata::from_json(bytes).ok()
    };
    let mut parts = Vec::new();
    for (path, bytes) in &files {
        let Some((instance, name)) = path.split_once('/') else {
            continue;
        };
        if name.ends_with(".metadata") || name.ends_with(".tmp") {
            continue;
        }
        let about = metadata(path);
        let told = about.as_ref().and_then(|about| about.instance.clone());
        parts.push(SnapshotPart {
            instance: told.unwrap_or_else(|| instance.to_owned()),
            name: name.to_owned(),
            sha512: hex(&kontor_pki::crypto::sha512(bytes)),
            length: bytes.len() as u64,
            version: about.as_ref().map_or(2, |about| about.version),
            expires: about.and_then(|about| about.expires).map(|at| at.to_rfc3339()),
        });
    }
    parts.sort_by(|a, b| (&a.instance, &a.name).cmp(&(&b.instance, &b.name)));
    Ok(parts)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn write(dir: &Path, name: &str, content: &str) {
        std::fs::write(dir.join("TEST").join(name), content).unwrap();
    }

    #[test]
    fn a_snapshot_names_each_part_with_digest_version_and_expiry() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::create_dir(dir.path().join("TEST")).unwrap();
        std::fs::write(dir.path().join("instance-identifier"), "TEST").unwrap();
        write(dir.path(), "shared-params.xml", "<conf/>");
        let metadata = |expires| {
            PartMetadata {
                identifier: None,
                instance: Some("TEST".into()),
                file_name: None,
                location: None,
                expires: kontor_pki::time::UnixTime::parse_rfc3339(expires).ok(),
                version: 3,
            }
            .to_json()
        };
        let beside = dir.path().join("TEST/shared-params.xml.metadata");
        std::fs::write(&beside, metadata("2030-01-01T00:10:00Z")).unwrap();
        let first = Snapshot {
            global: parts(dir.path()).unwrap(),
            node_sha256: "00".into(),
        };
        let [part] = &first.global[..] else {
            panic!("one part: {:?}", first.global);
        };
        assert_eq!(
            (part.instance.as_str(), part.name.as_str()),
            ("TEST", "shared-params.xml")
        );
        assert_eq!((part.version, part.length), (3, 7));
        assert_eq!(part.sha512, hex(&kontor_pki::crypto::sha512(b"<conf/>")));
        assert_eq!(part.expires.as_deref(), Some("2030-01-01T00:10:00.000Z"));

        // Refreshed with identical content: the same; another byte: another content.
        std::fs::write(&beside, metadata("2030-01-01T00:20:00Z")).unwrap();
        let refreshed = Snapshot {
            global: parts(dir.path()).unwrap(),
            ..first.clone()
        };
        assert_ne!(refreshed, first);
        assert_eq!(refreshed.content(), first.content());
        write(dir.path(), "shared-params.xml", "<conf />");
        let changed = Snapshot {
            global: parts(dir.path()).unwrap(),
            ..first.clone()
        };
        assert_ne!(changed.content(), first.content());
    }
}
