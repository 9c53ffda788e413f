//! Names of archives and of the containers in them (wire 6.8), as the Java archiver forms them.

use kontor_pki::time::UnixTime;

use crate::container::MessageRole;
use crate::limits;

/// Name of a container: the query id as in a form of HTML, cut after 226 characters, the role, the record in base 32.
#[must_use]
pub fn container_name(query_id: &str, role: MessageRole, record: u64) -> String {
    let mut name = encoded_query_id(query_id);
    name.push_str(match role {
        MessageRole::Request => "-request-",
        MessageRole::Response => "-response-",
    });
    name.push_str(&base32(record));
    name.push_str(".asice");
    name
}

/// A query id as file names have it: letters, digits, `.-*_+` and `%` only.
#[must_use]
pub fn encoded_query_id(query_id: &str) -> String {
    let mut name = form_encoded(query_id);
    name.truncate(limits::ARCHIVED_QUERY_ID);
    name
}

/// Name of an archive whose first and last record were made at these instants (in UTC) and whose chain ends with
/// `digest`. `group` is the result of [`group_name`].
#[must_use]
pub fn file_name(group: Option<&str>, first: UnixTime, last: UnixTime, digest: &str) -> String {
    let group = group.map(|group| format!("{group}-")).unwrap_or_default();
    let digest = digest.get(..16).unwrap_or(digest);
    format!("mlog-{group}{}-{}-{digest}.zip", compact(first), compact(last))
}

/// The group of a member or subsystem as it stands in a name: `DE_GOV_1001`.
#[must_use]
pub fn group_name(id: &str) -> String {
    let safe = |c: char| match c {
        '\\' | '<' | '>' | '/' | ':' | '|' | '*' | '?' => '_',
        c if c.is_control() => '_',
        c => c,
    };
    id.chars().map(safe).take(limits::ARCHIVE_GROUP).collect()
}

/// The group in the name of an archive; empty without one, `None` for a name of another form.
#[must_use]
pub fn group_of(file_name: &str) -> Option<&str> {
    let stem = file_name.strip_suffix(".gpg").unwrap_or(file_name);
    let stem = stem.strip_prefix("mlog-")?.strip_suffix(".zip")?;
    let mut pieces = stem.rsplitn(4, '-');
    let (digest, last, first) = (pieces.next()?, pieces.next()?, pieces.next()?);
    let is_instant = |text: &str| text.len() == 14 && text.bytes().all(|b| b.is_ascii_digit());
    let is_digest = !digest.is_empty() && digest.bytes().all(|b| b.is_ascii_hexdigit());
    (is_digest && is_instant(first) && is_instant(last)).then(|| pieces.next().unwrap_or_default())
}

/// `yyyyMMddHHmmss` in UTC.
fn compact(at: UnixTime) -> String {
    let text = at.to_rfc3339();
    text.chars().filter(char::is_ascii_digit).take(14).collect()
}

/// `application/x-www-form-urlencoded`, as `java.net.URLEncoder` writes it.
fn form_encoded(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for byte in text.bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'.' | b'-' | b'*' | b'_' => out.push(char::from(byte)),
            b' ' => out.push('+'),
            byte => out.push_str(&format!("%{byte:02X}")),
        }
    }
    out
}

/// Digits, then `a` to `v`, as `Long.toUnsignedString` has them.
fn base32(mut number: u64) -> String {
    const DIGITS: &[u8; 32] = b"0123456789abcdefghijklmnopqrstuv";
    let mut digits = Vec::new();
    loop {
        digits.push(DIGITS[(number % 32) as usize]);
        number /= 32;
        if number == 0 {
            break;
        }
    }
    digits.iter().rev().map(|&digit| char::from(digit)).collect()
}
