//! What several containers share is judged once: the time-stamp of a batch, the signature document of a batch, the
//! certificate and OCSP responses of a signer.
//!
//! Owns what may be shared and under which key. Keys are digests of everything that a verdict depends on; the trusted
//! configuration is one of them, because all is forgotten when another one is used. Bounded: what grows beyond
//! [`KEPT`] is begun anew.

use std::collections::HashMap;
use std::sync::Arc;

use kontor_pki::certificate::Certificate;
use kontor_pki::crypto::sha256;
use kontor_pki::time::UnixTime;

use crate::container::report::Verdict;
use crate::id::MemberId;
use crate::signature::{SignatureDocument, SignatureError};
use crate::trust::TrustSet;
use crate::verify::{SignerVerdict, VerifyError, verify_signer};

/// Verdicts of each kind that are kept.
const KEPT: usize = 1024;

/// Verdicts about what containers share, for one run over many of them. One for each thread.
#[derive(Debug, Default)]
pub struct Verdicts {
    generation: Option<[u8; 32]>,
    tokens: HashMap<[u8; 32], Arc<TokenVerdict>>,
    documents: HashMap<[u8; 32], Arc<DocumentRead>>,
    /// Each from the first instant it was judged at.
    signers: HashMap<([u8; 32], MemberId), (UnixTime, SignerVerdict)>,
}

/// A token, judged against what it is to be over.
#[derive(Debug)]
pub(super) struct TokenVerdict {
    /// `None` for what is no token.
    pub(super) gen_time: Option<UnixTime>,
    /// The authority, if the token holds.
    pub(super) authority: Option<Certificate>,
    /// What is wrong.
    pub(super) refusal: Option<(Verdict, &'static str, String)>,
}

/// A signature document with the verdict about its value, or why it cannot be read.
pub(super) type DocumentRead = Result<(SignatureDocument, Result<(), SignatureError>), SignatureError>;

impl Verdicts {
    /// Nothing judged yet.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Forgets all that was judged by another configuration.
    pub(super) fn under(&mut self, trust: &TrustSet) {
        let generation = Some(*trust.generation());
        if self.generation != generation {
            *self = Self {
                generation,
                ..Self::default()
            };
        }
    }

    pub(super) fn token(
        &mut self,
        token: &[u8],
        stamped: &[u8],
        judge: impl FnOnce() -> TokenVerdict,
    ) -> Arc<TokenVerdict> {
        let key = sha256(&[sha256(token), sha256(stamped)].concat());
        kept(&mut self.tokens, key, || Arc::new(judge()))
    }

    pub(super) fn document(&mut self, bytes: &[u8]) -> Arc<DocumentRead> {
        kept(&mut self.documents, sha256(bytes), || {
            Arc::new(SignatureDocument::parse(bytes).map(|document| {
                let value = document.check_value();
                (document, value)
            }))
        })
    }

    /// When the signer's certificate was known to be good. What held at an instant holds until its end, so a verdict
    /// serves every later instant before that.
    pub(super) fn signer(
        &mut self,
        trust: &TrustSet,
        document: &SignatureDocument,
        signer: &MemberId,
        at: UnixTime,
    ) -> Result<UnixTime, VerifyError> {
        let key = (document.signer_key(), signer.clone());
        if let Some((from, verdict)) = self.signers.get(&key)
            && *from <= at
            && at <= verdict.valid_until()
        {
            return Ok(verdict.ocsp_this_update());
        }
        let verdict = verify_signer(trust, document, signer, at, &trust.ocsp_policy())?;
        let update = verdict.ocsp_this_update();
        make_room(&mut self.signers);
        self.signers.insert(key, (at, verdict));
        Ok(update)
    }
}

fn kept<V: Clone>(map: &mut HashMap<[u8; 32], V>, key: [u8; 32], judge: impl FnOnce() -> V) -> V {
    if let Some(known) = map.get(&key) {
        return known.clone();
    }
    let value = judge();
    make_room(map);
    map.insert(key, value.clone());
    value
}

fn make_room<K, V>(map: &mut HashMap<K, V>) {
    if map.len() >= KEPT {
        map.clear();
    }
}
