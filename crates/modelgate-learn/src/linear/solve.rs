//! Symmetric systems that may be singular: Cholesky with pivoting, and the solution of least norm where there are many.
//!
//! Sources: Higham, 1990, "Analysis of the Cholesky decomposition of a semi-definite matrix"; the pseudo-inverse of
//! `L Lᵀ` is `L (Lᵀ L)⁻² Lᵀ` (Courrieu, 2005, "Fast computation of Moore-Penrose inverse matrices").

/// What is left of a diagonal element, relative to it, below which its column depends on the others: some hundred
/// times the rounding of the sums of products.
const DEPENDENT: f64 = 1e-11;

/// A factorised matrix.
pub(crate) struct Factor {
    size: usize,
    /// Row-major `[size × size]`, the lower half, in the order of `pivots`.
    lower: Vec<f64>,
    pivots: Vec<usize>,
    /// Number of columns that do not depend on the others.
    pub(crate) rank: usize,
    /// The smallest share of a diagonal element that was left, 1 for orthogonal columns.
    pub(crate) smallest: f64,
}

impl Factor {
    /// Factorises a symmetric positive semi-definite matrix, row-major `[size × size]`.
    pub(crate) fn new(mut matrix: Vec<f64>, size: usize) -> Self {
        let diagonal: Vec<f64> = (0..size).map(|at| matrix[at * size + at]).collect();
        let mut pivots: Vec<usize> = (0..size).collect();
        let mut smallest = 1.0_f64;
        let mut rank = 0;
        for step in 0..size {
            // Relative to itself, so that the unit of a feature does not decide; the first of equals.
            let share = |at: usize| {
                let whole = diagonal[pivots[at]];
                if whole > 0.0 { matrix[at * size + at] / whole } else { 0.0 }
            };
            let mut best = step;
            for at in step + 1..size {
                if share(at) > share(best) {
                    best = at;
                }
            }
            let left = share(best);
            if left <= DEPENDENT || !left.is_finite() {
                break;
            }
            smallest = smallest.min(left);
            swap(&mut matrix, size, step, best);
            pivots.swap(step, best);
            let root = matrix[step * size + step].sqrt();
            matrix[step * size + step] = root;
            let column: Vec<f64> = (step + 1..size).map(|row| matrix[row * size + step] / root).collect();
            for (row, factor) in (step + 1..size).zip(&column) {
                let cells = &mut matrix[row * size..(row + 1) * size];
                cells[step] = *factor;
                for (cell, other) in cells[step + 1..=row].iter_mut().zip(&column) {
                    *cell -= factor * other;
                }
            }
            rank += 1;
        }
        Self { size, lower: matrix, pivots, rank, smallest }
    }

    /// Returns the columns that depend on the others, in order.
    pub(crate) fn dependent(&self) -> Vec<usize> {
        let mut dependent = self.pivots[self.rank..].to_vec();
        dependent.sort_unstable();
        dependent
    }

    /// Returns the solution of `matrix · x = right`, that of least norm where there are many.
    pub(crate) fn solve(&self, right: &[f64]) -> Vec<f64> {
        let mut permuted: Vec<f64> = self.pivots.iter().map(|pivot| right[*pivot]).collect();
        if self.rank == self.size {
            substitute(&self.lower, self.size, self.size, &mut permuted);
        } else {
            permuted = self.least_norm(&permuted);
        }
        let mut solution = vec![0.0; self.size];
        for (pivot, value) in self.pivots.iter().zip(permuted) {
            solution[*pivot] = value;
        }
        solution
    }

    fn least_norm(&self, right: &[f64]) -> Vec<f64> {
        let (size, rank) = (self.size, self.rank);
        let cell = |row: usize, column: usize| {
            if column <= row { self.lower[row * size + column] } else { 0.0 }
        };
        let mut inner = vec![0.0; rank * rank];
        let mut reduced = vec![0.0; rank];
        for row in 0..size {
            for one in 0..rank.min(row + 1) {
                let value = cell(row, one);
                reduced[one] += value * right[row];
                for other in 0..=one {
                    inner[one * rank + other] += value * cell(row, other);
                }
            }
        }
        for one in 0..rank {
            for other in one + 1..rank {
                inner[one * rank + other] = inner[other * rank + one];
            }
        }
        let inner = Self::new(inner, rank);
        let reduced = inner.solve_full(&inner.solve_full(&reduced));
        (0..size)
            .map(|row| (0..rank.min(row + 1)).map(|column| cell(row, column) * reduced[column]).sum())
            .collect()
    }

    /// As [`solve`](Self::solve), with zero for columns that depend on the others.
    fn solve_full(&self, right: &[f64]) -> Vec<f64> {
        let mut permuted: Vec<f64> = self.pivots.iter().map(|pivot| right[*pivot]).collect();
        permuted.truncate(self.rank);
        substitute(&self.lower, self.size, self.rank, &mut permuted);
        let mut solution = vec![0.0; self.size];
        for (pivot, value) in self.pivots.iter().zip(permuted) {
            solution[*pivot] = value;
        }
        solution
    }
}

/// Solves `L Lᵀ x = right` in place for the first `count` rows of a lower matrix with rows of `size`.
fn substitute(lower: &[f64], size: usize, count: usize, right: &mut [f64]) {
    for row in 0..count {
        let products = lower[row * size..row * size + row].iter().zip(&*right);
        let sum: f64 = products.map(|(cell, value)| cell * value).sum();
        right[row] = (right[row] - sum) / lower[row * size + row];
    }
    for row in (0..count).rev() {
        right[row] /= lower[row * size + row];
        let value = right[row];
        for (column, cell) in right[..row].iter_mut().zip(&lower[row * size..row * size + row]) {
            *column -= cell * value;
        }
    }
}

/// Swaps two rows and columns of a symmetric matrix of which the lower half is kept.
fn swap(matrix: &mut [f64], size: usize, one: usize, other: usize) {
    if one == other {
        return;
    }
    for column in 0..one {
        matrix.swap(one * size + column, other * size + column);
    }
    for between in one + 1..other {
        matrix.swap(between * size + one, other * size + between);
    }
    for row in other + 1..size {
        matrix.swap(row * size + one, row * size + other);
    }
    matrix.swap(one * size + one, other * size + other);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_regular_system_is_solved() {
        let factor = Factor::new(vec![4.0, 2.0, 0.4, 2.0, 5.0, 1.0, 0.4, 1.0, 3.0], 3);
        assert_eq!((factor.rank, factor.dependent()), (3, vec![]));
        let found = factor.solve(&[9.2, 15.0, 11.4]);
        for (found, expected) in found.iter().zip([1.0, 2.0, 3.0]) {
            assert!((found - expected).abs() < 1e-12, "{found} {expected}");
        }
    }

    #[test]
    fn of_many_solutions_the_shortest_is_given() {
        // Rows (1, 2, 1) and (0, 1, 1): the third column is the second less the first.
        let rows = [[1.0, 2.0, 1.0], [0.0, 1.0, 1.0]];
        let targets = [3.0, 1.0];
        let mut products = vec![0.0; 9];
        let mut right = vec![0.0; 3];
        for (row, target) in rows.iter().zip(targets) {
            for one in 0..3 {
                right[one] += row[one] * target;
                for other in 0..3 {
                    products[one * 3 + other] += row[one] * row[other];
                }
            }
        }
        let factor = Factor::new(products, 3);
        assert_eq!((factor.rank, factor.dependent().len()), (2, 1));
        // The pseudo-inverse gives (2/3, 4/3 − 1/3, 0) … checked by hand: x = Aᵀ (A Aᵀ)⁻¹ b.
        let found = factor.solve(&right);
        for (found, expected) in found.iter().zip([1.0, 1.0, 0.0]) {
            assert!((found - expected).abs() < 1e-9, "{found} {expected}");
        }
    }

    #[test]
    fn a_matrix_of_zeros_has_rank_zero_and_the_solution_zero() {
        let factor = Factor::new(vec![0.0; 4], 2);
        assert_eq!((factor.rank, factor.solve(&[0.0, 0.0])), (0, vec![0.0, 0.0]));
    }
}
