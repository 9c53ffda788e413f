//! What the state store holds of rounds and requests. The fields in clear are codes, counts, instants and pseudonyms; what people
//! wrote and what is disclosed lies sealed in [`super::letters`].

use std::collections::BTreeSet;

use jiff::Timestamp;
use kontor_participation::application::manifest::Digest;
use kontor_participation::round::delivery::{ExtensionReason, RequestBody, Side};
use kontor_participation::round::disclosure::access::{Access, Downloaded};
use kontor_participation::round::guest::Invitation;
use kontor_participation::round::life::{Party, Round};
use kontor_participation::round::message::{DeclineReason, Told};
use kontor_participation::round::participant::Participant;
use kontor_participation::round::release::Actor;
use kontor_participation::round::request::Request;
use kontor_participation::round::requester::{self, Requester};
use kontor_participation::round::state::State;
use kontor_participation::round::statement::work::Work;
use kontor_participation::transfer::delivery::{Bundle, PurgeStatement};
use kontor_participation::transfer::offer::Id;
use serde::{Deserialize, Serialize};

use super::super::row::{Cited, Process};
use super::adviser::Adviser;
use super::moved::{Move, Moving};

/// A round.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub(crate) struct RoundRow {
    /// The round; its topics are among the sealed words.
    pub(crate) round: Round,
    /// Grows with every change.
    pub(crate) version: u64,
    /// The unit that asks.
    pub(crate) unit: Option<String>,
    /// Requests of it that another house has still to hand over.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub(crate) coming: BTreeSet<Id>,
    /// Under which key its words are sealed: that of the case.
    pub(crate) subject: (u32, u64),
    /// When it was prepared.
    pub(crate) created_at: Timestamp,
    /// The entry that its last change rests on.
    pub(crate) cites: Cited,
    /// Sealed [`RoundWords`].
    pub(crate) words: String,
}

/// What people wrote of a round.
#[derive(Clone, Debug, Default, Deserialize, Serialize)]
pub(crate) struct RoundWords {
    /// What is asked.
    pub(crate) question: String,
    /// Role and unit to write to.
    pub(crate) contact: String,
    /// The only topics.
    #[serde(default)]
    pub(crate) topics: Vec<String>,
}

/// Which side of a request this is, and how it stands.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "snake_case", tag = "side", content = "machine")]
pub(crate) enum Asking {
    /// This house asks.
    Requester(Box<Requester>),
    /// This house is asked, or hosts who is.
    Participant(Box<Participant>),
}

/// A request, as one side has it.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub(crate) struct RequestRow {
    /// Grows with every change.
    pub(crate) version: u64,
    /// The other side's subsystem; the own one where who is asked is hosted.
    pub(crate) peer: String,
    /// What is told of it outside of bundles; its bundle is known when it is sent.
    pub(crate) body: RequestBody,
    /// Whom the requester asks.
    pub(crate) party: Option<Party>,
    /// The requester's case.
    pub(crate) case: Option<Id>,
    /// Number under which what is disclosed is sealed: of the requester's case, of the participant's request.
    pub(crate) subject: (u32, u64),
    /// The unit that it is with.
    pub(crate) unit: Option<String>,
    /// Who has it in hand, by pseudonym.
    pub(crate) assignee: Option<String>,
    /// How it stands.
    pub(crate) asking: Asking,
    /// When it was made or came.
    pub(crate) since: Timestamp,
    /// Messages sent.
    pub(crate) sent: u32,
    /// Messages received.
    pub(crate) received: u32,
    /// What was announced to be pulled, by either side.
    pub(crate) bundles: Vec<Announced>,
    /// What was opened of what is disclosed, and taken back.
    #[serde(default)]
    pub(crate) access: Access,
    /// Files that were taken back and are not deleted yet.
    #[serde(default)]
    pub(crate) to_delete: Vec<String>,
    /// Who prepared it.
    pub(crate) drafted_by: Option<Actor>,
    /// Who released it.
    pub(crate) approved_by: Option<Actor>,
    /// The statement in the making.
    pub(crate) work: Option<Work>,
    /// The guest's invitation.
    pub(crate) invitation: Option<Invitation>,
    /// The request that this one replaces.
    pub(crate) replaces: Option<Id>,
    /// The participant's own reference.
    pub(crate) reference: Option<String>,
    /// Why it was declined, and who may be competent instead.
    pub(crate) declined: Option<(DeclineReason, Option<String>)>,
    /// Why more time was asked for.
    pub(crate) extension: Option<ExtensionReason>,
    /// What was said to be deleted at the participant.
    pub(crate) purge: Option<PurgeStatement>,
    /// What had been downloaded before.
    #[serde(default)]
    pub(crate) downloaded: Vec<Downloaded>,
    /// Who advises the participant, and on what.
    #[serde(default)]
    pub(crate) advisers: Vec<Adviser>,
    /// What a person is to be shown, by code: what is overdue, what could not be read.
    #[serde(default)]
    pub(crate) notices: BTreeSet<String>,
    /// Houses that asked, one after the other, where the case was handed over.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) moves: Vec<Move>,
    /// How far it is gone over to another house.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) moving: Option<Moving>,
    /// Its place in the folder drop, where it is or was there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) folder: Option<Dropped>,
    /// The entry that the last change rests on.
    pub(crate) cites: Cited,
}

/// A request in the folder drop.
#[derive(Clone, Debug, Default, Deserialize, Serialize)]
pub(crate) struct Dropped {
    /// Whether something that has to go could not be deleted there.
    pub(crate) stuck: bool,
    /// The number of the last statement that was taken up there and submitted; 0: none was.
    pub(crate) submitted: u32,
}

/// A bundle that one side announced.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub(crate) struct Announced {
    /// Whose message did.
    pub(crate) side: Side,
    /// The number of that message.
    pub(crate) seq: u32,
    /// Its kind.
    pub(crate) kind: String,
    /// What is to be pulled.
    pub(crate) bundle: Bundle,
    /// Parts that the other side has pulled from here, until it has all of them.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub(crate) served: BTreeSet<u64>,
    /// Parts that were pulled here, of a large one.
    #[serde(default)]
    pub(crate) pulled: u64,
    /// Whether it is all there: at the one who pulls it.
    pub(crate) complete: bool,
    /// `x-road-id` of the exchange in which the last part went over, where that is known: what proves that it was pulled.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) exchange: Option<String>,
    /// Why it cannot be used, by code.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) problem: Option<String>,
}

impl Announced {
    pub(crate) const fn new(side: Side, seq: u32, kind: String, bundle: Bundle) -> Self {
        Self {
            side,
            seq,
            kind,
            bundle,
            served: BTreeSet::new(),
            pulled: 0,
            complete: false,
            exchange: None,
            problem: None,
        }
    }

    /// Whether it is still to be pulled.
    pub(crate) const fn is_open(&self) -> bool {
        !self.complete && self.problem.is_none()
    }

    /// It is not to be had any more, where it is not here already: as a whole, or because a file in it was taken back.
    pub(crate) fn close(&mut self, whole: bool) {
        if self.is_open() {
            self.pulled = 0;
            let why = if whole {
                "disclosure_closed"
            } else {
                "file_revoked"
            };
            self.problem = Some(why.to_owned());
        }
    }
}

impl RequestRow {
    /// One that nothing happened to yet.
    pub(super) fn new(
        body: RequestBody,
        asking: Asking,
        peer: String,
        subject: (u32, u64),
        now: Timestamp,
    ) -> Self {
        Self {
            version: 0,
            peer,
            party: None,
            case: None,
            subject,
            unit: None,
            assignee: None,
            asking,
            since: now,
            sent: 0,
            received: 0,
            bundles: Vec::new(),
            access: Access::default(),
            to_delete: Vec::new(),
            drafted_by: None,
            approved_by: None,
            work: None,
            invitation: None,
            replaces: None,
            reference: None,
            declined: None,
            extension: None,
            purge: None,
            downloaded: Vec::new(),
            advisers: Vec::new(),
            notices: BTreeSet::new(),
            moves: Vec::new(),
            moving: None,
            folder: None,
            cites: nothing_yet(),
            body,
        }
    }

    pub(crate) const fn id(&self) -> &Id {
        &self.body.request_id
    }

    pub(crate) const fn side(&self) -> Side {
        match self.asking {
            Asking::Requester(_) => Side::Requester,
            Asking::Participant(_) => Side::Participant,
        }
    }

    pub(crate) fn process(&self) -> Process {
        Process::Request(self.side(), self.id().clone())
    }

    /// The request as this side expects it to stand.
    pub(crate) fn expected(&self) -> Request {
        match &self.asking {
            Asking::Requester(machine) => machine.request().clone(),
            Asking::Participant(machine) => machine.expected(),
        }
    }

    pub(crate) fn state(&self) -> State {
        match &self.asking {
            Asking::Requester(machine) => machine.state(),
            Asking::Participant(machine) => machine.expected().state(),
        }
    }

    /// The requester's machine, of a row that is on that side.
    pub(crate) const fn requester(&self) -> Option<&Requester> {
        match &self.asking {
            Asking::Requester(machine) => Some(machine),
            Asking::Participant(_) => None,
        }
    }

    /// The participant's.
    pub(crate) const fn participant(&self) -> Option<&Participant> {
        match &self.asking {
            Asking::Participant(machine) => Some(machine),
            Asking::Requester(_) => None,
        }
    }

    /// Applies what the requester's side decided; gives what is to be told.
    pub(crate) fn decided(&mut self, decision: &requester::Decision) -> Vec<Told> {
        if let Asking::Requester(machine) = &mut self.asking {
            machine.apply(decision);
        }
        decision.tell.clone()
    }

    /// Whether a guest is asked.
    pub(crate) fn is_guest(&self) -> bool {
        self.body
            .hosted
            .as_deref()
            .is_some_and(|hosted| hosted.starts_with("guest/"))
    }

    /// Who is asked, as others are named.
    pub(crate) fn participant_name(&self, own: &str) -> String {
        match (&self.body.hosted, self.side()) {
            (Some(hosted), _) => hosted.clone(),
            (None, Side::Requester) => member_of(&self.peer).to_owned(),
            (None, Side::Participant) => own.to_owned(),
        }
    }
}

/// The member of a subsystem.
pub(crate) fn member_of(peer: &str) -> &str {
    peer.rsplit_once('/').map_or(peer, |(member, _)| member)
}

/// What a row cites before its first commit.
pub(super) const fn nothing_yet() -> Cited {
    Cited {
        number: 0,
        leaf: Digest([0; 32]),
    }
}
