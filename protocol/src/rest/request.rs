//! The request half of the REST message codec (wire 2.3, 2.4).

use std::borrow::Cow;
use std::ops::Range;

use bytes::Bytes;
use kontor_pki::crypto;

use super::head::{Head, push_line};
use super::{
    CLIENT, QUERY_ID, REPRESENTED_PARTY, REQUEST_HASH, REQUEST_ID, SECURITY_SERVER, Verb, from_wire,
    is_hop_header, malformed, request_hash, target,
};
use crate::fault::{Fault, FaultCode};
use crate::id::{ClientId, ServerId, ServiceId, decode_segment};

/// A REST request message: verb, raw target and headers, with the identifiers in them read.
#[derive(Debug, Clone)]
pub struct RestRequest {
    head: Head,
    verb: Verb,
    client: ClientId,
    service: ServiceId,
    /// Within the second line.
    service_path: Range<usize>,
    query: Option<usize>,
}

impl RestRequest {
    /// The message for what an information system sent: its method, its raw target (`/r1/…[?…]`) and its headers as
    /// octets in the order of arrival. `request_id` is a fresh UUID; `fallback_id` is another, used for an
    /// `x-road-id` of `{instance of the client}-{fallback_id}` if the information system sent none (wire 2.3).
    ///
    /// # Errors
    /// `invalid_client_identifier` and `invalid_security_server` for those headers, `access_denied` for `..` in the
    /// service path, `internal_error` for every other thing malformed.
    pub fn build<'a>(
        method: &str,
        target: &str,
        headers: impl IntoIterator<Item = (&'a [u8], &'a [u8])>,
        request_id: &str,
        fallback_id: &str,
    ) -> Result<Self, Fault> {
        if method.contains(['\r', '\n']) || target.contains(['\r', '\n']) {
            return Err(malformed("start line that is more than one line"));
        }
        let mut out = Vec::with_capacity(1024);
        push_line(&mut out, &[method]);
        push_line(&mut out, &[target]);
        let mut client = None;
        let mut has_id = false;
        for (name, value) in headers {
            let (name, value) = (from_wire(name), from_wire(value));
            if is_hop_header(&name) || is(&name, REQUEST_ID) || is(&name, REQUEST_HASH) {
                continue;
            }
            if is(&name, QUERY_ID) {
                // An empty id would be refused in the response (wire 2.6): it counts as missing.
                if value.is_empty() {
                    continue;
                }
                has_id = true;
            }
            if is(&name, CLIENT) {
                client = Some(parse_client(&value)?);
            }
            if name.contains(['\r', '\n', ':']) || value.contains(['\r', '\n']) {
                return Err(malformed("header that is more than one line"));
            }
            push_line(&mut out, &[&name, ":", &value]);
        }
        push_line(&mut out, &[REQUEST_ID, ":", request_id]);
        if !has_id {
            let client = client.ok_or_else(missing_client)?;
            push_line(&mut out, &[QUERY_ID, ":", client.instance(), "-", fallback_id]);
        }
        let request = Self::parse(Bytes::from(out))?;
        request.security_server()?;
        request.check_represented_party()?;
        Ok(request)
    }

    /// Reads the message part that a peer sent.
    ///
    /// # Errors
    /// As [`Self::build`]; also what information systems are spared: forbidden headers, missing ids.
    pub fn parse(bytes: Bytes) -> Result<Self, Fault> {
        let head = Head::parse(bytes)?;
        let verb =
            Verb::from_name(head.first()).ok_or_else(|| malformed("unknown verb in the REST message"))?;
        let target::Target {
            service,
            service_path,
            path_end,
        } = target::parse(head.second())?;
        let client = parse_client(head.header(CLIENT).ok_or_else(missing_client)?)?;
        if head.header(QUERY_ID).is_none_or(str::is_empty) {
            return Err(malformed("REST request without x-road-id"));
        }
        let query = (path_end < head.second().len()).then_some(path_end + 1);
        let request = Self {
            head,
            verb,
            client,
            service,
            service_path: service_path..path_end,
            query,
        };
        if request.exact_header(REQUEST_ID).is_none_or(str::is_empty) {
            return Err(malformed("REST request without x-road-request-id"));
        }
        Ok(request)
    }

    /// The bytes as received or built: these are signed and logged.
    #[must_use]
    pub fn bytes(&self) -> &Bytes {
        self.head.bytes()
    }

    /// The bytes as a Java provider would write them back; they differ only if a peer ended lines unusually.
    #[must_use]
    pub fn reserialised(&self) -> Cow<'_, [u8]> {
        self.head.reserialised()
    }

    /// The hash that the response must carry; `body` is the SHA-512 of the body part, if there was one (wire 2.7).
    #[must_use]
    pub fn request_hash(&self, body: Option<&[u8; 64]>) -> String {
        request_hash(&crypto::sha512(&self.reserialised()), body)
    }

    /// What the request does.
    #[must_use]
    pub fn verb(&self) -> Verb {
        self.verb
    }

    /// The raw target, path and query.
    #[must_use]
    pub fn target(&self) -> &str {
        self.head.second()
    }

    /// Who claims to send; true only once the signature is verified.
    #[must_use]
    pub fn client(&self) -> &ClientId {
        &self.client
    }

    /// The service called.
    #[must_use]
    pub fn service(&self) -> &ServiceId {
        &self.service
    }

    /// The raw path after the service code: empty, or beginning with `/`.
    #[must_use]
    pub fn service_path(&self) -> &str {
        &self.head.second()[self.service_path.clone()]
    }

    /// The raw query, without its `?`; `Some("")` if only the `?` is there.
    #[must_use]
    pub fn query(&self) -> Option<&str> {
        self.query.map(|start| &self.head.second()[start..])
    }

    /// The id of the message, chosen by the information system or made up for it.
    #[must_use]
    pub fn query_id(&self) -> &str {
        self.head
            .header(QUERY_ID)
            .expect("checked when the message was read")
    }

    /// The id of the exchange inside the signed message.
    #[must_use]
    pub fn request_id(&self) -> &str {
        self.exact_header(REQUEST_ID)
            .expect("checked when the message was read")
    }

    /// The provider's server that the information system asks for (wire 3.2).
    ///
    /// # Errors
    /// `invalid_security_server` for a malformed identifier.
    pub fn security_server(&self) -> Result<Option<ServerId>, Fault> {
        let Some(value) = self.header(SECURITY_SERVER) else {
            return Ok(None);
        };
        ServerId::parse_path(value).map(Some).map_err(|error| {
            Fault::new(
                FaultCode::InvalidSecurityServer,
                format!("X-Road-Security-Server: {error}"),
            )
        })
    }

    /// The last value of a header, its name in any case.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&str> {
        self.head.header(name)
    }

    /// All headers in order; they all go to the service (wire 2.5), as octets of [`super::to_wire`].
    pub fn headers(&self) -> impl Iterator<Item = (&str, &str)> {
        self.head.headers()
    }

    /// The last value of a header with exactly this name: Java looks `x-road-request-id` up so (wire 2.4 rule 4).
    fn exact_header(&self, name: &str) -> Option<&str> {
        self.headers()
            .filter(|(found, _)| *found == name)
            .last()
            .map(|(_, value)| value)
    }

    fn check_represented_party(&self) -> Result<(), Fault> {
        let Some(value) = self.header(REPRESENTED_PARTY) else {
            return Ok(());
        };
        let pieces: Vec<&str> = value.split('/').collect();
        let well_formed = pieces.len() <= 2
            && pieces
                .iter()
                .all(|piece| decode_segment(piece).is_ok_and(|text| !text.is_empty()));
        if well_formed {
            Ok(())
        } else {
            Err(malformed("X-Road-Represented-Party must be [class/]code"))
        }
    }
}

fn is(name: &str, header: &str) -> bool {
    name.eq_ignore_ascii_case(header)
}

fn parse_client(value: &str) -> Result<ClientId, Fault> {
    ClientId::parse_path(value).map_err(|error| {
        Fault::new(
            FaultCode::InvalidClientIdentifier,
            format!("X-Road-Client: {error}"),
        )
    })
}

fn missing_client() -> Fault {
    Fault::new(
        FaultCode::InvalidClientIdentifier,
        "the client identifier is missing: send the header X-Road-Client: instance/class/member[/subsystem]",
    )
}
