//! Which values are compared with fewer digits than they have.

use super::{Check, Found, PlannedColumn};

impl Check<'_> {
    /// Says of which columns values are compared with fewer digits than they have.
    pub(super) fn rounded(&self, found: &Found) -> Vec<String> {
        let is_in_rule =
            |name: &String| self.plan.rules.iter().any(|rule| rule.expression.columns.contains(name));
        let columns = self.plan.columns.iter().zip(&found.rounded);
        let told = columns.filter(|(planned, rounded)| {
            let compares = planned.checks.iter().any(|check| check.check.compares_numbers());
            **rounded > 0 && (compares || is_in_rule(&planned.name))
        });
        let say = |(planned, rounded): (&PlannedColumn, &u64)| {
            let (name, rows) = (&planned.name, found.rows);
            let held = if self.contract.columns[name].column_type.is_time() {
                "microseconds"
            } else {
                "doubles, of 15 to 17 digits"
            };
            format!(
                "`{name}`: {rounded} of {rows} values have more digits than are compared: `min`, `max`, `values` and rules see them \
                 as {held}; `unique` sees all digits"
            )
        };
        told.map(say).collect()
    }
}
