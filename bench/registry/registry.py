"""Medians of the registry's commands, each a process of its own, as the ledger grows."""

import os
import pathlib
import resource
import shutil
import statistics
import subprocess
import sys
import tempfile
import time

ROOT = pathlib.Path(__file__).resolve().parents[2]
TARGET = pathlib.Path(os.environ.get("CARGO_TARGET_DIR", ROOT / "target")) / "release"
BINARY = pathlib.Path(os.environ.get("MODELGATE", TARGET / "modelgate"))
GROW = TARGET / "examples" / "grow_ledger"
ROUNDS = 15


def processor():
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def run(project, *arguments, seed="42"):
    """Returns wall and processor time in seconds, and stdout."""
    environment = os.environ | {"MODELGATE_ACTOR": "bench", "NO_COLOR": "1", "MODELGATE_SEED": seed}
    before, started = processor(), time.perf_counter()
    done = subprocess.run([BINARY, *arguments], cwd=project, env=environment, capture_output=True, text=True)
    seconds, used = time.perf_counter() - started, processor() - before
    if done.returncode not in (0, 4):
        sys.exit(f"{arguments}: {done.stderr}")
    return (seconds, used), done.stdout


def medians(pairs):
    """Wall and processor time in milliseconds."""
    pairs = list(pairs)
    return [statistics.median(pair[part] for pair in pairs) * 1000 for part in (0, 1)]


def median(function, rounds=ROUNDS):
    return medians(function(number) for number in range(rounds))


def both(pair):
    return f"{pair[0]:.0f}/{pair[1]:.0f}"


def bench(events):
    # Each version is three events; the rest are moves of aliases.
    versions = min(10_000, max(300, events // 100))
    with tempfile.TemporaryDirectory() as folder:
        project = pathlib.Path(folder)
        shutil.copytree(ROOT / "examples" / "iris", project, dirs_exist_ok=True,
                        ignore=shutil.ignore_patterns(".modelgate", "outputs", "models", "baselines"))
        settings = project / "modelgate.yaml"
        lines = settings.read_text().splitlines(keepends=True)
        settings.write_text("".join(line for line in lines if "no-regression" not in line))
        # Two packages, so that a rollback has another one to go back to.
        for seed in ("42", "7"):
            run(project, "run", seed=seed)
            run(project, "model", "approve", "iris", "--reason", "bench")
            run(project, "run", seed=seed)
        subprocess.run([GROW, project, "iris", str(events), str(versions)], check=True)
        ledger = project / ".modelgate" / "ledger.jsonl"
        lines = sum(1 for _ in open(ledger, "rb"))
        (project / ".modelgate" / "registry.db").unlink()
        rebuild, _ = run(project, "status")
        listing = median(lambda _: run(project, "model", "list")[0])
        one = median(lambda _: run(project, "model", "list", "iris")[0])
        at = median(lambda _: run(project, "ledger", "at", "2026-12-24T12:00:00Z")[0])
        rows = run(project, "model", "list", "iris")[1].splitlines()
        approved = [row.split()[1] for row in rows if " approved " in row]
        promote = median(lambda number: run(project, "model", "promote", "iris", approved[number],
                                            "--reason", "bench")[0])
        other = next(row.split("sha256:")[1].split()[0] for row in rows if row.split()[1] == "v001")
        back = [row.split()[1] for row in rows if " archived " in row and other in row][-ROUNDS:]
        times = []
        for number in range(ROUNDS):
            times.append(run(project, "model", "rollback", "iris", "--to-version", back[number], "--yes",
                             "--reason", "bench")[0])
            run(project, "model", "promote", "iris", approved[ROUNDS + number], "--reason", "bench",
                "--override-quarantine")
        rollback = medians(times)
        exported = project / "ledger.jsonl"
        run(project, "ledger", "export", str(exported))
        verify = median(lambda _: run(project, "ledger", "verify", "--file", str(exported))[0], rounds=3)
        count = sum(1 for _ in open(exported, "rb"))
        rate = [count / part * 1000 for part in verify]
        print(f"{lines:>9} {versions:>9} {ledger.stat().st_size / 1e6:>8.1f} {both(listing):>10} {both(one):>10} "
              f"{both(at):>10} {both(promote):>10} {both(rollback):>10} {both(verify):>12} {both(rate):>17} "
              f"{both([part * 1000 for part in rebuild]):>12}", flush=True)
        slow = [name for name, pair in [("model list", listing), ("ledger at", at), ("promotion", promote),
                                        ("rollback", rollback)] if pair[0] > 50]
        # A short ledger takes no longer than a process takes to start.
        return slow + (["ledger verify"] if count >= 100_000 and rate[0] < 500_000 else [])


def main():
    sizes = [int(size) for argument in sys.argv[1:] for size in argument.split()]
    print(f"medians of {ROUNDS} processes, milliseconds, wall/processor; {os.cpu_count()} cores, "
          f"load {os.getloadavg()[0]:.1f}")
    print(f"{'events':>9} {'versions':>9} {'MB':>8} {'list all':>10} {'list one':>10} {'at':>10} {'promote':>10} "
          f"{'rollback':>10} {'verify':>12} {'events/s':>17} {'rebuild':>12}")
    missed = {size: names for size in sizes if (names := bench(size))}
    for size, names in missed.items():
        print(f"target missed at {size} events: {', '.join(names)}")
    sys.exit(1 if missed else 0)


main()
