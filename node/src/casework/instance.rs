//! Writing what was taken over into the own instance of the OZG-Cloud, through the intake that every form service uses.
//!
//! It follows the take-over: nobody becomes responsible because a system imported. That contract has no place for an earlier receipt,
//! a sender or deadlines, so they stand in a group "Übernahme" at the top of the form. The intent is on disk before the post. When
//! its outcome is not known it is not repeated by itself, unless the configuration says that repeats are safe.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::header::{CONTENT_LENGTH, CONTENT_TYPE, HOST};
use http::{Method, Request, StatusCode};
use http_body_util::{BodyExt, Limited};
use kontor_participation::application::manifest::Role as FileRole;
use kontor_participation::application::{Content, Extras, Form, Node, intake as form};
use kontor_participation::transfer::Responsibility;
use kontor_participation::transfer::offer::Id;
use kontor_pki::crypto::sha256;
use serde_json::json;
use tokio::net::TcpStream;

use super::row::{CaseFile, CaseRow, Export, Process};
use super::transfers::Command;
use super::{Casework, Principal, Refused, Step};
use crate::body::{BodyWriter, OutBody};
use crate::config::casework::Instance;
use crate::link::Link;
use crate::messagelog::VaultPart;

/// The instance answers in this time, or the outcome is not known.
const PATIENCE: Duration = Duration::from_secs(120);
const LIMIT: usize = 1024 * 1024;
/// Name of the group that says where the application came from.
pub(super) const GROUP: &str = "uebernahme";

/// How a post ended.
enum Posted {
    /// It came in, under this number.
    Done(Option<String>),
    /// Nothing of it was sent.
    NotSent(String),
    /// The instance refused it.
    Refused(String),
    /// Nobody knows.
    Unclear(String),
}

impl Casework {
    /// Writes a case into the instance, if it waits for that.
    pub(super) async fn export(self: &Arc<Self>, id: &Id) -> Result<(), Refused> {
        let case = self.case(id)?;
        let Some(instance) = self
            .settings
            .instance
            .clone()
            .filter(|_| case.export == Some(Export::Wanted))
        else {
            return Ok(());
        };
        if !matches!(
            case.responsibility,
            Responsibility::Mine | Responsibility::TheirsDelegated
        ) {
            return Ok(());
        }
        let case = self.exported(case, Export::Posting, None).await?;
        let posted = self.post(&case, &instance).await?;
        let (export, number) = match posted {
            Posted::Done(number) => (Export::Done, number),
            Posted::NotSent(why) => {
                tracing::warn!(case = %id, "the instance could not be reached: {why}");
                (Export::Wanted, None)
            }
            Posted::Refused(why) => {
                tracing::error!(case = %id, "the instance refused an application that was taken over: {why}");
                (Export::Refused, None)
            }
            Posted::Unclear(why) if instance.repeats_safe => {
                tracing::warn!(case = %id, "the instance will be asked again: {why}");
                (Export::Wanted, None)
            }
            Posted::Unclear(why) => {
                tracing::error!(case = %id, "whether the instance took an application is not known: {why}");
                (Export::Uncertain, None)
            }
        };
        let case = self.exported(case, export, number.clone()).await?;
        if let (Some(number), Some(transfer)) = (number, case.transfer) {
            let _lock = self.lock(&[&transfer, id]).await;
            let row = self.transfer(&transfer)?;
            let number: String = number
                .chars()
                .filter(|c| c.is_ascii_alphanumeric() || "-_/. ".contains(*c))
                .take(64)
                .collect();
            if !number.is_empty() {
                self.carry_out(&Principal::node(), row, Command::TellNumber(number), self.now())
                    .await?;
            }
        }
        Ok(())
    }

    /// A post was under way when the process ended.
    pub(super) async fn uncertain(&self, case: &CaseRow) -> Result<(), Refused> {
        let safe = self
            .settings
            .instance
            .as_ref()
            .is_some_and(|instance| instance.repeats_safe);
        let export = if safe { Export::Wanted } else { Export::Uncertain };
        self.exported(case.clone(), export, None).await.map(drop)
    }

    /// A person has looked into the instance: it is there, or is to be posted again.
    pub(crate) async fn export_again(
        &self,
        who: &Principal,
        id: &Id,
        version: u64,
        is_there: bool,
    ) -> Result<CaseRow, Refused> {
        who.needs(&[
            crate::config::casework::Role::Worker,
            crate::config::casework::Role::Supervisor,
        ])?;
        let case = self.seen_case(who, id)?;
        if case.version != version {
            return Err(Refused::version(case.version, version));
        }
        if !matches!(case.export, Some(Export::Uncertain | Export::Refused)) {
            return Err(Refused::conflict(
                "nothing_uncertain",
                "writing it into the instance is not in doubt",
            ));
        }
        let export = if is_there { Export::Done } else { Export::Wanted };
        let case = self.exported(case, export, None).await?;
        if let Some(transfer) = &case.transfer {
            self.look_at(Process::Transfer(transfer.clone()));
        }
        Ok(case)
    }

    async fn exported(
        &self,
        case: CaseRow,
        export: Export,
        number: Option<String>,
    ) -> Result<CaseRow, Refused> {
        let _lock = self.lock(&[&case.id]).await;
        let mut case = self.case(&case.id)?;
        let now = self.now();
        let details = json!({ "case": case.id, "export": export });
        let cites = self
            .act(&Principal::node(), "export", "take-over", details)
            .await?;
        if let Some(number) = number {
            let mut record = self.record(&case)?;
            record.instance_number = Some(number);
            case.record = self.seal(VaultPart::Record, case.subject, &record)?;
        }
        case.export = Some(export);
        let id = case.id.clone();
        let mut step = Step {
            case: Some(case),
            ..Step::default()
        };
        step.event("case.export", now);
        self.commit("export", &cites, step).await?;
        self.case(&id)
    }

    async fn post(self: &Arc<Self>, case: &CaseRow, instance: &Instance) -> Result<Posted, Refused> {
        let content = self.content(case)?;
        let told = match content.dossier.tells_people() {
            true => Some(
                content
                    .dossier
                    .bytes()
                    .map_err(|error| Refused::internal(&error))?,
            ),
            false => None,
        };
        let sheet = self.sheet(case, instance, content.form)?;
        let text = form::write(&sheet).map_err(|error| Refused::internal(&error))?;
        let boundary = format!("kontor-{}", uuid::Uuid::new_v4());
        let files: Vec<CaseFile> = content
            .files
            .into_iter()
            .filter(|file| file.file.role != FileRole::Data)
            .collect();
        let heads: Vec<String> = std::iter::once(head("formData", None, "application/json", &boundary))
            .chain(files.iter().map(|file| {
                let part = match file.file.role {
                    FileRole::Representation => "representation",
                    _ => "attachment",
                };
                head(
                    part,
                    Some(&file.file.original_name),
                    &file.file.declared_media_type,
                    &boundary,
                )
            }))
            // What people have to read who work in the instance.
            .chain(told.iter().map(|_| {
                head(
                    "attachment",
                    Some("vorgangsakte.json"),
                    "application/json",
                    &boundary,
                )
            }))
            .collect();
        let tail = format!("\r\n--{boundary}--\r\n");
        let length: u64 = heads.iter().map(|head| head.len() as u64).sum::<u64>()
            + text.len() as u64
            + files.iter().map(|file| file.file.size).sum::<u64>()
            + told.as_ref().map_or(0, |told| told.len() as u64)
            + tail.len() as u64
            // The first boundary has no line before it.
            - 2;
        let authority = instance
            .url
            .authority()
            .map(ToString::to_string)
            .unwrap_or_default();
        let place = (
            instance
                .url
                .host()
                .unwrap_or_default()
                .trim_matches(['[', ']'])
                .to_owned(),
            instance.url.port_u16().unwrap_or(80),
        );
        let connected = tokio::time::timeout(Duration::from_secs(10), TcpStream::connect(place)).await;
        let stream = match connected {
            Ok(Ok(stream)) => stream,
            Ok(Err(error)) => return Ok(Posted::NotSent(error.to_string())),
            Err(_) => return Ok(Posted::NotSent("no connection in time".into())),
        };
        let mut link = match Link::open(stream, (), &self.shutdown).await {
            Ok(link) => link,
            Err(error) => return Ok(Posted::NotSent(error.to_string())),
        };
        let (mut writer, flow) = OutBody::flow();
        let request = Request::builder()
            .method(Method::POST)
            .uri(instance.url.path())
            .header(HOST, authority)
            .header(CONTENT_TYPE, format!("multipart/form-data; boundary={boundary}"))
            .header(CONTENT_LENGTH, length)
            .body(flow)
            .map_err(|error| Refused::internal(&error))?;
        let casework = Arc::clone(self);
        let write = async move {
            let mut heads = heads.into_iter();
            let first = heads.next().unwrap_or_default();
            send(
                &mut writer,
                Bytes::from(first.trim_start_matches("\r\n").to_owned()),
            )
            .await?;
            send(&mut writer, Bytes::from(text)).await?;
            for file in &files {
                let head = heads.next().unwrap_or_default();
                send(&mut writer, Bytes::from(head)).await?;
                let mut reader = casework
                    .read(&file.kept)
                    .map_err(|refused| refused.detail.clone())?;
                while let Some(piece) = reader.next().await.map_err(|error| error.to_string())? {
                    send(&mut writer, piece).await?;
                }
            }
            if let (Some(head), Some(told)) = (heads.next(), told) {
                send(&mut writer, Bytes::from(head)).await?;
                send(&mut writer, Bytes::from(told)).await?;
            }
            send(&mut writer, Bytes::from(tail)).await?;
            writer.close().await.map_err(|error| error.to_string())
        };
        let ask = async {
            let (_, answer) = link.send(request).await.map_err(|error| error.to_string())?;
            let (parts, body) = answer.into_parts();
            let body = Limited::new(body, LIMIT)
                .collect()
                .await
                .map_err(|error| error.to_string())?
                .to_bytes();
            Ok::<_, String>((parts.status, body))
        };
        let both = async { tokio::join!(write, ask) };
        let (written, answered) = match tokio::time::timeout(PATIENCE, both).await {
            Ok(both) => both,
            Err(_) => return Ok(Posted::Unclear("no answer in time".into())),
        };
        Ok(match answered {
            Ok((status, body)) if status.is_success() => {
                let said: serde_json::Value = serde_json::from_slice(&body).unwrap_or_default();
                let number = said
                    .pointer("/vorgang/vorgangNummer")
                    .and_then(|number| number.as_str());
                Posted::Done(number.map(str::to_owned))
            }
            Ok((status, _)) if status.is_client_error() && status != StatusCode::REQUEST_TIMEOUT => {
                Posted::Refused(format!("status {}", status.as_u16()))
            }
            Ok((status, _)) => Posted::Unclear(format!("status {}", status.as_u16())),
            Err(error) => Posted::Unclear(written.err().unwrap_or(error)),
        })
    }

    /// The form as the instance gets it: the applicant's tree unchanged below a group that says where it came from.
    fn sheet(&self, case: &CaseRow, instance: &Instance, form: Form) -> Result<Form, Refused> {
        let record = self.record(case)?;
        let transfer = case.transfer.as_ref().map(|id| self.transfer(id)).transpose()?;
        let leaf = |name: &str, label: &str, text: String| Node {
            name: name.into(),
            label: label.into(),
            content: Content::Text(text),
            extras: Extras::default(),
        };
        let mut items = vec![leaf(
            "ersterEingang",
            "Erster Eingang",
            case.first_received_at.to_string(),
        )];
        if let Some(transfer) = &transfer {
            let from = transfer
                .peer
                .rsplit_once('/')
                .map_or(transfer.peer.as_str(), |(member, _)| member);
            items.push(leaf("abgebendeStelle", "Abgebende Stelle", from.to_owned()));
            items.push(leaf("uebergabe", "Übergabe", transfer.id.to_string()));
            if let Some(at) = transfer.machine.taken_over_at() {
                items.push(leaf("uebernommenAm", "Übernommen am", at.to_string()));
            }
        }
        items.push(leaf(
            "transactionId",
            "Ursprüngliche Transaktion",
            form.control.transaction_id.clone(),
        ));
        items.push(leaf(
            "zustaendigeStelle",
            "Ursprünglich zuständige Stelle",
            form.control.competent_unit.clone().unwrap_or_default(),
        ));
        items.push(leaf("nummer", "Nummer im Knoten", record.number));
        for deadline in &case.deadlines {
            items.push(leaf(
                "frist",
                "Laufende Frist bis",
                deadline.effective_end.to_string(),
            ));
        }
        let group = Node {
            name: GROUP.into(),
            label: "Übernahme".into(),
            content: Content::Group(items),
            extras: Extras::default(),
        };
        let mut sheet = form;
        sheet.items.insert(0, group);
        // The same for every try, and nobody else's.
        let seed = format!(
            "{}\n{}",
            case.transfer.as_ref().unwrap_or(&case.id),
            instance.unit
        );
        sheet.control.transaction_id = derived(&seed);
        sheet.control.competent_unit = Some(instance.unit.clone());
        Ok(sheet)
    }
}

/// A UUID that follows from a text (RFC 9562, version 8).
fn derived(seed: &str) -> String {
    let mut bytes = [0; 16];
    bytes.copy_from_slice(&sha256(seed.as_bytes())[..16]);
    uuid::Builder::from_custom_bytes(bytes).into_uuid().to_string()
}

async fn send(writer: &mut BodyWriter, piece: Bytes) -> Result<(), String> {
    writer.write(piece).await.map_err(|error| error.to_string())
}

/// The head of a part; a name of a file goes as browsers send it (WHATWG: quotes and line ends escaped by percent).
fn head(part: &str, name: Option<&str>, media_type: &str, boundary: &str) -> String {
    let file = name.map_or_else(String::new, |name| {
        let name = name.replace('"', "%22").replace('\r', "%0D").replace('\n', "%0A");
        format!("; filename=\"{name}\"")
    });
    let media_type: String = media_type
        .chars()
        .filter(|c| c.is_ascii_graphic() || *c == ' ')
        .collect();
    format!(
        "\r\n--{boundary}\r\nContent-Disposition: form-data; name=\"{part}\"{file}\r\nContent-Type: {media_type}\r\n\r\n"
    )
}
