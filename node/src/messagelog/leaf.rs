//! Leaves as the writer makes them and recovery reads them; the bytes are those of [`kontor_protocol::log`].

use kontor_pki::time::UnixTime;
use kontor_protocol::{
    id::{ClientId, ServerId, ServiceId},
    log::{self as proven, Direction, Leaf, RetentionClass},
};

use super::{entry::EntryKind, fact::FactKind, keytree::BlobClass};

/// What an entry is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Subject {
    Message(EntryKind),
    /// An exchange ended without its answer.
    FailureClosure,
    /// A token for earlier entries.
    Timestamp,
    /// Something about the log or its node.
    Fact(FactKind),
}

/// The parties of an entry, as they stand in its leaf.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Parties {
    pub(crate) client: Option<ClientId>,
    pub(crate) service: Option<ServiceId>,
    pub(crate) client_server: Option<ServerId>,
    pub(crate) provider_server: Option<ServerId>,
}

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

/// Whose leaves these are: the same for every entry of a log.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Origin {
    pub(crate) log: [u8; 32],
    pub(crate) test: bool,
}

/// The leaf of an entry that has no number yet; the writer sets number and time.
pub(crate) fn unnumbered(origin: &Origin, subject: Subject, parties: Parties, commitment: [u8; 32]) -> Leaf {
    let (kind, direction) = match subject {
        Subject::Message(EntryKind::RequestSent) => (proven::EntryKind::Request, Direction::Sent),
        Subject::Message(EntryKind::RequestReceived) => (proven::EntryKind::Request, Direction::Received),
        Subject::Message(EntryKind::ResponseSent) => (proven::EntryKind::Response, Direction::Sent),
        Subject::Message(EntryKind::ResponseReceived) => (proven::EntryKind::Response, Direction::Received),
        Subject::FailureClosure => (proven::EntryKind::FailureClosure, Direction::None),
        Subject::Timestamp => (proven::EntryKind::TimeStamp, Direction::None),
        Subject::Fact(kind) => (kind.in_leaf(), Direction::None),
    };
    Leaf {
        kind,
        direction,
        test: origin.test,
        size_class: 0,
        log_id: origin.log,
        number: 0,
        second: 0,
        period: 0,
        client: parties.client,
        service: parties.service,
        client_server: parties.client_server,
        provider_server: parties.provider_server,
        retention: proven::Retention::default(),
        commitment,
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
pub(crate) fn key_of(leaf: &Leaf, class: BlobClass) -> Option<(u32, RetentionClass)> {
    let retention = match class {
        BlobClass::Head => &leaf.retention.head,
        BlobClass::Body => &leaf.retention.body,
        BlobClass::Evidence => &leaf.retention.evidence,
        BlobClass::Shared => return None,
    };
    Some((leaf.period, retention.clone()?))
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
