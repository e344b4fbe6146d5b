//! Where a bucket is and how to get in: from its address, the `AWS_…` variables and the shared files.

use super::error::without_credentials;
use super::{RemoteError, aws_profile};

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
        write!(
            formatter,
            "S3Options({} at {:?})",
            self.address(),
            self.endpoint.as_deref().map(without_credentials)
        )
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
        if bucket.contains('@') || (bucket.contains(':') && prefix.contains('@')) {
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

    /// Returns the address.
    pub(super) fn address(&self) -> String {
        let separator = if self.prefix.is_empty() { "" } else { "/" };
        format!("s3://{}{separator}{}", self.bucket, self.prefix)
    }
}
