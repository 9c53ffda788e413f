//! `kontor case webhook-secret`: what a webhook's posts are signed with.

use std::path::PathBuf;
use std::process::ExitCode;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use clap::Args;
use kontor_pki::crypto::random;

use super::write_key;
use crate::config::webhook::PREFIX;

#[derive(Args)]
pub(in super::super) struct WebhookSecret {
    /// A name for log and status; the webhook's position is kept under it
    #[arg(long, default_value = "fachverfahren")]
    name: String,
    /// Where events are posted to
    #[arg(long, default_value = "https://fachverfahren.example/kontor")]
    url: String,
    /// Beginnings of the kinds that it gets, such as transfer. or case.opened; without one all of them
    #[arg(long, value_delimiter = ',')]
    kinds: Vec<String>,
    /// Organisational units; without one all of them
    #[arg(long, value_delimiter = ',')]
    units: Vec<String>,
    /// File for the secret, which only its owner reads
    #[arg(long, value_name = "FILE")]
    out: PathBuf,
}

impl WebhookSecret {
    pub(super) fn make(self) -> anyhow::Result<ExitCode> {
        write_key(
            &self.out,
            &format!("{PREFIX}{}", BASE64_STANDARD.encode(random::<32>())),
        )?;
        super::super::print(&format!(
            "[[casework.webhook]]\nname = {:?}\nurl = {:?}\nsecret = {:?}\nkinds = {:?}\nunits = {:?}\n",
            self.name,
            self.url,
            self.out.display().to_string(),
            self.kinds,
            self.units,
        ))
    }
}
