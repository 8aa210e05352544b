"""The same enumeration and TOPSIS with NumPy arrays: what plan_bench is compared with. Prints the median of five, in ms."""
import itertools
import statistics
import time

import numpy as np

LAYERS = 64
COSTS = np.array([[3.9e9, 71.3, 8.13], [4.9e9, 49.6, 7.55], [5.9e9, 58.2, 7.40], [6.9e9, 66.0, 7.34], [8.7e9, 79.5, 7.31]])
WEIGHTS = np.array([0.3, 0.4, 0.3])


def plan():
    types = len(COSTS)
    # Stars and bars: the gaps between M - 1 bars among L + M - 1 places.
    places = itertools.combinations(range(LAYERS + types - 1), types - 1)
    bars = np.fromiter(itertools.chain.from_iterable(places), dtype=np.int64).reshape(-1, types - 1)
    edges = np.column_stack([np.full(len(bars), -1), bars, np.full(len(bars), LAYERS + types - 1)])
    counts = np.diff(edges, axis=1) - 1
    estimates = counts / LAYERS @ COSTS
    values = estimates / np.linalg.norm(estimates, axis=0) * WEIGHTS
    to_ideal = np.linalg.norm(values - values.min(axis=0), axis=1)
    to_anti_ideal = np.linalg.norm(values - values.max(axis=0), axis=1)
    return counts[np.argmax(to_anti_ideal / (to_ideal + to_anti_ideal))]


times = []
for _ in range(5):
    start = time.perf_counter()
    winner = plan()
    times.append((time.perf_counter() - start) * 1000)
print(f"{statistics.median(times):.1f} ms, winner", *winner)
