//! Evidence containers: one signed message with everything needed to judge it (wire 6.5), and that judgement (wire 6.6).
//!
//! Owns the ASiC-E form: [`ContainerWriter`] makes the archive that X-Road's own tools read, [`Container`] reads it within
//! bounds, [`timestamp::Batch`] puts many records under one time-stamp, [`Companion`] ties it to a leaf of a message log, [`check`] says who signed what and when, and whether that
//! holds. Attachments are streamed both ways: they may be larger than memory.
//!
//! The archive library stays inside: nothing of it is in a signature here.
//!
//! Refuses archives that two readers could read differently: names given twice, entries that overlap or are not listed,
//! headers that disagree.

pub mod check;
mod companion;
mod manifest;
mod read;
mod record;
mod report;
mod stream;
mod subject;
#[cfg(test)]
mod tests;
pub mod timestamp;
mod write;

pub use self::companion::{Absent, Companion, CompanionError};
pub use self::read::{Attachment, BatchTimestamp, ChainFiles, Container, ContainerError};
pub use self::record::{RecordFacts, RecordStampFacts};
pub(crate) use self::report::hex;
pub use self::report::{
    InclusionFacts, Instant, InstantSource, LeafFacts, PartFacts, Reason, Report, StillSound, TokenFacts,
    Verdict, WitnessFacts,
};
pub use self::stream::{Body, Bundle, stream};
pub use self::subject::{MessageForm, MessageRole, Subject, SubjectError};
pub(crate) use self::write::entry_time;
pub use self::write::{ContainerWriter, Evidence, WriteError};

/// Media type of the archive and content of its first entry.
pub const MEDIA_TYPE: &str = "application/vnd.etsi.asic-e+zip";

pub(crate) const MIMETYPE: &str = "mimetype";
pub(crate) const MESSAGE: &str = "message.xml";
pub(crate) const SIGNATURES: &str = "META-INF/signatures.xml";
pub(crate) const SIGNATURE_CHAIN_RESULT: &str = "sig-hashchainresult.xml";
pub(crate) const SIGNATURE_CHAIN: &str = "sig-hashchain.xml";
pub(crate) const TIMESTAMP_CHAIN_RESULT: &str = "ts-hashchainresult.xml";
pub(crate) const TIMESTAMP_CHAIN: &str = "ts-hashchain.xml";
pub(crate) const MANIFEST: &str = "META-INF/manifest.xml";
pub(crate) const ASIC_MANIFEST: &str = "META-INF/ASiCManifest.xml";
pub(crate) const TIMESTAMP: &str = "META-INF/timestamp.tst";
