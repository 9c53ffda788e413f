//! Certificate profiles: how a certificate's subject names a member of an instance (wire 8.1).
//!
//! Owns the profiles by the names of their Java classes, reading and writing, and the text of a value as Java's library hands
//! it on (escaped as in RFC 2253: such a member code is registered with its backslashes). Refuses subjects that Java
//! reads ambiguously or with control characters in them. How nations name members is in `profile/national.rs`.

mod national;

use std::fmt;

use crate::certificate::{Attribute, Name};

/// A profile, named by a Java class in global configuration.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum CertificateProfile {
    /// `businessCategory` = member class, `serialNumber` = member code.
    Basic,
    /// The same for certificates that come by ACME.
    BasicAcme,
    /// `C` = instance, `O` = member class, `CN` = member code.
    Ejbca,
    /// Finland: `serialNumber` = instance/server/class and `CN` = member code; or `O` = instance, `OU` = class,
    /// `CN` = code; with neither `serialNumber` nor `OU` as Ejbca.
    FiVrk,
    /// Faroe Islands: `O` = instance, `OU` = class, `CN` = code; `C` is `FO`, `serialNumber` must be there.
    Fo,
    /// Iceland: likewise with `C` = `IS`; with neither `serialNumber` nor `OU` as Ejbca.
    Is,
    /// Estonia, persons: `serialNumber` = code, the class is `PERSON`.
    SkEsteId,
    /// Estonia, organisations: by `organizationIdentifier`, else by `serialNumber` of eight digits.
    SkKlass3,
}

/// The member that a signing certificate speaks for.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct ProfileMember {
    /// Instance identifier.
    pub instance: String,
    /// Member class.
    pub class: String,
    /// Member code.
    pub code: String,
}

/// As in a header or an address: `INSTANCE/CLASS/CODE`.
impl fmt::Display for ProfileMember {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}/{}", self.instance, self.class, self.code)
    }
}

/// The subject names no member by this profile.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ProfileError {
    /// An attribute is missing, or its type is no plain text.
    #[error("the certificate's subject does not contain {}", label(*.0))]
    Missing(Attribute),
    /// The attribute occurs twice, or shares its part of the name with others.
    #[error("the certificate's subject is ambiguous about {}", label(*.0))]
    Ambiguous(Attribute),
    /// Blank, or with control characters.
    #[error("the certificate's subject has an unusable {}", label(*.0))]
    Unusable(Attribute),
}

impl ProfileError {
    /// The machine code.
    pub const fn code(&self) -> &'static str {
        match self {
            Self::Missing(_) => "attribute_missing",
            Self::Ambiguous(_) => "attribute_ambiguous",
            Self::Unusable(_) => "attribute_unusable",
        }
    }
}

const fn label(attribute: Attribute) -> &'static str {
    match attribute {
        Attribute::CommonName => "a common name (CN)",
        Attribute::SerialNumber => "a serial number (serialNumber)",
        Attribute::Country => "a country or instance (C)",
        Attribute::Organization => "an organization (O)",
        Attribute::OrganizationalUnit => "an organizational unit (OU)",
        Attribute::BusinessCategory => "a business category (businessCategory)",
        Attribute::OrganizationIdentifier => "an organization identifier (2.5.4.97)",
    }
}

/// The attributes of a subject in the order in which they are written.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Subject(pub Vec<(Attribute, String)>);

impl Subject {
    /// A subject of one common name.
    pub fn common_name(name: impl Into<String>) -> Self {
        Self(vec![(Attribute::CommonName, name.into())])
    }

    /// The same with one more attribute at the end.
    #[must_use]
    pub fn with(mut self, attribute: Attribute, value: impl Into<String>) -> Self {
        self.0.push((attribute, value.into()));
        self
    }
}

const PACKAGE: &str = "ee.ria.xroad.common.certificateprofile.impl.";
const SUFFIX: &str = "CertificateProfileInfoProvider";

impl CertificateProfile {
    /// Every profile.
    pub const ALL: [Self; 8] = [
        Self::Basic,
        Self::BasicAcme,
        Self::Ejbca,
        Self::FiVrk,
        Self::Fo,
        Self::Is,
        Self::SkEsteId,
        Self::SkKlass3,
    ];

    /// The profile of this Java class; `None` for those that are not built in.
    pub fn from_class_name(class: &str) -> Option<Self> {
        let name = class.trim().strip_prefix(PACKAGE)?.strip_suffix(SUFFIX)?;
        Self::ALL.into_iter().find(|profile| profile.name() == name)
    }

    /// The name of the Java class.
    pub fn class_name(self) -> String {
        format!("{PACKAGE}{}{SUFFIX}", self.name())
    }

    const fn name(self) -> &'static str {
        match self {
            Self::Basic => "Basic",
            Self::BasicAcme => "BasicACME",
            Self::Ejbca => "Ejbca",
            Self::FiVrk => "FiVRK",
            Self::Fo => "Fo",
            Self::Is => "Is",
            Self::SkEsteId => "SkEsteId",
            Self::SkKlass3 => "SkKlass3",
        }
    }

    /// Reads the member from the subject of a signing certificate. `expected_instance` is the instance of the expected
    /// signer: the profiles Basic and those of Estonia name none and take that.
    pub fn member(self, subject: &Name, expected_instance: &str) -> Result<ProfileMember, ProfileError> {
        match self {
            Self::Basic | Self::BasicAcme => Ok(ProfileMember {
                instance: expected_instance.to_owned(),
                class: read(subject, Attribute::BusinessCategory)?,
                code: read(subject, Attribute::SerialNumber)?,
            }),
            Self::Ejbca => ejbca(subject),
            Self::FiVrk => national::finland(subject),
            Self::Fo => national::faroe_islands(subject),
            Self::Is => national::iceland(subject),
            Self::SkEsteId => national::estonian_person(subject, expected_instance),
            Self::SkKlass3 => national::estonian_organisation(subject, expected_instance),
        }
    }

    /// The subject of a signing certificate for this member; `name` is the organization in words, used by Basic and Estonia.
    /// The serial number of the Faroe Islands and Iceland, which must be there and which nobody reads, is the member's
    /// identifier.
    pub fn signing_subject(self, member: &ProfileMember, name: &str) -> Subject {
        let ProfileMember {
            instance,
            class,
            code,
        } = member;
        match self {
            Self::Basic | Self::BasicAcme => Subject::default()
                .with(Attribute::Organization, name)
                .with(Attribute::BusinessCategory, class)
                .with(Attribute::SerialNumber, code)
                .with(Attribute::CommonName, name),
            Self::Ejbca => Subject::default()
                .with(Attribute::Country, instance)
                .with(Attribute::Organization, class)
                .with(Attribute::CommonName, code),
            Self::FiVrk => abroad("FI", member),
            Self::Fo => abroad("FO", member).with(Attribute::SerialNumber, member.to_string()),
            Self::Is => abroad("IS", member).with(Attribute::SerialNumber, member.to_string()),
            Self::SkEsteId | Self::SkKlass3 => Subject::default()
                .with(Attribute::SerialNumber, code)
                .with(Attribute::CommonName, name),
        }
    }

    /// The subject of an authentication certificate; peers find it by its hash only. `name` is the organization in
    /// words and `dns` the server's host name, used by Basic; `server` is the server code, used by Ejbca.
    pub fn authentication_subject(
        self,
        owner: &ProfileMember,
        server: &str,
        name: &str,
        dns: &str,
    ) -> Subject {
        match self {
            Self::Basic | Self::BasicAcme => Subject::default()
                .with(Attribute::Organization, name)
                .with(Attribute::SerialNumber, &owner.code)
                .with(Attribute::CommonName, dns),
            Self::Ejbca => Subject::default()
                .with(Attribute::Country, &owner.instance)
                .with(Attribute::CommonName, server),
            Self::FiVrk => Subject::default()
                .with(Attribute::Country, "FI")
                .with(Attribute::Organization, name)
                .with(
                    Attribute::SerialNumber,
                    format!("{}/{server}/{}", owner.instance, owner.class),
                )
                .with(Attribute::CommonName, dns),
            Self::Fo => Subject::default()
                .with(Attribute::Country, "FO")
                .with(Attribute::Organization, &owner.instance)
                .with(Attribute::CommonName, format!("{owner}/{server}")),
            Self::Is => Subject::default()
                .with(Attribute::Country, "IS")
                .with(Attribute::CommonName, dns)
                .with(Attribute::SerialNumber, format!("{owner}/{server}")),
            Self::SkEsteId | Self::SkKlass3 => Subject::default()
                .with(Attribute::SerialNumber, &owner.code)
                .with(Attribute::CommonName, name),
        }
    }
}

fn ejbca(subject: &Name) -> Result<ProfileMember, ProfileError> {
    Ok(ProfileMember {
        instance: read(subject, Attribute::Country)?,
        class: read(subject, Attribute::Organization)?,
        code: read(subject, Attribute::CommonName)?,
    })
}

/// As Finland, the Faroe Islands and Iceland name a member.
fn abroad(country: &str, member: &ProfileMember) -> Subject {
    Subject::default()
        .with(Attribute::Country, country)
        .with(Attribute::Organization, &member.instance)
        .with(Attribute::OrganizationalUnit, &member.class)
        .with(Attribute::CommonName, &member.code)
}

fn read(subject: &Name, attribute: Attribute) -> Result<String, ProfileError> {
    if subject.has_multi_valued_rdn() || subject.count(attribute) > 1 {
        return Err(ProfileError::Ambiguous(attribute));
    }
    let value = subject
        .attribute(attribute)
        .ok_or(ProfileError::Missing(attribute))?;
    if value.trim().is_empty() || value.chars().any(char::is_control) {
        return Err(ProfileError::Unusable(attribute));
    }
    Ok(escaped(value))
}

/// The value as Bouncy Castle's `IETFUtils.valueToString` returns it.
fn escaped(value: &str) -> String {
    let inner = value.trim_matches(' ');
    let lead = value.len() - value.trim_start_matches(' ').len();
    let mut text = String::with_capacity(value.len() + 2);
    for (at, letter) in value.char_indices() {
        let special = matches!(letter, ',' | '"' | '\\' | '+' | '=' | '<' | '>' | ';');
        if special || (at == 0 && letter == '#') || at < lead || at >= lead + inner.len() {
            text.push('\\');
        }
        text.push(letter);
    }
    text
}

#[cfg(test)]
mod tests;
