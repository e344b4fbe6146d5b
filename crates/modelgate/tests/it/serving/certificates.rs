//! TLS: the service's own certificate, renewed or not, and an authority that callers trust.

use modelgate_testing::{Service, send};

use super::{project, serve};

/// Makes a certificate for 127.0.0.1 that is valid until `year`, and returns it in PEM.
fn certificate(project: &modelgate_testing::TestProject, name: &str, year: i32) -> String {
    let mut parameters = rcgen::CertificateParams::new(vec!["127.0.0.1".to_owned()]).expect("parameters");
    parameters.not_before = rcgen::date_time_ymd(2020, 1, 1);
    parameters.not_after = rcgen::date_time_ymd(year, 1, 1);
    let key = rcgen::KeyPair::generate().expect("a key");
    let certificate = parameters.self_signed(&key).expect("a certificate").pem();
    project.write(&format!("{name}.pem"), &certificate);
    project.write(&format!("{name}.key"), key.serialize_pem());
    certificate
}

#[test]
fn tls_is_spoken_with_a_certificate_that_holds() {
    let project = project();
    for (name, year, works) in [("good", 2120, true), ("expired", 2021, false)] {
        let pem = certificate(&project, name, year);
        let files = [format!("{name}.pem"), format!("{name}.key")];
        let arguments = ["--tls-certificate", &files[0], "--tls-key", &files[1]];
        let service = Service::start(serve(&project, &arguments));
        assert!(service.url.starts_with("https://"), "{}", service.url);
        let root = ureq::tls::Certificate::from_pem(pem.as_bytes()).expect("a certificate");
        let tls =
            ureq::tls::TlsConfig::builder().root_certs(ureq::tls::RootCerts::new_with_certs(&[root])).build();
        let agent: ureq::Agent = ureq::config::Config::builder().tls_config(tls).build().into();
        let url = format!("{}/health/live", service.url);
        let reply = send(&agent, "GET", &url, &[], None);
        assert_eq!(reply.is_ok_and(|reply| reply.status == 200), works, "{name}");
        assert_eq!(service.talk().contains("has expired"), !works, "{}", service.talk());
    }
    project
        .run(&["serve", "--port", "0", "--tls-certificate", "good.pem", "--tls-key", "expired.key"])
        .exits(64)
        .says("does not go with the key");
    project
        .run(&["serve", "--port", "0", "--tls-certificate", "data.csv", "--tls-key", "good.key"])
        .exits(64)
        .says("no certificate in PEM");
}

#[test]
fn an_authority_of_ones_own_is_trusted_where_it_is_named() {
    let project = project();
    let mut authority = rcgen::CertificateParams::new(Vec::new()).expect("parameters");
    authority.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
    authority.key_usages = vec![rcgen::KeyUsagePurpose::KeyCertSign];
    let own = rcgen::KeyPair::generate().expect("a key");
    project.write("authority.pem", authority.self_signed(&own).expect("a certificate").pem());
    let issuer = rcgen::Issuer::new(authority, own);
    let key = rcgen::KeyPair::generate().expect("a key");
    let leaf = rcgen::CertificateParams::new(vec!["127.0.0.1".to_owned()]).expect("parameters");
    project.write("leaf.pem", leaf.signed_by(&key, &issuer).expect("a certificate").pem());
    project.write("leaf.key", key.serialize_pem());
    let service =
        Service::start(serve(&project, &["--tls-certificate", "leaf.pem", "--tls-key", "leaf.key"]));
    let run = |arguments: &[&str], trusted: Option<&str>| {
        let mut command = project.command(arguments);
        command.env("ADMIN_API_TOKEN", "right").env_remove("SSL_CERT_FILE").env_remove("SSL_CERT_DIR");
        command.envs(trusted.map(|file| ("SSL_CERT_FILE", file)));
        let output = command.output().expect("ended");
        (output.status.code(), String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned())
    };
    let smoke = ["serve", "smoke", &service.url, "--ready", "--timeout", "0"];
    let patient = ["serve", "smoke", &service.url];
    let status = ["rollout", "status", "--url", &service.url];
    for arguments in [&patient[..], &status] {
        let (code, said) = run(arguments, Some("authority.pem"));
        assert!(code == Some(0) && !said.contains("does not answer"), "{said}");
    }
    for trusted in [None, Some("leaf.key"), Some("nowhere.pem")] {
        let (code, said) = run(&smoke, trusted);
        assert!(code == Some(1) && said.contains("is not ready"), "{trusted:?}: {said}");
        let (_, said) = run(&status, trusted);
        assert!(said.contains("does not answer"), "{trusted:?}: {said}");
    }
    let (_, said) = run(&smoke, None);
    assert!(said.contains("UnknownIssuer"), "{said}");
}

#[test]
fn a_certificate_that_was_renewed_is_used_and_one_that_does_not_fit_is_not() {
    let project = project();
    let copy =
        |from: &str, end: &str| project.write(&format!("live.{end}"), project.read(&format!("{from}.{end}")));
    let both = |from: &str| {
        copy(from, "pem");
        copy(from, "key");
    };
    let pems = ["one", "two"].map(|name| certificate(&project, name, 2120));
    both("one");
    let arguments = ["--tls-certificate", "live.pem", "--tls-key", "live.key"];
    let service = Service::start(serve(&project, &arguments));
    // Each question is one of a new connection, by whom trusts one certificate alone.
    let ask = |trusted: &str, method: &str, path: &str| {
        let root = ureq::tls::Certificate::from_pem(trusted.as_bytes()).expect("a certificate");
        let roots = ureq::tls::RootCerts::new_with_certs(&[root]);
        let tls = ureq::tls::TlsConfig::builder().root_certs(roots).build();
        let config = ureq::config::Config::builder().tls_config(tls).http_status_as_error(false).build();
        let url = format!("{}{path}", service.url);
        send(&config.into(), method, &url, &[("x-admin-token", "right")], None)
    };
    let shows = |pem: &str| ask(pem, "GET", "/health/live").is_ok_and(|reply| reply.status == 200);
    service.until(|_| ask(&pems[0], "GET", "/health/ready").is_ok_and(|reply| reply.status == 200));
    assert!(shows(&pems[0]) && !shows(&pems[1]));
    // Half of the two is written: the one before is shown on.
    copy("two", "pem");
    let _ = ask(&pems[0], "POST", "/admin/reload").expect("an answer").is(200);
    let _ = ask(&pems[0], "POST", "/admin/reload").expect("an answer").is(200);
    assert!(shows(&pems[0]));
    assert_eq!(service.talk().matches("the certificate is not renewed").count(), 1, "{}", service.talk());
    copy("two", "key");
    let _ = ask(&pems[0], "POST", "/admin/reload").expect("an answer").is(200);
    assert!(shows(&pems[1]) && !shows(&pems[0]));
    assert_eq!(service.talk().matches("is new and is used").count(), 1, "{}", service.talk());
    fs_err::remove_file(project.path("live.key")).expect("removed");
    let _ = ask(&pems[1], "POST", "/admin/reload").expect("an answer").is(200);
    assert!(shows(&pems[1]));
}
