//! Transfers in a package: the messages of containers that hold are put together, and replayed, so that the report says who was
//! responsible when.

use std::collections::HashMap;
use std::io::{Cursor, Read, Seek};

use bytes::Bytes;
use kontor_participation::transfer::replay::{Course, Exchange, replay};
use kontor_protocol::container::Container;
use kontor_protocol::package::cover::Language;
use kontor_protocol::rest::{RestRequest, RestResponse};
use serde::Serialize;

use crate::config::casework::{SERVICE, SUBSYSTEM};

/// Containers above this size are no messages of a transfer.
pub(super) const LIMIT: u64 = 4 * 1024 * 1024;

/// Collects the messages of transfers.
#[derive(Default)]
pub(super) struct Collector {
    /// By request id.
    requests: HashMap<String, Exchange>,
    answers: HashMap<String, Vec<u8>>,
}

/// What is wrong with the transfers of a package.
#[derive(Default)]
pub(super) struct Flaws {
    /// Messages contradict each other.
    pub(super) contradiction: bool,
    /// Messages are not there.
    pub(super) gap: bool,
}

#[derive(Serialize)]
struct Line<'a> {
    file: &'a str,
    kind: &'static str,
    #[serde(flatten)]
    course: &'a Course,
}

impl Collector {
    /// Takes a container that was judged and holds; one that is about something else is passed over.
    pub(super) fn take(&mut self, container: &[u8]) {
        let Ok(read) = Container::read(Cursor::new(container)) else {
            return;
        };
        let message = Bytes::from(read.message);
        if let Ok(request) = RestRequest::parse(message.clone()) {
            let service = request.service();
            if service.code() == SERVICE && service.provider().subsystem() == Some(SUBSYSTEM) {
                let exchange = Exchange {
                    from: request.client().member().to_string(),
                    to: service.provider().member().to_string(),
                    path: request.service_path().to_owned(),
                    body: body_of(Cursor::new(container)),
                    answer: None,
                };
                self.requests.insert(request.request_id().to_owned(), exchange);
            }
        } else if let Ok(response) = RestResponse::parse(message)
            && let Some(id) = response.request_id()
        {
            self.answers
                .insert(id.to_owned(), body_of(Cursor::new(container)));
        }
    }

    /// Says the course of every transfer, and what is wrong with them together.
    pub(super) fn say(mut self, file: &str, language: Language, json: bool) -> anyhow::Result<Flaws> {
        let exchanges: Vec<Exchange> = self
            .requests
            .into_iter()
            .map(|(id, exchange)| Exchange {
                answer: self.answers.remove(&id),
                ..exchange
            })
            .collect();
        let mut flaws = Flaws::default();
        for course in replay(&exchanges) {
            flaws.contradiction |= !course.contradictions.is_empty();
            flaws.gap |= !course.missing.is_empty();
            match json {
                true => {
                    let line = Line {
                        file,
                        kind: "transfer",
                        course: &course,
                    };
                    crate::cli::print(&(serde_json::to_string(&line)? + "\n"))?;
                }
                false => _ = crate::cli::print(&course.in_words(language))?,
            }
        }
        Ok(flaws)
    }
}

fn body_of(container: impl Read + Seek) -> Vec<u8> {
    let mut body = Vec::new();
    match Container::copy_body(container, &mut body) {
        Ok(_) => body,
        Err(_) => Vec::new(),
    }
}
