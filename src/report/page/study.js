// ---- the study -------------------------------------------------------------------------------------------------------

/// The paper's set and those beside it that the pictures have a look for.
const setsOf = study => [{name: 'mixed', candidates: study.settings, models: study.orders[0].models},
  ...(study.sets ?? []).filter(({name}) => series.domain.includes(name))];

/// Measured models by every two criteria.
function drawFronts(study) {
  const [paper, ...others] = setsOf(study);
  const mixed = paper.models.map(m => study.models[m]);
  const rows = rowsOf([...study.uniform, ...study.models].map(({metrics}) => metrics));
  const all = [...study.uniform, ...mixed].map(({metrics}) => columnsOf(rows, metrics));
  const dominated = all.map(a => all.some(b => b.every((v, j) => v <= a[j]) && b.some((v, j) => v < a[j])));
  const points = [
    ...mixed.map(({metrics}, s) => point(`${study.settings[s].category}, setting ${s + 1}`,
      dominated[study.uniform.length + s] ? 'dominated' : 'mixed', metrics)),
    ...others.flatMap(set => set.models.map((m, s) => point(`${set.name}, ${s + 1}`, set.name, study.models[m].metrics))),
    ...(study.sets ?? []).flatMap(({rivals = []}) => rivals.map(({name, metrics}) => point(name, 'rival', metrics))),
    ...study.uniform.map(({name, metrics}) => point(name, 'uniform', metrics)),
  ];
  chartsIn('fronts', pairsOf(rows), (place, view) => scatter(place, points, view, {scales: view.map(scaleFor)}));
}

/// Every planned model: a criterion as estimated and as measured.
function drawErrors(study) {
  const planned = setsOf(study).filter(({candidates}) => candidates.length);
  chartsIn('errors', compared, (place, {name, field, title, scale: factor}) => {
    const pairs = planned.flatMap(set => set.models.map((m, s) => ({name: `${set.name}, ${s + 1}`, series: set.name,
      estimated: set.candidates[s].estimate[field] * factor, measured: study.models[m].metrics[field] * factor})));
    const scale = scaleOf(pairs.flatMap(pair => [pair.estimated, pair.measured]));
    chart(place, `${capital(name)}: estimated and measured`, {layer: [
      {data: {values: scale.domain.map(v => ({v}))}, mark: {type: 'line', strokeDash: [4, 4], color: 'currentColor', opacity: 0.5},
        encoding: {x: {field: 'v', type: 'quantitative', scale, title: `Estimated: ${title}`},
          y: {field: 'v', type: 'quantitative', scale, title: 'Measured'}}},
      {data: {values: pairs}, mark: {type: 'point', filled: true, size: 60, opacity: 0.8},
        encoding: {x: {field: 'estimated', type: 'quantitative'}, y: {field: 'measured', type: 'quantitative'},
          ...looksOf(planned.map(({name}) => name), place.clientWidth),
          tooltip: [{field: 'name'}, {field: 'estimated', format: '.4f'}, {field: 'measured', format: '.4f'}]}},
    ]});
  });
}

function drawBits(study) {
  const categories = [...new Set(study.settings.map(setting => setting.category))];
  const rows = study.orders[0].models.map((m, s) =>
    ({bits: study.models[m].file_bits_per_weight, category: study.settings[s].category}));
  const bits = {field: 'bits', type: 'quantitative'};
  chart($('bits-chart'), 'Bits per weight of each category: every model, the mean and the standard deviation', {
    height: 200,
    layer: [
      {data: {values: study.uniform.map(record => ({bits: record.file_bits_per_weight, name: record.name}))},
        encoding: {x: {...bits, title: 'Bits per weight of the file', scale: {zero: false}}},
        layer: [{mark: {type: 'rule', color: '#d55e00', strokeDash: [3, 3]}},
          {mark: {type: 'text', y: 0, dy: -6, fontSize: 11}, encoding: {text: {field: 'name'}}}]},
      {data: {values: rows},
        encoding: {y: {field: 'category', sort: categories, title: null}},
        layer: [
          {mark: {type: 'errorbar', extent: 'stdev', thickness: 2, color: 'currentColor'},
            encoding: {x: {...bits, title: 'Bits per weight of the file'}}},
          {mark: {type: 'point', size: 40, color: '#0072b2', opacity: 0.7}, encoding: {x: bits}},
          {mark: {type: 'point', shape: 'diamond', filled: true, size: 120, color: '#0072b2', opacity: 1},
            encoding: {x: {field: 'bits', aggregate: 'mean'}}},
        ]},
    ],
  });
}

function drawOrders(study) {
  const orders = [...study.orders, ...(study.sets ?? []).map(set => ({...set, order: set.name}))]
    .filter(order => order.hypervolume_gain !== undefined).map(order => ({order: order.order,
      gain: order.hypervolume_gain, low: order.hypervolume_gain_interval?.[0] ?? order.hypervolume_gain,
      high: order.hypervolume_gain_interval?.[1] ?? order.hypervolume_gain}));
  if (orders.length === 0) {
    $('orders-chart').append(element('p', {className: 'note'},
      'There is no gain to state: no uniform type is better than the worst one in every metric.'));
    return;
  }
  chart($('orders-chart'), 'Hypervolume gain of each order of layers', {
    height: 50 + 26 * orders.length,
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

function drawStudy() {
  const {study} = data;
  if (!study) return missing('study', `apreqel study ${model}`);
  for (const draw of [drawFronts, drawErrors, drawBits, drawOrders]) draw(study);
  for (const {title, rows, note} of data.tables ?? [])
    $('tables').append(element('details', {open: rows.length <= kLong}, element('summary', {}, title),
      element('div', {className: 'scroll'}, table(rows)), element('p', {className: 'note'}, note)));
}

