use super::exchange::HEAD;
use super::loopback::{Loopback, PATIENT, Reply, fixture, nobody};
use super::*;

const OK: &str = "HTTP/1.1 206 Partial Content\r\nContent-Length: 4\r\n\r\nhsqs";

fn client() -> Client {
    Client::new(fixture("ca.pem"))
}

async fn get(url: &str) -> Result<Answer, HttpError> {
    client().get(&Url::parse(url).expect("a URL"), Part::First(4), PATIENT).await
}

async fn refused(url: &str) -> String {
    in_words(&get(url).await.expect_err("there is no answer"))
}

#[tokio::test]
async fn a_range_is_asked_for_and_its_bytes_come_back() {
    let server = Loopback::saying(OK).await;
    let answer = get(&server.url("/x?y")).await.expect("an answer");
    assert_eq!(answer, Answer { status: 206, location: None, first: b"hsqs".to_vec() });
    let request = server.requests().remove(0).to_ascii_lowercase();
    assert!(request.starts_with("get /x?y http/1.1\r\n"), "{request}");
    assert!(request.contains("\r\nrange: bytes=0-3\r\n"), "{request}");
    assert!(request.contains(&format!("\r\nhost: {}\r\n", server.address)), "{request}");
}

#[tokio::test]
async fn no_byte_is_kept_beyond_those_asked_for() {
    let server = Loopback::saying("HTTP/1.1 206 OK\r\nContent-Length: 8\r\n\r\nhsqsMORE").await;
    assert_eq!(get(&server.url("/")).await.expect("an answer").first, b"hsqs");
    // A server without ranges would send all of it.
    let server = Loopback::saying("HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nhsqs").await;
    assert_eq!(get(&server.url("/")).await.expect("an answer").first, b"");
}

#[tokio::test]
async fn an_answer_that_breaks_off_is_no_answer() {
    let server = Loopback::saying("HTTP/1.1 206 OK\r\nContent-Length: 4\r\n\r\nhs").await;
    let said = refused(&server.url("/")).await;
    assert!(said.starts_with(&format!("{} broke off: ", server.address)), "{said}");
}

#[tokio::test]
async fn a_server_that_says_nothing_has_stalled() {
    let server = Loopback::plain(|_| Reply::Silence).await;
    let url = Url::parse(&server.url("/")).expect("a URL");
    let limits = Limits { answer: Duration::from_millis(20), ..PATIENT };
    let error = client().get(&url, Part::Whole, limits).await.expect_err("silence");
    assert_eq!(error.to_string(), format!("{} gave no answer within 20ms", server.address));
}

#[tokio::test]
async fn a_head_that_is_too_long_is_no_answer() {
    let server = Loopback::plain(|_| {
        Reply::Bytes(format!(
            "HTTP/1.1 200 OK\r\nX: {}\r\nContent-Length: 0\r\n\r\n",
            "x".repeat(4 * HEAD)
        ))
    })
    .await;
    assert!(matches!(get(&server.url("/")).await, Err(HttpError::Broken { .. })));
}

#[tokio::test]
async fn nobody_there_is_unreachable() {
    let address = nobody().await;
    let said = refused(&format!("http://{address}/")).await;
    assert_eq!(said, format!("{address} cannot be reached: Connection refused"));
}

#[tokio::test]
async fn a_server_with_a_certificate_of_a_trusted_authority_is_answered() {
    let server = Loopback::tls("server.pem", OK).await;
    assert_eq!(get(&server.https("/")).await.expect("an answer").first, b"hsqs");
}

#[tokio::test]
async fn a_server_of_no_trusted_authority_is_refused() {
    let server = Loopback::tls("stranger.pem", OK).await;
    let said = refused(&server.https("/")).await;
    assert!(said.ends_with("its certificate is from no trusted authority"), "{said}");
}

#[tokio::test]
async fn a_certificate_from_the_future_names_the_clock_that_refused_it() {
    let server = Loopback::tls("future.pem", OK).await;
    let said = refused(&server.https("/")).await;
    assert!(said.ends_with("its certificate is not valid yet by this node's clock"), "{said}");
}

#[tokio::test]
async fn a_certificate_for_another_name_is_refused() {
    let server = Loopback::tls("server.pem", OK).await;
    let said = refused(&format!("https://{}/", server.address)).await;
    assert!(said.ends_with("its certificate is for another name"), "{said}");
}

#[tokio::test]
async fn a_plain_server_behind_https_is_told_apart() {
    let server = Loopback::saying(OK).await;
    // Its answer is not TLS, and so never sent: the client's hello has no empty line in it.
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let address = listener.local_addr().expect("bound");
    drop(server);
    let speak = async {
        let (mut stream, _) = listener.accept().await.expect("a client");
        tokio::io::AsyncWriteExt::write_all(&mut stream, b"HTTP/1.1 400 Bad\r\n\r\n")
            .await
            .expect("the client listens");
        stream
    };
    let url = format!("https://localhost:{}/", address.port());
    let (said, _stream) = tokio::join!(refused(&url), speak);
    assert!(said.ends_with("it does not speak TLS"), "{said}");
}

#[tokio::test]
async fn a_node_without_trusted_certificates_says_which_file_lacks_them() {
    let server = Loopback::tls("server.pem", OK).await;
    let url = Url::parse(&server.https("/")).expect("a URL");
    for (file, why) in [("none.pem", "No such file or directory"), ("server.key", "there is none")]
    {
        let client = Client::new(fixture(file));
        let error = client.get(&url, Part::Whole, PATIENT).await.expect_err("no roots");
        let said = in_words(&error);
        assert!(said.contains(file) && said.ends_with(why), "{said}");
    }
}
