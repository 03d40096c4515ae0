//! Listeners: bound once, reconfigured while they run, closed when the policy no longer names them.

use std::{collections::HashMap, io, net::SocketAddr, sync::Arc, time::Duration};

use arc_swap::ArcSwap;
use bartizan_policy::snapshot::{ClientAuth, ListenerSpec, TlsSpec};
use parking_lot::Mutex;
use tokio::{
    net::{TcpListener, TcpSocket},
    sync::watch,
};

use crate::{
    client_trust::ClientTrust,
    gateway::Gateway,
    serve::{Context, Secured},
    tls::{self, Certificates},
    workers::Workers,
};

/// Connections that the kernel completes ahead of us.
const BACKLOG: u32 = 4096;

/// After an accept that failed for want of file descriptors or memory.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// How often certificate files are looked at.
const CERTIFICATES_EVERY: Duration = Duration::from_secs(1);

/// All listeners of the process.
pub struct Listeners {
    gateway: Arc<Gateway>,
    workers: Arc<Workers>,
    running: Mutex<HashMap<SocketAddr, Running>>,
    inherited: Mutex<Vec<std::net::TcpListener>>,
}

struct Running {
    bound: SocketAddr,
    spec: ListenerSpec,
    context: Arc<ArcSwap<Context>>,
    certificates: Option<Arc<Certificates>>,
    trust: Option<Arc<ClientTrust>>,
    stop: watch::Sender<bool>,
}

/// A listener that is ready to be put in force.
struct Prepared {
    spec: ListenerSpec,
    context: Context,
    certificates: Option<Arc<Certificates>>,
    /// Whom the running listener trusts, and whom it is to trust.
    trust: Option<(Arc<ClientTrust>, Arc<ClientTrust>)>,
    socket: Option<TcpListener>,
}

/// Everything that a new set of listeners needs, opened and checked: committing it cannot fail.
pub struct Plan(Vec<Prepared>);

impl Listeners {
    /// No listener yet. `inherited` are sockets that the service manager opened (systemd socket activation).
    #[must_use]
    pub fn new(gateway: Arc<Gateway>, workers: Workers, inherited: Vec<std::net::TcpListener>) -> Arc<Self> {
        let listeners = Arc::new(Listeners {
            gateway,
            workers: Arc::new(workers),
            running: Mutex::new(HashMap::new()),
            inherited: Mutex::new(inherited),
        });
        tokio::spawn(watch_certificates(Arc::downgrade(&listeners)));
        listeners
    }

    /// Opens and checks what `specs` need beyond what runs already.
    ///
    /// # Errors
    /// A port is taken, a certificate unusable: one sentence for the operator; nothing has changed.
    pub fn prepare(&self, specs: &[ListenerSpec]) -> Result<Plan, String> {
        // `[::]` takes IPv4 connections, too, unless another listener is there for them.
        let only_v6 = |spec: &ListenerSpec| {
            let twin = |other: &ListenerSpec| {
                other.address.is_ipv4()
                    && other.address.port() == spec.address.port()
                    && both_unspecified(other.address, spec.address)
            };
            spec.address.is_ipv6() && specs.iter().any(twin)
        };
        specs.iter().map(|spec| self.prepare_one(spec, only_v6(spec))).collect::<Result<_, _>>().map(Plan)
    }

    fn prepare_one(&self, spec: &ListenerSpec, only_v6: bool) -> Result<Prepared, String> {
        let running = self.running.lock();
        let old = running.get(&spec.address);
        let (tls, certificates, trust) = match &spec.tls {
            None => (None, None, None),
            Some(tls) => {
                let same = |old: &TlsSpec| old.certificates == tls.certificates;
                let kept = old
                    .filter(|o| o.spec.tls.as_ref().is_some_and(same))
                    .and_then(|o| o.certificates.clone());
                let certificates = match kept {
                    Some(certificates) => certificates,
                    None => Certificates::load(&tls.certificates)?,
                };
                let trust = match tls.client_auth {
                    ClientAuth::Off => None,
                    ClientAuth::Optional | ClientAuth::Required => Some(ClientTrust::load(tls)?),
                };
                // Open connections look at the listener's own, which lives as long as it does.
                let trust = trust.map(|newer| {
                    let own = old.and_then(|old| old.trust.clone()).unwrap_or_else(|| Arc::clone(&newer));
                    (own, newer)
                });
                let config =
                    tls::server_config(tls, Arc::clone(&certificates), trust.as_ref().map(|(own, _)| own))?;
                let trusted = trust.as_ref().map(|(own, _)| Arc::clone(own));
                (Some(Secured { config, trust: trusted }), Some(certificates), trust)
            }
        };
        let context =
            Context { tls, redirect_to: spec.redirect_to_https, proxy_protocol: spec.proxy_protocol };
        let socket = if old.is_some() { None } else { Some(self.bind(spec.address, only_v6)?) };
        Ok(Prepared { spec: spec.clone(), context, certificates, trust, socket })
    }

    fn bind(&self, address: SocketAddr, only_v6: bool) -> Result<TcpListener, String> {
        let inherited = {
            let mut inherited = self.inherited.lock();
            let same = |a: SocketAddr| {
                // A socket bound to `[::]` takes connections to `0.0.0.0`, too, as service managers open it.
                a.port() == address.port() && a.is_ipv6() && both_unspecified(a, address)
            };
            let exact = |a: SocketAddr| a == address;
            let find = |is: &dyn Fn(SocketAddr) -> bool| {
                inherited.iter().position(|socket| socket.local_addr().is_ok_and(is))
            };
            let at = find(&exact).or_else(|| find(&same));
            at.map(|at| inherited.swap_remove(at))
        };
        if let Some(socket) = inherited {
            let ready = socket.set_nonblocking(true).and_then(|()| TcpListener::from_std(socket));
            return ready.map_err(|e| format!("cannot use the inherited socket for `{address}`: {e}"));
        }
        bind(address, only_v6).map_err(|error| {
            let help = match error.kind() {
                io::ErrorKind::AddrInUse => {
                    "another process listens there; stop it or choose another address"
                }
                io::ErrorKind::PermissionDenied => {
                    "ports below 1024 need the right to bind them; choose a higher one"
                }
                io::ErrorKind::AddrNotAvailable => "this machine has no such address",
                _ => "choose another address",
            };
            format!("cannot listen on `{address}`: {error}; {help}")
        })
    }

    /// Puts a plan in force: new listeners accept, changed ones serve new connections by their new settings, others stop
    /// accepting. Running connections go on.
    pub fn commit(&self, Plan(prepared): Plan) {
        let mut running = self.running.lock();
        let keep: Vec<SocketAddr> = prepared.iter().map(|p| p.spec.address).collect();
        running.retain(|address, listener| {
            let kept = keep.contains(address);
            if !kept {
                listener.stop.send_replace(true);
            }
            kept
        });
        for Prepared { spec, context, certificates, trust, socket } in prepared {
            if let Some((own, newer)) = &trust
                && !Arc::ptr_eq(own, newer)
            {
                own.adopt(newer);
                self.gateway.kicks.announce();
            }
            let trust = trust.map(|(own, _)| own);
            if let Some(old) = running.get_mut(&spec.address) {
                old.context.store(Arc::new(context));
                old.spec = spec;
                old.certificates = certificates;
                old.trust = trust;
                continue;
            }
            let Some(socket) = socket else { continue };
            let bound = socket.local_addr().unwrap_or(spec.address);
            let context = Arc::new(ArcSwap::from_pointee(context));
            let (stop, stopped) = watch::channel(false);
            tokio::spawn(accept(
                Arc::clone(&self.gateway),
                Arc::clone(&self.workers),
                socket,
                Arc::clone(&context),
                stopped,
            ));
            running.insert(spec.address, Running { bound, spec, context, certificates, trust, stop });
        }
    }

    /// Where connections are accepted, with the ports that were really bound.
    #[must_use]
    pub fn addresses(&self) -> Vec<(SocketAddr, bool)> {
        let mut all: Vec<_> = self.running.lock().values().map(|l| (l.bound, l.spec.tls.is_some())).collect();
        all.sort();
        all
    }

    /// Stops accepting everywhere.
    pub fn close(&self) {
        for (_, listener) in self.running.lock().drain() {
            listener.stop.send_replace(true);
        }
    }
}

fn both_unspecified(a: SocketAddr, b: SocketAddr) -> bool {
    a.ip().is_unspecified() && b.ip().is_unspecified()
}

fn bind(address: SocketAddr, only_v6: bool) -> io::Result<TcpListener> {
    let socket = if address.is_ipv4() { TcpSocket::new_v4()? } else { TcpSocket::new_v6()? };
    socket.set_reuseaddr(true)?;
    if only_v6 {
        socket2::SockRef::from(&socket).set_only_v6(true)?;
    }
    socket.bind(address)?;
    socket.listen(BACKLOG)
}

async fn accept(
    gateway: Arc<Gateway>,
    workers: Arc<Workers>,
    socket: TcpListener,
    context: Arc<ArcSwap<Context>>,
    mut stopped: watch::Receiver<bool>,
) {
    loop {
        let accepted = tokio::select! {
            accepted = socket.accept() => accepted,
            _ = stopped.changed() => return,
        };
        match accepted {
            Ok((stream, peer)) => {
                let context = Context::clone(&context.load());
                workers.give(&gateway, context, stream, peer).await;
            }
            Err(error) => {
                tracing::warn!(%error, "accept failed");
                tokio::time::sleep(ACCEPT_PAUSE).await;
            }
        }
    }
}

async fn watch_certificates(listeners: std::sync::Weak<Listeners>) {
    let mut ticks = tokio::time::interval(CERTIFICATES_EVERY);
    loop {
        ticks.tick().await;
        let Some(listeners) = listeners.upgrade() else { return };
        let all: Vec<_> = listeners.running.lock().values().filter_map(|l| l.certificates.clone()).collect();
        for certificates in all {
            let refreshed = tokio::task::spawn_blocking(move || certificates.refresh()).await;
            match refreshed {
                Ok(Ok(true)) => tracing::info!("certificates were read again"),
                Ok(Err(error)) => {
                    tracing::warn!(%error, "new certificates cannot be used: the old ones serve on")
                }
                Ok(Ok(false)) | Err(_) => {}
            }
        }
    }
}
