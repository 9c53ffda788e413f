//! Writing `shared-params.xml` in versions 2 to 6.
//!
//! Owns the order of the schemas, which version has which element, and the document-local ids. What Java reads it must find: the owner of a server is
//! not repeated among its clients unless the data says so.

use std::collections::HashMap;

use super::{AcmeServer, ApprovedCa, CaInfo, CostType, SharedParams};
use crate::id::ClientId;
use crate::trust::document::Writer;

pub(super) fn write(params: &SharedParams, version: u32) -> Vec<u8> {
    let mut w = Writer::new("conf");
    w.text("instanceIdentifier", &params.instance);
    let sources = if version >= 3 {
        params.sources.as_slice()
    } else {
        &[]
    };
    for source in sources {
        w.open("source");
        w.text("address", &source.address);
        for certificate in &source.internal_certificates {
            w.binary("internalVerificationCert", certificate);
        }
        for certificate in &source.external_certificates {
            w.binary("externalVerificationCert", certificate);
        }
        w.close("source");
    }
    for ca in &params.authorities {
        write_ca(&mut w, ca, version);
    }
    for tsa in &params.tsas {
        w.open("approvedTSA");
        w.text("name", &tsa.name);
        w.text("url", &tsa.url);
        w.binary("cert", &tsa.certificate);
        write_cost(&mut w, tsa.cost, version);
        w.close("approvedTSA");
    }
    let ids = write_members(&mut w, params, version);
    for server in &params.servers {
        w.open("securityServer");
        w.text(
            "owner",
            ids.get(&server.id.owner().clone().into())
                .map_or("", String::as_str),
        );
        w.text("serverCode", server.id.code());
        if let Some(address) = &server.address {
            w.text("address", address);
        }
        for hash in &server.authentication_hashes {
            w.binary("authCertHash", hash);
        }
        for client in &server.clients {
            w.text("client", ids.get(client).map_or("", String::as_str));
        }
        if let Some(message) = server.maintenance.as_ref().filter(|_| version >= 5) {
            w.open("inMaintenanceMode");
            if !message.is_empty() {
                w.text("message", message);
            }
            w.close("inMaintenanceMode");
        }
        w.close("securityServer");
    }
    for group in &params.groups {
        w.open("globalGroup");
        w.text("groupCode", group.id.code());
        w.text("description", &group.description);
        for member in &group.members {
            w.client_id("groupMember", member);
        }
        w.close("globalGroup");
    }
    w.open("globalSettings");
    for class in &params.settings.member_classes {
        w.open("memberClass");
        w.text("code", &class.code);
        w.text("description", &class.description);
        w.close("memberClass");
    }
    w.text(
        "ocspFreshnessSeconds",
        &params.settings.ocsp_freshness_seconds.to_string(),
    );
    w.close("globalSettings");
    w.finish("conf")
}

fn write_ca(w: &mut Writer, ca: &ApprovedCa, version: u32) {
    w.open("approvedCA");
    w.text("name", &ca.name);
    w.text(
        "authenticationOnly",
        if ca.authentication_only { "true" } else { "false" },
    );
    write_ca_info(w, "topCA", &ca.top, version);
    for intermediate in &ca.intermediates {
        write_ca_info(w, "intermediateCA", intermediate, version);
    }
    w.text("certificateProfileInfo", &ca.profile_class);
    if let Some(format) = ca.csr_format.filter(|_| version >= 6) {
        w.text("defaultCsrFormat", format.name());
    }
    if let Some(acme) = ca.acme.as_ref().filter(|_| version >= 3) {
        write_acme(w, acme, version);
    }
    w.close("approvedCA");
}

fn write_acme(w: &mut Writer, acme: &AcmeServer, version: u32) {
    w.open("acmeServer");
    w.text("directoryURL", &acme.directory_url);
    if let Some(address) = &acme.ip_address {
        w.text("ipAddress", address);
    }
    if version >= 4 {
        if let Some(profile) = &acme.authentication_profile {
            w.text("authenticationCertificateProfileId", profile);
        }
        if let Some(profile) = &acme.signing_profile {
            w.text("signingCertificateProfileId", profile);
        }
    }
    w.close("acmeServer");
}

fn write_cost(w: &mut Writer, cost: Option<CostType>, version: u32) {
    if let Some(cost) = cost.filter(|_| version >= 6) {
        w.text("costType", cost.name());
    }
}

fn write_ca_info(w: &mut Writer, name: &str, info: &CaInfo, version: u32) {
    w.open(name);
    w.binary("cert", &info.certificate);
    for ocsp in &info.ocsp {
        w.open("ocsp");
        w.text("url", &ocsp.url);
        if let Some(certificate) = &ocsp.certificate {
            w.binary("cert", certificate);
        }
        write_cost(w, ocsp.cost, version);
        w.close("ocsp");
    }
    w.close(name);
}

/// Writes the members and returns the ids they were given.
///
/// A server or client that refers to nobody gets an empty reference, which every reader refuses: the data of whoever
/// built it is broken, and must not be published.
fn write_members(w: &mut Writer, params: &SharedParams, version: u32) -> HashMap<ClientId, String> {
    let mut ids: HashMap<ClientId, String> = HashMap::new();
    let mut next = 0..;
    let mut fresh = || format!("id{}", next.next().unwrap_or(u64::MAX));
    for member in &params.members {
        let id = fresh();
        w.open_with("member", "id", &id);
        ids.insert(member.id.clone().into(), id);
        w.open("memberClass");
        w.text("code", member.id.class());
        let description = params
            .settings
            .member_classes
            .iter()
            .find(|c| c.code == member.id.class());
        w.text(
            "description",
            description.map_or(member.id.class(), |c| &c.description),
        );
        w.close("memberClass");
        w.text("memberCode", member.id.code());
        w.text("name", &member.name);
        for subsystem in &member.subsystems {
            let id = fresh();
            w.open_with("subsystem", "id", &id);
            w.text("subsystemCode", &subsystem.code);
            if let Some(name) = subsystem.name.as_ref().filter(|_| version >= 5) {
                w.text("subsystemName", name);
            }
            w.close("subsystem");
            if let Ok(client) = ClientId::subsystem_of(member.id.clone(), &subsystem.code) {
                ids.insert(client, id);
            }
        }
        w.close("member");
    }
    ids
}
