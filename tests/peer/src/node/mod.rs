//! `node`: real nodes, one or many in a process, driven by JSON lines.
//!
//! The nodes live on a tokio runtime of their own; this thread reads commands
//! and takes each node's lock like any other user of the crate. After a panic
//! in a node's task the process lives on and the node is silent, as it would
//! be in the field; `--exit-on-panic` ends the process instead.

mod command;
mod config;
mod current;
mod old;
mod state;
mod workload;

use std::io::{BufRead, Write, stdin, stdout};
use std::net::{SocketAddr, UdpSocket};
use std::sync::Arc;

use serde::Serialize;
use serde_json::json;
use tokio::runtime::Runtime;

use crate::crash::{AtPanic, on_panic};
use crate::version::Version;
use command::{Change, Reply};
use config::NodeConfig;
use state::State;

/// A running node, of any chitchat version.
pub trait RealNode: Send + Sync {
    /// Everything that the node knows.
    fn state(&self) -> State;

    /// Changes one of the node's own keys. Gives the version that the key then
    /// has, or the reason why this chitchat cannot do it.
    fn apply(&self, change: &Change) -> Result<Option<u64>, String>;

    /// Starts a handshake with the node at `peer` now.
    fn gossip(&self, peer: SocketAddr) -> anyhow::Result<()>;
}

/// A node and the id by which commands name it.
struct NamedNode {
    node_id: String,
    node: Arc<dyn RealNode>,
}

pub fn main(arguments: lexopt::Parser) -> anyhow::Result<()> {
    let config::Launch {
        nodes: configs,
        exit_on_panic,
    } = config::parse(arguments)?;
    on_panic(match exit_on_panic {
        true => AtPanic::Exit,
        false => AtPanic::Report,
    });
    let runtime = Runtime::new()?;
    let mut nodes = Vec::new();
    for config in configs {
        nodes.push(start(&runtime, config)?);
    }
    obey(&nodes)
}

fn start(runtime: &Runtime, mut config: NodeConfig) -> anyhow::Result<NamedNode> {
    if config.listen.port() == 0 {
        config.listen = UdpSocket::bind(config.listen)?.local_addr()?;
    }
    let node = runtime.block_on(spawn(&config))?;
    say(&json!({"ready": config.listen, "node": config.node_id}))?;
    workload::start(&node, &config);
    Ok(NamedNode {
        node_id: config.node_id,
        node,
    })
}

async fn spawn(config: &NodeConfig) -> anyhow::Result<Arc<dyn RealNode>> {
    Ok(match config.version {
        Version::V0_5 => Arc::new(old::V0_5::spawn(config).await?),
        Version::V0_7 => Arc::new(old::V0_7::spawn(config).await?),
        Version::V0_9 => Arc::new(current::V0_9::spawn(config).await?),
        Version::V0_10 => Arc::new(current::V0_10::spawn(config).await?),
        Version::V0_11 => Arc::new(current::V0_11::spawn(config).await?),
        Version::V0_12 => Arc::new(current::V0_12::spawn(config).await?),
        Version::V0_13 => Arc::new(current::V0_13::spawn(config).await?),
    })
}

/// Answers one line for each line of stdin, until its end or a quit.
fn obey(nodes: &[NamedNode]) -> anyhow::Result<()> {
    for line in stdin().lock().lines() {
        match command::answer(&line?, nodes) {
            Reply::Quit => break,
            Reply::State(state) => say(&state)?,
            Reply::Done(done) => say(&done)?,
        }
    }
    Ok(())
}

fn say(line: &impl Serialize) -> anyhow::Result<()> {
    let mut out = stdout().lock();
    serde_json::to_writer(&mut out, line)?;
    out.write_all(b"\n")?;
    out.flush()?;
    Ok(())
}
