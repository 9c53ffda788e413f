//! Times what a node looks up in the global configuration for every message, in a large one: 10,000 members, 30,000 subsystems,
//! 2,000 servers, a group of all subsystems. Prints nanoseconds for each and ends with 1 when one takes longer than 10 µs.
//!
//! `cargo run --release -p kontor-protocol --example lookup`

#![expect(clippy::print_stdout, reason = "its output is what it is for")]

use std::error::Error;
use std::hint::black_box;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use kontor_pki::authority::{CaParams, CertificateAuthority, Validity};
use kontor_pki::certificate::Certificate;
use kontor_pki::crypto::sha256;
use kontor_pki::profile::Subject;
use kontor_pki::signing::{KeyAlgorithm, SigningKey as _, SoftwareKey};
use kontor_pki::time::UnixTime;
use kontor_protocol::id::{ClientId, GroupId, MemberId, ServerId};
use kontor_protocol::trust::optional::OptionalParts;
use kontor_protocol::trust::shared::{GlobalGroup, Member, SecurityServer, SharedParams, Subsystem};
use kontor_protocol::trust::{InstanceConfig, TrustSet};

const MEMBERS: usize = 10_000;
const SUBSYSTEMS: usize = 3;
const SERVERS: usize = 2_000;
/// Certificates of servers that are looked up; more would only take time to make.
const CERTIFICATES: usize = 64;
const ROUNDS: usize = 200_000;
const LIMIT: Duration = Duration::from_micros(10);

fn main() -> Result<ExitCode, Box<dyn Error>> {
    let certificates = certificates()?;
    let clients: Vec<ClientId> = (0..MEMBERS)
        .flat_map(|member| {
            (0..SUBSYSTEMS).map(move |subsystem| format!("DE/GOV/{member}/s{subsystem}").parse())
        })
        .collect::<Result<_, _>>()?;
    let servers: Vec<ServerId> = (0..SERVERS)
        .map(|server| format!("DE/GOV/{}/ss{server}", owner(server)).parse())
        .collect::<Result<_, _>>()?;
    let group: GroupId = "DE/all".parse()?;
    let trust = trust(&certificates, &clients, &servers, &group)?;

    let client = |round: usize| &clients[round.wrapping_mul(7919) % clients.len()];
    let server = |round: usize| &servers[round.wrapping_mul(7919) % servers.len()];
    let mut slowest = Duration::ZERO;
    let mut time = |what: &str, lookup: &dyn Fn(usize) -> bool| -> Result<(), String> {
        let begun = Instant::now();
        for round in 0..ROUNDS {
            if !black_box(lookup(round)) {
                return Err(format!("{what}: nothing was found in round {round}"));
            }
        }
        let each = begun.elapsed() / u32::try_from(ROUNDS).unwrap_or(u32::MAX);
        println!("{:>8} ns  {what}", each.as_nanos());
        slowest = slowest.max(each);
        Ok(())
    };
    time("the servers of a subsystem", &|round| {
        !trust.servers_of(client(round)).is_empty()
    })?;
    time("a server by its identifier", &|round| {
        trust.server(server(round)).is_some()
    })?;
    time("the server of an authentication certificate", &|round| {
        trust
            .server_by_auth_cert(&certificates[round % CERTIFICATES])
            .is_some()
    })?;
    time("whether a certificate is registered for a subsystem", &|round| {
        let at = round % CERTIFICATES;
        trust.is_auth_cert_registered(&certificates[at], &clients[at * SUBSYSTEMS])
    })?;
    time("whether a subsystem is in the group of all", &|round| {
        trust.group_contains(&group, client(round))
    })?;
    time("the name of a member", &|round| {
        trust.member_name(client(round).member()).is_some()
    })?;
    println!(
        "the slowest takes {} ns; the limit is {} ns",
        slowest.as_nanos(),
        LIMIT.as_nanos()
    );
    Ok(if slowest < LIMIT {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}

/// Owners are spread over the members.
fn owner(server: usize) -> usize {
    server * (MEMBERS / SERVERS)
}

fn certificates() -> Result<Vec<Certificate>, Box<dyn Error>> {
    let now = UnixTime::from_secs(1_750_000_000);
    let ca = CertificateAuthority::generate(&CaParams {
        name: "Lookup CA".into(),
        organization: "Fictional".into(),
        test: true,
        key: KeyAlgorithm::EcdsaP256,
        validity: Validity::days(now, 10),
    })?;
    let key = SoftwareKey::generate(KeyAlgorithm::EcdsaP256)?;
    (0..CERTIFICATES)
        .map(|index| {
            let subject = Subject::common_name(format!("ss{index}"));
            Ok(ca.issue_authentication(key.public_key(), subject, &[], Validity::days(now, 5))?)
        })
        .collect()
}

/// The member `m` has its subsystems at the server `m % SERVERS`, whose certificate is the one of that number.
fn trust(
    certificates: &[Certificate],
    clients: &[ClientId],
    servers: &[ServerId],
    group: &GroupId,
) -> Result<TrustSet, Box<dyn Error>> {
    let members = (0..MEMBERS)
        .map(|code| {
            Ok(Member {
                id: format!("DE/GOV/{code}").parse::<MemberId>()?,
                name: format!("Fictional member {code}"),
                subsystems: (0..SUBSYSTEMS)
                    .map(|code| Subsystem {
                        code: format!("s{code}"),
                        name: None,
                    })
                    .collect(),
            })
        })
        .collect::<Result<_, Box<dyn Error>>>()?;
    let servers = servers.iter().enumerate().map(|(index, id)| SecurityServer {
        id: id.clone(),
        address: Some(format!("ss{index}.example")),
        authentication_hashes: vec![match certificates.get(index) {
            Some(certificate) => certificate.sha256().to_vec(),
            None => sha256(&index.to_le_bytes()).to_vec(),
        }],
        clients: clients
            .chunks(SUBSYSTEMS)
            .skip(index)
            .step_by(SERVERS)
            .flatten()
            .cloned()
            .collect(),
        maintenance: None,
    });
    let shared = SharedParams {
        instance: "DE".to_owned(),
        members,
        servers: servers.collect(),
        groups: vec![GlobalGroup {
            id: group.clone(),
            description: "all".to_owned(),
            members: clients.to_vec(),
        }],
        ..SharedParams::default()
    };
    let config = InstanceConfig {
        instance: "DE".to_owned(),
        shared,
        private: None,
        optional: OptionalParts::default(),
        version: 6,
        expires: None,
    };
    Ok(TrustSet::new("DE", vec![config])?)
}
