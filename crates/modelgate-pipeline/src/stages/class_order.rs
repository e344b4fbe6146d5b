//! Models from elsewhere whose classes stand in another order than the data's, sorted: files of LightGBM and XGBoost number
//! their classes and name none.

use modelgate_core::schema::Classes;
use modelgate_data::Table;
use modelgate_model::{LoadedModel, Prediction};

/// More classes have too many orders to try.
const MOST_CLASSES: usize = 6;

/// A class of fewer rows says nothing.
const FEWEST_ROWS: usize = 10;

/// Rows that are asked about at most.
const MOST_ROWS: usize = 2_000;

/// How much larger the share of right answers has to be, each class counting alike.
const MUCH_BETTER: f64 = 0.25;

/// Says that the answers of a package's graph fit far better where its classes are taken in another order.
pub(crate) fn doubt(
    graph: &[u8],
    table: &Table,
    rows: &[u32],
    labels: &[u32],
    classes: &Classes,
) -> Option<String> {
    if classes.len() > MOST_CLASSES {
        return None;
    }
    let asked: Vec<u32> = rows.iter().copied().step_by(rows.len().div_ceil(MOST_ROWS).max(1)).collect();
    // What keeps it from answering is told where it is evaluated.
    let Ok(Prediction::Classes { labels: answers, .. }) =
        LoadedModel::load(graph).ok()?.predict(table, &asked)
    else {
        return None;
    };
    let truth = asked.iter().filter_map(|row| labels.get(*row as usize).copied());
    let pairs: Vec<(u32, u32)> = truth.zip(answers).collect();
    let (order, as_it_is, best) = better(&pairs, classes.len())?;
    let names = classes.names();
    let meant = (0..names.len()).filter_map(|class| {
        let at = order.iter().position(|answer| *answer == class)?;
        (at != class).then(|| format!("`{}` is taken for `{}`", names[class], names[at]))
    });
    Some(format!(
        "the model seems to have its classes in another order than the data, [{}]: {:.0} % of its answers are right (each class \
         counts alike), and {:.0} % where its {}. Files of LightGBM and XGBoost name no classes: the target has to be \
         numbered in the order of the classes here, as docs/migrate.md says",
        names.join(", "),
        as_it_is * 100.0,
        best * 100.0,
        meant.collect::<Vec<_>>().join(", ")
    ))
}

/// Returns the answer that stands for each class, of an order that is far better than their own, and the shares of right answers
/// in both.
fn better(pairs: &[(u32, u32)], classes: usize) -> Option<(Vec<usize>, f64, f64)> {
    let mut counts = vec![vec![0_usize; classes]; classes];
    for (truth, answer) in pairs {
        *counts.get_mut(*truth as usize)?.get_mut(*answer as usize)? += 1;
    }
    let share = |order: &[usize]| {
        let known = counts.iter().zip(order).filter_map(|(counts, answer)| {
            let rows: usize = counts.iter().sum();
            (rows >= FEWEST_ROWS).then(|| counts[*answer] as f64 / rows as f64)
        });
        let (sum, number) = known.fold((0.0, 0_usize), |(sum, number), share| (sum + share, number + 1));
        if number > 1 { sum / number as f64 } else { 0.0 }
    };
    let own: Vec<usize> = (0..classes).collect();
    let (as_it_is, mut best) = (share(&own), (own, 0.0));
    orders(&mut Vec::new(), classes, &mut |order| {
        let found = share(order);
        if found > best.1 {
            best = (order.to_vec(), found);
        }
    });
    (best.1 >= as_it_is + MUCH_BETTER).then_some((best.0, as_it_is, best.1))
}

/// Calls `found` with every order of so many numbers that begins with these.
fn orders(begun: &mut Vec<usize>, count: usize, found: &mut impl FnMut(&[usize])) {
    if begun.len() == count {
        return found(begun);
    }
    for next in 0..count {
        if !begun.contains(&next) {
            begun.push(next);
            orders(begun, count, found);
            begun.pop();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pairs(answers: &[u32], rows: usize) -> Vec<(u32, u32)> {
        let classes = answers.len();
        (0..rows).map(|row| ((row % classes) as u32, answers[row % classes])).collect()
    }

    #[test]
    fn answers_in_another_order_are_found() {
        // What 9, 10, 100 are as texts: 10, 100, 9.
        let (order, as_it_is, best) = better(&pairs(&[1, 2, 0], 60), 3).expect("another order");
        assert_eq!((order, as_it_is, best), (vec![1, 2, 0], 0.0, 1.0));
        assert!(better(&pairs(&[1, 0], 40), 2).is_some());
    }

    #[test]
    fn a_weak_model_and_few_rows_are_not_taken_for_another_order() {
        assert_eq!(better(&pairs(&[0, 1, 2], 60), 3), None, "as it is");
        assert_eq!(better(&pairs(&[0, 0, 0], 60), 3), None, "always the first");
        assert_eq!(better(&pairs(&[1, 0], 18), 2), None, "nine rows of each class");
        let guessed: Vec<(u32, u32)> = (0..60).map(|row| (row % 2, (row / 2) % 2)).collect();
        assert_eq!(better(&guessed, 2), None, "half right");
        assert_eq!(better(&[(0, 7)], 2), None);
    }
}
