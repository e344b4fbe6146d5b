//! What a project and whoever works in it set, and what a program of `train.command` is given.

use super::{Group, variable};
use crate::env;

pub(super) const EVERYWHERE: Group = Group {
    title: "Everywhere",
    about: "An empty variable is one that is not set.",
    in_file: true,
    variables: &[
        variable(
            env::MODELGATE_REGISTRY_URI,
            "where the registry is, before `registry.uri`",
            "`registry.uri`",
            "`git+branch:NAME`, `s3://bucket/prefix`, or `folder` for the project's own, which it is where neither this nor `registry.uri` says one",
            "",
        ),
        variable(
            env::MODELGATE_DATA_REMOTE,
            "where data is shared, before `data.remote`",
            "`data.remote`",
            "a folder or `s3://bucket/prefix`",
            "",
        ),
        variable(
            env::MODELGATE_SEED,
            "the seed of every pipeline, before its `seed`",
            "the pipeline's `seed`",
            "a whole number from 0",
            "",
        ),
        variable(
            env::MODELGATE_THREADS,
            "threads for training and prediction; results do not depend on them",
            "the number of cores",
            "1 to 1024",
            "",
        ),
        variable(
            "MODELGATE_SHOW_VALUES",
            "whether values of rows are printed: in the words of `run` and `data`, and in errors; not in files and JSON",
            "`1`, in a step of GitHub Actions `0`",
            "`0` or `1`, `false` or `true`",
            "",
        ),
        variable(
            "MODELGATE_SIMD",
            "keeps to narrower registers than the processor has; results do not depend on them",
            "the widest there are",
            "`on`, `avx2` or `off`",
            "",
        ),
        variable(
            "ORT_DYLIB_PATH",
            "the library of ONNX Runtime, in a build with the feature `ort`",
            "`serve.onnxruntime`",
            "a file",
            "a graph is one that the built-in engine does not know",
        ),
        variable("NO_COLOR", "no colours on a terminal", "", "", ""),
        variable(
            "SSL_CERT_FILE",
            "the authorities that are trusted over HTTPS, on Linux; these and no others",
            "those of the system, else those of Mozilla",
            "a file of certificates in PEM",
            "",
        ),
        variable("SSL_CERT_DIR", "as `SSL_CERT_FILE`, in one file each", "", "folders, with colons", ""),
        variable(
            "HTTPS_PROXY",
            "the proxy for `https://…`; `https_proxy` goes before, and so for the next three. This machine is asked through none, and the webhook of `notify` goes through none",
            "`ALL_PROXY`",
            "`http://host:port` or `https://host:port`, with `name:password@` where it asks for one; it has to allow CONNECT",
            "",
        ),
        variable("HTTP_PROXY", "the proxy for `http://…`", "`ALL_PROXY`", "as `HTTPS_PROXY`", ""),
        variable("ALL_PROXY", "the proxy for both", "", "as `HTTPS_PROXY`", ""),
        variable(
            "NO_PROXY",
            "what is asked without a proxy. A bucket on this machine has to be named here; git and it have their own rules for the four, which are nearly these",
            "",
            "with commas: hosts, with all below them; addresses and networks such as `10.0.0.0/8`; `*` for everything",
            "",
        ),
    ],
};

pub(super) const PERSON: Group = Group {
    title: "The person and the machine",
    about: "",
    in_file: false,
    variables: &[
        variable(
            "MODELGATE_ACTOR",
            "who is at work, in the ledger",
            "`GITHUB_ACTOR`, `GITLAB_USER_LOGIN`, `USER`, `LOGNAME` or `USERNAME`, the account of the system, else `unknown`",
            "",
            "",
        ),
        variable(
            "TERM",
            "what the terminal knows: with `dumb` no line is written over, and so none tells how far the work is",
            "",
            "",
            "",
        ),
        variable("HOME", "where `~` is", "`USERPROFILE`", "a folder", ""),
        variable("USERPROFILE", "as it, on Windows", "", "a folder", ""),
        variable("USER", "who is at work, where nothing else says it", "`USERNAME`", "", ""),
        variable("USERNAME", "as it, on Windows", "", "", ""),
        variable(
            "XDG_CACHE_HOME",
            "where the service keeps packages where there is no project, in `modelgate/serve`",
            "`~/.cache`",
            "a whole path",
            "",
        ),
        variable(
            "DVC_GLOBAL_CONFIG_DIR",
            "where DVC keeps the user's settings",
            "`$XDG_CONFIG_HOME/dvc`",
            "a folder",
            "",
        ),
        variable(
            "DVC_SYSTEM_CONFIG_DIR",
            "where DVC keeps the system's settings",
            "`/etc/xdg/dvc`",
            "a folder",
            "",
        ),
        variable("XDG_CONFIG_HOME", "where the user's settings are", "`~/.config`", "a folder", ""),
        variable(
            "HOSTNAME",
            "the machine that a lock names; `COMPUTERNAME` on Windows",
            "what the system says",
            "",
            "",
        ),
        variable("COMPUTERNAME", "as `HOSTNAME`", "", "", ""),
    ],
};

pub(super) const TRAINING: Group = Group {
    title: "What `train.command` is given",
    about: "modelgate sets these for the program; each is a placeholder of the command too, such as `{train}`.",
    in_file: false,
    variables: &[
        variable("MODELGATE_TRAIN", "the training rows", "", "a CSV file", ""),
        variable("MODELGATE_VALIDATION", "the validation rows", "", "a CSV file", ""),
        variable("MODELGATE_OUTPUT", "where the model goes", "", "a path", ""),
        variable("MODELGATE_TARGET", "the column to predict", "", "", ""),
        variable("MODELGATE_KEY", "`data.key`", "", "", ""),
        variable("MODELGATE_FEATURES", "the columns that the graph takes, in their order", "", "JSON", ""),
        variable("MODELGATE_PARAMS", "`train.params`", "", "JSON", ""),
    ],
};
