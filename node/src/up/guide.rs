//! What a person and a script are told once the federation is ready: addresses, commands to try, `federation.json`.
//!
//! Owns the commands' exact arguments. `federation.json` is written by rename when everything is ready, so that its
//! appearance is the signal; its paths are absolute, its addresses have a scheme, its commands run as they are.

use std::fmt::Write as _;
use std::io;
use std::path::Path;

use serde_json::{Value, json};

use super::layout::{CHAMBER, Layout, MEMBERS, Member};
use super::samples::{Sample, SamplePart};

/// Bodies above this make curl wait for a `100 Continue`, which `-i` would print as a head of its own.
const EXPECT: u64 = 1_000_000;

/// The sender and the receiver of the samples.
const SENDER: usize = 0;
const RECEIVER: usize = 1;

/// Arguments that hand in a sample through the first node and print the head of the answer.
fn send(layout: &Layout, sample: &Sample, query_id: Option<&str>) -> Vec<String> {
    let mut arguments = vec!["curl".to_owned(), "-sS".into(), "-i".into()];
    let mut header = |text: String| arguments.extend(["-H".to_owned(), text]);
    header(format!("X-Road-Client: {}", MEMBERS[SENDER].client()));
    if let Some(id) = query_id {
        header(format!("X-Road-Id: {id}"));
    }
    let size: u64 = sample
        .parts
        .iter()
        .filter_map(|p| std::fs::metadata(&p.path).ok())
        .map(|m| m.len())
        .sum();
    if size > EXPECT {
        header("Expect:".to_owned());
    }
    for part in &sample.parts {
        arguments.extend(["-F".to_owned(), form_argument(part)]);
    }
    arguments.push(layout.intake_url(SENDER, &MEMBERS[RECEIVER]));
    arguments
}

/// Arguments that show a sample as the receiving office has it.
fn show(layout: &Layout, sample: &Sample) -> Vec<String> {
    let url = layout.applications_url(&MEMBERS[RECEIVER]);
    vec![
        "curl".into(),
        "-sS".into(),
        format!("{url}?transactionId={}", sample.transaction_id),
    ]
}

fn form_argument(part: &SamplePart) -> String {
    let path = part.path.display().to_string();
    // curl takes `;` and `,` as the end of a bare file name.
    let path = if path.contains([';', ',', '"', '\\']) {
        quoted(&path)
    } else {
        path
    };
    let mut argument = format!("{}=@{path};type={}", part.part, part.media_type);
    if part
        .path
        .file_name()
        .is_none_or(|name| name != part.original_name.as_str())
    {
        let _ = write!(argument, ";filename={}", quoted(&part.original_name));
    }
    argument
}

/// In curl's own quotes.
fn quoted(text: &str) -> String {
    format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\""))
}

/// For a POSIX shell.
fn shell(argument: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "_@%+=:,./-".contains(c);
    if !argument.is_empty() && argument.chars().all(plain) {
        argument.to_owned()
    } else {
        format!("'{}'", argument.replace('\'', "'\\''"))
    }
}

/// A command on one line, or on several with one option each.
fn command(arguments: &[String]) -> String {
    let words: Vec<_> = arguments.iter().map(|argument| shell(argument)).collect();
    let mut text = String::from("  ");
    let lines = words.len() > 6;
    for (at, word) in words.iter().enumerate() {
        let value = at > 0 && ["-H", "-F"].contains(&words[at - 1].as_str());
        text.push_str(match at {
            0 => "",
            _ if lines && !value && at > 2 => " \\\n    ",
            _ => " ",
        });
        text.push_str(word);
    }
    text.push('\n');
    text
}

fn node(layout: &Layout, index: usize, member: &Member) -> Value {
    let address = |scheme: &str, port: u16| format!("{scheme}://{}", layout.node(index, port));
    json!({
        "member": member.id(),
        "server": member.server_id(),
        "config": layout.node_config(member),
        "desk": layout.node_dir(member).join("desk"),
        "ca": layout.node_dir(member).join("data/administration/ca.pem"),
        "listen": {
            "is_http": address("http", 8080),
            "is_https": address("https", 8443),
            "federation": address("https", 5500),
            "ocsp": address("http", 5577),
            "health": address("http", 9100),
            "administration": address("https", 4000),
        },
    })
}

/// The content of `federation.json`.
fn federation(layout: &Layout, samples: &[Sample]) -> Value {
    let nodes: Vec<_> = layout
        .members()
        .iter()
        .enumerate()
        .map(|(index, member)| node(layout, index, member))
        .collect();
    let samples: Vec<_> = samples
        .iter()
        .map(|s| json!({"name": s.name, "send": send(layout, s, None), "show": show(layout, s)}))
        .collect();
    json!({
        "authority": format!("http://{}", layout.authority()),
        "trust": layout.trust_dir(),
        "training_clock": layout.training_clock(),
        "nodes": nodes,
        "samples": samples,
    })
}

/// Where `federation.json` lies.
pub(super) fn federation_file(dir: &Path) -> std::path::PathBuf {
    dir.join("federation.json")
}

/// Writes `federation.json`.
pub(super) fn write_federation(layout: &Layout, samples: &[Sample]) -> io::Result<()> {
    let path = federation_file(&layout.dir);
    let unfinished = path.with_extension("json.new");
    std::fs::write(&unfinished, format!("{:#}\n", federation(layout, samples)))?;
    std::fs::rename(unfinished, path)
}

/// What to try, for people. `kontor` is how this program is called, `query_id` names the message of the example.
pub(super) fn text(layout: &Layout, samples: &[Sample], kontor: &Path, query_id: &str) -> String {
    let kontor = shell(&kontor.display().to_string());
    let path = |path: &Path| shell(&path.display().to_string());
    let mut out = String::new();
    let mut line = |text: &str| {
        out.push_str(text);
        out.push('\n');
    };
    line("");
    for (index, member) in layout.members().iter().enumerate() {
        line(&format!("  {}", member.name));
        line(&format!("      client        {}", member.client()));
        line(&format!(
            "      information systems  http://{}",
            layout.node(index, 8080)
        ));
        line(&format!(
            "      configuration {}",
            layout.node_config(member).display()
        ));
    }
    line(&format!("  authority     http://{}", layout.authority()));
    line(&format!("  files         {}", layout.dir.display()));
    line("");
    if let Some(sample) = samples.first() {
        let (sender, receiver) = (&MEMBERS[SENDER], &MEMBERS[RECEIVER]);
        line(&format!(
            "Send an application ({}) from {} to {}:",
            sample.title, sender.name, receiver.name
        ));
        line("");
        line(&command(&send(layout, sample, Some(query_id))));
        line("See it at the receiving office, and ask for it through the federation:");
        line("");
        line(&command(&show(layout, sample)));
        let client = format!("X-Road-Client: {}", sender.client());
        let listed = layout.intake_url(SENDER, receiver);
        line(&command(&[
            "curl".into(),
            "-sS".into(),
            "-H".into(),
            client,
            listed,
        ]));
        line("Export the evidence of both nodes and check it offline, trusting neither:");
        line("");
        for member in [sender, receiver] {
            let out = layout.dir.join("evidence").join(query_id).join(member.code);
            line(&format!(
                "  {kontor} log export --config {} --query-id {query_id} --out {}",
                path(&layout.node_config(member)),
                path(&out)
            ));
        }
        line(&format!(
            "  {kontor} verify {}/*/*.asice --trust {}",
            path(&layout.dir.join("evidence").join(query_id)),
            path(&layout.trust_dir())
        ));
        line("");
        line(&format!(
            "Let an auditor read the log of {} over https://{}, for a year at most:",
            receiver.name,
            layout.node(RECEIVER, 4000)
        ));
        line("");
        line(&format!(
            "  {kontor} log auditor grant --config {} --name 'Revisor (fiktiv)' --ground 'to try it' --until \"$(date -u -d '+7 days' +%F)\"",
            path(&layout.node_config(receiver))
        ));
        line("");
        let chamber = &MEMBERS[CHAMBER];
        line(&format!(
            "Be refused, as {} has no right to this service:",
            chamber.name
        ));
        line("");
        let client = format!("X-Road-Client: {}", chamber.client());
        let url = layout.intake_url(CHAMBER, receiver);
        line(&command(&["curl".into(), "-sS".into(), "-H".into(), client, url]));
    }
    if let Some((last, amt)) = layout.members().iter().enumerate().next_back() {
        line("The samples are cases here, one of them offered to the member below. Take it over:");
        line("");
        let at = |command: &str| {
            format!(
                "  {kontor} transfer {command} --url https://{} --key-file {} --ca {}",
                layout.node(last, 4000),
                path(&layout.desk_key(amt, "worker")),
                path(&layout.node_dir(amt).join("data/administration/ca.pem"))
            )
        };
        for command in ["list", "do ID accept", "do ID take-over", "notice ID"] {
            line(&at(command));
        }
        line("");
    }
    if let Some(chamber) = layout.members().get(CHAMBER) {
        line(&format!(
            "{} is asked about one of the cases. Answer for it:",
            chamber.name
        ));
        line("");
        line(&format!(
            "  export KONTOR_URL=https://{} KONTOR_KEY_FILE={} KONTOR_CA={}",
            layout.node(CHAMBER, 4000),
            path(&layout.desk_key(chamber, "coordinator")),
            path(&layout.node_dir(chamber).join("data/administration/ca.pem"))
        ));
        for command in [
            "inbox",
            "contribution show ID --language de",
            "contribution do ID acknowledge",
            "contribution draft ID --kind NO_OBJECTION --author Handwerksrolle",
            "contribution do ID submit",
        ] {
            line(&format!("  {kontor} participation {command}"));
        }
        line("");
        if let Some(clock) = layout.training_clock() {
            line(&format!(
                "Or let it be silent: days pass by one clock of cases and deadlines for all members ({}), test nodes only:",
                path(&clock)
            ));
            line("");
            line(&format!(
                "  {kontor} up pass --dir {} --days 20",
                path(&layout.dir)
            ));
            line("");
        }
        line(&format!(
            "See a whole transfer and a whole participation explained step by step: {kontor} tour"
        ));
        line("");
    }
    line(&format!(
        "For scripts: {}. Ctrl-C ends everything.",
        federation_file(&layout.dir).display()
    ));
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::up::layout::Places;

    fn layout() -> Layout {
        Layout {
            dir: "/tmp/k".into(),
            places: Places::Loopback(3),
        }
    }

    fn sample() -> Sample {
        let part = |part: &str, path: &str, name: &str| SamplePart {
            part: part.into(),
            path: path.into(),
            original_name: name.into(),
            media_type: "application/pdf".into(),
        };
        Sample {
            name: "s",
            title: "S".into(),
            transaction_id: "t-1".into(),
            parts: vec![
                part("formData", "/tmp/k/formData.json", "formData.json"),
                part("attachment", "/tmp/a;b/1.pdf", "..\\Pläne\\A & \"B\".pdf"),
            ],
        }
    }

    #[test]
    fn files_and_names_survive_curls_own_quoting() {
        let arguments = send(&layout(), &sample(), None);
        assert!(arguments.contains(&"formData=@/tmp/k/formData.json;type=application/pdf".to_owned()));
        let odd = "attachment=@\"/tmp/a;b/1.pdf\";type=application/pdf;filename=\"..\\\\Pläne\\\\A & \\\"B\\\".pdf\"";
        assert!(arguments.contains(&odd.to_owned()), "{arguments:?}");
    }

    #[test]
    fn scripts_find_absolute_paths_and_addresses_with_a_scheme() {
        let value = federation(&layout(), &[sample()]);
        assert_eq!(value["authority"], "http://127.77.3.1:4080");
        assert_eq!(value["trust"], "/tmp/k/authority/trust");
        assert_eq!(
            value["nodes"][1]["listen"]["federation"],
            "https://127.77.3.12:5500"
        );
        assert_eq!(
            value["nodes"][1]["config"],
            "/tmp/k/beispielsund-fiktiv/node.toml"
        );
        assert_eq!(
            value["nodes"][2]["server"],
            "TEST/COM/hwk-musterkueste-fiktiv/ss3"
        );
        assert_eq!(value["samples"][0]["send"][0], "curl");
        assert_eq!(
            value["samples"][0]["show"][2],
            "http://127.77.3.20:8090/beispielsund-fiktiv/antrag?transactionId=t-1"
        );
    }

    #[test]
    fn a_shell_reads_the_printed_command_as_the_arguments() {
        let arguments = send(&layout(), &sample(), Some("id-1"));
        let script = command(&arguments).replacen("curl", "printf '%s\\n'", 1);
        let ran = std::process::Command::new("sh")
            .arg("-c")
            .arg(script)
            .output()
            .unwrap();
        let printed = String::from_utf8(ran.stdout).unwrap();
        assert_eq!(printed.lines().collect::<Vec<_>>(), arguments[1..]);
    }
}
