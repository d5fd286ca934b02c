//! What the chart lets the operator do, and whether that is what it does.

use std::collections::HashMap;

use k8s_openapi::api::authorization::v1::{ResourceAttributes, SubjectAccessReview, SubjectAccessReviewSpec};
use k8s_openapi::api::rbac::v1::PolicyRule;
use kube::api::{Api, ApiResource, DynamicObject, GroupVersionKind, PostParams};
use kube::{Client, ResourceExt};
use sarvam_testkit::control_plane::ControlPlane;
use sarvam_testkit::control_plane::audit::{Request, Resource};
use serde_json::Value;
use tokio::sync::Mutex;

use super::{SECRET, until_nothing};

/// The release, and with it the service account and the Lease.
pub const RELEASE: &str = "sarvam-operator";

/// How the chart is installed for the operators of a stage.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Install {
    /// They watch all namespaces, on a control plane of their own; else that of the stage's objects.
    pub all_namespaces: bool,
    /// They may read any Secret there; else only that of the stage, by its name.
    pub any_secret: bool,
}

/// One verb on one kind, as a role grants it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Right {
    /// `None`: in all of them.
    pub namespace: Option<String>,
    /// Empty for the core.
    pub group: String,
    /// With the subresource, where it is about one.
    pub resource: String,
    /// In RBAC's words.
    pub verb: String,
    /// `None`: any object.
    pub object: Option<String>,
}

impl Right {
    fn allows(&self, verb: &str, resource: &Resource) -> bool {
        let here = self.namespace.as_ref().is_none_or(|namespace| *namespace == resource.namespace);
        let this = self.object.as_ref().is_none_or(|object| *object == resource.object);
        here && this && self.group == resource.group && self.resource == resource.name && self.verb == verb
    }
}

/// Those of the rights that no request has used.
pub fn unused<'a>(rights: &'a [Right], requests: &[Request]) -> Vec<&'a Right> {
    let used = |right: &Right, request: &Request| {
        request.resource.as_ref().is_some_and(|resource| right.allows(&request.verb, resource))
    };
    rights.iter().filter(|right| !requests.iter().any(|request| used(right, request))).collect()
}

/// Those of the requests that none of the rights allows. What is no resource, such as discovery, everybody may read.
pub fn beyond<'a>(rights: &[Right], requests: &'a [Request]) -> Vec<&'a Request> {
    let allowed = |request: &Request| {
        let of = |resource| rights.iter().any(|right| right.allows(&request.verb, resource));
        request.resource.as_ref().is_none_or(of)
    };
    requests.iter().filter(|request| !allowed(request)).collect()
}

/// Those of the requests that the API server refused.
pub fn refused(requests: &[Request]) -> Vec<&Request> {
    requests.iter().filter(|request| request.status == 403).collect()
}

/// Gives the release's service account in the namespace `home` what the chart gives it, and returns what that is.
pub async fn grant(plane: &ControlPlane, install: Install, home: &str, watched: &str) -> Vec<Right> {
    let client = plane.client();
    let documents = installed(plane, install).await.replace(HOME, home).replace(WATCHED, watched);
    let documents: Vec<Value> = serde_saphyr::from_multiple(&documents).unwrap();
    for document in &documents {
        create(&client, document).await;
    }
    let rights: Vec<_> = documents.iter().flat_map(rights).collect();
    let account = format!("system:serviceaccount:{home}:{RELEASE}");
    for right in &rights {
        // The API server takes a moment to know of a new role.
        until_nothing(async || {
            let may = may(&client, &account, right, watched).await;
            (!may).then(|| format!("{account} has no such right: {right:?}"))
        })
        .await;
    }
    rights
}

/// What stands in the rendered chart where each stage has a namespace of its own.
const HOME: &str = "namespace-of-the-operator";
const WATCHED: &str = "namespace-of-the-objects";

/// The chart's roles for the operator, rendered once for each way to install it.
async fn installed(plane: &ControlPlane, install: Install) -> String {
    static RENDERED: Mutex<Option<HashMap<Install, String>>> = Mutex::const_new(None);
    let mut rendered = RENDERED.lock().await;
    let rendered = rendered.get_or_insert_default();
    if let Some(known) = rendered.get(&install) {
        return known.clone();
    }
    let mut values = vec![];
    if !install.all_namespaces {
        values.push(format!("watchNamespace={WATCHED}"));
    }
    if !install.any_secret {
        values.push(format!("rbac.secrets[0].namespace={WATCHED}"));
        values.push(format!("rbac.secrets[0].names[0]={SECRET}"));
    }
    let roles = render(plane, "rbac", &values).await;
    rendered.insert(install, roles.clone());
    roles
}

/// One template of the chart with these values.
pub async fn render(plane: &ControlPlane, template: &str, values: &[String]) -> String {
    let chart = format!("{}/charts/sarvam-operator", env!("CARGO_MANIFEST_DIR"));
    let template = format!("templates/{template}.yaml");
    // Where helm asks no cluster for its version it takes one of its own, which may be too old for the chart.
    let mut args =
        vec!["template", RELEASE, &chart, "--namespace", HOME, "--kube-version", "1.33.0", "--show-only", &template];
    args.extend(values.iter().flat_map(|value| ["--set", value]));
    plane.helm().await.unwrap().run(&args).await.unwrap().success().unwrap()
}

/// Creates a role or a binding.
pub async fn create(client: &Client, document: &Value) {
    let kind = document["kind"].as_str().expect("every document has a kind");
    let resource = ApiResource::from_gvk(&GroupVersionKind::gvk("rbac.authorization.k8s.io", "v1", kind));
    let object: DynamicObject = serde_json::from_value(document.clone()).unwrap();
    let api: Api<DynamicObject> = match object.namespace() {
        Some(namespace) => Api::namespaced_with(client.clone(), &namespace, &resource),
        None => Api::all_with(client.clone(), &resource),
    };
    api.create(&PostParams::default(), &object).await.unwrap();
}

/// What a role grants; nothing for a binding.
fn rights(document: &Value) -> Vec<Right> {
    let rules = serde_json::from_value::<Option<Vec<PolicyRule>>>(document["rules"].clone()).unwrap();
    let namespace = document["metadata"]["namespace"].as_str();
    let mut rights = vec![];
    for rule in rules.unwrap_or_default() {
        let objects: Vec<_> = match rule.resource_names {
            Some(names) => names.into_iter().map(Some).collect(),
            None => vec![None],
        };
        for group in rule.api_groups.unwrap_or_default() {
            for resource in rule.resources.iter().flatten() {
                for verb in &rule.verbs {
                    rights.extend(objects.iter().map(|object| Right {
                        namespace: namespace.map(ToOwned::to_owned),
                        group: group.clone(),
                        resource: resource.clone(),
                        verb: verb.clone(),
                        object: object.clone(),
                    }));
                }
            }
        }
    }
    rights
}

/// Whether the API server would let a user do that; in the namespace `somewhere` where the right is about all of them.
pub async fn may(client: &Client, user: &str, right: &Right, somewhere: &str) -> bool {
    let (resource, subresource) = match right.resource.split_once('/') {
        Some((resource, subresource)) => (resource, Some(subresource)),
        None => (right.resource.as_str(), None),
    };
    let attributes = ResourceAttributes {
        group: Some(right.group.clone()),
        namespace: Some(right.namespace.clone().unwrap_or_else(|| somewhere.to_owned())),
        resource: Some(resource.to_owned()),
        subresource: subresource.map(ToOwned::to_owned),
        name: right.object.clone(),
        verb: Some(right.verb.clone()),
        ..ResourceAttributes::default()
    };
    let spec = SubjectAccessReviewSpec {
        user: Some(user.to_owned()),
        resource_attributes: Some(attributes),
        ..SubjectAccessReviewSpec::default()
    };
    let review = SubjectAccessReview { spec, ..SubjectAccessReview::default() };
    let answer = Api::all(client.clone()).create(&PostParams::default(), &review).await.unwrap();
    answer.status.is_some_and(|status| status.allowed)
}

#[test]
fn rights_and_requests_are_held_against_each_other() {
    let right = |resource: &str, verb: &str, namespace: Option<&str>, object: Option<&str>| Right {
        namespace: namespace.map(ToOwned::to_owned),
        group: "agents.sarvam.ai".to_owned(),
        resource: resource.to_owned(),
        verb: verb.to_owned(),
        object: object.map(ToOwned::to_owned),
    };
    let request = |resource: &str, verb: &str| Request {
        verb: verb.to_owned(),
        resource: Some(Resource {
            group: "agents.sarvam.ai".to_owned(),
            name: resource.to_owned(),
            namespace: "here".to_owned(),
            object: "one".to_owned(),
        }),
        path: String::new(),
        status: 200,
    };
    let get = || right("deployments", "get", Some("here"), None);
    let got = || request("deployments", "get");
    // Each case: what is granted, what is asked for, how many rights are unused, how many requests go beyond them.
    let cases = [
        ("as it should be", vec![get()], vec![got(), got()], 0, 0),
        ("a verb too many", vec![get(), right("deployments", "list", Some("here"), None)], vec![got()], 1, 0),
        ("a verb too few", vec![get()], vec![got(), request("deployments", "list")], 0, 1),
        ("a subresource is another thing", vec![get()], vec![request("deployments/status", "get")], 1, 1),
        ("in all namespaces", vec![right("deployments", "get", None, None)], vec![got()], 0, 0),
        ("in another namespace", vec![right("deployments", "get", Some("there"), None)], vec![got()], 1, 1),
        ("by name", vec![right("deployments", "get", None, Some("one"))], vec![got()], 0, 0),
        ("by another name", vec![right("deployments", "get", None, Some("two"))], vec![got()], 1, 1),
        ("nothing at all", vec![get()], vec![], 1, 0),
        ("no resource", vec![], vec![Request { resource: None, ..got() }], 0, 0),
    ];
    for (case, rights, requests, left, over) in cases {
        assert_eq!(unused(&rights, &requests).len(), left, "{case}: unused");
        assert_eq!(beyond(&rights, &requests).len(), over, "{case}: beyond");
    }
    let other_group = Right { group: String::new(), ..get() };
    assert_eq!(unused(&[other_group], &[got()]).len(), 1, "another group");
    assert_eq!(refused(&[got(), Request { status: 403, ..got() }, Request { status: 404, ..got() }]).len(), 1);
}
