//! The man in the middle of TLS: carries records both ways, and alters what it is told to. It has no key.

use std::{
    io::{self, Read, Write},
    net::{Shutdown, SocketAddr, TcpStream},
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    thread,
};

use bartizan_testkit::raw::find;

use crate::server::{SILENCE, Server, Sockets};

/// RFC 8446 section 5.1: the content types of a handshake and of application data.
const HANDSHAKE: u8 = 22;
const APPLICATION_DATA: u8 = 23;

/// Which way a record goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Way {
    /// From who connected.
    Up,
    /// To who connected.
    Down,
}

/// What is done to a record of application data.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tamper {
    /// The first byte of what it carries is flipped.
    FlipFirst,
    /// A byte in its middle is.
    FlipMiddle,
    /// Its last byte is: part of its authentication tag.
    FlipLast,
    /// Its length says one byte less than it has.
    Shorten,
    /// It is sent twice.
    Repeat,
    /// It is sent after the one that follows it.
    Swap,
    /// Half of it is sent, and the connection ends.
    Cut,
}

/// What the man in the middle does from now on.
#[derive(Clone, Copy, Debug)]
pub struct Plan {
    /// To records that go this way.
    pub way: Way,
    /// After letting this many of them pass.
    pub skip: usize,
    /// This.
    pub tamper: Tamper,
}

/// The man in the middle.
pub struct Relay {
    server: Server,
    shared: Arc<Shared>,
}

#[derive(Default)]
struct Shared {
    plan: Mutex<Option<Plan>>,
    /// Takes TLS 1.3 out of what clients offer.
    downgrade: bool,
    altered: AtomicU64,
}

impl Relay {
    /// Stands before this server.
    ///
    /// # Errors
    /// No port could be bound.
    pub fn start(target: SocketAddr) -> io::Result<Self> {
        Self::before(target, false)
    }

    /// As [`Relay::start`]; takes TLS 1.3 out of what clients offer.
    ///
    /// # Errors
    /// No port could be bound.
    pub fn downgrading(target: SocketAddr) -> io::Result<Self> {
        Self::before(target, true)
    }

    fn before(target: SocketAddr, downgrade: bool) -> io::Result<Self> {
        let shared = Arc::new(Shared { downgrade, ..Shared::default() });
        let state = Arc::clone(&shared);
        let server = Server::start(move |client, sockets| {
            let _ = carry(client, sockets, target, &state);
        })?;
        Ok(Relay { server, shared })
    }

    /// Where it listens.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.server.address
    }

    /// Alters records from now on; `None` lets all pass.
    pub fn plan(&self, plan: Option<Plan>) {
        *self.shared.plan.lock().unwrap_or_else(PoisonError::into_inner) = plan;
    }

    /// Records and handshakes that were altered so far.
    #[must_use]
    pub fn altered(&self) -> u64 {
        self.shared.altered.load(Ordering::SeqCst)
    }
}

fn carry(client: TcpStream, sockets: &Sockets, target: SocketAddr, shared: &Shared) -> io::Result<()> {
    let server = TcpStream::connect_timeout(&target, SILENCE)?;
    let _open = sockets.hold(&server)?;
    thread::scope(|scope| {
        scope.spawn(|| pump(&client, &server, Way::Up, shared));
        pump(&server, &client, Way::Down, shared);
    });
    Ok(())
}

/// Carries records one way until one side ends; then the other is told.
fn pump(mut from: &TcpStream, mut to: &TcpStream, way: Way, shared: &Shared) {
    let mut held = None;
    let mut first = true;
    while let Ok(mut record) = read_record(&mut from) {
        if first && way == Way::Up && shared.downgrade && strip_versions(&mut record) {
            shared.altered.fetch_add(1, Ordering::SeqCst);
        }
        first = false;
        let sent = match shared.tamper(way, &record) {
            None => to.write_all(&record),
            Some(Tamper::Repeat) => to.write_all(&record).and_then(|()| to.write_all(&record)),
            Some(Tamper::Swap) => {
                held = Some(record);
                continue;
            }
            Some(Tamper::Cut) => {
                let half = record.len() / 2;
                let _ = to.write_all(record.get(..half).unwrap_or_default());
                break;
            }
            Some(tamper) => {
                alter(&mut record, tamper);
                to.write_all(&record)
            }
        };
        let late = held.take().map_or(Ok(()), |record: Vec<u8>| to.write_all(&record));
        if sent.and(late).is_err() {
            break;
        }
    }
    let _ = to.shutdown(Shutdown::Write);
    let _ = from.shutdown(Shutdown::Read);
}

impl Shared {
    /// What to do with this record.
    fn tamper(&self, way: Way, record: &[u8]) -> Option<Tamper> {
        let mut plan = self.plan.lock().unwrap_or_else(PoisonError::into_inner);
        let current = plan.as_mut()?;
        if current.way != way || record.first() != Some(&APPLICATION_DATA) {
            return None;
        }
        if let Some(left) = current.skip.checked_sub(1) {
            current.skip = left;
            return None;
        }
        self.altered.fetch_add(1, Ordering::SeqCst);
        let tamper = current.tamper;
        // What is swapped, repeated or cut is so once; bytes are flipped as long as they come, so that no retry passes.
        if matches!(tamper, Tamper::Swap | Tamper::Repeat) {
            *plan = None;
        }
        Some(tamper)
    }
}

/// One TLS record with its header (RFC 8446 section 5.1).
fn read_record(from: &mut impl Read) -> io::Result<Vec<u8>> {
    let mut head = [0; 5];
    from.read_exact(&mut head)?;
    let [.., high, low] = head;
    let length = usize::from(u16::from_be_bytes([high, low]));
    let mut record = head.to_vec();
    record.resize(5 + length, 0);
    from.read_exact(record.get_mut(5..).unwrap_or_default())?;
    Ok(record)
}

fn alter(record: &mut Vec<u8>, tamper: Tamper) {
    let length = record.len();
    let at = match tamper {
        Tamper::FlipFirst => 5,
        Tamper::FlipMiddle => 5 + (length.saturating_sub(5)) / 2,
        Tamper::Shorten => {
            record.pop();
            let body = u16::try_from(record.len().saturating_sub(5)).unwrap_or_default().to_be_bytes();
            for (byte, new) in record.iter_mut().skip(3).zip(body) {
                *byte = new;
            }
            return;
        }
        _ => length.saturating_sub(1),
    };
    if let Some(byte) = record.get_mut(at) {
        *byte ^= 0x20;
    }
}

/// Renames `supported_versions` (RFC 8446 section 4.2.1) of a ClientHello, so that the server does not see TLS 1.3.
fn strip_versions(record: &mut [u8]) -> bool {
    if record.first() != Some(&HANDSHAKE) {
        return false;
    }
    // Extension 43, its length, the length of its list, and TLS 1.3 first, as every client writes it.
    let at = [[0, 43, 0, 5, 4, 3, 4], [0, 43, 0, 3, 2, 3, 4]].iter().find_map(|form| find(record, form));
    match at.and_then(|at| record.get_mut(at..at + 2)) {
        Some(kind) => {
            kind.fill(0x5A);
            true
        }
        None => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn records_are_altered_as_planned() {
        let original: Vec<u8> = [23, 3, 3, 0, 4, 1, 2, 3, 4].to_vec();
        let altered = |tamper| {
            let mut record = original.clone();
            alter(&mut record, tamper);
            record
        };
        assert_eq!(altered(Tamper::FlipFirst), [23, 3, 3, 0, 4, 0x21, 2, 3, 4]);
        assert_eq!(altered(Tamper::FlipMiddle), [23, 3, 3, 0, 4, 1, 2, 0x23, 4]);
        assert_eq!(altered(Tamper::FlipLast), [23, 3, 3, 0, 4, 1, 2, 3, 0x24]);
        assert_eq!(altered(Tamper::Shorten), [23, 3, 3, 0, 3, 1, 2, 3]);
    }

    #[test]
    fn plans_count_and_choose_a_way() {
        let shared = Shared::default();
        let plan = Plan { way: Way::Up, skip: 1, tamper: Tamper::FlipLast };
        *shared.plan.lock().unwrap_or_else(PoisonError::into_inner) = Some(plan);
        assert_eq!(shared.tamper(Way::Down, &[23]), None);
        assert_eq!(shared.tamper(Way::Up, &[22]), None);
        assert_eq!(shared.tamper(Way::Up, &[23]), None, "the first passes");
        assert_eq!(shared.tamper(Way::Up, &[23]), Some(Tamper::FlipLast));
        assert_eq!(shared.altered.load(Ordering::SeqCst), 1);
    }
}
