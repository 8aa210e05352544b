// ---- charts -------------------------------------------------------------------------------------------------------

const config = {
  background: null,
  font: 'system-ui, "DejaVu Sans", sans-serif',
  view: {stroke: null},
  axis: {labelColor: 'currentColor', titleColor: 'currentColor', domainColor: 'currentColor', tickColor: 'currentColor',
    gridColor: 'currentColor', gridOpacity: 0.13, domainOpacity: 0.5, labelFontSize: 11, titleFontSize: 12, titleFontWeight: 500,
    labelOverlap: true, labelSeparation: 8},
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

/// Vega-Lite does not know Vega's label transform: of the text layers of style `names`, which stand behind a layer of points, as
/// many names are drawn as fit beside their points, none over another.
function placeNames(spec) {
  for (const [m, mark] of spec.marks.entries()) {
    if (!mark.style?.includes('names')) continue;
    const {fill, fontSize} = mark.encode.update;
    Object.assign(mark, {
      from: {data: spec.marks[m - 1].name},
      encode: {update: {fill, fontSize, text: {field: 'datum.label'}}},
      transform: [{type: 'label', size: {signal: '[max(1, width), max(1, height)]'}, offset: [3, 3, 3, 3, 1],
        anchor: ['right', 'top', 'bottom', 'left', 'top-right'], sort: {field: 'datum.datum.rank'}}],
    });
  }
  return spec;
}

/// Draws a Vega-Lite `spec` in `place` and returns its view, whose data can be changed.
function chart(place, description, spec) {
  const full = {$schema: 'https://vega.github.io/schema/vega-lite/v5.json', description, width: 'container', height: 230,
    autosize: {type: 'fit', contains: 'padding'}, config, ...spec};
  const view = new vega.View(vega.parse(placeNames(vegaLite.compile(full).spec)),
    {renderer: 'svg', container: place, hover: true, logLevel: vega.Error, tooltip: showTooltip});
  view.runAsync();
  return view;
}

/// A chart for each of `items`, by draw(place, item): how wide a place is follows from how many there are.
function chartsIn(id, items, draw) {
  const places = items.map(() => $(id).appendChild(element('div', {className: 'chart'})));
  return items.map((item, i) => draw(places[i], item));
}

const series = {  // shape tells what colour tells; what is named first hides what comes later
  domain: ['shipped', 'this plan', 'rival', 'beside rivals', 'built too', 'front, everything', 'front', 'mixed', 'uniform',
    'dominated'],
  colours: ['#cc79a7', '#cc79a7', '#d55e00', '#009e73', '#009e73', '#e69f00', '#56b4e9', '#0072b2', '#a0522d', '#8a939c'],
  shapes: ['diamond', 'diamond', 'square', 'circle', 'circle', 'triangle-down', 'triangle-up', 'circle', 'square', 'cross'],
};

/// Colour and shape of the series of these names, told in a place of that width.
function looksOf(names, width) {
  const look = what => ({field: 'series', legend: {columns: Math.max(2, Math.min(4, Math.floor(width / 130)))},
    scale: {domain: names, range: names.map(name => series[what][series.domain.indexOf(name)])}});
  return {color: look('colours'), shape: look('shapes')};
}

function scaleOf(values) {
  const finite = values.filter(Number.isFinite);
  const low = Math.min(...finite), high = Math.max(...finite);
  const room = (high - low || Math.abs(high) || 1) * 0.08;
  return {zero: false, nice: false, domain: [low - room, high + room]};
}

/// The same of values above 0 that go over decades; where they do not, a logarithmic axis would have no labels.
function logScaleOf(values) {
  const above = values.filter(value => value > 0);
  const low = Math.min(...above), high = Math.max(...above), room = Math.max(1.05, (high / low) ** 0.06);
  return high / low < 2 ? scaleOf(above) : {type: 'log', nice: false, domain: [low / room, high * room]};
}

/// 1, 2 and 5 times the powers of 10: over decades, a logarithmic axis has lines without labels else.
const decades = Array.from({length: 40}, (_, e) => [1, 2, 5].map(digit => Number(`${digit}e${e - 20}`))).flat();

function axisOf({type, domain: [low, high]}) {
  const values = decades.filter(value => value >= low && value <= high);
  return type === 'log' && values.length > 2 ? {format: '~g', values} : {tickCount: 6};
}

const namesMark = {type: 'text', style: 'names', fontSize: 11, color: 'currentColor'};
const namedSeries = ['shipped', 'this plan', 'rival', 'uniform'];

/// Where all types are made with an importance matrix, none needs to say so.
const shortName = name => precisions.every(({type}) => type.endsWith('+imatrix')) ? name.replace(/\+imatrix$/, '') : name;

/// A model in the pictures: {series, name, label, told (by pointing at it)} and its values, as scaled, by their fields.
function point(name, kind, metrics) {
  const known = knownOf([metrics]);
  return {name, series: kind, rank: series.domain.indexOf(kind), label: namedSeries.includes(kind) ? shortName(name) : '',
    told: [name, ...known.map(row => `${row.title}: ${shown(metrics[row.field], row)}`)].join('\n'),
    ...Object.fromEntries(known.map(row => [row.field, metrics[row.field] * row.scale]))};
}

const told = {field: 'told', type: 'nominal'};

/// Points by two criteria, with the names of those that have a label. Named data set `points`. `scales`: of the two.
function scatter(place, points, [x, y], {range = points, scales = [scaleOf, scaleOf], height = 230} = {}) {
  const axis = (row, scaleOf) => {
    const scale = scaleOf(range.map(point => point[row.field]));
    return {field: row.field, type: 'quantitative', title: row.title, scale, axis: axisOf(scale)};
  };
  const used = series.domain.filter(name => [...points, ...range].some(point => point.series === name));
  const marked = "indexof(['this plan', 'shipped'], datum.series) >= 0";
  return chart(place, `${capital(y.name)} against ${x.name}`, {
    height,
    data: {name: 'points', values: [...points].sort((a, b) => b.rank - a.rank)},
    encoding: {x: axis(x, scales[0]), y: axis(y, scales[1])},
    layer: [
      {mark: {type: 'point', filled: true, opacity: 0.9}, encoding: {...looksOf(used, place.clientWidth), tooltip: told,
        size: {condition: {test: marked, value: 170}, value: 70}}},
      {mark: namesMark, encoding: {text: {field: 'label'}}},
    ],
  });
}

/// Values of a KL divergence go over decades.
const scaleFor = ({field}) => field === 'kl_divergence' ? logScaleOf : scaleOf;

/// Every two of the criteria, those with the last first.
const pairsOf = rows => rows.map((y, j) => rows.slice(0, j).map(x => [x, y])).reverse().flat();

/// What pictures of these points compare by: KL divergence in the place of perplexity where all have it, as it is known better.
const rowsOf = points => compared.map(row => row.field === 'perplexity' && points.every(({kl_divergence}) => kl_divergence > 0)
  ? criterion('kl_divergence') : row);

