//! Errors as recorded information systems got them: status, `X-Road-Error` and body (wire 2.8, 2.9).

#![expect(
    clippy::unwrap_used,
    reason = "a recorded file that is not as described must fail the test"
)]

#[expect(
    dead_code,
    reason = "errors to information systems need no messages between servers"
)]
mod transcript;

use kontor_protocol::fault::rest::{ERROR_HEADER, ErrorFormat, body, error_header, status};
use kontor_protocol::fault::{FaultCode, ForeignFault, soap};
use transcript::{Case, Http, cases};

/// The fault that a recorded error tells of.
fn told(response: &Http, format: ErrorFormat) -> ForeignFault {
    let text = std::str::from_utf8(&response.body).unwrap();
    if format == ErrorFormat::Json {
        let json: serde_json::Value = serde_json::from_str(text).unwrap();
        let field = |name: &str| json[name].as_str().unwrap().to_owned();
        return ForeignFault {
            code: field("type"),
            text: field("message"),
            detail: field("detail"),
        };
    }
    let xml = roxmltree::Document::parse(text).unwrap();
    let field = |name: &str| {
        let node = xml.descendants().find(|node| node.has_tag_name(name)).unwrap();
        node.text().unwrap_or_default().to_owned()
    };
    ForeignFault {
        code: field("type"),
        text: field("message"),
        detail: field("detail"),
    }
}

/// Whether the case ended in an error to a REST information system, and if so that ours would be the same.
fn is_same_rest_error(case: &Case) -> bool {
    let (Some(request), Some(response)) = (case.http("1-is-request"), case.http("6-is-response")) else {
        return false;
    };
    let Some(recorded) = response
        .headers
        .iter()
        .find(|(name, _)| name == ERROR_HEADER.as_bytes())
    else {
        return false;
    };
    let format = ErrorFormat::from_accept(request.header("accept"));
    let fault = told(&response, format);
    assert_eq!(error_header(&fault).as_bytes(), recorded.1, "{}", case.name);
    assert_eq!(
        response.header("content-type"),
        Some(format.content_type()),
        "{}",
        case.name
    );
    assert_eq!(
        String::from_utf8(body(&fault, format)),
        String::from_utf8(response.body.clone()),
        "{}",
        case.name
    );
    // Java knows the spelling of its own release only and answers 400 to the other one; we know both.
    let expected = if case.name == "plain-snake" {
        "500"
    } else {
        response.word(1)
    };
    assert_eq!(status(&fault).to_string(), expected, "{}", case.name);
    true
}

/// Whether the case ended in a SOAP fault, and if so that ours would be the same.
fn is_same_soap_fault(case: &Case) -> bool {
    let Some(response) = case.http("6-is-response") else {
        return false;
    };
    let Ok(fault) = soap::read(&response.body) else {
        return false;
    };
    assert_eq!(
        response.header("content-type"),
        Some(soap::CONTENT_TYPE),
        "{}",
        case.name
    );
    assert_eq!(
        String::from_utf8(soap::write(&fault)),
        String::from_utf8(response.body.clone()),
        "{}",
        case.name
    );
    assert_eq!(fault.cause(), case.java_cause(), "{}", case.name);
    true
}

#[test]
fn information_systems_get_errors_as_from_java() {
    let mut rest = 0;
    let mut soap = 0;
    for family in [
        "consumer-refuses-is-answer",
        "consumer-refuses-is-request",
        "consumer-response-consistency",
        "consumer-response-fault",
        "consumer-response-framing",
        "consumer-response-signature",
        "consumer-tls-identity",
        "metadata",
        "provider-fault-after",
        "provider-fault-before",
    ] {
        for case in cases(family) {
            if is_same_rest_error(&case) {
                rest += 1;
            } else if is_same_soap_fault(&case) {
                soap += 1;
            } else {
                assert!(
                    case.facts["fault_code_seen"].is_null() || case.http("6-is-response").is_none(),
                    "{}",
                    case.name
                );
            }
        }
    }
    assert!(
        rest > 50 && soap > 15 || transcript::vectors().is_none(),
        "{rest} {soap}"
    );
}

#[test]
fn every_recorded_cause_is_a_code_of_ours() {
    for family in [
        "provider-framing",
        "provider-signature",
        "provider-rest-message",
        "provider-tls-identity",
    ] {
        for case in cases(family) {
            if let Some(code) = case.facts["java_7_3_2"]["fault_code"].as_str() {
                assert!(
                    FaultCode::from_element(code.rsplit('.').next().unwrap()).is_some(),
                    "{code}"
                );
            }
        }
    }
}
