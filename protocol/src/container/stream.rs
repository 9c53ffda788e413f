//! Containers for an output that cannot seek, such as a connection: one alone, or many in one ZIP file. Nothing of a body is
//! held; what cannot be known before it is written stands behind each entry, as Java writes it too.
//!
//! Entries of a [`Bundle`] are deflated at the lowest level and not stored: a reader that reads from the front cannot find the
//! end of a stored entry whose length stands behind it. X-Road does the same at level 0.

use std::io::{self, Write};

use kontor_pki::time::UnixTime;
use zip::write::{SimpleFileOptions, StreamWriter};
use zip::{CompressionMethod, ZipWriter};

use super::write::{ContainerWriter, Evidence, WriteError, entry_time};

/// Beyond this an entry is written in the large form: 4 GiB, less what deflating may add.
const LARGE: u64 = 0xf000_0000;

/// `attachment1`, piece by piece.
pub struct Body<'a> {
    /// Its bytes.
    pub length: u64,
    /// Gives the next piece, `None` after the last.
    pub next: &'a mut dyn FnMut() -> io::Result<Option<Vec<u8>>>,
}

/// Writes a container and gives the output back. [`Evidence::attachments`] must be 1 with a body and 0 without.
///
/// # Errors
/// Those of output and body.
pub fn stream<W: Write>(
    out: W,
    evidence: &Evidence<'_>,
    at: UnixTime,
    body: Option<Body<'_>>,
) -> Result<W, WriteError> {
    let mut writer = ContainerWriter::begin(ZipWriter::new_stream(out), evidence, at)?;
    if let Some(Body { length, next }) = body {
        if length > LARGE {
            writer.expect_large();
        }
        writer.start_attachment()?;
        while let Some(piece) = next()? {
            writer.write(&piece)?;
        }
    }
    Ok(writer.finish()?.into_inner())
}

/// Many containers or files in one ZIP file.
pub struct Bundle<W: Write> {
    zip: ZipWriter<StreamWriter<W>>,
}

impl<W: Write> Bundle<W> {
    /// Begins a file.
    pub fn new(out: W) -> Self {
        Self {
            zip: ZipWriter::new_stream(out),
        }
    }

    /// Adds a container under a name of [`crate::archive::container_name`].
    ///
    /// # Errors
    /// Those of [`stream`], and a name that was given before.
    pub fn container(
        &mut self,
        name: &str,
        evidence: &Evidence<'_>,
        at: UnixTime,
        body: Option<Body<'_>>,
    ) -> Result<(), WriteError> {
        let large = body.as_ref().is_some_and(|body| body.length > LARGE);
        self.zip.start_file(name, options(at).large_file(large))?;
        stream(&mut self.zip, evidence, at, body).map(drop)
    }

    /// Adds a file as it is read.
    ///
    /// # Errors
    /// Those of output and file, and a name that was given before.
    pub fn file(&mut self, name: &str, at: UnixTime, file: &mut impl io::Read) -> Result<(), WriteError> {
        self.zip.start_file(name, options(at))?;
        io::copy(file, &mut self.zip)?;
        Ok(())
    }

    /// Ends the file and gives the output back.
    ///
    /// # Errors
    /// Those of the output.
    pub fn finish(self) -> Result<W, WriteError> {
        Ok(self.zip.finish()?.into_inner())
    }
}

fn options(at: UnixTime) -> SimpleFileOptions {
    SimpleFileOptions::default()
        .compression_method(CompressionMethod::Deflated)
        .compression_level(Some(1))
        .last_modified_time(entry_time(at))
        .unix_permissions(0o644)
}

#[cfg(test)]
mod tests {
    use std::io::{Cursor, Read as _};

    use super::super::{ChainFiles, Container};
    use super::*;

    fn at() -> UnixTime {
        UnixTime::parse_rfc3339("2030-01-31T12:00:00Z").unwrap()
    }

    #[test]
    fn a_streamed_container_is_read_like_any_other() {
        let chain = ChainFiles {
            result: b"<result/>".to_vec(),
            chain: b"<chain/>".to_vec(),
        };
        let evidence = Evidence {
            message: b"GET / HTTP/1.1",
            signatures: b"<signatures/>",
            chain: Some(&chain),
            timestamp: None,
            attachments: 1,
        };
        let whole = |pieces: &[&[u8]]| {
            let mut pieces = pieces.iter().map(|piece| piece.to_vec());
            let mut next = || Ok(pieces.next());
            let body = Body {
                length: 6,
                next: &mut next,
            };
            let mut bundle = Bundle::new(Vec::new());
            bundle.container("a.asice", &evidence, at(), Some(body)).unwrap();
            bundle.file("b", at(), &mut &b"a file"[..]).unwrap();
            bundle.finish().unwrap()
        };
        let bundle = whole(&[b"abc", b"def"]);
        let mut zip = zip::ZipArchive::new(Cursor::new(bundle)).unwrap();
        let mut entry = Vec::new();
        zip.by_name("a.asice").unwrap().read_to_end(&mut entry).unwrap();
        let container = Container::read(Cursor::new(entry)).unwrap();
        assert_eq!(container.message, b"GET / HTTP/1.1");
        assert_eq!(container.chain.as_ref(), Some(&chain));
        assert_eq!(container.attachments[0].length, 6);
        assert!(zip.by_name("b").is_ok());
    }

    #[test]
    fn a_body_that_breaks_off_ends_the_container_with_its_error() {
        let evidence = Evidence {
            message: b"m",
            signatures: b"s",
            chain: None,
            timestamp: None,
            attachments: 1,
        };
        let mut next = || Err(io::Error::other("the disk failed"));
        let body = Body {
            length: 6,
            next: &mut next,
        };
        let broken = stream(Vec::new(), &evidence, at(), Some(body)).unwrap_err();
        assert!(broken.to_string().contains("the disk failed"), "{broken}");
    }
}
