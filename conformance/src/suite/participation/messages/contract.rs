//! What the nodes said in this case, held against the contract that they publish.

use std::collections::BTreeSet;

use anyhow::{Context, Result, anyhow, ensure};
use serde_json::{Value, json};

use crate::scripted::asked;
use crate::suite::participation::peer::Scripted;

/// Every kind of the contract was said here, and whatever the nodes said is of the form that the contract states.
pub(super) async fn holds(gamma: &Scripted<'_>, said: &BTreeSet<String>) -> Result<()> {
    let delta = gamma.federation.peer("delta");
    let place = "participation/v1/openapi.json";
    let (status, octets) = asked(gamma.federation, "beta", delta, "GET", place, "").await?;
    let document: Value = serde_json::from_slice(&octets)?;
    ensure!(status == 200 && document["openapi"] == "3.1.0", "{status}");
    let mut kinds = BTreeSet::new();
    let paths = document["paths"].as_object().context("no paths")?;
    for (path, item) in paths.iter().filter(|(_, item)| item.get("put").is_some()) {
        let kind = path.rsplit('/').next().unwrap_or_default();
        kinds.insert(kind.to_owned());
        let schema = &item["put"]["requestBody"]["content"]["application/json"]["schema"];
        let whole = json!({ "$ref": schema["$ref"], "components": document["components"] });
        let validator = jsonschema::options()
            .should_validate_formats(true)
            .build(&whole)
            .map_err(|error| anyhow!("{kind}: {error}"))?;
        let party = path.split('/').nth(4).unwrap_or_default();
        let script = gamma.script();
        let of = |told: &&(String, Value)| {
            told.0.ends_with(&format!("/{kind}")) && told.0.split('/').nth(4) == Some(party)
        };
        for (path, body) in script.said.iter().filter(of) {
            let wrong: Vec<String> = validator
                .iter_errors(body)
                .map(|error| error.to_string())
                .collect();
            ensure!(wrong.is_empty(), "{path}: {}: {body}", wrong.join("; "));
        }
    }
    ensure!(
        kinds.len() == 25 && *said == kinds,
        "not said: {:?}",
        kinds.difference(said).collect::<Vec<_>>()
    );
    Ok(())
}
