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

/// The whole service, and the parts of it that its description or a right names.
fn endpoints(service: &Service) -> Vec<(Method, PathPattern)> {
    let mut all = vec![(Method::Any, PathPattern::everything())];
    let described = service
        .description
        .iter()
        .flat_map(|it| it.endpoints().iter().cloned());
    let in_rights = service
        .rights
        .iter()
        .map(|right| (right.method, right.path.clone()));
    for endpoint in described.chain(in_rights) {
        if !all.contains(&endpoint) {
            all.push(endpoint);
        }
    }
    all
}

fn allowed(trust: &TrustSet, client: &ClientId, provider: &ClientId, service: &Service) -> Option<Listed> {
    let rights: Vec<_> = service
        .rights
        .iter()
        .filter(|right| right.is_of(trust, client))
        .collect();
    let endpoints = endpoints(service)
        .into_iter()
        .filter(|(method, path)| rights.iter().any(|right| right.covers(*method, path)))
        .collect();
    (!rights.is_empty()).then(|| listed(provider, service, endpoints))
}

fn listed(provider: &ClientId, service: &Service, endpoints: Vec<(Method, PathPattern)>) -> Listed {
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
