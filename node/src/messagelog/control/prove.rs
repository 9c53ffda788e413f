//! The proof that an entry is in the log, and that the log goes on from an earlier size, over the control socket.

use std::io;

use base64::{Engine as _, engine::general_purpose::STANDARD};
use kontor_pki::time::UnixTime;
use kontor_protocol::log::{
    binding::Binding,
    leaf_hash,
    note::{SignatureKind, VerifierKey},
    proof::{LogProof, LogProofError},
    tree::Hash,
};
use serde::{Deserialize, Serialize};

use super::{Answer, Question, Side, client::Control};
use crate::messagelog::{MessageLog, error::LogError, parse_bindings, write_bindings};

/// Prove that an entry is in the log; with `since`, that the tree goes on from that of so many entries.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Prove {
    number: u64,
    #[serde(default)]
    since: Option<u64>,
}

/// Lengths of what follows.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct ProvenBytes {
    leaf: u64,
    proof: u64,
    keys: u64,
    consistency: Option<u64>,
}

/// What proves an entry.
#[derive(Debug, Clone)]
pub struct Proven {
    /// The leaf that is in the tree.
    pub leaf: Vec<u8>,
    /// Its place, and the checkpoint.
    pub proof: LogProof,
    /// Who answers for the keys that signed the checkpoint.
    pub keys: Vec<Binding>,
    /// That the tree goes on from an earlier one.
    pub consistency: Option<Vec<Hash>>,
}

impl Prove {
    pub(super) async fn answer(self, log: &MessageLog, side: &mut Side) -> io::Result<()> {
        match log.proven(self.number, self.since).await {
            Ok(proven) => {
                let (proof, keys) = (proven.proof.to_bytes(), write_bindings(&proven.keys));
                let consistency = proven.consistency.map(|hashes| hashes.concat());
                let announced = ProvenBytes {
                    leaf: proven.leaf.len() as u64,
                    proof: proof.len() as u64,
                    keys: keys.len() as u64,
                    consistency: consistency.as_ref().map(|bytes| bytes.len() as u64),
                };
                side.say(&Answer::Proven(announced)).await?;
                for bytes in [proven.leaf, proof, keys, consistency.unwrap_or_default()] {
                    side.send(&bytes).await?;
                }
                Ok(())
            }
            Err(error) => side.refuse(Some(self.number), error.code(), &error).await,
        }
    }
}

impl MessageLog {
    /// What proves an entry, and that the tree goes on from that of `since` entries.
    pub async fn proven(&self, number: u64, since: Option<u64>) -> Result<Proven, LogError> {
        let (proof, keys) = self.prove_to_others(number).await?;
        let consistency = match since {
            None => None,
            Some(old) => {
                let new = proof.checkpoint.claimed().size();
                Some(self.prove_consistency(old, new).await?)
            }
        };
        Ok(Proven {
            leaf: self.leaf(number).await?,
            proof,
            keys,
            consistency,
        })
    }
}

/// A proof for people and programs.
#[derive(Debug, Serialize)]
pub struct ToldProof {
    /// Number of the entry.
    pub number: u64,
    /// Name of the log.
    pub log: String,
    /// Entries under the checkpoint.
    pub size: u64,
    /// Root over them, base64 as all that follows.
    pub root: String,
    /// The bytes that are in the tree.
    pub leaf: String,
    /// Their hash.
    pub leaf_hash: String,
    /// C2SP tlog-proof, with the checkpoint.
    pub proof: String,
    /// Who co-signed it.
    pub cosigned: Vec<ToldCosignature>,
    /// That the tree goes on from an earlier one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub consistency: Option<Vec<String>>,
}

/// A co-signature.
#[derive(Debug, Serialize)]
pub struct ToldCosignature {
    /// Name of the witness.
    pub witness: String,
    /// When (RFC 3339).
    pub at: String,
}

impl ToldProof {
    /// Checked once more, by the keys that are shown: what does not hold must not be handed on.
    pub fn of(number: u64, proven: &Proven) -> Result<Self, LogProofError> {
        let claimed = proven.proof.checkpoint.claimed();
        let keys: Vec<VerifierKey> = proven
            .keys
            .iter()
            .map(|binding| binding.statement.key().clone())
            .collect();
        let hash = leaf_hash(&proven.leaf);
        let log_key = keys.iter().find(|key| key.kind() == SignatureKind::Ed25519);
        let mut cosigned = Vec::new();
        if let Some(key) = log_key {
            let verified = proven.proof.verify(&hash, key, &keys)?;
            cosigned.extend(verified.cosignatures().iter().map(|cosignature| ToldCosignature {
                witness: cosignature.witness.to_string(),
                at: UnixTime::from_secs(i64::try_from(cosignature.second).unwrap_or(0)).to_rfc3339(),
            }));
        }
        let base64 = |bytes: &[u8]| STANDARD.encode(bytes);
        let hashes = proven.consistency.as_ref();
        Ok(Self {
            number,
            log: claimed.origin().to_owned(),
            size: claimed.size(),
            root: base64(claimed.root()),
            leaf: base64(&proven.leaf),
            leaf_hash: base64(&hash),
            proof: proven.proof.to_text(),
            cosigned,
            consistency: hashes.map(|hashes| hashes.iter().map(|hash| base64(hash)).collect()),
        })
    }
}

impl Control {
    /// Asks for the proof of an entry.
    pub fn prove(self, number: u64, since: Option<u64>) -> anyhow::Result<Proven> {
        let mut proven = None;
        let question = Question::Prove(Prove { number, since });
        self.ask(&question, &mut |answer| match answer {
            Answer::Proven(announced) => {
                let leaf = self.bytes(announced.leaf)?;
                let proof = LogProof::parse(&self.bytes(announced.proof)?)?;
                let keys = parse_bindings(&self.bytes(announced.keys)?);
                let hashes = announced
                    .consistency
                    .map(|length| self.bytes(length))
                    .transpose()?;
                let consistency = hashes.map(|bytes| bytes.as_chunks::<32>().0.to_vec());
                proven = Some(Proven {
                    leaf,
                    proof,
                    keys,
                    consistency,
                });
                Ok(())
            }
            answer => answer.unexpected(),
        })?;
        proven.ok_or_else(|| anyhow::anyhow!("the node proved nothing"))
    }
}
