//! The contract between nodes as a document (OpenAPI 3.1), which every node hands out and `conformance` judges by.

/// The document.
pub(crate) fn contract() -> &'static str {
    include_str!("contract.json")
}
