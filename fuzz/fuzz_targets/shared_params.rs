//! The documents of a configuration (wire 7.5 to 7.7), shared and private, in every version. Shared parameters that
//! we read are indexed, and say the same when they are written and read again.
#![no_main]

use kontor_pki::time::UnixTime;
use kontor_protocol::trust::anchor::ConfigurationAnchor;
use kontor_protocol::trust::optional::OptionalParts;
use kontor_protocol::trust::private::PrivateParams;
use kontor_protocol::trust::shared::SharedParams;
use kontor_protocol::trust::{InstanceConfig, TrustSet};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    let _ = ConfigurationAnchor::read(data);
    for version in 2..=6 {
        let _ = PrivateParams::read(data, version);
        let Ok(shared) = SharedParams::read(data, version) else {
            continue;
        };
        let written = shared.to_xml_in(version).expect("a version that was read");
        if let Ok(again) = SharedParams::read(&written, version) {
            assert_eq!(shared.members.len(), again.members.len());
            assert_eq!(shared.servers.len(), again.servers.len());
        }
        let instance = shared.instance.clone();
        let config = InstanceConfig {
            instance: instance.clone(),
            shared,
            private: None,
            optional: OptionalParts::default(),
            version,
            expires: Some(UnixTime::from_secs(0)),
        };
        let _ = TrustSet::new(&instance, vec![config]);
    }
});
