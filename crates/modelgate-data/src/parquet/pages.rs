//! How large the pages of a Parquet file are, as their headers say it before anything is unpacked: a few bytes can stand
//! for gigabytes.
//!
//! A header is a structure of Thrift's compact protocol, of which three numbers count here.

use std::io::{self, Read};

use parquet::basic::Encoding;
use parquet::errors::{ParquetError, Result};
use parquet::file::metadata::{ColumnChunkMetaData, ParquetMetaData};
use parquet::file::reader::ChunkReader;

/// Bytes that the pages which are held at a time may have: of each column that is read a dictionary and a page.
pub(super) const MOST_HELD: u64 = 2 << 30;

/// Bytes up to which nobody looks at the pages one by one.
const FEW: u64 = 256 << 20;

/// Bytes of texts that a batch may have where each is stored as what differs from the one before, about.
const MOST_REPEATED: u64 = 256 << 20;

/// Structures within structures at most.
const DEPTH: usize = 16;

/// Returns the bytes of pages that reading the root columns at `positions` holds at a time, at most: exactly where they
/// are many.
pub(super) fn held<R: ChunkReader>(
    reader: &R,
    metadata: &ParquetMetaData,
    positions: &[usize],
) -> Result<u64> {
    let of_chunks = largest(metadata, positions, |chunk| Ok(unpacked(chunk)))?;
    if of_chunks <= FEW {
        return Ok(of_chunks);
    }
    largest(metadata, positions, |chunk| Ok(Pages::of(reader, chunk)?.held()))
}

/// Returns how many rows a batch of the root columns at `positions` may have, `most` where no text is stored as what differs
/// from the one before: such a page is small however large its texts are.
pub(super) fn rows_at_a_time<R: ChunkReader>(
    reader: &R,
    metadata: &ParquetMetaData,
    positions: &[usize],
    most: usize,
) -> Result<usize> {
    let longest = largest(metadata, positions, |chunk| {
        let is_delta = chunk.encodings().any(|encoding| encoding == Encoding::DELTA_BYTE_ARRAY);
        if is_delta { Ok(Pages::of(reader, chunk)?.data) } else { Ok(0) }
    })?;
    let rows = MOST_REPEATED.checked_div(longest).unwrap_or(most as u64);
    Ok(usize::try_from(rows).unwrap_or(most).clamp(1, most))
}

/// Returns the sum over columns of the largest that `measure` says of a chunk; positions are sorted.
fn largest(
    metadata: &ParquetMetaData,
    positions: &[usize],
    measure: impl Fn(&ColumnChunkMetaData) -> Result<u64>,
) -> Result<u64> {
    let schema = metadata.file_metadata().schema_descr();
    let mut sum: u64 = 0;
    for leaf in 0..schema.num_columns() {
        if positions.binary_search(&schema.get_column_root_idx(leaf)).is_ok() {
            let mut most = 0;
            for group in metadata.row_groups() {
                most = measure(group.column(leaf))?.max(most);
            }
            sum = sum.saturating_add(most);
        }
    }
    Ok(sum)
}

fn unpacked(chunk: &ColumnChunkMetaData) -> u64 {
    u64::try_from(chunk.uncompressed_size()).unwrap_or(u64::MAX)
}

/// The largest pages of a chunk, in bytes.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
struct Pages {
    dictionary: u64,
    data: u64,
}

impl Pages {
    fn held(self) -> u64 {
        self.dictionary.saturating_add(self.data)
    }

    fn of<R: ChunkReader>(reader: &R, chunk: &ColumnChunkMetaData) -> Result<Self> {
        let (mut at, length) = chunk.byte_range();
        let end = at.saturating_add(length);
        let mut found = Self::default();
        while at < end {
            let mut bytes = Header { inner: reader.get_read(at)?, read: 0 };
            let page = Page::read(&mut bytes).map_err(|error| ParquetError::External(Box::new(error)))?;
            let most = if page.is_dictionary { &mut found.dictionary } else { &mut found.data };
            *most = page.unpacked.max(*most);
            at = at.saturating_add(bytes.read).saturating_add(page.packed);
        }
        Ok(found)
    }
}

/// What a header says of its page.
#[derive(Clone, Copy, Default, Debug)]
struct Page {
    is_dictionary: bool,
    unpacked: u64,
    packed: u64,
}

impl Page {
    fn read(bytes: &mut Header<impl Read>) -> io::Result<Self> {
        let mut found = Self::default();
        let mut field = 0;
        while let Some(kind) = bytes.field(&mut field)? {
            match (field, kind) {
                (1, I32) => found.is_dictionary = bytes.number()? == DICTIONARY_PAGE,
                (2, I32) => found.unpacked = bytes.size()?,
                (3, I32) => found.packed = bytes.size()?,
                _ => bytes.skip(kind, DEPTH)?,
            }
        }
        Ok(found)
    }
}

/// The type of a page that is a dictionary.
const DICTIONARY_PAGE: i64 = 2;

/// A number of 32 bits, as the protocol calls types.
const I32: u8 = 5;

fn broken(what: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, format!("a page header {what}"))
}

/// Bytes of the protocol, counted.
struct Header<R> {
    inner: R,
    read: u64,
}

impl<R: Read> Header<R> {
    fn byte(&mut self) -> io::Result<u8> {
        let mut byte = [0];
        self.inner.read_exact(&mut byte)?;
        self.read += 1;
        Ok(byte[0])
    }

    fn pass(&mut self, count: u64) -> io::Result<()> {
        let passed = io::copy(&mut (&mut self.inner).take(count), &mut io::sink())?;
        self.read += passed;
        if passed == count { Ok(()) } else { Err(broken("is cut short")) }
    }

    fn varint(&mut self) -> io::Result<u64> {
        let mut value = 0;
        for shift in (0..64).step_by(7) {
            let byte = self.byte()?;
            value |= u64::from(byte & 0x7f) << shift;
            if byte & 0x80 == 0 {
                return Ok(value);
            }
        }
        Err(broken("has a number that does not end"))
    }

    /// Reads a number with a sign, of which the last bit is the sign.
    fn number(&mut self) -> io::Result<i64> {
        let value = self.varint()?;
        Ok((value >> 1) as i64 ^ -((value & 1) as i64))
    }

    fn size(&mut self) -> io::Result<u64> {
        u64::try_from(self.number()?).map_err(|_| broken("has a size below zero"))
    }

    /// Reads the beginning of the field behind `field` and returns its type; `None` at the end of the structure.
    fn field(&mut self, field: &mut i64) -> io::Result<Option<u8>> {
        let byte = self.byte()?;
        if byte == 0 {
            return Ok(None);
        }
        *field = match byte >> 4 {
            0 => self.number()?,
            step => field.saturating_add(i64::from(step)),
        };
        Ok(Some(byte & 0x0f))
    }

    fn skip(&mut self, kind: u8, depth: usize) -> io::Result<()> {
        let below = depth.checked_sub(1).ok_or_else(|| broken("goes too deep"))?;
        match kind {
            // A truth value is its type.
            1 | 2 => Ok(()),
            3 => self.pass(1),
            4..=6 => self.varint().map(drop),
            7 => self.pass(8),
            8 => {
                let length = self.varint()?;
                self.pass(length)
            }
            9 | 10 => {
                let byte = self.byte()?;
                let count = if byte >> 4 == 15 { self.varint()? } else { u64::from(byte >> 4) };
                (0..count).try_for_each(|_| self.skip_element(byte & 0x0f, below))
            }
            11 => {
                let count = self.varint()?;
                let kinds = if count == 0 { 0 } else { self.byte()? };
                (0..count).try_for_each(|_| {
                    self.skip_element(kinds >> 4, below)?;
                    self.skip_element(kinds & 0x0f, below)
                })
            }
            12 => {
                let mut field = 0;
                while let Some(kind) = self.field(&mut field)? {
                    self.skip(kind, below)?;
                }
                Ok(())
            }
            _ => Err(broken("has a type that is none")),
        }
    }

    /// As [`Self::skip`], in a list, where a truth value is a byte.
    fn skip_element(&mut self, kind: u8, depth: usize) -> io::Result<()> {
        if matches!(kind, 1 | 2) { self.pass(1) } else { self.skip(kind, depth) }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow_array::{ArrayRef, RecordBatch, StringArray};
    use bytes::Bytes;
    use parquet::arrow::ArrowWriter;
    use parquet::arrow::arrow_reader::{ArrowReaderMetadata, ArrowReaderOptions};
    use parquet::basic::{Compression, ZstdLevel};
    use parquet::file::properties::{WriterProperties, WriterPropertiesBuilder};

    use super::*;

    /// Returns a file of one column of texts, and what it says of itself.
    fn written(texts: Vec<String>, properties: WriterPropertiesBuilder) -> (Bytes, ArrowReaderMetadata) {
        let column: ArrayRef = Arc::new(StringArray::from(texts));
        let batch = RecordBatch::try_from_iter([("t", column)]).expect("a batch");
        let mut bytes = Vec::new();
        let mut writer =
            ArrowWriter::try_new(&mut bytes, batch.schema(), Some(properties.build())).expect("a writer");
        writer.write(&batch).expect("written");
        writer.close().expect("closed");
        let bytes = Bytes::from(bytes);
        let metadata = ArrowReaderMetadata::load(&bytes, ArrowReaderOptions::default()).expect("metadata");
        (bytes, metadata)
    }

    const LONG: u64 = 1 << 19;

    #[test]
    fn a_page_is_as_large_as_it_is_unpacked() {
        let zstd = WriterProperties::builder().set_compression(Compression::ZSTD(ZstdLevel::default()));
        let (bytes, metadata) = written(vec!["x".repeat(LONG as usize); 50], zstd);
        assert!(bytes.len() < 20_000, "{}", bytes.len());
        let chunk = metadata.metadata().row_group(0).column(0);
        let found = Pages::of(&bytes, chunk).expect("pages");
        // A dictionary of one text, behind its length.
        assert_eq!(found.dictionary, LONG + 4);
        assert!(found.data < 100, "{found:?}");
        assert_eq!(held(&bytes, metadata.metadata(), &[0]).expect("pages"), unpacked(chunk));
        assert_eq!(held(&bytes, metadata.metadata(), &[]).expect("pages"), 0);
        assert_eq!(rows_at_a_time(&bytes, metadata.metadata(), &[0], 8192).expect("rows"), 8192);
    }

    #[test]
    fn texts_that_are_stored_as_differences_come_in_few_rows() {
        let delta = WriterProperties::builder()
            .set_dictionary_enabled(false)
            .set_encoding(Encoding::DELTA_BYTE_ARRAY);
        let (bytes, metadata) = written(vec!["x".repeat(LONG as usize); 50], delta);
        assert!(bytes.len() < 4 * LONG as usize, "{}", bytes.len());
        let rows = rows_at_a_time(&bytes, metadata.metadata(), &[0], 8192).expect("rows");
        assert!((200..=512).contains(&rows), "{rows}");
    }

    #[test]
    fn a_header_is_read_to_its_end_whatever_else_stands_in_it() {
        // A data page of 300 bytes packed into 40, with a checksum, a structure with a text and a list, and truth values.
        let header = [
            0x15, 0x00, 0x15, 0xd8, 0x04, 0x15, 0x50, 0x15, 0x02, 0x1c, 0x18, 0x02, b'a', b'b', 0x19, 0x23,
            1, 2, 0x11, 0x12, 0x00, 0x00, 0xff,
        ];
        let mut bytes = Header { inner: &header[..], read: 0 };
        let page = Page::read(&mut bytes).expect("a header");
        assert_eq!((page.is_dictionary, page.unpacked, page.packed, bytes.read), (false, 300, 40, 22));
        for cut in 0..22 {
            assert!(Page::read(&mut Header { inner: &header[..cut], read: 0 }).is_err(), "{cut}");
        }
        let mut deep = vec![0x4c];
        deep.extend([0x1c; 1000]);
        assert!(Page::read(&mut Header { inner: &deep[..], read: 0 }).is_err());
        let long = [0x15, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff];
        assert!(Page::read(&mut Header { inner: &long[..], read: 0 }).is_err());
    }
}
