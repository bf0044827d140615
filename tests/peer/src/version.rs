//! The chitchat versions that this package can run.

use std::fmt;
use std::str::FromStr;

use anyhow::bail;
use serde::Deserialize;

/// A published chitchat, named by its release line.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq)]
#[serde(try_from = "String")]
pub enum Version {
    V0_5,
    V0_7,
    V0_9,
    V0_10,
    V0_11,
    V0_12,
    V0_13,
}

impl Version {
    /// The exact release, as Cargo.toml pins it.
    pub fn release(self) -> &'static str {
        match self {
            Version::V0_5 => "0.5.0",
            Version::V0_7 => "0.7.0",
            Version::V0_9 => "0.9.0",
            Version::V0_10 => "0.10.1",
            Version::V0_11 => "0.11.0",
            Version::V0_12 => "0.12.0",
            Version::V0_13 => "0.13.0",
        }
    }
}

impl FromStr for Version {
    type Err = anyhow::Error;

    fn from_str(text: &str) -> anyhow::Result<Version> {
        Ok(match text {
            "0.5" | "0.5.0" => Version::V0_5,
            "0.7" | "0.7.0" => Version::V0_7,
            "0.9" | "0.9.0" => Version::V0_9,
            "0.10" | "0.10.1" => Version::V0_10,
            "0.11" | "0.11.0" => Version::V0_11,
            "0.12" | "0.12.0" => Version::V0_12,
            "0.13" | "0.13.0" => Version::V0_13,
            _ => bail!("no chitchat {text} here: choose 0.5, 0.7, 0.9, 0.10, 0.11, 0.12 or 0.13"),
        })
    }
}

impl TryFrom<String> for Version {
    type Error = anyhow::Error;

    fn try_from(text: String) -> anyhow::Result<Version> {
        text.parse()
    }
}

impl fmt::Display for Version {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.release())
    }
}
