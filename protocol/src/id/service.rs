//! Services of a member or subsystem (wire 1.1). REST services always belong to a subsystem and have no version.

use std::fmt;
use std::str::FromStr;

use super::{ClientId, InvalidId, MemberId, checked, segment, serde_as_text, shortened};

/// A service and who provides it: `DE/GOV/08215000/FACH/meldung`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ServiceId {
    provider: ClientId,
    code: String,
    version: Option<String>,
}

impl ServiceId {
    /// The service `code` of `provider`, unescaped; a version exists only in SOAP.
    ///
    /// # Errors
    /// A field that cannot stand in an identifier.
    pub fn new(provider: ClientId, code: &str, version: Option<&str>) -> Result<Self, InvalidId> {
        Ok(Self {
            provider,
            code: checked(code)?,
            version: version.map(checked).transpose()?,
        })
    }

    /// Who provides the service; its member signs the answers.
    #[must_use]
    pub fn provider(&self) -> &ClientId {
        &self.provider
    }

    /// The code of the service.
    #[must_use]
    pub fn code(&self) -> &str {
        &self.code
    }

    /// The version of a SOAP service.
    #[must_use]
    pub fn version(&self) -> Option<&str> {
        self.version.as_deref()
    }

    /// `SERVICE:DE/GOV/08215000/FACH/meldung[/version]` (wire 1.4).
    #[must_use]
    pub fn typed(&self) -> String {
        format!("SERVICE:{self}")
    }

    /// Reads the percent-encoded form of exactly five segments, as in `x-road-service` of a response (wire 1.3).
    ///
    /// # Errors
    /// Another number of segments, or a segment that is not validly encoded.
    pub fn parse_path(path: &str) -> Result<Self, InvalidId> {
        let pieces = path
            .split('/')
            .map(segment::decode)
            .collect::<Result<Vec<_>, _>>()?;
        let [instance, class, member, subsystem, code] = &pieces[..] else {
            return Err(InvalidId::Pieces {
                kind: "service",
                wanted: "5",
                text: shortened(path),
            });
        };
        Self::new(
            ClientId::subsystem_of(MemberId::new(instance, class, member)?, subsystem)?,
            code,
            None,
        )
    }

    /// The percent-encoded form; a version, which REST does not know, is left out.
    #[must_use]
    pub fn to_path(&self) -> String {
        let mut out = self.provider.to_path();
        out.push('/');
        segment::push_encoded(&mut out, &self.code);
        out
    }
}

/// The short string. A version without a subsystem would read as a subsystem: there the place of the subsystem stays
/// empty (`DE/GOV/1001//svc/v1`), which no Java log shows and no REST path can contain.
impl fmt::Display for ServiceId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let gap = if self.version.is_some() && self.provider.subsystem().is_none() {
            "/"
        } else {
            ""
        };
        write!(f, "{}{gap}/{}", self.provider, self.code)?;
        self.version
            .iter()
            .try_for_each(|version| write!(f, "/{version}"))
    }
}

impl FromStr for ServiceId {
    type Err = InvalidId;

    fn from_str(text: &str) -> Result<Self, InvalidId> {
        let pieces: Vec<&str> = text.split('/').collect();
        let (member, subsystem, code, version) = match pieces[..] {
            [instance, class, member, code] => (MemberId::new(instance, class, member)?, None, code, None),
            [instance, class, member, "", code, version] => {
                (MemberId::new(instance, class, member)?, None, code, Some(version))
            }
            [instance, class, member, subsystem, code] => (
                MemberId::new(instance, class, member)?,
                Some(subsystem),
                code,
                None,
            ),
            [instance, class, member, subsystem, code, version] => (
                MemberId::new(instance, class, member)?,
                Some(subsystem),
                code,
                Some(version),
            ),
            _ => {
                return Err(InvalidId::Pieces {
                    kind: "service",
                    wanted: "4 to 6",
                    text: shortened(text),
                });
            }
        };
        let provider = match subsystem {
            Some(subsystem) => ClientId::subsystem_of(member, subsystem)?,
            None => ClientId::from(member),
        };
        Self::new(provider, code, version)
    }
}

serde_as_text!(ServiceId);
