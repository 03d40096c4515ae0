//! The gateway's shared state: the policy in force, the pools, the break-glass switch, the counts of connections.

use std::{
    cell::Cell,
    collections::HashMap,
    net::{IpAddr, SocketAddr},
    sync::{
        Arc,
        atomic::{AtomicU64, AtomicUsize, Ordering},
    },
    time::Duration,
};

use arc_swap::ArcSwap;
use bartizan_model::{Event, EventId, EventKind, Services, Timestamp, address::limiting_key, services::Bans};
use bartizan_policy::{Snapshot, snapshot::Api};
use bartizan_telemetry::Telemetry;
use parking_lot::Mutex;
use tokio::{sync::watch, time::Instant};

use crate::{
    held::{self, Budget},
    kick::Kick,
    upstream::Upstream,
};

/// The policy in force with the pools that belong to it. Fixed for the life of an exchange.
pub struct Active {
    /// The policy.
    pub snapshot: Snapshot,
    /// One per API, in the same order.
    pub upstreams: Vec<Arc<Upstream>>,
}

impl Active {
    /// The API of a request, and its upstream.
    #[must_use]
    pub fn route(&self, host: &str, path: &str) -> Option<(&Arc<Api>, &Arc<Upstream>)> {
        let index = self.snapshot.router.find(host, path)?;
        Some((self.snapshot.apis.get(index)?, self.upstreams.get(index)?))
    }
}

/// What a gateway is made of.
pub struct Parts {
    /// Clocks, counters, keys.
    pub services: Services,
    /// Where events go.
    pub telemetry: Arc<Telemetry>,
    /// Banned addresses.
    pub bans: Arc<dyn Bans>,
    /// Events of exchanges that simply passed carry each step's decision, too.
    pub trace: bool,
}

/// The gateway. One per process.
pub struct Gateway {
    /// Clocks, counters, keys.
    pub services: Services,
    /// Where events go.
    pub telemetry: Arc<Telemetry>,
    /// Banned addresses.
    pub bans: Arc<dyn Bans>,
    /// Ends live streams.
    pub kicks: Kick,
    /// Events of exchanges that simply passed carry each step's decision, too.
    pub trace: bool,
    /// Memory for bodies that guards look at.
    pub held: Arc<Budget>,
    /// The zero of the connection timers, aligned with the clock's monotonic zero.
    pub born: Instant,
    active: ArcSwap<Active>,
    generation: AtomicU64,
    break_glass_until: AtomicU64,
    connections: AtomicUsize,
    per_address: [Mutex<HashMap<IpAddr, usize>>; SHARDS],
    draining: watch::Sender<bool>,
    /// Monotonic milliseconds when a request last had to wait for a backend's connection.
    pressed_at: AtomicU64,
    refusals_noted: Mutex<(u64, u32)>,
}

/// The per-address counts are split so that accepting rarely waits.
const SHARDS: usize = 16;

/// How long, in milliseconds, it is remembered that a request had to wait.
const PRESSED: u64 = 500;

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

/// Connection events written per second; a flood of refused connections is counted, not written.
const CONNECTION_EVENTS_PER_SECOND: u32 = 20;

impl Gateway {
    /// Starts with a first policy.
    ///
    /// # Errors
    /// An upstream cannot be set up; one sentence for the operator.
    pub fn start(parts: Parts, mut snapshot: Snapshot) -> Result<Arc<Self>, String> {
        snapshot.generation = 1;
        let upstreams = upstreams(&parts.services, &parts.telemetry, &snapshot, None)?;
        parts.telemetry.metrics().set_generation(1);
        let born = Instant::now();
        let born = born.checked_sub(parts.services.clock.monotonic()).unwrap_or(born);
        Ok(Arc::new(Gateway {
            services: parts.services,
            telemetry: parts.telemetry,
            bans: parts.bans,
            kicks: Kick::new(),
            trace: parts.trace,
            held: Budget::new(held::BUDGET),
            born,
            active: ArcSwap::from_pointee(Active { snapshot, upstreams }),
            generation: AtomicU64::new(1),
            break_glass_until: AtomicU64::new(0),
            connections: AtomicUsize::new(0),
            per_address: std::array::from_fn(|_| Mutex::new(HashMap::new())),
            draining: watch::Sender::new(false),
            pressed_at: AtomicU64::new(u64::MAX),
            refusals_noted: Mutex::new((0, 0)),
        }))
    }

    /// The policy in force.
    #[must_use]
    pub fn active(&self) -> Arc<Active> {
        self.active.load_full()
    }

    /// Puts a compiled policy in force. Pools of unchanged upstreams are kept; running exchanges end under the old one.
    ///
    /// # Errors
    /// An upstream cannot be set up: nothing is changed.
    pub fn swap(&self, mut snapshot: Snapshot) -> Result<u64, String> {
        let old = self.active();
        let upstreams = upstreams(&self.services, &self.telemetry, &snapshot, Some(&old))?;
        let generation = self.generation.fetch_add(1, Ordering::Relaxed) + 1;
        snapshot.generation = generation;
        self.active.store(Arc::new(Active { snapshot, upstreams }));
        self.telemetry.metrics().set_generation(generation);
        self.kicks.announce();
        Ok(generation)
    }

    /// Break-glass: until then every refusal of a guard is only a finding. `None` ends it at once.
    pub fn set_break_glass(&self, until: Option<Timestamp>) {
        self.break_glass_until.store(until.map_or(0, |t| t.0), Ordering::Relaxed);
        self.kicks.announce();
    }

    /// Whether break-glass is on at `now`.
    #[must_use]
    pub fn break_glass_at(&self, now: Timestamp) -> bool {
        self.break_glass_until.load(Ordering::Relaxed) > now.0
    }

    /// Until when break-glass is on, while it is at `now`.
    #[must_use]
    pub fn break_glass_until(&self, now: Timestamp) -> Option<Timestamp> {
        self.break_glass_at(now).then(|| Timestamp(self.break_glass_until.load(Ordering::Relaxed)))
    }

    /// A fresh event id.
    #[must_use]
    pub fn event_id(&self, now: Timestamp) -> EventId {
        EventId::new(now, self.random())
    }

    /// 128 random bits. Fetched some at a time: one call of the generator costs as much for many bytes as for few.
    fn random(&self) -> u128 {
        const BATCH: usize = 32;
        thread_local! {
            static POOL: Cell<([[u8; 16]; BATCH], usize)> = const { Cell::new(([[0; 16]; BATCH], 0)) };
        }
        POOL.with(|pool| {
            let (mut batch, mut left) = pool.get();
            if left == 0 {
                self.services.random.fill(batch.as_flattened_mut());
                left = BATCH;
            }
            left -= 1;
            let bytes = batch.get(left).copied().unwrap_or_default();
            pool.set((batch, left));
            u128::from_le_bytes(bytes)
        })
    }

    /// Open client connections.
    #[must_use]
    pub fn connections(&self) -> usize {
        self.connections.load(Ordering::Relaxed)
    }

    /// A request has to wait for a backend's connection.
    pub fn press(&self) {
        self.pressed_at.store(millis(self.services.clock.monotonic()), Ordering::Relaxed);
    }

    /// Whether requests wait for connections that clients who do not read keep busy.
    #[must_use]
    pub fn is_pressed(&self) -> bool {
        let age =
            millis(self.services.clock.monotonic()).checked_sub(self.pressed_at.load(Ordering::Relaxed));
        age.is_some_and(|age| age < PRESSED)
    }

    /// Whether the process is on its way out.
    #[must_use]
    pub fn is_draining(&self) -> bool {
        *self.draining.borrow()
    }

    /// Watches for the drain.
    #[must_use]
    pub fn drains(&self) -> watch::Receiver<bool> {
        self.draining.subscribe()
    }

    /// Stops accepting, lets running exchanges end (at most `patience`), answers whether all did.
    pub async fn drain(&self, patience: Duration) -> bool {
        self.draining.send_replace(true);
        let deadline = Instant::now() + patience;
        while self.connections() > 0 {
            if Instant::now() >= deadline {
                return false;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        true
    }

    /// Counts a connection, unless a cap is reached; the ticket gives it back. `exempt` peers (trusted proxies) have no
    /// cap of their own.
    ///
    /// # Errors
    /// The stable code of the cap.
    pub fn admit(self: &Arc<Self>, peer: IpAddr, exempt: bool) -> Result<Ticket, &'static str> {
        let active = self.active.load();
        let bounds = &active.snapshot.bounds;
        if self.connections.fetch_add(1, Ordering::Relaxed) >= bounds.connections {
            self.connections.fetch_sub(1, Ordering::Relaxed);
            return Err("connection.too_many");
        }
        let mut ticket = Ticket { gateway: Arc::clone(self), address: None, opened: None };
        if !exempt {
            let address = limiting_key(peer);
            let mut counts = self.shard(address).lock();
            let count = counts.entry(address).or_insert(0);
            if *count >= bounds.connections_per_address {
                return Err("connection.too_many_of_address");
            }
            *count += 1;
            ticket.address = Some(address);
        }
        Ok(ticket)
    }

    #[expect(clippy::indexing_slicing, reason = "INVARIANT: the index is taken modulo the array's length")]
    fn shard(&self, address: IpAddr) -> &Mutex<HashMap<IpAddr, usize>> {
        let last = match address {
            IpAddr::V4(v4) => v4.octets()[3],
            IpAddr::V6(v6) => v6.octets()[7],
        };
        &self.per_address[usize::from(last) % SHARDS]
    }

    /// Records a connection that was refused before HTTP: always counted, written at most some times a second.
    pub fn connection_refused(&self, client: SocketAddr, code: &'static str, detail: &str) {
        self.telemetry.metrics().connection_refused(code);
        let now = self.services.clock.now();
        {
            let mut noted = self.refusals_noted.lock();
            if noted.0 != now.seconds() {
                *noted = (now.seconds(), 0);
            }
            noted.1 += 1;
            if noted.1 > CONNECTION_EVENTS_PER_SECOND {
                return;
            }
        }
        self.telemetry.publish(Event {
            id: self.event_id(now),
            time: now,
            client: Some(client.ip()),
            generation: self.active.load().snapshot.generation,
            kind: EventKind::Connection { code, detail: detail.to_owned() },
        });
    }
}

/// Counts an open connection until dropped.
pub struct Ticket {
    gateway: Arc<Gateway>,
    address: Option<IpAddr>,
    /// Told to the metrics: whether the connection is one of TLS.
    opened: Option<bool>,
}

impl Ticket {
    /// Whether requests wait for connections that clients who do not read keep busy.
    #[must_use]
    pub fn is_pressed(&self) -> bool {
        self.gateway.is_pressed()
    }

    /// Tells the metrics that the connection is served, and later that it ended.
    pub fn opened(&mut self, tls: bool) {
        self.gateway.telemetry.metrics().connection_opened(tls);
        self.opened = Some(tls);
    }
}

impl std::fmt::Debug for Ticket {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Ticket").field("address", &self.address).finish_non_exhaustive()
    }
}

impl Drop for Ticket {
    fn drop(&mut self) {
        if let Some(tls) = self.opened {
            self.gateway.telemetry.metrics().connection_closed(tls);
        }
        self.gateway.connections.fetch_sub(1, Ordering::Relaxed);
        let Some(address) = self.address else { return };
        let mut counts = self.gateway.shard(address).lock();
        if let Some(count) = counts.get_mut(&address) {
            *count -= 1;
            if *count == 0 {
                counts.remove(&address);
            }
        }
    }
}

/// The pools for a policy: those of `old` where the upstream is the same, new ones otherwise.
fn upstreams(
    services: &Services,
    telemetry: &Telemetry,
    snapshot: &Snapshot,
    old: Option<&Active>,
) -> Result<Vec<Arc<Upstream>>, String> {
    let kept: HashMap<u64, &Arc<Upstream>> =
        old.iter().flat_map(|active| &active.upstreams).map(|u| (u.spec.digest, u)).collect();
    snapshot
        .apis
        .iter()
        .map(|api| match kept.get(&api.upstream.digest) {
            Some(upstream) => Ok(Arc::clone(upstream)),
            None => Upstream::start(
                Arc::clone(&api.upstream),
                vec![snapshot.admin.address],
                Arc::clone(&services.clock),
                telemetry.metrics(),
            ),
        })
        .collect()
}
