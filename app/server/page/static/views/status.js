// How the server and its machine are, looked at every few seconds, and the graphs drawn.
import { Badge, Spinner, api, html, useEffect, useState, useT } from "./kit.js";
import { count, many, percent, size, took } from "./figures.js";
import { Graph } from "./status-graph.js";
import dictionary from "./status.i18n.js";

const EVERY = 3000; // milliseconds between two looks
const TONES = { ready: "good", loading: "wait", opening: "wait", ending: "wait", failed: "bad", "no model": "bad" };

function Card({ title, children, wide }) {
  return html`<section class=${`st-card${wide ? " is-wide" : ""}`}><h2>${title}</h2>${children}</section>`;
}

function Facts({ facts }) {
  return html`<dl class="st-facts">${facts.filter(([, value]) => value != null && value !== "")
    .map(([name, value]) => html`<div key=${name}><dt>${name}</dt><dd>${value}</dd></div>`)}</dl>`;
}

function Meter({ name, part, whole, shown, tight = 0.9 }) {
  const share = whole ? Math.min(1, part / whole) : 0;
  return html`<div class="st-meter"><p><span>${name}</span><span>${shown}</span></p>
    <div class=${`st-bar${share > tight ? " is-tight" : ""}`} role="meter" aria-label=${name} aria-valuemin="0" aria-valuemax="100"
      aria-valuenow=${Math.round(100 * share)} aria-valuetext=${shown}><i style=${{ "--share": `${100 * share}%` }}></i></div></div>`;
}

function Model({ model, embedder, t }) {
  return html`<${Card} title=${t("model")}>
    <p class="st-name"><b>${model.title || model.name}</b>
      <${Badge} tone=${model.loaded ? "good" : "wait"}>${t(model.remote ? "remote" : model.loaded ? "loaded" : "notLoaded")}<//></p>
    <${Facts} facts=${[
      [t("file"), model.title && model.title !== model.name ? model.name : null],
      [t("size"), model.size_bytes && size(model.size_bytes)], [t("quantisation"), model.quantisation],
      [t("context"), model.context && t("tokensOf", { count: count(model.context) })],
      [t("embedder"), embedder && (embedder.installed ? embedder.name : t("embedderMissing", { name: embedder.name }))],
    ]} />
  <//>`;
}

function Machine({ machine, process, t }) {
  const used = machine.memory_total - machine.memory_free;
  return html`<${Card} title=${t("machine")}>
    <p class="st-name">${machine.cpu} <span class="note">${t("cores", { count: count(machine.cores) })}</span></p>
    <${Meter} name=${t("memory")} part=${used} whole=${machine.memory_total} shown=${t("usedOf", { used: size(used), all: size(machine.memory_total) })} />
    <${Facts} facts=${[[t("diskFree"), size(machine.disk_free)], [t("ofThis"), process && size(process.memory)],
      [t("cpuTime"), process && took(process.cpu_seconds)]]} />
  <//>`;
}

function Speed({ speed, t }) {
  const nothing = !speed || !speed.model_calls;
  return html`<${Card} title=${t("speed")}>
    ${nothing ? html`<p class="note">${t("nothingRan")}</p>` : html`
      <p class="st-big"><b>${speed.tokens_per_second == null ? "–" : many(Math.round(speed.tokens_per_second * 10) / 10)}</b> ${t("tokensPerSecond")}</p>
      <${Facts} facts=${[[t("firstToken"), speed.first_token == null ? null : took(speed.first_token)],
        [t("calls"), count(speed.model_calls)], [t("read"), many(speed.tokens_in)], [t("written"), many(speed.tokens_out)]]} />
      ${speed.cache_share != null && html`<${Meter} name=${t("cache")} part=${speed.cache_share} whole=${1} tight=${2} shown=${percent(speed.cache_share)} />`}`}
  <//>`;
}

function Queue({ queue, t }) {
  return html`<${Card} title=${t("queue")}>
    <p class="st-big"><b>${count(queue.running)}</b> ${t("running")}</p>
    <p class="st-big st-soft"><b>${count(queue.waiting)}</b> ${t("waiting")}</p>
  <//>`;
}

function Graphs({ t }) {
  const [graphs, setGraphs] = useState(null);
  const [error, setError] = useState(null);
  const [chosen, setChosen] = useState(null);
  useEffect(() => {
    api.get("/api/graphs").then((found) => {
      const drawn = found.graphs.filter((each) => each.nodes.length); // some are only families of others
      setGraphs(drawn);
      setChosen((drawn.find((each) => each.name === "agent") ?? drawn[0])?.name);
    }, setError);
  }, []);
  if (error) return html`<${Card} title=${t("graphs")} wide><p class="notice bad">${error.message} ${error.hint ?? ""}</p><//>`;
  if (!graphs) return html`<${Card} title=${t("graphs")} wide><${Spinner} /><//>`;
  const graph = graphs.find((each) => each.name === chosen);
  return html`<${Card} title=${t("graphs")} wide>
    <div class="st-graphs" role="group" aria-label=${t("chooseGraph")}>${graphs.map((each) => html`
      <button type="button" key=${each.name} class="btn" aria-pressed=${String(each.name === chosen)} onClick=${() => setChosen(each.name)}>${each.name}</button>`)}</div>
    ${graph && html`<p>${graph.description}</p><${Graph} graph=${graph} label=${t("graphOf", { name: graph.name })} />
      <details><summary>Mermaid</summary><pre tabindex="0">${graph.mermaid}</pre></details>`}
  <//>`;
}

export function Status() {
  const t = useT(dictionary);
  const [status, setStatus] = useState(null);
  const [error, setError] = useState(null);
  useEffect(() => {
    let over = false;
    let timer = 0;
    const look = async () => {
      if (!document.hidden) {
        try {
          const found = await api.get("/api/status");
          if (!over) { setStatus(found); setError(null); }
        } catch (problem) {
          if (!over) setError(problem);
        }
      }
      if (!over) timer = setTimeout(look, EVERY);
    };
    look();
    return () => { over = true; clearTimeout(timer); };
  }, []);
  if (!status) {
    return html`<div class="view st"><header class="view-head"><h1>${t("title")}</h1></header>
      ${error ? html`<p class="notice bad" role="alert">${error.message} ${error.hint ?? ""}</p>` : html`<${Spinner} />`}</div>`;
  }
  return html`<div class="view st">
    <header class="view-head"><h1>${t("title")}</h1>
      <p class="st-head"><${Badge} tone=${error ? "bad" : TONES[status.state]}>${t(error ? "unreachable" : `state.${status.state}`)}<//>
        <span class="note">${t("version", { version: status.version })} · ${t("since", { time: took(Math.floor(status.seconds)) })}</span></p>
      <p class="sr" aria-live="polite">${t(error ? "unreachable" : `state.${status.state}`)}</p></header>
    ${error && html`<p class="notice bad">${error.message} ${error.hint ?? ""}</p>`}
    ${status.reason && html`<p class="notice bad">${status.reason} ${status.hint}</p>`}
    <div class="st-cards">
      <${Model} model=${status.model} embedder=${status.embedder} t=${t} />
      <${Machine} machine=${status.machine} process=${status.process} t=${t} />
      <${Speed} speed=${status.speed} t=${t} />
      <${Queue} queue=${status.queue} t=${t} />
      <${Graphs} t=${t} />
    </div>
  </div>`;
}
