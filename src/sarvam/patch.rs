//! What a PATCH carries: the fields that change, in the remote's names, and no other. A field that is left out stays.

use serde_json::{Map, Value, json};

use crate::core::config::{Connections, Managed, Schedule};

/// The body that makes these fields so. It never has a null: the remote takes one for a field left out.
pub(super) fn body(patch: &Managed) -> String {
    let Managed { app_version, name, description, connections, schedule } = patch;
    let fields = [
        ("name", name.as_ref().map(|name| json!(name))),
        ("description", description.as_ref().map(|description| json!(description))),
        ("app_version", app_version.map(|version| json!(version))),
        ("connection_configs", connections.as_ref().map(connection_configs)),
        ("inbound_config", schedule.as_ref().map(inbound_config)),
    ];
    let given = fields.into_iter().filter_map(|(field, value)| Some((field.to_owned(), value?)));
    Value::Object(given.collect::<Map<_, _>>()).to_string()
}

fn connection_configs(connections: &Connections) -> Value {
    connections.iter().map(|(id, numbers)| json!({"connection_id": id, "phone_numbers": numbers})).collect()
}

fn inbound_config(schedule: &Schedule) -> Value {
    json!({
        "start_time": schedule.start.to_string(),
        "end_time": schedule.end.to_string(),
        "allowed_days": schedule.days.names().collect::<Vec<_>>(),
        "timezone": schedule.timezone,
    })
}
