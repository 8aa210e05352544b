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

/// Draws a Vega-Lite `spec` in `place` and returns its view, whose data can be changed.
function chart(place, description, spec) {
  const full = {$schema: 'https://vega.github.io/schema/vega-lite/v5.json', description, width: 'container', height: 230,
    autosize: {type: 'fit', contains: 'padding'}, config, ...spec};
  const view = new vega.View(vega.parse(vegaLite.compile(full).spec),
    {renderer: 'svg', container: place, hover: true, logLevel: vega.Error, tooltip: showTooltip});
  view.runAsync();
  return view;
}

const chartIn = id => $(id).appendChild(element('div', {className: 'chart'}));

const series = {  // shape tells what colour tells
  domain: ['uniform', 'mixed', 'dominated', 'this plan', 'front', 'front, everything'],
  colours: ['#d55e00', '#0072b2', '#8a939c', '#cc79a7', '#009e73', '#e69f00'],
  shapes: ['square', 'circle', 'cross', 'diamond', 'triangle-up', 'triangle-down'],
};

/// Colour and shape of the series of these names.
function looksOf(names) {
  const look = what => ({field: 'series', legend: {columns: 3},
    scale: {domain: names, range: names.map(name => series[what][series.domain.indexOf(name)])}});
  return {color: look('colours'), shape: look('shapes')};
}

function scaleOf(values) {
  const finite = values.filter(Number.isFinite);
  const low = Math.min(...finite), high = Math.max(...finite);
  const room = (high - low || Math.abs(high) || 1) * 0.08;
  return {zero: false, nice: false, domain: [low - room, high + room]};
}

/// A model in the pictures: {series, name} and its values, as shown, by their fields.
const point = (name, kind, metrics) => ({name, series: kind,
  ...Object.fromEntries(knownOf([metrics]).map(row => [row.field, Number(shown(metrics[row.field], row))]))});

/// What pointing at a model tells.
const told = [{field: 'name'}, ...compared.map(({field, name}) => ({field, title: name}))];

/// Points by two criteria. Named data set `points`.
function scatter(place, points, [x, y], range = points) {
  const axis = row => ({field: row.field, type: 'quantitative', title: row.title,
    scale: scaleOf(range.map(point => point[row.field]))});
  const used = series.domain.filter(name => [...points, ...range].some(point => point.series === name));
  return chart(place, `${capital(y.name)} against ${x.name}`, {
    data: {name: 'points', values: points},
    encoding: {x: axis(x), y: axis(y)},
    layer: [
      {mark: {type: 'point', filled: true, opacity: 0.9}, encoding: {...looksOf(used), tooltip: told,
        size: {condition: {test: "datum.series === 'this plan'", value: 170}, value: 80}}},
      // The names of many types would hide each other; pointing at one shows it.
      ...(range.filter(({series}) => series === 'uniform').length > 8 ? [] : [{
        transform: [{filter: "datum.series === 'uniform'"}], mark: {type: 'text', dy: -11, fontSize: 11},
        encoding: {text: {field: 'name'}}}]),
    ],
  });
}

/// Every two of the criteria compared, those with the last first.
const views = compared.map((y, j) => compared.slice(0, j).map(x => [x, y])).reverse().flat();

