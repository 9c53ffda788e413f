//! Certificates, and the member that each national profile reads from their subject (wire 8.1).
#![no_main]

use kontor_pki::certificate::Certificate;
use kontor_pki::profile::CertificateProfile;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    let Ok(certificate) = Certificate::parse(data) else {
        return;
    };
    let _ = certificate.subject().to_string();
    for profile in CertificateProfile::ALL {
        if let Ok(member) = profile.member(certificate.subject(), "DX") {
            assert!(!member.class.is_empty() && !member.code.is_empty());
        }
    }
    let _ = certificate.verify_issued_by(&certificate);
});
