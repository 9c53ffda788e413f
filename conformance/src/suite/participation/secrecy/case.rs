//! A case made of one of the project's samples, and what of it somebody who is shown a part may not come across.

use std::collections::BTreeSet;

use anyhow::{Context, Result, ensure};
use hyper::Method;
use serde_json::Value;

use crate::desk::{Desk, number, text};
use crate::suite::transfer::samples::{Sample, read};

/// A case made of a sample, and its files by name.
pub(super) struct Case {
    sample: Sample,
    pub(super) id: String,
    pub(super) files: Vec<Value>,
}

impl Case {
    pub(super) async fn of(here: &Desk, name: &str) -> Result<Self> {
        let sample = read(name)?;
        let files: Vec<(&str, &str, Vec<u8>)> = sample
            .files
            .iter()
            .map(|(part, name, octets)| (part.as_str(), name.as_str(), octets.clone()))
            .collect();
        let case = here.hand_in(&sample.form, &files).await?;
        let id = text(&case, "id")?.to_owned();
        let answer = here
            .send(
                Method::PUT,
                &format!("/api/v1/cases/{id}/dossier"),
                Some(number(&case, "version")?),
                "application/json",
                sample.dossier.to_string().into_bytes(),
            )
            .await?;
        ensure!(answer.status.is_success(), "{name}: {}", answer.status);
        let mut case = Self {
            sample,
            id,
            files: Vec::new(),
        };
        case.list(here).await?;
        Ok(case)
    }

    pub(super) async fn list(&mut self, here: &Desk) -> Result<()> {
        let listed = here.get(&format!("/api/v1/cases/{}/files", self.id)).await?;
        self.files = listed["files"].as_array().cloned().unwrap_or_default();
        Ok(())
    }

    pub(super) fn file(&self, name: &str) -> Result<&str> {
        let file = self.files.iter().find(|file| file["original_name"] == name);
        text(file.with_context(|| format!("no file {name}"))?, "file_id")
    }

    /// What whoever is shown these places and files may not come across: what the sample names for it, other places' names and
    /// values, and everything by which other files are known.
    pub(super) fn hidden(&self, who: &str, parts: &[Vec<usize>], files: &[&str]) -> Result<Vec<String>> {
        let mut hidden: BTreeSet<String> = self.sample.never_to[who]
            .as_array()
            .into_iter()
            .flatten()
            .filter_map(|probe| Some(probe.as_str()?.to_owned()))
            .collect();
        ensure!(!hidden.is_empty(), "the sample names nothing for {who}");
        let mut shown = String::new();
        let mut others = BTreeSet::new();
        for (_, name, octets) in &self.sample.files {
            let file = self.files.iter().find(|file| file["original_name"] == **name);
            let id = file.and_then(|file| file["file_id"].as_str()).unwrap_or_default();
            if files.contains(&id) {
                shown.push_str(&String::from_utf8_lossy(octets));
            }
        }
        walk(
            &self.sample.form["formData"],
            &mut Vec::new(),
            parts,
            &mut shown,
            &mut others,
        );
        // A short word stands in others.
        hidden.extend(
            others
                .into_iter()
                .filter(|word| word.chars().count() > 5 && !shown.contains(word.as_str())),
        );
        for file in &self.files {
            if files.iter().any(|id| file["file_id"] == **id) {
                continue;
            }
            for name in ["file_id", "original_name", "sha256", "sha512"] {
                hidden.insert(text(file, name)?.to_owned());
            }
        }
        hidden.insert(text(&self.sample.form["control"], "transactionId")?.to_owned());
        hidden.insert(self.id.clone());
        Ok(hidden.into_iter().collect())
    }
}

/// Collects what stands in places that are shown or lead to them, and names and values of all others.
fn walk(
    items: &Value,
    at: &mut Vec<usize>,
    parts: &[Vec<usize>],
    shown: &mut String,
    others: &mut BTreeSet<String>,
) {
    for (index, item) in items.as_array().into_iter().flatten().enumerate() {
        at.push(index);
        let inside = parts.iter().any(|part| at.starts_with(part));
        let above = parts.iter().any(|part| part.starts_with(at));
        if inside {
            shown.push_str(&item.to_string());
        } else {
            for name in ["name", "label", "stringValue", "dateValue"] {
                let word = item[name].as_str().unwrap_or_default();
                match above {
                    true => shown.push_str(word),
                    false => _ = others.insert(word.to_owned()),
                }
            }
            walk(&item["formItems"], at, parts, shown, others);
        }
        at.pop();
    }
}
