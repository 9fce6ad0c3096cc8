// Experiments: a graph tried on a data set, its scores, and one beside another.
import { Badge, Button, Empty, Spinner, api, go, html, useEffect, useState, useT } from "./kit.js";
import { ago, count, moment, number } from "./figures.js";
import { Comparison } from "./experiments-compare.js";
import { Intervals } from "./experiments-plot.js";
import { statusTone, verdictTone } from "./traces.js";
import traceWords from "./traces.i18n.js";
import dictionary from "./experiments.i18n.js";

const PAGE = 25;
export const hrefOf = (experiment) => `#/experiments/${experiment.id}`;
const plain = (value) => (typeof value === "string" ? value : JSON.stringify(value));

function List({ t }) {
  const [found, setFound] = useState(null);
  const [error, setError] = useState(null);
  const [chosen, setChosen] = useState([]);
  const load = () => api.get("/api/experiments").then(({ experiments }) => { setFound(experiments); setError(null); }, setError);
  useEffect(() => { load(); }, []);
  const choose = (id) => setChosen((before) => before.includes(id) ? before.filter((each) => each !== id) : [...before, id].slice(-2));
  const compare = () => { // the older one stands, the newer one may take its place
    const [a, b] = found.filter((each) => chosen.includes(each.id)).sort((x, y) => (x.started < y.started ? -1 : 1));
    go(`experiments/compare/${a.id}/${b.id}`);
  };
  return html`<div class="view ex">
    <header class="view-head"><h1>${t("title")}</h1><p>${t("about")}</p></header>
    ${error ? html`<p class="notice bad" role="alert">${error.message} ${error.hint ?? ""} <button type="button" class="btn" onClick=${load}>${t("again")}</button></p>`
      : !found ? html`<${Spinner} />`
      : !found.length ? html`<${Empty} title=${t("none")}>${t("noneHint")} <code>groundling eval run</code><//>`
      : html`<div class="ex-tools"><${Button} kind="primary" disabled=${chosen.length !== 2} onClick=${compare}>${t("compare")}<//>
          <span class="note" aria-live="polite">${t(chosen.length === 2 ? "twoChosen" : "chooseTwo", { count: chosen.length })}</span></div>
        <table class="table ex-table"><thead><tr><th><span class="sr">${t("choose")}</span></th><th scope="col">${t("experiment")}</th>
          <th scope="col">${t("dataset")}</th><th scope="col">${t("state")}</th><th scope="col" class="num">${t("started")}</th></tr></thead>
        <tbody>${found.map((each) => html`<tr key=${each.id}>
          <td><input type="checkbox" aria-label=${t("chooseThis", { name: each.name })} checked=${chosen.includes(each.id)} onChange=${() => choose(each.id)} /></td>
          <td class="ex-name"><a href=${hrefOf(each)}>${each.name}</a>${each.description && html`<small>${each.description}</small>`}</td>
          <td>${each.dataset_name ?? "–"}</td>
          <td>${each.complete ? t("complete") : html`<${Badge} tone="wait">${t("incomplete")}<//>`}</td>
          <td class="num"><time datetime=${each.started} title=${moment(each.started)}>${ago(each.started)}</time></td>
        </tr>`)}</tbody></table>`}
  </div>`;
}

function Scores({ scores, t }) {
  return html`<section aria-labelledby="ex-scores"><h2 id="ex-scores">${t("scores")}</h2>
    <${Intervals} rows=${scores.filter((each) => each.mean != null).map((each) => ({
      key: each.key, at: each.mean, low: each.low, high: each.high,
      note: [t("examples", { count: count(each.examples) }), each.unjudged && t("unjudged", { count: count(each.unjudged) }),
        each.inapplicable && t("inapplicable", { count: count(each.inapplicable) }), t(`better.${each.better}`)].filter(Boolean).join(" · "),
    }))} label=${t("scoresPlot")} /></section>`;
}

function Results({ id, words, t }) {
  const [state, setState] = useState({ rows: [], more: false, busy: true });
  const load = async (offset) => {
    setState((before) => ({ ...before, busy: true }));
    try {
      const { results } = await api.get(`/api/experiments/${id}/results?limit=${PAGE}&offset=${offset}`);
      setState((before) => ({ rows: [...before.rows, ...results], more: results.length === PAGE, busy: false }));
    } catch (error) {
      setState((before) => ({ ...before, busy: false, error }));
    }
  };
  useEffect(() => { load(0); }, []);
  const keys = [...new Set(state.rows.flatMap((row) => Object.keys(row.scores)))];
  return html`<section aria-labelledby="ex-results"><h2 id="ex-results">${t("results")}</h2>
    ${state.error && html`<p class="notice bad" role="alert">${state.error.message} ${state.error.hint ?? ""}</p>`}
    ${state.rows.length > 0 && html`<ul class="ex-results">${state.rows.map((row, n) => html`<li key=${n}>
      <p class="ex-asked">${row.trace ? html`<a href=${`#/traces/${row.trace}`}>${plain(row.asked)}</a>` : plain(row.asked)}
        ${row.status !== "success" && html` <${Badge} tone=${statusTone[row.status]}>${words(`status.${row.status}`)}<//>`}
        ${row.verdict && html` <${Badge} tone=${verdictTone[row.verdict]}>${words(`verdict.${row.verdict}`)}<//>`}</p>
      ${row.error ? html`<p class="tr-error">${row.error.split("\n")[0]}</p>` : html`<p class="ex-answer">${plain(row.answer ?? "")}</p>`}
      <dl class="ex-row-scores">${keys.filter((key) => row.scores[key] != null).map((key) => html`<div key=${key}><dt>${key}</dt><dd>${number(row.scores[key])}</dd></div>`)}</dl>
    </li>`)}</ul>`}
    ${state.busy && html`<${Spinner} />`}
    ${state.more && !state.busy && html`<${Button} onClick=${() => load(state.rows.length)}>${t("more")}<//>`}
  </section>`;
}

function One({ id, words, t }) {
  const [found, setFound] = useState(null);
  const [error, setError] = useState(null);
  useEffect(() => { api.get(`/api/experiments/${encodeURIComponent(id)}`).then(setFound, setError); }, [id]);
  const back = html`<a class="back" href="#/experiments">${t("back")}</a>`;
  if (error) return html`<div class="view ex">${back}<p class="notice bad" role="alert">${error.message} ${error.hint ?? ""}</p></div>`;
  if (!found) return html`<div class="view ex">${back}<${Spinner} /></div>`;
  const settings = Object.entries(found.metadata ?? {});
  return html`<div class="view ex">${back}
    <header class="view-head"><h1>${found.name}</h1>${found.description && html`<p>${found.description}</p>`}</header>
    <dl class="figures">
      <div><dt>${t("dataset")}</dt><dd>${found.dataset_name ?? "–"}</dd></div>
      <div><dt>${t("runs")}</dt><dd>${count(found.runs)}</dd></div>
      <div><dt>${t("failed")}</dt><dd>${count(found.failed)}</dd></div>
      <div><dt>${t("state")}</dt><dd>${t(found.complete ? "complete" : "incomplete")}</dd></div>
      <div><dt>${t("started")}</dt><dd>${moment(found.started)}</dd></div>
    </dl>
    ${found.scores.length > 0 ? html`<${Scores} scores=${found.scores} t=${t} />` : html`<p class="note">${t("noScores")}</p>`}
    <${Results} id=${found.id} words=${words} t=${t} />
    ${settings.length > 0 && html`<details class="ex-settings"><summary>${t("settings")}</summary>
      <pre tabindex="0">${JSON.stringify(found.metadata, null, 2)}</pre></details>`}
  </div>`;
}

export function Experiments({ path }) {
  const t = useT(dictionary);
  const words = useT(traceWords);
  if (path[0] === "compare" && path[2]) return html`<${Comparison} key=${path.join("/")} a=${path[1]} b=${path[2]} t=${t} />`;
  return path[0] ? html`<${One} key=${path[0]} id=${path[0]} words=${words} t=${t} />` : html`<${List} t=${t} />`;
}
