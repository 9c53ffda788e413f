//! The global configuration that the suite's authority hands out: anchor, signed directory, shared and private parameters.
//!
//! Owns the bytes of wire 7.1, 7.3, 7.6 and 7.7 (version 3) as a tester writes them; refuses nothing: a wrong signature or
//! a date in the past are cases.

use base64::prelude::{BASE64_STANDARD, Engine};
use kontor_pki::UnixTime;
use kontor_pki::crypto::{sha256, sha512};

const XROAD: &str = "http://x-road.eu/xsd/xroad.xsd";
const SHA512_URI: &str = "http://www.w3.org/2001/04/xmlenc#sha512";

/// A member and its subsystems.
#[derive(Clone, Debug)]
pub struct Member {
    pub class: String,
    pub code: String,
    pub subsystems: Vec<String>,
}

/// A security server: who owns it, where it is, whose certificates and clients it has.
#[derive(Clone, Debug)]
pub struct Server {
    pub owner: (String, String),
    pub code: String,
    pub address: String,
    /// DER of its authentication certificates.
    pub certificates: Vec<Vec<u8>>,
    /// Clients as class, member code, subsystem.
    pub clients: Vec<(String, String, String)>,
}

/// A global group and its members as class, code and subsystem.
#[derive(Clone, Debug)]
pub struct Group {
    pub code: String,
    pub members: Vec<(String, String, String)>,
}

/// What the authority knows, ready to be written.
#[derive(Clone, Debug)]
pub struct Directory {
    pub instance: String,
    /// Host and port of the authority.
    pub address: String,
    /// DER of the certificate whose key signs the directory.
    pub verification_certificate: Vec<u8>,
    /// The same of a key that signs later.
    pub announced_certificate: Option<Vec<u8>>,
    /// Contents of the anchors of instances that this one trusts.
    pub federated: Vec<String>,
    pub ca_certificate: Vec<u8>,
    /// An authority below it, whose responder is the same.
    pub intermediate_certificate: Option<Vec<u8>>,
    pub ocsp_certificate: Vec<u8>,
    pub tsa_certificate: Vec<u8>,
    pub ocsp_freshness_seconds: u32,
    pub members: Vec<Member>,
    pub servers: Vec<Server>,
    pub groups: Vec<Group>,
}

impl Directory {
    /// The anchor that a node starts from.
    pub fn anchor(&self) -> String {
        format!(
            "<ns:configurationAnchor xmlns:ns=\"{XROAD}\">{}</ns:configurationAnchor>",
            self.anchor_for("internalconf")
        )
    }

    /// What stands in an anchor of this configuration; another instance takes it as `externalconf`.
    pub fn anchor_for(&self, page: &str) -> String {
        format!(
            "<instanceIdentifier>{}</instanceIdentifier><source><downloadURL>http://{}/{page}</downloadURL>\
             <verificationCert>{}</verificationCert></source>",
            self.instance,
            self.address,
            BASE64_STANDARD.encode(&self.verification_certificate),
        )
    }

    /// shared-params.xml, version 3.
    pub fn shared(&self) -> String {
        let keys = [
            Some(&self.verification_certificate),
            self.announced_certificate.as_ref(),
        ];
        let named = |element: &str| {
            let keys = keys.iter().flatten().map(|der| BASE64_STANDARD.encode(der));
            keys.map(|key| format!("<{element}>{key}</{element}>"))
                .collect::<String>()
        };
        let below = self.intermediate_certificate.as_ref().map_or(String::new(), |der| {
            format!(
                "<intermediateCA><cert>{}</cert><ocsp><url>http://{}/ocsp</url><cert>{}</cert></ocsp></intermediateCA>",
                BASE64_STANDARD.encode(der),
                self.address,
                BASE64_STANDARD.encode(&self.ocsp_certificate)
            )
        });
        let mut xml = format!(
            "<?xml version=\"1.0\" encoding=\"UTF-8\" standalone=\"yes\"?>\n<ns:conf xmlns:ns=\"{XROAD}\" \
             xmlns:id=\"http://x-road.eu/xsd/identifiers\"><instanceIdentifier>{instance}</instanceIdentifier>\
             <source><address>{address}</address>{internal}{external}</source>\
             <approvedCA><name>Conformance CA</name><topCA><cert>{ca}</cert><ocsp><url>http://{address}/ocsp</url><cert>{ocsp}</cert></ocsp>\
             </topCA>{below}<certificateProfileInfo>ee.ria.xroad.common.certificateprofile.impl.EjbcaCertificateProfileInfoProvider\
             </certificateProfileInfo></approvedCA>\
             <approvedTSA><name>Conformance TSA</name><url>http://{address}/tsa</url><cert>{tsa}</cert></approvedTSA>",
            instance = self.instance,
            address = self.address,
            internal = named("internalVerificationCert"),
            external = named("externalVerificationCert"),
            ca = BASE64_STANDARD.encode(&self.ca_certificate),
            below = below,
            ocsp = BASE64_STANDARD.encode(&self.ocsp_certificate),
            tsa = BASE64_STANDARD.encode(&self.tsa_certificate),
        );
        for member in &self.members {
            xml.push_str(&format!(
                "<member id=\"{}\"><memberClass><code>{class}</code><description>{class}</description></memberClass>\
                 <memberCode>{code}</memberCode><name>Fictional member {code}</name>",
                member_ref(&member.class, &member.code),
                class = member.class,
                code = member.code,
            ));
            for subsystem in &member.subsystems {
                xml.push_str(&format!(
                    "<subsystem id=\"{}\"><subsystemCode>{subsystem}</subsystemCode></subsystem>",
                    subsystem_ref(&member.class, &member.code, subsystem)
                ));
            }
            xml.push_str("</member>");
        }
        for server in &self.servers {
            xml.push_str(&format!(
                "<securityServer><owner>{}</owner><serverCode>{}</serverCode><address>{}</address>",
                member_ref(&server.owner.0, &server.owner.1),
                server.code,
                server.address
            ));
            for certificate in &server.certificates {
                xml.push_str(&format!(
                    "<authCertHash>{}</authCertHash>",
                    BASE64_STANDARD.encode(sha256(certificate))
                ));
            }
            for (class, code, subsystem) in &server.clients {
                xml.push_str(&format!(
                    "<client>{}</client>",
                    subsystem_ref(class, code, subsystem)
                ));
            }
            xml.push_str("</securityServer>");
        }
        for group in &self.groups {
            xml.push_str(&format!(
                "<globalGroup><groupCode>{0}</groupCode><description>{0}</description>",
                group.code
            ));
            for (class, code, subsystem) in &group.members {
                xml.push_str(&format!(
                    "<groupMember id:objectType=\"SUBSYSTEM\"><id:xRoadInstance>{}</id:xRoadInstance><id:memberClass>{class}</id:memberClass>\
                     <id:memberCode>{code}</id:memberCode><id:subsystemCode>{subsystem}</id:subsystemCode></groupMember>",
                    self.instance
                ));
            }
            xml.push_str("</globalGroup>");
        }
        xml.push_str(&format!(
            "<globalSettings><memberClass><code>GOV</code><description>GOV</description></memberClass><ocspFreshnessSeconds>{}\
             </ocspFreshnessSeconds></globalSettings></ns:conf>",
            self.ocsp_freshness_seconds
        ));
        xml
    }

    /// private-params.xml, version 3.
    pub fn private(&self) -> String {
        let manager = self.members.first().map_or(("GOV", "0"), |member| {
            (member.class.as_str(), member.code.as_str())
        });
        format!(
            "<?xml version=\"1.0\" encoding=\"UTF-8\" standalone=\"yes\"?>\n<ns:conf xmlns:ns=\"{XROAD}\" \
             xmlns:id=\"http://x-road.eu/xsd/identifiers\"><instanceIdentifier>{instance}</instanceIdentifier>{federated}<managementService>\
             <authCertRegServiceAddress>https://{host}:4001/managementservice/</authCertRegServiceAddress>\
             <managementRequestServiceProviderId id:objectType=\"SUBSYSTEM\"><id:xRoadInstance>{instance}</id:xRoadInstance>\
             <id:memberClass>{}</id:memberClass><id:memberCode>{}</id:memberCode><id:subsystemCode>MANAGEMENT</id:subsystemCode>\
             </managementRequestServiceProviderId></managementService><timeStampingIntervalSeconds>60</timeStampingIntervalSeconds></ns:conf>",
            manager.0,
            manager.1,
            instance = self.instance,
            federated = self
                .federated
                .iter()
                .map(|anchor| format!("<configurationAnchor>{anchor}</configurationAnchor>"))
                .collect::<String>(),
            host = self.address.split(':').next().unwrap_or(&self.address),
        )
    }

    /// The signed directory naming both files (wire 7.3); `sign` gives the DER signature, `algorithm` its URI.
    pub fn signed(
        &self,
        files: &Files,
        expires: UnixTime,
        algorithm: &str,
        sign: impl FnOnce(&[u8]) -> Vec<u8>,
    ) -> Vec<u8> {
        let mut inner = format!(
            "--inner\r\nExpire-date: {}\r\nVersion: 3\r\n\r\n",
            expires.to_rfc3339()
        );
        let parts = [
            ("PRIVATE-PARAMETERS", &files.private_path, &files.private),
            ("SHARED-PARAMETERS", &files.shared_path, &files.shared),
        ];
        for (identifier, path, content) in parts {
            inner.push_str(&format!(
                "--inner\r\nContent-type: application/octet-stream\r\nContent-transfer-encoding: base64\r\n\
                 Content-identifier: {identifier}; instance='{}'\r\nContent-location: {path}\r\nHash-algorithm-id: {SHA512_URI}\r\n\r\n{}\r\n",
                self.instance,
                BASE64_STANDARD.encode(sha512(content.as_bytes())),
            ));
        }
        inner.push_str("--inner--\r\n");
        let signature = BASE64_STANDARD.encode(sign(inner.as_bytes()));
        format!(
            "Content-Type: multipart/related; charset=UTF-8; boundary=outer\r\n\r\n--outer\r\n\
             Content-Type: multipart/mixed; charset=UTF-8; boundary=inner\r\n\r\n{inner}\r\n--outer\r\n\
             Content-Type: application/octet-stream\r\nContent-Transfer-Encoding: base64\r\nSignature-Algorithm-Id: {algorithm}\r\n\
             Verification-certificate-hash: {hash}; hash-algorithm-id=\"{SHA512_URI}\"\r\n\r\n{signature}\r\n--outer--\r\n",
            hash = BASE64_STANDARD.encode(sha512(&self.verification_certificate)),
        )
        .into_bytes()
    }
}

/// The two files of a directory and where they are offered.
#[derive(Clone, Debug)]
pub struct Files {
    pub shared: String,
    pub shared_path: String,
    pub private: String,
    pub private_path: String,
}

fn member_ref(class: &str, code: &str) -> String {
    format!("m-{class}-{code}")
}

fn subsystem_ref(class: &str, code: &str, subsystem: &str) -> String {
    format!("s-{class}-{code}-{subsystem}")
}
