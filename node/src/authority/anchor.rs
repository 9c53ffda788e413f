//! Anchors of this instance's configuration: the files that others start from, and the digests they are compared by.
//!
//! The anchor follows from the registry alone: made twice from one registry it has the same digest, so that two people
//! can compare it without passing the file. No key is opened.

use std::path::Path;

use kontor_pki::crypto::{DigestAlgorithm, Unsupported, digest};
use kontor_protocol::trust::anchor::{AnchorSource, ConfigurationAnchor};

use super::registry::{Kind, Registry};
use super::{AuthorityError, sources, verification};

/// The anchor of one kind of directory as the registry at `path` has it.
pub fn anchor(path: &Path, kind: Kind) -> Result<ConfigurationAnchor, AuthorityError> {
    let registry = Registry::read(path)?;
    let own = verification(&registry)?;
    let others = sources(&registry)?;
    let addresses =
        std::iter::once(&registry.public_address).chain(registry.sources.iter().map(|s| &s.address));
    let all = || std::iter::once(&own).chain(&others);
    let sources = addresses
        .zip(all())
        .map(|(address, verification)| AnchorSource {
            // Java drops anchors' addresses that begin with https, and tries TLS by itself (wire 7.2).
            download_url: format!("http://{address}/{}", kind.path()),
            verification_certificates: verification.of(kind).iter().map(|c| c.der().to_vec()).collect(),
        })
        .collect();
    // Central servers of X-Road take no anchor without an instant. That of the newest key is the same at each call.
    let generated_at = all().flat_map(|v| v.of(kind)).map(|c| c.not_before()).max();
    Ok(ConfigurationAnchor {
        generated_at,
        instance: registry.instance,
        sources,
    })
}

/// A digest as central servers show it: upper case, a colon after each octet.
pub fn fingerprint(algorithm: DigestAlgorithm, bytes: &[u8]) -> Result<String, Unsupported> {
    let octets = digest(algorithm, bytes)?;
    let octets: Vec<_> = octets.iter().map(|octet| format!("{octet:02X}")).collect();
    Ok(octets.join(":"))
}
