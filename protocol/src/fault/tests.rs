use std::collections::BTreeMap;

use super::*;

/// Text of a file of the recorded vectors; `None` with a loud note where they are absent.
fn vector(name: &str) -> Option<String> {
    let path = format!("{}/../../shared/vectors/xroad/{name}", env!("CARGO_MANIFEST_DIR"));
    let text = std::fs::read_to_string(&path).ok();
    if text.is_none() {
        eprintln!("SKIPPED: {path} is absent, this test needs ../shared");
    }
    text
}

#[test]
fn every_recorded_code_is_known_in_both_spellings() {
    let Some(text) = vector("codes.json") else { return };
    let codes: BTreeMap<String, String> = serde_json::from_str(&text).unwrap();
    for (camel, snake) in codes {
        let code = FaultCode::from_element(&snake).unwrap_or_else(|| panic!("{snake} is unknown"));
        assert_eq!(FaultCode::from_element(&camel), Some(code), "{camel}");
        assert_eq!((code.snake(), code.camel()), (&*snake, &*camel));
    }
}

#[test]
fn no_two_codes_share_a_name() {
    let mut names: Vec<_> = FaultCode::ALL
        .iter()
        .flat_map(|c| [c.snake(), c.camel()])
        .collect();
    names.sort_unstable();
    let before = names.len();
    names.dedup();
    assert_eq!(names.len(), before);
}

#[test]
fn prefixes_grow_outwards_and_never_twice() {
    let fault = Fault::new(FaultCode::InvalidHashChain, "no")
        .within(FaultCode::MalformedSignature)
        .within(FaultCode::SignatureVerification)
        .within(FaultCode::ServerProxy)
        .within(FaultCode::ServerProxy);
    assert_eq!(
        fault.code_string(Spelling::Snake),
        "server.serverproxy.signature_verification.malformed_signature.invalid_hash_chain"
    );
    assert_eq!(
        fault.code_string(Spelling::Camel),
        "Server.ServerProxy.SignatureVerification.MalformedSignature.InvalidHashChain"
    );
    assert_eq!(fault.cause(), FaultCode::InvalidHashChain);
}

#[test]
fn a_fault_of_the_information_system_gets_no_further_prefix() {
    let fault = Fault::new(FaultCode::InvalidHttpMethod, "use POST").within(FaultCode::Client);
    assert_eq!(fault.clone().within(FaultCode::ClientProxy), fault);
}

#[test]
fn server_faults_are_500_in_both_spellings() {
    assert!(is_server_fault("Server.ServerProxy.AccessDenied"));
    assert!(is_server_fault("server.clientproxy.unknown_member"));
    assert!(!is_server_fault("Client.Something"));
    assert!(!is_server_fault("Serverless"));
}

#[test]
fn the_cause_of_a_foreign_fault_is_its_last_element() {
    let fault = |code: &str| ForeignFault {
        code: code.into(),
        text: String::new(),
        detail: String::new(),
    };
    assert_eq!(
        fault("Server.ServerProxy.AccessDenied").cause(),
        Some(FaultCode::AccessDenied)
    );
    assert_eq!(fault("soap:Server").cause(), None);
}
