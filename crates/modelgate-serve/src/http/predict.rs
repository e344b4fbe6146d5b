//! The paths that predict: one way for all of them, with a reader and a writer for each form.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use axum::body::Body;
use axum::extract::State;
use axum::http::{HeaderMap, HeaderValue, Request, StatusCode, header};
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use modelgate_core::schema::FeatureType;
use modelgate_model::Prediction;
use prometheus_client::metrics::gauge::Gauge;

use super::App;
use super::body::{self, Form};
use super::extract::{Named, Which};
use super::ids::Caller;
use super::versions;
use crate::answer;
use crate::catalog::Served;
use crate::caught::caught;
use crate::refusal::{Problem, Refusal};
use crate::request::rows::{Batch, Rows};
use crate::request::{csv, mlflow, native};
use crate::rollout::{self, Asker, Canary, Chosen, Mirror, Mirrored, TRACK_HEADER, Track};
use crate::served::{ServedModel, overflown};
use crate::telemetry::{Answered, Attribute, REQUEST, Route};

/// Rows times trees from which a prediction moves out of the way of other requests; about a millisecond.
const HEAVY: usize = 50_000;
/// Bytes of a body from which reading it moves out of the way too.
const LARGE: usize = 256 << 10;

/// What a request asks for.
pub(crate) struct Asked {
    pub(crate) route: Route,
    /// The model; the only one when none is named.
    pub(crate) name: Option<String>,
    /// A version that must be the one served.
    pub(crate) version: Option<String>,
}

/// What a model is told to do with rows that were read.
pub(crate) struct Reading<'a> {
    pub(crate) app: &'a App,
    pub(crate) model: &'a Arc<ServedModel>,
    /// The canary beside what is in production, if there is one.
    pub(crate) canary: Option<&'a Arc<Canary>>,
    pub(crate) form: Form,
    pub(crate) body: &'a Bytes,
    pub(crate) log: &'a Caller,
}

impl Reading<'_> {
    /// Returns a reader of rows for the model.
    pub(crate) fn rows(&self) -> Rows<'_> {
        self.rows_up_to(usize::MAX)
    }

    /// As [`Self::rows`], for a path that takes fewer rows than others.
    pub(crate) fn rows_up_to(&self, most: usize) -> Rows<'_> {
        let settings = &self.app.settings;
        Rows::new(&self.model.inputs, settings.leniency, settings.limits.batch_rows.min(most))
    }

    pub(crate) fn types(&self) -> Vec<FeatureType> {
        self.model.features().iter().map(|feature| feature.feature_type).collect()
    }

    /// Counts what is unusual and answered all the same.
    pub(crate) fn flag(&self, batch: &Batch) {
        for (reason, cells) in &batch.flagged {
            self.app.metrics.flagged(self.model, reason, *cells);
        }
    }

    /// Predicts, counts and logs.
    pub(crate) fn predict(&self, batch: &Batch) -> Result<Prediction, Refusal> {
        let Self { app, model, .. } = self;
        self.flag(batch);
        let log = app.log.as_ref().filter(|log| log.wants(self.log.random));
        let mirror = self
            .canary
            .filter(|canary| model.track == Track::Stable && Mirror::wants(canary.shadow, self.log.random));
        let (began, began_at) = (Instant::now(), SystemTime::now());
        let work = || model.predict(&batch.columns, batch.rows);
        let prediction = if batch.rows.saturating_mul(model.cost) > HEAVY {
            tokio::task::block_in_place(work)
        } else {
            work()
        };
        let prediction = answered(prediction, batch.rows)?;
        model.meters.predicted(&prediction, batch.rows, began.elapsed());
        if let Some(trace) = self.log.trace {
            let rows = || vec![("modelgate.rows", Attribute::Number(batch.rows as i64))];
            app.tracer.end(app.tracer.below(Some(trace)), "predict", began_at, rows, None);
        }
        if let Some(canary) = self.canary {
            canary.tallies.of(model.track).predicted(&prediction, batch.rows);
        }
        if let Some(canary) = mirror {
            let (canary, stable) = (Arc::clone(canary), Arc::clone(model));
            let (columns, rows, answer) = (batch.columns.clone(), batch.rows, prediction.clone());
            app.mirror.send(Mirrored { canary, stable, columns, rows, answer });
        }
        if let Some(log) = log {
            log.write(&Answered {
                model,
                columns: &batch.columns,
                prediction: &prediction,
                correlation_id: &self.log.id,
                trace: self.log.trace,
                time: jiff::Timestamp::now(),
            });
        }
        Ok(prediction)
    }
}

/// Returns the answer of a model to rows that were checked. What fails now is not the caller's doing, but for a row with which a
/// model cannot compute: no answer is better than one that is no number.
pub(super) fn answered(prediction: Result<Prediction, String>, rows: usize) -> Result<Prediction, Refusal> {
    let prediction = prediction.map_err(Refusal::internal)?;
    let Some(row) = overflown(&prediction, rows) else { return Ok(prediction) };
    let problem = Problem {
        row: Some(row),
        feature: None,
        reason: "not_finite",
        expected: "numbers that the model can compute with".to_owned(),
        got: "some so large that its answer is no finite number",
    };
    Err(Refusal::of_problems(vec![problem], 0))
}

/// Does the work of an answer; what breaks off in it is an answer too, and counted as one: a canary is judged by it.
fn whole<T>(work: impl FnOnce() -> Result<T, Refusal>) -> Result<T, Refusal> {
    caught(work).unwrap_or_else(|_| Err(Refusal::internal("something went wrong here")))
}

/// Counts a request as being answered while it lives, also when answering it panics.
struct InFlight<'a>(&'a Gauge);

impl<'a> InFlight<'a> {
    fn new(gauge: &'a Gauge) -> Self {
        gauge.inc();
        Self(gauge)
    }
}

impl Drop for InFlight<'_> {
    fn drop(&mut self) {
        self.0.dec();
    }
}

/// Answers a request: admits it, reads its body, finds the model, and lets `work` make the answer.
pub(crate) async fn answer<F>(app: &App, asked: Asked, request: Request<Body>, work: F) -> Response
where
    F: FnOnce(&Reading<'_>) -> Result<String, Refusal>,
{
    let (began, began_at) = (Instant::now(), SystemTime::now());
    let _in_flight = InFlight::new(&app.metrics.in_flight);
    let (parts, body) = request.into_parts();
    let Some(caller) = parts.extensions.get::<Arc<Caller>>() else {
        return Refusal::internal("who asks is not known").into_response();
    };
    let mut chosen = None;
    let result = match app.admit(&parts.headers, caller.address) {
        Ok(()) => {
            let csv = asked.route == Route::Invocations;
            body::read(body, &parts.headers, csv, &app.settings.limits, &app.body_room).await
        }
        Err(refusal) => Err(refusal),
    };
    let result = result.and_then(|taken| {
        // Only now: a body that comes slowly keeps nobody else out.
        let _permit = app.begin()?;
        let found = find(app, &asked, &parts.headers, caller.address)?;
        let Chosen { model, canary } = chosen.insert(found);
        let (form, body) = (taken.form, &taken.bytes);
        let reading = Reading { app, model, canary: canary.as_ref(), form, body, log: caller };
        let work = || whole(|| work(&reading));
        if body.len() > LARGE { tokio::task::block_in_place(work) } else { work() }
    });
    let chosen = chosen.as_ref();
    let model = chosen.map(|chosen| &chosen.model);
    let mut response = match result {
        Ok(text) => {
            if let Some(Chosen { model, canary }) = chosen {
                let took = began.elapsed();
                app.metrics.answered(model, asked.route, took);
                if let Some(canary) = canary {
                    canary.tallies.of(model.track).answered(took);
                }
            }
            json(text)
        }
        Err(refusal) => {
            count(app, chosen, asked.route, &refusal, began.elapsed());
            refusal.response(&caller.id)
        }
    };
    if let Some(model) = model {
        name_version(&mut response, model);
    }
    if caller.trace.is_some() {
        let status = response.status();
        let about = || attributes(asked.route, status.as_u16(), model.map(AsRef::as_ref), &caller.id);
        let failure = status.canonical_reason().filter(|_| status.is_server_error());
        app.tracer.end(caller.trace, REQUEST, began_at, about, failure);
    }
    response
}

fn attributes(
    route: Route,
    status: u16,
    model: Option<&ServedModel>,
    id: &str,
) -> Vec<(&'static str, Attribute)> {
    let text = |text: &str| Attribute::Text(text.to_owned());
    let mut about = vec![
        ("http.request.method", text("POST")),
        ("http.route", text(route.name())),
        ("http.response.status_code", Attribute::Number(status.into())),
        ("modelgate.correlation_id", text(id)),
    ];
    if let Some(model) = model {
        about.push(("modelgate.model", text(model.name())));
        about.push(("modelgate.version", text(&model.offer.version)));
        about.push(("modelgate.digest", text(&model.offer.digest.to_string())));
    }
    about
}

/// Puts the version that an answer comes from into its headers.
pub(crate) fn name_version(response: &mut Response, model: &ServedModel) {
    response.headers_mut().insert(TRACK_HEADER, model.track.header());
    versions::name(response.headers_mut(), model);
}

fn count(app: &App, chosen: Option<&Chosen>, route: Route, refusal: &Refusal, took: Duration) {
    let code = refusal.status.as_u16();
    if let Some(Chosen { model, canary: Some(canary) }) = chosen {
        canary.tallies.of(model.track).refused(code);
    }
    app.metrics.refused(chosen.map(|chosen| chosen.model.as_ref()), route, code, refusal.reason(), took);
}

pub(crate) fn json(text: impl Into<Body>) -> Response {
    ([(header::CONTENT_TYPE, HeaderValue::from_static("application/json"))], text.into()).into_response()
}

/// Refuses a model that is not served, for a while where none is loaded yet.
pub(crate) fn present(app: &App, served: &Served, name: Option<&str>) -> Result<(), Refusal> {
    if served.models.is_empty() {
        let refusal = Refusal::new(StatusCode::SERVICE_UNAVAILABLE, "no_model", "no model is loaded yet");
        return Err(Refusal { retry_after: Some(2), ..refusal });
    }
    served.find(name).map(|_| ()).map_err(|sentence| absent(app, name, sentence))
}

/// Refuses one model: if it ought to be served it may come back.
fn absent(app: &App, name: Option<&str>, sentence: String) -> Refusal {
    let status = app.catalog.status();
    if name.is_none_or(|name| status.absent(name).is_none()) {
        return Refusal::not_found(sentence);
    }
    let sentence = "this model cannot be served now; /health says why";
    let refusal = Refusal::new(StatusCode::SERVICE_UNAVAILABLE, "no_model", sentence);
    Refusal { retry_after: Some(30), ..refusal }
}

/// Finds the model that is asked for, and which of its versions answers.
fn find(app: &App, asked: &Asked, headers: &HeaderMap, address: IpAddr) -> Result<Chosen, Refusal> {
    let served = app.catalog.served();
    let name = asked.name.as_deref();
    present(app, &served, name)?;
    let asker = Asker {
        headers,
        key_header: app.key_header.as_ref(),
        correlation_header: app.ids.header(),
        address: Some(address),
    };
    rollout::choose(&served, name, asked.version.as_deref(), Some(&asker))
}

fn native_answer(reading: &Reading<'_>) -> Result<String, Refusal> {
    let batch = native::read(reading.body, reading.rows(), true)?;
    let prediction = reading.predict(&batch)?;
    Ok(answer::native(reading.model, &prediction, &batch))
}

/// `POST /predict/{name}`.
pub(crate) async fn named(
    State(app): State<Arc<App>>,
    Named(name): Named<String>,
    which: Which,
    request: Request<Body>,
) -> Response {
    if let Err(refusal) = which.agrees(&name) {
        return refusal.into_response();
    }
    let asked = Asked { route: Route::Predict, name: Some(name), version: None };
    answer(&app, asked, request, native_answer).await
}

/// `POST /predict`.
pub(crate) async fn only(State(app): State<Arc<App>>, which: Which, request: Request<Body>) -> Response {
    let asked = Asked { route: Route::Predict, name: which.model, version: None };
    answer(&app, asked, request, native_answer).await
}

/// `POST /api/predict`.
pub(crate) async fn api(State(app): State<Arc<App>>, which: Which, request: Request<Body>) -> Response {
    let asked = Asked { route: Route::ApiPredict, name: which.model, version: None };
    let work = |reading: &Reading<'_>| {
        let batch = native::read(reading.body, reading.rows(), false)?;
        if batch.rows != 1 {
            return Err(Refusal::malformed("this path takes one row; /predict takes more"));
        }
        let prediction = reading.predict(&batch)?;
        Ok(answer::api(reading.model, &prediction, &batch))
    };
    answer(&app, asked, request, work).await
}

/// `POST /invocations`.
pub(crate) async fn invocations(
    State(app): State<Arc<App>>,
    which: Which,
    request: Request<Body>,
) -> Response {
    let asked = Asked { route: Route::Invocations, name: which.model, version: None };
    let work = |reading: &Reading<'_>| {
        let batch = match reading.form {
            Form::Json => mlflow::read_json(reading.body, reading.rows())?,
            Form::Csv => csv::read_csv(reading.body, &reading.types(), reading.rows())?,
        };
        let prediction = reading.predict(&batch)?;
        Ok(answer::mlflow(reading.model, &prediction, batch.rows))
    };
    answer(&app, asked, request, work).await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_that_breaks_off_is_an_error_of_the_service() {
        assert_eq!(whole(|| Ok(1)).expect("an answer"), 1);
        let refused = whole::<()>(|| Err(Refusal::malformed("no rows"))).expect_err("refused");
        assert_eq!(refused.status, StatusCode::BAD_REQUEST);
        let broken = whole::<()>(|| panic!("a fault of ours")).expect_err("broken");
        assert_eq!((broken.status, broken.code), (StatusCode::INTERNAL_SERVER_ERROR, "internal_error"));
        assert!(!broken.message.contains("ours"), "{}", broken.message);
    }
}
