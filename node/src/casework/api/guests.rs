//! The way in for guests: link and code open one request and nothing else, with the same commands that a house with a node has.

use std::sync::Arc;

use axum::extract::multipart::MultipartRejection;
use axum::extract::rejection::QueryRejection;
use axum::extract::{Multipart, Path, Query, State};
use axum::response::Response;
use http::header::AUTHORIZATION;
use http::{HeaderMap, StatusCode};
use kontor_participation::transfer::offer::Id;

use super::Document;
use super::contributions::{Copy, attached, commanded, drafted, opened, shown};
use crate::casework::{Casework, Principal, Refused};

async fn guest(casework: &Casework, link: &str, headers: &HeaderMap) -> Result<(Principal, Id), Refused> {
    let shown = headers.get(AUTHORIZATION).and_then(|value| value.to_str().ok());
    let code = shown
        .and_then(|shown| shown.split_once(' '))
        .filter(|(scheme, _)| scheme.eq_ignore_ascii_case("bearer"))
        .map(|(_, code)| code.trim());
    let code = code.ok_or_else(|| {
        Refused::new(
            StatusCode::UNAUTHORIZED,
            "guest_code_missing",
            "this needs the code of the invitation",
        )
        .hint("send `Authorization: Bearer CODE`")
    })?;
    casework.let_in(link, code).await
}

pub(super) async fn show(
    State(casework): State<Arc<Casework>>,
    Path(link): Path<String>,
    headers: HeaderMap,
) -> Result<Response, Refused> {
    let (who, request) = guest(&casework, &link, &headers).await?;
    shown(&casework, &who, &request).await
}

pub(super) async fn command(
    State(casework): State<Arc<Casework>>,
    Path((link, command)): Path<(String, String)>,
    headers: HeaderMap,
    Document(body): Document,
) -> Result<Response, Refused> {
    let (who, request) = guest(&casework, &link, &headers).await?;
    if command == "assign" {
        let detail = "a guest assigns nothing";
        return Err(Refused::new(StatusCode::FORBIDDEN, "role_missing", detail));
    }
    commanded(&casework, &who, &request, &command, &headers, &body).await
}

pub(super) async fn draft(
    State(casework): State<Arc<Casework>>,
    Path(link): Path<String>,
    headers: HeaderMap,
    Document(body): Document,
) -> Result<Response, Refused> {
    let (who, request) = guest(&casework, &link, &headers).await?;
    drafted(&casework, &who, &request, &headers, &body).await
}

pub(super) async fn attach(
    State(casework): State<Arc<Casework>>,
    Path(link): Path<String>,
    headers: HeaderMap,
    multipart: Result<Multipart, MultipartRejection>,
) -> Result<Response, Refused> {
    let (who, request) = guest(&casework, &link, &headers).await?;
    attached(&casework, &who, &request, &headers, multipart).await
}

pub(super) async fn file(
    State(casework): State<Arc<Casework>>,
    Path((link, file)): Path<(String, String)>,
    headers: HeaderMap,
    asked: Result<Query<Copy>, QueryRejection>,
) -> Result<Response, Refused> {
    let (who, request) = guest(&casework, &link, &headers).await?;
    opened(&casework, &who, &request, &file, asked).await
}
