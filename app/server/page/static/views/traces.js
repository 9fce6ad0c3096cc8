// Traces: what was asked, when, by which graph, and what became of it.
import { Badge, Empty, Spinner, api, go, html, useEffect, useRef, useState, useT } from "./kit.js";
import { ago, many, moment, took } from "./figures.js";
import { Trace } from "./traces-trace.js";
import dictionary from "./traces.i18n.js";

const STATUS = ["success", "error", "running", "interrupted", "cancelled", "lost"];
const VERDICTS = ["answered", "unproved", "refused", "blocked"];
const FILTERS = ["graph", "status", "verdict", "feedback", "text", "thread"];
const PAGE = 50;

export const statusTone = { success: "good", error: "bad", running: "wait", interrupted: "wait" };
export const verdictTone = { answered: "good", unproved: "wait", refused: "soft", blocked: "bad" };

function Choice({ label, value, options, change }) {
  return html`<label class="tr-filter"><span>${label}</span>
    <select class="field" value=${value} onChange=${(event) => change(event.currentTarget.value)}>
      ${options.map(([key, text]) => html`<option key=${key} value=${key} selected=${key === value}>${text}</option>`)}
    </select></label>`;
}

function Filters({ wanted, change, graphs, t }) {
  const [text, setText] = useState(wanted.text ?? "");
  const timer = useRef(0);
  useEffect(() => setText(wanted.text ?? ""), [wanted.text]);
  const typed = (value) => {
    setText(value);
    clearTimeout(timer.current);
    timer.current = setTimeout(() => change("text", value), 250);
  };
  const any = ["", t("any")];
  return html`<form class="tr-filters" role="search" aria-label=${t("filter")}
      onSubmit=${(event) => { event.preventDefault(); change("text", text); }}>
    <label class="tr-filter tr-text"><span>${t("text")}</span>
      <input type="search" class="field" data-search value=${text} placeholder=${t("textHint")}
        onInput=${(event) => typed(event.currentTarget.value)} /></label>
    <${Choice} label=${t("graph")} value=${wanted.graph ?? ""} change=${(value) => change("graph", value)}
      options=${[any, ...graphs.map((name) => [name, name])]} />
    <${Choice} label=${t("statusLabel")} value=${wanted.status ?? ""} change=${(value) => change("status", value)}
      options=${[any, ...STATUS.map((name) => [name, t(`status.${name}`)])]} />
    <${Choice} label=${t("verdictLabel")} value=${wanted.verdict ?? ""} change=${(value) => change("verdict", value)}
      options=${[any, ...VERDICTS.map((name) => [name, t(`verdict.${name}`)])]} />
    <${Choice} label=${t("feedbackLabel")} value=${wanted.feedback ?? ""} change=${(value) => change("feedback", value)}
      options=${[any, ["thumbs>0", t("thumbsUp")], ["thumbs<=0", t("thumbsDown")]]} />
    ${wanted.thread && html`<button type="button" class="btn" onClick=${() => change("thread", "")}>${t("allThreads")}</button>`}
  </form>`;
}

function Row({ trace, t }) {
  const open = () => go(`traces/${trace.id}`);
  return html`<tr class="tr-row" onClick=${open}>
    <td class="tr-asked"><a href=${`#/traces/${trace.id}`} onClick=${(event) => event.stopPropagation()}>
        ${trace.preview || t("nothingAsked")}</a>
      ${trace.error ? html`<small class="tr-error">${trace.error.split("\n")[0]}</small>`
        : trace.answer && html`<small>${trace.answer}</small>`}</td>
    <td><code>${trace.graph ?? trace.name}</code></td>
    <td class="tr-badges">
      ${trace.status !== "success" && html`<${Badge} tone=${statusTone[trace.status]}>${t(`status.${trace.status}`)}<//>`}
      ${trace.verdict && html`<${Badge} tone=${verdictTone[trace.verdict]}>${t(`verdict.${trace.verdict}`)}<//>`}
    </td>
    <td class="num" data-label=${t("duration")}>${took(trace.duration)}</td>
    <td class="num tr-wide" data-label=${t("firstToken")}>${took(trace.first_token)}</td>
    <td class="num tr-wide" data-label=${t("tokens")}>${trace.input_tokens == null ? "–"
      : `${many(trace.input_tokens)} → ${many(trace.output_tokens ?? 0)}`}</td>
    <td class="num"><time datetime=${trace.started} title=${moment(trace.started)}>${ago(trace.started)}</time></td>
  </tr>`;
}

function List({ query, t }) {
  const wanted = Object.fromEntries(FILTERS.map((name) => [name, query.get(name) || undefined]));
  const asked = JSON.stringify(wanted);
  const [state, setState] = useState({ rows: null, more: false, error: null });
  const [graphs, setGraphs] = useState([]);
  const latest = useRef(0);
  const load = async (offset = 0) => {
    const mine = ++latest.current;
    const parameters = new URLSearchParams(Object.entries(wanted).filter(([, value]) => value));
    parameters.set("limit", PAGE);
    parameters.set("offset", offset);
    try {
      const { traces, more } = await api.get(`/api/traces?${parameters}`);
      if (mine !== latest.current) return;
      setState((before) => ({
        rows: [...(offset ? before.rows : []), ...traces], more, error: null,
      }));
    } catch (error) {
      if (mine === latest.current) setState((before) => ({ ...before, rows: before.rows ?? [], error }));
    }
  };
  useEffect(() => { load(); }, [asked]);
  useEffect(() => { api.get("/api/graphs").then(({ graphs }) => setGraphs(graphs.map((each) => each.name)), () => {}); }, []);
  const change = (name, value) => {
    const parameters = new URLSearchParams(Object.entries({ ...wanted, [name]: value }).filter(([, each]) => each));
    go(`traces${parameters.size ? `?${parameters}` : ""}`, { replace: true });
  };
  const { rows, more, error } = state;
  const filtered = Object.values(wanted).some(Boolean);
  return html`<div class="view tr-list">
    <header class="view-head"><h1>${t("title")}</h1><p>${t("about")}</p></header>
    <${Filters} wanted=${wanted} change=${change} graphs=${graphs} t=${t} />
    ${error && html`<p class="notice bad" role="alert">${error.message} ${error.hint ?? ""} <button type="button" class="btn" onClick=${() => load()}>${t("again")}</button></p>`}
    <p class="sr" aria-live="polite">${rows && t("found", { count: rows.length })}</p>
    ${!rows ? html`<${Spinner} />`
      : !rows.length ? !error && html`<${Empty} title=${t(filtered ? "noneFits" : "none")}>${t(filtered ? "noneFitsHint" : "noneHint")}<//>`
      : html`<table class="table tr-table"><thead><tr>
          <th scope="col">${t("question")}</th><th scope="col">${t("graph")}</th><th scope="col">${t("outcome")}</th>
          <th scope="col" class="num">${t("duration")}</th><th scope="col" class="num tr-wide">${t("firstToken")}</th>
          <th scope="col" class="num tr-wide">${t("tokens")}</th><th scope="col" class="num">${t("started")}</th>
        </tr></thead><tbody>${rows.map((trace) => html`<${Row} key=${trace.id} trace=${trace} t=${t} />`)}</tbody></table>`}
    ${more && html`<button type="button" class="btn tr-more" onClick=${() => load(rows.length)}>${t("more")}</button>`}
  </div>`;
}

export function Traces({ path, query }) {
  const t = useT(dictionary);
  return path[0] ? html`<${Trace} key=${path[0]} id=${path[0]} t=${t} />` : html`<${List} query=${query} t=${t} />`;
}
