// ---- layers -------------------------------------------------------------------------------------------------------

/// {block, part} of "blk.3.attn", or of a finer group such as "blk.3.attn_q"; nothing of what is in no block.
function layerPlace(name) {
  const match = /^blk\.(\d+)\.([\w+]+)$/.exec(name);
  return match && {block: Number(match[1]), part: {attn: 'attention', ffn: 'FFN'}[match[2]] ?? match[2]};
}

const precisions = [...(data.profile?.types ?? [])].sort((a, b) => b.bits_per_weight - a.bits_per_weight);
const bitsOf = type => precisions.find(entry => entry.type === type)?.bits_per_weight;
const steps = [...new Set(precisions.map(type => type.bits_per_weight))].reverse();
const ramp = vega.scheme('viridis');

/// As many colours as there are different precisions, none where that is not known.
function colourOf(type) {
  const step = steps.indexOf(bitsOf(type));
  return step < 0 ? 'transparent' : ramp(step / Math.max(1, steps.length - 1));
}

/// Black or white, whichever is told apart better (relative luminance, WCAG 2).
function inkOn(colour) {
  const [r, g, b] = (colour.match(/\d+/g) ?? []).map(part => (part / 255) ** 2.2);
  return r === undefined ? 'inherit' : 0.2126 * r + 0.7152 * g + 0.0722 * b > 0.18 ? '#000' : '#fff';
}

const swatch = type => element('span', {className: 'swatch', style: `background: ${colourOf(type)}`});

/// The types of `groups` by depth: blocks from left to right, a row for each part of a block, and what the colours are.
function drawStrip(place, groups, typeOf) {
  const cells = groups.map((group, g) => ({...layerPlace(group), group, type: typeOf(g)}));
  const inBlocks = cells.filter(({part}) => part), others = cells.filter(({part}) => !part);
  const blocks = [...new Set(inBlocks.map(({block}) => block))].sort((a, b) => a - b);
  const parts = [...new Set(inBlocks.map(({part}) => part))];
  const width = (place.clientWidth - 80) / Math.max(1, blocks.length);  // of a cell; a name takes 34 pixels
  const written = width > 36, every = Math.max(1, Math.ceil(24 / width));
  const cell = ({group, type}) => element('td', {title: `${group}: ${type}`,
    style: `background: ${colourOf(type)}; color: ${inkOn(colourOf(type))}`}, written ? type.split('+')[0] : '');
  const rows = parts.map(part => element('tr', {}, element('th', {scope: 'row'}, part), ...blocks.map(block => {
    const found = inBlocks.find(entry => entry.part === part && entry.block === block);
    return found ? cell(found) : element('td', {});
  })));
  const numbers = element('tr', {}, element('th', {scope: 'row'}, 'block'),
    ...blocks.map((block, b) => element('td', {}, b % every ? '' : String(block))));
  const used = precisions.map(({type}) => type).filter(type => cells.some(entry => entry.type === type));
  const unknown = [...new Set(cells.map(({type}) => type))].filter(type => !used.includes(type));
  place.replaceChildren(
    element('table', {className: blocks.length > 40 ? 'strip many' : 'strip'}, element('tbody', {}, ...rows, numbers)),
    element('ul', {className: 'key'}, ...[...used, ...unknown].map(type => element('li', {}, swatch(type),
      `${type} × ${cells.filter(entry => entry.type === type).length}`,
      element('small', {}, bitsOf(type) ? ` ${bitsOf(type).toFixed(2)} bits` : '')))),
    ...others.map(({group, type}) => element('p', {className: 'note'}, `${capital(group)}: ${type}`)));
}
