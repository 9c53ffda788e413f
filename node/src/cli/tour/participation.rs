//! The second chapter of the tour: a chamber with a node, a guest without one and an own unit are asked about a building inquiry. One
//! asks back and sets conditions, one has no objection, one is silent until silence has its effect.

use anyhow::{Context, ensure};
use serde_json::{Value, json};

use super::{CHAMBER, Stage};
use crate::cli::participation::words::{proof, silence, steps};
use crate::desk::Desk;
use crate::up::layout::{Layout, MEMBERS};
use crate::up::samples::Sample;
use crate::up::{cases, training};

/// By which profile they are asked.
const PROFILE: &str = "LBO_STATEMENT";
/// What silence means.
const EFFECT: &str = "ASSUME_NO_OBJECTION";
/// More than a month and what days off add to it.
const DAYS: u32 = 40;
/// The own unit.
const UNIT: &str = "tiefbauamt-fiktiv";

/// A body that is asked, with its request.
struct Asked {
    request: String,
    /// The page of the house that asks.
    ours: String,
    /// The page of who is asked.
    theirs: String,
}

impl Asked {
    fn new(request: &Value) -> anyhow::Result<Self> {
        let id = request["id"].as_str().context("no request")?;
        Ok(Self {
            request: id.to_owned(),
            ours: format!("/api/v1/requests/{id}"),
            theirs: format!("/api/v1/contributions/{id}"),
        })
    }
}

/// What proves the last message of this kind in what was sent or received.
fn proof_of(page: &Value, side: &str, kind: &str) -> String {
    let mut messages = page[side].as_array().into_iter().flatten();
    let last = messages.rfind(|message| message["kind"] == kind);
    last.map_or_else(String::new, |message| match side {
        "sent" => proof(&message["state"]["receipt"]),
        _ => proof(&message["receipt"]),
    })
}

/// Whether a message of this kind has its receipt.
fn is_receipted(page: &Value, kind: &str) -> bool {
    let sent = page["sent"].as_array().into_iter().flatten();
    sent.filter(|message| message["kind"] == kind)
        .any(|message| message["state"]["state"] == "answered")
}

/// The case that is asked about: its form and its files.
struct Material {
    form: Value,
    files: Value,
}

impl Material {
    /// What is shown: groups of the form to be looked at, files to be taken along.
    fn shown(&self, groups: &[&str], files: &[&str], purpose: &str) -> anyhow::Result<Value> {
        let items = self.form["formData"].as_array().context("the form is missing")?;
        let mut parts = Vec::new();
        for group in groups {
            let place = items.iter().position(|item| item["name"] == *group);
            let place = place.with_context(|| format!("the form has no {group}"))?;
            parts.push(json!({ "at": [place], "right": "VIEW" }));
        }
        let listed = self.files.as_array().context("the files are missing")?;
        let mut chosen = Vec::new();
        for name in files {
            let file = listed.iter().find(|file| file["original_name"] == *name);
            let file = file.with_context(|| format!("the case has no file {name}"))?;
            chosen.push(json!({ "file_id": file["file_id"], "right": "DOWNLOAD" }));
        }
        Ok(json!({
            "parts": parts, "files": chosen, "purpose": purpose, "legal_basis": "Landesbauordnung (fiktiv)",
        }))
    }
}

impl Stage {
    /// Plays it; gives the id of the round.
    pub(super) async fn participation(&mut self, layout: &Layout, sample: &Sample) -> anyhow::Result<String> {
        let (case, round) = self.prepared(layout, sample).await?;
        let [chamber, guest, unit] = self.asked(layout, &case, &round).await?;
        let coordinator = cases::desk(layout, CHAMBER, &MEMBERS[CHAMBER], "coordinator")?;
        self.delivered(&coordinator, &chamber).await?;
        let (visitor, link) = self.invited(layout, &guest).await?;
        self.chamber_answers(layout, &coordinator, &chamber).await?;
        self.guest_answers(&visitor, &link, &guest).await?;
        self.unit_is_silent(layout, &unit).await?;
        let told = [
            (coordinator, chamber.theirs.clone()),
            (visitor, link),
            (
                cases::desk(layout, 0, self.from, "coordinator")?,
                unit.theirs.clone(),
            ),
        ];
        self.weighed(&round, [&chamber, &guest, &unit], &told).await?;
        Ok(round)
    }

    async fn prepared(&mut self, layout: &Layout, sample: &Sample) -> anyhow::Result<(String, String)> {
        let from = self.from;
        let case = Self::hand_in(layout, from, sample).await?;
        let subject = format!("/api/v1/cases/{case}");
        let number = self.here.get(&subject).await?["number"].clone();
        let number = number.as_str().unwrap_or_default().to_owned();
        let question = self.tongue.pick(
            "Bestehen gegen das Vorhaben Bedenken aus Ihrer Sicht? (fiktiv)",
            "Are there objections to the project from your side? (fictional)",
        );
        let wish = json!({ "profile": PROFILE, "question": question, "contact": self.tongue.pick("Bauaufsicht", "Building department") });
        let prepared = self
            .here
            .command(&subject, &format!("{subject}/rounds"), &wish)
            .await?;
        let round = prepared["id"].as_str().context("no round")?.to_owned();
        self.turn(
            &format!(
                "Bei {} ist „{}“ eingegangen: Vorgang {number}. Drei Stellen sollen sich äußern. Die Bearbeitung legt eine Runde an, mit einer Frage und dem Profil {PROFILE}: Es sagt, auf welcher Rechtsgrundlage gefragt wird (Landesbauordnung), wie lange Zeit ist (ein Monat) und was Schweigen bedeuten darf. Noch verlässt nichts das Haus.",
                from.name, sample.title
            ),
            &format!(
                "“{}” has come in at {}: case {number}. Three bodies are to be heard. The case worker prepares a round, with a question and the profile {PROFILE}: it says on which legal basis they are asked (the building code), how much time there is (one month) and what silence may mean. Nothing leaves the house yet.",
                sample.title, from.name
            ),
            self.from.name,
            &format!("{} {}", from.server_id(), prepared["cites"]["number"]),
        )?;
        Ok((case, round))
    }

    /// Three are asked, each is shown something else; a second person releases, and the round is opened.
    async fn asked(&mut self, layout: &Layout, case: &str, round: &str) -> anyhow::Result<[Asked; 3]> {
        let material = Material {
            form: self.here.get(&format!("/api/v1/cases/{case}/form")).await?,
            files: self.here.get(&format!("/api/v1/cases/{case}/files")).await?["files"].clone(),
        };
        let purpose = self.tongue.pick(
            "Stellungnahme zur Bauvoranfrage (fiktiv)",
            "Statement on the building inquiry (fictional)",
        );
        let site = ["grundstueck", "vorhaben"];
        let whole = ["grundstueck", "vorhaben", "frage"];
        let wishes = [
            json!({
                "to": MEMBERS[CHAMBER].id(), "class": "CHAMBER",
                "disclosure": material.shown(&whole, &["Baubeschreibung.pdf", "Grundriss EG.jpg"], purpose)?,
            }),
            json!({
                "guest": { "name": "Heimatverein Musterhafen (fiktiv)", "address": "vorstand@heimatverein.example" },
                "class": "PUBLIC_BODY", "disclosure": material.shown(&site, &["Luftbild.jpg"], purpose)?,
            }),
            json!({
                "unit": UNIT, "class": "AUTHORITY",
                "disclosure": material.shown(&["grundstueck", "frage"], &["Baubeschreibung.pdf"], purpose)?,
            }),
        ];
        let path = format!("/api/v1/rounds/{round}");
        let mut asked = Vec::new();
        for mut wish in wishes {
            (wish["effect"], wish["extension"]) = (EFFECT.into(), "for_reason".into());
            let request = self
                .here
                .command(&path, &format!("{path}/requests"), &wish)
                .await?;
            asked.push(Asked::new(&request)?);
        }
        let first = self.here.get(&asked[0].ours).await?;
        let sentence = silence(&first, self.tongue);
        self.turn(
            &format!(
                "Gefragt werden: {} (hat einen Knoten), der Heimatverein (ein Gast ohne Knoten) und das eigene Tiefbauamt.\nJede Stelle sieht nur, was sie braucht: die Kammer Grundstück, Vorhaben und Fragen mit zwei Dateien, der Verein Grundstück und Vorhaben mit dem Luftbild, das Tiefbauamt Grundstück und Fragen mit der Baubeschreibung. Wer baut, sieht keine von ihnen; sie erfahren nur, wie viel es außerdem gibt.\nSchweigen: {sentence}",
                MEMBERS[CHAMBER].name
            ),
            &format!(
                "Asked are: {} (has a node), the local history society (a guest without a node) and the own civil-engineering unit.\nEach sees only what it needs: the chamber site, project and questions with two files, the society site and project with the aerial view, the unit site and questions with the building description. Who builds, none of them sees; they only learn how much more there is.\nSilence: {sentence}",
                MEMBERS[CHAMBER].name
            ),
            self.from.name,
            "",
        )?;
        let early = Self::act(&self.here, &path, "open", &json!({})).await;
        ensure!(
            early.is_err(),
            "a round whose silence has an effect was opened by one person"
        );
        let releaser = cases::desk(layout, 0, self.from, "releaser")?;
        for one in &asked {
            Self::act(&releaser, &one.ours, "approve", &json!({})).await?;
        }
        let open = Self::act(&self.here, &path, "open", &json!({})).await?;
        self.turn(
            "Weil Schweigen eine Folge hat, lässt der Knoten die Bearbeitung die Runde nicht allein öffnen. Eine zweite Person mit der Rolle Freigabe sieht die drei Anfragen durch und gibt sie frei. Erst dann wird die Runde geöffnet, und die Anfragen gehen hinaus.",
            "Because silence has an effect, the node does not let the case worker open the round alone. A second person with the role of a releaser looks the three requests through and releases them. Only then the round is opened, and the requests leave.",
            self.tongue.pick("die Zustellung", "the delivery"),
            &format!("{} {}", self.from.server_id(), open["cites"]["number"]),
        )?;
        asked
            .try_into()
            .map_err(|_| anyhow::Error::msg("three are asked"))
    }

    /// The chamber's node signs for the request: the clock runs.
    async fn delivered(&mut self, coordinator: &Desk, chamber: &Asked) -> anyhow::Result<()> {
        let page = Self::until(&self.here, &chamber.ours, |page| {
            page["deadline"].is_object() && is_receipted(page, "deadline")
        })
        .await?;
        Self::until(coordinator, &chamber.theirs, |page| page["deadline"].is_object()).await?;
        let at = page["delivery"]["delivered_at"].as_str().unwrap_or_default();
        let end = page["deadline"]["effective_end"].as_str().unwrap_or_default();
        let computed: String = steps(&page["deadline"], self.tongue)
            .iter()
            .map(|step| format!("\n- {step}"))
            .collect();
        self.turn(
            &format!(
                "Der Knoten der Kammer hat die Anfrage um {at} angenommen und unterschrieben: Das ist der Zugang, mit ihm läuft die Frist. Sie endet mit dem {end}, und beide Seiten haben dieselbe Rechnung:{computed}"
            ),
            &format!(
                "The chamber's node took the request at {at} and signed for it: that is the delivery, and with it the clock runs. It ends with {end}, and both sides have the same computation:{computed}"
            ),
            MEMBERS[CHAMBER].name,
            &proof_of(&page, "sent", "request"),
        )
    }

    /// Link and code; the first opening is the delivery.
    async fn invited(&mut self, layout: &Layout, guest: &Asked) -> anyhow::Result<(Desk, String)> {
        Self::until(&self.here, &guest.ours, |page| page["state"] == "SENT").await?;
        let path = format!("{}/invitation", guest.ours);
        let handed = self.here.command(&guest.ours, &path, &json!({})).await?;
        let link = handed["link"].as_str().context("no link")?.to_owned();
        // A code opens as a key does.
        let key = layout.dir.join("code-of-the-guest");
        std::fs::write(&key, handed["code"].as_str().context("no code")?)?;
        let visitor = self.here.with_key(key);
        let seen = Self::until(&visitor, &link, |page| page["deadline"].is_object()).await?;
        let page = self.here.get(&guest.ours).await?;
        let end = seen["deadline"]["effective_end"].as_str().unwrap_or_default();
        self.turn(
            &format!(
                "Der Heimatverein hat keinen Knoten. Er bekommt einen Link per E-Mail und einen Code am Telefon; wer nur eines hat, sieht nichts. Zugegangen ist ihm die Anfrage erst, als er den Link mit dem Code geöffnet hat. Seine Frist endet mit dem {end}. An jedem Beleg steht, dass der Nachweis der eines Gastes ist und nicht der eines Knotens."
            ),
            &format!(
                "The society has no node. It gets a link by e-mail and a code by telephone; whoever has only one of them sees nothing. The request was delivered only when the link was opened with the code. Its deadline ends with {end}. Each proof says that it is that of a guest and not that of a node."
            ),
            self.tongue.pick("Kammer, Heimatverein und Tiefbauamt", "chamber, society and unit"),
            &proof_of(&page, "sent", "request"),
        )?;
        Ok((visitor, link))
    }

    /// A question with its answer, and a statement with conditions, by two people of the chamber.
    async fn chamber_answers(
        &mut self,
        layout: &Layout,
        coordinator: &Desk,
        chamber: &Asked,
    ) -> anyhow::Result<()> {
        let specialist = cases::desk(layout, CHAMBER, &MEMBERS[CHAMBER], "specialist")?;
        Self::act(
            coordinator,
            &chamber.theirs,
            "acknowledge",
            &json!({ "reference": "HWK-17" }),
        )
        .await?;
        let me = specialist.get("/api/v1/me").await?;
        let assigned = json!({ "assignee": me["pseudonym"] });
        Self::act(coordinator, &chamber.theirs, "assign", &assigned).await?;
        let question = self.tongue.pick(
            "Wie weit sind die Schlafräume von der Tischlerei Nr. 7 entfernt? (fiktiv)",
            "How far are the bedrooms from the joinery at no. 7? (fictional)",
        );
        Self::act(&specialist, &chamber.theirs, "ask", &json!({ "text": question })).await?;
        let page = Self::until(&self.here, &chamber.ours, |page| {
            let received = page["received"].as_array().into_iter().flatten();
            let mut texts = received.filter(|message| message["letter"]["document"]["text"].is_string());
            page["question_open"] == true && texts.next().is_some()
        })
        .await?;
        self.turn(
            &format!(
                "In der Kammer bestätigt die Koordination die Zuständigkeit und gibt die Anfrage einer Fachkraft. Die fragt zurück: „{question}“"
            ),
            &format!(
                "In the chamber the coordinator confirms competence and assigns the request to a specialist, who asks back: “{question}”"
            ),
            self.from.name,
            &proof_of(&page, "received", "question"),
        )?;
        let answer = self.tongue.pick(
            "38 Meter, hinter dem Treppenhaus. (fiktiv)",
            "38 metres, behind the stairwell. (fictional)",
        );
        Self::act(&self.here, &chamber.ours, "answer", &json!({ "text": answer })).await?;
        Self::until(&specialist, &chamber.theirs, |page| {
            page["question_open"] == false
        })
        .await?;
        let page = Self::until(&self.here, &chamber.ours, |page| is_receipted(page, "answer")).await?;
        self.turn(
            &format!("{} antwortet: „{answer}“ Die Frist läuft weiter; eine Rückfrage hält sie nur an, wenn wer fragt das zugesteht.", self.from.name),
            &format!("{} answers: “{answer}” The clock goes on: a question stops it only if who asks grants that.", self.from.name),
            MEMBERS[CHAMBER].name,
            &proof_of(&page, "sent", "answer"),
        )?;
        let (topic, text, condition) = match self.tongue {
            super::Tongue::De => (
                "Lärm",
                "Die Tischlerei nebenan muss weiter arbeiten können.",
                "Schallschutzfenster an der Ostseite",
            ),
            super::Tongue::En => (
                "Noise",
                "The joinery next door must be able to go on working.",
                "Sound-insulating windows on the east side",
            ),
        };
        let draft = json!({
            "kind": "CONSENT_WITH_CONDITIONS", "author": self.tongue.pick("Referat Gewerbe", "Trade department"),
            "points": [{ "number": 1, "topic": topic, "text": text, "condition": condition }],
        });
        put(&specialist, &chamber.theirs, &draft).await?;
        Self::act(&specialist, &chamber.theirs, "release", &json!({})).await?;
        Self::act(coordinator, &chamber.theirs, "submit", &json!({})).await?;
        let page = Self::until(&self.here, &chamber.ours, |page| {
            let bundles = page["bundles"].as_array().into_iter().flatten();
            let mut here = bundles.filter(|one| one["kind"] == "statement" && one["complete"] == true);
            page["state"] == "SUBMITTED" && here.next().is_some()
        })
        .await?;
        ensure!(
            page["statements"][0]["in_time"] == true,
            "the statement is late: {}",
            page["statements"]
        );
        let at = page["statements"][0]["entered_at"].as_str().unwrap_or_default();
        self.turn(
            &format!(
                "Die Fachkraft schreibt die Stellungnahme und gibt sie frei, die Koordination reicht sie ein: Zustimmung unter der Bedingung „{condition}“. Eingetragen bei der Kammer um {at}, also rechtzeitig; es zählt der Eintrag dort, nicht die Ankunft hier."
            ),
            &format!(
                "The specialist writes the statement and releases it, the coordinator submits it: consent under the condition “{condition}”. Entered at the chamber at {at}, so in time; what counts is the entry there, not the arrival here."
            ),
            self.tongue.pick("Heimatverein und Tiefbauamt", "society and unit"),
            &proof_of(&page, "received", "statement"),
        )
    }

    /// No objection.
    async fn guest_answers(&mut self, visitor: &Desk, link: &str, guest: &Asked) -> anyhow::Result<()> {
        let author = self.tongue.pick("Vorstand", "Board");
        put(
            visitor,
            link,
            &json!({ "kind": "NO_OBJECTION", "author": author }),
        )
        .await?;
        Self::act(visitor, link, "submit", &json!({})).await?;
        let page = Self::until(&self.here, &guest.ours, |page| page["state"] == "SUBMITTED").await?;
        self.turn(
            "Der Heimatverein antwortet über seinen Link: keine Bedenken.",
            "The society answers by its link: no objection.",
            self.tongue.pick("Tiefbauamt", "the unit"),
            &proof_of(&page, "received", "statement"),
        )
    }

    /// The unit does not answer; days pass, and what silence means is recorded.
    async fn unit_is_silent(&mut self, layout: &Layout, unit: &Asked) -> anyhow::Result<()> {
        let before = Self::until(&self.here, &unit.ours, |page| page["deadline"].is_object()).await?;
        let end = before["deadline"]["effective_end"].as_str().unwrap_or_default();
        training::pass(&layout.dir, DAYS)?;
        let page = Self::until(&self.here, &unit.ours, |page| {
            page["state"] == "EXPIRED" && is_receipted(page, "expired")
        })
        .await?;
        ensure!(
            page["expiry"]["effect"] == EFFECT,
            "silence has another effect: {}",
            page["expiry"]
        );
        let sentence = silence(&page, self.tongue);
        self.turn(
            &format!(
                "Das Tiefbauamt schweigt. {DAYS} Tage vergehen - hier durch die Übungsuhr, die es nur in Testknoten gibt (`kontor up pass`). Nach dem {end} fragt der Knoten zuerst nach, ob dort noch Rechtzeitiges eingetragen ist; dem ist nicht so. Dann hält er die Folge fest: {sentence} Nach der Frist kann das Amt sich noch äußern, dann aber verspätet."
            ),
            &format!(
                "The civil-engineering unit is silent. {DAYS} days pass - by the training clock here, which only test nodes have (`kontor up pass`). After {end} the node first asks whether something was entered there in time; nothing was. Then it records what that means: {sentence} The unit can still speak after the deadline, but late."
            ),
            self.from.name,
            &proof_of(&page, "sent", "expired"),
        )
    }

    /// Closed, weighed, told, ended.
    async fn weighed(
        &mut self,
        round: &str,
        asked: [&Asked; 3],
        told: &[(Desk, String)],
    ) -> anyhow::Result<()> {
        let path = format!("/api/v1/rounds/{round}");
        let [chamber, guest, unit] = asked;
        for command in ["close", "evaluate"] {
            Self::act(&self.here, &path, command, &json!({})).await?;
        }
        let becomes = self.tongue.pick(
            "Wird Auflage im Vorbescheid.",
            "Becomes a condition of the preliminary decision.",
        );
        let weighed = [
            (chamber, json!({ "point": 1, "treatment": 1000, "text": becomes })),
            (guest, json!({ "treatment": 5000 })),
        ];
        for (one, treated) in weighed {
            let assessment = json!({ "assessment": { "version": 1, "treated": [treated] } });
            Self::act(&self.here, &one.ours, "assess", &assessment).await?;
        }
        for one in [chamber, guest, unit] {
            Self::act(&self.here, &one.ours, "notify", &json!({})).await?;
        }
        for (desk, path) in told {
            Self::until(desk, path, |page| {
                page["state"] == "NOTIFIED" && page["settled"] == true
            })
            .await?;
        }
        let mut outcome = Value::Null;
        for one in [chamber, guest, unit] {
            // Everything that was said has its receipt: the evidence is whole.
            let page = Self::until(&self.here, &one.ours, |page| {
                let mut sent = page["sent"].as_array().into_iter().flatten();
                sent.all(|message| message["state"]["state"] == "answered")
            })
            .await?;
            if one.request == chamber.request {
                outcome = page;
            }
        }
        let ended = Self::act(&self.here, &path, "conclude", &json!({})).await?;
        ensure!(ended["state"] == "CONCLUDED", "the round does not end: {ended}");
        self.turn(
            &format!(
                "{} schließt die Runde und wägt ab: Punkt 1 der Kammer wird gefolgt („{becomes}“), die Antwort des Heimatvereins wird zur Kenntnis genommen. Alle drei erfahren, was aus ihrer Äußerung oder ihrem Schweigen geworden ist. Damit ist die Runde beendet.",
                self.from.name
            ),
            &format!(
                "{} closes the round and weighs: point 1 of the chamber is followed (“{becomes}”), the answer of the society is noted. All three are told what became of their statement or their silence. That ends the round.",
                self.from.name
            ),
            self.from.name,
            &proof_of(&outcome, "sent", "outcome"),
        )
    }
}

/// Puts a draft of a statement.
async fn put(desk: &Desk, subject: &str, draft: &Value) -> anyhow::Result<Value> {
    let body = draft.to_string().into_bytes();
    desk.change(
        http::Method::PUT,
        subject,
        &format!("{subject}/statement"),
        "application/json",
        body,
    )
    .await
}
