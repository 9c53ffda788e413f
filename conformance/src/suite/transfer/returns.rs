//! Returns: an application that was taken over goes back to where it came from.

use anyhow::{Result, ensure};
use serde_json::{Value, json};

use super::{digests, form, wait_for};
use crate::address::Net;
use crate::desk::{BETA, Desk, application, authorities, number, text};
use crate::suite::{World, cases};

cases! {
    quick TRANSFER_RETURN => returns;
}

const ALPHA: &str = "TEST/GOV/1001";

/// Hands a case over; gives the transfer as its receiver has it then.
pub(in crate::suite) async fn handed_over(from: &Desk, to: &Desk, case: &str, wish: &Value) -> Result<Value> {
    let path = format!("/api/v1/cases/{case}");
    let version = number(&from.get(&path).await?, "version")?;
    let offered = from.done(&format!("{path}/transfers"), version, wish).await?;
    let id = text(&offered, "id")?.to_owned();
    to.until(&id, "OFFERED").await?;
    to.command(&id, "accept", &json!({})).await?;
    wait_for(to, &id, |page| page["state"] == "IMPORTED").await?;
    to.command(&id, "take-over", &json!({})).await?;
    from.until(&id, "CLOSED").await?;
    to.until(&id, "CLOSED").await
}

async fn returns(world: &World) -> Result<()> {
    let net = Net::claim().await?;
    let federation = authorities(world.federation.subject(), &net, "").await?;
    let (here, there) = (
        Desk::at(federation.node("alpha")),
        Desk::at(federation.node("beta")),
    );
    // Three parts of 4 MiB, of which the first one has the manifest.
    let large: Vec<u8> = (0..9_u32 << 18).flat_map(u32::to_le_bytes).collect();
    let files = [
        ("attachment", "Plan (fiktiv).bin", large),
        ("attachment", "klein.txt", b"klein".to_vec()),
    ];
    let written = application("0b9f1d9e-0f3c-4f53-8d5c-5f2f3f0a0e01");
    let opened = here.hand_in(&written, &files).await?;
    let case = text(&opened, "id")?.to_owned();
    let wish = json!({ "to": BETA, "situation": "COMPETENCE_CHANGED" });
    let first = handed_over(&here, &there, &case, &wish).await?;
    ensure!(
        first["package"]["here"] == 0 && first["package"]["parts"] == 3,
        "what came for the first time was here: {}",
        first["package"]
    );
    let (id, case_there) = (text(&first, "id")?.to_owned(), text(&first, "case")?.to_owned());
    // A return names a transfer of this case from that authority.
    let path = format!("/api/v1/cases/{case_there}");
    let version = number(&there.get(&path).await?, "version")?;
    let wrong =
        json!({ "to": ALPHA, "situation": "MISDIRECTED", "returns": "0b9f1d9e-0f3c-4f53-8d5c-5f2f3f0a0fff" });
    there
        .refused(&format!("{path}/transfers"), version, &wrong, "return_unknown")
        .await?;
    let wish = json!({ "to": ALPHA, "situation": "MISDIRECTED", "returns": id });
    let back = handed_over(&there, &here, &case_there, &wish).await?;
    ensure!(back["offer"]["returns"] == id, "{}", back["offer"]);
    ensure!(
        back["offer"]["hops"] == json!([{ "member": BETA, "transfer_id": id, "outcome": "TAKEN_OVER" }]),
        "the offer does not say where it has been: {}",
        back["offer"]["hops"]
    );
    ensure!(
        back["package"]["here"] == 2
            && back["package"]["pulled"]
                .as_u64()
                .is_some_and(|pulled| pulled <= 3),
        "what was here was pulled again: {}",
        back["package"]
    );
    let case_back = text(&back, "case")?.to_owned();
    ensure!(case_back != case, "a return is a case of its own");
    ensure!(
        form(&here, &case_back).await? == written,
        "the form changed on the way back"
    );
    ensure!(
        digests(&here, &case_back).await? == digests(&here, &case).await?,
        "files changed on the way back"
    );
    let now = here.get(&format!("/api/v1/cases/{case_back}")).await?;
    ensure!(
        now["responsibility"] == "mine" && now["first_received_at"] == opened["first_received_at"],
        "{now}"
    );
    let gone = there.get(&path).await?;
    ensure!(gone["responsibility"] == "theirs", "{gone}");
    Ok(())
}
