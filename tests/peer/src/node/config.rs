//! What a node is started with: from the command line, or several from a file.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fs;
use std::net::SocketAddr;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use anyhow::{Context, ensure};
use lexopt::prelude::*;
use serde::Deserialize;

use crate::version::Version;

/// What `node` was asked to run.
pub struct Launch {
    pub nodes: Vec<NodeConfig>,
    pub exit_on_panic: bool,
}

/// One node. The names of the JSON file are the fields' names.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NodeConfig {
    pub version: Version,
    /// The protocol version of the Syns that it sends; 1 needs 0.12 or later.
    #[serde(default)]
    pub protocol: u8,
    pub node_id: String,
    /// Its start time in nanoseconds unless given. 0.5 has no generation.
    #[serde(default = "now")]
    pub generation: u64,
    /// With port 0 the node takes a free one.
    pub listen: SocketAddr,
    /// Where others reach it; the address that it listens on unless given.
    pub advertise: Option<SocketAddr>,
    pub cluster_id: String,
    #[serde(default)]
    pub seeds: Vec<String>,
    /// Set at the start, in the order of the keys.
    #[serde(default)]
    pub keys: BTreeMap<String, String>,
    /// Milliseconds between gossip rounds.
    #[serde(default = "default_interval")]
    pub interval: u64,
    /// Milliseconds until a deleted key is collected. 0.7 counts heartbeats:
    /// it gets as many as there are gossip rounds in this time.
    #[serde(default = "default_grace")]
    pub grace: u64,
    /// Milliseconds until a dead node is forgotten.
    #[serde(default = "default_dead_grace")]
    pub dead_grace: u64,
    /// Phi above which a node is taken for dead.
    #[serde(default = "default_phi_threshold")]
    pub phi_threshold: f64,
    /// Milliseconds between heartbeats that are presumed at first.
    #[serde(default = "default_initial_interval")]
    pub initial_interval: u64,
    /// Milliseconds between heartbeats above which an interval is not counted.
    #[serde(default = "default_max_interval")]
    pub max_interval: u64,
    /// How many of the last intervals count.
    #[serde(default = "default_sampling_window")]
    pub sampling_window: usize,
    /// Random changes a second that the node makes to its own keys.
    #[serde(default)]
    pub workload: u32,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ConfigFile {
    nodes: Vec<NodeConfig>,
}

fn now() -> u64 {
    let since_epoch = SystemTime::now().duration_since(UNIX_EPOCH);
    since_epoch.map_or(0, |elapsed| elapsed.as_nanos() as u64)
}

fn default_interval() -> u64 {
    1_000
}

fn default_grace() -> u64 {
    2 * 3_600 * 1_000
}

fn default_dead_grace() -> u64 {
    24 * 3_600 * 1_000
}

fn default_phi_threshold() -> f64 {
    8.0
}

fn default_initial_interval() -> u64 {
    5_000
}

fn default_max_interval() -> u64 {
    10_000
}

fn default_sampling_window() -> usize {
    1_000
}

impl NodeConfig {
    pub fn advertised(&self) -> SocketAddr {
        self.advertise.unwrap_or(self.listen)
    }

    pub fn gossip_interval(&self) -> Duration {
        Duration::from_millis(self.interval)
    }

    pub fn key_grace_period(&self) -> Duration {
        Duration::from_millis(self.grace)
    }

    pub fn dead_node_grace_period(&self) -> Duration {
        Duration::from_millis(self.dead_grace)
    }

    pub fn initial_heartbeat_interval(&self) -> Duration {
        Duration::from_millis(self.initial_interval)
    }

    pub fn max_heartbeat_interval(&self) -> Duration {
        Duration::from_millis(self.max_interval)
    }

    pub fn initial_key_values(&self) -> Vec<(String, String)> {
        self.keys.clone().into_iter().collect()
    }

    fn check(&self) -> anyhow::Result<()> {
        let newest = match self.version {
            Version::V0_12 | Version::V0_13 => 1,
            _ => 0,
        };
        ensure!(
            self.protocol <= newest,
            "chitchat {} does not speak protocol version {}",
            self.version,
            self.protocol
        );
        ensure!(self.interval > 0, "the interval must not be 0");
        ensure!(
            self.sampling_window > 0,
            "the sampling window must not be 0"
        );
        Ok(())
    }
}

/// Reads the arguments of `node`.
pub fn parse(mut arguments: lexopt::Parser) -> anyhow::Result<Launch> {
    let mut one = OneNode::default();
    let mut file: Option<OsString> = None;
    let mut exit_on_panic = false;
    while let Some(argument) = arguments.next()? {
        match argument {
            Long("json-config") => file = Some(arguments.value()?),
            Long("exit-on-panic") => exit_on_panic = true,
            Long(name) => {
                let name = name.to_string();
                one.set(&name, arguments.value()?.string()?)?;
            }
            _ => return Err(argument.unexpected().into()),
        }
    }
    let nodes = match file {
        Some(path) => {
            ensure!(one.0.is_empty(), "--json-config describes the nodes alone");
            read(&path)?
        }
        None => vec![one.finish()?],
    };
    nodes.iter().try_for_each(NodeConfig::check)?;
    Ok(Launch {
        nodes,
        exit_on_panic,
    })
}

fn read(path: &OsString) -> anyhow::Result<Vec<NodeConfig>> {
    let shown = path.display();
    let text = fs::read_to_string(path).with_context(|| format!("cannot read {shown}"))?;
    let file: ConfigFile =
        serde_json::from_str(&text).with_context(|| format!("{shown} is not as it should be"))?;
    ensure!(!file.nodes.is_empty(), "{shown} describes no node");
    Ok(file.nodes)
}

/// The options that describe one node, gathered as the JSON object that they
/// stand for.
#[derive(Default)]
struct OneNode(serde_json::Map<String, serde_json::Value>);

impl OneNode {
    fn set(&mut self, option: &str, value: String) -> anyhow::Result<()> {
        let field = option.replace('-', "_");
        match option {
            "seed" => {
                let seeds = self
                    .0
                    .entry("seeds")
                    .or_insert_with(|| Vec::<()>::new().into());
                seeds.as_array_mut().context("seeds")?.push(value.into());
            }
            "key" => {
                let (key, value) = value.split_once('=').context("--key needs K=V")?;
                let keys = self
                    .0
                    .entry("keys")
                    .or_insert_with(|| serde_json::json!({}));
                keys[key] = value.into();
            }
            "protocol" | "generation" | "interval" | "grace" | "dead-grace" | "workload"
            | "initial-interval" | "max-interval" | "sampling-window" | "phi-threshold" => {
                let number: serde_json::Number = value
                    .parse()
                    .with_context(|| format!("--{option} needs a number"))?;
                self.0.insert(field, number.into());
            }
            _ => {
                self.0.insert(field, value.into());
            }
        }
        Ok(())
    }

    fn finish(self) -> anyhow::Result<NodeConfig> {
        serde_json::from_value(self.0.into()).context("the options do not describe a node")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn launch(arguments: &str) -> anyhow::Result<Launch> {
        parse(lexopt::Parser::from_args(arguments.split(' ')))
    }

    const LEAST: &str = "--version 0.13 --node-id a --listen 127.0.0.1:7280 --cluster-id c";

    #[test]
    fn options_describe_one_node() {
        let options = "--seed 127.0.0.2:7280 --seed 127.0.0.3:7280 --key x=y=z --dead-grace 5";
        let launch = launch(&format!("{LEAST} {options}")).unwrap();
        let [node] = launch.nodes.as_slice() else {
            panic!("one node");
        };
        assert_eq!(node.seeds, ["127.0.0.2:7280", "127.0.0.3:7280"]);
        assert_eq!(node.keys["x"], "y=z");
        assert_eq!(node.dead_grace, 5);
        assert_eq!(node.advertised(), node.listen);
    }

    #[test]
    fn protocol_version_1_needs_a_chitchat_that_speaks_it() {
        assert!(launch(&format!("{LEAST} --protocol 1")).is_ok());
        assert!(launch(&format!("{LEAST} --protocol 2")).is_err());
        let older = LEAST.replace("0.13", "0.11");
        assert!(launch(&format!("{older} --protocol 1")).is_err());
    }

    #[test]
    fn an_unknown_option_is_an_error() {
        assert!(launch(&format!("{LEAST} --sead 127.0.0.2:7280")).is_err());
    }
}
