//! Pages of other origins.

use modelgate_testing::Service;

use super::{project, row, serve, service};

#[test]
fn a_page_of_another_origin_may_ask_beforehand_whether_it_may() {
    let project = project();
    let ask = |service: &Service, origin: &str, path: &str| {
        let headers = [
            ("origin", origin),
            ("access-control-request-method", "POST"),
            ("access-control-request-headers", "content-type,x-api-key,modelgate-key,authorization"),
        ];
        service.request("OPTIONS", path, &headers, None)
    };
    let closed = service(&project, &[]);
    let refused = ask(&closed, "https://shop.example", "/predict/shop").is(405);
    assert_eq!(refused.header("access-control-allow-origin"), None);
    drop(closed);

    let mut command = serve(&project, &["--cors-origin", "https://shop.example"]);
    command.env("MODELGATE_API_KEYS", "sesame");
    let open = Service::ready(command);
    // The browser asks without the key: what it may send is no secret, and nothing is predicted.
    let allowed = ask(&open, "https://shop.example", "/predict/shop").is(200);
    assert_eq!(allowed.header("access-control-allow-origin"), Some("https://shop.example"));
    for (name, wanted) in [
        ("access-control-allow-methods", &["POST"][..]),
        ("access-control-allow-headers", &["content-type", "x-api-key", "modelgate-key", "authorization"]),
    ] {
        let value = allowed.header(name).unwrap_or_default().to_ascii_lowercase();
        // `*` stands for every method, and for every header but `Authorization`.
        let all = value == "*" && name == "access-control-allow-methods";
        let has = |word: &&str| all || value.contains(&word.to_ascii_lowercase());
        assert!(wanted.iter().all(has), "{name}: {value}");
    }
    assert_eq!(allowed.header("access-control-allow-credentials"), None);
    assert!(allowed.text.is_empty(), "{}", allowed.text);
    for origin in ["https://other.example", "http://shop.example", "https://shop.example.evil", "null"] {
        let refused = ask(&open, origin, "/predict/shop");
        assert_eq!(refused.header("access-control-allow-origin"), None, "{origin}");
    }
    let exposed =
        [("origin", "https://shop.example"), ("x-api-key", "sesame"), ("content-type", "application/json")];
    let answer = open.request("POST", "/predict/shop", &exposed, Some(row().to_string().as_bytes())).is(200);
    let names = answer.header("access-control-expose-headers").unwrap_or_default();
    for name in ["modelgate-model-version", "modelgate-model-digest", "modelgate-track", "x-correlation-id"] {
        assert!(names.contains(name) && answer.header(name).is_some(), "{name}: {names}");
    }
    for name in ["retry-after", "traceparent"] {
        assert!(names.contains(name), "{name}: {names}");
    }
}

#[test]
fn pages_of_other_origins_may_ask_only_where_that_is_set() {
    let project = project();
    let ask = |service: &Service, origin: &str| {
        let headers = [("origin", origin), ("content-type", "application/json")];
        let reply =
            service.request("POST", "/predict/shop", &headers, Some(row().to_string().as_bytes())).is(200);
        reply.header("access-control-allow-origin").map(str::to_owned)
    };
    let closed = service(&project, &[]);
    assert_eq!(ask(&closed, "https://shop.example"), None);
    let open = service(&project, &["--cors-origin", "https://shop.example"]);
    assert_eq!(ask(&open, "https://shop.example").as_deref(), Some("https://shop.example"));
    assert_eq!(ask(&open, "https://other.example"), None);
}
