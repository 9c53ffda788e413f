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

#[cfg(test)]
pub(crate) mod tests {
    use kontor_pki::authority::{CaParams, CertificateAuthority, Leaf, Usage, Validity};
    use kontor_pki::certificate::Certificate;
    use kontor_pki::profile::Subject;
    use kontor_pki::signing::{KeyAlgorithm, SigningKey, SoftwareKey};
    use rustls::ServerConfig;
    use rustls::pki_types::PrivatePkcs8KeyDer;
    #[cfg(feature = "aws-lc")]
    use rustls::{ClientConfig, NamedGroup, RootCertStore, pki_types::ServerName};

    use super::*;
    use crate::clock::{Clock, SystemClock};

    /// A server at 127.0.0.1, and the authority that issued its certificate; of today, for TLS is judged by the clock of the
    /// machine.
    pub(crate) fn server() -> (ServerConfig, Certificate) {
        let today = SystemClock.now();
        let ca = CertificateAuthority::generate(&CaParams {
            name: "CA".into(),
            organization: "Nobody".into(),
            test: false,
            key: KeyAlgorithm::EcdsaP256,
            validity: Validity::days(today, 10),
        })
        .expect("this build makes such keys");
        let key = SoftwareKey::generate(KeyAlgorithm::EcdsaP256).expect("this build makes such keys");
        let leaf = ca.issue(&Leaf {
            public_key: key.public_key(),
            subject: Subject::common_name("server"),
            usage: Usage::Authentication,
            validity: Validity::days(today, 10),
            dns_names: &["127.0.0.1".to_owned()],
        });
        let leaf = leaf.expect("the key is one of this build").der().to_vec();
        let config = ServerConfig::builder_with_provider(provider())
            .with_safe_default_protocol_versions()
            .expect("every build speaks them")
            .with_no_client_auth()
            .with_single_cert(
                vec![leaf.into()],
                PrivatePkcs8KeyDer::from(key.to_pkcs8().to_vec()).into(),
            );
        (
            config.expect("certificate and key are a pair"),
            ca.certificate().clone(),
        )
    }

    /// Both ends of a handshake in memory.
    #[cfg(feature = "aws-lc")]
    fn shaken(client: ClientConfig, server: ServerConfig) -> [NamedGroup; 2] {
        let name = ServerName::try_from("127.0.0.1").expect("an address is a name");
        let mut client =
            rustls::ClientConnection::new(Arc::new(client), name).expect("both ends are of this build");
        let mut server =
            rustls::ServerConnection::new(Arc::new(server)).expect("both ends are of this build");
        while client.is_handshaking() || server.is_handshaking() {
            let mut flight = Vec::new();
            client
                .write_tls(&mut flight)
                .expect("both ends are of this build");
            server
                .read_tls(&mut &flight[..])
                .expect("both ends are of this build");
            server.process_new_packets().expect("both ends are of this build");
            let mut flight = Vec::new();
            server
                .write_tls(&mut flight)
                .expect("both ends are of this build");
            client
                .read_tls(&mut &flight[..])
                .expect("both ends are of this build");
            client.process_new_packets().expect("both ends are of this build");
        }
        let group = |group: Option<&dyn rustls::crypto::SupportedKxGroup>| {
            group.expect("both ends are of this build").name()
        };
        [
            group(client.negotiated_key_exchange_group()),
            group(server.negotiated_key_exchange_group()),
        ]
    }

    #[cfg(feature = "aws-lc")]
    #[test]
    fn two_nodes_of_the_default_build_agree_on_a_hybrid_key_exchange() {
        let (server, authority) = server();
        let mut roots = RootCertStore::empty();
        roots.add(authority.der().to_vec().into()).unwrap();
        let client = ClientConfig::builder_with_provider(provider())
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_root_certificates(roots)
            .with_no_client_auth();
        assert_eq!(shaken(client, server), [NamedGroup::X25519MLKEM768; 2]);
    }
}
