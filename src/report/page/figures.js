'use strict';
// Draws the report from the artifacts in #data. What a file says reaches the page as text only, never as markup.

const data = JSON.parse(document.getElementById('data').textContent);
const $ = id => document.getElementById(id);

function element(tag, properties = {}, ...children) {
  const node = Object.assign(document.createElement(tag), properties);
  node.append(...children);
  return node;
}

// ---- criteria, and their figures as people read them ---------------------------------------------------------------

const capital = text => text[0].toUpperCase() + text.slice(1);

/// The program's criteria, whatever they are: {name, weight, limit, field, unit, scale, digits} and a title for axes.
/// What is measured or estimated of a model is an object of values by their fields.
const criteria = data.criteria.map(row => ({...row, title: capital(row.name) + (row.unit ? ` (${row.unit})` : '')}));
const criterion = field => criteria.find(row => row.field === field);
const objectives = Object.fromEntries(Object.entries(data.objectives).map(([method, fields]) => [method, fields.map(criterion)]));

/// What the pictures compare models by: the paper's objectives, and what other methods weigh beside those.
const compared = Object.values(objectives).flat().filter((row, r, all) => all.findIndex(({weight}) => weight === row.weight) === r);

const shown = (value, {scale, digits}) => Number.isFinite(value) ? (value * scale).toFixed(digits) : '—';
const percent = share => `${share < 0 ? '−' : '+'}${Math.abs(100 * share).toFixed(1)} %`;
const count = number => number.toLocaleString('en');

/// The criteria that are weighed and that some of these models have a value of.
const knownOf = models => criteria.filter(({weight, field}) => weight && models.some(metrics => Number.isFinite(metrics[field])));

function table(rows, {chosen = -1} = {}) {
  const [head, ...body] = rows;
  return element('table', {},
    element('thead', {}, element('tr', {}, ...head.map(cell => element('th', {scope: 'col'}, cell)))),
    element('tbody', {}, ...body.map((row, r) => element('tr', {className: r === chosen ? 'chosen' : ''},
      ...row.map(cell => element('td', {}, cell))))));
}

const kLong = 8;

/// Puts a table into its place, folded away where it is long. A choice made by hand stays.
function fold(id, table) {
  const details = $(id).closest('details');
  if (!$(id).children.length) details.open = table.rows.length <= kLong;
  $(id).replaceChildren(table);
}

function missing(section, command) {
  const content = $(section).querySelector('.content');
  content.replaceChildren(element('p', {className: 'missing'}, 'Not run yet: ', element('code', {}, command)));
}

// ---- commands -----------------------------------------------------------------------------------------------------

const quoted = word => /^[\w@%+=:,./-]+$/.test(word) ? word : `'${word.replaceAll("'", `'\\''`)}'`;
const model = quoted(data.model_file);
const inWorkspace = data.workspace ? ` -C ${quoted(data.workspace)}` : '';

