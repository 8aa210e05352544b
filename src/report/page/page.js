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
        color: {field: 'series', scale: {domain: used, range: look('colours')}},
        shape: {field: 'series', scale: {domain: used, range: look('shapes')}},
        tooltip: ['name', 'memory', 'latency', 'accuracy'].map(field => ({field}))}},
      {transform: [{filter: "datum.series === 'uniform' || datum.series === 'this plan'"}],
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
  return chart(place, 'Type of every layer: blocks from left to right, attention above FFN', {
    height: 150,
    data: {name: 'layers', values: rows},
    encoding: {x: {field: 'block', type: 'ordinal', title: 'Block', axis: {labelAngle: 0, labelOverlap: true}},
      y: {field: 'part', type: 'nominal', title: null, sort: ['attention', 'FFN']}},
    layer: [
      {mark: {type: 'rect', stroke: 'white', strokeOpacity: 0.5}, encoding: {
        color: {field: 'type', type: 'ordinal', scale: {domain: byPrecision, scheme: 'viridis', reverse: true}, legend: {columns: 6}},
        tooltip: [{field: 'layer'}, {field: 'type'}]}},
      ...(blocks > 16 ? [] : [{mark: {type: 'text', fontSize: 10}, encoding: {text: {field: 'type'},
        color: {condition: {test: `indexof(${JSON.stringify(byPrecision)}, datum.type) < ${byPrecision.length / 2}`,
          value: '#000'}, value: '#fff'}}}]),
    ],
  });
}

// ---- the method, as the program does it (src/decide/distributions.cpp) ----------------------------------------------

/// All ways to give `layers` to M types, M counts each, in the program's order; null if there are too many to keep.
function distributions(layers, types) {
  let total = 1;
  for (let n = 1; n < types; ++n) total = total * (layers + n) / n;
  total = Math.round(total);
  if (total > 1500000) return null;
  const counts = new Uint16Array(total * types);
  const current = new Uint16Array(types);
  let next = 0;
  (function visit(type, left) {
    if (type === types - 1) {
      current[type] = left;
      counts.set(current, next);
      next += types;
      return;
    }
    for (let count = 0; count <= left; ++count) {
      current[type] = count;
      visit(type + 1, left - count);
    }
  })(0, layers);
  return counts;
}

class Ranker {
  constructor(layers, costs) {
    this.costs = costs;
    this.types = costs.length;
    this.layers = layers;
    this.counts = distributions(layers, this.types);
    if (!this.counts) return;
    this.size = this.counts.length / this.types;
    this.estimates = new Float64Array(3 * this.size);
    for (let k = 0; k < this.size; ++k)
      for (let j = 0; j < 3; ++j) {
        let estimate = 0;
        for (let i = 0; i < this.types; ++i) estimate += this.counts[k * this.types + i] / layers * costs[i][j];
        this.estimates[3 * k + j] = estimate;
      }
    const mixed = layers * (layers - 1) / (this.types * (this.types + 1));
    const squared = 2 * mixed + layers / this.types;
    this.norm = [0, 1, 2].map(j => {
      let sum = 0, squares = 0;
      for (const cost of costs) {
        sum += cost[j];
        squares += cost[j] * cost[j];
      }
      return Math.sqrt(this.size * (mixed * sum * sum + (squared - mixed) * squares)) / layers;
    });
  }

  closeness(estimate, weights) {
    let ideal = 0, antiIdeal = 0;
    for (let j = 0; j < 3; ++j) {
      const weighted = value => value / this.norm[j] * weights[j];
      const value = weighted(estimate[j]);
      const best = weighted(Math.min(...this.costs.map(cost => cost[j])));
      const worst = weighted(Math.max(...this.costs.map(cost => cost[j])));
      ideal += (value - best) ** 2;
      antiIdeal += (value - worst) ** 2;
    }
    if (ideal < 1e-30 && antiIdeal < 1e-30) return 1;
    return Math.sqrt(antiIdeal) / (Math.sqrt(ideal) + Math.sqrt(antiIdeal));
  }

  /// The best distribution within `limits` (one per metric, Infinity: none), or null if there is none.
  best(weights, limits) {
    const {estimates, norm, costs, types} = this;
    const ends = [0, 1, 2].map(j => [Math.min, Math.max].map(end => end(...costs.map(cost => cost[j])) / norm[j] * weights[j]));
    let winner = -1, closest = 0;
    for (let k = 0; k < this.size; ++k) {
      let ideal = 0, antiIdeal = 0, fits = true;
      for (let j = 0; j < 3; ++j) {
        const estimate = estimates[3 * k + j];
        if (estimate > limits[j]) fits = false;
        const value = estimate / norm[j] * weights[j];
        ideal += (value - ends[j][0]) * (value - ends[j][0]);
        antiIdeal += (value - ends[j][1]) * (value - ends[j][1]);
      }
      if (!fits) continue;
      const both = Math.sqrt(ideal) + Math.sqrt(antiIdeal);
      const close = ideal < 1e-30 && antiIdeal < 1e-30 ? 1 : Math.sqrt(antiIdeal) / both;
      if (winner >= 0 && close < closest - 1e-11) continue;
      if (winner >= 0 && !this.better(k, close, winner, closest)) continue;
      winner = k;
      closest = close;
    }
    if (winner < 0) return null;
    return {counts: [...this.counts.subarray(winner * types, (winner + 1) * types)],
      estimate: [...estimates.subarray(3 * winner, 3 * winner + 3)], closeness: closest};
  }

  better(a, closeA, b, closeB) {
    const rounded = (value, scale) => Math.round(value / scale * 1e12);
    if (rounded(closeA, 1) !== rounded(closeB, 1)) return closeA > closeB;
    for (let j = 0; j < 3; ++j) {
      const [costA, costB] = [a, b].map(k => rounded(this.estimates[3 * k + j], this.costs[0][j]));
      if (costA !== costB) return costA < costB;
    }
    for (let i = 0; i < this.types; ++i) {
      const difference = this.counts[a * this.types + i] - this.counts[b * this.types + i];
      if (difference) return difference > 0;
    }
    return false;
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

// ---- sections -----------------------------------------------------------------------------------------------------

function drawExplorer() {
  const {profile, scores} = data;
  const front = data.front && new FrontRanker(data.front);
  if (!profile || (!scores && !front)) return missing('explorer', `apreqel run ${model} -o mixed.gguf`);
  const layers = scores?.layers ?? data.front.layers.map(layer => ({layer}));
  const types = profile.types.map(type => ({name: type.type, bits: type.bits_per_weight, metrics: metricsOf(type)}));
  const ranker = new Ranker(profile.layers, types.map(type => type.metrics));
  const paper = scores && ranker.counts;
  if (!paper && !front) {
    $('explorer').querySelector('.content').replaceChildren(element('p', {className: 'missing'},
      'Too many distributions to rank in a browser. In a terminal: ',
      element('code', {}, `apreqel plan -C ${quoted(data.directory)} --weights balanced`)));
    return;
  }

  const method = element('select', {id: 'method'},
    ...(paper ? [element('option', {value: 'paper'}, 'paper: TOPSIS')] : []),
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
  const picture = layerPicture($('layers-chart'), types,
    layers.map(layer => ({...layerPlace(layer.layer), layer: layer.layer, type: types[0].name})));
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
        : 'No distribution keeps these limits.';
      $('plan').dataset.plan = '';
      $('command').textContent = '';
      return;
    }
    const allocation = found.allocation ?? allocate(found.counts, types, layers);
    const groups = onFront ? data.front.layers : layers.map(({layer}) => layer);
    const names = onFront ? data.front.types : types.map(type => type.name);
    plan = {schema: 'apreqel.plan/1', model: profile.model, model_name: profile.model_name,
      embedding_type: profile.embedding_type,
      allocation: groups.map((layer, l) => ({layer, type: allocation[l]}))};
    $('plan').dataset.plan = JSON.stringify({counts: found.counts, allocation});
    $('plan').replaceChildren(names.map((name, i) => [name, found.counts[i]]).filter(([, count]) => count)
      .map(([name, count]) => `${name} × ${count}`).join(', '),
    element('small', {}, `closeness ${found.closeness.toFixed(4)}, the best of ${(onFront ? data.front.size : ranker.size).toLocaleString('en')} `
      + (onFront ? `plans on the front, KL divergence ${found.kld.toFixed(5)}` : 'distributions') + (limited ? ' within the limits' : '')));
    const against = (value, j, other) => `${shown(other, j)}  (${percent(value / other - 1)})`;
    $('estimates').replaceChildren(table([
      ['', 'MiB', 'ms/token', 'perplexity', 'closeness'],
      ['this plan (estimate)', ...found.estimate.map(shown), found.closeness.toFixed(4)],
      ...types.map(type => [`${type.name} (plan against it)`,
        ...type.metrics.map((other, j) => against(found.estimate[j], j, other)),
        onFront ? '' : ranker.closeness(type.metrics, chosen).toFixed(4)]),
    ], {chosen: 0}));
    const marked = [...uniform, point('plan', 'this plan', found.estimate)];
    for (const view of places) view.data('points', marked).runAsync();
    picture.data('layers', groups.map((layer, l) => ({...layerPlace(layer), layer, type: allocation[l]}))).runAsync();
    const flags = ['memory', 'latency'].map((name, j) => Number.isFinite(bounds[j]) ? ` --max-${name} ${bounds[j]}` : '').join('');
    $('command').textContent = onFront && !Number.isFinite(bounds[2])
      ? `apreqel run ${model}${inWorkspace} --method front --weights ${chosen.join(',')}${flags} -o mixed.gguf` : limited
      ? `# save the plan below, then:\napreqel quantize ${model} --plan plan.json${inWorkspace} -o mixed.gguf`
      : `apreqel run ${model}${inWorkspace} --weights ${chosen.join(',')} -o mixed.gguf`;
  }
}

const MEASURED_HEAD = ['', 'MiB', 'bpw', 'ms/token', '95 % interval', 'perplexity', 'KL divergence'];
function measuredRow(name, record) {
  const interval = record.latency_ms_interval;
  return [name, shown(record.memory_bytes, 0), record.file_bits_per_weight?.toFixed(2) ?? '—', shown(record.latency_ms, 1),
    interval ? `${shown(interval[0], 1)} – ${shown(interval[1], 1)}` : '—', shown(record.perplexity, 2),
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
      x: {field: 'block', type: 'quantitative', title: 'Block', axis: {tickMinStep: 1}, scale: {nice: false}},
      y: {field: 'mean_similarity', type: 'quantitative', title: 'Mean cosine similarity', scale: {zero: false}},
      color: {field: 'part', scale: {range: ['#0072b2', '#d55e00']}}, shape: {field: 'part'},
      tooltip: [{field: 'layer'}, {field: 'mean_similarity', format: '.4f'}, {field: 'score'}],
    },
  });
}

function drawUniform() {
  const {profile} = data;
  if (!profile) return missing('uniform', `apreqel profile ${model}`);
  const rows = profile.types.map(type => ({...point(type.type, 'uniform', metricsOf(type)),
    low: type.latency_ms_interval?.[0] ?? type.latency_ms, high: type.latency_ms_interval?.[1] ?? type.latency_ms}));
  chart($('uniform-chart'), 'Latency against memory of the uniform types, with 95 % intervals', {
    data: {values: rows},
    encoding: {x: {field: 'memory', type: 'quantitative', title: METRICS[0].title, scale: scaleOf(rows.map(row => row.memory))}},
    layer: [
      {mark: {type: 'rule', strokeWidth: 2, color: '#d55e00', opacity: 0.6}, encoding: {
        y: {field: 'low', type: 'quantitative', title: METRICS[1].title, scale: {zero: false}}, y2: {field: 'high'}}},
      {mark: {type: 'point', shape: 'square', filled: true, size: 80, color: '#d55e00'},
        encoding: {y: {field: 'latency', type: 'quantitative'}, tooltip: ['name', 'memory', 'latency', 'accuracy'].map(field => ({field}))}},
      {mark: {type: 'text', dx: 10, align: 'left', fontSize: 12},
        encoding: {y: {field: 'latency', type: 'quantitative'}, text: {field: 'name'}}},
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

  const errorPlaces = METRICS.map(() => $('errors').appendChild(element('div', {className: 'chart'})));
  METRICS.forEach((metric, j) => {
    const pairs = mixed.map((record, s) => ({name: `setting ${s + 1}`,
      estimated: study.settings[s].estimate[metric.field] * metric.scale, measured: record[metric.field] * metric.scale}));
    const scale = scaleOf(pairs.flatMap(pair => [pair.estimated, pair.measured]));
    chart(errorPlaces[j], `${metric.word}: estimated and measured`, {layer: [
      {data: {values: scale.domain.map(v => ({v}))}, mark: {type: 'line', strokeDash: [4, 4], color: 'currentColor', opacity: 0.5},
        encoding: {x: {field: 'v', type: 'quantitative', scale, title: `Estimated: ${metric.title}`},
          y: {field: 'v', type: 'quantitative', scale, title: 'Measured'}}},
      {data: {values: pairs}, mark: {type: 'point', filled: true, size: 70, color: '#0072b2'},
        encoding: {x: {field: 'estimated', type: 'quantitative'}, y: {field: 'measured', type: 'quantitative'},
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
