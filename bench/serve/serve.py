"""`modelgate serve` beside FastAPI with scikit-learn, FastAPI with ONNX Runtime and `mlflow models serve`.

    python serve.py --binary target/release/modelgate [--rounds 5] [--seconds 4] [--cases iris,hgb] [--rows 1,100]
                    [--peers fastapi-sklearn,fastapi-onnx,mlflow] [--connections 4] [--json results.json]
    python serve.py --binary target/release/modelgate --soak 600
    python serve.py --binary target/release/modelgate --reloads 100
    python serve.py --binary target/release/modelgate --rollbacks 5

Every server answers the same rows with probabilities: `iris` by a random forest of 100 trees (3 classes, 4 features), `hgb` by
gradient boosting of 100 rounds of 31 leaves (Breast Cancer, 2 classes, 30 features; scikit-learn's is
HistGradientBoostingClassifier). Each learns its own model from the same rows and settings. modelgate runs with everything
on: validation of each cell, metrics, and a log line for each prediction. Each server has core 0 and wrk core 1; one at a
time loads, in turn, `--rounds` times. "Requests per CPU second" divides what wrk counted by the processor time of the server
and its children, so it does not depend on what else the machine does. Medians over the rounds; a ratio is of medians.

wrk asks in a closed loop: a connection waits for its answer. For latencies there is an open loop as well (`open_loop.rs`):
modelgate and the peer with the highest peak get the same number of requests per second, 80 % of that peak, and a request's time
counts from when it was due. `floor.rs`, a server that does nothing, gets it too: its slowest requests are the machine's doing, and
no server can be better. `--no-equal-load` leaves it out.

The aims are judged from what was measured and printed last, each as reached or missed; the exit code is 1 when one is missed.
An aim that names what was left out (`--cases`, `--rows`, `--peers`) is not judged.

The soak loads in an open loop at 70 % of the peak found just before (the median of three loads over as many connections, after
one that does not count), reloads every second another package, and fails when any request failed, memory grew, or the load was
not 68 to 72 % of the peak.
"""

import argparse
import json
import os
import re
import shutil
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.request
from pathlib import Path

import joblib
from sklearn.datasets import load_breast_cancer, load_iris
from sklearn.ensemble import HistGradientBoostingClassifier, RandomForestClassifier

HERE = Path(__file__).parent
TICK = os.sysconf("SC_CLK_TCK")
CASES = {
    "iris": dict(load=load_iris, algorithm="random_forest", params="{n_estimators: 100}",
                 make=lambda: RandomForestClassifier(100, random_state=1)),
    "hgb": dict(load=load_breast_cancer, algorithm="gradient_boosting",
                params="{n_estimators: 100, max_leaf_nodes: 31, learning_rate: 0.1}",
                make=lambda: HistGradientBoostingClassifier(random_state=1)),
}

# Case (None: each), rows in a request (None: any), who (None: the best peer), figure, and the least or the most that it may be.
AIMS = [
    ("iris", 1, "fastapi-sklearn", "ratio", ">=", 150),
    ("iris", 1, "fastapi-onnx", "ratio", ">=", 10),
    ("iris", 1, "mlflow", "ratio", ">=", 200),
    ("iris", 100, "fastapi-sklearn", "ratio", ">=", 20),
    ("iris", 100, "fastapi-onnx", "ratio", ">=", 5),
    ("hgb", 1, "fastapi-sklearn", "ratio", ">=", 40),
    (None, None, None, "p99_ratio", ">=", 20),
    (None, 1, "modelgate", "cpu_us", "<=", 20),
    (None, None, "modelgate", "rss", "<=", 15),
    (None, None, "modelgate", "cold_ms", "<=", 75),
]
SAID = {"ratio": "requests per CPU second, ours ÷ its", "p99_ratio": "p99, its ÷ ours", "cpu_us": "µs of processor time for a request",
        "rss": "MB resident", "cold_ms": "ms to the first answer"}


def processes(root):
    """Returns the process and all below it."""
    children = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                fields = (entry / "stat").read_text().rsplit(")", 1)[1].split()
            except (OSError, IndexError):
                continue
            children.setdefault(int(fields[1]), []).append(int(entry.name))
    found, left = [], [root]
    while left:
        one = left.pop()
        found.append(one)
        left += children.get(one, [])
    return found


def cpu_seconds(pid):
    total = 0
    for one in processes(pid):
        try:
            # Nanoseconds on a processor, of every thread: finer than the ticks of `stat`.
            for task in Path(f"/proc/{one}/task").iterdir():
                total += int((task / "schedstat").read_text().split()[0])
        except OSError:
            continue
    return total / 1e9


def resident_mb(pid):
    total = 0
    for one in processes(pid):
        try:
            status = Path(f"/proc/{one}/status").read_text()
            total += int(re.search(r"VmRSS:\s+(\d+)", status)[1])
        except (OSError, TypeError):
            continue
    return total / 1024


def free_port():
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return one.getsockname()[1]


class Server:
    """A server on core 0, and how long it took to its first good answer."""

    def __init__(self, name, command, port, path, ready, body, environment=(), folder=None):
        self.name, self.port, self.path, self.body = name, port, path, body
        began = time.perf_counter()
        self.process = subprocess.Popen(
            ["taskset", "-c", "0", *command], env={**os.environ, **dict(environment)}, cwd=folder,
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True)
        while True:
            if self.ask(ready):
                break
            if time.perf_counter() - began > 120 or self.process.poll() is not None:
                raise SystemExit(f"{name} does not start: {' '.join(map(str, command))}")
            time.sleep(0.001)
        self.cold = time.perf_counter() - began
        request = urllib.request.Request(f"http://127.0.0.1:{port}{path}", body.encode(), {"content-type": "application/json"})
        self.answer = json.load(urllib.request.urlopen(request, timeout=30))
        self.calm = resident_mb(self.process.pid)

    def ask(self, path):
        try:
            with socket.create_connection(("127.0.0.1", self.port), timeout=2) as one:
                one.sendall(f"GET {path} HTTP/1.0\r\nhost: a\r\n\r\n".encode())
                return b" 200 " in one.recv(64)
        except OSError:
            return False

    def stop(self):
        os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()


def wrk(server, seconds, connections, scratch):
    script = scratch / "request.lua"
    lines = ['wrk.method = "POST"', 'wrk.headers["content-type"] = "application/json"', f"wrk.body = [==[{server.body}]==]"]
    lines.append("""function done(summary, latency, requests)
  io.write(string.format('RESULT {"requests": %d, "us": %d, "p50": %d, "p99": %d, "failed": %d}\\n', summary.requests,
    summary.duration, latency:percentile(50), latency:percentile(99),
    summary.errors.connect + summary.errors.read + summary.errors.write + summary.errors.status + summary.errors.timeout))
end""")
    script.write_text("\n".join(lines))
    before = cpu_seconds(server.process.pid)
    output = subprocess.run(
        ["taskset", "-c", "1", "wrk", "-t1", f"-c{connections}", f"-d{seconds}s", "--timeout", "30s", "-s", script,
         f"http://127.0.0.1:{server.port}{server.path}"], capture_output=True, text=True, check=True).stdout
    found = json.loads(re.search(r"RESULT (.*)", output)[1])
    found["cpu"] = cpu_seconds(server.process.pid) - before
    found["rss"] = resident_mb(server.process.pid)
    return found


def paced(server, rate, seconds, connections, scratch):
    """Loads at a rate that does not depend on the answers; latencies count from when a request was due."""
    body = scratch / "paced.json"
    body.write_text(server.body)
    before = cpu_seconds(server.process.pid)
    output = subprocess.run(
        ["taskset", "-c", "1", os.environ["OPEN_LOOP"], f"127.0.0.1:{server.port}", server.path, body, f"{rate:.1f}",
         str(seconds), str(connections)], capture_output=True, text=True, check=True).stdout
    found = json.loads(output)
    found["cpu"] = cpu_seconds(server.process.pid) - before
    found["rss"] = resident_mb(server.process.pid)
    return found


class Case:
    """A data set, and a model of each kind made of it."""

    def __init__(self, name, scratch, binary, peers):
        self.name, self.binary, self.scratch = name, binary, scratch / name
        self.scratch.mkdir()
        case = CASES[name]
        frame = case["load"](as_frame=True)
        self.columns = [re.sub(r"[^a-z0-9]+", "_", column.lower()).strip("_") for column in frame.data.columns]
        x, y = frame.data.to_numpy(), frame.target.to_numpy()
        self.rows = x.tolist()
        project = self.scratch / "project"
        project.mkdir()
        lines = [",".join([*self.columns, "target"])]
        lines += [",".join(map(repr, row)) + f",{label}" for row, label in zip(self.rows, y.tolist())]
        (project / "data.csv").write_text("\n".join(lines) + "\n")
        (project / "modelgate.yaml").write_text(f"""version: 1
project: {name}
pipelines:
  {name}:
    task: classification
    seed: 1
    data: {{source: data.csv, target: target, split: {{train: 0.8, validation: 0.1, test: 0.1}}}}
    train: {{algorithm: {case["algorithm"]}, params: {case["params"]}}}
    gate: {{on: validation, rules: [{{id: min, metric: accuracy, at_least: 0.5}}]}}
    promotion: {{approval: automatic}}
""")
        subprocess.run([binary, "-C", project, "run"], check=True, capture_output=True)
        self.package = project / "models/packaged" / name
        if peers:
            model = case["make"]().fit(x, y)
            joblib.dump(model, self.scratch / "model.joblib")
            if "fastapi-onnx" in peers:
                from skl2onnx import to_onnx
                options = {id(model): {"zipmap": False}}
                (self.scratch / "model.onnx").write_bytes(
                    to_onnx(model, x[:1].astype("float32"), options=options).SerializeToString())
            if "mlflow" in peers:
                import mlflow.sklearn
                mlflow.sklearn.save_model(model, str(self.scratch / "mlflow"), serialization_format="pickle")

    def body(self, key, rows):
        picked = [self.rows[at % len(self.rows)] for at in range(0, rows * 7, 7)]
        return json.dumps({key: picked}, separators=(",", ":"))

    def start(self, who, rows):
        port = free_port()
        if who == "modelgate":
            command = [self.binary, "serve", "--package", self.package, "--port", str(port), "--threads", "1",
                       "--log", self.scratch / "predictions.jsonl"]
            return Server(who, command, port, f"/predict/{self.name}", "/health/ready", self.body("features", rows),
                          {"ADMIN_API_TOKEN": "bench"}.items(), self.scratch)
        if who == "mlflow":
            command = [sys.executable, "-m", "mlflow", "models", "serve", "-m", self.scratch / "mlflow", "--env-manager",
                       "local", "-p", str(port)]
            # It looks for uvicorn on the path.
            path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
            return Server(who, command, port, "/invocations", "/ping", self.body("inputs", rows), {"PATH": path}.items())
        if who == "floor":
            return Server(who, [os.environ["FLOOR"], str(port)], port, "/", "/", self.body("features", rows))
        app, model = {"fastapi-sklearn": ("app_sklearn", "model.joblib"), "fastapi-onnx": ("app_onnx", "model.onnx")}[who]
        command = [sys.executable, "-m", "uvicorn", f"{app}:app", "--port", str(port), "--no-access-log",
                   "--loop", "uvloop", "--http", "httptools"]
        return Server(who, command, port, "/predict", "/ready", self.body("instances", rows),
                      {"MODEL_FILE": str(self.scratch / model)}.items(), HERE)


def reload(server):
    request = urllib.request.Request(f"http://127.0.0.1:{server.port}/admin/reload", b"", {"X-Admin-Token": "bench"})
    with urllib.request.urlopen(request, timeout=30) as answer:
        return json.load(answer)["status"]


def other_package(case):
    """Trains a second model and returns both packages, kept beside the folder that is served."""
    kept = []
    for trees in (100, 101):
        project = case.scratch / "project"
        config = project / "modelgate.yaml"
        config.write_text(re.sub(r"n_estimators: \d+", f"n_estimators: {trees}", config.read_text()))
        subprocess.run([case.binary, "-C", project, "run"], check=True, capture_output=True)
        to = case.scratch / f"kept-{trees}"
        shutil.copytree(case.package, to)
        kept.append(to)
    return kept


def swap(case, package):
    """Puts another package into the folder, by rename as a promotion does."""
    beside = case.package.parent / ".next"
    shutil.copytree(package, beside)
    old = case.package.parent / ".old"
    os.rename(case.package, old)
    os.rename(beside, case.package)
    shutil.rmtree(old)


def soak(case, seconds, connections, scratch, reloads):
    """Loads while models are replaced; returns whether nothing failed and memory is flat."""
    kept = other_package(case)
    server = case.start("modelgate", 1)
    try:
        # As many connections as the soak has, and not the first seconds of a process: neither less nor more than it can do.
        many = connections if reloads else 4 * connections
        wrk(server, 2, many, scratch)
        peaks = [wrk(server, 4, many, scratch) for _ in range(3)]
        rate = statistics.median(peak["requests"] / (peak["us"] / 1e6) for peak in peaks)
        print(f"peak {rate:,.0f} requests/s over {many} connections", flush=True)
        began, memory, done = time.time(), [], 0
        import threading
        result = {}
        if reloads:
            work = lambda: wrk(server, seconds, many, scratch)
        else:
            work = lambda: paced(server, 0.7 * rate, seconds, many, scratch)
        load = threading.Thread(target=lambda: result.update(work()))
        load.start()
        while load.is_alive() and (not reloads or done < reloads):
            swap(case, kept[done % 2])
            assert reload(server) == "reloaded"
            done += 1
            if done % 10 == 0 or not memory:
                memory.append(resident_mb(server.process.pid))
            if not reloads:
                time.sleep(max(0, began + done - time.time()))
        load.join()
    finally:
        server.stop()
    half = len(memory) // 2
    first, second = statistics.median(memory[:half] or [0]), statistics.median(memory[half:] or [0])
    reached = result["requests"] / (result["us"] / 1e6)
    print(f"{result['requests']:,} requests ({reached:,.0f}/s, {reached / rate:.0%} of the peak), {done} reloads, "
          f"{result['failed']} failed, p99 {result['p99'] / 1000:.2f} ms, "
          f"memory {memory[0]:.1f} MB after the first reload, median {first:.1f} MB in the first half, {second:.1f} MB in the second")
    # Paced, the load has to be what it is said to be.
    offered = reloads or 0.68 <= reached / rate <= 0.72
    return result["failed"] == 0 and second <= first * 1.05 and bool(offered)


def equal_load(case, rows, found, rounds, seconds, connections, scratch, everything):
    """Compares latencies where both answer as many requests: 80 % of what the best peer can do."""
    peers = [who for who in found if who != "modelgate"]
    if not peers:
        return
    peak = lambda who: statistics.median(one["requests"] / one["us"] * 1e6 for one in found[who])
    best = max(peers, key=peak)
    rate = 0.8 * peak(best)
    paces = {"modelgate": [], best: [], "floor": []}
    for _ in range(rounds):
        for who, each in paces.items():
            server = case.start(who, rows)
            try:
                if who != "floor":
                    wrk(server, 1, connections, scratch)
                each.append(paced(server, rate, seconds, 4 * connections, scratch))
            finally:
                server.stop()
    middle = lambda who, key: statistics.median(one[key] for one in paces[who])
    print(f"\nequal load: {rate:,.0f} requests/s, 80 % of the peak of {best}; open loop, {4 * connections} connections")
    print("| who | p50 ms | p99 ms | p99.9 ms | its p99 ÷ ours | failed |")
    print("|---|---|---|---|---|---|")
    for who in paces:
        line = dict(case=case.name, rows=rows, who=who, offered=rate, failed=sum(one["failed"] for one in paces[who]),
                    paced_p99_ratio=middle(who, "p99") / middle("modelgate", "p99"),
                    **{f"paced_{key}": middle(who, key) for key in ("p50", "p99", "p999")})
        everything.append(line)
        print(f"| {who} | {line['paced_p50'] / 1000:.2f} | {line['paced_p99'] / 1000:.2f} | {line['paced_p999'] / 1000:.2f} | "
              f"{line['paced_p99_ratio']:.1f} | {line['failed']} |")
    least = middle("floor", "p99")
    print(f"a server that does nothing has a p99 of {least / 1000:.2f} ms here: the most that the ratio could be is "
          f"{middle(best, 'p99') / least:.1f}")
    sys.stdout.flush()


def rollbacks(case, rounds):
    """Times a rollback, from the start of its command to the first answer of the version before; returns medians."""
    times = []
    for number in range(rounds):
        project = case.scratch / f"rollback-{number}"
        shutil.copytree(case.scratch / "project", project)
        port = free_port()
        config = project / "modelgate.yaml"
        config.write_text(re.sub(r"n_estimators: \d+", f"n_estimators: {90 + number}", config.read_text())
                          + f"serve: {{reload_url: 'http://127.0.0.1:{port}/admin/reload'}}\n")
        environment = {**os.environ, "ADMIN_API_TOKEN": "bench"}
        subprocess.run([case.binary, "-C", project, "run"], check=True, capture_output=True, env=environment)
        command = [case.binary, "-C", project, "serve", "--port", str(port)]
        server = Server("modelgate", command, port, f"/predict/{case.name}", "/health/ready", case.body("features", 1),
                        {"ADMIN_API_TOKEN": "bench"}.items())
        try:
            assert server.answer["version"] == "v002", server.answer
            request = urllib.request.Request(f"http://127.0.0.1:{port}{server.path}", server.body.encode(),
                                             {"content-type": "application/json"})
            began = time.perf_counter()
            command = [case.binary, "-C", project, "model", "rollback", case.name, "--yes", "--reason", "bench"]
            back = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env=environment)
            while json.load(urllib.request.urlopen(request, timeout=30))["version"] != "v001":
                time.sleep(0.001)
            times.append(time.perf_counter() - began)
            assert back.wait() == 0
        finally:
            server.stop()
    print(f"rollback to the first answer of the version before: median {statistics.median(times) * 1000:.0f} ms, "
          f"slowest {max(times) * 1000:.0f} ms, {rounds} rounds; at most 5000 ms wanted")
    return max(times) <= 5


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--binary", type=Path, required=True)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=int, default=4)
    parser.add_argument("--connections", type=int, default=4)
    parser.add_argument("--cases", default="iris,hgb")
    parser.add_argument("--rows", default="1,100")
    parser.add_argument("--peers", default="fastapi-sklearn,fastapi-onnx,mlflow")
    parser.add_argument("--equal-load", action=argparse.BooleanOptionalAction, default=True)
    parser.add_argument("--soak", type=int, default=0)
    parser.add_argument("--reloads", type=int, default=0)
    parser.add_argument("--rollbacks", type=int, default=0)
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()
    binary = arguments.binary.resolve()
    peers = [peer for peer in arguments.peers.split(",") if peer]
    everything = []
    with tempfile.TemporaryDirectory() as scratch:
        scratch = Path(scratch)
        if arguments.rollbacks:
            sys.exit(0 if rollbacks(Case("iris", scratch, binary, []), arguments.rollbacks) else 1)
        if arguments.soak or arguments.reloads:
            case = Case("iris", scratch, binary, [])
            seconds = arguments.soak or 60
            sys.exit(0 if soak(case, seconds, arguments.connections, scratch, arguments.reloads) else 1)
        for name in arguments.cases.split(","):
            case = Case(name, scratch, binary, peers)
            for rows in map(int, arguments.rows.split(",")):
                found = {who: [] for who in ["modelgate", *peers]}
                for _ in range(arguments.rounds):
                    for who in found:
                        server = case.start(who, rows)
                        try:
                            wrk(server, 1, arguments.connections, scratch)
                            one = wrk(server, arguments.seconds, arguments.connections, scratch)
                        finally:
                            server.stop()
                        if one["failed"]:
                            raise SystemExit(f"{who}: {one['failed']} requests failed")
                        found[who].append({**one, "cold": server.cold, "calm": server.calm})
                report(name, rows, found, everything)
                if arguments.equal_load:
                    equal_load(case, rows, found, arguments.rounds, arguments.seconds, arguments.connections, scratch,
                               everything)
    if arguments.json:
        arguments.json.write_text(json.dumps(everything, indent=1))
    sys.exit(judge(everything))


def judge(everything):
    """Prints each aim that was measured as reached or missed; returns the exit code."""
    found = []
    for case, rows in dict.fromkeys((line["case"], line["rows"]) for line in everything):
        lines = [line for line in everything if (line["case"], line["rows"]) == (case, rows)]
        # With the same load for both where that was measured: closed loops are of servers that do as much as they can.
        paced_lines = [line for line in lines if "paced_p99" in line and line["who"] not in ("modelgate", "floor")]
        closed = [line for line in lines if "p99" in line]
        peers = [line for line in closed if line["who"] != "modelgate"]
        for name, count, who, figure, sign, limit in AIMS:
            if name not in (None, case) or count not in (None, rows):
                continue
            if who is None:
                best = min(paced_lines or peers, key=lambda line: line.get("paced_p99", line.get("p99")), default=None)
                value = best and best.get("paced_p99_ratio", best.get("p99_ratio"))
                loop = "at equal load" if paced_lines else "in a closed loop"
                beside = best and f"beside {best['who']}, {loop}"
            else:
                line = next((line for line in closed if line["who"] == who), None)
                value = line and {"cpu_us": 1e6 / line["per_cpu"], "cold_ms": line["cold"] * 1e3}.get(figure, line.get(figure))
                beside = "" if who == "modelgate" else f"beside {who}"
            if value is None:
                continue
            reached = value >= limit if sign == ">=" else value <= limit
            text = f"{case}, {rows} row{'s' if rows > 1 else ''}, {beside}".rstrip(", ")
            wanted = f"at {'least' if sign == '>=' else 'most'} {limit}"
            found.append((reached, f"{text}: {SAID[figure]}: {value:.1f}, {wanted} wanted"))
        for line in lines:
            if line["who"] == "modelgate" and line.get("failed"):
                found.append((False, f"{case}, {rows} rows, at equal load: {line['failed']} of our requests failed, none may"))
    print()
    for reached, sentence in found:
        print(f"{'reached' if reached else 'missed'}: {sentence}")
    sys.stdout.flush()
    return 0 if found and all(reached for reached, _ in found) else 1


def report(name, rows, found, everything):
    middle = lambda who, value: statistics.median(value(one) for one in found[who])
    per_cpu = {who: middle(who, lambda one: one["requests"] / one["cpu"]) for who in found}
    p99 = {who: middle(who, lambda one: one["p99"]) for who in found}
    print(f"\n{name}, {rows} row{'s' if rows > 1 else ''} in a request")
    print("| who | requests/s | requests per CPU second | ours ÷ it | CPU µs/request | p50 ms | p99 ms | its p99 ÷ ours | MB | first answer ms |")
    print("|---|---|---|---|---|---|---|---|---|---|")
    for who in found:
        line = dict(case=name, rows=rows, who=who, per_second=middle(who, lambda one: one["requests"] / one["us"] * 1e6),
                    per_cpu=per_cpu[who], ratio=per_cpu["modelgate"] / per_cpu[who], p50=middle(who, lambda one: one["p50"]),
                    p99=p99[who], p99_ratio=p99[who] / p99["modelgate"], rss=middle(who, lambda one: one["rss"]),
                    cold=middle(who, lambda one: one["cold"]))
        everything.append(line)
        print(f"| {who} | {line['per_second']:,.0f} | {line['per_cpu']:,.0f} | {line['ratio']:.1f} | {1e6 / line['per_cpu']:.1f} | "
              f"{line['p50'] / 1000:.2f} | {line['p99'] / 1000:.2f} | {line['p99_ratio']:.1f} | {line['rss']:.0f} | {line['cold'] * 1000:.0f} |")
    sys.stdout.flush()


if __name__ == "__main__":
    main()
