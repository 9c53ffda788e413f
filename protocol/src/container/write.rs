//! Writing a container: the entries of wire 6.5 in their order, all deflated, attachments last and streamed.
//!
//! Owns the layout. What goes in has been verified and logged; nothing is judged here.

use std::io::{Seek, Write};

use kontor_pki::time::UnixTime;
use zip::write::SimpleFileOptions;
use zip::{CompressionMethod, DateTime, ZipWriter};

use super::{
    ASIC_MANIFEST, BatchTimestamp, ChainFiles, MANIFEST, MEDIA_TYPE, MESSAGE, MIMETYPE, SIGNATURE_CHAIN,
    SIGNATURE_CHAIN_RESULT, SIGNATURES, TIMESTAMP, TIMESTAMP_CHAIN, TIMESTAMP_CHAIN_RESULT, manifest,
};

/// What a container shows, but for the attachments.
#[derive(Debug, Clone, Copy)]
pub struct Evidence<'a> {
    /// The signed message, SOAP or REST.
    pub message: &'a [u8],
    /// The signature document, with a single time-stamp in it if there is one.
    pub signatures: &'a [u8],
    /// The hash chain, if the signature is over one.
    pub chain: Option<&'a ChainFiles>,
    /// The time-stamp over many records, if there is one.
    pub timestamp: Option<&'a BatchTimestamp>,
    /// How many attachments follow.
    pub attachments: usize,
}

/// The container could not be written.
#[derive(Debug, thiserror::Error)]
pub enum WriteError {
    /// The output failed.
    #[error("the container could not be written: {0}")]
    Output(String),
    /// More or fewer attachments than announced.
    #[error("the container was announced with {announced} attachments, but has {written}")]
    Attachments {
        /// As announced.
        announced: usize,
        /// As written.
        written: usize,
    },
}

impl WriteError {
    /// A stable word for reports.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            Self::Output(_) => "io_error",
            Self::Attachments { .. } => "attachments",
        }
    }
}

impl From<zip::result::ZipError> for WriteError {
    fn from(error: zip::result::ZipError) -> Self {
        Self::Output(error.to_string())
    }
}

impl From<std::io::Error> for WriteError {
    fn from(error: std::io::Error) -> Self {
        Self::Output(error.to_string())
    }
}

/// A container being written; attachments come piece by piece.
pub struct ContainerWriter<W: Write + Seek> {
    zip: ZipWriter<W>,
    options: SimpleFileOptions,
    announced: usize,
    written: usize,
}

impl<W: Write + Seek> ContainerWriter<W> {
    /// Writes everything but the attachments. `at` is the time of the record: entries carry it, in UTC.
    ///
    /// # Errors
    /// Those of the output.
    pub fn new(out: W, evidence: &Evidence<'_>, at: UnixTime) -> Result<Self, WriteError> {
        Self::begin(ZipWriter::new(out).set_auto_large_file(), evidence, at)
    }

    /// Writes everything but the attachments with a writer that is set up.
    pub(super) fn begin(
        mut zip: ZipWriter<W>,
        evidence: &Evidence<'_>,
        at: UnixTime,
    ) -> Result<Self, WriteError> {
        zip.set_comment(format!("mimetype={MEDIA_TYPE}"))?;
        let options = SimpleFileOptions::default()
            .compression_method(CompressionMethod::Deflated)
            .last_modified_time(entry_time(at))
            .unix_permissions(0o644);
        let mut writer = Self {
            zip,
            options,
            announced: evidence.attachments,
            written: 0,
        };

        writer.entry(MIMETYPE, MEDIA_TYPE.as_bytes())?;
        writer.entry(MESSAGE, evidence.message)?;
        writer.entry(SIGNATURES, evidence.signatures)?;
        if let Some(chain) = evidence.chain {
            writer.entry(SIGNATURE_CHAIN_RESULT, &chain.result)?;
            writer.entry(SIGNATURE_CHAIN, &chain.chain)?;
        }
        if let Some(timestamp) = evidence.timestamp {
            writer.entry(TIMESTAMP_CHAIN_RESULT, &timestamp.result)?;
            writer.entry(TIMESTAMP_CHAIN, &timestamp.chain)?;
        }
        writer.entry(MANIFEST, manifest::open_document(evidence).as_bytes())?;
        if let Some(timestamp) = evidence.timestamp {
            writer.entry(ASIC_MANIFEST, manifest::asic(&timestamp.result).as_bytes())?;
            writer.entry(TIMESTAMP, &timestamp.token)?;
        }
        Ok(writer)
    }

    fn entry(&mut self, name: &str, content: &[u8]) -> Result<(), WriteError> {
        self.zip.start_file(name, self.options)?;
        self.zip.write_all(content)?;
        Ok(())
    }

    /// Entries from now on may be beyond 4 GiB, where the writer cannot find out by itself.
    pub(super) fn expect_large(&mut self) {
        self.options = self.options.large_file(true);
    }

    /// Begins the next attachment; what is written from now on is its content.
    ///
    /// # Errors
    /// Those of the output, and one attachment more than announced.
    pub fn start_attachment(&mut self) -> Result<(), WriteError> {
        self.written += 1;
        if self.written > self.announced {
            return Err(WriteError::Attachments {
                announced: self.announced,
                written: self.written,
            });
        }
        self.zip
            .start_file(format!("attachment{}", self.written), self.options)?;
        Ok(())
    }

    /// The next bytes of the attachment.
    ///
    /// # Errors
    /// Those of the output.
    pub fn write(&mut self, bytes: &[u8]) -> Result<(), WriteError> {
        Ok(self.zip.write_all(bytes)?)
    }

    /// Ends the archive and gives the output back.
    ///
    /// # Errors
    /// Those of the output, and fewer attachments than announced.
    pub fn finish(self) -> Result<W, WriteError> {
        if self.written < self.announced {
            return Err(WriteError::Attachments {
                announced: self.announced,
                written: self.written,
            });
        }
        Ok(self.zip.finish()?)
    }
}

/// The time of an entry, in UTC. The format of archives begins in 1980 and counts in two seconds.
pub(crate) fn entry_time(at: UnixTime) -> DateTime {
    let days = at.secs().div_euclid(86_400);
    let second_of_day = at.secs().rem_euclid(86_400);
    // Days to a civil date, counting years from March (H. Hinnant, chrono-compatible low-level date algorithms).
    let z = days + 719_468;
    let era = z.div_euclid(146_097);
    let day_of_era = z.rem_euclid(146_097);
    let year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month + 2) / 5 + 1;
    let month = if month < 10 { month + 3 } else { month - 9 };
    let year = year_of_era + era * 400 + i64::from(month <= 2);
    let small = |value: i64| u8::try_from(value).unwrap_or_default();
    DateTime::from_date_and_time(
        u16::try_from(year).unwrap_or_default(),
        small(month),
        small(day),
        small(second_of_day / 3600),
        small(second_of_day / 60 % 60),
        small(second_of_day % 60),
    )
    .unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn entries_carry_the_time_in_utc() {
        let at = |text| entry_time(UnixTime::parse_rfc3339(text).unwrap()).to_string();
        assert_eq!(at("2026-03-02T10:00:58Z"), "2026-03-02 10:00:58");
        assert_eq!(at("2024-02-29T23:59:59Z"), "2024-02-29 23:59:58");
        assert_eq!(at("2000-12-31T00:00:00Z"), "2000-12-31 00:00:00");
        assert_eq!(at("1970-01-01T00:00:00Z"), "1980-01-01 00:00:00");
    }
}
