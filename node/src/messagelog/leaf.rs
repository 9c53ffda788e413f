//! Leaves as the writer makes them and recovery reads them; the bytes are those of [`kontor_protocol::log`].

use kontor_pki::time::UnixTime;
use kontor_protocol::log::{self as proven, Direction, Leaf};

use super::{
    draft::{Draft, Parties, Subject},
    entry::{EntryKind, LoggedBody},
    keytree::BlobClass,
    round::Slot,
};

/// The key period of an instant: year times 100 plus month, UTC.
pub(crate) fn period(now: UnixTime) -> u32 {
    // Days to a civil date, counted in years that begin in March (Hinnant).
    let days = now.secs().max(0) / 86_400 + 719_468;
    let (era, day_of_era) = (days / 146_097, days % 146_097);
    let year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let march_month = (5 * day_of_year + 2) / 153;
    let month = if march_month < 10 {
        march_month + 3
    } else {
        march_month - 9
    };
    let year = year_of_era + era * 400 + i64::from(month <= 2);
    u32::try_from(year * 100 + month).unwrap_or(u32::MAX)
}

/// The leaf of a draft that got its number.
pub(crate) fn leaf(draft: &Draft, slot: &Slot<'_>, period: u32) -> Leaf {
    let (kind, direction) = match draft.subject {
        Subject::Message(EntryKind::RequestSent) => (proven::EntryKind::Request, Direction::Sent),
        Subject::Message(EntryKind::RequestReceived) => (proven::EntryKind::Request, Direction::Received),
        Subject::Message(EntryKind::ResponseSent) => (proven::EntryKind::Response, Direction::Sent),
        Subject::Message(EntryKind::ResponseReceived) => (proven::EntryKind::Response, Direction::Received),
        Subject::FailureClosure => (proven::EntryKind::FailureClosure, Direction::None),
        Subject::Timestamp => (proven::EntryKind::TimeStamp, Direction::None),
    };
    let parties = draft.parties.clone();
    let retention = proven::Retention {
        head: draft.head.as_ref().map(|_| draft.retention.head.clone()),
        body: match draft.body {
            LoggedBody::None => None,
            LoggedBody::Inline(..) | LoggedBody::Content(..) => Some(draft.retention.body.clone()),
        },
        evidence: Some(draft.retention.evidence.clone()),
    };
    Leaf {
        kind,
        direction,
        test: slot.test,
        size_class: Leaf::size_class(draft.size),
        log_id: *slot.log,
        number: slot.number,
        second: Leaf::second_of(slot.now),
        period,
        client: parties.client,
        service: parties.service,
        client_server: parties.client_server,
        provider_server: parties.provider_server,
        retention,
        commitment: draft.commitment,
    }
}

/// Whether an answer is due.
pub(crate) fn is_request(leaf: &Leaf) -> bool {
    leaf.kind == proven::EntryKind::Request
}

/// The parties that a closure takes over from the request it closes.
pub(crate) fn parties(leaf: Leaf) -> Parties {
    Parties {
        client: leaf.client,
        service: leaf.service,
        client_server: leaf.client_server,
        provider_server: leaf.provider_server,
    }
}

/// Whether the entry holds a token for others.
pub(crate) fn is_timestamp(leaf: &[u8]) -> bool {
    Leaf::parse(leaf).is_ok_and(|leaf| leaf.kind == proven::EntryKind::TimeStamp)
}

/// Month and retention class under which the key of a blob is found.
pub(crate) fn key_of(leaf: &Leaf, class: BlobClass) -> Option<(u32, String)> {
    let retention = match class {
        BlobClass::Head => &leaf.retention.head,
        BlobClass::Body => &leaf.retention.body,
        BlobClass::Evidence => &leaf.retention.evidence,
        BlobClass::Shared => return None,
    };
    Some((leaf.period, retention.as_ref()?.as_str().to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_period_is_the_month_of_the_instant_in_utc() {
        for (at, expected) in [
            ("1970-01-01T00:00:00Z", 197_001),
            ("2024-02-29T23:59:59Z", 202_402),
            ("2024-03-01T00:00:00Z", 202_403),
            ("2029-12-31T23:59:59Z", 202_912),
            ("2030-01-01T00:00:00Z", 203_001),
            ("2100-02-28T12:00:00Z", 210_002),
        ] {
            assert_eq!(period(UnixTime::parse_rfc3339(at).unwrap()), expected, "{at}");
        }
        assert_eq!(period(UnixTime::from_secs(-1)), 197_001);
    }
}
