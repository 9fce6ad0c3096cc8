// One trace: what it came to, its waterfall, a run's inputs and outputs, what people said of it.
import { Badge, Icon, Spinner, api, go, html, useEffect, useLayoutEffect, useRef, useState } from "./kit.js";
import { count, moment, percent, size, took } from "./figures.js";
import { statusTone, verdictTone } from "./traces.js";
import { Feedback } from "./traces-feedback.js";
import { Waterfall, kindOf } from "./traces-waterfall.js";

const tokens = (run, t) => run.input_tokens == null && run.output_tokens == null ? null
  : t("tokensAre", { read: count(run.input_tokens ?? 0), wrote: count(run.output_tokens ?? 0) });
const cached = (run) => run.cached_tokens ? `${count(run.cached_tokens)} (${percent(run.cached_tokens / run.input_tokens)})` : null;
const known = (value, write) => (value == null || value === "" || value === 0 ? null : write(value));

function Facts({ facts, className }) {
  return html`<dl class=${className}>${facts.filter(([, value]) => value != null && value !== "")
    .map(([name, value]) => html`<div key=${name}><dt>${name}</dt><dd>${value}</dd></div>`)}</dl>`;
}

function Blocks({ title, blocks, t }) {
  return html`<section><h3>${title}</h3>
    ${!blocks.length && html`<p class="note">${t("nothing")}</p>`}
    ${blocks.map((block, n) => html`<div class="run-block" key=${n}>
      ${block.label && html`<h4>${block.label}</h4>`}<pre tabindex="0">${block.text}</pre></div>`)}
  </section>`;
}

function Folded({ title, value }) {
  if (!value || !Object.keys(value).length) return null;
  return html`<details><summary>${title}</summary><pre tabindex="0">${JSON.stringify(value, null, 2)}</pre></details>`;
}

function Run({ run, close, t }) {
  const top = useRef(null);
  useEffect(() => { top.current?.parentElement.scrollTo?.(0, 0); }, [run.id]);
  const passages = run.chunks ?? [];
  const facts = [
    [t("verdictLabel"), run.verdict && t(`verdict.${run.verdict}`)],
    [t("model"), run.model],
    [t("prompt"), run.prompt && (run.prompt_sha256 ? `${run.prompt} (${run.prompt_sha256.slice(0, 12)})` : run.prompt)],
    [t("calledWith"), run.arguments], [t("chosen"), run.choice],
    [t("passages"), passages.length ? passages.slice(0, 12).join(", ") + (passages.length > 12 ? " …" : "") : null],
    [t("duration"), run.duration == null ? null : took(run.duration)],
    [t("firstToken"), known(run.first_token, took)],
    [t("tokens"), tokens(run, t)], [t("cached"), cached(run)],
    [t("speed"), known(run.tokens_per_second, (value) => value.toFixed(1))],
    [t("cpu"), known(run.cpu_seconds, took)], [t("memory"), known(run.peak_memory, size)],
    [t("egress"), run.calls_out?.length ? run.calls_out.join(", ") : known(run.egress, count)],
    [t("redacted"), known(run.redacted, count)],
    [t("node"), run.node], [t("started"), moment(run.started)], [t("id"), run.id],
  ];
  return html`<aside class="tr-run" aria-label=${t("runDetails")}>
    <div class="tr-run-top" ref=${top}>
      <h2>${run.name} <small>${t(`kind.${kindOf(run)}`)} · ${t(`status.${run.status}`)}</small></h2>
      <button type="button" class="btn quiet icon-only" aria-label=${t("close")} onClick=${close}><${Icon} name="close" /></button>
    </div>
    <${Facts} facts=${facts} className="tr-facts" />
    ${run.error && html`<h3>${t("error")}</h3><pre class="tr-trouble" tabindex="0">${run.error}</pre>`}
    <${Blocks} title=${t("inputs")} blocks=${run.inputs} t=${t} />
    <${Blocks} title=${t("outputs")} blocks=${run.outputs} t=${t} />
    <${Folded} title=${t("parameters")} value=${run.parameters} />
    <${Folded} title=${t("metadata")} value=${run.metadata} />
  </aside>`;
}

export function Trace({ id, t }) {
  const [view, setView] = useState(null);
  const [error, setError] = useState(null);
  const [chosen, setChosen] = useState(null);
  const load = () => api.get(`/api/traces/${encodeURIComponent(id)}`).then(
    (found) => { setView(found); setError(null); }, setError);
  useEffect(() => { load(); }, [id]);
  useEffect(() => { // what still runs is looked at again
    if (view?.status !== "running") return undefined;
    const timer = setTimeout(load, 2000);
    return () => clearTimeout(timer);
  }, [view]);
  const close = () => {
    const row = document.getElementById(`run-${chosen}`);
    setChosen(null);
    row?.focus();
  };
  useLayoutEffect(() => { // at once: the next key must not mean the step that was closed
    const pressed = (event) => {
      if (event.key !== "Escape" || event.defaultPrevented) return;
      if (chosen) close(); else if (!event.target.closest("input, textarea, select, dialog")) go("traces");
    };
    document.addEventListener("keydown", pressed);
    return () => document.removeEventListener("keydown", pressed);
  }, [chosen]);
  const back = html`<a class="back" href="#/traces">${t("back")}</a>`;
  if (error) return html`<div class="view">${back}<p class="notice bad" role="alert">${error.message} ${error.hint ?? ""}</p></div>`;
  if (!view) return html`<div class="view">${back}<${Spinner} /></div>`;
  const run = chosen && view.runs.find((each) => each.id === chosen);
  const models = view.runs.filter((each) => each.run_type === "llm" && !each.folded).length;
  const totals = [
    [t("duration"), view.duration == null ? null : took(view.duration)],
    [t("firstToken"), known(view.first_token, took)], [t("tokens"), tokens(view, t)], [t("cached"), cached(view)],
    [t("speed"), known(view.tokens_per_second, (value) => value.toFixed(1))],
    [t("modelCalls"), known(models, count)], [t("model"), view.model],
    [t("cpu"), known(view.cpu_seconds, took)], [t("memory"), known(view.peak_memory, size)],
    [t("egress"), known(view.egress, count)], [t("redacted"), known(view.redacted, count)],
    [t("started"), moment(view.started)],
  ];
  return html`<div class=${`view tr-trace${run ? " with-run" : ""}`}>
    <div class="tr-main">
      ${back}
      <header class="view-head">
        <h1>${view.asked || view.name}</h1>
        <p class="tr-badges"><code>${view.name}</code>
          <${Badge} tone=${statusTone[view.status]}>${t(`status.${view.status}`)}<//>
          ${view.verdict && html`<${Badge} tone=${verdictTone[view.verdict]}>${t(`verdict.${view.verdict}`)}<//>`}
          ${view.thread && html`<a href=${`#/chat/${view.thread}`}>${t("thread")}</a>`}</p>
        ${view.answered && html`<blockquote class="tr-answer">${view.answered}</blockquote>`}
        ${view.error && html`<p class="notice bad">${view.error.split("\n")[0]}</p>`}
      </header>
      <${Facts} facts=${totals} className="tr-totals" />
      <${Waterfall} view=${view} chosen=${chosen} choose=${setChosen} t=${t} />
      <${Feedback} view=${view} reload=${load} t=${t} />
    </div>
    ${run && html`<${Run} run=${run} close=${close} t=${t} />`}
  </div>`;
}
