//! Kubeconfig files.

use std::path::{Path, PathBuf};

use kube::config::{
    AuthInfo, Cluster, Context, Kubeconfig, NamedAuthInfo, NamedCluster, NamedContext,
};

use crate::error::{Because, Error, Result};

const NAME: &str = "sarvam-testkit";

/// Access to a server with a token.
pub fn new(url: &str, ca: &Path, token: &str) -> Kubeconfig {
    let cluster = Cluster {
        server: Some(url.to_owned()),
        certificate_authority: Some(ca.display().to_string()),
        ..Cluster::default()
    };
    let context = Context {
        cluster: NAME.to_owned(),
        user: Some(NAME.to_owned()),
        ..Context::default()
    };
    Kubeconfig {
        clusters: vec![NamedCluster {
            name: NAME.to_owned(),
            cluster: Some(cluster),
            ..NamedCluster::default()
        }],
        auth_infos: vec![NamedAuthInfo {
            name: NAME.to_owned(),
            auth_info: Some(bearer(token)),
            ..NamedAuthInfo::default()
        }],
        contexts: vec![NamedContext {
            name: NAME.to_owned(),
            context: Some(context),
            ..NamedContext::default()
        }],
        current_context: Some(NAME.to_owned()),
        kind: Some("Config".to_owned()),
        api_version: Some("v1".to_owned()),
        ..Kubeconfig::default()
    }
}

/// The same access by way of another address, and as another user where there is a token. The server is still checked by its own name.
pub fn redirected(access: &Kubeconfig, url: &str, token: Option<&str>) -> Result<Kubeconfig> {
    let mut access = access.clone();
    let current = access.current_context.as_deref();
    let context = access
        .contexts
        .iter()
        .find(|context| Some(context.name.as_str()) == current);
    let context = context
        .and_then(|context| context.context.clone())
        .ok_or_else(|| {
            Error::new(
                "the kubeconfig has no current context: choose one with kubectl config use-context",
            )
        })?;

    let named = access
        .clusters
        .iter_mut()
        .find(|cluster| cluster.name == context.cluster);
    let cluster = named.and_then(|named| named.cluster.as_mut());
    let cluster = cluster
        .ok_or_else(|| Error::new(format!("the kubeconfig has no cluster {}", context.cluster)))?;
    let before = cluster.server.replace(url.to_owned()).unwrap_or_default();
    if cluster.tls_server_name.is_none() && host(&before) != host(url) {
        cluster.tls_server_name = host(&before);
    }

    if let Some(token) = token {
        let user = access
            .auth_infos
            .iter_mut()
            .find(|user| Some(&user.name) == context.user.as_ref());
        let user =
            user.ok_or_else(|| Error::new("the kubeconfig's current context names no user"))?;
        user.auth_info = Some(bearer(token));
    }
    Ok(access)
}

/// Writes it as a new file of the folder.
pub fn write(access: &Kubeconfig, folder: &Path) -> Result<PathBuf> {
    let tried = "a kubeconfig could not be written";
    let yaml = serde_saphyr::to_string(access).because(tried)?;
    let file = tempfile::Builder::new()
        .prefix("kubeconfig-")
        .suffix(".yaml")
        .tempfile_in(folder);
    let (_, path) = file.because(tried)?.keep().because(tried)?;
    std::fs::write(&path, yaml).because(path.display())?;
    Ok(path)
}

fn bearer(token: &str) -> AuthInfo {
    AuthInfo {
        token: Some(token.to_owned().into()),
        ..AuthInfo::default()
    }
}

fn host(url: &str) -> Option<String> {
    let url: hyper::Uri = url.parse().ok()?;
    Some(url.host()?.trim_matches(['[', ']']).to_owned())
}
