//! Clients and services of this node as the configuration file lists them: who may send, who may be called.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::Uri;
use kontor_pki::certificate::Certificate;
use kontor_protocol::access::{AccessRights, ServiceRights};
use kontor_protocol::fault::{Fault, FaultCode};
use kontor_protocol::id::{ClientId, ServiceId};
use kontor_protocol::rest::RestRequest;
use kontor_protocol::trust::TrustSet;
use tokio_rustls::TlsConnector;

use crate::config::{Client, IsAuthentication, Service};
use crate::keystore::{Identity, KeyError, certificates};
use crate::listen::Connection;
use crate::methods::{self, Question};
use crate::{suites, tls};

/// The service that the node itself serves to the nodes of others.
pub const OWN_SERVICE: &str = "ledger";
/// What it answers takes a moment.
const OWN_TIMEOUT: Duration = Duration::from_secs(30);

/// One client and what belongs to it.
#[derive(Debug)]
pub struct Registered {
    /// As configured.
    pub client: Client,
    /// Certificates of its information systems.
    pub certificates: Vec<Certificate>,
    /// Its services by code.
    pub services: HashMap<String, Arc<Offered>>,
}

/// One service of a client.
pub struct Offered {
    /// As configured.
    pub service: Service,
    /// Certificates one of which an https service must present; `None` if that check is off.
    pub allowed: Option<Vec<Certificate>>,
    /// How TLS is spoken with it, for https.
    pub tls: Option<TlsConnector>,
    /// Its answer, where that is known before it is asked.
    pub answer: Option<Bytes>,
}

impl std::fmt::Debug for Offered {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Offered")
            .field("service", &self.service)
            .finish_non_exhaustive()
    }
}

/// Why the clients of a file cannot be served.
#[derive(Debug, thiserror::Error)]
pub enum RegistryError {
    /// A certificate of an information system.
    #[error(transparent)]
    Certificate(#[from] KeyError),
    /// TLS towards a service.
    #[error("TLS towards a service cannot be set up: {0}; check key and certificate of [internal_tls]")]
    Tls(#[from] rustls::Error),
}

/// All clients of this node.
#[derive(Debug, Default)]
pub struct ClientRegistry {
    clients: HashMap<ClientId, Registered>,
    rights: AccessRights,
    /// Always accepted in SSLAUTH mode (wire 2.2).
    internal: Option<Certificate>,
    /// The subsystem in whose name the node itself sends and serves.
    own: Option<ClientId>,
}

impl ClientRegistry {
    /// Reads the certificates that the clients name. `internal` is what the node shows to information systems and services.
    pub fn new(clients: &[Client], internal: Option<&Identity>) -> Result<Self, RegistryError> {
        let provider = suites::provider();
        let mut registered = HashMap::new();
        let mut rights = Vec::new();
        for client in clients {
            let mut found = Vec::new();
            for path in &client.is_certificates {
                found.extend(certificates(path)?);
            }
            rights.extend(client.services.iter().filter_map(|service| {
                let id = ServiceId::new(client.id.clone(), &service.code, None).ok()?;
                Some(ServiceRights {
                    service: id,
                    disabled: service.disabled.clone(),
                    rights: service.rights.clone(),
                })
            }));
            let mut services = HashMap::new();
            for service in &client.services {
                let allowed = service.verify_tls.then(|| found.clone());
                let tls = match service.url.scheme_str() {
                    Some("https") => {
                        let config = tls::service_client(&provider, internal, allowed.clone())?;
                        Some(TlsConnector::from(Arc::new(config)))
                    }
                    _ => None,
                };
                let offered = Offered {
                    service: service.clone(),
                    allowed,
                    tls,
                    answer: None,
                };
                services.insert(service.code.clone(), Arc::new(offered));
            }
            registered.insert(
                client.id.clone(),
                Registered {
                    client: client.clone(),
                    certificates: found,
                    services,
                },
            );
        }
        Ok(Self {
            clients: registered,
            rights: AccessRights::new(rights),
            internal: internal.map(|identity| identity.leaf().clone()),
            own: None,
        })
    }

    /// Adds the subsystem in whose name the node itself sends, and serves [`OWN_SERVICE`].
    #[must_use]
    pub fn with_own(mut self, own: ClientId) -> Self {
        let client = Client {
            id: own.clone(),
            is_authentication: IsAuthentication::Own,
            allow_plain: false,
            is_certificates: Vec::new(),
            services: Vec::new(),
        };
        let service = Service {
            code: OWN_SERVICE.into(),
            url: Uri::from_static("kontor://ledger/"),
            timeout: OWN_TIMEOUT,
            verify_tls: false,
            disabled: None,
            rights: Vec::new(),
            description: None,
        };
        let offered = Offered {
            service,
            allowed: None,
            tls: None,
            answer: None,
        };
        let registered = Registered {
            client,
            certificates: Vec::new(),
            services: HashMap::from([(OWN_SERVICE.to_owned(), Arc::new(offered))]),
        };
        self.clients.insert(own.clone(), registered);
        self.own = Some(own);
        self
    }

    /// The subsystem in whose name the node itself sends and serves.
    pub fn own(&self) -> Option<&ClientId> {
        self.own.as_ref()
    }

    /// Whether the node itself serves this.
    pub fn is_own(&self, service: &ServiceId) -> bool {
        self.own.as_ref() == Some(service.provider()) && service.code() == OWN_SERVICE
    }

    /// A client of this node.
    pub fn client(&self, id: &ClientId) -> Option<&Registered> {
        self.clients.get(id)
    }

    /// Judges a request by the rights on the service it names (wire 2.10). Asked on the claimed client before a body
    /// is accepted, and on the verified signer before anything is used.
    pub fn permit(&self, trust: &TrustSet, request: &RestRequest) -> Result<Arc<Offered>, Fault> {
        let service = request.service();
        let client = request.client();
        // Nodes serve each other in the name of their subsystems, wherever those are registered; nobody else may ask.
        if self.is_own(service)
            && client.subsystem() == service.provider().subsystem()
            && !trust.servers_of(client).is_empty()
        {
            return self.offered(service);
        }
        if let Some(question) = Question::of(request) {
            return self.described(trust, request, question);
        }
        self.rights.judge(
            trust,
            request.client(),
            service,
            request.verb(),
            request.service_path(),
        )?;
        self.offered(service)
    }

    fn offered(&self, service: &ServiceId) -> Result<Arc<Offered>, Fault> {
        self.provider(service.provider())?
            .services
            .get(service.code())
            .cloned()
            .ok_or_else(|| {
                Fault::new(
                    FaultCode::UnknownService,
                    format!("{} offers no service {}", service.provider(), service.code()),
                )
            })
    }

    /// The answer to a question about a provider (wire 9.3), which everybody may ask.
    fn described(
        &self,
        trust: &TrustSet,
        request: &RestRequest,
        question: Question,
    ) -> Result<Arc<Offered>, Fault> {
        let provider = self.provider(request.service().provider())?;
        let mut services: Vec<_> = provider
            .services
            .values()
            .map(|offered| &offered.service)
            .collect();
        services.sort_by(|a, b| a.code.cmp(&b.code));
        let answer = question.answer(trust, request, &services)?;
        Ok(Arc::new(Offered {
            service: Service {
                code: request.service().code().to_owned(),
                url: Uri::from_static(methods::URL),
                timeout: OWN_TIMEOUT,
                verify_tls: false,
                disabled: None,
                rights: Vec::new(),
                description: None,
            },
            allowed: None,
            tls: None,
            answer: Some(answer),
        }))
    }

    /// The provider of a service, if it is a client of this node.
    pub fn provider(&self, id: &ClientId) -> Result<&Registered, Fault> {
        self.clients.get(id).ok_or_else(|| {
            Fault::new(
                FaultCode::UnknownMember,
                format!("{id} is not registered at this security server"),
            )
        })
    }

    /// Lets an information system in as a client, by that client's rule (wire 2.2).
    pub fn authenticate(&self, id: &ClientId, connection: &Connection) -> Result<&Registered, Fault> {
        let registered = self.clients.get(id).ok_or_else(|| {
            Fault::new(
                FaultCode::UnknownMember,
                format!("{id} is not a client of this security server; check X-Road-Client or add a [[client]] entry"),
            )
        })?;
        let refused = |text: &str| {
            Err(Fault::new(
                FaultCode::SslAuthenticationFailed,
                format!("{id}: {text}"),
            ))
        };
        match registered.client.is_authentication {
            IsAuthentication::Own if connection.is_own => Ok(registered),
            IsAuthentication::Own => refused("only the node itself sends in this name"),
            IsAuthentication::NoSsl if connection.is_tls => Ok(registered),
            IsAuthentication::NoSsl
                if connection.peer.ip().is_loopback() || registered.client.allow_plain =>
            {
                Ok(registered)
            }
            IsAuthentication::NoSsl => refused("plain HTTP is allowed from this machine only; use HTTPS"),
            IsAuthentication::SslAuth | IsAuthentication::SslNoAuth if !connection.is_tls => {
                refused("this client must use HTTPS")
            }
            IsAuthentication::SslNoAuth => Ok(registered),
            IsAuthentication::SslAuth => match connection.certificates.first() {
                None => refused("a client certificate is required"),
                Some(leaf)
                    if registered.certificates.contains(leaf) || self.internal.as_ref() == Some(leaf) =>
                {
                    Ok(registered)
                }
                Some(_) => refused("the client certificate is not registered for this client"),
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::recorded;

    fn client(id: &str, is_authentication: IsAuthentication) -> Client {
        Client {
            id: id.parse().unwrap(),
            is_authentication,
            allow_plain: false,
            is_certificates: Vec::new(),
            services: Vec::new(),
        }
    }

    fn connection(is_tls: bool) -> Connection {
        Connection {
            peer: ([127, 0, 0, 1], 4000).into(),
            is_tls,
            certificates: Vec::new(),
            tls12: crate::config::Tls12::Off,
            is_own: false,
            tap: crate::head::Tap::default(),
        }
    }

    #[test]
    fn recorded_information_systems_are_let_in_by_the_rule_of_their_client() {
        let Some(root) = recorded::vectors() else { return };
        // As the recorded consumer server was set up, where the messages show it.
        let clients = [
            client("DX/GOV/1001/PORTAL", IsAuthentication::NoSsl),
            client("DX/GOV/1001/ARCHIV", IsAuthentication::SslAuth),
        ];
        let registry = ClientRegistry::new(&clients, None).unwrap();
        let nobodys = ClientRegistry::default();
        let request = recorded::request(&root, "rest/get-no-body");
        assert!(
            registry
                .authenticate(request.client(), &connection(false))
                .is_ok()
        );
        for (case, registry, is_tls) in [
            ("rest-is-auth-http", &registry, false),
            ("rest-is-auth-no-cert", &registry, true),
            ("rest-unknown-client", &registry, false),
            // A client that waits for its registration is not listed at all.
            ("rest-client-saved", &nobodys, false),
        ] {
            let case = format!("consumer-refuses-is-request/{case}");
            let request = recorded::request(&root, &case);
            let refused = registry.authenticate(request.client(), &connection(is_tls));
            assert_eq!(
                refused.expect_err(&case).cause(),
                recorded::cause(&root, &case),
                "{case}"
            );
        }
    }

    #[test]
    fn a_recorded_request_for_a_provider_that_is_elsewhere_is_refused() {
        let Some(root) = recorded::vectors() else { return };
        let case = "provider-rest-message/unknown-provider";
        let registry =
            ClientRegistry::new(&[client("DX/COM/2002/SVC", IsAuthentication::NoSsl)], None).unwrap();
        // Named by the request inside; what the reader makes of it is tested where it belongs.
        let refused = registry.provider(&"DX/GOV/1001/PORTAL".parse().unwrap());
        assert_eq!(refused.expect_err(case).cause(), recorded::cause(&root, case));
    }
}
