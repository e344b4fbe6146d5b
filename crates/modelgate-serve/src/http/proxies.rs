//! Who asks where reverse proxies stand between: what a trusted one says of the address that it was asked from. What anybody
//! else says of it is nothing, or every caller could be another.

use std::net::{IpAddr, SocketAddr};

use axum::http::{HeaderMap, HeaderValue, header};
use ipnet::IpNet;

/// The header that most proxies add the address to, each at its end.
const FORWARDED_FOR: &str = "x-forwarded-for";

/// Returns the address that a request came from: the connection's, or the last in the headers that no trusted proxy has.
pub(crate) fn asker(headers: &HeaderMap, peer: IpAddr, trusted: &[IpNet]) -> IpAddr {
    let is_trusted = |address: IpAddr| trusted.iter().any(|network| network.contains(&address));
    let peer = peer.to_canonical();
    if !is_trusted(peer) {
        return peer;
    }
    let mut nearest = peer;
    for step in steps(headers).iter().rev() {
        // What is behind a step that cannot be read was not said by a proxy that is trusted.
        let Some(address) = step else { return nearest };
        nearest = *address;
        if !is_trusted(nearest) {
            break;
        }
    }
    nearest
}

/// Returns the addresses of all steps, the first asker's first; `None` for what is no address.
fn steps(headers: &HeaderMap) -> Vec<Option<IpAddr>> {
    // Each part on its own: what a caller wrote must not spoil what a proxy added behind it.
    let parts = |name: &str| -> Vec<String> {
        let values = headers.get_all(name).iter().map(HeaderValue::as_bytes);
        let parts = values.flat_map(|value| value.split(|byte| *byte == b','));
        parts.map(|part| String::from_utf8_lossy(part).trim().to_owned()).collect()
    };
    if headers.contains_key(FORWARDED_FOR) {
        return parts(FORWARDED_FOR).iter().map(|part| address(part)).collect();
    }
    parts(header::FORWARDED.as_str()).iter().map(|element| address(for_of(element)?)).collect()
}

/// Returns the `for` of one element of `Forwarded` (RFC 7239).
fn for_of(element: &str) -> Option<&str> {
    element.split(';').find_map(|pair| {
        let (name, value) = pair.split_once('=')?;
        name.trim().eq_ignore_ascii_case("for").then(|| value.trim().trim_matches('"'))
    })
}

/// Reads an address, with or without a port and brackets.
fn address(text: &str) -> Option<IpAddr> {
    let bare = text.strip_prefix('[').and_then(|text| text.strip_suffix(']')).unwrap_or(text);
    let address = bare.parse::<IpAddr>().or_else(|_| text.parse::<SocketAddr>().map(|address| address.ip()));
    address.ok().map(|address| address.to_canonical())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(peer: &str, trusted: &[&str], headers: &[(&'static str, &str)]) -> String {
        let mut map = HeaderMap::new();
        for (name, value) in headers {
            map.append(*name, HeaderValue::from_bytes(value.as_bytes()).expect("a header"));
        }
        let trusted: Vec<IpNet> = trusted.iter().map(|network| network.parse().expect("a network")).collect();
        asker(&map, peer.parse().expect("an address"), &trusted).to_string()
    }

    #[test]
    fn only_a_trusted_proxy_is_believed() {
        let said = [("x-forwarded-for", "203.0.113.7")];
        assert_eq!(found("10.0.0.1", &[], &said), "10.0.0.1");
        assert_eq!(found("10.0.0.1", &["10.1.0.0/16"], &said), "10.0.0.1");
        assert_eq!(found("10.0.0.1", &["10.0.0.0/8"], &said), "203.0.113.7");
        assert_eq!(found("10.0.0.1", &["10.0.0.0/8"], &[]), "10.0.0.1");
        // As a socket for both families sees a peer of IPv4.
        assert_eq!(found("::ffff:10.0.0.1", &["10.0.0.0/8"], &said), "203.0.113.7");
        assert_eq!(found("fd00::1", &["fd00::/8"], &said), "203.0.113.7");
    }

    #[test]
    fn the_last_address_that_is_no_proxys_is_the_callers() {
        let of = |value: &str| found("10.0.0.1", &["10.0.0.0/8"], &[("x-forwarded-for", value)]);
        // What stands before it was written by the caller.
        assert_eq!(of("1.1.1.1, 203.0.113.7"), "203.0.113.7");
        assert_eq!(of("1.1.1.1, 203.0.113.7, 10.2.2.2"), "203.0.113.7");
        assert_eq!(of("10.3.3.3, 10.2.2.2"), "10.3.3.3");
        for (value, expected) in [
            ("203.0.113.7:4711", "203.0.113.7"),
            ("2001:db8::7", "2001:db8::7"),
            ("[2001:db8::7]:4711", "2001:db8::7"),
            ("203.0.113.7, nonsense", "10.0.0.1"),
            ("\u{ff}, 203.0.113.7", "203.0.113.7"),
            ("203.0.113.7\u{ff}", "10.0.0.1"),
            ("203.0.113.7, nonsense, 10.2.2.2", "10.2.2.2"),
            ("", "10.0.0.1"),
        ] {
            assert_eq!(of(value), expected, "{value}");
        }
        let twice = [("x-forwarded-for", "1.1.1.1"), ("x-forwarded-for", "203.0.113.7")];
        assert_eq!(found("10.0.0.1", &["10.0.0.0/8"], &twice), "203.0.113.7");
    }

    #[test]
    fn the_header_of_the_standard_is_read_where_the_other_is_not_there() {
        let of = |value: &str| found("10.0.0.1", &["10.0.0.0/8"], &[("forwarded", value)]);
        assert_eq!(of("for=1.1.1.1, For=\"[2001:db8::7]:4711\";proto=https;by=10.0.0.1"), "2001:db8::7");
        assert_eq!(of("for=203.0.113.7, for=_hidden"), "10.0.0.1");
        assert_eq!(of("proto=https"), "10.0.0.1");
        let both = [("forwarded", "for=1.1.1.1"), ("x-forwarded-for", "203.0.113.7")];
        assert_eq!(found("10.0.0.1", &["10.0.0.0/8"], &both), "203.0.113.7");
    }
}
