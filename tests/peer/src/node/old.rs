//! Nodes of chitchat 0.5 and 0.7, from before the magic number.
//!
//! They do not show versions and tombstones, but their states can be
//! serialised, so those are read from the serialised form.

use std::net::SocketAddr;

use serde::{Deserialize, Serialize};

use super::RealNode;
use super::command::Change;
use super::config::NodeConfig;
use super::state::{Id, KeyValue, NodeView, State, Status};

/// What a serialised state of either version has in it.
#[derive(Deserialize)]
struct SerialisedState {
    heartbeat: Option<u64>,
    max_version: u64,
    key_values: std::collections::BTreeMap<String, SerialisedValue>,
}

#[derive(Deserialize)]
struct SerialisedValue {
    value: String,
    version: u64,
    tombstone: Option<u64>,
}

fn view(id: Id, node: &impl Serialize) -> NodeView {
    let state: SerialisedState = serde_json::to_value(node)
        .and_then(serde_json::from_value)
        .expect("a state of chitchat 0.5 or 0.7 has these fields");
    let key_values = state.key_values.into_iter().map(|(key, stored)| KeyValue {
        key,
        value: stored.value,
        version: stored.version,
        status: match stored.tombstone {
            None => Status::Set,
            Some(_) => Status::Delete,
        },
    });
    NodeView {
        id,
        heartbeat: state.heartbeat,
        max_version: state.max_version,
        last_gc_version: None,
        key_values: key_values.collect(),
    }
}

pub struct V0_5(chitchat_0_5::ChitchatHandle);

impl V0_5 {
    pub async fn spawn(config: &NodeConfig) -> anyhow::Result<V0_5> {
        use chitchat_0_5::transport::UdpTransport;
        use chitchat_0_5::{ChitchatConfig, FailureDetectorConfig, NodeId, spawn_chitchat};

        let chitchat_config = ChitchatConfig {
            node_id: NodeId::new(config.node_id.clone(), config.advertised()),
            cluster_id: config.cluster_id.clone(),
            gossip_interval: config.gossip_interval(),
            listen_addr: config.listen,
            seed_nodes: config.seeds.clone(),
            failure_detector_config: FailureDetectorConfig {
                phi_threshold: config.phi_threshold,
                sampling_window_size: config.sampling_window,
                max_interval: config.max_heartbeat_interval(),
                initial_interval: config.initial_heartbeat_interval(),
                dead_node_grace_period: config.dead_node_grace_period(),
            },
            is_ready_predicate: None,
        };
        let keys = config.initial_key_values();
        let handle = spawn_chitchat(chitchat_config, keys, &UdpTransport).await?;
        Ok(V0_5(handle))
    }

    fn id(id: &chitchat_0_5::NodeId) -> Id {
        Id {
            node_id: id.id.clone(),
            generation_id: None,
            gossip_advertise_addr: id.gossip_public_address,
        }
    }
}

impl RealNode for V0_5 {
    fn state(&self) -> State {
        let chitchat = self.0.chitchat();
        let chitchat = chitchat.blocking_lock();
        let mut ids: Vec<_> = chitchat.live_nodes().chain(chitchat.dead_nodes()).collect();
        ids.push(chitchat.self_node_id());
        ids.sort();
        ids.dedup();
        State {
            cluster_id: chitchat.cluster_id().to_string(),
            nodes: ids
                .into_iter()
                .filter_map(|id| Some(view(Self::id(id), chitchat.node_state(id)?)))
                .collect(),
            live: chitchat.live_nodes().map(Self::id).collect(),
            dead: chitchat.dead_nodes().map(Self::id).collect(),
            scheduled_for_deletion: Vec::new(),
        }
    }

    fn apply(&self, change: &Change) -> Result<Option<u64>, String> {
        let Change::Set { key, value } = change else {
            return Err("chitchat 0.5 can only set keys".to_string());
        };
        let chitchat = self.0.chitchat();
        let mut chitchat = chitchat.blocking_lock();
        let node = chitchat.self_node_state();
        node.set(key, value);
        Ok(node.get_versioned(key).map(|versioned| versioned.version))
    }

    fn gossip(&self, peer: SocketAddr) -> anyhow::Result<()> {
        self.0.gossip(peer)
    }
}

pub struct V0_7(chitchat_0_7::ChitchatHandle);

impl V0_7 {
    pub async fn spawn(config: &NodeConfig) -> anyhow::Result<V0_7> {
        use chitchat_0_7::transport::UdpTransport;
        use chitchat_0_7::{ChitchatConfig, ChitchatId, FailureDetectorConfig, spawn_chitchat};

        let chitchat_config = ChitchatConfig {
            chitchat_id: ChitchatId::new(
                config.node_id.clone(),
                config.generation,
                config.advertised(),
            ),
            cluster_id: config.cluster_id.clone(),
            gossip_interval: config.gossip_interval(),
            listen_addr: config.listen,
            seed_nodes: config.seeds.clone(),
            failure_detector_config: FailureDetectorConfig {
                phi_threshold: config.phi_threshold,
                sampling_window_size: config.sampling_window,
                max_interval: config.max_heartbeat_interval(),
                initial_interval: config.initial_heartbeat_interval(),
                dead_node_grace_period: config.dead_node_grace_period(),
            },
            marked_for_deletion_grace_period: (config.grace / config.interval) as usize,
        };
        let keys = config.initial_key_values();
        let handle = spawn_chitchat(chitchat_config, keys, &UdpTransport).await?;
        Ok(V0_7(handle))
    }

    fn id(id: &chitchat_0_7::ChitchatId) -> Id {
        Id {
            node_id: id.node_id.clone(),
            generation_id: Some(id.generation_id),
            gossip_advertise_addr: id.gossip_advertise_addr,
        }
    }
}

impl RealNode for V0_7 {
    fn state(&self) -> State {
        let chitchat = self.0.chitchat();
        let chitchat = chitchat.blocking_lock();
        State {
            cluster_id: chitchat.cluster_id().to_string(),
            nodes: chitchat
                .node_states()
                .iter()
                .map(|(id, node)| view(Self::id(id), node))
                .collect(),
            live: chitchat.live_nodes().map(Self::id).collect(),
            dead: chitchat.dead_nodes().map(Self::id).collect(),
            scheduled_for_deletion: Vec::new(),
        }
    }

    fn apply(&self, change: &Change) -> Result<Option<u64>, String> {
        let chitchat = self.0.chitchat();
        let mut chitchat = chitchat.blocking_lock();
        let node = chitchat.self_node_state();
        let key = match change {
            Change::Set { key, value } => {
                node.set(key, value);
                key
            }
            Change::Delete { key } => {
                node.mark_for_deletion(key);
                key
            }
            Change::SetWithTtl { .. } | Change::DeleteAfterTtl { .. } => {
                return Err("chitchat 0.7 knows no TTL".to_string());
            }
        };
        Ok(node.get_versioned(key).map(|versioned| versioned.version))
    }

    fn gossip(&self, peer: SocketAddr) -> anyhow::Result<()> {
        self.0.gossip(peer)
    }
}
