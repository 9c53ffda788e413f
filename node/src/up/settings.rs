//! The configuration files that `kontor up` writes: complete, explained, and what a person would copy to go on.
//!
//! Written anew at every start, because the addresses may have changed.

use std::fmt::Write as _;

use super::layout::{
    INSTANCE, LEDGER, Layout, MEMBERS, Member, Places, REGIONS, SERVICE, SUBSYSTEM, TRAINING_CLOCK,
};
use super::prepare::PROFILE;
use crate::config::casework;

const WRITTEN: &str = "\
# Written by `kontor up` at every start; changes are lost. Copy the folder to begin a configuration of your own.
";

/// Who may use the interface of a member's casework: name of the key's file, holder and roles.
pub(super) const PRINCIPALS: [(&str, &str, &str); 6] = [
    ("intake", "system", "\"intake\""),
    ("worker", "person", "\"worker\", \"supervisor\""),
    ("releaser", "person", "\"worker\", \"releaser\""),
    ("officer", "person", "\"data_protection\""),
    ("coordinator", "person", "\"coordinator\""),
    ("specialist", "person", "\"specialist\""),
];

/// `directory.toml`: who is competent, as the samples need it.
pub(super) fn directory(layout: &Layout) -> String {
    let mut text = format!(
        "{WRITTEN}# Who is competent for what. Members and their competence are made up.\nversion = \"fiktiv-1\"\n"
    );
    for (member, region) in layout
        .members()
        .iter()
        .zip(REGIONS)
        .filter(|(member, _)| member.class == "GOV")
    {
        let _ = write!(
            text,
            "\n[[authority]]\nmember = \"{}\"\nname = \"{}\"\n[[authority.rule]]\nservices = [\"all\"]\nregions = [\"{region}\"]\n\
             since = \"2020-01-01\"\nsource = \"made up for this federation\"\n",
            member.id(),
            member.name
        );
    }
    text
}

/// `node.toml` of a member.
pub(super) fn node(layout: &Layout, index: usize, member: &Member, keys: &[[u8; 32]]) -> String {
    let listen = |port| layout.node(index, port);
    let plain = match layout.places {
        Places::Loopback(_) => ("on loopback only", ""),
        Places::Containers(_) => (
            "whoever is in this member's own network may send",
            "\nallow_plain = true",
        ),
    };
    let mut text = format!(
        r#"{WRITTEN}# {name}: every member, key and certificate here is fictional test data.
format = 1
mode = "test"

[server]
owner = "{owner}"
code = "{server}"

[data]
dir = "data"

[listen]
is_http = "{is_http}"
is_https = "{is_https}"
federation = "{federation}"
ocsp = "{ocsp}"
health = "{health}"

[keys]
unseal_file = "unseal.key"

[authentication]
key = "keys/auth.key"
certificate = "keys/auth.pem"

[internal_tls]
key = "keys/internal.key"
certificate = "keys/internal.pem"

[federation]
tls12 = "gcm"

[trust]
anchor = "anchor.xml"
refresh_seconds = 60

[transparency]
# In this name the node shows its checkpoints to the others, and co-signs theirs.
client = "{ledger}"

[administration]
# Where auditors look, each with a token: kontor log auditor grant --config FILE --help
listen = "{administration}"

[stop]
grace_seconds = 5

[[member]]
id = "{owner}"
sign_key = "keys/sign.key"
sign_certificate = "keys/sign.pem"

[[client]]
id = "{client}"
# Without TLS and without proof of who calls: {plain}.
is_authentication = "NOSSL"{allow}

[[client.service]]
code = "{SERVICE}"
url = "{url}"
timeout_seconds = 60
"#,
        name = member.name,
        owner = member.id(),
        server = member.server,
        is_http = listen(8080),
        is_https = listen(8443),
        federation = listen(5500),
        ocsp = listen(5577),
        health = listen(9100),
        administration = listen(4000),
        client = member.client(),
        ledger = member.ledger(),
        plain = plain.0,
        allow = plain.1,
        url = layout.applications_url(member),
    );
    let _ = write!(
        text,
        "\n[casework]\n# Cases, transfers and participation: https://{}/api/v1, with the keys in the folder desk.\nclient = \"{}\"\nregion = \"{}\"\n\
         directory = \"directory.toml\"\n",
        listen(4000),
        member.casework(),
        REGIONS[index]
    );
    if layout.training_clock().is_some() {
        let _ = write!(
            text,
            "# So that weeks need not be waited for: this file says by how many seconds the clock of cases and deadlines is ahead. All\n\
             # members read the same one; `kontor up pass --days N` moves it. Only a node in test mode takes it.\n\
             training_clock = \"../{TRAINING_CLOCK}\"\n"
        );
    }
    for ((name, holder, roles), key) in PRINCIPALS.iter().zip(keys) {
        let digest: String = key.iter().map(|byte| format!("{byte:02x}")).collect();
        let _ = write!(
            text,
            "\n[[casework.key]]\nname = \"{name}\"\nholder = \"{holder}\"\nsha256 = \"{digest}\"\nroles = [{roles}]\nexpires = \"2099-12-31\"\n"
        );
    }
    // The first municipality may hand in at the two others; nobody else may do anything.
    if index != 0 {
        let _ = write!(
            text,
            "\n[[client.service.right]]\nsubject = \"{}\"\nmethod = \"*\"\npath = \"**\"\n",
            MEMBERS[0].client()
        );
    }
    text
}

/// `authority.toml`.
pub(super) fn authority(layout: &Layout) -> String {
    let mut text = format!(
        r#"{WRITTEN}# The authority of a fictional federation: test trust, refused by nodes in production mode.
format = 1
instance = "{INSTANCE}"

[listen]
http = "{address}"
# How members reach it: stands in the configuration they read.
public = "{public}"

[keys]
unseal_file = "unseal.key"

[configuration]
# Signs for members and for other instances. To change it, or to have one of each, there is [[configuration_key]]:
# kontor authority key --help
key = "keys/configuration.key"
certificate = "keys/configuration.pem"
# All versions from this one to 6 are published. With 3 nobody is known by a SHA-1 digest any more, but members that read
# only version 2 stop.
oldest_version = 2
refresh_seconds = 60
expire_seconds = 600
# A copy of what is published, for `kontor verify --trust`.
trust_dir = "trust"

# Members of another instance may exchange with ours when its external anchor stands here and nodes admit it:
# [[federation]]
# anchor = "other-instance.xml"

[ca]
name = "Kontor Test CA (fiktiv)"
certificate = "ca.pem"
profile = "{profile}"
# Every certificate that was issued; others are unknown to the OCSP responder.
issued_dir = "issued"

[ocsp]
key = "keys/ocsp.key"
certificate = "keys/ocsp.pem"
freshness_seconds = 3600

[tsa]
name = "Kontor Test TSA (fiktiv)"
key = "keys/tsa.key"
certificate = "keys/tsa.pem"
interval_seconds = 60

[management]
# The format wants one; nothing answers there yet.
provider = "{management}"

[[member_class]]
code = "GOV"
description = "Municipalities and other public authorities"

[[member_class]]
code = "COM"
description = "Chambers and associations"
"#,
        address = layout.authority(),
        public = layout.authority_host(),
        profile = PROFILE.class_name(),
        management = MEMBERS[0].client(),
    );
    for member in layout.members() {
        let _ = write!(
            text,
            "\n[[member]]\nid = \"{}\"\nname = \"{}\"\nsubsystems = [\"{SUBSYSTEM}\", \"{LEDGER}\", \"{}\"]\n",
            member.id(),
            member.name,
            casework::SUBSYSTEM
        );
    }
    let members: Vec<String> = layout
        .members()
        .iter()
        .map(|member| format!("\"{}\"", member.casework()))
        .collect();
    let _ = write!(
        text,
        "\n# Who may hand applications over to each other.\n[[group]]\ncode = \"{}\"\ndescription = \"Casework\"\nmembers = [{}]\n",
        casework::GROUP,
        members.join(", ")
    );
    text += "\n# maintenance = \"Back at noon\" in a [[server]] tells everybody that it is not available.\n";
    for (index, member) in layout.members().iter().enumerate() {
        let _ = write!(
            text,
            "\n[[server]]\nowner = \"{}\"\ncode = \"{}\"\naddress = \"{}\"\n\
             authentication_certificates = [\"servers/{}.pem\"]\nclients = [\"{}\", \"{}\", \"{}\"]\n",
            member.id(),
            member.server,
            layout.node_host(index, member),
            member.code,
            member.client(),
            member.ledger(),
            member.casework()
        );
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::authority::registry::Registry;
    use crate::config::NodeConfig;

    /// A layout whose folders hold the file that the others name.
    fn layout(dir: &std::path::Path) -> Layout {
        let layout = Layout {
            dir: dir.into(),
            places: Places::Loopback(9),
        };
        for member in layout.members() {
            std::fs::create_dir_all(layout.node_dir(member)).unwrap();
            let path = layout.node_dir(member).join("directory.toml");
            std::fs::write(path, directory(&layout)).unwrap();
        }
        layout
    }

    #[test]
    fn every_file_that_is_written_can_be_read() {
        let dir = tempfile::tempdir().unwrap();
        let layout = layout(dir.path());
        for (index, member) in MEMBERS.iter().enumerate() {
            let path = layout.node_config(member);
            let keys = [7, 8, 9, 10, 11, 12].map(|of| [of; 32]);
            let config = NodeConfig::parse(&node(&layout, index, member, &keys), &path).unwrap();
            assert_eq!(config.server.to_string(), member.server_id());
            let casework = config.casework.unwrap();
            assert_eq!(casework.keys.len(), PRINCIPALS.len());
            let clock = std::path::absolute(casework.training_clock.unwrap()).unwrap();
            assert!(clock.ends_with("../training-clock"), "{}", clock.display());
        }
        let path = layout.authority_dir().join("authority.toml");
        let registry = Registry::parse(&authority(&layout), &path).unwrap();
        assert_eq!(registry.servers.len(), 4);
        assert_eq!(registry.groups[0].members.len(), 4);
        assert_eq!(registry.public_address, "127.77.9.1:4080");
    }

    #[test]
    fn only_the_first_municipality_has_rights_and_only_at_the_others() {
        let dir = tempfile::tempdir().unwrap();
        let layout = layout(dir.path());
        let rights = |index: usize| {
            let text = node(&layout, index, &MEMBERS[index], &[[7; 32]]);
            let config = NodeConfig::parse(&text, &layout.node_config(&MEMBERS[index])).unwrap();
            config.clients[0].services[0].rights.clone()
        };
        assert!(rights(0).is_empty());
        for index in [1, 2, 3] {
            assert_eq!(rights(index).len(), 1);
            assert!(format!("{:?}", rights(index)[0].subject).contains(MEMBERS[0].code));
        }
    }
}
