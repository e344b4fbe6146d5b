//! A model that is served: its package was verified and has answered a row before any request sees it.

use std::collections::BTreeMap;

use axum::http::HeaderValue;
use modelgate_core::schema::{Classes, Feature, FeatureType, incompatibilities};
use modelgate_core::verdict::GateVerdict;
use modelgate_core::{Digest, Verdict};
use modelgate_model::estimator::Estimator;
use modelgate_model::signing::{self, SIGNATURE_FILE};
use modelgate_model::{InputColumn, LoadedModel, Package, Prediction};
use serde::Serialize;
use serde_json::Value;

use crate::answer;
use crate::caught::caught;
use crate::readiness::Readiness;
use crate::request::inputs::Inputs;
use crate::request::rows::{Batch, Cell, Rows};
use crate::rollout::Track;
use crate::settings::{Leniency, Require, Settings};
use crate::source::{Files, Offer, VERDICT_FILE};
use crate::telemetry::{Meters, Metrics};

/// What is known of a package that is served.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Verified {
    /// A passed verdict is bound to its digest.
    Verdict,
    /// Its own digests hold; nobody judged it here.
    Digest,
}

/// A model, ready to answer.
#[derive(Debug)]
pub(crate) struct ServedModel {
    pub(crate) offer: Offer,
    /// Whether it is what is in production, or a new version beside it.
    pub(crate) track: Track,
    pub(crate) package: Package,
    pub(crate) verified: Verified,
    /// Whether a signature by a trusted key holds; `None` when none is asked for.
    pub(crate) signed: Option<bool>,
    pub(crate) inputs: Inputs,
    /// A row of typical values, as JSON by feature; what a form begins with.
    pub(crate) typical: BTreeMap<String, Value>,
    /// The same row as the model takes it.
    pub(crate) stored: Batch,
    /// Each class as JSON.
    pub(crate) classes: Vec<String>,
    /// Each class as a person reads it.
    pub(crate) class_names: Vec<String>,
    /// The raw column that each preprocessed feature is made of.
    pub(crate) origins: Vec<usize>,
    /// The raw columns that the model looks at, as positions: no other changes an answer.
    pub(crate) looked_at: Vec<usize>,
    /// Trees, or 1: about what a row costs.
    pub(crate) cost: usize,
    pub(crate) meters: Meters,
    pub(crate) loaded_at: String,
    /// Whether it answers.
    pub(crate) readiness: Readiness,
    /// The members of JSON that name the version.
    pub(crate) identity: String,
    /// Each feature's name as a key of JSON, with its colon.
    pub(crate) keys: Vec<String>,
    pub(crate) version_header: HeaderValue,
    pub(crate) digest_header: HeaderValue,
}

impl ServedModel {
    /// Verifies the files of an offer and makes them ready.
    ///
    /// # Errors
    /// Says why the package is not served.
    pub(crate) fn load(
        offer: Offer,
        track: Track,
        files: Files,
        before: Option<&Self>,
        settings: &Settings,
        metrics: &Metrics,
    ) -> Result<Self, String> {
        // A package that breaks what reads it is not served, and costs the others nothing.
        caught(|| Self::make(offer, track, files, before, settings, metrics)).unwrap_or_else(|what| {
            Err(format!("reading it broke off, which is a fault of modelgate: {what}"))
        })
    }

    fn make(
        offer: Offer,
        track: Track,
        files: Files,
        before: Option<&Self>,
        settings: &Settings,
        metrics: &Metrics,
    ) -> Result<Self, String> {
        let Admitted { signed, verified } = admit(&offer.digest, &files, settings)?;
        let reference = files.get("reference.json").cloned();
        let package = modelgate_model::from_files(files).map_err(|error| error.to_string())?;
        if package.digest != offer.digest {
            return Err(format!(
                "the source offers {} and holds the package {}",
                offer.digest, package.digest
            ));
        }
        if package.manifest.name != offer.name {
            return Err(format!("it is a package of `{}`", package.manifest.name));
        }
        let schema = &package.manifest.schema;
        if let Some(wanted) = settings.feature_dimension.filter(|wanted| *wanted != schema.features.len()) {
            return Err(format!("it takes {} features and {wanted} are expected", schema.features.len()));
        }
        if let Some(before) = before {
            let reasons = incompatibilities(schema, &before.package.manifest.schema);
            if !reasons.is_empty() {
                return Err(format!(
                    "its schema does not fit the version being served ({}): {}; start the service anew to serve it",
                    before.offer.version,
                    reasons.join("; ")
                ));
            }
        }
        let inputs = Inputs::new(schema);
        let reference: Value =
            reference.and_then(|bytes| serde_json::from_slice(&bytes).ok()).unwrap_or(Value::Null);
        let typical: BTreeMap<String, Value> = schema
            .features
            .iter()
            .map(|feature| (feature.name.clone(), typical(feature, &reference["columns"][&feature.name])))
            .collect();
        let stored = stored(&inputs, &typical)?;
        let class_names = match &schema.classes {
            None => Vec::new(),
            Some(Classes::Int(values)) => values.iter().map(ToString::to_string).collect(),
            Some(Classes::Text(values)) => values.clone(),
        };
        let classes = match &schema.classes {
            Some(Classes::Text(values)) => {
                values.iter().map(|one| Value::from(one.as_str()).to_string()).collect()
            }
            // A number is the same in JSON.
            Some(Classes::Int(_)) | None => class_names.clone(),
        };
        let header = |text: &str| HeaderValue::from_str(text).map_err(|error| error.to_string());
        let key = |feature: &Feature| {
            let mut key = String::new();
            answer::push_text(&mut key, &feature.name);
            key + ":"
        };
        let served = Self {
            identity: answer::identity(&offer),
            keys: schema.features.iter().map(key).collect(),
            version_header: header(&offer.version)?,
            digest_header: header(&offer.digest.to_string())?,
            origins: package.model.origins(),
            looked_at: looked_at(&package.model),
            cost: package.model.estimator().map_or(RUNTIME_COST, cost),
            meters: metrics.meters(&offer, track, &class_names),
            loaded_at: jiff::Timestamp::now().strftime("%Y-%m-%dT%H:%M:%SZ").to_string(),
            readiness: Readiness::answered(),
            offer,
            track,
            verified,
            signed,
            inputs,
            typical,
            stored,
            classes,
            class_names,
            package,
        };
        served.check()?;
        Ok(served)
    }

    /// Predicts the stored row: the model answers, and with numbers.
    pub(crate) fn check(&self) -> Result<(), String> {
        let answer = self.predict(&self.stored.columns, self.stored.rows)?;
        let numbers = numbers(&answer);
        let finite = !numbers.is_empty() && numbers.iter().all(|number| number.is_finite());
        if finite { Ok(()) } else { Err("its answer to the stored row is no finite number".to_owned()) }
    }

    /// Answers rows in the order of the model's inputs.
    pub(crate) fn predict(&self, columns: &[InputColumn], rows: usize) -> Result<Prediction, String> {
        self.package.model.predict_columns(columns, rows).map_err(|error| error.to_string())
    }

    pub(crate) fn features(&self) -> &[Feature] {
        &self.package.manifest.schema.features
    }

    pub(crate) fn name(&self) -> &str {
        self.offer.name.as_str()
    }
}

fn numbers(answer: &Prediction) -> &[f32] {
    match answer {
        Prediction::Classes { probabilities, .. } => probabilities,
        Prediction::Values(values) => values,
    }
}

/// Returns the first row whose answer is no finite number: its features are so large that the model left the range of numbers.
pub(crate) fn overflown(answer: &Prediction, rows: usize) -> Option<usize> {
    let numbers = numbers(answer);
    let at = numbers.iter().position(|number| !number.is_finite())?;
    Some(at / (numbers.len() / rows.max(1)).max(1))
}

fn looked_at(model: &LoadedModel) -> Vec<usize> {
    let weights = model.input_weights();
    (0..weights.len()).filter(|input| weights[*input] > 0.0).collect()
}

/// What a call of ONNX Runtime counts as; what is inside is not known.
const RUNTIME_COST: usize = 1000;

fn cost(estimator: &Estimator) -> usize {
    match estimator {
        Estimator::ForestClassifier(forest) | Estimator::ForestRegressor(forest) => forest.trees.len(),
        Estimator::BoostedClassifier(boosted) | Estimator::BoostedRegressor(boosted) => boosted.trees.len(),
        Estimator::LinearClassifier(_) | Estimator::LinearRegressor(_) => 1,
    }
}

/// What lets a package in.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Admitted {
    signed: Option<bool>,
    verified: Verified,
}

/// Looks at what lies beside a package and decides whether it may be served: its signature and its verdict.
///
/// # Errors
/// Says why it may not.
pub(crate) fn admit(digest: &Digest, files: &Files, settings: &Settings) -> Result<Admitted, String> {
    let signed = signature(files, settings)?;
    let verified = match (judged(digest, files.get(VERDICT_FILE).map(Vec::as_slice)), settings.require) {
        (Judged::Passed, _) => Verified::Verdict,
        (Judged::Nobody(_), Require::Digest) => Verified::Digest,
        (Judged::Nobody(reason), Require::Verdict) => {
            return Err(format!("{reason}; only judged packages are served (`serve.require: verdict`)"));
        }
        (Judged::Otherwise(reason), Require::Verdict) => {
            return Err(format!("{reason}; only what passed its gate is served"));
        }
        (Judged::Otherwise(reason), Require::Digest) => {
            return Err(format!(
                "{reason}; `serve.require: digest` is for packages that no gate has judged, and lets in none that did not \
                 pass it"
            ));
        }
    };
    Ok(Admitted { signed, verified })
}

/// What the file beside a package says of it.
enum Judged {
    /// It passed its gate.
    Passed,
    /// No gate has judged it; why that is so.
    Nobody(String),
    /// A gate has not let it pass, or what the file says is no verdict of a gate.
    Otherwise(String),
}

fn judged(digest: &Digest, verdict: Option<&[u8]>) -> Judged {
    let Some(bytes) = verdict else { return Judged::Nobody("it has no verdict".to_owned()) };
    let verdict: GateVerdict = match serde_json::from_slice(bytes) {
        Ok(verdict) => verdict,
        Err(error) => return Judged::Nobody(format!("its verdict.json cannot be read: {error}")),
    };
    if verdict.digest != Some(*digest) {
        return Judged::Nobody("its verdict is of another package".to_owned());
    }
    if let Some(what) = verdict.contradiction() {
        return Judged::Otherwise(format!("its verdict.json contradicts itself: {what}; no gate wrote that"));
    }
    match verdict.verdict {
        Verdict::Passed => Judged::Passed,
        other => Judged::Otherwise(format!("its verdict is `{other}`")),
    }
}

fn signature(files: &Files, settings: &Settings) -> Result<Option<bool>, String> {
    if settings.public_keys.is_empty() {
        return Ok(None);
    }
    let bundle = files.get(SIGNATURE_FILE).ok_or("it is not signed, and only signed packages are served")?;
    let digests = files
        .iter()
        .filter(|(name, _)| *name != SIGNATURE_FILE)
        .map(|(name, bytes)| (name.clone(), modelgate_core::Digest::of(bytes)))
        .collect();
    let mut reason = String::new();
    for key in &settings.public_keys {
        match signing::open(bundle, key).and_then(|signed| signing::compare(&signed, &digests)) {
            Ok(()) => return Ok(Some(true)),
            Err(error) => reason = error.to_string(),
        }
    }
    Err(format!("no trusted key has signed it: {reason}"))
}

/// Returns the middle of the training rows: the median, or the most frequent category.
fn typical(feature: &Feature, profile: &Value) -> Value {
    let (low, high) = feature.range.unwrap_or((0.0, 0.0));
    let middle = || profile["quantiles"]["p50"].as_f64().unwrap_or(f64::midpoint(low, high));
    // A package may say anything: bounds that are none bound nothing.
    let within = |middle: f64| if low <= high { middle.clamp(low, high) } else { middle };
    match feature.feature_type {
        FeatureType::Text => {
            let counts = profile["categories"].as_object();
            let count = |value: &Value| value.as_u64().unwrap_or(0);
            let known = |name: &String| feature.categories.is_empty() || feature.categories.contains(name);
            let top = counts.and_then(|counts| {
                let known = counts.iter().filter(|(name, _)| known(name));
                known.max_by_key(|(_, value)| count(value)).map(|(name, _)| name.clone())
            });
            Value::from(top.or_else(|| feature.categories.first().cloned()).unwrap_or_default())
        }
        FeatureType::Int => Value::from(within(middle()).round() as i64),
        FeatureType::Float => {
            let middle = within(middle());
            // Half of the rows may be true: a boolean is one of the two all the same.
            let middle = if feature.takes_booleans() { middle.round() } else { middle };
            // The model takes 32 bits: the shortest number that is the same there.
            Value::from((middle as f32).to_string().parse().unwrap_or(middle))
        }
    }
}

fn stored(inputs: &Inputs, typical: &BTreeMap<String, Value>) -> Result<Batch, String> {
    let leniency =
        Leniency { reject_unknown_category: false, reject_out_of_contract: false, ..Leniency::default() };
    let mut rows = Rows::new(inputs, leniency, 1);
    rows.begin()?;
    for (at, input) in inputs.inputs.iter().enumerate() {
        let value = &typical[&input.feature.name];
        let cell = match value {
            Value::String(text) => Cell::Text(text),
            value => match (value.as_i64(), value.as_f64()) {
                (Some(whole), _) => Cell::Int(whole),
                (None, Some(number)) => Cell::Number(number),
                _ => Cell::Null,
            },
        };
        rows.set(at, cell);
    }
    rows.end();
    rows.finish().map_err(|refusal| format!("its stored row does not fit it: {}", refusal.message))
}

#[cfg(test)]
mod tests {
    use modelgate_core::rule::Subset;
    use modelgate_core::verdict::{Outcome, RuleResult};

    use super::*;

    #[test]
    fn what_did_not_pass_its_gate_is_not_let_in_however_its_verdict_was_edited() {
        let digest = Digest::of(b"package");
        let rule = |outcome| RuleResult::without_figures("a", "f1", Subset::Validation, outcome, "");
        let verdict = |outcomes: &[Outcome]| {
            GateVerdict::of(outcomes.iter().map(|outcome| rule(*outcome)).collect(), false, Some(digest))
        };
        let said = |verdict: Option<&GateVerdict>, require: Require| {
            let bytes = verdict.map(|verdict| serde_json::to_vec(verdict).expect("JSON"));
            let files = bytes.map(|bytes| (VERDICT_FILE.to_owned(), bytes)).into_iter().collect();
            let settings = Settings { require, ..Settings::default() };
            admit(&digest, &files, &settings).map(|admitted| admitted.verified)
        };
        let passed = verdict(&[Outcome::Passed, Outcome::NotApplicable]);
        let failed = verdict(&[Outcome::Passed, Outcome::Failed]);
        let open = verdict(&[Outcome::Inconclusive]);
        for require in [Require::Verdict, Require::Digest] {
            assert_eq!(said(Some(&passed), require), Ok(Verified::Verdict));
            for (other, word) in [(&failed, "`failed`"), (&open, "`inconclusive`")] {
                assert!(said(Some(other), require).is_err_and(|why| why.contains(word)), "{other:?}");
                let edited = GateVerdict { verdict: Verdict::Passed, ..other.clone() };
                let why = said(Some(&edited), require).expect_err("edited");
                assert!(why.contains("contradicts itself") && why.contains(word), "{why}");
            }
            let emptied = GateVerdict { rules: Vec::new(), ..passed.clone() };
            let why = said(Some(&emptied), require).expect_err("no rules");
            assert!(why.contains("there is no rule to judge by"), "{why}");
        }
        let other = GateVerdict { digest: Some(Digest::of(b"another")), ..failed };
        for nobody in [None, Some(&other)] {
            assert_eq!(said(nobody, Require::Digest), Ok(Verified::Digest));
            assert!(said(nobody, Require::Verdict).is_err());
        }
    }

    #[test]
    fn bounds_that_are_none_bound_no_typical_value() {
        let profile = serde_json::json!({ "quantiles": { "p50": 4.4 } });
        for (range, expected) in [((1.0, 3.0), 3), ((3.0, 1.0), 4), ((f64::NAN, 1.0), 4), ((5.0, 9.0), 5)] {
            let feature = Feature { range: Some(range), ..Feature::of("age", FeatureType::Int, false) };
            assert_eq!(typical(&feature, &profile), Value::from(expected), "{range:?}");
        }
    }

    #[test]
    fn a_boolean_of_which_half_the_rows_are_true_is_typically_one_of_the_two() {
        let profile = serde_json::json!({ "quantiles": { "p50": 0.5 } });
        let number = Feature { range: Some((0.0, 1.0)), ..Feature::of("member", FeatureType::Float, true) };
        assert_eq!(typical(&number, &profile), Value::from(0.5));
        assert_eq!(typical(&Feature { boolean: true, ..number }, &profile), Value::from(1.0));
    }
}
