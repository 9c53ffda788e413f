//! Two instances with an authority each, whose nodes exchange where both sides want it (wire 7.9).

use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use http_body_util::Full;
use tokio::time::sleep;

use super::{World, cases, fresh, is_refused, is_served};
use crate::address::Net;
use crate::federation::{Federation, Node};
use crate::plan::{INSTANCE, NodePlan, ServicePlan};
use crate::service::Service;
use crate::wire::http::Answer;

cases! {
    quick INSTANCES_ADMITTED => admitted;
    quick INSTANCES_REFUSED => refused;
}

const OTHER: &str = "TESTB";

/// Two instances that trust each other. In the first one alpha admits the other instance, and beta none.
struct Two {
    here: Federation,
    there: Federation,
    service: Service,
}

impl Two {
    async fn start(world: &World, lifetime: Duration) -> Result<Self> {
        let (net, other) = (Net::claim().await?, Net::claim().await?);
        let service = Service::start(net.address(20, 8090)).await?;
        let at = service.address();
        let from_here = format!("{INSTANCE}/GOV/1001/antrag");
        let from_there = format!("{OTHER}/GOV/2001/antrag");
        let subject = world.federation.subject();
        let here = Federation::builder(&net)
            .node(
                NodePlan::new("alpha", "1001")
                    .federations("\"all\"")
                    .trust_refresh(1)
                    .client("antrag")
                    .service(ServicePlan::new("intake", at, "/here").right(&from_there))
                    .service(ServicePlan::new("closed", at, "/here").right(&from_here)),
            )
            .node(
                NodePlan::new("beta", "1002")
                    .trust_refresh(1)
                    .client("antrag")
                    .service(ServicePlan::new("intake", at, "/beta").right(&from_there)),
            )
            .start(subject)
            .await?;
        let there = Federation::builder(&other)
            .instance(OTHER)
            .configuration_lifetime(lifetime)
            .node(
                NodePlan::new("gamma", "2001")
                    .federations(&format!("[\"{}\"]", INSTANCE.to_lowercase()))
                    .trust_refresh(1)
                    .client("antrag")
                    .service(ServicePlan::new("intake", at, "/there").right(&from_here)),
            )
            .start(subject)
            .await?;
        let two = Self { here, there, service };
        two.trust(&[&two.there])?;
        let anchor = two.here.authority().external_anchor();
        two.there
            .authority()
            .change(|directory| directory.federated = vec![anchor]);
        Ok(two)
    }

    /// Has the first instance trust these.
    fn trust(&self, instances: &[&Federation]) -> Result<()> {
        let anchors = instances
            .iter()
            .map(|one| one.authority().external_anchor())
            .collect();
        self.here
            .authority()
            .change(|directory| directory.federated = anchors);
        Ok(())
    }

    fn alpha(&self) -> &Node {
        self.here.node("alpha")
    }

    fn gamma(&self) -> &Node {
        self.there.node("gamma")
    }
}

async fn call(from: &Node, to: &Node, service: &str, id: &str) -> Result<Answer> {
    let path = format!("/r1/{}/{service}/x", to.client_id("antrag"));
    from.call(from.request("GET", &path, "antrag", id).body(Full::default())?)
        .await
}

/// Waits until the answer is good, or not good any more.
async fn until(from: &Node, to: &Node, served: bool) -> Result<Answer> {
    let begun = Instant::now();
    loop {
        let answer = call(from, to, "intake", &fresh("instances")).await?;
        if answer.status.is_success() == served {
            return Ok(answer);
        }
        ensure!(
            begun.elapsed() < Duration::from_secs(20),
            "after 20 s {} still answers {}: {}",
            from.name(),
            answer.status,
            String::from_utf8_lossy(&answer.body)
        );
        sleep(Duration::from_millis(50)).await;
    }
}

async fn admitted(world: &World) -> Result<()> {
    let two = Two::start(world, Duration::from_secs(600)).await?;
    until(two.alpha(), two.gamma(), true)
        .await
        .context("to the other instance")?;
    until(two.gamma(), two.alpha(), true)
        .await
        .context("from the other instance")?;
    for (from, to) in [(two.alpha(), two.gamma()), (two.gamma(), two.alpha())] {
        let id = fresh("instances");
        is_served(&call(from, to, "intake", &id).await?)?;
        ensure!(two.service.calls(&id).len() == 1, "the call did not arrive once");
    }
    let id = fresh("instances");
    is_refused(
        &call(two.gamma(), two.alpha(), "closed", &id).await?,
        &["access_denied"],
    )?;
    ensure!(
        two.service.calls(&id).is_empty(),
        "a call without a right arrived"
    );
    Ok(())
}

async fn refused(world: &World) -> Result<()> {
    let two = Two::start(world, Duration::from_secs(8)).await?;
    until(two.alpha(), two.gamma(), true).await?;
    let beta = two.here.node("beta");
    // Beta's operator admits nobody: its members neither reach the other instance nor are reached from there.
    is_refused(
        &call(beta, two.gamma(), "intake", &fresh("instances")).await?,
        &["unknown_member"],
    )?;
    let id = fresh("instances");
    let answer = call(two.gamma(), beta, "intake", &id).await?;
    is_refused(
        &answer,
        &["ssl_authentication_failed", "network_error", "io_error"],
    )?;
    ensure!(two.service.calls(&id).is_empty(), "the call arrived");
    // The other instance's authority is down until what it published has expired.
    let faults = |configuration_down| crate::authority::Faults {
        configuration_down,
        ..Default::default()
    };
    two.there.authority().set_faults(faults(true));
    let begun = Instant::now();
    loop {
        let answer = until(two.alpha(), two.gamma(), false).await.context("expiry")?;
        if is_refused(&answer, &["unknown_member"]).is_ok() {
            break;
        }
        // The other side's own copy may be older, and end a moment before ours.
        is_refused(&answer, &["global_conf_outdated"])?;
        ensure!(
            begun.elapsed() < Duration::from_secs(10),
            "our copy does not expire"
        );
        sleep(Duration::from_millis(50)).await;
    }
    two.there.authority().set_faults(faults(false));
    until(two.alpha(), two.gamma(), true)
        .await
        .context("recovery without a restart")?;
    // The own instance trusts it no more.
    two.trust(&[])?;
    let answer = until(two.alpha(), two.gamma(), false)
        .await
        .context("trust withdrawn")?;
    is_refused(&answer, &["unknown_member"]).map(drop)
}
