//! Whether the values of a target are numbers to predict rather than classes.

use std::collections::BTreeSet;

use super::rows::Rows;

/// More different whole numbers than this are taken for numbers: digits are classes, and so are grades.
const MOST_CLASSES: usize = 20;

/// Returns why the target is taken for numbers; `None` where it is not, and where it is not there.
pub(super) fn numbers(rows: &Rows, target: &str) -> Option<String> {
    let declared = rows.schema.column(target)?;
    // `007` is a name.
    if !declared.declared.column_type.is_number() || declared.loses_zeros {
        return None;
    }
    let column = rows.table.column(target)?;
    let values = || (0..rows.table.rows).filter_map(|row| column.number(row)).filter(|value| !value.is_nan());
    if let Some(value) = values().find(|value| value.fract() != 0.0) {
        return Some(format!("`{target}` has numbers with decimals, such as {value}"));
    }
    let different = values().map(f64::to_bits).collect::<BTreeSet<_>>().len();
    (different > MOST_CLASSES).then(|| format!("`{target}` has {different} different numbers"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(values: &[&str]) -> Option<String> {
        let folder = tempfile::tempdir().expect("a folder");
        let lines: String = values.iter().map(|value| format!("1,{value}\n")).collect();
        fs_err::write(folder.path().join("data.csv"), format!("a,y\n{lines}")).expect("written");
        numbers(&super::super::rows::read(folder.path(), "data.csv")?, "y")
    }

    #[test]
    fn numbers_with_decimals_and_many_different_ones_are_no_classes() {
        assert_eq!(said(&["2", "1.5"]).as_deref(), Some("`y` has numbers with decimals, such as 1.5"));
        let many = |from: i32, to: i32| (from..to).map(|value| value.to_string()).collect::<Vec<_>>();
        let of = |values: &[String]| said(&values.iter().map(String::as_str).collect::<Vec<_>>());
        assert_eq!(of(&many(-2, 30)).as_deref(), Some("`y` has 32 different numbers"));
        assert_eq!(of(&many(0, 10)), None, "digits");
        assert_eq!(said(&["1.0", "0.0", ""]), None);
        assert_eq!(said(&["true", "false"]), None);
        assert_eq!(said(&["yes", "1.5", "no"]), None);
        let codes: Vec<String> = (0..40).map(|code| format!("{code:03}")).collect();
        assert_eq!(of(&codes), None, "names");
    }
}
