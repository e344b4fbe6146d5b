//! Objects below a prefix of an S3 bucket, through `object_store`; blocking outside, asynchronous inside.

use std::io::Write;
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::sync::Once;
use std::time::Duration;

use object_store::aws::{AmazonS3, AmazonS3Builder, AmazonS3ConfigKey, S3ConditionalPut};
use object_store::{
    BackoffConfig, ClientOptions, GetOptions, GetRange, ObjectStore, ObjectStoreExt, PutMode, PutPayload,
    RetryConfig, UpdateVersion, path::Path as Key,
};

use super::endpoint::check_endpoint;
use super::error::without_credentials;
use super::upload::part_size;
use super::{Moved, ObjectHome, RemoteError, S3Options, Version};
use crate::DigestIndex;
use crate::hashing::Md5;

/// Connections that broke one after the other, with no byte between them, before a download gives up.
const BROKEN_CONNECTIONS: u32 = 5;

/// Objects below a prefix of a bucket.
pub struct S3Objects {
    pub(super) store: AmazonS3,
    pub(super) runtime: tokio::runtime::Runtime,
    bucket: String,
    prefix: Key,
    address: String,
    /// The other server than Amazon's, if it is one.
    endpoint: Option<String>,
}

impl std::fmt::Debug for S3Objects {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(formatter, "S3Objects({})", self.address)
    }
}

impl S3Objects {
    /// Opens the bucket; nothing is sent yet.
    ///
    /// # Errors
    /// Fails for settings that make no sense, and without credentials.
    pub fn open(options: &S3Options) -> Result<Self, RemoteError> {
        use_ring();
        let address = options.address();
        let wrong = |reason: String| RemoteError::Uri { uri: address.clone(), reason };
        // A request of any length may take its time; one that stands still may not.
        let client = ClientOptions::new()
            .with_timeout_disabled()
            .with_read_timeout(Duration::from_secs(30))
            .with_connect_timeout(Duration::from_secs(5))
            .with_pool_max_idle_per_host(32);
        let backoff = BackoffConfig {
            init_backoff: Duration::from_millis(100),
            max_backoff: Duration::from_secs(3),
            base: 2.0,
        };
        let retry = RetryConfig { backoff, max_retries: 4, retry_timeout: Duration::from_secs(120) };
        let mut builder = AmazonS3Builder::new()
            .with_bucket_name(&options.bucket)
            .with_region(options.region.as_deref().unwrap_or("us-east-1"))
            .with_conditional_put(S3ConditionalPut::ETagMatch)
            .with_retry(retry);
        for (name, value) in &options.others {
            let key: AmazonS3ConfigKey =
                name.parse().map_err(|_| wrong(format!("unknown setting `{name}`")))?;
            builder = builder.with_config(key, value);
        }
        let mut client = client;
        if let Some(endpoint) = &options.endpoint {
            check_endpoint(endpoint).map_err(wrong)?;
            // Plain HTTP is used when the endpoint says so, and never else.
            client = client.with_allow_http(endpoint.starts_with("http://"));
            builder = builder.with_endpoint(endpoint.trim_end_matches('/'));
        }
        match (&options.access_key_id, &options.secret_access_key) {
            (Some(id), Some(secret)) => {
                builder = builder.with_access_key_id(id).with_secret_access_key(secret);
                if let Some(token) = &options.session_token {
                    builder = builder.with_token(token);
                }
            }
            (Some(_), None) => return Err(wrong("AWS_SECRET_ACCESS_KEY is not set".to_owned())),
            (None, _) => {
                let elsewhere = options.others.iter().any(|(name, _)| !name.ends_with("_request"));
                if !elsewhere && !on_an_amazon_machine() {
                    return Err(RemoteError::NoCredentials { home: address });
                }
            }
        }
        let store = builder
            .with_client_options(client)
            .build()
            .map_err(|error| wrong(without_credentials(&error.to_string())))?;
        let prefix = Key::parse(&options.prefix).map_err(|error| wrong(error.to_string()))?;
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let endpoint = options
            .endpoint
            .as_deref()
            .map(|at| without_credentials(at.trim_end_matches('/')).to_lowercase());
        Ok(Self { store, runtime, bucket: options.bucket.clone(), prefix, address, endpoint })
    }

    pub(super) fn key(&self, key: &str) -> Result<Key, RemoteError> {
        let wrong = |reason: String| RemoteError::Uri { uri: key.to_owned(), reason };
        let parsed = Key::parse(key).map_err(|error| wrong(error.to_string()))?;
        if parsed.as_ref().is_empty() || parsed.as_ref().len() != key.len() {
            return Err(wrong("it is not the key of an object".to_owned()));
        }
        Ok(if self.prefix.as_ref().is_empty() {
            parsed
        } else {
            Key::parse(format!("{}/{parsed}", self.prefix)).map_err(|error| wrong(error.to_string()))?
        })
    }

    /// Returns the error in words: what is missing, refused or not reachable.
    pub(super) fn error(&self, key: &str, error: &object_store::Error) -> RemoteError {
        use object_store::Error;
        let text = chain(error);
        let home = self.address.clone();
        // The service that gives a machine of Amazon's its role has none for this one.
        if text.contains("169.254.169.254") {
            return RemoteError::NoCredentials { home };
        }
        if text.contains("NoSuchBucket") {
            return RemoteError::NoBucket { home, bucket: self.bucket.clone() };
        }
        let refusals =
            ["InvalidAccessKeyId", "SignatureDoesNotMatch", "AccessDenied", "ExpiredToken", "InvalidToken"];
        let refusal = refusals.into_iter().find(|code| text.contains(code));
        match (error, refusal) {
            (Error::NotFound { .. }, None) => RemoteError::Missing { key: key.to_owned(), home },
            (Error::PermissionDenied { .. } | Error::Unauthenticated { .. }, None) => {
                RemoteError::Refused { home, reason: "permission denied".to_owned() }
            }
            (_, Some(code)) => RemoteError::Refused { home, reason: code.to_owned() },
            _ => RemoteError::Unreachable { home, reason: without_credentials(&text) },
        }
    }

    /// Returns the objects below `prefix`, sorted by key; with `after` those behind that key.
    fn listed(&self, prefix: &str, after: Option<&str>) -> Result<Vec<(String, u64, Version)>, RemoteError> {
        let folder = if prefix.is_empty() { self.prefix.clone() } else { self.key(prefix)? };
        let after = after.map(|key| self.key(key)).transpose()?;
        let below = self.prefix.as_ref();
        self.runtime.block_on(async {
            let mut stream = match &after {
                Some(after) => self.store.list_with_offset(Some(&folder), after),
                None => self.store.list(Some(&folder)),
            };
            let mut found = Vec::new();
            while let Some(item) = next(&mut stream).await {
                let meta = item.map_err(|error| self.error(prefix, &error))?;
                let key = meta.location.as_ref();
                let key = key.strip_prefix(below).unwrap_or(key).trim_start_matches('/');
                found.push((key.to_owned(), meta.size, Version(meta.e_tag.clone().unwrap_or_default())));
            }
            found.sort_unstable_by(|one, other| one.0.cmp(&other.0));
            Ok(found)
        })
    }

    async fn put_opts(&self, key: &str, bytes: &[u8], mode: PutMode) -> Result<bool, RemoteError> {
        use object_store::Error;
        let path = self.key(key)?;
        let payload = PutPayload::from(bytes.to_vec());
        match self.store.put_opts(&path, payload, mode.into()).await {
            Ok(_) => Ok(true),
            Err(Error::AlreadyExists { .. } | Error::Precondition { .. }) => Ok(false),
            Err(error) => Err(self.error(key, &error)),
        }
    }

    /// Fails when there is no such bucket: the answer about an object has no text that would tell that from a key that is not
    /// there, and a listing has.
    fn check_bucket(&self, key: &str) -> Result<(), RemoteError> {
        let path = self.key(key)?;
        let first = self.runtime.block_on(async { next(&mut self.store.list(Some(&path))).await });
        match first {
            Some(Err(error)) => match self.error(key, &error) {
                missing @ RemoteError::NoBucket { .. } => Err(missing),
                // Who may not list may still read.
                _ => Ok(()),
            },
            _ => Ok(()),
        }
    }

    /// Says that there is no such object, or no such bucket.
    fn missing<T>(&self, key: &str) -> Result<T, RemoteError> {
        self.check_bucket(key)?;
        Err(RemoteError::Missing { key: key.to_owned(), home: self.address.clone() })
    }

    /// Reads the object from `offset` on into `file`; returns how many bytes have arrived, also with an error. The object's
    /// size, where it is not known yet, comes with the first answer.
    async fn fetch(
        &self,
        key: &str,
        offset: u64,
        size: &mut Option<u64>,
        file: &mut fs_err::File,
        moved: Moved<'_>,
    ) -> Result<u64, (u64, RemoteError)> {
        let path = self.key(key).map_err(|error| (0, error))?;
        let range = (offset > 0).then_some(GetRange::Offset(offset));
        let options = GetOptions { range, ..GetOptions::default() };
        let result =
            self.store.get_opts(&path, options).await.map_err(|error| (0, self.error(key, &error)))?;
        size.get_or_insert(result.meta.size);
        let mut stream = result.into_stream();
        let mut arrived = 0;
        while let Some(block) = next(&mut stream).await {
            let block = block.map_err(|error| (arrived, self.error(key, &error)))?;
            file.write_all(&block).map_err(|error| (arrived, error.into()))?;
            arrived += block.len() as u64;
            moved(block.len() as u64);
        }
        Ok(arrived)
    }
}

/// Returns the next item of a stream.
async fn next<S: futures_core::Stream + Unpin>(stream: &mut S) -> Option<S::Item> {
    std::future::poll_fn(|context| std::pin::Pin::new(&mut *stream).poll_next(context)).await
}

/// Returns an error and its causes, each said once.
fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        let more = error.to_string();
        if !text.contains(&more) {
            text.push_str(": ");
            text.push_str(&more);
        }
        cause = error.source();
    }
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// Makes ring the provider of TLS for this process, unless there is one.
fn use_ring() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        // Another provider that the process has chosen is as good.
        let _ = rustls::crypto::ring::default_provider().install_default();
    });
}

/// Returns whether the service that gives a machine its role answers; elsewhere its address leads nowhere, and
/// waiting for it would take minutes.
fn on_an_amazon_machine() -> bool {
    let service = SocketAddr::from((Ipv4Addr::new(169, 254, 169, 254), 80));
    TcpStream::connect_timeout(&service, Duration::from_millis(300)).is_ok()
}

impl ObjectHome for S3Objects {
    fn name(&self) -> String {
        self.address.clone()
    }

    fn place(&self) -> String {
        match &self.endpoint {
            Some(endpoint) => format!("{} at {endpoint}", self.address),
            None => self.address.clone(),
        }
    }

    fn get(&self, key: &str) -> Result<Option<(Vec<u8>, Version)>, RemoteError> {
        let path = self.key(key)?;
        self.runtime.block_on(async {
            let result = match self.store.get(&path).await {
                Ok(result) => result,
                Err(error) => {
                    return match self.error(key, &error) {
                        RemoteError::Missing { .. } => Ok(None),
                        other => Err(other),
                    };
                }
            };
            let version = Version(result.meta.e_tag.clone().unwrap_or_default());
            let bytes = result.bytes().await.map_err(|error| self.error(key, &error))?;
            Ok(Some((Vec::from(bytes), version)))
        })
    }

    fn head(&self, key: &str) -> Result<Option<(u64, Version)>, RemoteError> {
        let path = self.key(key)?;
        match self.runtime.block_on(self.store.head(&path)) {
            Ok(meta) => Ok(Some((meta.size, Version(meta.e_tag.unwrap_or_default())))),
            Err(error) => match self.error(key, &error) {
                RemoteError::Missing { .. } => Ok(None),
                other => Err(other),
            },
        }
    }

    fn put(&self, key: &str, bytes: &[u8]) -> Result<(), RemoteError> {
        self.runtime.block_on(self.put_opts(key, bytes, PutMode::Overwrite)).map(|_| ())
    }

    fn put_if_absent(&self, key: &str, bytes: &[u8]) -> Result<bool, RemoteError> {
        self.runtime.block_on(self.put_opts(key, bytes, PutMode::Create))
    }

    fn put_if_unchanged(&self, key: &str, bytes: &[u8], version: &Version) -> Result<bool, RemoteError> {
        let version = UpdateVersion { e_tag: Some(version.0.clone()), version: None };
        self.runtime.block_on(self.put_opts(key, bytes, PutMode::Update(version)))
    }

    fn remove(&self, key: &str) -> Result<(), RemoteError> {
        use object_store::ObjectStoreExt as _;
        let path = self.key(key)?;
        match self.runtime.block_on(self.store.delete(&path)) {
            Ok(()) => Ok(()),
            Err(error) => match self.error(key, &error) {
                RemoteError::Missing { .. } => Ok(()),
                other => Err(other),
            },
        }
    }

    fn upload(&self, key: &str, from: &Path, progress: &Path, moved: Moved<'_>) -> Result<(), RemoteError> {
        self.runtime.block_on(super::upload::upload(self, key, from, progress, moved))
    }

    fn download(&self, key: &str, to: &Path, moved: Moved<'_>) -> Result<(), RemoteError> {
        let mut file = fs_err::OpenOptions::new().append(true).create(true).open(to)?;
        let mut offset = file.metadata()?.len();
        // What is fetched from its beginning says how large it is; only one that goes on is asked before.
        let mut size = None;
        if offset > 0 {
            size = Some(self.size(key)?.map_or_else(|| self.missing(key), Ok)?);
        }
        let mut broken = 0;
        while size.is_none_or(|size| offset < size) {
            match self.runtime.block_on(self.fetch(key, offset, &mut size, &mut file, moved)) {
                Ok(0) if size == Some(offset) => {}
                // All that is there has been read, and it is less than there was.
                Ok(0) => {
                    let size = size.unwrap_or_default();
                    let reason = format!(
                        "`{key}` ends at byte {offset}, and had {size} bytes: it was replaced meanwhile; try again"
                    );
                    return Err(RemoteError::Unreachable { home: self.address.clone(), reason });
                }
                Ok(arrived) => offset += arrived,
                Err((_, RemoteError::Missing { .. })) if size.is_none() => return self.missing(key),
                Err((arrived, error)) => {
                    offset += arrived;
                    broken = if arrived > 0 { 0 } else { broken + 1 };
                    let again = matches!(error, RemoteError::Unreachable { .. });
                    if !again || broken > BROKEN_CONNECTIONS {
                        return Err(error);
                    }
                    std::thread::sleep(Duration::from_millis(50 << broken.min(5)));
                }
            }
        }
        Ok(file.sync_data()?)
    }

    fn list(&self, prefix: &str) -> Result<Vec<(String, u64)>, RemoteError> {
        Ok(self.list_versions(prefix)?.into_iter().map(|(key, size, _)| (key, size)).collect())
    }

    fn list_versions(&self, prefix: &str) -> Result<Vec<(String, u64, Version)>, RemoteError> {
        self.listed(prefix, None)
    }

    fn list_behind(&self, prefix: &str, after: &str) -> Result<Vec<(String, u64, Version)>, RemoteError> {
        let mut found = self.listed(prefix, Some(after))?;
        // A server that does not know where to begin lists everything.
        found.retain(|(key, _, _)| key.as_str() > after);
        Ok(found)
    }

    fn file(&self, _: &str) -> Result<Option<PathBuf>, RemoteError> {
        Ok(None)
    }

    fn agrees(
        &self,
        version: &Version,
        from: &Path,
        index: &DigestIndex,
    ) -> Result<Option<bool>, RemoteError> {
        // The tag is the MD5 of an object that came in one request, and that of the MD5s of its parts for others; where
        // the store encrypts with keys of its own it is neither, and looks the same.
        let tag = version.0.trim_start_matches("W/").trim_matches('"');
        let (digits, parts) =
            tag.split_once('-').map_or((tag, None), |(digits, parts)| (digits, Some(parts)));
        let Some(tagged) = Md5::parse(digits) else { return Ok(None) };
        let found = match parts {
            None => index.md5_of(from)?,
            Some(parts) => {
                let size = fs_err::metadata(from)?.len();
                let part = part_size(size);
                // Who cuts it elsewhere has another sum.
                if parts.parse() != Ok(size.div_ceil(part)) {
                    return Ok(None);
                }
                index.md5_of_parts(from, part)?
            }
        };
        Ok(Some(found == tagged))
    }

    fn parallel(&self) -> usize {
        16
    }
}
