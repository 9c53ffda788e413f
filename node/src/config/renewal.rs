//! When time-stamps are renewed: how long before they lose their force, which algorithms end when, and by which digest.

use std::collections::BTreeMap;
use std::time::Duration;

use kontor_pki::crypto::DigestAlgorithm;
use kontor_pki::signing::SignatureAlgorithm;
use kontor_pki::time::UnixTime;

const DAY: u64 = 86_400;

/// Settings of the renewal of time-stamps. The defaults are those of a node.
#[derive(Debug, Clone)]
pub struct RenewalSettings {
    /// How long before its end a time-stamp is renewed.
    pub before: Duration,
    /// The digest of new hash trees.
    pub digest: DigestAlgorithm,
    /// Digests, each with the instant from which on nothing may rest on it.
    pub digests: Vec<(DigestAlgorithm, UnixTime)>,
    /// Signature algorithms, likewise.
    pub signatures: Vec<(SignatureAlgorithm, UnixTime)>,
}

impl Default for RenewalSettings {
    fn default() -> Self {
        Self {
            before: Duration::from_secs(60 * DAY),
            digest: DigestAlgorithm::Sha512,
            digests: Vec::new(),
            signatures: Vec::new(),
        }
    }
}

impl RenewalSettings {
    /// Reads the keys of `[timestamping]`; what is wrong with them goes to `mistakes`.
    pub(super) fn read(
        before_days: u64,
        digest: &str,
        ends: &BTreeMap<String, String>,
        mistakes: &mut Vec<String>,
    ) -> Self {
        let mut settings = Self {
            before: Duration::from_secs(before_days.min(3650) * DAY),
            ..Self::default()
        };
        match renewal_digest(digest) {
            Some(digest) => settings.digest = digest,
            None => mistakes.push(format!(
                "timestamping.renewal_digest = {digest:?}: choose one of sha256, sha384, sha512"
            )),
        }
        for (name, date) in ends {
            let Ok(at) = UnixTime::parse_rfc3339(&format!("{date}T00:00:00Z")) else {
                mistakes.push(format!(
                    "timestamping.ends: {name} = {date:?} is no date such as 2035-12-31"
                ));
                continue;
            };
            let signature = SignatureAlgorithm::ALL
                .into_iter()
                .find(|algorithm| !algorithm.is_weak() && algorithm.name().eq_ignore_ascii_case(name));
            match (renewal_digest(name), signature) {
                (Some(digest), _) => settings.digests.push((digest, at)),
                (None, Some(signature)) => settings.signatures.push((signature, at)),
                (None, None) => mistakes.push(format!(
                    "timestamping.ends: {name} is no digest such as sha256 and no signature algorithm such as SHA256withECDSA"
                )),
            }
        }
        settings
    }

    /// From when on nothing may rest on a digest.
    pub fn end_of_digest(&self, digest: DigestAlgorithm) -> Option<UnixTime> {
        let ends = self.digests.iter().filter(|(known, _)| *known == digest);
        ends.map(|(_, at)| *at).min()
    }

    /// From when on nothing may rest on a signature algorithm or on its digest.
    pub fn end_of_signature(&self, signature: SignatureAlgorithm) -> Option<UnixTime> {
        let ends = self.signatures.iter().filter(|(known, _)| *known == signature);
        let own = ends.map(|(_, at)| *at).min();
        own.into_iter()
            .chain(self.end_of_digest(signature.digest()))
            .min()
    }
}

/// The digest of this name, with or without its hyphen, if trees may be made by it.
pub fn renewal_digest(name: &str) -> Option<DigestAlgorithm> {
    let name = name.to_ascii_lowercase();
    match name.strip_prefix("sha-").or_else(|| name.strip_prefix("sha"))? {
        "256" => Some(DigestAlgorithm::Sha256),
        "384" => Some(DigestAlgorithm::Sha384),
        "512" => Some(DigestAlgorithm::Sha512),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ends_are_read_by_the_names_of_digests_and_signatures_and_mistakes_are_told() {
        let ends = [
            ("sha256", "2035-12-31"),
            ("SHA384withECDSA", "2032-01-01"),
            ("md5", "2020-01-01"),
            ("sha384", "soon"),
        ];
        let ends = ends.map(|(name, date)| (name.to_owned(), date.to_owned()));
        let mut mistakes = Vec::new();
        let settings = RenewalSettings::read(90, "sha3", &ends.into(), &mut mistakes);
        assert_eq!(mistakes.len(), 3, "{mistakes:?}");
        let at = |text: &str| UnixTime::parse_rfc3339(text).ok();
        let sha256 = settings.end_of_digest(DigestAlgorithm::Sha256);
        assert_eq!(sha256, at("2035-12-31T00:00:00Z"));
        assert_eq!(settings.end_of_signature(SignatureAlgorithm::RsaSha256), sha256);
        assert_eq!(
            settings.end_of_signature(SignatureAlgorithm::EcdsaSha384),
            at("2032-01-01T00:00:00Z")
        );
        assert_eq!(settings.end_of_signature(SignatureAlgorithm::EcdsaSha512), None);
        assert_eq!(settings.before, Duration::from_secs(90 * DAY));
    }
}
