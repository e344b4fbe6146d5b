"""Gradient boosting: ours, LightGBM, XGBoost and scikit-learn, interleaved, on the same data with the same settings.

    python boosting.py --binary target/release/examples/bench_forest_linear [--rounds 5] [--threads 1,2]
                       [--cases binary-1m,regression-500k,binary-100k,small,rare,files] [--peers lightgbm,xgboost,sklearn]
                       [--scale 1.0] [--ours-only] [--growth 100000,1000000,10000000] [--data FOLDER] [--json results.json]

100 rounds of 31 leaves, rate 0.1, 255 bins, at least 20 rows in a leaf (XGBoost, which has no such setting: a Hessian of
5, or 20 where it is a row's). Each fit is a process of its own that loads the data first; times and the highest memory
above the loaded data are of the fit alone, the dataset's construction included. `predict` is the time for a million
rows: the test rows, over and over. `row` is one row alone, through the library that it is (Python's for the peers, 200
rows). Medians over the rounds; a ratio is of medians.
`rare` compares log loss where one of two classes is a fortieth to a thousandth of the rows;
`small` compares log loss and R² on the data that scikit-learn ships, 5 seeds of a split of a quarter; `files` on King
County, drug200 and California Housing of the folder `tabular` in --data, $MODELGATE_TEST_DATA by default.
`--growth` fits ours alone, on one thread, on more and more rows.
Aims that are missed are printed last, and the exit code is 1 then.
"""

import argparse
import csv
import json
import os
import statistics
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

from common import auc, generate, generate_in_blocks, judge, memory, run

SETTINGS = {"n_estimators": 100, "max_leaf_nodes": 31, "learning_rate": 0.1, "min_samples_leaf": 20}
CASES = {
    "binary-1m": dict(rows=1_000_000, columns=28, task="classification"),
    "regression-500k": dict(rows=500_000, columns=20, task="regression"),
    "binary-100k": dict(rows=100_000, columns=28, task="classification"),
    "binary-10m": dict(rows=10_000_000, columns=28, task="classification"),
}
PREDICTED = 1_000_000
# Case, threads, peer, figure and the most that it may be.
AIMS = [
    ("binary-1m", 2, "lightgbm", "wall_ratio", 0.5),
    ("binary-1m", 2, "sklearn", "wall_ratio", 0.3),
    ("binary-1m", 2, "lightgbm", "memory_ratio", 0.6),
    ("binary-1m", 2, "lightgbm", "predict_ratio", 0.12),
    ("binary-1m", 1, "lightgbm", "predict_ratio", 0.12),
    ("binary-1m", 2, "ours", "row_p50_us", 2.0),
    ("binary-1m", 1, "ours", "row_p50_us", 2.0),
]
WORSE = 0.0005  # the area under the curve may be below LightGBM's by this
GROWTH = 12.0  # for 10 times the rows
# A row is of the rare class where its score is above this.
RARE = [2.45, 3.3, 4.0]
SMALL = ["iris", "wine", "digits", "breast_cancer", "diabetes"]


def load(folder, name, columns):
    return np.fromfile(folder / name, np.float32).reshape(-1, columns)


def fit(who, task, classes, x, y, threads, seed):
    """Returns what predicts: a function of rows."""
    if who == "lightgbm":
        import lightgbm

        objective = {"regression": "regression"}.get(task) or ("binary" if classes == 2 else "multiclass")
        settings = dict(objective=objective, num_leaves=31, learning_rate=0.1, max_bin=255, min_data_in_leaf=20,
                        num_threads=threads, seed=seed, verbose=-1)
        if objective == "multiclass":
            settings["num_class"] = classes
        data = lightgbm.Dataset(x, y, params={"verbose": -1})
        model = lightgbm.train(settings, data, 100)
        return lambda rows: model.predict(rows, num_threads=threads)
    if who == "xgboost":
        import xgboost

        objective = {"regression": "reg:squarederror"}.get(task) or (
            "binary:logistic" if classes == 2 else "multi:softprob")
        settings = dict(objective=objective, max_leaves=31, grow_policy="lossguide", max_depth=0, tree_method="hist",
                        eta=0.1, max_bin=256, reg_lambda=0, nthread=threads, seed=seed,
                        min_child_weight=20 if task == "regression" else 5)
        if objective == "multi:softprob":
            settings["num_class"] = classes
        data = xgboost.QuantileDMatrix(x, y, nthread=threads, max_bin=256)
        model = xgboost.train(settings, data, 100)
        return lambda rows: model.inplace_predict(rows)
    from sklearn.ensemble import HistGradientBoostingClassifier, HistGradientBoostingRegressor

    kind = HistGradientBoostingRegressor if task == "regression" else HistGradientBoostingClassifier
    model = kind(max_iter=100, max_leaf_nodes=31, learning_rate=0.1, early_stopping=False, random_state=seed).fit(x, y)
    if task == "regression":
        return model.predict
    return lambda rows: model.predict_proba(rows)[:, 1] if classes == 2 else model.predict_proba(rows)


def peer(who, task, folder, threads, seed):
    folder = Path(folder)
    columns = int((folder / "columns").read_text())
    x, y = load(folder, "train_x.f32", columns), np.fromfile(folder / "train_y.f32", np.float32)
    test = load(folder, "test_x.f32", columns)
    classes = int(y.max()) + 1 if task == "classification" else 1
    # The import and the first threads are not the fit's.
    few = min(500, len(x))
    fit(who, task, classes, x[:few], np.arange(few, dtype=np.float32) % max(classes, 2), threads, seed)
    Path("/proc/self/clear_refs").write_text("5")
    before, cpu, wall = memory("VmRSS"), time.process_time(), time.perf_counter()
    predict = fit(who, task, classes, x, y, threads, seed)
    wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
    peak = memory("VmHWM") - before
    answers = predict(test)
    np.asarray(answers, np.float64).tofile(folder / "peer.f64")
    line = {"wall": wall, "cpu": cpu, "memory": peak}
    if len(test) >= 20_000:
        many = np.resize(test, (PREDICTED, columns))
        started = time.perf_counter()
        predict(many)
        line["predict"] = time.perf_counter() - started
        rows = []
        for row in test[:200]:
            started = time.perf_counter()
            predict(row.reshape(1, -1))
            rows.append((time.perf_counter() - started) * 1e6)
        rows.sort()
        line["row_p50_us"], line["row_p99_us"] = rows[len(rows) // 2], rows[len(rows) * 99 // 100]
    print(json.dumps(line))


def ours(binary, task, folder, threads, seed):
    return run([binary, "gradient_boosting", task, json.dumps(SETTINGS), str(folder), str(threads), str(seed)], threads)


def write(folder, parts):
    for part, file in zip(parts, ["train_x.f32", "train_y.f32", "test_x.f32", "test_y.f32"]):
        np.ascontiguousarray(part, np.float32).tofile(folder / file)
    (folder / "columns").write_text(str(parts[0].shape[1]))


def quality(task, y, answers):
    if task == "regression":
        return 1 - ((y - answers) ** 2).sum() / ((y - y.mean()) ** 2).sum()
    return auc(y, answers)


def bench(name, arguments, threads, results):
    case = CASES[name]
    rows = int(case["rows"] * arguments.scale)
    samples = {}
    with tempfile.TemporaryDirectory() as folder:
        folder = Path(folder)
        for round_ in range(arguments.rounds):
            seed = 42 + round_
            if rows > 2_000_000:
                generate_in_blocks(case, rows, seed, folder)
            else:
                write(folder, generate(case, rows, seed))
            y = np.fromfile(folder / "test_y.f32", np.float32).astype(np.float64)
            found = ours(arguments.binary, case["task"], folder, threads, seed)
            found["metric"] = quality(case["task"], y, np.fromfile(folder / "ours.f32", np.float32).astype(np.float64))
            samples.setdefault("ours", []).append(found)
            for who in arguments.peers:
                command = [sys.executable, __file__, "--peer", who, case["task"], str(folder), str(threads), str(seed)]
                found = run(command, threads)
                found["metric"] = quality(case["task"], y, np.fromfile(folder / "peer.f64", np.float64))
                samples.setdefault(who, []).append(found)
    # Few test rows are not timed.
    median = lambda found, key: statistics.median(one.get(key) or float("nan") for one in found)
    mine = samples["ours"]
    for who, found in samples.items():
        line = {
            "case": name, "rows": rows, "columns": case["columns"], "threads": threads, "who": who, "rounds": len(found),
            **{key: median(found, key) for key in ["wall", "cpu", "memory", "predict", "row_p50_us", "row_p99_us"]},
            **{f"{key}_ratio": median(mine, key) / max(median(found, key), 1e-9)
               for key in ["wall", "cpu", "memory", "predict"]},
            "metric": statistics.mean(one["metric"] for one in found),
            "metric_difference": statistics.mean(m["metric"] - f["metric"] for m, f in zip(mine, found)),
        }
        results.append(line)
        print(f"| {name} {rows} × {case['columns']} | {threads} | {who} | {line['wall']:.2f} | {line['cpu']:.2f} | "
              f"{line['wall_ratio']:.2f} | {line['cpu_ratio']:.2f} | {line['metric']:.5f} | "
              f"{line['metric_difference']:+.5f} | {line['memory']:.0f} | {line['memory_ratio']:.2f} | "
              f"{line['predict']:.2f} | {line['predict_ratio']:.3f} | {line['row_p50_us']:.2f} | "
              f"{line['row_p99_us']:.2f} |", flush=True)


def splits(arguments, name, x, y, task):
    """Five splits of a data set: its log loss, or R²; returns what is missed."""
    from sklearn.model_selection import train_test_split

    found = {}
    with tempfile.TemporaryDirectory() as folder:
        folder = Path(folder)
        for seed in range(5):
            stratify = y if task == "classification" else None
            train_x, test_x, train_y, test_y = train_test_split(x, y, test_size=0.25, random_state=seed,
                                                                stratify=stratify)
            write(folder, (train_x, train_y, test_x, test_y))
            for who in ["ours", *arguments.peers]:
                if who == "ours":
                    ours(arguments.binary, task, folder, 2, seed)
                    answers = np.fromfile(folder / "ours.f32", np.float32).astype(np.float64)
                else:
                    run([sys.executable, __file__, "--peer", who, task, str(folder), "2", str(seed)], 2)
                    answers = np.fromfile(folder / "peer.f64", np.float64)
                found.setdefault(who, []).append(score(task, test_y, answers))
    for who, values in found.items():
        print(f"| {name} | {'R²' if task == 'regression' else 'log loss'} | {who} | {statistics.mean(values):.4f} | "
              f"{statistics.stdev(values):.4f} |", flush=True)
    if "lightgbm" not in found:
        return []
    worse = statistics.mean(found["ours"]) - statistics.mean(found["lightgbm"])
    worse = -worse if task == "regression" else worse
    spread = max(statistics.stdev(found["ours"]), statistics.stdev(found["lightgbm"]))
    return [f"{name} is worse than LightGBM by {worse:.4f}, the spread is {spread:.4f}"] if worse > spread else []


SPLITS = "\n| data | measure | who | mean of 5 seeds | spread |\n|---|---|---|---|---|"


def small(arguments):
    import sklearn.datasets

    print(SPLITS, flush=True)
    missed = []
    for name in SMALL:
        x, y = getattr(sklearn.datasets, f"load_{name}")(return_X_y=True)
        missed += splits(arguments, name, x, y, "regression" if name == "diabetes" else "classification")
    return missed


def rare(arguments):
    """Two classes of which one is rare, a new set of rows for each share: what diverges has a large log loss."""
    print(SPLITS, flush=True)
    missed = []
    for above in RARE:
        random = np.random.default_rng(5)
        x = random.normal(size=(26_000, 5))
        y = x[:, 0] + 0.5 * x[:, 1] * x[:, 2] + random.normal(size=len(x)) * 0.5 > above
        name = f"{100 * y.mean():.2f} % of 26,000 rows"
        missed += splits(arguments, name, x.astype(np.float32), y.astype(np.float64), "classification")
    return missed


def table(path, target, drop=()):
    """Reads a CSV: numbers as they are, texts as positions among those there are."""
    with open(path, newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    columns = []
    for name in rows[0]:
        values = [row[name] for row in rows]
        if name in drop:
            continue
        try:
            numbers = np.array([float(value) for value in values])
        except ValueError:
            known = sorted(set(values))
            numbers = np.array([float(known.index(value)) for value in values])
        if name == target:
            y = numbers
        else:
            columns.append(numbers)
    return np.column_stack(columns).astype(np.float32), y


def files(arguments):
    folder = Path(arguments.data) / "tabular"
    print(SPLITS, flush=True)
    x, y = table(folder / "kc_house_data.csv", "price", drop=["id", "date"])
    missed = splits(arguments, "King County", x, y, "regression")
    x, y = table(folder / "drug200.csv", "Drug")
    missed += splits(arguments, "drug200", x, y, "classification")
    return missed + california(arguments, folder / "california_8f.csv")


def california(arguments, path):
    """R² and mean absolute error of 20 splits: 300 rounds, rate 0.05, depth 7; ours and scikit-learn."""
    from sklearn.ensemble import HistGradientBoostingRegressor
    from sklearn.model_selection import train_test_split

    x, y = table(path, "MedHouseVal")
    settings = {"n_estimators": 300, "learning_rate": 0.05, "max_depth": 7}
    found = {"ours": [], "sklearn": []}
    with tempfile.TemporaryDirectory() as folder:
        folder = Path(folder)
        for seed in range(20):
            parts = train_test_split(x, y, test_size=0.2, random_state=seed)
            train_x, test_x, train_y, test_y = parts
            write(folder, (train_x, train_y, test_x, test_y))
            run([arguments.binary, "gradient_boosting", "regression", json.dumps(settings), str(folder), "2", str(seed)], 2)
            model = HistGradientBoostingRegressor(max_iter=300, learning_rate=0.05, max_depth=7, early_stopping=False,
                                                  random_state=seed).fit(train_x, train_y)
            for who, answers in [("ours", np.fromfile(folder / "ours.f32", np.float32).astype(np.float64)),
                                 ("sklearn", model.predict(test_x))]:
                found[who].append((quality("regression", test_y, answers), np.abs(test_y - answers).mean()))
    print("\n| California Housing, 20 seeds | R² | MAE |\n|---|---|---|")
    means = {who: np.mean(values, axis=0) for who, values in found.items()}
    for who, (r2, error) in means.items():
        print(f"| {who} | {r2:.4f} | {error:.4f} |", flush=True)
    missed = []
    if means["ours"][0] < max(0.80, means["sklearn"][0] - 0.005):
        missed.append(f"California Housing: R² {means['ours'][0]:.4f}, scikit-learn {means['sklearn'][0]:.4f}")
    if means["ours"][1] > 0.40:
        missed.append(f"California Housing: a mean absolute error of {means['ours'][1]:.4f}, at most 0.40")
    return missed


def growth(arguments):
    """Ours alone on more and more rows; returns what grows too fast for ten times the rows."""
    print("\n| rows × 28 | wall s | CPU s | CPU s for 10 times the rows | MB above the data |\n|---|---|---|---|---|", flush=True)
    seen, missed = {}, []
    for rows in map(int, arguments.growth.split(",")):
        found = []
        with tempfile.TemporaryDirectory() as folder:
            folder = Path(folder)
            generate_in_blocks(dict(columns=28, task="classification"), rows, 42, folder)
            for _ in range(1 if rows > 2_000_000 else arguments.rounds):
                found.append(ours(arguments.binary, "classification", folder, 1, 42))
        wall, cpu, peak = (statistics.median(one[key] for one in found) for key in ["wall", "cpu", "memory"])
        seen[rows] = cpu
        before = seen.get(rows // 10)
        ratio = cpu / before if before else float("nan")
        print(f"| {rows} | {wall:.2f} | {cpu:.2f} | {ratio:.1f} | {peak:.0f} |", flush=True)
        if ratio > GROWTH:
            missed.append(f"{rows} rows cost {ratio:.1f} times what {rows // 10} cost, at most {GROWTH}")
    return missed


def misses(results):
    """Returns what lines of the table miss, in words."""
    found = []
    for line in results:
        name = f"{line['case']} with {line['threads']} threads beside {line['who']}"
        for case, threads, who, figure, most in AIMS:
            if (line["case"], line["threads"], line["who"]) == (case, threads, who) and not line[figure] <= most:
                found.append(f"{name}: {figure} is {line[figure]:.3f}, at most {most}")
        if line["who"] == "lightgbm" and line["metric_difference"] < -WORSE:
            found.append(f"{name}: the metric is below by {-line['metric_difference']:.5f}, at most {WORSE}")
    return found


def score(task, y, answers):
    if task == "regression":
        return quality(task, y, answers)
    classes = int(y.max()) + 1
    table = np.column_stack([1 - answers, answers]) if classes == 2 else answers.reshape(-1, classes)
    return -np.log(np.clip(table[np.arange(len(y)), y.astype(int)], 1e-15, 1)).mean()


def main():
    if len(sys.argv) > 1 and sys.argv[1] == "--peer":
        _, _, who, task, folder, threads, seed = sys.argv
        peer(who, task, folder, int(threads), int(seed))
        return
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--binary", required=True)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--threads", default="1,2")
    parser.add_argument("--cases", default="binary-1m,regression-500k,binary-100k,small,rare,files")
    parser.add_argument("--peers", default="lightgbm,xgboost,sklearn")
    parser.add_argument("--ours-only", action="store_true", help="no peers")
    parser.add_argument("--scale", type=float, default=1.0)
    parser.add_argument("--growth", help="numbers of rows, ours alone")
    parser.add_argument("--data", default=os.environ.get("MODELGATE_TEST_DATA"), help="a folder with `tabular`")
    parser.add_argument("--json")
    arguments = parser.parse_args()
    arguments.peers = [] if arguments.ours_only else [who for who in arguments.peers.split(",") if who]
    cases = [case for case in arguments.cases.split(",") if case]
    results, missed = [], []
    if any(case in CASES for case in cases):
        print("| data | threads | who | fit s | CPU s | ours ÷ it | CPU | metric | ours − it | MB | ours ÷ it | "
              "predict 1M, s | ours ÷ it | row p50 µs | p99 |\n" + "|---" * 15 + "|", flush=True)
    for name in cases:
        if name in CASES:
            for threads in map(int, arguments.threads.split(",")):
                bench(name, arguments, threads, results)
    missed += misses(results)
    if "rare" in cases:
        missed += rare(arguments)
    if "small" in cases:
        missed += small(arguments)
    if "files" in cases and arguments.data:
        missed += files(arguments)
    elif "files" in cases:
        print("\n`files` left out: no --data and no MODELGATE_TEST_DATA")
    if arguments.growth:
        missed += growth(arguments)
    if arguments.json:
        Path(arguments.json).write_text(json.dumps(results, indent=1) + "\n")
    sys.exit(judge(missed))


if __name__ == "__main__":
    main()
