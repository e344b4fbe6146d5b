#!/usr/bin/env python3
"""Times `modelgate run` and pipeline.py in turn, each cold, and prints medians and ratios; then the no-op run.

Cold is: a fresh copy of the project for modelgate, a fresh folder and database for MLflow. The files themselves are in
the page cache for both. As a favour to MLflow it is also timed on a database whose tables are there already.
"""

import argparse
import json
import os
import platform
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

HERE = Path(__file__).resolve().parent
EXAMPLE = HERE.parent.parent / "examples" / "breast-cancer"
PIPELINE = "breast-cancer"
TARGET_RATIO = 20.0
TARGET_NO_OP = 0.050


def timed(command: list[str | Path]) -> tuple[float, str]:
    """Runs a command to its end; returns wall seconds and what it printed."""
    began = time.perf_counter()
    done = subprocess.run(command, capture_output=True, text=True, stdin=subprocess.DEVNULL, check=False)
    seconds = time.perf_counter() - began
    if done.returncode != 0:
        raise SystemExit(f"{' '.join(map(str, command))} ended with {done.returncode}:\n{done.stdout}{done.stderr}")
    return seconds, done.stdout


def fresh_project(folder: Path) -> Path:
    folder.mkdir(parents=True)
    shutil.copy(EXAMPLE / "modelgate.yaml", folder)
    shutil.copytree(EXAMPLE / "data", folder / "data")
    return folder


def row(name: str, seconds: list[float]) -> None:
    print(
        f"{name:<44} median {statistics.median(seconds) * 1000:9.1f} ms"
        f"   fastest {min(seconds) * 1000:9.1f}   slowest {max(seconds) * 1000:9.1f}   n {len(seconds)}"
    )


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--modelgate", type=Path, required=True, help="the binary")
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--no-op-rounds", type=int, default=20)
    arguments = parser.parse_args()
    modelgate = arguments.modelgate.resolve()
    data = EXAMPLE / "data" / "raw" / "breast_cancer.csv"

    with tempfile.TemporaryDirectory(prefix="modelgate-bench-") as name:
        scratch = Path(name)
        # Warms both, and gives Python the rows of modelgate's split and a database that has its tables.
        first = fresh_project(scratch / "first")
        timed([modelgate, "-C", first, "run"])
        split = first / "outputs" / PIPELINE / "split.json"
        python = [sys.executable, HERE / "pipeline.py", "--data", data, "--split", split, "--work"]
        timed([*python, scratch / "warm"])

        ours, peer, peer_inside, peer_warm = [], [], [], []
        for index in range(arguments.rounds):
            project = fresh_project(scratch / f"project-{index}")
            ours.append(timed([modelgate, "-C", project, "run"])[0])
            seconds, printed = timed([*python, scratch / f"work-{index}"])
            peer.append(seconds)
            peer_inside.append(json.loads(printed.splitlines()[-1])["without_imports"])
            peer_warm.append(timed([*python, scratch / "warm"])[0])
        no_op = [timed([modelgate, "-C", first, "run"])[0] for _ in range(arguments.no_op_rounds)]

        report = json.loads((first / "outputs" / PIPELINE / "evaluation_report.json").read_text())
        theirs = json.loads((scratch / "warm" / "outputs" / "evaluation_report.json").read_text())

    print(f"{platform.machine()}, {os.cpu_count()} cores, {platform.system()}, Python {platform.python_version()}")
    row("modelgate, cold", ours)
    row("Python, cold, with imports", peer)
    row("Python, cold, without imports", peer_inside)
    row("Python, tables there already, with imports", peer_warm)
    row("modelgate, nothing to do", no_op)
    median = statistics.median
    for label, seconds in (
        ("with imports", peer),
        ("without imports", peer_inside),
        ("tables there already, with imports", peer_warm),
    ):
        print(f"ratio, {label:<37} {median(seconds) / median(ours):9.1f}")
    for part in ("validation", "test"):
        ours_found, theirs_found = (r["subsets"][part]["metrics"]["accuracy"] for r in (report, theirs))
        print(f"accuracy on {part:<10} modelgate {ours_found:.4f}   Python {theirs_found:.4f}   (same rows)")

    reached = {
        f"cold run at most 1/{TARGET_RATIO:.0f} of Python": median(peer) / median(ours) >= TARGET_RATIO,
        f"no-op run at most {TARGET_NO_OP * 1000:.0f} ms": median(no_op) <= TARGET_NO_OP,
    }
    for sentence, is_reached in reached.items():
        print(f"{'reached' if is_reached else 'MISSED':<8} {sentence}")
    return 0 if all(reached.values()) else 1


if __name__ == "__main__":
    sys.exit(main())
