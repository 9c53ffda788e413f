//! The target of a REST request: raw path and query, and the identifiers in the path (wire 1.3, 2.4 rule 1).
//!
//! Owns what may stand in a target. Matching paths against rights is for `access`.

use super::malformed;
use crate::fault::{Fault, FaultCode};
use crate::id::{ClientId, MemberId, ServiceId, decode_segment};
use crate::limits;

/// A target cut up; positions count bytes of the target.
pub(super) struct Target {
    pub(super) service: ServiceId,
    /// Where the service path begins: at its `/`, or at the end of the path where it is empty.
    pub(super) service_path: usize,
    /// Where the path ends: at `?` or at the end.
    pub(super) path_end: usize,
}

/// Reads `/r1/{instance}/{class}/{member}/{subsystem}/{service}[/…][?…]`.
pub(super) fn parse(target: &str) -> Result<Target, Fault> {
    if target.len() > limits::REST_TARGET {
        return Err(malformed(format!(
            "request target above {} bytes",
            limits::REST_TARGET
        )));
    }
    let (path, query) = match target.split_once('?') {
        Some((path, query)) => (path, Some(query)),
        None => (target, None),
    };
    check_characters(path, b"-_.!~*'(),;:$&+=@/")?;
    check_characters(query.unwrap_or_default(), b"-_.!~*'(),;:$&+=@/?[]")?;

    let pieces: Vec<&str> = path.splitn(8, '/').collect();
    let [
        "",
        version,
        instance,
        class,
        member,
        subsystem,
        code,
        ref rest @ ..,
    ] = pieces[..]
    else {
        return Err(malformed(
            "the path must be /r1/instance/class/member/subsystem/service[/…]",
        ));
    };
    if version != "r1" {
        return Err(malformed("the protocol version in the path must be r1"));
    }
    let service = identify(instance, class, member, subsystem, code)
        .map_err(|error| malformed(format!("service in the path: {error}")))?;
    let service_path = rest
        .first()
        .map_or(path.len(), |rest| path.len() - rest.len() - 1);
    if climbs(&path[service_path..]) {
        return Err(Fault::new(
            FaultCode::AccessDenied,
            "`..` is not allowed in a service path",
        ));
    }
    Ok(Target {
        service,
        service_path,
        path_end: path.len(),
    })
}

fn identify(
    instance: &str,
    class: &str,
    member: &str,
    subsystem: &str,
    code: &str,
) -> Result<ServiceId, crate::id::InvalidId> {
    let member = MemberId::new(
        &decode_segment(instance)?,
        &decode_segment(class)?,
        &decode_segment(member)?,
    )?;
    let provider = ClientId::subsystem_of(member, &decode_segment(subsystem)?)?;
    ServiceId::new(provider, &decode_segment(code)?, None)
}

/// The characters of `java.net.URI`: `plain` and alphanumerics, escapes, and letters beyond ASCII. A `#` is none of
/// them: a fragment would not survive re-serialisation.
fn check_characters(text: &str, plain: &[u8]) -> Result<(), Fault> {
    let mut rest = text.chars();
    while let Some(c) = rest.next() {
        let fine = match c {
            '%' => {
                let mut digit = || rest.next().is_some_and(|c| c.is_ascii_hexdigit());
                digit() && digit()
            }
            c if c.is_ascii() => c.is_ascii_alphanumeric() || plain.contains(&(c as u8)),
            c => !c.is_control() && !c.is_whitespace(),
        };
        if !fine {
            return Err(malformed(match c {
                '#' => "a fragment is not allowed in the request target".to_owned(),
                c => format!("the request target contains {c:?} where it must be percent-encoded"),
            }));
        }
    }
    Ok(())
}

/// Whether a service would see `..` as a segment, however its slashes and dots are escaped.
pub(crate) fn climbs(path: &str) -> bool {
    if !path.contains("..") && !path.contains('%') {
        return false;
    }
    percent_decoded(path)
        .split(|&b| matches!(b, b'/' | b'\\'))
        .any(|segment| segment == b"..")
}

/// Escapes resolved; a `%` without its two digits stays.
fn percent_decoded(path: &str) -> Vec<u8> {
    let mut out = Vec::with_capacity(path.len());
    let mut rest = path.as_bytes();
    while let Some((&first, tail)) = rest.split_first() {
        let digits = tail.get(..2).and_then(|pair| std::str::from_utf8(pair).ok());
        let escaped = digits
            .filter(|_| first == b'%')
            .and_then(|pair| u8::from_str_radix(pair, 16).ok());
        out.push(escaped.unwrap_or(first));
        rest = if escaped.is_some() { &tail[2..] } else { tail };
    }
    out
}
