//! What the service tells its operator: `LOG_LEVEL` and `LOG_FORMAT`, and traces by the variables of OpenTelemetry. What is not
//! honoured is refused: better no service than one that is not seen.

use modelgate_serve::settings::{Sampler, Secret, Talk, TalkLevel, Traces};

use crate::environment;
use crate::exit::UsageError;

/// Returns how the service speaks; `quiet` goes before what the variables say.
///
/// # Errors
/// Fails for a level or a form that there is not.
pub(super) fn talk(quiet: bool) -> Result<Talk, UsageError> {
    let level =
        match environment::variable("LOG_LEVEL").map(|text| text.trim().to_ascii_lowercase()).as_deref() {
            None | Some("trace" | "debug" | "info") => TalkLevel::Info,
            Some("warn" | "warning") => TalkLevel::Warning,
            Some("error" | "critical" | "fatal") => TalkLevel::Error,
            Some(_) => {
                let sentence = "LOG_LEVEL: expected debug, info, warning or error";
                return Err(UsageError(sentence.to_owned()));
            }
        };
    let json =
        match environment::variable("LOG_FORMAT").map(|text| text.trim().to_ascii_lowercase()).as_deref() {
            None | Some("text") => false,
            Some("json") => true,
            Some(_) => return Err(UsageError("LOG_FORMAT: expected text or json".to_owned())),
        };
    Ok(Talk { level: if quiet { TalkLevel::Error } else { level }, json })
}

type Variable<'a> = &'a dyn Fn(&str) -> Option<String>;

/// Variables of OpenTelemetry that are honoured.
const KNOWN: [&str; 15] = [
    "OTEL_SDK_DISABLED",
    "OTEL_SERVICE_NAME",
    "OTEL_RESOURCE_ATTRIBUTES",
    "OTEL_PROPAGATORS",
    "OTEL_TRACES_EXPORTER",
    "OTEL_METRICS_EXPORTER",
    "OTEL_LOGS_EXPORTER",
    "OTEL_TRACES_SAMPLER",
    "OTEL_TRACES_SAMPLER_ARG",
    "OTEL_EXPORTER_OTLP_ENDPOINT",
    "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT",
    "OTEL_EXPORTER_OTLP_HEADERS",
    "OTEL_EXPORTER_OTLP_TRACES_HEADERS",
    "OTEL_EXPORTER_OTLP_PROTOCOL",
    "OTEL_EXPORTER_OTLP_TRACES_PROTOCOL",
];

/// Returns where traces go; `names` are the variables of OpenTelemetry that are set.
///
/// # Errors
/// Fails for a variable that is not honoured, or not understood, or that this build cannot honour.
pub(super) fn traces(names: &[String], variable: Variable<'_>) -> Result<Option<Traces>, UsageError> {
    let lower = |name: &str| variable(name).map(|text| text.trim().to_ascii_lowercase());
    if lower("OTEL_SDK_DISABLED").as_deref() == Some("true") {
        return Ok(None);
    }
    if let Some(name) = names.iter().find(|name| !KNOWN.contains(&name.as_str())) {
        return Err(UsageError(format!(
            "the environment variable {name} is not honoured: unset it, or set OTEL_SDK_DISABLED=true"
        )));
    }
    for (name, instead) in [
        ("OTEL_METRICS_EXPORTER", "metrics are at /metrics, for Prometheus"),
        ("OTEL_LOGS_EXPORTER", "predictions are logged by --log"),
    ] {
        if lower(name).is_some_and(|value| value != "none") {
            return Err(UsageError(format!("{name}: only `none` is honoured: {instead}")));
        }
    }
    if lower("OTEL_PROPAGATORS").is_some_and(|list| !list.split(',').any(|one| one.trim() == "tracecontext"))
    {
        return Err(UsageError("OTEL_PROPAGATORS: only `tracecontext` is honoured".to_owned()));
    }
    let exporter = lower("OTEL_TRACES_EXPORTER");
    match exporter.as_deref() {
        Some("none") => return Ok(None),
        None | Some("otlp") => {}
        Some(_) => return Err(UsageError("OTEL_TRACES_EXPORTER: expected otlp or none".to_owned())),
    }
    if names.is_empty() {
        return Ok(None);
    }
    if !cfg!(feature = "otlp") {
        return Err(UsageError(format!(
            "the environment variable {} asks for traces, which this build does not send: build with `--features otlp`, or \
             set OTEL_TRACES_EXPORTER=none",
            names[0]
        )));
    }
    let Some(endpoint) = endpoint(variable, exporter.is_some())? else { return Ok(None) };
    let protocol =
        lower("OTEL_EXPORTER_OTLP_TRACES_PROTOCOL").or_else(|| lower("OTEL_EXPORTER_OTLP_PROTOCOL"));
    if protocol.is_some_and(|protocol| protocol != "http/json") {
        return Err(UsageError("OTEL_EXPORTER_OTLP_PROTOCOL: only `http/json` is spoken".to_owned()));
    }
    let (name, headers) = match variable("OTEL_EXPORTER_OTLP_TRACES_HEADERS") {
        Some(text) => ("OTEL_EXPORTER_OTLP_TRACES_HEADERS", text),
        None => ("OTEL_EXPORTER_OTLP_HEADERS", variable("OTEL_EXPORTER_OTLP_HEADERS").unwrap_or_default()),
    };
    let headers =
        pairs(name, &headers)?.into_iter().map(|(name, value)| (name, Secret::new(value))).collect();
    let mut resource =
        pairs("OTEL_RESOURCE_ATTRIBUTES", &variable("OTEL_RESOURCE_ATTRIBUTES").unwrap_or_default())?;
    let given = resource.iter().find(|(key, _)| key == "service.name").map(|(_, name)| name.clone());
    let service = variable("OTEL_SERVICE_NAME").or(given).unwrap_or_else(|| "modelgate".to_owned());
    resource.retain(|(key, _)| key != "service.name");
    resource.insert(0, ("service.name".to_owned(), service));
    resource.push(("service.version".to_owned(), env!("CARGO_PKG_VERSION").to_owned()));
    Ok(Some(Traces { endpoint, headers, resource, sampler: sampler(variable)? }))
}

fn endpoint(variable: Variable<'_>, wanted: bool) -> Result<Option<String>, UsageError> {
    let whole = variable("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT");
    let (name, address) = match (whole, variable("OTEL_EXPORTER_OTLP_ENDPOINT")) {
        (Some(whole), _) => ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", whole),
        (None, Some(base)) => {
            ("OTEL_EXPORTER_OTLP_ENDPOINT", format!("{}/v1/traces", base.trim_end_matches('/')))
        }
        (None, None) if wanted => return Ok(Some("http://localhost:4318/v1/traces".to_owned())),
        (None, None) => return Ok(None),
    };
    let host = address.strip_prefix("http://").or_else(|| address.strip_prefix("https://"));
    if host.is_none_or(|host| host.is_empty() || host.starts_with('/') || host.contains('@')) {
        return Err(UsageError(format!("{name}: expected an address such as http://collector:4318")));
    }
    Ok(Some(address))
}

/// Reads `key=value,key=value`, with `%20` and its like in values.
fn pairs(name: &str, text: &str) -> Result<Vec<(String, String)>, UsageError> {
    let wrong = || UsageError(format!("{name}: expected `key=value,key=value`"));
    let parts = text.split(',').map(str::trim).filter(|part| !part.is_empty());
    parts
        .map(|part| {
            let (key, value) = part.split_once('=').ok_or_else(wrong)?;
            let key = key.trim();
            let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte);
            let value =
                decoded(value.trim()).filter(|value| !value.contains(char::is_control)).ok_or_else(wrong)?;
            if key.is_empty() || !key.bytes().all(plain) { Err(wrong()) } else { Ok((key.to_owned(), value)) }
        })
        .collect()
}

fn decoded(text: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        if byte == b'%' {
            let digit = |byte: u8| char::from(byte).to_digit(16);
            let (high, low) = (digit(rest.next()?)?, digit(rest.next()?)?);
            bytes.push((high * 16 + low) as u8);
        } else {
            bytes.push(byte);
        }
    }
    String::from_utf8(bytes).ok()
}

fn sampler(variable: Variable<'_>) -> Result<Sampler, UsageError> {
    let ratio = match variable("OTEL_TRACES_SAMPLER_ARG") {
        None => 1.0,
        Some(text) => {
            text.trim().parse::<f64>().ok().filter(|ratio| (0.0..=1.0).contains(ratio)).ok_or_else(|| {
                UsageError("OTEL_TRACES_SAMPLER_ARG: expected a share from 0 to 1".to_owned())
            })?
        }
    };
    Ok(match variable("OTEL_TRACES_SAMPLER").as_deref().map(str::trim) {
        None | Some("parentbased_always_on") => Sampler::ParentAlwaysOn,
        Some("always_on") => Sampler::AlwaysOn,
        Some("always_off") => Sampler::AlwaysOff,
        Some("traceidratio") => Sampler::Ratio(ratio),
        Some("parentbased_always_off") => Sampler::ParentAlwaysOff,
        Some("parentbased_traceidratio") => Sampler::ParentRatio(ratio),
        Some(_) => {
            let sentence = "OTEL_TRACES_SAMPLER: expected always_on, always_off or traceidratio, or one of them behind \
                            parentbased_";
            return Err(UsageError(sentence.to_owned()));
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ask(set: &[(&str, &str)]) -> Result<Option<Traces>, String> {
        let names: Vec<String> = set.iter().map(|(name, _)| (*name).to_owned()).collect();
        let variable =
            |name: &str| set.iter().find(|(known, _)| *known == name).map(|(_, value)| (*value).to_owned());
        traces(&names, &variable).map_err(|error| error.to_string())
    }

    #[test]
    fn a_quiet_service_says_what_ends_it_and_nothing_else() {
        let quiet = talk(true).expect("a level");
        assert_eq!((quiet.level, quiet.line("serving shop")), (TalkLevel::Error, None));
    }

    #[test]
    fn what_is_not_honoured_is_refused() {
        assert!(ask(&[]).expect("nothing").is_none());
        for (name, value, says) in [
            ("OTEL_BSP_MAX_QUEUE_SIZE", "5", "OTEL_BSP_MAX_QUEUE_SIZE is not honoured"),
            ("OTEL_METRICS_EXPORTER", "otlp", "metrics are at /metrics"),
            ("OTEL_LOGS_EXPORTER", "otlp", "--log"),
            ("OTEL_PROPAGATORS", "b3", "only `tracecontext`"),
            ("OTEL_TRACES_EXPORTER", "zipkin", "expected otlp or none"),
        ] {
            let error = ask(&[(name, value)]).expect_err(name);
            assert!(error.contains(says), "{error}");
            assert!(ask(&[(name, value), ("OTEL_SDK_DISABLED", "true")]).expect("off").is_none());
        }
        assert!(ask(&[("OTEL_TRACES_EXPORTER", "none"), ("OTEL_SERVICE_NAME", "a")]).expect("off").is_none());
    }

    #[test]
    #[cfg(not(feature = "otlp"))]
    fn a_build_without_traces_says_so() {
        let error = ask(&[("OTEL_EXPORTER_OTLP_ENDPOINT", "http://collector:4318")]).expect_err("no traces");
        assert!(error.contains("--features otlp"), "{error}");
    }

    #[test]
    #[cfg(feature = "otlp")]
    fn the_variables_say_where_traces_go() {
        let found = ask(&[
            ("OTEL_EXPORTER_OTLP_ENDPOINT", "http://collector:4318/"),
            ("OTEL_EXPORTER_OTLP_HEADERS", "api-key=se%20cret, x-tenant=a"),
            ("OTEL_SERVICE_NAME", "churn"),
            ("OTEL_RESOURCE_ATTRIBUTES", "deployment.environment=test,service.name=other"),
            ("OTEL_TRACES_SAMPLER", "parentbased_traceidratio"),
            ("OTEL_TRACES_SAMPLER_ARG", "0.25"),
        ]);
        let found = found.expect("traces").expect("a collector");
        assert_eq!(found.endpoint, "http://collector:4318/v1/traces");
        assert!(found.headers[0].1.is(b"se cret") && found.headers[1].0 == "x-tenant");
        assert_eq!(found.resource[0], ("service.name".to_owned(), "churn".to_owned()));
        assert_eq!(found.resource[1].0, "deployment.environment");
        assert_eq!(found.sampler, Sampler::ParentRatio(0.25));
        for (name, value, says) in [
            ("OTEL_EXPORTER_OTLP_ENDPOINT", "collector:4317", "expected an address"),
            ("OTEL_EXPORTER_OTLP_HEADERS", "secret", "key=value"),
            ("OTEL_EXPORTER_OTLP_PROTOCOL", "grpc", "only `http/json`"),
            ("OTEL_TRACES_SAMPLER", "jaeger_remote", "always_on"),
            ("OTEL_TRACES_SAMPLER_ARG", "2", "from 0 to 1"),
        ] {
            let set = [("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "http://c/t"), (name, value)];
            let set = if name == "OTEL_EXPORTER_OTLP_ENDPOINT" { &set[1..] } else { &set[..] };
            let error = ask(set).expect_err(name);
            assert!(error.contains(says), "{error}");
        }
    }
}
