//! The account of messages as it travels: a page of it as the service gives it, and the whole of it as a peer shows it, under
//! proofs. Owns what is believed of a peer: its key by a member's signature, each line by its leaf, and that the log it
//! proves them in goes on from what was seen of it before.

use std::collections::BTreeMap;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::{Method, StatusCode};
use kontor_protocol::id::MemberId;
use kontor_protocol::log::binding::Binding;
use kontor_protocol::log::checkpoint::{Checkpoint, SignedCheckpoint};
use kontor_protocol::log::inclusion::verify_leaf;
use kontor_protocol::log::note::SignatureKind;
use kontor_protocol::log::proof::LogProof;
use kontor_protocol::log::tree::{Hash, verify_consistency};
use kontor_protocol::log::{Leaf, ListedPart, Part, commitment, encode_parts};
use kontor_protocol::trust::TrustSet;
use serde::{Deserialize, Serialize};
use tokio::sync::watch;

use super::super::ask::{Answer, AskError, Asker, Place, key_in};
use super::{Discrepancy, PAGE, Side};
use crate::messagelog::{LogError, MessageLog};
use crate::registry::OWN_SERVICE;

/// Pages without a message that are taken in a row: an honest peer has none but for what its node asked itself.
const EMPTY: u32 = 100;
/// Lines that do not hold; with more the peer is not asked on.
const UNPROVEN: usize = 1000;
/// Checkpoints under which a peer proves one account: it signs one a minute.
const CHECKPOINTS: usize = 256;
/// How often in a row a peer may say that it is asked too often, and the longest wait before it is asked again.
const TRIES: u32 = 10;
const LONGEST: Duration = Duration::from_secs(60);

/// A page of an account, as it travels.
#[derive(Serialize, Deserialize)]
struct Page {
    entries: Vec<Line>,
    next: Option<u64>,
}

#[derive(Serialize, Deserialize)]
struct Line {
    number: u64,
    request_id: Option<String>,
    leaf: String,
    proof: String,
    salt: Option<String>,
    parts: Option<Vec<PartLine>>,
}

#[derive(Serialize, Deserialize)]
struct PartLine {
    name: String,
    length: u64,
    sha512: String,
}

/// The account of the messages exchanged with a member, one page, as the service answers it.
pub(in crate::witness) async fn page(
    log: &MessageLog,
    member: MemberId,
    first: u64,
) -> Result<Vec<u8>, LogError> {
    let account = log.account(member, first, PAGE).await?;
    let base64 = |bytes: &[u8]| STANDARD.encode(bytes);
    let mut entries = Vec::new();
    for entry in account
        .entries
        .into_iter()
        .filter(|entry| entry.service != OWN_SERVICE)
    {
        let parts = entry.parts.as_ref();
        let line = |part: &ListedPart| PartLine {
            name: part.name.clone(),
            length: part.length,
            sha512: base64(&part.digest),
        };
        entries.push(Line {
            number: entry.number,
            request_id: entry.request_id,
            leaf: base64(&entry.leaf),
            proof: log.prove(entry.number).await?.to_text(),
            salt: parts.map(|(salt, _)| base64(salt)),
            parts: parts.map(|(_, parts)| parts.iter().map(line).collect()),
        });
    }
    let page = Page {
        entries,
        next: account.next,
    };
    Ok(serde_json::to_vec(&page).expect("strings and numbers always serialise"))
}

/// Hashes of a proof as the service answers them.
pub(in crate::witness) fn lines(hashes: &[Hash]) -> Vec<u8> {
    let mut lines = String::new();
    for hash in hashes {
        lines.push_str(&STANDARD.encode(hash));
        lines.push('\n');
    }
    lines.into_bytes()
}

/// Hashes as [`lines`] writes them.
fn hashes(body: &[u8]) -> Option<Vec<Hash>> {
    let text = std::str::from_utf8(body).ok()?;
    let hash = |line| STANDARD.decode(line).ok()?.try_into().ok();
    text.lines().map(hash).collect()
}

/// What a peer shows.
pub(super) struct Theirs {
    pub(super) side: Side,
    /// What is not proven, or speaks against the log as a whole.
    pub(super) found: Vec<Discrepancy>,
}

/// Something about the log as a whole.
fn about(code: &str, text: String) -> Discrepancy {
    Discrepancy {
        code: code.into(),
        message: "log".into(),
        request_id: String::new(),
        here: None,
        there: None,
        text,
    }
}

fn malformed(what: impl ToString) -> AskError {
    AskError::Answer(what.to_string())
}

/// Asks, and waits where the peer says that it is asked too often.
async fn patient(asker: &Asker, place: &Place, path: &str) -> Result<Answer, AskError> {
    let mut tries = 0;
    loop {
        let answer = asker.ask(place, Method::GET, path, Vec::new()).await?;
        let later = matches!(
            answer.status,
            StatusCode::TOO_MANY_REQUESTS | StatusCode::SERVICE_UNAVAILABLE
        );
        match answer.retry.filter(|_| later && tries < TRIES) {
            Some(wait) => tokio::time::sleep(wait.min(LONGEST)).await,
            None => return Ok(answer),
        }
        tries += 1;
    }
}

/// The whole account of a peer, and whether its log goes on from what was seen of it. `kept` are the keys of the server's logs
/// that are watched here, with their newest checkpoints; `progress` hears how far it is.
pub(super) async fn theirs(
    asker: &Asker,
    place: &Place,
    trust: &TrustSet,
    kept: &[(Binding, Option<SignedCheckpoint>)],
    progress: &watch::Sender<(u64, u64)>,
) -> Result<Theirs, AskError> {
    let answer = patient(asker, place, "key").await?;
    let key = key_in(&answer, place, SignatureKind::Ed25519, trust)?;
    let (mut side, mut found, mut first) = (Side::default(), Vec::new(), Some(0));
    let (mut signed, mut empty) = (BTreeMap::new(), 0);
    while let Some(from) = first {
        let answer = patient(asker, place, &format!("exchanges?first={from}")).await?;
        if answer.status != StatusCode::OK {
            return Err(AskError::refused(&answer));
        }
        let page: Page = serde_json::from_slice(&answer.body).map_err(malformed)?;
        if page.next.is_some_and(|next| next <= from) {
            return Err(malformed("its account does not go on"));
        }
        empty = if page.entries.is_empty() { empty + 1 } else { 0 };
        if empty > EMPTY {
            return Err(malformed("its account goes on without messages"));
        }
        for line in page.entries {
            let outside = line.number < from || page.next.is_some_and(|next| line.number >= next);
            let judged = match outside {
                true => Err("it stands on a page where it does not belong".to_owned()),
                false => proven(&line, &key, trust),
            };
            match judged {
                Ok((leaf, parts, checkpoint)) => {
                    enter(&mut signed, &mut found, checkpoint)?;
                    side.take(
                        leaf.kind,
                        (leaf.number, leaf.second),
                        line.request_id,
                        parts.as_deref(),
                    );
                }
                Err(why) => found.push(Discrepancy {
                    code: "unproven".into(),
                    message: "message".into(),
                    request_id: line.request_id.unwrap_or_default(),
                    here: None,
                    there: Some(line.number),
                    text: format!(
                        "what the peer shows as its entry {} is not proven: {why}",
                        line.number
                    ),
                }),
            }
        }
        if found.len() > UNPROVEN {
            return Err(malformed("most of what it shows does not hold"));
        }
        let of = signed.keys().next_back().copied().unwrap_or(0);
        progress.send_replace((page.next.unwrap_or(of), of));
        first = page.next;
    }
    found.extend(goes_on(asker, place, &key, kept, signed).await?);
    Ok(Theirs { side, found })
}

/// Notes a checkpoint that the peer's log signed. Two roots for one size prove a fork.
fn enter(
    signed: &mut BTreeMap<u64, Checkpoint>,
    found: &mut Vec<Discrepancy>,
    checkpoint: Checkpoint,
) -> Result<(), AskError> {
    let size = checkpoint.size();
    match signed.get(&size) {
        Some(known) if known.root() != checkpoint.root() => {
            let text =
                format!("its log forked: it proves entries under two different trees of {size} entries");
            if !found.iter().any(|found| found.code == "forked") {
                found.push(about("forked", text));
            }
        }
        Some(_) => {}
        None => _ = signed.insert(size, checkpoint),
    }
    match signed.len() > CHECKPOINTS {
        true => Err(malformed("its account is proven under too many checkpoints")),
        false => Ok(()),
    }
}

/// Whether all that the peer's log signed, and what is kept of it here, is one log.
async fn goes_on(
    asker: &Asker,
    place: &Place,
    key: &Binding,
    kept: &[(Binding, Option<SignedCheckpoint>)],
    mut signed: BTreeMap<u64, Checkpoint>,
) -> Result<Vec<Discrepancy>, AskError> {
    let mut found = Vec::new();
    // Its newest, so that a log that is shorter than what was seen of it is noticed even where nothing was exchanged.
    let answer = patient(asker, place, "checkpoint").await?;
    if answer.status == StatusCode::OK {
        let newest = SignedCheckpoint::parse(&answer.body).map_err(malformed)?;
        newest.verify(key.statement.key(), &[]).map_err(malformed)?;
        enter(&mut signed, &mut found, newest.claimed().clone())?;
    }
    let is_this = |(known, _): &&(Binding, Option<SignedCheckpoint>)| {
        known.statement.key().name() == key.statement.key().name()
    };
    let seen = kept.iter().find(is_this);
    if seen.is_some_and(|(known, _)| known.statement.key() != key.statement.key()) {
        return Err(malformed(
            "it shows another key for its log than the one that is known",
        ));
    }
    let others = kept.iter().filter(|known| !is_this(known));
    let other = others
        .filter_map(|(_, checkpoint)| Some(checkpoint.as_ref()?.claimed().size()))
        .max();
    if let Some(size) = other.filter(|_| seen.is_none()) {
        let text = format!(
            "it shows a new log, which is not watched here yet; {size} entries were seen of the one it had before"
        );
        found.push(about("new_log", text));
    }
    if let Some(seen) = seen.and_then(|(_, checkpoint)| checkpoint.as_ref()) {
        let seen = seen.claimed();
        let newest = signed.keys().next_back().copied().unwrap_or(0);
        if newest < seen.size() {
            let text = format!(
                "its log has {newest} entries, and {} were seen of it: it was set back, or entries were cut off",
                seen.size()
            );
            found.push(about("behind", text));
        }
        enter(&mut signed, &mut found, seen.clone())?;
    }
    let mut before: Option<Checkpoint> = None;
    for (size, checkpoint) in signed {
        if size == 0 {
            continue;
        }
        if let Some(before) = before.replace(checkpoint.clone()) {
            let path = format!("consistency?old={}&new={size}", before.size());
            let answer = patient(asker, place, &path).await?;
            let proof = hashes(&answer.body).filter(|_| answer.status == StatusCode::OK);
            let holds = proof.is_some_and(|proof| {
                verify_consistency(before.size(), before.root(), size, checkpoint.root(), &proof).is_ok()
            });
            // A log that is behind what was seen has no proof, and that is said already.
            if !holds && !found.iter().any(|found| found.code == "behind") {
                let text = format!(
                    "it is not proven that its log of {size} entries goes on from that of {} entries: entries were changed or exchanged",
                    before.size()
                );
                found.push(about("forked", text));
            }
        }
    }
    Ok(found)
}

/// A leaf, the parts it commits to, and what its log signed.
type Proven = (Leaf, Option<Vec<ListedPart>>, Checkpoint);

/// The leaf and the parts of a line, if the peer's log has the leaf and the leaf commits to the parts.
fn proven(line: &Line, key: &Binding, trust: &TrustSet) -> Result<Proven, String> {
    let decode = |text: &str| {
        STANDARD
            .decode(text)
            .map_err(|_| "something is not base64".to_owned())
    };
    let bytes = decode(&line.leaf)?;
    let leaf = Leaf::parse(&bytes).map_err(|error| error.to_string())?;
    let proof = LogProof::parse(line.proof.as_bytes()).map_err(|error| error.to_string())?;
    let checkpoint = proof.checkpoint.claimed().clone();
    verify_leaf(&leaf, &bytes, &proof, std::slice::from_ref(key), trust)
        .map_err(|error| error.to_string())?;
    let (Some(salt), Some(parts)) = (&line.salt, &line.parts) else {
        return Ok((leaf, None, checkpoint));
    };
    let salt = <[u8; 32]>::try_from(decode(salt)?).map_err(|_| "the salt has another length")?;
    let mut listed = Vec::new();
    for part in parts {
        let digest =
            <[u8; 64]>::try_from(decode(&part.sha512)?).map_err(|_| "a digest has another length")?;
        listed.push(ListedPart {
            name: part.name.clone(),
            length: part.length,
            digest,
        });
    }
    let parts: Vec<_> = listed
        .iter()
        .map(|part| Part {
            name: &part.name,
            length: part.length,
            digest: &part.digest,
        })
        .collect();
    if commitment(&salt, &encode_parts(&parts)) != leaf.commitment {
        return Err("its digests are not those that the leaf commits to".into());
    }
    Ok((leaf, Some(listed), checkpoint))
}
