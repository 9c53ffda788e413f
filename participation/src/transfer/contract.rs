//! The contract between nodes as a document (OpenAPI 3.1 with JSON Schema), which every node hands out at `/v1/openapi.json` of its
//! service `transfer`. The document is written by hand; the test holds it against the code that reads and writes messages.

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
    use crate::transfer::delivery::{Place, Sent};

    #[test]
    fn every_message_of_the_document_is_one_that_nodes_read_and_none_is_missing() {
        let document: Value = serde_json::from_str(contract()).unwrap();
        let mut kinds = BTreeSet::new();
        for (path, operations) in document["paths"].as_object().unwrap() {
            let Some(put) = operations.get("put") else {
                continue;
            };
            let filled = path
                .replace("{transfer}", "3f2504e0-4f89-41d3-9a0c-0305e82c3301")
                .replace("{seq}", "1");
            let Some(Place::Message { party, kind, .. }) = Place::read(&filled) else {
                panic!("{path} is no place of the contract");
            };
            let content = &put["requestBody"]["content"]["application/json"];
            let example = content["example"].to_string();
            let sent =
                Sent::read(example.as_bytes(), &kind).unwrap_or_else(|error| panic!("{path}: {error}"));
            assert!(sent.body.party().is_none_or(|by| by == party), "{path}");
            // What a node writes has every member that the schema asks for, and the schema knows every member that it writes.
            let name = content["schema"]["$ref"]
                .as_str()
                .unwrap()
                .rsplit('/')
                .next()
                .unwrap();
            let schema = &document["components"]["schemas"][name];
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
            kinds.insert(kind);
        }
        assert_eq!(kinds.len(), 18, "{kinds:?}");
    }
}
