//! How many workers a version has: always as many, or between two bounds.

use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// The most instances of one version, or of one tenant's unit of it.
pub const INSTANCES_MAX: u32 = 16;

/// The least and the most.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Instances {
    /// So many whenever it is loaded and there is room.
    pub min: u32,
    /// So many where calls wait.
    pub max: u32,
}

/// As it is written.
#[derive(Deserialize, Serialize)]
#[serde(untagged, expecting = "instances is a number, or { min = 1, max = 4 }")]
enum Written {
    Always(u32),
    Between {
        #[serde(skip_serializing_if = "Option::is_none")]
        min: Option<u32>,
        #[serde(skip_serializing_if = "Option::is_none")]
        max: Option<u32>,
    },
}

impl Instances {
    /// Always so many.
    #[must_use]
    pub const fn of(count: u32) -> Self {
        Self {
            min: count,
            max: count,
        }
    }
}

impl Default for Instances {
    fn default() -> Self {
        Self::of(1)
    }
}

impl<'de> Deserialize<'de> for Instances {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Ok(match Written::deserialize(deserializer)? {
            Written::Always(count) => Self::of(count),
            Written::Between { min, max } => {
                let min = min.unwrap_or(1);
                Self {
                    min,
                    max: max.unwrap_or(min),
                }
            }
        })
    }
}

impl Serialize for Instances {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let written = if self.min == self.max {
            Written::Always(self.min)
        } else {
            Written::Between {
                min: Some(self.min),
                max: Some(self.max),
            }
        };
        written.serialize(serializer)
    }
}
