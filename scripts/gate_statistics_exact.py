"""How often `non_inferior` on accuracy errs, exactly: the table of docs/gate-statistics.md.

The rule judges by the wider of a bootstrap and Tango's score interval; this sums the chances of all counts of rows that one
model alone has right, judged by the score interval. The bootstrap can only make a pass or a failure rarer.

Needs: pip install numpy scipy==1.17.1. Run: python scripts/gate_statistics_exact.py
"""
import numpy as np
from scipy import stats

SKILL, SHARED, MARGIN, CONFIDENCE = 0.85, 0.75, 0.02, 0.95


def score(one, other, rows, delta):
    """The score of a true difference, as `paired_score_interval` of modelgate-evaluate has it."""
    line = (2 * rows - one + other) * delta - one - other
    last = -other * delta * (1 - delta)
    share = (np.sqrt(np.maximum(line * line - 8 * rows * last, 0)) - line) / (4 * rows)
    variance = rows * (2 * share + delta * (1 - delta))
    return (one - other - rows * delta) / np.sqrt(np.maximum(variance, 1e-300))


z = stats.norm.ppf(CONFIDENCE)
print("| rows | true drop | passed, at most | failed, at most | inconclusive, at least |\n|---:|---:|---:|---:|---:|")
for rows in (10, 20, 30, 50, 85, 400, 2000):
    for drop in (0, 0.02, 0.03, 0.06):
        only_candidate = (1 - SKILL) * (1 - SHARED)
        only_reference = only_candidate + drop
        # Counts far beyond what can happen are left out: together they have a chance below 1e-9.
        most = min(rows, int(rows * only_reference + 12 * np.sqrt(rows * only_reference) + 12))
        one, other = np.arange(most + 1.0)[:, None], np.arange(most + 1.0)[None, :]
        chance = stats.binom.pmf(one, rows, only_candidate)
        chance = chance * stats.binom.pmf(other, np.maximum(rows - one, 0), only_reference / (1 - only_candidate))
        chance = np.where(one + other <= rows, chance, 0)
        found = score(one, other, rows, -MARGIN)
        passed, failed = chance[found >= z].sum(), chance[found < -z].sum()
        print(f"| {rows} | {drop} | {passed:.1%} | {failed:.1%} | {1 - passed - failed:.1%} |")
