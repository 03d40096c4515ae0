//! Ends live streams when a ban, a revocation or a mode change concerns them: within a second, without a timer per stream.

use std::{
    pin::Pin,
    task::{Context, Poll},
};

use bartizan_model::{CredentialKind, Mode};
use tokio::sync::watch;

use crate::record::Record;

/// Announces that something changed which may end live streams.
#[derive(Debug)]
pub struct Kick {
    changes: watch::Sender<u64>,
}

/// One stream's view of the announcements.
pub struct Kicked {
    wait: Pin<Box<dyn Future<Output = watch::Receiver<u64>> + Send>>,
}

impl Kick {
    /// No change yet.
    #[must_use]
    pub fn new() -> Self {
        Kick { changes: watch::Sender::new(0) }
    }

    /// Every live stream looks again at whether it may go on.
    pub fn announce(&self) {
        self.changes.send_modify(|n| *n += 1);
    }

    /// The number of announcements, to be watched by connections.
    #[must_use]
    pub fn watch(&self) -> watch::Receiver<u64> {
        self.changes.subscribe()
    }

    /// Watches from now on. Taken when a stream first has to wait, so that short responses never pay for it.
    #[must_use]
    pub fn subscribe(&self) -> Kicked {
        Kicked { wait: wait(self.changes.subscribe()) }
    }

    /// Why the exchange of this record must end now, if it must.
    #[must_use]
    pub fn verdict(record: &Record) -> Option<&'static str> {
        let gateway = &record.gateway;
        let transaction = &record.transaction;
        let now = gateway.services.clock.now();
        if gateway.bans.is_banned(transaction.client.ip, now) {
            return Some("stream.banned");
        }
        if let Some(principal) = &transaction.principal
            && gateway.services.revocations.find(principal, now).is_some()
        {
            return Some("stream.revoked");
        }
        if let Some(principal) = &transaction.principal
            && principal.kind == CredentialKind::ApiKey
            && let Some(id) = &principal.credential_id
            && gateway.services.api_keys.is_revoked(id)
        {
            return Some("stream.revoked");
        }
        if record.connection.certificate_holds(now).is_err() {
            return Some("stream.certificate");
        }
        // What only break-glass let through ends with break-glass.
        let only_watched =
            transaction.monitor_all && transaction.findings.iter().any(|f| f.mode == Mode::Monitor);
        if only_watched && !gateway.break_glass_at(now) {
            return Some("stream.mode");
        }
        None
    }
}

impl Default for Kick {
    fn default() -> Self {
        Self::new()
    }
}

fn wait(mut receiver: watch::Receiver<u64>) -> Pin<Box<dyn Future<Output = watch::Receiver<u64>> + Send>> {
    Box::pin(async move {
        if receiver.changed().await.is_err() {
            // The gateway is gone: nothing will be announced any more.
            std::future::pending::<()>().await;
        }
        receiver
    })
}

impl Kicked {
    /// Ready once for each announcement since the last.
    pub fn poll_changed(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        match self.wait.as_mut().poll(cx) {
            Poll::Ready(receiver) => {
                self.wait = wait(receiver);
                Poll::Ready(())
            }
            Poll::Pending => Poll::Pending,
        }
    }

    /// Waits for the next announcement.
    pub async fn changed(&mut self) {
        std::future::poll_fn(|cx| self.poll_changed(cx)).await;
    }
}
