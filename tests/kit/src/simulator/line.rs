//! A phone line as the remote keeps it: a *deployment*, in the remote API's own words.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

/// Whether a line answers new calls.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum LineState {
    /// New calls are answered.
    Active,
    /// New calls are not answered.
    Paused,
}

impl LineState {
    /// What this `spec.paused` asks for.
    #[must_use]
    pub const fn of(paused: bool) -> Self {
        if paused { Self::Paused } else { Self::Active }
    }
}

/// What a status call asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Action {
    /// Stop answering.
    Pause,
    /// Answer again.
    Resume,
}

impl Action {
    /// The state that the action leads to.
    #[must_use]
    pub fn leads_to(self) -> LineState {
        match self {
            Self::Pause => LineState::Paused,
            Self::Resume => LineState::Active,
        }
    }
}

/// The numbers that one telephony connection brings to a line.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ConnectionConfig {
    /// Opaque id of the connection.
    pub connection_id: String,
    /// Phone numbers, as the remote was given them.
    pub phone_numbers: Vec<String>,
}

/// The daily window in which a line answers.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct InboundConfig {
    /// `HH:MM`.
    pub start_time: String,
    /// `HH:MM`.
    pub end_time: String,
    /// English names of days.
    pub allowed_days: Vec<String>,
    /// IANA name.
    pub timezone: String,
}

/// One deployment. Serialises to the remote's full object.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Line {
    /// Opaque id, unique in one simulator.
    pub deployment_id: String,
    /// Shown name.
    pub name: Option<String>,
    /// Whether it answers. What a reply shows can differ: see [`Switches`](super::Switches).
    pub status: LineState,
    /// The agent that answers.
    pub app_id: String,
    /// The agent's version.
    pub app_version: i64,
    /// Connections and their numbers.
    pub connection_configs: Vec<ConnectionConfig>,
    /// `inbound`, `outbound` or `inbound_outbound`.
    pub channel_direction: String,
    /// Free text.
    pub description: Option<String>,
    /// When it answers; `None` is always.
    pub inbound_config: Option<InboundConfig>,
    /// Who made it.
    pub created_by: String,
    /// When it was made.
    pub created_at: Timestamp,
    /// Who changed it last.
    pub updated_by: Option<String>,
    /// When it was changed last.
    pub updated_at: Timestamp,
}

impl Line {
    /// An active inbound line with one connection and no number; set the rest with struct update syntax.
    #[must_use]
    pub fn new(id: impl Into<String>) -> Self {
        let now = Timestamp::now();
        let id = id.into();
        Self {
            name: Some(id.clone()),
            deployment_id: id,
            status: LineState::Active,
            app_id: "my-support-agent".to_owned(),
            app_version: 1,
            connection_configs: vec![ConnectionConfig {
                connection_id: "conn-exotel-001".to_owned(),
                phone_numbers: Vec::new(),
            }],
            channel_direction: "inbound".to_owned(),
            description: None,
            inbound_config: None,
            created_by: "setup".to_owned(),
            created_at: now,
            updated_by: None,
            updated_at: now,
        }
    }

    /// The `n`th line, from 0, of those to show: an active line with a number, named for what people call it for. The first six are
    /// the lines that `examples/` asks for.
    #[must_use]
    pub fn example(n: usize) -> Self {
        const NAMES: [&str; 8] = [
            "support-line",
            "sales-line",
            "billing-line",
            "booking-line",
            "delivery-line",
            "returns-line",
            "feedback-line",
            "night-line",
        ];
        let name = NAMES.get(n).map_or_else(|| format!("line-{}", n + 1), |name| (*name).to_owned());
        Self {
            name: Some(name.clone()),
            app_id: format!("{}-agent", name.trim_end_matches("-line")),
            app_version: 3,
            connection_configs: vec![ConnectionConfig {
                connection_id: "conn-exotel-001".to_owned(),
                // 555-01xx is set aside for fiction: nobody has these numbers.
                phone_numbers: vec![format!("+1{}55501{:02}", 202 + n / 100, n % 100)],
            }],
            ..Self::new(format!("dep-{name}"))
        }
    }

    /// The same line, paused.
    #[must_use]
    pub fn paused(mut self) -> Self {
        self.status = LineState::Paused;
        self
    }

    /// The fields of the configuration in which two lines differ, in the remote's words.
    pub(super) fn differs(&self, other: &Self) -> Vec<&'static str> {
        [
            ("name", self.name != other.name),
            ("description", self.description != other.description),
            ("app_version", self.app_version != other.app_version),
            ("connection_configs", self.connection_configs != other.connection_configs),
            ("inbound_config", self.inbound_config != other.inbound_config),
        ]
        .into_iter()
        .filter_map(|(field, differs)| differs.then_some(field))
        .collect()
    }

    /// Every phone number of every connection, in order.
    #[must_use]
    pub fn phone_numbers(&self) -> Vec<&str> {
        self.connection_configs
            .iter()
            .flat_map(|connection| connection.phone_numbers.iter().map(String::as_str))
            .collect()
    }

    /// The full object that get and the writing calls answer with.
    pub(super) fn object(&self) -> Value {
        serde_json::to_value(self).expect("a line has string keys and finite numbers only")
    }

    /// The list's item: a flat `phone_numbers` in place of the connections.
    pub(super) fn summary(&self) -> Value {
        let mut object = self.object();
        if let Some(fields) = object.as_object_mut() {
            fields.remove("connection_configs");
            fields.insert("phone_numbers".to_owned(), json!(self.phone_numbers()));
        }
        object
    }
}
