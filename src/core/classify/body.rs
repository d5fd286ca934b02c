//! The objects of the remote, read for what is used of them. A wrong type elsewhere is read past, without being kept:
//! a large strange body takes no more memory than its bytes.

use std::fmt;
use std::marker::PhantomData;

use serde::de::value::MapAccessDeserializer;
use serde::de::{Deserialize, DeserializeSeed, Deserializer, Error as _, IgnoredAny, MapAccess, SeqAccess, Visitor};

use super::{LONGEST_PAGE, Page, Remote, Reply, text};
use crate::core::id::Id;
use crate::core::line::State;

/// The most phone numbers of one line that are kept.
const MOST_NUMBERS: usize = 100;

/// The line that the body describes; nothing unless it is a JSON object with an id.
pub(super) fn line(reply: &Reply<'_>) -> Option<Remote> {
    object::<Line>(reply)?.into_remote(reply)
}

/// The page that the body describes; nothing unless it is a JSON object with a list of items.
pub(super) fn page(reply: &Reply<'_>) -> Option<Page> {
    let List { items: Rows(rows), total } = object(reply)?;
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
struct List {
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
    app_id: Scalar,
    app_version: Scalar,
    connection_configs: Numbers,
    phone_numbers: Numbers,
    channel_direction: Scalar,
    updated_at: Scalar,
    updated_by: Scalar,
}

impl Line {
    fn into_remote(self, reply: &Reply<'_>) -> Option<Remote> {
        let told = |scalar: &Scalar| text::clean(scalar.text()?, reply);
        let mut phone_numbers: Vec<String> = [self.connection_configs, self.phone_numbers]
            .iter()
            .flat_map(|Numbers(numbers)| numbers)
            .filter_map(|number| text::clean(number, reply))
            .collect();
        phone_numbers.sort_unstable();
        phone_numbers.dedup();
        phone_numbers.truncate(MOST_NUMBERS);
        Some(Remote {
            deployment: Id::new(self.deployment_id.text()?).ok()?,
            state: match self.status.text() {
                Some("active") => State::Active,
                Some("paused") => State::Paused,
                _ => State::Unknown,
            },
            name: told(&self.name),
            app_id: told(&self.app_id),
            app_version: self.app_version.integer(),
            phone_numbers,
            channel_direction: told(&self.channel_direction),
            updated_at: self.updated_at.text().and_then(|time| time.parse().ok()),
            updated_by: told(&self.updated_by),
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

/// Every phone number in a list of numbers, or in a list of objects that have them as `phone_numbers`.
#[derive(Default)]
struct Numbers(Vec<String>);

impl<'de> Deserialize<'de> for Numbers {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let mut numbers = Vec::new();
        NumbersSeed(&mut numbers).deserialize(deserializer)?;
        Ok(Self(numbers))
    }
}

struct NumbersSeed<'a>(&'a mut Vec<String>);

impl<'de> DeserializeSeed<'de> for NumbersSeed<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for NumbersSeed<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("any value")
    }

    fn visit_str<E>(self, number: &str) -> Result<(), E> {
        if self.0.len() < MOST_NUMBERS {
            self.0.push(number.to_owned());
        }
        Ok(())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<(), A::Error> {
        while seq.next_element_seed(NumbersSeed(self.0))?.is_some() {}
        Ok(())
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        while let Some(key) = map.next_key::<String>()? {
            if key == "phone_numbers" {
                map.next_value_seed(NumbersSeed(self.0))?;
            } else {
                map.next_value::<IgnoredAny>()?;
            }
        }
        Ok(())
    }

    read_past!((); visit_bool(bool), visit_i64(i64), visit_u64(u64), visit_f64(f64));
}
