//! The worlds that are simulated: what two models answer to the same rows.

use modelgate_evaluate::statistics::{normal_cdf, normal_quantile};
use modelgate_pipeline::Answers;

/// Share of the rows that production has right.
const SKILL: f64 = 0.85;
/// Share of production's wrong rows that the candidate has wrong too, as two models of one problem do.
const SHARED: f64 = 0.75;
/// Parts of equal size; of `RightInOnePart` the first is worse.
pub(crate) const PARTS: usize = 10;

pub(crate) struct Random(pub(crate) u64);

impl Random {
    fn next(&mut self) -> f64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut value = self.0;
        value = (value ^ (value >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        value = (value ^ (value >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((value ^ (value >> 31)) >> 11) as f64 / (1_u64 << 53) as f64
    }

    /// A draw of the standard normal distribution (Box and Muller).
    fn normal(&mut self) -> f64 {
        let radius = (-2.0 * (1.0 - self.next()).ln()).sqrt();
        radius * (2.0 * std::f64::consts::PI * self.next()).cos()
    }
}

/// What is simulated.
#[derive(Clone, Copy)]
pub(crate) enum World {
    /// Classifiers; the candidate is right in so much less of the rows.
    Right,
    /// As `Right`, in the first of ten parts alone.
    RightInOnePart,
    /// Classifiers of equal order; the candidate's probabilities are all too high by so much.
    Calibration,
    /// As `Calibration`, of a model whose probabilities are mostly near 0 or 1.
    Confident,
    /// Classifiers; the area under the candidate's ROC curve is smaller by so much, for noise in its scores.
    Order,
    /// Classifiers; production's order is perfect, and the candidate ranks this share of the positives last.
    Lost,
    /// Regressors; the candidate's errors are larger by this share.
    Errors,
    /// Classifiers; the candidate answers as production does, but leaves 0.000001 for the right class in so many rows that the
    /// log loss is larger by so much.
    Sure,
    /// As `Sure`, of two models with noise of their own in all rows.
    SureAndNoisy,
    /// Regressors; the candidate answers as production does, but is off by six usual errors in so many rows that the root mean
    /// square is larger by this share.
    Off,
    /// Regressors of one mean error; the candidate's is a little larger in 95 of 100 rows and much smaller in the others.
    Skewed,
}

fn classes(labels: Vec<u32>, predicted: Vec<u32>, probabilities: Vec<f32>) -> Answers {
    Answers::Classes { labels, predicted, probabilities, names: vec!["no".to_owned(), "yes".to_owned()] }
}

/// Answers that leave these probabilities for the right class.
fn of_right(labels: &[u32], right: &[f64]) -> Answers {
    let of = |(label, right): (&u32, &f64)| if *label == 1 { *right } else { 1.0 - right };
    let shares: Vec<f64> = labels.iter().zip(right).map(of).collect();
    let predicted = shares.iter().map(|share| u32::from(*share > 0.5)).collect();
    classes(
        labels.to_vec(),
        predicted,
        shares.iter().flat_map(|share| [(1.0 - share) as f32, *share as f32]).collect(),
    )
}

/// Production's answers, then the candidate's.
pub(crate) fn trial(world: World, rows: usize, worse: f64, random: &mut Random) -> (Answers, Answers) {
    match world {
        World::Right | World::RightInOnePart => {
            let labels: Vec<u32> = (0..rows).map(|_| u32::from(random.next() < 0.4)).collect();
            let mut said = [Vec::with_capacity(rows), Vec::with_capacity(rows)];
            for (row, label) in labels.iter().enumerate() {
                let here = matches!(world, World::Right) || row < rows / PARTS;
                let target = 1.0 - SKILL + if here { worse } else { 0.0 };
                let production = random.next() < 1.0 - SKILL;
                // Of production's wrong rows a share is shared; the rest keeps the candidate's rate as it should be.
                let alone = (target - (1.0 - SKILL) * SHARED) / SKILL;
                let candidate = random.next() < if production { SHARED } else { alone };
                said[0].push(label ^ u32::from(production));
                said[1].push(label ^ u32::from(candidate));
            }
            let [production, candidate] = said.map(|predicted| {
                let shares =
                    predicted.iter().flat_map(|class| if *class == 0 { [0.8, 0.2] } else { [0.2, 0.8] });
                let shares = shares.collect();
                classes(labels.clone(), predicted, shares)
            });
            (production, candidate)
        }
        World::Calibration | World::Confident => {
            let sure = matches!(world, World::Confident);
            let mut score = || {
                if sure { 1.0 / (1.0 + (-4.0 * random.normal()).exp()) } else { 0.05 + 0.75 * random.next() }
            };
            let scores: Vec<f64> = (0..rows).map(|_| score()).collect();
            let labels: Vec<u32> = scores.iter().map(|score| u32::from(random.next() < *score)).collect();
            let with = |shift: f64| {
                let said = scores.iter().map(|score| (score + shift) as f32);
                let predicted = said.clone().map(|score| u32::from(score > 0.5)).collect();
                let shares = said.flat_map(|score| [1.0 - score, score]).collect();
                classes(labels.clone(), predicted, shares)
            };
            (with(0.0), with(worse))
        }
        World::Order | World::Lost => {
            let labels: Vec<u32> = (0..rows).map(|_| u32::from(random.next() < 0.4)).collect();
            let mut said = [Vec::with_capacity(rows), Vec::with_capacity(rows)];
            for label in &labels {
                let scores = match world {
                    World::Order => order_scores(f64::from(*label), worse, random),
                    _ => lost_scores(f64::from(*label), worse, random),
                };
                said[0].push(scores[0]);
                said[1].push(scores[1]);
            }
            let [production, candidate] = said.map(|scores| {
                let shares: Vec<f32> =
                    scores.iter().map(|score| (1.0 / (1.0 + (-score).exp())) as f32).collect();
                let predicted = shares.iter().map(|share| u32::from(*share > 0.5)).collect();
                classes(
                    labels.clone(),
                    predicted,
                    shares.iter().flat_map(|share| [1.0 - share, *share]).collect(),
                )
            });
            (production, candidate)
        }
        World::Sure => {
            let right: Vec<f64> = (0..rows)
                .map(|_| {
                    if random.next() < 0.9 {
                        0.93 + 0.04 * random.next()
                    } else {
                        0.28 + 0.04 * random.next()
                    }
                })
                .collect();
            let labels: Vec<u32> = (0..rows).map(|_| u32::from(random.next() < 0.4)).collect();
            // A row like this costs 13.82 instead of 0.17.
            let sure: Vec<f64> =
                right.iter().map(|share| if random.next() < worse / 13.65 { 1e-6 } else { *share }).collect();
            (of_right(&labels, &right), of_right(&labels, &sure))
        }
        World::SureAndNoisy => {
            let mut said = [Vec::with_capacity(rows), Vec::with_capacity(rows)];
            let mut labels = Vec::with_capacity(rows);
            for _ in 0..rows {
                let score = 2.0 * random.normal() - 0.4;
                let label = u32::from(random.next() < 1.0 / (1.0 + (-score).exp()));
                let sign = if label == 1 { -1.0 } else { 1.0 };
                let mut right = || 1.0 / (1.0 + (sign * (score + 0.5 * random.normal())).exp());
                let (production, candidate) = (right(), right());
                said[0].push(production);
                // A row like this costs 13.82 instead of 0.48.
                said[1].push(if random.next() < worse / 13.34 { 1e-6 } else { candidate });
                labels.push(label);
            }
            (of_right(&labels, &said[0]), of_right(&labels, &said[1]))
        }
        World::Off => {
            let actual: Vec<f64> = (0..rows).map(|_| 6.0 * random.normal()).collect();
            let said: Vec<f64> = actual.iter().map(|value| value + random.normal()).collect();
            let share = ((1.0 + worse).powi(2) - 1.0) / 36.0;
            let off: Vec<f64> =
                said.iter().map(|said| said + if random.next() < share { 6.0 } else { 0.0 }).collect();
            (
                Answers::Values { actual: actual.clone(), predicted: said },
                Answers::Values { actual, predicted: off },
            )
        }
        World::Skewed => {
            let errors: Vec<f64> = (0..rows).map(|_| 25.0 - random.next().ln()).collect();
            let moved = |_| {
                let size = 0.8 + 0.4 * random.next();
                size * if random.next() < 0.05 { -19.0 } else { 1.0 }
            };
            let moved: Vec<f64> = (0..rows).map(moved).collect();
            let others = errors.iter().zip(&moved).map(|(error, moved)| error + moved).collect();
            let answers = |predicted| Answers::Values { actual: vec![0.0; rows], predicted };
            (answers(errors.clone()), answers(others))
        }
        World::Errors => {
            let actual: Vec<f64> = (0..rows).map(|_| 10.0 * random.next()).collect();
            let mut said = [Vec::with_capacity(rows), Vec::with_capacity(rows)];
            for value in &actual {
                let (shared, own) = (random.normal(), random.normal());
                said[0].push(value + shared);
                said[1].push(value + (1.0 + worse) * (0.85 * shared + (1.0 - 0.85_f64 * 0.85).sqrt() * own));
            }
            let [production, candidate] =
                said.map(|predicted| Answers::Values { actual: actual.clone(), predicted });
            (production, candidate)
        }
    }
}

/// Production's score of a row and the candidate's: one signal, and noise of each model's own.
fn order_scores(label: f64, drop: f64, random: &mut Random) -> [f64; 2] {
    // The area is the share of pairs in order: of normal scores Φ(gap / √(2 · variance)).
    let (gap, noise) = (1.5, 0.5_f64);
    let area = normal_cdf(gap / (2.0 * (1.0 + noise * noise)).sqrt());
    let variance = (gap / normal_quantile(area - drop)).powi(2) / 2.0;
    let signal = gap * label + random.normal() - gap / 2.0;
    [signal + noise * random.normal(), signal + (variance - 1.0).sqrt() * random.normal()]
}

/// As `order_scores`, of models that order nearly everything.
fn lost_scores(label: f64, share: f64, random: &mut Random) -> [f64; 2] {
    let right = 4.0 * label - 2.0;
    let scores = [right + 0.3 * random.normal(), right + 0.3 * random.normal()];
    let lost = random.next() < share && label > 0.0;
    if lost { [scores[0], scores[1] - 8.0] } else { scores }
}
