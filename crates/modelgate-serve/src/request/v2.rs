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

const INTEGERS: [&str; 8] = ["INT8", "INT16", "INT32", "INT64", "UINT8", "UINT16", "UINT32", "UINT64"];
const FLOATS: [&str; 3] = ["FP16", "FP32", "FP64"];

/// Reads a body; `types` are those of the model's features, `known` the outputs it has.
pub(crate) fn read(
    body: &[u8],
    types: &[FeatureType],
    known: &[&str],
    mut rows: Rows<'_>,
) -> Result<Infer, Refusal> {
    let tree = Tree::read(body, &rows)?;
    let [id, inputs, outputs, _parameters] =
        tree.fields("the body", ["id", "inputs", "outputs", "parameters"])?;
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

fn wanted(outputs: &Tree, known: &[&str]) -> Result<Vec<String>, Refusal> {
    let wrong = || {
        Refusal::malformed(format!("`outputs` is a list of objects with a `name` of {}", known.join(", ")))
    };
    let one = |output: &Tree| {
        let [name, _parameters] = output.fields("an output", ["name", "parameters"])?;
        let name = name.and_then(Tree::text).filter(|name| known.contains(name));
        name.map(str::to_owned).ok_or_else(wrong)
    };
    outputs.list().ok_or_else(wrong)?.iter().map(one).collect()
}

fn tensor(tree: &Tree) -> Result<Tensor<'_>, Refusal> {
    let keys = ["name", "shape", "datatype", "parameters", "data"];
    let [name, shape, datatype, _parameters, data] = tree.fields("a tensor", keys)?;
    let name = name.and_then(Tree::text).ok_or_else(|| Refusal::malformed("a tensor has no `name`"))?;
    let shown: String = name.chars().take(64).collect();
    let wrong = |what: &str| Refusal::malformed(format!("the tensor `{shown}`: {what}"));
    let size = |size: &Tree| if let Tree::Int(size) = size { usize::try_from(*size).ok() } else { None };
    let shape: Option<Vec<usize>> =
        shape.and_then(Tree::list).and_then(|sizes| sizes.iter().map(size).collect());
    let shape =
        shape.filter(|shape| !shape.is_empty()).ok_or_else(|| wrong("`shape` is not a list of sizes"))?;
    let datatype = datatype.and_then(Tree::text).ok_or_else(|| wrong("`datatype` is missing"))?;
    let data = data.ok_or_else(|| wrong("`data` is missing; binary tensors are not taken"))?;
    let mut cells = Vec::new();
    flatten(data, &mut cells);
    if shape.iter().try_fold(1_usize, |product, size| product.checked_mul(*size)) != Some(cells.len()) {
        return Err(wrong(&format!("`data` has {} values, which is not the shape {shape:?}", cells.len())));
    }
    let fits = |cell: &&Tree| match cell {
        Tree::Null => true,
        Tree::Int(_) => INTEGERS.contains(&datatype) || FLOATS.contains(&datatype),
        Tree::Number(number) => {
            FLOATS.contains(&datatype) || (INTEGERS.contains(&datatype) && number.fract() == 0.0)
        }
        Tree::Bool(_) => datatype == "BOOL",
        Tree::Text(_) => datatype == "BYTES",
        Tree::List(_) | Tree::Object(_) => false,
    };
    let is_known =
        INTEGERS.contains(&datatype) || FLOATS.contains(&datatype) || ["BOOL", "BYTES"].contains(&datatype);
    if !is_known {
        return Err(wrong("`datatype` is none of the protocol's"));
    }
    if !cells.iter().all(fits) {
        return Err(wrong(&format!("a value is no {datatype}")));
    }
    Ok(Tensor { name, shape, cells })
}

/// Nested or flat, the order is the same. How deep it can be is limited by the reader.
fn flatten<'t>(data: &'t Tree, cells: &mut Vec<&'t Tree>) {
    match data {
        Tree::List(list) => list.iter().for_each(|one| flatten(one, cells)),
        cell => cells.push(cell),
    }
}
