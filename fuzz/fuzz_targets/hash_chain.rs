//! Hash chains and their results (wire 4.6). No chain that we did not build leads from inputs that it does not name.
//!
//! Input: the result, a zero octet, the chain.
#![no_main]

use kontor_protocol::hash_chain::{Input, PartDigest, Resolved, SIGNATURE_CHAIN, evaluate, evaluate_with};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    let mut halves = data.splitn(2, |octet| *octet == 0);
    let (Some(result), Some(chain)) = (halves.next(), halves.next()) else {
        return;
    };
    let message = PartDigest::message([7; 64]);
    assert!(
        evaluate(result, chain, SIGNATURE_CHAIN, std::slice::from_ref(&message)).is_err(),
        "this digest was made up: a chain over it cannot be found by chance"
    );
    // Containers name data that is not at hand, and chains that lead to themselves.
    let inputs = [Input {
        name: &message.name,
        digest: None,
    }];
    let itself = |_: &str| Resolved::Octets(chain);
    let _ = evaluate_with(result, &inputs, &itself);
    let absent = |name: &str| {
        if name == SIGNATURE_CHAIN {
            Resolved::Octets(chain)
        } else {
            Resolved::NotAtHand
        }
    };
    let _ = evaluate_with(result, &inputs, &absent);
});
