//! When the API server tells of an edit: a bare watch of our own, beside those of the contenders.

use std::{
    collections::HashMap,
    pin::pin,
    sync::{Arc, Mutex},
    thread,
    time::{Duration, Instant},
};

use futures::TryStreamExt;
use kube::{
    Api, ResourceExt,
    api::{ListParams, WatchEvent, WatchParams},
};
use sarvam_operator::api::Deployment;
use sarvam_testkit::{
    control_plane::ControlPlane,
    error::{Because, Result},
    lock,
};
use tokio::{runtime, sync::watch, time::timeout};

use crate::say;

/// How long an event may take to come.
const LIMIT: Duration = Duration::from_secs(10);

/// The longest that the API server leaves a watch open. The next one goes on where it ended.
const WATCH_SECONDS: u32 = 290;

/// By the object's name, which no two lines of the benchmark share: its newest generation, and when it was first seen.
type Seen = HashMap<String, (i64, Instant)>;

/// The events of all lines, from now on.
pub struct Events {
    seen: Arc<Mutex<Seen>>,
    grown: watch::Receiver<()>,
}

impl Events {
    /// Watches on a thread of its own, so that nothing else in this process holds an event up. It ends with the process.
    pub async fn watch(plane: &ControlPlane) -> Result<Self> {
        let runtime = runtime::Builder::new_current_thread().enable_all().build().because("the watch's runtime")?;
        let api: Api<Deployment> = {
            // A client belongs to the runtime in which it was made.
            let _inside = runtime.enter();
            Api::all(plane.client())
        };
        let (grow, mut grown) = watch::channel(());
        let seen = Arc::default();
        let recorded = Arc::clone(&seen);
        thread::spawn(move || {
            let ended = runtime.block_on(record(&api, &recorded, &grow));
            // Once nobody listens, the API server may end first.
            if let (Err(error), false) = (ended, grow.is_closed()) {
                say(&format!("its own watch failed: {error}"));
            }
        });
        // The first word is that it begins.
        timeout(LIMIT, grown.changed()).await.because("the watch")?.because("the watch")?;
        Ok(Self { seen, grown })
    }

    /// When this generation of an object came. Waits for it.
    pub async fn of(&self, name: &str, generation: i64) -> Result<Instant> {
        let mut grown = self.grown.clone();
        let found = async {
            loop {
                let newest = lock(&self.seen).get(name).copied();
                match newest.filter(|(newest, _)| *newest == generation) {
                    Some((_, at)) => return Ok(at),
                    None => grown.changed().await.because("the watch")?,
                }
            }
        };
        timeout(LIMIT, found).await.because(format!("the event of {name}"))?
    }
}

async fn record(api: &Api<Deployment>, seen: &Mutex<Seen>, grow: &watch::Sender<()>) -> Result<()> {
    let start = api.list(&ListParams::default().limit(1)).await.because("the list")?;
    let mut version = start.metadata.resource_version.unwrap_or_default();
    grow.send_replace(());
    loop {
        let params = WatchParams::default().timeout(WATCH_SECONDS);
        let mut events = pin!(api.watch(&params, &version).await.because("the watch")?);
        while let Some(event) = events.try_next().await.because("the watch")? {
            let at = Instant::now();
            match event {
                WatchEvent::Added(line) | WatchEvent::Modified(line) => {
                    version = line.resource_version().unwrap_or_default();
                    let generation = line.metadata.generation.unwrap_or_default();
                    let mut seen = lock(seen);
                    let known = seen.entry(line.name_any()).or_insert((0, at));
                    if known.0 != generation {
                        *known = (generation, at);
                        grow.send_replace(());
                    }
                }
                WatchEvent::Bookmark(mark) => version = mark.metadata.resource_version,
                WatchEvent::Deleted(_) => {}
                WatchEvent::Error(status) => return Err(kube::Error::Api(status)).because("the watch"),
            }
        }
    }
}
