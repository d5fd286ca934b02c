//! The remote client against servers that misbehave, on real sockets.

use std::io;
use std::net::SocketAddr;
use std::process::Command;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use futures::future::join_all;
use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair, date_time_ymd};
use rustls::pki_types::PrivateKeyDer;
use sarvam_operator::core::classify::{Fault, Landed, Page, Remote};
use sarvam_operator::core::config::{Days, Managed, Schedule, TimeOfDay};
use sarvam_operator::core::id::{Id, LineId};
use sarvam_operator::core::line::{Action, State, Trouble};
use sarvam_operator::sarvam::client::Client;
use sarvam_operator::sarvam::key::ApiKey;
use sarvam_operator::sarvam::settings::{InvalidSetting, Settings};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, copy_bidirectional};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;
use tokio_rustls::TlsAcceptor;

const KEY: &str = "sk_Live/4f9a8b7c+6d5eXyZw~!q";
const ACTIVE: &str = r#"{"deployment_id":"dep-1","status":"active"}"#;
const PAUSED: &str = r#"{"deployment_id":"dep-1","status":"paused"}"#;

/// What a server does on a connection once it has read a whole request.
#[derive(Clone)]
enum Act {
    /// Sends this.
    Send(Vec<u8>),
    /// Sends this again and again, until the client has gone.
    Repeat(Vec<u8>, Duration),
    /// Sends and reads nothing more, and keeps the connection.
    Hang,
    /// Reads the next request.
    Next,
}

/// A server on a loopback port that plays one script on every connection. It ends when it is dropped.
struct Server {
    address: SocketAddr,
    seen: Arc<Mutex<Seen>>,
    _tasks: JoinSet<()>,
}

/// What came to a server.
#[derive(Clone, Default)]
struct Seen {
    connections: usize,
    requests: Vec<String>,
    bytes_sent: usize,
}

/// How the server's side of a connection is made and ended.
#[derive(Clone)]
enum Transport {
    Tcp,
    /// Closing resets the connection.
    TcpReset,
    Tls(TlsAcceptor),
}

impl Server {
    /// After its acts, a script closes the connection.
    async fn start(script: Vec<Act>) -> Self {
        Self::start_on(Transport::Tcp, script).await
    }

    async fn start_on(transport: Transport, script: Vec<Act>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let seen = Arc::new(Mutex::new(Seen::default()));
        let mut tasks = JoinSet::new();
        let to_tell = Arc::clone(&seen);
        tasks.spawn(async move {
            let mut connections = JoinSet::new();
            while let Ok((stream, _)) = listener.accept().await {
                to_tell.lock().unwrap().connections += 1;
                let (seen, script) = (Arc::clone(&to_tell), script.clone());
                let transport = transport.clone();
                connections.spawn(async move {
                    // What the client does to the connection is its affair.
                    let _ = match transport {
                        Transport::Tcp => play(stream, &script, &seen).await,
                        Transport::TcpReset => {
                            stream.set_zero_linger().unwrap();
                            play(stream, &script, &seen).await
                        }
                        Transport::Tls(acceptor) => match acceptor.accept(stream).await {
                            Ok(stream) => play(stream, &script, &seen).await,
                            Err(error) => Err(error),
                        },
                    };
                });
            }
        });
        Self { address, seen, _tasks: tasks }
    }

    fn seen(&self) -> Seen {
        self.seen.lock().unwrap().clone()
    }

    fn url(&self, scheme: &str) -> String {
        format!("{scheme}://{}/base", self.address)
    }
}

async fn play(mut stream: impl AsyncRead + AsyncWrite + Unpin, script: &[Act], seen: &Mutex<Seen>) -> io::Result<()> {
    let request = read_request(&mut stream).await?;
    seen.lock().unwrap().requests.push(request);
    for act in script {
        match act {
            Act::Send(bytes) => stream.write_all(bytes).await?,
            Act::Repeat(bytes, pause) => loop {
                stream.write_all(bytes).await?;
                stream.flush().await?;
                seen.lock().unwrap().bytes_sent += bytes.len();
                tokio::time::sleep(*pause).await;
            },
            Act::Hang => std::future::pending().await,
            Act::Next => {
                let request = read_request(&mut stream).await?;
                seen.lock().unwrap().requests.push(request);
            }
        }
        stream.flush().await?;
    }
    stream.shutdown().await
}

/// One request with a body of the announced length.
async fn read_request(stream: &mut (impl AsyncRead + Unpin)) -> io::Result<String> {
    let mut request = String::new();
    let mut left = None;
    while left != Some(0) {
        request.push(char::from(stream.read_u8().await?));
        left = match left {
            Some(left) => Some(left - 1),
            None if request.ends_with("\r\n\r\n") => {
                Some(header(&request, "content-length").map_or(0, |length| length.parse().unwrap()))
            }
            None => None,
        };
    }
    Ok(request)
}

fn header<'a>(request: &'a str, name: &str) -> Option<&'a str> {
    request.lines().find_map(|line| {
        let (found, value) = line.split_once(": ")?;
        found.eq_ignore_ascii_case(name).then_some(value)
    })
}

fn answer(status: u16, headers: &str, body: &str) -> Act {
    let length = body.len();
    Act::Send(format!("HTTP/1.1 {status} X\r\n{headers}Content-Length: {length}\r\n\r\n{body}").into())
}

fn send(text: &str) -> Act {
    Act::Send(text.into())
}

fn settings(base_url: String) -> Settings {
    // More than one test may be the first in its process.
    let _ = rustls::crypto::ring::default_provider().install_default();
    Settings {
        base_url,
        allow_http_loopback: true,
        extra_ca_pem: None,
        call_timeout: Duration::from_secs(20),
        use_proxy: false,
    }
}

fn client(server: &Server) -> Client {
    Client::new(&settings(server.url("http"))).unwrap()
}

/// A client that gives up soon, but not for a busy machine.
fn impatient(base_url: String) -> Client {
    Client::new(&Settings { call_timeout: Duration::from_secs(2), ..settings(base_url) }).unwrap()
}

fn id(text: &str) -> Id {
    Id::new(text).unwrap()
}

fn key() -> ApiKey {
    ApiKey::new(KEY.as_bytes()).unwrap_or_else(|rule| panic!("{rule}"))
}

fn line() -> LineId {
    LineId { org: id("org-1"), workspace: id("ws-1"), deployment: id("dep-1") }
}

async fn pause(client: &Client) -> Result<Remote, Fault> {
    client.set_status(&key(), &line(), Action::Pause).await
}

async fn update(client: &Client, patch: &Managed) -> Result<Remote, Fault> {
    client.update(&key(), &line(), patch).await
}

/// A change of every field that can be managed.
fn everything() -> Managed {
    let numbers = ["+912", "+911"].map(str::to_owned);
    Managed {
        app_version: Some(7),
        name: Some("Support line".into()),
        description: Some("Hindi, \"English\"".into()),
        connections: Some(
            [("conn-2".to_owned(), numbers.to_vec()), ("conn-1".to_owned(), vec![])].into_iter().collect(),
        ),
        schedule: Some(Schedule {
            start: TimeOfDay::parse("9:00").unwrap(),
            end: TimeOfDay::parse("21:30").unwrap(),
            days: Days::parse(["Sunday", "Monday"]).unwrap(),
            timezone: "Asia/Kolkata".into(),
        }),
    }
}

/// Its body.
const EVERYTHING: &str = r#"{"app_version":7,"connection_configs":[{"connection_id":"conn-1","phone_numbers":[]},{"connection_id":"conn-2","phone_numbers":["+911","+912"]}],"description":"Hindi, \"English\"","inbound_config":{"allowed_days":["Monday","Sunday"],"end_time":"21:30","start_time":"09:00","timezone":"Asia/Kolkata"},"name":"Support line"}"#;

async fn get(client: &Client) -> Result<Remote, Fault> {
    client.get(&key(), &line()).await
}

async fn list(client: &Client) -> Result<Page, Fault> {
    client.list(&key(), &id("org-1"), &id("ws-1"), 200).await
}

/// The outcome of a call that has to fail, in the two words that decide.
fn verdict<T>(outcome: Result<T, Fault>) -> (Trouble, Landed) {
    let fault = outcome.err().expect("a fault");
    (fault.trouble, fault.landed)
}

#[tokio::test]
async fn a_call_is_one_plain_request_with_the_key() {
    let page = format!(r#"{{"items":[{PAUSED}],"total":201}}"#);
    let server = Server::start(vec![
        answer(200, "", ACTIVE),
        Act::Next,
        answer(200, "", PAUSED),
        Act::Next,
        answer(200, "", ACTIVE),
        Act::Next,
        answer(200, "", &page),
        Act::Next,
        answer(200, "", PAUSED),
        Act::Next,
        answer(200, "", PAUSED),
        Act::Hang,
    ])
    .await;
    let client = client(&server);
    assert_eq!(get(&client).await.unwrap().state, State::Active);
    assert_eq!(pause(&client).await.unwrap().state, State::Paused);
    let resumed = client.set_status(&key(), &line(), Action::Resume).await;
    assert_eq!(resumed.unwrap().state, State::Active);
    assert_eq!(list(&client).await.unwrap().total, Some(201));
    assert_eq!(
        update(&client, &Managed { app_version: Some(8), ..Managed::default() }).await.unwrap().state,
        State::Paused
    );
    assert_eq!(update(&client, &everything()).await.unwrap().state, State::Paused);

    let seen = server.seen();
    let deployments = "/base/v1/orgs/org-1/workspaces/ws-1/deployments";
    let expected = [
        (format!("GET {deployments}/dep-1"), ""),
        (format!("PUT {deployments}/dep-1/status"), r#"{"action":"pause"}"#),
        (format!("PUT {deployments}/dep-1/status"), r#"{"action":"resume"}"#),
        (format!("GET {deployments}?offset=200&limit=100"), ""),
        (format!("PATCH {deployments}/dep-1"), r#"{"app_version":8}"#),
        (format!("PATCH {deployments}/dep-1"), EVERYTHING),
    ];
    assert_eq!(seen.requests.len(), expected.len());
    for (request, (start, body)) in seen.requests.iter().zip(expected) {
        assert!(request.starts_with(&format!("{start} HTTP/1.1\r\n")), "{request}");
        assert!(request.ends_with(&format!("\r\n\r\n{body}")), "{request}");
        assert_eq!(header(request, "x-api-key"), Some(KEY));
        assert_eq!(header(request, "user-agent"), Some(concat!("sarvam-operator/", env!("CARGO_PKG_VERSION"))));
        assert_eq!(header(request, "accept-encoding"), None, "nothing to inflate");
        assert_eq!(header(request, "content-type"), (!body.is_empty()).then_some("application/json"));
    }
    assert_eq!(seen.connections, 1, "calls share connections");
}

#[tokio::test]
async fn no_redirect_is_followed() {
    let other = Server::start(vec![answer(200, "", PAUSED)]).await;
    for status in [301, 302, 303, 307, 308] {
        for target in [
            format!("{}/elsewhere", other.url("http")),
            format!("//{}/", other.address),
            "/base/v1".into(),
            "javascript:alert(1)".into(),
        ] {
            let location = format!("Location: {target}\r\n");
            let server = Server::start(vec![answer(status, &location, PAUSED)]).await;
            let client = client(&server);
            let paused = pause(&client).await;
            assert_eq!(verdict(paused), (Trouble::UnexpectedResponse, Landed::Maybe), "{status} {target}");
            let got = get(&client).await;
            assert_eq!(verdict(got), (Trouble::UnexpectedResponse, Landed::No));
            assert_eq!(server.seen().requests.len(), 2, "{status} {target}");
        }
    }
    assert_eq!(other.seen().connections, 0);
}

#[tokio::test]
async fn an_answer_that_never_ends_is_left_at_the_timeout() {
    let drip = |bytes: &str| Act::Repeat(bytes.into(), Duration::from_millis(20));
    let unclear = (Trouble::Unavailable, Landed::Maybe);
    let cases = [
        (vec![Act::Hang], unclear),
        (vec![drip("HTTP/1.1 100 Continue\r\n\r\n")], unclear),
        (vec![send("HTTP/1.1 200 OK\r\nX-A: "), drip("a")], unclear),
        (vec![send("HTTP/1.1 200 OK\r\nContent-Length: 9999\r\n\r\n"), drip(" ")], unclear),
        (vec![send("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"), drip("1\r\n \r\n")], unclear),
        (vec![send("HTTP/1.1 502 X\r\nContent-Length: 9999\r\n\r\n"), drip(" ")], unclear),
        // A refusal is one by its status.
        (vec![send("HTTP/1.1 422 X\r\nContent-Length: 9999\r\n\r\n"), drip(" ")], (Trouble::Refused, Landed::No)),
    ];
    join_all(cases.map(|(script, expected)| async move {
        let server = Server::start(script).await;
        let outcome = pause(&impatient(server.url("http"))).await;
        assert_eq!(verdict(outcome), expected);
        assert_eq!(server.seen().requests.len(), 1);
    }))
    .await;
}

#[tokio::test]
async fn a_body_is_read_up_to_its_cap() {
    const CHUNK: usize = 64 * 1024;
    let flood = |head: &str, chunk: String| vec![send(head), Act::Repeat(chunk.into(), Duration::ZERO)];
    let spaces = " ".repeat(CHUNK);
    for script in [
        flood("HTTP/1.1 200 OK\r\nContent-Length: 104857600\r\n\r\n", spaces.clone()),
        flood("HTTP/1.1 200 OK\r\n\r\n", spaces.clone()),
        flood("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", format!("{CHUNK:x}\r\n{spaces}\r\n")),
    ] {
        let server = Server::start(script).await;
        let outcome = pause(&client(&server)).await;
        assert_eq!(verdict(outcome), (Trouble::UnexpectedResponse, Landed::Maybe));
        // The cap, and what the sockets of both sides hold.
        let sent = server.seen().bytes_sent;
        assert!(sent < 32 * 1024 * 1024, "{sent} bytes");
    }
}

#[tokio::test]
async fn a_broken_answer_leaves_a_change_in_doubt_and_is_not_asked_for_again() {
    let whole = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n", PAUSED.len());
    let scripts = [
        vec![],
        vec![send("HTTP/1.1 200 OK\r\nContent-Le")],
        vec![send(&whole)],
        vec![send(&whole), send(&PAUSED[..20])],
        vec![send("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2b\r\n"), send(PAUSED)],
        vec![send("SSH-2.0-OpenSSH_9.6\r\n")],
        vec![send("HTTP/1.1 999999 X\r\n\r\n")],
        vec![send("HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n")],
    ];
    for (number, script) in scripts.into_iter().enumerate() {
        for transport in [Transport::Tcp, Transport::TcpReset] {
            let server = Server::start_on(transport, script.clone()).await;
            let paused = pause(&client(&server)).await;
            assert_eq!(verdict(paused), (Trouble::Unavailable, Landed::Maybe), "script {number}");
            let updated = update(&client(&server), &everything()).await;
            assert_eq!(verdict(updated), (Trouble::Unavailable, Landed::Maybe), "script {number}");
            assert_eq!(server.seen().requests.len(), 2, "script {number}");
            let got = get(&client(&server)).await;
            assert_eq!(verdict(got), (Trouble::Unavailable, Landed::No));
        }
    }
}

#[tokio::test]
async fn strange_but_whole_answers_are_taken_for_what_they_are() {
    let long = format!("X-Long: {}\r\n", "a".repeat(100 * 1024));
    for (script, expected) in [
        (answer(200, &long, PAUSED), Ok(State::Paused)),
        (answer(200, "Content-Encoding: gzip\r\n", "\x1f\u{8b}"), Err((Trouble::UnexpectedResponse, Landed::Maybe))),
        (answer(200, "", "<html>"), Err((Trouble::UnexpectedResponse, Landed::Maybe))),
        (
            send("HTTP/1.1 429 \x07\r\nRetry-After: 2\r\nContent-Length: 0\r\n\r\n"),
            Err((Trouble::Unavailable, Landed::Maybe)),
        ),
        (answer(429, "Retry-After: 2\r\n", ""), Err((Trouble::RateLimited, Landed::No))),
    ] {
        let server = Server::start(vec![script]).await;
        let outcome = pause(&client(&server)).await;
        let outcome = outcome.map(|remote| remote.state).map_err(|fault| (fault.trouble, fault.landed));
        assert_eq!(outcome, expected);
    }
}

#[tokio::test]
async fn retry_after_is_read_from_the_headers() {
    let headers = "Date: Sun, 06 Nov 1994 08:49:37 GMT\r\nRetry-After: 5\r\n\
        retry-after: Sun, 06 Nov 1994 08:50:37 GMT\r\n";
    let server = Server::start(vec![answer(503, headers, "")]).await;
    let fault = pause(&client(&server)).await.unwrap_err();
    assert_eq!(fault.retry_after, Some(Duration::from_mins(1)));
}

#[tokio::test]
async fn without_a_connection_nothing_has_landed() {
    let closed_port = {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        listener.local_addr().unwrap()
    };
    // Takes the connection and never speaks TLS.
    let silent = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let plain = Server::start(vec![answer(200, "", PAUSED)]).await;
    let urls = [
        format!("http://{closed_port}"),
        format!("https://{closed_port}"),
        format!("https://{}", silent.local_addr().unwrap()),
        plain.url("https"),
        "https://no-such-host.invalid".into(),
    ];
    let (none, late) = (["no connection to the remote"; 2], ["no connection to the remote within its time"; 2]);
    // A name server that says nothing is met by the limit.
    let words = [none, none, late, late, ["the remote's host name can't be resolved", late[0]]];
    join_all(urls.into_iter().zip(words).map(|(url, words)| async move {
        let fault = pause(&impatient(url.clone())).await.unwrap_err();
        assert_eq!((fault.trouble, fault.landed), (Trouble::Unavailable, Landed::No), "{url}");
        assert!(words.contains(&&*fault.message), "{url}: {fault}");
    }))
    .await;
    assert!(plain.seen().requests.is_empty());
}

/// A certificate authority, and servers with its certificates.
struct Authority {
    pem: String,
    issuer: Issuer<'static, KeyPair>,
}

impl Authority {
    fn new() -> Self {
        let _ = rustls::crypto::ring::default_provider().install_default();
        let mut params = CertificateParams::new([]).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let key = KeyPair::generate().unwrap();
        Self { pem: params.self_signed(&key).unwrap().pem(), issuer: Issuer::new(params, key) }
    }

    /// A server for this host name or address, whose certificate ends with this year.
    async fn server(&self, host: &str, last_year: i32) -> Server {
        let mut params = CertificateParams::new([host.to_owned()]).unwrap();
        params.not_after = date_time_ymd(last_year, 12, 31);
        let key = KeyPair::generate().unwrap();
        let certificate = params.signed_by(&key, &self.issuer).unwrap();
        let key = PrivateKeyDer::try_from(key.serialize_der()).unwrap();
        let config = rustls::ServerConfig::builder()
            .with_no_client_auth()
            .with_single_cert(vec![certificate.der().clone()], key)
            .unwrap();
        let acceptor = TlsAcceptor::from(Arc::new(config));
        Server::start_on(Transport::Tls(acceptor), vec![answer(200, "", PAUSED)]).await
    }
}

#[tokio::test]
async fn tls_is_verified_before_the_key_is_sent() {
    let authority = Authority::new();
    let stranger = Authority::new();
    let good = authority.server("127.0.0.1", 4000).await;
    let wrong_host = authority.server("remote.example", 4000).await;
    let expired = authority.server("127.0.0.1", 2020).await;
    for (case, server, trusted, accepted) in [
        ("nothing extra trusted", &good, None, false),
        ("another authority", &good, Some(&stranger.pem), false),
        ("its authority", &good, Some(&authority.pem), true),
        ("wrong host", &wrong_host, Some(&authority.pem), false),
        ("expired", &expired, Some(&authority.pem), false),
    ] {
        let before = server.seen().requests.len();
        let client = Client::new(&Settings {
            extra_ca_pem: trusted.map(|pem| pem.clone().into_bytes()),
            ..settings(server.url("https"))
        })
        .unwrap();
        match pause(&client).await {
            Ok(remote) => assert_eq!((accepted, remote.state), (true, State::Paused), "{case}"),
            Err(fault) => {
                assert!(!accepted, "{case}: {fault}");
                assert_eq!((fault.trouble, fault.landed), (Trouble::Unavailable, Landed::No), "{case}");
                assert!(fault.message.contains("TLS"), "{case}: {fault}");
            }
        }
        let sent = server.seen().requests.len() - before;
        assert_eq!(sent, usize::from(accepted), "{case}");
    }
}

#[test]
fn a_file_without_certificates_is_refused_at_the_start() {
    let not_der = "-----BEGIN CERTIFICATE-----\naGVsbG8=\n-----END CERTIFICATE-----\n";
    for (pem, expected) in
        [("", InvalidSetting::Certificates), ("hello", InvalidSetting::Certificates), (not_der, InvalidSetting::Tls)]
    {
        let refused = Client::new(&Settings { extra_ca_pem: Some(pem.into()), ..settings("https://127.0.0.1".into()) });
        assert_eq!(refused.err(), Some(expected), "{pem:?}");
    }
}

/// What the process of a test is told that makes its calls with an environment of its own; that of this one can't be changed safely.
const USE_PROXY: &str = "REMOTE_CLIENT_TEST_USE_PROXY";
const URL: &str = "REMOTE_CLIENT_TEST_URL";
const CA: &str = "REMOTE_CLIENT_TEST_CA";

/// Runs one test of this file in a process of its own, in which every variable for a proxy names this one.
async fn with_proxy(test: &str, proxy: &str, variables: &[(&str, &str)]) {
    let mut child = Command::new(std::env::current_exe().unwrap());
    child.args(["--exact", test]).env_remove("NO_PROXY").env_remove("no_proxy");
    for name in ["HTTPS_PROXY", "HTTP_PROXY", "ALL_PROXY"] {
        child.env(name, proxy).env(name.to_lowercase(), proxy);
    }
    child.envs(variables.iter().copied());
    let output = tokio::task::spawn_blocking(move || child.output().unwrap()).await.unwrap();
    assert!(output.status.success(), "{output:?}");
}

#[tokio::test]
async fn a_proxy_is_used_only_when_asked_for() {
    if let Ok(use_proxy) = std::env::var(USE_PROXY) {
        for url in ["https://127.0.0.1:1", "http://127.0.0.1:1"] {
            let client = Client::new(&Settings { use_proxy: use_proxy == "true", ..settings(url.into()) }).unwrap();
            assert_eq!(verdict(pause(&client).await), (Trouble::Unavailable, Landed::No));
        }
        return;
    }
    for (use_proxy, expected) in [("false", 0), ("true", 1)] {
        let proxy = Server::start(vec![answer(502, "", "")]).await;
        with_proxy("a_proxy_is_used_only_when_asked_for", &proxy.url("http"), &[(USE_PROXY, use_proxy)]).await;
        let requests = proxy.seen().requests;
        assert_eq!(requests.len(), expected, "{requests:?}");
        for request in requests {
            assert!(request.starts_with("CONNECT 127.0.0.1:1 "), "{request}");
            assert!(!gives_away(&request), "{request}");
        }
    }
}

/// A proxy that makes every tunnel that it is asked for, and keeps what it was asked.
async fn tunnels() -> (SocketAddr, Arc<Mutex<Vec<String>>>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let asked = Arc::new(Mutex::new(Vec::new()));
    let to_tell = Arc::clone(&asked);
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let asked = Arc::clone(&to_tell);
            tokio::spawn(async move {
                let request = read_request(&mut stream).await.unwrap();
                let target = request.split(' ').nth(1).unwrap().to_owned();
                asked.lock().unwrap().push(request);
                let mut server = TcpStream::connect(target).await.unwrap();
                stream.write_all(b"HTTP/1.1 200 OK\r\n\r\n").await.unwrap();
                // How the two part is their affair.
                let _ = copy_bidirectional(&mut stream, &mut server).await;
            });
        }
    });
    (address, asked)
}

/// The call is inside of TLS all the way; the proxy hears where to, and who asks.
#[tokio::test]
async fn a_proxy_makes_the_tunnel_for_a_call() {
    if let Ok(url) = std::env::var(URL) {
        let ca = std::env::var(CA).unwrap();
        let client = Client::new(&Settings { use_proxy: true, extra_ca_pem: Some(ca.into()), ..settings(url) });
        assert_eq!(pause(&client.unwrap()).await.unwrap().state, State::Paused);
        return;
    }
    let authority = Authority::new();
    let server = authority.server("127.0.0.1", 4000).await;
    let url = server.url("https");
    for (no_proxy, expected) in [("example.com", 1), ("127.0.0.1", 0)] {
        let (proxy, asked) = tunnels().await;
        let variables = [(URL, url.as_str()), (CA, &authority.pem), ("NO_PROXY", no_proxy)];
        with_proxy("a_proxy_makes_the_tunnel_for_a_call", &format!("http://user:word@{proxy}"), &variables).await;
        let asked = asked.lock().unwrap().clone();
        assert_eq!(asked.len(), expected, "NO_PROXY={no_proxy}: {asked:?}");
        for request in asked {
            assert!(request.starts_with(&format!("CONNECT {} HTTP/1.1\r\n", server.address)), "{request}");
            assert_eq!(header(&request, "proxy-authorization"), Some("Basic dXNlcjp3b3Jk"));
            assert_eq!(header(&request, "user-agent"), Some(concat!("sarvam-operator/", env!("CARGO_PKG_VERSION"))));
            assert!(!gives_away(&request), "{request}");
        }
    }
    assert_eq!(server.seen().requests.len(), 2);
}

#[tokio::test]
async fn each_call_is_one_request_whatever_happens_to_the_connection() {
    const CALLS: usize = 30;
    let keep = answer(200, "Connection: keep-alive\r\n", PAUSED);
    for (case, transport, script) in [
        // The server closes an idle connection without having announced it: the client may or may not have noticed.
        ("closed", Transport::Tcp, vec![keep.clone()]),
        ("reset", Transport::TcpReset, vec![keep.clone()]),
        // It takes the second request of a connection and closes instead of an answer.
        ("taken, closed", Transport::Tcp, vec![keep.clone(), Act::Next]),
        ("taken, reset", Transport::TcpReset, vec![keep, Act::Next]),
    ] {
        let server = Server::start_on(transport, script).await;
        let client = client(&server);
        let mut answered = 0;
        for call in 1..=CALLS {
            match pause(&client).await {
                Ok(_) => answered += 1,
                Err(fault) => assert_eq!(fault.landed, Landed::Maybe, "{case}"),
            }
            assert!(server.seen().requests.len() <= call, "{case}");
        }
        let requests = server.seen().requests.len();
        assert!(requests >= answered && answered > 0, "{case}: {requests} {answered}");
        if case.starts_with("taken") {
            assert_eq!(requests, CALLS, "{case}");
            assert!(answered < CALLS, "{case}: no connection was used twice");
        }
    }
}

/// Whether a text has the key in it, a part of eight bytes, or one of its encodings.
fn gives_away(text: &str) -> bool {
    let hex = each_byte(|byte| format!("{byte:02x}"));
    let parts = KEY.as_bytes().windows(8).map(|part| str::from_utf8(part).unwrap().to_owned());
    let encodings = [hex.to_uppercase(), hex, BASE64.into(), URL_ENCODED.into()];
    parts.chain(encodings).any(|part| text.contains(&part) || text.contains(&part[..8]))
}

fn each_byte(form: fn(u8) -> String) -> String {
    KEY.bytes().map(form).collect::<Vec<String>>().concat()
}

const BASE64: &str = "c2tfTGl2ZS80ZjlhOGI3Yys2ZDVlWHlad34hcQ";
const URL_ENCODED: &str = "sk_Live%2F4f9a8b7c%2B6d5eXyZw~%21q";

#[tokio::test]
async fn the_key_is_in_nothing_that_a_call_returns() {
    let hex = each_byte(|byte| format!("{byte:02x}"));
    let escaped = each_byte(|byte| format!("\\u{byte:04x}"));
    let spellings = [KEY, &KEY[..8], &KEY[10..18], &KEY[KEY.len() - 8..], &escaped, BASE64, URL_ENCODED, &hex];
    for told in spellings {
        for (status, headers, body) in [
            (200, String::new(), told.to_owned()),
            (
                200,
                String::new(),
                format!(
                    r#"{{"deployment_id":"dep-1","status":"{told}","name":"by {told}!","app_id":"{told}","updated_by":"k:{told}",
                    "phone_numbers":["{told}"],"description":"{told}",
                    "connection_configs":[{{"connection_id":"{told}","phone_numbers":["{told}"]}}],
                    "inbound_config":{{"start_time":"09:00","end_time":"21:00","allowed_days":["Monday"],"timezone":"{told}"}},"channel_direction":"{told}","updated_at":"{told}"}}"#
                ),
            ),
            (403, String::new(), format!(r#"{{"error":{{"message":"bad key {told}.","code":"{told}"}}}}"#)),
            (422, String::new(), format!(r#"{{"detail":"'{told}'"}}"#)),
            (422, String::new(), format!(r#"{{"detail":[{{"loc":["header","{told}"],"msg":"{told}"}}]}}"#)),
            (404, format!("X-Echo: {}\r\n", told.replace('\\', "")), told.to_owned()),
            (302, format!("Location: /{}\r\n", told.replace('\\', "")), String::new()),
            (500, String::new(), told.to_owned()),
        ] {
            let server = Server::start(vec![answer(status, &headers, &body)]).await;
            let outcome = pause(&client(&server)).await;
            let shown = match &outcome {
                Ok(remote) => format!("{remote:?}"),
                Err(fault) => format!("{fault} {fault:?}"),
            };
            assert!(!gives_away(&shown), "{status} {told}: {shown}");
        }
    }
    let unreachable = pause(&impatient("http://127.0.0.1:1".into())).await;
    let shown = format!("{unreachable:?}");
    assert!(!gives_away(&shown) && !shown.contains("127.0.0.1"), "{shown}");
}
