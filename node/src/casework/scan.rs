//! The malware scanner: a clamd by its protocol, or a command that reads standard input. Files go by piece by piece and are never
//! whole in memory. Owns what the answers mean; what follows from them is decided elsewhere.

use std::process::Stdio;
use std::time::Duration;

use jiff::Timestamp;
use tokio::io::{AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::process::Command;

use super::row::{ScanRow, Verdict};
use crate::config::casework as settings;
use crate::messagelog::ContentReader;

/// Time for one file.
const PATIENCE: Duration = Duration::from_secs(300);
/// Octets of an answer.
const ANSWER: u64 = 4096;

/// See the module.
pub(super) struct Scanner(settings::Scanner);

impl Scanner {
    pub(super) fn new(settings: &settings::Scanner) -> Self {
        Self(settings.clone())
    }

    /// Whether anything looks.
    pub(super) const fn is_there(&self) -> bool {
        !matches!(self.0, settings::Scanner::None)
    }

    /// Looks into a file.
    pub(super) async fn scan(&self, content: ContentReader, at: Timestamp) -> ScanRow {
        let asked = async {
            match &self.0 {
                settings::Scanner::None => Ok((Verdict::Unscannable, "no scanner is configured".to_owned())),
                settings::Scanner::Clamd(address) => clamd(address, content).await,
                settings::Scanner::Command(command) => by_command(command, content).await,
            }
        };
        let (verdict, detail) = match tokio::time::timeout(PATIENCE, asked).await {
            Ok(Ok(said)) => said,
            Ok(Err(error)) => (Verdict::Error, error),
            Err(_) => (Verdict::Error, "the scanner did not answer in time".to_owned()),
        };
        ScanRow {
            verdict,
            detail: detail.chars().filter(|c| !c.is_control()).take(200).collect(),
            at,
        }
    }
}

/// Hands the pieces of a file on, framed as the reader wants it.
async fn hand_on(
    mut content: ContentReader,
    to: &mut (impl AsyncWrite + Unpin),
    framed: bool,
) -> Result<(), String> {
    while let Some(piece) = content.next().await.map_err(|error| error.to_string())? {
        if framed {
            let length = u32::try_from(piece.len()).unwrap_or(u32::MAX);
            to.write_all(&length.to_be_bytes())
                .await
                .map_err(|error| error.to_string())?;
        }
        to.write_all(&piece).await.map_err(|error| error.to_string())?;
    }
    Ok(())
}

async fn clamd(address: &str, content: ContentReader) -> Result<(Verdict, String), String> {
    let said = |error: std::io::Error| format!("clamd at {address}: {error}");
    let mut stream = TcpStream::connect(address).await.map_err(said)?;
    stream.write_all(b"zINSTREAM\0").await.map_err(said)?;
    // A limit of clamd's ends the stream early; its answer says so.
    let sent = hand_on(content, &mut stream, true).await;
    let ended = stream.write_all(&[0; 4]).await;
    let mut answer = Vec::new();
    stream.take(ANSWER).read_to_end(&mut answer).await.map_err(said)?;
    let answer = String::from_utf8_lossy(&answer);
    let answer = answer
        .trim_end_matches('\0')
        .trim()
        .trim_start_matches("stream: ");
    match answer {
        "OK" => {
            sent?;
            ended.map_err(said)?;
            Ok((Verdict::Clean, String::new()))
        }
        found if found.ends_with(" FOUND") => {
            Ok((Verdict::Infected, found.trim_end_matches(" FOUND").to_owned()))
        }
        limit if limit.contains("size limit exceeded") => Ok((Verdict::Unscannable, limit.to_owned())),
        "" => Err(sent
            .err()
            .unwrap_or_else(|| format!("clamd at {address} said nothing"))),
        other => Err(other.to_owned()),
    }
}

async fn by_command(command: &[String], content: ContentReader) -> Result<(Verdict, String), String> {
    let [program, arguments @ ..] = command else {
        return Err("the scanner has no command".to_owned());
    };
    let mut child = Command::new(program)
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .kill_on_drop(true)
        .spawn()
        .map_err(|error| format!("{program}: {error}"))?;
    let (stdin, stdout) = (child.stdin.take(), child.stdout.take());
    let feed = async {
        if let Some(mut stdin) = stdin {
            // A scanner that has seen enough closes its end.
            let _ = hand_on(content, &mut stdin, false).await;
        }
    };
    let read = async {
        let mut said = Vec::new();
        if let Some(stdout) = stdout {
            let _ = stdout.take(ANSWER).read_to_end(&mut said).await;
        }
        String::from_utf8_lossy(&said).trim().to_owned()
    };
    let ((), said, ended) = tokio::join!(feed, read, child.wait());
    match ended.map_err(|error| error.to_string())?.code() {
        Some(0) => Ok((Verdict::Clean, String::new())),
        Some(1) => Ok((Verdict::Infected, said)),
        Some(2) => Ok((Verdict::Unscannable, said)),
        code => Err(format!("{program} ended with {code:?}: {said}")),
    }
}
