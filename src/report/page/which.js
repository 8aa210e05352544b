// ---- which file to take ------------------------------------------------------------------------------------------------
//
// What was measured together is a session: {models: [[series, models] …], contests}, where a contest is how one of ours compares
// with a rival, {rival, memory, latency, …}, as the program says it.

const contestsOf = rivals => rivals.filter(({contest}) => contest).map(({name, contest}) => ({rival: name, ...contest}));

function runSession(run) {
  const rivals = run.rivals ?? [];
  return {contests: contestsOf(rivals), models: [['shipped', [run.mix]], ['rival', rivals],
    ['built too', run.tried ?? []], ['uniform', run.uniform]]};
}

function studySession(study) {
  const sets = (study.sets ?? []).map(set => ({...set, measured: set.models.map(m => study.models[m])}));
  // The names of rivals need room: where there are some, only they and ours are shown; the study's own pictures show all.
  const rivals = sets.flatMap(set => set.rivals ?? []);
  const shown = sets.filter(set => rivals.length ? set.rivals : series.domain.includes(set.name));
  return {contests: contestsOf(rivals), models: [['rival', rivals],
    ...shown.map(({name, measured}) => [name, measured]),
    ...(rivals.length ? [] : [['mixed', study.orders[0].models.map(m => study.models[m])], ['uniform', study.uniform]])]};
}

/// Timed in rounds before those of the others, without weights: their times do not compare.
const timedApart = ['built too'];

/// The session to show: that with the most rivals, of equals the run's.
function bestSession({run, study}) {
  const sessions = [...(run ? [runSession(run)] : []), ...(study ? [studySession(study)] : [])];
  return sessions.sort((a, b) => b.contests.length - a.contests.length)[0];
}

const lostIn = contest => [['larger', contest.no_larger], ['slower', contest.no_slower],
  ['not closer to full precision', contest.closer]].filter(([, kept]) => !kept).map(([what]) => what);

const ratioOf = (value, interval) => value.toFixed(3) + (interval ? ` [${interval.map(end => end.toFixed(3)).join(', ')}]` : '');

/// One of ours beside a rival, in a line.
function besideLine(contest) {
  const {rival, memory, latency, latency_interval, divergence, divergence_interval, nll, rival_nll, nll_error} = contest;
  const signed = value => `${value < 0 ? '−' : '+'}${Math.abs(value).toFixed(4)}`;
  const text = nll === undefined ? '' : `, −log p of the text ${signed(nll)} off full precision's, its ${signed(rival_nll)}`
    + ` (± ${nll_error.toFixed(4)} nats per token)`;
  return [element('strong', {}, `Beside ${rival}: ${lostIn(contest).join(', ') || 'better'}. `),
    `${ratioOf(memory)} of its memory, ${ratioOf(latency, latency_interval)} of its ms/token, `
    + `${ratioOf(divergence, divergence_interval)} of its KL divergence${text}.`];
}

const kFewRivals = 5;
const beatCommand = rival => element('code', {}, `apreqel run ${model}${inWorkspace} --beat ${quoted(rival)} -o mixed.gguf`);

/// In words: what was shipped and why, or how many rivals there is something better than.
function drawAnswer({contests}) {
  const {run} = data;
  if (run) $('shipped').textContent = [
    `Shipped: ${run.mix.name}`,
    ...(run.because ? [`, because: ${run.because}`] : []), '.',
    ...(run.limits_kept === false ? [' As measured it does not keep the limits.'] : [])].join('');
  if (!contests.length) return $('beside').append(element('li', {}, 'Not compared yet with a file that people have: ', beatCommand('Q4_K_M')));
  if (contests.length <= kFewRivals) return $('beside').append(...contests.map(contest => element('li', {}, ...besideLine(contest))));
  const won = contests.filter(contest => !lostIn(contest).length);
  const mean = Math.exp(contests.reduce((sum, {divergence}) => sum + Math.log(divergence), 0) / contests.length);
  $('beside').append(element('li', {}, element('strong', {}, `Better than ${won.length} of ${contests.length} rivals: `),
    `no larger, no slower and closer to full precision; ${mean.toFixed(3)} of their KL divergence in the geometric mean. To get the one `
    + 'beside a rival: ', beatCommand(contests[Math.floor(contests.length / 2)].rival)));
}

/// Ratios to the rivals, by their names.
function drawContests(contests) {
  const kinds = ['memory', 'ms/token', 'KL divergence'];
  const rows = contests.flatMap(({rival, memory, latency, latency_interval, divergence, divergence_interval}) =>
    [[memory], [latency, latency_interval], [divergence, divergence_interval]].map(([ratio, interval], k) =>
      ({rival, kind: kinds[k], ratio, low: interval?.[0] ?? ratio, high: interval?.[1] ?? ratio})));
  const look = range => ({field: 'kind', sort: kinds, scale: {domain: kinds, range}});
  const ends = rows.flatMap(({low, high}) => [low, high]).filter(end => end > 0);
  const scale = {...logScaleOf([...ends, 1]), clamp: true};
  const axis = {grid: true, format: '~g', values: [0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1, 1.1, 1.2, 1.5, 2, 3, 5, 10]
    .filter(value => value >= scale.domain[0] && value <= scale.domain[1])};
  const x = {type: 'quantitative', title: 'ours ÷ the rival\'s', scale, axis};
  const color = look(['#8a939c', '#2f86d6', '#00a878']);
  const place = {y: {field: 'rival', sort: contests.map(({rival}) => rival), title: null, axis: {grid: true},
    scale: {paddingInner: 0.45}},
    yOffset: {field: 'kind', sort: kinds}};
  chart($('contests'), 'Memory, time a token and KL divergence of ours, each divided by the rival\'s', {
    height: 90 + 30 * contests.length,
    data: {values: rows},
    layer: [
      {data: {values: [{}]}, mark: {type: 'rule', color: 'currentColor', opacity: 0.7}, encoding: {x: {datum: 1, ...x}}},
      {mark: {type: 'rule', strokeWidth: 2, opacity: 0.7},
        encoding: {...place, color, x: {field: 'low', ...x}, x2: {field: 'high'}}},
      {mark: {type: 'point', filled: true, size: 45, opacity: 1}, encoding: {...place, color,
        shape: look(['square', 'triangle-up', 'circle']), x: {field: 'ratio', ...x},
        tooltip: [{field: 'rival'}, {field: 'kind'}, ...['ratio', 'low', 'high'].map(field => ({field, format: '.3f'}))]}},
    ],
  });
}

/// What was measured, by quality against memory and against time.
function drawWhich() {
  const session = bestSession(data);
  if (!session) return missing('which', `apreqel run ${model} -o mixed.gguf`);
  drawAnswer(session);
  const models = session.models.flatMap(([kind, records]) => records.map(record => point(record.name, kind, record.metrics)));
  const judged = models.filter(model => model.perplexity > 0);
  const quality = rowsOf(judged).find(({weight}) => weight === 'accuracy');
  const comparable = cost => judged.filter(model => model[cost.field] > 0 && !(cost.of_device && timedApart.includes(model.series)));
  chartsIn('choices', compared.filter(cost => cost.weight !== quality.weight && comparable(cost).length), (place, cost) =>
    scatter(place, comparable(cost), [cost, quality], {scales: [cost, quality].map(scaleFor), height: 400}));
  if (session.contests.length) drawContests(session.contests);
  $('contests-title').hidden = !session.contests.length;
}

/// The plan that was shipped.
function drawChosen() {
  const {run} = data;
  $('chosen').hidden = !run;
  if (!run) return;
  const {allocation, embedding_type} = run.plan;
  const chosen = allocation.some(({layer}) => layer === 'embedding');
  $('chosen-summary').textContent = `${run.mix.name}: ${run.mix.file_bits_per_weight?.toFixed(2) ?? '—'} bits per weight.`
    + (chosen || !embedding_type ? '' : ` Embedding and output: ${embedding_type}.`);
  drawStrip($('strip'), allocation.map(({layer}) => layer), l => allocation[l].type);
}

/// How far every plan that was built measured from what was predicted.
function drawPredictions(run) {
  const plans = [{name: run.mix.name, metrics: run.mix.metrics, predicted: run.plan.estimate, series: 'shipped'},
    ...(run.tried ?? []).map(tried => ({...tried, series: 'built too'}))];
  const rows = plans.flatMap(({name, metrics, predicted, series}) => knownOf([metrics])
    .filter(({field}) => predicted?.[field] > 0)
    .map(row => ({name, series, criterion: row.name, off: metrics[row.field] / predicted[row.field] - 1})));
  if (!rows.length) return;
  const used = series.domain.filter(name => plans.some(plan => plan.series === name));
  chart($('result-chart'), 'Measured against predicted, for every plan that was built', {
    height: 80 + 34 * new Set(rows.map(row => row.criterion)).size,
    data: {values: rows.reverse()},  // what was shipped is drawn last
    layer: [
      {data: {values: [{}]}, mark: {type: 'rule', color: 'currentColor', opacity: 0.7}, encoding: {x: {datum: 0, type: 'quantitative'}}},
      {mark: {type: 'point', filled: true, opacity: 0.9}, encoding: {...looksOf(used, $('result-chart').clientWidth),
        y: {field: 'criterion', sort: criteria.map(({name}) => name), title: null},
        x: {field: 'off', type: 'quantitative', title: 'measured, against predicted', axis: {format: '+.0%', tickCount: 6}},
        size: {condition: {test: "datum.series === 'shipped'", value: 170}, value: 70},
        tooltip: [{field: 'name'}, {field: 'criterion'}, {field: 'off', format: '+.1%'}]}},
    ],
  });
}

function drawResult() {
  const {run} = data;
  if (!run) return missing('result', `apreqel run ${model} -o mixed.gguf`);
  const predicted = run.plan.estimate, measured = run.mix.metrics;
  const both = knownOf([measured]).filter(({field}) => Number.isFinite(predicted[field]));
  $('result-summary').textContent = `${run.mix.name}: `
    + both.map(({name, field}) => `${name} ${percent(measured[field] / predicted[field] - 1)}`).join(', ')
    + ' against the prediction.';
  drawPredictions(run);
  fold('result-table', measuredTable([['measured', run.mix],
    ...(run.tried ?? []).map(tried => [`${tried.name}, not shipped`, tried]),
    ...(run.rivals ?? []).map(rival => [`${rival.name}, the rival`, rival]),
    ...run.uniform.map(variant => [variant.name, variant]),
    ['full precision', run.reference]], {predicted: [['predicted', {metrics: predicted}]], chosen: 1}));
}
