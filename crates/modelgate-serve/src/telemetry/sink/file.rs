//! Lines to standard output, or to a file that begins anew when it is full.

use std::io::Write;
use std::path::{Path, PathBuf};

use super::{Sink, Wants, Written};
use crate::telemetry::log::Batch;

/// A sink that takes lines as they are.
pub(super) struct Lines<W>(pub(super) W);

impl<W: Write + Send> Sink for Lines<W> {
    fn wants(&self) -> Wants {
        Wants::Lines
    }

    fn write(&mut self, batch: &mut Batch) -> Written {
        let written = self.0.write_all(batch.text.as_bytes()).and_then(|()| self.0.flush());
        Written::of(batch.predictions, written.map_err(|error| error.to_string()))
    }
}

/// A file of at most so many bytes, and the last ones that were full.
pub(super) struct Rotating {
    path: PathBuf,
    file: std::fs::File,
    bytes: u64,
    max_bytes: u64,
    keep: usize,
}

impl Rotating {
    pub(super) fn open(path: &Path, max_bytes: u64, keep: usize) -> std::io::Result<Self> {
        if let Some(folder) = path.parent().filter(|folder| !folder.as_os_str().is_empty()) {
            fs_err::create_dir_all(folder)?;
        }
        let file = append(path)?;
        let bytes = file.metadata()?.len();
        Ok(Self { path: path.to_owned(), file, bytes, max_bytes, keep })
    }

    fn numbered(&self, number: usize) -> PathBuf {
        let mut name = self.path.clone().into_os_string();
        name.push(format!(".{number}"));
        name.into()
    }

    fn rotate(&mut self) -> std::io::Result<()> {
        if self.keep == 0 {
            self.file.set_len(0)?;
        } else {
            for number in (1..self.keep).rev() {
                let from = self.numbered(number);
                if from.exists() {
                    fs_err::rename(&from, self.numbered(number + 1))?;
                }
            }
            fs_err::rename(&self.path, self.numbered(1))?;
            self.file = append(&self.path)?;
        }
        self.bytes = 0;
        Ok(())
    }
}

fn append(path: &Path) -> std::io::Result<std::fs::File> {
    let file = fs_err::OpenOptions::new().create(true).append(true).open(path)?;
    Ok(file.into_parts().0)
}

impl Write for Rotating {
    /// Takes as many whole lines as fit into the file; a line is never in two.
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        if self.bytes > 0 && self.bytes + bytes.len() as u64 > self.max_bytes {
            let room = usize::try_from(self.max_bytes.saturating_sub(self.bytes)).unwrap_or(usize::MAX);
            let fits = bytes[..room.min(bytes.len())].iter().rposition(|byte| *byte == b'\n');
            let Some(end) = fits else {
                self.rotate()?;
                return self.write(bytes);
            };
            return self.put(&bytes[..=end]);
        }
        let room = usize::try_from(self.max_bytes).unwrap_or(usize::MAX);
        if bytes.len() <= room {
            return self.put(bytes);
        }
        // An empty file takes one line at least.
        let fits = bytes[..room].iter().rposition(|byte| *byte == b'\n');
        let end = fits.or_else(|| bytes.iter().position(|byte| *byte == b'\n'));
        self.put(end.map_or(bytes, |end| &bytes[..=end]))
    }

    fn flush(&mut self) -> std::io::Result<()> {
        self.file.flush()
    }
}

impl Rotating {
    fn put(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.file.write_all(bytes)?;
        self.bytes += bytes.len() as u64;
        Ok(bytes.len())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_holds_whole_lines_and_no_more_than_it_may() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("log");
        let mut file = Rotating::open(&path, 25, 3).expect("a file");
        let line = "123456789\n";
        file.write_all(line.repeat(5).as_bytes()).expect("written");
        file.write_all(format!("{}\n", "x".repeat(60)).as_bytes()).expect("written");
        file.write_all(line.as_bytes()).expect("written");
        let read = |name: &str| fs_err::read_to_string(folder.path().join(name)).expect(name);
        assert_eq!(read("log"), line);
        assert_eq!(read("log.1").len(), 61);
        assert_eq!((read("log.2"), read("log.3")), (line.to_owned(), line.repeat(2)));
    }
}
