//! Time-stamp queries, responses and tokens (RFC 3161, wire 5.2), and the check of a token's signature.
#![no_main]

use std::sync::LazyLock;

use kontor_pki::certificate::Certificate;
use kontor_pki::timestamp::{TimestampToken, parse_query, parse_response};
use libfuzzer_sys::fuzz_target;

/// The authority of the recordings (fictional).
static AUTHORITY: LazyLock<Certificate> =
    LazyLock::new(|| Certificate::parse(include_bytes!("../certificates/tsa-1.der")).expect("a certificate"));

fuzz_target!(|data: &[u8]| {
    let _ = parse_query(data);
    for token in [parse_response(data), TimestampToken::parse(data)]
        .into_iter()
        .flatten()
    {
        assert!(
            token
                .verify(b"never stamped", std::slice::from_ref(&*AUTHORITY))
                .is_err(),
            "no token stamps this"
        );
        let (algorithm, digest) = token.imprint();
        let _ = token.verify_digest(algorithm, digest, std::slice::from_ref(&*AUTHORITY));
    }
});
