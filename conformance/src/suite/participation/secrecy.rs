//! What is not disclosed is found nowhere by whoever is asked: not by its interface, not by ids that it guesses, not at its node's disk;
//! and what is taken back is gone, with what had been copied before stated honestly (domain 4.4).

mod case;

use anyhow::{Context, Result, bail, ensure};
use hyper::Method;
use serde_json::{Value, json};

use self::case::Case;
use super::{PURPOSE, Rounds, act, is_here, put, until};
use crate::address::Net;
use crate::desk::{BETA, Desk, multipart, number, settings, text};
use crate::federation::Federation;
use crate::plan::NodePlan;
use crate::suite::transfer::samples::{found, project};
use crate::suite::{Skip, World, cases};

cases! {
    slow PARTICIPATION_SECRECY => secrecy;
}

/// Everything that a participant's way in answers about a request and what it tries besides, as one text.
async fn everything(desk: &Desk, subject: &str, files: &[Value], shown: &[&str]) -> Result<String> {
    let mut all = String::new();
    for path in [subject, "/api/v1/contributions?everything=true"] {
        let answer = desk.send(Method::GET, path, None, "", Vec::new()).await?;
        // What a refusal does not say proves nothing; only a guest has no list.
        let is_told = match answer.status.as_u16() {
            200 => true,
            401 => path != subject && subject.starts_with("/guest/"),
            _ => false,
        };
        ensure!(is_told, "{path}: {}", answer.status);
        all.push_str(&String::from_utf8_lossy(&answer.body));
    }
    for file in files {
        let id = text(file, "file_id")?;
        for query in ["", "?copy=true"] {
            let path = format!("{subject}/files/{id}{query}");
            let answer = desk.send(Method::GET, &path, None, "", Vec::new()).await?;
            match (shown.contains(&id), answer.status.as_u16()) {
                // No copy is handed out of what may be seen only.
                (true, 403) if query.is_empty() => bail!("{path} is shown, and refused"),
                (true, 200 | 403) => all.push_str(&String::from_utf8_lossy(&answer.body)),
                (false, 404) => {
                    let page: Value = serde_json::from_slice(&answer.body)?;
                    ensure!(page["code"] == "file_not_disclosed", "{path}: {page}");
                    // The id stands in its own refusal at most.
                    all.push_str(&page.to_string().replace(id, ""));
                }
                (shown, status) => bail!("{path}: {status}, shown: {shown}"),
            }
        }
    }
    Ok(all)
}

fn nothing_of(all: &str, hidden: &[String], whose: &str) -> Result<()> {
    let seen: Vec<&String> = hidden.iter().filter(|word| all.contains(word.as_str())).collect();
    ensure!(seen.is_empty(), "{whose} comes across {seen:?}");
    Ok(())
}

async fn secrecy(world: &World) -> Result<()> {
    if !project().join("node/samples").exists() {
        return Err(Skip("the project's samples are not beside this suite".into()).into());
    }
    let net = Net::claim().await?;
    let federation = Federation::builder(&net)
        .node(NodePlan::new("alpha", "1001").casework(&settings("010030000000", "")))
        .node(NodePlan::new("beta", "1002").casework(&settings("010020000000", "")))
        .group("KONTOR", &[("1001", "KONTOR"), ("1002", "KONTOR")])
        .start(world.federation.subject())
        .await?;
    let here = Desk::at(federation.node("alpha"));
    let there = Desk::at(federation.node("beta")).of("coordinator");
    by_list(&federation, &here, &there).await?;
    taken_back(&federation, &here, &there).await?;
    of_each_other(&federation, &here).await
}

/// A request that is released and sent.
async fn sent(here: &Desk, case: &str, profile: &str, wishes: &[Value]) -> Result<Vec<String>> {
    let rounds = Rounds { here };
    let round = text(&rounds.prepare(case, profile).await?, "id")?.to_owned();
    let mut ids = Vec::new();
    for wish in wishes {
        let request = rounds.ask(&round, wish).await?;
        ids.push(text(&request, "id")?.to_owned());
    }
    for id in &ids {
        act(
            &here.of("releaser"),
            &format!("/api/v1/requests/{id}"),
            "approve",
            &json!({}),
        )
        .await?;
    }
    rounds.round(&round, "open", &json!({})).await?;
    Ok(ids)
}

/// The chamber gets by the list of its class what that has, and learns no more than the list's name.
async fn by_list(federation: &Federation, here: &Desk, there: &Desk) -> Result<()> {
    let case = Case::of(here, "gewerbeanmeldung").await?;
    let wish = json!({
        "to": BETA, "class": "CHAMBER", "rule": { "kind": "weeks", "n": 4 },
        "disclosure": { "recipient_class": "HWK", "purpose": PURPOSE, "legal_basis": "§ 14 Abs. 8 GewO (fiktiv)" },
    });
    let ids = sent(here, &case.id, "AMTSHILFE", &[wish]).await?;
    let ours = here.get(&format!("/api/v1/requests/{}", ids[0])).await?;
    let parts: Vec<Vec<usize>> = ours["disclosure"]["parts"]
        .as_array()
        .into_iter()
        .flatten()
        .map(|part| serde_json::from_value(part["at"].clone()).context("a place"))
        .collect::<Result<_>>()?;
    let files: Vec<&str> = ours["disclosure"]["files"]
        .as_array()
        .into_iter()
        .flatten()
        .filter_map(|file| file["file_id"].as_str())
        .collect();
    ensure!(parts.len() == 5, "{}", ours["disclosure"]);
    let theirs = format!("/api/v1/contributions/{}", ids[0]);
    let page = until(there, &theirs, is_here).await?;
    let sheet = &page["received"][0]["letter"]["document"];
    ensure!(
        sheet["filter"]["code"] == "HWK" && sheet["more"].is_null(),
        "a list that filters says its name and no count: {sheet}"
    );
    ensure!(
        sheet.to_string().contains("Zimmerer-Handwerk") && sheet.to_string().contains("Țurcanu-Weiß"),
        "what the list has is there: {sheet}"
    );
    let hidden = case.hidden("hwk", &parts, &files)?;
    nothing_of(
        &everything(there, &theirs, &case.files, &files).await?,
        &hidden,
        "the chamber",
    )?;
    // Neither what is hidden nor what is shown lies in clear at either node.
    let mut probes = hidden;
    probes.retain(|word| word.chars().count() > 7);
    let ids = |word: &String| uuid::Uuid::parse_str(word).is_ok();
    let (at_beta, at_alpha) = (
        probes.clone(),
        probes.into_iter().filter(|word| !ids(word)).collect::<Vec<_>>(),
    );
    let content = [
        "Zimmerer-Handwerk".to_owned(),
        "Țurcanu-Weiß".to_owned(),
        "Śliwiński".to_owned(),
    ];
    for (name, probes) in [("alpha", at_alpha), ("beta", at_beta)] {
        let node = federation.node(name);
        let probes = [&probes[..], &content[..]].concat();
        let found = found(node, &probes)?;
        ensure!(found.is_empty(), "in clear at {name}: {found:?}");
    }
    Ok(())
}

/// One file, and then everything, is taken back: gone there, stated, and what had been copied is said with its instant.
async fn taken_back(federation: &Federation, here: &Desk, there: &Desk) -> Result<()> {
    let case = Case::of(here, "bauvoranfrage").await?;
    let (copied, seen) = (
        case.file("Grundriss EG.jpg")?.to_owned(),
        case.file("Baubeschreibung.pdf")?.to_owned(),
    );
    let parts = vec![vec![3], vec![4], vec![5]];
    let places: Vec<Value> = parts
        .iter()
        .map(|at| json!({ "at": at, "right": "VIEW" }))
        .collect();
    let disclosure = json!({
        "parts": places, "purpose": PURPOSE, "legal_basis": "§ 36 BauGB (fiktiv)",
        "files": [{ "file_id": copied, "right": "DOWNLOAD" }, { "file_id": seen, "right": "VIEW" }],
    });
    let wish = json!({ "to": BETA, "class": "MUNICIPALITY", "disclosure": disclosure });
    let ids = sent(here, &case.id, "BAUGB_36", &[wish]).await?;
    let (ours, theirs) = (
        format!("/api/v1/requests/{}", ids[0]),
        format!("/api/v1/contributions/{}", ids[0]),
    );
    let page = until(there, &theirs, is_here).await?;
    let sheet = &page["received"][0]["letter"]["document"];
    ensure!(
        sheet["more"]["files"].as_u64() == Some(case.files.len() as u64 - 2),
        "how many more there are is said: {sheet}"
    );
    let shown = [copied.as_str(), seen.as_str()];
    let hidden = case.hidden("gemeinde", &parts, &shown)?;
    nothing_of(
        &everything(there, &theirs, &case.files, &shown).await?,
        &hidden,
        "the municipality",
    )?;

    let get = async |file: &str| -> Result<(u16, Value)> {
        let path = format!("{theirs}/files/{file}");
        let answer = there.send(Method::GET, &path, None, "", Vec::new()).await?;
        let page = serde_json::from_slice(&answer.body).unwrap_or_default();
        Ok((answer.status.as_u16(), page))
    };
    ensure!(get(&seen).await?.0 == 200, "it is there before it is taken back");
    let stored = octets(federation.node("beta").dir())?;
    act(
        here,
        &ours,
        "revoke-files",
        &json!({ "files": [copied], "reason": "MUST_NOT_LEAVE" }),
    )
    .await?;
    let page = until(here, &ours, |page| page["downloaded"][0].is_object()).await?;
    ensure!(
        page["downloaded"][0]["file_id"] == copied.as_str()
            && page["downloaded"][0]["at"].is_string()
            && page["purge"]["node"] == "done"
            && page["state"] == "DELIVERED",
        "{page}"
    );
    let (status, said) = get(&copied).await?;
    ensure!(
        status == 410 && said["code"] == "file_revoked",
        "{status}: {said}"
    );
    ensure!(get(&seen).await?.0 == 200, "the other file is still there");
    let page = there.get(&theirs).await?;
    let left = page["received"][0]["letter"]["files"].as_array().map(Vec::len);
    ensure!(left == Some(1), "{page}");
    ensure!(
        octets(federation.node("beta").dir())? < stored,
        "nothing was deleted at the disk"
    );

    put(there, &theirs, &json!({ "kind": "CONSENT", "author": "Bauamt" })).await?;
    act(there, &theirs, "submit", &json!({})).await?;
    until(here, &ours, |page| page["state"] == "SUBMITTED").await?;
    act(here, &ours, "revoke", &json!({ "reason": "NO_LONGER_NEEDED" })).await?;
    until(here, &ours, |page| page["state"] == "PURGED").await?;
    let page = until(there, &theirs, |page| page["state"] == "PURGED").await?;
    for file in [&copied, &seen] {
        let (status, said) = get(file).await?;
        ensure!(
            status == 410 && said["code"] == "disclosure_closed",
            "{status}: {said}"
        );
    }
    // What the house wrote itself is still its own; of what was disclosed nothing is left but that it was.
    ensure!(page["received"][0]["letter"].is_null(), "{page}");
    let own = page["sent"]
        .as_array()
        .into_iter()
        .flatten()
        .find(|one| one["kind"] == "statement");
    ensure!(
        own.is_some_and(|one| one["letter"]["document"]["kind"] == "CONSENT"),
        "{page}"
    );
    ensure!(!page.to_string().contains("Neubau Mehrfamilienhaus"), "{page}");
    Ok(())
}

/// Octets of all files below a directory.
fn octets(dir: &std::path::Path) -> Result<u64> {
    let (mut sum, mut waiting) = (0, vec![dir.join("data")]);
    if !waiting[0].exists() {
        waiting = vec![dir.to_owned()];
    }
    while let Some(dir) = waiting.pop() {
        for entry in std::fs::read_dir(&dir)? {
            let path = entry?.path();
            match path.is_dir() {
                true => waiting.push(path),
                false => sum += std::fs::metadata(&path).map_or(0, |it| it.len()),
            }
        }
    }
    Ok(sum)
}

/// Guests and a unit that are asked in one round see nothing of each other, nor the people of the house of what is the guests'.
async fn of_each_other(federation: &Federation, here: &Desk) -> Result<()> {
    let mut case = Case::of(here, "baumfaellung").await?;
    let (expertise, plan, oak) = (
        case.file("Gutachten Ægisdóttir.pdf")?.to_owned(),
        case.file("Lageplan.png")?.to_owned(),
        case.file("Eiche.jpg")?.to_owned(),
    );
    let now = here.get(&format!("/api/v1/cases/{}", case.id)).await?;
    let (kind, body) = multipart(
        None,
        &[(
            "evidence",
            "Gutachten_geschwärzt.pdf",
            b"%PDF-1.7 fiktiv".to_vec(),
        )],
    );
    let path = format!("/api/v1/cases/{}/files?redacts={expertise}", case.id);
    let answer = here
        .send(Method::POST, &path, Some(number(&now, "version")?), &kind, body)
        .await?;
    ensure!(answer.status.as_u16() == 201, "{answer:?}");
    case.list(here).await?;
    let redacted = case.file("Gutachten_geschwärzt.pdf")?.to_owned();
    let wish = |who: Value, parts: &[Vec<usize>], files: &[&str]| {
        let places: Vec<Value> = parts
            .iter()
            .map(|at| json!({ "at": at, "right": "VIEW" }))
            .collect();
        let files: Vec<Value> = files
            .iter()
            .map(|id| json!({ "file_id": id, "right": "VIEW" }))
            .collect();
        let mut wish = json!({
            "class": "ASSOCIATION", "rule": { "kind": "weeks", "n": 4 }, "effect": "MAY_BE_DISREGARDED", "extension": "for_reason",
            "disclosure": { "parts": places, "files": files, "purpose": PURPOSE, "legal_basis": "§ 63 BNatSchG (fiktiv)" },
        });
        for (name, value) in who.as_object().into_iter().flatten() {
            wish[name] = value.clone();
        }
        wish
    };
    let guest = |name: &str| json!({ "guest": { "name": name, "address": format!("{name}@example.org") } });
    let (land, tree, new) = (vec![2], vec![3], vec![4]);
    let all = [land.clone(), tree.clone(), new.clone()];
    let only = [new.clone()];
    let friends = [plan.as_str(), oak.as_str(), redacted.as_str()];
    let orchard = [plan.as_str(), redacted.as_str()];
    let ids = sent(
        here,
        &case.id,
        "BNATSCHG_63",
        &[
            wish(guest("naturfreunde-fiktiv"), &all, &friends),
            wish(guest("streuobst-fiktiv"), &all, &orchard),
            wish(json!({ "unit": "u-9" }), &only, &[]),
        ],
    )
    .await?;
    let mut desks = Vec::new();
    for id in &ids[..2] {
        let path = format!("/api/v1/requests/{id}");
        let now = until(here, &path, |page| page["state"] == "SENT").await?;
        let (guest, link) = here.invited(&path, &now).await?;
        guest.get(&link).await?;
        put(
            &guest,
            &link,
            &json!({ "kind": "STATEMENT", "text": format!("Wortlaut von {id}"), "author": "Vorstand" }),
        )
        .await?;
        act(&guest, &link, "submit", &json!({})).await?;
        until(here, &path, |page| page["state"] == "SUBMITTED").await?;
        desks.push((guest, link));
    }
    let coordinator = here.of("coordinator");
    let unit = format!("/api/v1/contributions/{}", ids[2]);
    until(&coordinator, &unit, is_here).await?;
    let of = [
        (
            "naturfreunde",
            &desks[0].0,
            desks[0].1.as_str(),
            &all[..],
            &friends[..],
        ),
        (
            "streuobst",
            &desks[1].0,
            desks[1].1.as_str(),
            &all[..],
            &orchard[..],
        ),
        ("gruenflaechen", &coordinator, unit.as_str(), &only[..], &[][..]),
    ];
    let others = [
        vec![ids[1].clone(), ids[2].clone(), "streuobst-fiktiv".into()],
        vec![ids[0].clone(), ids[2].clone(), "naturfreunde-fiktiv".into()],
        vec![
            ids[0].clone(),
            ids[1].clone(),
            "naturfreunde-fiktiv".into(),
            "streuobst-fiktiv".into(),
        ],
    ];
    for ((who, desk, subject, parts, files), others) in of.into_iter().zip(others) {
        let mut hidden = case.hidden(who, parts, files)?;
        hidden.extend(others.iter().cloned());
        hidden.extend(others.iter().map(|id| format!("Wortlaut von {id}")));
        hidden.push(expertise.clone());
        nothing_of(
            &everything(desk, subject, &case.files, files).await?,
            &hidden,
            who,
        )?;
    }
    // Nothing else of the house opens to whoever is asked.
    let (guest, link) = &desks[0];
    let round = here.get(&format!("/api/v1/requests/{}", ids[0])).await?;
    let round = text(&round, "round")?;
    for path in [
        "/api/v1/me".to_owned(),
        "/api/v1/events?until_quiet=true".to_owned(),
        "/api/v1/contributions".to_owned(),
        "/api/v1/requests".to_owned(),
        format!("/api/v1/cases/{}", case.id),
        format!("/api/v1/rounds/{round}"),
        format!("/api/v1/contributions/{}", ids[0]),
    ] {
        let answer = guest.send(Method::GET, &path, None, "", Vec::new()).await?;
        ensure!(
            answer.status.as_u16() == 401,
            "a guest at {path}: {}",
            answer.status
        );
    }
    for desk in [&coordinator, &here.of("specialist")] {
        // They follow what happens to what the house is asked, and nothing that happens to cases.
        let feed = desk
            .send(
                Method::GET,
                "/api/v1/events?until_quiet=true",
                None,
                "",
                Vec::new(),
            )
            .await?;
        let told = String::from_utf8_lossy(&feed.body).into_owned();
        let mut kinds = told.lines().filter_map(|line| line.strip_prefix("event: "));
        ensure!(
            feed.status.as_u16() == 200
                && kinds.all(|kind| kind.starts_with("contribution."))
                && !told.contains(&case.id),
            "{told}"
        );
        for path in [
            "/api/v1/cases".to_owned(),
            "/api/v1/requests".to_owned(),
            "/api/v1/transfers".to_owned(),
            "/api/v1/disclosures".to_owned(),
            format!("/api/v1/cases/{}", case.id),
            format!("/api/v1/cases/{}/form", case.id),
            format!("/api/v1/cases/{}/files", case.id),
            format!("/api/v1/cases/{}/files/{plan}", case.id),
            format!("/api/v1/cases/{}/rounds", case.id),
            format!("/api/v1/rounds/{round}"),
            format!("/api/v1/requests/{}", ids[0]),
            format!("/api/v1/requests/{}/files/{plan}", ids[0]),
        ] {
            let answer = desk.send(Method::GET, &path, None, "", Vec::new()).await?;
            ensure!(answer.status.as_u16() == 403, "{path}: {}", answer.status);
        }
    }
    // Who looks after data protection sees to whom what was shown, on which ground, and none of it.
    let officer = here.of("officer").get("/api/v1/disclosures").await?;
    let told = officer["requests"].as_array().context("no requests")?;
    let of = |id: &str| told.iter().find(|one| one["request"] == id);
    for (id, files) in ids.iter().zip([3, 2, 0]) {
        let one = of(id).with_context(|| format!("{id} is not among what left"))?;
        ensure!(
            one["purpose"] == PURPOSE
                && one["files"].as_array().map(Vec::len) == Some(files)
                && one["state"] != "CREATED",
            "{one}"
        );
    }
    ensure!(
        told.iter()
            .any(|one| one["to"] == BETA && one["purge"]["node"] == "done"),
        "{officer}"
    );
    for content in ["Rußrindenkrankheit", "Wortlaut von", "Zimmerer-Handwerk"] {
        ensure!(!officer.to_string().contains(content), "{officer}");
    }
    // With the request ends what the guest sees.
    act(
        here,
        &format!("/api/v1/requests/{}", ids[0]),
        "revoke",
        &json!({ "reason": "NO_LONGER_NEEDED" }),
    )
    .await?;
    for path in [link.clone(), format!("{link}/files/{plan}")] {
        let answer = guest.send(Method::GET, &path, None, "", Vec::new()).await?;
        let page: Value = serde_json::from_slice(&answer.body)?;
        ensure!(
            answer.status.as_u16() == 410 && page["code"] == "guest_ended",
            "{path}: {page}"
        );
    }
    until(here, &format!("/api/v1/requests/{}", ids[0]), |page| {
        page["state"] == "PURGED"
    })
    .await?;
    let found = found(
        federation.node("alpha"),
        &["Wortlaut von".to_owned(), "Rußrindenkrankheit".to_owned()],
    )?;
    ensure!(found.is_empty(), "in clear at alpha: {found:?}");
    Ok(())
}
