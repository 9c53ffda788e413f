//! A token that somebody shows, and the keys that an issuer publishes. What looks like no token is none, and no key that is made up
//! verifies a token that is.
#![no_main]

use kontor_pki::token::{KeySet, Token, TokenAlgorithm, looks_like_token};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    let (token, keys) = match data.iter().position(|&byte| byte == b'\n') {
        Some(at) => (&data[..at], &data[at + 1..]),
        None => (data, data),
    };
    let keys = KeySet::parse(keys);
    let Ok(text) = std::str::from_utf8(token) else {
        return;
    };
    let Ok(token) = Token::parse(text) else {
        return;
    };
    assert!(looks_like_token(text));
    if let Ok(keys) = keys {
        let _ = keys.verify(&token, TokenAlgorithm::ALL);
    }
});
