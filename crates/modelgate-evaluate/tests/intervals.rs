//! Intervals, paired comparisons, slices and importance.

use modelgate_evaluate::{
    Average, BootstrapOptions, ClassificationInput, Condition, Meaning, NamedColumn, Resampled,
    ResampledClassifier, ResampledRegressor, SearchOptions, SliceColumn, bootstrap, calibration_curve,
    classification, curves, paired_bootstrap, parts, permutation_importance, regression, top_hits,
    worst_slices,
};

/// A small generator of its own, so that the data do not depend on what is tested.
fn numbers(seed: u64, count: usize) -> Vec<f64> {
    let mut state = seed;
    (0..count)
        .map(|_| {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (state >> 40) as f64 / (1_u64 << 24) as f64
        })
        .collect()
}

struct Answers {
    labels: Vec<u32>,
    predicted: Vec<u32>,
    probabilities: Vec<f32>,
    names: Vec<String>,
}

impl Answers {
    /// Classes whose true one has a probability raised by `skill`.
    fn new(seed: u64, rows: usize, classes: usize, skill: f64) -> Self {
        let labels: Vec<u32> =
            numbers(99, rows).into_iter().map(|value| (value * classes as f64) as u32).collect();
        let mut probabilities = Vec::new();
        let mut predicted = Vec::new();
        for (row, noise) in numbers(seed, rows * classes).chunks_exact(classes).enumerate() {
            let mut weights = noise.to_vec();
            weights[labels[row] as usize] += skill;
            let total: f64 = weights.iter().sum();
            let shares: Vec<f32> = weights.iter().map(|weight| (weight / total) as f32).collect();
            let best =
                (0..classes).max_by(|one, other| shares[*one].total_cmp(&shares[*other])).expect("a class");
            predicted.push(best as u32);
            probabilities.extend(shares);
        }
        Self {
            labels,
            predicted,
            probabilities,
            names: (0..classes).map(|class| class.to_string()).collect(),
        }
    }

    fn input(&self) -> ClassificationInput<'_> {
        ClassificationInput {
            labels: &self.labels,
            predicted: &self.predicted,
            probabilities: &self.probabilities,
            class_names: &self.names,
        }
    }
}

#[test]
fn counting_each_row_once_gives_the_plain_figures() {
    for (rows, classes) in [(500, 2), (700, 4), (900, 7)] {
        let answers = Answers::new(5, rows, classes, 0.4);
        for average in [Average::Weighted, Average::Macro] {
            let plain = classification(&answers.input(), average).expect("metrics");
            let resampled = ResampledClassifier::new(&answers.input(), average).expect("resampled");
            let figures = resampled.figures(&vec![1; rows]);
            assert_eq!(plain.metrics.len(), figures.len());
            for (name, value) in resampled.names().iter().zip(figures) {
                let expected = plain.metrics[name].expect("a value");
                assert!((value - expected).abs() < 1e-12, "{name}: {value} is not {expected}");
            }
        }
    }
    let (actual, predicted) = (numbers(1, 300), numbers(2, 300));
    let plain = regression(&actual, &predicted).expect("metrics");
    let resampled = ResampledRegressor::new(&actual, &predicted).expect("resampled");
    for (name, value) in resampled.names().iter().zip(resampled.figures(&[1; 300])) {
        assert_eq!(Some(value), plain.metrics[name], "{name}");
    }
}

#[test]
fn counting_a_row_twice_is_having_it_twice() {
    let answers = Answers::new(5, 60, 3, 0.3);
    let counts: Vec<u16> = (0..60).map(|row| row % 3).collect();
    let mut copied =
        Answers { labels: vec![], predicted: vec![], probabilities: vec![], names: answers.names.clone() };
    for (row, count) in counts.iter().enumerate() {
        for _ in 0..*count {
            copied.labels.push(answers.labels[row]);
            copied.predicted.push(answers.predicted[row]);
            copied.probabilities.extend(&answers.probabilities[row * 3..row * 3 + 3]);
        }
    }
    let resampled = ResampledClassifier::new(&answers.input(), Average::Macro).expect("resampled");
    let plain = classification(&copied.input(), Average::Macro).expect("metrics");
    for (name, value) in resampled.names().iter().zip(resampled.figures(&counts)) {
        let expected = plain.metrics[name].expect("a value");
        assert!((value - expected).abs() < 1e-12, "{name}: {value} is not {expected}");
    }
}

#[test]
fn intervals_are_the_same_for_any_number_of_threads() {
    let answers = Answers::new(5, 400, 2, 0.3);
    let resampled = ResampledClassifier::new(&answers.input(), Average::Weighted).expect("resampled");
    let options = BootstrapOptions { rounds: 200, ..BootstrapOptions::default() };
    let with = |threads| {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().expect("threads");
        pool.install(|| bootstrap(&resampled, &options))
    };
    assert_eq!(with(1), with(3));
    let other = bootstrap(&resampled, &BootstrapOptions { seed: 43, ..options });
    assert_ne!(with(1), other);
}

#[test]
fn the_interval_of_accuracy_is_that_of_a_share() {
    let answers = Answers::new(5, 1000, 2, 0.3);
    let plain = classification(&answers.input(), Average::Weighted).expect("metrics").metrics["accuracy"]
        .expect("value");
    let resampled = ResampledClassifier::new(&answers.input(), Average::Weighted).expect("resampled");
    let interval = bootstrap(&resampled, &BootstrapOptions { rounds: 4000, ..BootstrapOptions::default() })
        [0]
    .expect("interval");
    let expected = (plain * (1.0 - plain) / 1000.0).sqrt();
    assert!((interval.standard_error / expected - 1.0).abs() < 0.06, "{interval:?}");
    assert!(interval.low < plain && plain < interval.high);
    assert!(((interval.high - interval.low) / (2.0 * 1.96 * expected) - 1.0).abs() < 0.08, "{interval:?}");
}

#[test]
fn a_figure_without_a_mistake_is_as_sure_as_its_rows_are_many() {
    let names = ["a", "b", "c"].map(str::to_owned);
    // Twelve, eight and four rows; all right, all wrong, and always the first class.
    let labels: Vec<u32> = (0..24)
        .map(|row| {
            if row < 12 {
                0
            } else if row < 20 {
                1
            } else {
                2
            }
        })
        .collect();
    let wrong: Vec<u32> = labels.iter().map(|label| (label + 1) % 3).collect();
    for (predicted, place) in [(labels.clone(), 1.0), (wrong, 0.0), (vec![0; 24], 0.5)] {
        let sure = |class: u32| (0..3).map(move |other| if other == class { 0.9 } else { 0.05 });
        let probabilities: Vec<f32> = predicted.iter().flat_map(|class| sure(*class)).collect();
        let input = ClassificationInput {
            labels: &labels,
            predicted: &predicted,
            probabilities: &probabilities,
            class_names: &names,
        };
        let found = classification(&input, Average::Macro).expect("figures").metrics;
        let resampled = ResampledClassifier::new(&input, Average::Macro).expect("resampled");
        let intervals =
            bootstrap(&resampled, &BootstrapOptions { rounds: 300, ..BootstrapOptions::default() });
        for (name, interval) in resampled.names().iter().zip(intervals) {
            let value = found[name].expect("a value");
            let Some(interval) = interval else {
                // How sure a wrong answer would be, nobody knows.
                assert!(
                    ["log_loss", "brier", "calibration_error"].contains(&name.as_str()),
                    "{name} at {place}"
                );
                continue;
            };
            assert!(interval.low <= value && value <= interval.high, "{name}: {value} {interval:?}");
            let (width, error) = (interval.high - interval.low, interval.standard_error);
            assert!(width > 0.02 && error > 0.005, "{name} at {place}: {value} {interval:?}");
        }
        if place == 1.0 {
            // Wilson: 24 / (24 + 1.96²); the rule of three says 0.875.
            let accuracy = bootstrap(&resampled, &BootstrapOptions::default())[0].expect("an interval");
            assert!((accuracy.low - 0.862_024).abs() < 1e-5, "{accuracy:?}");
        }
    }
}

#[test]
fn the_largest_error_of_other_rows_is_not_bounded_by_that_of_these() {
    let actual = numbers(3, 100);
    let predicted = numbers(4, 100);
    let resampled = modelgate_evaluate::ResampledRegressor::new(&actual, &predicted).expect("resampled");
    let found = bootstrap(&resampled, &BootstrapOptions { rounds: 100, ..BootstrapOptions::default() });
    for (name, interval) in resampled.names().iter().zip(found) {
        assert_eq!(interval.is_none(), name == "max_error", "{name}");
    }
}

#[test]
fn a_paired_comparison_is_narrower_than_two_intervals() {
    let (candidate, reference) = (Answers::new(5, 800, 2, 0.31), Answers::new(5, 800, 2, 0.30));
    let options = BootstrapOptions { rounds: 500, ..BootstrapOptions::default() };
    let one = ResampledClassifier::new(&candidate.input(), Average::Weighted).expect("resampled");
    let other = ResampledClassifier::new(&reference.input(), Average::Weighted).expect("resampled");
    let paired = paired_bootstrap(&one, &other, "accuracy", 0.0, &options).expect("paired");
    let alone = bootstrap(&one, &options)[0].expect("interval");
    assert!(paired.standard_error < alone.standard_error / 2.0, "{paired:?} {alone:?}");
    let itself = paired_bootstrap(&one, &one, "roc_auc", 0.0, &options).expect("paired");
    assert_eq!((itself.low, itself.difference, itself.high), (0.0, 0.0, 0.0));
    assert_eq!(itself.less_share, (0.0, 0.0));
    // A share of the reference's figure lies where that figure does, on the same rows.
    let half = paired_bootstrap(&one, &one, "accuracy", -0.5, &options).expect("paired");
    let (low, high) = half.less_share;
    assert!(low < 0.5 * half.reference && 0.5 * half.reference < high, "{half:?}");
    assert!((high - low) / (0.5 * (alone.high - alone.low)) > 0.7, "{half:?} {alone:?}");
    assert_eq!(paired_bootstrap(&one, &other, "no_such_metric", 0.0, &options), None);
}

#[test]
fn a_figure_that_most_rounds_cannot_have_has_no_interval() {
    let names = ["a".to_owned(), "b".to_owned()];
    // One row of class 1: a third of the rounds miss it.
    let input = ClassificationInput {
        labels: &[0, 0, 0, 0, 1],
        predicted: &[0, 0, 0, 0, 1],
        probabilities: &[0.9, 0.1, 0.8, 0.2, 0.7, 0.3, 1.0, 0.0, 0.0, 1.0],
        class_names: &names,
    };
    let resampled = ResampledClassifier::new(&input, Average::Weighted).expect("resampled");
    let intervals = bootstrap(&resampled, &BootstrapOptions { rounds: 300, ..BootstrapOptions::default() });
    let place = resampled.names().iter().position(|name| name == "roc_auc").expect("roc_auc");
    assert_eq!(intervals[place], None);
    assert!(intervals[0].is_some());
}

fn columns(rows: usize) -> Vec<NamedColumn> {
    let region = (0..rows).map(|row| Some(["north", "south", "east"][row % 3].to_owned())).collect();
    let age = numbers(3, rows).into_iter().map(|value| Some(20.0 + 50.0 * value)).collect();
    vec![
        NamedColumn {
            name: "region".to_owned(),
            values: SliceColumn::Text(region),
            meaning: Meaning::Number,
        },
        NamedColumn { name: "age".to_owned(), values: SliceColumn::Numbers(age), meaning: Meaning::Number },
    ]
}

#[test]
fn a_planted_bad_slice_is_found_and_a_good_model_has_none() {
    let rows = 1200;
    let columns = columns(rows);
    let noise = numbers(11, rows);
    let SliceColumn::Numbers(ages) = &columns[1].values else { panic!("numbers") };
    let losses: Vec<f64> = (0..rows)
        .map(|row| {
            let bad = row % 3 == 0 && ages[row].is_some_and(|age| age >= 57.5);
            f64::from(u8::from(noise[row] < if bad { 0.6 } else { 0.1 }))
        })
        .collect();
    let found = worst_slices(&columns, &losses, &SearchOptions::default());
    let worst = found.worst.first().expect("a slice");
    assert!(worst.name().contains("region = north") && worst.name().contains("age ≥"), "{}", worst.name());
    assert!(worst.p_value < 1e-4 && worst.loss > 0.4 && worst.elsewhere < 0.15, "{worst:?}");
    let even: Vec<f64> = noise.iter().map(|value| f64::from(u8::from(*value < 0.1))).collect();
    assert!(worst_slices(&columns, &even, &SearchOptions::default()).worst.is_empty());
}

#[test]
fn small_slices_are_left_alone_and_rare_texts_are_one_part() {
    let named = NamedColumn {
        name: "id".to_owned(),
        meaning: Meaning::Number,
        values: SliceColumn::Text((0..100).map(|row| Some(row.to_string())).collect()),
    };
    let cut = parts(&named, 4);
    assert_eq!((cut.len(), cut[50].to_string().as_str()), (51, "id is none of the 50 most frequent"));
    assert_eq!(cut[50].condition.rows(&named.values, 100).len(), 50);
    // A part that texts were put together in is searched, and it is told that they were.
    let city = |row: usize| format!("c{:02}", row / 40);
    let many = NamedColumn {
        name: "city".to_owned(),
        meaning: Meaning::Number,
        values: SliceColumn::Text((0..2400).map(|row| Some(city(row))).collect()),
    };
    let wrong: Vec<f64> = (0..2400).map(|row| f64::from(u8::from(row >= 2000 || row % 10 == 0))).collect();
    let found = worst_slices(&[many], &wrong, &SearchOptions::default());
    assert_eq!(found.worst[0].name(), "city is none of the 50 most frequent");
    assert_eq!(found.worst[0].rows, 400);
    assert!(found.left_out[0].starts_with("10 of the texts of `city` are looked at together"), "{found:?}");
    let two = NamedColumn {
        name: "two".to_owned(),
        meaning: Meaning::Number,
        values: SliceColumn::Text((0..100).map(|row| (row > 1).then(|| "x".to_owned())).collect()),
    };
    assert_eq!(parts(&two, 4).len(), 2);
    let losses: Vec<f64> = (0..100).map(|row| f64::from(u8::from(row < 2))).collect();
    assert!(worst_slices(&[two], &losses, &SearchOptions::default()).worst.is_empty());
}

#[test]
fn numbers_are_cut_into_bins_that_cover_every_row_once() {
    let column = &columns(500)[1];
    let bins = parts(column, 4);
    assert_eq!(bins.len(), 4);
    let rows: Vec<usize> = bins.iter().map(|part| part.condition.rows(&column.values, 500).len()).collect();
    assert_eq!(rows.iter().sum::<usize>(), 500);
    assert!(rows.iter().all(|rows| (100..150).contains(rows)), "{rows:?}");
    assert!(!Condition::Is("x".to_owned()).holds(&column.values, 0));
    let constant = NamedColumn {
        name: "c".to_owned(),
        values: SliceColumn::Numbers(vec![Some(2.0), Some(2.0), None]),
        meaning: Meaning::Number,
    };
    let names: Vec<String> = parts(&constant, 4).iter().map(ToString::to_string).collect();
    assert_eq!(names, ["c = 2", "c is missing"]);
}

#[test]
fn curves_end_where_they_must() {
    let answers = Answers::new(5, 3000, 2, 0.4);
    let found = curves(&answers.input(), 1).expect("valid").expect("curves");
    assert_eq!((found.roc.first(), found.roc.last()), (Some(&(0.0, 0.0)), Some(&(1.0, 1.0))));
    assert!(found.roc.len() <= 400 && found.area > 0.8);
    assert!((found.precision_recall.last().expect("a point").1 - found.share).abs() < 1e-12);
    let bins = calibration_curve(&answers.input());
    assert_eq!(bins.iter().map(|bin| bin.rows).sum::<u64>(), 3000);
    let one = Answers { labels: vec![0; 3000], ..answers };
    assert_eq!(curves(&one.input(), 1).expect("valid"), None);
    assert!(curves(&one.input(), 2).is_err());
}

#[test]
fn the_feature_that_decides_is_the_most_important() {
    let values = numbers(8, 400);
    let names = ["noise".to_owned(), "signal".to_owned()];
    let run = |seed| {
        let loss = |asked: Option<(usize, &[u32])>| -> Result<f64, String> {
            let order = asked.filter(|asked| asked.0 == 1).map(|asked| asked.1.to_vec());
            let wrong = (0..400).filter(|row| {
                let from = order.as_ref().map_or(*row, |order| order[*row] as usize);
                (values[from] > 0.5) != (values[*row] > 0.5)
            });
            Ok(wrong.count() as f64 / 400.0)
        };
        permutation_importance(&names, 400, 5, seed, loss).expect("importance")
    };
    let found = run(1);
    assert_eq!(found[0].feature, "signal");
    assert!((found[0].mean - 0.5).abs() < 0.1 && found[0].std > 0.0 && found[1].mean == 0.0, "{found:?}");
    assert_eq!(found, run(1));
    assert_ne!(found, run(2));
}

/// Answers of two classes whose first probability is off by `shift`, on which the labels come true as they should.
fn promised(seed: u64, rows: usize, shift: f64) -> Answers {
    let draws = numbers(seed, 2 * rows);
    let scores = || draws.chunks_exact(2).map(|pair| (0.05 + 0.75 * pair[0], pair[1]));
    let labels = scores().map(|(score, draw)| u32::from(draw < score)).collect();
    let said: Vec<f32> = scores().map(|(score, _)| (score + shift) as f32).collect();
    Answers {
        labels,
        predicted: said.iter().map(|score| u32::from(*score > 0.5)).collect(),
        probabilities: said.iter().flat_map(|score| [1.0 - score, *score]).collect(),
        names: vec!["no".to_owned(), "yes".to_owned()],
    }
}

#[test]
fn the_interval_of_the_calibration_error_holds_it_and_what_it_is_without_chance() {
    let options = BootstrapOptions { rounds: 300, ..BootstrapOptions::default() };
    for (rows, shift) in [(100, 0.0), (400, 0.0), (400, 0.1)] {
        let mut holds = 0;
        for seed in 1..=40 {
            let answers = promised(seed, rows, shift);
            let found = classification(&answers.input(), Average::Weighted).expect("figures");
            let value = found.metrics["calibration_error"].expect("a value");
            let resampled = ResampledClassifier::new(&answers.input(), Average::Weighted).expect("resampled");
            let place =
                resampled.names().iter().position(|name| name == "calibration_error").expect("a name");
            let interval = bootstrap(&resampled, &options)[place].expect("an interval");
            assert!(interval.low <= value && value <= interval.high, "{seed}: {value} {interval:?}");
            assert!(interval.low >= 0.0, "{interval:?}");
            holds += u32::from(interval.low <= shift + 1e-9 && shift <= interval.high);
        }
        // Of 95 in hundred, 33 of 40 or fewer are seen less than once in a hundred times.
        assert!(holds > 33, "{holds} of 40 with {rows} rows and {shift}");
    }
}

#[test]
fn a_rise_of_the_calibration_error_is_seldom_taken_for_less_than_it_is() {
    let options = BootstrapOptions { rounds: 200, ..BootstrapOptions::default() };
    for (rows, rise) in [(100, 0.05), (400, 0.05), (400, 0.02)] {
        let mut missed = 0;
        for seed in 1..=40 {
            let resampled = |shift| {
                let answers = promised(seed, rows, shift);
                ResampledClassifier::new(&answers.input(), Average::Weighted).expect("resampled")
            };
            // Production is calibrated, and chance pushes its error up further.
            let (candidate, production) = (resampled(rise), resampled(0.0));
            let found = paired_bootstrap(&candidate, &production, "calibration_error", 0.0, &options)
                .expect("paired");
            assert!(found.low <= found.difference && found.difference <= found.high, "{found:?}");
            missed += u32::from(found.high < rise);
        }
        // Of 5 in hundred, 7 of 40 or more are seen less than once in two hundred times.
        assert!(missed < 7, "{missed} of 40 with {rows} rows and {rise}");
    }
}

#[test]
fn the_rows_that_top_k_counts_are_as_many_as_it_says() {
    let answers = Answers::new(5, 300, 5, 0.2);
    let found = classification(&answers.input(), Average::Weighted).expect("figures");
    for k in [2, 3] {
        let hits = top_hits(&answers.input(), k).expect("hits").into_iter().filter(|hit| *hit).count();
        assert_eq!(found.metrics[&format!("top_{k}_accuracy")], Some(hits as f64 / 300.0));
    }
    let short = ClassificationInput { labels: &[0], ..answers.input() };
    assert!(top_hits(&short, 2).is_err());
}

#[test]
fn parts_of_a_few_rows_are_not_worse_for_certain() {
    // A model that is wrong in one of ten rows, and names of three rows each.
    let rows = 300;
    let losses: Vec<f64> = numbers(5, rows).iter().map(|value| f64::from(u8::from(*value < 0.1))).collect();
    let texts = (0..rows).map(|row| Some(format!("k{:02}", row / 3))).collect();
    let column =
        NamedColumn { name: "k".to_owned(), values: SliceColumn::Text(texts), meaning: Meaning::Number };
    let options = SearchOptions { min_rows: 2, ..SearchOptions::default() };
    let found = worst_slices(std::slice::from_ref(&column), &losses, &options);
    assert!(found.tested > 40 && found.worst.is_empty(), "{found:?}");
    // Neither are two rows that happen to be equally far off, among errors of a like size.
    let errors: Vec<f64> =
        numbers(6, rows).iter().enumerate().map(|(row, value)| if row < 3 { 0.9 } else { *value }).collect();
    let found = worst_slices(&[column], &errors, &options);
    assert!(found.worst.is_empty(), "{found:?}");
}

#[test]
fn a_part_reads_as_a_rule_writes_it() {
    let shown = |meaning, values: Vec<Option<f64>>| -> Vec<String> {
        let column = NamedColumn { name: "c".to_owned(), values: SliceColumn::Numbers(values), meaning };
        parts(&column, 2).iter().map(ToString::to_string).collect()
    };
    assert_eq!(
        shown(Meaning::Bool, vec![Some(1.0), Some(0.0), None]),
        ["c = false", "c = true", "c is missing"]
    );
    let days = (0..5).map(|day| Some(f64::from(19_844 + day))).collect();
    assert_eq!(shown(Meaning::Day, days), ["c < 2024-05-03", "c ≥ 2024-05-03"]);
    let texts = ["A", " A", ""].map(|text| Some(text.to_owned())).into();
    let column =
        NamedColumn { name: "t".to_owned(), values: SliceColumn::Text(texts), meaning: Meaning::Number };
    let names: Vec<String> = parts(&column, 2).iter().map(ToString::to_string).collect();
    assert_eq!(names, ["t = \"\"", "t = \" A\"", "t = A"]);
}
