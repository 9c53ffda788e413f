//! The proof that an entry is in the log, and that the log goes on from an earlier size, over the control socket.

use std::io;

use kontor_protocol::log::{binding::Binding, proof::LogProof, tree::Hash};
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
        match self.proven(log).await {
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

    async fn proven(&self, log: &MessageLog) -> Result<Proven, LogError> {
        let (proof, keys) = log.prove_to_others(self.number).await?;
        let consistency = match self.since {
            None => None,
            Some(old) => {
                let new = proof.checkpoint.claimed().size();
                Some(log.prove_consistency(old, new).await?)
            }
        };
        Ok(Proven {
            leaf: log.leaf(self.number).await?,
            proof,
            keys,
            consistency,
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
