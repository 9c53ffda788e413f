//! The cryptographic provider of this build, and which suites of it TLS may use.

use std::sync::Arc;

use rustls::SupportedCipherSuite;
use rustls::crypto::CryptoProvider;

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
