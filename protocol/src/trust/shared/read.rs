//! Reading `shared-params.xml`: one function per type of the schema, in its order.
//!
//! Owns the mapping and the version of each element. Refuses through [`super::super::document`].

use std::collections::HashMap;

use roxmltree::Node;

use super::{
    AcmeServer, ApprovedCa, ApprovedTsa, CaInfo, ConfigurationSource, CostType, CsrFormat, GlobalGroup,
    GlobalSettings, Member, MemberClass, NEWEST_VERSION, OcspInfo, SecurityServer, SharedParams, Subsystem,
};
use crate::id::{ClientId, GroupId, MemberId, ServerId};
use crate::limits;
use crate::trust::document::{
    Children, DocumentError, binary, boolean, certificate, client_id, filled, scan, seconds, text, tree,
    wrong,
};

pub(super) fn read(bytes: &[u8], version: u32) -> Result<SharedParams, DocumentError> {
    if !(2..=NEWEST_VERSION).contains(&version) {
        return Err(DocumentError::Version(version));
    }
    let text = scan(bytes, limits::CONFIGURATION_PART)?;
    let document = tree(&text, "conf")?;
    let mut reader = Reader {
        version,
        ids: HashMap::new(),
        left_out: Vec::new(),
    };
    let mut conf = Children::of(document.root_element(), &[])?;

    let instance = filled(conf.one("instanceIdentifier")?)?;
    let sources = if version >= 3 {
        each(conf.some("source")?, source)?
    } else {
        Vec::new()
    };
    let authorities = each(conf.many("approvedCA"), |n| reader.approved_ca(n))?;
    let tsas = each(conf.many("approvedTSA"), |n| reader.approved_tsa(n))?;
    let mut members = Vec::new();
    for node in conf.many("member") {
        members.extend(reader.member(node, &instance)?);
    }
    let mut servers = Vec::new();
    for node in conf.many("securityServer") {
        servers.extend(reader.server(node)?);
    }
    let mut groups = Vec::new();
    for node in conf.many("globalGroup") {
        groups.extend(reader.group(node, &instance)?);
    }
    // Obsolete, ignored by Java 7 too.
    conf.many("centralService");
    let settings = settings(conf.one("globalSettings")?)?;
    // What follows is an extension of the operator (`any`), not ours to judge. A misspelt element before it is caught
    // by the element that is then missing.

    let left_out = reader.left_out;
    Ok(SharedParams {
        instance,
        sources,
        authorities,
        tsas,
        members,
        servers,
        groups,
        settings,
        left_out,
    })
}

fn each<'a, 'i, T>(
    nodes: Vec<Node<'a, 'i>>,
    read: impl FnMut(Node<'a, 'i>) -> Result<T, DocumentError>,
) -> Result<Vec<T>, DocumentError> {
    nodes.into_iter().map(read).collect()
}

fn source(node: Node<'_, '_>) -> Result<ConfigurationSource, DocumentError> {
    let mut children = Children::of(node, &[])?;
    let source = ConfigurationSource {
        address: text(children.one("address")?)?,
        internal_certificates: each(children.many("internalVerificationCert"), certificate)?,
        external_certificates: each(children.many("externalVerificationCert"), certificate)?,
    };
    children.end()?;
    Ok(source)
}

fn settings(node: Node<'_, '_>) -> Result<GlobalSettings, DocumentError> {
    let mut children = Children::of(node, &[])?;
    let settings = GlobalSettings {
        member_classes: each(children.many("memberClass"), member_class)?,
        ocsp_freshness_seconds: seconds(children.one("ocspFreshnessSeconds")?)?,
    };
    children.end()?;
    Ok(settings)
}

fn member_class(node: Node<'_, '_>) -> Result<MemberClass, DocumentError> {
    let mut children = Children::of(node, &[])?;
    let class = MemberClass {
        code: text(children.one("code")?)?,
        description: text(children.one("description")?)?,
    };
    children.end()?;
    Ok(class)
}

/// What an XML id stands for.
enum Target {
    Member(MemberId),
    Subsystem(ClientId),
    /// An entry that was left out: what refers to it is left out too.
    Unusable,
}

struct Reader {
    version: u32,
    ids: HashMap<String, Target>,
    left_out: Vec<String>,
}

impl Reader {
    fn approved_ca(&self, node: Node<'_, '_>) -> Result<ApprovedCa, DocumentError> {
        let mut children = Children::of(node, &[])?;
        let name = text(children.one("name")?)?;
        let authentication_only = children.optional("authenticationOnly").map(boolean).transpose()?;
        let top = self.ca_info(children.one("topCA")?)?;
        let intermediates = each(children.many("intermediateCA"), |n| self.ca_info(n))?;
        let profile_class = text(children.one("certificateProfileInfo")?)?.trim().to_owned();
        let csr_format = if self.version >= 6 {
            let names = "PEM, DER";
            children
                .optional("defaultCsrFormat")
                .map(|n| one_of(n, CsrFormat::from_name, names))
                .transpose()?
        } else {
            None
        };
        let acme = if self.version >= 3 {
            children
                .optional("acmeServer")
                .map(|n| self.acme_server(n))
                .transpose()?
        } else {
            None
        };
        children.end()?;
        let authentication_only = authentication_only.unwrap_or(false);
        Ok(ApprovedCa {
            name,
            authentication_only,
            top,
            intermediates,
            profile_class,
            csr_format,
            acme,
        })
    }

    /// Where members may order certificates.
    fn acme_server(&self, node: Node<'_, '_>) -> Result<AcmeServer, DocumentError> {
        let mut children = Children::of(node, &[])?;
        let directory_url = text(children.one("directoryURL")?)?.trim().to_owned();
        let mut optional = |name, since| {
            if self.version >= since {
                children.optional(name).map(text).transpose()
            } else {
                Ok(None)
            }
        };
        let ip_address = optional("ipAddress", 3)?;
        let authentication_profile = optional("authenticationCertificateProfileId", 4)?;
        let signing_profile = optional("signingCertificateProfileId", 4)?;
        children.end()?;
        Ok(AcmeServer {
            directory_url,
            ip_address,
            authentication_profile,
            signing_profile,
        })
    }

    fn ca_info(&self, node: Node<'_, '_>) -> Result<CaInfo, DocumentError> {
        let mut children = Children::of(node, &[])?;
        let certificate = certificate(children.one("cert")?)?;
        let ocsp = each(children.many("ocsp"), |n| self.ocsp_info(n))?;
        children.end()?;
        Ok(CaInfo { certificate, ocsp })
    }

    fn ocsp_info(&self, node: Node<'_, '_>) -> Result<OcspInfo, DocumentError> {
        let mut children = Children::of(node, &[])?;
        let url = text(children.one("url")?)?.trim().to_owned();
        let certificate = children.optional("cert").map(certificate).transpose()?;
        let cost = self.cost_type(&mut children)?;
        children.end()?;
        Ok(OcspInfo {
            url,
            certificate,
            cost,
        })
    }

    fn approved_tsa(&self, node: Node<'_, '_>) -> Result<ApprovedTsa, DocumentError> {
        let mut children = Children::of(node, &[])?;
        let name = text(children.one("name")?)?;
        let url = text(children.one("url")?)?.trim().to_owned();
        let certificate = certificate(children.one("cert")?)?;
        let cost = self.cost_type(&mut children)?;
        children.end()?;
        Ok(ApprovedTsa {
            name,
            url,
            certificate,
            cost,
        })
    }

    fn cost_type(&self, children: &mut Children<'_, '_>) -> Result<Option<CostType>, DocumentError> {
        if self.version < 6 {
            return Ok(None);
        }
        children
            .optional("costType")
            .map(|n| one_of(n, CostType::from_name, "FREE, PAID, UNDEFINED"))
            .transpose()
    }

    fn member(&mut self, node: Node<'_, '_>, instance: &str) -> Result<Option<Member>, DocumentError> {
        let mut children = Children::of(node, &["id"])?;
        let class = member_class(children.one("memberClass")?)?.code;
        let code = text(children.one("memberCode")?)?;
        let name = text(children.one("name")?)?;
        let nodes = children.many("subsystem");
        children.end()?;

        let id = match MemberId::new(instance, &class, &code) {
            Ok(id) => {
                self.claim(node, Target::Member(id.clone()))?;
                Some(id)
            }
            Err(e) => {
                self.left_out
                    .push(format!("member with id {:?}: {e}", node.attribute("id")));
                self.claim(node, Target::Unusable)?;
                None
            }
        };
        let mut subsystems = Vec::new();
        for node in nodes {
            subsystems.extend(self.subsystem(node, id.as_ref())?);
        }
        Ok(id.map(|id| Member { id, name, subsystems }))
    }

    fn subsystem(
        &mut self,
        node: Node<'_, '_>,
        member: Option<&MemberId>,
    ) -> Result<Option<Subsystem>, DocumentError> {
        let mut children = Children::of(node, &["id"])?;
        let code = text(children.one("subsystemCode")?)?;
        let name = if self.version >= 5 {
            children.optional("subsystemName")
        } else {
            None
        };
        let name = name.map(text).transpose()?;
        children.end()?;
        let Some(member) = member else {
            self.claim(node, Target::Unusable)?;
            return Ok(None);
        };
        match ClientId::subsystem_of(member.clone(), &code) {
            Ok(id) => {
                self.claim(node, Target::Subsystem(id))?;
                Ok(Some(Subsystem { code, name }))
            }
            Err(e) => {
                self.left_out.push(format!("a subsystem of {member}: {e}"));
                self.claim(node, Target::Unusable)?;
                Ok(None)
            }
        }
    }

    fn claim(&mut self, node: Node<'_, '_>, target: Target) -> Result<(), DocumentError> {
        let id = node.attribute("id").map(str::trim).filter(|id| !id.is_empty());
        let id = id.ok_or_else(|| wrong(node, "it has no id"))?;
        match self.ids.insert(id.to_owned(), target) {
            None => Ok(()),
            Some(_) => Err(DocumentError::DuplicateId(id.to_owned())),
        }
    }

    fn target(&self, node: Node<'_, '_>) -> Result<&Target, DocumentError> {
        let id = text(node)?;
        let id = id.trim();
        self.ids
            .get(id)
            .ok_or_else(|| DocumentError::DanglingReference(id.to_owned()))
    }

    fn server(&mut self, node: Node<'_, '_>) -> Result<Option<SecurityServer>, DocumentError> {
        let mut children = Children::of(node, &[])?;
        let owner = children.one("owner")?;
        let owner = match self.target(owner)? {
            Target::Member(id) => Some(id.clone()),
            Target::Unusable => None,
            Target::Subsystem(_) => return Err(wrong(owner, "it refers to a subsystem, not a member")),
        };
        let code = text(children.one("serverCode")?)?;
        let address = children.optional("address").map(text).transpose()?;
        let authentication_hashes = each(children.many("authCertHash"), binary)?;
        let mut clients = Vec::new();
        for client in children.many("client") {
            match self.target(client)? {
                Target::Member(id) => clients.push(id.clone().into()),
                Target::Subsystem(id) => clients.push(id.clone()),
                Target::Unusable => {}
            }
        }
        let maintenance = if self.version >= 5 {
            children.optional("inMaintenanceMode")
        } else {
            None
        };
        let maintenance = maintenance.map(maintenance_message).transpose()?;
        children.end()?;

        let Some(owner) = owner else {
            self.left_out.push("a server whose owner was left out".to_owned());
            return Ok(None);
        };
        match ServerId::new(owner.clone(), &code) {
            Ok(id) => {
                let address = address.map(|a| a.trim().to_owned()).filter(|a| !a.is_empty());
                Ok(Some(SecurityServer {
                    id,
                    address,
                    authentication_hashes,
                    clients,
                    maintenance,
                }))
            }
            Err(e) => {
                self.left_out.push(format!("a server of {owner}: {e}"));
                Ok(None)
            }
        }
    }

    fn group(&mut self, node: Node<'_, '_>, instance: &str) -> Result<Option<GlobalGroup>, DocumentError> {
        let mut children = Children::of(node, &[])?;
        let code = text(children.one("groupCode")?)?;
        let description = text(children.one("description")?)?;
        let mut members = Vec::new();
        for member in children.many("groupMember") {
            match client_id(member)? {
                Some(id) => members.push(id),
                None => self
                    .left_out
                    .push(format!("an entry of the group `{}`", code.escape_debug())),
            }
        }
        children.end()?;
        match GroupId::new(instance, &code) {
            Ok(id) => Ok(Some(GlobalGroup {
                id,
                description,
                members,
            })),
            Err(e) => {
                self.left_out.push(format!("a global group: {e}"));
                Ok(None)
            }
        }
    }
}

fn maintenance_message(node: Node<'_, '_>) -> Result<String, DocumentError> {
    let mut children = Children::of(node, &[])?;
    let message = children.optional("message").map(text).transpose()?;
    children.end()?;
    Ok(message.unwrap_or_default())
}

fn one_of<T>(node: Node<'_, '_>, from_name: fn(&str) -> Option<T>, names: &str) -> Result<T, DocumentError> {
    from_name(&text(node)?).ok_or_else(|| wrong(node, format!("it is none of {names}")))
}
