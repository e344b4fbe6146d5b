//! Which proxy stands between modelgate and an address. One answer for all clients: a token that is meant for this machine
//! never leaves it, and the other rules are those that other programs have.

use std::net::IpAddr;

use ureq::http::Uri;
use ureq::{Proxy, ProxyProtocol};

/// What is never asked through a proxy, also where a redirect leads there.
const THIS_MACHINE: [&str; 5] = ["localhost", ".localhost", "127.*", "::1", "[::1]"];

/// Returns the proxy for `url` by `HTTP_PROXY` or `HTTPS_PROXY`, else `ALL_PROXY`, and `NO_PROXY`, of which the names in small
/// letters go before; none for this machine.
pub fn proxy(url: &str) -> Option<Proxy> {
    of(url, &|name| std::env::var(name).ok())
}

fn of(url: &str, environment: &dyn Fn(&str) -> Option<String>) -> Option<Proxy> {
    let named = |name: &str| {
        let value = |name: &str| environment(name).filter(|value| !value.trim().is_empty());
        value(&name.to_ascii_lowercase()).or_else(|| value(name))
    };
    let uri: Uri = url.parse().ok()?;
    let own = match uri.scheme_str()? {
        "http" => named("HTTP_PROXY"),
        "https" => named("HTTPS_PROXY"),
        _ => return None,
    };
    let proxy = Proxy::new(own.or_else(|| named("ALL_PROXY"))?.trim()).ok()?;
    let host = uri.host()?.trim_matches(['[', ']']).trim_end_matches('.').to_ascii_lowercase();
    let spared = named("NO_PROXY").unwrap_or_default().to_ascii_lowercase();
    let spared: Vec<&str> = spared.split(',').map(str::trim).filter(|entry| !entry.is_empty()).collect();
    if is_this_machine(&host) || spared.iter().any(|entry| covers(entry, &host)) {
        return None;
    }
    // What an answer leads to is held against the list again.
    let mut rebuilt = Proxy::builder(proxy.protocol()).host(proxy.host()).port(proxy.port());
    if let Some(name) = proxy.username() {
        rebuilt = rebuilt.username(name);
    }
    if let Some(password) = proxy.password() {
        rebuilt = rebuilt.password(password);
    }
    for entry in THIS_MACHINE {
        rebuilt = rebuilt.no_proxy(entry);
    }
    for entry in spared {
        let name = domain(entry);
        rebuilt = rebuilt.no_proxy(name).no_proxy(&format!(".{name}"));
    }
    // One that only knows numbers is told them by it.
    let local = matches!(proxy.protocol(), ProxyProtocol::Socks4);
    rebuilt.resolve_target(local).build().ok()
}

fn is_this_machine(host: &str) -> bool {
    let number = host.parse::<IpAddr>();
    host == "localhost"
        || host.ends_with(".localhost")
        || number.is_ok_and(|number| number.to_canonical().is_loopback())
}

/// The name in an entry: `example.com`, `.example.com` and `*.example.com` are the same, the host and all below it.
fn domain(entry: &str) -> &str {
    entry.strip_prefix('*').filter(|rest| rest.starts_with('.')).unwrap_or(entry).trim_matches('.')
}

/// Returns whether an entry of `NO_PROXY` is of `host`: `*`, a name, a number or a network such as `10.0.0.0/8`.
fn covers(entry: &str, host: &str) -> bool {
    if let Ok(number) = host.parse::<IpAddr>() {
        let (network, bits) = match entry.split_once('/') {
            Some((network, bits)) => (network, bits.parse().ok()),
            None => (entry.trim_matches(['[', ']']), Some(128)),
        };
        let within = network
            .parse::<IpAddr>()
            .is_ok_and(|network| bits.is_some_and(|bits| shares(network, number, bits)));
        return entry == "*" || within;
    }
    let name = domain(entry);
    entry == "*" || host == name || host.strip_suffix(name).is_some_and(|above| above.ends_with('.'))
}

/// Returns whether two numbers have their first `bits` in common.
fn shares(one: IpAddr, other: IpAddr, bits: u32) -> bool {
    let differ = match (one, other) {
        (IpAddr::V4(one), IpAddr::V4(other)) => u128::from(one.to_bits() ^ other.to_bits()) << 96,
        (IpAddr::V6(one), IpAddr::V6(other)) => one.to_bits() ^ other.to_bits(),
        _ => return false,
    };
    differ.leading_zeros() >= bits
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asked(url: &str, set: &[(&str, &str)]) -> Option<String> {
        let environment =
            |name: &str| set.iter().find(|(known, _)| *known == name).map(|(_, value)| (*value).to_owned());
        of(url, &environment).map(|proxy| proxy.host().to_owned())
    }

    #[test]
    fn each_scheme_has_its_own_proxy() {
        let set =
            [("HTTP_PROXY", "http://plain:1"), ("HTTPS_PROXY", "http://safe:2"), ("ALL_PROXY", "rest:3")];
        assert_eq!(asked("http://a.test/x", &set).as_deref(), Some("plain"));
        assert_eq!(asked("https://a.test/x", &set).as_deref(), Some("safe"));
        assert_eq!(asked("http://a.test", &set[1..]).as_deref(), Some("rest"));
        assert_eq!(asked("http://a.test", &set[1..2]), None);
        assert_eq!(asked("ftp://a.test", &set), None);
        let small =
            [("http_proxy", "small"), ("HTTP_PROXY", "large"), ("https_proxy", " "), ("HTTPS_PROXY", "safe")];
        assert_eq!(asked("http://a.test", &small).as_deref(), Some("small"));
        assert_eq!(asked("https://a.test", &small).as_deref(), Some("safe"));
        let whole =
            of("https://a.test", &|name| (name == "HTTPS_PROXY").then(|| "http://me:p%40ss@safe".to_owned()));
        let whole = whole.expect("a proxy");
        assert_eq!((whole.username(), whole.password(), whole.port()), (Some("me"), Some("p@ss"), 80));
    }

    #[test]
    fn this_machine_is_never_asked_through_one() {
        let set = [("ALL_PROXY", "proxy:1")];
        for host in [
            "127.0.0.1:8080",
            "127.8.9.1",
            "localhost",
            "LOCALHOST.",
            "x.localhost",
            "[::1]:8",
            "[::ffff:127.0.0.1]",
        ] {
            for scheme in ["http", "https"] {
                assert_eq!(asked(&format!("{scheme}://{host}/admin"), &set), None, "{host}");
            }
        }
        assert!(asked("http://10.0.0.1/", &set).is_some() && asked("http://localhost.test", &set).is_some());
        // A redirect may lead back.
        let proxy =
            of("https://a.test", &|name| (name == "ALL_PROXY").then(|| "proxy".to_owned())).expect("one");
        for url in ["http://127.0.0.1:9/x", "http://localhost", "http://[::1]:9/"] {
            assert!(proxy.is_no_proxy(&url.parse().expect("a URL")), "{url}");
        }
        assert!(!proxy.is_no_proxy(&"http://b.test".parse().expect("a URL")));
    }

    #[test]
    fn what_is_named_is_asked_without_one() {
        let spared = |host: &str, list: &str| {
            asked(&format!("https://{host}/"), &[("HTTPS_PROXY", "proxy"), ("NO_PROXY", list)]).is_none()
        };
        for list in ["example.com", ".example.com", "*.example.com", "x, EXAMPLE.com", "*"] {
            assert!(spared("example.com", list) && spared("a.b.example.com:8443", list), "{list}");
        }
        assert!(!spared("notexample.com", "example.com") && !spared("example.com", "a.example.com, ,"));
        for list in ["10.1.2.3", "10.0.0.0/8", "10.1.2.0/24"] {
            assert!(spared("10.1.2.3", list), "{list}");
        }
        assert!(
            !spared("11.1.2.3", "10.0.0.0/8")
                && !spared("10.1.2.3", "10.1.2.3/x")
                && !spared("10.1.2.3", "1")
        );
        assert!(spared("[fd00::1]", "fd00::/8") && !spared("[fe00::1]", "fd00::/8"));
        assert!(spared("10.1.2.3", "0.0.0.0/0"));
    }
}
