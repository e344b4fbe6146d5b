//! Whether the classes of a target are so uneven that accuracy says little.

use std::collections::BTreeMap;

use super::rows::Rows;

/// With one class of more than this share, answering it always has an accuracy that looks good.
const FREQUENT: f64 = 0.7;

/// A class of less than this part of an even share hardly counts in accuracy.
const RARE: f64 = 0.4;

/// Returns why a bound on accuracy would say little of a model; `None` where it says something, and where nobody knows.
pub(super) fn uneven(rows: &Rows, target: &str) -> Option<String> {
    let column = rows.table.column(target)?;
    let mut counts: BTreeMap<String, usize> = BTreeMap::new();
    for row in (0..rows.table.rows).filter(|row| !column.is_null(*row)) {
        let name = column.text(row).map(str::to_owned);
        let name = name.or_else(|| column.number(row).map(|number| number.to_string()))?;
        *counts.entry(name).or_default() += 1;
    }
    let known: usize = counts.values().sum();
    let share = |count: usize| count as f64 / known as f64;
    let by_count = |one: &(&String, &usize), other: &(&String, &usize)| one.1.cmp(other.1);
    let (most, least) = (counts.iter().max_by(by_count)?, counts.iter().min_by(by_count)?);
    if counts.len() < 2 {
        return None;
    }
    let percent = |count: usize| match (share(count) * 100.0).round() {
        0.0 => "less than 1%".to_owned(),
        percent => format!("{percent}%"),
    };
    if share(*most.1) > FREQUENT {
        return Some(format!(
            "{} of the rows are `{}`, which a model may always answer",
            percent(*most.1),
            most.0
        ));
    }
    let is_rare = share(*least.1) * (counts.len() as f64) < RARE;
    is_rare.then(|| format!("{} of the rows are `{}`, which hardly counts in it", percent(*least.1), least.0))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(counts: &[(&str, usize)]) -> Option<String> {
        let folder = tempfile::tempdir().expect("a folder");
        let lines: String = counts.iter().map(|(name, count)| format!("1,{name}\n").repeat(*count)).collect();
        fs_err::write(folder.path().join("data.csv"), format!("a,y\n{lines}")).expect("written");
        uneven(&super::super::rows::read(folder.path(), "data.csv")?, "y")
    }

    #[test]
    fn a_frequent_class_and_a_rare_one_are_named() {
        assert_eq!(said(&[("no", 60), ("yes", 40)]), None);
        let frequent = "95% of the rows are `no`, which a model may always answer";
        assert_eq!(said(&[("no", 95), ("yes", 5)]).as_deref(), Some(frequent));
        assert_eq!(
            said(&[("1", 5), ("0", 95)]).map(|said| said.replace("`0`", "`no`")).as_deref(),
            Some(frequent)
        );
        let rare = "10% of the rows are `c`, which hardly counts in it";
        assert_eq!(said(&[("a", 45), ("b", 45), ("c", 10)]).as_deref(), Some(rare));
        assert_eq!(said(&[("a", 34), ("b", 33), ("c", 33)]), None);
        assert_eq!(said(&[("a", 20)]), None);
        // Many even classes are each a small part.
        let names: Vec<String> = (0..20).map(|class| format!("c{class}")).collect();
        assert_eq!(said(&names.iter().map(|name| (name.as_str(), 5)).collect::<Vec<_>>()), None);
    }
}
