//! `kontor up` as its user meets it: the real program in a directory of its own, judged from outside.

#![expect(clippy::unwrap_used, reason = "a test that cannot run the program has failed")]

use std::io::Read;
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use kontor_pki::crypto::sha256;
use rustix::process::{Pid, Signal, kill_process};
use serde_json::{Value, json};

/// Far more than it needs: the machine may be busy with other tests.
const PATIENCE: Duration = Duration::from_secs(60);

/// One federation at a time: another would take the addresses that are seen to become free.
static ONE: Mutex<()> = Mutex::new(());

struct Up {
    dir: PathBuf,
    process: Child,
}

impl Up {
    fn start(dir: &Path) -> Self {
        let process = Command::new(env!("CARGO_BIN_EXE_kontor"))
            .args(["up", "--dir"])
            .arg(dir)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        Self {
            dir: dir.to_owned(),
            process,
        }
    }

    /// Waits for `federation.json`.
    fn ready(&mut self) -> Value {
        let file = self.dir.join("federation.json");
        let started = Instant::now();
        while !file.exists() {
            if let Some(status) = self.process.try_wait().unwrap() {
                let (out, err) = self.output();
                panic!("kontor up ended ({status}) before it was ready:\n{out}\n{err}");
            }
            assert!(started.elapsed() < PATIENCE, "kontor up is not ready");
            std::thread::sleep(Duration::from_millis(20));
        }
        serde_json::from_slice(&std::fs::read(file).unwrap()).unwrap()
    }

    /// What it printed; call after its end.
    fn output(&mut self) -> (String, String) {
        let (mut out, mut err) = (String::new(), String::new());
        self.process
            .stdout
            .take()
            .unwrap()
            .read_to_string(&mut out)
            .unwrap();
        self.process
            .stderr
            .take()
            .unwrap()
            .read_to_string(&mut err)
            .unwrap();
        (out, err)
    }

    fn signal(&self, signal: Signal) {
        kill_process(Pid::from_child(&self.process), signal).unwrap();
    }
}

impl Drop for Up {
    fn drop(&mut self) {
        // Its children follow by the end of their pipes.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

fn curl_is_missing() -> bool {
    let missing = Command::new("curl").arg("--version").output().is_err();
    if missing {
        eprintln!("SKIPPED: sending through `kontor up` needs curl");
    }
    missing
}

fn run(arguments: &Value) -> String {
    let arguments: Vec<_> = arguments
        .as_array()
        .unwrap()
        .iter()
        .map(|a| a.as_str().unwrap())
        .collect();
    stdout(&Command::new(arguments[0]).args(&arguments[1..]).output().unwrap())
}

fn stdout(output: &Output) -> String {
    assert!(output.status.success(), "{output:?}");
    String::from_utf8(output.stdout.clone()).unwrap()
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|b| format!("{b:02x}")).collect()
}

/// Whether somebody still listens at an address such as `http://127.77.0.11:9100`.
fn is_open(url: &Value) -> bool {
    let address = url.as_str().unwrap().split_once("://").unwrap().1;
    TcpStream::connect_timeout(&address.parse().unwrap(), Duration::from_millis(200)).is_ok()
}

fn all_end(federation: &Value) {
    let started = Instant::now();
    let nodes = federation["nodes"].as_array().unwrap();
    let urls = nodes
        .iter()
        .map(|n| &n["listen"]["health"])
        .chain([&federation["authority"]]);
    for url in urls {
        while is_open(url) {
            assert!(
                started.elapsed() < Duration::from_secs(10),
                "{url} outlives kontor up"
            );
            std::thread::sleep(Duration::from_millis(20));
        }
    }
}

/// Sends a sample and compares what is stored with what was sent, file by file. Returns the message id.
fn travels(sample: &Value) -> String {
    let sent = run(&sample["send"]);
    assert!(sent.starts_with("HTTP/1.1 200 "), "{sent}");
    assert!(
        sent.to_ascii_lowercase().contains("\r\nx-road-request-hash: "),
        "{sent}"
    );
    let shown: Value = serde_json::from_str(&run(&sample["show"])).unwrap();
    assert_eq!(shown["count"], 1);
    let stored = &shown["applications"][0];
    let folder = Path::new(stored["folder"].as_str().unwrap());
    let arguments = sample["send"]
        .as_array()
        .unwrap()
        .iter()
        .filter_map(|a| a.as_str()?.split_once("=@"));
    let files: Vec<_> = arguments
        .map(|(_, rest)| rest.split(';').next().unwrap())
        .collect();
    let parts = stored["parts"].as_array().unwrap();
    assert_eq!(parts.len(), files.len());
    for (part, file) in parts.iter().zip(files) {
        let sent = hex(&sha256(&std::fs::read(file).unwrap()));
        let kept = hex(&sha256(
            &std::fs::read(folder.join(part["file"].as_str().unwrap())).unwrap(),
        ));
        assert_eq!(kept, sent, "{file}");
        assert_eq!(part["sha256"], kept.as_str());
    }
    let head = sent.to_ascii_lowercase();
    let at = head.find("\r\nx-road-id: ").unwrap() + "\r\nx-road-id: ".len();
    sent[at..].split("\r\n").next().unwrap().to_owned()
}

/// Asks for the list of the receiving office through the chamber's node.
fn as_the_chamber(federation: &Value) -> String {
    let (first, chamber) = (&federation["nodes"][0], &federation["nodes"][2]);
    let send = federation["samples"][0]["send"].as_array().unwrap();
    let own = chamber["listen"]["is_http"].as_str().unwrap();
    let url = send
        .last()
        .unwrap()
        .as_str()
        .unwrap()
        .replace(first["listen"]["is_http"].as_str().unwrap(), own);
    let client = format!("X-Road-Client: {}/antrag", chamber["member"].as_str().unwrap());
    run(&serde_json::json!(["curl", "-sS", "-i", "-H", client, url]))
}

fn kontor(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_kontor"))
        .args(arguments)
        .output()
        .unwrap()
}

/// Exports the evidence of one exchange from a node; request and response, in this order.
fn export(node: &Value, query_id: &str, out: &Path) -> Vec<PathBuf> {
    let config = node["config"].as_str().unwrap();
    let (out_text, query) = (out.to_str().unwrap(), ["--query-id", query_id]);
    stdout(&kontor(&[
        "log", "export", "--config", config, query[0], query[1], "--out", out_text,
    ]));
    let mut found: Vec<_> = std::fs::read_dir(out)
        .unwrap()
        .map(|e| e.unwrap().path())
        .collect();
    found.retain(|path| path.extension().is_some_and(|e| e == "asice"));
    found.sort();
    assert_eq!(found.len(), 2, "{found:?}");
    found
}

/// Evidence of both nodes, checked against the authority's own copy of the configuration.
fn evidence_holds(federation: &Value, query_id: &str, dir: &Path) {
    let trust = federation["trust"].as_str().unwrap();
    let nodes = federation["nodes"].as_array().unwrap();
    let mut containers = Vec::new();
    for node in &nodes[..2] {
        containers.extend(export(
            node,
            query_id,
            &dir.join(node["server"].as_str().unwrap().replace('/', "-")),
        ));
    }
    let mut arguments = vec!["verify", "--trust", trust];
    arguments.extend(containers.iter().map(|path| path.to_str().unwrap()));
    let judged = kontor(&arguments);
    assert_eq!(judged.status.code(), Some(0), "{judged:?}");

    let damaged = dir.join("damaged.asice");
    let mut bytes = std::fs::read(&containers[0]).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    std::fs::write(&damaged, bytes).unwrap();
    let judged = kontor(&["verify", "--trust", trust, damaged.to_str().unwrap()]);
    assert_eq!(judged.status.code(), Some(1), "{judged:?}");
}

/// A node's messages of one exchange are erased on an order; what is left of them is exported, in files and in a package, and
/// judged offline.
fn erased_messages_are_still_accounted_for(federation: &Value, query_id: &str, dir: &Path) {
    let (node, trust) = (&federation["nodes"][0], federation["trust"].as_str().unwrap());
    let config = ["--config", node["config"].as_str().unwrap()];
    let on_log = |command: &str, more: &[&str]| {
        let arguments = [&["log", command], &config[..], more].concat();
        stdout(&kontor(&arguments))
    };
    let found = on_log("search", &["--query-id", query_id, "--json"]);
    let numbers: Vec<u64> = found
        .lines()
        .filter_map(|line| serde_json::from_str::<Value>(line).ok()?["number"].as_u64())
        .collect();
    assert_eq!(numbers.len(), 2, "{found}");
    let ground = ["--ground", "to try it", "--yes"];
    on_log("purge", &[&["--query-id", query_id], &ground[..]].concat());

    let (out, package) = (dir.join("erased"), dir.join("erased.zip"));
    let (out, package) = (out.to_str().unwrap(), package.to_str().unwrap());
    for number in &numbers {
        let id = number.to_string();
        // Soon after its start a node has nobody yet who answers for its log.
        let started = Instant::now();
        while on_log("export", &["--id", &id, "--out", out, "--json"]).contains("not bound") {
            assert!(started.elapsed() < PATIENCE, "nobody answers for the log");
            std::thread::sleep(Duration::from_millis(50));
        }
        let file = Path::new(out).join(format!("entry-{number}.statement.json"));
        let text = std::fs::read_to_string(&file).unwrap();
        assert!(!text.contains(query_id));
        let judged = kontor(&["verify", "--trust", trust, file.to_str().unwrap()]);
        assert_eq!(judged.status.code(), Some(0), "{judged:?}");
        assert!(String::from_utf8_lossy(&judged.stdout).contains("deleted under rule `order`"));

        let mut changed: Value = serde_json::from_str(&text).unwrap();
        changed["deletions"] = serde_json::json!([]);
        std::fs::write(&file, changed.to_string()).unwrap();
        let judged = kontor(&["verify", "--trust", trust, file.to_str().unwrap()]);
        assert_eq!(judged.status.code(), Some(2), "nothing explains it: {judged:?}");
    }
    on_log(
        "export",
        &[
            "--id",
            &numbers[0].to_string(),
            "--package",
            package,
            "--language",
            "de",
        ],
    );
    let judged = kontor(&["verify", "--trust", trust, package]);
    assert_eq!(judged.status.code(), Some(0), "{judged:?}");
}

/// A command of `kontor` at a member's desk, with the key of this principal.
fn at_desk(node: &Value, principal: &str, arguments: &[&str]) -> Output {
    let key = Path::new(node["desk"].as_str().unwrap()).join(format!("{principal}.key"));
    Command::new(env!("CARGO_BIN_EXE_kontor"))
        .args(arguments)
        .env("KONTOR_URL", node["listen"]["administration"].as_str().unwrap())
        .env("KONTOR_KEY_FILE", key)
        .env("KONTOR_CA", node["ca"].as_str().unwrap())
        .output()
        .unwrap()
}

/// The same, with an answer in JSON.
fn json_at_desk(node: &Value, principal: &str, arguments: &[&str]) -> Value {
    let output = at_desk(node, principal, &[arguments, &["--json"]].concat());
    serde_json::from_str(&stdout(&output)).unwrap()
}

/// Waits until a request looks as it is wanted.
fn request_until(node: &Value, id: &str, wanted: impl Fn(&Value) -> bool) -> Value {
    shown_until(node, "worker", &["participation", "request", "show", id], wanted)
}

/// Waits until a command shows what is wanted.
fn shown_until(node: &Value, who: &str, command: &[&str], wanted: impl Fn(&Value) -> bool) -> Value {
    let started = Instant::now();
    loop {
        let page = json_at_desk(node, who, command);
        if wanted(&page) {
            return page;
        }
        assert!(started.elapsed() < PATIENCE, "not in time: {page}");
        std::thread::sleep(Duration::from_millis(50));
    }
}

/// The health command of authority and nodes, as a container engine runs it.
fn say_that_they_are(federation: &Value, dir: &Path, ready: bool) {
    let authority = dir.join("authority/authority.toml");
    let nodes = federation["nodes"].as_array().unwrap();
    let mut files = vec![("authority", authority.to_str().unwrap())];
    files.extend(
        nodes
            .iter()
            .map(|node| ("node", node["config"].as_str().unwrap())),
    );
    for (kind, file) in files {
        let said = kontor(&[kind, "health", "--config", file]);
        assert_eq!(said.status.success(), ready, "{said:?}");
        if !ready {
            let reason = String::from_utf8_lossy(&said.stderr);
            assert!(reason.contains("does not answer"), "{reason}");
            continue;
        }
        assert!(String::from_utf8_lossy(&said.stdout).starts_with("ready\n"));
        let said = stdout(&kontor(&[kind, "health", "--config", file, "--json"]));
        let said: Value = serde_json::from_str(&said).unwrap();
        assert_eq!(said["ready"], true, "{said}");
    }
}

#[test]
fn applications_travel_and_everything_ends_with_up_however_it_ends() {
    let _one = ONE.lock().unwrap_or_else(PoisonError::into_inner);
    let dir = tempfile::tempdir().unwrap();
    let mut up = Up::start(dir.path());
    let federation = up.ready();
    assert!(
        Path::new(federation["trust"].as_str().unwrap())
            .join("TEST/shared-params.xml")
            .exists()
    );
    say_that_they_are(&federation, dir.path(), true);
    let samples = federation["samples"].as_array().unwrap();
    assert_eq!(samples.len(), 4);
    let curl = !curl_is_missing();
    if curl {
        for sample in samples {
            let query_id = travels(sample);
            let out = dir.path().join("evidence").join(&query_id);
            evidence_holds(&federation, &query_id, &out);
            if sample == &samples[0] {
                erased_messages_are_still_accounted_for(&federation, &query_id, dir.path());
            }
        }
        // The same application once more is the same application.
        travels(&samples[0]);
        assert!(as_the_chamber(&federation).contains("access_denied"));
    }
    up.signal(Signal::KILL);
    up.process.wait().unwrap();
    all_end(&federation);
    say_that_they_are(&federation, dir.path(), false);

    std::fs::remove_file(dir.path().join("federation.json")).unwrap();
    let mut up = Up::start(dir.path());
    let federation = up.ready();
    if curl {
        let shown = run(&federation["samples"][3]["show"]);
        assert!(
            shown.contains("\"count\": 1"),
            "what was stored survives a restart: {shown}"
        );
    }
    up.signal(Signal::TERM);
    let status = up.process.wait().unwrap();
    let (out, err) = up.output();
    assert!(status.success(), "{status}\n{out}\n{err}");
    assert!(out.contains("curl -sS -i"), "{out}");
    all_end(&federation);
}

#[test]
fn the_chamber_is_asked_at_once_and_answers_from_the_command_line() {
    let _one = ONE.lock().unwrap_or_else(PoisonError::into_inner);
    let dir = tempfile::tempdir().unwrap();
    let refused = kontor(&["up", "pass", "--dir", dir.path().to_str().unwrap(), "--days", "1"]);
    let said = String::from_utf8_lossy(&refused.stderr);
    assert!(
        !refused.status.success() && said.contains("holds no federation"),
        "{said}"
    );

    let mut up = Up::start(dir.path());
    let federation = up.ready();
    let (town, chamber) = (&federation["nodes"][0], &federation["nodes"][2]);
    // A busy machine may need longer for it than the command waits.
    let inbox = shown_until(chamber, "coordinator", &["participation", "inbox"], |inbox| {
        inbox["requests"][0]["deadline"].is_object()
    });
    let asked = &inbox["requests"][0];
    assert_eq!(inbox["counts"], serde_json::json!({ "DELIVERED": 1 }), "{inbox}");
    let id = asked["id"].as_str().unwrap();
    let show = ["participation", "contribution", "show", id];
    shown_until(chamber, "coordinator", &show, |page| {
        page["bundles"][0]["complete"] == true
    });
    let show = ["participation", "contribution", "show", id, "--language", "de"];
    let said = stdout(&at_desk(chamber, "coordinator", &show));
    for wanted in [
        "Handwerksrolle",
        "§ 14 Abs. 8 GewO",
        "HWK 1",
        "§ 187 Abs. 1 BGB",
        "Schweigen hat keine Rechtsfolge.",
        "acknowledge (coordinator)",
    ] {
        assert!(said.contains(wanted), "{wanted} is missing in:\n{said}");
    }
    // What the list of the class does not name is not there.
    assert!(
        !said.contains("geburtsdatum") && !said.contains("1987-02-28"),
        "{said}"
    );

    // A specialist sees what is assigned; whoever wants what is not possible is told what is.
    let unassigned = at_desk(chamber, "specialist", &show);
    let said = String::from_utf8_lossy(&unassigned.stderr);
    assert!(
        !unassigned.status.success() && said.contains("(not_found)"),
        "{said}"
    );
    let early = at_desk(town, "worker", &["participation", "request", "do", id, "notify"]);
    let said = String::from_utf8_lossy(&early.stderr);
    assert!(
        said.contains("(illegal_for_state)") && said.contains("extend"),
        "{said}"
    );

    let contribution = |command: &str, more: &[&str]| {
        let arguments = [&["participation", "contribution", command, id], more].concat();
        stdout(&at_desk(chamber, "coordinator", &arguments))
    };
    contribution("do", &["acknowledge", "--reference", "HWK-17"]);
    let drafted = contribution(
        "draft",
        &[
            "--kind",
            "STATEMENT",
            "--author",
            "Handwerksrolle",
            "--point",
            "Eintragung=Der Betriebsleiter ist eingetragen.",
            "--condition",
            "1=Handwerkskarte nachreichen",
        ],
    );
    assert!(drafted.contains("submit (coordinator)"), "{drafted}");
    contribution("do", &["submit"]);
    let page = request_until(town, id, |page| page["state"] == "SUBMITTED");
    assert_eq!(page["statements"][0]["in_time"], true);
    assert_eq!(page["reference"], "HWK-17");
    let round = page["round"].as_str().unwrap();
    let lines = |id: &str| stdout(&at_desk(town, "worker", &["participation", "messages", id]));
    assert_eq!(
        lines(id),
        lines(round),
        "a round with one request has its messages"
    );
    assert!(lines(id).lines().count() >= 4, "{}", lines(id));

    let dir_text = dir.path().to_str().unwrap();
    let passed = stdout(&kontor(&[
        "up", "pass", "--dir", dir_text, "--days", "20", "--json",
    ]));
    let passed: Value = serde_json::from_str(&passed).unwrap();
    assert_eq!(passed["ahead_days"], 20);
    let listed = stdout(&at_desk(town, "worker", &["participation", "requests"]));
    assert!(listed.contains("SUBMITTED 1"), "{listed}");

    up.signal(Signal::TERM);
    up.process.wait().unwrap();
    let (out, _) = up.output();
    for wanted in ["participation inbox", "up pass --dir"] {
        assert!(out.contains(wanted), "{wanted} is missing in:\n{out}");
    }
}

#[test]
fn a_child_that_dies_is_named_with_the_end_of_its_log() {
    let _one = ONE.lock().unwrap_or_else(PoisonError::into_inner);
    let dir = tempfile::tempdir().unwrap();
    let mut up = Up::start(dir.path());
    let federation = up.ready();
    let config = federation["nodes"][1]["config"].as_str().unwrap();
    let victim = process_with(config).expect("the node runs");
    kill_process(victim, Signal::KILL).unwrap();
    let status = up.process.wait().unwrap();
    let (_, err) = up.output();
    assert_eq!(status.code(), Some(1), "{err}");
    assert!(
        err.contains("beispielsund-fiktiv") && err.contains("node started"),
        "{err}"
    );
    all_end(&federation);
}

/// The process that has this argument.
fn process_with(argument: &str) -> Option<Pid> {
    for entry in std::fs::read_dir("/proc").unwrap().flatten() {
        let Ok(pid) = entry.file_name().to_string_lossy().parse::<i32>() else {
            continue;
        };
        let Ok(command) = std::fs::read(entry.path().join("cmdline")) else {
            continue;
        };
        if command.split(|b| *b == 0).any(|a| a == argument.as_bytes()) {
            return Pid::from_raw(pid);
        }
    }
    None
}

#[test]
fn the_tour_plays_a_transfer_and_a_participation_and_the_evidence_of_both_holds() {
    let _one = ONE.lock().unwrap_or_else(PoisonError::into_inner);
    for (language, told) in [
        (
            "de",
            [
                "Zuständig ist TEST/GOV/amt-musterau-fiktiv seit",
                "6. Eine Unterlage",
                "dieser Tag zählt nicht mit (§ 187 Abs. 1 BGB)",
                "darf davon ausgegangen werden, dass keine Bedenken bestehen",
                "Das Tiefbauamt schweigt.",
            ],
        ),
        (
            "en",
            [
                "TEST/GOV/amt-musterau-fiktiv is responsible since",
                "6. A document",
                "that day is not counted (§ 187(1) BGB)",
                "it may be assumed that there are no objections",
                "The civil-engineering unit is silent.",
            ],
        ),
    ] {
        let temporary = tempfile::tempdir().unwrap();
        let dir = temporary.path().join("tour");
        let output = Command::new(env!("CARGO_BIN_EXE_kontor"))
            .args(["tour", "--yes", "--language", language, "--dir"])
            .arg(&dir)
            .stdin(Stdio::null())
            .output()
            .unwrap();
        let said = stdout(&output);
        let valid = ["evidence.zip: VALID", "participation.zip: VALID"];
        for wanted in told.into_iter().chain(valid) {
            assert!(said.contains(wanted), "{wanted} is missing in:\n{said}");
        }
        let lines_of = |package: &Path| -> Vec<Value> {
            let verified = kontor(&["verify", package.to_str().unwrap(), "--json"]);
            let lines = String::from_utf8_lossy(&verified.stdout).into_owned();
            lines
                .lines()
                .map(|line| serde_json::from_str(line).unwrap())
                .collect()
        };
        let package = dir.join("evidence.zip");
        let lines = lines_of(&package);
        let course = lines.iter().find(|line| line["kind"] == "transfer").unwrap();
        assert_eq!(course["ending"], "TAKEN_OVER");
        let differently = kontor_conformance::transfers::opinions::differently(course, &package);
        assert_eq!(differently.unwrap(), None);
        let lines = lines_of(&dir.join("participation.zip"));
        let of = |kind: &str| {
            lines
                .iter()
                .filter(|line| line["kind"] == kind)
                .collect::<Vec<_>>()
        };
        let (requests, rounds) = (of("participation"), of("round"));
        assert_eq!(rounds.len(), 1);
        assert_eq!(rounds[0]["requests"].as_array().unwrap().len(), requests.len());
        assert!(!requests.is_empty());
        for request in requests {
            assert_eq!(request["asked"]["round"], rounds[0]["round"]);
            assert_eq!(
                (&request["contradictions"], &request["missing"]),
                (&json!([]), &json!([]))
            );
        }
    }
}
