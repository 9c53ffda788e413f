//! The contract of participation between nodes as a document (OpenAPI 3.1 with JSON Schema), which every node hands out at
//! `/v1/openapi.json` of its service `participation`. The document is written by hand; the test holds it against the code that reads
//! and writes messages.

/// The document.
#[must_use]
pub const fn contract() -> &'static str {
    include_str!("contract.json")
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use serde_json::Value;

    use super::*;
    use crate::round::delivery::{Place, Sent};

    fn schema_of<'a>(document: &'a Value, content: &Value) -> &'a Value {
        let name = content["schema"]["$ref"].as_str().unwrap();
        &document["components"]["schemas"][name.rsplit('/').next().unwrap()]
    }

    #[test]
    fn every_message_of_the_document_is_one_that_nodes_read_and_none_is_missing() {
        let document: Value = serde_json::from_str(contract()).unwrap();
        let mut kinds = BTreeSet::new();
        for (path, operations) in document["paths"].as_object().unwrap() {
            let Some(put) = operations.get("put") else {
                continue;
            };
            let filled = path
                .replace("{request}", "3f2504e0-4f89-41d3-9a0c-0305e82c3301")
                .replace("{seq}", "1");
            let Some(Place::Message { side, kind, .. }) = Place::read(&filled) else {
                panic!("{path} is no place of the contract");
            };
            let content = &put["requestBody"]["content"]["application/json"];
            let example = content["example"].to_string();
            let sent =
                Sent::read(example.as_bytes(), &kind).unwrap_or_else(|error| panic!("{path}: {error}"));
            assert!(sent.body.side().is_none_or(|by| by == side), "{path}");
            // What a node writes has every member that the schema asks for, and the schema knows every member that it writes.
            let schema = schema_of(&document, content);
            let written = serde_json::to_value(&sent).unwrap();
            for required in schema["required"].as_array().unwrap() {
                assert!(
                    !written[required.as_str().unwrap()].is_null(),
                    "{path}: {required}"
                );
            }
            for member in written.as_object().unwrap().keys() {
                assert!(schema["properties"].get(member).is_some(), "{path}: {member}");
            }
            // Nothing that a person wrote stands in a body but words that are confirmed.
            assert!(
                schema["properties"]
                    .as_object()
                    .unwrap()
                    .iter()
                    .all(|(_, property)| is_bounded(property)),
                "{path}"
            );
            kinds.insert(kind);
        }
        assert_eq!(kinds.len(), 25, "{kinds:?}");
    }

    /// A text of the schema is an enumeration, a constant, a format or a pattern.
    fn is_bounded(property: &Value) -> bool {
        property["type"] != "string"
            || ["enum", "const", "format", "pattern"]
                .iter()
                .any(|by| property.get(by).is_some())
    }
}
