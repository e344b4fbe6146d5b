//! The arithmetic of operators that exporters use: each in `f32` and in the order that ONNX Runtime has, where its
//! operator says one.

/// What two numbers become.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Arithmetic {
    Add,
    Subtract,
    Multiply,
    Divide,
}

impl Arithmetic {
    pub(super) fn of(operator: &str) -> Option<Self> {
        match operator {
            "Add" => Some(Self::Add),
            "Sub" => Some(Self::Subtract),
            "Mul" => Some(Self::Multiply),
            "Div" => Some(Self::Divide),
            _ => None,
        }
    }

    pub(super) fn apply(self, left: f32, right: f32) -> f32 {
        match self {
            Self::Add => left + right,
            Self::Subtract => left - right,
            Self::Multiply => left * right,
            Self::Divide => left / right,
        }
    }
}

/// What one number becomes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Function {
    Relu,
    Abs,
    Negate,
    Sqrt,
    Exp,
    Log,
    Tanh,
    Sigmoid,
    Floor,
}

impl Function {
    pub(super) fn of(operator: &str) -> Option<Self> {
        match operator {
            "Relu" => Some(Self::Relu),
            "Abs" => Some(Self::Abs),
            "Neg" => Some(Self::Negate),
            "Sqrt" => Some(Self::Sqrt),
            "Exp" => Some(Self::Exp),
            "Log" => Some(Self::Log),
            "Tanh" => Some(Self::Tanh),
            "Sigmoid" => Some(Self::Sigmoid),
            "Floor" => Some(Self::Floor),
            _ => None,
        }
    }

    fn apply(self, value: f32) -> f32 {
        let double = f64::from(value);
        match self {
            Self::Relu if value.is_nan() => value,
            Self::Relu => value.max(0.0),
            Self::Abs => value.abs(),
            Self::Negate => -value,
            Self::Sqrt => value.sqrt(),
            Self::Exp => libm::exp(double) as f32,
            Self::Log => libm::log(double) as f32,
            Self::Tanh => libm::tanh(double) as f32,
            Self::Sigmoid => (1.0 / (1.0 + libm::exp(-double))) as f32,
            Self::Floor => value.floor(),
        }
    }
}

/// What a row is divided by.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Norm {
    Max,
    L1,
    L2,
}

/// An operation on a matrix of numbers.
#[derive(Clone, PartialEq, Debug)]
pub(super) enum Kernel {
    /// With a constant for each column, on the left where `reversed`.
    ByRow { arithmetic: Arithmetic, row: Vec<f32>, reversed: bool },
    /// Minus the first, times the second.
    Scale { offset: Vec<f32>, scale: Vec<f32> },
    /// A number for what is missing, which is NaN or a number.
    Impute { values: Vec<f32>, missing: f32 },
    /// A row over its norm.
    Normalize(Norm),
    /// Columns by their places.
    Select(Vec<usize>),
    /// Between bounds.
    Clip { low: f32, high: f32 },
    /// 1 above the threshold, else 0.
    Above(f32),
    /// Cell by cell.
    Map(Function),
    /// Times a matrix `[width × outputs]`: sums in doubles, since operators say no order, rounded once.
    MatMul { weights: Vec<f32>, outputs: usize },
}

impl Kernel {
    /// Returns the column that each column is made of; `None` where one is made of several.
    pub(super) fn origins(&self) -> Option<&[usize]> {
        if let Self::Select(columns) = self { Some(columns) } else { None }
    }

    /// Returns whether a column is made of several.
    pub(super) fn mixes(&self) -> bool {
        matches!(self, Self::MatMul { .. } | Self::Normalize(_))
    }

    /// Runs over a row-major matrix of `width` columns.
    pub(super) fn run(&self, matrix: &[f32], width: usize) -> Vec<f32> {
        let width = width.max(1);
        let rows = || matrix.chunks_exact(width);
        match self {
            Self::ByRow { arithmetic, row, reversed } => {
                let cell = |(cell, constant): (&f32, &f32)| {
                    if *reversed {
                        arithmetic.apply(*constant, *cell)
                    } else {
                        arithmetic.apply(*cell, *constant)
                    }
                };
                rows().flat_map(|cells| cells.iter().zip(row).map(cell)).collect()
            }
            Self::Scale { offset, scale } => rows()
                .flat_map(|cells| {
                    cells.iter().zip(offset).zip(scale).map(|((cell, offset), scale)| (cell - offset) * scale)
                })
                .collect(),
            Self::Impute { values, missing } => {
                let is_missing = |cell: f32| if missing.is_nan() { cell.is_nan() } else { cell == *missing };
                let cell = |(cell, value): (&f32, &f32)| if is_missing(*cell) { *value } else { *cell };
                rows().flat_map(|cells| cells.iter().zip(values).map(cell)).collect()
            }
            Self::Normalize(norm) => rows().flat_map(|cells| normalized(cells, *norm)).collect(),
            Self::Select(columns) => rows()
                .flat_map(|cells| {
                    columns.iter().map(|column| cells.get(*column).copied().unwrap_or(f32::NAN))
                })
                .collect(),
            Self::Clip { low, high } => {
                let cell = |cell: &f32| {
                    if *cell < *low {
                        *low
                    } else if *cell > *high {
                        *high
                    } else {
                        *cell
                    }
                };
                matrix.iter().map(cell).collect()
            }
            Self::Above(threshold) => {
                matrix.iter().map(|cell| if cell > threshold { 1.0 } else { 0.0 }).collect()
            }
            Self::Map(function) => matrix.iter().map(|cell| function.apply(*cell)).collect(),
            Self::MatMul { weights, outputs } => {
                let mut all = Vec::with_capacity(matrix.len() / width * outputs);
                let mut sums = vec![0.0_f64; *outputs];
                for cells in rows() {
                    sums.fill(0.0);
                    for (cell, weights) in cells.iter().zip(weights.chunks_exact((*outputs).max(1))) {
                        for (sum, weight) in sums.iter_mut().zip(weights) {
                            *sum += f64::from(*cell) * f64::from(*weight);
                        }
                    }
                    all.extend(sums.iter().map(|sum| *sum as f32));
                }
                all
            }
        }
    }
}

/// A row whose norm is zero stays as it is.
fn normalized(cells: &[f32], norm: Norm) -> Vec<f32> {
    match norm {
        Norm::Max => {
            let highest = cells.iter().copied().fold(f32::MIN, f32::max);
            let divided = |cell: &f32| if highest == 0.0 { *cell } else { cell / highest };
            cells.iter().map(divided).collect()
        }
        Norm::L1 => {
            let sum: f32 = cells.iter().map(|cell| cell.abs()).sum();
            cells.iter().map(|cell| if sum == 0.0 { *cell } else { cell / sum }).collect()
        }
        Norm::L2 => {
            let sum: f32 = cells.iter().map(|cell| cell * cell).sum();
            // ONNX Runtime takes the root of the share, not the share of the root.
            let divided = |cell: &f32| {
                let root = (cell * cell / sum).sqrt();
                if sum == 0.0 {
                    *cell
                } else if *cell < 0.0 {
                    -root
                } else {
                    root
                }
            };
            cells.iter().map(divided).collect()
        }
    }
}
