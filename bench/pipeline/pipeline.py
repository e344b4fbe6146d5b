#!/usr/bin/env python3
"""Times a run that has nothing to do beside `dvc repro` of a pipeline of five stages, and what a pull request waits for.

A pull request is: a clone of a repository whose model is in production on a branch, with one setting changed; `run --until gate`
(data, training, evaluation, comparison with production, plots, report) and `ci comment` to a GitHub on loopback. Installing is apart.

Each aim is judged in a line of its own. An aim that is missed, or that cannot be judged because drug200 is not there, ends with
1; `--allow-missing-data` lets the latter pass.
"""

import argparse
import json
import os
import shutil
import statistics
import subprocess
import tempfile
import time
from pathlib import Path

HERE = Path(__file__).resolve().parent
EXAMPLES = HERE.parent.parent / "examples"
NO_OP = 1 / 20
PULL_REQUEST = 5.0

STAGES = """stages:
  prepare: {cmd: "tail -n +2 data.csv > rows.csv", deps: [data.csv], outs: [rows.csv]}
  split: {cmd: "head -n 100 rows.csv > train.csv; tail -n +101 rows.csv > test.csv", deps: [rows.csv], outs: [train.csv, test.csv]}
  train: {cmd: "sort train.csv > model.txt", deps: [train.csv], outs: [model.txt]}
  evaluate: {cmd: "wc -l < test.csv > rows.txt", deps: [model.txt, test.csv], outs: [rows.txt]}
  report: {cmd: "cat rows.txt > report.md", deps: [rows.txt], outs: [report.md]}
"""


def timed(command, folder, codes=(0,), **variables) -> float:
    environment = {**os.environ, **variables}
    began = time.perf_counter()
    done = subprocess.run(
        command, cwd=folder, capture_output=True, text=True, stdin=subprocess.DEVNULL, env=environment, check=False
    )
    seconds = time.perf_counter() - began
    if done.returncode not in codes:
        raise SystemExit(f"{' '.join(map(str, command))} ended with {done.returncode}:\n{done.stdout}{done.stderr}")
    return seconds


def git(folder, *arguments) -> None:
    who = ["-c", "user.name=bench", "-c", "user.email=bench@example.com"]
    timed(["git", *who, *arguments], folder)


def row(name, seconds) -> float:
    middle = statistics.median(seconds)
    print(
        f"{name:<44} median {middle * 1000:9.1f} ms   fastest {min(seconds) * 1000:9.1f}"
        f"   slowest {max(seconds) * 1000:9.1f}   n {len(seconds)}"
    )
    return middle


def judge(sentence, reached) -> bool:
    print(f"{'reached' if reached else 'MISSED':<8} {sentence}\n", flush=True)
    return reached


def no_op(arguments, scratch) -> bool:
    data = EXAMPLES / "iris" / "data" / "raw" / "iris.csv"
    ours = scratch / "ours"
    (ours / "data" / "raw").mkdir(parents=True)
    shutil.copy(EXAMPLES / "iris" / "modelgate.yaml", ours)
    shutil.copy(data, ours / "data" / "raw")
    theirs = scratch / "theirs"
    theirs.mkdir()
    shutil.copy(data, theirs / "data.csv")
    (theirs / "dvc.yaml").write_text(STAGES)
    dvc = [str(arguments.dvc)]
    quiet = {"DVC_NO_ANALYTICS": "1"}
    timed([*dvc, "init", "--no-scm", "--quiet"], theirs, **quiet)
    timed([*dvc, "repro"], theirs, **quiet)
    # The first run waits for an approval, the second promotes; after it there is nothing to do.
    timed([arguments.modelgate, "run"], ours, codes=(4,))
    timed([arguments.modelgate, "model", "approve", "iris", "1", "--reason", "bench"], ours)
    timed([arguments.modelgate, "run"], ours)
    mine, peer = [], []
    for _ in range(arguments.rounds):
        mine.append(timed([arguments.modelgate, "run"], ours))
        peer.append(timed([*dvc, "repro"], theirs, **quiet))
    print("A run with nothing to do (ours has ten stages, DVC's pipeline five):")
    ratio = row("modelgate run", mine) / row("dvc repro", peer)
    return judge(f"a run with nothing to do takes {ratio:.4f} of DVC's time, at most {NO_OP:.4f}", ratio <= NO_OP)


def pull_request(arguments, scratch) -> bool:
    shared = os.environ.get("MODELGATE_TEST_DATA")
    table = Path(shared or "/nowhere") / "tabular" / "drug200.csv"
    source, target, file = ("drug200.csv", "Drug", table)
    absent = not table.is_file()
    if absent:
        print("MODELGATE_TEST_DATA has no tabular/drug200.csv; Iris takes its place, for its numbers alone")
        source, target, file = ("iris.csv", "target", EXAMPLES / "iris" / "data" / "raw" / "iris.csv")
    origin, project = scratch / "origin.git", scratch / "project"
    timed(["git", "init", "-q", "--bare", "-b", "main", origin], scratch)
    timed(["git", "clone", "-q", origin, project], scratch)
    git(project, "checkout", "-q", "-B", "main")
    shutil.copy(file, project / source)
    registry = {"MODELGATE_REGISTRY_URI": "git+branch:modelgate"}
    timed([arguments.modelgate, "init", "--source", source, "--target", target], project)
    git(project, "add", "-A")
    git(project, "commit", "-qm", "a project")
    git(project, "push", "-q", "origin", "main")
    model = json.loads(
        subprocess.run(
            [arguments.modelgate, "config", "show", "--output-format", "json"],
            cwd=project, capture_output=True, text=True, check=True,
        ).stdout
    )
    name = next(iter(model["pipelines"]))
    timed([arguments.modelgate, "run"], project, codes=(0, 4), **registry)
    timed([arguments.modelgate, "model", "approve", name, "1", "--reason", "bench"], project, **registry)
    timed([arguments.modelgate, "model", "promote", name, "1", "--reason", "bench"], project, **registry)

    server = subprocess.Popen([arguments.github], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    url, token = server.stdout.readline().split()
    event = scratch / "event.json"
    whose = {"repo": {"full_name": "o/r"}}
    event.write_text(json.dumps({"pull_request": {"number": 7, "head": {"sha": "a" * 40, **whose}, "base": whose}}))
    step = {
        "GITHUB_API_URL": url, "GITHUB_TOKEN": token, "GITHUB_REPOSITORY": "o/r", "GITHUB_EVENT_PATH": str(event),
        "GITHUB_SHA": "a" * 40, **registry,
    }
    seconds = []
    for number in range(arguments.pull_requests):
        clone = scratch / f"clone-{number}"
        timed(["git", "clone", "-q", origin, clone], scratch)
        variables = {**step, "MODELGATE_SEED": str(1000 + number), "GITHUB_STEP_SUMMARY": str(scratch / "summary.md")}
        took = timed([arguments.modelgate, "run", "--until", "gate"], clone, codes=(0, 2, 3), **variables)
        took += timed([arguments.modelgate, "ci", "comment"], clone, **variables)
        assert (clone / "outputs" / name / "report.md").is_file()
        seconds.append(took)
    server.stdin.close()
    server.wait()
    print(f"A pull request on {source}, report and comment included:")
    middle = row("run --until gate, ci comment", seconds)
    if absent:
        print("NOT JUDGED  a pull request on drug200: its data is not there (--allow-missing-data lets this pass)")
        return arguments.allow_missing_data
    return judge(f"a pull request takes {middle:.2f} s, at most {PULL_REQUEST:.0f}", middle <= PULL_REQUEST)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--modelgate", type=Path, required=True)
    parser.add_argument("--dvc", type=Path, required=True)
    parser.add_argument("--github", type=Path, required=True)
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--pull-requests", type=int, default=5)
    parser.add_argument("--allow-missing-data", action="store_true", help="an aim that cannot be judged does not fail")
    arguments = parser.parse_args()
    arguments.modelgate = arguments.modelgate.resolve()
    with tempfile.TemporaryDirectory(prefix="modelgate-bench-") as name:
        scratch = Path(name)
        reached = [no_op(arguments, scratch), pull_request(arguments, scratch)]
    return 0 if all(reached) else 1


if __name__ == "__main__":
    raise SystemExit(main())
