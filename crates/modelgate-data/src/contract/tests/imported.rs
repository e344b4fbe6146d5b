//! Tests of what the quality rules of the open standard become: a severity or a tolerance of one rule is none of the others.

use super::*;

/// Imports a contract whose properties are `properties`.
fn imported(properties: &str) -> (Contract, Vec<String>) {
    let text =
        format!("apiVersion: v3.1.0\nkind: DataContract\nschema:\n- name: t\n  properties:\n{properties}");
    from_odcs(&text, "o.yaml").expect("a contract")
}

fn broken(contract: &Contract, text: &str) -> Vec<(String, Severity)> {
    let files = vec![SourceFile::bytes("a.csv", text.as_bytes())];
    let report = check(files, &ReadOptions::default(), contract, "o.yaml", 0).expect("checked");
    report.violations.into_iter().map(|found| (found.id, found.severity)).collect()
}

#[test]
fn a_rule_that_warns_loosens_no_other() {
    let (contract, left) = imported(
        "  - name: country
    logicalType: string
    required: true
    logicalTypeOptions: {maxLength: 2}
    quality:
    - {metric: invalidValues, mustBeLessOrEqualTo: 10, unit: percent, severity: warning, arguments: {validValues: [DE, \"l'Ile\"]}}
    - {metric: invalidValues, mustBe: 0, severity: warning, arguments: {pattern: '[A-Z]'}}
    - {metric: duplicateValues, mustBe: 0, severity: warning}
  - name: amount
    logicalType: number
    required: true
    quality: [{metric: nullValues, mustBe: 0, severity: warning}]
  - name: rate
    logicalType: number
    logicalTypeOptions: {minimum: 0}
    quality: [{metric: nullValues, mustBeLessOrEqualTo: 1}]
",
    );
    assert_eq!(left, ["the quality rule invalidValues of `country`"]);
    for name in ["country", "amount", "rate"] {
        assert_eq!(
            (contract.columns[name].allow, contract.columns[name].severity),
            (None, Severity::Error),
            "{name}"
        );
    }
    assert!(!contract.columns["country"].nullable && !contract.columns["amount"].nullable);
    assert_eq!(
        contract.unique,
        [UniqueKey { columns: vec!["country".to_owned()], severity: Severity::Warning }]
    );
    let expected = [
        RowRule {
            id: Some("country.invalidValues".to_owned()),
            check: "`country` == 'DE' or `country` == \"l'Ile\"".to_owned(),
            allow: Some(Tolerance::Share(0.1)),
            severity: Severity::Warning,
        },
        RowRule {
            id: Some("rate.nullValues".to_owned()),
            check: "not is_null(`rate`)".to_owned(),
            allow: Some(Tolerance::Rows(1)),
            severity: Severity::Error,
        },
    ];
    assert_eq!(contract.rules, expected);
    let rows = "country,amount,rate\n,,\nDEU,1,\nDE,2,-1\nFR,3,0\n";
    let error = |id: &str| (id.to_owned(), Severity::Error);
    assert_eq!(
        broken(&contract, rows),
        [
            error("amount.nullable"),
            error("country.nullable"),
            error("country.max_length"),
            error("rate.min"),
            error("rate.nullValues"),
            ("country.invalidValues".to_owned(), Severity::Warning)
        ]
    );
}

#[test]
fn a_rule_that_stands_alone_is_the_columns() {
    let (contract, left) = imported(
        "  - name: country
    quality: [{metric: invalidValues, mustBeLessOrEqualTo: 2, severity: warning, arguments: {validValues: [DE]}}]
  - name: amount
    quality: [{metric: nullValues, mustBe: 0, severity: warning}, {metric: duplicateValues, mustBe: 0, severity: warning}]
",
    );
    assert_eq!((left, contract.rules.len(), contract.unique.len()), (vec![], 0, 0));
    let (country, amount) = (&contract.columns["country"], &contract.columns["amount"]);
    assert_eq!((country.allow, country.severity), (Some(Tolerance::Rows(2)), Severity::Warning));
    assert_eq!((amount.allow, amount.severity), (None, Severity::Warning));
    assert!(!amount.nullable && amount.unique && country.values.is_some());
}
