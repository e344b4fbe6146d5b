//! Columns that together have no value twice.

use std::fmt;

use serde::de::value::{MapAccessDeserializer, SeqAccessDeserializer};
use serde::de::{MapAccess, SeqAccess, Visitor};
use serde::ser::SerializeStruct;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::contract::Severity;

/// Columns that together have no value twice: `[id, date]`, or with a severity `{columns: [id, date], severity: warning}`.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct UniqueKey {
    /// The columns.
    pub columns: Vec<String>,
    /// How bad it is otherwise.
    pub severity: Severity,
}

impl Serialize for UniqueKey {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        if self.severity == Severity::Error {
            return self.columns.serialize(serializer);
        }
        let mut parts = serializer.serialize_struct("UniqueKey", 2)?;
        parts.serialize_field("columns", &self.columns)?;
        parts.serialize_field("severity", &self.severity)?;
        parts.end()
    }
}

/// The long form.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct WithSeverity {
    columns: Vec<String>,
    #[serde(default)]
    severity: Severity,
}

impl<'de> Deserialize<'de> for UniqueKey {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct KeyVisitor;
        impl<'de> Visitor<'de> for KeyVisitor {
            type Value = UniqueKey;

            fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                formatter
                    .write_str("columns such as `[id, date]`, or `{columns: [id, date], severity: warning}`")
            }

            fn visit_seq<A: SeqAccess<'de>>(self, columns: A) -> Result<UniqueKey, A::Error> {
                let columns = Vec::deserialize(SeqAccessDeserializer::new(columns))?;
                Ok(UniqueKey { columns, severity: Severity::Error })
            }

            fn visit_map<A: MapAccess<'de>>(self, parts: A) -> Result<UniqueKey, A::Error> {
                let WithSeverity { columns, severity } =
                    WithSeverity::deserialize(MapAccessDeserializer::new(parts))?;
                Ok(UniqueKey { columns, severity })
            }
        }
        deserializer.deserialize_any(KeyVisitor)
    }
}
