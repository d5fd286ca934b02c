//! `sarvam-operator import`: manifests of the lines that a workspace has, ready for Git.

use std::collections::{BTreeMap, BTreeSet};

use futures::{StreamExt, stream};
use kube::{Api, api::ListParams};
use serde::Serialize;
use serde_json::{Value, json};

use crate::{
    access::{self, Kubernetes},
    api::{Deployment, LineConfig, line_config::unwritable},
    config::{Format, Import as Flags},
    core::{
        classify::{Fault, Remote},
        config::{Field, Fields},
        id::Id,
        line::State,
    },
    output,
    sarvam::Reader,
};

/// The longest name of an object of ours.
const NAME_MAX: usize = 63;

/// How many lines are looked at at once. The Workspace's rate holds all the same.
const AT_ONCE: usize = 4;

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
    let managed = flags.managed();
    let unseen = if managed.has(Field::Connections) { look(&reader, &mut lines).await } else { Vec::new() };
    let unknown: Vec<String> =
        lines.extract_if(.., |_, line| line.state == State::Unknown).map(|(id, _)| id.to_string()).collect();
    print!("{}", write(flags.output, namespace, &flags.workspace, &lines, managed)?);

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
    for (id, fault) in &unseen {
        eprintln!("Left out: line {id}, which can't be looked at: {fault}.");
    }
    for line in lines.values() {
        for omission in omissions(line, managed) {
            eprintln!("Line {}: {omission}", line.deployment);
        }
    }
    Ok(unknown.is_empty() && unseen.is_empty())
}

/// Looks at each line by itself, for a row of the list doesn't tell its connections; takes away those that can't be looked
/// at, and returns them.
async fn look(reader: &Reader, lines: &mut BTreeMap<Id, Remote>) -> Vec<(Id, Fault)> {
    let bar = output::progress("looking at lines");
    bar.set_length(lines.len() as u64);
    let look = async |id: Id| {
        let seen = reader.get(&id).await;
        bar.inc(1);
        (id, seen)
    };
    let looks: Vec<_> = lines.keys().cloned().map(look).collect();
    let seen: Vec<_> = stream::iter(looks).buffered(AT_ONCE).collect().await;
    bar.finish_and_clear();
    let mut unseen = Vec::new();
    lines.clear();
    for (id, seen) in seen {
        match seen {
            Ok(line) => drop(lines.insert(id, line)),
            Err(fault) => unseen.push((id, fault)),
        }
    }
    unseen
}

/// What the line has that a manifest can't ask for, a sentence each.
fn omissions(line: &Remote, managed: Fields) -> Vec<String> {
    let omission = |field: Field| {
        let reason = unwritable(&line.config, field)?;
        Some(format!("spec.{} is left out: {reason}.", field.name()))
    };
    managed.iter().filter_map(omission).collect()
}

/// The lines of a Workspace that objects in the cluster name.
async fn named(kubernetes: &Kubernetes, namespace: &str, workspace: &str) -> Result<BTreeSet<String>, String> {
    let params = ListParams::default().fields(&format!("spec.workspaceRef.name={workspace}"));
    let api = Api::<Deployment>::namespaced(kubernetes.client.clone(), namespace);
    let what = format!("Deployments of {namespace}");
    let objects = api.list(&params).await.map_err(|error| access::unanswered(kubernetes, &what, &error))?;
    Ok(objects.into_iter().map(|object| object.spec.deployment_id).collect())
}

fn write(
    format: Format,
    namespace: &str,
    workspace: &str,
    lines: &BTreeMap<Id, Remote>,
    managed: Fields,
) -> Result<String, String> {
    let names = names(lines);
    let manifests =
        || lines.values().zip(&names).map(|(line, name)| (line, manifest(namespace, workspace, name, line, managed)));
    Ok(match format {
        Format::Json => {
            let items: Vec<Manifest> = manifests().map(|(_, manifest)| manifest).collect();
            let list = json!({"apiVersion": "v1", "kind": "List", "items": items});
            output::document(format, &list)?.unwrap_or_default()
        }
        Format::Yaml => {
            let documents = manifests().map(|(line, manifest)| {
                let yaml = output::document(format, &manifest)?.unwrap_or_default();
                let omissions = omissions(line, managed);
                let comments = [about(line)].into_iter().chain(omissions).map(|it| format!("# {it}\n"));
                Ok(format!("---\n{}{yaml}", comments.collect::<Vec<_>>().concat()))
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
                    line.config.app_version.map(|version| version.to_string()).unwrap_or_default(),
                    line.config.phone_numbers().join(","),
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

fn manifest(namespace: &str, workspace: &str, name: &str, line: &Remote, managed: Fields) -> Manifest {
    let mut spec = json!({
        "workspaceRef": {"name": workspace},
        "deploymentID": line.deployment.as_str(),
        "paused": line.state == State::Paused,
    });
    let writable = managed.iter().filter(|field| unwritable(&line.config, *field).is_none()).collect();
    let config = json!(LineConfig::shown(&line.config, writable));
    for (field, value) in config.as_object().into_iter().flatten() {
        spec[field] = value.clone();
    }
    Manifest {
        api_version: "agents.sarvam.ai/v1alpha1",
        kind: "Deployment",
        metadata: json!({"name": name, "namespace": namespace}),
        spec,
    }
}

/// What a person knows the line by.
fn about(line: &Remote) -> String {
    let name = line.config.name.clone().unwrap_or_else(|| "(no name)".to_owned());
    let numbers = line.config.phone_numbers();
    let agent = match (&line.app_id, line.config.app_version) {
        (Some(agent), Some(version)) => Some(format!("{agent} version {version}")),
        (agent, _) => agent.clone(),
    };
    [name].into_iter().chain(numbers).chain(agent).collect::<Vec<_>>().join(", ")
}

/// A name for the object of each line: the remote's name for it where no other line has the same, else with the id.
fn names(lines: &BTreeMap<Id, Remote>) -> Vec<String> {
    let slugs: Vec<String> = lines.values().map(|line| slug(line.config.name.as_deref().unwrap_or_default())).collect();
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
