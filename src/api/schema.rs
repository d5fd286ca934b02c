//! The rules that fields of both kinds share, as the API server checks them.
//!
//! A rule is in the schema twice: as `pattern`, which editors and offline checkers know, and as CEL, whose message
//! tells a person what to write. The API server would show only the pattern.

use kube::core::{Rule, validate};
use schemars::{Schema, SchemaGenerator, json_schema};

use super::conditions;

/// The longest id of the remote: an organisation, a workspace, a deployment.
pub(super) const ID_MAX: usize = 128;

/// The longest name of an object of either kind: what fits in a label. A longer limit can come later, a shorter one can't.
pub(super) const NAME_MAX: usize = 63;

const ID: &str = "^[A-Za-z0-9][A-Za-z0-9_-]{0,127}$";
const DNS_SUBDOMAIN: &str = r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*$";
const SECRET_KEY: &str = "^[-._a-zA-Z0-9]+$";

/// A string of at most `max` characters that matches `pattern`, and a CEL rule with the words for people.
pub(super) fn text(max: usize, pattern: &str, rule: &str, message: &str) -> Schema {
    let mut schema = json_schema!({"type": "string", "maxLength": max, "pattern": pattern});
    validate(&mut schema, Rule::new(rule).message(message)).expect("a rule of two strings is JSON");
    schema
}

fn matching(max: usize, pattern: &str, message: &str) -> Schema {
    text(max, pattern, &format!("self.matches(r'{pattern}')"), message)
}

/// A field that keeps its value for the object's life; `message` says what to do instead.
pub(super) fn immutable(message: &str) -> Rule {
    Rule::new("self == oldSelf").message(message)
}

/// The bound on the name of an object of either kind.
pub(super) fn name_rule() -> Rule {
    Rule::new(format!("size(self.metadata.name) <= {NAME_MAX}"))
        .message("metadata.name must be at most 63 characters: choose a shorter name")
}

/// An id of the remote.
pub(super) fn remote_id(_: &mut SchemaGenerator) -> Schema {
    matching(
        ID_MAX,
        ID,
        "must be an id as the remote shows it: a letter or digit, then up to 127 letters, digits, '-' or '_'",
    )
}

/// The name of a Workspace object.
pub(super) fn workspace_name(_: &mut SchemaGenerator) -> Schema {
    matching(
        NAME_MAX,
        DNS_SUBDOMAIN,
        "must be the name of a Workspace in this namespace: lower case letters, digits, '-' and '.', beginning and ending with a letter or digit",
    )
}

/// The name of a Secret.
pub(super) fn secret_name(_: &mut SchemaGenerator) -> Schema {
    matching(
        253,
        DNS_SUBDOMAIN,
        "must be the name of a Secret in this namespace: lower case letters, digits, '-' and '.', beginning and ending with a letter or digit",
    )
}

/// A key in a Secret's data.
pub(super) fn secret_key(_: &mut SchemaGenerator) -> Schema {
    matching(
        253,
        SECRET_KEY,
        "must be a key in the Secret's data: letters, digits, '-', '_' and '.', api-key for example",
    )
}

/// `status.conditions`: Kubernetes' own type with bounds and short descriptions.
pub(super) fn conditions(_: &mut SchemaGenerator) -> Schema {
    json_schema!({
        "type": "array",
        "maxItems": conditions::MAX_ITEMS,
        "x-kubernetes-list-type": "map",
        "x-kubernetes-list-map-keys": ["type"],
        "items": {
            "type": "object",
            "description": "One thing that is true, false or unknown about the object.",
            "required": ["lastTransitionTime", "message", "reason", "status", "type"],
            "properties": {
                "type": {
                    "type": "string",
                    "description": "What it is about: Ready, Reconciling or Stalled.",
                    "maxLength": 316,
                    "pattern": r"^([a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*/)?[A-Za-z0-9]([-A-Za-z0-9_.]*[A-Za-z0-9])?$",
                },
                "status": {
                    "type": "string",
                    "description": "True, False or Unknown.",
                    "enum": ["True", "False", "Unknown"],
                },
                "observedGeneration": {
                    "type": "integer",
                    "format": "int64",
                    "minimum": 0,
                    "description": "The metadata.generation that it speaks of.",
                },
                "lastTransitionTime": {
                    "type": "string",
                    "format": "date-time",
                    "description": "When the condition's status last changed.",
                },
                "reason": {
                    "type": "string",
                    "description": "Why, as one word for programs.",
                    "maxLength": 128,
                    "pattern": "^[A-Za-z]([A-Za-z0-9_,:]*[A-Za-z0-9_])?$",
                },
                "message": {
                    "type": "string",
                    "description": "Why, as a sentence for people, and what to do.",
                    "maxLength": conditions::MESSAGE_MAX,
                },
            },
        },
    })
}
