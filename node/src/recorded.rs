//! For tests: what information systems of the recorded world sent, and the trust of that world.

use std::path::{Path, PathBuf};

use kontor_protocol::fault::FaultCode;
use kontor_protocol::rest::RestRequest;
use kontor_protocol::trust::TrustSet;

/// The recorded vectors; `None`, and loud, where this checkout has none.
pub(crate) fn vectors() -> Option<PathBuf> {
    let root = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../../shared/vectors/xroad"));
    if !root.is_dir() {
        eprintln!("SKIPPED: recorded requests are not judged, needs ../shared");
        return None;
    }
    Some(root.to_owned())
}

/// The global configuration of the recorded world.
pub(crate) fn trust(root: &Path) -> TrustSet {
    let files = [
        "instance-identifier",
        "DX/shared-params.xml",
        "DX/private-params.xml",
        "FX/shared-params.xml",
    ];
    let files = files.map(|file| {
        let path = root.join("trust/globalconf/dx-v2").join(file);
        (file.to_owned(), std::fs::read(path).unwrap())
    });
    TrustSet::from_files(files.to_vec()).unwrap()
}

/// The message that becomes of what an information system sent in `family/case`.
pub(crate) fn request(root: &Path, case: &str) -> RestRequest {
    let sent = std::fs::read_to_string(root.join("golden").join(case).join("1-is-request.http")).unwrap();
    let mut lines = sent.lines();
    let mut first = lines.next().unwrap().split(' ');
    let (verb, target) = (first.next().unwrap(), first.next().unwrap());
    let headers = lines
        .map_while(|line| line.split_once(": "))
        .map(|(name, value)| (name.as_bytes(), value.as_bytes()));
    RestRequest::build(verb, target, headers, "id", "id").unwrap()
}

/// The cause of the fault that Java gave in `family/case`.
pub(crate) fn cause(root: &Path, case: &str) -> FaultCode {
    let facts = std::fs::read(root.join("golden").join(case).join("case.json")).unwrap();
    let facts: serde_json::Value = serde_json::from_slice(&facts).unwrap();
    let code = facts["java_7_3_2"]["fault_code"]
        .as_str()
        .or(facts["fault_code_seen"].as_str());
    FaultCode::from_element(code.unwrap().rsplit('.').next().unwrap()).unwrap()
}
