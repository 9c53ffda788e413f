//! Which servers may be asked for a service, in which order (wire 3.2).

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use kontor_protocol::fault::{Fault, FaultCode};
use kontor_protocol::id::{ClientId, ServerId};
use kontor_protocol::trust::TrustSet;

/// Port of the message transport, fixed by X-Road.
const PORT: u16 = 5500;
const LOOKUP: Duration = Duration::from_secs(10);

/// A server that may be asked.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) struct Candidate {
    /// The server.
    pub(super) server: ServerId,
    /// Host name or address as global configuration gives it.
    pub(super) host: String,
}

/// The servers at which a provider is registered and that are not in maintenance, in file order; one if the consumer named it.
pub(super) fn candidates(
    trust: &TrustSet,
    provider: &ClientId,
    wanted: Option<&ServerId>,
) -> Result<Vec<Candidate>, Fault> {
    if trust.instance(provider.member().instance()).is_none() {
        return Err(unknown(
            provider,
            "its instance is not part of global configuration",
        ));
    }
    let mut found: Vec<_> = trust
        .servers_of(provider)
        .into_iter()
        .filter(|s| s.address.as_deref().is_some_and(|a| !a.trim().is_empty()))
        .map(|s| {
            (
                s,
                Candidate {
                    server: s.id.clone(),
                    host: s.address.as_deref().unwrap_or_default().trim().to_owned(),
                },
            )
        })
        .collect();
    if found.is_empty() {
        return Err(unknown(provider, "no security server offers it"));
    }
    if let Some(wanted) = wanted {
        found.retain(|(_, candidate)| &candidate.server == wanted);
        if found.is_empty() {
            return Err(Fault::new(
                FaultCode::InvalidSecurityServer,
                format!(
                    "{} is no security server of {provider}; correct X-Road-Security-Server",
                    wanted
                ),
            ));
        }
    }
    if let Some(notice) = found.iter().find_map(|(s, _)| s.maintenance.as_ref())
        && found.iter().all(|(s, _)| s.maintenance.as_ref().is_some())
    {
        return Err(Fault::new(
            FaultCode::MaintenanceMode,
            format!("the provider's security server is in maintenance mode: {notice}"),
        ));
    }
    let open = found.into_iter().filter(|(s, _)| s.maintenance.is_none());
    Ok(open.map(|(_, candidate)| candidate).collect())
}

/// Addresses of a host, port 5500.
pub(super) async fn addresses(host: &str) -> Result<Vec<SocketAddr>, Fault> {
    if let Ok(ip) = host.parse::<IpAddr>() {
        return Ok(vec![SocketAddr::new(ip, PORT)]);
    }
    let failed = |reason: String| {
        Fault::new(
            FaultCode::NetworkError,
            format!("the provider's server {host} has no address: {reason}"),
        )
    };
    let found = tokio::time::timeout(LOOKUP, tokio::net::lookup_host((host, PORT)))
        .await
        .map_err(|_| failed("the name service did not answer".into()))?
        .map_err(|e| failed(e.to_string()))?;
    Ok(found.collect())
}

fn unknown(provider: &ClientId, why: &str) -> Fault {
    Fault::new(
        FaultCode::UnknownMember,
        format!("no security server is known for {provider}: {why}"),
    )
}

#[cfg(test)]
mod tests {
    use kontor_protocol::trust::InstanceConfig;
    use kontor_protocol::trust::optional::OptionalParts;
    use kontor_protocol::trust::shared::{SecurityServer, SharedParams};

    use super::*;
    use crate::recorded;

    #[test]
    fn recorded_requests_find_the_servers_of_their_provider_or_none() {
        let Some(root) = recorded::vectors() else { return };
        let trust = recorded::trust(&root);
        let find = |case: &str| {
            let request = recorded::request(&root, case);
            let wanted = request.security_server()?;
            let found = candidates(&trust, request.service().provider(), wanted.as_ref())?;
            let servers: Vec<_> = found.iter().map(|one| one.server.to_string()).collect();
            Ok::<_, Fault>(servers)
        };
        for (case, server) in [
            ("rest/get-no-body", "DX/COM/2002/ss2"),
            ("rest/get-target-server", "DX/COM/2002/ss2"),
            ("rest/federated", "FX/GOV/9001/fxss"),
        ] {
            assert_eq!(find(case), Ok(vec![server.to_owned()]), "{case}");
        }
        for case in ["rest-unknown-provider", "rest-target-server-other"] {
            let case = format!("consumer-refuses-is-request/{case}");
            let refused = find(&case).expect_err(&case);
            assert_eq!(refused.cause(), recorded::cause(&root, &case), "{case}");
        }
    }

    fn in_maintenance(notices: [Option<&str>; 2]) -> TrustSet {
        let server = |code: &str, notice: Option<&str>| SecurityServer {
            id: format!("DE/GOV/1001/{code}").parse().unwrap(),
            address: Some(format!("{code}.example")),
            authentication_hashes: vec![],
            clients: vec![],
            maintenance: notice.map(str::to_owned),
        };
        let [one, two] = notices;
        let config = InstanceConfig {
            instance: "DE".into(),
            shared: SharedParams {
                instance: "DE".into(),
                servers: vec![server("ss1", one), server("ss2", two)],
                ..SharedParams::default()
            },
            private: None,
            optional: OptionalParts::default(),
            version: 5,
            expires: None,
        };
        TrustSet::new("DE", vec![config]).unwrap()
    }

    #[test]
    fn servers_in_maintenance_are_passed_over_and_named_where_no_other_is_left() {
        let provider = "DE/GOV/1001".parse().unwrap();
        let hosts = |trust: &TrustSet, wanted: Option<&str>| {
            let wanted = wanted.map(|id| id.parse().unwrap());
            let found = candidates(trust, &provider, wanted.as_ref())?;
            Ok::<_, Fault>(found.into_iter().map(|one| one.host).collect::<Vec<_>>())
        };
        let both = in_maintenance([None, None]);
        assert_eq!(hosts(&both, None).unwrap(), ["ss1.example", "ss2.example"]);
        let one = in_maintenance([Some("until noon"), None]);
        assert_eq!(hosts(&one, None).unwrap(), ["ss2.example"]);
        let named = hosts(&one, Some("DE/GOV/1001/ss1")).unwrap_err();
        assert_eq!(named.cause(), FaultCode::MaintenanceMode);
        assert!(named.text().contains("until noon"), "{named:?}");
        let none = in_maintenance([Some(""), Some("until noon")]);
        assert_eq!(
            hosts(&none, None).unwrap_err().cause(),
            FaultCode::MaintenanceMode
        );
    }
}
