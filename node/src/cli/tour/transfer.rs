//! The first chapter of the tour: an application is handed over, and who is responsible when.

use anyhow::{Context, ensure};
use serde_json::{Value, json};

use super::{Stage, receipt_of};
use crate::desk::Desk;
use crate::up::layout::Layout;
use crate::up::samples::Sample;

impl Stage {
    async fn transferred(desk: &Desk, id: &str, looks: impl Fn(&Value) -> bool) -> anyhow::Result<Value> {
        Self::until(desk, &format!("/api/v1/transfers/{id}"), looks).await
    }

    async fn move_it(desk: &Desk, id: &str, command: &str, body: &Value) -> anyhow::Result<Value> {
        Self::act(desk, &format!("/api/v1/transfers/{id}"), command, body).await
    }

    /// Plays it; gives its id.
    pub(super) async fn transfer(&mut self, layout: &Layout, sample: &Sample) -> anyhow::Result<String> {
        let (from, to) = (self.from, self.to);
        let case = Self::hand_in(layout, from, sample).await?;
        let subject = format!("/api/v1/cases/{case}");
        let shown = self.here.get(&subject).await?;
        let number = shown["number"].as_str().unwrap_or_default().to_owned();
        self.tell(
            &format!(
                "Ein Formulardienst reicht bei {} einen Antrag ein: „{}“. Er wird zum Vorgang {number}.",
                from.name, sample.title
            ),
            &format!(
                "A form service hands an application in at {}: “{}”. It becomes case {number}.",
                from.name, sample.title
            ),
            from,
            &format!("{} {}", from.server_id(), shown["cites"]["number"]),
        )?;
        let found = self
            .here
            .get(&format!("{subject}/recipients?region=010585890008"))
            .await?;
        let suggestion = found["suggestions"]
            .as_array()
            .into_iter()
            .flatten()
            .find(|found| found["member"] == to.id());
        let suggestion = suggestion.context("the directory does not know who is competent")?;
        let reason = |name: &str| suggestion[name].as_str().unwrap_or_default().to_owned();
        self.tell(
            &format!("Die antragstellende Person ist umgezogen. Das Verzeichnis schlägt {} vor: {}. Ein Mensch bestätigt.", to.name, reason("reason_german")),
            &format!("The applicant has moved. The directory suggests {}: {}. A person confirms.", to.name, reason("reason")),
            from,
            "",
        )?;
        let wish = json!({ "to": to.id(), "situation": "COMPETENCE_CHANGED", "region": "010585890008" });
        let offered = self
            .here
            .command(&subject, &format!("{subject}/transfers"), &wish)
            .await?;
        let id = offered["id"].as_str().context("no transfer")?.to_owned();
        Self::transferred(&self.there, &id, |page| page["state"] == "OFFERED").await?;
        let sent = Self::transferred(&self.here, &id, |page| {
            page["sent"][0]["state"]["state"] == "answered"
        })
        .await?;
        let offer = &sent["offer"];
        self.tell(
            &format!(
                "{} bietet den Vorgang an. Das Angebot nennt Leistung {}, Region {}, {} Dateien, {} Byte, Fristen und einen Prüfwert - keinen Namen, keinen Inhalt. Die eigene Akte ist eingefroren.",
                from.name, offer["service"], offer["region"], offer["files"], offer["octets"]
            ),
            &format!(
                "{} offers the case. The offer names service {}, region {}, {} files, {} octets, deadlines and a digest - no name, no content. The own copy is frozen.",
                from.name, offer["service"], offer["region"], offer["files"], offer["octets"]
            ),
            from,
            &receipt_of(&sent, "offer"),
        )?;
        Self::move_it(&self.there, &id, "accept", &json!({})).await?;
        let imported = Self::transferred(&self.there, &id, |page| page["state"] == "IMPORTED").await?;
        self.tell(
            &format!("Ein Mensch bei {} bestätigt die Zuständigkeit. Der Knoten holt das Paket und prüft jede Datei gegen den Prüfwert des Angebots. Noch ändert sich nichts.", to.name),
            &format!("A person at {} confirms competence. The node pulls the package and checks every file against the digest of the offer. Nothing changes yet.", to.name),
            from,
            &receipt_of(&imported, "accept"),
        )?;
        let taken = Self::move_it(&self.there, &id, "take-over", &json!({})).await?;
        let at = taken["taken_over_at"].as_str().unwrap_or_default().to_owned();
        let closed = Self::transferred(&self.there, &id, |page| page["state"] == "CLOSED").await?;
        Self::transferred(&self.here, &id, |page| page["state"] == "CLOSED").await?;
        self.tell(
            &format!("{} übernimmt um {at}. In diesem Augenblick geht die Zuständigkeit über; beide Akten halten die Quittung.", to.name),
            &format!("{} takes over at {at}. At that instant responsibility moves; both files hold the receipt.", to.name),
            to,
            &receipt_of(&closed, "taken-over"),
        )?;
        let late = vec![(
            "attachment".to_owned(),
            "nachgereicht.txt".to_owned(),
            "text/plain".to_owned(),
            b"Nachgereicht (fiktiv)\n".to_vec(),
        )];
        let (kind, body) = crate::desk::multipart(&late);
        let (status, said) = self
            .here
            .send(
                http::Method::POST,
                &format!("{subject}/late-items"),
                None,
                &kind,
                body,
            )
            .await?;
        ensure!(
            status == 202,
            "the late item was refused: {}",
            String::from_utf8_lossy(&said)
        );
        Self::transferred(&self.there, &id, |page| page["late_items"][0]["imported"] == true).await?;
        let relayed = Self::transferred(&self.here, &id, |page| {
            page["sent"]
                .as_array()
                .into_iter()
                .flatten()
                .all(|message| message["state"]["state"] == "answered")
        })
        .await?;
        self.tell(
            &format!("Eine Unterlage kommt noch bei {} an. Sie wird von selbst weitergereicht und liegt in der Akte von {}.", from.name, to.name),
            &format!("A document still arrives at {}. It is passed on by itself and lies in the file of {}.", from.name, to.name),
            to,
            &receipt_of(&relayed, "late-item"),
        )?;
        Ok(id)
    }
}
