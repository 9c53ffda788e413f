//! Guests: who has no node opens one request by link and code. The first opening with the code is the delivery; wrong codes are
//! counted and close it; every look is recorded, and nothing else of this house is to be seen by that way.

use std::time::Duration;

use jiff::{Timestamp, ToSpan};
use kontor_participation::deadline::end_of;
use kontor_participation::round::delivery::Side;
use kontor_participation::round::guest::{GuestError, Invitation, Opening};
use kontor_participation::round::life::Party;
use kontor_participation::round::state::State;
use kontor_participation::transfer::offer::Id;
use kontor_pki::crypto::random;
use serde_json::json;

use super::super::cases::WORKERS;
use super::super::{Casework, Principal, Refused, Step, Table};
use super::row::{RequestRow, member_of};
use crate::config::casework::{Holder, Role};

/// How long an invitation holds where nothing else ends it.
const DAYS: i64 = 183;
/// Letters of codes and links: none that is taken for another one.
const LETTERS: &[u8; 32] = b"23456789ABCDEFGHJKLMNPQRSTUVWXYZ";
/// How long the first opening waits for what it sets going.
const PATIENCE: Duration = Duration::from_secs(10);

/// What a person hands over to a guest: by two ways.
#[derive(Debug)]
pub(crate) struct Handed {
    pub(crate) link: String,
    pub(crate) code: String,
    pub(crate) ends: Timestamp,
}

/// Random letters, in groups.
fn letters(count: usize, group: usize) -> String {
    let bytes: [u8; 32] = random();
    let mut text = String::new();
    for (place, byte) in bytes.iter().take(count).enumerate() {
        if place > 0 && place.is_multiple_of(group) {
            text.push('-');
        }
        text.push(char::from(LETTERS[usize::from(byte % 32)]));
    }
    text
}

impl From<GuestError> for Refused {
    fn from(error: GuestError) -> Self {
        let status = match error {
            GuestError::WrongCode { .. } => http::StatusCode::UNAUTHORIZED,
            GuestError::Locked => http::StatusCode::FORBIDDEN,
            GuestError::Ended => http::StatusCode::GONE,
        };
        Self::new(status, error.code(), error.to_string())
    }
}

fn no_link() -> Refused {
    Refused::new(
        http::StatusCode::NOT_FOUND,
        "guest_link_unknown",
        "there is no invitation behind this link; check it, or ask the authority",
    )
}

impl Casework {
    /// Invites a guest, or gives it another link and code: those before open nothing any more.
    pub(in crate::casework) async fn invite(
        &self,
        who: &Principal,
        id: &Id,
        version: u64,
    ) -> Result<(RequestRow, Handed), Refused> {
        who.needs(&WORKERS)?;
        let _lock = self.lock(&[id]).await;
        let mut row = self.seen_request(who, id)?;
        if row.version != version {
            return Err(Refused::version(row.version, version));
        }
        let Some(Party::Guest { guest }) = row.party.clone() else {
            let detail = "only a guest is invited by link and code";
            return Err(Refused::conflict("no_guest", detail));
        };
        if row.peer != self.own().to_string() {
            let detail = format!(
                "{} hosts this guest, and gives it link and code",
                member_of(&row.peer)
            );
            return Err(Refused::conflict("guest_elsewhere", detail).hint("ask it to"));
        }
        let stands = self.stands(&row)?;
        if !stands.is_sent() || !stands.is_open_to_participant() {
            let detail = format!(
                "a guest is invited once its request is sent and as long as that is open; it is {}",
                row.state().name()
            );
            return Err(Refused::conflict("illegal_for_state", detail)
                .legal(super::requester::legal(&row))
                .hint("open the round first"));
        }
        let now = self.decisive_now()?;
        let most = now.checked_add((DAYS * 24).hours()).unwrap_or(Timestamp::MAX);
        let ends = row.body.disclosure_ends.and_then(|day| end_of(day).ok());
        let ends = ends.map_or(most, |ends| ends.min(most));
        let (link, code) = (letters(26, 26), letters(10, 5));
        match &mut row.invitation {
            Some(invitation) => invitation.renew(&code, random(), ends),
            None => row.invitation = Some(Invitation::new(guest.clone(), &code, random(), ends)),
        }
        let details = json!({ "request": id, "guest": guest, "ends": ends });
        let cites = self.act(who, "request_invite", "worker", details).await?;
        let blind = self.vault.blind(&format!("guest\0{link}"));
        let before = self
            .store
            .get::<String>(Table::Guests, &super::super::row_key(id))?;
        let mut step = Step {
            guests: vec![
                (row_key_of(id), Some(blind.clone())),
                (blind.into_bytes(), Some(id.to_string())),
            ],
            ..Step::default()
        };
        if let Some(before) = before {
            step.guests.push((before.into_bytes(), None));
        }
        step.requests.push(row);
        step.event("request.invited", now);
        self.commit("invite", &cites, step).await?;
        Ok((self.request(Side::Requester, id)?, Handed { link, code, ends }))
    }

    /// Lets a guest in: who it is, and the request that it may see.
    pub(in crate::casework) async fn let_in(
        &self,
        link: &str,
        code: &str,
    ) -> Result<(Principal, Id), Refused> {
        self.is_open()?;
        let blind = self.vault.blind(&format!("guest\0{link}"));
        let id: String = self
            .store
            .get(Table::Guests, blind.as_bytes())?
            .ok_or_else(no_link)?;
        let id = Id::try_from(id).map_err(|error| Refused::internal(&error))?;
        let opening = self.opened(&id, code).await?;
        let row = self.request(Side::Requester, &id)?;
        let Some(Party::Guest { guest }) = &row.party else {
            return Err(no_link());
        };
        if opening == Opening::First {
            self.outbox.queue(&row.peer, &row.process());
        }
        self.has_come(&id).await?;
        let who = Principal {
            pseudonym: format!("guest/{guest}"),
            holder: Holder::Person,
            roles: [Role::Coordinator, Role::Specialist].into(),
            units: [].into(),
            on_behalf_of: None,
            until: None,
            admitted: None,
            only: Some(id.clone()),
        };
        Ok((who, id))
    }

    /// How the request of a guest stands: where another house asks by now, the guest's own side knows.
    fn stands(&self, row: &RequestRow) -> Result<State, Refused> {
        match row.moving {
            Some(_) => Ok(self.request(Side::Participant, row.id())?.state()),
            None => Ok(row.state()),
        }
    }

    /// Opens the invitation; wrong codes are counted, whatever this returns.
    async fn opened(&self, id: &Id, code: &str) -> Result<Opening, Refused> {
        let _lock = self.lock(&[id]).await;
        let mut row = self.request(Side::Requester, id)?;
        let now = self.decisive_now()?;
        // With the request ends what opens it.
        if !self.stands(&row)?.is_open_to_participant() {
            return Err(GuestError::Ended.into());
        }
        let before = row.invitation.clone();
        let opening = row.invitation.as_mut().ok_or_else(no_link)?.open(code, now);
        if row.invitation == before {
            return Ok(opening?);
        }
        let details = json!({ "request": id, "opened": opening.is_ok() });
        let act = match opening {
            Ok(_) => "guest_opens",
            Err(_) => "guest_refused",
        };
        let cites = self
            .act(&Principal::node(), act, "link and code", details)
            .await?;
        let mut step = Step {
            requests: vec![row],
            ..Step::default()
        };
        step.event(
            match opening {
                Ok(_) => "request.opened",
                Err(_) => "request.wrong_code",
            },
            now,
        );
        self.commit("guest", &cites, step).await?;
        Ok(opening?)
    }

    /// Waits until what the first opening sets going is there: the request as it is delivered, with what is disclosed.
    async fn has_come(&self, id: &Id) -> Result<(), Refused> {
        let begun = tokio::time::Instant::now();
        loop {
            let row = self.request(Side::Participant, id);
            if row.is_ok_and(|row| {
                row.bundles
                    .first()
                    .is_some_and(|first| first.complete || first.problem.is_some())
            }) {
                return Ok(());
            }
            if begun.elapsed() > PATIENCE {
                let detail = "the request is on its way; open it again in a moment";
                return Err(Refused::unavailable("being_delivered", detail));
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }
}

fn row_key_of(id: &Id) -> Vec<u8> {
    super::super::row_key(id)
}
