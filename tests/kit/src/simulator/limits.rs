//! What can be written and asked for: the remote's rules for bodies and queries.

use serde::de::DeserializeOwned;
use serde_json::{Map, Value};

use super::line::{Action, ConnectionConfig, InboundConfig, Line};
use super::switches::{Lists, Switches};

/// One broken rule.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Broken {
    /// Where: `body` or `query`, then the field.
    pub place: Vec<&'static str>,
    /// The rule.
    pub rule: String,
}

/// The configuration that a create or update writes; `None` leaves the field as it is.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct Patch {
    pub name: Option<String>,
    pub description: Option<String>,
    pub app_id: Option<String>,
    pub app_version: Option<i64>,
    pub connection_configs: Option<Vec<ConnectionConfig>>,
    pub inbound_config: Option<InboundConfig>,
}

impl Patch {
    /// The same, less every field but these, in the remote's words; `None` where nothing is left.
    pub(super) fn only(self, fields: &[&str]) -> Option<Self> {
        let has = |field: &str| fields.contains(&field);
        let part = Self {
            name: self.name.filter(|_| has("name")),
            description: self.description.filter(|_| has("description")),
            app_id: self.app_id.filter(|_| has("app_id")),
            app_version: self.app_version.filter(|_| has("app_version")),
            connection_configs: self.connection_configs.filter(|_| has("connection_configs")),
            inbound_config: self.inbound_config.filter(|_| has("inbound_config")),
        };
        (part != Self::default()).then_some(part)
    }

    /// Writes the fields that are there.
    pub(super) fn write(self, line: &mut Line, switches: &Switches) {
        let merge = switches.lists == Lists::Merge;
        line.name = self.name.or(line.name.take());
        line.description = self.description.or(line.description.take());
        line.app_version = self.app_version.unwrap_or(line.app_version);
        if let Some(app_id) = self.app_id {
            line.app_id = app_id;
        }
        if let Some(configs) = self.connection_configs {
            let old = std::mem::take(&mut line.connection_configs);
            line.connection_configs = if merge { merged(old, configs) } else { configs };
        }
        if let Some(mut config) = self.inbound_config {
            if let (true, Some(old)) = (merge, &line.inbound_config) {
                let mut days = old.allowed_days.clone();
                days.extend(config.allowed_days);
                config.allowed_days = without_repeats(days);
            }
            if switches.normalise {
                normalise(&mut config);
            }
            line.inbound_config = Some(config);
        }
    }
}

fn merged(old: Vec<ConnectionConfig>, new: Vec<ConnectionConfig>) -> Vec<ConnectionConfig> {
    let mut all = old;
    for config in new {
        let known = all.iter_mut().find(|c| c.connection_id == config.connection_id);
        if let Some(known) = known {
            known.phone_numbers.extend(config.phone_numbers);
            known.phone_numbers = without_repeats(std::mem::take(&mut known.phone_numbers));
        } else {
            all.push(config);
        }
    }
    all
}

fn without_repeats(items: Vec<String>) -> Vec<String> {
    let mut kept: Vec<String> = Vec::with_capacity(items.len());
    for item in items {
        if !kept.contains(&item) {
            kept.push(item);
        }
    }
    kept
}

const DAYS: [&str; 7] = ["Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday"];

fn normalise(config: &mut InboundConfig) {
    for time in [&mut config.start_time, &mut config.end_time] {
        *time = format!("{time:0>5}");
    }
    let place = |day: &String| DAYS.iter().position(|known| known == day);
    config.allowed_days.sort_by_key(place);
}

/// Reads the body of a status call.
pub(super) fn action(body: &[u8], json: bool) -> Result<Action, Vec<Broken>> {
    let fields = fields(body, json)?;
    let mut reader = Reader::new(&fields);
    let action = reader.read("action", "must be 'pause' or 'resume'", |_: &Action| true);
    reader.require(&["action"]);
    reader.done(action).map(|action| action.expect("a missing action is a broken rule"))
}

/// Reads the body of an update.
pub(super) fn update(body: &[u8], json: bool, switches: &Switches) -> Result<Patch, Vec<Broken>> {
    patch(body, json, switches, &[])
}

/// Reads the body of a create.
pub(super) fn create(body: &[u8], json: bool, switches: &Switches) -> Result<Patch, Vec<Broken>> {
    let required = ["name", "app_id", "app_version", "connection_configs"];
    patch(body, json, switches, &required)
}

fn patch(body: &[u8], json: bool, switches: &Switches, required: &[&'static str]) -> Result<Patch, Vec<Broken>> {
    let fields = fields(body, json)?;
    let mut reader = Reader::new(&fields);
    reader.require(required);
    let highest = switches.highest_app_version;
    let patch = Patch {
        name: reader.read("name", r"must match ^[\w\- ]{1,50}$", |name: &String| is_name(name)),
        description: reader
            .read("description", "must have at most 150 characters", |text: &String| text.chars().count() <= 150),
        app_id: reader.read("app_id", "must be a string", |_: &String| true),
        app_version: reader
            .read("app_version", "must be a committed version", |version| (1..=highest).contains(version)),
        connection_configs: reader.read(
            "connection_configs",
            "must be a list of {connection_id, phone_numbers}",
            |_: &Vec<ConnectionConfig>| true,
        ),
        inbound_config: reader.read(
            "inbound_config",
            "must have start_time and end_time as HH:MM, allowed_days as English names and an IANA timezone",
            is_window,
        ),
    };
    reader.done(patch)
}

fn is_name(name: &str) -> bool {
    let word = |c: char| c.is_alphanumeric() || matches!(c, '_' | '-' | ' ');
    (1..=50).contains(&name.chars().count()) && name.chars().all(word)
}

fn is_window(config: &InboundConfig) -> bool {
    let number = |digits: &str, most| {
        let plain = (1..=2).contains(&digits.len()) && digits.bytes().all(|b| b.is_ascii_digit());
        plain && digits.parse::<u8>().is_ok_and(|n| n <= most)
    };
    let time = |text: &str| text.split_once(':').is_some_and(|(h, m)| number(h, 23) && m.len() == 2 && number(m, 59));
    time(&config.start_time)
        && time(&config.end_time)
        && config.allowed_days.iter().all(|day| DAYS.contains(&day.as_str()))
        && !config.timezone.is_empty()
}

fn fields(body: &[u8], json: bool) -> Result<Map<String, Value>, Vec<Broken>> {
    let broken = |rule: &str| vec![Broken { place: vec!["body"], rule: rule.to_owned() }];
    if !json {
        return Err(broken("must be sent as application/json"));
    }
    serde_json::from_slice(body).map_err(|_| broken("must be a JSON object"))
}

/// Reads typed fields from a body and collects every broken rule. Null counts as omitted.
struct Reader<'a> {
    fields: &'a Map<String, Value>,
    broken: Vec<Broken>,
}

impl<'a> Reader<'a> {
    fn new(fields: &'a Map<String, Value>) -> Self {
        Self { fields, broken: Vec::new() }
    }

    fn present(&self, field: &str) -> Option<&'a Value> {
        self.fields.get(field).filter(|value| !value.is_null())
    }

    fn refuse(&mut self, field: &'static str, rule: &str) {
        self.broken.push(Broken { place: vec!["body", field], rule: rule.to_owned() });
    }

    fn require(&mut self, fields: &[&'static str]) {
        for field in fields {
            if self.present(field).is_none() {
                self.refuse(field, "is required");
            }
        }
    }

    fn read<T: DeserializeOwned>(&mut self, field: &'static str, rule: &str, holds: impl Fn(&T) -> bool) -> Option<T> {
        let value = self.present(field)?;
        let read = serde_json::from_value(value.clone()).ok().filter(holds);
        if read.is_none() {
            self.refuse(field, rule);
        }
        read
    }

    fn done<T>(self, read: T) -> Result<T, Vec<Broken>> {
        if self.broken.is_empty() { Ok(read) } else { Err(self.broken) }
    }
}

/// What a list call asks for.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Page {
    pub offset: usize,
    pub limit: usize,
    pub sort_by: SortBy,
    pub descending: bool,
    pub search: String,
}

/// The fields that a list can be sorted by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum SortBy {
    Name,
    CreatedAt,
    UpdatedAt,
}

/// Reads the query of a list call. Parameters that the API doesn't have are ignored.
pub(super) fn page(query: &str) -> Result<Page, Vec<Broken>> {
    let mut page = Page { offset: 0, limit: 10, sort_by: SortBy::CreatedAt, descending: false, search: String::new() };
    let mut broken = Vec::new();
    let mut refuse = |field, rule: &str| {
        broken.push(Broken { place: vec!["query", field], rule: rule.to_owned() });
    };
    for (name, value) in form_urlencoded::parse(query.as_bytes()) {
        match (&*name, &*value) {
            ("offset", text) => match text.parse() {
                Ok(offset) => page.offset = offset,
                Err(_) => refuse("offset", "must be a whole number from 0"),
            },
            ("limit", text) => match text.parse() {
                Ok(limit @ 1..=100) => page.limit = limit,
                _ => refuse("limit", "must be a whole number from 1 to 100"),
            },
            ("sort_by", "name") => page.sort_by = SortBy::Name,
            ("sort_by", "created_at") => page.sort_by = SortBy::CreatedAt,
            ("sort_by", "updated_at") => page.sort_by = SortBy::UpdatedAt,
            ("sort_by", _) => refuse("sort_by", "must be name, created_at or updated_at"),
            ("sort_order", "asc") => page.descending = false,
            ("sort_order", "desc") => page.descending = true,
            ("sort_order", _) => refuse("sort_order", "must be asc or desc"),
            ("search", text) => page.search = text.to_lowercase(),
            _ => {}
        }
    }
    if broken.is_empty() { Ok(page) } else { Err(broken) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn every_limit_is_checked() {
        let whole = json!({"name": "Support", "app_id": "a", "app_version": 1, "connection_configs": []});
        let hours = |start: &str, day: &str| {
            json!({"inbound_config": {"start_time": start, "end_time": "18:00",
                   "allowed_days": [day], "timezone": "Asia/Kolkata"}})
        };
        // Each case: what is changed in a whole body, and the field that a create then names as broken.
        let cases = [
            (json!({}), None),
            (json!({"name": null}), Some("name")),
            (json!({"name": ""}), Some("name")),
            (json!({"name": "a".repeat(50)}), None),
            (json!({"name": "a".repeat(51)}), Some("name")),
            (json!({"name": "no/slash"}), Some("name")),
            (json!({"name": "Hauptstraße_2 - Süd"}), None),
            (json!({"description": "d".repeat(150)}), None),
            (json!({"description": "d".repeat(151)}), Some("description")),
            (json!({"app_id": 7}), Some("app_id")),
            (json!({"app_version": "1"}), Some("app_version")),
            (json!({"app_version": 0}), Some("app_version")),
            (json!({"app_version": 100}), Some("app_version")),
            (json!({"connection_configs": [{"connection_id": "c"}]}), Some("connection_configs")),
            (hours("9:00", "Monday"), None),
            (hours("09:00", "Monday"), None),
            (hours("24:00", "Monday"), Some("inbound_config")),
            (hours("9:5", "Monday"), Some("inbound_config")),
            (hours("+9:00", "Monday"), Some("inbound_config")),
            (hours("9:00", "monday"), Some("inbound_config")),
            (json!({"webhook_config": {}}), None),
        ];
        for (change, expected) in cases {
            let mut body = whole.clone();
            for (field, value) in change.as_object().unwrap() {
                body[field] = value.clone();
            }
            let read = create(body.to_string().as_bytes(), true, &Switches::default());
            let broken = read.err().map(|broken| broken[0].place[1]);
            assert_eq!(broken, expected, "{change}");
        }
    }

    #[test]
    fn queries_are_checked() {
        let cases = [
            ("", None),
            ("offset=0&limit=1", None),
            ("limit=100", None),
            ("limit=0", Some("limit")),
            ("limit=101", Some("limit")),
            ("offset=-1", Some("offset")),
            ("offset=x", Some("offset")),
            ("sort_by=app_id", Some("sort_by")),
            ("sort_order=down", Some("sort_order")),
            ("utm=1", None),
        ];
        for (query, expected) in cases {
            let broken = page(query).err().map(|broken| broken[0].place[1]);
            assert_eq!(broken, expected, "{query}");
        }
    }
}
