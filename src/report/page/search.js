// ---- branch and bound, as the program does it (src/decide/branch_and_bound.cpp), for one winner, and within limits ----

/// About a second: more is only needed where very many distributions are nearly equal.
const MOST_STEPS = 5e6;

const dot = (a, b) => {
  let sum = 0;
  for (let j = 0; j < a.length; ++j) sum += a[j] * b[j];
  return sum;
};
const plus = (a, factor, b) => a.map((value, j) => value + factor * b[j]);
const sizeOf = a => Math.sqrt(dot(a, a));

/// Looks for the best distribution without visiting all. Places are weighted costs, from the ideal at 0 to the anti-ideal at
/// `range`, whose size is 1; sums of them over layers are the places of distributions, times the number of layers.
class Search {
  constructor(ranker, weights, limits) {
    const {costs, low, high, norm} = ranker;
    Object.assign(this, {ranker, weights, limits, layers: ranker.layers, winner: null, steps: 0});
    const unit = weights.map((weight, j) => weight / norm[j]);
    const range = unit.map((factor, j) => (high[j] - low[j]) * factor);
    const size = sizeOf(range), top = sizeOf(unit.map((factor, j) => high[j] * factor));
    this.equal = size <= 1e-13 * top;
    this.noise = this.equal ? 0 : (costs.length + 8) * 4e-16 * top / size;
    this.range = Float64Array.from(range, side => this.equal ? 0 : side / size);
    this.limited = weights.map((_, j) => j).filter(j => limits[j] < high[j]);
    // Of types that are the same in everything the earlier one wins.
    this.types = costs.map((cost, i) => ({
      type: i,
      place: Float64Array.from(cost, (value, j) => this.equal ? 0 : (value - low[j]) * unit[j] / size),
      over: Float64Array.from(this.limited, j => (cost[j] - limits[j]) / (high[j] - low[j])),  // Σ z_i over_i ≤ 0 keeps a limit
      share: 0, bound: 0, count: 0,
    })).filter(({type}) => costs.findIndex(cost => cost.every((value, j) => value === costs[type][j])) === type);
    this.pressure = this.limited.map(() => 0);
    // Before each type: what the layers given to those before it add up to.
    this.sums = this.types.map(() => new Float64Array(weights.length));
    this.overs = this.types.map(() => new Float64Array(this.limited.length));
  }

  run() {
    if (this.limited.some((_, m) => this.types.every(({over}) => over[m] > 0))) return null;
    if (this.types.length === 1) {
      this.types[0].count = this.layers;
      this.consider();
      return this.winner;
    }
    const most = this.reach();
    for (let depth = 1e-9; ; depth *= 8) {
      this.floor = most - depth;
      this.winner = null;
      this.raiseBar();
      this.setBounds();
      this.visit(0, this.layers, 0);
      if (this.steps > MOST_STEPS) return undefined;
      if (this.floor <= 0 || (this.winner && this.winner.closeness >= this.floor)) return this.winner;
    }
  }

  /// The greatest closeness of any point of the hull.
  reach() {
    this.types[0].share = 1;
    this.climb(0.5);
    if (this.equal) return 1;
    const closeness = place => {
      const antiIdeal = sizeOf(plus(place, -1, this.range));
      return antiIdeal / (sizeOf(place) + antiIdeal);
    };
    let most = closeness(this.point);
    for (let round = 0; round < 20 && most > 0.5; ++round) {
      this.climb(most);
      const closer = closeness(this.point);
      if (closer <= most + 1e-12) break;
      most = closer;
    }
    return most;
  }

  raiseBar() {
    this.bar = Math.max(0, Math.max(this.floor, this.winner ? this.winner.closeness : 0) - 2e-12 - this.noise);
    this.near = this.bar * this.bar;
    this.far = (1 - this.bar) * (1 - this.bar);
  }

  /// Not negative where `start` + `count` · `step`, the place of `size` layers, is at least as close as the bar.
  margin(start, count, step, size) {
    const {range} = this;
    let ideal = 0, antiIdeal = 0;
    for (let j = 0; j < range.length; ++j) {
      const side = start[j] + count * step[j], rest = side - size * range[j];
      ideal += side * side;
      antiIdeal += rest * rest;
    }
    return this.far * antiIdeal - this.near * ideal;
  }

  /// The point of the hull where the margin is greatest for a bar of `c`, and the pressure (multiplier) of each limit there: an
  /// augmented Lagrangian, climbed by pairwise Frank-Wolfe steps. Any point and any pressure of 0 or more give a valid bound.
  climb(c) {
    const {types, range} = this;
    const stiffness = 10, far = (1 - c) * (1 - c), near = c * c;
    const curvature = Math.max(0, near - far);
    const slopes = types.map(({place}) => curvature > 0 ? far * dot(range, place)
      : (near * dot(place, place) - far * dot(plus(place, -1, range), plus(place, -1, range))) / 2);
    const pushed = this.pressure.map(pressure => pressure / stiffness);
    const rounds = pushed.length ? 30 : 1;
    for (let round = 0; round < rounds; ++round) {
      let over = pushed;
      for (let step = 0; step < 200; ++step) {
        this.point = types.reduce((sum, {share, place}) => plus(sum, share, place), range.map(() => 0));
        over = pushed.map((push, m) => types.reduce((sum, type) => sum + type.share * type.over[m], push));
        const slope = types.map(({place, over: mine}, i) => slopes[i] + curvature * dot(this.point, place)
          + mine.reduce((sum, value, m) => sum + stiffness * Math.max(0, over[m]) * value, 0));
        let to = 0, from = -1;
        for (let i = 0; i < types.length; ++i) {
          if (slope[i] < slope[to]) to = i;
          if (types[i].share > 0 && (from < 0 || slope[i] > slope[from])) from = i;
        }
        if (slope[from] - slope[to] <= 1e-15) break;
        const way = plus(types[to].place, -1, types[from].place);
        const along = gone => slopes[to] - slopes[from] + curvature * (dot(this.point, way) + gone * dot(way, way))
          + over.reduce((sum, value, m) => {
            const moved = types[to].over[m] - types[from].over[m];
            return sum + stiffness * Math.max(0, value + gone * moved) * moved;
          }, 0);
        const gone = rootOf(along, types[from].share);
        if (gone === 0) break;
        types[to].share += gone;
        types[from].share = gone === types[from].share ? 0 : types[from].share - gone;
      }
      over.forEach((value, m) => { pushed[m] = Math.max(0, value); });
    }
    this.pressure = pushed.map(push => push * stiffness);
  }

  /// The linear bound of the program, each limit's share of it added: Σ z_i bound_i < 0 rules a distribution out.
  setBounds() {
    const {bar, types, pressure} = this;
    this.climb(bar);
    const pressed = ({over}) => over.reduce((sum, value, m) => sum + pressure[m] * value, 0);
    if (bar > 0.5) {
      const slope = plus(this.point.map(side => (2 * bar - 1) * side), this.far, this.range);
      const size = sizeOf(slope);
      const slack = size > 0 ? this.margin(this.point, 0, this.point, 1) / (bar * (1 - bar) + size) : 0;
      for (const type of types)
        type.bound = size > 0 ? slack - (dot(slope, plus(type.place, -1, this.point)) + pressed(type)) / size : 0;
    } else {
      for (const type of types) type.bound = this.margin(type.place, 0, type.place, 1) - 2 * pressed(type);
    }
    types.sort((a, b) => a.bound - b.bound);
    let after = types.at(-1).place, over = types.at(-1).over;
    for (const type of types.toReversed()) {
      type.leastAfter = after;
      type.leastOver = over;
      after = after.map((side, j) => Math.min(side, type.place[j]));
      over = over.map((value, m) => Math.min(value, type.over[m]));
    }
    this.lastStep = plus(types.at(-2).place, -1, types.at(-1).place);
  }

  visit(t, left, bound) {
    const {types, layers} = this;
    if (t + 2 === types.length) return this.visitLastTwo(left);
    const {place, bound: own, leastAfter, over, leastOver} = types[t];
    const leastBound = types.at(-1).bound;
    const sum = this.sums[t], next = this.sums[t + 1], overSum = this.overs[t], nextOver = this.overs[t + 1];
    for (let count = 0; count <= left; ++count) {
      if (++this.steps > MOST_STEPS) return;
      const rest = left - count, given = bound + count * own;
      if (given + rest * leastBound < -1e-13 * layers) break;
      for (let j = 0; j < sum.length; ++j) next[j] = sum[j] + count * place[j];
      if (this.margin(next, rest, leastAfter, layers) < 0) continue;
      let within = true;
      for (let m = 0; m < overSum.length; ++m) {
        nextOver[m] = overSum[m] + count * over[m];
        within &&= nextOver[m] + rest * leastOver[m] <= 1e-9 * layers;
      }
      if (!within) continue;
      types[t].count = count;
      this.visit(t + 1, rest, given);
    }
  }

  visitLastTwo(left) {
    const {types, layers, range, near, far, lastStep} = this;
    const other = types.at(-2), last = types.at(-1);
    const start = plus(this.sums[types.length - 2], left, last.place);
    let first = 0, end = left;  // within the limits
    this.overs[types.length - 2].forEach((sum, m) => {
      const room = 1e-9 * layers - sum - left * last.over[m], slope = other.over[m] - last.over[m];
      if (slope > 0) end = Math.min(end, Math.floor(room / slope));
      else if (slope < 0) first = Math.max(first, Math.ceil(room / slope));
      else if (room < 0) end = -1;
    });
    if (first > end) return;
    const closeEnough = count => this.margin(start, count, lastStep, layers) >= 0;
    const lookAt = count => {
      if (++this.steps > MOST_STEPS) return;
      other.count = count;
      last.count = left - count;
      this.consider();
    };
    const curvature = (far - near) * dot(lastStep, lastStep);
    const slope = far * (dot(lastStep, start) - layers * dot(lastStep, range)) - near * dot(lastStep, start);
    const peaked = curvature < 0;
    const peak = peaked ? Math.min(end, Math.max(first, Math.round(-slope / curvature))) : first;
    let up = peak;
    for (; up <= end && closeEnough(up); ++up) lookAt(up);
    const stop = peaked ? first : up;
    if (peaked && up === peak) return;
    for (let down = peaked ? peak : end + 1; down > stop && closeEnough(down - 1); --down) lookAt(down - 1);
  }

  /// Evaluates the current counts by the plain formulas and keeps them if they are the best.
  consider() {
    const counts = this.ranker.costs.map(() => 0);
    for (const {type, count} of this.types) counts[type] = count;
    const candidate = this.ranker.candidate(counts, this.weights);
    if (candidate.estimate.some((value, j) => value > this.limits[j])) return;
    if (this.winner && !this.ranker.better(candidate, this.winner)) return;
    this.winner = candidate;
    this.raiseBar();
  }
}

/// Where an increasing function crosses 0 between 0 and `high`, from below; `high` if it does not.
function rootOf(f, high) {
  if (f(high) <= 0) return high;
  let low = 0;
  for (let halving = 0; halving < 50; ++halving) {
    const middle = (low + high) / 2;
    if (f(middle) > 0) high = middle; else low = middle;
  }
  return low;
}

