"""Random forest, logistic regression and ridge: ours and scikit-learn's, interleaved, on the same generated data.

    python forest_linear.py --binary target/release/examples/bench_forest_linear [--rounds 5] [--threads 1,2]
                            [--cases forest,logistic,ridge] [--scale 1.0] [--ours-only] [--json results.json]

Each fit is a process of its own that loads the data first; wall time, CPU time (all threads) and the highest memory
above the loaded data are of the fit alone. Medians over the rounds; the ratio is of medians. Forests are measured on
test rows, linear models by what they minimise: the loss on the training rows. It is computed here, from the
predictions of both for the same rows, in doubles; the difference is relative for a loss.
"""

import argparse
import json
import statistics
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

from common import auc, generate, judge, memory, run

FOREST = {"n_estimators": 100}
CASES = {
    "forest": dict(rows=100_000, columns=28, task="classification", algorithm="random_forest", params=FOREST,
                   metric="auc", peers=["float32"]),
    "logistic": dict(rows=1_000_000, columns=28, task="classification", algorithm="logistic_regression",
                     params={"C": 1.0}, metric="train_loss", peers=["float32", "float64"]),
    "ridge": dict(rows=500_000, columns=20, task="regression", algorithm="ridge", params={"alpha": 1.0},
                  metric="train_loss", peers=["float32", "float64"]),
    "tree": dict(rows=100_000, columns=28, task="classification", algorithm="decision_tree",
                 params={"min_samples_leaf": 20}, metric="auc", peers=["float32"]),
    "regression-forest": dict(rows=20_000, columns=20, task="regression", algorithm="random_forest", params=FOREST,
                              metric="r2", peers=["float32"]),
}

CASES["forest-depth-8"] = dict(CASES["forest"], params={"n_estimators": 100, "max_depth": 8})

# The peers, the wall time beside them, and how much worse the metric may be: as the mean for a forest, relative for a
# loss.
AIMS = {
    "forest": (["scikit-learn float32"], 0.15, 0.002),
    "logistic": (["scikit-learn float32", "scikit-learn float64"], 0.4, 1e-6),
    "ridge": (["scikit-learn float32", "scikit-learn float64"], 0.3, 1e-6),
}


def measure(case, folder, answers, coefficients=None):
    y = np.fromfile(folder / "test_y.f32", np.float32).astype(np.float64)
    if case["metric"] == "auc":
        return auc(y, answers)
    if case["metric"] == "r2":
        return 1 - ((y - answers) ** 2).sum() / ((y - y.mean()) ** 2).sum()
    if case["task"] == "classification":
        p = np.clip(answers, 1e-15, 1 - 1e-15)
        return -(y * np.log(p) + (1 - y) * np.log(1 - p)).mean()
    return ((y - answers) ** 2).mean()


def peer(name, folder, threads, seed, dtype):
    """Fits scikit-learn; runs in a process of its own."""
    case = CASES[name]
    from sklearn.ensemble import RandomForestClassifier, RandomForestRegressor
    from sklearn.linear_model import LogisticRegression, Ridge
    from sklearn.tree import DecisionTreeClassifier

    x = np.fromfile(folder / "train_x.f32", np.float32).reshape(-1, case["columns"]).astype(dtype)
    y = np.fromfile(folder / "train_y.f32", np.float32).astype(dtype)
    test = np.fromfile(folder / "test_x.f32", np.float32).reshape(-1, case["columns"]).astype(dtype)
    if case["algorithm"] == "decision_tree":
        model = DecisionTreeClassifier(**case["params"], random_state=seed)
    elif case["algorithm"] == "random_forest":
        kind = RandomForestClassifier if case["task"] == "classification" else RandomForestRegressor
        model = kind(**case["params"], n_jobs=threads, random_state=seed)
    elif case["algorithm"] == "logistic_regression":
        model = LogisticRegression(**case["params"], max_iter=1000, tol=1e-4)
    else:
        model = Ridge(**case["params"])
    Path("/proc/self/clear_refs").write_text("5")
    before, cpu, wall = memory("VmRSS"), time.process_time(), time.perf_counter()
    model.fit(x, y)
    wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
    peak = memory("VmHWM") - before
    answers = model.predict_proba(test)[:, 1] if case["task"] == "classification" else model.predict(test)
    np.asarray(answers, np.float64).tofile(folder / "peer.f64")
    print(json.dumps({"wall": wall, "cpu": cpu, "memory": peak}))


def bench(name, arguments, threads, results):
    case = CASES[name]
    rows = int(case["rows"] * arguments.scale)
    samples = {}
    with tempfile.TemporaryDirectory() as folder:
        folder = Path(folder)
        for round_ in range(arguments.rounds):
            seed = 42 + round_
            parts = generate(case, rows, seed)
            if case["metric"] == "train_loss":
                parts = (*parts[:2], *parts[:2])
            for part, file in zip(parts, ["train_x.f32", "train_y.f32", "test_x.f32", "test_y.f32"]):
                np.ascontiguousarray(part, np.float32).tofile(folder / file)
            del parts
            (folder / "columns").write_text(str(case["columns"]))
            ours = run([arguments.binary, case["algorithm"], case["task"], json.dumps(case["params"]), str(folder),
                        str(threads), str(seed)], threads)
            ours["metric"] = measure(case, folder, np.fromfile(folder / "ours.f32", np.float32).astype(np.float64))
            samples.setdefault("ours", []).append(ours)
            for dtype in [] if arguments.ours_only else case["peers"]:
                found = run([sys.executable, __file__, "--peer", name, str(folder), str(threads), str(seed), dtype], threads)
                found["metric"] = measure(case, folder, np.fromfile(folder / "peer.f64", np.float64))
                samples.setdefault(f"scikit-learn {dtype}", []).append(found)
    median = lambda rows, key: statistics.median(row[key] for row in rows)
    mine = samples["ours"]
    for who, found in samples.items():
        relative = 1 / abs(mine[0]["metric"]) if case["metric"] == "train_loss" else 1
        line = {
            "case": name, "rows": rows, "columns": case["columns"], "threads": threads, "who": who,
            "wall": median(found, "wall"), "cpu": median(found, "cpu"), "memory": median(found, "memory"),
            "metric": statistics.mean(row["metric"] for row in found), "rounds": len(found),
            "wall_ratio": median(mine, "wall") / median(found, "wall"),
            "cpu_ratio": median(mine, "cpu") / max(median(found, "cpu"), 1e-9),
            "metric_difference": max(((m["metric"] - f["metric"]) * relative for m, f in zip(mine, found)), key=abs),
        }
        results.append(line)
        print(f"| {name} {rows} × {case['columns']} | {threads} | {who} | {line['wall']:.3f} | {line['cpu']:.3f} | "
              f"{line['wall_ratio']:.3f} | {line['cpu_ratio']:.3f} | {line['metric']:.6f} | "
              f"{line['metric_difference']:+.2e} | {line['memory']:.0f} |", flush=True)


def misses(line, results):
    """Returns what a line of the table misses, in words."""
    peers, most, worse = AIMS.get(line["case"], ([], None, None))
    who = line["who"]
    if who not in peers:
        return []
    same = lambda other: all(other[key] == line[key] for key in ["case", "rows", "threads"]) and other["who"] == "ours"
    ours = next(filter(same, results))
    found = []
    name = f"{line['case']} with {line['threads']} threads"
    if line["wall_ratio"] > most:
        found.append(f"{name} takes {line['wall_ratio']:.3f} of the time of {who}, at most {most}")
    if CASES[line["case"]]["metric"] == "train_loss":
        rise = (ours["metric"] - line["metric"]) / line["metric"]
    else:
        rise = line["metric"] - ours["metric"]
    if rise > worse:
        found.append(f"{name} is worse than {who} by {rise:.2e}, at most {worse}")
    return found


def main():
    if len(sys.argv) > 1 and sys.argv[1] == "--peer":
        _, _, name, folder, threads, seed, dtype = sys.argv
        peer(name, Path(folder), int(threads), int(seed), dtype)
        return
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--binary", required=True)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--threads", default="1,2")
    parser.add_argument("--cases", default=",".join(name for name in CASES if name != "forest-depth-8"))
    parser.add_argument("--scale", type=float, default=1.0)
    parser.add_argument("--ours-only", action="store_true", help="for how cost grows with --scale")
    parser.add_argument("--json")
    arguments = parser.parse_args()
    print("| data | threads | who | wall s | CPU s | ours ÷ it, wall | ours ÷ it, CPU | metric | ours − it, "
          "the largest | MB above the data |\n|---|---|---|---|---|---|---|---|---|---|", flush=True)
    results = []
    for name in filter(None, arguments.cases.split(",")):
        for threads in map(int, arguments.threads.split(",")):
            bench(name, arguments, threads, results)
    if arguments.json:
        Path(arguments.json).write_text(json.dumps(results, indent=1) + "\n")
    sys.exit(judge([sentence for line in results for sentence in misses(line, results)]))


if __name__ == "__main__":
    main()
