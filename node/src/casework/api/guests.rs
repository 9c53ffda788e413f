//! The way in for guests: link and code open one request and nothing else, with the same commands that a house with a node has.

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::extract::multipart::MultipartRejection;
use axum::extract::rejection::QueryRejection;
use axum::extract::{FromRequestParts, Multipart, Path, Query, State};
use axum::response::Response;
use http::header::AUTHORIZATION;
use http::request::Parts;
use http::{HeaderMap, StatusCode};
use kontor_participation::transfer::offer::Id;

use super::Document;
use super::contributions::{Copy, attached, commanded, drafted, opened, shown};
use crate::casework::{Casework, Principal, Refused};

/// Whom a link and its code let in, and to what. Judged before a body is read: whoever has no code gives the node nothing to hold.
pub(super) struct Guest {
    who: Principal,
    request: Id,
}

impl FromRequestParts<Arc<Casework>> for Guest {
    type Rejection = Refused;

    async fn from_request_parts(parts: &mut Parts, casework: &Arc<Casework>) -> Result<Self, Refused> {
        let named = Path::<BTreeMap<String, String>>::from_request_parts(parts, casework).await;
        let Path(named) = named.map_err(|error| Refused::malformed(error.body_text()))?;
        let link = named.get("link").map_or("", String::as_str);
        let shown = parts
            .headers
            .get(AUTHORIZATION)
            .and_then(|value| value.to_str().ok());
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
        let (who, request) = casework.let_in(link, code).await?;
        Ok(Self { who, request })
    }
}

pub(super) async fn show(
    Guest { who, request }: Guest,
    State(casework): State<Arc<Casework>>,
) -> Result<Response, Refused> {
    shown(&casework, &who, &request).await
}

pub(super) async fn command(
    Guest { who, request }: Guest,
    State(casework): State<Arc<Casework>>,
    Path((_, command)): Path<(String, String)>,
    headers: HeaderMap,
    Document(body): Document,
) -> Result<Response, Refused> {
    if command == "assign" {
        let detail = "a guest assigns nothing";
        return Err(Refused::new(StatusCode::FORBIDDEN, "role_missing", detail));
    }
    commanded(&casework, &who, &request, &command, &headers, &body).await
}

pub(super) async fn draft(
    Guest { who, request }: Guest,
    State(casework): State<Arc<Casework>>,
    headers: HeaderMap,
    Document(body): Document,
) -> Result<Response, Refused> {
    drafted(&casework, &who, &request, &headers, &body).await
}

pub(super) async fn attach(
    Guest { who, request }: Guest,
    State(casework): State<Arc<Casework>>,
    headers: HeaderMap,
    multipart: Result<Multipart, MultipartRejection>,
) -> Result<Response, Refused> {
    attached(&casework, &who, &request, &headers, multipart).await
}

pub(super) async fn file(
    Guest { who, request }: Guest,
    State(casework): State<Arc<Casework>>,
    Path((_, file)): Path<(String, String)>,
    asked: Result<Query<Copy>, QueryRejection>,
) -> Result<Response, Refused> {
    opened(&casework, &who, &request, &file, asked).await
}

#[cfg(test)]
mod tests {
    use std::pin::Pin;
    use std::sync::atomic::Ordering;
    use std::task::{Context, Poll};

    use axum::body::Body;
    use bytes::Bytes;
    use http::Request;
    use hyper::body::Frame;
    use tower::ServiceExt;

    use super::super::operations;
    use crate::casework::tests::Bed;

    /// A body that nobody may look at.
    struct Untouched;

    impl hyper::body::Body for Untouched {
        type Data = Bytes;
        type Error = std::io::Error;

        fn poll_frame(
            self: Pin<&mut Self>,
            _: &mut Context<'_>,
        ) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
            panic!("a body was read before its link and code were judged");
        }
    }

    #[tokio::test]
    async fn of_whoever_has_no_link_or_code_no_body_is_read() {
        let bed = Bed::at("2027-01-04T08:00:00Z").await;
        bed.casework().ready.store(true, Ordering::Release);
        let router = operations::router(bed.casework().clone());
        for (method, rest) in [
            ("POST", "commands/submit"),
            ("PUT", "statement"),
            ("POST", "attachments"),
        ] {
            for (code, status) in [(None, 401), (Some("Bearer FALSCH"), 404)] {
                let mut request = Request::builder()
                    .method(method)
                    .uri(format!("/guest/v1/ABCDEFGHJKLMNPQRSTUVWXYZ23/{rest}"))
                    .header("content-type", "multipart/form-data; boundary=b");
                if let Some(code) = code {
                    request = request.header("authorization", code);
                }
                let request = request.body(Body::new(Untouched)).unwrap();
                let answer = router.clone().oneshot(request).await.unwrap();
                assert_eq!(answer.status().as_u16(), status, "{rest}");
            }
        }
    }
}
