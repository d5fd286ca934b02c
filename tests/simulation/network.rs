//! The two ways out of an operator: to the API server and to the remote. Each request and each event of a watch is a seam of the run.

use std::collections::VecDeque;
use std::future::pending;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::{Body, Bytes, to_bytes};
use axum::extract::Request;
use axum::http::{self, HeaderMap, Method, StatusCode, Uri};
use axum::response::{IntoResponse, Response};
use futures::future::BoxFuture;
use sarvam_operator::access::ANSWER_BEGINS_WITHIN;
use sarvam_operator::sarvam::transport::{Answer, Lost, Transport};
use sarvam_testkit::api_server::{self, Watch};
use sarvam_testkit::simulator::{Fault, Route};
use serde_json::{Value, json};
use tokio::time::{Instant, sleep, sleep_until, timeout};

use crate::trouble::{Bend, Delivery, Ending, Fate, Moment, Reply, Seam, What};
use crate::world::{Operator, World};

/// A client of the world's API server.
pub fn to_api_server(world: &Arc<World>, operator: &Arc<Operator>) -> kube::Client {
    let (world, operator) = (Arc::clone(world), Arc::clone(operator));
    let network =
        Router::new().fallback(move |request: Request| ask(Arc::clone(&world), Arc::clone(&operator), request));
    kube::Client::new(network, "default")
}

async fn ask(world: Arc<World>, operator: Arc<Operator>, request: Request) -> Response {
    let (head, body) = request.into_parts();
    let body = to_bytes(body, usize::MAX).await.expect("a body in memory");
    if operator.is_dead() {
        return pending().await;
    }
    let seam = match head.method {
        Method::GET if head.uri.query().is_some_and(|query| query.contains("watch=")) => Seam::Watch,
        Method::GET => Seam::Read,
        _ => Seam::Write,
    };
    let (number, struck) = world.arrive(&operator, seam, || gist(&head.method, &head.uri, &body));
    let (crash, fate) = match struck {
        Some(What::Crash(moment)) => (Some(moment), None),
        Some(What::Api(fate)) => (None, Some(fate)),
        _ => (None, None),
    };
    let away = world.away.borrow().filter(|reply| *reply != Reply::Nothing);
    let fate = fate.or(away.map(|answer| Fate { lands: None, answer }));
    let Fate { lands, answer } = fate.unwrap_or(Fate { lands: Some(Duration::ZERO), answer: Reply::True });
    if lands.is_none() && answer != Reply::Nothing {
        sleep(world.leg() + world.leg()).await;
        return in_place_of(answer, None);
    }
    let (server, view) = (world.api.clone(), operator.view.clone());
    let way = Arc::clone(&world);
    let serve = async move {
        // What nobody answers is on its way until the API server is back.
        way.reached().await;
        server.request(&view, &head.method, &head.uri, &body)
    };
    let carried = async {
        let carried = world.carry(&operator, crash, lands, serve).await;
        world.reached().await;
        if answer == Reply::Nothing { pending().await } else { carried }
    };
    let carried = tokio::select! {
        biased;
        carried = carried => Some(carried),
        () = world.broken() => None,
        () = sleep(ANSWER_BEGINS_WITHIN) => None,
    };
    match carried {
        None => in_place_of(Reply::Broken, None),
        Some(api_server::Answer::Whole(status, body)) => {
            world.note(|| format!("operator {} #{number} <- {status}", operator.number));
            in_place_of(answer, Some((status, body)))
        }
        Some(api_server::Answer::Watch(watch)) => Body::from_stream(deliver(world, operator, *watch)).into_response(),
    }
}

/// What the client sees.
fn in_place_of(reply: Reply, truth: Option<(u16, Value)>) -> Response {
    let whole = |status: u16, body: &Value| {
        (http::StatusCode::from_u16(status).expect("a status"), body.to_string()).into_response()
    };
    match (reply, truth) {
        (Reply::True, Some((status, body))) => whole(status, &body),
        (Reply::Status(code), _) => {
            let reason = if code == 409 { "Conflict" } else { "" };
            let body =
                json!({"kind": "Status", "status": "Failure", "code": code, "reason": reason, "message": "trouble"});
            whole(code, &body)
        }
        _ => Body::from_stream(futures::stream::once(async { Err::<Bytes, _>(reset()) })).into_response(),
    }
}

fn reset() -> io::Error {
    io::Error::new(io::ErrorKind::ConnectionReset, "trouble")
}

/// The events of a watch as they come to the operator, until somebody cuts it.
fn deliver(
    world: Arc<World>,
    operator: Arc<Operator>,
    watch: Watch,
) -> impl futures::Stream<Item = io::Result<Bytes>> + use<> {
    let cut = world.next_cut();
    let delivery = Delivering { world, operator, watch, ready: VecDeque::new(), again: None };
    futures::stream::unfold(Some(delivery), move |delivery| async move {
        let mut delivery = delivery?;
        let world = Arc::clone(&delivery.world);
        tokio::select! {
            biased;
            () = world.broken() => Some((Err(reset()), None)),
            ending = wait_for(cut) => {
                world.arrive(&delivery.operator, Seam::Event, || "CUT".to_owned());
                if ending == Ending::Gone {
                    world.api.compact();
                }
                (ending == Ending::Broken).then(|| (Err(reset()), None))
            }
            line = delivery.next() => Some((Ok(line?), Some(delivery))),
        }
    })
}

/// Waits for a cut.
async fn wait_for(cut: Option<(Instant, Ending)>) -> Ending {
    let Some((at, ending)) = cut else { return pending().await };
    sleep_until(at).await;
    ending
}

/// A watch on its way to the operator.
struct Delivering {
    world: Arc<World>,
    operator: Arc<Operator>,
    watch: Watch,
    ready: VecDeque<Value>,
    again: Option<Value>,
}

impl Delivering {
    /// The next event; `None`: the watch is over.
    async fn next(&mut self) -> Option<Bytes> {
        if self.ready.is_empty() {
            let event = self.watch.next().await?;
            if event["type"] != "BOOKMARK" && !pass(&self.world, &self.operator, &event, &mut self.again).await {
                return None;
            }
            sleep(self.world.leg()).await;
            self.world.reached().await;
            self.ready.push_back(event.clone());
            // An event that comes again does so after a newer one of its object.
            let is_newer = |again: &mut Value| {
                let meta = |event: &Value, field: &str| event["object"]["metadata"][field].clone();
                event["type"] == "MODIFIED"
                    && meta(again, "uid") == meta(&event, "uid")
                    && meta(again, "resourceVersion") != meta(&event, "resourceVersion")
            };
            self.ready.extend(self.again.take_if(is_newer));
        }
        Some(format!("{}\n", self.ready.pop_front()?).into())
    }
}

/// Lets an event pass, in its time. False: the watch ends before it.
async fn pass(world: &Arc<World>, operator: &Arc<Operator>, event: &Value, again: &mut Option<Value>) -> bool {
    let meta = &event["object"]["metadata"];
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let gist = || format!("{} {} {}", text(&event["type"]), text(&event["object"]["kind"]), text(&meta["name"]));
    match world.arrive(operator, Seam::Event, gist).1 {
        Some(What::Crash(_)) => {
            world.kill(operator);
            pending::<()>().await;
        }
        Some(What::Deliver(Delivery::Hold(time))) => sleep(time).await,
        Some(What::Deliver(Delivery::Freeze(time))) => {
            let version: u64 = text(&meta["resourceVersion"]).parse().unwrap_or_default();
            operator.view.freeze(version.saturating_sub(1));
            sleep(time).await;
            operator.view.thaw();
        }
        Some(What::Deliver(Delivery::Cut)) => return false,
        Some(What::Deliver(Delivery::Skip(time))) => {
            sleep(time).await;
            world.api.compact();
            return false;
        }
        Some(What::Deliver(Delivery::Again)) if event["type"] != "DELETED" => *again = Some(event.clone()),
        _ => {}
    }
    true
}

/// What a request to the API server is about.
fn gist(method: &Method, uri: &Uri, body: &[u8]) -> String {
    let path = uri.path().rsplit_once("/v1").map_or(uri.path(), |(_, path)| path);
    let path = path.trim_start_matches("alpha1").trim_start_matches("/namespaces/");
    let watch = if uri.query().is_some_and(|query| query.contains("watch=")) { " (watch)" } else { "" };
    let body: Value = serde_json::from_slice(body).unwrap_or_default();
    let told = body["status"]["conditions"].as_array().and_then(|conditions| conditions.first()).map(|ready| {
        format!(
            " Ready={} {}",
            ready["status"].as_str().unwrap_or_default(),
            ready["reason"].as_str().unwrap_or_default()
        )
    });
    let told = told.unwrap_or_default();
    // An Event's name has the true time in it.
    let path = path.find("/events/").map_or(path, |end| &path[..end + "/events".len()]);
    format!("{method} {path}{watch}{told}")
}

/// The way to the world's remote.
pub fn to_remote(world: &Arc<World>, operator: &Arc<Operator>, limit: Duration) -> Arc<dyn Transport> {
    Arc::new(Wire { world: Arc::clone(world), operator: Arc::clone(operator), limit })
}

struct Wire {
    world: Arc<World>,
    operator: Arc<Operator>,
    /// How long a call may take in all.
    limit: Duration,
}

impl Transport for Wire {
    fn carry(&self, request: http::Request<Bytes>) -> BoxFuture<'_, Result<Answer, Lost>> {
        Box::pin(async {
            let late = Lost::Unanswered("no whole answer from the remote within the call's timeout");
            timeout(self.limit, self.call(request)).await.unwrap_or(Err(late))
        })
    }
}

impl Wire {
    async fn call(&self, request: http::Request<Bytes>) -> Result<Answer, Lost> {
        let Self { world, operator, .. } = self;
        if operator.is_dead() {
            return pending().await;
        }
        let seam = match *request.method() {
            Method::GET => Seam::Look,
            Method::PUT => Seam::Send,
            _ => Seam::Change,
        };
        let (number, struck) = world.arrive(operator, seam, || {
            let (_, path) = request.uri().path().split_once("/deployments").unwrap_or_default();
            format!("{} remote{path} {}", request.method(), String::from_utf8_lossy(request.body()))
        });
        let bend = match struck {
            Some(What::Remote(bend)) => Some(bend),
            _ => None,
        };
        if matches!(bend, Some(Bend::Unsent)) {
            sleep(world.leg()).await;
            return Err(Lost::Unsent("no connection to the remote"));
        }
        let crash = match struck {
            Some(What::Crash(moment)) => Some(moment),
            _ => None::<Moment>,
        };
        let mut sent = request;
        *sent.uri_mut() = sent.uri().path_and_query().expect("it has a path").clone().into();
        let served_by = Arc::clone(world);
        let serve = async move {
            let remote = &served_by.remote;
            match bend {
                // It takes the call that comes next, which is this one.
                Some(Bend::Fault(effect)) => remote.inject(Fault::on(Route::Any, effect()).once()),
                Some(Bend::OldState) => remote.switch(|switches| switches.reply_shows_old_state = true),
                Some(Bend::Lag(lag)) => remote.switch(|switches| switches.read_lag = lag),
                _ => {}
            }
            let served = remote.call(sent).await;
            remote.switch(|switches| {
                switches.reply_shows_old_state = false;
                switches.read_lag = Duration::ZERO;
            });
            served
        };
        let served = world.carry(operator, crash, Some(Duration::ZERO), serve).await;
        let broken = Lost::Unanswered("the connection to the remote broke before its answer was whole");
        let (head, body) = match served {
            Ok(response) => {
                let (head, body) = response.into_parts();
                (head, Ok(body))
            }
            Err(Some(response)) => (response.into_parts().0, Err(broken)),
            Err(None) => return Err(broken),
        };
        let mut answer = Answer { status: head.status, headers: head.headers, body, read_at: world.wall() };
        if let Some(Bend::Proxy(status)) = bend {
            let (status, body) =
                (StatusCode::from_u16(status).expect("a status"), Bytes::from_static(b"<html></html>"));
            answer = Answer { status, headers: HeaderMap::new(), body: Ok(body), ..answer };
        }
        world.note(|| format!("operator {} #{number} <- {}", operator.number, answer.status));
        Ok(answer)
    }
}
