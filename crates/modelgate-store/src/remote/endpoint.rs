//! The address of a server of objects, looked at before anything is sent: what is no address makes the client panic.

use super::error::without_credentials;

/// Refuses what is not `http://host` or `https://host`, with a port where there is one.
///
/// # Errors
/// Says what is wrong with it.
pub(super) fn check_endpoint(endpoint: &str) -> Result<(), String> {
    let shown = || without_credentials(endpoint);
    if !endpoint.starts_with("http://") && !endpoint.starts_with("https://") {
        return Err(format!("the endpoint `{}` does not begin with `https://` or `http://`", shown()));
    }
    let expected = "expected such as `https://minio.example.com:9000`";
    // One reads it for the signature, the other for the connection, and they differ in what they let pass.
    let uri = endpoint.parse::<ureq::http::Uri>().map_err(|error| error.to_string());
    let url = reqwest::Url::parse(endpoint).map_err(|error| error.to_string());
    let (uri, _) = match (uri, url) {
        (Ok(uri), Ok(url)) => (uri, url),
        (Err(error), _) | (_, Err(error)) => {
            return Err(format!("the endpoint `{}` is no address: {error}; {expected}", shown()));
        }
    };
    let authority = uri.authority().map(ureq::http::uri::Authority::as_str).unwrap_or_default();
    if authority.contains('@') {
        return Err("credentials do not belong in an endpoint; use the AWS_… variables".to_owned());
    }
    let port = authority.rsplit_once(':').map(|(_, port)| port).filter(|port| !port.ends_with(']'));
    if uri.host().is_none_or(str::is_empty) || port.is_some_and(|port| port.parse::<u16>().is_err()) {
        return Err(format!("the endpoint `{}` names no host, or a port that is none; {expected}", shown()));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_address_is_refused_before_a_client_takes_it() {
        for good in [
            "http://127.0.0.1:9000",
            "https://s3.example.com/",
            "http://[::1]:9000",
            "http://[::1]",
            "http://minio_1:9000",
            "https://host/below/a/path",
        ] {
            check_endpoint(good).unwrap_or_else(|error| panic!("{good}: {error}"));
        }
        for wrong in [
            "minio:9000",
            "ftp://minio",
            "http://",
            "http://:9000",
            "http://127.0.0.1:99999",
            "http://minio:${PORT}",
            "http://minio:9000:9000",
            "http://minio:",
            "http://[::1",
            "http://a b",
            "http://me:sec/ret@minio:9000",
        ] {
            let error = check_endpoint(wrong).expect_err(wrong);
            assert!(!error.contains("ret"), "{error}");
        }
    }
}
