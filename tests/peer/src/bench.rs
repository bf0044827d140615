//! `bench`: how long chitchat 0.11's own decoder takes for given messages.
//!
//! 0.11 has the last public decoder: `ChitchatEnvelope::deserialize` of 0.13
//! is private to its crate, and through its transport one would measure
//! sockets. For messages of protocol version 0 both do the same work.

use std::fs;
use std::hint::black_box;
use std::time::{Duration, Instant};

use anyhow::{Context, ensure};
use chitchat_0_11::{ChitchatMessage, Deserializable};
use lexopt::prelude::*;
use serde_json::json;

use crate::version::Version;

const DEFAULT_RUNS: u32 = 20;

pub fn main(mut arguments: lexopt::Parser) -> anyhow::Result<()> {
    let mut path = None;
    let mut runs = DEFAULT_RUNS;
    while let Some(argument) = arguments.next()? {
        match argument {
            Long("runs") => runs = arguments.value()?.parse()?,
            Value(value) if path.is_none() => path = Some(value),
            _ => return Err(argument.unexpected().into()),
        }
    }
    ensure!(runs > 0, "--runs must not be 0");
    let text = fs::read_to_string(path.context("bench needs a FILE of hex lines")?)?;
    let messages: Vec<Vec<u8>> = text.lines().map(hex::decode).collect::<Result<_, _>>()?;
    ensure!(!messages.is_empty(), "the file has no messages");

    let accepted = decode_all(&messages);
    let times: Vec<Duration> = (0..runs)
        .map(|_| {
            let start = Instant::now();
            black_box(decode_all(&messages));
            start.elapsed()
        })
        .collect();
    let per_message = |total: Duration, passes: u32| {
        total.as_secs_f64() * 1e6 / messages.len() as f64 / f64::from(passes)
    };
    let fastest = times.iter().min().copied().unwrap_or_default();
    let report = json!({
        "version": Version::V0_11.release(),
        "messages": messages.len(),
        "accepted": accepted,
        "bytes": messages.iter().map(Vec::len).sum::<usize>(),
        "runs": runs,
        "microseconds_per_message": {
            "mean": per_message(times.iter().sum(), runs),
            "min": per_message(fastest, 1),
        },
    });
    println!("{report}");
    Ok(())
}

/// Decodes every message and drops what it gives, as a node would. Gives how
/// many were accepted.
fn decode_all(messages: &[Vec<u8>]) -> usize {
    let accepted = messages.iter().filter(|bytes| {
        let mut rest = black_box(bytes.as_slice());
        ChitchatMessage::deserialize(&mut rest).is_ok()
    });
    accepted.count()
}
