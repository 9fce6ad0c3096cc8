// Two experiments on the examples they share: what got better, what got worse, and where.
import { Spinner, api, html, useEffect, useState } from "./kit.js";
import { count, number, percent } from "./figures.js";
import { Differences } from "./experiments-plot.js";
import { hrefOf } from "./experiments.js";

const PLOTS = ["histogram", "scatter"];
const plain = (value) => (typeof value === "string" ? value : value == null ? "" : JSON.stringify(value));

// Whether the interval leaves no doubt, and for whom it speaks.
const tone = (score) => {
  if (score.low == null || (score.low <= 0 && score.high >= 0)) return null;
  return (score.difference > 0) === (score.better === "higher") ? "good" : "bad";
};
const isShare = (score) => score.better === "higher" && Math.abs(score.mean_a) <= 1 && Math.abs(score.mean_b) <= 1;

function Scale({ score, t }) {
  const all = score.wins + score.ties + score.losses || 1;
  const part = (name) => score[name] > 0 && html`<i class=${`ec-${name}`} style=${{ "--part": score[name] / all }}></i>`;
  return html`<div class="ec-scale" role="img" aria-label=${t("scale", { wins: count(score.wins), ties: count(score.ties), losses: count(score.losses) })}>
    ${part("wins")}${part("ties")}${part("losses")}</div>`;
}

function Table({ scores, t }) {
  return html`<section aria-labelledby="ec-table"><h2 id="ec-table">${t("scores")}</h2><table class="table ec-table"><thead><tr><th scope="col">${t("score")}</th><th scope="col" class="num">A</th><th scope="col" class="num">B</th>
      <th scope="col" class="num">${t("difference")}</th><th scope="col">${t("winsTiesLosses")}</th><th scope="col" class="num">p</th></tr></thead>
    <tbody>${scores.map((score) => html`<tr key=${score.key}><th scope="row">${score.key}<small>${t(`better.${score.better}`)}</small></th>
      <td class="num" data-label="A">${number(score.mean_a)}</td><td class="num" data-label="B">${number(score.mean_b)}</td>
      <td class=${`num ${tone(score) ?? ""}`} data-label=${t("difference")}>${number(score.difference, true)}</td>
      <td><${Scale} score=${score} t=${t} /><small>${count(score.wins)} / ${count(score.ties)} / ${count(score.losses)}</small></td>
      <td class="num" data-label="p">${score.p == null ? "–" : score.p < 0.001 ? "< 0.001" : score.p.toFixed(3)}</td></tr>`)}</tbody></table></section>`;
}

function Plots({ a, b, scores, t }) {
  const [key, setKey] = useState(scores[0].key);
  const [by, setBy] = useState("histogram");
  const address = `/api/experiments/compare/plot.svg?${new URLSearchParams({ a: a.id, b: b.id, by, key })}`;
  return html`<section aria-labelledby="ec-plots"><h2 id="ec-plots">${t("distribution")}</h2>
    <div class="row"><label>${t("score")} <select class="field" onChange=${(event) => setKey(event.currentTarget.value)}>
        ${scores.map((score) => html`<option key=${score.key} value=${score.key} selected=${score.key === key}>${score.key}</option>`)}</select></label>
      <label>${t("plot")} <select class="field" onChange=${(event) => setBy(event.currentTarget.value)}>
        ${PLOTS.map((each) => html`<option key=${each} value=${each} selected=${each === by}>${t(`plot.${each}`)}</option>`)}</select></label></div>
    <img class="ec-plot" src=${address} alt=${t("plotOf", { plot: t(`plot.${by}`), key })} /></section>`;
}

function Side({ name, side, t }) {
  return html`<div class="ec-side"><p><b>${name}</b> ${Object.entries(side.scores ?? {}).filter(([, value]) => value != null)
      .map(([key, value]) => html`<span key=${key} class="ec-score">${key} ${number(value)}</span>`)}</p>
    <p class="ex-answer">${plain(side.answer) || t("noAnswer")}</p></div>`;
}

function Pairs({ pairs, scores, t }) {
  const [key, setKey] = useState(scores[0]?.key ?? "");
  const [all, setAll] = useState(false);
  const better = scores.find((score) => score.key === key)?.better;
  const gain = (pair) => (pair.differences[key] ?? 0) * (better === "lower" ? -1 : 1);
  const sorted = [...pairs].sort((x, y) => gain(x) - gain(y));
  const shown = all ? sorted : sorted.filter((pair) => Math.abs(gain(pair)) > 1e-9 || plain(pair.a.answer) !== plain(pair.b.answer));
  return html`<section aria-labelledby="ec-pairs"><h2 id="ec-pairs">${t("pairs")}</h2>
    <div class="row"><label>${t("by")} <select class="field" onChange=${(event) => setKey(event.currentTarget.value)}>
        ${scores.map((score) => html`<option key=${score.key} value=${score.key} selected=${score.key === key}>${score.key}</option>`)}</select></label>
      <label class="check"><input type="checkbox" checked=${all} onChange=${(event) => setAll(event.currentTarget.checked)} /> ${t("alsoSame")}</label>
      <span class="note" aria-live="polite">${t("shownPairs", { count: count(shown.length), all: count(pairs.length) })}</span></div>
    <ol class="ec-pairs">${shown.map((pair, n) => html`<li key=${pair.example ?? n}>
      <p class="ex-asked">${plain(pair.asked)} <span class=${gain(pair) > 0 ? "good" : gain(pair) < 0 ? "bad" : "note"}>${number(pair.differences[key] ?? null, true)}</span></p>
      <div class="ec-both"><${Side} name="A" side=${pair.a} t=${t} /><${Side} name="B" side=${pair.b} t=${t} /></div></li>`)}</ol>
  </section>`;
}

export function Comparison({ a, b, t }) {
  const [found, setFound] = useState(null);
  const [error, setError] = useState(null);
  useEffect(() => { api.get(`/api/experiments/compare?${new URLSearchParams({ a, b })}`).then(setFound, setError); }, []);
  const back = html`<a class="back" href="#/experiments">${t("back")}</a>`;
  if (error) return html`<div class="view ex">${back}<p class="notice bad" role="alert">${error.message} ${error.hint ?? ""}</p></div>`;
  if (!found) return html`<div class="view ex">${back}<${Spinner} /></div>`;
  const rows = (scores, relative) => scores.map((score) => {
    const scale = relative ? score.mean_a || 1 : 1;
    return { key: score.key, at: score.difference / scale, low: score.low / scale, high: score.high / scale, tone: tone(score), note: t(`better.${score.better}`) };
  });
  const shares = found.scores.filter(isShare);
  const measures = found.scores.filter((score) => !isShare(score));
  return html`<div class="view ex">${back}
    <header class="view-head"><h1>${t("comparison")}</h1>
      <p class="ec-names"><span><b>A</b> <a href=${hrefOf(found.a)}>${found.a.name}</a></span> <span><b>B</b> <a href=${hrefOf(found.b)}>${found.b.name}</a></span></p>
      <p>${t("shared", { count: count(found.examples), confidence: percent(found.confidence) })}</p></header>
    ${found.notes.map((note, n) => html`<p class="notice" key=${n}>${note}</p>`)}
    ${shares.length > 0 && html`<section aria-labelledby="ec-scores"><h2 id="ec-scores">${t("differences")}</h2>
      <${Differences} rows=${rows(shares, false)} label=${t("differencesPlot")} /></section>`}
    ${measures.length > 0 && html`<section aria-labelledby="ec-measures"><h2 id="ec-measures">${t("measures")}</h2>
      <${Differences} rows=${rows(measures, true)} relative label=${t("measuresPlot")} /></section>`}
    ${found.scores.length > 0 && html`<${Table} scores=${found.scores} t=${t} /><${Plots} a=${found.a} b=${found.b} scores=${found.scores} t=${t} />`}
    ${found.settings.length > 0 && html`<section aria-labelledby="ec-settings"><h2 id="ec-settings">${t("settingsDiffer")}</h2>
      <table class="table"><thead><tr><th scope="col">${t("setting")}</th><th scope="col">A</th><th scope="col">B</th></tr></thead>
      <tbody>${found.settings.map((each) => html`<tr key=${each.name}><th scope="row"><code>${each.name}</code></th><td>${plain(each.a)}</td><td>${plain(each.b)}</td></tr>`)}</tbody></table></section>`}
    <${Pairs} pairs=${found.pairs} scores=${found.scores} t=${t} />
  </div>`;
}
