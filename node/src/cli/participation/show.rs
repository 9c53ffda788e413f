//! What is shown to somebody, and how long: the arguments that several commands have in common, as the interface takes them.

use anyhow::{Context, bail};
use clap::Args;
use serde_json::{Value, json};

/// What is shown.
#[derive(Args)]
pub(super) struct Show {
    /// For what it is shown, in words
    #[arg(long)]
    purpose: Option<String>,
    /// On which legal ground it is shown
    #[arg(long)]
    legal_basis: Option<String>,
    /// A recipient class whose list decides what is shown; `profiles` lists them
    #[arg(long, value_name = "CODE", conflicts_with = "template")]
    recipient_class: Option<String>,
    /// Begin with the house's template for the profile
    #[arg(long)]
    template: bool,
    /// A place of the form, such as 1.3 or 1.3:DOWNLOAD; `parts` lists them. Without a right it may be looked at
    #[arg(long, value_name = "PLACE[:RIGHT]")]
    part: Vec<String>,
    /// A file, such as ID or ID:DOWNLOAD; `parts` lists them
    #[arg(long, value_name = "ID[:RIGHT]")]
    pub(super) file: Vec<String>,
    /// The last day on which it may be seen
    #[arg(long, value_name = "DAY")]
    ends: Option<jiff::civil::Date>,
    /// The body may show it to an adviser of its own
    #[arg(long)]
    onward: bool,
}

impl Show {
    /// As the interface takes it.
    pub(super) fn wish(&self) -> anyhow::Result<Value> {
        let (Some(purpose), Some(legal_basis)) = (&self.purpose, &self.legal_basis) else {
            bail!("what is shown needs its ground: give --purpose and --legal-basis");
        };
        let mut parts = Vec::new();
        for part in &self.part {
            let (place, right) = with_right(part);
            let at: Result<Vec<usize>, _> = place.split('.').map(str::parse).collect();
            let at = at.with_context(|| {
                format!("--part {part}: a place is numbers with points between them, such as 1.3")
            })?;
            parts.push(json!({ "at": at, "right": right }));
        }
        let files = self.file.iter().map(|file| {
            let (id, right) = with_right(file);
            json!({ "file_id": id, "right": right })
        });
        Ok(json!({
            "recipient_class": self.recipient_class, "template": self.template, "parts": parts,
            "files": files.collect::<Vec<_>>(), "purpose": purpose, "legal_basis": legal_basis, "ends": self.ends,
            "onward": self.onward,
        }))
    }

    /// Whether anything of it was said.
    pub(super) const fn is_wanted(&self) -> bool {
        self.purpose.is_some() || self.legal_basis.is_some()
    }
}

/// Something with a right after a colon; looking is the least.
fn with_right(text: &str) -> (&str, &str) {
    text.split_once(':').unwrap_or((text, "VIEW"))
}

/// How long.
#[derive(Args)]
#[group(multiple = false)]
pub(super) struct Long {
    /// So many days
    #[arg(long, value_name = "N")]
    days: Option<u16>,
    /// So many working days
    #[arg(long, value_name = "N")]
    working_days: Option<u16>,
    /// So many weeks
    #[arg(long, value_name = "N")]
    weeks: Option<u16>,
    /// So many months
    #[arg(long, value_name = "N")]
    months: Option<u16>,
    /// Until the end of this day
    #[arg(long, value_name = "DAY")]
    until: Option<jiff::civil::Date>,
}

impl Long {
    /// As the interface takes it; null if nothing was said.
    pub(super) fn rule(&self) -> Value {
        let counted = [
            ("days", self.days),
            ("working_days", self.working_days),
            ("weeks", self.weeks),
            ("months", self.months),
        ];
        for (kind, n) in counted {
            if let Some(n) = n {
                return json!({ "kind": kind, "n": n });
            }
        }
        match self.until {
            Some(date) => json!({ "kind": "until", "date": date }),
            None => Value::Null,
        }
    }
}

/// Words that go outside of what is sealed: whoever gives them on the command line says that nobody is named in them.
pub(super) fn free_words(text: Option<&String>) -> Value {
    text.map_or(
        Value::Null,
        |text| json!({ "text": text, "free_of_personal_data": true }),
    )
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Parser)]
    struct Line {
        #[command(flatten)]
        show: Show,
        #[command(flatten)]
        long: Long,
    }

    fn line(arguments: &[&str]) -> Line {
        Line::parse_from([&["kontor"], arguments].concat())
    }

    #[test]
    fn places_and_files_are_looked_at_unless_more_is_said() {
        let said = line(&[
            "--purpose",
            "p",
            "--legal-basis",
            "l",
            "--part",
            "1.3",
            "--part",
            "2:DOWNLOAD",
            "--file",
            "f:DOWNLOAD",
        ]);
        let wish = said.show.wish().unwrap();
        assert_eq!(wish["parts"][0], json!({ "at": [1, 3], "right": "VIEW" }));
        assert_eq!(wish["parts"][1], json!({ "at": [2], "right": "DOWNLOAD" }));
        assert_eq!(wish["files"][0], json!({ "file_id": "f", "right": "DOWNLOAD" }));
        let wrong = line(&["--purpose", "p", "--legal-basis", "l", "--part", "first"]);
        assert!(wrong.show.wish().unwrap_err().to_string().contains("such as 1.3"));
        assert!(
            line(&["--purpose", "p"])
                .show
                .wish()
                .unwrap_err()
                .to_string()
                .contains("--legal-basis")
        );
    }

    #[test]
    fn a_period_is_said_in_one_way() {
        assert_eq!(
            line(&["--working-days", "10"]).long.rule(),
            json!({ "kind": "working_days", "n": 10 })
        );
        assert_eq!(
            line(&["--until", "2026-12-24"]).long.rule(),
            json!({ "kind": "until", "date": "2026-12-24" })
        );
        assert_eq!(line(&[]).long.rule(), Value::Null);
        assert!(Line::try_parse_from(["kontor", "--days", "1", "--weeks", "1"]).is_err());
    }
}
