//! Connections: how many, and how long each may take to say what it wants and to hear the answer.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::{Service, service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::server::graceful::GracefulShutdown;
use hyper_util::service::TowerToHyperService;
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::sync::{Notify, Semaphore};
use tokio::task::AbortHandle;
use tokio_io_timeout::TimeoutStream;

use super::limits::{BUFFER, Limits};
use super::routes::Server;

/// Bytes that the system may hold for a client that does not read.
const SEND_BUFFER: u32 = 64 << 10;
/// Connections that the system lets wait.
const BACKLOG: u32 = 1024;
/// Header lines of a request.
const HEADERS: usize = 64;

/// Closes the connection that a request came by.
#[derive(Clone, Debug, Default)]
pub struct Late(Arc<Notify>);

impl Late {
    /// Does so after a time, unless the result is dropped before. A client that takes a byte now and then is never late
    /// by the time-out of writes; and while it takes none, nobody asks the answer for more.
    pub fn after(&self, time: Duration) -> Timer {
        let late = Arc::clone(&self.0);
        let wait = async move {
            tokio::time::sleep(time).await;
            late.notify_one();
        };
        Timer(tokio::spawn(wait).abort_handle())
    }
}

/// A time that runs until it is dropped.
#[derive(Debug)]
pub struct Timer(AbortHandle);

impl Drop for Timer {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// Listens at `address`.
///
/// # Errors
/// The system does not allow it: someone else does, say.
pub fn listen(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = if address.is_ipv4() { TcpSocket::new_v4() } else { TcpSocket::new_v6() }?;
    // an address of a moment ago can be had again; elsewhere this would let two servers have one
    #[cfg(unix)]
    socket.set_reuseaddr(true)?;
    // connections have it from here
    socket.set_send_buffer_size(SEND_BUFFER)?;
    socket.bind(address)?;
    socket.listen(BACKLOG)
}

/// Serves connections until `stop` is notified, and answers that were begun by then for a while longer.
pub async fn serve(listener: TcpListener, router: Router, server: Arc<Server>, stop: &Notify) {
    let room = Arc::new(Semaphore::new(server.limits.connections));
    let graceful = GracefulShutdown::new();
    loop {
        let accepted = async {
            // who comes when there is none waits with the system
            let place = Arc::clone(&room).acquire_owned().await;
            (place, listener.accept().await)
        };
        let (place, accepted) = tokio::select! {
            accepted = accepted => accepted,
            () = stop.notified() => break,
        };
        let (Ok(place), Ok((stream, _))) = (place, accepted) else {
            // too many open files, say
            tokio::time::sleep(Duration::from_millis(100)).await;
            continue;
        };
        let (router, late) = (TowerToHyperService::new(router.clone()), Late::default());
        let asked = late.clone();
        let service = service_fn(move |mut request: hyper::Request<Incoming>| {
            request.extensions_mut().insert(asked.clone());
            router.call(request)
        });
        let connection =
            protocol(&server.limits).serve_connection(TokioIo::new(timed(stream, &server.limits)), service);
        let connection = graceful.watch(connection);
        let server = Arc::clone(&server);
        tokio::spawn(async move {
            let (_place, _open) = (place, server.metrics.connection());
            tokio::select! {
                // whoever breaks it off has what he wanted
                _ = connection => {}
                () = late.0.notified() => {}
            }
        });
    }
    drop(listener);
    let _ = tokio::time::timeout(server.limits.grace, graceful.shutdown()).await;
}

fn protocol(limits: &Limits) -> http1::Builder {
    let mut protocol = http1::Builder::new();
    protocol.timer(TokioTimer::new()).header_read_timeout(limits.receive).max_buf_size(BUFFER).max_headers(HEADERS);
    protocol
}

/// A connection that fails when nobody takes what is written to it.
fn timed(stream: TcpStream, limits: &Limits) -> std::pin::Pin<Box<TimeoutStream<TcpStream>>> {
    // an event is sent when it is there
    let _ = stream.set_nodelay(true);
    let mut stream = TimeoutStream::new(stream);
    stream.set_write_timeout(Some(limits.write));
    Box::pin(stream)
}
