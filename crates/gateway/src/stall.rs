//! Ends HTTP/2 streams that their client does not read: flow control lets one stand still while the connection lives.

use std::{
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    task::{Context, Poll, ready},
    time::Duration,
};

use pin_project_lite::pin_project;
use tokio::time::{Instant, Sleep};

tokio::task_local! {
    static PROGRESS: Arc<Progress>;
}

/// What a stream's body has given to the library.
#[derive(Debug, Default)]
struct Progress {
    pieces: AtomicU64,
    /// A piece was given and no other one asked for.
    given: AtomicBool,
}

/// The library asks a body for its next piece.
pub fn asked() {
    let _ = PROGRESS.try_with(|progress| progress.given.store(false, Ordering::Relaxed));
}

/// The library was given a piece.
pub fn given() {
    let _ = PROGRESS.try_with(|progress| {
        progress.pieces.fetch_add(1, Ordering::Relaxed);
        progress.given.store(true, Ordering::Relaxed);
    });
}

/// Runs the streams of HTTP/2 connections. A stream whose client takes nothing for `patience` is dropped, which resets it.
#[derive(Clone, Copy, Debug)]
pub struct StreamExecutor {
    /// How long a response may stand still.
    pub patience: Duration,
}

impl<F> hyper::rt::Executor<F> for StreamExecutor
where
    F: Future + Send + 'static,
    F::Output: Send,
{
    fn execute(&self, stream: F) {
        tokio::spawn(Watched {
            stream,
            progress: Arc::default(),
            patience: self.patience,
            seen: 0,
            since: Instant::now(),
            timer: None,
        });
    }
}

pin_project! {
    struct Watched<F> {
        #[pin]
        stream: F,
        progress: Arc<Progress>,
        patience: Duration,
        seen: u64,
        since: Instant,
        timer: Option<Pin<Box<Sleep>>>,
    }
}

impl<F: Future> Future for Watched<F> {
    type Output = ();

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let this = self.project();
        let stream = this.stream;
        if PROGRESS.sync_scope(Arc::clone(this.progress), || stream.poll(cx)).is_ready() {
            return Poll::Ready(());
        }
        if !this.progress.given.load(Ordering::Relaxed) {
            return Poll::Pending;
        }
        // The library holds a piece and wants no other: it waits for the client.
        let pieces = this.progress.pieces.load(Ordering::Relaxed);
        if pieces != *this.seen {
            (*this.seen, *this.since) = (pieces, Instant::now());
        }
        let deadline = *this.since + *this.patience;
        let timer = this.timer.get_or_insert_with(|| Box::pin(tokio::time::sleep_until(deadline)));
        // A timer that was armed for an earlier piece fires early and is moved: cheaper than moving it for each piece.
        loop {
            ready!(timer.as_mut().poll(cx));
            if deadline <= Instant::now() {
                return Poll::Ready(());
            }
            timer.as_mut().reset(deadline);
        }
    }
}
