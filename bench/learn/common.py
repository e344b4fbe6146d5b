"""What the benchmarks of the learning engine share: data from a seed, a metric, processes that measure themselves."""

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np


def generate(case, rows, seed):
    """Returns train and test; correlated normal features, some skewed, some in whole steps; half the signal is not
    linear."""
    random = np.random.default_rng(seed)
    columns, total = case["columns"], rows + rows // 4
    mixing = random.normal(size=(columns, columns)) * 0.25 + np.eye(columns)
    x = random.normal(size=(total, columns)) @ mixing
    x[:, 1::5] = np.exp(x[:, 1::5] * 0.4)
    x[:, 3::7] = np.round(x[:, 3::7] * 2)
    x = x.astype(np.float32)
    z = (x - x.mean(axis=0)) / x.std(axis=0)
    linear = z @ (random.normal(size=columns) * 0.35 / np.sqrt(columns) * 2)
    bent = 0.6 * z[:, 0] * z[:, 2] + 0.5 * np.abs(z[:, 4]) - 0.4 * (z[:, 5] > 0.5) * z[:, 6] + 0.3 * np.sin(2 * z[:, 7])
    signal = linear + bent
    if case["task"] == "classification":
        y = (random.random(total) < 1 / (1 + np.exp(-(signal - signal.mean())))).astype(np.float32)
    else:
        y = (3 * signal + random.normal(size=total)).astype(np.float32)
    return x[:rows], y[:rows], x[rows:], y[rows:]


def generate_in_blocks(case, rows, seed, folder, block=500_000):
    """Writes train and test as `generate` makes them, block by block in f32: what is standardised is the first block."""
    random = np.random.default_rng(seed)
    columns = case["columns"]
    mixing = (random.normal(size=(columns, columns)) * 0.25 + np.eye(columns)).astype(np.float32)
    weights = (random.normal(size=columns) * 0.7 / np.sqrt(columns)).astype(np.float32)
    scale = None
    for part, count in [("train", rows), ("test", rows // 4)]:
        with open(folder / f"{part}_x.f32", "wb") as values, open(folder / f"{part}_y.f32", "wb") as targets:
            for start in range(0, count, block):
                size = min(block, count - start)
                x = random.standard_normal((size, columns), dtype=np.float32) @ mixing
                x[:, 1::5] = np.exp(x[:, 1::5] * np.float32(0.4))
                x[:, 3::7] = np.round(x[:, 3::7] * 2)
                scale = scale or (x.mean(axis=0), x.std(axis=0))
                z = (x - scale[0]) / scale[1]
                signal = z @ weights + 0.6 * z[:, 0] * z[:, 2] + 0.5 * (np.abs(z[:, 4]) - 0.8)
                signal += 0.3 * np.sin(2 * z[:, 7]) - 0.4 * (z[:, 5] > 0.5) * z[:, 6]
                if case["task"] == "classification":
                    y = random.random(size, dtype=np.float32) < 1 / (1 + np.exp(-signal))
                else:
                    y = 3 * signal + random.standard_normal(size, dtype=np.float32)
                x.tofile(values)
                y.astype(np.float32).tofile(targets)
    (folder / "columns").write_text(str(columns))


def judge(sentences):
    """Prints what was missed and returns the exit code."""
    for sentence in sentences:
        print(f"missed: {sentence}", flush=True)
    return 1 if sentences else 0


def auc(y, score):
    order = np.argsort(score, kind="stable")
    ranks = np.empty(len(score))
    values = score[order]
    starts = np.flatnonzero(np.r_[True, values[1:] != values[:-1]])
    ends = np.r_[starts[1:], len(values)]
    for start, end in zip(starts, ends):
        ranks[order[start:end]] = (start + end - 1) / 2 + 1
    positive = y == 1
    count = positive.sum()
    return (ranks[positive].sum() - count * (count + 1) / 2) / (count * (len(y) - count))


def memory(name):
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith(name):
            return int(line.split()[1]) / 1e3
    return float("nan")


def run(command, threads):
    environment = dict(os.environ, OMP_NUM_THREADS=str(threads), OPENBLAS_NUM_THREADS=str(threads))
    output = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    if output.returncode != 0:
        sys.exit(f"{' '.join(map(str, command))}\n{output.stdout}{output.stderr}")
    return json.loads(output.stdout.strip().splitlines()[-1])
