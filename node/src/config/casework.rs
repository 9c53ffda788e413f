//! Casework: `[casework]`. Without the table the node only exchanges messages.
//!
//! Owns who may use the interface for line-of-business systems and people: keys stand here as SHA-256, each with its roles, its
//! organisational units and its end. A key is made with `kontor case key`; a changed file is taken up while the node runs. Issuers of
//! tokens stand beside them, see `oidc.rs`.

pub mod oidc;

mod folder;

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::time::Duration;

use jiff::civil::Date;
use kontor_participation::calendar::{HolidayTable, Land, Place};
use kontor_participation::competence::{Directory, Region, ServiceKey};
use kontor_participation::findings::Secrecy;
use kontor_participation::round::profile::ProfileTable;
use kontor_participation::round::recipient::RecipientTable;
use kontor_participation::round::release::Eyes;
use kontor_protocol::access::{Method, PathPattern, Right};
use kontor_protocol::id::{ClientId, MemberId};
use serde::{Deserialize, Serialize};

pub use self::folder::Folder;
use self::oidc::{IssuerTable, TokenIssuer};
use super::Member;
use super::retention::{Logging, RetentionRule};
use super::webhook::{self, Webhook, WebhookTable};

/// The code of the subsystem in which a member's casework speaks, the same at every member.
pub const SUBSYSTEM: &str = "KONTOR";
/// The service by which transfers travel.
pub const SERVICE: &str = "transfer";
/// Where it is: in this process.
pub const URL: &str = "kontor://transfer/";
/// The service by which others are asked to take part.
pub const PARTICIPATION: &str = "participation";
/// Where that is.
pub const PARTICIPATION_URL: &str = "kontor://participation/";
/// The group whose members may call, where nobody else is named.
pub const GROUP: &str = "KONTOR";

/// What is kept of transfers: messages are free of applicants' data and live as long as their evidence; content is not logged a
/// second time, its digests are.
pub(super) fn rules() -> [RetentionRule; 5] {
    let of = |service: &str, path: &str| RetentionRule {
        subsystem: Some(SUBSYSTEM.into()),
        service: Some(service.into()),
        path: Some(path.into()),
        ..RetentionRule::default()
    };
    let recorded = |service, path| RetentionRule {
        body: "record".parse().ok(),
        ..of(service, path)
    };
    let unlogged = |service, path| RetentionRule {
        logging: Some(Logging::NoBody),
        ..of(service, path)
    };
    [
        recorded(SERVICE, "/v1/transfers/"),
        unlogged(SERVICE, "/v1/packages/"),
        unlogged(SERVICE, "/v1/late-items/"),
        recorded(PARTICIPATION, "/v1/requests/"),
        unlogged(PARTICIPATION, "/v1/bundles/"),
    ]
}

/// Settings of casework.
#[derive(Clone, Debug)]
pub struct CaseworkSettings {
    /// The subsystem in whose name transfers travel.
    pub client: ClientId,
    /// Who may call its services.
    pub rights: Vec<Right>,
    /// The own region, for cases whose form names none.
    pub region: Option<Region>,
    /// Who is competent for what.
    pub directory: Option<Directory>,
    /// Services under a secrecy of their own.
    pub secrecy: BTreeMap<ServiceKey, Secrecy>,
    /// Where applications are written that were taken over.
    pub instance: Option<Instance>,
    /// What looks for malware.
    pub scanner: Scanner,
    /// Who may use the interface.
    pub keys: Vec<ApiKey>,
    /// Whose tokens let persons in.
    pub issuers: Vec<TokenIssuer>,
    /// Offers that are accepted without a person.
    pub standing_rules: Vec<StandingRule>,
    /// Whom events are posted to.
    pub webhooks: Vec<Webhook>,
    /// How long what may take.
    pub clocks: Periods,
    /// By which rules others are asked, and statements come about.
    pub participation: ParticipationSettings,
    /// In a training: the file that says by how many seconds the clock of cases and deadlines is ahead.
    pub training_clock: Option<PathBuf>,
}

/// Settings of participation.
#[derive(Clone, Debug)]
pub struct ParticipationSettings {
    /// Profiles, the tenant's own first.
    pub profiles: ProfileTable,
    /// Recipient classes and templates.
    pub recipients: RecipientTable,
    /// Which steps of a statement another person has to do.
    pub eyes: Eyes,
    /// Holidays that the own municipality has although its Land as a whole has not, by their ids.
    pub local_holidays: Vec<String>,
    /// Whether applicants may be told that and whom others were asked.
    pub tell_applicant: bool,
    /// Where requests to the house are put for a procedure that calls no interface.
    pub folder: Option<Folder>,
}

impl Default for ParticipationSettings {
    fn default() -> Self {
        Self {
            profiles: ProfileTable::built_in().clone(),
            recipients: RecipientTable::built_in().clone(),
            eyes: Eyes::TWO,
            local_holidays: Vec::new(),
            tell_applicant: false,
            folder: None,
        }
    }
}

/// An instance of the OZG-Cloud, as its form services see it.
#[derive(Clone, Debug)]
pub struct Instance {
    /// The address of its intake.
    pub url: http::Uri,
    /// Its unit that is competent (zustaendigeStelle).
    pub unit: String,
    /// Whether an application that comes twice with one transaction id is taken once.
    pub repeats_safe: bool,
}

/// What looks for malware in files.
#[derive(Clone, Debug)]
pub enum Scanner {
    /// Nothing does: every file is `unscannable`, with that reason.
    None,
    /// A clamd, by its protocol.
    Clamd(String),
    /// A command that gets the file on standard input: it ends with 0 for clean, with 1 for infected.
    Command(Vec<String>),
}

/// What a principal may do.
#[derive(Clone, Copy, Debug, Deserialize, Eq, Hash, Ord, PartialEq, PartialOrd, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Role {
    /// Hand in applications, as a form service does.
    Intake,
    /// Work on cases: commands, offers, acceptances, take-overs.
    Worker,
    /// Release what a finding holds back, as the second pair of eyes.
    Releaser,
    /// See all units, assign, act on what is unconfirmed.
    Supervisor,
    /// See what left the house, hold and release holds (behördliche/r Datenschutzbeauftragte/r).
    DataProtection,
    /// Speak for the house where it is asked: see all requests to it, assign, decline, ask for time, submit.
    Coordinator,
    /// Work on what the house is asked and is assigned: read, draft, ask back, release.
    Specialist,
    /// Look at files that a coordinator chose, until an instant; from outside of the house.
    Adviser,
}

/// Whether a key is a person's or a system's.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq)]
#[serde(rename_all = "snake_case")]
pub enum Holder {
    /// One person.
    Person,
    /// A system, which says on whose behalf it acts. That is recorded as asserted and never a second pair of eyes.
    System,
}

/// A key to the interface.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct ApiKey {
    /// A name for the log, of a system or the account of a person.
    pub name: String,
    /// Whose.
    pub holder: Holder,
    /// SHA-256 of the key.
    pub sha256: [u8; 32],
    /// What may be done with it.
    pub roles: BTreeSet<Role>,
    /// In which units; none means all, and what no unit has.
    pub units: BTreeSet<String>,
    /// Its last day, UTC.
    pub expires: Date,
}

/// Offers that are accepted and pulled without a person; taking over stays a person's.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct StandingRule {
    /// Cited in the acceptance.
    pub id: String,
    /// From whom.
    pub from: MemberId,
    /// For which services.
    pub services: BTreeSet<ServiceKey>,
}

/// How long what may take.
#[derive(Clone, Copy, Debug)]
pub struct Periods {
    /// Working days to answer an offer.
    pub answer_days: u32,
    /// Working days to take over.
    pub take_over_days: u32,
    /// Minutes until a missing receipt is shown.
    pub receipt: Duration,
    /// Until a missing import is shown.
    pub import: Duration,
    /// How long late items are relayed.
    pub relay: Duration,
    /// How long the content stays after a take-over.
    pub grace: Duration,
    /// How long the other side is waited for after a reclaim.
    pub unconfirmed: Duration,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct CaseworkTable {
    client: String,
    #[serde(default)]
    allow: Vec<String>,
    region: Option<String>,
    directory: Option<PathBuf>,
    #[serde(default)]
    tax_secrecy: Vec<String>,
    #[serde(default)]
    social_data: Vec<String>,
    instance: Option<InstanceTable>,
    #[serde(default)]
    scanner: ScannerTable,
    #[serde(default)]
    clocks: ClocksTable,
    #[serde(default)]
    participation: ParticipationTable,
    training_clock: Option<PathBuf>,
    #[serde(default)]
    key: Vec<KeyTable>,
    #[serde(default)]
    oidc: Vec<IssuerTable>,
    #[serde(default)]
    standing_rule: Vec<RuleTable>,
    #[serde(default)]
    webhook: Vec<WebhookTable>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct InstanceTable {
    url: String,
    unit: String,
    #[serde(default)]
    repeats_safe: bool,
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct ScannerTable {
    clamd: Option<String>,
    #[serde(default)]
    command: Vec<String>,
}

#[derive(Deserialize)]
#[serde(default, deny_unknown_fields)]
struct ClocksTable {
    answer_working_days: u32,
    take_over_working_days: u32,
    receipt_minutes: u64,
    import_minutes: u64,
    relay_days: u64,
    grace_days: u64,
    unconfirmed_hours: u64,
}

impl Default for ClocksTable {
    fn default() -> Self {
        Self {
            answer_working_days: 3,
            take_over_working_days: 5,
            receipt_minutes: 15,
            import_minutes: 60,
            relay_days: 365,
            grace_days: 30,
            unconfirmed_hours: 24,
        }
    }
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct ParticipationTable {
    profiles: Option<PathBuf>,
    recipients: Option<PathBuf>,
    eyes: Option<String>,
    #[serde(default)]
    local_holidays: Vec<String>,
    #[serde(default)]
    tell_applicant: bool,
    folder: Option<folder::FolderTable>,
}

impl ParticipationTable {
    fn read(
        self,
        base: &Path,
        region: Option<&Region>,
        mistakes: &mut Mistakes<'_>,
    ) -> ParticipationSettings {
        let mut settings = ParticipationSettings {
            local_holidays: self.local_holidays,
            tell_applicant: self.tell_applicant,
            folder: self.folder.map(|table| table.read(base)),
            ..ParticipationSettings::default()
        };
        let mut text = |key: &str, path: PathBuf| {
            let path = base.join(path);
            std::fs::read_to_string(&path)
                .map_err(|error| {
                    mistakes.say(format_args!(
                        "participation.{key}: {} cannot be read: {error}",
                        path.display()
                    ));
                })
                .ok()
        };
        let profiles = self.profiles.and_then(|path| text("profiles", path));
        let recipients = self.recipients.and_then(|path| text("recipients", path));
        if let Some(text) = profiles {
            match ProfileTable::parse(&text).and_then(|own| settings.profiles.with(own)) {
                Ok(profiles) => settings.profiles = profiles,
                Err(error) => mistakes.say(format_args!("participation.profiles: {error}")),
            }
        }
        if let Some(text) = recipients {
            match RecipientTable::parse(&text) {
                Ok(own) => settings.recipients = settings.recipients.with(own),
                Err(error) => mistakes.say(format_args!("participation.recipients: {error}")),
            }
        }
        match self.eyes.as_deref() {
            None | Some("two") => {}
            Some("four") => settings.eyes = Eyes::FOUR,
            Some("six") => settings.eyes = Eyes::SIX,
            Some(other) => mistakes.say(format_args!("participation.eyes = {other:?}: two, four or six")),
        }
        let land = region.and_then(|region| Land::of_key(&region.to_string()));
        if !settings.local_holidays.is_empty() {
            let place = land.map(|land| Place {
                land,
                local_holidays: settings.local_holidays.clone(),
            });
            match place.map(|place| HolidayTable::built_in().check(&place)) {
                Some(Ok(())) => {}
                Some(Err(error)) => mistakes.say(format_args!("participation.local_holidays: {error}")),
                None => mistakes
                    .say("participation.local_holidays: set casework.region too, which names the Land"),
            }
        }
        settings
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct KeyTable {
    name: String,
    holder: Holder,
    sha256: String,
    roles: BTreeSet<Role>,
    #[serde(default)]
    units: BTreeSet<String>,
    expires: Date,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RuleTable {
    id: String,
    from: String,
    services: Vec<String>,
}

/// Collects mistakes with the place where they were made.
pub(super) struct Mistakes<'a>(pub(super) &'a mut Vec<String>);

impl Mistakes<'_> {
    pub(super) fn say(&mut self, text: impl std::fmt::Display) {
        self.0.push(format!("casework.{text}"));
    }

    fn parsed<T: std::str::FromStr<Err: std::fmt::Display>>(&mut self, key: &str, text: &str) -> Option<T> {
        text.parse()
            .map_err(|error| self.say(format_args!("{key} = {text:?}: {error}")))
            .ok()
    }
}

impl CaseworkTable {
    /// The settings, or its mistakes.
    pub(super) fn read(
        self,
        base: &Path,
        members: &[Member],
        mistakes: &mut Vec<String>,
    ) -> Option<CaseworkSettings> {
        let mut mistakes = Mistakes(mistakes);
        let client: Option<ClientId> = mistakes.parsed("client", &self.client);
        if let Some(client) = &client {
            if client.subsystem() != Some(SUBSYSTEM) {
                mistakes.say(format_args!(
                    "client = {client}: the subsystem has the code {SUBSYSTEM} at every member, so that others find it"
                ));
            }
            if !members.iter().any(|member| member.id == *client.member()) {
                mistakes.say(format_args!(
                    "client = {client}: its member has no [[member]] entry"
                ));
            }
        }
        let client = client?;
        let group = format!("group:{}/{GROUP}", client.member().instance());
        let allowed = if self.allow.is_empty() {
            vec![group]
        } else {
            self.allow
        };
        let rights = allowed
            .iter()
            .filter_map(|text| {
                Some(Right {
                    subject: mistakes.parsed("allow", text)?,
                    method: Method::Any,
                    path: "**".parse::<PathPattern>().ok()?,
                })
            })
            .collect();
        let region = self.region.and_then(|text| mistakes.parsed("region", &text));
        let directory = self.directory.and_then(|path| {
            let path = base.join(path);
            let text = std::fs::read_to_string(&path).map_err(|error| {
                mistakes.say(format_args!(
                    "directory: {} cannot be read: {error}",
                    path.display()
                ));
            });
            Directory::parse(&text.ok()?)
                .map_err(|error| mistakes.say(format_args!("directory: {error}")))
                .ok()
        });
        let mut secrecy = BTreeMap::<ServiceKey, Secrecy>::new();
        for text in &self.tax_secrecy {
            if let Some(service) = mistakes.parsed("tax_secrecy", text) {
                secrecy.entry(service).or_default().tax = true;
            }
        }
        for text in &self.social_data {
            if let Some(service) = mistakes.parsed("social_data", text) {
                secrecy.entry(service).or_default().social = true;
            }
        }
        let instance = self.instance.and_then(|table| {
            let url: http::Uri = mistakes.parsed("instance.url", &table.url)?;
            if url.scheme_str() != Some("http") || url.host().is_none() {
                mistakes.say("instance.url: an http address is wanted; put a proxy of yours in front of what speaks TLS");
            }
            Some(Instance {
                url,
                unit: table.unit,
                repeats_safe: table.repeats_safe,
            })
        });
        let scanner = match (self.scanner.clamd, self.scanner.command) {
            (None, command) if command.is_empty() => Scanner::None,
            (Some(address), command) if command.is_empty() => Scanner::Clamd(address),
            (None, command) => Scanner::Command(command),
            (Some(_), _) => {
                mistakes.say("scanner: name clamd or command, not both");
                Scanner::None
            }
        };
        let mut keys: Vec<ApiKey> = Vec::new();
        for table in self.key {
            let Some(sha256) = from_hex(&table.sha256) else {
                mistakes.say(format_args!(
                    "key {:?}: sha256 has 64 hexadecimal digits; `kontor case key` writes it",
                    table.name
                ));
                continue;
            };
            if table.name.is_empty() || table.name.len() > 64 || table.name.chars().any(char::is_control) {
                mistakes.say(format_args!(
                    "key {:?}: a name has 1 to 64 characters",
                    table.name
                ));
            }
            if keys
                .iter()
                .any(|key| key.name == table.name || key.sha256 == sha256)
            {
                mistakes.say(format_args!(
                    "key {:?}: the name or the key stands twice",
                    table.name
                ));
            }
            if table.holder == Holder::System && table.roles.contains(&Role::Releaser) {
                mistakes.say(format_args!(
                    "key {:?}: a system is never a second pair of eyes; the role releaser is for persons",
                    table.name
                ));
            }
            keys.push(ApiKey {
                name: table.name,
                holder: table.holder,
                sha256,
                roles: table.roles,
                units: table.units,
                expires: table.expires,
            });
        }
        let issuers = oidc::read(self.oidc, &keys, base, &mut mistakes);
        let standing_rules = self
            .standing_rule
            .into_iter()
            .filter_map(|table| {
                let from = mistakes.parsed("standing_rule.from", &table.from);
                let services: Vec<Option<ServiceKey>> = table
                    .services
                    .iter()
                    .map(|text| mistakes.parsed("standing_rule.services", text))
                    .collect();
                Some(StandingRule {
                    id: table.id,
                    from: from?,
                    services: services.into_iter().collect::<Option<_>>()?,
                })
            })
            .collect();
        let participation = self.participation.read(base, region.as_ref(), &mut mistakes);
        let webhooks = webhook::read(self.webhook, base, &mut mistakes);
        let clocks = self.clocks;
        let (minutes, days) = (
            |n: u64| Duration::from_secs(60 * n),
            |n: u64| Duration::from_secs(86_400 * n),
        );
        Some(CaseworkSettings {
            client,
            rights,
            region,
            directory,
            secrecy,
            instance,
            scanner,
            keys,
            issuers,
            standing_rules,
            webhooks,
            clocks: Periods {
                answer_days: clocks.answer_working_days.clamp(1, 60),
                take_over_days: clocks.take_over_working_days.clamp(1, 120),
                receipt: minutes(clocks.receipt_minutes.clamp(1, 10_080)),
                import: minutes(clocks.import_minutes.clamp(1, 10_080)),
                relay: days(clocks.relay_days.min(3650)),
                grace: days(clocks.grace_days.min(3650)),
                unconfirmed: minutes(60 * clocks.unconfirmed_hours.clamp(1, 720)),
            },
            participation,
            training_clock: self.training_clock.map(|path| base.join(path)),
        })
    }
}

fn from_hex(text: &str) -> Option<[u8; 32]> {
    let mut bytes = [0; 32];
    if text.len() != 64 || !text.is_ascii() {
        return None;
    }
    for (index, byte) in bytes.iter_mut().enumerate() {
        *byte = u8::from_str_radix(&text[2 * index..2 * index + 2], 16).ok()?;
    }
    Some(bytes)
}
