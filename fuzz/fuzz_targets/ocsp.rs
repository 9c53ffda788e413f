//! OCSP responses and requests (wire 8.3 to 8.5), and the judgement of a response.
#![no_main]

use std::sync::LazyLock;

use kontor_pki::certificate::Certificate;
use kontor_pki::ocsp::{OcspPolicy, OcspResponse, Responders, parse_request};
use kontor_pki::time::UnixTime;
use libfuzzer_sys::fuzz_target;

fn certificate(der: &[u8]) -> Certificate {
    Certificate::parse(der).expect("a certificate")
}

/// Subject, issuer, responder of the recordings (fictional).
static CERTIFICATES: LazyLock<[Certificate; 3]> = LazyLock::new(|| {
    [
        certificate(include_bytes!("../certificates/sign-gov-1001.der")),
        certificate(include_bytes!("../certificates/ca-a.der")),
        certificate(include_bytes!("../certificates/ocsp-a.der")),
    ]
});

fuzz_target!(|data: &[u8]| {
    let _ = parse_request(data);
    let Ok(response) = OcspResponse::parse(data) else {
        return;
    };
    let [subject, issuer, responder] = &*CERTIFICATES;
    let responders = Responders {
        configured: std::slice::from_ref(responder),
        authorities: std::slice::from_ref(issuer),
    };
    let at = UnixTime::from_secs(1_772_445_600);
    if let Ok(verdict) = response.verify(subject, issuer, &responders, &OcspPolicy::default(), at) {
        assert!(verdict.good_until >= at);
    }
});
