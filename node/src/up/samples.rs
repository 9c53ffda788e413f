//! The sample applications that the binary carries: their files, and how they are handed in.
//!
//! Owns `node/samples` and its layout on disk. One file is too large to carry and is built by its recipe
//! (`synthesise` in the manifest). Everything in the samples is fictional and says so.

use std::io;
use std::path::{Path, PathBuf};

use kontor_pki::crypto::sha256;
use serde::Deserialize;

/// A sample as embedded: name of its folder, then files by path in it.
struct Embedded {
    name: &'static str,
    manifest: &'static str,
    files: &'static [(&'static str, &'static [u8])],
}

macro_rules! embedded {
    ($name:literal: $($path:literal),+) => {
        Embedded {
            name: $name,
            manifest: include_str!(concat!("../../samples/", $name, "/manifest.json")),
            files: &[$(($path, include_bytes!(concat!("../../samples/", $name, "/", $path)).as_slice())),+],
        }
    };
}

static EMBEDDED: [Embedded; 4] = [
    embedded!("gewerbeanmeldung": "formData.json", "representation.pdf", "attachments/01-meisterbrief.pdf",
        "attachments/02-gbr-vertrag.pdf", "attachments/03-ausweis.jpg", "attachments/04-maschinendaten.xml"),
    embedded!("hundesteuer": "formData.json", "representation.pdf", "attachments/01-hund.jpg",
        "attachments/02-haftpflicht.pdf", "attachments/03-registrierung.png"),
    embedded!("baumfaellung": "formData.json", "representation.pdf", "attachments/01-eiche.jpg",
        "attachments/02-hoehlung.jpg", "attachments/03-lageplan.png", "attachments/04-gutachten.pdf",
        "attachments/05-baumkataster.xml"),
    embedded!("bauvoranfrage": "formData.json", "representation.pdf",
        "attachments/01-lageplan-gesamt.pdf.parts/prefix.bin", "attachments/01-lageplan-gesamt.pdf.parts/suffix.bin",
        "attachments/02-ansichten.pdf", "attachments/03-luftbild.jpg", "attachments/04-grundriss.png",
        "attachments/05-baubeschreibung.pdf"),
];

/// A sample on disk, ready to be handed in.
#[derive(Clone, Debug)]
pub struct Sample {
    /// Short name.
    pub name: &'static str,
    /// What it is.
    pub title: String,
    /// Transaction id in its form.
    pub transaction_id: String,
    /// The parts of the form, in order.
    pub parts: Vec<SamplePart>,
}

/// One part of the form.
#[derive(Clone, Debug)]
pub struct SamplePart {
    /// Name of the part.
    pub part: String,
    /// The file.
    pub path: PathBuf,
    /// Name the applicant gave it.
    pub original_name: String,
    /// Media type the form service declares.
    pub media_type: String,
}

#[derive(Deserialize)]
struct Manifest {
    title: String,
    transaction_id: String,
    files: Vec<ManifestFile>,
}

#[derive(Deserialize)]
struct ManifestFile {
    path: String,
    part: Option<String>,
    original_name: String,
    declared_media_type: String,
    size: u64,
    synthesise: Option<Recipe>,
}

#[derive(Deserialize)]
struct Recipe {
    method: String,
    prefix: String,
    seed: String,
    keystream_bytes: usize,
    suffix: String,
}

/// Writes the samples below `dir` where they are not there yet.
pub fn write(dir: &Path) -> io::Result<Vec<Sample>> {
    EMBEDDED
        .iter()
        .map(|embedded| embedded.write(&dir.join(embedded.name)))
        .collect()
}

impl Embedded {
    fn file(&self, path: &str) -> io::Result<&'static [u8]> {
        let found = self.files.iter().find(|(name, _)| *name == path);
        found
            .map(|(_, bytes)| *bytes)
            .ok_or_else(|| io::Error::other(format!("sample {} lacks {path}", self.name)))
    }

    fn manifest(&self) -> io::Result<Manifest> {
        serde_json::from_str(self.manifest).map_err(io::Error::other)
    }

    fn content(&self, file: &ManifestFile) -> io::Result<Vec<u8>> {
        match &file.synthesise {
            None => self.file(&file.path).map(<[u8]>::to_vec),
            Some(recipe) if recipe.method == "sha256-counter" => {
                let mut out = self.file(&recipe.prefix)?.to_vec();
                out.extend(keystream(&recipe.seed, recipe.keystream_bytes));
                out.extend_from_slice(self.file(&recipe.suffix)?);
                Ok(out)
            }
            Some(recipe) => Err(io::Error::other(format!("unknown recipe {}", recipe.method))),
        }
    }

    fn write(&self, dir: &Path) -> io::Result<Sample> {
        let manifest = self.manifest()?;
        let mut parts = Vec::new();
        for file in &manifest.files {
            let Some(part) = &file.part else { continue };
            let path = dir.join(&file.path);
            // Same length is taken for same content: building the large file again would cost the whole start.
            if std::fs::metadata(&path).map(|m| m.len()).ok() != Some(file.size) {
                if let Some(parent) = path.parent() {
                    std::fs::create_dir_all(parent)?;
                }
                let content = self.content(file)?;
                let unfinished = path.with_extension("part");
                std::fs::write(&unfinished, content)?;
                std::fs::rename(&unfinished, &path)?;
            }
            parts.push(SamplePart {
                part: part.clone(),
                path,
                original_name: file.original_name.clone(),
                media_type: file.declared_media_type.clone(),
            });
        }
        Ok(Sample {
            name: self.name,
            title: manifest.title,
            transaction_id: manifest.transaction_id,
            parts,
        })
    }
}

/// Bytes that do not compress: SHA-256 of seed and counter, one after another.
fn keystream(seed: &str, length: usize) -> Vec<u8> {
    let mut out = Vec::with_capacity(length + 32);
    let mut input = seed.as_bytes().to_vec();
    for block in 0u64.. {
        if out.len() >= length {
            break;
        }
        input.truncate(seed.len());
        input.extend_from_slice(&block.to_be_bytes());
        out.extend_from_slice(&sha256(&input));
    }
    out.truncate(length);
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Deserialize)]
    struct Digests {
        files: Vec<Digest>,
    }

    #[derive(Deserialize)]
    struct Digest {
        path: String,
        sha256: String,
    }

    #[test]
    fn every_part_has_the_size_and_digest_of_its_manifest() {
        for embedded in &EMBEDDED {
            let digests: Digests = serde_json::from_str(embedded.manifest).unwrap();
            for file in embedded
                .manifest()
                .unwrap()
                .files
                .iter()
                .filter(|f| f.part.is_some())
            {
                let content = embedded.content(file).unwrap();
                assert_eq!(content.len() as u64, file.size, "{}", file.path);
                let stated = &digests.files.iter().find(|d| d.path == file.path).unwrap().sha256;
                let found: String = sha256(&content).iter().map(|b| format!("{b:02x}")).collect();
                assert_eq!(&found, stated, "{}", file.path);
            }
        }
    }

    #[test]
    fn samples_are_written_once_in_the_order_of_the_form() {
        let dir = tempfile::tempdir().unwrap();
        let first = write(dir.path()).unwrap();
        let names: Vec<_> = first.iter().map(|s| (s.name, s.parts.len())).collect();
        assert_eq!(
            names,
            [
                ("gewerbeanmeldung", 6),
                ("hundesteuer", 5),
                ("baumfaellung", 7),
                ("bauvoranfrage", 7)
            ]
        );
        assert_eq!(first[0].parts[0].part, "formData");
        assert_eq!(first[0].parts[1].part, "representation");
        let large = &first[3].parts[2].path;
        let modified = std::fs::metadata(large).unwrap().modified().unwrap();
        write(dir.path()).unwrap();
        assert_eq!(std::fs::metadata(large).unwrap().modified().unwrap(), modified);
    }
}
