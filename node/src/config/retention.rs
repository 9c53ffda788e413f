//! What of a message is kept and how long: `[messagelog]`, `[messagelog.retention]`, `[[messagelog.rule]]` and `logging` of a
//! client. Owns the choice of retention classes and of what is kept at all, made from service and path before a body is
//! parsed, and the durations of the classes. A class without a duration is kept for ever.

use std::{
    collections::{BTreeMap, HashMap},
    fmt,
    str::FromStr,
};

use bytes::Bytes;
use kontor_pki::time::UnixTime;
use kontor_protocol::{
    id::{ClientId, ServiceId},
    log::RetentionClass,
};

/// The class that no rule can delete: entries about the log itself.
pub const PERMANENT: &str = "permanent";

/// The classes of the blobs that an entry may have.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Retention {
    /// How long the message and its ids stay readable.
    pub head: RetentionClass,
    /// How long the body does.
    pub body: RetentionClass,
    /// How long signature and digests do.
    pub evidence: RetentionClass,
}

/// How much of a message is kept (wire 6.3). The commitment covers what went over the wire in any case.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Logging {
    /// Head and body.
    #[default]
    Full,
    /// The head; of the body only digest and length.
    NoBody,
    /// No body, and of the head only verb or status, the path up to the service and the headers of X-Road.
    ShortHead,
}

/// What is known of a message before its body is parsed.
#[derive(Debug, Clone, Copy)]
pub struct Subject<'a> {
    /// The client or service on our side.
    pub own: &'a ClientId,
    /// The service.
    pub service: &'a ServiceId,
    /// The request, or the request that a response answers.
    pub request: &'a Bytes,
}

/// Other classes for some messages.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct RetentionRule {
    /// Only for services of this provider.
    pub provider: Option<ClientId>,
    /// Only for services of subsystems of this code, whoever's they are.
    pub subsystem: Option<String>,
    /// Only for services of this code.
    pub service: Option<String>,
    /// Only for requests whose path below the service begins like this, and their responses.
    pub path: Option<String>,
    /// Class of the head.
    pub head: Option<RetentionClass>,
    /// Class of the body.
    pub body: Option<RetentionClass>,
    /// Class of the evidence.
    pub evidence: Option<RetentionClass>,
    /// How much is kept.
    pub logging: Option<Logging>,
}

/// Chooses what is kept of a message, and how long.
#[derive(Debug, Clone)]
pub struct RetentionPolicy {
    /// For all messages that no rule is about.
    pub default: Retention,
    /// How much is kept where neither rule nor client says.
    pub logging: Logging,
    /// How much is kept of messages of a client or service of ours.
    pub clients: HashMap<ClientId, Logging>,
    /// The first that fits decides.
    pub rules: Vec<RetentionRule>,
}

impl Default for RetentionPolicy {
    /// Head and evidence for the case file's retention (`case`), bodies for days (`days`), all of it kept.
    fn default() -> Self {
        let default = Retention {
            head: class("case"),
            body: class("days"),
            evidence: class("case"),
        };
        Self {
            default,
            logging: Logging::Full,
            clients: HashMap::new(),
            rules: Vec::new(),
        }
    }
}

/// A class of ours.
fn class(name: &str) -> RetentionClass {
    name.parse().expect("the names of our classes are well formed")
}

impl RetentionPolicy {
    /// The classes of a message and how much of it is kept.
    pub fn choose(&self, subject: &Subject<'_>) -> (Retention, Logging) {
        let mut chosen = self.default.clone();
        let client = self.clients.get(subject.own).copied();
        let mut logging = client.unwrap_or(self.logging);
        if let Some(rule) = self.rules.iter().find(|rule| rule.fits(subject)) {
            for (class, ruled) in [
                (&mut chosen.head, &rule.head),
                (&mut chosen.body, &rule.body),
                (&mut chosen.evidence, &rule.evidence),
            ] {
                if let Some(ruled) = ruled {
                    class.clone_from(ruled);
                }
            }
            logging = rule.logging.unwrap_or(logging);
        }
        (chosen, logging)
    }

    /// Every class that a message may get.
    pub fn classes(&self) -> impl Iterator<Item = &RetentionClass> {
        let default = [&self.default.head, &self.default.body, &self.default.evidence];
        let ruled = self
            .rules
            .iter()
            .flat_map(|rule| [&rule.head, &rule.body, &rule.evidence]);
        default.into_iter().chain(ruled.flatten())
    }
}

impl RetentionRule {
    fn fits(&self, subject: &Subject<'_>) -> bool {
        let provider = self
            .provider
            .as_ref()
            .is_none_or(|provider| provider == subject.service.provider());
        let subsystem = self.subsystem.as_deref();
        let subsystem = subsystem.is_none_or(|code| Some(code) == subject.service.provider().subsystem());
        let service = self
            .service
            .as_deref()
            .is_none_or(|service| service == subject.service.code());
        let path = self.path.as_deref();
        provider
            && subsystem
            && service
            && path.is_none_or(|prefix| {
                service_path(subject.request).is_some_and(|path| path.starts_with(prefix))
            })
    }
}

/// The path below the service, from its slash on and without query, of the bytes of a REST request (wire 2.4); empty when the
/// service itself was asked.
fn service_path(request: &[u8]) -> Option<&str> {
    let target = target(request)?;
    let path = target.split('?').next()?;
    // /r1/INSTANCE/CLASS/MEMBER/SUBSYSTEM/SERVICE…
    match path.match_indices('/').nth(6) {
        Some((at, _)) => Some(&path[at..]),
        None => Some(""),
    }
}

fn target(request: &[u8]) -> Option<&str> {
    let mut lines = request.split(|byte| *byte == b'\n');
    let target = lines.nth(1)?;
    std::str::from_utf8(target.strip_suffix(b"\r").unwrap_or(target)).ok()
}

/// How long a class is kept, from the second of the entry on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kept {
    /// For ever.
    Always,
    /// So many days.
    Days(u32),
    /// Until the end of the following year, UTC.
    EndOfNextYear,
    /// So many years.
    Years(u32),
}

/// A text that is no duration.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is no duration: write days as `7d`, years as `10y`, `end-of-next-year` or `always`")]
pub struct InvalidKept(String);

impl FromStr for Kept {
    type Err = InvalidKept;

    fn from_str(text: &str) -> Result<Self, InvalidKept> {
        let number = |digits: &str, most: u32| {
            let number = digits.parse().ok().filter(|number| (1..=most).contains(number));
            number.ok_or_else(|| InvalidKept(text.to_owned()))
        };
        match text {
            "always" => Ok(Self::Always),
            "end-of-next-year" => Ok(Self::EndOfNextYear),
            _ => match (text.strip_suffix('d'), text.strip_suffix('y')) {
                (Some(digits), _) => number(digits, 100_000).map(Self::Days),
                (_, Some(digits)) => number(digits, 1000).map(Self::Years),
                (None, None) => Err(InvalidKept(text.to_owned())),
            },
        }
    }
}

impl fmt::Display for Kept {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Always => f.write_str("always"),
            Self::Days(days) => write!(f, "{days}d"),
            Self::EndOfNextYear => f.write_str("end-of-next-year"),
            Self::Years(years) => write!(f, "{years}y"),
        }
    }
}

impl Kept {
    /// The second from which on what was logged at `second` is due; `None` for never.
    pub fn until(self, second: u64) -> Option<u64> {
        let at = UnixTime::from_secs(i64::try_from(second).ok()?.min(250_000_000_000));
        let text = at.to_rfc3339();
        let year: u32 = text.get(..4)?.parse().ok()?;
        // The 29th of February has no anniversary in most years: the day after it.
        let instant = |text: String| UnixTime::parse_rfc3339(&text).ok();
        let due = match self {
            Self::Always => return None,
            Self::Days(days) => return second.checked_add(u64::from(days) * 86_400),
            Self::EndOfNextYear => instant(format!("{:04}-01-01T00:00:00Z", year + 2)),
            Self::Years(years) => {
                let year = year + years;
                instant(format!("{year:04}{}", &text[4..]))
                    .or_else(|| instant(format!("{year:04}-03-01{}", &text[10..])))
            }
        };
        u64::try_from(due?.secs()).ok()
    }
}

/// How long each class is kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Schedule(BTreeMap<RetentionClass, Kept>);

impl Default for Schedule {
    /// Case files and records ten years, bodies in transit seven days, what was taken over by another thirty, looks until the
    /// end of the following year (domain L5).
    fn default() -> Self {
        let kept = [
            ("access", Kept::EndOfNextYear),
            ("case", Kept::Years(10)),
            ("days", Kept::Days(7)),
            ("month", Kept::Days(30)),
            ("record", Kept::Years(10)),
        ];
        Self(kept.map(|(name, kept)| (class(name), kept)).into())
    }
}

impl Schedule {
    /// Sets how long a class is kept.
    pub fn set(&mut self, class: RetentionClass, kept: Kept) {
        self.0.insert(class, kept);
    }

    /// Every class with its duration.
    pub fn classes(&self) -> impl Iterator<Item = (&RetentionClass, Kept)> {
        self.0.iter().map(|(class, kept)| (class, *kept))
    }

    /// Whether the schedule says how long a class is kept.
    pub fn names(&self, class: &RetentionClass) -> bool {
        class.as_str() == PERMANENT || self.0.contains_key(class)
    }

    /// How long a class is kept. What nobody named is never deleted.
    pub fn kept(&self, class: &RetentionClass) -> Kept {
        match class.as_str() {
            PERMANENT => Kept::Always,
            _ => self.0.get(class).copied().unwrap_or(Kept::Always),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const REQUEST: &[u8] = b"GET\r\n/r1/TEST/GOV/1002/antrag/intake/persons/4711?name=Muster\r\naccept:*/*\r\nX-Road-Client:TEST/GOV/1001/antrag\r\nx-road-id:q\r\n";

    fn second(text: &str) -> u64 {
        u64::try_from(UnixTime::parse_rfc3339(text).unwrap().secs()).unwrap()
    }

    #[test]
    fn the_first_rule_that_fits_decides_and_a_client_says_how_much_is_kept() {
        let own: ClientId = "TEST/GOV/1001/antrag".parse().unwrap();
        let service: ServiceId = "TEST/GOV/1002/antrag/intake".parse().unwrap();
        let rule = |path: &str, body: &str| RetentionRule {
            service: Some("intake".into()),
            path: Some(path.into()),
            body: Some(class(body)),
            ..RetentionRule::default()
        };
        let mut policy = RetentionPolicy {
            rules: vec![
                rule("/status", "record"),
                rule("/persons/", "month"),
                rule("", "case"),
            ],
            ..RetentionPolicy::default()
        };
        policy.clients.insert(own.clone(), Logging::NoBody);
        let choose = |policy: &RetentionPolicy, request: &'static [u8]| {
            policy.choose(&Subject {
                own: &own,
                service: &service,
                request: &Bytes::from_static(request),
            })
        };
        let (chosen, logging) = choose(&policy, REQUEST);
        assert_eq!(
            (chosen.body.as_str(), chosen.head.as_str(), logging),
            ("month", "case", Logging::NoBody)
        );
        policy.rules[1].logging = Some(Logging::ShortHead);
        assert_eq!(choose(&policy, REQUEST).1, Logging::ShortHead);
        let (chosen, logging) = choose(&policy, b"GET\r\n/r1/TEST/GOV/1002/antrag/intake\r\n");
        assert_eq!((chosen.body.as_str(), logging), ("case", Logging::NoBody));
        policy.rules.clear();
        assert_eq!(choose(&policy, REQUEST).0.body.as_str(), "days");
    }

    #[test]
    fn a_duration_ends_on_the_day_people_expect() {
        for (kept, logged, due) in [
            ("7d", "2030-01-31T12:00:00Z", "2030-02-07T12:00:00Z"),
            ("10y", "2030-01-31T12:00:00Z", "2040-01-31T12:00:00Z"),
            ("1y", "2028-02-29T12:00:00Z", "2029-03-01T12:00:00Z"),
            ("4y", "2028-02-29T12:00:00Z", "2032-02-29T12:00:00Z"),
            ("end-of-next-year", "2030-01-31T12:00:00Z", "2032-01-01T00:00:00Z"),
        ] {
            let kept: Kept = kept.parse().unwrap();
            assert_eq!(kept.until(second(logged)), Some(second(due)), "{kept} {logged}");
            assert_eq!(kept.to_string().parse(), Ok(kept));
        }
        assert_eq!(Kept::Always.until(7), None);
        for text in ["", "d", "0d", "7", "-1y", "1001y", "10 y", "soon"] {
            assert!(text.parse::<Kept>().is_err(), "{text}");
        }
    }

    #[test]
    fn what_no_rule_names_and_what_is_permanent_is_never_due() {
        let mut schedule = Schedule::default();
        assert_eq!(schedule.kept(&class("other")), Kept::Always);
        schedule.set(class(PERMANENT), Kept::Days(1));
        assert_eq!(schedule.kept(&class(PERMANENT)), Kept::Always);
        assert_eq!(schedule.kept(&class("days")), Kept::Days(7));
    }
}
