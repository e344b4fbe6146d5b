"""All binary metrics of 1,000,000 predictions with bootstrap intervals: modelgate, and scikit-learn in a loop.

scikit-learn's rounds all cost the same, so a few are timed and multiplied; `--peer-rounds 1000` runs them all. Both draw
whole rows with replacement. Then the time of all plots and the report of a run. Each aim is judged in a line of its own,
and the exit status is 1 when one is missed.
"""
import argparse
import json
import statistics
import subprocess
import tempfile
import time
from pathlib import Path

import numpy as np
from sklearn import calibration, metrics

parser = argparse.ArgumentParser()
parser.add_argument("--modelgate", required=True)
parser.add_argument("--intervals", required=True, help="the example of modelgate-evaluate")
parser.add_argument("--rows", type=int, default=1_000_000)
parser.add_argument("--rounds", type=int, default=1000)
parser.add_argument("--peer-rounds", type=int, default=5)
arguments = parser.parse_args()
root = Path(__file__).resolve().parents[2]
FASTER = 20
SECONDS_OF_A_REPORT = 0.3
BYTES_OF_A_REPORT = 1_000_000


def everything(labels, predicted, probability):
    wide = np.column_stack([1 - probability, probability])
    share, promised = calibration.calibration_curve(labels, probability, n_bins=10)
    found = {
        "accuracy": metrics.accuracy_score(labels, predicted),
        "balanced_accuracy": metrics.balanced_accuracy_score(labels, predicted),
        "mcc": metrics.matthews_corrcoef(labels, predicted),
        "cohen_kappa": metrics.cohen_kappa_score(labels, predicted),
        "roc_auc": metrics.roc_auc_score(labels, probability),
        "pr_auc": metrics.average_precision_score(labels, probability),
        "brier": metrics.brier_score_loss(labels, probability),
        "log_loss": metrics.log_loss(labels, wide),
    }
    for average in ["weighted", "macro"]:
        precision, recall, f1, _ = metrics.precision_recall_fscore_support(labels, predicted, average=average)
        found |= {f"precision_{average}": precision, f"recall_{average}": recall, f"f1_{average}": f1}
    return found | {"calibration": (share, promised)}


rng = np.random.default_rng(20260101)
labels = rng.integers(0, 2, arguments.rows).astype(np.uint32)
# In 4096ths: exact in f32, so both see the same numbers.
probability = np.clip(np.round((rng.normal(0.4 + 0.2 * labels, 0.2)) * 4096) / 4096, 0, 1)
predicted = (probability > 0.5).astype(np.uint32)
with tempfile.TemporaryDirectory() as folder:
    labels.tofile(f"{folder}/labels.u32")
    predicted.tofile(f"{folder}/predicted.u32")
    np.column_stack([1 - probability, probability]).astype(np.float32).tofile(f"{folder}/probabilities.f32")
    output = subprocess.run(
        [arguments.intervals, folder, str(arguments.rounds)], check=True, capture_output=True, text=True
    )
ours = json.loads(output.stdout)
started = time.perf_counter()
theirs = everything(labels, predicted, probability)
once = time.perf_counter() - started
for name, value in theirs.items():
    if name != "calibration":
        gap = abs(ours["metrics"][name] - value)
        assert gap <= 1e-12 * max(abs(value), 1e-3), (name, ours["metrics"][name], value)
times, draws = [], {name: [] for name in ["accuracy", "roc_auc"]}
for _ in range(arguments.peer_rounds):
    started = time.perf_counter()
    rows = rng.integers(0, arguments.rows, arguments.rows)
    found = everything(labels[rows], predicted[rows], probability[rows])
    times.append(time.perf_counter() - started)
    for name in draws:
        draws[name].append(found[name])
peer = statistics.median(times) * arguments.rounds
ratio = peer / ours["seconds"]
print(f"{arguments.rows} rows, {arguments.rounds} rounds, {len(theirs)} figures")
print(f"the figures once    modelgate {ours['seconds_once']:8.3f} s   scikit-learn {once:8.3f} s   (equal to 1e-12)")
print(
    f"with intervals      modelgate {ours['seconds']:8.3f} s   scikit-learn {peer:8.1f} s"
    f"   ({arguments.peer_rounds} rounds timed, median × {arguments.rounds})   ratio {ratio:.0f}"
)
judged = {f"metrics with intervals are {ratio:.1f} times as fast, at least {FASTER}": ratio >= FASTER}

with tempfile.TemporaryDirectory() as folder:
    project = Path(folder)
    subprocess.run(["cp", "-r", f"{root}/examples/breast-cancer/.", folder], check=True)
    run = [arguments.modelgate, "-q", "-C", folder]
    subprocess.run([*run, "run"], check=True, capture_output=True)
    walls = []
    for _ in range(7):
        started = time.perf_counter()
        subprocess.run([*run, "run", "--only", "analyse"], check=True, capture_output=True)
        subprocess.run([*run, "report", "html", "--output", f"{folder}/report.html"], check=True, capture_output=True)
        walls.append(time.perf_counter() - started)
    size = (project / "report.html").stat().st_size
    wall = statistics.median(walls)
    print(f"all plots (light and dark, SVG and PNG), importance and report: {wall * 1000:.0f} ms, report.html {size} bytes")
judged[f"plots and report take {wall * 1000:.0f} ms, at most {SECONDS_OF_A_REPORT * 1000:.0f}"] = wall <= SECONDS_OF_A_REPORT
judged[f"report.html has {size} bytes, at most {BYTES_OF_A_REPORT}"] = size <= BYTES_OF_A_REPORT
for sentence, reached in judged.items():
    print(f"{'reached' if reached else 'MISSED':<8} {sentence}")
raise SystemExit(0 if all(judged.values()) else 1)
