//! What a service says about itself: an `OpenAPI` document that everybody in the federation may read (wire 9.3).

use kontor_protocol::access::{Method, PathPattern};
use kontor_protocol::rest::Verb;
use serde_json::Value;

/// Octets of a document.
const MOST: usize = 4 * 1024 * 1024;

/// A document and the endpoints that it names.
#[derive(Clone, Debug)]
pub struct Description {
    document: Vec<u8>,
    endpoints: Vec<(Method, PathPattern)>,
}

/// Why a document is none.
#[derive(Debug, thiserror::Error)]
pub enum DescriptionError {
    /// Too large.
    #[error("a description has at most {MOST} octets")]
    Size,
    /// Not JSON.
    #[error("it is not JSON: {0}; a document in YAML is converted before")]
    Json(#[from] serde_json::Error),
    /// Of another format, or of a version that is not 3.
    #[error("it is no OpenAPI document of version 3: `openapi` must begin with \"3.\"")]
    Version,
    /// A path that cannot be listed.
    #[error("its path {0:?} must begin with `/` and fit a pattern of an access right")]
    Path(String),
}

impl Description {
    /// Reads a document. Of the addresses of its servers only the paths stay: how the service is reached within the house is nobody's
    /// concern.
    ///
    /// # Errors
    /// What is no JSON of `OpenAPI` 3, or larger than 4 MiB.
    pub fn read(octets: &[u8]) -> Result<Self, DescriptionError> {
        if octets.len() > MOST {
            return Err(DescriptionError::Size);
        }
        let mut document: Value = serde_json::from_slice(octets)?;
        if !document["openapi"]
            .as_str()
            .is_some_and(|version| version.starts_with("3."))
        {
            return Err(DescriptionError::Version);
        }
        hide(&mut document);
        let mut endpoints = Vec::new();
        for (path, item) in document["paths"].as_object().into_iter().flatten() {
            let pattern: PathPattern = starred(path)
                .parse()
                .map_err(|_| DescriptionError::Path(path.clone()))?;
            let verbs = item.as_object().into_iter().flat_map(|item| item.keys());
            for verb in verbs.filter_map(|name| Verb::from_name(&name.to_ascii_uppercase())) {
                endpoints.push((Method::Only(verb), pattern.clone()));
            }
        }
        Ok(Self {
            document: serde_json::to_vec(&document)?,
            endpoints,
        })
    }

    /// The document as it is handed out.
    pub fn document(&self) -> &[u8] {
        &self.document
    }

    /// What may be called, as rights name it: parameters of a path are stars.
    pub fn endpoints(&self) -> &[(Method, PathPattern)] {
        &self.endpoints
    }
}

/// `/a/{id}/b` as `/a/*/b`.
fn starred(path: &str) -> String {
    let mut pattern = String::new();
    let mut depth = 0_u32;
    for c in path.chars() {
        match c {
            '{' => {
                if depth == 0 {
                    pattern.push('*');
                }
                depth += 1;
            }
            '}' => depth = depth.saturating_sub(1),
            '*' | '\\' if depth == 0 => pattern.extend(['\\', c]),
            c if depth == 0 => pattern.push(c),
            _ => {}
        }
    }
    pattern
}

/// Reduces the addresses of servers, wherever the document has some, to their paths.
fn hide(value: &mut Value) {
    match value {
        Value::Object(members) => {
            for (name, member) in members.iter_mut() {
                if name == "servers" {
                    for server in member.as_array_mut().into_iter().flatten() {
                        if let Some(url) = server.get_mut("url") {
                            let path = url.as_str().map_or("/", |text| path_of(text)).to_owned();
                            *url = Value::String(path);
                        }
                    }
                } else {
                    hide(member);
                }
            }
        }
        Value::Array(items) => items.iter_mut().for_each(hide),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

/// Of an address whose host is a variable nothing is hidden, as in X-Road.
fn path_of(url: &str) -> &str {
    let rest = match url.split_once("://") {
        Some((_, rest)) => rest,
        None => match url.strip_prefix("//") {
            Some(rest) => rest,
            None => return url,
        },
    };
    match rest.split('/').next() {
        Some(host) if host.contains('{') => url,
        _ => rest.find('/').map_or("/", |at| &rest[at..]),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn endpoints(description: &Description) -> Vec<String> {
        let said = |(method, path): &(Method, PathPattern)| format!("{method} {path}");
        description.endpoints().iter().map(said).collect()
    }

    #[test]
    fn operations_are_listed_with_stars_for_parameters() {
        let text = r#"{"openapi":"3.0.1","paths":{"/a/{id}/b":{"get":{},"parameters":[],"put":{}},"/c*":{"delete":{}}}}"#;
        let description = Description::read(text.as_bytes()).unwrap();
        assert_eq!(
            endpoints(&description),
            ["GET /a/*/b", "PUT /a/*/b", "DELETE /c\\*"]
        );
    }

    #[test]
    fn addresses_within_the_house_are_not_told() {
        let text = r#"{"openapi":"3.1.0","servers":[{"url":"https://fach.intern.example:8443/v1/antrag"},{"url":"http://{host}"},
            {"url":"/v2"},{"url":"//fach.intern.example/v3"}],"paths":{"/a":{"get":{"servers":[{"url":"http://10.0.0.1/x"}]}}}}"#;
        let description = Description::read(text.as_bytes()).unwrap();
        let document: Value = serde_json::from_slice(description.document()).unwrap();
        let urls: Vec<_> = document["servers"]
            .as_array()
            .unwrap()
            .iter()
            .map(|it| &it["url"])
            .collect();
        assert_eq!(urls, ["/v1/antrag", "http://{host}", "/v2", "/v3"]);
        let text = document.to_string();
        assert!(!text.contains("intern") && !text.contains("10.0.0.1"), "{text}");
    }

    #[test]
    fn what_is_no_document_of_version_3_is_refused_with_what_to_do() {
        for (text, said) in [
            ("openapi: 3.0.0", "not JSON"),
            (r#"{"swagger":"2.0"}"#, "version 3"),
            (
                r#"{"openapi":"3.0.0","paths":{"a":{"get":{}}}}"#,
                "must begin with `/`",
            ),
        ] {
            let error = Description::read(text.as_bytes()).unwrap_err().to_string();
            assert!(error.contains(said), "{error}");
        }
    }
}
