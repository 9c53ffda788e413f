use std::collections::BTreeMap;

use proptest::prelude::*;

use super::rest::ErrorFormat;
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

fn foreign(code: &str, text: &str) -> ForeignFault {
    ForeignFault {
        code: code.into(),
        text: text.into(),
        detail: "0000".into(),
    }
}

#[test]
fn a_soap_fault_is_written_as_java_writes_it() {
    assert_eq!(
        String::from_utf8(soap::write(&foreign("Server.X", "a \"b\" <c>\r\n"))).unwrap(),
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?><SOAP-ENV:Envelope xmlns:SOAP-ENV=\"http://schemas.xmlsoap.org/soap/\
         envelope/\"><SOAP-ENV:Body><SOAP-ENV:Fault><faultcode>Server.X</faultcode><faultstring>a &quot;b&quot; &lt;c\
         &gt;&#13;\n</faultstring><faultactor></faultactor><detail><faultDetail xmlns=\"\">0000</faultDetail></detail>\
         </SOAP-ENV:Fault></SOAP-ENV:Body></SOAP-ENV:Envelope>"
    );
}

#[test]
fn what_is_not_a_fault_is_refused_by_what_it_is() {
    let cause = |xml: &str| soap::read(xml.as_bytes()).unwrap_err().cause();
    let envelope = |body: &str| {
        format!("<e:Envelope xmlns:e='http://schemas.xmlsoap.org/soap/envelope/'>{body}</e:Envelope>")
    };
    assert_eq!(cause("no"), FaultCode::InvalidXml);
    assert_eq!(cause("<!DOCTYPE x><x/>"), FaultCode::InvalidXml);
    assert_eq!(cause("<x/>"), FaultCode::InvalidSoap);
    assert_eq!(
        cause(&envelope("<e:Body><other/></e:Body>")),
        FaultCode::InvalidMessage
    );
    assert_eq!(
        cause(&envelope("<e:Body><e:Fault/></e:Body>")),
        FaultCode::InvalidSoap
    );
    assert_eq!(cause(&"<a>".repeat(20_000)), FaultCode::InvalidXml);
    assert_eq!(
        cause(&" ".repeat(crate::limits::FAULT + 1)),
        FaultCode::InvalidXml
    );
}

#[test]
fn accept_decides_the_format_of_errors() {
    assert_eq!(ErrorFormat::from_accept(None), ErrorFormat::Json);
    assert_eq!(ErrorFormat::from_accept(Some("*/*")), ErrorFormat::Json);
    assert_eq!(
        ErrorFormat::from_accept(Some("text/*;q=0.5")),
        ErrorFormat::TextXml
    );
    assert_eq!(
        ErrorFormat::from_accept(Some("text/html, Application/XML, text/xml")),
        ErrorFormat::ApplicationXml
    );
}

#[test]
fn a_line_break_in_a_peers_code_cannot_add_a_header() {
    assert_eq!(
        rest::error_header(&foreign("Server.X\r\nX-Injected: 1", "")),
        "Server.X  X-Injected: 1"
    );
}

proptest! {
    #[test]
    fn a_fault_survives_the_trip_between_servers(code in "[A-Za-z.]{1,40}", text in "[^\\x00-\\x1f\\u{fffe}\\u{ffff}]*") {
        let fault = foreign(&code, &text);
        prop_assert_eq!(soap::read(&soap::write(&fault)), Ok(fault));
    }

    #[test]
    fn whatever_the_text_the_documents_stay_well_formed(code in "\\PC{1,40}", text in any::<String>()) {
        let fault = foreign(&code, &text);
        prop_assert!(soap::read(&soap::write(&fault)).is_ok());
        let xml = String::from_utf8(rest::body(&fault, ErrorFormat::TextXml)).unwrap();
        prop_assert!(roxmltree::Document::parse(&xml).is_ok());
    }

    #[test]
    fn arbitrary_bytes_never_panic(bytes in proptest::collection::vec(any::<u8>(), 0..400)) {
        let _ = soap::read(&bytes);
    }
}
