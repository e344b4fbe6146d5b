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

use super::error::without_credentials;
use super::upload::part_size;
use super::{Moved, ObjectHome, RemoteError, Version, aws_profile};
use crate::DigestIndex;
use crate::hashing::Md5;

/// Connections that broke one after the other, with no byte between them, before a download gives up.
const BROKEN_CONNECTIONS: u32 = 5;

/// Where a bucket is and how to get in.
#[derive(Clone, Default)]
pub struct S3Options {
    /// The bucket.
    pub bucket: String,
    /// The prefix of every key, without slashes around it; may be empty.
    pub prefix: String,
    /// Another server than Amazon's, such as `http://127.0.0.1:9000`.
    pub endpoint: Option<String>,
    /// The region; `us-east-1` by default.
    pub region: Option<String>,
    /// The access key's id.
    pub access_key_id: Option<String>,
    /// The access key's secret.
    pub secret_access_key: Option<String>,
    /// The token of a session.
    pub session_token: Option<String>,
    /// Other settings under the names of `object_store`, such as `aws_web_identity_token_file`.
    pub others: Vec<(String, String)>,
}

impl std::fmt::Debug for S3Options {
    /// Shows the place and never a secret.
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(formatter, "S3Options({} at {:?})", self.address(), self.endpoint)
    }
}

impl S3Options {
    /// Reads `s3://bucket/prefix`, and nothing else.
    ///
    /// # Errors
    /// Fails for what is no such address.
    pub fn address_of(uri: &str) -> Result<Self, RemoteError> {
        let wrong =
            |reason: &str| Err(RemoteError::Uri { uri: without_credentials(uri), reason: reason.to_owned() });
        let Some(rest) = uri.strip_prefix("s3://") else { return wrong("expected `s3://bucket/prefix`") };
        let (bucket, prefix) = rest.split_once('/').unwrap_or((rest, ""));
        let allowed = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_');
        if bucket.contains('@') {
            return wrong("credentials do not belong in an address; use the AWS_… variables");
        }
        if !(1..=255).contains(&bucket.len()) || !bucket.bytes().all(allowed) {
            return wrong("the name of a bucket has letters, digits, `-`, `.` and `_`");
        }
        if prefix.contains(['?', '#']) {
            return wrong("a prefix has no `?` and no `#`");
        }
        let prefix = prefix.trim_matches('/').to_owned();
        Ok(Self { bucket: bucket.to_owned(), prefix, ..Self::default() })
    }

    /// Reads `s3://bucket/prefix` and the `AWS_…` variables; without a key, the profile `AWS_PROFILE` of the shared
    /// files.
    ///
    /// # Errors
    /// Fails for what is no such address, and for a profile that cannot be used.
    pub fn from_environment(
        uri: &str,
        environment: &dyn Fn(&str) -> Option<String>,
    ) -> Result<Self, RemoteError> {
        let mut options = Self::address_of(uri)?;
        options.fill(environment("AWS_PROFILE").as_deref(), environment)?;
        Ok(options)
    }

    /// Fills what is not set from the variables and, when they hold no key, from a profile of the shared files.
    ///
    /// # Errors
    /// Fails for a profile that is not there or cannot be used.
    pub fn fill(
        &mut self,
        profile: Option<&str>,
        environment: &dyn Fn(&str) -> Option<String>,
    ) -> Result<(), RemoteError> {
        let set = |place: &mut Option<String>, names: &[&str]| {
            if place.is_none() {
                *place = names.iter().find_map(|name| environment(name));
            }
        };
        set(&mut self.endpoint, &["AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL", "AWS_ENDPOINT"]);
        set(&mut self.region, &["AWS_REGION", "AWS_DEFAULT_REGION"]);
        if self.access_key_id.is_none() {
            set(&mut self.access_key_id, &["AWS_ACCESS_KEY_ID"]);
            set(&mut self.secret_access_key, &["AWS_SECRET_ACCESS_KEY"]);
            set(&mut self.session_token, &["AWS_SESSION_TOKEN"]);
        }
        for name in [
            "AWS_WEB_IDENTITY_TOKEN_FILE",
            "AWS_ROLE_ARN",
            "AWS_ROLE_SESSION_NAME",
            "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI",
            "AWS_CONTAINER_CREDENTIALS_FULL_URI",
            "AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE",
            "AWS_SKIP_SIGNATURE",
            "AWS_VIRTUAL_HOSTED_STYLE_REQUEST",
        ] {
            if let Some(value) = environment(name) {
                self.others.push((name.to_ascii_lowercase(), value));
            }
        }
        if self.access_key_id.is_none() && self.others.iter().all(|(name, _)| name.ends_with("_request")) {
            let keys = aws_profile::read(profile.unwrap_or("default"), environment)?;
            let take = |key: &str| keys.get(key).cloned();
            self.access_key_id = take("aws_access_key_id");
            self.secret_access_key = take("aws_secret_access_key");
            self.session_token = take("aws_session_token");
            self.region = self.region.take().or_else(|| take("region"));
            self.endpoint = self.endpoint.take().or_else(|| take("endpoint_url"));
            if let (Some(profile), None) = (profile, &self.access_key_id) {
                let uri = self.address();
                let reason = format!("AWS_PROFILE is `{profile}`, and the shared files hold no key of it");
                return Err(RemoteError::Uri { uri, reason });
            }
        }
        Ok(())
    }

    fn address(&self) -> String {
        let separator = if self.prefix.is_empty() { "" } else { "/" };
        format!("s3://{}{separator}{}", self.bucket, self.prefix)
    }
}

/// Objects below a prefix of a bucket.
pub struct S3Objects {
    pub(super) store: AmazonS3,
    pub(super) runtime: tokio::runtime::Runtime,
    bucket: String,
    prefix: Key,
    address: String,
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
            if !endpoint.starts_with("http://") && !endpoint.starts_with("https://") {
                return Err(wrong(format!(
                    "the endpoint `{endpoint}` does not begin with `https://` or `http://`"
                )));
            }
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
        Ok(Self { store, runtime, bucket: options.bucket.clone(), prefix, address })
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

    /// Reads the object from `offset` on into `file`; returns how many bytes have arrived, also with an error.
    async fn fetch(
        &self,
        key: &str,
        offset: u64,
        file: &mut fs_err::File,
        moved: Moved<'_>,
    ) -> Result<u64, (u64, RemoteError)> {
        let path = self.key(key).map_err(|error| (0, error))?;
        let range = (offset > 0).then_some(GetRange::Offset(offset));
        let options = GetOptions { range, ..GetOptions::default() };
        let result =
            self.store.get_opts(&path, options).await.map_err(|error| (0, self.error(key, &error)))?;
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
        let Some(size) = self.size(key)? else {
            self.check_bucket(key)?;
            return Err(RemoteError::Missing { key: key.to_owned(), home: self.address.clone() });
        };
        let mut broken = 0;
        while offset < size {
            match self.runtime.block_on(self.fetch(key, offset, &mut file, moved)) {
                // All that is there has been read, and it is less than there was.
                Ok(0) => {
                    let reason = format!(
                        "`{key}` ends at byte {offset}, and had {size} bytes: it was replaced meanwhile; try again"
                    );
                    return Err(RemoteError::Unreachable { home: self.address.clone(), reason });
                }
                Ok(arrived) => offset += arrived,
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
        let folder = if prefix.is_empty() { self.prefix.clone() } else { self.key(prefix)? };
        let below = self.prefix.as_ref();
        self.runtime.block_on(async {
            let mut stream = self.store.list(Some(&folder));
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
