//! Templates of containers, filled in.

use std::path::PathBuf;

use modelgate_core::ModelName;

use crate::workflows::parts::{CLOUD, declared, handed_on, lines, quoted, secret};

const FETCH: &str = include_str!("../../templates/docker/fetch.Dockerfile");

/// What the files for Docker are filled in with.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Docker {
    /// The project's name.
    pub project: String,
    /// The model.
    pub model: ModelName,
    /// The files of the public keys, from the project's folder: only what one of them signed is served. None for no check.
    pub keys: Vec<String>,
    /// What `serve:` says, as a line of JSON without blanks and single quotes; `None` where it says nothing.
    pub serve: Option<String>,
}

/// What the files of a Space are filled in with.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct SpaceImage {
    /// The title on its page.
    pub title: String,
    /// The model.
    pub model: ModelName,
    /// The model repository, `owner/name`.
    pub weights: String,
    /// The public keys in PEM: only what one of them signed is served. None for no check.
    pub keys: Vec<String>,
    /// What `serve:` says, as a line of JSON without blanks and single quotes; `None` where it says nothing.
    pub serve: Option<String>,
}

fn fill(template: &str, values: &[(&str, &str)]) -> String {
    let mut text = template.replace("@@FETCH@@", FETCH.trim_end());
    for (name, value) in values
        .iter()
        .chain(&[("VERSION", env!("CARGO_PKG_VERSION")), ("REPOSITORY", crate::workflows::repository())])
    {
        text = text.replace(&format!("@@{name}@@"), value);
    }
    text
}

/// Compose takes small letters, digits, `-` and `_`.
fn compose_name(project: &str) -> String {
    let plain = |letter: char| if letter.is_ascii_alphanumeric() { letter.to_ascii_lowercase() } else { '-' };
    let name: String = project.chars().map(plain).collect();
    let name = name.trim_matches('-');
    if name.is_empty() { "modelgate".to_owned() } else { name.to_owned() }
}

/// Returns what the image of a model is called: by its own name where that can be one of an image, of small letters and
/// digits with single signs between them.
fn image_name(model: &ModelName) -> String {
    let name = model.as_str();
    let parts = |name: &str| {
        let plain = |letter: char| letter.is_ascii_lowercase() || letter.is_ascii_digit();
        name.split(['.', '_', '-']).all(|part| !part.is_empty() && part.chars().all(plain))
    };
    if parts(name) { name.to_owned() } else { compose_name(name) }
}

/// Where a public key lies in an image.
fn key_in_image(at: usize) -> String {
    format!("/keys/{}.pem", at + 1)
}

/// Returns the lines of a Dockerfile that copy keys, and the end of its `ENV` that names them to the service and tells it what
/// the project says about serving.
fn own_lines(files: &[String], serve: Option<&str>) -> (String, String) {
    let places: Vec<String> = (0..files.len()).map(key_in_image).collect();
    let copy = |(file, place): (&String, &String)| format!("COPY {file} {place}\n");
    let copies = files.iter().zip(&places).map(copy).collect();
    let keys = (!places.is_empty()).then(|| format!("MODELGATE_PUBLIC_KEYS={}", places.join(",")));
    let serve = serve.map(|line| format!("MODELGATE_SERVE='{line}'"));
    let told = keys.into_iter().chain(serve).map(|one| format!(" \\\n    {one}")).collect();
    (copies, told)
}

/// Returns the files for Docker and Compose by their place in the project.
pub fn docker_files(docker: &Docker) -> Vec<(PathBuf, String)> {
    let project = compose_name(&docker.project);
    let (copies, told) = own_lines(&docker.keys, docker.serve.as_deref());
    let image = image_name(&docker.model);
    let values = [
        ("MODEL", docker.model.as_str()),
        ("IMAGE", image.as_str()),
        ("PROJECT", project.as_str()),
        ("KEYS", copies.as_str()),
        ("OWN_ENV", told.as_str()),
    ];
    let context: String = docker.keys.iter().map(|file| format!("!{file}\n")).collect();
    let ignored = include_str!("../../templates/docker/dockerignore").replace("@@KEYS@@", &context);
    [
        (".dockerignore", ignored.as_str()),
        ("Dockerfile", include_str!("../../templates/docker/Dockerfile")),
        ("compose.yaml", include_str!("../../templates/docker/compose.yaml")),
        ("prometheus.yml", include_str!("../../templates/docker/prometheus.yml")),
    ]
    .map(|(path, template)| (PathBuf::from(path), fill(template, &values)))
    .into()
}

/// What the workflow of an image is filled in with.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Image {
    /// The model.
    pub model: ModelName,
    /// The project's folder from the root of the repository.
    pub folder: String,
    /// The address of the registry; the keys of a bucket are secrets of the repository.
    pub registry: String,
    /// Whether a package has to be signed by a key of the project.
    pub signed: bool,
    /// What the workflow's name ends with, such as `-churn`; empty for the only one.
    pub suffix: String,
}

/// Returns the place of an image's workflow.
pub fn image_path(suffix: &str) -> PathBuf {
    PathBuf::from(format!(".github/workflows/image{suffix}.yml"))
}

/// Returns the workflow that builds, scans, pushes and signs an image.
pub fn image_workflow(image: &Image) -> (PathBuf, String) {
    let secrets: &[&str] = if image.registry.starts_with("s3://") { &CLOUD } else { &[] };
    let verify = " && modelgate model verify --folder \"models/packaged/$MODEL\"";
    let values = [
        ("MODEL", image.model.as_str()),
        ("IMAGE", &image_name(&image.model)),
        ("FOLDER", &image.folder),
        ("REGISTRY", &quoted(&image.registry)),
        ("SUFFIX", &image.suffix),
        ("VERIFY", if image.signed { verify } else { "" }),
        ("CLOUD", &lines(secrets, "  ", secret)),
        ("DECLARED", &handed_on(secrets, declared)),
    ];
    let text = fill(include_str!("../../templates/docker/image.yml"), &values);
    (image_path(&image.suffix), text)
}

/// Returns the files of a Space that serves, by their place there.
pub fn space_files(space: &SpaceImage) -> Vec<(String, String)> {
    let heading: String = space.title.chars().filter(|letter| !letter.is_control()).collect();
    // A text of JSON is one of YAML, whatever it holds.
    let title = serde_json::Value::from(heading.as_str()).to_string();
    // A file of the Space lies where it lies in the image.
    let files: Vec<String> =
        (0..space.keys.len()).map(|at| key_in_image(at).trim_start_matches('/').to_owned()).collect();
    let (copies, told) = own_lines(&files, space.serve.as_deref());
    let values = [
        ("MODEL", space.model.as_str()),
        ("WEIGHTS", space.weights.as_str()),
        ("TITLE", title.as_str()),
        ("HEADING", heading.as_str()),
        ("KEYS", copies.as_str()),
        ("OWN_ENV", told.as_str()),
    ];
    let texts = [
        ("Dockerfile", include_str!("../../templates/space/Dockerfile")),
        ("README.md", include_str!("../../templates/space/README.md")),
    ]
    .map(|(path, template)| (path.to_owned(), fill(template, &values)));
    texts.into_iter().chain(files.into_iter().zip(space.keys.iter().cloned())).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn model() -> ModelName {
        "drug".parse().expect("a name")
    }

    #[test]
    fn every_place_is_filled_in_and_every_base_is_named_by_its_digest() {
        let docker = docker_files(&Docker {
            project: "My Churn!".to_owned(),
            model: model(),
            keys: Vec::new(),
            serve: None,
        });
        let space = space_files(&SpaceImage {
            title: "a: \"title\"".to_owned(),
            model: model(),
            weights: "me/drug".to_owned(),
            keys: Vec::new(),
            serve: None,
        });
        let texts = docker.iter().map(|(_, text)| text).chain(space.iter().map(|(_, text)| text));
        for text in texts {
            assert!(!text.contains("@@"), "{text}");
            for line in text
                .lines()
                .filter(|line| line.starts_with("FROM ") || line.trim().starts_with("image: prom"))
            {
                let own = ["FROM scratch", "FROM volume"].iter().any(|base| line.starts_with(base));
                assert!(own || line.contains("@sha256:"), "{line}");
            }
        }
        assert!(docker[2].1.contains("name: my-churn\n"), "{}", docker[2].1);
        assert!(space[1].1.contains("title: \"a: \\\"title\\\"\"\n"), "{}", space[1].1);
        assert!(space[0].1.contains("MODEL_PATH=hf://me/drug "), "{}", space[0].1);
    }

    #[test]
    fn keys_go_into_the_images_and_are_named_to_the_service() {
        let keys = vec!["one.pub".to_owned(), "keys/two.pub".to_owned()];
        let docker = Docker { project: "p".to_owned(), model: model(), keys, serve: None };
        let files = docker_files(&docker);
        let copies = "COPY one.pub /keys/1.pem\nCOPY keys/two.pub /keys/2.pem\nENV HOST";
        let named = "    LOG_FORMAT=json \\\n    MODELGATE_PUBLIC_KEYS=/keys/1.pem,/keys/2.pem\nUSER";
        assert!(files[1].1.contains(copies) && files[1].1.contains(named), "{}", files[1].1);
        assert!(files[0].1.ends_with("\n!models/packaged\n!one.pub\n!keys/two.pub\n"), "{}", files[0].1);
        let verified =
            "pull \"$MODEL\" \"$version\" && modelgate model verify --folder \"models/packaged/$MODEL\"\n";
        let image = Image {
            model: model(),
            folder: ".".to_owned(),
            registry: "x".to_owned(),
            signed: true,
            suffix: String::new(),
        };
        assert!(image_workflow(&image).1.contains(verified));
        assert!(!image_workflow(&Image { signed: false, ..image }).1.contains("modelgate model verify"));
        let space = SpaceImage {
            title: "t".to_owned(),
            model: model(),
            weights: "me/drug".to_owned(),
            keys: vec!["the key\n".to_owned()],
            serve: None,
        };
        let files = space_files(&space);
        assert!(files[0].1.contains("COPY keys/1.pem /keys/1.pem\nENV HOST"), "{}", files[0].1);
        assert!(files[0].1.contains("    MODELGATE_PUBLIC_KEYS=/keys/1.pem\nUSER"), "{}", files[0].1);
        assert_eq!(files[2], ("keys/1.pem".to_owned(), "the key\n".to_owned()));
    }

    #[test]
    fn the_metrics_keep_their_own_label_of_the_model() {
        let files =
            docker_files(&Docker { project: "p".to_owned(), model: model(), keys: Vec::new(), serve: None });
        let told: Vec<&str> = files[3].1.lines().filter(|line| !line.trim_start().starts_with('#')).collect();
        assert!(!told.iter().any(|line| line.contains("labels:") || line.contains("drug")), "{told:?}");
    }

    #[test]
    fn no_secret_has_a_default() {
        let files =
            docker_files(&Docker { project: "p".to_owned(), model: model(), keys: Vec::new(), serve: None });
        let compose = &files[2].1;
        for name in ["ADMIN_API_TOKEN", "MODELGATE_API_KEYS"] {
            assert!(compose.contains(&format!("\"${{{name}:?")), "{compose}");
        }
        assert_eq!(
            files[0].1.lines().filter(|line| !line.starts_with('#')).collect::<Vec<_>>(),
            ["**", "!models/packaged"]
        );
    }

    #[test]
    fn the_image_of_every_model_has_a_name_that_an_image_can_have() {
        for (model, image) in [
            ("churn", "churn"),
            ("churn_v2", "churn_v2"),
            ("churn.v2-b", "churn.v2-b"),
            ("Churn.Model_A-", "churn-model-a"),
        ] {
            let model: ModelName = model.parse().expect("a name");
            let docker =
                Docker { project: "p".to_owned(), model: model.clone(), keys: Vec::new(), serve: None };
            let compose = &docker_files(&docker)[2].1;
            assert!(compose.contains(&format!("modelgate-{image}:local")), "{model}: {compose}");
            let plan = Image {
                model: model.clone(),
                folder: ".".to_owned(),
                registry: "x".to_owned(),
                signed: false,
                suffix: String::new(),
            };
            let workflow = image_workflow(&plan).1;
            let named = format!("echo \"image=ghcr.io/${{GITHUB_REPOSITORY,,}}/{image}\"");
            assert!(workflow.contains(&named), "{workflow}");
            // The package is still found by the model's own name.
            assert!(workflow.contains(&format!("  MODEL: \"{model}\"\n")), "{workflow}");
        }
    }

    #[test]
    fn what_the_project_says_about_serving_goes_into_the_images() {
        let line = "{\"redact\":[\"mean\\u0020radius\"]}".to_owned();
        let docker = Docker {
            project: "p".to_owned(),
            model: model(),
            keys: vec!["one.pub".to_owned()],
            serve: Some(line.clone()),
        };
        let expected =
            format!("MODELGATE_PUBLIC_KEYS=/keys/1.pem \\\n    MODELGATE_SERVE='{line}'\nUSER 1000:1000\n");
        let files = docker_files(&docker);
        assert!(files[1].1.contains(&expected), "{}", files[1].1);
        let space = SpaceImage {
            title: "t".to_owned(),
            model: model(),
            weights: "me/drug".to_owned(),
            keys: Vec::new(),
            serve: Some(line.clone()),
        };
        let files = space_files(&space);
        assert!(files[0].1.contains(&format!("MODELGATE_SERVE='{line}'\nUSER")), "{}", files[0].1);
    }
}
