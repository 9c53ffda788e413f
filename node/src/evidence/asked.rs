//! What a request for containers asks: the parameters of `GET /asic` (wire 6.7). Owns their reading, nothing else.

use kontor_protocol::container::MessageRole;
use kontor_protocol::id::{ClientId, MemberId};
use kontor_protocol::log::EntryKind;

/// Longest query id that is searched for; messages have no bound of their own but that of a header.
const QUERY_ID: usize = 8 * 1024;

/// A request for containers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Asked {
    /// Whose messages.
    pub(super) client: ClientId,
    /// Which exchange.
    pub(super) query_id: String,
    /// Requests only, or responses only.
    only: Option<MessageRole>,
    /// One container and no ZIP file around it.
    pub(super) unique: bool,
    /// Time-stamps that are missing are to be had now.
    pub(super) force: bool,
}

impl Asked {
    /// Reads the query of the request target; the error is a sentence.
    pub(super) fn parse(query: &str) -> Result<Self, String> {
        let mut fields = Vec::new();
        for pair in query.split('&').filter(|pair| !pair.is_empty()) {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            let decode =
                |text| decoded(text).ok_or_else(|| format!("the parameter {name:?} is not well encoded"));
            let (name, value) = (decode(name)?, decode(value)?);
            if fields.iter().any(|(there, _)| *there == name) {
                return Err(format!("the parameter {name:?} is given twice"));
            }
            fields.push((name, value));
        }
        let find = |name: &str| {
            fields
                .iter()
                .find(|(there, _)| there == name)
                .map(|(_, value)| value)
        };
        let must = |name: &str| {
            let value = find(name).filter(|value| !value.is_empty());
            value.ok_or_else(|| format!("the parameter {name:?} is missing"))
        };
        let has = |name: &str| find(name).is_some();

        let invalid =
            |error: kontor_protocol::id::InvalidId| format!("the client is not well named: {error}");
        let member = MemberId::new(must("xRoadInstance")?, must("memberClass")?, must("memberCode")?);
        let member = member.map_err(invalid)?;
        let client = match find("subsystemCode").filter(|code| !code.is_empty()) {
            Some(code) => ClientId::subsystem_of(member, code).map_err(invalid)?,
            None => member.into(),
        };
        let query_id = must("queryId")?.clone();
        if query_id.len() > QUERY_ID {
            return Err("the parameter \"queryId\" is longer than the id of any message".into());
        }
        let only = match (has("requestOnly"), has("responseOnly")) {
            (true, true) => {
                return Err("the parameters \"requestOnly\" and \"responseOnly\" exclude each other".into());
            }
            (true, false) => Some(MessageRole::Request),
            (false, true) => Some(MessageRole::Response),
            (false, false) => None,
        };
        let unique = has("unique");
        if unique && only.is_none() {
            return Err("the parameter \"unique\" goes with \"requestOnly\" or \"responseOnly\" only".into());
        }
        Ok(Self {
            client,
            query_id,
            only,
            unique,
            force: has("force"),
        })
    }

    /// The kind of entries asked for; `None` for both.
    pub(super) fn kind(&self) -> Option<EntryKind> {
        self.only.map(|role| match role {
            MessageRole::Request => EntryKind::Request,
            MessageRole::Response => EntryKind::Response,
        })
    }

    /// What the name of the ZIP file says of it.
    pub(super) fn suffix(&self) -> &'static str {
        match self.only {
            None => "",
            Some(MessageRole::Request) => "-request",
            Some(MessageRole::Response) => "-response",
        }
    }
}

/// Decodes a name or value of a form: `+` is a blank, `%XX` an octet of UTF-8.
fn decoded(text: &str) -> Option<String> {
    let digit = |byte: u8| {
        char::from(byte)
            .to_digit(16)
            .and_then(|digit| u8::try_from(digit).ok())
    };
    let (mut out, mut rest) = (Vec::with_capacity(text.len()), text.as_bytes());
    while let Some((first, tail)) = rest.split_first() {
        rest = tail;
        match (first, tail) {
            (b'+', _) => out.push(b' '),
            (b'%', [high, low, tail @ ..]) => {
                out.push(digit(*high)? << 4 | digit(*low)?);
                rest = tail;
            }
            (b'%', _) => return None,
            (byte, _) => out.push(*byte),
        }
    }
    String::from_utf8(out).ok()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const CLIENT: &str = "xRoadInstance=TEST&memberClass=GOV&memberCode=1001";

    #[test]
    fn parameters_are_read_as_x_road_names_them() {
        let asked = Asked::parse(&format!(
            "{CLIENT}&subsystemCode=antr%C3%A4ge&queryId=a+b%2F1&force"
        ))
        .unwrap();
        assert_eq!(asked.client.to_string(), "TEST/GOV/1001/antr\u{e4}ge");
        assert_eq!(asked.query_id, "a b/1");
        assert!(asked.force && !asked.unique);
        assert_eq!((asked.kind(), asked.suffix()), (None, ""));
        let asked = Asked::parse(&format!("{CLIENT}&queryId=1&responseOnly=&unique=true")).unwrap();
        assert_eq!(asked.client.to_string(), "TEST/GOV/1001");
        assert_eq!(
            (asked.kind(), asked.suffix()),
            (Some(EntryKind::Response), "-response")
        );
        assert!(asked.unique);
    }

    #[test]
    fn what_is_missing_contradictory_or_unreadable_is_said() {
        for (query, says) in [
            ("", "xRoadInstance"),
            (CLIENT, "queryId"),
            ("xRoadInstance=TEST&memberClass=GOV&queryId=1", "memberCode"),
            (&format!("{CLIENT}&queryId="), "queryId"),
            (&format!("{CLIENT}&queryId=1&queryId=2"), "twice"),
            (&format!("{CLIENT}&queryId=%zz"), "encoded"),
            (&format!("{CLIENT}&queryId=%ff"), "encoded"),
            (&format!("{CLIENT}&queryId=1&requestOnly&responseOnly"), "exclude"),
            (&format!("{CLIENT}&queryId=1&unique"), "unique"),
            (
                &format!("{CLIENT}&queryId=1&subsystemCode=a%2Fb%25"),
                "well named",
            ),
            (
                &format!("{CLIENT}&queryId={}", "x".repeat(QUERY_ID + 1)),
                "longer",
            ),
        ] {
            let error = Asked::parse(query).unwrap_err();
            assert!(error.contains(says), "{query}: {error}");
        }
    }

    proptest! {
        #[test]
        fn any_query_is_read_or_refused(query in ".{0,200}") {
            let _ = Asked::parse(&query);
        }

        #[test]
        fn a_query_id_arrives_as_it_was_encoded(id in "\\PC{1,40}") {
            let encoded: String = id.bytes().map(|byte| format!("%{byte:02x}")).collect();
            let asked = Asked::parse(&format!("{CLIENT}&queryId={encoded}")).unwrap();
            prop_assert_eq!(asked.query_id, id);
        }
    }
}
