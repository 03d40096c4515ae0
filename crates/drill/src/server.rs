//! A loopback listener with a thread per connection, all of which end with the value that holds it.

use std::{
    collections::HashMap,
    io,
    net::{Shutdown, SocketAddr, TcpListener, TcpStream},
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    thread,
    time::Duration,
};

use bartizan_testkit::process::loopback;

/// A peer that says nothing for this long is given up.
pub const SILENCE: Duration = Duration::from_secs(10);

/// The listener.
pub struct Server {
    /// Where it listens.
    pub address: SocketAddr,
    sockets: Arc<Sockets>,
}

/// Open sockets, so that they can be shut from outside.
#[derive(Default)]
pub struct Sockets {
    open: Mutex<HashMap<u64, TcpStream>>,
    next: AtomicU64,
    ended: AtomicBool,
}

/// One open socket; forgotten and shut when dropped.
pub struct Open<'s> {
    sockets: &'s Sockets,
    number: u64,
}

impl Server {
    /// Listens on a free port, and serves each connection on a thread of its own.
    ///
    /// # Errors
    /// No port could be bound.
    pub fn start(serve: impl Fn(TcpStream, &Sockets) + Send + Sync + 'static) -> io::Result<Self> {
        let listener = TcpListener::bind(loopback(0))?;
        let address = listener.local_addr()?;
        let sockets = Arc::new(Sockets::default());
        let (shared, serve) = (Arc::clone(&sockets), Arc::new(serve));
        thread::spawn(move || {
            for stream in listener.incoming() {
                if shared.ended.load(Ordering::SeqCst) {
                    return;
                }
                let Ok(stream) = stream else { continue };
                let (sockets, serve) = (Arc::clone(&shared), Arc::clone(&serve));
                thread::spawn(move || {
                    let Ok(_open) = sockets.hold(&stream) else { return };
                    serve(stream, &sockets);
                });
            }
        });
        Ok(Server { address, sockets })
    }
}

impl Sockets {
    /// Makes a socket end with the server, and sets its deadlines.
    ///
    /// # Errors
    /// The socket is gone already.
    pub fn hold(&self, stream: &TcpStream) -> io::Result<Open<'_>> {
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(SILENCE))?;
        stream.set_write_timeout(Some(SILENCE))?;
        let number = self.next.fetch_add(1, Ordering::Relaxed);
        self.lock().insert(number, stream.try_clone()?);
        if self.ended.load(Ordering::SeqCst) {
            let _ = stream.shutdown(Shutdown::Both);
        }
        Ok(Open { sockets: self, number })
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, HashMap<u64, TcpStream>> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Open<'_> {
    fn drop(&mut self) {
        if let Some(stream) = self.sockets.lock().remove(&self.number) {
            let _ = stream.shutdown(Shutdown::Both);
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.sockets.ended.store(true, Ordering::SeqCst);
        for stream in self.sockets.lock().values() {
            let _ = stream.shutdown(Shutdown::Both);
        }
        // Wakes the thread that accepts, which then ends.
        let _ = TcpStream::connect_timeout(&self.address, Duration::from_millis(200));
    }
}
