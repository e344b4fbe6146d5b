//! The constants of a graph, however they are written.

use super::load::refuse;
use super::proto::{Tensor, data_type};
use crate::error::ModelError;

/// A constant: its shape and its values, row-major.
#[derive(Clone, PartialEq, Debug)]
pub(super) struct Constant {
    pub(super) dims: Vec<usize>,
    pub(super) values: Values,
}

#[derive(Clone, PartialEq, Debug)]
pub(super) enum Values {
    Floats(Vec<f32>),
    Doubles(Vec<f64>),
    Ints(Vec<i64>),
    Texts(Vec<String>),
}

impl Values {
    fn len(&self) -> usize {
        match self {
            Self::Floats(values) => values.len(),
            Self::Doubles(values) => values.len(),
            Self::Ints(values) => values.len(),
            Self::Texts(values) => values.len(),
        }
    }
}

/// Returns numbers of `N` bytes each, little-endian.
fn raw<const N: usize, T>(bytes: &[u8], number: fn([u8; N]) -> T) -> Vec<T> {
    bytes.chunks_exact(N).filter_map(|chunk| chunk.try_into().ok()).map(number).collect()
}

impl Constant {
    /// Reads a tensor.
    pub(super) fn read(tensor: &Tensor) -> Result<Self, ModelError> {
        let name = &tensor.name;
        if tensor.data_location != 0 {
            return refuse(format!("the constant `{name}` lies in another file: save the model as one file"));
        }
        let bytes = &tensor.raw_data[..];
        let is_raw = !bytes.is_empty();
        let texts =
            || tensor.string_data.iter().map(|text| String::from_utf8_lossy(text).into_owned()).collect();
        let small = || tensor.int32_data.iter().map(|value| i64::from(*value)).collect::<Vec<i64>>();
        let values = match tensor.data_type {
            data_type::FLOAT if is_raw => Values::Floats(raw(bytes, f32::from_le_bytes)),
            data_type::FLOAT => Values::Floats(tensor.float_data.clone()),
            data_type::DOUBLE if is_raw => Values::Doubles(raw(bytes, f64::from_le_bytes)),
            data_type::DOUBLE => Values::Doubles(tensor.double_data.clone()),
            data_type::INT64 if is_raw => Values::Ints(raw(bytes, i64::from_le_bytes)),
            data_type::INT64 => Values::Ints(tensor.int64_data.clone()),
            data_type::INT32 if is_raw => {
                Values::Ints(raw(bytes, |chunk| i64::from(i32::from_le_bytes(chunk))))
            }
            data_type::UINT8 if is_raw => Values::Ints(bytes.iter().map(|byte| i64::from(*byte)).collect()),
            data_type::INT32 | data_type::UINT8 => Values::Ints(small()),
            data_type::STRING => Values::Texts(texts()),
            other => {
                return refuse(format!("the constant `{name}` is of the type {other}, which is not read"));
            }
        };
        let dims: Option<Vec<usize>> = tensor.dims.iter().map(|size| usize::try_from(*size).ok()).collect();
        let dims = dims.unwrap_or_default();
        let count = dims.iter().try_fold(1_usize, |product, size| product.checked_mul(*size));
        if dims.len() != tensor.dims.len() || count != Some(values.len()) {
            return refuse(format!("the constant `{name}` has another number of values than its shape says"));
        }
        Ok(Self { dims, values })
    }

    pub(super) fn floats(&self) -> Option<&[f32]> {
        if let Values::Floats(values) = &self.values { Some(values) } else { None }
    }

    pub(super) fn ints(&self) -> Option<&[i64]> {
        if let Values::Ints(values) = &self.values { Some(values) } else { None }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn raw_bytes_and_lists_are_the_same_constant() {
        let list = Tensor {
            dims: vec![2],
            data_type: data_type::FLOAT,
            float_data: vec![1.5, -2.0],
            ..Tensor::default()
        };
        let bytes = [1.5_f32, -2.0].iter().flat_map(|value| value.to_le_bytes()).collect();
        let raw = Tensor { float_data: Vec::new(), raw_data: bytes, ..list.clone() };
        assert_eq!(Constant::read(&list), Constant::read(&raw));
        let small = Tensor {
            dims: vec![1],
            data_type: data_type::INT32,
            raw_data: vec![255, 255, 255, 255],
            ..Tensor::default()
        };
        assert_eq!(Constant::read(&small).expect("a constant").ints(), Some(&[-1][..]));
    }

    #[test]
    fn constants_that_are_not_what_they_say_are_refused() {
        let tensor =
            Tensor { dims: vec![3], data_type: data_type::FLOAT, float_data: vec![1.0], ..Tensor::default() };
        let refused = |tensor: &Tensor| Constant::read(tensor).expect_err("refused").to_string();
        assert!(refused(&tensor).contains("another number of values"));
        assert!(refused(&Tensor { dims: vec![-1], ..tensor.clone() }).contains("another number of values"));
        assert!(
            refused(&Tensor { dims: vec![i64::MAX, i64::MAX], ..tensor.clone() }).contains("another number")
        );
        assert!(refused(&Tensor { data_type: 16, ..tensor.clone() }).contains("type 16"));
        assert!(refused(&Tensor { data_location: 1, ..tensor }).contains("one file"));
    }
}
