//! Copying a file to S3: in one request when it is small, else in parts, of which a later try sends what is missing.

use std::io::{Read, Seek, SeekFrom};
use std::path::Path;

use object_store::multipart::{MultipartStore, PartId};
use object_store::{ObjectStoreExt, PutPayload};
use serde::{Deserialize, Serialize};

use super::s3::S3Objects;
use super::{Moved, ObjectHome, RemoteError};
use crate::atomic;

/// Up to here a file is one request.
const SINGLE: u64 = 16 << 20;
/// S3 takes at most this many parts; the rest is for rounding.
const PARTS: u64 = 9_000;

/// Returns how long the parts of an object of `size` bytes are, but for the last.
pub(super) fn part_size(size: u64) -> u64 {
    SINGLE.max(size.div_ceil(PARTS))
}

/// An upload in parts that is under way: what a later try needs to go on.
#[derive(Serialize, Deserialize)]
struct Progress {
    /// Where to, so that another remote does not take it for its own.
    home: String,
    /// The object's key.
    key: String,
    /// The upload's name at the server.
    upload: String,
    /// Bytes in all.
    size: u64,
    /// Bytes in each part but the last.
    part_size: u64,
    /// What the server called the parts that have arrived, in order.
    parts: Vec<String>,
}

impl Progress {
    fn load(path: &Path, home: &str, key: &str, size: u64, part_size: u64) -> Option<Self> {
        let bytes = fs_err::read(path).ok()?;
        let found: Self = serde_json::from_slice(&bytes).ok()?;
        let same =
            found.home == home && found.key == key && found.size == size && found.part_size == part_size;
        (same && found.parts.len() as u64 <= size.div_ceil(part_size)).then_some(found)
    }

    fn save(&self, path: &Path) -> Result<(), RemoteError> {
        let text = serde_json::to_vec(self).map_err(std::io::Error::other)?;
        atomic::write(path, &text).map_err(|error| std::io::Error::other(error.to_string()).into())
    }
}

/// Copies `from` to the object `key`.
pub(super) async fn upload(
    home: &S3Objects,
    key: &str,
    from: &Path,
    progress: &Path,
    moved: Moved<'_>,
) -> Result<(), RemoteError> {
    let mut file = fs_err::File::open(from)?;
    let size = file.metadata()?.len();
    let path = home.key(key)?;
    if size <= SINGLE {
        let mut bytes = Vec::with_capacity(size as usize);
        file.read_to_end(&mut bytes)?;
        home.store.put(&path, PutPayload::from(bytes)).await.map_err(|error| home.error(key, &error))?;
        moved(size);
        return Ok(());
    }
    let part_size = part_size(size);
    let earlier = Progress::load(progress, &home.name(), key, size, part_size);
    let mut state = if let Some(state) = earlier {
        state
    } else {
        let upload = home.store.create_multipart(&path).await.map_err(|error| home.error(key, &error))?;
        Progress { home: home.name(), key: key.to_owned(), upload, size, part_size, parts: Vec::new() }
    };
    let mut restarted = false;
    while (state.parts.len() as u64) < size.div_ceil(part_size) {
        let index = state.parts.len();
        let start = index as u64 * part_size;
        let mut bytes = vec![0; part_size.min(size - start) as usize];
        file.seek(SeekFrom::Start(start))?;
        file.read_exact(&mut bytes)?;
        let length = bytes.len() as u64;
        match home.store.put_part(&path, &state.upload, index, PutPayload::from(bytes)).await {
            Ok(part) => state.parts.push(part.content_id),
            // The server has forgotten the upload of an earlier try; begin again, once.
            Err(error) if error.to_string().contains("NoSuchUpload") && !restarted => {
                restarted = true;
                state.parts.clear();
                state.upload =
                    home.store.create_multipart(&path).await.map_err(|error| home.error(key, &error))?;
                continue;
            }
            Err(error) => return Err(home.error(key, &error)),
        }
        moved(length);
        state.save(progress)?;
    }
    let parts = state.parts.iter().map(|part| PartId { content_id: part.clone() }).collect();
    let done = home.store.complete_multipart(&path, &state.upload, parts).await;
    // Whatever the answer, these parts are used up.
    let _ = fs_err::remove_file(progress);
    done.map(|_| ()).map_err(|error| home.error(key, &error))
}
