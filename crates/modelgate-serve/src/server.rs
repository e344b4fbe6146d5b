//! Connections: accepted up to a number, each with a time for its headers, TLS where it is set up, and an end that lets
//! requests under way finish.

use std::convert::Infallible;
use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use axum::body::Body;
use axum::http::{HeaderName, HeaderValue, Request, StatusCode, Version, header};
use axum::response::IntoResponse;
use hyper::body::Incoming;
use hyper_util::rt::TokioIo;
use hyper_util::server::graceful::GracefulShutdown;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::Semaphore;
use tokio_io_timeout::TimeoutStream;
use tokio_rustls::TlsAcceptor;
use tower::{Layer, Service};
use tower_http::normalize_path::{NormalizePath, NormalizePathLayer};

use crate::catalog::Catalog;
use crate::error::ServeError;
use crate::garbled::Ungarbled;
use crate::http::unread::Unread;
use crate::http::{App, router};
use crate::patience::Patience;
use crate::refusal::Refusal;
use crate::reload::Reloader;
use crate::rollout::Mirror;
use crate::settings::{Limits, Settings};
use crate::signals::{Signal, Signals};
use crate::source::Source;
use crate::telemetry::talk::{self, info, warn};
use crate::telemetry::{Log, Metrics, Tracer};
use crate::tls::Certificate;

/// Bytes of the first line and the headers of a request at most.
pub(crate) const LARGEST_HEAD: usize = 64 << 10;
/// How often it is told that there are as many connections as may be.
const FULL_PAUSE: Duration = Duration::from_secs(60);

type Paths = NormalizePath<axum::Router>;

/// What a service tells once it listens.
#[derive(Clone, PartialEq, Debug)]
pub struct Started {
    /// Where it listens; the port is the real one where 0 was asked for.
    pub address: SocketAddr,
    /// Whether it speaks TLS.
    pub tls: bool,
}

/// How a service ended that ran as it should.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Ended {
    /// Requests under way were let finish, or the time for that was over.
    Drained,
    /// A second signal ended it at once: SIGTERM.
    Terminated,
    /// A second signal ended it at once: an interrupt.
    Interrupted,
}

/// Serves until SIGTERM or SIGINT; then lets requests under way finish, unless such a signal comes once more.
///
/// `started` is called once the address is listened on; models may still be loading then.
///
/// # Errors
/// Fails when the address is taken, a file of the settings cannot be used, or, where a model is required, none was there in
/// time.
pub fn serve(
    settings: Settings,
    source: Box<dyn Source>,
    started: impl FnOnce(&Started),
) -> Result<Ended, ServeError> {
    let cache = settings.cache.map(|folder| crate::cache::place(&folder, &source.identity()));
    let settings = Arc::new(Settings { cache, ..settings });
    talk::set(settings.talk);
    if let Some(sentence) = settings.guessable() {
        warn(&sentence);
    }
    let certificate = settings.tls.as_ref().map(Certificate::open).transpose()?;
    let tls = certificate.clone().map(Certificate::acceptor).transpose()?;
    let listen = |source| ServeError::Listen { address: settings.address, source };
    let listener = TcpListener::bind(settings.address).map_err(listen)?;
    listener.set_nonblocking(true)?;
    let (metrics, catalog) = (Arc::new(Metrics::new()), Arc::new(Catalog::new(settings.cache.as_deref())));
    let (log, farewell) = Log::start(&settings.log, Arc::clone(&metrics))?.unzip();
    let tracer = Arc::new(Tracer::start(settings.traces.as_ref(), &metrics)?);
    let (settings_of, metrics_of) = (Arc::clone(&settings), Arc::clone(&metrics));
    let (catalog_of, tracer_of) = (Arc::clone(&catalog), Arc::clone(&tracer));
    let reloader = Reloader::new(source, catalog_of, settings_of, metrics_of, tracer_of, certificate);
    let reloads = reloader.spawn()?;
    let mirror = Mirror::start(Arc::clone(&metrics), settings.leniency)?;
    let app = App::new(Arc::clone(&settings), catalog, metrics, reloads, log, tracer, mirror);
    let app = Arc::new(app);
    let mut runtime = tokio::runtime::Builder::new_multi_thread();
    if let Some(threads) = settings.threads {
        runtime.worker_threads(threads.max(1));
    }
    let runtime = runtime.thread_name("serve").enable_io().enable_time().build()?;
    let address = listener.local_addr()?;
    let result = runtime.block_on(async {
        let listener = tokio::net::TcpListener::from_std(listener)?;
        started(&Started { address, tls: tls.is_some() });
        run(&app, listener, tls).await
    });
    // What is left after the time for draining is cut off.
    runtime.shutdown_timeout(Duration::from_millis(100));
    if let (Ok(app), Some(farewell)) = (Arc::try_unwrap(app).map_err(|_| ()), farewell)
        && !matches!(result, Ok(Ended::Terminated | Ended::Interrupted))
    {
        drop(app);
        farewell.wait();
    }
    if matches!(result, Ok(Ended::Drained)) {
        info("stopped");
    }
    result
}

async fn run(
    app: &Arc<App>,
    listener: tokio::net::TcpListener,
    tls: Option<TlsAcceptor>,
) -> Result<Ended, ServeError> {
    let graceful = GracefulShutdown::new();
    let mut signals = Signals::listen(app.reloads.clone());
    let result = tokio::select! {
        result = ending(app, &mut signals) => result,
        never = accept(app, &listener, tls, &graceful) => match never {},
    };
    // Or the system would go on taking connections that nobody answers.
    drop(listener);
    if matches!(result, Ok(Ended::Terminated | Ended::Interrupted)) {
        return result;
    }
    tokio::select! {
        drained = tokio::time::timeout(app.settings.limits.drain_timeout, graceful.shutdown()) => {
            if drained.is_err() {
                warn("requests were still under way when the time for draining was over");
            }
            result
        }
        signal = signals.next() => result.map(|_| cut(app, signal)),
    }
}

/// Accepts connections, as many at a time as may be open.
async fn accept(
    app: &Arc<App>,
    listener: &tokio::net::TcpListener,
    tls: Option<TlsAcceptor>,
    graceful: &GracefulShutdown,
) -> Infallible {
    let paths = NormalizePathLayer::trim_trailing_slash().layer(router(Arc::clone(app)));
    let limits = &app.settings.limits;
    let slots = Arc::new(Semaphore::new(limits.connections.clamp(1, Semaphore::MAX_PERMITS)));
    let mut told: Option<Instant> = None;
    loop {
        if slots.available_permits() == 0 {
            app.metrics.connections_full.inc();
            if told.is_none_or(|told| told.elapsed() >= FULL_PAUSE) {
                told = Some(Instant::now());
                let open = limits.connections;
                warn(&format!(
                    "{open} connections are open, as many as --max-connections allows: others wait"
                ));
            }
        }
        // The semaphore is never closed.
        let slot = Arc::clone(&slots).acquire_owned().await.ok();
        match listener.accept().await {
            Ok((stream, peer)) => {
                let _ = stream.set_nodelay(true);
                let connection = Connection { app: Arc::clone(app), paths: paths.clone(), peer };
                let (tls, watcher) = (tls.clone(), graceful.watcher());
                tokio::spawn(async move {
                    let _slot = slot;
                    connection.app.metrics.connections.inc();
                    let metrics = Arc::clone(&connection.app.metrics);
                    match tls {
                        None => connection.serve(stream, watcher).await,
                        Some(tls) => {
                            let patience = connection.app.settings.limits.header_timeout;
                            if let Ok(Ok(stream)) = tokio::time::timeout(patience, tls.accept(stream)).await {
                                connection.serve(stream, watcher).await;
                            }
                        }
                    }
                    metrics.connections.dec();
                });
            }
            Err(error) => {
                // Out of file descriptors, most likely: wait for connections to end.
                warn(&format!("a connection cannot be accepted: {error}"));
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
        }
    }
}

struct Connection {
    app: Arc<App>,
    paths: Paths,
    peer: SocketAddr,
}

impl Connection {
    async fn serve<S>(self, stream: S, watcher: hyper_util::server::graceful::Watcher)
    where
        S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let Self { app, paths, peer } = self;
        let served = Arc::clone(&app);
        let unread = Unread::default();
        let service = hyper::service::service_fn(move |mut request: Request<Incoming>| {
            let (app, mut paths, unread) = (Arc::clone(&served), paths.clone(), unread.clone());
            async move {
                let caller = Arc::new(app.caller(request.headers(), peer.ip()));
                request.extensions_mut().insert(Arc::clone(&caller));
                let asked = request.uri().clone();
                let answer = |request: Request<Body>| async move {
                    if head_bytes(&request) > LARGEST_HEAD {
                        return Ok(
                            Refusal::of_head(StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE).into_response()
                        );
                    }
                    if !names_one_host(&request) {
                        let sentence = "a request of HTTP/1.1 has one header `Host`";
                        return Ok(Refusal::malformed(sentence).into_response());
                    }
                    paths.call(request).await
                };
                let response = unread.around(request, &app.settings.limits, answer).await?;
                Ok::<_, Infallible>(app.sent(response, &caller, &asked))
            }
        });
        let Limits { header_timeout, idle_timeout, write_timeout, .. } = app.settings.limits;
        let patience = Patience::new(header_timeout, idle_timeout);
        let stream = patience.over(stream);
        let mut connection = hyper::server::conn::http1::Builder::new();
        // How long a head is waited for is the timer's to say.
        connection.timer(patience).header_read_timeout(idle_timeout).max_buf_size(LARGEST_HEAD);
        // Who has sent all that it wants to send may say so, and still waits for its answer.
        connection.half_close(true);
        let stream = Ungarbled::new(stream, move |status| app.garbled(status, peer.ip()));
        // Who takes nothing of its answer keeps the answer here.
        let mut stream = TimeoutStream::new(stream);
        stream.set_write_timeout(Some(write_timeout));
        let connection = connection.serve_connection(TokioIo::new(Box::pin(stream)), service);
        // A connection that breaks off is the caller's to notice.
        let _ = watcher.watch(connection).await;
    }
}

/// Returns the bytes of a head. hyper has a limit of its own, which is that of its buffer: a head that comes in few pieces
/// may be twice as large before it says so.
fn head_bytes<B>(request: &Request<B>) -> usize {
    let line = request.uri().path().len() + request.uri().query().map_or(0, str::len);
    let header = |(name, value): (&HeaderName, &HeaderValue)| name.as_str().len() + value.len() + 4;
    line + request.headers().iter().map(header).sum::<usize>()
}

/// Returns whether a request says where it goes as RFC 9112 wants it, section 3.2: what stands between may have gone by
/// another of two hosts.
fn names_one_host<B>(request: &Request<B>) -> bool {
    let mut hosts = request.headers().get_all(header::HOST).iter();
    let (first, second) = (hosts.next(), hosts.next());
    second.is_none() && (first.is_some() || request.version() < Version::HTTP_11)
}

/// Waits for a signal, or for a model that is required and does not come; then lets callers learn of the end.
async fn ending(app: &Arc<App>, signals: &mut Signals) -> Result<Ended, ServeError> {
    let settings = &app.settings;
    let missing = async {
        if !settings.require_model {
            return std::future::pending().await;
        }
        tokio::time::sleep(settings.startup_timeout).await;
        if app.catalog.served().models.is_empty() {
            let status = app.catalog.status();
            let refused = status.refused.into_values().chain(status.withdrawn.into_values());
            let refused = refused.collect::<Vec<_>>().join("; ");
            let reason = status.last_error.unwrap_or(refused);
            let reason = if reason.is_empty() { "the source has not answered".to_owned() } else { reason };
            return ServeError::NoModel { seconds: settings.startup_timeout.as_secs(), reason };
        }
        std::future::pending().await
    };
    let result = tokio::select! {
        error = missing => Err(error),
        _ = signals.next() => Ok(()),
    };
    app.draining.store(true, Ordering::Relaxed);
    result?;
    let delay = settings.limits.drain_delay;
    let open = match delay.as_secs() {
        0 => String::new(),
        seconds => format!(", others are taken for {seconds} s"),
    };
    info(&format!("draining: {} under way{open}; once more to stop now", under_way(app)));
    if delay.is_zero() {
        return Ok(Ended::Drained);
    }
    tokio::select! {
        // Whoever sends requests here learns from the readiness that it should stop.
        () = tokio::time::sleep(delay) => Ok(Ended::Drained),
        signal = signals.next() => Ok(cut(app, signal)),
    }
}

/// A second signal: what is under way is not waited for.
fn cut(app: &App, signal: Signal) -> Ended {
    warn(&format!("stopped at once: {} cut off", under_way(app)));
    match signal {
        Signal::Terminate => Ended::Terminated,
        Signal::Interrupt => Ended::Interrupted,
    }
}

fn under_way(app: &App) -> String {
    match app.metrics.in_flight.get() {
        1 => "1 request".to_owned(),
        requests => format!("{requests} requests"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_head_is_as_large_as_its_line_and_its_headers() {
        let request = |bytes: usize| {
            let request = Request::get("/a?b=c").header("x-long", "x".repeat(bytes));
            head_bytes(&request.body(()).expect("a request"))
        };
        assert_eq!((request(0), request(70_000)), (15, 70_015));
    }

    #[test]
    fn a_request_names_one_host() {
        for (version, hosts, good) in [
            (Version::HTTP_11, &["a"][..], true),
            (Version::HTTP_11, &[], false),
            (Version::HTTP_11, &["a", "b"], false),
            (Version::HTTP_10, &[], true),
            (Version::HTTP_10, &["a", "a"], false),
        ] {
            let mut request = Request::get("/").version(version);
            for host in hosts {
                request = request.header(header::HOST, *host);
            }
            assert_eq!(names_one_host(&request.body(()).expect("a request")), good, "{version:?} {hosts:?}");
        }
    }
}
