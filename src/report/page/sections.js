// ---- what was measured -----------------------------------------------------------------------------------------------

/// A row for each [name, record]: its criteria, with intervals where there are some; `predicted` go before them, without.
function measuredTable(models, {predicted = [], chosen = -1} = {}) {
  const known = knownOf(models.map(([, {metrics}]) => metrics));
  const intervalOf = (record, {field}) => record[`${field}_interval`];
  const interval = (record, row) => {
    const ends = intervalOf(record, row), coverage = record[`${row.field}_confidence`];
    return ends ? `${ends.map(end => shown(end, row)).join(' – ')}${coverage ? ` (${(100 * coverage).toFixed(1)} %)` : ''}` : '—';
  };
  const columns = known.flatMap(row => [
    {title: row.title, of: ({metrics}) => shown(metrics[row.field], row)},
    ...(models.some(([, record]) => intervalOf(record, row)) ? [{title: 'interval', of: record => interval(record, row)}] : []),
  ]);
  const bits = {title: 'bpw', of: record => record.file_bits_per_weight?.toFixed(2) ?? '—'};
  return table([['', ...[bits, ...columns].map(({title}) => title)],
    ...[...predicted, ...models].map(([name, record]) => [name, ...[bits, ...columns].map(({of}) => of(record))])], {chosen});
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

/// The first two criteria of the paper against each other: a smaller file is not always a faster one.
function drawUniform() {
  const {profile} = data;
  if (!profile) return missing('uniform', `apreqel profile ${model}`);
  const [x, y] = compared;
  const rows = profile.types.map(record => {
    const [low, high] = record[`${y.field}_interval`] ?? [record.metrics[y.field], record.metrics[y.field]];
    return {...point(record.type, 'uniform', record.metrics), low: low * y.scale, high: high * y.scale};
  });
  chart($('uniform-chart'), `${capital(y.name)} against ${x.name} of the uniform types, with intervals of the median`, {
    data: {values: rows},
    encoding: {x: {field: x.field, type: 'quantitative', title: x.title, scale: scaleOf(rows.map(row => row[x.field]))}},
    layer: [
      {mark: {type: 'rule', strokeWidth: 2, color: '#d55e00', opacity: 0.6}, encoding: {
        y: {field: 'low', type: 'quantitative', title: y.title, scale: {zero: false}}, y2: {field: 'high'}}},
      {mark: {type: 'point', shape: 'square', filled: true, size: 80, color: '#d55e00'},
        encoding: {y: {field: y.field, type: 'quantitative'}, tooltip: told}},
      {mark: namesMark,
        encoding: {y: {field: y.field, type: 'quantitative'}, text: {field: 'label'}}},
    ],
  });
  fold('uniform-table', measuredTable(profile.types.map(type => [type.type, type])));
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

