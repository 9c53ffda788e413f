//! The intake as a form service sees it.

use http_body_util::Full;
use serde_json::Value;

use super::*;
use crate::clock::ManualClock;
use kontor_pki::time::UnixTime;

struct Office {
    _dir: tempfile::TempDir,
    provider: Provider,
    clock: SharedClock,
    shutdown: Shutdown,
    settings: Settings,
}

impl Office {
    async fn open() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let settings = Settings {
            listen: "127.0.0.1:0".parse().unwrap(),
            dir: dir.path().to_owned(),
            offices: vec!["musterhafen".into()],
        };
        let provider = Provider::open(&settings).await.unwrap();
        let clock: SharedClock = ManualClock::at(UnixTime::from_secs(1_767_225_600));
        Self {
            _dir: dir,
            provider,
            clock,
            shutdown: Shutdown::default(),
            settings,
        }
    }

    async fn ask(&self, method: &str, path: &str, body: &[u8]) -> (StatusCode, Value) {
        let request = Request::builder()
            .method(method)
            .uri(path)
            .header("content-type", "multipart/form-data; boundary=XX")
            .header("x-road-client", "TEST/GOV/a/antrag")
            .body(Full::new(Bytes::copy_from_slice(body)))
            .unwrap();
        let response = self.provider.answer(request, &self.clock, &self.shutdown).await;
        let (head, body) = response.into_parts();
        let bytes = body.collect().await.unwrap().to_bytes();
        (head.status, serde_json::from_slice(&bytes).unwrap_or(Value::Null))
    }
}

fn form(transaction: &str, attachment: &str) -> Vec<u8> {
    format!(
        "--XX\r\nContent-Disposition: form-data; name=\"formData\"; filename=\"formData.json\"\r\nContent-Type: application/json\r\n\r\n\
         {{\"control\":{{\"transactionId\":\"{transaction}\",\"name\":\"Hundesteuer\"}},\"formData\":{{}}}}\r\n\
         --XX\r\nContent-Disposition: form-data; name=\"attachment\"; filename=\"../../etc/passwd\"\r\nContent-Type: application/pdf\r\n\r\n\
         {attachment}\r\n--XX--\r\n"
    )
    .into_bytes()
}

#[tokio::test]
async fn an_application_is_stored_and_numbered() {
    let office = Office::open().await;
    let (status, told) = office
        .ask("POST", "/musterhafen/antrag", &form("t-1", "abc"))
        .await;
    assert_eq!(status, StatusCode::OK, "{told}");
    assert_eq!(told["transactionId"], "t-1");
    assert_eq!(told["vorgang"]["status"], "NEU");
    assert_eq!(told["vorgang"]["statusSince"], "2026-01-01T00:00:00.000Z");
    let number = told["vorgang"]["vorgangNummer"].as_str().unwrap();
    assert!(number.len() == 12 && number.as_bytes()[5] == b'-', "{number}");

    let (_, listed) = office
        .ask("GET", "/musterhafen/antrag?transactionId=t-1", b"")
        .await;
    assert_eq!(listed["count"], 1);
    let stored = &listed["applications"][0];
    assert_eq!(stored["client"], "TEST/GOV/a/antrag");
    assert_eq!(stored["parts"][1]["originalName"], "../../etc/passwd");
    assert_eq!(
        stored["parts"][1]["sha256"],
        "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
    );
    let file = PathBuf::from(stored["folder"].as_str().unwrap()).join("attachment-01.pdf");
    assert_eq!(std::fs::read(file).unwrap(), b"abc");
}

#[tokio::test]
async fn the_same_application_twice_is_one_application() {
    let office = Office::open().await;
    let (_, first) = office
        .ask("POST", "/musterhafen/antrag", &form("t-1", "abc"))
        .await;
    let (status, again) = office
        .ask("POST", "/musterhafen/antrag", &form("t-1", "abc"))
        .await;
    assert_eq!((status, &again), (StatusCode::OK, &first));
    let (status, _) = office
        .ask("POST", "/musterhafen/antrag", &form("t-1", "other"))
        .await;
    assert_eq!(status, StatusCode::CONFLICT);
    assert_eq!(office.ask("GET", "/musterhafen/antrag", b"").await.1["count"], 1);
}

#[tokio::test]
async fn what_is_stored_survives_a_restart_and_what_was_not_complete_does_not() {
    let office = Office::open().await;
    let (_, first) = office
        .ask("POST", "/musterhafen/antrag", &form("t-1", "abc"))
        .await;
    let cut = form("t-2", "abc");
    let (status, _) = office
        .ask("POST", "/musterhafen/antrag", &cut[..cut.len() - 8])
        .await;
    assert_eq!(status, StatusCode::BAD_REQUEST);
    let office = Office {
        provider: Provider::open(&office.settings).await.unwrap(),
        ..office
    };
    let (_, listed) = office.ask("GET", "/musterhafen/antrag", b"").await;
    assert_eq!(listed["count"], 1);
    assert_eq!(listed["applications"][0]["vorgang"], first["vorgang"]);
    assert_eq!(
        std::fs::read_dir(office.settings.dir.join("musterhafen/incoming"))
            .unwrap()
            .count(),
        0
    );
}

#[tokio::test]
async fn a_form_without_form_data_or_with_unknown_parts_is_refused() {
    let office = Office::open().await;
    let none = b"--XX\r\nContent-Disposition: form-data; name=\"attachment\"\r\n\r\na\r\n--XX--\r\n";
    assert_eq!(
        office.ask("POST", "/musterhafen/antrag", none).await.0,
        StatusCode::BAD_REQUEST
    );
    let unknown = b"--XX\r\nContent-Disposition: form-data; name=\"virus\"\r\n\r\na\r\n--XX--\r\n";
    assert_eq!(
        office.ask("POST", "/musterhafen/antrag", unknown).await.0,
        StatusCode::BAD_REQUEST
    );
    assert_eq!(
        office.ask("POST", "/elsewhere/antrag", none).await.0,
        StatusCode::NOT_FOUND
    );
    assert_eq!(
        office.ask("DELETE", "/musterhafen/antrag", b"").await.0,
        StatusCode::METHOD_NOT_ALLOWED
    );
}
