//! Parquet files in a folder for each model: the features under their names, so that they can be read back as a data set,
//! and what is known of the answer beside them. A file is there as a whole or not at all.

use std::collections::BTreeMap;
use std::hash::{BuildHasher, RandomState};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use arrow_array::{
    ArrayRef, Float32Array, Int64Array, RecordBatch, StringArray, TimestampMicrosecondArray, UInt32Array,
};
use modelgate_core::schema::FeatureType;
use modelgate_model::{InputColumn, Prediction};
use modelgate_store::atomic;
use parquet::arrow::ArrowWriter;
use parquet::basic::Compression;
use parquet::file::properties::WriterProperties;

use super::{Sink, Wants, Written};
use crate::answer::probability;
use crate::served::ServedModel;
use crate::settings::ParquetFolder;
use crate::telemetry::log::{Batch, Entry};

/// A folder that files are written into.
pub(super) struct Folder {
    settings: ParquetFolder,
    redact: Vec<String>,
    /// What is collected of each model, package and track: a canary that is promoted goes on as stable.
    open: BTreeMap<(String, String, &'static str), Collected>,
    /// Files that were written, for names that nobody else has.
    number: u64,
    /// What tells this process from others: in two containers that share a volume both may have the number 1.
    process: u64,
}

/// Answers of one version that are in no file yet.
struct Collected {
    model: Arc<ServedModel>,
    began: Instant,
    predictions: u64,
    columns: Vec<InputColumn>,
    times: Vec<i64>,
    ids: Vec<String>,
    rows: Vec<u32>,
    labels: Vec<u32>,
    numbers: Vec<f32>,
}

impl Collected {
    fn new(model: Arc<ServedModel>) -> Self {
        let columns = model.features().iter().map(|feature| InputColumn::new(feature.feature_type)).collect();
        Self {
            model,
            began: Instant::now(),
            predictions: 0,
            columns,
            times: Vec::new(),
            ids: Vec::new(),
            rows: Vec::new(),
            labels: Vec::new(),
            numbers: Vec::new(),
        }
    }

    fn add(&mut self, entry: Entry) {
        let count = entry.columns.first().map_or(0, InputColumn::len);
        for (column, more) in self.columns.iter_mut().zip(entry.columns) {
            match (column, more) {
                (InputColumn::Ints(values), InputColumn::Ints(more)) => values.extend(more),
                (InputColumn::Floats(values), InputColumn::Floats(more)) => values.extend(more),
                (InputColumn::Texts(values), InputColumn::Texts(more)) => values.extend(more),
                // Both are of the types of one model.
                _ => {}
            }
        }
        self.times.extend(std::iter::repeat_n(entry.time.as_microsecond(), count));
        self.ids.extend(std::iter::repeat_n(entry.correlation_id, count));
        self.rows.extend((0..count).map(|row| row as u32));
        match entry.prediction {
            Prediction::Classes { labels, probabilities } => {
                self.labels.extend(labels);
                self.numbers.extend(probabilities.into_iter().map(probability));
            }
            Prediction::Values(values) => self.numbers.extend(values),
        }
        self.predictions += count as u64;
    }

    /// Returns everything as columns: the features, then `modelgate_…`, which give way to a feature of the same name.
    fn table(&self, redact: &[String]) -> Result<RecordBatch, String> {
        let rows = self.rows.len();
        let mut columns: Vec<(String, ArrayRef, bool)> = Vec::new();
        for (feature, column) in self.model.features().iter().zip(&self.columns) {
            let array = if redact.contains(&feature.name) {
                empty(feature.feature_type, rows)
            } else {
                filled(column)
            };
            columns.push((feature.name.clone(), array, true));
        }
        let mut add = |name: &str, array: ArrayRef| {
            let name = free(format!("modelgate_{name}"), &columns);
            columns.push((name, array, true));
        };
        let offer = &self.model.offer;
        let same = |text: String| -> ArrayRef {
            Arc::new(StringArray::from_iter_values(std::iter::repeat_n(text, rows)))
        };
        add("time", Arc::new(TimestampMicrosecondArray::from(self.times.clone()).with_timezone("UTC")));
        add("correlation_id", Arc::new(StringArray::from_iter_values(&self.ids)));
        add("row", Arc::new(UInt32Array::from(self.rows.clone())));
        add("version", same(offer.version.clone()));
        add("digest", same(offer.digest.to_string()));
        add("track", same(self.model.track.name().to_owned()));
        let classes = &self.model.class_names;
        if classes.is_empty() {
            add("prediction", Arc::new(Float32Array::from(self.numbers.clone())));
        } else {
            let label = |label: &u32| classes.get(*label as usize).map(String::as_str);
            add("prediction", Arc::new(self.labels.iter().map(label).collect::<StringArray>()));
            for (at, class) in classes.iter().enumerate() {
                let shares = self.numbers.iter().skip(at).step_by(classes.len()).copied();
                add(&format!("probability_{class}"), Arc::new(Float32Array::from_iter_values(shares)));
            }
        }
        RecordBatch::try_from_iter_with_nullable(columns).map_err(|error| error.to_string())
    }
}

/// Returns a name that no column has: two of one name cannot be read back.
fn free<T, U>(mut name: String, columns: &[(String, T, U)]) -> String {
    while columns.iter().any(|(taken, ..)| *taken == name) {
        name.push('_');
    }
    name
}

fn filled(column: &InputColumn) -> ArrayRef {
    match column {
        InputColumn::Ints(values) => Arc::new(Int64Array::from(values.clone())),
        // What is no number is a null.
        InputColumn::Floats(values) => Arc::new(
            values.iter().map(|value| Some(*value).filter(|value| !value.is_nan())).collect::<Float32Array>(),
        ),
        InputColumn::Texts(values) => Arc::new(
            values
                .iter()
                .map(|text| Some(text.as_str()).filter(|text| !text.is_empty()))
                .collect::<StringArray>(),
        ),
    }
}

fn empty(feature_type: FeatureType, rows: usize) -> ArrayRef {
    match feature_type {
        FeatureType::Int => Arc::new(Int64Array::new_null(rows)),
        FeatureType::Float => Arc::new(Float32Array::new_null(rows)),
        FeatureType::Text => Arc::new(StringArray::new_null(rows)),
    }
}

impl Folder {
    /// Opens a folder; it is made if it is not there.
    ///
    /// # Errors
    /// Fails when it cannot be made.
    pub(super) fn open(settings: &ParquetFolder, redact: &[String]) -> std::io::Result<Self> {
        fs_err::create_dir_all(&settings.folder)?;
        let process = RandomState::new().hash_one(std::process::id());
        let (settings, redact) = (settings.clone(), redact.to_vec());
        Ok(Self { settings, redact, open: BTreeMap::new(), number: 0, process })
    }

    fn path(&mut self, model: &ServedModel) -> PathBuf {
        let name = self.file_name(&model.offer.version);
        self.settings.folder.join(model.name()).join(name)
    }

    /// Returns a name that no other file has, of this process or of another.
    fn file_name(&mut self, version: &str) -> String {
        self.number += 1;
        let time = jiff::Timestamp::now().strftime("%Y%m%dT%H%M%S");
        // Of a foreign registry a version may be any text.
        let letter = |letter: char| {
            if letter.is_ascii_alphanumeric() || "-_.".contains(letter) { letter } else { '_' }
        };
        let version: String = version.chars().map(letter).collect();
        format!("{time}-{version}-{:016x}-{}.parquet", self.process, self.number)
    }

    fn save(&mut self, collected: &Collected) -> Written {
        let path = self.path(&collected.model);
        let write = || -> Result<(), String> {
            let table = collected.table(&self.redact)?;
            let properties = WriterProperties::builder().set_compression(Compression::SNAPPY).build();
            let mut bytes = Vec::new();
            let mut writer = ArrowWriter::try_new(&mut bytes, table.schema(), Some(properties))
                .map_err(|error| error.to_string())?;
            writer.write(&table).map_err(|error| error.to_string())?;
            writer.close().map_err(|error| error.to_string())?;
            atomic::write(&path, &bytes).map_err(|error| error.to_string())
        };
        Written::of(collected.predictions, write())
    }

    /// Writes what is full, old, or all of it.
    fn save_if(&mut self, due: impl Fn(&Collected) -> bool) -> Written {
        let mut all = Written::default();
        let keys: Vec<_> =
            self.open.iter().filter(|(_, collected)| due(collected)).map(|(key, _)| key.clone()).collect();
        for key in keys {
            if let Some(collected) = self.open.remove(&key) {
                let one = self.save(&collected);
                all.done += one.done;
                all.lost += one.lost;
                all.error = all.error.or(one.error);
            }
        }
        all
    }
}

impl Sink for Folder {
    fn wants(&self) -> Wants {
        Wants::Entries
    }

    fn rest(&self) -> Duration {
        Duration::from_millis(50)
    }

    fn due(&self) -> Option<Duration> {
        let oldest = self.open.values().map(|collected| collected.began).min()?;
        Some(self.settings.every.saturating_sub(oldest.elapsed()))
    }

    fn write(&mut self, batch: &mut Batch) -> Written {
        let most = self.settings.rows;
        let mut all = Written::default();
        for entry in batch.entries.drain(..) {
            let model = Arc::clone(&entry.model);
            let key = (model.name().to_owned(), model.offer.digest.to_string(), model.track.name());
            let collected = self.open.entry(key).or_insert_with(|| Collected::new(model));
            collected.add(entry);
            if collected.rows.len() >= most {
                let one = self.save_if(|collected| collected.rows.len() >= most);
                all.done += one.done;
                all.lost += one.lost;
                all.error = all.error.or(one.error);
            }
        }
        let old = self.tick();
        Written { done: all.done + old.done, lost: all.lost + old.lost, error: all.error.or(old.error) }
    }

    fn tick(&mut self) -> Written {
        let every = self.settings.every;
        self.save_if(|collected| collected.began.elapsed() >= every)
    }

    fn finish(&mut self) -> Written {
        self.save_if(|_| true)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_services_in_one_folder_name_no_file_alike() {
        let folder = tempfile::tempdir().expect("a folder");
        let settings =
            ParquetFolder { folder: folder.path().to_owned(), rows: 1, every: Duration::from_secs(1) };
        let open = || Folder::open(&settings, &[]).expect("opened");
        // In containers both may be the first process, and write their first file in the same second.
        let names = [open().file_name("v001"), open().file_name("v001")];
        let without_time = names.map(|name| name.split_once('-').expect("a time").1.to_owned());
        assert_ne!(without_time[0], without_time[1]);
    }

    #[test]
    fn a_column_gives_way_to_a_feature_of_its_name() {
        let columns = ["age", "modelgate_row", "modelgate_row_"].map(|name| (name.to_owned(), (), true));
        assert_eq!(free("modelgate_time".to_owned(), &columns), "modelgate_time");
        assert_eq!(free("modelgate_row".to_owned(), &columns), "modelgate_row__");
    }
}
