//! The Kubernetes types: what a user writes, what the operator tells, and the definitions that the API server enforces.
//!
//! Every rule but one is in the schema, as bounds and as CEL with a message, so the API server itself refuses a bad object. Whether
//! there is a time zone of some name is told in the status.

use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::{
    CustomResourceDefinition, JSONSchemaProps, JSONSchemaPropsOrArray,
};
use kube::CustomResourceExt;
use serde_json::Value;

pub mod conditions;
pub mod deployment;
pub mod interval;
pub mod line_config;
mod schema;
pub mod workspace;

pub use deployment::{
    DeletionPolicy, Deployment, DeploymentSpec, DeploymentStatus, DriftPolicy, RemoteState, RemoteStatus,
    RolloutStatus, StatusPatch, WorkspaceRef,
};
pub use interval::SyncInterval;
pub use line_config::{Connection, LineConfig, OnFailure, RolloutSpec, RolloutStrategy, Schedule};
pub use workspace::{Lines, SecretKeyRef, Unmanaged, Workspace, WorkspaceSpec, WorkspaceStatus};

/// The API group of both kinds.
pub const GROUP: &str = "agents.sarvam.ai";

/// The only version of both kinds.
pub const VERSION: &str = "v1alpha1";

/// The definitions of both kinds, as a cluster needs them before the operator starts.
#[must_use]
pub fn crds() -> Vec<CustomResourceDefinition> {
    [Workspace::crd(), Deployment::crd()].map(tidy).into()
}

/// The definitions as YAML documents, ready for `kubectl apply -f`. `crds/agents.sarvam.ai.yaml` is a copy.
#[must_use]
pub fn crds_yaml() -> String {
    let header = String::from("# Written by `sarvam-operator crds`. Change src/api, then write it again.\n");
    crds().iter().fold(header, |yaml, crd| {
        let mut crd = serde_json::to_value(crd).expect("a definition has only text for keys");
        write_whole_numbers(&mut crd);
        let document = serde_saphyr::to_string(&crd).expect("a definition holds nothing that YAML can't");
        yaml + "---\n" + &document
    })
}

/// Makes the derived schemas what a person would have written.
fn tidy(mut crd: CustomResourceDefinition) -> CustomResourceDefinition {
    let versions = crd.spec.versions.iter_mut();
    let validations = versions.filter_map(|version| version.schema.as_mut());
    validations.filter_map(|validation| validation.open_api_v3_schema.as_mut()).for_each(tidy_schema);
    crd
}

fn tidy_schema(schema: &mut JSONSchemaProps) {
    // Without it the API server drops an explicit null, and a default applies: null means absent.
    schema.nullable = None;
    // The lines of a doc comment are one paragraph.
    schema.description = schema.description.take().map(|text| text.replace('\n', " "));
    schema.properties.iter_mut().flat_map(|fields| fields.values_mut()).for_each(tidy_schema);
    if let Some(JSONSchemaPropsOrArray::Schema(items)) = &mut schema.items {
        tidy_schema(items);
    }
}

/// Writes 1000, not 1000.0: bounds are floats in the Rust type.
#[expect(clippy::cast_possible_truncation, reason = "only what survives it is changed")]
fn write_whole_numbers(value: &mut Value) {
    match value {
        Value::Array(items) => items.iter_mut().for_each(write_whole_numbers),
        Value::Object(fields) => fields.values_mut().for_each(write_whole_numbers),
        Value::Number(number) => {
            if let Some(float) = number.as_f64().filter(|float| float.fract() == 0.0 && float.abs() < 1e15) {
                *number = (float as i64).into();
            }
        }
        _ => {}
    }
}
