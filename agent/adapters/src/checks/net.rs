//! Checks over the network: a server's status, an open port.

use crate::http::{Client, Limits, Part, Url, in_words};
use std::time::Duration;
use steadfast_core::gate::Heard;
use steadfast_core::text;
use tokio::net::TcpStream;

/// Passes when the server answers with this status; a redirect is an answer.
pub(super) async fn http(client: &Client, url: &Url, wanted: u16, limit: Duration) -> Heard {
    let limits = Limits { connect: limit, answer: limit };
    match client.get(url, Part::Whole, limits).await {
        Ok(answer) if answer.status == wanted => Heard::Passed,
        Ok(answer) => Heard::Failed(text(format_args!("answered {}", answer.status))),
        Err(error) => Heard::Failed(text(format_args!("{}", in_words(&error)))),
    }
}

/// Passes when something accepts a connection.
pub(super) async fn tcp(address: &str) -> Heard {
    match TcpStream::connect(address).await {
        Ok(_) => Heard::Passed,
        Err(error) => Heard::Failed(text(format_args!("{address}: {}", in_words(&error)))),
    }
}
