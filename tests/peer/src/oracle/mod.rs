//! `oracle`: what a real node makes of each message.
//!
//! Messages come in as hex, one a line; answers go out as JSON, one a line, in
//! the same order. Lines that are already there are decoded as one batch, and
//! the answers are flushed before the next read: a caller may write one line
//! and wait for its answer, or pour in a whole file.

mod answer;
mod direct;
mod udp;
mod warnings;

use std::io::{BufRead, BufReader, BufWriter, Read, Write, stdin, stdout};

use anyhow::Context;
use lexopt::prelude::*;

use crate::crash::{AtPanic, on_panic};
use crate::version::Version;
use answer::Answer;

/// What one UDP datagram over IPv4 can carry.
pub const MAX_DATAGRAM: usize = 65_507;

const MAX_BATCH: usize = 4_096;
const READ_BUFFER: usize = 1 << 20;

/// A node's decoder, of one chitchat version.
pub trait Decoder {
    /// One answer a message, in the order of the messages. Every message is
    /// small enough for a datagram.
    fn decode(&mut self, messages: &[Vec<u8>]) -> anyhow::Result<Vec<Answer>>;
}

fn open(version: Version, reencode: bool) -> anyhow::Result<Box<dyn Decoder>> {
    Ok(match version {
        Version::V0_5 => Box::new(udp::Oracle::<udp::v0_5::Wire>::open(reencode)?),
        Version::V0_7 => Box::new(udp::Oracle::<udp::v0_7::Wire>::open(reencode)?),
        Version::V0_9 => Box::new(udp::Oracle::<udp::v0_9::Wire>::open(reencode)?),
        Version::V0_10 => Box::new(direct::V0_10 { reencode }),
        Version::V0_11 => Box::new(direct::V0_11 { reencode }),
        Version::V0_12 => Box::new(udp::Oracle::<udp::v0_12::Wire>::open(reencode)?),
        Version::V0_13 => Box::new(udp::Oracle::<udp::v0_13::Wire>::open(reencode)?),
    })
}

pub fn main(mut arguments: lexopt::Parser) -> anyhow::Result<()> {
    let mut version: Option<Version> = None;
    let mut reencode = false;
    while let Some(argument) = arguments.next()? {
        match argument {
            Long("version") => version = Some(arguments.value()?.parse()?),
            Long("reencode") => reencode = true,
            _ => return Err(argument.unexpected().into()),
        }
    }
    on_panic(AtPanic::Quiet);
    let decoder = open(version.context("oracle needs --version")?, reencode)?;
    answer_lines(decoder, stdin().lock(), stdout().lock())
}

fn answer_lines(
    mut decoder: Box<dyn Decoder>,
    input: impl Read,
    output: impl Write,
) -> anyhow::Result<()> {
    let mut input = BufReader::with_capacity(READ_BUFFER, input);
    let mut output = BufWriter::new(output);
    loop {
        let lines = read_batch(&mut input)?;
        if lines.is_empty() {
            return Ok(());
        }
        for answer in answer_batch(decoder.as_mut(), &lines)? {
            serde_json::to_writer(&mut output, &answer)?;
            output.write_all(b"\n")?;
        }
        output.flush()?;
    }
}

/// Waits for one line, then takes those that need no waiting.
fn read_batch(input: &mut BufReader<impl Read>) -> anyhow::Result<Vec<String>> {
    let mut lines = Vec::new();
    while lines.len() < MAX_BATCH && (lines.is_empty() || input.buffer().contains(&b'\n')) {
        let mut line = String::new();
        if input.read_line(&mut line)? == 0 {
            break;
        }
        lines.push(line);
    }
    Ok(lines)
}

fn answer_batch(decoder: &mut dyn Decoder, lines: &[String]) -> anyhow::Result<Vec<Answer>> {
    let parsed: Vec<Result<Vec<u8>, String>> = lines.iter().map(|line| parse(line)).collect();
    let messages: Vec<Vec<u8>> = parsed.iter().flatten().cloned().collect();
    let mut decoded = decoder.decode(&messages)?.into_iter();
    parsed
        .into_iter()
        .map(|message| match message {
            Ok(_) => decoded.next().context("fewer answers than messages"),
            Err(reason) => Ok(Answer::not_asked(reason)),
        })
        .collect()
}

fn parse(line: &str) -> Result<Vec<u8>, String> {
    let message = hex::decode(line.trim()).map_err(|error| format!("not hex: {error}"))?;
    if message.len() > MAX_DATAGRAM {
        return Err(format!(
            "{} bytes do not fit into one UDP datagram of at most {MAX_DATAGRAM}",
            message.len()
        ));
    }
    Ok(message)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answers(version: Version, lines: &str) -> Vec<String> {
        let mut output = Vec::new();
        let decoder = open(version, true).unwrap();
        answer_lines(decoder, lines.as_bytes(), &mut output).unwrap();
        let text = String::from_utf8(output).unwrap();
        text.lines().map(str::to_string).collect()
    }

    #[test]
    fn every_line_has_its_answer_in_order() {
        let large = "ab".repeat(MAX_DATAGRAM + 1);
        let lines = format!("53b00003\n\nzz\n{large}\n53b00100\n53b0000203\n");
        assert_eq!(
            answers(Version::V0_11, &lines),
            [
                r#"{"ok":true,"debug":"BadCluster","hex":"53b00003"}"#,
                r#"{"ok":false,"error":"buffer too small to store the magic number and the protocol version"}"#,
                r#"{"ok":false,"error":"not hex: Invalid character 'z' at position 0","asked":false}"#,
                r#"{"ok":false,"error":"65508 bytes do not fit into one UDP datagram of at most 65507","asked":false}"#,
                r#"{"ok":false,"error":"invalid protocol version"}"#,
                r#"{"ok":false,"error":"invalid block type"}"#,
            ]
        );
    }

    #[test]
    fn the_transport_answers_like_the_public_decoder() {
        let lines = "53b00003\n\n53b00100\n53b0000203\n53b0010200\n";
        assert_eq!(
            answers(Version::V0_13, lines),
            [
                r#"{"ok":true,"debug":"ChitchatEnvelope { version: V0, message: BadCluster }","hex":"53b00003"}"#,
                r#"{"ok":false,"error":"buffer too small to store the magic number and the protocol version"}"#,
                r#"{"ok":false,"error":"Buffer too short"}"#,
                r#"{"ok":false,"error":"invalid block type"}"#,
                r#"{"ok":true,"debug":"ChitchatEnvelope { version: V1, message: Ack { delta: Delta { node_deltas: [], serialized_len: 1 } } }","hex":"53b0010200"}"#,
            ]
        );
    }
}
