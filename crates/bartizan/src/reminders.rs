//! Reminds of API keys that have to be replaced soon: an event for each, once a day.

use std::{
    sync::{Arc, Weak},
    time::Duration,
};

use bartizan_control::keys::REMIND;
use bartizan_gateway::Gateway;
use bartizan_model::{Event, EventKind, Timestamp};
use bartizan_store::{Store, StoredKey};

use crate::control::key_max_age;

/// How often.
const DAY: Duration = Duration::from_secs(24 * 3_600);

/// Keys that one round tells of; with more, the list of keys says more than a log does.
const MAX_TOLD: usize = 100;

/// Reminds for as long as the gateway lives.
pub async fn remind(gateway: Weak<Gateway>, store: Arc<Store>) {
    loop {
        let asked = Arc::clone(&store);
        let keys = tokio::task::spawn_blocking(move || asked.keys()).await;
        let Some(gateway) = gateway.upgrade() else { return };
        match keys {
            Ok(Ok(keys)) => tell(&gateway, &keys),
            Ok(Err(error)) => tracing::warn!("nobody is reminded of old API keys: {error}"),
            Err(_) => return,
        }
        drop(gateway);
        tokio::time::sleep(DAY).await;
    }
}

fn tell(gateway: &Gateway, keys: &[StoredKey]) {
    let now = gateway.services.clock.now();
    let active = gateway.active();
    let max_age = key_max_age(&active.snapshot);
    let due = |key: &StoredKey| key.rotate_by(now, max_age).filter(|by| *by <= now.plus(REMIND));
    let due = keys.iter().filter_map(|key| due(key).map(|by| (key, by))).take(MAX_TOLD);
    for (key, by) in due {
        gateway.telemetry.publish(Event {
            id: gateway.event_id(now),
            time: now,
            client: None,
            generation: active.snapshot.generation,
            kind: EventKind::Control {
                code: "key.due",
                actor: "bartizan".to_owned(),
                detail: told(key, by, now),
            },
        });
    }
}

fn told(key: &StoredKey, by: Timestamp, now: Timestamp) -> String {
    let (id, owner) = (&key.record.id, &key.record.owner);
    let when = if by <= now { "had" } else { "has" };
    format!("`{id}` of {owner} {when} to be replaced by {by}: `bartizan keys rotate {id}`")
}
