//! The threads that carry traffic: each runs its own event loop and owns its connections, client's and upstream's, from
//! accept to close. Nothing of an exchange crosses threads, so nothing waits for another core.

use std::{
    cell::Cell,
    io,
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    thread,
};

use tokio::{net::TcpStream, sync::mpsc};

use crate::{
    gateway::Gateway,
    serve::{Context, serve},
};

/// Connections on their way to a worker; more wait in the kernel's backlog.
const HANDOVER: usize = 256;

/// Pools are split by thread; threads beyond this many share the parts.
pub const PARTS: usize = 64;

thread_local! {
    static PART: Cell<usize> = const { Cell::new(0) };
}

/// Which part of a split pool this thread uses: 0 for threads that carry no traffic.
#[must_use]
pub fn part() -> usize {
    PART.get()
}

struct Accepted {
    gateway: Arc<Gateway>,
    context: Context,
    stream: std::net::TcpStream,
    peer: SocketAddr,
}

struct Worker {
    handover: mpsc::Sender<Accepted>,
    connections: Arc<AtomicUsize>,
}

/// The workers of the process.
pub struct Workers {
    all: Vec<Worker>,
}

impl Workers {
    /// Starts `count` threads (at least one).
    ///
    /// # Errors
    /// The system refuses a thread or an event loop.
    pub fn start(count: usize) -> io::Result<Self> {
        let all = (0..count.max(1)).map(start).collect::<io::Result<_>>()?;
        Ok(Workers { all })
    }

    /// Hands a connection to the worker with the fewest.
    pub async fn give(&self, gateway: &Arc<Gateway>, context: Context, stream: TcpStream, peer: SocketAddr) {
        let Some(worker) = self.all.iter().min_by_key(|w| w.connections.load(Ordering::Relaxed)) else {
            return;
        };
        let Ok(stream) = stream.into_std() else { return };
        worker.connections.fetch_add(1, Ordering::Relaxed);
        let accepted = Accepted { gateway: Arc::clone(gateway), context, stream, peer };
        if worker.handover.send(accepted).await.is_err() {
            worker.connections.fetch_sub(1, Ordering::Relaxed);
        }
    }
}

fn start(index: usize) -> io::Result<Worker> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let (handover, mut accepted) = mpsc::channel::<Accepted>(HANDOVER);
    let connections = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&connections);
    thread::Builder::new().name(format!("worker-{index}")).spawn(move || {
        PART.set(1 + index % (PARTS - 1));
        runtime.block_on(async move {
            while let Some(Accepted { gateway, context, stream, peer }) = accepted.recv().await {
                let count = Arc::clone(&count);
                tokio::spawn(async move {
                    if let Ok(stream) = TcpStream::from_std(stream) {
                        serve(gateway, context, stream, peer).await;
                    }
                    count.fetch_sub(1, Ordering::Relaxed);
                });
            }
        });
    })?;
    Ok(Worker { handover, connections })
}
