// ---- the paper's method, as the program does it (src/decide/leaders.cpp) --------------------------------------------

const least = (rows, j) => rows.reduce((low, row) => Math.min(low, row[j]), Infinity);
const most = (rows, j) => rows.reduce((high, row) => Math.max(high, row[j]), -Infinity);

/// TOPSIS over all ways to give `layers` to the types; `costs` has a row for each type, a column for each criterion.
class Ranker {
  constructor(layers, costs) {
    this.layers = layers;
    this.costs = costs;
    const types = costs.length;
    this.size = 1;
    for (let n = 1; n < types; ++n) this.size = this.size * (layers + n) / n;
    this.size = Math.round(this.size);
    this.low = costs[0].map((_, j) => least(costs, j));
    this.high = costs[0].map((_, j) => most(costs, j));
    const mixed = layers * (layers - 1) / (types * (types + 1));
    const squared = 2 * mixed + layers / types;
    this.norm = this.high.map((high, j) => {  // without the root of the number of distributions, which changes no closeness
      let sum = 0, squares = 0;
      for (const cost of costs) {
        sum += cost[j];
        squares += cost[j] * cost[j];
      }
      return high > 0 ? Math.sqrt(mixed * sum * sum + (squared - mixed) * squares) / layers : 1;
    });
    // In units of the first type its own cost is a whole number, far from where a digit is rounded up or down.
    this.tieScale = this.high.map((high, j) => (costs[0][j] < 1e-6 * high ? high : costs[0][j]) || 1);
  }

  closeness(estimate, weights) {
    let ideal = 0, antiIdeal = 0, range = 0, top = 0;
    for (let j = 0; j < weights.length; ++j) {
      const unit = weights[j] / this.norm[j];
      ideal += ((estimate[j] - this.low[j]) * unit) ** 2;
      antiIdeal += ((estimate[j] - this.high[j]) * unit) ** 2;
      range += ((this.high[j] - this.low[j]) * unit) ** 2;
      top += (this.high[j] * unit) ** 2;
    }
    if (range <= 1e-26 * top) return 1;
    return Math.sqrt(antiIdeal) / (Math.sqrt(ideal) + Math.sqrt(antiIdeal));
  }

  candidate(counts, weights) {
    const estimate = weights.map(() => 0);
    for (let j = 0; j < estimate.length; ++j)
      for (let i = 0; i < counts.length; ++i) estimate[j] += counts[i] / this.layers * this.costs[i][j];
    return {counts, estimate, closeness: this.closeness(estimate, weights)};
  }

  better(a, b) {
    const rounded = (value, scale) => Math.round(value / scale * 1e12);
    if (rounded(a.closeness, 1) !== rounded(b.closeness, 1)) return a.closeness > b.closeness;
    for (let j = 0; j < this.tieScale.length; ++j) {
      const [costA, costB] = [a, b].map(({estimate}) => rounded(estimate[j], this.tieScale[j]));
      if (costA !== costB) return costA < costB;
    }
    const i = a.counts.findIndex((count, type) => count !== b.counts[type]);
    return i >= 0 && a.counts[i] > b.counts[i];
  }

  /// The best distribution within `limits` (one per criterion, Infinity: none), null if there is none, undefined if very many
  /// are nearly equal.
  best(weights, limits) {
    return new Search(this, weights, limits).run();
  }
}

