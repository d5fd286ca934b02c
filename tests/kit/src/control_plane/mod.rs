/// What service accounts asked the API server.
pub mod audit;
mod certificates;
pub(crate) mod crds;
mod kubeconfig;
mod server;

use std::collections::BTreeMap;
use std::net::{Ipv4Addr, SocketAddr, ToSocketAddrs};
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::{Duration, Instant};

use k8s_openapi::api::authentication::v1::{TokenRequest, TokenRequestSpec};
use k8s_openapi::api::core::v1::{Namespace, ServiceAccount};
use kube::api::{ObjectMeta, PostParams};
use kube::config::{KubeConfigOptions, Kubeconfig};
use kube::{Api, Client, Config};
use tempfile::TempDir;
use tokio::process::Command;
use tokio::sync::OnceCell;
use tokio::time::{sleep, timeout};

use crate::error::{Because, Error, Result};
use crate::helm::Helm;
use crate::kubectl::Kubectl;
use crate::program::program;
use crate::reaper;
use audit::Request;
use certificates::Certificates;
use server::Servers;

/// How long the API server may take to get ready; 3 s on an idle machine, much more on a crowded one.
const READY_LIMIT: Duration = Duration::from_mins(2);
/// How long one question to the API server may hang before it is asked again.
const PROBE_LIMIT: Duration = Duration::from_secs(5);
const POLL: Duration = Duration::from_millis(50);

/// What may differ from one control plane to another. Ignored with `USE_EXISTING_CLUSTER=true`.
#[derive(Clone, Debug)]
pub struct Options {
    /// More flags for kube-apiserver, such as `--audit-log-path=…`.
    pub api_server_args: Vec<String>,
    /// Where the API server listens: an address of this machine, loopback unless pods must reach it.
    pub address: Ipv4Addr,
    /// Whether a controller manager will run. The API server then asks for the service accounts that it makes.
    pub controllers: bool,
}

impl Default for Options {
    fn default() -> Self {
        Self { api_server_args: Vec::new(), address: Ipv4Addr::LOCALHOST, controllers: false }
    }
}

/// A real etcd and a real kube-apiserver on loopback, with RBAC, and no controllers unless a [node](crate::node) brings them: nothing
/// collects garbage, and a deleted namespace stays `Terminating`.
///
/// With `USE_EXISTING_CLUSTER=true` it is the cluster of the current kubeconfig instead; nothing is started or stopped then.
///
/// The servers and their folder are gone when this is dropped or when this process ends, in whatever way.
pub struct ControlPlane {
    servers: Option<Servers>,
    access: Kubeconfig,
    config: Config,
    kubeconfig: PathBuf,
    kubectl: PathBuf,
    // Last, so that it is removed after the servers are dead.
    folder: TempDir,
}

impl ControlPlane {
    /// Starts a control plane and waits until it serves.
    ///
    /// Fails when the binaries can't be had, or when it isn't ready in two minutes; the error quotes the servers' last lines.
    pub async fn start(options: Options) -> Result<Self> {
        // An error means that somebody else has installed one.
        let _ = rustls::crypto::ring::default_provider().install_default();

        let binaries = binaries().await?;
        let folder = reaper::folder("control-plane-")?;
        let (servers, access) = if std::env::var("USE_EXISTING_CLUSTER").as_deref() == Ok("true") {
            let access = Kubeconfig::read()
                .because("USE_EXISTING_CLUSTER=true, but the current kubeconfig can't be read (set KUBECONFIG)")?;
            (None, access)
        } else {
            let (servers, access) = Servers::start(&binaries, folder.path(), &options)?;
            (Some(servers), access)
        };
        let mut config = Config::from_custom_kubeconfig(access.clone(), &KubeConfigOptions::default())
            .await
            .because("the kubeconfig is of no use")?;
        if servers.is_some() {
            // kube takes HTTPS_PROXY for loopback too.
            config.proxy_url = None;
        }
        let kubeconfig = kubeconfig::write(&access, folder.path())?;
        let kubectl = binaries.join("kubectl");
        let plane = Self { servers, access, config, kubeconfig, kubectl, folder };
        plane.ready().await?;
        Ok(plane)
    }

    /// The control plane that all tests of this process share, started by the first that asks. Keep to a namespace of your own in it,
    /// and don't stop its servers.
    ///
    /// Panics when it can't be started.
    pub async fn shared() -> &'static Self {
        static SHARED: OnceCell<ControlPlane> = OnceCell::const_new();
        SHARED
            .get_or_init(async || match Self::start(Options::default()).await {
                Ok(plane) => plane,
                Err(error) => panic!("the shared control plane could not be started: {error}"),
            })
            .await
    }

    /// A new client with all rights. It belongs to the tokio runtime it was made in, so take one for each test.
    #[must_use]
    pub fn client(&self) -> Client {
        Client::try_from(self.config.clone()).expect("a client was made from this configuration when it started")
    }

    /// The same, but a refusal that another try may not meet is an error too: an eviction that a budget holds up, for example.
    #[must_use]
    pub fn client_that_asks_once(&self) -> Client {
        let mut config = self.config.clone();
        config.default_retry = false;
        Client::try_from(config).expect("a client was made from this configuration when it started")
    }

    /// The kubeconfig with all rights.
    #[must_use]
    pub fn kubeconfig(&self) -> &Path {
        &self.kubeconfig
    }

    /// Writes another kubeconfig: for another way to the API server (`https://<gate>`), and with a token for another user.
    /// It lives as long as the control plane.
    pub fn kubeconfig_at(&self, url: &str, token: Option<&str>) -> Result<PathBuf> {
        kubeconfig::write(&kubeconfig::redirected(&self.access, url, token)?, self.folder.path())
    }

    /// The address of the API server, to put a gate in front of.
    pub fn api_server(&self) -> Result<SocketAddr> {
        let url = &self.config.cluster_url;
        let port = url.port_u16().unwrap_or(443);
        let host = url.host().unwrap_or_default().trim_matches(['[', ']']);
        let unknown = format!("the API server's address {url} leads nowhere");
        let mut found = (host, port).to_socket_addrs().because(&unknown)?;
        found.next().ok_or_else(|| Error::new(unknown))
    }

    /// kubectl with all rights.
    #[must_use]
    pub fn kubectl(&self) -> Kubectl {
        Kubectl::new(self.kubectl.clone(), self.kubeconfig.clone(), self.folder.path().join("kubectl-cache"))
    }

    /// Helm with all rights. Built the first time.
    ///
    /// Fails when it can't be had.
    pub async fn helm(&self) -> Result<Helm> {
        Ok(Helm::new(program("helm").await?, self.kubeconfig.clone(), self.folder.path().join("helm")))
    }

    /// Creates a namespace whose name begins with `prefix` and that nobody else has, and returns its name.
    pub async fn namespace(&self, prefix: &str) -> Result<String> {
        let metadata = ObjectMeta { generate_name: Some(format!("{prefix}-")), ..ObjectMeta::default() };
        let namespace = Api::<Namespace>::all(self.client())
            .create(&PostParams::default(), &Namespace { metadata, ..Namespace::default() })
            .await
            .because(format!("the namespace {prefix}-… could not be made"))?;
        namespace.metadata.name.ok_or_else(|| Error::new("the API server made a namespace without a name"))
    }

    /// Creates a service account, which may do nothing yet, and returns a token for it that is good for an hour.
    pub async fn service_account(&self, namespace: &str, name: &str) -> Result<String> {
        let tried = format!("the service account {namespace}/{name} could not be made");
        let accounts = Api::<ServiceAccount>::namespaced(self.client(), namespace);
        let metadata = ObjectMeta { name: Some(name.to_owned()), ..ObjectMeta::default() };
        let account = ServiceAccount { metadata, ..ServiceAccount::default() };
        accounts.create(&PostParams::default(), &account).await.because(&tried)?;
        let hour = TokenRequestSpec { expiration_seconds: Some(3600), ..TokenRequestSpec::default() };
        let request = TokenRequest { spec: hour, ..TokenRequest::default() };
        let answer = accounts.create_token_request(name, &PostParams::default(), &request).await.because(&tried)?;
        answer
            .status
            .map(|status| status.token)
            .ok_or_else(|| Error::new("the API server answered a token request without a token"))
    }

    /// What a service account has asked the API server until now, by the audit log. An entry is written right after its answer is sent.
    /// Nothing with `USE_EXISTING_CLUSTER=true`: that log is its owner's.
    pub fn requests(&self, namespace: &str, account: &str) -> Result<Vec<Request>> {
        self.servers.as_ref().map_or_else(|| Ok(Vec::new()), |servers| servers.audit.requests(namespace, account))
    }

    /// When a service account asked for each status that it wrote to a Deployment, by the `metadata.resourceVersion` that came of it: from
    /// the same log.
    pub fn status_writes(&self, namespace: &str, account: &str) -> Result<BTreeMap<String, Instant>> {
        self.servers
            .as_ref()
            .map_or_else(|| Ok(BTreeMap::new()), |servers| servers.audit.status_writes(namespace, account))
    }

    /// Applies every YAML file of a folder, all of them CRDs, and waits until they are served and discovery tells of them.
    pub async fn apply_crds(&self, folder: &Path) -> Result<()> {
        crds::apply(&self.client(), folder).await
    }

    /// Kills the API server (`SIGKILL`) and leaves it dead. Its port stays reserved and refuses connections.
    ///
    /// Fails with `USE_EXISTING_CLUSTER=true`, as do the other three.
    pub fn stop_api_server(&self) -> Result<()> {
        self.servers()?.api_server.stop();
        Ok(())
    }

    /// Starts the API server again on the same port and waits until it serves.
    pub async fn start_api_server(&self) -> Result<()> {
        self.servers()?.api_server.start()?;
        self.ready().await
    }

    /// Kills the API server and starts it again.
    pub async fn restart_api_server(&self) -> Result<()> {
        self.stop_api_server()?;
        self.start_api_server().await
    }

    /// Kills etcd (`SIGKILL`), starts it again on the same data and port, and waits until the API server serves from it.
    /// Nothing that was written is lost: the kernel keeps what a killed process wrote.
    pub async fn restart_etcd(&self) -> Result<()> {
        let etcd = &self.servers()?.etcd;
        etcd.stop();
        etcd.start()?;
        self.ready().await
    }

    /// What signs for the API server and for service accounts. Fails with `USE_EXISTING_CLUSTER=true`.
    pub(crate) fn certificates(&self) -> Result<&Certificates> {
        Ok(&self.servers()?.certificates)
    }

    fn servers(&self) -> Result<&Servers> {
        self.servers.as_ref().ok_or_else(|| {
            Error::new("this test needs a control plane of its own to stop or to add to, which the cluster of USE_EXISTING_CLUSTER=true is not: unset it")
        })
    }

    async fn ready(&self) -> Result<()> {
        let client = Client::try_from(self.config.clone()).because("the kubeconfig is of no use")?;
        let deadline = Instant::now() + READY_LIMIT;
        loop {
            let why = match timeout(PROBE_LIMIT, serves(&client)).await {
                Ok(Ok(())) => return Ok(()),
                Ok(Err(error)) => error.to_string(),
                Err(_) => format!("no answer in {PROBE_LIMIT:?}"),
            };
            if let Some(servers) = &self.servers {
                servers.alive()?;
            }
            if Instant::now() >= deadline {
                let logs = self.servers.as_ref().map(Servers::tails).unwrap_or_default();
                let url = &self.config.cluster_url;
                return Err(Error::new(format!(
                    "the API server at {url} was not ready in {READY_LIMIT:?}: {why}\n{logs}"
                )));
            }
            sleep(POLL).await;
        }
    }
}

/// Two questions: `/readyz` is kept for a moment after etcd has gone, and a single object is always read from etcd. The first start makes
/// the default namespace a little after `/readyz` says ok.
async fn serves(client: &Client) -> kube::Result<()> {
    let readyz = hyper::Request::get("/readyz").body(vec![]).map_err(kube::Error::HttpError)?;
    client.request_text(readyz).await?;
    Api::<Namespace>::all(client.clone()).get("default").await?;
    Ok(())
}

/// The folder with the binaries, built the first time. What the building says goes to the terminal.
async fn binaries() -> Result<PathBuf> {
    let tool = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tools/control-plane");
    let output =
        Command::new(&tool).stdin(Stdio::null()).stderr(Stdio::inherit()).output().await.because(tool.display())?;
    if !output.status.success() {
        return Err(Error::new(format!("tools/control-plane ended with {}: it says why above", output.status)));
    }
    Ok(PathBuf::from(String::from_utf8_lossy(&output.stdout).trim_end()))
}
