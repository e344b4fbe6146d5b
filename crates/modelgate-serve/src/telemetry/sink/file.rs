//! Lines to standard output, or to a file that begins anew when it is full.

use std::io::{ErrorKind, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use modelgate_store::FileIdentity;

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
    /// What the file holds before a write; others may write to it too, and cut it.
    bytes: u64,
    max_bytes: u64,
    keep: usize,
    /// Whether the last write broke off within a line that is still there.
    torn: bool,
}

impl Rotating {
    pub(super) fn open(path: &Path, max_bytes: u64, keep: usize) -> std::io::Result<Self> {
        if let Some(folder) = path.parent().filter(|folder| !folder.as_os_str().is_empty()) {
            fs_err::create_dir_all(folder)?;
        }
        let file = append(path)?;
        let bytes = file.metadata()?.len();
        Ok(Self { path: path.to_owned(), file, bytes, max_bytes, keep, torn: false })
    }

    /// Goes on with the file that the path names when that is another one by now: somebody moved the log away, as logrotate
    /// does, or removed it, or a rotation broke off behind its rename. What it holds is measured anew each time: a second
    /// service may write to it, and logrotate's `copytruncate` cuts it where it lies.
    fn follow(&mut self) -> std::io::Result<()> {
        let own = self.file.metadata()?;
        self.bytes = own.len();
        let named = match fs_err::metadata(&self.path) {
            Ok(metadata) => Some(FileIdentity::of(&metadata)),
            Err(error) if error.kind() == ErrorKind::NotFound => None,
            // Who may not look goes on with what is open.
            Err(_) => return Ok(()),
        };
        let own = FileIdentity::of(&own);
        // Without numbers of files, one that is open cannot be moved either.
        if named.is_none_or(|named| own.inode != 0 && !named.same_file(&own)) {
            *self = Self::open(&self.path, self.max_bytes, self.keep)?;
        }
        Ok(())
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
            match fs_err::rename(&self.path, self.numbered(1)) {
                // Somebody took it away.
                Err(error) if error.kind() == ErrorKind::NotFound => {}
                renamed => renamed?,
            }
            self.file = append(&self.path)?;
        }
        (self.bytes, self.torn) = (0, false);
        Ok(())
    }
}

/// Opens a file to write behind what is in it.
fn append(path: &Path) -> std::io::Result<std::fs::File> {
    let mut file = fs_err::OpenOptions::new().create(true).append(true).open(path)?;
    // A line that broke off, as where the machine went down, must not swallow the one that comes next.
    if ends_within_a_line(path)? {
        file.write_all(b"\n")?;
    }
    Ok(file.into_parts().0)
}

fn ends_within_a_line(path: &Path) -> std::io::Result<bool> {
    // What is no plain file, such as a pipe, keeps nothing that one could look at.
    if !fs_err::metadata(path)?.is_file() {
        return Ok(false);
    }
    // One that may be written and not read is taken to end in a line.
    let Ok(mut file) = fs_err::File::open(path) else { return Ok(false) };
    if file.seek(SeekFrom::End(0))? == 0 {
        return Ok(false);
    }
    let mut last = [0];
    file.seek(SeekFrom::End(-1))?;
    file.read_exact(&mut last)?;
    Ok(last != *b"\n")
}

impl Write for Rotating {
    /// Takes as many whole lines as fit into the file; a line is never in two.
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.follow()?;
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
        if self.torn {
            self.file.write_all(b"\n")?;
            self.torn = false;
            self.bytes += 1;
        }
        let mut written = 0;
        while written < bytes.len() {
            match self.file.write(&bytes[written..]) {
                Ok(0) => return Err(self.take_back(written, ErrorKind::WriteZero.into())),
                Ok(more) => written += more,
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(self.take_back(written, error)),
            }
        }
        Ok(written)
    }

    /// Takes back what was written before `error`: half a line, as a full disk leaves it, would swallow the next one. Only
    /// where nothing else came or went since it was measured; what others wrote is not cut off, and where it was cut already
    /// nothing is put in its place.
    fn take_back(&mut self, written: usize, error: std::io::Error) -> std::io::Error {
        let end = self.bytes + written as u64;
        let is_last = self.file.metadata().is_ok_and(|metadata| metadata.is_file() && metadata.len() == end);
        self.torn = written > 0 && !(is_last && self.file.set_len(self.bytes).is_ok());
        error
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_that_broke_off_swallows_no_other() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("log");
        for (before, after) in [("", "2\n"), ("1\n", "1\n2\n"), ("{\"half", "{\"half\n2\n")] {
            fs_err::write(&path, before).expect("written");
            Rotating::open(&path, 100, 1).expect("a file").write_all(b"2\n").expect("written");
            assert_eq!(fs_err::read_to_string(&path).expect("read"), after);
        }
    }

    #[test]
    #[cfg(unix)]
    fn a_log_that_is_moved_away_or_removed_is_begun_anew() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("log");
        let read = |name: &str| fs_err::read_to_string(folder.path().join(name)).unwrap_or_default();
        let mut file = Rotating::open(&path, 10, 1).expect("a file");
        file.write_all(b"1\n").expect("written");
        fs_err::rename(&path, folder.path().join("moved")).expect("moved");
        file.write_all(b"2\n").expect("written");
        assert_eq!((read("moved"), read("log")), ("1\n".to_owned(), "2\n".to_owned()));
        fs_err::remove_file(&path).expect("removed");
        fs_err::write(&path, "other\n").expect("another file");
        file.write_all(b"3\n").expect("written");
        assert_eq!(read("log"), "other\n3\n");
        // The file is full, and away.
        fs_err::remove_file(&path).expect("removed");
        file.rotate().expect("rotated");
        file.write_all(b"4\n").expect("written");
        assert_eq!((read("log"), read("log.1")), ("4\n".to_owned(), String::new()));
    }

    #[test]
    #[cfg(unix)]
    fn a_log_that_may_be_written_and_not_read_is_written() {
        use std::os::unix::fs::PermissionsExt;
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("log");
        let may =
            |mode| fs_err::set_permissions(&path, std::fs::Permissions::from_mode(mode)).expect("allowed");
        fs_err::write(&path, "1\n").expect("written");
        may(0o200);
        Rotating::open(&path, 100, 1).expect("a file").write_all(b"2\n").expect("written");
        may(0o600);
        assert_eq!(fs_err::read_to_string(&path).expect("read"), "1\n2\n");
    }

    #[test]
    fn a_file_that_others_write_and_cut_is_measured_before_each_write() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("log");
        let read = |name: &str| fs_err::read_to_string(folder.path().join(name)).unwrap_or_default();
        let [mut one, mut other] = [0, 1].map(|_| Rotating::open(&path, 10, 1).expect("a file"));
        for is_other in [false, true, false] {
            let file = if is_other { &mut other } else { &mut one };
            file.write_all(b"123\n").expect("written");
        }
        assert_eq!((read("log.1").as_str(), read("log").as_str()), ("123\n123\n", "123\n"));
        // In place, as `copytruncate` does.
        fs_err::OpenOptions::new().write(true).open(&path).expect("opened").set_len(0).expect("cut");
        one.write_all(b"123\n123\n").expect("written");
        assert_eq!((read("log.1").as_str(), read("log").as_str()), ("123\n123\n", "123\n123\n"));
    }

    #[test]
    fn what_others_wrote_is_not_taken_back_with_half_a_line() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("log");
        // As a write leaves it that broke off behind three bytes of a line.
        let broken_off = |now: &str| {
            fs_err::write(&path, "1\n").expect("written");
            let mut file = Rotating::open(&path, 100, 1).expect("a file");
            fs_err::write(&path, now).expect("written");
            let _ = file.take_back(3, ErrorKind::StorageFull.into());
            let left = fs_err::read_to_string(&path).expect("read");
            file.write_all(b"2\n").expect("written");
            (left, fs_err::read_to_string(&path).expect("read"))
        };
        let pair = |left: &str, then: &str| (left.to_owned(), then.to_owned());
        assert_eq!(broken_off("1\nhal"), pair("1\n", "1\n2\n"));
        assert_eq!(broken_off("1\nother\nhal"), pair("1\nother\nhal", "1\nother\nhal\n2\n"));
        // Cut meanwhile: nothing is put in the place of what is gone.
        assert_eq!(broken_off(""), pair("", "\n2\n"));
    }

    #[test]
    #[cfg(target_os = "linux")]
    fn half_a_line_of_a_write_that_failed_is_taken_back() {
        // The test's own program, which may write no long file: what a full disk takes of a line, it takes.
        const ASKED: &str = "MODELGATE_TEST_SHORT_LOG";
        if let Some(path) = std::env::var_os(ASKED) {
            let mut file = Rotating::open(Path::new(&path), 100_000, 1).expect("a file");
            let line = format!("{}\n", "x".repeat(298));
            let written = (0..100).take_while(|_| file.write_all(line.as_bytes()).is_ok()).count();
            assert!((1..100).contains(&written), "{written}");
            assert_eq!(fs_err::read_to_string(&path).expect("read"), line.repeat(written));
            return;
        }
        let folder = tempfile::tempdir().expect("a folder");
        let mut program = std::process::Command::new("sh");
        let own = "telemetry::sink::file::tests::half_a_line_of_a_write_that_failed_is_taken_back";
        program.args(["-c", "trap '' XFSZ; ulimit -f 2; exec \"$0\" --exact \"$1\""]);
        program.arg(std::env::current_exe().expect("a program")).arg(own);
        let output = program.env(ASKED, folder.path().join("log")).output().expect("started");
        let said = String::from_utf8_lossy(&output.stdout);
        assert!(output.status.success() && said.contains("1 passed"), "{said}");
    }

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
