//! Who acts in casework, what they may, and what lets them in: keys, issuers of tokens and standing rules of the file, which change
//! while the node runs.

use std::collections::BTreeSet;
use std::sync::Arc;

use jiff::Timestamp;
use kontor_participation::round::release::Actor;
use kontor_participation::transfer::offer::Id;

use super::tokens::Issuer;
use super::{Casework, Refused};
use crate::config::casework::{ApiKey, Holder, Role, StandingRule};
use crate::config::{CaseworkSettings, EgressSettings};

/// See [`Casework::admit`].
#[derive(Debug, Eq, PartialEq)]
pub(super) struct Admitted {
    pub(super) keys: Vec<ApiKey>,
    /// With the keys that they publish; one that did not change goes on with those that it has.
    pub(super) issuers: Vec<Arc<Issuer>>,
    pub(super) standing_rules: Vec<StandingRule>,
    egress: EgressSettings,
}

impl Admitted {
    pub(super) fn first(settings: &CaseworkSettings, egress: &EgressSettings) -> Arc<Self> {
        Self::of(settings, egress, &[])
    }

    fn of(settings: &CaseworkSettings, egress: &EgressSettings, known: &[Arc<Issuer>]) -> Arc<Self> {
        let issuers = settings.issuers.iter().map(|settings| {
            let known = known.iter().find(|known| known.settings() == settings);
            known.map_or_else(|| Issuer::new(settings.clone(), egress), Arc::clone)
        });
        Arc::new(Self {
            keys: settings.keys.clone(),
            issuers: issuers.collect(),
            standing_rules: settings.standing_rules.clone(),
            egress: egress.clone(),
        })
    }
}

/// Who acts.
#[derive(Clone, Debug)]
pub(crate) struct Principal {
    /// Stands for (issuer, subject) wherever something is kept.
    pub(crate) pseudonym: String,
    /// A person or a system.
    pub(crate) holder: Holder,
    /// What may be done.
    pub(crate) roles: BTreeSet<Role>,
    /// In which units; none means all.
    pub(crate) units: BTreeSet<String>,
    /// On whose behalf a system says that it acts.
    pub(crate) on_behalf_of: Option<String>,
    /// When what let it in ends by itself.
    pub(super) until: Option<Timestamp>,
    /// What let it in; none for the node itself and for guests.
    pub(super) admitted: Option<Arc<Admitted>>,
    /// The one request that a guest may see.
    pub(super) only: Option<Id>,
}

impl Principal {
    /// The node itself: clocks, standing rules, the other side's messages.
    pub(super) fn node() -> Self {
        Self {
            pseudonym: "node".into(),
            holder: Holder::System,
            roles: [Role::Worker, Role::Supervisor].into(),
            units: [].into(),
            on_behalf_of: None,
            until: None,
            admitted: None,
            only: None,
        }
    }

    /// The procedure behind the folder drop: it reads what the house is asked and answers, and is never a second pair of eyes.
    pub(super) fn folder() -> Self {
        Self {
            pseudonym: "folder".into(),
            roles: [Role::Coordinator].into(),
            ..Self::node()
        }
    }

    /// Who acts, as four eyes are counted.
    pub(super) fn actor(&self) -> Actor {
        match self.holder {
            Holder::Person => Actor::person(&self.pseudonym),
            Holder::System => Actor::System {
                key: self.pseudonym.clone(),
                on_behalf_of: self.on_behalf_of.clone(),
            },
        }
    }

    /// Whether something of this unit may be seen.
    pub(crate) fn sees(&self, unit: Option<&str>) -> bool {
        if self.only.is_some() {
            return false;
        }
        self.units.is_empty()
            || self.roles.contains(&Role::Supervisor)
            || unit.is_some_and(|unit| self.units.contains(unit))
    }

    /// What others see of who acts: a role.
    pub(crate) fn acts_as(&self) -> &'static str {
        let has = |role| self.roles.contains(&role);
        match self.holder {
            Holder::System => "system",
            Holder::Person if has(Role::Worker) => "worker",
            Holder::Person if has(Role::Supervisor) => "supervisor",
            Holder::Person => "office",
        }
    }

    /// Refuses who may only hand in.
    pub(crate) fn reads(&self) -> Result<(), Refused> {
        self.needs(&[
            Role::Worker,
            Role::Releaser,
            Role::Supervisor,
            Role::DataProtection,
        ])
    }

    /// Refuses who has none of these roles.
    pub(crate) fn needs(&self, roles: &[Role]) -> Result<(), Refused> {
        match roles.iter().any(|role| self.roles.contains(role)) {
            true => Ok(()),
            false => Err(Refused::role(roles)),
        }
    }
}

impl Casework {
    /// Puts other keys, issuers, standing rules and webhooks to use: a key that is not among them opens nothing any more, and feeds that are
    /// followed end.
    pub fn admit(&self, settings: &CaseworkSettings) {
        self.webhooks.take(settings);
        let before = self.admitted.load_full();
        let admitted = Admitted::of(settings, &before.egress, &before.issuers);
        if admitted == before {
            return;
        }
        self.admitted.store(admitted);
        // Nobody follows, or everybody looks whether it still may.
        let _ = self.told.send(());
    }

    /// Whether what let somebody in is still in force.
    pub(super) fn admits(&self, who: &Principal) -> bool {
        let current = self.admitted.load();
        !self.holds_for(who).is_zero() && who.admitted.as_ref().is_some_and(|it| Arc::ptr_eq(it, &current))
    }

    /// What stands for (issuer, subject) wherever something is kept.
    pub(super) fn pseudonym(&self, issuer: &str, subject: &str) -> String {
        let blind = self.vault.blind(&format!("person\0{issuer}\0{subject}"));
        format!("p-{}", &blind[..16])
    }
}
