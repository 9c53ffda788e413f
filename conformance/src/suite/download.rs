//! Evidence that information systems fetch from their own node (wire 6.7).

use std::io::{Cursor, Read};
use std::net::SocketAddr;
use std::path::Path;

use anyhow::{Context, Result, ensure};
use http_body_util::Full;

use super::{World, cases, fresh, is_served};
use crate::evidence;
use crate::plan::INSTANCE;
use crate::wire::http::{self, Answer};
use crate::wire::tls::{self, Identity};

cases! {
    quick DOWNLOAD_ASIC => containers;
    quick DOWNLOAD_REFUSED => refused;
    quick DOWNLOAD_IDENTITY => identity;
    quick DOWNLOAD_CONFIGURATION => configuration;
    quick DOWNLOAD_PACKAGE => package;
}

fn path(member: &str, subsystem: &str, id: &str, more: &str) -> String {
    format!(
        "/asic?xRoadInstance={INSTANCE}&memberClass=GOV&memberCode={member}&subsystemCode={subsystem}&queryId={id}{more}"
    )
}

async fn get(target: SocketAddr, path: &str) -> Result<Answer> {
    http::get(target, path).await
}

fn is_text(answer: &Answer, status: u16) -> Result<()> {
    let said = String::from_utf8_lossy(&answer.body);
    ensure!(
        answer.status.as_u16() == status,
        "status {} instead of {status}: {said}",
        answer.status
    );
    let plain = answer
        .header("content-type")
        .is_some_and(|value| value.starts_with("text/plain"));
    ensure!(
        plain && said.trim().len() > 10,
        "no sentence in plain text: {said}"
    );
    Ok(())
}

fn unpack(bytes: &[u8], out: &Path) -> Result<Vec<String>> {
    let mut archive = zip::ZipArchive::new(Cursor::new(bytes))?;
    let mut names = Vec::new();
    for index in 0..archive.len() {
        let mut entry = archive.by_index(index)?;
        let name = entry.name()?.into_owned();
        let mut bytes = Vec::new();
        entry.read_to_end(&mut bytes)?;
        let path = out.join(&name);
        if let Some(dir) = path.parent() {
            std::fs::create_dir_all(dir)?;
        }
        std::fs::write(path, bytes)?;
        names.push(name);
    }
    Ok(names)
}

async fn exchange(world: &World, id: &str, body: &str) -> Result<()> {
    let path = world.at_beta("intake", "/echo");
    is_served(&world.send_with("POST", &path, id, body.to_owned()).await?)
}

async fn containers(world: &World) -> Result<()> {
    let id = fresh("asic");
    exchange(world, &id, &"ein Antrag".repeat(20_000)).await?;
    let (out, subject) = (tempfile::tempdir()?, world.federation.subject());
    let sides = [(world.alpha(), "1001"), (world.beta(), "1002")];
    for (node, member) in sides {
        let all = get(node.is_http(), &path(member, "antrag", &id, "&force")).await?;
        ensure!(
            all.status.as_u16() == 200 && all.header("content-type") == Some("application/zip"),
            "{}: status {}: {}",
            node.name(),
            all.status,
            String::from_utf8_lossy(&all.body)
        );
        let disposition = all.header("content-disposition").unwrap_or_default();
        ensure!(
            disposition.contains(&format!("\"{id}.zip\"")),
            "the file is called {disposition}"
        );
        let dir = out.path().join(member);
        std::fs::create_dir(&dir)?;
        let names = unpack(&all.body, &dir)?;
        ensure!(
            names.len() == 2
                && names[0].starts_with(&format!("{id}-request-"))
                && names[1].starts_with(&format!("{id}-response-"))
                && names.iter().all(|name| name.ends_with(".asice")),
            "containers are {names:?}"
        );
        for container in evidence::containers(&dir)? {
            let verdict = evidence::verify(subject, &container, &node.trust()).await?;
            ensure!(verdict.verdict == "valid", "{}", verdict.said.out);
        }
        // One alone is the container itself, under the name it has in the ZIP file.
        let one = path(member, "antrag", &id, "&responseOnly&unique");
        let one = get(node.is_http(), &one).await?;
        ensure!(
            one.header("content-type") == Some("application/vnd.etsi.asic-e+zip"),
            "content type is {:?}: {}",
            one.header("content-type"),
            String::from_utf8_lossy(&one.body)
        );
        let disposition = one.header("content-disposition").unwrap_or_default();
        ensure!(
            disposition.contains(&format!("\"{}\"", names[1])),
            "the file is called {disposition}"
        );
        let container = out.path().join(format!("{member}.asice"));
        std::fs::write(&container, &one.body)?;
        let verdict = evidence::verify(subject, &container, &node.trust()).await?;
        ensure!(verdict.verdict == "valid", "{}", verdict.said.out);
        let requests = get(node.is_http(), &path(member, "antrag", &id, "&requestOnly")).await?;
        ensure!(
            zip::ZipArchive::new(Cursor::new(&requests.body[..]))?.len() == 1,
            "requestOnly gives more than the request"
        );
        let said = looks(world, node).await?;
        ensure!(said >= 3, "{} recorded {said} looks", node.name());
    }
    Ok(())
}

/// How many looks the log of a node knows.
async fn looks(world: &World, node: &crate::federation::Node) -> Result<usize> {
    let arguments = [
        "log".as_ref(),
        "search".as_ref(),
        "--config".as_ref(),
        node.config().as_os_str(),
        "--kind".as_ref(),
        "look".as_ref(),
        "--json".as_ref(),
    ];
    let said = world.federation.subject().run(arguments).await?;
    Ok(said.out.lines().filter(|line| line.starts_with('{')).count())
}

async fn refused(world: &World) -> Result<()> {
    let id = fresh("asic-refused");
    exchange(world, &id, "ein Antrag").await?;
    let at = world.alpha().is_http();
    for (what, path, status) in [
        ("no parameter", "/asic".to_owned(), 400),
        ("no query id", path("1001", "antrag", "", ""), 400),
        (
            "both sides at once",
            path("1001", "antrag", &id, "&requestOnly&responseOnly"),
            400,
        ),
        ("unique of two", path("1001", "antrag", &id, "&unique"), 400),
        (
            "unknown exchange",
            path("1001", "antrag", &fresh("never"), "&force"),
            404,
        ),
        // Another client of the same server does not see them.
        ("of another client", path("1001", "other", &id, "&force"), 404),
        ("unknown client", path("1001", "nirgends", &id, "&force"), 401),
        (
            "client of another server",
            path("1002", "antrag", &id, "&force"),
            401,
        ),
    ] {
        is_text(&get(at, &path).await?, status).with_context(|| what.to_owned())?;
    }
    let request = hyper::Request::post(path("1001", "antrag", &id, ""))
        .header("host", at.to_string())
        .body(Full::default())?;
    let answer = http::once(at, None, request).await?;
    ensure!(
        answer.header("content-type") != Some("application/zip"),
        "evidence is given out to a POST"
    );
    Ok(())
}

async fn identity(world: &World) -> Result<()> {
    let id = fresh("asic-identity");
    let alpha = world.alpha();
    let at = async |target: SocketAddr, identity: Option<Option<&Identity>>, client: &str| {
        let config = match identity {
            Some(identity) => Some(tls::client(identity, &[&rustls::version::TLS13])?),
            None => None,
        };
        let request = hyper::Request::get(path("1001", client, &id, "&force"))
            .header("host", target.to_string())
            .body(Full::default())?;
        http::once(target, config, request).await
    };
    for (what, target, identity, client, status) in [
        ("mtls over HTTP", alpha.is_http(), None, "mtls", 401),
        (
            "mtls without certificate",
            alpha.is_https(),
            Some(None),
            "mtls",
            401,
        ),
        (
            "mtls with a foreign certificate",
            alpha.is_https(),
            Some(Some(&world.foreign_is)),
            "mtls",
            401,
        ),
        ("tls over HTTP", alpha.is_http(), None, "tls", 401),
        // Let in, and there is nothing.
        (
            "mtls with its certificate",
            alpha.is_https(),
            Some(Some(&world.known_is)),
            "mtls",
            404,
        ),
        ("tls over HTTPS", alpha.is_https(), Some(None), "tls", 404),
    ] {
        is_text(&at(target, identity, client).await?, status).with_context(|| what.to_owned())?;
    }
    Ok(())
}

async fn configuration(world: &World) -> Result<()> {
    let id = fresh("verificationconf");
    exchange(world, &id, "ein Antrag").await?;
    let (out, alpha) = (tempfile::tempdir()?, world.alpha());
    let answer = get(alpha.is_http(), "/verificationconf").await?;
    ensure!(
        answer.status.as_u16() == 200,
        "status {}: {}",
        answer.status,
        String::from_utf8_lossy(&answer.body)
    );
    let names = unpack(&answer.body, out.path())?;
    for name in [
        format!("verificationconf/{INSTANCE}/shared-params.xml"),
        format!("verificationconf/{INSTANCE}/shared-params.xml.metadata"),
        "verificationconf/instance-identifier".to_owned(),
    ] {
        ensure!(names.contains(&name), "{name} is missing: {names:?}");
    }
    ensure!(
        !names.iter().any(|name| name.contains("private-params")),
        "private parameters are given out: {names:?}"
    );
    // It is what evidence is judged by.
    let containers = evidence::export(world.federation.subject(), alpha, &id, out.path()).await?;
    let trust = out.path().join("verificationconf");
    for container in containers {
        let verdict = evidence::verify(world.federation.subject(), &container, &trust).await?;
        ensure!(verdict.verdict == "valid", "{}", verdict.said.out);
    }
    Ok(())
}

async fn package(world: &World) -> Result<()> {
    let id = fresh("package");
    exchange(world, &id, "ein Antrag").await?;
    let (out, subject) = (tempfile::tempdir()?, world.federation.subject());
    let file = out.path().join("beweis.zip");
    let export = async |query_id: &str, file: &Path| {
        let arguments = [
            "log".as_ref(),
            "export".as_ref(),
            "--config".as_ref(),
            world.beta().config().as_os_str(),
            "--query-id".as_ref(),
            query_id.as_ref(),
            "--package".as_ref(),
            file.as_os_str(),
            "--language".as_ref(),
            "de".as_ref(),
        ];
        subject.run(arguments).await
    };
    let said = export(&id, &file).await?;
    ensure!(
        said.code == Some(0),
        "exit code {:?}: {}{}",
        said.code,
        said.out,
        said.err
    );
    let names = unpack(&std::fs::read(&file)?, out.path())?;
    let containers = names.iter().filter(|name| name.ends_with(".asice")).count();
    ensure!(
        containers == 2 && !names.iter().any(|name| name.contains("private-params")),
        "the package holds {names:?}"
    );
    let cover = std::fs::read_to_string(out.path().join("cover.html"))?;
    ensure!(cover.contains("lang=\"de\""), "the cover sheet is not in German");
    let verdict = evidence::verify(subject, &file, &world.beta().trust()).await?;
    ensure!(verdict.verdict == "valid", "{}", verdict.said.out);
    // By its own configuration it fits together, and that is all.
    let own = subject.run(["verify".as_ref(), file.as_os_str()]).await?;
    ensure!(
        own.code == Some(2),
        "exit code {:?} without trust: {}",
        own.code,
        own.out
    );

    let nothing = out.path().join("nichts.zip");
    let said = export(&fresh("never"), &nothing).await?;
    let left = std::fs::read_dir(out.path())?
        .filter_map(Result::ok)
        .any(|entry| entry.file_name().to_string_lossy().starts_with("nichts"));
    ensure!(
        said.code == Some(1) && !left,
        "a package of nothing: {:?}",
        said.code
    );
    Ok(())
}
