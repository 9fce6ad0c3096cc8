// Means with their intervals as dots and whiskers, on one axis for what lies between 0 and 1 and
// one each for what does not. Drawn with boxes, so that text keeps its size on any screen.
import { html } from "./kit.js";
import { number, percent, step } from "./figures.js";

const ticksOf = (low, high) => {
  const width = step(high - low, 4);
  const ticks = [];
  for (let at = Math.ceil(low / width) * width; at <= high + width / 1e6; at += width) ticks.push(+at.toFixed(10));
  return ticks;
};

function Row({ row, low, high, zero, write, own }) {
  const place = (value) => `${(100 * (Math.min(high, Math.max(low, value)) - low)) / (high - low)}%`;
  const whisker = row.low != null && row.high != null;
  const spoken = `${row.key}: ${write(row.at)}${whisker ? `, ${write(row.low)} – ${write(row.high)}` : ""}`;
  return html`<li class=${`dw-row${row.tone ? ` is-${row.tone}` : ""}`}>
    <div class="dw-name"><b>${row.key}</b>${row.note && html`<small>${row.note}</small>`}</div>
    <div class="dw-track" role="img" aria-label=${spoken}
        style=${{ "--low": place(row.low ?? row.at), "--high": place(row.high ?? row.at), "--at": place(row.at), "--zero": place(zero ?? low) }}>
      ${zero != null && html`<i class="dw-zero"></i>`}
      ${whisker && html`<i class="dw-whisker"></i>`}<i class="dw-dot"></i>
      ${own && html`<span class="dw-own"><small>${short(low)}</small><small>${short(high)}</small></span>`}
    </div>
    <div class="dw-value"><b>${write(row.at)}</b>${whisker && html`<small>${write(row.low)} – ${write(row.high)}</small>`}</div>
  </li>`;
}

function Axis({ low, high, write }) {
  return html`<div class="dw-axis" aria-hidden="true"><div>
    ${ticksOf(low, high).map((at) => html`<span key=${at} style=${{ "--at": `${(100 * (at - low)) / (high - low)}%` }}>${write(at)}</span>`)}</div></div>`;
}

// The end of an axis, a little beyond what is on it.
const rounded = (value) => {
  const width = step(value, 4);
  return Math.ceil(value / width + 0.2) * width;
};

const short = (value) => number(value).replace(/([.,]\d*?)0+$/, "$1").replace(/[.,]$/, "");

const within = (row, low, high) => [row.at, row.low ?? row.at, row.high ?? row.at].every((value) => value >= low && value <= high);

// rows: {key, at, low, high, note, tone}
export function Intervals({ rows, label }) {
  const shares = rows.filter((row) => within(row, 0, 1));
  const measures = rows.filter((row) => !within(row, 0, 1));
  return html`<div class="dw" role="group" aria-label=${label}>
    ${shares.length > 0 && html`<ul>${shares.map((row) => html`<${Row} key=${row.key} row=${row} low=${0} high=${1} write=${number} />`)}</ul>
      <${Axis} low=${0} high=${1} write=${short} />`}
    ${measures.length > 0 && html`<ul>${measures.map((row) => {
      const low = Math.min(0, row.low ?? row.at);
      const high = rounded(Math.max(0, row.high ?? row.at) || 1);
      return html`<${Row} key=${row.key} row=${row} low=${low} high=${high} write=${number} own />`;
    })}</ul>`}
  </div>`;
}

// rows as above: differences, with nothing in the middle of the axis.
export function Differences({ rows, label, relative = false }) {
  const reach = Math.max(1e-6, ...rows.flatMap((row) => [row.at, row.low ?? 0, row.high ?? 0].map(Math.abs)));
  const width = step(reach, 2);
  const edge = Math.ceil(reach / width - 1e-9) * width;
  const signed = (value) => (relative ? `${value > 0 ? "+" : ""}${percent(value, 1)}`.replace("-", "−") : number(value, true));
  return html`<div class="dw" role="group" aria-label=${label}>
    <ul>${rows.map((row) => html`<${Row} key=${row.key} row=${{ ...row, tone: row.tone ?? "even" }} low=${-edge} high=${edge} zero=${0} write=${signed} />`)}</ul>
    <${Axis} low=${-edge} high=${edge} write=${(value) => (relative ? percent(value, 1) : +value.toFixed(6))} />
  </div>`;
}
