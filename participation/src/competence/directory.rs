//! The directory file and the search in it.
//!
//! ```toml
//! version = "2026-1"
//! [[authority]]
//! member = "TEST/GOV/amt-fiktiv"
//! name = "Amt Beispiel (fiktiv)"
//! [[authority.rule]]
//! services = ["99102013104000"]        # or ["all"]
//! regions = ["010585890"]              # beginnings of regional keys
//! except = ["010585890008"]            # regions within, for which it is not competent
//! since = "2020-01-01"
//! until = "2030-12-31"                 # the last day; may be missing
//! source = "directory of the Land, 2026-01"
//! [[place]]
//! ars = "010585890008"
//! ags = "01058008"                     # how a municipality key leads to its regional key
//! [[successor]]
//! old = "010585890007"
//! new = "010585890008"
//! since = "2024-01-01"
//! ```

use std::collections::BTreeMap;

use jiff::civil::Date;
use kontor_protocol::id::MemberId;
use serde::Deserialize;

use super::{KeyError, Reason, Region, ServiceKey, Suggestion, is_digits};

/// Authorities with what they are competent for.
#[derive(Clone, Debug)]
pub struct Directory {
    version: String,
    rules: Vec<Rule>,
    /// Regional keys by municipality key.
    places: BTreeMap<String, Region>,
    successors: BTreeMap<Region, (Region, Date)>,
}

#[derive(Clone, Debug)]
struct Rule {
    member: MemberId,
    name: String,
    /// None: all.
    services: Option<Vec<ServiceKey>>,
    regions: Vec<Region>,
    except: Vec<Region>,
    since: Date,
    until: Option<Date>,
    source: String,
}

/// A directory that cannot be used: every mistake in it.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[error("the directory of competences cannot be used: {}", .0.join("; "))]
pub struct DirectoryError(pub Vec<String>);

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    version: String,
    #[serde(default)]
    authority: Vec<AuthorityTable>,
    #[serde(default)]
    place: Vec<PlaceTable>,
    #[serde(default)]
    successor: Vec<SuccessorTable>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct AuthorityTable {
    member: String,
    name: String,
    #[serde(default)]
    rule: Vec<RuleTable>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RuleTable {
    services: Vec<String>,
    regions: Vec<String>,
    #[serde(default)]
    except: Vec<String>,
    since: Date,
    until: Option<Date>,
    source: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct PlaceTable {
    ars: String,
    ags: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct SuccessorTable {
    old: String,
    new: String,
    since: Date,
}

/// Keys that follow each other at most.
const SUCCESSIONS: usize = 16;

impl Directory {
    /// Reads a directory file.
    ///
    /// # Errors
    /// All mistakes at once.
    pub fn parse(text: &str) -> Result<Self, DirectoryError> {
        let file: File = toml::from_str(text).map_err(|error| DirectoryError(vec![error.to_string()]))?;
        let mut mistakes = Vec::new();
        let mut rules = Vec::new();
        for authority in file.authority {
            let Ok(member) = authority.member.parse::<MemberId>() else {
                mistakes.push(format!(
                    "{:?} is no member, INSTANCE/CLASS/CODE",
                    authority.member
                ));
                continue;
            };
            for rule in authority.rule {
                rules.push(Rule {
                    services: match rule.services == ["all"] {
                        true => None,
                        false => Some(keys(&rule.services, &mut mistakes)),
                    },
                    regions: keys(&rule.regions, &mut mistakes),
                    except: keys(&rule.except, &mut mistakes),
                    member: member.clone(),
                    name: authority.name.clone(),
                    since: rule.since,
                    until: rule.until,
                    source: rule.source,
                });
            }
        }
        let mut places = BTreeMap::new();
        for PlaceTable { ars, ags } in file.place {
            let Some(ars) = keys::<Region>(&[ars], &mut mistakes).pop() else {
                continue;
            };
            if ags.len() != 8 || !is_digits(&ags) {
                mistakes.push(format!("{ags:?} is no municipality key of 8 digits"));
            } else if places.insert(ags.clone(), ars).is_some() {
                mistakes.push(format!("the municipality key {ags} stands there twice"));
            }
        }
        let mut successors = BTreeMap::new();
        for SuccessorTable { old, new, since } in file.successor {
            if let [old, new] = &keys::<Region>(&[old, new], &mut mistakes)[..]
                && successors.insert(old.clone(), (new.clone(), since)).is_some()
            {
                mistakes.push(format!("{old} has two successors"));
            }
        }
        match mistakes.is_empty() {
            true => Ok(Self {
                version: file.version,
                rules,
                places,
                successors,
            }),
            false => Err(DirectoryError(mistakes)),
        }
    }

    /// Its version, which a confirmed suggestion names.
    pub fn version(&self) -> &str {
        &self.version
    }

    /// Who is competent for a service at a place on a day; `place` is a regional or a municipality key. The most likely comes
    /// first: a rule that names the service before one for all, then the one of the smallest region.
    ///
    /// # Errors
    /// A key that is none, or a municipality key that the directory does not know.
    pub fn search(&self, service: &str, place: &str, on: Date) -> Result<Vec<Suggestion>, KeyError> {
        let service: ServiceKey = service.parse()?;
        let first = self.region(place)?;
        let here = self.successor(first, on);
        let asked = (here.0 != place).then(|| place.to_owned());
        let mut found = Vec::new();
        for rule in &self.rules {
            let holds = rule.since <= on && rule.until.is_none_or(|until| on <= until);
            let named = match &rule.services {
                None => false,
                Some(services) if services.contains(&service) => true,
                Some(_) => continue,
            };
            let smallest = rule
                .regions
                .iter()
                .filter(|region| region.contains(&here))
                .max_by_key(|region| region.0.len());
            let Some(region) = smallest.filter(|_| holds) else {
                continue;
            };
            if rule.except.iter().any(|except| except.contains(&here)) {
                continue;
            }
            found.push(Suggestion {
                member: rule.member.clone(),
                name: rule.name.clone(),
                reason: Reason {
                    service: service.clone(),
                    named,
                    region: region.clone(),
                    place: here.clone(),
                    asked: asked.clone(),
                    since: rule.since,
                    source: rule.source.clone(),
                },
            });
        }
        found.sort_by_key(|suggestion| {
            let reason = &suggestion.reason;
            (!reason.named, std::cmp::Reverse(reason.region.0.len()))
        });
        // Two rules of one authority are one suggestion: the better one.
        let mut seen = Vec::new();
        found.retain(|suggestion| {
            let new = !seen.contains(&suggestion.member);
            seen.push(suggestion.member.clone());
            new
        });
        Ok(found)
    }

    fn region(&self, place: &str) -> Result<Region, KeyError> {
        if place.len() == 8 {
            return self
                .places
                .get(place)
                .cloned()
                .ok_or_else(|| KeyError::Region(place.to_owned()));
        }
        place.parse()
    }

    /// The key that is in force on that day.
    fn successor(&self, first: Region, on: Date) -> Region {
        let mut here = first;
        for _ in 0..SUCCESSIONS {
            match self.successors.get(&here) {
                Some((next, since)) if *since <= on => here = next.clone(),
                Some(_) | None => break,
            }
        }
        here
    }
}

fn keys<K: std::str::FromStr<Err = KeyError>>(texts: &[String], mistakes: &mut Vec<String>) -> Vec<K> {
    let mut keys = Vec::new();
    for text in texts {
        match text.parse::<K>() {
            Ok(key) => keys.push(key),
            Err(error) => mistakes.push(error.to_string()),
        }
    }
    keys
}
