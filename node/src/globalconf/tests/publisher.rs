//! A publisher of configuration for tests: signs what it is told and answers over a socket, with TLS or without.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard};

use kontor_pki::authority::{CaParams, CertificateAuthority, Validity};
use kontor_pki::crypto::sha512;
use kontor_pki::profile::{CertificateProfile, Subject};
use kontor_pki::signing::{KeyAlgorithm, SigningKey, SoftwareKey};
use kontor_pki::time::UnixTime;
use kontor_protocol::trust::anchor::{AnchorSource, ConfigurationAnchor};
use kontor_protocol::trust::directory::{DirectoryDraft, PartDraft};
use kontor_protocol::trust::private::{ManagementService, PrivateParams};
use kontor_protocol::trust::shared::{
    ApprovedCa, CaInfo, ConfigurationSource, Member, SecurityServer, SharedParams,
};
use kontor_protocol::trust::{PRIVATE_PARAMETERS, SHARED_PARAMETERS};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;

use super::now;
use crate::suites;

/// A key that signs configuration.
pub(super) struct Key {
    key: SoftwareKey,
    pub(super) certificate: Vec<u8>,
}

fn authority(name: &str, test: bool) -> CertificateAuthority {
    CertificateAuthority::generate(&CaParams {
        name: name.into(),
        organization: "Nobody".into(),
        test,
        key: KeyAlgorithm::EcdsaP256,
        validity: Validity::days(now(), 100),
    })
    .unwrap()
}

impl Key {
    pub(super) fn new(name: &str) -> Self {
        let key = SoftwareKey::generate(KeyAlgorithm::EcdsaP256).unwrap();
        let issued = authority(name, false).issue_signing(
            key.public_key(),
            Subject::common_name(name),
            Validity::days(now(), 10),
        );
        Self {
            key,
            certificate: issued.unwrap().der().to_vec(),
        }
    }
}

struct State {
    key: Key,
    shared: SharedParams,
    private: PrivateParams,
    pages: BTreeMap<String, Vec<u8>>,
    asked: Vec<String>,
    down: bool,
    only_version: Option<u32>,
    generation: u64,
}

pub(super) struct Publisher {
    pub(super) instance: String,
    url: String,
    anchored: Vec<u8>,
    state: Arc<Mutex<State>>,
    tls_authority: String,
}

impl Publisher {
    pub(super) async fn of(instance: &str) -> Self {
        Self::start(instance, false).await
    }

    /// Answers over TLS only, by a certificate of an authority that no system believes.
    pub(super) async fn over_tls(instance: &str) -> Self {
        Self::start(instance, true).await
    }

    async fn start(instance: &str, secure: bool) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let key = Key::new(instance);
        let ca = authority(&format!("CA of {instance}"), instance.starts_with("TEST"));
        let member = format!("{instance}/GOV/1001");
        let shared = SharedParams {
            instance: instance.into(),
            sources: vec![ConfigurationSource {
                address: address.clone(),
                internal_certificates: vec![key.certificate.clone()],
                external_certificates: vec![key.certificate.clone()],
            }],
            authorities: vec![ApprovedCa {
                name: "CA".into(),
                authentication_only: false,
                top: CaInfo {
                    certificate: ca.certificate().der().to_vec(),
                    ocsp: vec![],
                },
                intermediates: vec![],
                profile_class: CertificateProfile::Ejbca.class_name(),
                csr_format: None,
                acme: None,
            }],
            members: vec![Member {
                id: member.parse().unwrap(),
                name: "A member (fictional)".into(),
                subsystems: vec![],
            }],
            servers: vec![SecurityServer {
                id: format!("{member}/ss1").parse().unwrap(),
                address: Some("127.0.0.1".into()),
                authentication_hashes: vec![],
                clients: vec![],
                maintenance: None,
            }],
            ..SharedParams::default()
        };
        let private = PrivateParams {
            instance: instance.into(),
            anchors: vec![],
            management: ManagementService {
                registration_address: "https://127.0.0.1:4001/".into(),
                registration_certificate: None,
                provider: member.parse().unwrap(),
            },
            time_stamping_interval_seconds: 60,
        };
        let anchored = key.certificate.clone();
        let state = Arc::new(Mutex::new(State {
            key,
            shared,
            private,
            pages: BTreeMap::new(),
            asked: Vec::new(),
            down: false,
            only_version: None,
            generation: 0,
        }));
        let (acceptor, tls_authority) = acceptor(secure);
        tokio::spawn(serve(listener, acceptor, state.clone()));
        Self {
            instance: instance.into(),
            url: format!("http://{address}"),
            anchored,
            state,
            tls_authority,
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap()
    }

    fn anchor(&self, page: &str) -> ConfigurationAnchor {
        ConfigurationAnchor {
            generated_at: None,
            instance: self.instance.clone(),
            sources: vec![AnchorSource {
                download_url: format!("{}/{page}", self.url),
                verification_certificates: vec![self.anchored.clone()],
            }],
        }
    }

    pub(super) fn internal_anchor(&self) -> ConfigurationAnchor {
        self.anchor("internalconf")
    }

    pub(super) fn external_anchor(&self) -> ConfigurationAnchor {
        self.anchor("externalconf")
    }

    pub(super) fn tls_authority(&self) -> &str {
        &self.tls_authority
    }

    pub(super) fn change(&self, change: impl FnOnce(&mut SharedParams)) {
        change(&mut self.state().shared);
    }

    pub(super) fn trust(&self, anchors: &[ConfigurationAnchor]) {
        self.state().private.anchors = anchors.to_vec();
    }

    pub(super) fn sign_with(&self, key: Key) {
        self.state().key = key;
    }

    pub(super) fn only_version(&self, version: u32) {
        self.state().only_version = Some(version);
    }

    pub(super) fn go_down(&self, down: bool) {
        self.state().down = down;
    }

    /// Targets that were asked for, in order.
    pub(super) fn asked(&self) -> Vec<String> {
        self.state().asked.clone()
    }

    pub(super) fn forget_asked(&self) {
        self.state().asked.clear();
    }

    /// Signs what it knows, under new locations.
    pub(super) fn publish(&self, expires: UnixTime) {
        let mut state = self.state();
        state.generation += 1;
        let folder = format!("/V3/{}", state.generation);
        let parts = [
            (PRIVATE_PARAMETERS, "private-params.xml", state.private.to_xml()),
            (SHARED_PARAMETERS, "shared-params.xml", state.shared.to_xml()),
        ];
        let mut drafts = Vec::new();
        for (identifier, name, bytes) in parts {
            let location = format!("{folder}/{name}");
            drafts.push(PartDraft {
                identifier: identifier.into(),
                location: location.clone(),
                file_name: None,
                digest: sha512(&bytes),
            });
            state.pages.insert(location, bytes);
        }
        for page in ["/internalconf", "/externalconf"] {
            let draft = DirectoryDraft {
                instance: self.instance.clone(),
                expires,
                version: 3,
                // A publisher that names its private parameters to others too: they are not to be taken.
                parts: drafts.clone(),
            };
            let signed = draft.sign(&state.key.key, &state.key.certificate).unwrap();
            state.pages.insert(page.into(), signed);
        }
    }
}

fn acceptor(secure: bool) -> (Option<TlsAcceptor>, String) {
    if !secure {
        return (None, String::new());
    }
    let (config, authority) = suites::tests::server();
    (Some(TlsAcceptor::from(Arc::new(config))), authority.to_pem())
}

async fn serve(listener: TcpListener, acceptor: Option<TlsAcceptor>, state: Arc<Mutex<State>>) {
    while let Ok((stream, _)) = listener.accept().await {
        let (acceptor, state) = (acceptor.clone(), state.clone());
        tokio::spawn(async move {
            match acceptor {
                None => answer(stream, &state).await,
                Some(acceptor) => {
                    if let Ok(stream) = acceptor.accept(stream).await {
                        answer(stream, &state).await;
                    }
                }
            }
        });
    }
}

async fn answer(mut stream: impl AsyncRead + AsyncWrite + Unpin, state: &Mutex<State>) {
    let (mut asked, mut buffer) = (Vec::new(), [0; 4096]);
    while !asked.windows(4).any(|window| window == b"\r\n\r\n") {
        match stream.read(&mut buffer).await {
            Ok(read) if read > 0 => asked.extend_from_slice(&buffer[..read]),
            // Somebody who speaks TLS where there is none.
            _ => return,
        }
        if !asked.starts_with(b"G") {
            return;
        }
    }
    let text = String::from_utf8(asked).unwrap();
    let target = text.split(' ').nth(1).unwrap().to_owned();
    let page = {
        let mut state = state.lock().unwrap();
        state.asked.push(target.clone());
        let path = target.split('?').next().unwrap();
        let is_there = match (state.only_version, target.split_once("version=")) {
            (Some(only), Some((_, version))) => version == only.to_string(),
            _ => true,
        };
        let page = state.pages.get(path).cloned();
        page.filter(|_| is_there && !state.down)
            .map_or((if state.down { 503 } else { 404 }, Vec::new()), |page| {
                (200, page)
            })
    };
    let head = format!(
        "HTTP/1.1 {} X\r\nContent-Length: {}\r\nConnection: close\r\n\r\n",
        page.0,
        page.1.len()
    );
    let _ = stream.write_all(&[head.as_bytes(), &page.1].concat()).await;
    let _ = stream.shutdown().await;
}

/// An HTTP proxy that only makes tunnels; gives its address and the targets it was asked for.
pub(super) async fn tunnels() -> (String, Arc<Mutex<Vec<String>>>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let targets = Arc::new(Mutex::new(Vec::new()));
    let kept = targets.clone();
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let kept = kept.clone();
            tokio::spawn(async move {
                let (mut head, mut byte) = (Vec::new(), [0]);
                while !head.ends_with(b"\r\n\r\n") && stream.read(&mut byte).await.unwrap() == 1 {
                    head.push(byte[0]);
                }
                let head = String::from_utf8(head).unwrap();
                let Some(target) = head.strip_prefix("CONNECT ") else {
                    return;
                };
                let target = target.split(' ').next().unwrap().to_owned();
                let mut server = tokio::net::TcpStream::connect(&target).await.unwrap();
                kept.lock().unwrap().push(target);
                stream.write_all(b"HTTP/1.1 200 Connected\r\n\r\n").await.unwrap();
                let _ = tokio::io::copy_bidirectional(&mut stream, &mut server).await;
            });
        }
    });
    (address, targets)
}
