"""The peer of contract.py: reads a CSV file with pandas and checks it with pandera, the same ten checks."""

import sys
import time

import pandas as pd
import pandera.pandas as pa

schema = pa.DataFrameSchema(
    {
        "id": pa.Column(int, unique=True),
        "i1": pa.Column(int, pa.Check.in_range(0, 999)),
        "i2": pa.Column(int, pa.Check.in_range(-500, 500)),
        "f1": pa.Column(float, pa.Check.in_range(-10, 10)),
        "f2": pa.Column(float, pa.Check.in_range(0, 1)),
        "f3": pa.Column(float, pa.Check.ge(0), nullable=True),
        "s1": pa.Column(str, pa.Check.isin(["north", "east", "south", "west"])),
        "s2": pa.Column(str, pa.Check.str_matches(r"^[A-Z]{2}[0-9]{4}$")),
        "total": pa.Column(int),
        "y": pa.Column(int, pa.Check.isin([0, 1])),
    },
    checks=pa.Check(lambda frame: frame["i1"] + frame["i2"] == frame["total"]),
    strict=True,
)

started = time.perf_counter()
frame = pd.read_csv(sys.argv[1])
read = time.perf_counter()
schema.validate(frame, lazy=True)
print(f"{read - started:.4f} {time.perf_counter() - read:.4f}")
