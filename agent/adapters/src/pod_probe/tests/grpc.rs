use super::super::grpc::{HealthCheckRequest, HealthCheckResponse};
use super::*;
use hyper::HeaderMap;
use hyper::body::Bytes;
use hyper::http::{Response, StatusCode};
use prost::Message;
use std::sync::{Arc, Mutex};
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

/// What a server of the health protocol does with a question.
#[derive(Clone, Copy)]
enum Says {
    Serving(i32),
    /// A gRPC status instead of an answer.
    Status(&'static str, &'static str),
    Nothing,
}

/// A server that was made by hand: HTTP/2, one message in five bytes of frame, the status in the trailers.
struct Server {
    port: u16,
    asked: Arc<Mutex<Vec<(String, String)>>>,
    task: JoinHandle<()>,
}

impl Drop for Server {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Server {
    async fn saying(says: Says) -> Server {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let port = listener.local_addr().expect("bound").port();
        let asked = Arc::new(Mutex::new(Vec::new()));
        let seen = Arc::clone(&asked);
        let task = tokio::spawn(async move {
            let (stream, _) = listener.accept().await.expect("a client");
            let mut connection = h2::server::handshake(stream).await.expect("HTTP/2");
            while let Some(Ok((request, respond))) = connection.accept().await {
                let (path, body) = (request.uri().path().to_owned(), request.into_body());
                tokio::spawn(answer(path, body, respond, (says, Arc::clone(&seen))));
            }
        });
        Server { port, asked, task }
    }
}

type Seen = Arc<Mutex<Vec<(String, String)>>>;

async fn answer(
    path: String,
    mut body: h2::RecvStream,
    mut respond: h2::server::SendResponse<Bytes>,
    (says, seen): (Says, Seen),
) {
    let mut message = Vec::new();
    while let Some(data) = body.data().await {
        message.extend(data.expect("the question comes whole"));
    }
    let request = HealthCheckRequest::decode(&message[5..]).expect("a question");
    seen.lock().expect("no test panics here").push((path, request.service));
    let head = Response::builder().status(StatusCode::OK);
    let head = head.header("content-type", "application/grpc").body(()).expect("right");
    let (status, text) = match says {
        Says::Nothing => return pending().await,
        Says::Serving(status) => {
            let answer = HealthCheckResponse { status }.encode_to_vec();
            let length = u32::try_from(answer.len()).expect("short");
            let framed = [&[0][..], &length.to_be_bytes(), &answer].concat();
            let mut stream = respond.send_response(head, false).expect("the client listens");
            stream.send_data(framed.into(), false).expect("the client listens");
            return stream.send_trailers(trailers("0", "")).expect("the client listens");
        }
        Says::Status(status, text) => (status, text),
    };
    let mut stream = respond.send_response(head, false).expect("the client listens");
    stream.send_trailers(trailers(status, text)).expect("the client listens");
}

fn trailers(status: &'static str, text: &'static str) -> HeaderMap {
    let mut trailers = HeaderMap::new();
    trailers.insert("grpc-status", status.parse().expect("a value"));
    trailers.insert("grpc-message", text.parse().expect("a value"));
    trailers
}

async fn said(says: Says) -> String {
    let server = Server::saying(says).await;
    let probe = format!("grpc: {{port: {}, service: press}}", server.port);
    match heard(&probe, &Runtime::idle(), LONG).await {
        Heard::Passed => "passed".to_owned(),
        Heard::Failed(found) => found.replace(&server.port.to_string(), "PORT"),
    }
}

#[tokio::test]
async fn a_server_passes_when_it_is_serving_and_fails_with_what_it_says_else() {
    for (says, heard) in [
        (Says::Serving(1), "passed"),
        (Says::Serving(0), "grpc :PORT press says UNKNOWN"),
        (Says::Serving(2), "grpc :PORT press says NOT_SERVING"),
        (Says::Serving(3), "grpc :PORT press says SERVICE_UNKNOWN"),
        (Says::Serving(9), "grpc :PORT press says 9, which is no status of the health protocol"),
        (Says::Status("5", ""), "grpc :PORT press does not know the service"),
        (Says::Status("12", ""), "grpc :PORT press does not speak the health protocol"),
        (Says::Status("13", "no%20disk"), "grpc :PORT press answered Internal: no disk"),
    ] {
        assert_eq!(said(says).await, heard);
    }
}

#[tokio::test]
async fn the_health_protocol_is_asked_for_the_service_that_is_named_or_for_all() {
    for (fields, service) in [("", ""), (", service: press", "press")] {
        let server = Server::saying(Says::Serving(1)).await;
        let probe = format!("grpc: {{port: {}{fields}}}", server.port);
        assert_eq!(heard(&probe, &Runtime::idle(), LONG).await, Heard::Passed);
        let asked = server.asked.lock().expect("it only pushes").clone();
        assert_eq!(asked, [("/grpc.health.v1.Health/Check".to_owned(), service.to_owned())]);
    }
}

#[tokio::test(start_paused = true)]
async fn a_server_that_says_nothing_has_failed_after_the_timeout() {
    let server = Server::saying(Says::Nothing).await;
    let port = server.port;
    let heard = heard(&format!("grpc: {{port: {port}}}"), &Runtime::idle(), SECOND).await;
    assert_eq!(heard, failed(&format!("grpc :{port} not done within 1s")));
}

#[tokio::test]
async fn nobody_there_is_told_from_a_server_of_something_else() {
    let port = nobody().await.port();
    let refused = heard(&format!("grpc: {{port: {port}}}"), &Runtime::idle(), LONG).await;
    assert_eq!(refused, failed(&format!("grpc :{port} refused the connection")));
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let port = listener.local_addr().expect("bound").port();
    let speak = async {
        let (mut stream, _) = listener.accept().await.expect("a client");
        let answer = b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n";
        tokio::io::AsyncWriteExt::write_all(&mut stream, answer).await.expect("it listens");
        stream
    };
    let (probe, runtime) = (format!("grpc: {{port: {port}}}"), Runtime::idle());
    let (heard, _stream) = tokio::join!(heard(&probe, &runtime, LONG), speak);
    let Heard::Failed(found) = heard else { panic!("it speaks no gRPC") };
    assert!(found.starts_with(&format!("grpc :{port} broke off: ")), "{found}");
}
