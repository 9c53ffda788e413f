//! TLS of the node: which versions and suites, whose certificates are let in, and which sessions are kept.
//!
//! Towards other nodes the handshake proves possession of the key and that the certificate's hash is registered for
//! some server of a known instance (wire 3.7 step 0); path and OCSP are judged afterwards, per request. Towards
//! information systems any certificate is let in and compared with the registered ones later (wire 2.2).
//!
//! Java security servers open a connection for each exchange, so sessions of TLS 1.2 can be resumed by other nodes. That keeps no
//! certificate alive: registration, path and OCSP are judged for every request, on whatever connection it comes. Everywhere else
//! there are no tickets and no session store.

use std::sync::Arc;

use kontor_pki::certificate::Certificate;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer, ServerName, UnixTime};
use rustls::server::danger::{ClientCertVerified, ClientCertVerifier};
use rustls::server::{NoServerSessionStorage, ServerSessionMemoryCache};
use rustls::{
    ClientConfig, DigitallySignedStruct, DistinguishedName, Error, ServerConfig, SignatureScheme,
    SupportedProtocolVersion,
};

use crate::config::Tls12;
use crate::globalconf::GlobalConf;
use crate::keystore::Identity;
use crate::suites::{self, End};

/// Sessions that are kept for other nodes; each holds their certificates.
const SESSIONS: usize = 1024;

static BOTH: [&SupportedProtocolVersion; 2] = [&rustls::version::TLS13, &rustls::version::TLS12];
static NEWEST: [&SupportedProtocolVersion; 1] = [&rustls::version::TLS13];

fn versions(tls12: Tls12) -> &'static [&'static SupportedProtocolVersion] {
    match tls12 {
        Tls12::Gcm | Tls12::LegacyCbc => &BOTH,
        Tls12::Off => &NEWEST,
    }
}

fn chain(identity: &Identity) -> Vec<CertificateDer<'static>> {
    identity
        .certificates
        .iter()
        .map(|c| CertificateDer::from(c.der().to_vec()))
        .collect()
}

fn key(identity: &Identity) -> PrivateKeyDer<'static> {
    PrivatePkcs8KeyDer::from(identity.key.to_pkcs8().to_vec()).into()
}

/// The federation listener: client certificate required.
pub fn federation_server(
    provider: &Arc<CryptoProvider>,
    identity: &Identity,
    tls12: Tls12,
    trust: &Arc<GlobalConf>,
) -> Result<ServerConfig, Error> {
    let provider = &suites::between_nodes(provider, tls12, End::Server);
    let verifier = RegisteredPeer {
        trust: trust.clone(),
        provider: provider.clone(),
    };
    let mut config = ServerConfig::builder_with_provider(provider.clone())
        .with_protocol_versions(versions(tls12))?
        .with_client_cert_verifier(Arc::new(verifier))
        .with_single_cert(chain(identity), key(identity))?;
    // Java peers name their suites in any order.
    config.ignore_client_order = true;
    // What is kept of TLS 1.2 stays in this process and cannot be carried away, as a ticket could.
    config.send_tls13_tickets = 0;
    config.session_storage = ServerSessionMemoryCache::new(SESSIONS);
    Ok(config)
}

/// The listener for information systems: client certificate asked for, any taken.
pub fn is_server(provider: &Arc<CryptoProvider>, identity: &Identity) -> Result<ServerConfig, Error> {
    let mut config = ServerConfig::builder_with_provider(provider.clone())
        .with_protocol_versions(versions(Tls12::Gcm))?
        .with_client_cert_verifier(Arc::new(AnyClient {
            provider: provider.clone(),
        }))
        .with_single_cert(chain(identity), key(identity))?;
    forget_sessions(&mut config);
    Ok(config)
}

/// The listener for auditors: TLS 1.3, no client certificate; they prove themselves by their tokens.
pub fn administration_server(
    provider: &Arc<CryptoProvider>,
    identity: &Identity,
) -> Result<ServerConfig, Error> {
    let mut config = ServerConfig::builder_with_provider(provider.clone())
        .with_protocol_versions(versions(Tls12::Off))?
        .with_no_client_auth()
        .with_single_cert(chain(identity), key(identity))?;
    forget_sessions(&mut config);
    Ok(config)
}

fn forget_sessions(config: &mut ServerConfig) {
    config.send_tls13_tickets = 0;
    config.session_storage = Arc::new(NoServerSessionStorage {});
}

/// Towards other nodes.
pub fn federation_client(
    provider: &Arc<CryptoProvider>,
    identity: &Identity,
    tls12: Tls12,
    trust: &Arc<GlobalConf>,
) -> Result<ClientConfig, Error> {
    let provider = &suites::between_nodes(provider, tls12, End::Client);
    let verifier = RegisteredPeer {
        trust: trust.clone(),
        provider: provider.clone(),
    };
    let mut config = ClientConfig::builder_with_provider(provider.clone())
        .with_protocol_versions(versions(tls12))?
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(verifier))
        .with_client_auth_cert(chain(identity), key(identity))?;
    config.resumption = rustls::client::Resumption::disabled();
    config.enable_sni = false;
    Ok(config)
}

/// Towards a service: its certificate is one of `allowed`, or any where that check is off (wire 2.5).
pub fn service_client(
    provider: &Arc<CryptoProvider>,
    identity: Option<&Identity>,
    allowed: Option<Vec<Certificate>>,
) -> Result<ClientConfig, Error> {
    let builder = ClientConfig::builder_with_provider(provider.clone())
        .with_protocol_versions(versions(Tls12::Gcm))?
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(ServiceServer {
            allowed,
            provider: provider.clone(),
        }));
    let mut config = match identity {
        Some(identity) => builder.with_client_auth_cert(chain(identity), key(identity))?,
        None => builder.with_no_client_auth(),
    };
    config.resumption = rustls::client::Resumption::disabled();
    Ok(config)
}

#[derive(Debug)]
struct RegisteredPeer {
    trust: Arc<GlobalConf>,
    provider: Arc<CryptoProvider>,
}

impl RegisteredPeer {
    fn is_registered(&self, der: &CertificateDer<'_>) -> Result<(), Error> {
        let refused = |reason: String| {
            tracing::warn!(reason, "peer's TLS certificate refused");
            Error::InvalidCertificate(rustls::CertificateError::ApplicationVerificationFailure)
        };
        let certificate = Certificate::parse(der).map_err(|e| refused(e.to_string()))?;
        let trust = self
            .trust
            .held()
            .ok_or_else(|| refused("no global configuration".into()))?;
        match trust.server_by_auth_cert(&certificate) {
            Some(_) => Ok(()),
            None => Err(refused(format!(
                "{} is not registered for any security server in global configuration",
                certificate.subject().to_rfc2253()
            ))),
        }
    }
}

#[derive(Debug)]
struct AnyClient {
    provider: Arc<CryptoProvider>,
}

#[derive(Debug)]
struct ServiceServer {
    allowed: Option<Vec<Certificate>>,
    provider: Arc<CryptoProvider>,
}

/// The parts of a verifier that check the handshake's signature with the provider.
macro_rules! handshake_signatures {
    () => {
        fn verify_tls12_signature(
            &self,
            message: &[u8],
            certificate: &CertificateDer<'_>,
            signature: &DigitallySignedStruct,
        ) -> Result<HandshakeSignatureValid, Error> {
            verify_tls12_signature(
                message,
                certificate,
                signature,
                &self.provider.signature_verification_algorithms,
            )
        }

        fn verify_tls13_signature(
            &self,
            message: &[u8],
            certificate: &CertificateDer<'_>,
            signature: &DigitallySignedStruct,
        ) -> Result<HandshakeSignatureValid, Error> {
            verify_tls13_signature(
                message,
                certificate,
                signature,
                &self.provider.signature_verification_algorithms,
            )
        }

        fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
            self.provider
                .signature_verification_algorithms
                .supported_schemes()
        }
    };
}

impl ClientCertVerifier for RegisteredPeer {
    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        &[]
    }

    fn verify_client_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: UnixTime,
    ) -> Result<ClientCertVerified, Error> {
        self.is_registered(end_entity)
            .map(|()| ClientCertVerified::assertion())
    }

    handshake_signatures!();
}

impl ServerCertVerifier for RegisteredPeer {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        self.is_registered(end_entity)
            .map(|()| ServerCertVerified::assertion())
    }

    handshake_signatures!();
}

impl ClientCertVerifier for AnyClient {
    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        &[]
    }

    fn client_auth_mandatory(&self) -> bool {
        false
    }

    fn verify_client_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: UnixTime,
    ) -> Result<ClientCertVerified, Error> {
        Ok(ClientCertVerified::assertion())
    }

    handshake_signatures!();
}

impl ServerCertVerifier for ServiceServer {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        match &self.allowed {
            Some(allowed) if !allowed.iter().any(|c| c.der() == end_entity.as_ref()) => Err(
                Error::InvalidCertificate(rustls::CertificateError::ApplicationVerificationFailure),
            ),
            Some(_) | None => Ok(ServerCertVerified::assertion()),
        }
    }

    handshake_signatures!();
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tls_1_2_is_ecdhe_with_gcm_and_nothing_else() {
        let suites = suites::provider().cipher_suites.clone();
        let names: Vec<_> = suites
            .iter()
            .map(|suite| format!("{:?}", suite.suite()))
            .collect();
        // What recorded peers offered alone: taken, and DHE, which the Java servers speak, is not.
        assert!(
            names
                .iter()
                .any(|name| name == "TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384")
        );
        for name in names {
            assert!(
                name.starts_with("TLS13_") || (name.starts_with("TLS_ECDHE_") && name.contains("_GCM_")),
                "{name}"
            );
        }
        assert_eq!(versions(Tls12::Off).len(), 1);
        assert_eq!(versions(Tls12::Gcm).len(), 2);
    }
}
