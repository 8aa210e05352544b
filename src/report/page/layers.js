// ---- layers -------------------------------------------------------------------------------------------------------

/// {block, part} of "blk.3.attn", or of a finer group such as "blk.3.attn_q"; what is in no block stands in the first.
function layerPlace(name) {
  const match = /^blk\.(\d+)\.([\w+]+)$/.exec(name);
  return match ? {block: Number(match[1]), part: {attn: 'attention', ffn: 'FFN'}[match[2]] ?? match[2]}
    : {block: 0, part: name};
}

const cellsOf = (groups, typeOf) => groups.map((layer, l) => ({...layerPlace(layer), layer, type: typeOf(l)}));

/// The types of the layers, a cell each. Named data set `layers`.
function layerPicture(place, types, rows) {
  const byPrecision = [...types].sort((a, b) => b.bits_per_weight - a.bits_per_weight).map(({type}) => type);
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

