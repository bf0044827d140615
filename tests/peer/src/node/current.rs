//! Nodes of chitchat 0.9 to 0.13. Their interfaces differ in one field of the
//! configuration, so one macro writes them all.

use std::net::SocketAddr;

use super::RealNode;
use super::command::Change;
use super::config::NodeConfig;
use super::state::{Id, KeyValue, NodeView, State, Status};

macro_rules! current_node {
    ($name:ident, $chitchat:ident $(, $field:ident: $value:expr)?) => {
        pub struct $name($chitchat::ChitchatHandle);

        impl $name {
            pub async fn spawn(config: &NodeConfig) -> anyhow::Result<$name> {
                use $chitchat::transport::UdpTransport;
                use $chitchat::{ChitchatConfig, ChitchatId, FailureDetectorConfig, spawn_chitchat};

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
                    marked_for_deletion_grace_period: config.key_grace_period(),
                    catchup_callback: None,
                    extra_liveness_predicate: None,
                    $($field: ($value)(config),)?
                };
                let keys = config.initial_key_values();
                Ok($name(spawn_chitchat(chitchat_config, keys, &UdpTransport).await?))
            }

            fn id(id: &$chitchat::ChitchatId) -> Id {
                Id {
                    node_id: id.node_id.to_string(),
                    generation_id: Some(id.generation_id),
                    gossip_advertise_addr: id.gossip_advertise_addr,
                }
            }

            fn view(id: &$chitchat::ChitchatId, node: &$chitchat::NodeState) -> NodeView {
                let key_values = node.key_values_including_deleted().map(|(key, versioned)| {
                    use $chitchat::DeletionStatus;

                    KeyValue {
                        key: key.to_string(),
                        value: versioned.value.clone(),
                        version: versioned.version,
                        status: match versioned.status {
                            DeletionStatus::Set => Status::Set,
                            DeletionStatus::Deleted(_) => Status::Delete,
                            DeletionStatus::DeleteAfterTtl(_) => Status::DeleteAfterTtl,
                        },
                    }
                });
                NodeView {
                    id: Self::id(id),
                    heartbeat: Some(node.heartbeat().into()),
                    max_version: node.max_version(),
                    last_gc_version: Some(node.last_gc_version()),
                    key_values: key_values.collect(),
                }
            }
        }

        impl RealNode for $name {
            fn state(&self) -> State {
                let chitchat = self.0.chitchat();
                let chitchat = chitchat.blocking_lock();
                State {
                    cluster_id: chitchat.cluster_id().to_string(),
                    nodes: chitchat
                        .node_states()
                        .iter()
                        .map(|(id, node)| Self::view(id, node))
                        .collect(),
                    live: chitchat.live_nodes().map(Self::id).collect(),
                    dead: chitchat.dead_nodes().map(Self::id).collect(),
                    scheduled_for_deletion: chitchat
                        .scheduled_for_deletion_nodes()
                        .map(Self::id)
                        .collect(),
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
                        node.delete(key);
                        key
                    }
                    Change::SetWithTtl { key, value } => {
                        node.set_with_ttl(key, value);
                        key
                    }
                    Change::DeleteAfterTtl { key } => {
                        node.delete_after_ttl(key);
                        key
                    }
                };
                Ok(node.get_versioned(key).map(|versioned| versioned.version))
            }

            fn gossip(&self, peer: SocketAddr) -> anyhow::Result<()> {
                self.0.gossip(peer)
            }
        }
    };
}

/// A node of a version whose configuration says which protocol version its Syns have.
macro_rules! speaks_two {
    ($name:ident, $chitchat:ident) => {
        current_node!($name, $chitchat, protocol_version: |config: &NodeConfig| {
            match config.protocol {
                0 => $chitchat::ProtocolVersion::V0,
                _ => $chitchat::ProtocolVersion::V1,
            }
        });
    };
}

current_node!(V0_9, chitchat_0_9);
current_node!(V0_10, chitchat_0_10);
current_node!(V0_11, chitchat_0_11);
speaks_two!(V0_12, chitchat_0_12);
speaks_two!(V0_13, chitchat_0_13);
