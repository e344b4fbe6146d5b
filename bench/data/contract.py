#!/usr/bin/env python3
"""Times `modelgate data validate` beside pandas with pandera on the same generated file, and prints medians and ratios.

Every round runs both, one after the other, on a file that is in the page cache. The peer's time is that of reading and
checking alone, without the start of Python and its imports; ours is that of the whole process. The second part runs
`modelgate run --until split` on a file of 28 columns with a contract and prints the peak of its resident memory. The exit
status is 1 when one of the two is not what is wanted.
"""

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

# How many times as fast as the peer, and megabytes resident at most.
FASTER, RESIDENT = 5, 200

CONTRACT = """version: 1
columns:
  id: {type: int, nullable: false, unique: true}
  i1: {type: int, nullable: false, min: 0, max: 999}
  i2: {type: int, nullable: false, min: -500, max: 500}
  f1: {type: float, nullable: false, min: -10, max: 10}
  f2: {type: float, nullable: false, min: 0, max: 1}
  f3: {type: float, min: 0}
  s1: {type: string, nullable: false, values: [north, east, south, west]}
  s2: {type: string, nullable: false, pattern: "[A-Z]{2}[0-9]{4}"}
  total: {type: int, nullable: false}
  y: {type: int, nullable: false, values: [0, 1]}
rules: [{check: i1 + i2 == total}]
"""


def ten_columns(path, rows):
    random = np.random.default_rng(7)
    i1, i2 = random.integers(0, 1000, rows), random.integers(-500, 501, rows)
    f1, f2, f3 = random.uniform(-9, 9, rows), random.random(rows), random.exponential(1, rows)
    nulls = random.random(rows) < 0.05
    s1 = random.choice(["north", "east", "south", "west"], rows)
    letters = random.choice([a + b for a in "ABCDE" for b in "VWXYZ"], rows)
    digits, y = random.integers(0, 10000, rows), random.integers(0, 2, rows)
    with open(path, "w", encoding="ascii") as out:
        out.write("id,i1,i2,f1,f2,f3,s1,s2,total,y\n")
        for row in range(rows):
            f3_text = "" if nulls[row] else f"{f3[row]:.5f}"
            out.write(f"{row},{i1[row]},{i2[row]},{f1[row]:.6f},{f2[row]:.6f},{f3_text},{s1[row]},{letters[row]}{digits[row]:04},"
                      f"{i1[row] + i2[row]},{y[row]}\n")


def wide(path, rows, columns=27):
    random = np.random.default_rng(8)
    with open(path, "w", encoding="ascii") as out:
        out.write(",".join(f"x{column}" for column in range(columns)) + ",y\n")
        for start in range(0, rows, 50_000):
            count = min(50_000, rows - start)
            values, labels = random.normal(size=(count, columns)), random.integers(0, 2, count)
            out.writelines(",".join(f"{value:.6g}" for value in line) + f",{label}\n" for line, label in zip(values, labels))


def run(command, folder):
    """Runs a command to its end; returns wall seconds, processor seconds and the peak of resident memory in MB."""
    began = time.perf_counter()
    with tempfile.TemporaryFile() as said:
        process = subprocess.Popen(command, cwd=folder, stdout=said, stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL)
        _, status, usage = os.wait4(process.pid, 0)
        seconds = time.perf_counter() - began
        process.returncode = os.waitstatus_to_exitcode(status)
        if process.returncode != 0:
            said.seek(0)
            raise SystemExit(f"{' '.join(map(str, command))} ended with {process.returncode}:\n{said.read().decode()}")
    return seconds, usage.ru_utime + usage.ru_stime, usage.ru_maxrss / 1024


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--modelgate", required=True)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--rows", type=int, default=1_000_000)
    arguments = parser.parse_args()
    peer = Path(__file__).with_name("contract_pandera.py")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        ten_columns(folder / "ten.csv", arguments.rows)
        (folder / "c.yaml").write_text(CONTRACT)
        command = [arguments.modelgate, "data", "validate", "--data", "ten.csv", "--contract", "c.yaml"]
        ours, theirs, memory = [], [], 0
        for _ in range(arguments.rounds):
            seconds, processor, peak = run(command, folder)
            ours.append((seconds, processor))
            memory = max(memory, peak)
            said = subprocess.run([sys.executable, peer, "ten.csv"], cwd=folder, capture_output=True, text=True, check=True)
            theirs.append(tuple(float(part) for part in said.stdout.split()))
        middle = statistics.median(seconds for seconds, _ in ours)
        processor = statistics.median(processor for _, processor in ours)
        read, check = (statistics.median(part) for part in zip(*theirs))
        total = statistics.median(sum(pair) for pair in theirs)
        size = (folder / "ten.csv").stat().st_size / 1e6
        print(f"{arguments.rows} rows x 10 columns, {size:.0f} MB, {arguments.rounds} rounds, medians")
        print(f"modelgate data validate      {middle:8.3f} s wall, {processor:.3f} s processor, {memory:.0f} MB")
        print(f"pandas + pandera             {total:8.3f} s wall ({read:.3f} reading, {check:.3f} checking)")
        print(f"ratio                        {total / middle:8.1f} times as fast (at least {FASTER} wanted)")
        missed = [] if total / middle >= FASTER else [f"a contract is checked {total / middle:.1f} times as fast, not {FASTER}"]
        os.remove(folder / "ten.csv")

        wide(folder / "wide.csv", arguments.rows)
        columns = "".join(f"  x{column}: {{type: float, min: -20, max: 20}}\n" for column in range(27))
        (folder / "w.yaml").write_text(f"version: 1\ncolumns:\n{columns}  y: {{type: int, values: [0, 1]}}\n")
        (folder / "modelgate.yaml").write_text(
            "version: 1\nproject: bench\npipelines:\n  wide:\n    task: classification\n    data: {source: wide.csv, target: y, contract: w.yaml}\n")
        size = (folder / "wide.csv").stat().st_size / 1e6
        seconds, processor, peak = run([arguments.modelgate, "run", "--until", "split"], folder)
        print(f"\n{arguments.rows} rows x 28 columns, {size:.0f} MB: snapshot, contract and split")
        print(f"modelgate run --until split  {seconds:8.3f} s wall, {processor:.3f} s processor, {peak:.0f} MB resident (at most {RESIDENT} wanted)")
        if peak > RESIDENT:
            missed.append(f"{peak:.0f} MB are resident, not {RESIDENT}")
    for sentence in missed:
        print(f"MISSED: {sentence}", file=sys.stderr)
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())
