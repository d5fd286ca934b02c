use std::{collections::HashSet, convert::Infallible, net::SocketAddr, pin::pin};

use axum::{
    Router,
    extract::ConnectInfo,
    http::{HeaderMap, StatusCode, header::CONNECTION},
    response::IntoResponse,
    routing::get,
};
use futures::future::join_all;
use http_body_util::BodyExt;
use hyper_util::{client::legacy::connect::HttpConnector, rt::TokioIo};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    sync::Barrier,
};
use tower::service_fn;

use super::*;

const LIMITS: Limits = Limits { connect: Duration::from_secs(10), idle: Duration::from_mins(10) };

/// Serves on a loopback port until the runtime ends.
async fn serve(router: Router) -> Uri {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = url(&listener);
    tokio::spawn(async { axum::serve(listener, router.into_make_service_with_connect_info::<SocketAddr>()).await });
    url
}

fn url(listener: &TcpListener) -> Uri {
    format!("http://{}/base", listener.local_addr().unwrap()).parse().unwrap()
}

fn request(path: &str) -> Request<Body> {
    Request::get(format!("https://elsewhere{path}")).body(Body::empty()).unwrap()
}

/// Answers with the address of the client's side of the connection.
async fn us(ConnectInfo(address): ConnectInfo<SocketAddr>) -> String {
    address.to_string()
}

/// Asks for a path, and returns the body of the answer.
async fn ask(pool: &Pool, path: &str) -> Bytes {
    pool.send(request(path)).await.unwrap().collect().await.unwrap().to_bytes()
}

#[tokio::test]
async fn a_connection_is_used_again_when_its_answer_was_read_to_its_end() {
    let router = Router::new()
        .route("/whole", get(us))
        .route("/long", get(|| async { "x".repeat(1_000_000) }))
        .route("/fault", get(|| async { (StatusCode::INTERNAL_SERVER_ERROR, "no") }))
        .route("/empty", get(|| async { StatusCode::NO_CONTENT }))
        .route("/last", get(|| async { [(CONNECTION, "close")].into_response() }));
    let server = serve(router).await;
    for (path, is_read, idle, is_kept) in [
        ("/whole", true, LIMITS.idle, true),
        ("/long", true, LIMITS.idle, true),
        ("/fault", true, LIMITS.idle, true),
        ("/empty", false, LIMITS.idle, true),
        ("/whole", false, LIMITS.idle, false),
        ("/long", false, LIMITS.idle, false),
        ("/last", true, LIMITS.idle, false),
        ("/whole", true, Duration::ZERO, false),
    ] {
        let pool = Pool::new(HttpConnector::new(), &server, Limits { idle, ..LIMITS });
        let before = ask(&pool, "/whole").await;
        // The first connection is the only idle one, so this goes over it unless it may not be idle at all.
        let answer = pool.send(request(path)).await.unwrap();
        if is_read {
            answer.collect().await.unwrap();
        } else {
            drop(answer);
        }
        assert_eq!(ask(&pool, "/whole").await == before, is_kept, "{path} read: {is_read}, idle for at most {idle:?}");
    }
}

#[tokio::test]
async fn of_many_connections_that_become_idle_some_are_kept() {
    const AT_ONCE: usize = MAX_IDLE_CONNECTIONS + 4;
    let all_are_here = Arc::new(Barrier::new(AT_ONCE));
    let together = move |address| {
        let all_are_here = Arc::clone(&all_are_here);
        async move {
            all_are_here.wait().await;
            us(address).await
        }
    };
    let server = serve(Router::new().route("/", get(together))).await;
    let pool = Pool::new(HttpConnector::new(), &server, LIMITS);
    let mut used = HashSet::new();
    for connections in [AT_ONCE, AT_ONCE + 4] {
        used.extend(join_all((0..AT_ONCE).map(|_| ask(&pool, "/"))).await);
        assert_eq!(used.len(), connections);
    }
}

#[tokio::test]
async fn a_request_says_its_path_and_the_servers_host() {
    let heard = |uri: Uri, headers: HeaderMap| async move { format!("{uri} {}", headers[HOST].to_str().unwrap()) };
    let server = serve(Router::new().fallback(heard)).await;
    let pool = Pool::new(HttpConnector::new(), &server, LIMITS);
    let authority = server.authority().unwrap();
    assert_eq!(ask(&pool, "/a/b?c=d%20e").await, format!("/a/b?c=d%20e {authority}"));

    for (server, expected) in [
        ("https://a.example/x", "a.example"),
        ("https://a.example:443", "a.example"),
        ("http://a.example:443", "a.example:443"),
        ("http://[::1]:80", "[::1]"),
        ("https://[::1]:6443", "[::1]:6443"),
    ] {
        assert_eq!(host(&server.parse().unwrap()), expected);
    }
}

/// The next request on a connection.
async fn read_head(stream: &mut TcpStream) {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(stream.read_u8().await.unwrap());
    }
}

#[tokio::test]
async fn a_request_that_nobody_waits_for_any_more_ends_its_connection() {
    for (case, said) in
        [("before an answer", &b""[..]), ("in the middle of it", b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nthe ")]
    {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let pool = Pool::new(HttpConnector::new(), &url(&listener), LIMITS);
        let asking = tokio::spawn(async move { ask(&pool, "/").await });
        let (mut stream, _) = listener.accept().await.unwrap();
        read_head(&mut stream).await;
        stream.write_all(said).await.unwrap();
        asking.abort();
        assert!(matches!(stream.read_u8().await, Err(error) if error.kind() == io::ErrorKind::UnexpectedEof), "{case}");
    }
}

#[tokio::test]
async fn a_connection_whose_request_was_answered_before_it_was_read_is_not_used_again() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let pool = Pool::new(HttpConnector::new(), &url(&listener), LIMITS);
    let serve = async {
        let mut connections = Vec::new();
        for _ in 0..2 {
            let (mut stream, _) = listener.accept().await.unwrap();
            read_head(&mut stream).await;
            stream.write_all(b"HTTP/1.1 413 Too Long\r\nContent-Length: 0\r\n\r\n").await.unwrap();
            connections.push(stream);
        }
    };
    let ask = async {
        // More than the sockets of both sides hold.
        let long = Request::post("/").body(Body::from(vec![0; 64 * 1024 * 1024])).unwrap();
        pool.send(long).await.unwrap();
        pool.send(request("/")).await.unwrap();
    };
    tokio::join!(serve, ask);
}

#[tokio::test]
async fn a_request_that_a_new_connection_did_not_take_has_not_left() {
    let broken = service_fn(|_: Uri| async {
        let (ours, theirs) = tokio::io::duplex(1024);
        drop(theirs);
        Ok::<_, Infallible>(TokioIo::new(ours))
    });
    let pool = Pool::new(broken, &Uri::from_static("http://a.example"), LIMITS);
    let error = pool.send(request("/")).await.err().unwrap();
    assert!(matches!(error, Error::NoConnection(_)), "{error:?}");
}

#[tokio::test]
async fn a_patient_request_takes_the_connection_that_becomes_idle() {
    for (patience, waits) in [(Duration::from_mins(1), true), (Duration::ZERO, false)] {
        let release = Arc::new(Notify::new());
        let held = {
            let release = Arc::clone(&release);
            move |address| async move {
                release.notified().await;
                us(address).await
            }
        };
        let server = serve(Router::new().route("/held", get(held)).route("/", get(us))).await;
        let pool = Pool::new(HttpConnector::new(), &server, LIMITS);
        let first = ask(&pool, "/held");
        let patient = async {
            let mut request = request("/");
            request.extensions_mut().insert(Patience(patience));
            let mut sent = pin!(pool.send(request));
            let early = timeout(Duration::from_millis(200), &mut sent).await;
            release.notify_one();
            let answer = if let Ok(answer) = early { answer } else { sent.await };
            answer.unwrap().collect().await.unwrap().to_bytes()
        };
        let (first, patient) = tokio::join!(biased; first, patient);
        assert_eq!(first == patient, waits, "{patience:?}");
    }
}
