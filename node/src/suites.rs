//! The cryptographic provider of this build, and which suites of it TLS may use.

use std::sync::Arc;

use rustls::crypto::CryptoProvider;
use rustls::{CipherSuite, ProtocolVersion, SupportedCipherSuite};

use crate::config::Tls12;

/// The provider that this build is made with; TLS 1.2 is limited to AES-GCM.
pub fn provider() -> Arc<CryptoProvider> {
    #[cfg(feature = "aws-lc")]
    let mut provider = rustls::crypto::aws_lc_rs::default_provider();
    #[cfg(not(feature = "aws-lc"))]
    let mut provider = rustls::crypto::ring::default_provider();
    provider.cipher_suites.retain(|suite| match suite {
        SupportedCipherSuite::Tls12(suite) => format!("{:?}", suite.common.suite).contains("GCM"),
        SupportedCipherSuite::Tls13(_) => true,
    });
    Arc::new(provider)
}

/// Which end of a connection between nodes.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum End {
    /// The one that connects.
    Client,
    /// The one that is connected to.
    Server,
}

/// The provider with X-Road's own suites behind all others, where they are spoken.
#[cfg(feature = "legacy-cbc")]
pub fn between_nodes(provider: &Arc<CryptoProvider>, tls12: Tls12, end: End) -> Arc<CryptoProvider> {
    use kontor_pki::legacy_cbc;
    if tls12 < Tls12::LegacyCbc {
        return provider.clone();
    }
    let end = match end {
        End::Client => legacy_cbc::End::Client,
        End::Server => legacy_cbc::End::Server,
    };
    let mut provider = CryptoProvider::clone(provider);
    provider.cipher_suites.extend(legacy_cbc::suites(&provider, end));
    Arc::new(provider)
}

/// The provider: this build has nothing beside it.
#[cfg(not(feature = "legacy-cbc"))]
pub fn between_nodes(provider: &Arc<CryptoProvider>, _: Tls12, _: End) -> Arc<CryptoProvider> {
    provider.clone()
}

/// What must be spoken with a peer for what was negotiated with it.
pub fn needed(version: Option<ProtocolVersion>, suite: Option<CipherSuite>) -> Tls12 {
    match (version, suite) {
        (Some(ProtocolVersion::TLSv1_3), _) => Tls12::Off,
        (_, Some(suite)) if !format!("{suite:?}").contains("_CBC_") => Tls12::Gcm,
        _ => Tls12::LegacyCbc,
    }
}
