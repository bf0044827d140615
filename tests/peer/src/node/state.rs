//! What a node knows, as one JSON object.

use std::net::SocketAddr;

use serde::Serialize;

/// A node's whole view of its cluster.
#[derive(Debug, Serialize)]
pub struct State {
    pub cluster_id: String,
    /// Every node that it knows, itself included.
    pub nodes: Vec<NodeView>,
    pub live: Vec<Id>,
    pub dead: Vec<Id>,
    /// Dead nodes that it no longer lists in digests. Since 0.9.
    pub scheduled_for_deletion: Vec<Id>,
}

/// A ChitchatId.
#[derive(Clone, Debug, Eq, Ord, PartialEq, PartialOrd, Serialize)]
pub struct Id {
    pub node_id: String,
    /// Null in 0.5, which has none.
    pub generation_id: Option<u64>,
    pub gossip_advertise_addr: SocketAddr,
}

/// What one node knows of another, or of itself.
#[derive(Debug, Serialize)]
pub struct NodeView {
    #[serde(flatten)]
    pub id: Id,
    /// Null in 0.5, where the heartbeat is the key `heartbeat`.
    pub heartbeat: Option<u64>,
    pub max_version: u64,
    /// Null before 0.9, which has none.
    pub last_gc_version: Option<u64>,
    /// In the order of the keys, tombstones included.
    pub key_values: Vec<KeyValue>,
}

#[derive(Debug, Serialize)]
pub struct KeyValue {
    pub key: String,
    pub value: String,
    pub version: u64,
    pub status: Status,
}

/// The word on the wire for the state of a key.
#[derive(Debug, Serialize)]
pub enum Status {
    Set,
    Delete,
    DeleteAfterTtl,
}
