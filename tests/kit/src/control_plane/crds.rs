//! Custom resource definitions from files.

use std::path::{Path, PathBuf};
use std::time::Duration;

use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::api::{Patch, PatchParams};
use kube::runtime::wait::{await_condition, conditions};
use kube::{Api, Client};
use serde_json::Value;
use tokio::time::{sleep, timeout};

use crate::error::{Because, Error, Result};

const SERVED_LIMIT: Duration = Duration::from_mins(1);
const POLL: Duration = Duration::from_millis(50);

pub async fn apply(client: &Client, folder: &Path) -> Result<()> {
    let api = Api::<CustomResourceDefinition>::all(client.clone());
    let mut names = Vec::new();
    for crd in read(folder)? {
        let name = crd["metadata"]["name"].as_str().unwrap_or_default().to_owned();
        let params = PatchParams::apply("sarvam-testkit").force().validation_strict();
        api.patch(&name, &params, &Patch::Apply(&crd)).await.because(&name)?;
        names.push(name);
    }
    let served = async {
        for name in &names {
            let established = await_condition(api.clone(), name, conditions::is_crd_established()).await;
            if let Some(crd) = established.because(name)? {
                discovered(client, &crd).await.because(name)?;
            }
        }
        Ok(())
    };
    timeout(SERVED_LIMIT, served)
        .await
        .unwrap_or_else(|_| Err(Error::new(format!("{} were not all served after {SERVED_LIMIT:?}", names.join(", ")))))
}

/// The CRDs of every YAML file of a folder, as plain values: the API server shall see what a file says and not what a typed copy of it
/// keeps.
pub fn read(folder: &Path) -> Result<Vec<Value>> {
    let mut crds = Vec::new();
    for path in files(folder)? {
        let tried = path.display();
        let text = std::fs::read_to_string(&path).because(&tried)?;
        let documents: Vec<Value> = serde_saphyr::from_multiple(&text).because(&tried)?;
        crds.extend(documents);
    }
    Ok(crds)
}

/// The YAML files of a folder in the order of their names; an error when there are none.
fn files(folder: &Path) -> Result<Vec<PathBuf>> {
    let tried = folder.display();
    let entries = std::fs::read_dir(folder).because(&tried)?.collect::<std::io::Result<Vec<_>>>().because(&tried)?;
    let yaml = |path: &PathBuf| path.extension().is_some_and(|extension| extension == "yaml" || extension == "yml");
    let mut files: Vec<_> = entries.into_iter().map(|entry| entry.path()).filter(yaml).collect();
    files.sort();
    if files.is_empty() {
        return Err(Error::new(format!("{} has no YAML file", folder.display())));
    }
    Ok(files)
}

/// Waits until discovery lists every served version: kubectl finds no kind by its name before.
async fn discovered(client: &Client, crd: &CustomResourceDefinition) -> kube::Result<()> {
    loop {
        let groups = client.list_api_groups_aggregated().await?;
        let versions: Vec<_> = groups
            .items
            .iter()
            .filter(|group| group.metadata.as_ref().and_then(|meta| meta.name.as_ref()) == Some(&crd.spec.group))
            .flat_map(|group| &group.versions)
            .collect();
        let lists = |name: &String| {
            versions.iter().any(|version| {
                version.version.as_ref() == Some(name)
                    && version.resources.iter().any(|r| r.resource.as_ref() == Some(&crd.spec.names.plural))
            })
        };
        if crd.spec.versions.iter().filter(|version| version.served).all(|version| lists(&version.name)) {
            return Ok(());
        }
        sleep(POLL).await;
    }
}
