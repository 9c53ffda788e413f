//! The `OpenAPI` document of a node's interface, held against what the node answers: every answer that a desk gets is one that the
//! document names.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::{Arc, LazyLock, Mutex, PoisonError};

use anyhow::{Context, Result, anyhow, ensure};
use jsonschema::Validator;
use serde_json::{Value, json};

use crate::wire::http::{self, Answer};

/// The document of one node.
pub(crate) struct Document {
    document: Value,
    /// Validators by the name of their schema.
    schemas: HashMap<String, Validator>,
}

/// Documents by the address of their node: nodes of one build have the same.
static KNOWN: LazyLock<Mutex<HashMap<SocketAddr, Arc<Document>>>> = LazyLock::new(Mutex::default);

impl Document {
    /// The document of the node at this address; fetched once.
    pub(crate) async fn of(node: SocketAddr) -> Result<Arc<Self>> {
        let known = || KNOWN.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(there) = known().get(&node) {
            return Ok(Arc::clone(there));
        }
        let answer = http::get(node, "/api/v1/openapi.json").await?;
        let read = Arc::new(Self::read(&answer.body)?);
        known().insert(node, Arc::clone(&read));
        Ok(read)
    }

    fn read(bytes: &[u8]) -> Result<Self> {
        let document: Value = serde_json::from_slice(bytes).context("the document is no JSON")?;
        ensure!(document["openapi"] == "3.1.0", "it is no OpenAPI 3.1");
        let components = &document["components"];
        let names = components["schemas"].as_object().context("no schemas")?.keys();
        let schemas = names
            .map(|name| {
                let schema =
                    json!({ "$ref": format!("#/components/schemas/{name}"), "components": components });
                let validator = jsonschema::options()
                    .should_validate_formats(true)
                    .build(&schema)
                    .map_err(|error| anyhow!("schema {name}: {error}"))?;
                Ok((name.clone(), validator))
            })
            .collect::<Result<_>>()?;
        Ok(Self { document, schemas })
    }

    /// Fails if the answer is not one that the document names for this request.
    pub(crate) fn judge(&self, method: &str, target: &str, answer: &Answer) -> Result<()> {
        let path = target.split('?').next().unwrap_or_default();
        let method = method.to_ascii_lowercase();
        let operation = self.document["paths"]
            .as_object()
            .into_iter()
            .flatten()
            .find(|(template, item)| fits(template, path) && item.get(&method).is_some())
            .map(|(_, item)| &item[&method]);
        let Some(operation) = operation else {
            ensure!(
                matches!(answer.status.as_u16(), 404 | 405),
                "{method} {path} is answered with {} and stands in no document",
                answer.status
            );
            return Ok(());
        };
        let responses = &operation["responses"];
        let named = match &responses[answer.status.as_str()] {
            Value::Null => &responses["default"],
            named => named,
        };
        let said = answer.header("content-type").unwrap_or_default();
        let content = named["content"]
            .get(said)
            .with_context(|| format!("{method} {path}: {} with {said:?} is not named", answer.status))?;
        let Some(name) = content["schema"]["$ref"]
            .as_str()
            .and_then(|it| it.rsplit('/').next())
        else {
            return Ok(());
        };
        let body: Value = serde_json::from_slice(&answer.body).context("the body is no JSON")?;
        let wrong: Vec<String> = self.schemas[name]
            .iter_errors(&body)
            .map(|error| format!("{}: {error}", error.instance_path()))
            .collect();
        ensure!(
            wrong.is_empty(),
            "{method} {path} is no {name}: {}",
            wrong.join("; ")
        );
        Ok(())
    }
}

/// Whether a path is one of a template.
fn fits(template: &str, path: &str) -> bool {
    let (mut pieces, mut there) = (template.split('/'), path.split('/'));
    loop {
        match (pieces.next(), there.next()) {
            (None, None) => return true,
            (Some(piece), Some(text)) if piece == text || (piece.starts_with('{') && !text.is_empty()) => {}
            _ => return false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer(status: u16, kind: &str, body: &Value) -> Answer {
        let mut headers = hyper::HeaderMap::new();
        headers.insert("content-type", kind.parse().unwrap());
        Answer {
            status: status.try_into().unwrap(),
            headers,
            body: body.to_string().into(),
        }
    }

    #[test]
    fn answers_that_the_document_does_not_name_are_found() {
        let document = json!({
            "openapi": "3.1.0",
            "paths": { "/a/{id}": { "get": { "responses": {
                "200": { "content": { "application/json": { "schema": { "$ref": "#/components/schemas/A" } } } },
            } } } },
            "components": { "schemas": { "A": {
                "type": "object", "required": ["at"], "properties": { "at": { "type": "string", "format": "date-time" } },
            } } },
        });
        let document = Document::read(document.to_string().as_bytes()).unwrap();
        let good = json!({ "at": "2026-01-01T00:00:00Z", "more": 1 });
        document
            .judge("GET", "/a/1?q=2", &answer(200, "application/json", &good))
            .unwrap();
        for (path, answer) in [
            ("/a/1", answer(200, "application/json", &json!({}))),
            (
                "/a/1",
                answer(200, "application/json", &json!({ "at": "yesterday" })),
            ),
            ("/a/1", answer(200, "text/plain", &good)),
            ("/a/1", answer(500, "application/json", &good)),
            ("/b", answer(200, "application/json", &good)),
            ("/a/1/2", answer(200, "application/json", &good)),
        ] {
            document.judge("GET", path, &answer).unwrap_err();
        }
    }
}
