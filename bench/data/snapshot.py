#!/usr/bin/env python3
"""Times `modelgate data snapshot` beside `openssl dgst -sha256` and `dvc add`, and prints medians and ratios.

Every round runs every tool once, one after the other, on files that are in the page cache. "New" is an empty store or
cache; DVC's is made anew with its repository, outside of the time. "Unchanged" is the same command again. One core is
the affinity of the process. Disk use counts each inode's blocks once.
"""

import argparse
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

CONFIG = "version: 1\nproject: bench\npipelines:\n  bench:\n    task: classification\n    data: {source: x.csv, target: y}\n"
# Files settle: what was written in this very moment is read again, as it must be.
SETTLE = 0.1


def run(command, folder, cores=None):
    """Runs a command to its end; returns wall seconds."""
    def pin():
        if cores:
            os.sched_setaffinity(0, cores)

    environment = {**os.environ, "DVC_NO_ANALYTICS": "1"}
    began = time.perf_counter()
    done = subprocess.run(command, cwd=folder, preexec_fn=pin, env=environment, capture_output=True, text=True,
                          stdin=subprocess.DEVNULL, check=False)
    seconds = time.perf_counter() - began
    if done.returncode != 0:
        raise SystemExit(f"{' '.join(map(str, command))} ended with {done.returncode}:\n{done.stdout}{done.stderr}")
    return seconds


def blocks(folder):
    """Bytes on disk below a folder, each inode once."""
    seen, total = set(), 0
    for path in Path(folder).rglob("*"):
        found = path.lstat()
        if path.is_file() and found.st_ino not in seen:
            seen.add(found.st_ino)
            total += found.st_blocks * 512
    return total


def big_file(path, size):
    """Writes bytes that no file system can make smaller."""
    with open(path, "wb") as out:
        for _ in range(size >> 20):
            out.write(os.urandom(1 << 20))


def small_files(folder, number):
    for index in range(number):
        part = folder / f"{index // 1000:03}"
        part.mkdir(parents=True, exist_ok=True)
        (part / f"{index:05}.bin").write_bytes(os.urandom(4096))


class Bench:
    def __init__(self, arguments, scratch):
        self.arguments, self.scratch = arguments, scratch
        self.times = {}
        self.modelgate = scratch / "modelgate"
        self.modelgate.mkdir()
        (self.modelgate / "modelgate.yaml").write_text(CONFIG)
        self.dvc = scratch / "dvc"

    def note(self, name, seconds):
        self.times.setdefault(name, []).append(seconds)

    def snapshot(self, name, what, cores=None):
        self.note(name, run([self.arguments.modelgate, "data", "snapshot", what], self.modelgate, cores))

    def dvc_command(self, *words):
        return [self.arguments.python, "-m", "dvc", *words]

    def forget(self):
        """Empties the store of modelgate and makes a fresh repository of DVC around its data."""
        shutil.rmtree(self.modelgate / ".modelgate", ignore_errors=True)
        shutil.rmtree(self.modelgate / "data", ignore_errors=True)
        for left in [".dvc", "big.bin.dvc", "small.dvc", ".dvcignore"]:
            path = self.dvc / left
            shutil.rmtree(path, ignore_errors=True) if path.is_dir() else path.unlink(missing_ok=True)
        run(self.dvc_command("init", "--no-scm", "-q"), self.dvc)
        run(self.dvc_command("config", "core.site_cache_dir", str(self.dvc / ".dvc" / "site")), self.dvc)

    def one_file(self, size):
        big_file(self.modelgate / "big.bin", size)
        self.dvc.mkdir()
        shutil.copy(self.modelgate / "big.bin", self.dvc / "big.bin")
        one = {sorted(os.sched_getaffinity(0))[0]}
        for turn in range(self.arguments.rounds):
            for cores, text in [(one, "one core"), (None, "all cores")]:
                shutil.rmtree(self.modelgate / ".modelgate", ignore_errors=True)
                shutil.rmtree(self.modelgate / "data", ignore_errors=True)
                time.sleep(SETTLE)
                self.snapshot(f"1 GB new, {text}", "big.bin", cores)
                self.note("1 GB openssl", run(["openssl", "dgst", "-sha256", "big.bin"], self.modelgate, one))
            self.forget()
            time.sleep(SETTLE)
            self.snapshot("1 GB new", "big.bin")
            time.sleep(SETTLE)
            self.snapshot("1 GB unchanged", "big.bin")
            self.note("1 GB dvc add", run(self.dvc_command("add", "-q", "big.bin"), self.dvc))
            self.note("1 GB dvc add unchanged", run(self.dvc_command("add", "-q", "big.bin"), self.dvc))
            print(f"one file, round {turn + 1} of {self.arguments.rounds}", file=sys.stderr)
        self.disk("1 GB", size)
        for folder in [self.modelgate, self.dvc]:
            (folder / "big.bin").unlink()

    def many_files(self, number):
        small_files(self.modelgate / "small", number)
        shutil.copytree(self.modelgate / "small", self.dvc / "small")
        for turn in range(self.arguments.rounds):
            self.forget()
            time.sleep(SETTLE)
            self.snapshot(f"{number:,} files new", "small")
            time.sleep(SETTLE)
            self.snapshot(f"{number:,} files unchanged", "small")
            self.note("files dvc add", run(self.dvc_command("add", "-q", "small"), self.dvc))
            self.note("files dvc add unchanged", run(self.dvc_command("add", "-q", "small"), self.dvc))
            for folder in [self.modelgate, self.dvc]:
                changed = folder / "small" / "000" / "00007.bin"
                changed.unlink()
                changed.write_bytes(os.urandom(4096))
            time.sleep(SETTLE)
            self.snapshot(f"1 of {number:,} changed", "small")
            self.note("files dvc add 1 changed", run(self.dvc_command("add", "-q", "small"), self.dvc))
            print(f"many files, round {turn + 1} of {self.arguments.rounds}", file=sys.stderr)
        self.disk(f"{number:,} files", number * 4096)

    def disk(self, name, size):
        ours, theirs = blocks(self.modelgate) / size, blocks(self.dvc) / size
        print(f"disk, {name}: modelgate {ours:.2f} × the data, dvc {theirs:.2f} ×")
        self.ours_disk = max(getattr(self, "ours_disk", 0), ours)

    def median(self, name):
        return statistics.median(self.times[name])

    def report(self, number):
        print()
        for name, seconds in self.times.items():
            print(f"{name:<28} median {self.median(name) * 1000:9.1f} ms   fastest {min(seconds) * 1000:9.1f}   "
                  f"slowest {max(seconds) * 1000:9.1f}   n {len(seconds)}")
        print()
        targets = [
            ("1 GB new, one core, to openssl", "1 GB new, one core", "1 GB openssl", 1.3),
            ("1 GB new, all cores, to one", "1 GB new, all cores", "1 GB new, one core", 0.999),
            ("1 GB new, to dvc add", "1 GB new", "1 GB dvc add", 1 / 4),
            ("1 GB unchanged, to dvc add", "1 GB unchanged", "1 GB dvc add unchanged", 1 / 20),
            ("files new, to dvc add", f"{number:,} files new", "files dvc add", 1 / 4),
            ("files unchanged, to dvc add", f"{number:,} files unchanged", "files dvc add unchanged", 1 / 20),
            ("1 changed, to dvc add", f"1 of {number:,} changed", "files dvc add 1 changed", 1 / 20),
        ]
        passed = True
        for text, ours, theirs, target in targets:
            ratio = self.median(ours) / self.median(theirs)
            reached = ratio <= target
            passed &= reached
            print(f"{text:<34} {ratio:7.4f}   at most {target:.4f}   {'reached' if reached else 'NOT REACHED'}")
        reached = self.ours_disk <= 1.1
        print(f"{'disk, to the data':<34} {self.ours_disk:7.4f}   at most 1.1000   {'reached' if reached else 'NOT REACHED'}")
        return passed and reached


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--modelgate", type=Path, required=True, help="the binary")
    parser.add_argument("--python", type=Path, required=True, help="a Python with DVC")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--size", type=int, default=1 << 30, help="bytes of the one file")
    parser.add_argument("--files", type=int, default=10_000)
    arguments = parser.parse_args()
    arguments.modelgate = arguments.modelgate.resolve()
    # Not resolved: a Python of a venv is a link.
    arguments.python = arguments.python.absolute()
    with tempfile.TemporaryDirectory(prefix="modelgate-bench-") as name:
        bench = Bench(arguments, Path(name))
        bench.one_file(arguments.size)
        bench.many_files(arguments.files)
        return 0 if bench.report(arguments.files) else 1


if __name__ == "__main__":
    sys.exit(main())
