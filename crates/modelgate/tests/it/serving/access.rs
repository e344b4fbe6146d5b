//! Who may ask: the administrator's token, and keys for predictions.

use modelgate_testing::Service;

use super::refusals::text_of;
use super::{project, reload, row, serve, service};

#[test]
fn administration_needs_the_token() {
    let project = project();
    let service = service(&project, &[]);
    let ask = |headers: &[(&str, &str)]| service.request("POST", "/admin/reload", headers, None).status;
    assert_eq!(ask(&[]), 403);
    assert_eq!(ask(&[("x-admin-token", "wrong")]), 403);
    assert_eq!(ask(&[("x-admin-token", "righ")]), 403);
    assert_eq!(ask(&[("authorization", "Bearer wrong")]), 403);
    assert_eq!(ask(&[("authorization", "bearer right")]), 200);
    assert_eq!(ask(&[("x-admin-token", "wrong"), ("authorization", "Bearer right")]), 200);
    assert_eq!(reload(&service).is(200).json()["status"], "noop");
    // Who goes on guessing has to wait, and the right token still opens.
    let statuses: Vec<u16> = (0..20).map(|_| ask(&[("x-admin-token", "guess")])).collect();
    assert!(statuses.contains(&429) && !statuses.contains(&200), "{statuses:?}");
    assert_eq!(reload(&service).is(200).json()["status"], "noop");
    let _ = service.get("/admin/reload").is(405);
    let metrics = service.get("/metrics").text;
    assert!(metrics.contains("modelgate_admin_requests_total{outcome=\"rate_limited\"}"), "{metrics}");

    let mut closed = serve(&project, &[]);
    closed.env_remove("ADMIN_API_TOKEN");
    let closed = Service::ready(closed);
    let reply = closed.request("POST", "/admin/reload", &[("x-admin-token", "")], None).is(403);
    assert!(reply.text.contains("administration is off"), "{}", reply.text);

    let mut renamed = serve(&project, &[]);
    renamed.env("ADMIN_TOKEN_HEADER", "X-Key").env("CORRELATION_ID_HEADER", "X-Request-ID");
    let renamed = Service::ready(renamed);
    let _ = renamed.request("POST", "/admin/reload", &[("x-admin-token", "right")], None).is(403);
    let _ = renamed.request("POST", "/admin/reload", &[("x-key", "right")], None).is(200);
    let body = row().to_string();
    let named = renamed.request("POST", "/predict/shop", &[("x-request-id", "my-7")], Some(body.as_bytes()));
    assert_eq!(named.header("x-request-id"), Some("my-7"));
    let strange =
        renamed.request("POST", "/predict/shop", &[("x-request-id", "two words")], Some(body.as_bytes()));
    assert_ne!(strange.header("x-request-id"), Some("two words"));
}

#[test]
fn predictions_can_need_a_key() {
    let project = project();
    let mut command = serve(&project, &[]);
    command.env("MODELGATE_API_KEYS", "old, new");
    let service = Service::ready(command);
    let body = row().to_string();
    let ask =
        |headers: &[(&str, &str)]| service.request("POST", "/predict/shop", headers, Some(body.as_bytes()));
    let refused = ask(&[]).is(401);
    assert_eq!(refused.json()["code"], "unauthorized");
    assert_eq!(refused.header("www-authenticate"), Some("Bearer"));
    let _ = ask(&[("x-api-key", "older")]).is(401);
    // One that is valid opens, whatever stands beside it.
    let _ = ask(&[("x-api-key", "older"), ("authorization", "Bearer new")]).is(200);
    let _ = ask(&[("x-api-key", "old"), ("authorization", "Bearer newer")]).is(200);
    let _ = ask(&[("x-api-key", "old")]).is(200);
    let _ = ask(&[("authorization", "Bearer new")]).is(200);
    let _ = service.get("/health").is(200);
    // Who goes on guessing has to wait; who has a key, or forgot it, does not.
    let guesses: Vec<_> = (0..30).map(|_| ask(&[("x-api-key", "guess")])).collect();
    assert!(guesses.iter().all(|reply| [401, 429].contains(&reply.status)));
    let often = guesses.iter().find(|reply| reply.status == 429).expect("a refusal of one in thirty");
    text_of(often, 429, "rate_limited");
    assert!(often.header("retry-after") == Some("1") && often.text.contains("wrong key"), "{}", often.text);
    let _ = ask(&[("x-api-key", "old")]).is(200);
    let _ = ask(&[]).is(401);
    let talk = service.talk();
    assert!(!talk.contains("old") && !talk.contains("right"), "{talk}");
}
