//! Sums that keep their digits. Source: Neumaier, 1974, "Rundungsfehleranalyse einiger Verfahren zur Summation
//! endlicher Summen".

/// Returns the compensated sum, in the order of the values.
pub(crate) fn sum(values: impl IntoIterator<Item = f64>) -> f64 {
    let (mut total, mut lost) = (0.0_f64, 0.0_f64);
    for value in values {
        let next = total + value;
        lost += if total.abs() >= value.abs() { (total - next) + value } else { (value - next) + total };
        total = next;
    }
    if lost.is_finite() { total + lost } else { total }
}
