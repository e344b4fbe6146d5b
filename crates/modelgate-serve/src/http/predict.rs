//! The paths that predict: one way for all of them, with a reader and a writer for each form.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::body::Body;
use axum::extract::{Path, Query, State};
use axum::http::{HeaderName, HeaderValue, Request, StatusCode, header};
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use modelgate_core::schema::FeatureType;
use modelgate_model::Prediction;
use serde::Deserialize;

use super::App;
use super::body::{self, Form};
use crate::answer;
use crate::refusal::Refusal;
use crate::request::rows::{Batch, Rows};
use crate::request::{mlflow, native};
use crate::served::ServedModel;
use crate::telemetry::{Entry, Route};

/// Rows times trees from which a prediction moves out of the way of other requests; about a millisecond.
const HEAVY: usize = 50_000;

/// What follows `?`.
#[derive(Deserialize, Debug, Default)]
pub(crate) struct Which {
    pub(crate) model: Option<String>,
}

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
    pub(crate) form: Form,
    pub(crate) body: &'a Bytes,
    pub(crate) log: Logged<'a>,
}

/// What the log needs to know of a request.
#[derive(Clone, Copy)]
pub(crate) struct Logged<'a> {
    pub(crate) id: &'a str,
    pub(crate) random: u32,
}

impl Reading<'_> {
    /// Returns a reader of rows for the model.
    pub(crate) fn rows(&self) -> Rows<'_> {
        let settings = &self.app.settings;
        Rows::new(&self.model.inputs, settings.leniency, settings.limits.batch_rows)
    }

    pub(crate) fn types(&self) -> Vec<FeatureType> {
        self.model.features().iter().map(|feature| feature.feature_type).collect()
    }

    /// Predicts, counts and logs.
    pub(crate) fn predict(&self, batch: &mut Batch) -> Result<Prediction, Refusal> {
        let Self { app, model, .. } = self;
        for warning in &batch.warnings {
            app.metrics.flagged(model, warning.reason);
        }
        let log = app.log.as_ref().filter(|log| log.wants(self.log.random));
        let kept = log.map(|_| batch.columns.clone());
        let columns = std::mem::take(&mut batch.columns);
        let began = Instant::now();
        let work = || model.predict(columns, batch.rows);
        let prediction = if batch.rows.saturating_mul(model.cost) > HEAVY {
            tokio::task::block_in_place(work)
        } else {
            work()
        };
        // The rows were checked: what fails now is not the caller's doing.
        let prediction = prediction.map_err(Refusal::internal)?;
        model.meters.predicted(&prediction, batch.rows, began.elapsed());
        if let (Some(log), Some(columns)) = (log, kept) {
            log.write(Entry {
                model: Arc::clone(model),
                columns,
                prediction: prediction.clone(),
                correlation_id: self.log.id.to_owned(),
                time: jiff::Timestamp::now(),
            });
        }
        Ok(prediction)
    }
}

/// Answers a request: admits it, reads its body, finds the model, and lets `work` make the answer.
pub(crate) async fn answer<F>(app: &App, asked: Asked, request: Request<Body>, work: F) -> Response
where
    F: FnOnce(&Reading<'_>) -> Result<String, Refusal>,
{
    let began = Instant::now();
    let (parts, body) = request.into_parts();
    let (id, random) = app.ids.of(&parts.headers);
    app.metrics.in_flight.inc();
    let address = parts.extensions.get::<SocketAddr>().map(SocketAddr::ip);
    let read = match app.admit(&parts.headers, address) {
        Ok(permit) => body::read(body, &parts.headers, &app.settings.limits).await.map(|body| (permit, body)),
        Err(refusal) => Err(refusal),
    };
    let mut model = None;
    let result = read.and_then(|(_permit, body)| {
        let found = find(app, &asked)?;
        let model = model.insert(found);
        let form = body::form(&parts.headers, asked.route == Route::Invocations)?;
        work(&Reading { app, model, form, body: &body, log: Logged { id: &id, random } })
    });
    app.metrics.in_flight.dec();
    let model = model.as_ref();
    let mut response = match result {
        Ok(text) => {
            if let Some(model) = model {
                app.metrics.answered(&model.meters, asked.route, began.elapsed());
            }
            json(text)
        }
        Err(refusal) => {
            count(app, model, asked.route, &refusal, began.elapsed());
            refusal.response(&id)
        }
    };
    let headers = response.headers_mut();
    if let Some(model) = model {
        headers.insert(HeaderName::from_static("modelgate-model-version"), model.version_header.clone());
        headers.insert(HeaderName::from_static("modelgate-model-digest"), model.digest_header.clone());
    }
    app.ids.insert(headers, &id);
    response
}

fn count(app: &App, model: Option<&Arc<ServedModel>>, route: Route, refusal: &Refusal, took: Duration) {
    let code = refusal.status.as_u16();
    app.metrics.refused(model.map(AsRef::as_ref), route, code, refusal.reason(), took);
}

pub(crate) fn json(text: String) -> Response {
    ([(header::CONTENT_TYPE, HeaderValue::from_static("application/json"))], text).into_response()
}

/// Finds the model that is asked for.
fn find(app: &App, asked: &Asked) -> Result<Arc<ServedModel>, Refusal> {
    let served = app.catalog.served();
    if served.models.is_empty() {
        let refusal = Refusal::new(StatusCode::SERVICE_UNAVAILABLE, "no_model", "no model is loaded yet");
        return Err(Refusal { retry_after: Some(2), ..refusal });
    }
    let found = served.find(asked.name.as_deref()).map_err(Refusal::not_found)?;
    if asked.version.as_ref().is_some_and(|version| *version != found.offer.version) {
        return Err(Refusal::not_found(format!(
            "this version is not served; served is {}",
            found.offer.version
        )));
    }
    Ok(Arc::clone(found))
}

fn native_answer(reading: &Reading<'_>, flat: bool) -> Result<String, Refusal> {
    let mut batch = native::read(reading.body, reading.rows(), flat)?;
    let prediction = reading.predict(&mut batch)?;
    Ok(answer::native(reading.model, &prediction, batch.rows, &batch.warnings))
}

/// `POST /predict/{name}`.
pub(crate) async fn named(
    State(app): State<Arc<App>>,
    Path(name): Path<String>,
    request: Request<Body>,
) -> Response {
    let asked = Asked { route: Route::Predict, name: Some(name), version: None };
    answer(&app, asked, request, |reading| native_answer(reading, true)).await
}

/// `POST /predict`.
pub(crate) async fn only(
    State(app): State<Arc<App>>,
    Query(which): Query<Which>,
    request: Request<Body>,
) -> Response {
    let asked = Asked { route: Route::Predict, name: which.model, version: None };
    answer(&app, asked, request, |reading| native_answer(reading, false)).await
}

/// `POST /api/predict`.
pub(crate) async fn api(
    State(app): State<Arc<App>>,
    Query(which): Query<Which>,
    request: Request<Body>,
) -> Response {
    let asked = Asked { route: Route::ApiPredict, name: which.model, version: None };
    let work = |reading: &Reading<'_>| {
        let mut batch = native::read(reading.body, reading.rows(), false)?;
        if batch.rows != 1 {
            return Err(Refusal::malformed("this path takes one row; /predict takes more"));
        }
        let prediction = reading.predict(&mut batch)?;
        Ok(answer::api(reading.model, &prediction))
    };
    answer(&app, asked, request, work).await
}

/// `POST /invocations`.
pub(crate) async fn invocations(
    State(app): State<Arc<App>>,
    Query(which): Query<Which>,
    request: Request<Body>,
) -> Response {
    let asked = Asked { route: Route::Invocations, name: which.model, version: None };
    let work = |reading: &Reading<'_>| {
        let mut batch = match reading.form {
            Form::Json => mlflow::read_json(reading.body, reading.rows())?,
            Form::Csv => mlflow::read_csv(reading.body, &reading.types(), reading.rows())?,
        };
        let prediction = reading.predict(&mut batch)?;
        Ok(answer::mlflow(reading.model, &prediction, batch.rows))
    };
    answer(&app, asked, request, work).await
}
