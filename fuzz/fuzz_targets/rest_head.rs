//! The message part of REST requests and responses (wire 2.4 to 2.7). What is read says the same when it is read again
//! as we would write it.
#![no_main]

use bytes::Bytes;
use kontor_protocol::rest::{RestRequest, RestResponse};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    if let Ok(request) = RestRequest::parse(Bytes::copy_from_slice(data)) {
        let again = RestRequest::parse(Bytes::from(request.reserialised().into_owned()))
            .expect("what we write for a request that we read is a request");
        assert_eq!(request.client(), again.client());
        assert_eq!(request.service(), again.service());
        assert_eq!(request.service_path(), again.service_path());
        assert_eq!(request.query_id(), again.query_id());
        let _ = request.security_server();
        let _ = request.request_hash(None);
    }
    if let Ok(response) = RestResponse::parse(Bytes::copy_from_slice(data)) {
        let again = RestResponse::parse(Bytes::from(response.reserialised().into_owned()))
            .expect("what we write for a response that we read is a response");
        assert_eq!(response.status(), again.status());
        assert_eq!(response.query_id(), again.query_id());
    }
});
