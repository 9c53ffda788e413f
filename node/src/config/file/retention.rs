//! `[messagelog.retention]`, `[[messagelog.rule]]` and `logging` of the file to settings. A class that a rule names must have a
//! duration; `permanent` cannot get one.

use std::collections::HashMap;

use kontor_protocol::id::ClientId;
use kontor_protocol::log::RetentionClass;

use super::{ClientTable, MessageLogTable, Reading, RuleTable};
use crate::config::retention::{Kept, Logging, PERMANENT, RetentionPolicy, RetentionRule, Schedule};

const LOGGING: [(&str, Logging); 3] = [
    ("full", Logging::Full),
    ("no-body", Logging::NoBody),
    ("short-head", Logging::ShortHead),
];

impl Reading {
    pub(super) fn retention(
        &mut self,
        table: &MessageLogTable,
        clients: &[ClientTable],
    ) -> (RetentionPolicy, Schedule) {
        let mut schedule = Schedule::default();
        for (name, kept) in &table.retention {
            let class = self.class("messagelog.retention", name);
            let kept = kept.parse::<Kept>().map_err(|error| {
                self.mistakes
                    .push(format!("messagelog.retention.{name}: {error}"));
            });
            if name == PERMANENT {
                let why = "entries of this class are about the log itself and stay";
                self.mistakes.push(format!("messagelog.retention.{name}: {why}"));
            }
            if let (Some(class), Ok(kept)) = (class, kept) {
                schedule.set(class, kept);
            }
        }
        let logging = self.choice("messagelog.logging", &table.logging, &LOGGING);
        let mut by_client = HashMap::new();
        for client in clients {
            let Some(text) = &client.logging else { continue };
            let logging = self.choice("client.logging", text, &LOGGING);
            // An id that does not read is reported where clients are read.
            if let (Some(logging), Ok(id)) = (logging, client.id.parse::<ClientId>()) {
                by_client.insert(id, logging);
            }
        }
        let rules = table.rule.iter().map(|rule| self.rule(rule, &schedule)).collect();
        let policy = RetentionPolicy {
            logging: logging.unwrap_or_default(),
            clients: by_client,
            rules,
            ..RetentionPolicy::default()
        };
        (policy, schedule)
    }

    fn rule(&mut self, table: &RuleTable, schedule: &Schedule) -> RetentionRule {
        let provider = table.provider.as_ref();
        let mut class = |name: &Option<String>| {
            let class = self.class("messagelog.rule", name.as_ref()?)?;
            if !schedule.names(&class) {
                self.mistakes.push(format!(
                    "messagelog.rule: the class {class} has no duration; add it to [messagelog.retention]"
                ));
            }
            Some(class)
        };
        let (head, body, evidence) = (class(&table.head), class(&table.body), class(&table.evidence));
        let logging = table.logging.as_ref();
        RetentionRule {
            provider: provider
                .and_then(|id| self.id("messagelog.rule.provider", id, "INSTANCE/CLASS/CODE[/SUBSYSTEM]")),
            subsystem: None,
            service: table.service.clone(),
            path: table.path.clone(),
            head,
            body,
            evidence,
            logging: logging.and_then(|text| self.choice("messagelog.rule.logging", text, &LOGGING)),
        }
    }

    fn class(&mut self, key: &str, name: &str) -> Option<RetentionClass> {
        let class = name.parse().ok();
        if class.is_none() {
            self.mistakes.push(format!(
                "{key}: {name:?}: a class is named by 1 to 32 lower-case letters, digits and `-`"
            ));
        }
        class
    }
}
