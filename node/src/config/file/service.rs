//! The services of a client and who may use them: `[[client.service]]` and `[[client.service.right]]`.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use kontor_protocol::access::{Method, PathPattern, Right};
use kontor_protocol::id::ClientId;
use serde::Deserialize;

use super::{Reading, sixty};
use crate::config::{Description, Service};

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct ServiceTable {
    code: String,
    url: String,
    #[serde(default = "sixty")]
    timeout_seconds: u64,
    #[serde(default = "yes")]
    verify_tls: bool,
    #[serde(default)]
    disabled: String,
    openapi: Option<PathBuf>,
    #[serde(default)]
    right: Vec<RightTable>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RightTable {
    subject: String,
    #[serde(default = "star")]
    method: String,
    #[serde(default = "double_star")]
    path: String,
}

fn yes() -> bool {
    true
}

fn star() -> String {
    "*".into()
}

fn double_star() -> String {
    "**".into()
}

impl Reading {
    pub(super) fn services(&mut self, client: &ClientId, tables: Vec<ServiceTable>) -> Vec<Service> {
        let mut services: Vec<Service> = Vec::new();
        if client.subsystem().is_none() && !tables.is_empty() {
            self.mistakes.push(format!(
                "client.id = {client}: REST services belong to a subsystem (wire form has one)"
            ));
        }
        for table in tables {
            let Some(code) = self.code("client.service.code", table.code) else {
                continue;
            };
            if services.iter().any(|s| s.code == code) {
                self.mistakes
                    .push(format!("{client}: service {code} stands twice"));
            }
            let url = match table.url.parse::<http::Uri>() {
                Ok(url) if matches!(url.scheme_str(), Some("http" | "https")) && url.host().is_some() => url,
                Ok(_) | Err(_) => {
                    self.mistakes.push(format!(
                        "{client}: service {code}: {} is not an http(s) address",
                        table.url
                    ));
                    continue;
                }
            };
            let description = table
                .openapi
                .and_then(|path| self.description(&code, &self.base.join(path)));
            let rights = table
                .right
                .into_iter()
                .filter_map(|r| self.right(&code, r))
                .collect();
            services.push(Service {
                code,
                url,
                timeout: Duration::from_secs(table.timeout_seconds.clamp(1, 86_400)),
                verify_tls: table.verify_tls,
                disabled: Some(table.disabled).filter(|notice| !notice.is_empty()),
                rights,
                description,
            });
        }
        services
    }

    fn description(&mut self, service: &str, path: &Path) -> Option<Arc<Description>> {
        let read = std::fs::read(path)
            .map_err(|error| error.to_string())
            .and_then(|octets| Description::read(&octets).map_err(|error| error.to_string()));
        read.map(Arc::new)
            .map_err(|error| {
                self.mistakes.push(format!(
                    "service {service}: openapi = {}: {error}",
                    path.display()
                ));
            })
            .ok()
    }

    fn right(&mut self, service: &str, table: RightTable) -> Option<Right> {
        let mut mistake = |key: &str, text: &str, why: String| {
            self.mistakes
                .push(format!("service {service}: right.{key} = {text:?}: {why}"));
        };
        let subject = table.subject.parse().map_err(|_| {
            let form = "it is not of the form INSTANCE/CLASS/CODE[/SUBSYSTEM] or group:INSTANCE/GROUP";
            mistake("subject", &table.subject, form.to_owned());
        });
        let method = table
            .method
            .parse::<Method>()
            .map_err(|e| mistake("method", &table.method, e.to_string()));
        let path = table
            .path
            .parse::<PathPattern>()
            .map_err(|e| mistake("path", &table.path, e.to_string()));
        Some(Right {
            subject: subject.ok()?,
            method: method.ok()?,
            path: path.ok()?,
        })
    }
}
