//! What the rules of a pipeline can be on: a metric that nobody measures would leave every run without a verdict.

use modelgate_core::metric::{CLASSIFICATION, OTHERS, REGRESSION, pinball, pinball_quantile};
use modelgate_core::verdict::figure;

use crate::project::TaskKind;

/// Says why a run of a pipeline for `task`, whose model is trained for `quantile`, does not measure `metric`, when it does
/// not.
pub(crate) fn check_metric(metric: &str, task: TaskKind, quantile: Option<f64>) -> Result<(), String> {
    let (own, others, other_task): (&[&str], &[&str], _) = match task {
        TaskKind::Regression => (&REGRESSION, &CLASSIFICATION, "classification"),
        TaskKind::Classification => (&CLASSIFICATION, &REGRESSION, "regression"),
    };
    let besides = OTHERS.iter().map(|(name, _)| *name);
    let known: Vec<&str> = own.iter().copied().chain(besides).collect();
    if known.contains(&metric) || quantile.is_some_and(|quantile| pinball(quantile) == metric) {
        return Ok(());
    }
    if let (TaskKind::Regression, Some(asked)) = (task, pinball_quantile(metric)) {
        return Err(format!(
            "`{metric}` is measured of a model that is trained for it: `params: {{loss: quantile, quantile: {}}}`",
            figure(asked)
        ));
    }
    if metric.starts_with("drift.") {
        return Err(format!("`{metric}`: drift is not measured in this version; take the rule out"));
    }
    if metric.starts_with("rollout.") {
        return Err(format!(
            "`{metric}` is measured in a rollout alone: its rules are `serve.rollout.rules`"
        ));
    }
    let there = known.join(", ");
    if others.contains(&metric) {
        return Err(format!("`{metric}` is a metric of the task `{other_task}`; here there is {there}"));
    }
    let near = |name: &&str| strsim::jaro_winkler(metric, name);
    let nearest = known.iter().copied().max_by(|one, other| near(one).total_cmp(&near(other)));
    let nearest = nearest.filter(|name| near(name) > 0.7);
    let hint = nearest.map_or_else(String::new, |name| format!(" did you mean `{name}`?"));
    Err(format!("there is no metric `{metric}`;{hint} there is {there}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rule_is_on_what_a_run_of_its_task_measures() {
        let said = |metric, task| check_metric(metric, task, Some(0.75)).err().unwrap_or_default();
        let (classes, numbers) = (TaskKind::Classification, TaskKind::Regression);
        assert_eq!(said("accuracy", classes), "");
        for known in ["schema", "slices", "contract.errors", "latency.p99_ms", "rmse"] {
            assert_eq!(said(known, numbers), "");
        }
        assert!(said("acuracy", classes).contains("did you mean `accuracy`?"));
        assert!(said("rmse", classes).contains("of the task `regression`"));
        assert!(said("accuracy", numbers).contains("of the task `classification`"));
        assert!(said("drift.psi", numbers).contains("drift is not measured in this version"));
        assert!(said("rollout.error_rate", numbers).contains("serve.rollout.rules"));
        assert!(said("latency.p95_ms", classes).contains("did you mean `latency.p99_ms`?"));
        assert!(!said("zzzz", classes).contains("did you mean"));
        assert_eq!(
            (said("pinball_75", numbers), said("pinball_90", numbers)),
            (String::new(), String::new())
        );
        let trained = |train: &str| {
            let text = format!(
                "version: 1\nproject: p\npipelines:\n  p:\n    task: regression\n    data: {{source: a.csv, target: y}}\n    train: {{{train}}}\n    gate: {{rules: [{{metric: pinball_75, at_most: 1}}]}}\n"
            );
            crate::parse(&text, std::path::Path::new("modelgate.yaml")).is_ok()
        };
        // Whoever trains it: the parameters say what the model is for.
        for train in ["algorithm: gradient_boosting", "command: python3 train.py"] {
            assert!(trained(&format!("{train}, params: {{loss: quantile, quantile: 0.75}}")), "{train}");
            assert!(!trained(&format!("{train}, params: {{loss: quantile, quantile: 75}}")), "{train}");
        }
        assert!(said("pinball_80", numbers).contains("`params: {loss: quantile, quantile: 0.8}`"));
    }
}
