"""Registers a package folder as a model version of an MLflow server, as a team does that keeps its models there.

    python register_in_mlflow.py SERVER NAME PACKAGE [--stage Production] [--alias champion]

Prints the number of the version.
"""
import argparse
import contextlib
import logging
import warnings

warnings.filterwarnings("ignore")
logging.disable(logging.WARNING)

import mlflow
from mlflow.exceptions import RestException

parser = argparse.ArgumentParser()
parser.add_argument("server")
parser.add_argument("name")
parser.add_argument("package")
parser.add_argument("--stage")
parser.add_argument("--alias")
arguments = parser.parse_args()

client = mlflow.MlflowClient(arguments.server)
with contextlib.suppress(RestException):
    client.create_registered_model(arguments.name)
run = client.create_run("0")
client.log_artifacts(run.info.run_id, arguments.package, "model")
version = client.create_model_version(arguments.name, f"{run.info.artifact_uri}/model", run_id=run.info.run_id)
if arguments.stage:
    client.transition_model_version_stage(
        arguments.name, version.version, arguments.stage, archive_existing_versions=True
    )
if arguments.alias:
    client.set_registered_model_alias(arguments.name, arguments.alias, version.version)
print(version.version)
