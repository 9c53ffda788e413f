//! The form that an online service hands in to an OZG-Cloud instance. What is read is written so that it reads the same again,
//! with every digit, and so it does in the form in which it travels between nodes.
#![no_main]

use kontor_participation::application::{Form, intake};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    let Ok(form) = intake::read(data) else {
        return;
    };
    let written = intake::write(&form).expect("what was read can be written");
    let again = intake::read(written.as_bytes()).expect("what we write is a form");
    assert_eq!(form, again);
    let text = serde_json::to_string(&form).expect("a form has a neutral form");
    let travelled: Form = serde_json::from_str(&text).expect("which can be read");
    assert_eq!(form, travelled);
});
