// A graph drawn in layers, from the top down: each node below all that lead to it, edges back
// along the sides. After Sugiyama, Tagawa and Toda (1981), with what ten nodes need of it.
import { html } from "./kit.js";

const ROW = 74;
const HIGH = 30;
const GAP = 22;
const LANE = 16;
const CHARACTER = 7.6; // of the labels, at most

const wide = (node) => Math.max(64, node.name.length * CHARACTER + 26);

// Edges that lead back to a node on the way to them.
function backward(nodes, edges) {
  const out = new Map(nodes.map((node) => [node.id, edges.filter((edge) => edge.from === node.id)]));
  const state = new Map();
  const back = new Set();
  const visit = (id) => {
    state.set(id, "open");
    for (const edge of out.get(id) ?? []) {
      if (state.get(edge.to) === "open") back.add(edge);
      else if (!state.has(edge.to)) visit(edge.to);
    }
    state.set(id, "done");
  };
  const entered = new Set(edges.map((edge) => edge.to));
  for (const node of [...nodes.filter((each) => !entered.has(each.id)), ...nodes]) if (!state.has(node.id)) visit(node.id);
  return back;
}

export function layout({ nodes, edges }) {
  const known = new Set(nodes.map((node) => node.id));
  const real = edges.filter((edge) => known.has(edge.source) && known.has(edge.target))
    .map((edge) => ({ ...edge, from: edge.source, to: edge.target }));
  const back = backward(nodes, real);
  const down = real.filter((edge) => !back.has(edge));
  const layer = new Map(nodes.map((node) => [node.id, 0]));
  for (let round = 0; round < nodes.length; round += 1) {
    for (const edge of down) layer.set(edge.to, Math.max(layer.get(edge.to), layer.get(edge.from) + 1));
  }
  const rows = [];
  for (const node of nodes) (rows[layer.get(node.id)] ??= []).push(node);
  const at = new Map();
  const place = (row) => {
    const span = row.reduce((sum, node) => sum + wide(node) + GAP, -GAP);
    let x = -span / 2;
    for (const node of row) {
      at.set(node.id, x + wide(node) / 2);
      x += wide(node) + GAP;
    }
  };
  rows.forEach(place);
  for (let sweep = 0; sweep < 4; sweep += 1) { // each node near the middle of those above it
    for (const row of rows) {
      const weight = new Map(row.map((node) => {
        const near = down.filter((edge) => edge.to === node.id || (sweep % 2 && edge.from === node.id))
          .map((edge) => at.get(edge.to === node.id ? edge.from : edge.to));
        return [node.id, near.length ? near.reduce((a, b) => a + b) / near.length : at.get(node.id)];
      }));
      row.sort((a, b) => weight.get(a.id) - weight.get(b.id));
      place(row);
    }
  }
  const boxes = new Map(nodes.map((node) => [node.id, {
    id: node.id, name: node.name.replace(/^__|__$/g, ""), end: /^__(start|end)__$/.test(node.id),
    x: at.get(node.id), y: layer.get(node.id) * ROW + HIGH / 2, width: wide(node),
  }]));
  const all = [...boxes.values()];
  const left = Math.min(...all.map((box) => box.x - box.width / 2));
  const right = Math.max(...all.map((box) => box.x + box.width / 2));
  const free = (box, way) => all.every((other) => other.y !== box.y || way * (other.x - box.x) <= 0);
  const lanes = { 1: 0, [-1]: 0 };
  const steps = (edge) => layer.get(edge.to) - layer.get(edge.from);
  // Those that go round the others: the shortest on the innermost lane.
  const lines = [...real].sort((a, b) => Math.abs(steps(a)) - Math.abs(steps(b))).map((edge) => {
    const [from, to] = [boxes.get(edge.from), boxes.get(edge.to)];
    const clear = !all.some((box) => box.y > from.y && box.y < to.y && Math.abs(box.x - (from.x + to.x) / 2) < box.width / 2 + 8);
    if (steps(edge) === 1 || (steps(edge) > 0 && clear)) {
      const [y1, y2] = [from.y + HIGH / 2, to.y - HIGH / 2];
      const middle = (y1 + y2) / 2;
      return { ...edge, path: `M${from.x},${y1} C${from.x},${middle} ${to.x},${middle} ${to.x},${y2 - 5}`,
        x: (from.x + to.x) / 2 + 5, y: middle + 4, anchor: "start" };
    }
    const way = free(from, 1) && free(to, 1) ? 1 : free(from, -1) && free(to, -1) ? -1 : 1;
    lanes[way] += 1;
    const side = (way > 0 ? right : left) + way * LANE * lanes[way];
    const [x1, x2] = [from.x + (way * from.width) / 2, to.x + (way * to.width) / 2];
    const turn = Math.sign(to.y - from.y) * 10;
    return { ...edge, x: x1 + way * 6, y: from.y - 5, anchor: way > 0 ? "start" : "end",
      path: `M${x1},${from.y} H${side - way * 10} Q${side},${from.y} ${side},${from.y + turn} V${to.y - turn} Q${side},${to.y} ${side - way * 10},${to.y} H${x2 + way * 6}` };
  });
  const [start, end] = [left - LANE * lanes[-1] - 40, right + LANE * lanes[1] + 40];
  return { boxes: all, lines, left: start, width: end - start, height: (rows.length - 1) * ROW + HIGH };
}

export function Graph({ graph, label }) {
  if (!graph.nodes.length) return null;
  const { boxes, lines, left, width, height } = layout(graph);
  const id = `arrow-${graph.name}`;
  return html`<div class="sg"><svg class="sg-svg" role="img" aria-label=${label} viewBox=${`${left} -6 ${width} ${height + 12}`} width=${width} height=${height + 12}>
    <defs><marker id=${id} viewBox="0 0 8 8" refX="5" refY="4" markerWidth="7" markerHeight="7" orient="auto-start-reverse"><path class="sg-tip" d="M0,0 L8,4 L0,8 z" /></marker></defs>
    ${lines.map((line, n) => html`<path key=${`e${n}`} class=${`sg-line${line.conditional ? " is-choice" : ""}`} d=${line.path} marker-end=${`url(#${id})`} />`)}
    ${lines.map((line, n) => line.condition && html`<text key=${`t${n}`} class="sg-word" x=${line.x} y=${line.y} text-anchor=${line.anchor}>${line.condition}</text>`)}
    ${boxes.map((box) => html`<g key=${box.id}><rect class=${`sg-box${box.end ? " is-end" : ""}`} x=${box.x - box.width / 2} y=${box.y - HIGH / 2} width=${box.width} height=${HIGH} rx=${box.end ? HIGH / 2 : 7} />
      <text class="sg-name" x=${box.x} y=${box.y + 4.5} text-anchor="middle">${box.name}</text></g>`)}
  </svg></div>`;
}
