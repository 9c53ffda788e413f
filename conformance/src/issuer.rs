//! An issuer of tokens (OpenID Connect) that does what a case wants: discovery document, keys that change, tokens that are wrong in one
//! place. It writes tokens with means of its own; only the signature is made by `kontor-pki`.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use anyhow::{Context, Result};
use base64::Engine as _;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use bytes::Bytes;
use http_body_util::Full;
use hyper::service::service_fn;
use hyper::{Response, StatusCode};
use hyper_util::rt::TokioIo;
use kontor_pki::crypto::Ed25519Key;
use kontor_pki::signing::{KeyAlgorithm, SignatureAlgorithm, SigningKey, SoftwareKey, ecdsa_der_to_fixed};
use rustls::ServerConfig;
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::task::JoinHandle;
use tokio_rustls::TlsAcceptor;

use crate::clock;

/// What the tokens of an issuer are for.
pub const AUDIENCE: &str = "kontor-fiktiv";

/// How tokens are signed.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Algorithm {
    Rs256,
    Ps256,
    Es256,
    EdDsa,
}

/// What the issuer answers instead of its documents.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Answers {
    Properly,
    /// With 500.
    Fails,
    /// With the discovery document of another issuer.
    ForAnother,
    /// With keys that are none.
    Nonsense,
}

enum Material {
    Soft(SoftwareKey),
    Ed(Ed25519Key),
}

/// A key with its name.
struct Key {
    name: String,
    algorithm: Algorithm,
    material: Material,
}

struct State {
    /// Published; the last one signs.
    keys: Mutex<Vec<Key>>,
    answers: Mutex<Answers>,
    made: AtomicUsize,
    fetched: AtomicUsize,
}

/// A running issuer.
pub struct Issuer {
    address: SocketAddr,
    tls: Option<TlsAcceptor>,
    state: Arc<State>,
    task: Option<JoinHandle<()>>,
}

impl Drop for Issuer {
    fn drop(&mut self) {
        self.stop();
    }
}

fn held<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

fn encode(bytes: impl AsRef<[u8]>) -> String {
    BASE64_URL_SAFE_NO_PAD.encode(bytes)
}

impl Key {
    fn make(algorithm: Algorithm, name: String) -> Result<Self> {
        let material = match algorithm {
            Algorithm::EdDsa => Material::Ed(Ed25519Key::generate()),
            Algorithm::Es256 => Material::Soft(SoftwareKey::generate(KeyAlgorithm::EcdsaP256)?),
            Algorithm::Rs256 | Algorithm::Ps256 => {
                Material::Soft(SoftwareKey::generate(KeyAlgorithm::Rsa { bits: 2048 })?)
            }
        };
        Ok(Self {
            name,
            algorithm,
            material,
        })
    }

    fn header(&self) -> Value {
        let algorithm = match self.algorithm {
            Algorithm::Rs256 => "RS256",
            Algorithm::Ps256 => "PS256",
            Algorithm::Es256 => "ES256",
            Algorithm::EdDsa => "EdDSA",
        };
        json!({ "alg": algorithm, "typ": "at+jwt", "kid": self.name })
    }

    fn published(&self) -> Value {
        let mut key = match (&self.material, self.algorithm) {
            (Material::Ed(key), _) => {
                json!({ "kty": "OKP", "crv": "Ed25519", "x": encode(key.public_key()) })
            }
            (Material::Soft(key), Algorithm::Es256) => {
                let (_, point) = key.public_key().split_at(key.public_key().len() - 64);
                json!({ "kty": "EC", "crv": "P-256", "x": encode(&point[..32]), "y": encode(&point[32..]) })
            }
            // The end of SubjectPublicKeyInfo: a modulus of 2048 bits, then 65537 as an INTEGER of five octets.
            (Material::Soft(key), _) => {
                let spki = key.public_key();
                let end = spki.len() - 5;
                json!({ "kty": "RSA", "n": encode(&spki[end - 256..end]), "e": "AQAB" })
            }
        };
        key["kid"] = self.name.as_str().into();
        key["use"] = "sig".into();
        key
    }

    fn sign(&self, message: &[u8]) -> Result<Vec<u8>> {
        Ok(match (&self.material, self.algorithm) {
            (Material::Ed(key), _) => key.sign(message).to_vec(),
            (Material::Soft(key), Algorithm::Rs256) => key.sign(SignatureAlgorithm::RsaSha256, message)?,
            (Material::Soft(key), Algorithm::Ps256) => key.sign(SignatureAlgorithm::RsaPssSha256, message)?,
            (Material::Soft(key), _) => {
                ecdsa_der_to_fixed(&key.sign(SignatureAlgorithm::EcdsaSha256, message)?, 32)?
            }
        })
    }
}

impl Issuer {
    /// Listens on `address` with one key.
    pub async fn start(address: SocketAddr, algorithm: Algorithm) -> Result<Self> {
        Self::start_with(address, algorithm, None).await
    }

    /// The same with TLS.
    pub async fn start_secure(
        address: SocketAddr,
        algorithm: Algorithm,
        tls: Arc<ServerConfig>,
    ) -> Result<Self> {
        Self::start_with(address, algorithm, Some(TlsAcceptor::from(tls))).await
    }

    async fn start_with(address: SocketAddr, algorithm: Algorithm, tls: Option<TlsAcceptor>) -> Result<Self> {
        let state = Arc::new(State {
            keys: Mutex::default(),
            answers: Mutex::new(Answers::Properly),
            made: AtomicUsize::new(0),
            fetched: AtomicUsize::new(0),
        });
        let mut issuer = Self {
            address,
            tls,
            state,
            task: None,
        };
        issuer.rotate(algorithm)?;
        issuer.serve().await?;
        Ok(issuer)
    }

    /// Listens, again after [`stop`](Self::stop).
    pub async fn serve(&mut self) -> Result<()> {
        let listener = TcpListener::bind(self.address)
            .await
            .with_context(|| format!("binding {}", self.address))?;
        self.address = listener.local_addr()?;
        let (state, url, tls) = (Arc::clone(&self.state), self.url(), self.tls.clone());
        self.task = Some(tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let (state, url, tls) = (Arc::clone(&state), url.clone(), tls.clone());
                tokio::spawn(async move {
                    let service = service_fn(move |request: hyper::Request<hyper::body::Incoming>| {
                        let answer = answer(&state, &url, request.uri().path());
                        async move { Ok::<_, Infallible>(answer) }
                    });
                    let server = hyper::server::conn::http1::Builder::new();
                    // Whoever is killed or does not believe the certificate breaks its connections.
                    let _ = match tls {
                        None => server.serve_connection(TokioIo::new(stream), service).await,
                        Some(tls) => match tls.accept(stream).await {
                            Ok(stream) => server.serve_connection(TokioIo::new(stream), service).await,
                            Err(_) => Ok(()),
                        },
                    };
                });
            }
        }));
        Ok(())
    }

    /// Answers nobody any more.
    pub fn stop(&mut self) {
        if let Some(task) = self.task.take() {
            task.abort();
        }
    }

    /// What `iss` says.
    pub fn url(&self) -> String {
        let scheme = if self.tls.is_some() { "https" } else { "http" };
        format!("{scheme}://{}/tenant", self.address)
    }

    /// Lines of `[casework]` by which a node believes it: roles stand in `groups`, units in `/org/units`.
    pub fn settings(&self) -> String {
        format!(
            "[[casework.oidc]]\nissuer = \"{}\"\naudience = \"{AUDIENCE}\"\nrole_claim = \"groups\"\nunit_claim = \"/org/units\"\n\
             leeway_seconds = 0\n[casework.oidc.roles]\nsachbearbeitung = [\"worker\"]\nleitung = [\"worker\", \"supervisor\"]\n\
             zweite = [\"releaser\"]\ndatenschutz = [\"data_protection\"]\n",
            self.url()
        )
    }

    /// Signs with another key from now on and publishes no other.
    pub fn rotate(&self, algorithm: Algorithm) -> Result<()> {
        let number = self.state.made.fetch_add(1, Ordering::Relaxed);
        let key = Key::make(algorithm, format!("key-{number}"))?;
        *held(&self.state.keys) = vec![key];
        Ok(())
    }

    /// How often its keys were fetched.
    pub fn fetched(&self) -> usize {
        self.state.fetched.load(Ordering::Relaxed)
    }

    /// What it answers from now on.
    pub fn answers(&self, how: Answers) {
        *held(&self.state.answers) = how;
    }

    /// Claims of a person for five minutes.
    pub fn claims(&self, subject: &str, groups: &[&str], units: &[&str]) -> Value {
        let now = clock::now().secs();
        json!({
            "iss": self.url(), "sub": subject, "aud": AUDIENCE, "iat": now, "exp": now + 300,
            "client_id": "fachverfahren", "groups": groups, "org": { "units": units },
        })
    }

    /// A token with these claims.
    pub fn token(&self, claims: &Value) -> Result<String> {
        self.token_with(claims, |_| ())
    }

    /// A token whose header is changed before it is signed.
    pub fn token_with(&self, claims: &Value, change: impl FnOnce(&mut Value)) -> Result<String> {
        let keys = held(&self.state.keys);
        let key = keys.last().context("an issuer has a key")?;
        let mut header = key.header();
        change(&mut header);
        let signed = format!("{}.{}", encode(header.to_string()), encode(claims.to_string()));
        let signature = encode(key.sign(signed.as_bytes())?);
        Ok(format!("{signed}.{signature}"))
    }
}

fn answer(state: &State, url: &str, path: &str) -> Response<Full<Bytes>> {
    let how = *held(&state.answers);
    let page = match path {
        "/tenant/.well-known/openid-configuration" => {
            let issuer = match how {
                Answers::ForAnother => "http://127.0.0.1/another",
                Answers::Properly | Answers::Fails | Answers::Nonsense => url,
            };
            Some(
                json!({ "issuer": issuer, "jwks_uri": format!("{url}/keys"), "response_types_supported": ["code"] }),
            )
        }
        "/tenant/keys" => {
            state.fetched.fetch_add(1, Ordering::Relaxed);
            let keys: Vec<Value> = held(&state.keys).iter().map(Key::published).collect();
            Some(match how {
                Answers::Nonsense => json!({ "keys": "none" }),
                Answers::Properly | Answers::Fails | Answers::ForAnother => json!({ "keys": keys }),
            })
        }
        _ => None,
    };
    let (status, body) = match page {
        _ if how == Answers::Fails => (StatusCode::INTERNAL_SERVER_ERROR, "{}".into()),
        Some(page) => (StatusCode::OK, page.to_string()),
        None => (StatusCode::NOT_FOUND, "{}".into()),
    };
    let mut response = Response::new(Full::new(Bytes::from(body)));
    *response.status_mut() = status;
    response
}
