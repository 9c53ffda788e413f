//! What the log says about its tokens, as far as it was looked at: which were never renewed, and what renewed which. Kept in
//! `log/renewal.state`, and made anew from the log when that is missing.

use std::{collections::BTreeMap, io, ops::ControlFlow};

use kontor_pki::{
    certificate::Certificate, crypto::DigestAlgorithm, signing::SignatureAlgorithm, time::UnixTime,
    timestamp::TimestampToken,
};
use kontor_protocol::log::{EntryKind, Leaf};
use serde::{Deserialize, Serialize};

use super::entry::{Form, RenewalEntry};
use crate::{
    config::renewal::RenewalSettings,
    disk,
    messagelog::{blob::Evidence, error::LogError, identity::Home, numbers::NumberSet, read::Reader},
};

/// Numbers of millions of tokens do not come near.
const LIMIT: usize = 256 * 1024 * 1024;

/// What a token rests on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Footing {
    /// End of the authority's certificate, in milliseconds since 1970.
    certificate_end: i64,
    /// Name of the signature algorithm.
    signature: String,
}

impl Footing {
    /// A token was verified before it was recorded, and has the certificate of its authority in it. One without it rests on
    /// nothing.
    pub(super) fn of(token: &TimestampToken) -> Self {
        let certificates = token
            .certificates()
            .filter_map(|der| Certificate::parse(der).ok());
        let certificate = certificates.into_iter().find(|one| token.signer().names(one));
        Self {
            certificate_end: certificate.map_or(0, |one| one.not_after().millis()),
            signature: token
                .signature_algorithm()
                .map_or_else(|name| name, |algorithm| algorithm.name().to_owned()),
        }
    }

    /// When the token loses its force.
    pub(super) fn end(&self, settings: &RenewalSettings) -> UnixTime {
        let certificate = UnixTime::from_millis(self.certificate_end);
        let signature = SignatureAlgorithm::ALL
            .into_iter()
            .find(|algorithm| algorithm.name() == self.signature);
        let algorithm = signature.and_then(|algorithm| settings.end_of_signature(algorithm));
        algorithm.map_or(certificate, |end| end.min(certificate))
    }
}

/// Time-stamp entries that were never renewed, with the same footing.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Stamps {
    pub(super) footing: Footing,
    #[serde(with = "text")]
    pub(super) numbers: NumberSet,
}

/// A renewal that is recorded.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Kept {
    pub(super) form: Form,
    digest: String,
    pub(super) footing: Footing,
    #[serde(with = "text")]
    pub(super) numbers: NumberSet,
    /// The messages whose record ends with this one.
    #[serde(with = "text")]
    pub(super) live: NumberSet,
}

impl Kept {
    pub(super) fn digest(&self) -> Option<DigestAlgorithm> {
        DigestAlgorithm::from_name(&self.digest)
    }
}

#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub(super) struct State {
    format: u32,
    /// Entries below were looked at.
    seen: u64,
    pub(super) stamps: Vec<Stamps>,
    /// Messages that have a token.
    #[serde(with = "text")]
    stamped: NumberSet,
    /// By time-stamp entry: messages that had a token before, which is the one that exports show.
    doubled: BTreeMap<u64, NumberText>,
    /// Messages that have an evidence record.
    #[serde(with = "text")]
    covered: NumberSet,
    pub(super) kept: BTreeMap<u64, Kept>,
    /// Time-stamp entries some of whose messages have no data for another digest than SHA-512, found since the start.
    #[serde(skip)]
    pub(super) stuck: NumberSet,
    /// Messages without data for a new tree, found since the start.
    #[serde(skip)]
    pub(super) gone: NumberSet,
}

#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(transparent)]
struct NumberText(#[serde(with = "text")] NumberSet);

impl State {
    /// Reads the file; without one, or with one that does not read, nothing was looked at.
    pub(super) fn load(home: &Home) -> Self {
        let path = home.layout.renewal_state();
        let read = match disk::read_all(&*home.disk, &path, LIMIT) {
            Ok(bytes) => serde_json::from_slice::<Self>(&bytes).map_err(|error| error.to_string()),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Self::default()),
            Err(error) => Err(error.to_string()),
        };
        match read {
            Ok(state) if state.format <= 1 => Self { format: 1, ..state },
            Ok(_) | Err(_) => {
                tracing::warn!(path = %path.display(), "the state of renewals does not read and is made anew");
                Self {
                    format: 1,
                    ..Self::default()
                }
            }
        }
    }

    pub(super) fn save(&self, home: &Home) -> Result<(), LogError> {
        let path = home.layout.renewal_state();
        let bytes = serde_json::to_vec(self).expect("numbers and strings always serialise");
        disk::replace(&*home.disk, &path, &bytes).map_err(LogError::io("could not write", &path))
    }

    /// Takes in what was recorded since.
    pub(super) fn look(&mut self, reader: &mut Reader) -> Result<(), LogError> {
        let of = reader.entries();
        if self.seen > of {
            // An older copy of the log stands in its place.
            *self = Self {
                format: 1,
                ..Self::default()
            };
        }
        let mut found = Vec::new();
        reader.each_leaf(self.seen, &mut |number, leaf| {
            let kind = Leaf::parse(leaf).map(|leaf| leaf.kind);
            if let Ok(kind @ (EntryKind::TimeStamp | EntryKind::Renewal)) = kind {
                found.push((number, kind));
            }
            ControlFlow::Continue(())
        })?;
        for (number, kind) in found {
            match kind {
                EntryKind::TimeStamp => self.take_stamp(reader, number)?,
                _ => self.take_renewal(reader, number)?,
            }
            self.seen = number + 1;
        }
        self.seen = of;
        Ok(())
    }

    fn take_stamp(&mut self, reader: &mut Reader, number: u64) -> Result<(), LogError> {
        let entry = reader.entry(number)?;
        let opened = match reader.evidence(&entry) {
            Err(LogError::Forgotten { .. }) => return Ok(()),
            opened => opened?,
        };
        let evidence = Evidence::parse(&opened);
        let Some((token, covered)) = evidence.and_then(|it| Some((it.token?, it.covered))) else {
            return Ok(());
        };
        let Ok(token) = TimestampToken::parse(token) else {
            return Ok(());
        };
        let covered: NumberSet = covered.into_iter().collect();
        let twice: NumberSet = covered.iter().filter(|it| self.stamped.contains(*it)).collect();
        self.stamped.extend(&covered);
        if !twice.is_empty() {
            self.doubled.insert(number, NumberText(twice));
        }
        let footing = Footing::of(&token);
        match self.stamps.iter_mut().find(|stamps| stamps.footing == footing) {
            Some(stamps) => stamps.numbers.insert(number),
            None => self.stamps.push(Stamps {
                footing,
                numbers: [number].into_iter().collect(),
            }),
        }
        Ok(())
    }

    fn take_renewal(&mut self, reader: &mut Reader, number: u64) -> Result<(), LogError> {
        let fact = match reader.fact(number) {
            Err(LogError::Forgotten { .. }) => return Ok(()),
            fact => fact?,
        };
        let Some(entry) = RenewalEntry::read(&fact) else {
            tracing::warn!(number, "a renewal of a later version was not looked at");
            return Ok(());
        };
        let live = match entry.form {
            Form::First => {
                self.covered.extend(&entry.numbers);
                for stamps in &mut self.stamps {
                    stamps.numbers = stamps.numbers.without(&entry.stamps);
                }
                self.stamps.retain(|stamps| !stamps.numbers.is_empty());
                entry.numbers.clone()
            }
            Form::Timestamp => {
                let mut live = NumberSet::default();
                for renewed in entry.numbers.iter() {
                    if let Some(kept) = self.kept.get_mut(&renewed) {
                        live.extend(&std::mem::take(&mut kept.live));
                    }
                }
                live
            }
            Form::Tree => {
                for kept in self.kept.values_mut() {
                    kept.live = kept.live.without(&entry.numbers);
                }
                entry.numbers.clone()
            }
        };
        let kept = Kept {
            form: entry.form,
            digest: entry.digest.name().into(),
            footing: Footing::of(&entry.token),
            numbers: entry.numbers,
            live,
        };
        self.kept.insert(number, kept);
        Ok(())
    }

    /// Messages that have a token and no evidence record.
    pub(super) fn without_record(&self) -> u64 {
        self.stamped.len().saturating_sub(self.covered.len())
    }

    /// Whether a message gets its first archive time-stamp with the token of this entry.
    pub(super) fn wants(&self, stamp: u64, message: u64) -> bool {
        let doubled = self.doubled.get(&stamp);
        !self.covered.contains(message) && !doubled.is_some_and(|twice| twice.0.contains(message))
    }
}

/// Sets of numbers as people write them; nothing for the empty one.
mod text {
    use serde::{Deserialize as _, Deserializer, Serializer, de::Error as _};

    use crate::messagelog::numbers::NumberSet;

    pub(super) fn serialize<S: Serializer>(set: &NumberSet, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(set)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<NumberSet, D::Error> {
        let text = String::deserialize(deserializer)?;
        if text.is_empty() {
            return Ok(NumberSet::default());
        }
        text.parse().map_err(D::Error::custom)
    }
}
