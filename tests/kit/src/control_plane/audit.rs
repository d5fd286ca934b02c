//! What service accounts asked the API server, by its own audit log.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Instant;

use jiff::Timestamp;
use serde_json::Value;

use crate::error::{Because, Result};

/// Service accounts only: the kit itself is an administrator, and asks much more than they do. A write of a status is kept with its answer.
const POLICY: &str = "\
apiVersion: audit.k8s.io/v1
kind: Policy
omitStages: [RequestReceived]
rules:
- level: RequestResponse
  userGroups: [system:serviceaccounts]
  verbs: [patch]
  resources: [{group: agents.sarvam.ai, resources: [deployments/status]}]
- level: Metadata
  userGroups: [system:serviceaccounts]
- level: None
";

/// A request of a service account, when it was answered. A watch is there twice: when it began, and when it ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Request {
    /// The verb, in RBAC's words: `get`, `list`, `watch`, `create`, `update`, `patch`, `delete`, `deletecollection`.
    pub verb: String,
    /// What it was about; `None`: a path that is no resource, such as discovery's.
    pub resource: Option<Resource>,
    /// The path, without a query.
    pub path: String,
    /// The HTTP status of the answer.
    pub status: u16,
}

/// What a request was about, in RBAC's words.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Resource {
    /// The API group; empty for the core.
    pub group: String,
    /// The plural, with the subresource where there is one: `deployments/status`.
    pub name: String,
    /// The namespace; empty where the request was about all of them.
    pub namespace: String,
    /// The object; empty where the request was about many, or about one that is yet to be.
    pub object: String,
}

/// The log and the policy that fills it.
pub(super) struct Audit {
    policy: PathBuf,
    log: PathBuf,
}

impl Audit {
    /// In this folder.
    pub fn new(folder: &Path) -> Result<Self> {
        let audit = Self { policy: folder.join("audit-policy.yaml"), log: folder.join("audit.log") };
        std::fs::write(&audit.policy, POLICY).because(audit.policy.display())?;
        Ok(audit)
    }

    /// The flags that have the API server fill the log.
    #[must_use]
    pub fn args(&self) -> [String; 2] {
        [format!("--audit-policy-file={}", self.policy.display()), format!("--audit-log-path={}", self.log.display())]
    }

    /// What a service account has asked until now, in the order of the answers.
    pub fn requests(&self, namespace: &str, account: &str) -> Result<Vec<Request>> {
        Ok(self.entries(namespace, account)?.iter().map(request).collect())
    }

    /// When a service account asked for each status that it wrote to a Deployment, by the `metadata.resourceVersion` that came of it.
    pub fn status_writes(&self, namespace: &str, account: &str) -> Result<BTreeMap<String, Instant>> {
        let (now, wall) = (Instant::now(), Timestamp::now());
        let asked = |entry: &Value| {
            let version = entry["responseObject"]["metadata"]["resourceVersion"].as_str()?.to_owned();
            let received: Timestamp = entry["requestReceivedTimestamp"].as_str()?.parse().ok()?;
            Some((version, now.checked_sub(wall.duration_since(received).unsigned_abs())?))
        };
        Ok(self.entries(namespace, account)?.iter().filter_map(asked).collect())
    }

    fn entries(&self, namespace: &str, account: &str) -> Result<Vec<Value>> {
        let tried = self.log.display();
        let log = match std::fs::read_to_string(&self.log) {
            // Made with the first entry.
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => String::new(),
            log => log.because(&tried)?,
        };
        let user = format!("system:serviceaccount:{namespace}:{account}");
        // What comes after the last line end is still being written.
        let whole = log.rsplit_once('\n').map_or("", |(whole, _)| whole);
        let lines = whole.lines().filter(|line| line.contains(&user));
        let mut entries: Vec<Value> =
            lines.map(serde_json::from_str).collect::<serde_json::Result<_>>().because(&tried)?;
        entries.retain(|entry| entry["user"]["username"] == user);
        Ok(entries)
    }
}

fn request(entry: &Value) -> Request {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let about = &entry["objectRef"];
    let resource = about.is_object().then(|| {
        let subresource = about["subresource"].as_str().map(|name| format!("/{name}")).unwrap_or_default();
        Resource {
            group: text(&about["apiGroup"]),
            name: text(&about["resource"]) + &subresource,
            namespace: text(&about["namespace"]),
            object: text(&about["name"]),
        }
    });
    let path = text(&entry["requestURI"]).split('?').next().unwrap_or_default().to_owned();
    let status = entry["responseStatus"]["code"].as_u64().and_then(|code| code.try_into().ok());
    Request { verb: text(&entry["verb"]), resource, path, status: status.unwrap_or_default() }
}
