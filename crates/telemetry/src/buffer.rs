//! One consumer's bounded buffer and the thread that empties it.

use std::{
    collections::VecDeque,
    sync::Arc,
    thread,
    time::{Duration, Instant},
};

use bartizan_model::{Event, EventKind};
use parking_lot::{Condvar, Mutex};
use tokio::sync::oneshot;

/// How long the thread lets events gather after the first one: fewer, larger writes. Well under the 100 ms that an
/// event may wait.
const GATHER: Duration = Duration::from_millis(25);

/// Bytes of events that one buffer may hold, by [`weight`]. Events carry findings whose number a client can drive up,
/// so a count alone would not bound memory.
const MAX_BYTES: usize = 64 * 1024 * 1024;

/// What a consumer does with events, on its own thread.
pub(crate) trait Consumer: Send + 'static {
    /// The name in metrics and threads.
    const NAME: &'static str;

    /// Takes a batch, oldest first.
    fn consume(&mut self, batch: &[Arc<Event>]);
}

/// The sending end. Dropping it lets the thread finish what is buffered and end.
pub(crate) struct Buffer {
    shared: Arc<Shared>,
    pub(crate) name: &'static str,
}

struct Shared {
    state: Mutex<State>,
    filled: Condvar,
    capacity: usize,
}

#[derive(Default)]
struct State {
    events: VecDeque<Arc<Event>>,
    bytes: usize,
    flushes: Vec<oneshot::Sender<()>>,
    closed: bool,
}

impl Buffer {
    /// Starts the consumer's thread.
    pub(crate) fn start<C: Consumer>(capacity: usize, consumer: C) -> std::io::Result<Self> {
        let shared =
            Arc::new(Shared { state: Mutex::new(State::default()), filled: Condvar::new(), capacity });
        let receiver = Arc::clone(&shared);
        thread::Builder::new().name(C::NAME.to_owned()).spawn(move || drain(&receiver, consumer))?;
        Ok(Buffer { shared, name: C::NAME })
    }

    /// Buffers an event; `false` when it was dropped because the buffer is full. The newest is dropped, so that what is
    /// kept stays a gapless run up to the overflow.
    pub(crate) fn offer(&self, event: &Arc<Event>) -> bool {
        let weight = weight(event);
        let mut state = self.shared.state.lock();
        if state.events.len() >= self.shared.capacity || state.bytes.saturating_add(weight) > MAX_BYTES {
            return false;
        }
        state.bytes += weight;
        state.events.push_back(Arc::clone(event));
        let first = state.events.len() == 1;
        drop(state);
        if first {
            self.shared.filled.notify_one();
        }
        true
    }

    /// Resolves when everything offered before was consumed.
    pub(crate) fn flushed(&self) -> oneshot::Receiver<()> {
        let (done, receiver) = oneshot::channel();
        self.shared.state.lock().flushes.push(done);
        self.shared.filled.notify_one();
        receiver
    }
}

impl Drop for Buffer {
    fn drop(&mut self) {
        self.shared.state.lock().closed = true;
        self.shared.filled.notify_one();
    }
}

fn drain<C: Consumer>(shared: &Shared, mut consumer: C) {
    loop {
        let mut state = shared.state.lock();
        while state.events.is_empty() && state.flushes.is_empty() && !state.closed {
            shared.filled.wait(&mut state);
        }
        if state.closed && state.events.is_empty() && state.flushes.is_empty() {
            return;
        }
        let gathered = Instant::now() + GATHER;
        while state.flushes.is_empty() && !state.closed && state.events.len() < shared.capacity / 4 {
            if shared.filled.wait_until(&mut state, gathered).timed_out() {
                break;
            }
        }
        let batch: Vec<_> = std::mem::take(&mut state.events).into();
        state.bytes = 0;
        let flushes = std::mem::take(&mut state.flushes);
        drop(state);
        if !batch.is_empty() {
            consumer.consume(&batch);
        }
        for done in flushes {
            let _ = done.send(());
        }
    }
}

/// About how many bytes an event keeps in memory.
fn weight(event: &Event) -> usize {
    let own = match &event.kind {
        EventKind::Exchange(exchange) => {
            let findings: usize = exchange
                .findings
                .iter()
                .map(|f| size_of_val(f) + f.detail.len() + f.remedy.as_ref().map_or(0, |r| r.len()))
                .sum();
            size_of_val(exchange.as_ref())
                + exchange.path.len()
                + findings
                + size_of_val(exchange.trace.as_slice())
        }
        EventKind::Connection { detail, .. } => detail.len(),
        EventKind::Control { actor, detail, .. } => actor.len() + detail.len(),
    };
    size_of_val(event) + own
}
