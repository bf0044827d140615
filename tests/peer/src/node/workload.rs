//! A steady stream of random changes to a node's own keys.

use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use fastrand::Rng;

use super::RealNode;
use super::command::Change;
use super::config::NodeConfig;

/// Few enough for keys to be overwritten, deleted and set again.
const KEYS: u32 = 40;
const LONGEST_VALUE: usize = 120;

/// Changes the node from a thread of its own, `workload` times a second, until
/// the process ends. The same node_id gives the same changes in every run.
pub fn start(node: &Arc<dyn RealNode>, config: &NodeConfig) {
    if config.workload == 0 {
        return;
    }
    let node = node.clone();
    let pause = Duration::from_secs(1) / config.workload;
    let mut random = Rng::with_seed(seed(&config.node_id));
    thread::spawn(move || {
        let mut due = Instant::now();
        loop {
            // Kinds of change that an old chitchat lacks are left out.
            let _ = node.apply(&next_change(&mut random));
            due += pause;
            thread::sleep(due.saturating_duration_since(Instant::now()));
        }
    });
}

fn seed(node_id: &str) -> u64 {
    let mut hasher = DefaultHasher::new();
    node_id.hash(&mut hasher);
    hasher.finish()
}

fn next_change(random: &mut Rng) -> Change {
    let key = format!("key-{}", random.u32(..KEYS));
    match random.u32(..100) {
        0..80 => Change::Set {
            key,
            value: value(random),
        },
        80..88 => Change::Delete { key },
        88..94 => Change::SetWithTtl {
            key,
            value: value(random),
        },
        _ => Change::DeleteAfterTtl { key },
    }
}

fn value(random: &mut Rng) -> String {
    let length = random.usize(..=LONGEST_VALUE);
    std::iter::repeat_with(|| random.alphanumeric())
        .take(length)
        .collect()
}
