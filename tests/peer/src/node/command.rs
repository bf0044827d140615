//! The commands that `node` takes, one JSON object a line.

use std::net::SocketAddr;

use anyhow::Context;
use serde::{Deserialize, Serialize};

use super::state::State;
use super::{NamedNode, RealNode};
use crate::crash::{guarded, panics};

/// What every command has; the rest depends on `op`.
#[derive(Debug, Deserialize)]
struct Command {
    op: String,
    /// The node that it is for. May be left out where there is one only.
    node: Option<String>,
}

#[derive(Debug, Deserialize)]
struct Gossip {
    peer: SocketAddr,
}

/// A change that a node makes to its own keys.
#[derive(Debug, Deserialize)]
#[serde(tag = "op", rename_all = "snake_case")]
pub enum Change {
    Set { key: String, value: String },
    Delete { key: String },
    SetWithTtl { key: String, value: String },
    DeleteAfterTtl { key: String },
}

pub enum Reply {
    State(Box<StateLine>),
    Done(DoneLine),
    Quit,
}

/// The answer to `state`.
#[derive(Serialize)]
pub struct StateLine {
    ok: bool,
    node: String,
    /// Panics of this process so far, of whichever node.
    panics: u64,
    #[serde(flatten)]
    state: State,
}

/// The answer to every other command.
#[derive(Default, Serialize)]
pub struct DoneLine {
    ok: bool,
    /// The version of the changed key; null if the node does not have it.
    #[serde(skip_serializing_if = "Option::is_none")]
    version: Option<Option<u64>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    panic: Option<String>,
}

impl DoneLine {
    fn error(reason: impl ToString) -> DoneLine {
        DoneLine {
            error: Some(reason.to_string()),
            ..DoneLine::default()
        }
    }
}

pub fn answer(line: &str, nodes: &[NamedNode]) -> Reply {
    match try_answer(line, nodes) {
        Ok(reply) => reply,
        Err(reason) => Reply::Done(DoneLine::error(format!("{reason:#}"))),
    }
}

fn try_answer(line: &str, nodes: &[NamedNode]) -> anyhow::Result<Reply> {
    let command: Command = parse(line)?;
    if command.op == "quit" {
        return Ok(Reply::Quit);
    }
    let named = find(command.node.as_deref(), nodes)?;
    Ok(match command.op.as_str() {
        "state" => Reply::State(Box::new(StateLine {
            ok: true,
            node: named.node_id.clone(),
            panics: panics(),
            state: named.node.state(),
        })),
        "gossip" => {
            let Gossip { peer } = parse(line)?;
            named.node.gossip(peer)?;
            Reply::Done(DoneLine {
                ok: true,
                ..DoneLine::default()
            })
        }
        _ => Reply::Done(apply(named.node.as_ref(), &parse(line)?)),
    })
}

fn parse<'a, T: Deserialize<'a>>(line: &'a str) -> anyhow::Result<T> {
    serde_json::from_str(line).context("not a command")
}

fn find<'a>(node_id: Option<&str>, nodes: &'a [NamedNode]) -> anyhow::Result<&'a NamedNode> {
    match (node_id, nodes) {
        (None, [only]) => Ok(only),
        (None, _) => anyhow::bail!("say which node: there are {}", nodes.len()),
        (Some(node_id), _) => nodes
            .iter()
            .find(|named| named.node_id == node_id)
            .with_context(|| format!("no node {node_id:?} here")),
    }
}

fn apply(node: &dyn RealNode, change: &Change) -> DoneLine {
    match guarded(|| node.apply(change)) {
        Ok(Ok(version)) => DoneLine {
            ok: true,
            version: Some(version),
            ..DoneLine::default()
        },
        Ok(Err(reason)) => DoneLine::error(reason),
        Err(panic) => DoneLine {
            panic: Some(panic),
            ..DoneLine::default()
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_change_names_its_key_and_value() {
        let change: Change =
            parse(r#"{"op":"set_with_ttl","key":"k","value":"v","node":"a"}"#).unwrap();
        assert!(matches!(change, Change::SetWithTtl { key, value } if key == "k" && value == "v"));
    }

    #[test]
    fn a_command_for_an_absent_node_is_an_error() {
        let Reply::Done(done) = answer(r#"{"op":"state","node":"a"}"#, &[]) else {
            panic!("a state of no node");
        };
        assert_eq!(done.error.as_deref(), Some("no node \"a\" here"));
    }
}
