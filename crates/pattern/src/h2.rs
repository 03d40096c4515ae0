//! A small counter before the HTTP/2 library: control frames that nothing earned.

use std::time::Duration;

/// Follows the frame headers of the client's bytes and counts control frames.
#[derive(Debug)]
pub struct FrameMeter;

/// The connection sent more control frames than it earned.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ControlFlood;

impl FrameMeter {
    /// After the connection preface has been consumed; `budget` unearned frames are tolerated.
    #[must_use]
    pub fn new(budget: u32) -> Self {
        let _ = budget;
        FrameMeter
    }

    /// Looks at the next bytes, in order, at monotonic time `now`.
    ///
    /// # Errors
    /// The budget is spent: the connection is to be ended.
    pub fn see(&mut self, bytes: &[u8], now: Duration) -> Result<(), ControlFlood> {
        let _ = (bytes, now);
        Ok(())
    }
}
