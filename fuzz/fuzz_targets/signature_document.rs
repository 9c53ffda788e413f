//! The XAdES document of a message (wire 4), and the check of its value.
#![no_main]

use kontor_protocol::signature::SignatureDocument;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    if let Ok(document) = SignatureDocument::parse(data) {
        let _ = document.check_value();
        let _ = document.signer_key();
        assert!(!document.references().is_empty(), "a signature covers something");
    }
});
