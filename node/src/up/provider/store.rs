//! Where the sample provider keeps what came in: one folder per application, complete or not there.
//!
//! Parts are written to `incoming/` while they arrive, hashed on the way; the folder moves to its final name once
//! everything is synced, and only then is the application acknowledged. A crash leaves at most a folder in
//! `incoming/`, which is emptied at start. One transaction id is one application: the same content again gets the
//! same answer, other content is refused.

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};

use kontor_pki::crypto::{DigestAlgorithm, Hasher};
use kontor_pki::time::UnixTime;
use serde::{Deserialize, Serialize};
use tokio::fs::{self, File};
use tokio::io::AsyncWriteExt;
use tokio::sync::Mutex;
use uuid::Uuid;

use super::form::PartHead;

/// Largest `formData` that is read as JSON.
const FORM_DATA: u64 = 8 * 1024 * 1024;
/// Characters of a transaction id.
const TRANSACTION: usize = 100;
/// Letters of the second half of a case number.
const LETTERS: &[u8; 32] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZ234567";

/// Why an application is not taken.
#[derive(Debug, thiserror::Error)]
pub enum IntakeError {
    /// The same transaction id with other content.
    #[error("transactionId {0} was used for another application; a new application needs a new one")]
    Conflict(String),
    /// The form is not an application.
    #[error("{0}")]
    Content(String),
    /// The disk refused.
    #[error("the application could not be stored: {0}")]
    Disk(#[from] io::Error),
}

/// One file of an application.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct StoredPart {
    /// `formData`, `representation` or `attachment`.
    pub part: String,
    /// Name of the file in the folder of the application.
    pub file: String,
    /// Name the sender gave it.
    pub original_name: Option<String>,
    /// Media type the sender declared.
    pub media_type: Option<String>,
    /// Bytes.
    pub size: u64,
    /// SHA-256, hexadecimal.
    pub sha256: String,
    /// SHA-512, hexadecimal.
    pub sha512: String,
}

/// What the sender is told (domain 2.1).
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Vorgang {
    /// Opaque identifier.
    pub vorgang_id: String,
    /// Number for people.
    pub vorgang_nummer: String,
    /// Always `NEU` here.
    pub status: String,
    /// Since when.
    pub status_since: String,
}

/// An application as stored, `vorgang.json` of its folder.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Application {
    /// Version of this file.
    pub format: u32,
    /// Identifier made by the sender.
    pub transaction_id: String,
    /// The case.
    pub vorgang: Vorgang,
    /// Name of the form.
    pub form_name: String,
    /// X-Road client that sent it, as its node said.
    pub client: Option<String>,
    /// X-Road message id, to find the evidence.
    pub query_id: Option<String>,
    /// The files, in the order of the form.
    pub parts: Vec<StoredPart>,
}

#[derive(Deserialize)]
struct FormData {
    control: Control,
    #[serde(rename = "formData")]
    _form_data: serde::de::IgnoredAny,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Control {
    transaction_id: String,
    #[serde(default)]
    name: String,
}

/// The applications of one office.
#[derive(Debug)]
pub struct Store {
    dir: PathBuf,
    /// Keyed by transaction id.
    known: Mutex<BTreeMap<String, Application>>,
}

impl Store {
    /// Opens (or makes) the folder of an office.
    pub async fn open(dir: PathBuf) -> io::Result<Self> {
        let incoming = dir.join("incoming");
        if fs::try_exists(&incoming).await? {
            fs::remove_dir_all(&incoming).await?;
        }
        fs::create_dir_all(&incoming).await?;
        let mut known = BTreeMap::new();
        let mut entries = fs::read_dir(&dir).await?;
        while let Some(entry) = entries.next_entry().await? {
            let path = entry.path().join("vorgang.json");
            match fs::read(&path).await {
                Ok(bytes) => {
                    let application: Application = serde_json::from_slice(&bytes)
                        .map_err(|e| io::Error::other(format!("{} is damaged: {e}", path.display())))?;
                    known.insert(application.transaction_id.clone(), application);
                }
                Err(error)
                    if matches!(
                        error.kind(),
                        io::ErrorKind::NotFound | io::ErrorKind::NotADirectory
                    ) => {}
                Err(error) => return Err(error),
            }
        }
        Ok(Self {
            dir,
            known: Mutex::new(known),
        })
    }

    /// Begins an application.
    pub async fn begin(&self) -> io::Result<Incoming> {
        let dir = self.dir.join("incoming").join(Uuid::new_v4().to_string());
        fs::create_dir(&dir).await?;
        Ok(Incoming {
            dir,
            open: None,
            parts: Vec::new(),
        })
    }

    /// Everything stored, newest first.
    pub async fn list(&self) -> Vec<Application> {
        let mut all: Vec<_> = self.known.lock().await.values().cloned().collect();
        all.sort_by(|a, b| b.vorgang.status_since.cmp(&a.vorgang.status_since));
        all
    }

    /// Where a stored application lies.
    pub fn folder(&self, application: &Application) -> PathBuf {
        self.dir.join(&application.vorgang.vorgang_nummer)
    }

    /// Takes a complete form; `client` and `query_id` are what the node said of the message.
    pub async fn accept(
        &self,
        mut incoming: Incoming,
        client: Option<String>,
        query_id: Option<String>,
        now: UnixTime,
    ) -> Result<Application, IntakeError> {
        let control = incoming.control().await?;
        let mut known = self.known.lock().await;
        if let Some(before) = known.get(&control.transaction_id) {
            let same = |a: &StoredPart, b: &StoredPart| a.part == b.part && a.sha512 == b.sha512;
            let repeated = before.parts.len() == incoming.parts.len()
                && before.parts.iter().zip(&incoming.parts).all(|(a, b)| same(a, b));
            return if repeated {
                Ok(before.clone())
            } else {
                Err(IntakeError::Conflict(control.transaction_id))
            };
        }
        let vorgang = Vorgang {
            vorgang_id: Uuid::new_v4().to_string(),
            vorgang_nummer: self.number().await?,
            status: "NEU".into(),
            status_since: now.to_rfc3339(),
        };
        let application = Application {
            format: 1,
            transaction_id: control.transaction_id,
            vorgang,
            form_name: control.name,
            client,
            query_id,
            parts: std::mem::take(&mut incoming.parts),
        };
        let record = serde_json::to_vec_pretty(&application).map_err(io::Error::other)?;
        let mut file = File::create(incoming.dir.join("vorgang.json")).await?;
        file.write_all(&record).await?;
        file.sync_all().await?;
        File::open(&incoming.dir).await?.sync_all().await?;
        // A crash before the rename: the sender got no answer and sends again. After it: it gets the same answer.
        fs::rename(&incoming.dir, self.folder(&application)).await?;
        File::open(&self.dir).await?.sync_all().await?;
        known.insert(application.transaction_id.clone(), application.clone());
        Ok(application)
    }

    /// A case number that no folder has.
    async fn number(&self) -> io::Result<String> {
        loop {
            let random = Uuid::new_v4().as_u128();
            let digits = 10_000 + (random & 0xffff) % 90_000;
            let letters: String = (0..6)
                .map(|n| {
                    let letter = (random >> (80 + 5 * n)) & 31;
                    char::from(LETTERS[usize::try_from(letter).unwrap_or(0)])
                })
                .collect();
            let number = format!("{digits}-{letters}");
            if !fs::try_exists(self.dir.join(&number)).await? {
                return Ok(number);
            }
        }
    }
}

struct OpenPart {
    file: File,
    part: StoredPart,
    sha256: Hasher,
    sha512: Hasher,
}

/// An application that is arriving; dropped before it is accepted, its folder goes.
pub struct Incoming {
    dir: PathBuf,
    open: Option<OpenPart>,
    parts: Vec<StoredPart>,
}

impl Incoming {
    /// Begins a part.
    pub async fn part(&mut self, head: PartHead) -> Result<(), IntakeError> {
        let count = |name: &str| self.parts.iter().filter(|p| p.part == name).count();
        let file = match head.name.as_str() {
            "formData" if count("formData") == 0 => "formData.json".to_owned(),
            "representation" if count("representation") == 0 => {
                format!("representation.{}", extension(head.media_type.as_deref()))
            }
            "attachment" => {
                format!(
                    "attachment-{:02}.{}",
                    count("attachment") + 1,
                    extension(head.media_type.as_deref())
                )
            }
            "formData" | "representation" => {
                return Err(IntakeError::Content(format!(
                    "the part {} stands twice",
                    head.name
                )));
            }
            _ => {
                return Err(IntakeError::Content(
                    "a part has an unknown name; formData, representation and attachment are known".into(),
                ));
            }
        };
        let part = StoredPart {
            part: head.name,
            original_name: head.file_name,
            media_type: head.media_type,
            size: 0,
            sha256: String::new(),
            sha512: String::new(),
            file,
        };
        let file = File::create_new(self.dir.join(&part.file)).await?;
        let hasher = |algorithm| Hasher::new(algorithm).map_err(io::Error::other);
        let (sha256, sha512) = (hasher(DigestAlgorithm::Sha256)?, hasher(DigestAlgorithm::Sha512)?);
        self.open = Some(OpenPart {
            file,
            part,
            sha256,
            sha512,
        });
        Ok(())
    }

    /// Adds bytes to the part.
    pub async fn data(&mut self, bytes: &[u8]) -> Result<(), IntakeError> {
        if let Some(open) = &mut self.open {
            open.sha256.update(bytes);
            open.sha512.update(bytes);
            open.part.size += bytes.len() as u64;
            if open.part.part == "formData" && open.part.size > FORM_DATA {
                return Err(IntakeError::Content("formData is larger than 8 MiB".into()));
            }
            open.file.write_all(bytes).await?;
        }
        Ok(())
    }

    /// Ends the part.
    pub async fn end(&mut self) -> Result<(), IntakeError> {
        if let Some(mut open) = self.open.take() {
            open.file.flush().await?;
            open.file.sync_all().await?;
            open.part.sha256 = hex(&open.sha256.finish());
            open.part.sha512 = hex(&open.sha512.finish());
            self.parts.push(open.part);
        }
        Ok(())
    }

    async fn control(&self) -> Result<Control, IntakeError> {
        let content = |text: String| IntakeError::Content(text);
        if !self.parts.iter().any(|p| p.part == "formData") {
            return Err(content("the part formData is missing".into()));
        }
        let bytes = fs::read(self.dir.join("formData.json")).await?;
        let form: FormData = serde_json::from_slice(&bytes)
            .map_err(|e| content(format!("formData is not the JSON of an application: {e}")))?;
        let id = &form.control.transaction_id;
        if id.is_empty() || id.len() > TRANSACTION || !id.bytes().all(|b| b.is_ascii_graphic()) {
            return Err(content(
                "control.transactionId must have 1 to 100 visible ASCII characters".into(),
            ));
        }
        Ok(form.control)
    }
}

impl Drop for Incoming {
    fn drop(&mut self) {
        // Gone already if it was accepted; what cannot be removed now is removed at the next start.
        let _ = std::fs::remove_dir_all(&self.dir);
    }
}

/// A harmless file name extension for a declared media type.
fn extension(media_type: Option<&str>) -> &'static str {
    match media_type
        .map(|m| {
            m.split(';')
                .next()
                .unwrap_or_default()
                .trim()
                .to_ascii_lowercase()
        })
        .as_deref()
    {
        Some("application/json") => "json",
        Some("application/pdf") => "pdf",
        Some("application/xml" | "text/xml") => "xml",
        Some("image/jpeg") => "jpg",
        Some("image/png") => "png",
        Some("text/plain") => "txt",
        Some(_) | None => "bin",
    }
}

/// Lower-case hexadecimal.
pub fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|b| format!("{b:02x}")).collect()
}

/// Whether `file` is one of the application's, so that it may be opened in its folder.
pub fn holds(application: &Application, folder: &Path, file: &str) -> Option<PathBuf> {
    application
        .parts
        .iter()
        .find(|p| p.file == file)
        .map(|p| folder.join(&p.file))
}
