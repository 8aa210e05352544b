'use strict';
// Draws the report from the artifacts in #data. What a file says reaches the page as text only, never as markup.

const data = JSON.parse(document.getElementById('data').textContent);
const $ = id => document.getElementById(id);

function element(tag, properties = {}, ...children) {
  const node = Object.assign(document.createElement(tag), properties);
  node.append(...children);
  return node;
}

// ---- figures as people read them ----------------------------------------------------------------------------------

const METRICS = [
  {key: 'memory', field: 'memory_bytes', title: 'Memory (MiB)', word: 'Memory', scale: 1 / 1048576, digits: 2, unit: 'MiB'},
  {key: 'latency', field: 'latency_ms', title: 'Latency (ms per token)', word: 'Latency', scale: 1, digits: 3, unit: 'ms/token'},
  {key: 'accuracy', field: 'perplexity', title: 'Perplexity', word: 'Perplexity', scale: 1, digits: 4, unit: ''},
];
const metricsOf = record => METRICS.map(metric => record[metric.field]);
const shown = (value, j) => Number.isFinite(value) ? (value * METRICS[j].scale).toFixed(METRICS[j].digits) : '—';
const percent = share => `${share < 0 ? '−' : '+'}${Math.abs(100 * share).toFixed(1)} %`;

function table(rows, {chosen = -1, caption = ''} = {}) {
  const [head, ...body] = rows;
  return element('table', {},
    ...(caption ? [element('caption', {}, caption)] : []),
    element('thead', {}, element('tr', {}, ...head.map(cell => element('th', {scope: 'col'}, cell)))),
    element('tbody', {}, ...body.map((row, r) => element('tr', {className: r === chosen ? 'chosen' : ''},
      ...row.map(cell => element('td', {}, cell))))));
}

function missing(section, command) {
  const content = $(section).querySelector('.content');
  content.replaceChildren(element('p', {className: 'missing'}, 'Not run yet: ', element('code', {}, command)));
}

const quoted = word => /^[\w@%+=:,./-]+$/.test(word) ? word : `'${word.replaceAll("'", `'\\''`)}'`;
const model = quoted(data.model_file);
const inWorkspace = data.workspace ? ` -C ${quoted(data.workspace)}` : '';

// ---- charts -------------------------------------------------------------------------------------------------------

const config = {
  background: null,
  font: 'system-ui, "DejaVu Sans", sans-serif',
  view: {stroke: null},
  axis: {labelColor: 'currentColor', titleColor: 'currentColor', domainColor: 'currentColor', tickColor: 'currentColor',
    gridColor: 'currentColor', gridOpacity: 0.13, domainOpacity: 0.5, labelFontSize: 11, titleFontSize: 12, titleFontWeight: 500},
  legend: {labelColor: 'currentColor', titleColor: 'currentColor', orient: 'top', title: null, labelFontSize: 12, symbolSize: 90},
  text: {color: 'currentColor'},
};

const tooltip = document.body.appendChild(element('div', {id: 'vg-tooltip', hidden: true}));
function showTooltip(_, event, __, value) {
  tooltip.hidden = !value;
  if (!value) return;
  tooltip.textContent = typeof value === 'object' ? Object.entries(value).map(([k, v]) => `${k}: ${v}`).join('\n') : value;
  tooltip.style.left = `${Math.min(event.pageX + 12, document.documentElement.scrollWidth - tooltip.offsetWidth - 8)}px`;
  tooltip.style.top = `${event.pageY + 12}px`;
}

/// Draws a Vega-Lite `spec` in `place` and returns its view, whose data can be changed.
function chart(place, description, spec) {
  const full = {$schema: 'https://vega.github.io/schema/vega-lite/v5.json', description, width: 'container', height: 230,
    autosize: {type: 'fit', contains: 'padding'}, config, ...spec};
  const view = new vega.View(vega.parse(vegaLite.compile(full).spec),
    {renderer: 'svg', container: place, hover: true, logLevel: vega.Error, tooltip: showTooltip});
  view.runAsync();
  return view;
}

const series = {  // shape tells what colour tells
  domain: ['uniform', 'mixed', 'dominated', 'this plan', 'front', 'front, everything'],
  colours: ['#d55e00', '#0072b2', '#8a939c', '#cc79a7', '#009e73', '#e69f00'],
  shapes: ['square', 'circle', 'cross', 'diamond', 'triangle-up', 'triangle-down'],
};

function scaleOf(values) {
  const low = Math.min(...values), high = Math.max(...values);
  const room = (high - low || Math.abs(high) || 1) * 0.08;
  return {zero: false, nice: false, domain: [low - room, high + room]};
}

/// Points {series, name, memory_bytes, latency_ms, perplexity} by two metrics. Named data set `points`.
function scatter(place, points, jx, jy, range = points) {
  const [x, y] = [METRICS[jx], METRICS[jy]];
  const axis = (j, metric) => ({field: metric.key, type: 'quantitative', title: metric.title,
    scale: scaleOf(range.map(point => point[metric.key]))});
  const used = series.domain.filter(name => [...points, ...range].some(point => point.series === name));
  const look = what => used.map(name => series[what][series.domain.indexOf(name)]);
  return chart(place, `${y.word} against ${x.word.toLowerCase()}`, {
    data: {name: 'points', values: points},
    encoding: {x: axis(jx, x), y: axis(jy, y)},
    layer: [
      {mark: {type: 'point', filled: true, size: 80, opacity: 0.9}, encoding: {
        color: {field: 'series', scale: {domain: used, range: look('colours')}, legend: {columns: 3}},
        shape: {field: 'series', scale: {domain: used, range: look('shapes')}, legend: {columns: 3}},
        tooltip: ['name', 'memory', 'latency', 'accuracy'].map(field => ({field}))}},
      // The names of many types would hide each other; pointing at one shows it.
      {transform: [{filter: range.filter(({series}) => series === 'uniform').length > 8 ? "datum.series === 'this plan'"
        : "datum.series === 'uniform' || datum.series === 'this plan'"}],
        mark: {type: 'text', dy: -11, fontSize: 11}, encoding: {text: {field: 'name'}}},
    ],
  });
}

const point = (name, kind, metrics) =>
  ({name, series: kind, ...Object.fromEntries(METRICS.map((metric, j) => [metric.key, Number(shown(metrics[j], j))]))});

const VIEWS = [[0, 2], [1, 2], [0, 1]];
const placesIn = id => VIEWS.map(() => $(id).appendChild(element('div', {className: 'chart'})));

// ---- layers -------------------------------------------------------------------------------------------------------

/// {block, part} of "blk.3.attn", or of a finer group such as "blk.3.attn_q".
function layerPlace(name) {
  const match = /^blk\.(\d+)\.([\w+]+)$/.exec(name);
  return match ? {block: Number(match[1]), part: {attn: 'attention', ffn: 'FFN'}[match[2]] ?? match[2]}
    : {block: 0, part: name};
}

/// The types of the layers, a cell each. Named data set `layers`.
function layerPicture(place, types, rows) {
  const byPrecision = [...types].sort((a, b) => b.bits - a.bits).map(type => type.name);
  const blocks = 1 + Math.max(...rows.map(row => row.block));
  const columns = Math.max(1, Math.min(6, Math.floor(place.clientWidth / (types.length > 6 ? 130 : 60))));
  return chart(place, 'Type of every layer: blocks from left to right, attention above FFN', {
    height: 60 + 16 * Math.ceil(types.length / columns) + 30 * new Set(rows.map(row => row.part)).size,
    data: {name: 'layers', values: rows},
    encoding: {x: {field: 'block', type: 'ordinal', title: 'Block', axis: {labelAngle: 0, labelOverlap: true}},
      y: {field: 'part', type: 'nominal', title: null, sort: ['attention', 'FFN']}},
    transform: [{calculate: "split(datum.type, '+')[0]", as: 'short'}],
    layer: [
      {mark: {type: 'rect', stroke: 'white', strokeOpacity: 0.5}, encoding: {
        color: {field: 'type', type: 'ordinal', scale: {domain: byPrecision, scheme: 'viridis', reverse: true},
          legend: {columns, symbolLimit: 0}},
        tooltip: [{field: 'layer'}, {field: 'type'}]}},
      ...(blocks > 16 ? [] : [{mark: {type: 'text', fontSize: 10}, encoding: {text: {field: 'short'},
        color: {condition: {test: `indexof(${JSON.stringify(byPrecision)}, datum.type) < ${byPrecision.length / 2}`,
          value: '#000'}, value: '#fff'}}}]),
    ],
  });
}

// ---- the method, as the program does it (src/decide/distributions.cpp) ----------------------------------------------

const dot = (a, b) => a[0] * b[0] + a[1] * b[1] + a[2] * b[2];
const plus = (a, factor, b) => [a[0] + factor * b[0], a[1] + factor * b[1], a[2] + factor * b[2]];

/// About a second: more is only needed where very many distributions are nearly equal.
const MOST_STEPS = 5e6;

/// TOPSIS over all ways to give `layers` to the types, without visiting them: branch and bound as in the program, for one
/// winner, and within limits.
class Ranker {
  constructor(layers, costs) {
    this.costs = costs;
    this.layers = layers;
    const types = costs.length;
    this.size = 1;
    for (let n = 1; n < types; ++n) this.size = this.size * (layers + n) / n;
    this.size = Math.round(this.size);
    const mixed = layers * (layers - 1) / (types * (types + 1));
    const squared = 2 * mixed + layers / types;
    this.norm = [0, 1, 2].map(j => {  // without the root of the number of distributions, which changes no closeness
      let sum = 0, squares = 0;
      for (const cost of costs) {
        sum += cost[j];
        squares += cost[j] * cost[j];
      }
      return Math.sqrt(mixed * sum * sum + (squared - mixed) * squares) / layers;
    });
    this.low = [0, 1, 2].map(j => Math.min(...costs.map(cost => cost[j])));
    this.high = [0, 1, 2].map(j => Math.max(...costs.map(cost => cost[j])));
  }

  closeness(estimate, weights) {
    let ideal = 0, antiIdeal = 0, range = 0, top = 0;
    for (let j = 0; j < 3; ++j) {
      const unit = weights[j] / this.norm[j];
      ideal += ((estimate[j] - this.low[j]) * unit) ** 2;
      antiIdeal += ((estimate[j] - this.high[j]) * unit) ** 2;
      range += ((this.high[j] - this.low[j]) * unit) ** 2;
      top += (this.high[j] * unit) ** 2;
    }
    if (range <= 1e-26 * top) return 1;
    return Math.sqrt(antiIdeal) / (Math.sqrt(ideal) + Math.sqrt(antiIdeal));
  }

  /// The best distribution within `limits` (one per metric, Infinity: none), null if there is none, undefined if very many
  /// are nearly equal.
  best(weights, limits) {
    this.weights = weights;
    this.limits = limits;
    this.winner = null;
    this.steps = 0;
    const unit = [0, 1, 2].map(j => weights[j] / this.norm[j]);
    const range = [0, 1, 2].map(j => (this.high[j] - this.low[j]) * unit[j]);
    const size = Math.hypot(...range), top = Math.hypot(...this.high.map((high, j) => high * unit[j]));
    const equal = size <= 1e-13 * top;
    this.noise = equal ? 0 : (this.costs.length + 8) * 4e-16 * top / size;
    this.range = range.map(side => equal ? 0 : side / size);
    const limited = [0, 1, 2].filter(j => limits[j] < this.high[j]);
    // Of types that are the same in everything the earlier one wins.
    this.types = this.costs.map((cost, i) => ({
      type: i,
      place: [0, 1, 2].map(j => equal ? 0 : (cost[j] - this.low[j]) * unit[j] / size),
      over: limited.map(j => (cost[j] - limits[j]) / (this.high[j] - this.low[j])),  // Σ z_i over_i ≤ 0 keeps a limit
      share: 0, bound: 0, count: 0,
    })).filter(({type}) => this.costs.findIndex(cost => cost.every((value, j) => value === this.costs[type][j])) === type);
    if (limited.some((_, m) => this.types.every(({over}) => over[m] > 0))) return null;
    if (this.types.length === 1) {
      this.types[0].count = this.layers;
      this.consider();
      return this.winner;
    }
    this.pressure = limited.map(() => 0);
    const at = place => Math.hypot(...plus(place, -1, this.range)) / (Math.hypot(...place) + Math.hypot(...plus(place, -1, this.range)));
    this.types[0].share = 1;
    this.climb(0.5);
    let most = equal ? 1 : at(this.point);
    for (let round = 0; round < 20 && most > 0.5 && !equal; ++round) {
      this.climb(most);
      const closer = at(this.point);
      if (closer <= most + 1e-12) break;
      most = closer;
    }
    for (let depth = 1e-9; ; depth *= 8) {
      this.floor = most - depth;
      this.winner = null;
      this.raiseBar();
      this.setBounds();
      this.visit(0, this.layers, 0, 0, 0, limited.map(() => 0), 0);
      if (this.steps > MOST_STEPS) return undefined;
      if (this.floor <= 0 || (this.winner && this.winner.closeness >= this.floor)) return this.winner;
    }
  }

  raiseBar() {
    this.bar = Math.max(0, Math.max(this.floor, this.winner ? this.winner.closeness : 0) - 2e-12 - this.noise);
    this.near = this.bar * this.bar;
    this.far = (1 - this.bar) * (1 - this.bar);
  }

  f(x, y, z, size) {
    const {near, far, range} = this;
    const a = x - size * range[0], b = y - size * range[1], c = z - size * range[2];
    return far * (a * a + b * b + c * c) - near * (x * x + y * y + z * z);
  }

  /// The point of the hull where f is greatest, and the pressure (multiplier) of each limit there: an augmented Lagrangian,
  /// climbed by pairwise Frank-Wolfe steps. Any point and any pressure of 0 or more give a valid bound.
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
        this.point = types.reduce((sum, {share, place}) => plus(sum, share, place), [0, 0, 0]);
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
        let low = 0, high = types[from].share;
        if (along(high) > 0) {
          for (let halving = 0; halving < 50; ++halving) {
            const middle = (low + high) / 2;
            if (along(middle) > 0) high = middle; else low = middle;
          }
          types[from].share -= low;
          types[to].share += low;
          if (low === 0) break;
        } else {
          types[to].share += high;
          types[from].share = 0;
        }
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
      const slope = plus([0, 1, 2].map(j => (2 * bar - 1) * this.point[j]), this.far, this.range);
      const size = Math.hypot(...slope);
      const slack = size > 0 ? this.f(...this.point, 1) / (bar * (1 - bar) + size) : 0;
      for (const type of types)
        type.bound = size > 0 ? slack - (dot(slope, plus(type.place, -1, this.point)) + pressed(type)) / size : 0;
    } else {
      for (const type of types) type.bound = this.f(...type.place, 1) - 2 * pressed(type);
    }
    types.sort((a, b) => a.bound - b.bound);
    let after = types.at(-1).place, over = types.at(-1).over;
    for (const type of types.toReversed()) {
      type.leastAfter = after;
      type.leastOver = over;
      after = after.map((side, j) => Math.min(side, type.place[j]));
      over = over.map((value, m) => Math.min(value, type.over[m]));
    }
  }

  visit(t, left, x, y, z, over, bound) {
    const {types, layers} = this;
    if (t + 2 === types.length) return this.visitLastTwo(left, x, y, z, over);
    const {place, bound: own, leastAfter, over: mine, leastOver} = types[t];
    for (let count = 0; count <= left; ++count) {
      if (++this.steps > MOST_STEPS) return;
      const rest = left - count, given = bound + count * own;
      if (given + rest * types.at(-1).bound < -1e-13 * layers) break;
      const a = x + count * place[0], b = y + count * place[1], c = z + count * place[2];
      if (this.f(a + rest * leastAfter[0], b + rest * leastAfter[1], c + rest * leastAfter[2], layers) < 0) continue;
      const next = over.map((sum, m) => sum + count * mine[m]);
      if (next.some((sum, m) => sum + rest * leastOver[m] > 1e-9 * layers)) continue;
      types[t].count = count;
      this.visit(t + 1, rest, a, b, c, next, given);
    }
  }

  visitLastTwo(left, x, y, z, over) {
    const {types, layers, range, near, far} = this;
    const other = types.at(-2), last = types.at(-1);
    const start = plus([x, y, z], left, last.place), step = plus(other.place, -1, last.place);
    let first = 0, end = left;  // within the limits
    over.forEach((sum, m) => {
      const room = 1e-9 * layers - sum - left * last.over[m], slope = other.over[m] - last.over[m];
      if (slope > 0) end = Math.min(end, Math.floor(room / slope));
      else if (slope < 0) first = Math.max(first, Math.ceil(room / slope));
      else if (room < 0) end = -1;
    });
    if (first > end) return;
    const closeEnough = count => {
      const at = plus(start, count, step), fromAntiIdeal = plus(at, -layers, range);
      return far * dot(fromAntiIdeal, fromAntiIdeal) >= near * dot(at, at);
    };
    const lookAt = count => {
      if (++this.steps > MOST_STEPS) return;
      other.count = count;
      last.count = left - count;
      this.consider();
    };
    const curvature = (far - near) * dot(step, step);
    const slope = far * dot(step, plus(start, -layers, range)) - near * dot(step, start);
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
    const counts = this.costs.map(() => 0);
    for (const {type, count} of this.types) counts[type] = count;
    const estimate = [0, 0, 0];
    for (let j = 0; j < 3; ++j)
      for (let i = 0; i < counts.length; ++i) estimate[j] += counts[i] / this.layers * this.costs[i][j];
    if (estimate.some((value, j) => value > this.limits[j])) return;
    const candidate = {counts, estimate, closeness: this.closeness(estimate, this.weights)};
    if (this.winner && !this.better(candidate, this.winner)) return;
    this.winner = candidate;
    this.raiseBar();
  }

  better(a, b) {
    const rounded = (value, scale) => Math.round(value / scale * 1e12);
    if (rounded(a.closeness, 1) !== rounded(b.closeness, 1)) return a.closeness > b.closeness;
    for (let j = 0; j < 3; ++j) {
      const [costA, costB] = [a, b].map(({estimate}) => rounded(estimate[j], this.costs[0][j]));
      if (costA !== costB) return costA < costB;
    }
    const i = a.counts.findIndex((count, type) => count !== b.counts[type]);
    return i >= 0 && a.counts[i] > b.counts[i];
  }
}

/// The front method (src/decide/front_plan.cpp): TOPSIS over the Pareto front, min-max normalised.
class FrontRanker {
  constructor(front) {
    this.front = front;
    this.scale = [0, 1, 2].map(j => {
      let low = Infinity, high = -Infinity;
      for (const cost of front.points) {
        low = Math.min(low, cost[j]);
        high = Math.max(high, cost[j]);
      }
      return [low, high - low];
    });
  }

  best(weights, limits) {
    const {points, allocations, types} = this.front;
    const weighted = (cost, j) => this.scale[j][1] > 0 ? weights[j] * (cost[j] - this.scale[j][0]) / this.scale[j][1] : 0;
    const feasible = points.map((_, p) => p).filter(p =>
      points[p][0] <= limits[0] && points[p][1] <= limits[1] && points[p][3] <= limits[2]);
    if (!feasible.length) return null;
    const ends = [0, 1, 2].map(j => {
      let low = Infinity, high = -Infinity;
      for (const p of feasible) {
        const value = weighted(points[p], j);
        low = Math.min(low, value);
        high = Math.max(high, value);
      }
      return [low, high];
    });
    let winner = -1, closest = -1;
    for (const p of feasible) {
      let ideal = 0, antiIdeal = 0;
      for (let j = 0; j < 3; ++j) {
        const value = weighted(points[p], j);
        ideal += (value - ends[j][0]) * (value - ends[j][0]);
        antiIdeal += (value - ends[j][1]) * (value - ends[j][1]);
      }
      const both = Math.sqrt(ideal) + Math.sqrt(antiIdeal);
      const close = both > 0 ? Math.sqrt(antiIdeal) / both : 1;
      if (close > closest) [winner, closest] = [p, close];
    }
    const allocation = [...allocations[winner]].map(letter => types[letter.charCodeAt(0) - 97]);
    const [memory, latency, kld, perplexity] = points[winner];
    return {allocation, counts: types.map(type => allocation.filter(other => other === type).length),
      estimate: [memory, latency, perplexity], kld, closeness: closest};
  }
}

/// Algorithm 1: the most precise types to the layers of greatest contribution.
function allocate(counts, types, layers) {
  const byPrecision = types.map((_, i) => i).sort((a, b) => types[b].bits - types[a].bits || a - b);
  const order = layers.map((_, l) => l).sort((a, b) =>
    layers[b].score - layers[a].score || layers[a].mean_similarity - layers[b].mean_similarity || a - b);
  const allocation = new Array(layers.length);
  let next = 0;
  for (const i of byPrecision) for (let n = 0; n < counts[i]; ++n) allocation[order[next++]] = types[i].name;
  return allocation;
}

const DEFAULT_TYPES = 'q3_K,q4_K,q5_K,q6_K,q8_0';

// ---- sections -----------------------------------------------------------------------------------------------------

function drawExplorer() {
  const {profile, scores} = data;
  const front = data.front && new FrontRanker(data.front);
  if (!profile || (!scores && !front)) return missing('explorer', `apreqel run ${model} -o mixed.gguf`);
  const layers = scores?.layers ?? data.front.layers.map(layer => ({layer}));
  const types = profile.types.map(type => ({name: type.type, bits: type.bits_per_weight, metrics: metricsOf(type)}));
  const ranker = new Ranker(profile.layers, types.map(type => type.metrics));
  const method = element('select', {id: 'method'},
    ...(scores ? [element('option', {value: 'paper'}, 'paper: TOPSIS')] : []),
    ...(front ? [element('option', {value: 'front'}, 'front: sensitivity')] : []));
  method.addEventListener('change', update);
  $('methods').append(element('label', {}, 'Method', method));
  const weights = METRICS.map(metric => {
    const value = element('output', {});
    const slider = element('input', {type: 'range', min: 0, max: 1, step: 0.01, id: `weight-${metric.key}`});
    $('sliders').append(element('label', {}, `${metric.key[0].toUpperCase()}${metric.key.slice(1)}`, slider, value));
    slider.addEventListener('input', update);
    return {slider, value};
  });
  const limits = METRICS.map((metric, j) => {
    const input = element('input', {type: 'number', min: 0, step: 'any', id: `limit-${metric.key}`, placeholder: 'none'});
    $('limits').append(element('label', {}, metric.key === 'accuracy' ? 'Perplexity at most'
      : `${metric.word} at most (${metric.unit})`, input));
    input.addEventListener('input', update);
    return input;
  });
  const presets = Object.entries(data.presets).map(([name, preset]) => {
    const button = element('button', {type: 'button'}, name);
    button.addEventListener('click', () => {
      weights.forEach(({slider}, j) => { slider.value = preset[j]; });
      update();
    });
    $('presets').append(button);
    return {button, preset};
  });
  $('controls').addEventListener('submit', event => event.preventDefault());
  weights.forEach(({slider}, j) => { slider.value = presets[0].preset[j]; });

  const uniform = types.map(type => point(type.name, 'uniform', type.metrics));
  const range = [...uniform, {series: 'this plan', ...uniform[0]}, {...uniform[0], series: 'this plan'}];
  const places = placesIn('places').map((place, v) => scatter(place, uniform, ...VIEWS[v], range));
  const groups = [...layers.map(({layer}) => layer), ...(data.front?.layers ?? [])];
  const picture = layerPicture($('layers-chart'), types,
    groups.map(layer => ({...layerPlace(layer), layer, type: types[0].name})));
  let plan = null;
  $('download').addEventListener('click', () => {
    const blob = new Blob([JSON.stringify(plan, null, 2)], {type: 'application/json'});
    const link = element('a', {href: URL.createObjectURL(blob), download: 'plan.json'});
    link.click();
    URL.revokeObjectURL(link.href);
  });
  update();

  function update() {
    const chosen = weights.map(({slider}) => Number(slider.value));
    weights.forEach(({value}, j) => { value.textContent = chosen[j].toFixed(2); });
    for (const {button, preset} of presets)
      button.setAttribute('aria-pressed', preset.every((weight, j) => Math.abs(weight - chosen[j]) < 0.005));
    const bounds = limits.map((input, j) => input.value === '' ? Infinity : Number(input.value) / METRICS[j].scale);
    const limited = bounds.some(Number.isFinite);
    const onFront = method.value === 'front';
    const found = chosen.every(weight => weight === 0) ? null : (onFront ? front : ranker).best(chosen, bounds);
    plan = null;
    $('download').disabled = !found;
    if (!found) {
      $('plan').textContent = chosen.every(weight => weight === 0) ? 'All weights are 0: nothing to choose by.'
        : found === null ? 'No distribution keeps these limits.'
        : 'Too many distributions are nearly equal to choose among them in a browser.';
      $('plan').dataset.plan = '';
      $('command').textContent = found === undefined && !limited
        ? `apreqel plan -C ${quoted(data.directory)} --weights ${chosen.join(',')}` : '';
      return;
    }
    const allocation = found.allocation ?? allocate(found.counts, types, layers);
    const typed = onFront ? data.front.layers : layers.map(({layer}) => layer);
    const names = onFront ? data.front.types : types.map(type => type.name);
    plan = {schema: 'apreqel.plan/1', model: profile.model, model_name: profile.model_name,
      embedding_type: profile.embedding_type,
      allocation: typed.map((layer, l) => ({layer, type: allocation[l]}))};
    $('plan').dataset.plan = JSON.stringify({counts: found.counts, allocation});
    const count = number => number.toLocaleString('en');
    const thinned = onFront && data.front.points.length < data.front.size
      ? ` (${count(data.front.points.length)} of them on this page)` : '';
    const choices = onFront ? `${count(data.front.size)} plans on the front${thinned}, KL divergence ${found.kld.toFixed(5)}`
      : `${count(ranker.size)} distributions`;
    $('plan').replaceChildren(names.map((name, i) => [name, found.counts[i]]).filter(([, count]) => count)
      .map(([name, count]) => `${name} × ${count}`).join(', '),
    element('small', {}, `closeness ${found.closeness.toFixed(4)}, the best of ${choices}${limited ? ' within the limits' : ''}`));
    const against = (value, j, other) => `${shown(other, j)}  (${percent(value / other - 1)})`;
    $('estimates').replaceChildren(table([
      ['against', 'MiB', 'ms/token', 'perplexity', 'closeness'],
      ['the plan, estimated', ...found.estimate.map(shown), found.closeness.toFixed(4)],
      ...types.map(type => [type.name,
        ...type.metrics.map((other, j) => against(found.estimate[j], j, other)),
        onFront ? '' : ranker.closeness(type.metrics, chosen).toFixed(4)]),
    ], {chosen: 0}));
    const marked = [...uniform, point('plan', 'this plan', found.estimate)];
    for (const view of places) view.data('points', marked).runAsync();
    picture.data('layers', typed.map((layer, l) => ({...layerPlace(layer), layer, type: allocation[l]}))).runAsync();
    const flags = ['memory', 'latency'].map((name, j) => Number.isFinite(bounds[j]) ? ` --max-${name} ${bounds[j]}` : '').join('');
    // run chooses among the types it is given, and with an importance matrix gives it to all of them.
    const weighed = names.some(name => name.includes('+'));
    const saved = weighed || (onFront ? Number.isFinite(bounds[2]) : limited);
    const choice = names.join() === DEFAULT_TYPES ? '' : ` --types ${quoted(names.join())}`;
    $('command').textContent = saved
      ? `# save the plan below, then:\napreqel quantize ${model} --plan plan.json${inWorkspace}${weighed ? ' --imatrix auto' : ''} -o mixed.gguf`
      : `apreqel run ${model}${inWorkspace}${onFront ? ' --method front' : ''} --weights ${chosen.join(',')}${choice}${flags} -o mixed.gguf`;
  }
}

const MEASURED_HEAD = ['', 'MiB', 'bpw', 'ms/token', 'interval', 'perplexity', 'KL divergence'];
function measuredRow(name, record) {
  const interval = record.latency_ms_interval;
  const coverage = record.latency_ms_confidence ? ` (${(100 * record.latency_ms_confidence).toFixed(1)} %)` : '';
  return [name, shown(record.memory_bytes, 0), record.file_bits_per_weight?.toFixed(2) ?? '—', shown(record.latency_ms, 1),
    interval ? `${shown(interval[0], 1)} – ${shown(interval[1], 1)}${coverage}` : '—', shown(record.perplexity, 2),
    record.kl_divergence === undefined ? '—' : record.kl_divergence.toFixed(5)];
}

function drawResult() {
  const {run} = data;
  if (!run) return missing('result', `apreqel run ${model} -o mixed.gguf`);
  const predicted = metricsOf(run.plan.estimate), measured = metricsOf(run.mix);
  $('result-summary').textContent = `${run.mix.name}: `
    + METRICS.map((metric, j) => `${metric.word.toLowerCase()} ${percent(measured[j] / predicted[j] - 1)}`).join(', ')
    + ' against the prediction.';
  $('result-table').append(table([MEASURED_HEAD,
    ['predicted', shown(predicted[0], 0), '—', shown(predicted[1], 1), '—', shown(predicted[2], 2), '—'],
    measuredRow('measured', run.mix),
    ...run.uniform.map(variant => measuredRow(variant.name, variant)),
    measuredRow('full precision', run.reference)], {chosen: 1}));
}

function drawContribution() {
  const {scores} = data;
  if (!scores) return missing('contribution', `apreqel score ${model}`);
  const rows = scores.layers.map(layer => ({...layerPlace(layer.layer), ...layer}));
  chart($('similarity-chart'), 'Mean cosine similarity by block, for attention and FFN', {
    data: {values: rows},
    mark: {type: 'line', point: {filled: true, size: 70}},
    encoding: {
      x: {field: 'block', type: 'quantitative', title: 'Block', scale: {nice: false},
        axis: {format: 'd', values: rows.map(row => row.block).filter(block => block % Math.ceil(rows.length / 32) === 0)}},
      y: {field: 'mean_similarity', type: 'quantitative', title: 'Mean cosine similarity', scale: {zero: false}},
      color: {field: 'part', scale: {domain: ['attention', 'FFN'], range: ['#d55e00', '#0072b2']}},
      shape: {field: 'part', scale: {domain: ['attention', 'FFN'], range: ['square', 'circle']}},
      tooltip: [{field: 'layer'}, {field: 'mean_similarity', format: '.4f'}, {field: 'score'}],
    },
  });
}

function drawUniform() {
  const {profile} = data;
  if (!profile) return missing('uniform', `apreqel profile ${model}`);
  const rows = profile.types.map(type => ({...point(type.type, 'uniform', metricsOf(type)),
    low: type.latency_ms_interval?.[0] ?? type.latency_ms, high: type.latency_ms_interval?.[1] ?? type.latency_ms}));
  chart($('uniform-chart'), 'Latency against memory of the uniform types, with intervals of the median', {
    data: {values: rows},
    encoding: {x: {field: 'memory', type: 'quantitative', title: METRICS[0].title, scale: scaleOf(rows.map(row => row.memory))}},
    layer: [
      {mark: {type: 'rule', strokeWidth: 2, color: '#d55e00', opacity: 0.6}, encoding: {
        y: {field: 'low', type: 'quantitative', title: METRICS[1].title, scale: {zero: false}}, y2: {field: 'high'}}},
      {mark: {type: 'point', shape: 'square', filled: true, size: 80, color: '#d55e00'},
        encoding: {y: {field: 'latency', type: 'quantitative'}, tooltip: ['name', 'memory', 'latency', 'accuracy'].map(field => ({field}))}},
      ...(rows.length > 8 ? [] : [{mark: {type: 'text', dx: 10, align: 'left', fontSize: 12},
        encoding: {y: {field: 'latency', type: 'quantitative'}, text: {field: 'name'}}}]),
    ],
  });
  $('uniform-table').append(table([MEASURED_HEAD, ...profile.types.map(type => measuredRow(type.type, type))]));
}

function drawStudy() {
  const {study} = data;
  if (!study) return missing('study', `apreqel study ${model}`);
  const [paper] = study.orders;
  const mixed = paper.models.map(m => study.models[m]);
  const all = [...study.uniform, ...mixed].map(metricsOf);
  const dominated = all.map(a => all.some(b => b.every((v, j) => v <= a[j]) && b.some((v, j) => v < a[j])));
  const points = [
    ...mixed.map((record, s) => point(`${study.settings[s].category}, setting ${s + 1}`,
      dominated[study.uniform.length + s] ? 'dominated' : 'mixed', metricsOf(record))),
    ...(study.sets ?? []).filter(set => series.domain.includes(set.name)).flatMap(set => set.models.map((m, s) =>
      point(`${set.name}, ${s + 1}`, set.name, metricsOf(study.models[m])))),
    ...study.uniform.map(record => point(record.name, 'uniform', metricsOf(record))),
  ];
  placesIn('fronts').forEach((place, v) => scatter(place, points, ...VIEWS[v]));

  const planned = [{name: 'mixed', candidates: study.settings, models: paper.models},
    ...(study.sets ?? []).filter(set => series.domain.includes(set.name) && set.candidates.length)];
  const errorPlaces = METRICS.map(() => $('errors').appendChild(element('div', {className: 'chart'})));
  METRICS.forEach((metric, j) => {
    const pairs = planned.flatMap(set => set.models.map((m, s) => ({name: `${set.name}, ${s + 1}`, series: set.name,
      estimated: set.candidates[s].estimate[metric.field] * metric.scale, measured: study.models[m][metric.field] * metric.scale})));
    const scale = scaleOf(pairs.flatMap(pair => [pair.estimated, pair.measured]));
    const look = what => planned.map(set => series[what][series.domain.indexOf(set.name)]);
    const names = planned.map(set => set.name);
    chart(errorPlaces[j], `${metric.word}: estimated and measured`, {layer: [
      {data: {values: scale.domain.map(v => ({v}))}, mark: {type: 'line', strokeDash: [4, 4], color: 'currentColor', opacity: 0.5},
        encoding: {x: {field: 'v', type: 'quantitative', scale, title: `Estimated: ${metric.title}`},
          y: {field: 'v', type: 'quantitative', scale, title: 'Measured'}}},
      {data: {values: pairs}, mark: {type: 'point', filled: true, size: 60, opacity: 0.8},
        encoding: {x: {field: 'estimated', type: 'quantitative'}, y: {field: 'measured', type: 'quantitative'},
          color: {field: 'series', scale: {domain: names, range: look('colours')}, legend: {columns: 3}},
          shape: {field: 'series', scale: {domain: names, range: look('shapes')}, legend: {columns: 3}},
          tooltip: [{field: 'name'}, {field: 'estimated', format: '.4f'}, {field: 'measured', format: '.4f'}]}},
    ]});
  });

  const categories = [...new Set(study.settings.map(setting => setting.category))];
  chart($('bits-chart'), 'Bits per weight of each category: every model, the mean and the standard deviation', {
    height: 200,
    layer: [
      {data: {values: study.uniform.map(record => ({bits: record.file_bits_per_weight, name: record.name}))},
        encoding: {x: {field: 'bits', type: 'quantitative', title: 'Bits per weight of the file', scale: {zero: false}}},
        layer: [{mark: {type: 'rule', color: '#d55e00', strokeDash: [3, 3]}},
          {mark: {type: 'text', y: 0, dy: -6, fontSize: 11}, encoding: {text: {field: 'name'}}}]},
      {data: {values: mixed.map((record, s) => ({bits: record.file_bits_per_weight, category: study.settings[s].category}))},
        encoding: {y: {field: 'category', sort: categories, title: null}},
        layer: [
          {mark: {type: 'errorbar', extent: 'stdev', thickness: 2, color: 'currentColor'},
            encoding: {x: {field: 'bits', type: 'quantitative', title: 'Bits per weight of the file'}}},
          {mark: {type: 'point', size: 40, color: '#0072b2', opacity: 0.7}, encoding: {x: {field: 'bits', type: 'quantitative'}}},
          {mark: {type: 'point', shape: 'diamond', filled: true, size: 120, color: '#0072b2', opacity: 1},
            encoding: {x: {field: 'bits', aggregate: 'mean'}}},
        ]},
    ],
  });

  const orders = [...study.orders, ...(study.sets ?? []).map(set => ({...set, order: set.name}))]
    .filter(order => order.hypervolume_gain !== undefined).map(order => ({order: order.order,
      gain: order.hypervolume_gain, low: order.hypervolume_gain_interval?.[0] ?? order.hypervolume_gain,
      high: order.hypervolume_gain_interval?.[1] ?? order.hypervolume_gain}));
  if (orders.length === 0) {
    $('orders-chart').append(element('p', {className: 'note'},
      'There is no gain to state: no uniform type is better than the worst one in every metric.'));
  } else {
    chart($('orders-chart'), 'Hypervolume gain of each order of layers', {
      height: {step: 26},
      data: {values: orders},
      encoding: {y: {field: 'order', sort: orders.map(order => order.order), title: null}},
      layer: [
        {mark: {type: 'rule', strokeWidth: 3, opacity: 0.45, color: '#0072b2'},
          encoding: {x: {field: 'low', type: 'quantitative', title: 'Hypervolume gain', axis: {format: '+.0%'}}, x2: {field: 'high'}}},
        {mark: {type: 'point', filled: true, size: 90, color: '#0072b2', opacity: 1},
          encoding: {x: {field: 'gain', type: 'quantitative'}, tooltip: [{field: 'order'}, {field: 'gain', format: '+.2%'}]}},
      ],
    });
  }
  for (const {title, rows, note} of data.tables ?? [])
    $('tables').append(element('h3', {}, title), element('div', {className: 'scroll'}, table(rows)),
      element('p', {className: 'note'}, note));
}

function drawProvenance() {
  const {profile, scores, study} = data;
  const facts = [
    ['Model', data.model_name], ['Fingerprint', profile?.model ?? scores?.model], ['File', data.model_file],
    ['Device', profile?.device], ['Evaluation text', profile?.text],
    ['Embedding and output', profile?.embedding_type],
    ['Prompts scored', scores && `${scores.prompts} prompts, ${scores.tokens} tokens: ${scores.prompts_source}; γ = ${scores.gamma}`],
    ['Measured with', profile?.version],
    ['Latency', profile?.types[0]?.latency_ms_samples && `median of ${profile.types[0].latency_ms_samples.length} rounds, interleaved`],
    ['Study', study && `${study.models.length} mixed and ${study.uniform.length} uniform models, ${study.device}`],
    ['Read from', data.directory], ['Made by', data.made_by],
  ];
  for (const [name, value] of facts) if (value) $('sources').append(element('dt', {}, name), element('dd', {}, String(value)));
}

document.title = `${data.model_name} · APreQEL report`;
$('model').textContent = data.model_name;
$('summary').textContent = [data.profile && `${data.profile.layers} layers`, data.profile?.device,
  data.profile && `${data.profile.types.length} uniform types measured`].filter(Boolean).join(' · ');
for (const draw of [drawExplorer, drawResult, drawContribution, drawUniform, drawStudy, drawProvenance]) draw();
