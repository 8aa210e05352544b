// ---- the explorer --------------------------------------------------------------------------------------------------

/// A slider for each weight that some method knows. {weight: input}.
function drawSliders(update) {
  return Object.fromEntries(compared.map(({weight}) => {
    const value = element('output', {});
    const slider = element('input', {type: 'range', min: 0, max: 1, step: 0.01, id: `weight-${weight}`});
    slider.addEventListener('input', update);
    $('sliders').append(element('label', {}, capital(weight), slider, value));
    return [weight, slider];
  }));
}

/// A field for each criterion that some method can limit. {field: input}.
function drawLimits(methods, update) {
  const limitable = criteria.filter(row => methods.some(method => method.limitable.includes(row)));
  return Object.fromEntries(limitable.map(({field, title}) => {
    const input = element('input', {type: 'number', min: 0, step: 'any', id: `limit-${field}`, placeholder: 'none'});
    input.addEventListener('input', update);
    $('limits').append(element('label', {}, title, input));
    return [field, input];
  }));
}

function drawPresets(sliders, update) {
  return Object.entries(data.presets).map(([name, preset]) => {
    const button = element('button', {type: 'button'}, name);
    button.addEventListener('click', () => {
      for (const [weight, slider] of Object.entries(sliders)) slider.value = preset[weight] ?? 0;
      update();
    });
    $('presets').append(button);
    return {button, preset};
  });
}

/// The controls: what is asked of the explorer, `request()`.
function drawControls(methods, update) {
  const select = element('select', {id: 'method'}, ...methods.map(({name, title}) => element('option', {value: name}, title)));
  select.addEventListener('change', update);
  $('methods').append(element('label', {}, 'Method', select));
  const sliders = drawSliders(update), limits = drawLimits(methods, update), presets = drawPresets(sliders, update);
  $('controls').addEventListener('submit', event => event.preventDefault());
  for (const [weight, slider] of Object.entries(sliders)) slider.value = presets[0].preset[weight] ?? 0;

  return function request() {
    const method = methods.find(({name}) => name === select.value);
    const weights = {}, bounds = {};
    for (const [weight, slider] of Object.entries(sliders)) {
      slider.parentElement.hidden = !method.objectives.some(row => row.weight === weight);
      slider.nextElementSibling.textContent = Number(slider.value).toFixed(2);
      if (!slider.parentElement.hidden) weights[weight] = Number(slider.value);
    }
    for (const row of criteria) {
      const input = limits[row.field];
      if (!input) continue;
      input.parentElement.hidden = !method.limitable.includes(row);
      if (!input.parentElement.hidden && input.value !== '') bounds[row.field] = Number(input.value) / row.scale;
    }
    for (const {button, preset} of presets) {
      const chosen = Object.entries(weights).every(([weight, value]) => Math.abs((preset[weight] ?? 0) - value) < 0.005);
      button.setAttribute('aria-pressed', chosen);
    }
    return {method, weights, bounds};
  };
}

const weightFlag = weights => `--weights ${Object.entries(weights).map(([name, value]) => `${name}=${value}`).join(',')}`;

/// The command that builds a plan: `run` where it would choose the same, else the plan is saved first.
function commandFor({method, weights, bounds}) {
  const limits = criteria.filter(({field}) => field in bounds);
  // run chooses among the types it is given, and with an importance matrix, which it collects unless told not to, gives it to all.
  const weighed = method.types.some(name => name.includes('+'));
  const saved = weighed || (method.name === 'paper' ? limits.length > 0 : limits.some(({limit}) => !limit));
  if (saved)
    return `# save the plan below, then:\napreqel quantize ${model} --plan plan.json${inWorkspace}`
      + `${weighed ? ' --imatrix auto' : ''} -o mixed.gguf`;
  const types = method.types.join(), paper = method.name === 'paper';
  return [`apreqel run ${model}${inWorkspace}`, ...(paper ? ['--method paper'] : ['--imatrix none']),
    weightFlag(weights), ...(paper && types === data.usual_types ? [] : [`--types ${quoted(types)}`]),
    ...limits.map(({limit, field}) => `--${limit} ${bounds[field]}`), '-o mixed.gguf'].join(' ');
}

/// Why there is no plan, and the command that searches longer, if that helps.
function drawNoPlan({weights, bounds}, found) {
  $('plan').textContent = Object.values(weights).every(weight => weight === 0) ? 'All weights are 0: nothing to choose by.'
    : found === null ? 'No distribution keeps these limits.'
    : 'Too many distributions are nearly equal to choose among them in a browser.';
  $('plan').dataset.plan = '';
  $('command').textContent = found === undefined && Object.keys(bounds).length === 0
    ? `apreqel plan -C ${quoted(data.directory)} ${weightFlag(weights)}` : '';
}

/// The plan in words, and its estimates against every uniform type.
function drawPlan({method, weights, bounds}, found, types) {
  $('plan').dataset.plan = JSON.stringify({counts: found.counts, allocation: found.allocation});
  const limited = Object.keys(bounds).length > 0 ? ' within the limits' : '';
  $('plan').replaceChildren(
    method.types.map((name, i) => [name, found.counts[i]]).filter(([, n]) => n).map(([name, n]) => `${name} × ${n}`).join(', '),
    element('small', {}, `closeness ${found.closeness.toFixed(4)}, the best of ${method.choices}${limited}`));
  const rows = knownOf([found.estimate]);
  const against = (own, other, row) =>
    Number.isFinite(other) ? `${shown(other, row)}  (${percent(own / other - 1)})` : '—';
  const closeness = value => method.closeness ? [value.toFixed(4)] : [];
  fold('estimates', table([
    ['', ...rows.map(({title}) => title), ...(method.closeness ? ['Closeness'] : [])],
    ['the plan, estimated', ...rows.map(row => shown(found.estimate[row.field], row)), ...closeness(found.closeness)],
    ...types.map(({type, metrics}) => [type, ...rows.map(row => against(found.estimate[row.field], metrics[row.field], row)),
      ...closeness(method.closeness?.(metrics, weights))]),
  ], {chosen: 0}));
}

/// The plan as quantize reads it.
const planOf = ({method}, {allocation}, {model, model_name, embedding_type}) =>
  ({schema: 'apreqel.plan/1', model, model_name, embedding_type,
    allocation: method.layers.map((layer, l) => ({layer, type: allocation[l]}))});

function saveFile(name, text) {
  const link = element('a', {href: URL.createObjectURL(new Blob([text], {type: 'application/json'})), download: name});
  link.click();
  URL.revokeObjectURL(link.href);
}

/// What of the front is seen by quality and another criterion: no plan is better in both. At steps of 1 %.
function edgeOf(front, [x, y]) {
  if (y.weight !== 'accuracy') return [];
  const [i, j] = [x, y].map(({field}) => front?.columns.indexOf(field) ?? -1);
  if (i < 0 || j < 0) return [];
  const edge = [];
  for (const values of [...front.points].sort((a, b) => a[i] - b[i] || a[j] - b[j]))
    if (!edge.length || values[j] < edge.at(-1)[j] * 0.99) edge.push(values);
  return edge.map(values => point('on the front', 'front', metricsOf(front.columns.map(criterion), values)));
}

function drawExplorer() {
  const {profile, scores, front} = data;
  const judged = profile?.types.every(({metrics}) => 'perplexity' in metrics);  // of shapes only the probes are known
  const methods = profile ? [...(scores && judged ? [paperMethod(profile, scores)] : []), ...(front ? [frontMethod(front)] : [])] : [];
  if (!methods.length) return missing('explorer', `apreqel run ${model} -o mixed.gguf`);
  const {types} = profile;
  const request = drawControls(methods, update);
  const uniform = types.map(({type, metrics}) => point(type, 'uniform', metrics));
  // What is not known of the types is told by the front.
  const rows = compared.map(row => uniform.some(type => row.field in type) || !front ? row
    : objectives.front.find(({weight}) => weight === row.weight) ?? row);
  const ends = !front ? [{...uniform[0], series: 'this plan'}] : [least, most].map(end => point('', 'this plan',
    metricsOf(front.columns.map(criterion), front.columns.map((_, column) => end(front.points, column)))));
  const places = chartsIn('places', pairsOf(rows), (place, view) => {
    const known = [...edgeOf(front, view), ...uniform].filter(plan => view.every(({field}) => plan[field] > 0));
    const range = [...known, ...ends];
    return {known, picture: scatter(place, known, view, {range, scales: view.map(scaleFor)})};
  });
  let plan = null;
  $('download').addEventListener('click', () => saveFile('plan.json', JSON.stringify(plan, null, 2)));
  update();

  function update() {
    const asked = request();
    const {method, weights, bounds} = asked;
    const found = Object.values(weights).every(weight => weight === 0) ? null : method.best(weights, bounds);
    $('download').disabled = !found;
    if (!found) return drawNoPlan(asked, found);
    drawPlan(asked, found, types);
    plan = planOf(asked, found, profile);
    $('command').textContent = commandFor(asked);
    const planned = point('plan', 'this plan', found.estimate);
    for (const {known, picture} of places) picture.data('points', [...known, planned]).runAsync();
    drawStrip($('layers'), method.layers, l => found.allocation[l]);
  }
}

