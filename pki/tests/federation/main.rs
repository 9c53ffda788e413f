//! A federation of our own making, judged by our own verifiers and by openssl.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod world;
mod chain;
mod evidence_record;
mod fuzz;
mod ocsp;
mod openssl;
mod recorded;
mod request;
mod timestamp;
