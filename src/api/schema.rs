//! The rules that fields of both kinds share, as the API server checks them.
//!
//! A rule is in the schema twice: as `pattern`, which editors and offline checkers know, and as CEL, whose message
//! tells a person what to write. The API server would show only the pattern.

use kube::core::{Rule, validate};
use schemars::{Schema, SchemaGenerator, json_schema};

use super::conditions;
use super::line_config::{CONNECTIONS_MAX, DESCRIPTION_MAX, DISPLAY_NAME_MAX, NUMBERS_MAX, SHOWN_TEXT_MAX};
use crate::core::config::DAYS;

/// The longest id of the remote: an organisation, a workspace, a deployment.
pub(super) const ID_MAX: usize = 128;

/// The longest name of an object of either kind: what fits in a label. A longer limit can come later, a shorter one can't.
pub(super) const NAME_MAX: usize = 63;

const ID: &str = "^[A-Za-z0-9][A-Za-z0-9_-]{0,127}$";
const DNS_SUBDOMAIN: &str = r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*$";
const SECRET_KEY: &str = "^[-._a-zA-Z0-9]+$";
/// The remote documents `[\w\- ]`, and its `\w` may well take letters of every script: it has the last word.
const DISPLAY_NAME: &str = r"^[\p{L}\p{M}\p{N}_\-]([\p{L}\p{M}\p{N}_\- ]*[\p{L}\p{M}\p{N}_\-])?$";
const ONE_LINE: &str = r"^[^\s\p{Cc}]([^\p{Cc}]*[^\s\p{Cc}])?$";
const PHONE_NUMBER: &str = r"^\+?[0-9]{1,32}$";
const TIME_OF_DAY: &str = "^([01][0-9]|2[0-3]):[0-5][0-9]$";
const TIMEZONE: &str = r"^[A-Za-z][A-Za-z0-9_+\-]*(/[A-Za-z0-9_+\-]+){0,2}$";

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

/// `spec.displayName`.
pub(super) fn display_name(_: &mut SchemaGenerator) -> Schema {
    matching(
        DISPLAY_NAME_MAX,
        DISPLAY_NAME,
        "must be 1 to 50 letters, digits, '_', '-' and blanks, with no blank first or last",
    )
}

/// `spec.description`.
pub(super) fn description(_: &mut SchemaGenerator) -> Schema {
    matching(
        DESCRIPTION_MAX,
        ONE_LINE,
        "must be 1 to 150 characters in one line, with no blank first or last; the remote's API can't clear a description: leave the field out to stop managing it",
    )
}

/// `spec.connections[].phoneNumbers`.
pub(super) fn phone_numbers(_: &mut SchemaGenerator) -> Schema {
    let number = matching(
        33,
        PHONE_NUMBER,
        "must be a phone number as the remote shows it: up to 32 digits, and '+' before them where it has one; +918012345678 for example",
    );
    let mut schema = json_schema!({
        "type": "array",
        "minItems": 1,
        "maxItems": NUMBERS_MAX,
        "x-kubernetes-list-type": "set",
        "items": number,
    });
    let some = Rule::new("size(self) > 0").message("must have a number: leave out a connection that brings none");
    validate(&mut schema, some).expect("a rule of two strings is JSON");
    schema
}

/// That there is a connection at all.
pub(super) fn some_connection() -> Rule {
    Rule::new("size(self) > 0").message(
        "connections must have a connection: set paused to true for a line that shall not answer, or leave the field out to stop managing it",
    )
}

/// That no two connections bring the same number.
pub(super) fn each_number_once() -> Rule {
    Rule::new("self.all(c, c.phoneNumbers.all(n, self.exists_one(other, n in other.phoneNumbers)))")
        .message("connections must have each phone number once: it can come through one connection only")
}

/// `spec.schedule.startTime` and `endTime`.
pub(super) fn time_of_day(_: &mut SchemaGenerator) -> Schema {
    matching(
        5,
        TIME_OF_DAY,
        "must be a time of day as HH:MM, two digits each, from 00:00 to 23:59: write 09:00, not 9:00",
    )
}

/// That a window has a length.
pub(super) fn window_rule() -> Rule {
    Rule::new("self.startTime != self.endTime")
        .message("startTime and endTime must differ: 00:00 and 23:59 are a whole day, and paused is for a line that shall not answer")
}

/// `spec.schedule.allowedDays`.
pub(super) fn days(_: &mut SchemaGenerator) -> Schema {
    let mut schema = json_schema!({
        "type": "array",
        "minItems": 1,
        "maxItems": DAYS.len(),
        "x-kubernetes-list-type": "set",
        "items": {"type": "string", "enum": DAYS},
    });
    let some = Rule::new("size(self) > 0")
        .message("must have a day: set paused to true for a line that shall not answer on any");
    validate(&mut schema, some).expect("a rule of two strings is JSON");
    schema
}

/// `spec.schedule.timezone`: its shape. Whether there is such a zone is told in the status.
pub(super) fn timezone(_: &mut SchemaGenerator) -> Schema {
    matching(64, TIMEZONE, "must be the IANA name of a time zone: Asia/Kolkata for example, neither IST nor +05:30")
}

/// Connections in a status: bounded alone, for the remote may have what a user may not write.
pub(super) fn shown_connections(_: &mut SchemaGenerator) -> Schema {
    json_schema!({
        "type": "array",
        "maxItems": CONNECTIONS_MAX,
        "x-kubernetes-list-type": "atomic",
        "items": {
            "type": "object",
            "description": "A telephony connection and its numbers.",
            "required": ["connectionID", "phoneNumbers"],
            "properties": {
                "connectionID": {
                    "type": "string",
                    "description": "The connection's id at the remote.",
                    "maxLength": SHOWN_TEXT_MAX,
                },
                "phoneNumbers": {
                    "type": "array",
                    "description": "Its numbers.",
                    "maxItems": NUMBERS_MAX,
                    "x-kubernetes-list-type": "atomic",
                    "items": {"type": "string", "maxLength": SHOWN_TEXT_MAX},
                },
            },
        },
    })
}

/// A schedule in a status: bounded alone, for the remote may have what a user may not write.
pub(super) fn shown_schedule(_: &mut SchemaGenerator) -> Schema {
    let time = |what: &str| json_schema!({"type": "string", "description": what, "maxLength": 5});
    json_schema!({
        "type": "object",
        "required": ["startTime", "endTime", "allowedDays", "timezone"],
        "properties": {
            "startTime": time("From when the line answers."),
            "endTime": time("Until when the line answers."),
            "allowedDays": {
                "type": "array",
                "description": "On which days the line answers.",
                "maxItems": DAYS.len(),
                "x-kubernetes-list-type": "atomic",
                "items": {"type": "string", "enum": DAYS},
            },
            "timezone": {
                "type": "string",
                "description": "The name of the time zone that the times and days are of.",
                "maxLength": SHOWN_TEXT_MAX,
            },
        },
    })
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
                    "description": "What it is about: Ready, Reconciling, Stalled or RolloutOverdue.",
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
