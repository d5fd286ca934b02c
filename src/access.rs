//! The way to the two servers: the Kubernetes API server and the remote, as flags and environment say.

use std::{fs, time::Duration};

use hyper::Request;
use k8s_openapi::api::core::v1::Secret;
use kube::{
    Api, Client, Config,
    client::{Body, ConfigExt},
};
use tower::{BoxError, ServiceBuilder};
use tracing::debug;

use crate::{
    api::{Workspace, WorkspaceSpec},
    causes::chain,
    config,
    http::{
        self,
        pool::{Limits, Pool},
    },
    sarvam::{self, Reader},
    secret::{self, Unread},
};

/// How long the API server has to begin with any answer, also that of a watch. It gives itself as long, for all but watches.
pub const ANSWER_BEGINS_WITHIN: Duration = Duration::from_mins(1);

/// How long a connection to the API server may have been idle for another request to go into it. What has been forgotten on the way swallows
/// a request, and the Lease outlives few of those; the connection that renews it is used again sooner.
const MAX_IDLE: Duration = Duration::from_secs(10);

/// The Kubernetes API server, by the usual means.
pub struct Kubernetes {
    /// Talks to it.
    pub client: Client,
    /// The namespace of the kubeconfig's context, or the pod's own.
    pub namespace: String,
    /// Its address, for messages.
    pub url: String,
}

/// Finds the way to the API server: `KUBECONFIG`, or a pod's service account. Connects to nothing.
///
/// # Errors
/// A sentence for a person: what is wrong and the way out.
pub async fn kubernetes() -> Result<Kubernetes, String> {
    let config = Config::infer().await.map_err(|error| {
        format!("No way to the Kubernetes API server is known: set KUBECONFIG, or run in a pod with a service account. ({error})")
    })?;
    let (namespace, url) = (config.default_namespace.clone(), config.cluster_url.to_string());
    let client = client(&config, ANSWER_BEGINS_WITHIN)
        .map_err(|error| format!("The Kubernetes client can't be made: {error}."))?;
    Ok(Kubernetes { client, namespace, url })
}

/// kube's client, which tries nothing again, since the protocol does; goes through no proxy, since the API server is on the inside of any; and
/// waits neither for a server that went without a word nor for one that takes a request and never begins to answer: kube's own would wait for
/// the end of a watch, or for ever.
fn client(config: &Config, answer_begins_within: Duration) -> kube::Result<Client> {
    let connector = config.rustls_https_connector_with_connector(http::tcp())?;
    let limits = Limits { connect: config.connect_timeout.unwrap_or(answer_begins_within), idle: MAX_IDLE };
    let connections = Pool::new(connector, &config.cluster_url, limits);
    let service = ServiceBuilder::new()
        .timeout(answer_begins_within)
        .layer(config.base_uri_layer())
        .map_request(|request: Request<Body>| {
            debug!(http.method = %request.method(), http.url = %request.uri(), "asking the API server");
            request
        })
        .option_layer(config.auth_layer()?)
        .layer(config.extra_headers_layer()?)
        .map_err(BoxError::from)
        .service(connections);
    Ok(Client::new(service, config.default_namespace.clone()))
}

/// Makes the client of the remote. Connects to nothing.
///
/// # Errors
/// A sentence that names the flag, the rule and the way out.
pub fn remote(flags: &config::Remote) -> Result<sarvam::Client, String> {
    let extra_ca_pem = match &flags.remote_ca_file {
        Some(file) => Some(fs::read(file).map_err(|error| {
            format!("--remote-ca-file {} can't be read: {error}. Name a file with certificates in PEM.", file.display())
        })?),
        None => None,
    };
    let settings = sarvam::Settings {
        base_url: flags.remote_url.clone(),
        allow_http_loopback: flags.allow_http_loopback,
        extra_ca_pem,
        call_timeout: flags.call_timeout,
        use_proxy: flags.use_proxy,
    };
    sarvam::Client::new(&settings).map_err(|error| format!("{error}."))
}

/// The Workspace object of that name; `None`: there is none.
///
/// # Errors
/// A sentence: why the API server can't tell.
pub async fn workspace(kubernetes: &Kubernetes, namespace: &str, name: &str) -> Result<Option<Workspace>, String> {
    let api = Api::<Workspace>::namespaced(kubernetes.client.clone(), namespace);
    api.get_opt(name).await.map_err(|error| unanswered(kubernetes, &format!("Workspace {namespace}/{name}"), &error))
}

/// A reader of the lines of a workspace, with the key in the Secret that it names.
///
/// # Errors
/// A sentence: where the key should be, and what is wrong there.
pub async fn reader(
    kubernetes: &Kubernetes,
    remote: &sarvam::Client,
    namespace: &str,
    workspace: &WorkspaceSpec,
) -> Result<Reader, String> {
    let reference = &workspace.api_key_secret_ref;
    let found = Api::<Secret>::namespaced(kubernetes.client.clone(), namespace).get_opt(&reference.name).await;
    let key = secret::api_key(found, namespace, reference).map_err(|unread| match unread {
        Unread::Hindered(_, message) => message,
        Unread::Unreachable(error) => unanswered(kubernetes, &secret::place(namespace, reference), &error),
    })?;
    // Any id does: it is the workspace that counts.
    let line = workspace.line("any")?;
    let rate = workspace.requests_per_second.unsigned_abs();
    Ok(Reader::new(remote.clone(), key, line.org, line.workspace, rate))
}

/// Why the API server did not give what was asked for.
pub(crate) fn unanswered(kubernetes: &Kubernetes, what: &str, error: &kube::Error) -> String {
    match error {
        kube::Error::Api(status) if status.code == 404 => {
            format!(
                "{what}: the API server does not know its kind; run `sarvam-operator crds | kubectl apply --server-side -f -`."
            )
        }
        kube::Error::Api(status) => format!("{what}: the API server answers HTTP {}: {}.", status.code, status.message),
        error => {
            format!("{what}: the API server at {} can't be asked: {}. Check KUBECONFIG.", kubernetes.url, chain(error))
        }
    }
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;

    use kube::{api::WatchParams, core::Request};

    use super::*;

    #[tokio::test]
    async fn an_answer_that_never_begins_is_not_waited_for() {
        let server = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}", server.local_addr().unwrap());
        let client = client(&Config::new(url.parse().unwrap()), Duration::from_millis(100)).unwrap();
        let watch = Request::new("/api/v1/secrets").watch(&WatchParams::default(), "0").unwrap();
        let error = client.request_events::<Secret>(watch).await.err().unwrap();
        assert!(error.to_string().contains("timed out"), "{error}");
    }
}
