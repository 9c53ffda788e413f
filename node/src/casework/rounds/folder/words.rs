//! What is written into the folder of a request besides its files: the request as the interface shows it, the sheets, and the deadline
//! in German.

use kontor_participation::calendar::HolidayTable;
use kontor_participation::deadline::Deadline;
use kontor_participation::round::disclosure::sheet::{NAME, Sheet};
use kontor_protocol::package::cover::Language;
use serde_json::{Value, json};

use super::super::super::Refused;
use super::super::super::row::CaseFile;
use super::super::row::RequestRow;
use super::Shown;
use super::place::{DEADLINE, REQUEST};

/// The documents of a request in the order in which they are written.
pub(super) fn documents(
    row: &RequestRow,
    mut page: Value,
    sheets: &[(u32, Sheet, Vec<CaseFile>)],
    shown: &Shown,
) -> Result<Vec<(String, Vec<u8>)>, Refused> {
    let mut documents = Vec::with_capacity(sheets.len() + 2);
    for (place, (seq, sheet, _)) in sheets.iter().enumerate() {
        let name = match place {
            0 => NAME.to_owned(),
            _ => format!("disclosure-{seq}.json"),
        };
        documents.push((name, json(sheet)?));
    }
    let deadline = deadline_in_words(row, &page);
    documents.push((DEADLINE.to_owned(), deadline.into_bytes()));
    if let Some(page) = page.as_object_mut() {
        // What people of the house have on their desk is not the procedure's.
        page.remove("attachments");
        page.insert("folder".to_owned(), folder(row, shown));
    }
    documents.push((REQUEST.to_owned(), json(&page)?));
    Ok(documents)
}

/// Which files lie beside, which do not and why, and where the answer goes.
fn folder(row: &RequestRow, shown: &Shown) -> Value {
    let files = shown.files.iter().map(|(id, (name, file))| {
        json!({
            "file_id": id, "name": name, "original_name": file.file.original_name, "size": file.file.size,
            "sha256": file.file.sha256, "detected_media_type": file.file.detected_media_type,
        })
    });
    let left_out = shown.left_out.iter().map(|(id, reason)| {
        let words = match *reason {
            "view_only" => "Nur zur Ansicht freigegeben: eine Kopie ist nicht gestattet. Bitte in der Oberfläche ansehen.",
            "infected" => "Die Prüfung auf Schadsoftware hat angeschlagen; die Datei wird nicht abgelegt.",
            _ => "Die Kennung der Datei taugt nicht als Dateiname; die Datei wird nicht abgelegt.",
        };
        json!({ "file_id": id, "reason": reason, "reason_german": words })
    });
    json!({
        "files": files.collect::<Vec<_>>(),
        "not_written": left_out.collect::<Vec<_>>(),
        "answer_into": format!("out/{}", row.id()),
    })
}

fn deadline_in_words(row: &RequestRow, page: &Value) -> String {
    let mut lines = vec![
        format!("Anfrage {} ({})", row.id().short(), row.id()),
        String::new(),
    ];
    match row.expected().deadline() {
        Some(deadline) => lines.extend(of_deadline(deadline)),
        None => {
            lines.push("Die Frist steht noch nicht fest; diese Datei wird dann neu geschrieben.".to_owned())
        }
    }
    if let Some(silence) = page["silence"]["de"].as_str() {
        lines.extend([String::new(), format!("Ohne Antwort: {silence}")]);
    }
    lines.push(String::new());
    lines.join("\n")
}

fn of_deadline(deadline: &Deadline) -> Vec<String> {
    // Known to the program: the machine may have no table of zones.
    let ends = deadline
        .ends_at
        .to_zoned_datetime(jiff::tz::get!("Europe/Berlin"));
    let ends = ends.strftime("%d.%m.%Y, %H:%M Uhr");
    let mut lines = vec![
        format!("Letzter Tag: {}", deadline.effective_end.strftime("%d.%m.%Y")),
        format!("Versäumt ab: {ends} (deutsche Zeit)"),
        String::new(),
        "Berechnung:".to_owned(),
    ];
    let words = deadline.in_words(Language::German, HolidayTable::built_in());
    lines.extend(words.into_iter().map(|sentence| format!("- {sentence}")));
    lines
}

/// A document as it is written.
pub(super) fn json(document: &impl serde::Serialize) -> Result<Vec<u8>, Refused> {
    let mut text = serde_json::to_vec_pretty(document).map_err(|error| Refused::internal(&error))?;
    text.push(b'\n');
    Ok(text)
}
