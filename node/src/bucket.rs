//! A bucket of an S3-compatible store, by `object_store` over this node's own HTTP, TLS and digests. Owns credentials, what is
//! believed of a server, and how long it may take; knows nothing of what the objects are.
//!
//! Nothing is written over: an object that exists is told as such. Objects above [`PIECE`] go up in pieces, so that memory does
//! not grow with them.

use std::fmt;
use std::io::{Read, Write};
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use futures_util::StreamExt;
use http::header::{CONNECTION, HOST};
use http::uri::Scheme;
use http_body_util::BodyExt;
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use kontor_pki::crypto::{self, Hasher};
use object_store::aws::{AmazonS3, AmazonS3Builder, S3ConditionalPut};
use object_store::client::{
    CryptoProvider, DigestAlgorithm, DigestContext, HmacContext, HttpClient, HttpConnector, HttpError,
    HttpErrorKind, HttpRequest, HttpResponse, HttpResponseBody, HttpService, Signer, SigningAlgorithm,
};
use object_store::{
    BackoffConfig, ClientOptions, MultipartUpload, ObjectStore, ObjectStoreExt, PutMode, PutOptions,
    PutPayload, RetryConfig,
};
use serde::Deserialize;
use tokio::time::timeout;
use zeroize::Zeroizing;

use crate::config::BucketSettings;
use crate::fetch::{Stream, Way};
use crate::secret;

/// Bytes that are sent at once.
pub const PIECE: usize = 8 * 1024 * 1024;
const CONNECT: Duration = Duration::from_secs(20);
/// Between two signs of life of the store.
const PATIENCE: Duration = Duration::from_secs(60);
/// Why the store could not be used.
#[derive(Debug, thiserror::Error)]
pub enum BucketError {
    /// Credentials or certificates of the configuration cannot be used.
    #[error("{0}")]
    Settings(String),
    /// The store refused, or could not be reached.
    #[error("{object} could not be {what}: {reason}")]
    Store {
        /// `s3://BUCKET/KEY`.
        object: String,
        /// What was tried.
        what: &'static str,
        /// What the store or the network said.
        reason: String,
    },
    /// A local file could not be read or written.
    #[error(transparent)]
    Io(#[from] std::io::Error),
}

/// The credentials file.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Credentials {
    access_key_id: String,
    secret_access_key: String,
    session_token: Option<String>,
}

/// See the module.
pub struct Bucket {
    store: AmazonS3,
    name: String,
    prefix: String,
}

impl Bucket {
    /// Reads the credentials; asks nobody yet.
    ///
    /// # Errors
    /// Credentials that others may read or that do not parse, an address that no store can have, no certificates to trust.
    pub fn open(settings: &BucketSettings) -> Result<Self, BucketError> {
        let wrong = BucketError::Settings;
        let path = &settings.credentials;
        let read = secret::read(path).map_err(|error| wrong(error.to_string()))?;
        let text = std::str::from_utf8(&read).map_err(|_| wrong(format!("{} is no text", path.display())))?;
        // Not the parser's own words: they cite what stands there.
        let credentials: Credentials = toml::from_str(text).map_err(|_| {
            wrong(format!(
                "{} is not a TOML file with access_key_id and secret_access_key (session_token if the store gave one)",
                path.display()
            ))
        })?;
        let mut builder = AmazonS3Builder::new()
            .with_http_connector(Connector(Arc::new(Way::new(&settings.egress).map_err(wrong)?)))
            .with_crypto_provider(Arc::new(Crypto))
            .with_bucket_name(&settings.bucket)
            .with_region(&settings.region)
            .with_endpoint(settings.endpoint.trim_end_matches('/'))
            .with_allow_http(settings.endpoint.starts_with("http://"))
            .with_virtual_hosted_style_request(!settings.path_style)
            .with_conditional_put(S3ConditionalPut::ETagMatch)
            .with_disable_tagging(true)
            .with_retry(RetryConfig {
                backoff: BackoffConfig::default(),
                max_retries: settings.retries,
                retry_timeout: Duration::from_secs(120),
            })
            .with_access_key_id(credentials.access_key_id)
            .with_secret_access_key(credentials.secret_access_key);
        if let Some(token) = credentials.session_token {
            builder = builder.with_token(token);
        }
        Ok(Self {
            store: builder.build().map_err(|error| wrong(error.to_string()))?,
            name: settings.bucket.clone(),
            prefix: settings.prefix.trim_matches('/').to_owned(),
        })
    }

    fn key(&self, name: &str) -> object_store::path::Path {
        match self.prefix.is_empty() {
            true => name.into(),
            false => format!("{}/{name}", self.prefix).into(),
        }
    }

    fn failed(&self, name: &str, what: &'static str) -> impl FnOnce(object_store::Error) -> BucketError {
        let object = format!("s3://{}/{}", self.name, self.key(name));
        move |error| BucketError::Store {
            object,
            what,
            reason: error.to_string(),
        }
    }

    /// Whether there is an object of this name.
    pub async fn has(&self, name: &str) -> Result<bool, BucketError> {
        match self.store.head(&self.key(name)).await {
            Ok(_) => Ok(true),
            Err(object_store::Error::NotFound { .. }) => Ok(false),
            Err(error) => Err(self.failed(name, "looked for")(error)),
        }
    }

    /// Puts an object that is not there yet; false when there is one of this name, which stays as it is.
    pub async fn put_new(
        &self,
        name: &str,
        content: &mut (dyn Read + Send),
        length: u64,
    ) -> Result<bool, BucketError> {
        let failed = || self.failed(name, "written");
        if length <= PIECE as u64 {
            let mut bytes = Vec::with_capacity(usize::try_from(length).unwrap_or(PIECE));
            content.read_to_end(&mut bytes)?;
            let create = PutOptions::from(PutMode::Create);
            let put = self.store.put_opts(&self.key(name), bytes.into(), create).await;
            return match put {
                Ok(_) => Ok(true),
                Err(object_store::Error::AlreadyExists { .. }) => Ok(false),
                Err(error) => Err(failed()(error)),
            };
        }
        // Pieces cannot be put on a condition: it is looked for before.
        if self.has(name).await? {
            return Ok(false);
        }
        let mut upload = self
            .store
            .put_multipart(&self.key(name))
            .await
            .map_err(failed())?;
        match send(&mut *upload, content, length).await {
            Ok(()) => Ok(true),
            Err(error) => {
                // The store forgets pieces by a rule of its own when this fails too.
                let _ = upload.abort().await;
                Err(match error {
                    Sending::Io(error) => error.into(),
                    Sending::Store(error) => failed()(error),
                })
            }
        }
    }

    /// Copies an object.
    pub async fn fetch(&self, name: &str, out: &mut (dyn Write + Send)) -> Result<(), BucketError> {
        let failed = || self.failed(name, "read");
        let found = self.store.get(&self.key(name)).await.map_err(failed())?;
        let mut pieces = found.into_stream();
        loop {
            match timeout(PATIENCE, pieces.next()).await {
                Ok(None) => return Ok(()),
                Ok(Some(piece)) => out.write_all(&piece.map_err(failed())?)?,
                Err(late) => return Err(std::io::Error::from(late).into()),
            }
        }
    }

    /// Removes an object; one that is not there is removed.
    pub async fn remove(&self, name: &str) -> Result<(), BucketError> {
        match self.store.delete(&self.key(name)).await {
            Ok(()) | Err(object_store::Error::NotFound { .. }) => Ok(()),
            Err(error) => Err(self.failed(name, "removed")(error)),
        }
    }
}

enum Sending {
    Io(std::io::Error),
    Store(object_store::Error),
}

async fn send(
    upload: &mut dyn MultipartUpload,
    content: &mut (dyn Read + Send),
    mut left: u64,
) -> Result<(), Sending> {
    while left > 0 {
        let mut piece = vec![0; PIECE.min(usize::try_from(left).unwrap_or(PIECE))];
        content.read_exact(&mut piece).map_err(Sending::Io)?;
        left -= piece.len() as u64;
        upload
            .put_part(PutPayload::from(piece))
            .await
            .map_err(Sending::Store)?;
    }
    upload.complete().await.map_err(Sending::Store)?;
    Ok(())
}

impl fmt::Display for Bucket {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "s3://{}/{}", self.name, self.prefix)
    }
}

/// One connection for each request: there are few, and far between.
#[derive(Clone)]
struct Connector(Arc<Way>);

impl fmt::Debug for Connector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Connector")
    }
}

impl Connector {
    async fn ask(&self, mut request: HttpRequest) -> Result<HttpResponse, HttpError> {
        let unknown =
            |text: &str| HttpError::new(HttpErrorKind::Unknown, std::io::Error::other(text.to_owned()));
        let uri = request.uri().clone();
        let authority = uri
            .authority()
            .ok_or_else(|| unknown("the address names no host"))?;
        let secure = uri.scheme() == Some(&Scheme::HTTPS);
        let connect = |error: std::io::Error| HttpError::new(HttpErrorKind::Connect, error);
        let stream = timeout(CONNECT, self.0.connect(authority, secure))
            .await
            .map_err(|late| connect(late.into()))?
            .map_err(|reason| connect(std::io::Error::other(reason)))?;
        if !request.headers().contains_key(HOST) {
            let value = authority
                .as_str()
                .parse()
                .map_err(|_| unknown("the host is no header"))?;
            request.headers_mut().insert(HOST, value);
        }
        request
            .headers_mut()
            .insert(CONNECTION, http::HeaderValue::from_static("close"));
        let path = uri.path_and_query().map_or("/", |path| path.as_str());
        *request.uri_mut() = path.parse().map_err(|_| unknown("the address has no path"))?;
        match stream {
            Stream::Plain(stream) => exchange(TokioIo::new(stream), request).await,
            Stream::Secure(stream) => exchange(TokioIo::new(*stream), request).await,
        }
    }
}

async fn exchange<S>(stream: S, request: HttpRequest) -> Result<HttpResponse, HttpError>
where
    S: hyper::rt::Read + hyper::rt::Write + Send + Unpin + 'static,
{
    let broken = |error: hyper::Error| HttpError::new(HttpErrorKind::Request, error);
    let late = |error: tokio::time::error::Elapsed| HttpError::new(HttpErrorKind::Timeout, error);
    let (mut sender, connection) = http1::handshake(stream).await.map_err(broken)?;
    // It ends with the exchange; how it ended, the exchange says.
    tokio::spawn(connection);
    let answer = timeout(PATIENCE, sender.send_request(request))
        .await
        .map_err(late)?
        .map_err(broken)?;
    let (parts, body) = answer.into_parts();
    let body = body.map_err(|error| HttpError::new(HttpErrorKind::Interrupted, error));
    Ok(HttpResponse::from_parts(parts, HttpResponseBody::new(body)))
}

impl HttpService for Connector {
    fn call<'a, 'b>(
        &'a self,
        request: HttpRequest,
    ) -> Pin<Box<dyn Future<Output = Result<HttpResponse, HttpError>> + Send + 'b>>
    where
        'a: 'b,
        Self: 'b,
    {
        Box::pin(self.ask(request))
    }
}

impl HttpConnector for Connector {
    fn connect(&self, _options: &ClientOptions) -> object_store::Result<HttpClient> {
        Ok(HttpClient::new(self.clone()))
    }
}

/// The digests of this build, whichever provider it is made with.
#[derive(Debug)]
struct Crypto;

struct Digest(Option<Hasher>, Vec<u8>);

struct Hmac(Zeroizing<Vec<u8>>, Vec<u8>, Vec<u8>);

fn unsupported() -> object_store::Error {
    object_store::Error::NotSupported {
        source: "only SHA-256 is needed for S3".into(),
    }
}

impl CryptoProvider for Crypto {
    fn digest(&self, algorithm: DigestAlgorithm) -> object_store::Result<Box<dyn DigestContext>> {
        match algorithm {
            DigestAlgorithm::Sha256 => {
                let hasher = Hasher::new(crypto::DigestAlgorithm::Sha256).map_err(|_| unsupported())?;
                Ok(Box::new(Digest(Some(hasher), Vec::new())))
            }
            _ => Err(unsupported()),
        }
    }

    fn hmac(&self, algorithm: DigestAlgorithm, secret: &[u8]) -> object_store::Result<Box<dyn HmacContext>> {
        match algorithm {
            DigestAlgorithm::Sha256 => {
                let secret = Zeroizing::new(secret.to_vec());
                Ok(Box::new(Hmac(secret, Vec::new(), Vec::new())))
            }
            _ => Err(unsupported()),
        }
    }

    fn sign(&self, _: SigningAlgorithm, _: &[u8]) -> object_store::Result<Box<dyn Signer>> {
        Err(unsupported())
    }
}

impl DigestContext for Digest {
    fn update(&mut self, data: &[u8]) {
        if let Some(hasher) = &mut self.0 {
            hasher.update(data);
        }
    }

    fn finish(&mut self) -> object_store::Result<&[u8]> {
        self.1 = self.0.take().ok_or_else(unsupported)?.finish();
        Ok(&self.1)
    }
}

impl HmacContext for Hmac {
    fn update(&mut self, data: &[u8]) {
        self.1.extend_from_slice(data);
    }

    fn finish(&mut self) -> object_store::Result<&[u8]> {
        self.2 = crypto::hmac_sha256(&self.0, &[&self.1]).to_vec();
        Ok(&self.2)
    }
}
