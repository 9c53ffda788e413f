//! The cover sheet of a package: what a judge reads first. Who sent what to whom, when, with which result, and how to
//! check it without the program that made it.
//!
//! Owns structure and style: one HTML file without script, readable on paper and by screen readers. The words are in
//! `cover/words.rs`. Everything that comes from evidence is escaped.

mod words;

use std::fmt::Write as _;

use kontor_pki::time::UnixTime;

use self::words::Words;
use super::html::{escaped, value};
use crate::container::{MessageRole, PartFacts, Reason, Report, Verdict};
use crate::statement::{Left, StatementReport};

/// In which language a cover sheet is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Language {
    /// English.
    English,
    /// German.
    German,
}

/// What a cover sheet says.
#[derive(Debug, Clone, Copy)]
pub struct Cover<'a> {
    /// Its language.
    pub language: Language,
    /// When the package was made.
    pub created: UnixTime,
    /// Who made it.
    pub issuer: Option<&'a str>,
    /// Each container by its name in the package, with the report of its check when the package was made.
    pub containers: &'a [(String, Report)],
    /// Each statement about a message whose content is gone, likewise.
    pub statements: &'a [(String, StatementReport)],
}

const STYLE: &str = "\
:root{color-scheme:light}body{font:1rem/1.5 system-ui,sans-serif;color:#111;background:#fff;max-width:50rem;\
margin:2rem auto;padding:0 1rem}h1{font-size:1.6rem}h2{font-size:1.2rem;border-top:2px solid #111;padding-top:.8rem;\
margin-top:2rem}table{border-collapse:collapse;width:100%}th,td{text-align:left;vertical-align:top;padding:.3rem .5rem;\
border-bottom:1px solid #767676;overflow-wrap:anywhere}th{width:14rem;font-weight:600}\
pre{white-space:pre-wrap;overflow-wrap:anywhere;border:1px solid #767676;padding:.5rem}.result{font-weight:700}\
.warn{border:2px solid #111;padding:.5rem}@page{margin:2cm}@media print{body{max-width:none;margin:0;font-size:10pt}\
h2{break-after:avoid}tr,pre{break-inside:avoid}section{break-inside:auto}}";

impl Cover<'_> {
    /// The sheet.
    #[must_use]
    pub fn to_html(&self) -> String {
        let words = Words::of(self.language);
        let mut out = String::new();
        // Writing into a string cannot fail.
        let _ = self.write(&mut out, words);
        out
    }

    fn write(&self, out: &mut String, words: &Words) -> std::fmt::Result {
        write!(
            out,
            "<!DOCTYPE html>\n<html lang=\"{}\">\n<head>\n<meta charset=\"utf-8\"/>\n\
             <meta name=\"viewport\" content=\"width=device-width,initial-scale=1\"/>\n\
             <meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'unsafe-inline'\"/>\n\
             <title>{}</title>\n<style>{STYLE}</style>\n</head>\n<body>\n<main>\n<h1>{}</h1>\n",
            words.code, words.title, words.title
        )?;
        writeln!(out, "<p>{}</p>", words.purpose)?;
        let of_test = self.containers.iter().map(|(_, report)| report.test);
        let mut of_test = of_test.chain(self.statements.iter().map(|(_, report)| report.test));
        if of_test.any(|test| test) {
            writeln!(out, "<p class=\"warn\"><strong>{}</strong></p>", words.test)?;
        }
        out.push_str("<table>\n");
        row(out, words.created, &value(&self.created.to_rfc3339()))?;
        if let Some(issuer) = self.issuer {
            row(out, words.issuer, &value(issuer))?;
        }
        row(out, words.messages, &self.containers.len().to_string())?;
        if !self.statements.is_empty() {
            row(out, words.deleted_messages, &self.statements.len().to_string())?;
        }
        out.push_str("</table>\n");
        for (number, (name, report)) in self.containers.iter().enumerate() {
            container(out, words, number + 1, name, report)?;
        }
        for (number, (name, report)) in self.statements.iter().enumerate() {
            statement(out, words, number + 1, name, report)?;
        }
        write!(
            out,
            "<section aria-labelledby=\"check\">\n<h2 id=\"check\">{}</h2>\n<p>{}</p>\n<pre><code>{}</code></pre>\n<p>{}</p>\n",
            words.check,
            words.check_kontor,
            escaped("kontor verify --trust DIR PACKAGE.zip"),
            words.check_trust,
        )?;
        writeln!(
            out,
            "<p>{}</p>\n<pre><code>{}</code></pre>",
            words.check_tools,
            escaped_lines(TOOLS)
        )?;
        writeln!(
            out,
            "<p>{}</p>\n</section>\n</main>\n</body>\n</html>",
            words.check_more
        )
    }
}

/// Standard tools, for a container with a time-stamp over many records and a signature over a hash chain.
const TOOLS: &str = "\
unzip PACKAGE.zip -d package
unzip package/containers/NAME.asice -d container && cd container
openssl ts -verify -token_in -in META-INF/timestamp.tst -data ts-hashchainresult.xml -CAfile ca.pem -attime SECONDS
xmlsec1 --verify --enabled-reference-uris empty,same-doc,local,remote \\
  --id-attr:Id http://uri.etsi.org/01903/v1.3.2#:SignedProperties --pubkey-cert-pem signer.pem \\
  --url-map:/sig-hashchainresult.xml sig-hashchainresult.xml META-INF/signatures.xml
openssl verify -CAfile ca.pem -attime SECONDS signer.pem";

fn escaped_lines(text: &str) -> String {
    text.lines().map(escaped).collect::<Vec<_>>().join("\n")
}

fn container(
    out: &mut String,
    words: &Words,
    number: usize,
    name: &str,
    report: &Report,
) -> std::fmt::Result {
    writeln!(
        out,
        "<section aria-labelledby=\"m{number}\">\n<h2 id=\"m{number}\">{} {number}</h2>\n<table>",
        words.message
    )?;
    judged(out, words, report.verdict, &report.reasons)?;
    if let Some(message) = &report.message {
        let (sender, receiver) = match message.role {
            MessageRole::Request => (message.client.to_string(), message.service.to_string()),
            MessageRole::Response => (message.service.to_string(), message.client.to_string()),
        };
        let kind = match message.role {
            MessageRole::Request => words.request,
            MessageRole::Response => words.response,
        };
        row(out, words.kind, kind)?;
        row(out, words.sender, &value(&sender))?;
        row(out, words.receiver, &value(&receiver))?;
        if let Some(id) = &message.query_id {
            row(out, words.query_id, &value(id))?;
        }
    }
    if let Some(signer) = &report.signer {
        let mut text = value(&signer.to_string());
        if let Some(name) = &report.signer_name {
            text += &format!(" ({})", value(name));
        }
        row(out, words.signer, &text)?;
    }
    if let Some(time) = report.signing_time {
        row(out, words.signing_time, &value(&time.to_rfc3339()))?;
    }
    match &report.time_stamp {
        Some(token) => {
            let by = token.authority.as_deref().unwrap_or(words.unknown_authority);
            let (time, seconds) = (value(&token.gen_time.to_rfc3339()), token.gen_time.secs());
            row(out, words.existed, &format!("{time} ({seconds}) – {}", value(by)))?;
        }
        None => row(out, words.existed, words.no_time_stamp)?,
    }
    for part in &report.parts {
        row(out, &escaped(&part.name), &part_text(words, part))?;
    }
    if let Some(leaf) = &report.leaf {
        let text = format!("{} {} – {}", words.entry, leaf.number, value(&leaf.log));
        row(out, words.log, &text)?;
        if let Some(inclusion) = &leaf.inclusion {
            let text = format!("{} – {}", inclusion.size, value(&inclusion.origin));
            row(out, words.inclusion, &text)?;
        }
    }
    if let Some(certificate) = &report.certificate {
        let text = format!(
            "{}<br/>{} {}<br/>SHA-256 {}",
            value(&certificate.subject),
            words.issued_by,
            value(&certificate.issuer),
            value(&certificate.sha256)
        );
        row(out, words.certificate, &text)?;
    }
    row(out, words.file, &value(name))?;
    out.push_str("</table>\n</section>\n");
    Ok(())
}

fn judged(out: &mut String, words: &Words, verdict: Verdict, reasons: &[Reason]) -> std::fmt::Result {
    let verdict = match verdict {
        Verdict::Valid => words.valid,
        Verdict::Incomplete => words.incomplete,
        Verdict::Undecided => words.undecided,
        Verdict::Invalid => words.invalid,
    };
    row(
        out,
        words.result,
        &format!("<span class=\"result\">{verdict}</span>"),
    )?;
    for reason in reasons {
        let text = format!("{} <code>{}</code>", value(&reason.text), escaped(&reason.code));
        row(out, words.because, &text)?;
    }
    Ok(())
}

fn statement(
    out: &mut String,
    words: &Words,
    number: usize,
    name: &str,
    report: &StatementReport,
) -> std::fmt::Result {
    writeln!(
        out,
        "<section aria-labelledby=\"d{number}\">\n<h2 id=\"d{number}\">{} {number}</h2>\n<table>",
        words.deleted_message
    )?;
    judged(out, words, report.verdict, &report.reasons)?;
    if let (Some(client), Some(service)) = (&report.client, &report.service) {
        let (kind, sender, receiver) = match report.kind.as_deref() {
            Some("response") => (words.response, service, client),
            _ => (words.request, client, service),
        };
        row(out, words.kind, kind)?;
        row(out, words.sender, &value(sender))?;
        row(out, words.receiver, &value(receiver))?;
    }
    if let Some(at) = &report.at {
        row(out, words.logged, &value(at))?;
    }
    if let (Some(number), Some(log)) = (report.number, &report.log) {
        row(
            out,
            words.log,
            &format!("{} {number} – {}", words.entry, value(log)),
        )?;
    }
    if let Some(inclusion) = &report.inclusion {
        let text = format!("{} – {}", inclusion.size, value(&inclusion.origin));
        row(out, words.inclusion, &text)?;
    }
    for deleted in &report.deleted {
        let by = deleted.by.as_deref().map(|by| format!(" – {}", value(by)));
        let text = format!(
            "{} – {} <code>{}</code>{} – {} {} – {}",
            value(&deleted.at),
            words.rule,
            escaped(&deleted.rule),
            by.unwrap_or_default(),
            words.entry,
            deleted.entry,
            value(&deleted.ground),
        );
        let what = match deleted.part.as_str() {
            "head" => words.head_deleted,
            "body" => words.body_deleted,
            _ => words.evidence_deleted,
        };
        row(out, what, &text)?;
    }
    let left = match report.left {
        Left::Digests => words.left_digests,
        Left::Leaf => words.left_leaf,
        Left::Nothing => words.left_nothing,
    };
    row(out, words.left, left)?;
    row(out, words.file, &value(name))?;
    out.push_str("</table>\n</section>\n");
    Ok(())
}

fn part_text(words: &Words, part: &PartFacts) -> String {
    match part.length {
        Some(length) if part.covered => format!("{length} {}", words.covered),
        Some(length) => format!("{length} {}", words.not_covered),
        None => words.not_there.to_owned(),
    }
}

/// A row; heading and content are HTML already.
fn row(out: &mut String, heading: &str, content: &str) -> std::fmt::Result {
    writeln!(out, "<tr><th scope=\"row\">{heading}</th><td>{content}</td></tr>")
}
