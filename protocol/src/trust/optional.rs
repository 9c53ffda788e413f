//! The three optional parts that an operator of the central server may add (wire 7.5).
//!
//! Owns their content, read and written. A part that is there but says nothing leaves the default.

use super::document::{Children, DocumentError, Writer, boolean, client_id, scan, seconds, tree};
use crate::id::ClientId;
use crate::limits;

/// What the optional parts of an instance say.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct OptionalParts {
    /// `FETCHINTERVAL`: seconds between OCSP queries.
    pub ocsp_fetch_interval_seconds: Option<u32>,
    /// `MONITORING`: the client that may ask servers for their environment.
    pub monitoring_client: Option<ClientId>,
    /// `NEXTUPDATE`: whether `nextUpdate` of an OCSP response is judged.
    pub verify_next_update: Option<bool>,
}

impl OptionalParts {
    /// Takes the part with this content identifier in; other identifiers are not ours and change nothing.
    ///
    /// # Errors
    /// What the schema of the part refuses.
    pub fn take(&mut self, identifier: &str, bytes: &[u8]) -> Result<(), DocumentError> {
        match identifier {
            super::FETCH_INTERVAL => {
                let read = single(bytes, "ocspFetchInterval", seconds)?;
                self.ocsp_fetch_interval_seconds = read;
            }
            super::MONITORING => self.monitoring_client = monitoring(bytes)?,
            super::NEXT_UPDATE => self.verify_next_update = single(bytes, "verifyNextUpdate", boolean)?,
            _ => {}
        }
        Ok(())
    }

    /// The parts that say something, each with its content identifier.
    #[must_use]
    pub fn to_xml(&self) -> Vec<(&'static str, Vec<u8>)> {
        let single = |name: &str, value: String| {
            let mut w = Writer::new("conf");
            w.text(name, &value);
            w.finish("conf")
        };
        let mut parts = Vec::new();
        if let Some(client) = &self.monitoring_client {
            let mut w = Writer::new("conf");
            w.open("monitoringClient");
            w.client_id("monitoringClientId", client);
            w.close("monitoringClient");
            parts.push((super::MONITORING, w.finish("conf")));
        }
        if let Some(interval) = self.ocsp_fetch_interval_seconds {
            let part = single("ocspFetchInterval", interval.to_string());
            parts.push((super::FETCH_INTERVAL, part));
        }
        if let Some(verify) = self.verify_next_update {
            parts.push((super::NEXT_UPDATE, single("verifyNextUpdate", verify.to_string())));
        }
        parts
    }
}

fn single<T>(
    bytes: &[u8],
    name: &'static str,
    read: impl FnOnce(roxmltree::Node<'_, '_>) -> Result<T, DocumentError>,
) -> Result<Option<T>, DocumentError> {
    let text = scan(bytes, limits::CONFIGURATION_PART)?;
    let document = tree(&text, "conf")?;
    let mut conf = Children::of(document.root_element(), &[])?;
    let value = conf.optional(name).map(read).transpose()?;
    conf.end()?;
    Ok(value)
}

fn monitoring(bytes: &[u8]) -> Result<Option<ClientId>, DocumentError> {
    let text = scan(bytes, limits::CONFIGURATION_PART)?;
    let document = tree(&text, "conf")?;
    let mut conf = Children::of(document.root_element(), &[])?;
    let mut client = Children::of(conf.one("monitoringClient")?, &[])?;
    let id = client.optional("monitoringClientId").map(client_id).transpose()?;
    client.end()?;
    conf.end()?;
    Ok(id.flatten())
}
