//! Figures of an order of rows by score: area under the ROC curve, average precision, and their curves.

/// Rows in the order of falling scores, ready to be weighed again and again.
#[derive(Clone, Debug)]
pub(crate) struct Ranked {
    /// Row numbers by falling score; ties in the order of the rows.
    pub(crate) order: Vec<u32>,
    /// Whether the row at this place is of the class; all ones or zeros, so that it masks a weight.
    pub(crate) positive: Vec<u32>,
    /// Whether the next row has another score.
    pub(crate) ends: Vec<bool>,
}

/// A point of a curve after all rows of one score.
#[derive(Clone, Copy, PartialEq, Debug)]
pub(crate) struct CurvePoint {
    pub(crate) true_positives: u64,
    pub(crate) false_positives: u64,
}

impl Ranked {
    /// Ranks rows by `score`, finite, of which those that are `positive` belong to the class.
    pub(crate) fn new(rows: usize, score: impl Fn(usize) -> f32, positive: impl Fn(usize) -> bool) -> Self {
        let mut order: Vec<u32> = (0..rows as u32).collect();
        order.sort_by(|one, other| score(*other as usize).total_cmp(&score(*one as usize)));
        let mask = order.iter().map(|row| if positive(*row as usize) { u32::MAX } else { 0 }).collect();
        let ends = (0..rows)
            .map(|at| at + 1 == rows || score(order[at] as usize) != score(order[at + 1] as usize))
            .collect();
        Self { order, positive: mask, ends }
    }

    /// Adds a row, the next by its number, before all others or behind them.
    pub(crate) fn add(&mut self, first: bool, positive: bool) {
        let (row, mask) = (self.order.len() as u32, if positive { u32::MAX } else { 0 });
        let place = if first { 0 } else { self.order.len() };
        self.order.insert(place, row);
        self.positive.insert(place, mask);
        self.ends.insert(place, true);
    }

    /// Returns the area under the ROC curve and the average precision when each row counts `weight` times; NaN when
    /// one of the two sides is empty.
    pub(crate) fn areas(&self, weight: impl Fn(u32) -> u32) -> (f64, f64) {
        let (mut hits, mut misses) = (0_u64, 0_u64);
        let (mut hits_before, mut misses_before) = (0_u64, 0_u64);
        // In halves, so that whole numbers suffice: at most 2 · 2^32 · 2^32 / 4.
        let (mut halves, mut precision) = (0_u64, 0.0_f64);
        for ((row, mask), ends) in self.order.iter().zip(&self.positive).zip(&self.ends) {
            let weight = weight(*row);
            hits += u64::from(weight & mask);
            misses += u64::from(weight & !mask);
            if *ends {
                halves += (misses - misses_before) * (hits + hits_before);
                if hits > hits_before {
                    precision += (hits - hits_before) as f64 * (hits as f64 / (hits + misses) as f64);
                }
                (hits_before, misses_before) = (hits, misses);
            }
        }
        if hits == 0 {
            return (f64::NAN, f64::NAN);
        }
        let area = if misses == 0 { f64::NAN } else { halves as f64 / 2.0 / (hits as f64 * misses as f64) };
        (area, precision / hits as f64)
    }

    /// Returns the counts after each score, from the highest.
    pub(crate) fn curve(&self) -> Vec<CurvePoint> {
        let mut point = CurvePoint { true_positives: 0, false_positives: 0 };
        let mut points = Vec::new();
        for (mask, ends) in self.positive.iter().zip(&self.ends) {
            if *mask == 0 {
                point.false_positives += 1;
            } else {
                point.true_positives += 1;
            }
            if *ends {
                points.push(point);
            }
        }
        points
    }
}
