//! How Finland, the Faroe Islands, Iceland and Estonia name a member in a signing certificate (wire 8.1).

use super::{ProfileError, ProfileMember, ejbca, read};
use crate::certificate::{Attribute, Name};

/// `serialNumber` = instance/server/class and `CN` = code; or instance, class and code in `O`, `OU` and `CN`.
pub(super) fn finland(subject: &Name) -> Result<ProfileMember, ProfileError> {
    let has = |attribute| subject.attribute(attribute).is_some();
    if has(Attribute::SerialNumber) {
        country(subject, "FI")?;
        read(subject, Attribute::Organization)?;
        let serial = read(subject, Attribute::SerialNumber)?;
        let [instance, _server, class] = serial.split('/').collect::<Vec<_>>()[..] else {
            return Err(ProfileError::Unusable(Attribute::SerialNumber));
        };
        if instance.trim().is_empty() || class.trim().is_empty() {
            return Err(ProfileError::Unusable(Attribute::SerialNumber));
        }
        return Ok(ProfileMember {
            instance: instance.to_owned(),
            class: class.to_owned(),
            code: read(subject, Attribute::CommonName)?,
        });
    }
    if has(Attribute::OrganizationalUnit) {
        return by_unit(subject, "FI");
    }
    ejbca(subject)
}

pub(super) fn faroe_islands(subject: &Name) -> Result<ProfileMember, ProfileError> {
    let member = by_unit(subject, "FO")?;
    read(subject, Attribute::SerialNumber)?;
    Ok(member)
}

pub(super) fn iceland(subject: &Name) -> Result<ProfileMember, ProfileError> {
    let has = |attribute| subject.attribute(attribute).is_some();
    if !has(Attribute::SerialNumber) && !has(Attribute::OrganizationalUnit) {
        return ejbca(subject);
    }
    let member = by_unit(subject, "IS")?;
    read(subject, Attribute::SerialNumber)?;
    Ok(member)
}

pub(super) fn estonian_person(subject: &Name, instance: &str) -> Result<ProfileMember, ProfileError> {
    Ok(ProfileMember {
        instance: instance.to_owned(),
        class: "PERSON".to_owned(),
        code: read(subject, Attribute::SerialNumber)?,
    })
}

/// Registers by the prefix of their numbers (ETSI EN 319 412-1), and the classes of their members.
const REGISTERS: [(&str, &str); 3] = [("NTREE-", "COM"), ("GO:EE-", "GOV"), ("NP:EE-", "NGO")];
/// The class of all others.
const FOREIGN: &str = "NEE";

pub(super) fn estonian_organisation(subject: &Name, instance: &str) -> Result<ProfileMember, ProfileError> {
    let member = |class: &str, code: String| ProfileMember {
        instance: instance.to_owned(),
        class: class.to_owned(),
        code,
    };
    let attribute = Attribute::OrganizationIdentifier;
    if subject
        .attribute(attribute)
        .is_some_and(|value| !value.is_empty())
    {
        let identifier = read(subject, attribute)?;
        for (prefix, class) in REGISTERS {
            if let Some(code) = identifier.strip_prefix(prefix) {
                return match code.trim().is_empty() {
                    true => Err(ProfileError::Unusable(attribute)),
                    false => Ok(member(class, code.to_owned())),
                };
            }
        }
        return Ok(member(FOREIGN, identifier));
    }
    let serial = read(subject, Attribute::SerialNumber)?;
    let digits = serial.len() == 8 && serial.bytes().all(|byte| byte.is_ascii_digit());
    let class = match serial.as_bytes().first() {
        Some(b'1'..=b'6') if digits => "COM",
        Some(b'7') if digits => "GOV",
        Some(b'8' | b'9') if digits => "NGO",
        _ => return Err(ProfileError::Unusable(Attribute::SerialNumber)),
    };
    Ok(member(class, serial))
}

fn by_unit(subject: &Name, code: &str) -> Result<ProfileMember, ProfileError> {
    country(subject, code)?;
    Ok(ProfileMember {
        instance: read(subject, Attribute::Organization)?,
        class: read(subject, Attribute::OrganizationalUnit)?,
        code: read(subject, Attribute::CommonName)?,
    })
}

fn country(subject: &Name, code: &str) -> Result<(), ProfileError> {
    match read(subject, Attribute::Country)? == code {
        true => Ok(()),
        false => Err(ProfileError::Unusable(Attribute::Country)),
    }
}
