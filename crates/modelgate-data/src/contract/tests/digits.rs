//! Tests of values with more digits than a cell holds.

use super::*;

#[test]
fn keys_are_known_by_all_their_digits_and_what_is_compared_with_fewer_is_said() {
    let contract = "version: 1\ncolumns: {iccid: {type: decimal, unique: true, min: 0}, at: {type: timestamp, unique: true}, n: {type: int, max: 1e16}}";
    let rows: Vec<String> = (100..150)
        .map(|row| format!("89490000001234567{row},2024-01-01T00:00:00.000000{row},10000000000000000"))
        .collect();
    let text = format!("iccid,at,n\n{}\n", rows.join("\n"));
    let report = checked(contract, &text);
    assert_eq!(report.violations, []);
    let note = "`iccid`: 50 of 50 values have more digits than are compared: `min`, `max`, `values` and rules see them as doubles";
    assert!(report.notes.len() == 1 && report.notes[0].starts_with(note), "{:?}", report.notes);
    let again = format!("{text}89490000001234567101,2024-01-01T00:00:00.0000001010Z,10000000000000001\n");
    let report = checked(contract, &again);
    assert_eq!(ids(&report), ["n.max", "at.unique", "iccid.unique"]);
    assert_eq!(report.violations[2].rows[0].values["iccid"], "89490000001234567101");
    let files = vec![SourceFile::bytes("a.csv", text.as_bytes())];
    let dataset = Dataset::open(files, &ReadOptions::default(), Mixed::AsText).expect("a data set");
    let description = describe(&dataset).expect("described");
    let distinct: Vec<_> = description.columns.iter().map(|column| column.distinct).collect();
    assert_eq!(distinct, [Some(50), Some(50), Some(1)]);
}
