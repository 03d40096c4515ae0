//! A timer that is armed once and moved rarely: most waits end long before their deadline, and arming a timer for each
//! would cost more than the waits themselves.

use std::{
    pin::Pin,
    task::{Context, Poll, ready},
};

use tokio::time::{Instant, Sleep};

/// A deadline that may move with every wait. An armed timer that is too early fires, looks, and is moved.
#[derive(Debug, Default)]
pub struct LazyTimer(Option<Pin<Box<Sleep>>>);

impl LazyTimer {
    /// Ready when `deadline` has passed; else the task is woken then, or earlier.
    pub fn poll(&mut self, cx: &mut Context<'_>, deadline: Instant) -> Poll<()> {
        let sleep = self.0.get_or_insert_with(|| Box::pin(tokio::time::sleep_until(deadline)));
        if sleep.deadline() > deadline {
            sleep.as_mut().reset(deadline);
        }
        loop {
            ready!(sleep.as_mut().poll(cx));
            if deadline <= Instant::now() {
                return Poll::Ready(());
            }
            sleep.as_mut().reset(deadline);
        }
    }
}

/// Waits for `future` until `deadline`; `None` when that has passed. The future is asked first, and again after.
pub async fn until<F: Future>(
    timer: &mut LazyTimer,
    deadline: Instant,
    mut future: Pin<&mut F>,
) -> Option<F::Output> {
    std::future::poll_fn(|cx| {
        if let Poll::Ready(output) = future.as_mut().poll(cx) {
            return Poll::Ready(Some(output));
        }
        timer.poll(cx, deadline).map(|()| None)
    })
    .await
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_timer_serves_many_waits_each_at_its_own_deadline() {
        let mut timer = LazyTimer::default();
        for seconds in [30, 5, 60] {
            let began = Instant::now();
            let deadline = began + Duration::from_secs(seconds);
            let mut never = std::pin::pin!(std::future::pending::<()>());
            assert_eq!(until(&mut timer, deadline, never.as_mut()).await, None);
            assert_eq!(began.elapsed().as_secs(), seconds);
        }
        let mut ready = std::pin::pin!(std::future::ready(7));
        assert_eq!(until(&mut timer, Instant::now(), ready.as_mut()).await, Some(7));
    }
}
