//! The files a node is started from: sealed keys, certificates and `node.toml`.

use std::fs;
use std::net::SocketAddr;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use anyhow::{Context, Result};
use kontor_pki::certificate::Certificate;
use kontor_pki::crypto::random;
use kontor_pki::sealed::{MasterKey, seal_key};
use kontor_pki::signing::{KeyAlgorithm, SoftwareKey};

use crate::address::Net;
use crate::authority::{Authority, Validity, pem};
use crate::plan::{NodePlan, ServicePlan};

/// Where a node listens.
#[derive(Clone, Copy, Debug)]
pub(super) struct Listen {
    pub(super) is_http: SocketAddr,
    pub(super) is_https: SocketAddr,
    pub(super) federation: SocketAddr,
    pub(super) ocsp: SocketAddr,
    pub(super) health: SocketAddr,
    pub(super) administration: SocketAddr,
}

impl Listen {
    pub(super) fn on(net: &Net, host: u8) -> Self {
        Self {
            is_http: net.address(host, 8080),
            is_https: net.address(host, 8443),
            federation: net.address(host, 5500),
            ocsp: net.address(host, 5577),
            health: net.address(host, 9100),
            administration: net.address(host, 4000),
        }
    }
}

/// Writes everything that the node needs into `dir` and gives its authentication certificate.
pub(super) fn write_node(
    dir: &Path,
    plan: &NodePlan,
    listen: &Listen,
    authority: &Authority,
) -> Result<Certificate> {
    let keys = dir.join("keys");
    fs::create_dir_all(&keys)?;
    let master_bytes = random::<32>();
    let master = MasterKey::from_bytes(master_bytes);
    write_private(&dir.join("unseal.key"), &master_bytes)?;

    let key = |name: &str| -> Result<SoftwareKey> {
        let algorithm = match name {
            "auth" => plan.authentication,
            _ => KeyAlgorithm::EcdsaP256,
        };
        let key = SoftwareKey::generate(algorithm)?;
        write_private(&keys.join(format!("{name}.key")), &seal_key(&key, &master))?;
        Ok(key)
    };
    let certificate = |name: &str, certificate: &Certificate| {
        fs::write(keys.join(format!("{name}.pem")), pem(certificate.der()))
    };

    let issuer = if plan.below_intermediate {
        authority.below()?
    } else {
        authority.top()
    };
    let chain = |name: &str, leaf: &Certificate| {
        let mut text = pem(leaf.der());
        if plan.below_intermediate {
            // Operators put whole chains there.
            text += &pem(issuer.certificate().der());
            text += &pem(authority.ca_certificate().der());
        }
        fs::write(keys.join(format!("{name}.pem")), text)
    };
    let auth =
        authority.issue_authentication_by(&issuer, &key("auth")?, &plan.server_code(), Validity::Now)?;
    chain("auth", &auth)?;
    for member in plan.members() {
        let name = sign_name(plan, member);
        chain(
            &name,
            &authority.issue_signing_by(&issuer, &key(&name)?, member, Validity::Now)?,
        )?;
    }
    // Information systems compare the internal certificate as a whole: who issued it does not matter (wire 2.2).
    let internal = format!("internal-{}", plan.name);
    certificate(
        "internal",
        &authority.issue_authentication(&key("internal")?, &internal, Validity::Now)?,
    )?;

    for client in &plan.clients {
        for service in &client.services {
            if let Some(document) = &service.description {
                fs::write(dir.join(description_name(service)), document)?;
            }
        }
        for (index, der) in client.is_certificates.iter().enumerate() {
            fs::write(dir.join(format!("is-{}-{index}.pem", client.subsystem)), pem(der))?;
        }
    }
    fs::write(dir.join("node.toml"), toml(plan, listen)).context("writing node.toml")?;
    Ok(auth)
}

fn description_name(service: &ServicePlan) -> String {
    format!("openapi-{}.json", service.code)
}

/// What the files of a member's signing key are called.
fn sign_name(plan: &NodePlan, member: &str) -> String {
    match member == plan.member {
        true => "sign".into(),
        false => format!("sign-{member}"),
    }
}

/// Gives a node a new signing key with its certificate, as its member's operator does when the old one ends.
pub(super) fn renew_signing(dir: &Path, plan: &NodePlan, authority: &Authority) -> Result<()> {
    let master: [u8; 32] = fs::read(dir.join("unseal.key"))?
        .try_into()
        .map_err(|_| anyhow::anyhow!("the unseal secret has another length"))?;
    let key = SoftwareKey::generate(KeyAlgorithm::EcdsaP256)?;
    let sealed = seal_key(&key, &MasterKey::from_bytes(master));
    write_private(&dir.join("keys/sign.key"), &sealed)?;
    let certificate = authority.issue_signing(&key, &plan.member, Validity::Now)?;
    Ok(fs::write(dir.join("keys/sign.pem"), pem(certificate.der()))?)
}

fn write_private(path: &Path, bytes: &[u8]) -> Result<()> {
    fs::write(path, bytes)?;
    fs::set_permissions(path, fs::Permissions::from_mode(0o600))?;
    Ok(())
}

fn toml(plan: &NodePlan, listen: &Listen) -> String {
    let member = format!("{}/GOV/{}", plan.instance, plan.member);
    let mut text = format!(
        r#"format = 1
mode = "test"
[server]
owner = "{member}"
code = "{}"
[data]
dir = "data"
[listen]
is_http = "{}"
is_https = "{}"
federation = "{}"
ocsp = "{}"
health = "{}"
[keys]
unseal_file = "unseal.key"
[authentication]
key = "keys/auth.key"
certificate = "keys/auth.pem"
[internal_tls]
key = "keys/internal.key"
certificate = "keys/internal.pem"
[trust]
anchor = "anchor.xml"
refresh_seconds = {}
federations = {}
[ocsp]
refresh_seconds = {}
timeout_seconds = 1
[stop]
grace_seconds = 10
"#,
        plan.server_code(),
        listen.is_http,
        listen.is_https,
        listen.federation,
        listen.ocsp,
        listen.health,
        plan.trust_refresh_seconds,
        plan.federations,
        plan.ocsp_refresh_seconds,
    );
    if let Some(seconds) = plan.ledger_seconds {
        text.push_str(&format!(
            "[transparency]\nclient = \"{member}/ledger\"\ncheckpoint_seconds = {seconds}\n"
        ));
    }
    if let Some(lines) = &plan.casework {
        text.push_str(&format!(
            "[administration]\nlisten = \"{}\"\ntls = \"off\"\n[casework]\nclient = \"{member}/KONTOR\"\n{lines}\n",
            listen.administration
        ));
    }
    if !plan.federation.is_empty() {
        text.push_str(&format!("[federation]\n{}\n", plan.federation));
    }
    if !plan.timestamping.is_empty() {
        text.push_str(&format!("[timestamping]\n{}\n", plan.timestamping));
    }
    for code in plan.members() {
        let name = sign_name(plan, code);
        text.push_str(&format!(
            "[[member]]\nid = \"{}/GOV/{code}\"\nsign_key = \"keys/{name}.key\"\nsign_certificate = \"keys/{name}.pem\"\n",
            plan.instance
        ));
    }
    for client in &plan.clients {
        let certificates: Vec<_> = (0..client.is_certificates.len())
            .map(|index| format!("\"is-{}-{index}.pem\"", client.subsystem))
            .collect();
        text.push_str(&format!(
            "[[client]]\nid = \"{}/GOV/{}/{}\"\nis_authentication = \"{}\"\nis_certificates = [{}]\n",
            plan.instance,
            client.member,
            client.subsystem,
            client.is_authentication,
            certificates.join(", ")
        ));
        for service in &client.services {
            text.push_str(&format!(
                "[[client.service]]\ncode = \"{}\"\nurl = \"{}\"\ntimeout_seconds = {}\ndisabled = \"{}\"\n",
                service.code, service.url, service.timeout_seconds, service.disabled
            ));
            if service.description.is_some() {
                text.push_str(&format!("openapi = \"{}\"\n", description_name(service)));
            }
            for right in &service.rights {
                text.push_str(&format!(
                    "[[client.service.right]]\nsubject = \"{}\"\nmethod = \"{}\"\npath = '{}'\n",
                    right.subject, right.method, right.path
                ));
            }
        }
    }
    text
}
