//! The service behind the second node while it is measured: it throws a body away and answers as many bytes as it is asked for.
//!
//! Owns the cheapest possible provider, the same for the bare pair and for the nodes; refuses nothing.

use std::net::SocketAddr;

use http_body_util::BodyExt;
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use tokio::net::TcpListener;

use crate::wire::filler::Filler;

/// Header of a request that says how many bytes the answer has.
pub const ANSWER_BYTES: &str = "x-answer-bytes";

/// Serves on `listen` until the process ends.
pub async fn serve(listen: SocketAddr) -> anyhow::Result<()> {
    let listener = TcpListener::bind(listen).await?;
    loop {
        let (stream, _) = listener.accept().await?;
        stream.set_nodelay(true)?;
        tokio::spawn(
            hyper::server::conn::http1::Builder::new()
                .serve_connection(TokioIo::new(stream), service_fn(answer)),
        );
    }
}

async fn answer(request: Request<Incoming>) -> Result<Response<Filler>, hyper::Error> {
    let wanted = request
        .headers()
        .get(ANSWER_BYTES)
        .and_then(|value| value.to_str().ok()?.parse().ok());
    let mut body = request.into_body();
    while let Some(frame) = body.frame().await {
        frame?;
    }
    Ok(Response::new(Filler::new(wanted.unwrap_or(0))))
}
