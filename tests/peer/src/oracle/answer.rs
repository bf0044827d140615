//! One line of the oracle's output.

use std::fmt::{Debug, Display};

use serde::Serialize;

/// What a node made of one message. Fields that do not apply are left out.
#[derive(Debug, Default, Serialize)]
pub struct Answer {
    ok: bool,
    /// The crate's own `{:?}` text of the message.
    #[serde(skip_serializing_if = "Option::is_none")]
    debug: Option<String>,
    /// The crate's own encoding of the message; null where it cannot make one.
    #[serde(skip_serializing_if = "Option::is_none")]
    hex: Option<Option<String>>,
    /// Bytes after the message, where the crate lets one see them.
    #[serde(skip_serializing_if = "Option::is_none")]
    trailing_bytes: Option<usize>,
    /// The reason for a refusal, as a node logs it.
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<String>,
    /// The same with its causes, where it has any.
    #[serde(skip_serializing_if = "Option::is_none")]
    chain: Option<String>,
    /// What the crate's decoder said when it panicked, and where.
    #[serde(skip_serializing_if = "Option::is_none")]
    panic: Option<String>,
    /// False when no node was asked, because the input cannot be a datagram.
    #[serde(skip_serializing_if = "Option::is_none")]
    asked: Option<bool>,
}

impl Answer {
    pub fn accepted(message: &impl Debug) -> Answer {
        Answer {
            ok: true,
            debug: Some(format!("{message:?}")),
            ..Answer::default()
        }
    }

    pub fn with_trailing_bytes(mut self, count: usize) -> Answer {
        self.trailing_bytes = (count > 0).then_some(count);
        self
    }

    /// Adds the crate's encoding; a panic or an error in making it is a null.
    pub fn with_encoding<E>(mut self, encoding: Result<Vec<u8>, E>) -> Answer {
        self.hex = Some(encoding.ok().map(hex::encode));
        self
    }

    /// `reason` must say its causes when it is formatted with `{:#}`, as an
    /// anyhow error does.
    pub fn refused(reason: &impl Display) -> Answer {
        let error = reason.to_string();
        let chain = format!("{reason:#}");
        Answer {
            chain: (chain != error).then_some(chain),
            error: Some(error),
            ..Answer::default()
        }
    }

    pub fn panicked(panic: String) -> Answer {
        Answer {
            panic: Some(panic),
            ..Answer::default()
        }
    }

    pub fn not_asked(reason: String) -> Answer {
        Answer {
            error: Some(reason),
            asked: Some(false),
            ..Answer::default()
        }
    }
}
