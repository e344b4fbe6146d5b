//! The Open Inference Protocol, V2 over REST: tensors in and out.
//!
//! Source: the protocol's specification, `specification/protocol/inference_rest.md`. A feature is a tensor of its name of
//! shape `[rows]` or `[rows, 1]`; numeric features may also come as one tensor of shape `[rows, features]`.

use modelgate_core::schema::FeatureType;

use super::rows::{Batch, Rows};
use super::tree::{Tree, begin};
use crate::refusal::Refusal;

/// A request: rows, what is echoed, and the outputs that are asked for.
#[derive(Debug)]
pub(crate) struct Infer {
    pub(crate) batch: Batch,
    pub(crate) id: Option<String>,
    /// Empty for all.
    pub(crate) outputs: Vec<String>,
}

struct Tensor<'t> {
    name: &'t str,
    shape: Vec<usize>,
    /// In row-major order.
    cells: Vec<&'t Tree>,
}

/// Returns the protocol's name of a feature's type.
pub(crate) fn datatype(feature_type: FeatureType) -> &'static str {
    match feature_type {
        FeatureType::Int => "INT64",
        FeatureType::Float => "FP32",
        FeatureType::Text => "BYTES",
    }
}

/// The types of the protocol that are taken.
pub(crate) const DATATYPES: [&str; 13] = [
    "BOOL", "INT8", "INT16", "INT32", "INT64", "UINT8", "UINT16", "UINT32", "UINT64", "FP16", "FP32", "FP64",
    "BYTES",
];

/// A type of the protocol, with the numbers that it holds.
#[derive(Clone, Copy)]
enum Datatype {
    Whole(i128, i128),
    /// Up to this size; of a larger one the features say whether they hold it.
    Float(f64),
    Bool,
    Bytes,
}

impl Datatype {
    fn of(name: &str) -> Option<Self> {
        let signed = |bits: u32| Self::Whole(-(1 << (bits - 1)), (1 << (bits - 1)) - 1);
        let unsigned = |bits: u32| Self::Whole(0, (1 << bits) - 1);
        Some(match name {
            "INT8" => signed(8),
            "INT16" => signed(16),
            "INT32" => signed(32),
            "INT64" => signed(64),
            "UINT8" => unsigned(8),
            "UINT16" => unsigned(16),
            "UINT32" => unsigned(32),
            // The largest are rounded up when they are read.
            "UINT64" => Self::Whole(0, 1 << 64),
            "FP16" => Self::Float(65_504.0),
            "FP32" | "FP64" => Self::Float(f64::MAX),
            "BOOL" => Self::Bool,
            "BYTES" => Self::Bytes,
            _ => return None,
        })
    }

    fn holds(self, cell: &Tree) -> bool {
        match (self, cell) {
            (_, Tree::Null) | (Self::Bool, Tree::Bool(_)) | (Self::Bytes, Tree::Text(_)) => true,
            (Self::Whole(low, high), Tree::Int(value)) => (low..=high).contains(&(*value).into()),
            // `7.0`, or beyond 64 bits with a sign.
            (Self::Whole(low, high), Tree::Number(number)) => {
                number.fract() == 0.0 && (low..=high).contains(&(*number as i128))
            }
            (Self::Float(most), Tree::Int(value)) => (*value as f64).abs() <= most,
            (Self::Float(most), Tree::Number(number)) => number.abs() <= most,
            _ => false,
        }
    }
}

/// Reads a body; `types` are those of the model's features, `known` the outputs it has.
pub(crate) fn read(
    body: &[u8],
    types: &[FeatureType],
    known: &[&str],
    mut rows: Rows<'_>,
) -> Result<Infer, Refusal> {
    let tree = Tree::read(body, &rows)?;
    let [id, inputs, outputs, parameters] =
        tree.fields("the body", ["id", "inputs", "outputs", "parameters"])?;
    are_parameters("the body", parameters)?;
    let id =
        id.map(|id| id.text().map(str::to_owned).ok_or_else(|| Refusal::malformed("`id` is not a string")));
    let outputs = outputs.map_or(Ok(Vec::new()), |outputs| wanted(outputs, known))?;
    let inputs =
        inputs.and_then(Tree::list).ok_or_else(|| Refusal::malformed("`inputs` is not a list of tensors"))?;
    let tensors = inputs.iter().map(tensor).collect::<Result<Vec<_>, _>>()?;
    match tensors.as_slice() {
        [one] if one.shape.len() == 2 && rows.width() == one.shape[1] && one.shape[1] > 1 => {
            for row in one.cells.chunks(one.shape[1]) {
                begin(&mut rows)?;
                row.iter().enumerate().for_each(|(at, cell)| rows.set(at, cell.cell()));
                rows.end();
            }
        }
        _ => by_name(&tensors, types, &mut rows)?,
    }
    Ok(Infer { batch: rows.finish()?, id: id.transpose()?, outputs })
}

fn by_name(tensors: &[Tensor<'_>], types: &[FeatureType], rows: &mut Rows<'_>) -> Result<(), Refusal> {
    let count = tensors.first().map_or(0, |tensor| tensor.cells.len());
    for Tensor { name, shape, cells } in tensors {
        if shape.len() > 2 || shape.get(1).is_some_and(|width| *width != 1) || cells.len() != count {
            let name: String = name.chars().take(64).collect();
            let features = types.len();
            return Err(Refusal::malformed(format!(
                "the tensor `{name}` has the shape {shape:?}: a feature is [rows] or [rows, 1] with as many rows as the \
                 others, or all {features} features are one tensor [rows, {features}]"
            )));
        }
    }
    for row in 0..count {
        begin(rows)?;
        for (guess, tensor) in tensors.iter().enumerate() {
            if let Some(at) = rows.find(tensor.name, guess) {
                rows.set(at, tensor.cells[row].cell());
            }
        }
        rows.end();
    }
    Ok(())
}

/// Refuses `parameters` that are no object; what is in them says nothing here.
fn are_parameters(place: &str, parameters: Option<&Tree>) -> Result<(), Refusal> {
    match parameters {
        None | Some(Tree::Object(_)) => Ok(()),
        Some(_) => Err(Refusal::malformed(format!("{place}: `parameters` is not an object"))),
    }
}

fn wanted(outputs: &Tree, known: &[&str]) -> Result<Vec<String>, Refusal> {
    let wrong = || {
        Refusal::malformed(format!("`outputs` is a list of objects with a `name` of {}", known.join(", ")))
    };
    let one = |output: &Tree| {
        let [name, parameters] = output.fields("an output", ["name", "parameters"])?;
        are_parameters("an output", parameters)?;
        let name = name.and_then(Tree::text).filter(|name| known.contains(name));
        name.map(str::to_owned).ok_or_else(wrong)
    };
    outputs.list().ok_or_else(wrong)?.iter().map(one).collect()
}

fn tensor(tree: &Tree) -> Result<Tensor<'_>, Refusal> {
    let keys = ["name", "shape", "datatype", "parameters", "data"];
    let [name, shape, datatype, parameters, data] = tree.fields("a tensor", keys)?;
    let name = name.and_then(Tree::text).ok_or_else(|| Refusal::malformed("a tensor has no `name`"))?;
    let shown: String = name.chars().take(64).collect();
    let wrong = |what: &str| Refusal::malformed(format!("the tensor `{shown}`: {what}"));
    are_parameters(&format!("the tensor `{shown}`"), parameters)?;
    let size = |size: &Tree| if let Tree::Int(size) = size { usize::try_from(*size).ok() } else { None };
    let shape: Option<Vec<usize>> =
        shape.and_then(Tree::list).and_then(|sizes| sizes.iter().map(size).collect());
    let shape =
        shape.filter(|shape| !shape.is_empty()).ok_or_else(|| wrong("`shape` is not a list of sizes"))?;
    let datatype = datatype.and_then(Tree::text).ok_or_else(|| wrong("`datatype` is missing"))?;
    let data = data.ok_or_else(|| wrong("`data` is missing; binary tensors are not taken"))?;
    let list = data.list().ok_or_else(|| wrong("`data` is not a list"))?;
    if !list.iter().all(is_cell) && !nests(data, &shape) {
        return Err(wrong(&format!("`data` is nested otherwise than the shape {shape:?}")));
    }
    let mut cells = Vec::new();
    flatten(data, &mut cells);
    if shape.iter().try_fold(1_usize, |product, size| product.checked_mul(*size)) != Some(cells.len()) {
        return Err(wrong(&format!("`data` has {} values, which is not the shape {shape:?}", cells.len())));
    }
    let held = Datatype::of(datatype).ok_or_else(|| wrong("`datatype` is none of the protocol's"))?;
    if !cells.iter().all(|cell| held.holds(cell)) {
        return Err(wrong(&format!("a value is no {datatype}")));
    }
    Ok(Tensor { name, shape, cells })
}

fn is_cell(tree: &Tree) -> bool {
    !matches!(tree, Tree::List(_))
}

/// Returns whether lists lie in each other as a shape says.
fn nests(data: &Tree, shape: &[usize]) -> bool {
    match (data, shape) {
        (Tree::List(list), [size, inner @ ..]) => {
            list.len() == *size && list.iter().all(|one| nests(one, inner))
        }
        (cell, []) => is_cell(cell),
        _ => false,
    }
}

/// Nested or flat, the order is the same. How deep it can be is limited by the reader.
fn flatten<'t>(data: &'t Tree, cells: &mut Vec<&'t Tree>) {
    match data {
        Tree::List(list) => list.iter().for_each(|one| flatten(one, cells)),
        cell => cells.push(cell),
    }
}

#[cfg(test)]
mod tests {
    use modelgate_core::schema::Feature;

    use super::*;
    use crate::request::inputs::of_features;
    use crate::settings::Leniency;

    fn asked(tensor: &str, around: &str) -> Result<Infer, Refusal> {
        let inputs = of_features(vec![Feature::of("age", FeatureType::Float, false)]);
        let body = format!("{{\"inputs\": [{{\"name\": \"age\", \"shape\": [1], {tensor}}}]{around}}}");
        let rows = Rows::new(&inputs, Leniency::default(), 10);
        read(body.as_bytes(), &[FeatureType::Float], &["prediction"], rows)
    }

    #[test]
    fn a_number_that_its_type_cannot_hold_is_refused() {
        for (datatype, held, too_much) in [
            ("INT8", ["-128", "127"], ["-129", "300"]),
            ("INT16", ["-32768", "32767"], ["-32769", "32768"]),
            ("INT32", ["-2147483648", "2147483647.0"], ["-2147483649", "2147483648"]),
            ("INT64", ["-9223372036854775808", "9223372036854775807"], ["-1e19", "9223372036854775808"]),
            ("UINT8", ["0", "255"], ["-1", "256"]),
            ("UINT16", ["0", "65535"], ["-1", "65536"]),
            ("UINT32", ["0", "4294967295"], ["-1", "4294967296"]),
            ("UINT64", ["0", "18446744073709551615"], ["-1", "1e20"]),
            ("FP16", ["-65504", "1.5"], ["65520", "-1e6"]),
        ] {
            let tensor = |number: &str| format!("\"datatype\": \"{datatype}\", \"data\": [{number}]");
            for number in held {
                assert!(asked(&tensor(number), "").is_ok(), "{datatype}: {number}");
            }
            for number in too_much {
                let refusal = asked(&tensor(number), "").expect_err(number);
                let said = format!("a value is no {datatype}");
                assert!(refusal.message.ends_with(&said), "{datatype} {number}: {}", refusal.message);
            }
        }
    }

    #[test]
    fn booleans_some_of_which_are_missing_are_a_tensor_of_booleans() {
        let member = Feature { boolean: true, ..Feature::of("member", FeatureType::Float, true) };
        let inputs = of_features(vec![member]);
        let tensor = r#"{"name": "member", "shape": [3], "datatype": "BOOL", "data": [true, null, false]}"#;
        let rows = Rows::new(&inputs, Leniency::default(), 10);
        let body = format!("{{\"inputs\": [{tensor}]}}");
        let asked = read(body.as_bytes(), &[FeatureType::Float], &["prediction"], rows).expect("rows");
        assert!(matches!(&asked.batch.columns[0], modelgate_model::InputColumn::Floats(found)
            if found[0] == 1.0 && found[1].is_nan() && found[2] == 0.0));
    }

    #[test]
    fn parameters_are_an_object_wherever_they_stand() {
        let tensor = "\"datatype\": \"FP32\", \"data\": [1]";
        for good in ["{}", "{\"a\": 1}", "null"] {
            let own = format!("{tensor}, \"parameters\": {good}");
            let around = format!(
                ", \"parameters\": {good}, \"outputs\": [{{\"name\": \"prediction\", \"parameters\": {good}}}]"
            );
            assert!(asked(&own, &around).is_ok(), "{good}");
        }
        for bad in ["[null, null]", "[]", "1", "\"a\"", "true"] {
            let own = format!("{tensor}, \"parameters\": {bad}");
            let around = format!(", \"parameters\": {bad}");
            let output = format!(", \"outputs\": [{{\"name\": \"prediction\", \"parameters\": {bad}}}]");
            for refused in [asked(&own, ""), asked(tensor, &around), asked(tensor, &output)] {
                let refusal = refused.expect_err(bad);
                assert!(refusal.message.ends_with("`parameters` is not an object"), "{}", refusal.message);
            }
        }
    }

    #[test]
    fn a_word_that_is_no_json_is_told_by_what_to_write_for_it() {
        for word in ["NaN", "-Infinity"] {
            let refusal = asked(&format!("\"datatype\": \"FP32\", \"data\": [{word}]"), "").expect_err(word);
            assert!(refusal.message.ends_with("neither `NaN` nor `Infinity`; write null"), "{refusal:?}");
        }
    }

    #[test]
    fn every_type_that_is_described_is_taken() {
        assert!(DATATYPES.iter().all(|name| Datatype::of(name).is_some()));
        assert!(Datatype::of("BF16").is_none() && Datatype::of("fp32").is_none());
    }

    #[test]
    fn what_is_null_was_not_given() {
        let tensor = "\"datatype\": \"FP32\", \"data\": [1]";
        let asked =
            asked(tensor, ", \"id\": null, \"outputs\": null, \"parameters\": null").expect("a request");
        assert_eq!((asked.id, asked.outputs, asked.batch.rows), (None, Vec::<String>::new(), 1));
    }

    #[test]
    fn data_is_flat_or_nested_as_the_shape_says() {
        let asked = |shape: &str, data: &str| {
            let inputs = of_features(vec![Feature::of("age", FeatureType::Float, false)]);
            let tensor = format!(
                "{{\"name\": \"age\", \"shape\": {shape}, \"datatype\": \"FP32\", \"data\": {data}}}"
            );
            let body = format!("{{\"inputs\": [{tensor}]}}");
            let rows = Rows::new(&inputs, Leniency::default(), 10);
            read(body.as_bytes(), &[FeatureType::Float], &["prediction"], rows).map(|asked| asked.batch.rows)
        };
        for (shape, data) in
            [("[4]", "[1, 2, 3, 4]"), ("[4, 1]", "[1, 2, 3, 4]"), ("[4, 1]", "[[1], [2], [3], [4]]")]
        {
            assert_eq!(asked(shape, data).expect(data), 4, "{shape} {data}");
        }
        for (shape, data, says) in [
            ("[4]", "[[1, 2], [3, 4]]", "nested otherwise"),
            ("[4]", "[[1], [2], [3], [4]]", "nested otherwise"),
            ("[4, 1]", "[[1, 2], [3, 4]]", "nested otherwise"),
            ("[2, 1]", "[[1], 2]", "nested otherwise"),
            ("[1]", "[[]]", "nested otherwise"),
            ("[4]", "[1, 2, 3]", "has 3 values"),
            ("[1]", "1", "is not a list"),
        ] {
            let refusal = asked(shape, data).expect_err(data);
            assert!(refusal.message.contains(says), "{shape} {data}: {}", refusal.message);
        }
    }
}
