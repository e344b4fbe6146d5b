//! Rows that could have been seen and were not: in some the candidate alone is right, in as many the reference alone.
//!
//! What a difference could be is taken from what the answers are: a class taken for another, an answer as sure as the model
//! usually is or ever, an error of the size that errors have. Where the models hardly differ, the rows say little of that, and the worst
//! is taken that can well be. Nothing is measured here.

use modelgate_evaluate::rests_on_labels;

use crate::answers::Answers;

/// With fewer rows that differ, how much they can differ is not known from them.
const FEW_DIFFERENT: usize = 10;

/// A smaller part of the usual error is no difference, nor is such a part of a probability.
const NOTICED: f64 = 0.01;

/// Returns both models' answers with made-up rows behind them, once for each kind of row by which `metric` could differ.
pub(super) fn with_made_up_rows(
    candidate: &Answers,
    reference: &Answers,
    metric: &str,
) -> Vec<(Answers, Answers)> {
    match (candidate, reference) {
        (Answers::Classes { names, .. }, _) if rests_on_labels(metric) || rests_on_order(metric) => {
            let said = beyond_all(names.len());
            vec![right_alone_in_each_class(candidate, reference, (&said, &said))]
        }
        (Answers::Classes { .. }, _) => {
            let said = if metric == "log_loss" {
                let said = surest(candidate, reference);
                (said.clone(), said)
            } else {
                (usual(candidate), usual(reference))
            };
            vec![
                most_different(candidate, reference),
                right_alone_in_each_class(candidate, reference, (&said.0, &said.1)),
            ]
        }
        (Answers::Values { .. }, _) => {
            vec![most_different(candidate, reference), wrong_alone(candidate, reference)]
        }
    }
}

/// Returns whether a figure is an area, which looks at the order of the rows alone.
fn rests_on_order(metric: &str) -> bool {
    matches!(metric, "roc_auc" | "pr_auc")
}

/// Adds the most different row once more, and once with the answers exchanged.
fn most_different(candidate: &Answers, reference: &Answers) -> (Answers, Answers) {
    let (losses, others) = (candidate.fine_losses(), reference.fine_losses());
    let gap = |row: usize| (losses[row] - others[row]).abs();
    let farthest = (0..losses.len()).max_by(|one, other| gap(*one).total_cmp(&gap(*other)));
    let Some(row) = farthest.map(|row| row as u32) else { return (candidate.clone(), reference.clone()) };
    let together = |own: &Answers, other: &Answers| own.followed_by(own, &[row]).followed_by(other, &[row]);
    (together(candidate, reference), together(reference, candidate))
}

/// Adds to each class that has rows one that the candidate alone has right, and one that the reference alone has: with two
/// classes that is what the rule of three says of rows none of which differs. `said` are the probabilities of each model
/// where it takes a row for a class.
fn right_alone_in_each_class(
    candidate: &Answers,
    reference: &Answers,
    said: (&[Vec<f32>], &[Vec<f32>]),
) -> (Answers, Answers) {
    let (mut one, mut other) = (candidate.clone(), reference.clone());
    let Answers::Classes { labels, names, .. } = candidate else { return (one, other) };
    let mut support = vec![0_u64; names.len()];
    for label in labels {
        support[*label as usize] += 1;
    }
    let most = |but: usize| {
        let classes = (0..support.len()).filter(|class| *class != but);
        classes.max_by_key(|class| (support[*class], std::cmp::Reverse(*class))).unwrap_or(0)
    };
    for class in (0..support.len()).filter(|class| support[*class] > 0) {
        let wrong = most(class);
        for (answers, shares, taken_for) in
            [(&mut one, said.0, [class, wrong]), (&mut other, said.1, [wrong, class])]
        {
            if let Answers::Classes { labels, predicted, probabilities, .. } = answers {
                labels.extend([class as u32; 2]);
                predicted.extend(taken_for.map(|class| class as u32));
                probabilities.extend(taken_for.iter().flat_map(|class| &shares[*class]));
            }
        }
    }
    (one, other)
}

/// Returns for each class what ranks a row first in its order and last in every other one: no probability lies beyond it.
fn beyond_all(classes: usize) -> Vec<Vec<f32>> {
    let row = |class| (0..classes).map(|other| if other == class { 2.0 } else { -1.0 }).collect();
    (0..classes).map(row).collect()
}

/// Returns for each class an answer that is as sure of it as any of either model is of any. A wrong answer costs the
/// logarithm of what it leaves for the right class, which has no bound: the surest one costs most, and an average says little
/// of it. Where too few rows differ to say how sure, nothing is left but what tells 1 from its neighbour in the numbers that
/// probabilities are kept in.
fn surest(candidate: &Answers, reference: &Answers) -> Vec<Vec<f32>> {
    let (
        Answers::Classes { labels, probabilities, names, .. },
        Answers::Classes { probabilities: others, .. },
    ) = (candidate, reference)
    else {
        return Vec::new();
    };
    let classes = names.len().max(1);
    let rows = probabilities.chunks_exact(classes).zip(others.chunks_exact(classes)).zip(labels);
    let differs = |(own, other): (&f32, &f32)| own.max(*other) > own.min(*other) * (1.0 + NOTICED as f32);
    let different = rows
        .filter(|((own, other), label)| {
            own.get(**label as usize).zip(other.get(**label as usize)).is_some_and(differs)
        })
        .count();
    let bound = if different < FEW_DIFFERENT { f32::EPSILON } else { 1.0 };
    let least = probabilities.iter().chain(others).copied().fold(bound, f32::min);
    let row = |class| (0..classes).map(|other| if other == class { 1.0 - least } else { least }).collect();
    (0..classes).map(row).collect()
}

/// Returns for each class the mean of the probabilities with which a row is taken for it; where none is, that of all rows.
fn usual(answers: &Answers) -> Vec<Vec<f32>> {
    let Answers::Classes { predicted, probabilities, names, .. } = answers else { return Vec::new() };
    let classes = names.len();
    let mut sums = vec![(0_u64, vec![0.0_f64; classes]); classes];
    for (class, row) in predicted.iter().zip(probabilities.chunks_exact(classes.max(1))) {
        let (rows, sum) = &mut sums[*class as usize];
        *rows += 1;
        for (sum, share) in sum.iter_mut().zip(row) {
            *sum += f64::from(*share);
        }
    }
    let mut all = (0_u64, vec![0.0_f64; classes]);
    for (rows, sum) in &sums {
        all.0 += rows;
        all.1.iter_mut().zip(sum).for_each(|(all, sum)| *all += sum);
    }
    let mean = |(rows, sum): &(u64, Vec<f64>)| -> Vec<f32> {
        sum.iter().map(|sum| (sum / (*rows).max(1) as f64) as f32).collect()
    };
    sums.iter().map(|found| mean(if found.0 > 0 { found } else { &all })).collect()
}

/// Adds a row that the candidate alone has right and one that the reference alone has: the other one's error is as large as
/// usual. Where too few rows differ to say, these are two rows each, as the rule of three has it, with an error as large as any
/// was and at least as large as that of a guess of the mean usually is. Where neither was ever wrong, such a guess is as wrong
/// as it gets.
fn wrong_alone(candidate: &Answers, reference: &Answers) -> (Answers, Answers) {
    let (mut one, mut other) = (candidate.clone(), reference.clone());
    let (Answers::Values { actual, predicted: own }, Answers::Values { predicted: others, .. }) =
        (candidate, reference)
    else {
        return (one, other);
    };
    let rows = actual.len().max(1) as f64;
    let mean = actual.iter().sum::<f64>() / rows;
    let errors =
        |said: &[f64]| -> Vec<f64> { said.iter().zip(actual).map(|(said, actual)| said - actual).collect() };
    let farther = |one: &&(f64, f64), other: &&(f64, f64)| one.1.abs().total_cmp(&other.1.abs());
    let with_errors =
        |said: &[f64]| -> Vec<(f64, f64)> { actual.iter().copied().zip(errors(said)).collect() };
    let both = [with_errors(own), with_errors(others)].concat();
    let guessed = with_errors(&vec![mean; actual.len()]);
    let spread = (guessed.iter().map(|(_, error)| error * error).sum::<f64>() / rows).sqrt();
    let largest =
        both.iter().max_by(farther).filter(|worst| worst.1 != 0.0).or(guessed.iter().max_by(farther));
    let Some((value, largest)) = largest.copied() else { return (one, other) };
    let usual = (both.iter().map(|(_, error)| error * error).sum::<f64>() / (2.0 * rows)).sqrt();
    let gaps = own.iter().zip(others).filter(|(one, other)| (*one - *other).abs() > NOTICED * usual);
    let (size, times) = if gaps.count() < FEW_DIFFERENT {
        (largest.abs().max(spread).copysign(largest), 2)
    } else {
        (usual.copysign(largest), 1)
    };
    for (answers, said) in [(&mut one, [value, value + size]), (&mut other, [value + size, value])] {
        if let Answers::Values { actual, predicted } = answers {
            actual.extend([value; 2].repeat(times));
            predicted.extend(said.repeat(times));
        }
    }
    (one, other)
}
