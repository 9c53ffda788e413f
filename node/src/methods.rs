//! What a provider offers, told to whoever asks: the metadata services `listMethods`, `allowedMethods` and `getOpenAPI` (wire 9.3).
//!
//! They are asked with GET in the name of the provider like services of its own, and come before a service that is called so. No
//! right is needed; everything else of an exchange stays as it is. What they answer is read here too.

use bytes::Bytes;
use kontor_protocol::access::{Method, PathPattern};
use kontor_protocol::fault::{Fault, FaultCode};
use kontor_protocol::id::ClientId;
use kontor_protocol::rest::{RestRequest, Verb};
use kontor_protocol::trust::TrustSet;
use serde::{Deserialize, Serialize};

use crate::config::Service;

/// Where the answers come from: this process.
pub(crate) const URL: &str = "kontor://methods/";
/// The service that lists the services of a provider.
pub(crate) const LIST: &str = "listMethods";

/// What is asked.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Question {
    /// All services.
    Listed,
    /// Those that the caller may use.
    Allowed,
    /// What one service says about itself.
    Description,
}

#[derive(Deserialize, Serialize)]
struct Listing {
    service: Vec<Listed>,
}

#[derive(Deserialize, Serialize)]
struct Listed {
    member_class: String,
    member_code: String,
    object_type: String,
    service_code: String,
    service_type: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    subsystem_code: Option<String>,
    xroad_instance: String,
    #[serde(default)]
    endpoint_list: Vec<Endpoint>,
}

#[derive(Deserialize, Serialize)]
struct Endpoint {
    method: String,
    path: String,
}

impl Question {
    /// What this request asks, if it is a question: another verb than GET is an ordinary call.
    pub(crate) fn of(request: &RestRequest) -> Option<Self> {
        if request.verb() != Verb::Get {
            return None;
        }
        match request.service().code() {
            LIST => Some(Self::Listed),
            "allowedMethods" => Some(Self::Allowed),
            "getOpenAPI" => Some(Self::Description),
            _ => None,
        }
    }

    /// The answer, from the services of the provider that is asked.
    ///
    /// # Errors
    /// `invalid_request` where no service is named, `internal_error` where it is unknown or describes nothing, as X-Road says it.
    pub(crate) fn answer(
        self,
        trust: &TrustSet,
        request: &RestRequest,
        services: &[&Service],
    ) -> Result<Bytes, Fault> {
        let provider = request.service().provider();
        let listing = match self {
            Self::Description => return description(request, services),
            Self::Listed => services
                .iter()
                .map(|service| listed(provider, service, endpoints(service)))
                .collect(),
            Self::Allowed => services
                .iter()
                .filter_map(|service| allowed(trust, request.client(), provider, service))
                .collect(),
        };
        serde_json::to_vec(&Listing { service: listing })
            .map(Bytes::from)
            .map_err(|error| Fault::new(FaultCode::InternalError, error.to_string()))
    }
}

type Endpoints = Vec<(Method, PathPattern)>;

/// What is defined of a service: the parts of it that its description or a right names; none is the whole service.
fn endpoints(service: &Service) -> Endpoints {
    let described = service
        .description
        .iter()
        .flat_map(|it| it.endpoints().iter().cloned());
    let whole = (Method::Any, PathPattern::everything());
    let in_rights = service
        .rights
        .iter()
        .map(|right| (right.method, right.path.clone()));
    once(described.chain(in_rights.filter(|endpoint| *endpoint != whole)))
}

/// A service as far as a client has rights on it.
fn allowed(trust: &TrustSet, client: &ClientId, provider: &ClientId, service: &Service) -> Option<Listed> {
    let rights = service.rights.iter().filter(|right| right.is_of(trust, client));
    let endpoints = once(rights.map(|right| (right.method, right.path.clone())));
    (!endpoints.is_empty()).then(|| listed(provider, service, endpoints))
}

fn once(all: impl Iterator<Item = (Method, PathPattern)>) -> Endpoints {
    let mut each = Endpoints::new();
    for endpoint in all {
        if !each.contains(&endpoint) {
            each.push(endpoint);
        }
    }
    each
}

fn listed(provider: &ClientId, service: &Service, endpoints: Endpoints) -> Listed {
    let member = provider.member();
    Listed {
        member_class: member.class().to_owned(),
        member_code: member.code().to_owned(),
        object_type: "SERVICE".to_owned(),
        service_code: service.code.clone(),
        service_type: match service.description {
            Some(_) => "OPENAPI".to_owned(),
            None => "REST".to_owned(),
        },
        subsystem_code: provider.subsystem().map(str::to_owned),
        xroad_instance: member.instance().to_owned(),
        endpoint_list: endpoints
            .into_iter()
            .map(|(method, path)| Endpoint {
                method: method.to_string(),
                path: path.to_string(),
            })
            .collect(),
    }
}

fn description(request: &RestRequest, services: &[&Service]) -> Result<Bytes, Fault> {
    let code = form_urlencoded::parse(request.query().unwrap_or_default().as_bytes())
        .filter(|(name, _)| name.eq_ignore_ascii_case("serviceCode"))
        .map(|(_, value)| value.into_owned())
        .last()
        .filter(|code| !code.is_empty())
        .ok_or_else(|| Fault::new(FaultCode::InvalidRequest, "Missing serviceCode in message body"))?;
    let failed = |text: String| Fault::new(FaultCode::InternalError, text);
    let service = services
        .iter()
        .find(|service| service.code == code)
        .ok_or_else(|| failed(format!("Service not found: {code}")))?;
    let described = service
        .description
        .as_ref()
        .ok_or_else(|| failed(format!("Invalid service type: REST; {code} has no description")))?;
    Ok(Bytes::copy_from_slice(described.document()))
}

/// Whether an answer to `listMethods` names this service.
pub(crate) fn names(answer: &[u8], code: &str) -> bool {
    serde_json::from_slice::<Listing>(answer)
        .is_ok_and(|listing| listing.service.iter().any(|service| service.service_code == code))
}

#[cfg(test)]
mod tests {
    use std::path::Path;
    use std::sync::Arc;

    use kontor_protocol::access::{Right, Subject};
    use serde_json::Value;

    use super::*;
    use crate::config::Description;
    use crate::recorded;

    /// The services of the recorded provider, as far as its answers show them.
    fn services() -> Vec<Service> {
        let service = |code: &str, rights: &[(&str, &str)], description: Option<&str>| Service {
            code: code.into(),
            url: http::Uri::from_static("http://127.0.0.1/"),
            timeout: std::time::Duration::from_secs(1),
            verify_tls: false,
            disabled: None,
            rights: rights
                .iter()
                .map(|(method, path)| Right {
                    subject: Subject::Client("DX/GOV/1001/PORTAL".parse().unwrap()),
                    method: method.parse().unwrap(),
                    path: path.parse().unwrap(),
                })
                .collect(),
            description: description.map(|text| Arc::new(Description::read(text.as_bytes()).unwrap())),
        };
        let pets = r#"{"openapi":"3.0.3","paths":{"/pets":{"get":{},"post":{}},"/pets/{id}":{"get":{}}}}"#;
        let all = [("*", "**")];
        vec![
            service("echo", &all, None),
            service("base", &all, None),
            service("limited", &[("GET", "/a/**"), ("POST", "/b/*")], None),
            service("denied", &[], None),
            service("off", &all, None),
            service("oas", &all, Some(pets)),
            service("b\u{fc}ro", &all, None),
        ]
    }

    fn body(root: &Path, case: &str, file: &str) -> Value {
        let octets = std::fs::read(root.join("golden").join(case).join(file)).unwrap();
        let at = octets.windows(4).position(|four| four == b"\r\n\r\n").unwrap() + 4;
        serde_json::from_slice(&octets[at..]).unwrap()
    }

    #[test]
    fn recorded_questions_get_the_lists_and_the_document_that_java_gave() {
        let Some(root) = recorded::vectors() else { return };
        let (trust, services) = (recorded::trust(&root), services());
        let services: Vec<&Service> = services.iter().collect();
        for case in ["metadata/rest-listmethods", "metadata/rest-allowedmethods"] {
            let request = recorded::request(&root, case);
            let question = Question::of(&request).unwrap();
            let answer = question.answer(&trust, &request, &services).unwrap();
            let answer: Value = serde_json::from_slice(&answer).unwrap();
            assert_eq!(answer, body(&root, case, "6-is-response.http"), "{case}");
            assert!(names(&serde_json::to_vec(&answer).unwrap(), "limited"), "{case}");
        }
        let case = "metadata/rest-getopenapi";
        let source = body(&root, case, "4-svc-response.http").to_string();
        let mut described = services[5].clone();
        described.description = Some(Arc::new(Description::read(source.as_bytes()).unwrap()));
        let request = recorded::request(&root, case);
        let answer = Question::Description
            .answer(&trust, &request, &[&described])
            .unwrap();
        let answer: Value = serde_json::from_slice(&answer).unwrap();
        assert_eq!(answer, body(&root, case, "6-is-response.http"));
    }

    #[test]
    fn recorded_questions_for_a_description_that_is_none_are_refused_as_by_java() {
        let Some(root) = recorded::vectors() else { return };
        let (trust, services) = (recorded::trust(&root), services());
        let services: Vec<&Service> = services.iter().collect();
        for case in [
            "metadata/rest-getopenapi-no-code",
            "metadata/rest-getopenapi-not-openapi",
        ] {
            let request = recorded::request(&root, case);
            let fault = Question::of(&request)
                .unwrap()
                .answer(&trust, &request, &services)
                .unwrap_err();
            assert_eq!(fault.cause(), recorded::cause(&root, case), "{case}");
        }
    }
}
