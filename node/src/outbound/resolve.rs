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

/// The servers at which a provider is registered, in random order; one if the consumer named it.
pub(super) fn candidates(
    trust: &TrustSet,
    provider: &ClientId,
    wanted: Option<&ServerId>,
    shuffle: u64,
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
    let mut open: Vec<_> = found
        .into_iter()
        .filter(|(s, _)| s.maintenance.as_ref().is_none())
        .map(|(_, c)| c)
        .collect();
    let first = usize::try_from(shuffle % open.len() as u64).unwrap_or(0);
    open.rotate_left(first);
    Ok(open)
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
    use super::*;
    use crate::recorded;

    #[test]
    fn recorded_requests_find_the_servers_of_their_provider_or_none() {
        let Some(root) = recorded::vectors() else { return };
        let trust = recorded::trust(&root);
        let find = |case: &str| {
            let request = recorded::request(&root, case);
            let wanted = request.security_server()?;
            let found = candidates(&trust, request.service().provider(), wanted.as_ref(), 1)?;
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
}
