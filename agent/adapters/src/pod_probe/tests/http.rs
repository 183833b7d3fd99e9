use super::*;
use crate::http::loopback::Reply;

fn answer(status: u16, more: &str) -> String {
    format!("HTTP/1.1 {status} X\r\n{more}Content-Length: 0\r\n\r\n")
}

/// A server that gives this status and says where else to look.
async fn leading(status: u16, location: impl Fn(&str) -> String + Send + 'static) -> Loopback {
    Loopback::plain(move |request| {
        let path = request.split(' ').nth(1).unwrap_or_default();
        let location = location(path);
        let header = match location.is_empty() {
            true => String::new(),
            false => format!("Location: {location}\r\n"),
        };
        Reply::Bytes(answer(if header.is_empty() { 200 } else { status }, &header))
    })
    .await
}

async fn get(server: &Loopback, more: &str) -> Heard {
    let probe = format!("httpGet: {{port: {}{more}}}", server.address.port());
    heard(&probe, &Runtime::idle(), LONG).await
}

fn first_lines(server: &Loopback) -> Vec<String> {
    let requests = server.requests();
    requests.iter().map(|it| it.lines().next().unwrap_or_default().to_owned()).collect()
}

#[tokio::test]
async fn a_status_from_200_to_399_passes_and_no_other() {
    for (status, passes) in [(199, false), (200, true), (204, true), (399, true), (400, false)] {
        let server = Loopback::plain(move |_| Reply::Bytes(answer(status, ""))).await;
        let heard = get(&server, ", path: /healthz").await;
        let port = server.address.port();
        let found = failed(&format!("httpGet :{port}/healthz answered {status}"));
        match (status, passes) {
            // What is no final answer is none at all.
            (199, _) => assert_eq!(heard.answer(), Answer::Failed),
            (_, true) => assert_eq!(heard, Heard::Passed, "{status}"),
            (_, false) => assert_eq!(heard, found),
        }
    }
}

#[tokio::test]
async fn the_manifests_headers_are_sent_and_what_is_empty_is_left_out() {
    let server = Loopback::plain(|_| Reply::Bytes(answer(200, ""))).await;
    let headers = ", path: '/h<z>?a=b', httpHeaders: [{name: Host, value: press.example}, \
                   {name: X-Part, value: one}, {name: X-Part, value: zwölf}, {name: Content-Length, value: '7'}]";
    assert_eq!(get(&server, headers).await, Heard::Passed);
    let empty = ", httpHeaders: [{name: Accept, value: ''}, {name: User-Agent, value: ''}]";
    assert_eq!(get(&server, empty).await, Heard::Passed);
    let own = ", httpHeaders: [{name: user-agent, value: mine}]";
    assert_eq!(get(&server, own).await, Heard::Passed);
    let requests = server.requests();
    let sent = |request: usize, header: &str| -> Vec<String> {
        let lines = requests[request].lines().filter_map(|line| line.split_once(": "));
        let of = lines.filter(|(name, _)| name.eq_ignore_ascii_case(header));
        of.map(|(_, value)| value.to_owned()).collect()
    };
    assert!(requests[0].starts_with("GET /h%3Cz%3E?a=b HTTP/1.1\r\n"), "{}", requests[0]);
    assert_eq!(sent(0, "host"), ["press.example"]);
    assert_eq!(sent(0, "x-part"), ["one", "zwölf"]);
    assert_eq!(sent(0, "accept"), ["*/*"]);
    assert_eq!(sent(0, "content-length"), [""; 0]);
    let agent = format!("kube-probe/1.34 (compatible; steadfast/{})", env!("CARGO_PKG_VERSION"));
    assert_eq!(sent(0, "user-agent"), [agent]);
    assert_eq!(sent(1, "host"), [server.address.to_string()]);
    assert_eq!((sent(1, "accept"), sent(1, "user-agent")), (vec![], vec![]));
    assert_eq!(sent(2, "user-agent"), ["mine"]);
}

#[tokio::test]
async fn a_redirect_on_the_same_host_is_followed_to_its_answer() {
    let sick = Loopback::plain(|_| Reply::Bytes(answer(503, ""))).await;
    let there = sick.address;
    let server = leading(302, move |path| match path {
        "/" => "/next".to_owned(),
        "/next" => format!("http://{there}/else"),
        _ => String::new(),
    })
    .await;
    let port = server.address.port();
    let named = ", httpHeaders: [{name: Host, value: press.example}]";
    assert_eq!(get(&server, named).await, failed(&format!("httpGet :{port}/ answered 503")));
    assert_eq!(first_lines(&server), ["GET / HTTP/1.1", "GET /next HTTP/1.1"]);
    assert!(server.requests()[1].contains("press.example"), "a path keeps the name");
    assert!(sick.requests()[0].contains(&there.to_string()), "an address brings its own");
}

#[tokio::test]
async fn a_redirect_to_another_host_passes_and_is_not_followed() {
    let other = Loopback::plain(|_| Reply::Bytes(answer(503, ""))).await;
    let there = format!("http://localhost:{}/", other.address.port());
    let server = leading(302, move |_| there.clone()).await;
    assert_eq!(get(&server, "").await, Heard::Passed);
    assert_eq!(other.requests(), [""; 0]);
}

#[tokio::test]
async fn a_redirect_that_names_no_place_passes() {
    for status in [300, 301, 304] {
        let server = Loopback::plain(move |_| Reply::Bytes(answer(status, ""))).await;
        assert_eq!(get(&server, "").await, Heard::Passed, "{status}");
    }
}

#[tokio::test]
async fn redirects_without_end_are_given_up() {
    let server = leading(307, |path| format!("{path}x")).await;
    let port = server.address.port();
    let found = failed(&format!("httpGet :{port}/ redirects more than 9 times"));
    assert_eq!(get(&server, "").await, found);
    assert_eq!(server.requests().len(), 10);
}

#[tokio::test]
async fn a_body_has_to_come_whole_as_far_as_it_is_read() {
    let broken = "HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhalf".to_owned();
    let server = Loopback::plain(move |_| Reply::Bytes(broken.clone())).await;
    let Heard::Failed(found) = get(&server, "").await else { panic!("it broke off") };
    assert!(found.contains(" broke off: "), "{found}");
    let mut endless = b"HTTP/1.1 200 OK\r\nContent-Length: 99999999\r\n\r\n".to_vec();
    endless.extend([b'x'; 10 * 1024]);
    let server = Loopback::plain(move |_| Reply::Stalls(endless.clone())).await;
    assert_eq!(get(&server, "").await, Heard::Passed);
}

#[tokio::test(start_paused = true)]
async fn a_server_that_says_nothing_has_failed_after_the_timeout() {
    let server = Loopback::plain(|_| Reply::Silence).await;
    let port = server.address.port();
    let probe = format!("httpGet: {{port: {port}, path: /healthz}}");
    assert_eq!(
        heard(&probe, &Runtime::idle(), SECOND).await,
        failed(&format!("httpGet :{port}/healthz not done within 1s"))
    );
    let hook = done(&probe, &Runtime::idle(), SECOND).await;
    assert_eq!(hook, Err(format!("httpGet :{port}/healthz not done within 1s")));
}

#[tokio::test]
async fn https_takes_any_certificate() {
    const OK: &str = "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n";
    for certificate in ["server.pem", "stranger.pem", "future.pem"] {
        let server = Loopback::tls(certificate, OK).await;
        assert_eq!(get(&server, ", scheme: HTTPS").await, Heard::Passed, "{certificate}");
    }
}

#[tokio::test]
async fn a_server_that_speaks_no_tls_is_told_apart() {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let port = listener.local_addr().expect("bound").port();
    let speak = async {
        let (mut stream, _) = listener.accept().await.expect("a client");
        let answer = b"HTTP/1.1 400 Bad\r\n\r\n";
        tokio::io::AsyncWriteExt::write_all(&mut stream, answer).await.expect("it listens");
        stream
    };
    let probe = format!("httpGet: {{port: {port}, scheme: HTTPS}}");
    let runtime = Runtime::idle();
    let (heard, _stream) = tokio::join!(heard(&probe, &runtime, LONG), speak);
    let found = format!("httpGet https://:{port}/ agreed on no TLS: it does not speak TLS");
    assert_eq!(heard, failed(&found));
}

#[tokio::test]
async fn a_hook_is_done_with_any_answer_and_not_without_one() {
    let server = Loopback::plain(|_| Reply::Bytes(answer(500, ""))).await;
    let hook = |port: u16| format!("httpGet: {{port: {port}, path: /stop}}");
    assert_eq!(done(&hook(server.address.port()), &Runtime::idle(), LONG).await, Ok(()));
    assert!(server.requests()[0].to_lowercase().contains("user-agent: kube-lifecycle/1.34 "));
    let port = nobody().await.port();
    let refused = done(&hook(port), &Runtime::idle(), LONG).await;
    assert_eq!(refused, Err(format!("httpGet :{port}/stop refused the connection")));
}
