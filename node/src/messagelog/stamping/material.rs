//! What a time-stamp is over (wire 5.2): the signature value of one message, or the tree over the documents of many.

use kontor_protocol::{container::timestamp::Batch, signature::SignatureDocument};

use crate::messagelog::{
    blob::{Evidence, Shared},
    error::LogError,
    read::Reader,
};

/// See the module.
pub(super) enum Material {
    /// One message and its signature value.
    Single(u64, Vec<u8>),
    /// Many, in the order of the batch.
    Many(Vec<u64>, Batch),
}

impl Material {
    /// Reads what is to be stamped of these messages, in ascending order, and gives the numbers of those that have no signature any more, or a
    /// time-stamp in it already.
    pub(super) fn read(reader: &mut Reader, numbers: &[u64]) -> Result<(Option<Self>, Vec<u64>), LogError> {
        let (mut kept, mut digests, mut without) = (Vec::new(), Vec::new(), Vec::new());
        let mut last = None;
        reader.each_of(numbers, &mut |reader, entry| {
            let opened = match reader.evidence(entry) {
                Err(LogError::Forgotten { .. }) => None,
                opened => Some(opened?),
            };
            let evidence = opened.as_deref().and_then(|opened| Evidence::parse(opened));
            match evidence.and_then(|evidence| evidence.shared) {
                Some(place) => {
                    kept.push(entry.number);
                    digests.push(place.digest);
                    last = Some(place);
                }
                None => without.push(entry.number),
            }
            Ok(())
        })?;
        let made = match (&kept[..], last) {
            ([], _) | (_, None) => None,
            ([number], Some(place)) => {
                let opened = reader.shared(*number, &place)?;
                let shared = Shared::parse(&opened);
                let document = shared.and_then(|shared| SignatureDocument::parse(shared.document).ok());
                match document {
                    Some(document) if document.timestamp().is_none() => {
                        Some(Self::Single(*number, document.signature_value().to_vec()))
                    }
                    _ => {
                        without.push(*number);
                        None
                    }
                }
            }
            _ => Batch::new(digests).ok().map(|batch| Self::Many(kept, batch)),
        };
        Ok((made, without))
    }
}
