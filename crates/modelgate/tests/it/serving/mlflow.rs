//! Models from a real MLflow server: `mlflow server` of the interop Python, behind a prefix and a password as well.

use std::net::TcpListener;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use modelgate_testing::{Service, TestProject, send, skip};
use serde_json::json;

use super::reloads::{another, keep_package, version};
use super::{project, reload, row, serve};

struct Server {
    child: Child,
    url: String,
    python: String,
    login: Option<(String, String)>,
}

impl Server {
    /// Starts a server whose paths begin with `prefix`; `None`, having said so, where there is no Python for it.
    fn start(folder: &Path, prefix: &str) -> Option<Self> {
        Self::start_with(folder, prefix, None)
    }

    /// As [`Self::start`]; with a user and a password nobody else is let in.
    fn start_with(folder: &Path, prefix: &str, login: Option<(&str, &str)>) -> Option<Self> {
        let Some(python) = std::env::var_os("MODELGATE_INTEROP_PYTHON") else {
            skip("MODELGATE_INTEROP_PYTHON names no Python with interop/requirements.txt");
            return None;
        };
        let python = python.to_string_lossy().into_owned();
        fs_err::create_dir_all(folder).expect("a folder");
        // Freed at once, and taken by the server a moment later.
        let port =
            TcpListener::bind("127.0.0.1:0").and_then(|socket| socket.local_addr()).expect("a port").port();
        let log = fs_err::File::create(folder.join("server.log")).expect("a log").into_parts().0;
        let mut command = Command::new(&python);
        command.args(["-m", "mlflow", "server", "--workers", "1", "--port", &port.to_string()]);
        command.args(["--backend-store-uri", "sqlite:///mlflow.db", "--artifacts-destination", "artifacts"]);
        if !prefix.is_empty() {
            command.args(["--static-prefix", prefix]);
        }
        if let Some((user, password)) = login {
            let settings = format!(
                "[mlflow]\ndefault_permission = NO_PERMISSIONS\ndatabase_uri = sqlite:///users.db\nadmin_username = {user}\n\
                 admin_password = {password}\nauthorization_function = mlflow.server.auth:authenticate_request_basic_auth\n"
            );
            fs_err::write(folder.join("users.ini"), settings).expect("written");
            command.args(["--app-name", "basic-auth"]);
            command.env("MLFLOW_AUTH_CONFIG_PATH", folder.join("users.ini"));
            command.env("MLFLOW_FLASK_SERVER_SECRET_KEY", "for a test");
        }
        command.env("MLFLOW_DISABLE_TELEMETRY", "true").env_remove("MLFLOW_TRACKING_URI").current_dir(folder);
        command.stdin(Stdio::null()).stdout(log.try_clone().expect("a log")).stderr(log);
        #[cfg(unix)]
        std::os::unix::process::CommandExt::process_group(&mut command, 0);
        let child = command.spawn().expect("started");
        let login = login.map(|(user, password)| (user.to_owned(), password.to_owned()));
        let mut server = Self { child, url: format!("http://127.0.0.1:{port}{prefix}"), python, login };
        let agent = ureq::Agent::new_with_defaults();
        let began = Instant::now();
        while !send(&agent, "GET", &format!("{}/health", server.url), &[], None)
            .is_ok_and(|reply| reply.text == "OK")
        {
            let ended = server.child.try_wait().expect("a child");
            let log = || fs_err::read_to_string(folder.join("server.log")).unwrap_or_default();
            assert!(ended.is_none() && began.elapsed() < Duration::from_secs(300), "no server:\n{}", log());
            std::thread::sleep(Duration::from_millis(200));
        }
        Some(server)
    }

    fn register(&self, project: &TestProject, package: &str, arguments: &[&str]) -> String {
        self.register_as("Shop model", project, package, arguments)
    }

    fn register_as(&self, name: &str, project: &TestProject, package: &str, arguments: &[&str]) -> String {
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../interop/register_in_mlflow.py");
        let mut command = Command::new(&self.python);
        command.arg(script).args([&self.url, name]).arg(project.path(package)).args(arguments);
        if let Some((user, password)) = &self.login {
            command.env("MLFLOW_TRACKING_USERNAME", user).env("MLFLOW_TRACKING_PASSWORD", password);
        }
        let output = command.env("MLFLOW_DISABLE_TELEMETRY", "true").output().expect("a script");
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8_lossy(&output.stdout).trim().to_owned()
    }

    fn stop(&mut self) {
        // The workers are children of its own.
        #[cfg(unix)]
        let _ = Command::new("kill").args(["-KILL", "--", &format!("-{}", self.child.id())]).status();
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.stop();
    }
}

fn from_server(project: &TestProject, server: &Server, arguments: &[&str]) -> Command {
    let mut command = serve(project, &["--source", "mlflow", "--mlflow", &server.url]);
    command.args(arguments).env("MLFLOW_RETRY_MAX_ATTEMPTS", "1");
    command
}

#[test]
fn models_come_from_an_mlflow_server_by_stage_alias_and_version() {
    let project = project();
    let Some(mut server) = Server::start(&project.path("server"), "/some/prefix") else { return };
    keep_package(&project, "one");
    assert_eq!(server.register(&project, "one", &["--stage", "Production", "--alias", "champion"]), "1");
    another(&project);
    keep_package(&project, "two");
    assert_eq!(server.register(&project, "two", &["--stage", "Staging"]), "2");

    let served = Service::ready(from_server(&project, &server, &[]));
    let health = served.get("/health").is(200).json();
    assert_eq!((&health["status"], &health["source"]["kind"]), (&json!("ok"), &json!("mlflow")), "{health}");
    assert_eq!(
        (&health["mlflow"]["reachable"], &health["mlflow"]["server_version"]),
        (&json!(true), &json!("3.17.2"))
    );
    let model = &health["models"]["shop"];
    assert_eq!(
        (&model["version"], &model["stage"], &model["verified"]),
        (&json!("1"), &json!("production"), &json!(true))
    );
    assert!(model["metrics"]["accuracy"].as_f64().is_some_and(|accuracy| accuracy > 0.5), "{model}");
    let answer = served.post("/predict/shop", &row()).is(200).json();
    let local = Service::ready(serve(&project, &["--package", "one"]));
    let expected = local.post("/predict/shop", &row()).is(200).json();
    assert_eq!(
        (&answer["probabilities"], &answer["digest"]),
        (&expected["probabilities"], &expected["digest"])
    );

    for (arguments, expected) in [
        (&["--model", "Shop model@champion"][..], "1"),
        (&["--model", "Shop model@2"], "2"),
        (&["--model", "Shop model", "--stage", "staging"], "2"),
    ] {
        assert_eq!(
            version(&Service::ready(from_server(&project, &server, arguments))),
            expected,
            "{arguments:?}"
        );
    }
    let mut named = from_server(&project, &server, &[]);
    named.env("MLFLOW_MODEL_NAME", "Shop model").env("MLFLOW_MODEL_VERSION", "2");
    assert_eq!(version(&Service::ready(named)), "2");

    // A model of somebody else's in the same stage costs the others nothing.
    project.write("pickle/MLmodel", "flavors: {}\n");
    project.write("pickle/model.pkl", "cos\nsystem\n");
    let _ = server.register_as("Foreign", &project, "pickle", &["--stage", "Production"]);
    let told = reload(&served).is(503);
    assert!(told.text.contains("`Foreign` in MLflow is no package of modelgate"), "{}", told.text);
    assert_eq!(version(&served), "1");
    let _ = served.post("/predict/shop", &row()).is(200);
    let both = Service::ready(from_server(&project, &server, &["--cache", "elsewhere"]));
    assert_eq!(version(&both), "1");
    drop(both);

    // What the server promotes is served.
    assert_eq!(server.register(&project, "two", &["--stage", "Production"]), "3");
    let told = reload(&served).is(200).json();
    assert_eq!((&told["status"], &told["changed"]), (&json!("reloaded"), &json!(["shop"])), "{told}");
    let refused = told["refused"].as_object().expect("what was refused");
    assert!(
        refused.len() == 1 && refused.values().all(|why| why.to_string().contains("`Foreign` in MLflow")),
        "{told}"
    );
    assert_eq!(version(&served), "3");
    // Nothing changes any more, and what is refused still is.
    let told = reload(&served).is(503);
    assert!(told.text.contains("served is served on"), "{}", told.text);
    drop(served);

    // The server is gone: the cache.
    server.stop();
    let served = Service::ready(from_server(&project, &server, &[]));
    let health = served.get("/health").is(200).json();
    assert_eq!(
        (&health["status"], &health["source"]["from_cache"]),
        (&json!("degraded"), &json!(true)),
        "{health}"
    );
    assert_eq!((&health["mlflow"]["reachable"], version(&served)), (&json!(false), json!("3")));
    let _ = served.post("/predict/shop", &row()).is(200);
}

#[test]
fn a_server_with_users_lets_in_who_knows_the_password() {
    let project = project();
    let (user, password) = ("keeper", "a-long-password-1");
    let Some(server) = Server::start_with(&project.path("server"), "", Some((user, password))) else {
        return;
    };
    keep_package(&project, "one");
    assert_eq!(server.register(&project, "one", &["--stage", "Production"]), "1");
    let start = |password: Option<&str>| {
        let mut command = from_server(&project, &server, &["--require-model"]);
        if let Some(password) = password {
            command.env("MLFLOW_TRACKING_USERNAME", user).env("MLFLOW_TRACKING_PASSWORD", password);
        }
        command
    };
    for password in [None, Some("another-password")] {
        let mut command = start(password);
        command.args(["--startup-timeout", "5"]);
        let output = command.output().expect("ended");
        let talk = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(output.status.code() == Some(1) && talk.contains("does not let us in (401)"), "{talk}");
        assert!(!talk.contains("another-password"), "{talk}");
    }
    let served = Service::ready(start(Some(password)));
    assert_eq!(version(&served), "1");
    let _ = served.post("/predict/shop", &row()).is(200);
    assert!(!served.talk().contains(password) && !served.get("/health").text.contains(password));
}

#[test]
fn what_an_mlflow_server_has_and_is_no_package_is_refused() {
    let project = project();
    let Some(server) = Server::start(&project.path("server"), "") else { return };
    keep_package(&project, "one");
    project.write("pickle/MLmodel", "flavors: {}\n");
    project.write("pickle/model.pkl", "cos\nsystem\n");
    let _ = server.register(&project, "pickle", &["--alias", "pickled"]);
    let model = fs_err::read(project.path("one/model.onnx")).expect("a model");
    project.write("one/model.onnx", &model[..model.len() - 1]);
    let _ = server.register(&project, "one", &["--alias", "damaged"]);
    for (reference, says) in [
        ("Shop model@pickled", "is no package of modelgate"),
        ("Shop model@damaged", "model.onnx"),
        ("Shop model@nobody", "MLflow refuses"),
        ("Shop model@9", "MLflow has no registered model `Shop model` with version 9"),
        ("Other model", "MLflow has no registered model `Other model`"),
    ] {
        let arguments = ["--model", reference, "--require-model", "--startup-timeout", "2"];
        let output = from_server(&project, &server, &arguments).output().expect("ended");
        let talk = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(output.status.code() == Some(1) && talk.contains(says), "{reference}: {talk}");
    }
}

#[test]
fn an_mlflow_server_is_asked_with_what_was_given_and_nothing_of_it_is_said() {
    let project = project();
    // Nobody's server: it shows what it is asked with, and does not let anybody in.
    let socket = TcpListener::bind("127.0.0.1:0").expect("a port");
    let url = format!("http://{}", socket.local_addr().expect("an address"));
    let heard = std::thread::spawn(move || {
        let mut heard = Vec::new();
        for stream in socket.incoming().take(2) {
            let mut stream = stream.expect("a connection");
            let mut head = [0; 4096];
            let length = std::io::Read::read(&mut stream, &mut head).expect("a request");
            heard.push(String::from_utf8_lossy(&head[..length]).to_ascii_lowercase());
            let refusal = "HTTP/1.1 401 Unauthorized\r\ncontent-length: 0\r\nconnection: close\r\n\r\n";
            std::io::Write::write_all(&mut stream, refusal.as_bytes()).expect("an answer");
        }
        heard
    });
    let start = || {
        let mut command = serve(
            &project,
            &["--source", "mlflow", "--mlflow", &url, "--require-model", "--startup-timeout", "1"],
        );
        command.env("MLFLOW_RETRY_MAX_ATTEMPTS", "1").env("MODEL_AUTO_REFRESH_SECONDS", "3600");
        command
    };
    let mut with_password = start();
    with_password.env("MLFLOW_TRACKING_USERNAME", "me").env("MLFLOW_TRACKING_PASSWORD", "open sesame");
    let mut with_token = start();
    with_token.env("MLFLOW_TRACKING_TOKEN", "t0ken-of-mine");
    for mut command in [with_password, with_token] {
        let output = command.output().expect("ended");
        let talk = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(1), "{talk}");
        assert!(talk.contains("does not let us in (401)"), "{talk}");
        assert!(!talk.contains("sesame") && !talk.contains("t0ken") && !talk.contains("bwu6b3"), "{talk}");
    }
    let heard = heard.join().expect("heard");
    assert!(heard[0].contains("authorization: basic bwu6b3blbibzzxnhbwu="), "{}", heard[0]);
    assert!(heard[1].contains("authorization: bearer t0ken-of-mine"), "{}", heard[1]);

    for (name, value, says) in [
        ("MLFLOW_TRACKING_USERNAME", "me", "go together"),
        ("MLFLOW_MODEL_STAGE", "Archived", "Production or Staging"),
        ("MLFLOW_MODEL_VERSION", "newest", "a number from 1"),
        ("MLFLOW_RETRY_MAX_ATTEMPTS", "21", "from 1 to 20"),
        ("MLFLOW_TRACKING_URI", "http://me:sesame@host", "MLFLOW_TRACKING_PASSWORD"),
    ] {
        let mut command = serve(&project, &["--source", "mlflow"]);
        command.env("MLFLOW_TRACKING_URI", &url).env(name, value);
        let output = command.output().expect("ended");
        let talk = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(
            output.status.code() == Some(64) && talk.contains(says) && !talk.contains("sesame"),
            "{name}: {talk}"
        );
    }
}

#[test]
fn a_stage_without_a_version_is_said_and_looked_at_again() {
    let project = project();
    let socket = TcpListener::bind("127.0.0.1:0").expect("a port");
    let url = format!("http://{}", socket.local_addr().expect("an address"));
    std::thread::spawn(move || {
        for mut stream in socket.incoming().flatten() {
            let _ = std::io::Read::read(&mut stream, &mut [0; 4096]);
            let answer = "HTTP/1.1 200 OK\r\ncontent-length: 2\r\nconnection: close\r\n\r\n{}";
            let _ = std::io::Write::write_all(&mut stream, answer.as_bytes());
        }
    });
    let arguments = ["--source", "mlflow", "--mlflow", &url, "--model", "Shop model", "--stage", "staging"];
    let service = Service::start(serve(&project, &arguments));
    let says = "MLflow has no registered model `Shop model` with a version in stage Staging";
    for _ in 0..2 {
        let told = reload(&service).is(503);
        assert!(told.text.contains(says), "{}", told.text);
    }
    let health = service.get("/health").is(503).json();
    assert_eq!(
        (&health["source"]["last_error"], &health["source"]["reachable"]),
        (&json!(says), &json!(true))
    );
    assert_eq!(service.talk().matches(says).count(), 1, "{}", service.talk());
}

#[test]
fn a_server_that_hangs_dies_or_talks_nonsense_keeps_the_service_alive() {
    let project = project();
    let socket = TcpListener::bind("127.0.0.1:0").expect("a port");
    let url = format!("http://{}", socket.local_addr().expect("an address"));
    std::thread::spawn(move || {
        for (number, stream) in socket.incoming().enumerate() {
            let Ok(mut stream) = stream else { return };
            let mut head = [0; 4096];
            let _ = std::io::Read::read(&mut stream, &mut head);
            let answer = match number % 3 {
                0 => "HTTP/1.1 200 OK\r\ncontent-length: 400\r\n\r\n<html>",
                1 => "garbage that is no HTTP\r\n\r\n",
                _ => "HTTP/1.1 500 Internal Server Error\r\ncontent-length: 2\r\nconnection: close\r\n\r\n{}",
            };
            let _ = std::io::Write::write_all(&mut stream, answer.as_bytes());
        }
    });
    let mut command = serve(&project, &["--source", "mlflow", "--mlflow", &url, "--model", "Shop model"]);
    command.env("MLFLOW_RETRY_MAX_ATTEMPTS", "1").env("MLFLOW_CIRCUIT_BREAKER_THRESHOLD", "3");
    let service = Service::start(command);
    for _ in 0..3 {
        let _ = reload(&service).is(503);
    }
    let health = service.get("/health").is(503).json();
    assert_eq!(
        (&health["source"]["breaker"], &health["mlflow"]["reachable"]),
        (&json!("open"), &json!(false)),
        "{health}"
    );
    let _ = service.get("/health/live").is(200);
    assert!(service.get("/metrics").text.contains("modelgate_source_breaker_state 1"));
}
