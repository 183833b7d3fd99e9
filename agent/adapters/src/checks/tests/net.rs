use super::*;
use crate::http::loopback::{Loopback, nobody};

fn page(url: &str, more: &str) -> String {
    format!("[[check]]\nname = \"x\"\nkind = \"http\"\nurl = \"{url}\"\n{more}\n")
}

fn open_port(address: &str) -> String {
    format!("[[check]]\nname = \"x\"\nkind = \"tcp\"\naddress = \"{address}\"\n")
}

const OK: &str = "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n";

#[tokio::test]
async fn a_server_passes_with_the_status_that_is_wanted_and_no_other() {
    let sick = Loopback::saying("HTTP/1.1 503 X\r\nContent-Length: 0\r\n\r\n").await;
    let well = Loopback::saying(OK).await;
    assert_eq!(heard(&page(&well.url("/"), "")).await, Heard::Passed);
    assert_eq!(heard(&page(&sick.url("/"), "")).await, failed("answered 503"));
    assert_eq!(heard(&page(&sick.url("/"), "status = 503")).await, Heard::Passed);
}

#[tokio::test]
async fn a_server_behind_tls_is_checked_too() {
    let server = Loopback::tls("server.pem", OK).await;
    assert_eq!(heard(&page(&server.https("/"), "")).await, Heard::Passed);
    let stranger = Loopback::tls("stranger.pem", OK).await;
    let Heard::Failed(evidence) = heard(&page(&stranger.https("/"), "")).await else {
        panic!("not trusted")
    };
    assert!(evidence.ends_with("its certificate is from no trusted authority"), "{evidence}");
}

#[tokio::test]
async fn a_port_passes_when_it_accepts_a_connection() {
    let server = Loopback::saying(OK).await;
    assert_eq!(heard(&open_port(&server.address.to_string())).await, Heard::Passed);
    let closed = nobody().await;
    assert_eq!(
        heard(&open_port(&closed.to_string())).await,
        failed(&format!("{closed}: Connection refused"))
    );
    assert_eq!(
        heard(&page(&format!("http://{closed}/"), "")).await,
        failed(&format!("{closed} cannot be reached: Connection refused"))
    );
}
