//! Connections: accepted up to a number, each with a time for its headers, TLS where it is set up, and an end that lets
//! requests under way finish.

use std::convert::Infallible;
use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use axum::body::Body;
use axum::http::Request;
use hyper::body::Incoming;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::server::graceful::GracefulShutdown;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::Semaphore;
use tokio_io_timeout::TimeoutStream;
use tokio_rustls::TlsAcceptor;
use tower::{Layer, Service};
use tower_http::normalize_path::{NormalizePath, NormalizePathLayer};

use crate::catalog::{Catalog, Outcome};
use crate::error::ServeError;
use crate::http::{App, body, router};
use crate::reload::Reloader;
use crate::rollout::Mirror;
use crate::settings::Settings;
use crate::source::Source;
use crate::telemetry::talk::{self, info, warn};
use crate::telemetry::{Log, Metrics, Tracer};
use crate::tls::acceptor;

type Paths = NormalizePath<axum::Router>;

/// What a service tells once it listens.
#[derive(Clone, PartialEq, Debug)]
pub struct Started {
    /// Where it listens; the port is the real one where 0 was asked for.
    pub address: SocketAddr,
    /// Whether it speaks TLS.
    pub tls: bool,
}

/// Serves until SIGTERM or SIGINT; then lets requests under way finish.
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
) -> Result<(), ServeError> {
    let cache = settings.cache.map(|folder| crate::cache::place(&folder, &source.identity()));
    let settings = Arc::new(Settings { cache, ..settings });
    talk::set(settings.talk);
    let tls = settings.tls.as_ref().map(acceptor).transpose()?;
    let listen = |source| ServeError::Listen { address: settings.address, source };
    let listener = TcpListener::bind(settings.address).map_err(listen)?;
    listener.set_nonblocking(true)?;
    let (metrics, catalog) = (Arc::new(Metrics::new()), Arc::new(Catalog::new(settings.cache.as_deref())));
    let (log, farewell) = Log::start(&settings.log, Arc::clone(&metrics))?.unzip();
    let tracer = Arc::new(Tracer::start(settings.traces.as_ref(), &metrics)?);
    let (settings_of, metrics_of) = (Arc::clone(&settings), Arc::clone(&metrics));
    let reloader = Reloader::new(source, Arc::clone(&catalog), settings_of, metrics_of, Arc::clone(&tracer));
    let reloads = reloader.spawn()?;
    let mirror = Mirror::start(Arc::clone(&metrics))?;
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
    if let (Ok(app), Some(farewell)) = (Arc::try_unwrap(app).map_err(|_| ()), farewell) {
        drop(app);
        farewell.wait();
    }
    result
}

async fn run(
    app: &Arc<App>,
    listener: tokio::net::TcpListener,
    tls: Option<TlsAcceptor>,
) -> Result<(), ServeError> {
    let paths = NormalizePathLayer::trim_trailing_slash().layer(router(Arc::clone(app)));
    let limits = &app.settings.limits;
    let slots = Arc::new(Semaphore::new(limits.connections.clamp(1, Semaphore::MAX_PERMITS)));
    let graceful = GracefulShutdown::new();
    let ended = ending(app);
    tokio::pin!(ended);
    let result = loop {
        let slot = Arc::clone(&slots).acquire_owned();
        let accepted = async {
            // The semaphore is never closed.
            let slot = slot.await.ok();
            (slot, listener.accept().await)
        };
        tokio::select! {
            result = &mut ended => break result,
            (slot, accepted) = accepted => match accepted {
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
    };
    // Or the system would go on taking connections that nobody answers.
    drop(listener);
    if tokio::time::timeout(limits.drain_timeout, graceful.shutdown()).await.is_err() {
        warn("requests were still under way when the time for draining was over");
    }
    result
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
        let service = hyper::service::service_fn(move |request: Request<Incoming>| {
            let (app, mut paths) = (Arc::clone(&served), paths.clone());
            async move {
                let (mut request, unread) = body::lend(request.map(Body::new), &app.settings.limits);
                let caller = Arc::new(app.caller(request.headers(), peer.ip()));
                request.extensions_mut().insert(Arc::clone(&caller));
                let asked = request.uri().clone();
                let response = paths.call(request).await?;
                if let Some(unread) = unread {
                    unread.discard(&app.settings.limits).await;
                }
                Ok::<_, Infallible>(app.sent(response, &caller, &asked))
            }
        });
        let mut connection = hyper::server::conn::http1::Builder::new();
        connection
            .timer(TokioTimer::new())
            .header_read_timeout(app.settings.limits.header_timeout)
            .max_buf_size(64 << 10);
        // Who takes nothing of its answer keeps the answer here.
        let mut stream = TimeoutStream::new(stream);
        stream.set_write_timeout(Some(app.settings.limits.write_timeout));
        let connection = connection.serve_connection(TokioIo::new(Box::pin(stream)), service);
        // A connection that breaks off is the caller's to notice.
        let _ = watcher.watch(connection).await;
    }
}

/// Waits for a signal, or for a model that is required and does not come.
async fn ending(app: &Arc<App>) -> Result<(), ServeError> {
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
        () = signal() => Ok(()),
    };
    app.draining.store(true, Ordering::Relaxed);
    if result.is_ok() && !settings.limits.drain_delay.is_zero() {
        // Whoever sends requests here learns from the readiness that it should stop.
        tokio::time::sleep(settings.limits.drain_delay).await;
    }
    result
}

#[cfg(unix)]
async fn signal() {
    use tokio::signal::unix::{SignalKind, signal};
    let (Ok(mut terminate), Ok(mut interrupt)) =
        (signal(SignalKind::terminate()), signal(SignalKind::interrupt()))
    else {
        return std::future::pending().await;
    };
    tokio::select! {
        _ = terminate.recv() => {}
        _ = interrupt.recv() => {}
    }
}

#[cfg(not(unix))]
async fn signal() {
    if tokio::signal::ctrl_c().await.is_err() {
        std::future::pending().await
    }
}

/// What the first look at the source gave, for whoever started the service.
pub(crate) fn first(outcome: &Outcome, catalog: &Catalog) {
    tell_served(catalog);
    if let Outcome::Failed { reason } = outcome {
        warn(reason);
    }
    if catalog.status().from_cache {
        warn("the source was not reached: what is served comes from the cache");
    }
}

/// What is served, for whoever started the service.
pub(crate) fn tell_served(catalog: &Catalog) {
    for model in catalog.served().models.values() {
        let verified = match model.verified {
            crate::served::Verified::Verdict => "its verdict passed",
            crate::served::Verified::Digest => "not verified: nobody judged it",
        };
        info(&format!(
            "serving {} {} ({}; {verified})",
            model.name(),
            model.offer.version,
            model.offer.digest
        ));
    }
}
