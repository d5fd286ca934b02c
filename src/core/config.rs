//! A line's configuration: what an object manages of it, what a look shows of it, and how the two compare.
//!
//! Both are kept in one form, whatever a user or the remote writes: times as minutes, days as a set, connections and
//! numbers in order. So what the remote may normalise (`9:00` to `09:00`, the order of days) is no difference, and
//! equality is all that there is to compare.

use std::{collections::BTreeMap, fmt, sync::Arc};

/// The fields that an object manages. `None`: not managed, whatever the remote has stays.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Managed {
    /// `spec.appVersion`: the version of the agent.
    pub app_version: Option<i64>,
    /// `spec.displayName`: the remote's `name`.
    pub name: Option<String>,
    /// `spec.description`.
    pub description: Option<String>,
    /// `spec.connections`: the remote's `connection_configs`.
    pub connections: Option<Connections>,
    /// `spec.schedule`: the remote's `inbound_config`.
    pub schedule: Option<Schedule>,
}

/// What a look showed of the fields that can be managed.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Shown {
    /// `app_version`.
    pub app_version: Option<i64>,
    /// `name`.
    pub name: Option<String>,
    /// `description`.
    pub description: Option<String>,
    /// `connection_configs`, or the flat `phone_numbers` of a row of the list.
    pub connections: ShownConnections,
    /// `inbound_config`; `None` where there is none, or none that can be read.
    pub schedule: Option<Schedule>,
}

impl Shown {
    /// The numbers of all connections, in order and each once.
    #[must_use]
    pub fn phone_numbers(&self) -> Vec<String> {
        self.connections.numbers().into_iter().map(str::to_owned).collect()
    }
}

/// The connections of a line, as far as an answer tells them.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum ShownConnections {
    /// The full object has the connections.
    Full(Connections),
    /// A row of the list has the numbers alone, in order and each once.
    Numbers(Vec<String>),
}

impl ShownConnections {
    /// Every number, in order and each once.
    #[must_use]
    pub fn numbers(&self) -> Vec<&str> {
        match self {
            Self::Full(connections) => connections.numbers(),
            Self::Numbers(numbers) => numbers.iter().map(String::as_str).collect(),
        }
    }

    /// Whether both say the same, as far as both tell it.
    #[must_use]
    pub fn agrees_with(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Full(one), Self::Full(other)) => one == other,
            _ => self.numbers() == other.numbers(),
        }
    }
}

impl Default for ShownConnections {
    fn default() -> Self {
        Self::Numbers(Vec::new())
    }
}

/// Telephony connections and the numbers that each brings, in order and each once.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Connections(Vec<(String, Vec<String>)>);

impl Connections {
    /// Every number of every connection, in order and each once.
    #[must_use]
    pub fn numbers(&self) -> Vec<&str> {
        let mut numbers: Vec<&str> = self.0.iter().flat_map(|(_, numbers)| numbers).map(String::as_str).collect();
        numbers.sort_unstable();
        numbers.dedup();
        numbers
    }

    /// Each connection's id and its numbers.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &[String])> {
        self.0.iter().map(|(id, numbers)| (id.as_str(), numbers.as_slice()))
    }

    /// Whether everything in `other` is in these too.
    fn contains(&self, other: &Self) -> bool {
        other.0.iter().all(|(id, numbers)| {
            let own = self.0.binary_search_by_key(&id, |(own, _)| own).ok().map(|at| &self.0[at].1);
            own.is_some_and(|own| numbers.iter().all(|number| own.binary_search(number).is_ok()))
        })
    }
}

impl<I: IntoIterator<Item = String>> FromIterator<(String, I)> for Connections {
    fn from_iter<T: IntoIterator<Item = (String, I)>>(connections: T) -> Self {
        let mut all: BTreeMap<String, Vec<String>> = BTreeMap::new();
        for (id, numbers) in connections {
            all.entry(id).or_default().extend(numbers);
        }
        for numbers in all.values_mut() {
            numbers.sort_unstable();
            numbers.dedup();
            numbers.shrink_to_fit();
        }
        // Not the map itself: of its node, made for eleven, most lines would use one place.
        Self(all.into_iter().collect())
    }
}

/// The daily window in which a line answers.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Schedule {
    /// From when.
    pub start: TimeOfDay,
    /// Until when.
    pub end: TimeOfDay,
    /// On which days.
    pub days: Days,
    /// The IANA name of the time zone.
    pub timezone: String,
}

/// A time of day, in minutes since midnight.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TimeOfDay(u16);

impl TimeOfDay {
    /// Reads `9:00`, `09:00` and `09:00:00`; seconds must be zero. `24:00` is the end of a day.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let number = |digits: &str, shortest: usize| {
            let fits = (shortest..=2).contains(&digits.len()) && digits.bytes().all(|byte| byte.is_ascii_digit());
            fits.then(|| digits.parse::<u16>().ok()).flatten()
        };
        let parts: Vec<&str> = text.split(':').collect();
        let ([hours, minutes] | [hours, minutes, "00"]) = parts[..] else { return None };
        let (hours, minutes) = (number(hours, 1)?, number(minutes, 2)?);
        (minutes < 60 && (hours < 24 || (hours == 24 && minutes == 0))).then(|| Self(hours * 60 + minutes))
    }
}

impl fmt::Display for TimeOfDay {
    /// `HH:MM`, as the remote documents it.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:02}:{:02}", self.0 / 60, self.0 % 60)
    }
}

/// A set of days of the week.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Days(u8);

/// The names of the days, as the remote writes them.
pub const DAYS: [&str; 7] = ["Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday"];

impl Days {
    /// Reads names of days, in any order and case; `None` where one is no day.
    pub fn parse<'a>(names: impl IntoIterator<Item = &'a str>) -> Option<Self> {
        names.into_iter().try_fold(Self(0), |Self(days), name| {
            let day = DAYS.iter().position(|day| day.eq_ignore_ascii_case(name))?;
            Some(Self(days | 1 << day))
        })
    }

    /// The days by name, in the order of the week.
    pub fn names(self) -> impl Iterator<Item = &'static str> {
        DAYS.into_iter().enumerate().filter(move |(day, _)| self.0 >> day & 1 == 1).map(|(_, name)| name)
    }

    const fn contains(self, other: Self) -> bool {
        self.0 & other.0 == other.0
    }
}

/// What PATCH does with a list: of connections, of their numbers, of days.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Lists {
    /// The new list takes the old one's place.
    #[default]
    Replace,
    /// What is new is added. Then no call takes anything away.
    Merge,
}

/// A field of a line's configuration.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Field {
    /// `spec.appVersion`.
    AppVersion,
    /// `spec.displayName`.
    DisplayName,
    /// `spec.description`.
    Description,
    /// `spec.connections`.
    Connections,
    /// `spec.schedule`.
    Schedule,
}

impl Field {
    /// All of them, in the order in which they are told.
    pub const ALL: [Self; 5] =
        [Self::AppVersion, Self::DisplayName, Self::Description, Self::Connections, Self::Schedule];

    /// Its name in the spec.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::AppVersion => "appVersion",
            Self::DisplayName => "displayName",
            Self::Description => "description",
            Self::Connections => "connections",
            Self::Schedule => "schedule",
        }
    }

    /// Whether the remote's documentation asks for a pause before it is changed, so that nobody reaches a line that is
    /// half one thing and half another.
    #[must_use]
    pub const fn needs_pause(self) -> bool {
        matches!(self, Self::AppVersion | Self::Connections)
    }
}

/// A set of fields.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Fields(u8);

impl Fields {
    /// Whether there is none.
    #[must_use]
    pub const fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// Whether the field is one of them.
    #[must_use]
    pub const fn has(self, field: Field) -> bool {
        self.0 >> field as u8 & 1 == 1
    }

    /// Whether one of them must not be changed while the line answers.
    #[must_use]
    pub fn need_pause(self) -> bool {
        self.iter().any(Field::needs_pause)
    }

    const fn insert(&mut self, field: Field) {
        self.0 |= 1 << field as u8;
    }

    /// Each of them, in the order of [`Field::ALL`].
    pub fn iter(self) -> impl Iterator<Item = Field> {
        Field::ALL.into_iter().filter(move |field| self.has(*field))
    }
}

impl FromIterator<Field> for Fields {
    fn from_iter<T: IntoIterator<Item = Field>>(fields: T) -> Self {
        let mut all = Self::default();
        fields.into_iter().for_each(|field| all.insert(field));
        all
    }
}

/// How a line's configuration differs from what is asked.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Difference {
    /// What a PATCH changes.
    pub changes: Fields,
    /// What has more than is asked, where the remote's lists only grow: no call takes it away.
    pub surplus: Fields,
}

impl Difference {
    /// Whether there is none.
    #[must_use]
    pub const fn is_empty(self) -> bool {
        self.changes.is_empty() && self.surplus.is_empty()
    }
}

/// How one field compares.
enum Compared {
    Same,
    Differs,
    Surplus,
}

impl Managed {
    /// Whether nothing is managed.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.fields().is_empty()
    }

    /// The fields that are managed.
    #[must_use]
    pub fn fields(&self) -> Fields {
        Field::ALL.into_iter().filter(|field| self.manages(*field)).collect()
    }

    const fn manages(&self, field: Field) -> bool {
        match field {
            Field::AppVersion => self.app_version.is_some(),
            Field::DisplayName => self.name.is_some(),
            Field::Description => self.description.is_some(),
            Field::Connections => self.connections.is_some(),
            Field::Schedule => self.schedule.is_some(),
        }
    }

    /// The same, less every field that isn't one of these: what a PATCH carries.
    #[must_use]
    pub fn only(&self, fields: Fields) -> Self {
        Self {
            app_version: self.app_version.filter(|_| fields.has(Field::AppVersion)),
            name: self.name.clone().filter(|_| fields.has(Field::DisplayName)),
            description: self.description.clone().filter(|_| fields.has(Field::Description)),
            connections: self.connections.clone().filter(|_| fields.has(Field::Connections)),
            schedule: self.schedule.clone().filter(|_| fields.has(Field::Schedule)),
        }
    }

    /// How what was shown differs from this. The one place that compares a configuration.
    #[must_use]
    pub fn difference(&self, shown: &Shown, lists: Lists) -> Difference {
        let mut difference = Difference::default();
        for field in Field::ALL {
            match self.compare(field, shown, lists) {
                Compared::Same => {}
                Compared::Differs => difference.changes.insert(field),
                Compared::Surplus => difference.surplus.insert(field),
            }
        }
        difference
    }

    fn compare(&self, field: Field, shown: &Shown, lists: Lists) -> Compared {
        // Of two that differ, the second has more and nothing less: under `Merge` that can't be mended.
        let told = |same: bool, more: bool| match (same, lists) {
            (true, _) => Compared::Same,
            (false, Lists::Merge) if more => Compared::Surplus,
            (false, _) => Compared::Differs,
        };
        let same = match field {
            Field::AppVersion => self.app_version.is_none_or(|wanted| shown.app_version == Some(wanted)),
            Field::DisplayName => self.name.as_ref().is_none_or(|wanted| shown.name.as_ref() == Some(wanted)),
            Field::Description => {
                self.description.as_ref().is_none_or(|wanted| shown.description.as_ref() == Some(wanted))
            }
            Field::Connections => match (&self.connections, &shown.connections) {
                (None, _) => true,
                (Some(wanted), ShownConnections::Full(has)) => return told(wanted == has, has.contains(wanted)),
                (Some(wanted), ShownConnections::Numbers(has)) => {
                    let wanted = wanted.numbers();
                    let more = wanted.iter().all(|number| has.iter().any(|has| has == number));
                    return told(wanted == *has, more);
                }
            },
            Field::Schedule => match (&self.schedule, &shown.schedule) {
                (None, _) => true,
                (Some(_), None) => false,
                (Some(wanted), Some(has)) => {
                    let more =
                        Schedule { days: wanted.days, ..has.clone() } == *wanted && has.days.contains(wanted.days);
                    return told(wanted == has, more);
                }
            },
        };
        if same { Compared::Same } else { Compared::Differs }
    }

    /// What of these fields is not as asked, in words.
    #[must_use]
    pub fn tell(&self, fields: Fields, shown: &Shown) -> String {
        let told = fields.iter().map(|field| {
            let (has, wanted) = match field {
                Field::AppVersion => (text(shown.app_version), text(self.app_version)),
                Field::DisplayName => (quoted(shown.name.as_ref()), quoted(self.name.as_ref())),
                Field::Description => (quoted(shown.description.as_ref()), quoted(self.description.as_ref())),
                Field::Connections => (shown.connections.to_string(), text(self.connections.as_ref())),
                Field::Schedule => (text(shown.schedule.as_ref()), text(self.schedule.as_ref())),
            };
            format!("{} is {has}, and shall be {wanted}", field.name())
        });
        told.collect::<Vec<_>>().join("; ")
    }

    /// Whether a PATCH that carries this would, if it landed, make a field of `wanted` another than it says.
    #[must_use]
    pub fn contradicts(&self, wanted: &Self) -> bool {
        fn differ<T: PartialEq>(sent: Option<&T>, wanted: Option<&T>) -> bool {
            sent.zip(wanted).is_some_and(|(sent, wanted)| sent != wanted)
        }
        differ(self.app_version.as_ref(), wanted.app_version.as_ref())
            || differ(self.name.as_ref(), wanted.name.as_ref())
            || differ(self.description.as_ref(), wanted.description.as_ref())
            || differ(self.connections.as_ref(), wanted.connections.as_ref())
            || differ(self.schedule.as_ref(), wanted.schedule.as_ref())
    }

    /// Whether two looks show the same in the fields that are managed.
    #[must_use]
    pub fn sees_no_change(&self, before: &Shown, after: &Shown) -> bool {
        let same = |field: &Field| match field {
            Field::AppVersion => before.app_version == after.app_version,
            Field::DisplayName => before.name == after.name,
            Field::Description => before.description == after.description,
            Field::Connections => before.connections.agrees_with(&after.connections),
            Field::Schedule => before.schedule == after.schedule,
        };
        self.fields().iter().all(|field| same(&field))
    }
}

fn text(value: Option<impl fmt::Display>) -> String {
    value.map_or_else(|| "not set".to_owned(), |value| value.to_string())
}

fn quoted(value: Option<&String>) -> String {
    text(value.map(|value| format!("{value:?}")))
}

impl fmt::Display for Connections {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let each = self.iter().map(|(id, numbers)| format!("{id} ({})", numbers.join(", ")));
        f.write_str(&each.collect::<Vec<_>>().join(", "))
    }
}

impl fmt::Display for ShownConnections {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Full(connections) => connections.fmt(f),
            Self::Numbers(numbers) => f.write_str(&numbers.join(", ")),
        }
    }
}

impl fmt::Display for Schedule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let days: Vec<&str> = self.days.names().map(|day| &day[..3]).collect();
        write!(f, "{} to {} {} on {}", self.start, self.end, self.timezone, days.join(", "))
    }
}

/// What one look showed of a line.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Sight {
    /// Whether it answers.
    pub state: super::line::State,
    /// Its configuration.
    pub config: Arc<Shown>,
    /// Which line it is.
    pub identity: super::identity::Identity,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn connections(list: &[(&str, &[&str])]) -> Connections {
        list.iter()
            .map(|(id, numbers)| ((*id).to_owned(), numbers.iter().map(|n| (*n).to_owned()).collect::<Vec<_>>()))
            .collect()
    }

    fn schedule(start: &str, end: &str, days: &[&str], timezone: &str) -> Schedule {
        Schedule {
            start: TimeOfDay::parse(start).unwrap(),
            end: TimeOfDay::parse(end).unwrap(),
            days: Days::parse(days.iter().copied()).unwrap(),
            timezone: timezone.to_owned(),
        }
    }

    #[test]
    fn times_of_day_have_one_form() {
        for (text, form) in [
            ("9:00", Some("09:00")),
            ("09:00", Some("09:00")),
            ("09:00:00", Some("09:00")),
            ("23:59", Some("23:59")),
            ("24:00", Some("24:00")),
            ("0:00", Some("00:00")),
            ("24:01", None),
            ("25:00", None),
            ("09:60", None),
            ("09:00:01", None),
            ("09:00:00:00", None),
            ("9:0", None),
            ("009:00", None),
            ("+9:00", None),
            ("9", None),
            ("", None),
            (":", None),
        ] {
            assert_eq!(TimeOfDay::parse(text).map(|time| time.to_string()).as_deref(), form, "{text:?}");
        }
    }

    #[test]
    fn what_the_remote_may_write_otherwise_is_no_difference() {
        let wanted = Managed {
            app_version: Some(7),
            name: Some("Support line".into()),
            description: Some("Hindi and English".into()),
            connections: Some(connections(&[("b", &["+2", "+1"]), ("a", &[])])),
            schedule: Some(schedule("09:00", "21:00", &["Monday", "Tuesday"], "Asia/Kolkata")),
        };
        let shown = Shown {
            app_version: Some(7),
            name: Some("Support line".into()),
            description: Some("Hindi and English".into()),
            connections: ShownConnections::Full(connections(&[("a", &[]), ("b", &["+1", "+2", "+1"])])),
            schedule: Some(schedule("9:00", "21:00:00", &["tuesday", "Monday", "Monday"], "Asia/Kolkata")),
        };
        for lists in [Lists::Replace, Lists::Merge] {
            assert!(wanted.difference(&shown, lists).is_empty());
            let row = Shown { connections: ShownConnections::Numbers(vec!["+1".into(), "+2".into()]), ..shown.clone() };
            assert!(wanted.difference(&row, lists).is_empty(), "a row of the list has the numbers alone");
        }
        assert!(Managed::default().difference(&shown, Lists::Replace).is_empty(), "nothing managed");
    }

    /// What is wanted, what is shown, and the fields that a PATCH changes and that have too much, by kind of list.
    #[test]
    fn every_field_is_compared() {
        let full = |list: &[(&str, &[&str])]| ShownConnections::Full(connections(list));
        let numbers = |list: &[&str]| ShownConnections::Numbers(list.iter().map(|n| (*n).to_owned()).collect());
        let with = |connections| Shown { connections, ..Shown::default() };
        let days = |days: &[&str]| Some(schedule("09:00", "21:00", days, "UTC"));
        let one = Managed { connections: Some(connections(&[("a", &["+1"])])), ..Managed::default() };
        let monday = Managed { schedule: days(&["Monday"]), ..Managed::default() };
        let text = |text: &str| Some(text.to_owned());
        let table = [
            (Managed { app_version: Some(7), ..Managed::default() }, Shown::default(), "appVersion", ""),
            (
                Managed { name: text("a"), description: text("b"), ..Managed::default() },
                Shown { name: text("A"), ..Shown::default() },
                "displayName description",
                "",
            ),
            (one.clone(), with(full(&[])), "connections", ""),
            (one.clone(), with(full(&[("a", &["+2"])])), "connections", ""),
            (one.clone(), with(full(&[("b", &["+1"])])), "connections", ""),
            (one.clone(), with(full(&[("a", &["+1", "+2"])])), "", "connections"),
            (one.clone(), with(full(&[("a", &["+1"]), ("b", &[])])), "", "connections"),
            (one.clone(), with(numbers(&["+2"])), "connections", ""),
            (one, with(numbers(&["+1", "+2"])), "", "connections"),
            (monday.clone(), Shown::default(), "schedule", ""),
            (monday.clone(), Shown { schedule: days(&["Tuesday"]), ..Shown::default() }, "schedule", ""),
            (monday.clone(), Shown { schedule: days(&["Monday", "Tuesday"]), ..Shown::default() }, "", "schedule"),
            (
                monday,
                Shown { schedule: Some(schedule("09:01", "21:00", &["Monday"], "UTC")), ..Shown::default() },
                "schedule",
                "",
            ),
        ];
        let names = |fields: Fields| fields.iter().map(Field::name).collect::<Vec<_>>().join(" ");
        for (wanted, shown, changes, surplus) in table {
            let merged = wanted.difference(&shown, Lists::Merge);
            assert_eq!(
                (names(merged.changes).as_str(), names(merged.surplus).as_str()),
                (changes, surplus),
                "{shown:?}"
            );
            let replaced = wanted.difference(&shown, Lists::Replace);
            assert!(replaced.surplus.is_empty() && !replaced.changes.is_empty(), "{shown:?}");
            assert!(!merged.is_empty() && !replaced.is_empty(), "{shown:?}");
        }
    }

    /// Each field alone, in two values, and whether it needs a pause.
    fn each_field() -> [(Field, Managed, Managed, bool); 5] {
        let none = Managed::default;
        let text = |text: &str| Some(text.to_owned());
        let number = |number| Some(connections(&[("a", &[number])]));
        let from = |start| Some(schedule(start, "21:00", &["Wednesday", "Monday"], "Asia/Kolkata"));
        [
            (
                Field::AppVersion,
                Managed { app_version: Some(7), ..none() },
                Managed { app_version: Some(8), ..none() },
                true,
            ),
            (Field::DisplayName, Managed { name: text("a"), ..none() }, Managed { name: text("b"), ..none() }, false),
            (
                Field::Description,
                Managed { description: text("a"), ..none() },
                Managed { description: text("b"), ..none() },
                false,
            ),
            (
                Field::Connections,
                Managed { connections: number("+1"), ..none() },
                Managed { connections: number("+2"), ..none() },
                true,
            ),
            (
                Field::Schedule,
                Managed { schedule: from("09:00"), ..none() },
                Managed { schedule: from("10:00"), ..none() },
                false,
            ),
        ]
    }

    /// The line that has been made what is managed.
    fn shown(managed: Managed) -> Shown {
        let Managed { app_version, name, description, connections, schedule } = managed;
        let connections = connections.map(ShownConnections::Full).unwrap_or_default();
        Shown { app_version, name, description, connections, schedule }
    }

    #[test]
    fn each_field_counts_by_itself() {
        assert!(Managed::default().is_empty() && Fields::default().is_empty());
        for (field, one, other, needs_pause) in each_field() {
            let fields: Fields = [field].into_iter().collect();
            assert_eq!((one.fields(), one.is_empty(), one.only(fields)), (fields, false, one.clone()), "{field:?}");
            assert_eq!(one.only(Fields::default()), Managed::default(), "{field:?}");
            assert_eq!((field.needs_pause(), fields.need_pause()), (needs_pause, needs_pause), "{field:?}");
            assert_eq!((one.contradicts(&one), one.contradicts(&other)), (false, true), "{field:?}");
            let (before, after) = (shown(one.clone()), shown(other.clone()));
            assert!(one.difference(&before, Lists::Replace).is_empty(), "{field:?}");
            assert_eq!(one.difference(&after, Lists::Replace).changes, fields, "{field:?}");
            assert_eq!((one.sees_no_change(&before, &before), one.sees_no_change(&before, &after)), (true, false));
            assert!(Managed::default().sees_no_change(&before, &after), "{field:?} isn't managed");
        }
    }

    #[test]
    fn a_difference_is_told_field_by_field() {
        let whole = |[version, name, description, connections, schedule]: [Managed; 5]| Managed {
            app_version: version.app_version,
            name: name.name,
            description: description.description,
            connections: connections.connections,
            schedule: schedule.schedule,
        };
        let one = whole(each_field().map(|(_, one, ..)| one));
        let other = whole(each_field().map(|(_, _, other, _)| other));
        assert_eq!(
            one.tell(one.fields(), &shown(other)),
            "appVersion is 8, and shall be 7; displayName is \"b\", and shall be \"a\"; description is \"b\", and shall be \"a\"; \
             connections is a (+2), and shall be a (+1); schedule is 10:00 to 21:00 Asia/Kolkata on Mon, Wed, and shall be \
             09:00 to 21:00 Asia/Kolkata on Mon, Wed"
        );
        let row = Shown {
            connections: ShownConnections::Numbers(vec!["+2".to_owned(), "+3".to_owned()]),
            ..Shown::default()
        };
        let (version, numbers) =
            ([Field::AppVersion].into_iter().collect(), [Field::Connections].into_iter().collect());
        assert_eq!(one.tell(version, &row), "appVersion is not set, and shall be 7");
        assert_eq!(one.tell(numbers, &row), "connections is +2, +3, and shall be a (+1)");
    }

    #[test]
    fn connections_agree_as_far_as_both_tell_them() {
        let full = |list: &[(&str, &[&str])]| ShownConnections::Full(connections(list));
        let numbers = |list: &[&str]| ShownConnections::Numbers(list.iter().map(|n| (*n).to_owned()).collect());
        for (one, other, agree) in [
            (full(&[("a", &["+1"])]), full(&[("a", &["+1"])]), true),
            (full(&[("a", &["+1"])]), full(&[("b", &["+1"])]), false),
            (full(&[("a", &["+1"]), ("b", &["+2"])]), numbers(&["+1", "+2"]), true),
            (full(&[("a", &["+1"])]), numbers(&["+2"]), false),
            (numbers(&["+1"]), numbers(&["+1"]), true),
            (numbers(&["+1"]), numbers(&["+2"]), false),
        ] {
            assert_eq!((one.agrees_with(&other), other.agrees_with(&one)), (agree, agree), "{one:?} {other:?}");
        }
    }

    #[test]
    fn a_patch_contradicts_what_it_would_change() {
        let version = |version| Managed { app_version: Some(version), ..Managed::default() };
        let name = Managed { name: Some("a".into()), ..Managed::default() };
        for (sent, wanted, contradicts) in [
            (version(1), version(2), true),
            (version(2), version(2), false),
            (version(1), name.clone(), false),
            (version(1), Managed::default(), false),
            (name.clone(), Managed { app_version: Some(1), ..name.clone() }, false),
        ] {
            assert_eq!(sent.contradicts(&wanted), contradicts, "{sent:?} {wanted:?}");
        }
        let all = Managed { app_version: Some(1), ..name };
        assert_eq!(all.only([Field::AppVersion].into_iter().collect()), version(1));
    }
}
