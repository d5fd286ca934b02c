//! `sarvam-operator import`: manifests of the lines that a workspace has, ready for Git.

use std::collections::{BTreeMap, BTreeSet};

use kube::{Api, api::ListParams};
use serde::Serialize;
use serde_json::{Value, json};

use crate::{
    access::{self, Kubernetes},
    api::Deployment,
    config::{Format, Import as Flags},
    core::{classify::Remote, id::Id, line::State},
    output,
};

/// The longest name of an object of ours.
const NAME_MAX: usize = 63;

/// Prints the manifests. True where every line could be printed.
///
/// # Errors
/// What is wrong, in a sentence.
pub async fn run(flags: Flags) -> Result<bool, String> {
    let remote = access::remote(&flags.remote)?;
    let kubernetes = access::kubernetes().await?;
    let namespace = flags.namespace.as_deref().unwrap_or(&kubernetes.namespace);
    let place = format!("Workspace {namespace}/{}", flags.workspace);
    let workspace = access::workspace(&kubernetes, namespace, &flags.workspace)
        .await?
        .ok_or_else(|| format!("{place} does not exist: create it first, with the key that may read its lines."))?;
    let reader = access::reader(&kubernetes, &remote, namespace, &workspace.spec).await?;
    let bar = output::progress("reading the list of lines");
    let lines = reader.walk(|known, total| {
        bar.set_length(total.unwrap_or_default());
        bar.set_position(known as u64);
    });
    let mut lines = lines.await.map_err(|fault| format!("The lines of {place} can't be listed: {fault}."))?;
    bar.finish_and_clear();

    let named = if flags.all { BTreeSet::new() } else { named(&kubernetes, namespace, &flags.workspace).await? };
    let found = lines.len();
    lines.retain(|id, _| !named.contains(id.as_str()));
    let left_out = found - lines.len();
    let unknown: Vec<String> =
        lines.extract_if(.., |_, line| line.state == State::Unknown).map(|(id, _)| id.to_string()).collect();
    print!("{}", write(flags.output, namespace, &flags.workspace, &lines)?);

    if left_out > 0 {
        eprintln!(
            "Left out: {left_out} lines that Deployment objects of {namespace} name already (--all prints them too)."
        );
    }
    if !unknown.is_empty() {
        eprintln!(
            "Left out: {} lines of which the remote does not say whether they answer: {}.",
            unknown.len(),
            unknown.join(", ")
        );
    }
    Ok(unknown.is_empty())
}

/// The lines of a Workspace that objects in the cluster name.
async fn named(kubernetes: &Kubernetes, namespace: &str, workspace: &str) -> Result<BTreeSet<String>, String> {
    let params = ListParams::default().fields(&format!("spec.workspaceRef.name={workspace}"));
    let api = Api::<Deployment>::namespaced(kubernetes.client.clone(), namespace);
    let what = format!("Deployments of {namespace}");
    let objects = api.list(&params).await.map_err(|error| access::unanswered(kubernetes, &what, &error))?;
    Ok(objects.into_iter().map(|object| object.spec.deployment_id).collect())
}

fn write(format: Format, namespace: &str, workspace: &str, lines: &BTreeMap<Id, Remote>) -> Result<String, String> {
    let names = names(lines);
    let manifests =
        || lines.values().zip(&names).map(|(line, name)| (line, manifest(namespace, workspace, name, line)));
    Ok(match format {
        Format::Json => {
            let items: Vec<Manifest> = manifests().map(|(_, manifest)| manifest).collect();
            let list = json!({"apiVersion": "v1", "kind": "List", "items": items});
            output::document(format, &list)?.unwrap_or_default()
        }
        Format::Yaml => {
            let documents = manifests().map(|(line, manifest)| {
                let yaml = output::document(format, &manifest)?.unwrap_or_default();
                Ok(format!("---\n# {}\n{yaml}", about(line)))
            });
            documents.collect::<Result<_, String>>()?
        }
        Format::Table => {
            let heads = ["NAME", "DEPLOYMENT-ID", "PAUSED", "VERSION", "NUMBERS"].map(str::to_owned).to_vec();
            let rows = lines.values().zip(&names).map(|(line, name)| {
                vec![
                    name.clone(),
                    line.deployment.to_string(),
                    (line.state == State::Paused).to_string(),
                    line.app_version.map(|version| version.to_string()).unwrap_or_default(),
                    line.phone_numbers.join(","),
                ]
            });
            output::table(&[heads].into_iter().chain(rows).collect::<Vec<_>>())
        }
    })
}

/// A manifest with only what has to be said.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Manifest {
    api_version: &'static str,
    kind: &'static str,
    metadata: Value,
    spec: Value,
}

fn manifest(namespace: &str, workspace: &str, name: &str, line: &Remote) -> Manifest {
    Manifest {
        api_version: "agents.sarvam.ai/v1alpha1",
        kind: "Deployment",
        metadata: json!({"name": name, "namespace": namespace}),
        spec: json!({
            "workspaceRef": {"name": workspace},
            "deploymentID": line.deployment.as_str(),
            "paused": line.state == State::Paused,
        }),
    }
}

/// What a person knows the line by.
fn about(line: &Remote) -> String {
    let name = line.name.clone().unwrap_or_else(|| "(no name)".to_owned());
    let numbers = line.phone_numbers.iter().map(String::as_str);
    let agent = match (&line.app_id, line.app_version) {
        (Some(agent), Some(version)) => Some(format!("{agent} version {version}")),
        (agent, _) => agent.clone(),
    };
    [name.as_str()].into_iter().chain(numbers).chain(agent.as_deref()).collect::<Vec<_>>().join(", ")
}

/// A name for the object of each line: the remote's name for it where no other line has the same, else with the id.
fn names(lines: &BTreeMap<Id, Remote>) -> Vec<String> {
    let slugs: Vec<String> = lines.values().map(|line| slug(line.name.as_deref().unwrap_or_default())).collect();
    let is_unique = |slug: &String| slugs.iter().filter(|other| *other == slug).count() == 1;
    let full = |(id, short): (&Id, &String)| match short.as_str() {
        "" => slug(&format!("line {id}")),
        _ if is_unique(short) => short.clone(),
        _ => slug(&format!("{short} {id}")),
    };
    lines.keys().zip(&slugs).map(full).collect()
}

/// The text as a name of an object: lower case, digits and single hyphens, not too long.
fn slug(text: &str) -> String {
    let mut slug = String::new();
    for c in text.chars().map(|c| c.to_ascii_lowercase()) {
        match c {
            'a'..='z' | '0'..='9' => slug.push(c),
            _ if slug.is_empty() || slug.ends_with('-') => {}
            _ => slug.push('-'),
        }
    }
    slug.truncate(NAME_MAX);
    slug.trim_end_matches('-').to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_made_of_what_a_name_may_have() {
        for (text, expected) in [
            ("Support line", "support-line"),
            ("  Sales -- (Mumbai) ", "sales-mumbai"),
            ("हिन्दी", ""),
            ("é1", "1"),
            (&"x".repeat(80), &"x".repeat(63)),
        ] {
            assert_eq!(slug(text), expected, "{text:?}");
        }
    }
}
