//! Every size that a parser of this crate obeys, with the clause or the reason it comes from.
//!
//! A bound is met before input meets memory. All sizes are bytes unless the name says otherwise; a bound is the largest
//! value still accepted.

// --- The transport between security servers (wire 3.6)

/// One header line of a part, its line end not counted: the limit of the Java parser (wire 3.6, mime4j default).
pub const PART_HEADER_LINE: usize = 1000;
/// All header lines of one part together.
pub const PART_HEADERS: usize = 10_000;
/// Header lines of one part.
pub const PART_HEADER_COUNT: usize = 100;
/// Parts of one message, those of a nested multipart counted in.
pub const PARTS: usize = 200;
/// A boundary parameter (RFC 2046 5.1.1 allows 70; the nested ones come from information systems).
pub const BOUNDARY: usize = 100;
/// What stands before the first boundary: Java writes nothing, or one empty line in the nested multipart.
pub const PREAMBLE: usize = 1024;
/// What stands after the closing boundary of the outer multipart.
pub const EPILOGUE: usize = 1024;
/// A REST message part: start lines and headers (Java has no bound, wire 11.4 trap 42).
pub const REST_PART: usize = 128 * 1024;
/// Headers of a REST message.
pub const REST_HEADERS: usize = 1000;
/// A SOAP message part; what is larger travels as an attachment.
pub const SOAP_PART: usize = 1024 * 1024;
/// Attachments of a SOAP message.
pub const SOAP_ATTACHMENTS: usize = 100;
/// One OCSP response in its part, in a signature or from a responder.
pub const OCSP_RESPONSE: usize = 16 * 1024;
/// OCSP parts of one request: one for each certificate presented, and chains are short.
pub const OCSP_PARTS: usize = 10;
/// A fault document, received or as a part.
pub const FAULT: usize = 64 * 1024;
/// XML nodes of a fault document.
pub const FAULT_NODES: u32 = 1000;
/// A fault code received from a peer.
pub const FAULT_CODE: usize = 512;
/// One identifier field (wire 1.5; management requests refuse longer ones).
pub const ID_FIELD: usize = 255;
/// A path pattern of an access right.
pub const PATH_PATTERN: usize = 1024;
/// The raw target of a REST request.
pub const REST_TARGET: usize = 64 * 1024;

// --- Signatures and hash chains (wire 4)

/// A signature document with its certificates and OCSP responses.
pub const SIGNATURE: usize = 256 * 1024;
/// XML nodes of a signature document.
pub const SIGNATURE_NODES: u32 = 10_000;
/// References of a signature: the message or chain, SignedProperties, and the attachments of direct signatures.
pub const REFERENCES: usize = 2 + SOAP_ATTACHMENTS;
/// Certificates in a signature, the signer's counted in.
pub const SIGNATURE_CERTIFICATES: usize = 10;
/// A hash chain.
pub const HASH_CHAIN: usize = 64 * 1024;
/// A hash chain result.
pub const HASH_CHAIN_RESULT: usize = 4 * 1024;
/// XML nodes of a hash chain.
pub const HASH_CHAIN_NODES: u32 = 10_000;
/// Steps of a hash chain; a batch of 2^64 messages needs 65.
pub const HASH_CHAIN_STEPS: usize = 100;
/// Depth of step references during evaluation.
pub const HASH_CHAIN_DEPTH: usize = 64;
/// Digests that the evaluation of one chain may visit.
pub const HASH_CHAIN_WORK: usize = 1000;
/// Elements inside each other in any XML document that is canonicalised or evaluated.
pub const XML_DEPTH: usize = 64;
/// A time-stamp token.
pub const TIMESTAMP: usize = 64 * 1024;
/// Records under one time-stamp: ten times what X-Road takes at once (wire 5.1). Their digests have 6.4 MB.
pub const TIMESTAMP_RECORDS: usize = 100_000;

// --- Global configuration (wire 7)

/// A configuration anchor.
pub const ANCHOR: usize = 1024 * 1024;
/// A signed configuration directory.
pub const DIRECTORY: usize = 1024 * 1024;
/// Parts named by a directory.
pub const DIRECTORY_PARTS: usize = 1000;
/// One part of the configuration: the shared parameters of a large instance have tens of MiB.
pub const CONFIGURATION_PART: usize = 64 * 1024 * 1024;
/// XML nodes of one part: about 200 bytes of memory each.
pub const CONFIGURATION_NODES: u32 = 4_000_000;
/// Federated instances, configuration sources and certificates in one document each.
pub const CONFIGURATION_SOURCES: usize = 1000;

// --- Evidence containers (wire 6.5)

/// Entries of a container.
pub const CONTAINER_ENTRIES: usize = 1000;
/// The name of an entry.
pub const CONTAINER_NAME: usize = 1024;
/// An entry that is held in memory: manifests, signatures, chains, time-stamps.
pub const CONTAINER_ENTRY: usize = 16 * 1024 * 1024;
/// An evidence record beside a container, as `kontor_pki::evidence_record` reads it.
pub const EVIDENCE_RECORD: usize = 4 * 1024 * 1024;
/// A container with all its entries inflated.
pub const CONTAINER: usize = 2 * 1024 * 1024 * 1024;

// --- Archives of containers (wire 6.8)

/// Entries of an archive, `linkinginfo` counted in: X-Road begins the next at 32 MiB, some 3,000 containers.
pub const ARCHIVE_ENTRIES: usize = 100_000;
/// `linkinginfo`: a digest of 128 letters and a name for each container.
pub const LINKING_INFO: usize = 40 * 1024 * 1024;
/// The query id in the name of a container, encoded (wire 6.8).
pub const ARCHIVED_QUERY_ID: usize = 226;
/// The group in the name of an archive (wire 6.8).
pub const ARCHIVE_GROUP: usize = 200;

// --- The transparency log (C2SP signed-note, tlog-checkpoint, tlog-witness, tlog-proof)

/// A signed note with its signatures: 16 signatures of 5 kB must be accepted (signed-note, Format), ours are short.
pub const NOTE: usize = 256 * 1024;
/// Signatures of a note.
pub const NOTE_SIGNATURES: usize = 100;
/// The name of a key of a note: ours have a server's four fields, percent-encoded, and the id of a log.
pub const KEY_NAME: usize = 3200;
/// Extension lines of a checkpoint; ours has none.
pub const CHECKPOINT_EXTENSIONS: usize = 16;
/// The body of a request to a witness, or a proof: at most 63 hashes and a checkpoint.
pub const CHECKPOINT_REQUEST: usize = NOTE + 64 * 64;
/// A proof of inclusion with its checkpoint and extra data.
pub const LOG_PROOF: usize = 2 * NOTE;
/// The statement that binds a key of the transparency log to a member.
pub const BINDING_STATEMENT: usize = 8 * 1024;

// --- Evidence packages

/// Files of a package, its manifest counted in.
pub const PACKAGE_FILES: usize = 10_000;
/// The manifest of a package.
pub const PACKAGE_MANIFEST: usize = 4 * 1024 * 1024;
/// A package with all its files inflated.
pub const PACKAGE: u64 = 8 * 1024 * 1024 * 1024;
