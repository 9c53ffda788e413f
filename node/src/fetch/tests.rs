//! The way out: directly, or through a proxy with real sockets.

use std::path::Path;
use std::sync::{Arc, Mutex};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::*;

const BOUNDS: Bounds = Bounds {
    connect: Duration::from_secs(5),
    total: Duration::from_secs(5),
    max_body: 1000,
};

/// Answers every connection with these bytes; gives its address and the heads that arrive.
async fn answering(answer: &'static str) -> (String, Arc<Mutex<Vec<String>>>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let heads = Arc::new(Mutex::new(Vec::new()));
    let kept = heads.clone();
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let (mut head, mut buffer) = (Vec::new(), [0; 4096]);
            while !head.windows(4).any(|window| window == b"\r\n\r\n") {
                match stream.read(&mut buffer).await {
                    Ok(read) if read > 0 => head.extend_from_slice(&buffer[..read]),
                    _ => break,
                }
            }
            kept.lock()
                .unwrap()
                .push(String::from_utf8_lossy(&head).into_owned());
            let _ = stream.write_all(answer.as_bytes()).await;
            let _ = stream.shutdown().await;
        }
    });
    (address, heads)
}

const OK: &str = "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 2\r\n\r\nhi";

fn through(proxy: &str, change: impl FnOnce(&mut EgressSettings)) -> Fetcher {
    let mut settings = EgressSettings {
        proxy: Some(proxy.parse().unwrap()),
        ..EgressSettings::default()
    };
    change(&mut settings);
    Fetcher::new(&settings).unwrap()
}

#[tokio::test]
async fn a_server_is_asked_directly_for_a_path() {
    let (address, heads) = answering(OK).await;
    let url = format!("http://{address}/a?b=c");
    let answer = Fetcher::default().get(&url, &BOUNDS).await.unwrap();
    assert_eq!((answer.status, &answer.body[..]), (200, &b"hi"[..]));
    assert!(heads.lock().unwrap()[0].starts_with("GET /a?b=c HTTP/1.1\r\n"));
}

#[tokio::test]
async fn a_proxy_is_asked_for_the_whole_address_with_its_credentials() {
    let (proxy, heads) = answering(OK).await;
    let dir = tempfile::tempdir().unwrap();
    let credentials = dir.path().join("proxy");
    write_secret(&credentials, "user:secret");
    let fetcher = through(&proxy, |settings| settings.credentials = Some(credentials));
    // A name that only the proxy could know.
    let url = "http://cs.example.invalid/internalconf?version=6";
    let answer = fetcher.get(url, &BOUNDS).await.unwrap();
    assert_eq!(answer.status, 200);
    let head = heads.lock().unwrap()[0].to_lowercase();
    assert!(head.starts_with(&format!("get {url} http/1.1\r\n")), "{head}");
    assert!(head.contains("host: cs.example.invalid\r\n"), "{head}");
    let encoded = STANDARD.encode("user:secret").to_lowercase();
    assert!(
        head.contains(&format!("proxy-authorization: basic {encoded}\r\n")),
        "{head}"
    );
}

fn write_secret(path: &Path, text: &str) {
    use std::os::unix::fs::PermissionsExt;
    std::fs::write(path, text).unwrap();
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o600)).unwrap();
}

#[tokio::test]
async fn hosts_that_are_reached_directly_never_see_the_proxy() {
    let (proxy, heads) = answering(OK).await;
    let (server, asked) = answering(OK).await;
    let fetcher = through(&proxy, |settings| settings.direct = vec!["127.0.0.1".into()]);
    fetcher.get(&format!("http://{server}/"), &BOUNDS).await.unwrap();
    assert_eq!((heads.lock().unwrap().len(), asked.lock().unwrap().len()), (0, 1));
}

#[tokio::test]
async fn a_secure_address_goes_through_a_tunnel_and_a_refused_one_is_told() {
    let (proxy, heads) =
        answering("HTTP/1.1 407 Proxy Authentication Required\r\nContent-Length: 0\r\n\r\n").await;
    let fetcher = through(&proxy, |_| {});
    let refused = fetcher
        .get("https://cs.example.invalid/x", &BOUNDS)
        .await
        .unwrap_err();
    assert!(
        refused.to_string().contains("refuses the tunnel with status 407"),
        "{refused}"
    );
    let head = heads.lock().unwrap()[0].clone();
    assert!(
        head.starts_with("CONNECT cs.example.invalid:443 HTTP/1.1\r\n"),
        "{head}"
    );
    // A proxy that lets through: what comes out of the tunnel is judged as TLS.
    let (proxy, _) = answering("HTTP/1.1 200 Connected\r\n\r\n").await;
    let refused = through(&proxy, |_| {})
        .get("https://cs.example.invalid/x", &BOUNDS)
        .await;
    assert!(matches!(refused, Err(FetchError::Connect { .. })), "{refused:?}");
}

#[tokio::test]
async fn what_is_too_large_or_no_address_is_refused_in_words() {
    let (address, _) = answering("HTTP/1.1 200 OK\r\nContent-Length: 2000\r\n\r\n").await;
    let large = Fetcher::default()
        .get(&format!("http://{address}/"), &BOUNDS)
        .await;
    assert!(matches!(large, Err(FetchError::Exchange { .. })), "{large:?}");
    for url in ["ftp://host/", "nonsense", "/path", "https://host/"] {
        let refused = Fetcher::default().get(url, &BOUNDS).await;
        assert!(
            matches!(refused, Err(FetchError::Address { .. })),
            "{url}: {refused:?}"
        );
    }
    let open = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(open.path(), "user:secret").unwrap();
    std::fs::set_permissions(open.path(), std::os::unix::fs::PermissionsExt::from_mode(0o644)).unwrap();
    let settings = EgressSettings {
        proxy: Some("proxy:1".parse().unwrap()),
        credentials: Some(open.path().to_owned()),
        ..EgressSettings::default()
    };
    assert!(Fetcher::new(&settings).unwrap_err().contains("chmod 600"));
}
