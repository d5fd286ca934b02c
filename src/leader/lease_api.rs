//! The requests on one Lease: each once, each with a timeout, and each trouble told once.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use k8s_openapi::api::coordination::v1::Lease;
use kube::Client;
use kube::api::{Api, PostParams};
use kube::core::Status;
use tokio::time::timeout;
use tracing::{info, warn};

use super::Settings;
use crate::causes::chain;

/// Why a request brought nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fault {
    /// 409: the Lease is no longer what it was when it was read.
    Changed,
    /// 404 on an update.
    Gone,
    /// Anything else. It may have taken effect all the same. Already told in the log.
    Failed,
}

/// One Lease at the API server.
#[derive(Clone)]
pub(super) struct LeaseApi {
    api: Api<Lease>,
    settings: Arc<Settings>,
    /// What was last said of each verb that fails now.
    told: BTreeMap<&'static str, String>,
}

impl LeaseApi {
    pub fn new(client: Client, settings: Arc<Settings>) -> Self {
        Self { api: Api::namespaced(client, &settings.namespace), settings, told: BTreeMap::new() }
    }

    pub fn settings(&self) -> &Settings {
        &self.settings
    }

    /// A quorum read. `None`: there is no such Lease.
    pub async fn get(&mut self) -> Result<Option<Lease>, Fault> {
        let api = self.api.clone();
        let settings = Arc::clone(&self.settings);
        match self.call("get", api.get(&settings.name)).await {
            Ok(lease) => Ok(Some(lease)),
            Err(Fault::Gone) => Ok(None),
            Err(fault) => Err(fault),
        }
    }

    pub async fn create(&mut self, lease: &Lease) -> Result<Lease, Fault> {
        let api = self.api.clone();
        self.call("create", api.create(&PostParams::default(), lease)).await
    }

    /// Replaces the Lease that `lease` was made from.
    pub async fn update(&mut self, lease: &Lease) -> Result<Lease, Fault> {
        let api = self.api.clone();
        let settings = Arc::clone(&self.settings);
        self.call("update", api.replace(&settings.name, &PostParams::default(), lease)).await
    }

    async fn call(
        &mut self,
        verb: &'static str,
        request: impl Future<Output = kube::Result<Lease>>,
    ) -> Result<Lease, Fault> {
        let limit = self.settings.request_timeout();
        let (fault, sentence) = match timeout(limit, request).await {
            Ok(Ok(lease)) => {
                self.well(verb);
                return Ok(lease);
            }
            Ok(Err(kube::Error::Api(status))) => match status.code {
                409 => (Fault::Changed, None),
                404 if verb != "create" => (Fault::Gone, None),
                _ => (Fault::Failed, Some(self.refused(verb, &status))),
            },
            Ok(Err(error)) => (Fault::Failed, Some(chain(&error))),
            Err(_) => (Fault::Failed, Some(format!("no answer within {limit:?}"))),
        };
        match sentence {
            Some(sentence) => self.tell(verb, sentence),
            None => self.well(verb),
        }
        Err(fault)
    }

    /// What a refusal means to the person who can mend it.
    fn refused(&self, verb: &str, status: &Status) -> String {
        let Settings { namespace, .. } = &*self.settings;
        let said = &status.message;
        match status.code {
            403 => format!(
                "{said}. Bind a Role that allows get, create and update on leases.coordination.k8s.io in namespace \
                 {namespace} to the operator's ServiceAccount; {verb} is refused now"
            ),
            404 => {
                format!("{said}. Create the namespace {namespace}, or name another for the Lease")
            }
            code => format!("{code}: {said}"),
        }
    }

    fn tell(&mut self, verb: &'static str, sentence: String) {
        if self.told.get(verb) != Some(&sentence) {
            warn!("cannot {verb} Lease {self}: {sentence}");
            self.told.insert(verb, sentence);
        }
    }

    fn well(&mut self, verb: &'static str) {
        if self.told.remove(verb).is_some() {
            info!("can {verb} Lease {self} again");
        }
    }
}

impl fmt::Display for LeaseApi {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.settings.namespace, self.settings.name)
    }
}
