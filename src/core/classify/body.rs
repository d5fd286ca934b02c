//! The objects of the remote, read for what is used of them. A wrong type elsewhere is read past, without being kept,
//! and so is the rest of a list that is too long.

use std::fmt;
use std::marker::PhantomData;
use std::sync::Arc;

use serde::de::value::MapAccessDeserializer;
use serde::de::{Deserialize, Deserializer, Error as _, IgnoredAny, MapAccess, SeqAccess, Visitor};

use super::{LONGEST_PAGE, Page, Remote, Reply, text};
use crate::config::{Connections, Days, Schedule, Shown, ShownConnections, TimeOfDay};
use crate::id::Id;
use crate::line::State;

/// How much of a list inside a line is kept: more than an object can ask for, so that what is cut never looks as asked.
const LONGEST_LIST: usize = 1024;

/// The line that the body describes; nothing unless it is a JSON object with an id.
pub(super) fn line(reply: &Reply<'_>) -> Option<Remote> {
    object::<Line>(reply)?.into_remote(reply)
}

/// The page that the body describes; nothing unless it is a JSON object with a list of items.
pub(super) fn page(reply: &Reply<'_>) -> Option<Page> {
    let Listing { items: Rows(rows), total } = object(reply)?;
    Some(Page {
        rows: rows.len(),
        total: total.integer().and_then(|total| u64::try_from(total).ok()),
        lines: rows.into_iter().filter_map(|Object(line)| line?.into_remote(reply)).collect(),
    })
}

/// The JSON object that is the whole body.
fn object<'de, T: Deserialize<'de>>(reply: &Reply<'de>) -> Option<T> {
    // Where a text is read past, its bytes would be, too: a body that was damaged on its way there would count as whole.
    let text = str::from_utf8(reply.body).ok()?;
    let Object(value) = serde_json::from_str(text).ok()?;
    value
}

#[derive(serde::Deserialize)]
struct Listing {
    items: Rows,
    #[serde(default)]
    total: Scalar,
}

/// A full object has `connection_configs`, a summary `phone_numbers`.
#[derive(Default, serde::Deserialize)]
#[serde(default)]
struct Line {
    deployment_id: Scalar,
    status: Scalar,
    name: Scalar,
    description: Scalar,
    app_id: Scalar,
    app_version: Scalar,
    connection_configs: List<Object<Connection>>,
    phone_numbers: List<Scalar>,
    inbound_config: Object<Window>,
    channel_direction: Scalar,
    created_at: Scalar,
    updated_at: Scalar,
    updated_by: Scalar,
}

#[derive(Default, serde::Deserialize)]
#[serde(default)]
struct Connection {
    connection_id: Scalar,
    phone_numbers: List<Scalar>,
}

#[derive(Default, serde::Deserialize)]
#[serde(default)]
struct Window {
    start_time: Scalar,
    end_time: Scalar,
    allowed_days: List<Scalar>,
    timezone: Scalar,
}

impl Line {
    fn into_remote(self, reply: &Reply<'_>) -> Option<Remote> {
        let told = |scalar: &Scalar| text::clean(scalar.text()?, reply);
        let time = |scalar: &Scalar| scalar.text()?.parse().ok();
        let connections = if let Some(connections) = self.connection_configs.0 {
            ShownConnections::Full(full(connections, reply))
        } else {
            let mut numbers = numbers(&self.phone_numbers, reply);
            numbers.sort_unstable();
            numbers.dedup();
            ShownConnections::Numbers(numbers)
        };
        Some(Remote {
            deployment: Id::new(self.deployment_id.text()?).ok()?,
            state: match self.status.text() {
                Some("active") => State::Active,
                Some("paused") => State::Paused,
                _ => State::Unknown,
            },
            config: Arc::new(Shown {
                app_version: self.app_version.integer(),
                name: told(&self.name),
                description: told(&self.description),
                connections,
                schedule: self.inbound_config.0.and_then(|window| window.into_schedule(reply)),
            }),
            app_id: told(&self.app_id),
            channel_direction: told(&self.channel_direction),
            created_at: time(&self.created_at),
            updated_at: time(&self.updated_at),
            updated_by: told(&self.updated_by),
        })
    }
}

fn full(connections: Vec<Object<Connection>>, reply: &Reply<'_>) -> Connections {
    let readable = connections.into_iter().filter_map(|Object(connection)| connection);
    let connection = |connection: Connection| {
        // Without an id it is still there: it must not look as if it weren't.
        let id = connection.connection_id.text().and_then(|id| text::clean(id, reply)).unwrap_or_default();
        (id, numbers(&connection.phone_numbers, reply))
    };
    readable.map(connection).collect()
}

fn numbers(list: &List<Scalar>, reply: &Reply<'_>) -> Vec<String> {
    let texts = list.0.iter().flatten().filter_map(Scalar::text);
    texts.filter_map(|number| text::clean(number, reply)).collect()
}

impl Window {
    fn into_schedule(self, reply: &Reply<'_>) -> Option<Schedule> {
        let days: Vec<&str> = self.allowed_days.0.as_ref()?.iter().map(Scalar::text).collect::<Option<_>>()?;
        Some(Schedule {
            start: TimeOfDay::parse(self.start_time.text()?)?,
            end: TimeOfDay::parse(self.end_time.text()?)?,
            days: Days::parse(days)?,
            timezone: text::clean(self.timezone.text()?, reply)?,
        })
    }
}

/// The methods of a [`Visitor`] for values that are read past.
macro_rules! read_past {
    ($nothing:expr; $($visit:ident($value:ty)),*) => {
        $(fn $visit<E>(self, _: $value) -> Result<Self::Value, E> { Ok($nothing) })*

        fn visit_unit<E>(self) -> Result<Self::Value, E> { Ok($nothing) }
    };
}

/// A text, an integer, or anything else.
#[derive(Default)]
enum Scalar {
    Text(String),
    Integer(i64),
    #[default]
    Other,
}

impl Scalar {
    fn text(&self) -> Option<&str> {
        match self {
            Self::Text(text) => Some(text),
            _ => None,
        }
    }

    fn integer(&self) -> Option<i64> {
        match self {
            Self::Integer(integer) => Some(*integer),
            _ => None,
        }
    }
}

impl<'de> Deserialize<'de> for Scalar {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct ScalarVisitor;

        impl<'de> Visitor<'de> for ScalarVisitor {
            type Value = Scalar;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("any value")
            }

            fn visit_str<E>(self, text: &str) -> Result<Scalar, E> {
                Ok(Scalar::Text(text.to_owned()))
            }

            fn visit_i64<E>(self, integer: i64) -> Result<Scalar, E> {
                Ok(Scalar::Integer(integer))
            }

            fn visit_u64<E>(self, integer: u64) -> Result<Scalar, E> {
                Ok(i64::try_from(integer).map_or(Scalar::Other, Scalar::Integer))
            }

            read_past!(Scalar::Other; visit_bool(bool), visit_f64(f64));

            fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Scalar, A::Error> {
                while seq.next_element::<IgnoredAny>()?.is_some() {}
                Ok(Scalar::Other)
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Scalar, A::Error> {
                while map.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
                Ok(Scalar::Other)
            }
        }

        deserializer.deserialize_any(ScalarVisitor)
    }
}

/// A JSON object that is read as a `T`, or anything else.
struct Object<T>(Option<T>);

impl<T> Default for Object<T> {
    fn default() -> Self {
        Self(None)
    }
}

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Object<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct ObjectVisitor<T>(PhantomData<T>);

        impl<'de, T: Deserialize<'de>> Visitor<'de> for ObjectVisitor<T> {
            type Value = Object<T>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("any value")
            }

            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Object<T>, A::Error> {
                T::deserialize(MapAccessDeserializer::new(map)).map(|value| Object(Some(value)))
            }

            read_past!(Object(None);
                visit_bool(bool), visit_i64(i64), visit_u64(u64), visit_f64(f64), visit_str(&str));

            fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Object<T>, A::Error> {
                while seq.next_element::<IgnoredAny>()?.is_some() {}
                Ok(Object(None))
            }
        }

        deserializer.deserialize_any(ObjectVisitor(PhantomData))
    }
}

/// A JSON list, or anything else.
struct List<T>(Option<Vec<T>>);

impl<T> Default for List<T> {
    fn default() -> Self {
        Self(None)
    }
}

impl<'de, T: Deserialize<'de>> Deserialize<'de> for List<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct ListVisitor<T>(PhantomData<T>);

        impl<'de, T: Deserialize<'de>> Visitor<'de> for ListVisitor<T> {
            type Value = List<T>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("any value")
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<List<T>, A::Error> {
                let mut items = Vec::new();
                while items.len() < LONGEST_LIST
                    && let Some(item) = seq.next_element()?
                {
                    items.push(item);
                }
                while seq.next_element::<IgnoredAny>()?.is_some() {}
                Ok(List(Some(items)))
            }

            read_past!(List(None);
                visit_bool(bool), visit_i64(i64), visit_u64(u64), visit_f64(f64), visit_str(&str));

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<List<T>, A::Error> {
                while map.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
                Ok(List(None))
            }
        }

        deserializer.deserialize_any(ListVisitor(PhantomData))
    }
}

/// The rows of a page. More of them than a page may have are an error.
struct Rows(Vec<Object<Line>>);

impl<'de> Deserialize<'de> for Rows {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct RowsVisitor;

        impl<'de> Visitor<'de> for RowsVisitor {
            type Value = Rows;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a list")
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Rows, A::Error> {
                let mut rows = Vec::new();
                while let Some(row) = seq.next_element()? {
                    if rows.len() == LONGEST_PAGE {
                        return Err(A::Error::custom("too many rows"));
                    }
                    rows.push(row);
                }
                Ok(Rows(rows))
            }
        }

        deserializer.deserialize_seq(RowsVisitor)
    }
}
