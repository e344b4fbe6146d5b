//! All figures of a binary classifier with their bootstrap intervals: `intervals DIR ROUNDS`.
//!
//! `DIR` holds `labels.u32`, `predicted.u32` and `probabilities.f32` (row-major, two classes), little-endian. Prints JSON:
//! seconds, figures and intervals. `bench/evaluate` compares it with scikit-learn.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Instant;

use modelgate_evaluate::{
    Average, BootstrapOptions, ClassificationInput, Resampled, ResampledClassifier, bootstrap, classification,
};

fn words(path: &Path) -> std::io::Result<Vec<[u8; 4]>> {
    let bytes = std::fs::read(path)?;
    Ok(bytes.chunks_exact(4).map(|word| [word[0], word[1], word[2], word[3]]).collect())
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut arguments = std::env::args().skip(1);
    let folder = arguments.next().ok_or("usage: intervals DIR ROUNDS")?;
    let rounds: u32 = arguments.next().ok_or("usage: intervals DIR ROUNDS")?.parse()?;
    let folder = Path::new(&folder);
    let labels: Vec<u32> = words(&folder.join("labels.u32"))?.into_iter().map(u32::from_le_bytes).collect();
    let predicted: Vec<u32> =
        words(&folder.join("predicted.u32"))?.into_iter().map(u32::from_le_bytes).collect();
    let probabilities: Vec<f32> =
        words(&folder.join("probabilities.f32"))?.into_iter().map(f32::from_le_bytes).collect();
    let names = ["0".to_owned(), "1".to_owned()];
    let input = ClassificationInput {
        labels: &labels,
        predicted: &predicted,
        probabilities: &probabilities,
        class_names: &names,
    };
    let started = Instant::now();
    let found = classification(&input, Average::Weighted)?;
    let once = started.elapsed().as_secs_f64();
    let resampled = ResampledClassifier::new(&input, Average::Weighted)?;
    let options = BootstrapOptions { rounds, ..BootstrapOptions::default() };
    let intervals = bootstrap(&resampled, &options);
    let seconds = started.elapsed().as_secs_f64();
    let intervals: BTreeMap<&String, _> = resampled.names().iter().zip(intervals).collect();
    let report = serde_json::json!({
        "seconds": seconds, "seconds_once": once, "rounds": rounds, "metrics": found.metrics, "intervals": intervals,
    });
    #[expect(clippy::print_stdout, reason = "the program's output")]
    {
        println!("{report}");
    }
    Ok(())
}
