// ---- the methods to choose by --------------------------------------------------------------------------------------
//
// A method is {name, title, objectives, limitable (criteria that its estimates know), types, layers (or groups, what it
// gives types to), choices (how many there are, in words), best, closeness}. best(weights by name, limits by field) is the
// plan {allocation, counts, estimate, closeness}, null if none keeps the limits, undefined if too many are nearly equal.
// closeness(metrics, weights) is that of another model, where it can be told.

const weightsOf = (rows, weights) => rows.map(({weight}) => weights[weight]);
const limitsOf = (rows, limits) => rows.map(({field}) => limits[field] ?? Infinity);
const columnsOf = (rows, metrics) => rows.map(({field}) => metrics[field]);
const metricsOf = (rows, columns) => Object.fromEntries(rows.map(({field}, j) => [field, columns[j]]));

/// Algorithm 1: the most precise types to the layers of greatest contribution.
function allocate(counts, types, layers) {
  const byPrecision = types.map((_, i) => i).sort((a, b) => types[b].bits_per_weight - types[a].bits_per_weight || a - b);
  const order = layers.map((_, l) => l).sort((a, b) =>
    layers[b].score - layers[a].score || layers[a].mean_similarity - layers[b].mean_similarity || a - b);
  const allocation = new Array(layers.length);
  let next = 0;
  for (const i of byPrecision) for (let n = 0; n < counts[i]; ++n) allocation[order[next++]] = types[i].type;
  return allocation;
}

function paperMethod({types}, {layers}) {
  const rows = objectives.paper;
  const ranker = new Ranker(layers.length, types.map(({metrics}) => columnsOf(rows, metrics)));
  return {
    name: 'paper', title: 'paper: TOPSIS', objectives: rows, limitable: rows,
    types: types.map(({type}) => type), layers: layers.map(({layer}) => layer), choices: `${count(ranker.size)} distributions`,
    best(weights, limits) {
      const found = ranker.best(weightsOf(rows, weights), limitsOf(rows, limits));
      return found && {...found, allocation: allocate(found.counts, types, layers), estimate: metricsOf(rows, found.estimate)};
    },
    closeness: (metrics, weights) => ranker.closeness(columnsOf(rows, metrics), weightsOf(rows, weights)),
  };
}

/// As in src/decide/front_plan.cpp: TOPSIS over the Pareto front, min-max normalised.
class FrontRanker {
  /// `points`: values of all `columns`; compared by those of `rows`.
  constructor(points, columns, rows) {
    this.points = points;
    this.axes = rows.map(row => columns.indexOf(row));
    this.scale = this.axes.map(axis => [least(points, axis), most(points, axis) - least(points, axis)]);
  }

  /// The index of the best point within `limits` (one for each column) and its closeness; null: there is none.
  best(weights, limits) {
    const kept = this.points.map((_, p) => p).filter(p => this.points[p].every((value, column) => value <= limits[column]));
    if (!kept.length) return null;
    const weighted = kept.map(p => this.axes.map((axis, j) => {
      const [low, range] = this.scale[j];
      return range > 0 ? weights[j] * (this.points[p][axis] - low) / range : 0;
    }));
    const ends = weights.map((_, j) => [least(weighted, j), most(weighted, j)]);
    let winner = -1, closest = -1;
    weighted.forEach((values, k) => {
      let ideal = 0, antiIdeal = 0;
      for (let j = 0; j < values.length; ++j) {
        ideal += (values[j] - ends[j][0]) * (values[j] - ends[j][0]);
        antiIdeal += (values[j] - ends[j][1]) * (values[j] - ends[j][1]);
      }
      const both = Math.sqrt(ideal) + Math.sqrt(antiIdeal);
      const closeness = both > 0 ? Math.sqrt(antiIdeal) / both : 1;
      if (closeness > closest) [winner, closest] = [k, closeness];
    });
    return {point: kept[winner], closeness: closest};
  }
}

function frontMethod({types, groups, size, columns, points, allocations}) {
  const rows = objectives.front, known = columns.map(criterion);
  const ranker = new FrontRanker(points, known, rows);
  const thinned = points.length < size ? ` (${count(points.length)} of them on this page)` : '';
  return {
    name: 'front', title: 'front: sensitivity', objectives: rows, limitable: known,
    types, layers: groups, choices: `${count(size)} plans on the front${thinned}`,
    best(weights, limits) {
      const found = ranker.best(weightsOf(rows, weights), limitsOf(known, limits));
      if (!found) return null;
      const allocation = [...allocations[found.point]].map(letter => types[letter.codePointAt(0) - 0x30]);
      return {allocation, counts: types.map(type => allocation.filter(other => other === type).length),
        estimate: metricsOf(known, points[found.point]), closeness: found.closeness};
    },
  };
}

