//! A small counter before the HTTP/2 library: it ends connections whose control frames nothing earned.

use std::time::Duration;

/// Bytes of a frame header (RFC 9113 section 4.1).
const HEADER: usize = 9;
/// One unit is earned by so many bytes of DATA from the client.
const RECEIVED_PER_UNIT: u64 = 1024;
/// One unit is earned by so many bytes sent to the client: eight for a DATA frame of 16 KiB, which careful clients
/// acknowledge with two WINDOW_UPDATE frames and chatty ones with more.
const SENT_PER_UNIT: u64 = 2048;
/// One unit is earned in so much time: ten a second.
const TIME_PER_UNIT: Duration = Duration::from_millis(100);
/// The most that transfers earn ahead for WINDOW_UPDATE frames: a window of 32 MiB may be acknowledged after its last
/// byte was sent.
const MAX_AHEAD: u64 = (32 << 20) / SENT_PER_UNIT;
/// What RST_STREAM costs: a frame, and the unit that its request earned, so that resetting requests is never free.
const RESET_COST: u64 = 2;

const DATA: u8 = 0;
const HEADERS: u8 = 1;
const RST_STREAM: u8 = 3;
const WINDOW_UPDATE: u8 = 8;
const END_STREAM: u8 = 0x1;
const PADDED: u8 = 0x8;

/// Follows the frame headers of the client's bytes and counts control frames.
///
/// SETTINGS, PING, PRIORITY, WINDOW_UPDATE, CONTINUATION, GOAWAY, frames of unknown types and DATA without data and
/// without the end of the stream cost one unit each, RST_STREAM two. A connection begins with its budget; what HEADERS,
/// DATA in either direction and time earn fills it again, never above. Transfers also earn WINDOW_UPDATE frames ahead,
/// in a purse that pays for nothing else. Frames may be cut anywhere; nothing is allocated.
#[derive(Debug)]
pub struct FrameMeter {
    budget: u64,
    units: u64,
    /// WINDOW_UPDATE frames that transfers have earned.
    ahead: u64,
    /// Bytes that have not earned a whole unit yet.
    received: u64,
    sent: u64,
    /// Up to when time has been paid for.
    paid_until: Option<Duration>,
    position: Position,
    flooded: bool,
}

/// Where the next byte stands.
#[derive(Clone, Copy, Debug)]
enum Position {
    Header {
        bytes: [u8; HEADER],
        length: usize,
    },
    /// At the pad length of a DATA frame with so much payload.
    PadLength {
        payload: u32,
        ends_stream: bool,
    },
    Payload {
        left: u32,
    },
}

const AT_HEADER: Position = Position::Header { bytes: [0; HEADER], length: 0 };

/// The connection sent more control frames than it earned.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ControlFlood;

impl FrameMeter {
    /// After the connection preface has been consumed; the `budget`th unearned control frame is a flood.
    #[must_use]
    pub fn new(budget: u32) -> Self {
        let budget = u64::from(budget);
        FrameMeter {
            budget,
            units: budget,
            ahead: 0,
            received: 0,
            sent: 0,
            paid_until: None,
            position: AT_HEADER,
            flooded: false,
        }
    }

    /// Looks at the next bytes, in order, at monotonic time `now`.
    ///
    /// # Errors
    /// The budget is spent: the connection is to be ended. Every later look says so again.
    pub fn see(&mut self, mut bytes: &[u8], now: Duration) -> Result<(), ControlFlood> {
        self.earn_time(now);
        while !bytes.is_empty() && !self.flooded {
            bytes = self.advance(bytes);
        }
        if self.flooded { Err(ControlFlood) } else { Ok(()) }
    }

    /// Tells that so many bytes were sent to the client, frames of the connection's own included.
    pub fn sent(&mut self, bytes: u64) {
        self.sent = self.sent.saturating_add(bytes);
        let units = self.sent / SENT_PER_UNIT;
        self.sent %= SENT_PER_UNIT;
        self.earn(units);
        self.ahead = self.ahead.saturating_add(units).min(MAX_AHEAD);
    }

    /// Takes some bytes from the front and returns the others.
    fn advance<'a>(&mut self, bytes: &'a [u8]) -> &'a [u8] {
        match &mut self.position {
            Position::Header { bytes: header, length } => {
                let wanted = header.get_mut(*length..).unwrap_or_default();
                let taken = wanted.len().min(bytes.len());
                let (now, rest) = bytes.split_at_checked(taken).unwrap_or_default();
                for (slot, byte) in wanted.iter_mut().zip(now) {
                    *slot = *byte;
                }
                *length += taken;
                if *length == HEADER {
                    let header = *header;
                    self.frame(header);
                }
                rest
            }
            Position::PadLength { payload, ends_stream } => {
                let (payload, ends_stream) = (*payload, *ends_stream);
                let Some((padding, rest)) = bytes.split_first() else { return bytes };
                let after = payload.saturating_sub(1);
                self.data(after.saturating_sub(u32::from(*padding)), ends_stream);
                self.pass(after);
                rest
            }
            Position::Payload { left } => {
                let taken = usize::try_from(*left).unwrap_or(usize::MAX).min(bytes.len());
                let left = left.saturating_sub(u32::try_from(taken).unwrap_or(u32::MAX));
                self.pass(left);
                bytes.get(taken..).unwrap_or_default()
            }
        }
    }

    /// Counts the frame with this header.
    fn frame(&mut self, header: [u8; HEADER]) {
        let [high, middle, low, kind, flags, ..] = header;
        let payload = u32::from_be_bytes([0, high, middle, low]);
        let ends_stream = flags & END_STREAM != 0;
        match kind {
            DATA if flags & PADDED != 0 && payload > 0 => {
                self.position = Position::PadLength { payload, ends_stream };
                return;
            }
            DATA => self.data(payload, ends_stream),
            HEADERS => self.earn(1),
            RST_STREAM => self.spend(RESET_COST),
            WINDOW_UPDATE if self.ahead > 0 => self.ahead -= 1,
            _ => self.spend(1),
        }
        self.pass(payload);
    }

    /// Counts the data of a DATA frame, without its padding.
    fn data(&mut self, bytes: u32, ends_stream: bool) {
        if bytes == 0 && !ends_stream {
            self.spend(1);
            return;
        }
        self.received += u64::from(bytes);
        let units = self.received / RECEIVED_PER_UNIT;
        self.received %= RECEIVED_PER_UNIT;
        self.earn(units);
    }

    /// So much payload comes before the next header.
    fn pass(&mut self, payload: u32) {
        self.position = if payload == 0 { AT_HEADER } else { Position::Payload { left: payload } };
    }

    fn earn_time(&mut self, now: Duration) {
        let Some(paid_until) = self.paid_until else {
            self.paid_until = Some(now);
            return;
        };
        let units = now.saturating_sub(paid_until).as_millis() / TIME_PER_UNIT.as_millis();
        // What is above the budget is lost, and the time with it.
        let Ok(units) = u32::try_from(units) else {
            self.paid_until = Some(now);
            self.units = self.budget;
            return;
        };
        self.paid_until = Some(paid_until.saturating_add(TIME_PER_UNIT.saturating_mul(units)));
        self.earn(u64::from(units));
    }

    fn earn(&mut self, units: u64) {
        self.units = self.units.saturating_add(units).min(self.budget);
    }

    fn spend(&mut self, units: u64) {
        self.units = self.units.saturating_sub(units);
        self.flooded |= self.units == 0;
    }
}

#[cfg(test)]
mod tests;
