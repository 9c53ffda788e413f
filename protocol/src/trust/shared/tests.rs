use proptest::prelude::*;

use super::*;

const HEAD: &str = r#"<xrd:conf xmlns:xrd="http://x-road.eu/xsd/xroad.xsd" xmlns:id="http://x-road.eu/xsd/identifiers"><instanceIdentifier>DE</instanceIdentifier>"#;
const MEMBER: &str = r#"<member id="i0"><memberClass><code>GOV</code><description/></memberClass><memberCode>1</memberCode><name>A</name><subsystem id="i1"><subsystemCode>S</subsystemCode></subsystem></member>"#;
const TAIL: &str =
    "<globalSettings><ocspFreshnessSeconds>3600</ocspFreshnessSeconds></globalSettings></xrd:conf>";

fn v2(middle: &str) -> Result<SharedParams, DocumentError> {
    SharedParams::read(format!("{HEAD}{middle}{TAIL}").as_bytes(), 2)
}

fn server(inner: &str) -> String {
    format!("{MEMBER}<securityServer>{inner}</securityServer>")
}

#[test]
fn a_small_document_is_read() {
    let read = v2(&server(
        "<owner>i0</owner><serverCode>s</serverCode><authCertHash>AAECAw==</authCertHash><client>i1</client>",
    ))
    .unwrap();
    assert_eq!(read.servers[0].id.to_string(), "DE/GOV/1/s");
    assert_eq!(read.servers[0].clients[0].to_string(), "DE/GOV/1/S");
    assert_eq!(read.servers[0].authentication_hashes, [vec![0, 1, 2, 3]]);
}

#[test]
fn what_the_schema_refuses_is_refused() {
    let code = |middle: &str| v2(middle).unwrap_err().code();
    assert_eq!(code(&format!("{MEMBER}{MEMBER}")), "schema", "duplicate id");
    assert_eq!(
        code(&server("<owner>i7</owner><serverCode>s</serverCode>")),
        "schema",
        "dangling owner"
    );
    assert_eq!(
        code(&server("<owner>i1</owner><serverCode>s</serverCode>")),
        "schema",
        "owner is a subsystem"
    );
    assert_eq!(code(&server("<owner>i0</owner>")), "schema", "missing element");
    assert_eq!(
        code(&server("<serverCode>s</serverCode><owner>i0</owner>")),
        "schema",
        "order"
    );
    let hash = "<owner>i0</owner><serverCode>s</serverCode><authCertHash>A!</authCertHash>";
    assert_eq!(code(&server(hash)), "schema", "base64");
    assert_eq!(code("<foo/>"), "schema", "foreign element in the middle");
    assert_eq!(code("text"), "schema", "text between elements");
    let source = "<source><address>a</address></source>";
    assert_eq!(code(source), "schema", "an element of a later version");
    let root = TAIL.replace("conf", "other");
    let other = format!("{}{root}", HEAD.replace(":conf", ":other"));
    assert_eq!(
        SharedParams::read(other.as_bytes(), 2).unwrap_err(),
        DocumentError::Root("conf")
    );
    let dtd = format!("<!DOCTYPE a>{HEAD}{TAIL}");
    assert_eq!(
        SharedParams::read(dtd.as_bytes(), 2).unwrap_err(),
        DocumentError::Doctype
    );
    assert_eq!(SharedParams::read(b"", 7).unwrap_err(), DocumentError::Version(7));
}

#[test]
fn extensions_after_the_settings_are_skipped() {
    let text = format!("{HEAD}{TAIL}").replace("</xrd:conf>", "<x><y/></x></xrd:conf>");
    assert!(SharedParams::read(text.as_bytes(), 2).is_ok());
}

#[test]
fn a_member_nobody_can_address_is_left_out_with_what_refers_to_it() {
    let bad = MEMBER
        .replace("<memberCode>1<", "<memberCode>1/2<")
        .replace("i0", "i2")
        .replace("i1", "i3");
    let read = v2(&format!(
        "{bad}{MEMBER}<securityServer><owner>i2</owner><serverCode>s</serverCode></securityServer>\
         <securityServer><owner>i0</owner><serverCode>s</serverCode><client>i3</client></securityServer>"
    ))
    .unwrap();
    assert_eq!(
        (
            read.members.len(),
            read.servers.len(),
            read.servers[0].clients.len()
        ),
        (1, 1, 0)
    );
    assert_eq!(read.left_out.len(), 2, "{:?}", read.left_out);
}

#[test]
fn a_certificate_may_be_encoded_pem() {
    let pem = "-----BEGIN CERTIFICATE-----\nAAEC\n-----END CERTIFICATE-----\n";
    let encoded = base64::Engine::encode(&base64::engine::general_purpose::STANDARD, pem);
    let read = v2(&format!(
        "<approvedTSA><name>n</name><url>u</url><cert>{encoded}</cert></approvedTSA>"
    ));
    assert_eq!(read.unwrap().tsas[0].certificate, [0, 1, 2]);
}

prop_compose! {
    fn certificate()(bytes in prop::collection::vec(any::<u8>(), 0..40)) -> Vec<u8> { bytes }
}

/// Text as names and codes have it: anything printable, no slash.
fn word() -> impl Strategy<Value = String> {
    "[^\\p{C}/]{1,12}"
}

fn cost() -> impl Strategy<Value = Option<CostType>> {
    prop::option::of(prop::sample::select(CostType::ALL.to_vec()))
}

prop_compose! {
    fn acme()(
        directory_url in "[!-~]{1,20}",
        optional in prop::array::uniform3(prop::option::of("\\PC{0,12}")),
    ) -> AcmeServer {
        let [ip_address, authentication_profile, signing_profile] = optional;
        AcmeServer { directory_url, ip_address, authentication_profile, signing_profile }
    }
}

prop_compose! {
    fn ca_info()(
        certificate in certificate(),
        ocsp in prop::collection::vec(("[!-~]{0,20}", prop::option::of(certificate()), cost()), 0..3),
    ) -> CaInfo {
        let ocsp = ocsp.into_iter().map(|(url, certificate, cost)| OcspInfo { url, certificate, cost }).collect();
        CaInfo { certificate, ocsp }
    }
}

prop_compose! {
    fn authority()(
        name in "\\PC{0,20}",
        authentication_only in any::<bool>(),
        top in ca_info(),
        intermediates in prop::collection::vec(ca_info(), 0..2),
        profile_class in "[a-zA-Z.]{0,30}",
        csr_format in prop::option::of(prop::sample::select(CsrFormat::ALL.to_vec())),
        acme in prop::option::of(acme()),
    ) -> ApprovedCa {
        ApprovedCa { name, authentication_only, top, intermediates, profile_class, csr_format, acme }
    }
}

prop_compose! {
    fn params()(
        instance in word(),
        sources in prop::collection::vec(("\\PC{1,20}", certificate(), certificate()), 1..3),
        authorities in prop::collection::vec(authority(), 0..3),
        tsas in prop::collection::vec(("\\PC{0,9}", "[!-~]{0,20}", certificate(), cost()), 0..2),
        people in prop::collection::btree_map((word(), word()),
            ("\\PC{0,20}", prop::collection::btree_map(word(), prop::option::of("\\PC{0,12}"), 0..3)), 1..4),
        servers in prop::collection::vec(
            (word(), any::<prop::sample::Index>(), certificate(), prop::option::of("\\PC{0,12}")), 0..3),
        seconds in any::<u32>(),
        class in word(),
    ) -> SharedParams {
        let members: Vec<Member> = people.into_iter().map(|((class, code), (name, subsystems))| Member {
            id: MemberId::new(&instance, &class, &code).unwrap(),
            name,
            subsystems: subsystems.into_iter().map(|(code, name)| Subsystem { code, name }).collect(),
        }).collect();
        let clients: Vec<ClientId> = members.iter().flat_map(|m| {
            let subsystems = m.subsystems.iter().map(|s| ClientId::subsystem_of(m.id.clone(), &s.code).unwrap());
            std::iter::once(ClientId::from(m.id.clone())).chain(subsystems)
        }).collect();
        let servers = servers.into_iter().map(|(code, owner, hash, maintenance)| SecurityServer {
            id: ServerId::new(owner.get(&members).id.clone(), &code).unwrap(),
            address: Some("127.0.0.1".to_owned()),
            authentication_hashes: vec![hash],
            clients: clients.clone(),
            maintenance,
        }).collect();
        let groups = vec![GlobalGroup {
            id: GroupId::new(&instance, "all").unwrap(),
            description: "everybody".to_owned(),
            members: clients,
        }];
        SharedParams {
            sources: sources.into_iter().map(|(address, internal, external)| ConfigurationSource {
                address, internal_certificates: vec![internal], external_certificates: vec![external],
            }).collect(),
            authorities,
            tsas: tsas.into_iter().map(|(name, url, certificate, cost)| {
                ApprovedTsa { name, url, certificate, cost }
            }).collect(),
            members,
            servers,
            groups,
            settings: GlobalSettings {
                member_classes: vec![MemberClass { code: class, description: "d".to_owned() }],
                ocsp_freshness_seconds: seconds,
            },
            left_out: Vec::new(),
            instance,
        }
    }
}

/// What of a document a version has room for (wire 7.6).
fn known_in(version: u32, mut params: SharedParams) -> SharedParams {
    let SharedParams {
        sources,
        authorities,
        tsas,
        members,
        servers,
        ..
    } = &mut params;
    if version < 3 {
        sources.clear();
    }
    for ca in authorities {
        ca.csr_format = ca.csr_format.filter(|_| version >= 6);
        ca.acme = ca.acme.take().filter(|_| version >= 3);
        if let Some(acme) = ca.acme.as_mut().filter(|_| version < 4) {
            acme.authentication_profile = None;
            acme.signing_profile = None;
        }
        for ocsp in ca
            .intermediates
            .iter_mut()
            .chain([&mut ca.top])
            .flat_map(|i| &mut i.ocsp)
        {
            ocsp.cost = ocsp.cost.filter(|_| version >= 6);
        }
    }
    for tsa in tsas {
        tsa.cost = tsa.cost.filter(|_| version >= 6);
    }
    for subsystem in members.iter_mut().flat_map(|m| &mut m.subsystems) {
        subsystem.name = subsystem.name.take().filter(|_| version >= 5);
    }
    for server in servers {
        server.maintenance = server.maintenance.take().filter(|_| version >= 5);
    }
    params
}

proptest! {
    #[test]
    fn each_version_says_what_its_schema_has_and_nothing_else(params in params()) {
        for version in 2..=NEWEST_VERSION {
            let xml = params.to_xml_in(version).unwrap();
            prop_assert_eq!(SharedParams::read(&xml, version).unwrap(), known_in(version, params.clone()));
            // What an older reader is given it must not have to skip.
            if version > 2 {
                prop_assert!(SharedParams::read(&xml, 2).is_err());
            }
        }
        let newest = params.to_xml_in(NEWEST_VERSION).unwrap();
        prop_assert_eq!(SharedParams::read_unversioned(&newest).unwrap(), (params.clone(), NEWEST_VERSION));
        prop_assert_eq!(SharedParams::read_unversioned(&params.to_xml_in(2).unwrap()).unwrap().1, 2);
        prop_assert_eq!(params.to_xml(), params.to_xml_in(3).unwrap());
        prop_assert_eq!(params.to_xml_in(1), Err(DocumentError::Version(1)));
        prop_assert_eq!(params.to_xml_in(7), Err(DocumentError::Version(7)));
    }

    #[test]
    fn arbitrary_bytes_never_panic(bytes in prop::collection::vec(any::<u8>(), 0..300), version in 0u32..9) {
        let _ = SharedParams::read(&bytes, version);
    }

    #[test]
    fn a_damaged_document_never_panics(params in params(), at in any::<prop::sample::Index>(), byte in any::<u8>()) {
        let mut xml = params.to_xml();
        let at = at.index(xml.len());
        xml[at] = byte;
        let _ = SharedParams::read(&xml, 3);
        xml.truncate(at);
        let _ = SharedParams::read(&xml, 3);
    }
}
