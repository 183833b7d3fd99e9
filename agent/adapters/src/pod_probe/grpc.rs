//! The gRPC health protocol, over plain HTTP/2 (grpc.health.v1, doc/health-checking.md of gRPC).

use super::{Found, unreachable};
use crate::http::in_words;
use hyper::http::uri::PathAndQuery;
use std::error::Error;
use std::io;
use std::net::{IpAddr, SocketAddr};
use tonic::client::Grpc;
use tonic::transport::Endpoint;
use tonic::{Code, Request, Status};
use tonic_prost::ProstCodec;

/// `grpc.health.v1.HealthCheckRequest`.
#[derive(Clone, PartialEq, prost::Message)]
pub(super) struct HealthCheckRequest {
    /// Of which service; empty for the whole server.
    #[prost(string, tag = "1")]
    pub(super) service: String,
}

/// `grpc.health.v1.HealthCheckResponse`.
#[derive(Clone, PartialEq, prost::Message)]
pub(super) struct HealthCheckResponse {
    /// `ServingStatus`: a number, so that one that a later version adds is told as well.
    #[prost(int32, tag = "1")]
    pub(super) status: i32,
}

const CHECK: &str = "/grpc.health.v1.Health/Check";
const AGENT: &str =
    concat!("kube-probe/1.34 (compatible; steadfast/", env!("CARGO_PKG_VERSION"), ")");

/// Passes with `SERVING`.
pub(super) async fn check(address: IpAddr, port: u16, service: &str) -> Found {
    let place = format!("http://{}", SocketAddr::new(address, port));
    let endpoint = Endpoint::from_shared(place).expect("an address and a port are a URL");
    let endpoint = endpoint.user_agent(AGENT).expect("it is plain text");
    let channel = endpoint.connect().await.map_err(|error| no_channel(&error))?;
    let mut grpc = Grpc::new(channel);
    grpc.ready().await.map_err(|error| no_channel(&error))?;
    let request = Request::new(HealthCheckRequest { service: service.to_owned() });
    let codec = ProstCodec::<HealthCheckRequest, HealthCheckResponse>::default();
    let answer = grpc.unary(request, PathAndQuery::from_static(CHECK), codec).await;
    match answer.map(|answer| answer.into_inner().status) {
        Ok(1) => Ok(()),
        Ok(0) => Err("says UNKNOWN".to_owned()),
        Ok(2) => Err("says NOT_SERVING".to_owned()),
        Ok(3) => Err("says SERVICE_UNKNOWN".to_owned()),
        Ok(number) => Err(format!("says {number}, which is no status of the health protocol")),
        Err(status) => Err(no_answer(&status)),
    }
}

fn no_answer(status: &Status) -> String {
    match status.code() {
        // It came about here, not there.
        _ if status.source().is_some() => format!("broke off: {}", in_words(status)),
        Code::Unimplemented => "does not speak the health protocol".to_owned(),
        Code::NotFound => "does not know the service".to_owned(),
        code => format!("answered {code:?}: {}", status.message()),
    }
}

fn no_channel(error: &tonic::transport::Error) -> String {
    let mut behind: Option<&(dyn Error + 'static)> = Some(error);
    while let Some(error) = behind {
        if let Some(error) = error.downcast_ref::<io::Error>() {
            return unreachable(error);
        }
        behind = error.source();
    }
    format!("cannot be reached: {}", in_words(error))
}
