//! ONNX Runtime, loaded while the program runs, for graphs that the built-in engine does not know: behind the feature
//! `ort`, with the library that `library` finds. One thread inside a call, so that answers do not depend on the
//! machine; as many sessions as calls at a time.

use modelgate_core::schema::{Classes, FeatureType};

use super::load::refuse;
use super::proto::{Graph, data_type};
use super::run::InputColumn;
use crate::error::ModelError;
use crate::predict::Prediction;
#[cfg(feature = "ort")]
use crate::predict::first_highest;

#[cfg(not(feature = "ort"))]
use super::library::{Unavailable, named};

#[cfg(feature = "ort")]
pub(super) use enabled::{Runtime, library};

/// What the graph of a package takes and gives.
#[derive(Clone, PartialEq, Debug)]
pub(super) struct Form {
    pub(super) inputs: Vec<(String, FeatureType)>,
    pub(super) classes: Option<Classes>,
    /// The outputs that hold numbers.
    #[cfg(feature = "ort")]
    outputs: Vec<String>,
}

/// Returns the inputs of a package's graph.
pub(super) fn inputs(graph: &Graph) -> Result<Vec<(String, FeatureType)>, ModelError> {
    let mut inputs = Vec::new();
    for input in &graph.input {
        let tensor = input.kind.as_ref().and_then(|kind| kind.tensor.as_ref());
        let rank = tensor.and_then(|tensor| tensor.shape.as_ref()).map(|shape| shape.dim.len());
        let feature_type = match tensor.map(|tensor| tensor.element) {
            _ if rank != Some(1) => return refuse(format!("the input `{}` is not of rank 1", input.name)),
            Some(data_type::INT64) => FeatureType::Int,
            Some(data_type::FLOAT) => FeatureType::Float,
            Some(data_type::STRING) => FeatureType::Text,
            _ => return refuse(format!("the input `{}` is not int64, float32 or string", input.name)),
        };
        inputs.push((input.name.clone(), feature_type));
    }
    Ok(inputs)
}

#[cfg(feature = "ort")]
impl Form {
    /// Reads the inputs and outputs of a package's graph, whatever lies between them.
    pub(super) fn of(graph: &Graph) -> Result<Self, ModelError> {
        let inputs = inputs(graph)?;
        let element = |at: usize| {
            let kind = graph.output.get(at).and_then(|output| output.kind.as_ref());
            kind.and_then(|kind| kind.tensor.as_ref()).map(|tensor| tensor.element)
        };
        let names: Vec<String> = graph.output.iter().map(|output| output.name.clone()).collect();
        match &names[..] {
            [only] if only == "prediction" => Ok(Self { inputs, classes: None, outputs: names }),
            [label, probabilities @ ..] if label == "label" && probabilities.len() > 1 => {
                let own =
                    probabilities.iter().map(|name| name.strip_prefix("probability_").map(str::to_owned));
                let Some(own) = own.collect::<Option<Vec<String>>>() else {
                    return refuse("its outputs are not `label` and one probability for each class");
                };
                let whole: Result<Vec<i64>, _> = own.iter().map(|name| name.parse::<i64>()).collect();
                let classes = match (element(0), whole) {
                    (Some(data_type::INT64), Ok(values)) => Classes::Int(values),
                    (Some(data_type::STRING), _) => Classes::Text(own),
                    _ => return refuse("its output `label` is of another type than its classes"),
                };
                Ok(Self { inputs, classes: Some(classes), outputs: probabilities.to_vec() })
            }
            _ => refuse("its outputs are neither `prediction` nor `label` and probabilities"),
        }
    }

    /// Brings columns of numbers, one for each output, into an answer.
    fn answer(&self, columns: Vec<Vec<f32>>, rows: usize) -> Result<Prediction, ModelError> {
        if columns.len() != self.outputs.len() || columns.iter().any(|column| column.len() != rows) {
            return refuse("ONNX Runtime gave another number of answers than rows");
        }
        if self.classes.is_none() {
            return Ok(Prediction::Values(columns.into_iter().flatten().collect()));
        }
        let row = |row: usize| columns.iter().filter_map(move |column| column.get(row)).copied();
        let probabilities: Vec<f32> = (0..rows).flat_map(row).collect();
        let labels = probabilities.chunks_exact(columns.len().max(1)).map(first_highest).collect();
        Ok(Prediction::Classes { labels, probabilities })
    }
}

/// Says how ONNX Runtime is had: a library alone does not bring it.
#[cfg(not(feature = "ort"))]
pub(super) fn library() -> Result<std::convert::Infallible, Unavailable> {
    const ABSENT: &str = "this modelgate was built without it: build it with `--features ort`";
    Err(Unavailable::Absent(match named() {
        Some(library) => format!("{} names its library and {ABSENT}", library.from),
        None => ABSENT.to_owned(),
    }))
}

/// Stands for ONNX Runtime where it was not built in: there is none.
#[cfg(not(feature = "ort"))]
#[derive(Debug)]
pub(super) enum Runtime {}

#[cfg(not(feature = "ort"))]
impl Runtime {
    pub(super) fn load(_graph: &Graph, _bytes: &[u8]) -> Result<Self, ModelError> {
        match library() {
            Ok(never) => match never {},
            Err(reason) => refuse(reason.to_string()),
        }
    }

    pub(super) fn form(&self) -> &Form {
        match *self {}
    }

    pub(super) fn predict(&self, _columns: &[InputColumn], _rows: usize) -> Result<Prediction, ModelError> {
        match *self {}
    }
}

#[cfg(feature = "ort")]
mod enabled {
    use std::sync::{Mutex, OnceLock, PoisonError};

    use ort::environment::Environment;
    use ort::session::{Session, SessionInputValue};
    use ort::value::Tensor;

    use super::super::library::{KEY, Library, Unavailable, VARIABLE, find, named};
    use super::{Form, Graph, InputColumn, ModelError, Prediction, refuse};

    /// Sessions that are kept for the next call.
    const KEPT: usize = 64;

    static LIBRARY: OnceLock<Result<Environment, Unavailable>> = OnceLock::new();

    /// Loads the library once.
    pub(in super::super) fn library() -> Result<&'static Environment, Unavailable> {
        LIBRARY.get_or_init(open_library).as_ref().map_err(Clone::clone)
    }

    fn open_library() -> Result<Environment, Unavailable> {
        let Some(Library { path, from }) = named() else {
            return Err(Unavailable::Absent(format!(
                "nothing names its library: set {KEY} in modelgate.yaml or {VARIABLE}, such as \
                 `onnxruntime/capi/libonnxruntime.so.1.31.1` of the Python package"
            )));
        };
        let _ = find()?;
        let broken = |error: &dyn std::fmt::Display| {
            let path = path.display();
            Unavailable::Broken(format!(
                "{from}: `{path}` is no library of ONNX Runtime that works here: {error}"
            ))
        };
        let builder = ort::init_from(&path).map_err(|error| broken(&error))?;
        builder.with_name("modelgate").with_telemetry(false).build().map_err(|error| broken(&error))
    }

    fn told(error: impl std::fmt::Display) -> ModelError {
        ModelError::Onnx(format!("ONNX Runtime says: {error}"))
    }

    fn open(bytes: &[u8]) -> Result<Session, ModelError> {
        let library = library().map_err(|reason| ModelError::Onnx(reason.to_string()))?;
        let builder = Session::builder(library).map_err(told)?;
        let mut builder = builder.with_intra_threads(1).map_err(told)?;
        builder.commit_from_memory(bytes).map_err(told)
    }

    /// A graph in ONNX Runtime.
    pub(in super::super) struct Runtime {
        form: Form,
        bytes: Vec<u8>,
        idle: Mutex<Vec<Session>>,
    }

    impl std::fmt::Debug for Runtime {
        fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
            formatter.debug_struct("Runtime").field("form", &self.form).finish_non_exhaustive()
        }
    }

    impl Runtime {
        pub(in super::super) fn load(graph: &Graph, bytes: &[u8]) -> Result<Self, ModelError> {
            let form = Form::of(graph)?;
            Ok(Self { form, idle: Mutex::new(vec![open(bytes)?]), bytes: bytes.to_vec() })
        }

        pub(in super::super) fn form(&self) -> &Form {
            &self.form
        }

        fn sessions(&self) -> std::sync::MutexGuard<'_, Vec<Session>> {
            // A session that was lost in a panic is opened again.
            self.idle.lock().unwrap_or_else(PoisonError::into_inner)
        }

        /// Answers rows of columns that fit the form.
        pub(in super::super) fn predict(
            &self,
            columns: &[InputColumn],
            rows: usize,
        ) -> Result<Prediction, ModelError> {
            if rows == 0 {
                return self.form.answer(vec![Vec::new(); self.form.outputs.len()], 0);
            }
            let mut feed: Vec<(String, SessionInputValue<'_>)> = Vec::with_capacity(columns.len());
            for (column, (name, _)) in columns.iter().zip(&self.form.inputs) {
                let value: Result<SessionInputValue<'_>, _> = match column {
                    InputColumn::Ints(values) => Tensor::from_array(([rows], values.clone())).map(Into::into),
                    InputColumn::Floats(values) => {
                        Tensor::from_array(([rows], values.clone())).map(Into::into)
                    }
                    InputColumn::Texts(values) => {
                        Tensor::from_string_array(([rows], &values[..])).map(Into::into)
                    }
                };
                feed.push((name.clone(), value.map_err(told)?));
            }
            let idle = self.sessions().pop();
            let mut session = match idle {
                Some(session) => session,
                None => open(&self.bytes)?,
            };
            let found = {
                let answers = session
                    .run(feed)
                    .map_err(|error| ModelError::Rows(format!("ONNX Runtime says: {error}")))?;
                let column = |name: &String| {
                    let Some(value) = answers.get(name.as_str()) else {
                        return refuse(format!("ONNX Runtime gave no `{name}`"));
                    };
                    let (_, values) = value.try_extract_tensor::<f32>().map_err(told)?;
                    Ok(values.to_vec())
                };
                self.form.outputs.iter().map(column).collect::<Result<Vec<_>, _>>()
            };
            let mut idle = self.sessions();
            if idle.len() < KEPT {
                idle.push(session);
            }
            drop(idle);
            self.form.answer(found?, rows)
        }
    }
}
