// A trace as a tree of runs over time: an ARIA treegrid that arrow keys walk, zoomed by z, the
// wheel with Ctrl, or by dragging over the axis. Places are custom properties, set through the
// CSSOM: the page's policy allows no inline style.
import { html, useEffect, useMemo, useRef, useState } from "./kit.js";
import { many, step, took } from "./figures.js";

const KINDS = ["chain", "llm", "retriever", "tool", "embedding"];
const LONG = 300; // runs from which on a trace begins folded

export const kindOf = (run) =>
  run.input_tokens != null && run.leaf ? "llm" : KINDS.includes(run.run_type) ? run.run_type : "other";

export const gist = (run) => {
  if (run.error && run.status === "error") return run.error.split("\n")[0];
  const parts = [];
  if (run.run_type === "tool" && run.arguments) parts.push(`(${run.arguments})`);
  if (run.prompt) parts.push(run.prompt);
  else if (run.run_type === "llm" && run.model) parts.push(run.model);
  const said = run.choice || run.answer;
  if (said && run.leaf) parts.push(`→ ${said}`);
  return parts.join("  ").replace(/\s+/g, " ");
};

// Which rows are hidden because a run above them is closed.
const hiddenRows = (runs, closed) => {
  const hidden = new Set();
  let level = Infinity;
  for (const run of runs) {
    if (run.depth > level) hidden.add(run.id);
    else level = closed.has(run.id) ? run.depth : Infinity;
  }
  return hidden;
};

const mark = (seconds, span) =>
  span < 1 ? `${+(seconds * 1000).toFixed(3)} ms`
    : span < 120 ? `${+seconds.toFixed(3)} s` : `${+(seconds / 60).toFixed(2)} min`;

function Axis({ axis, zoom, t }) {
  const ruler = useRef(null);
  const [drag, setDrag] = useState(null);
  const width = step(axis.span);
  const marks = [];
  for (let at = Math.ceil(axis.from / width) * width; at < axis.from + axis.span * 0.94; at += width) marks.push(at);
  const at = (event) => {
    const box = ruler.current.getBoundingClientRect();
    const share = Math.min(1, Math.max(0, (event.clientX - box.left) / box.width));
    return axis.from + share * axis.span;
  };
  const ended = (event) => {
    const [from, until] = [drag.from, at(event)].sort((a, b) => a - b);
    setDrag(null);
    if (until - from > axis.span / 100) zoom(from, until - from);
  };
  return html`<div role="columnheader" class="wf-axis" aria-label=${t("time")} ref=${ruler}
      title=${t("drag")}
      onPointerDown=${(event) => { ruler.current.setPointerCapture(event.pointerId); setDrag({ from: at(event), until: at(event) }); }}
      onPointerMove=${(event) => drag && setDrag({ ...drag, until: at(event) })}
      onPointerUp=${(event) => drag && ended(event)} onPointerCancel=${() => setDrag(null)}>
    ${marks.map((each) => html`<i key=${each} style=${{ "--s": each }}>${mark(each, axis.span)}</i>`)}
    ${drag && html`<b class="wf-drag" style=${{
      "--s": Math.min(drag.from, drag.until), "--u": Math.max(drag.from, drag.until) }}></b>`}
  </div>`;
}

function Row({ run, current, chosen, closed, missed, hidden, tokens, choose, fold, t }) {
  const kind = kindOf(run);
  const lasts = run.until - run.start;
  const first = run.first_token != null && lasts > 0 ? Math.min(1, run.first_token / lasts) : null;
  const spoken = t("spoken", { start: took(run.start), took: took(lasts) });
  return html`<div role="row" id=${`run-${run.id}`} hidden=${hidden} tabindex=${current ? 0 : -1}
      class=${`wf-row wf-${kind} is-${run.status}${run.leaf ? "" : " is-parent"}${missed ? " is-missed" : ""}`}
      aria-level=${run.depth + 1} aria-expanded=${run.leaf ? undefined : String(!closed)} aria-selected=${String(chosen)}
      style=${{ "--d": Math.min(run.depth, 12), "--s": run.start, "--u": run.until }}
      onClick=${(event) => (event.target.closest(".wf-fold") ? fold() : choose())}>
    <span role="gridcell" class="wf-name">
      ${run.leaf ? html`<i class="wf-leaf"></i>`
        : html`<button type="button" class="wf-fold" tabindex="-1" aria-label=${t("fold", { name: run.name })}></button>`}
      <b>${run.name}</b>
      ${run.status !== "success" && html`<em>${t(`status.${run.status}`)}</em>`}
      <small>${gist(run)}</small>
    </span>
    <span role="gridcell" class="wf-time" aria-label=${spoken}>
      <i class="wf-bar" style=${first == null ? undefined : { "--f": `${first * 100}%` }}>
        ${first != null && html`<i class="wf-first"></i>`}</i>
    </span>
    <span role="gridcell" class="wf-number">${run.duration == null ? "…" : took(run.duration)}</span>
    ${tokens && html`<span role="gridcell" class="wf-number wf-tokens">${run.input_tokens != null &&
      `${many(run.input_tokens)} → ${many(run.output_tokens ?? 0)}`}</span>`}
  </div>`;
}

export function Waterfall({ view, chosen, choose, t }) {
  const runs = useMemo(() => view.runs.filter((run) => !run.folded), [view]);
  const whole = { from: 0, span: Math.max(view.seconds, 1e-6) * 1.01 };
  const [axis, setAxis] = useState(whole);
  const [closed, setClosed] = useState(() =>
    new Set(runs.length > LONG ? runs.filter((run) => !run.leaf && run.depth > 0).map((run) => run.id) : []));
  const [current, setCurrent] = useState(runs[0]?.id);
  const [wanted, setWanted] = useState("");
  const grid = useRef(null);
  const hidden = hiddenRows(runs, closed);
  const shown = runs.filter((run) => !hidden.has(run.id));
  const zoom = (from, span) => setAxis({ from: Math.max(0, from), span: Math.max(span, whole.span / 1e5, 1e-6) });
  const zoomTo = (run) => zoom(run.start, (run.until - run.start) * 1.02);
  const zoomed = axis.from !== 0 || axis.span !== whole.span;
  const fold = (id, close) => setClosed((before) => {
    const after = new Set(before);
    if (close ?? !after.has(id)) after.add(id); else after.delete(id);
    return after;
  });
  const focus = (id) => {
    setCurrent(id);
    const row = document.getElementById(`run-${id}`);
    row?.focus({ preventScroll: true });
    row?.scrollIntoView({ block: "nearest" });
  };
  const above = (run) => {
    const place = runs.indexOf(run);
    return runs.slice(0, place).findLast((each) => each.depth < run.depth) ?? run;
  };
  const finds = (run) => [run.name, gist(run), run.status, run.error ?? "",
    ...run.inputs.map((block) => block.text), ...run.outputs.map((block) => block.text)]
    .some((text) => text.toLowerCase().includes(wanted.toLowerCase()));
  const missed = wanted.trim() ? new Set(runs.filter((run) => !finds(run)).map((run) => run.id)) : new Set();
  useEffect(() => { // Preact's wheel listeners are passive, and the browser would zoom the page
    const wheel = (event) => {
      if (!event.ctrlKey) return;
      event.preventDefault();
      const box = grid.current.querySelector(".wf-axis").getBoundingClientRect();
      const share = Math.min(1, Math.max(0, (event.clientX - box.left) / box.width));
      setAxis((now) => {
        const span = Math.min(whole.span, Math.max(now.span * (event.deltaY < 0 ? 0.8 : 1.25), whole.span / 1e5));
        const from = Math.min(whole.span - span, Math.max(0, now.from + share * (now.span - span)));
        return { from, span };
      });
    };
    grid.current.addEventListener("wheel", wheel, { passive: false });
    return () => grid.current?.removeEventListener("wheel", wheel);
  }, [whole.span]);
  const pressed = (event) => {
    if (event.altKey || event.ctrlKey || event.metaKey) return;
    const run = runs.find((each) => each.id === current) ?? runs[0];
    const place = shown.indexOf(run);
    const move = (to) => {
      const next = shown[Math.min(shown.length - 1, Math.max(0, to))];
      focus(next.id);
      if (chosen) choose(next.id);
    };
    const keys = {
      ArrowDown: () => move(place + 1), ArrowUp: () => move(place - 1),
      Home: () => move(0), End: () => move(shown.length - 1),
      PageDown: () => move(place + 15), PageUp: () => move(place - 15),
      ArrowRight: () => (closed.has(run.id) ? fold(run.id, false) : !run.leaf && move(place + 1)),
      ArrowLeft: () => (!run.leaf && !closed.has(run.id) ? fold(run.id, true) : move(shown.indexOf(above(run)))),
      Enter: () => choose(chosen === run.id ? null : run.id), " ": () => choose(chosen === run.id ? null : run.id),
      z: () => zoomTo(run), Z: () => setAxis(whole), "+": () => zoom(axis.from + axis.span * 0.1, axis.span * 0.8),
      "-": () => zoom(axis.from - axis.span * 0.125, Math.min(whole.span, axis.span * 1.25)),
    };
    if (!keys[event.key]) return;
    event.preventDefault();
    keys[event.key]();
  };
  const present = [...KINDS, "other"].filter((kind) => runs.some((run) => kindOf(run) === kind));
  const folded = view.runs.length - runs.length;
  const tokens = runs.some((run) => run.input_tokens != null);
  return html`<section class="wf">
    <div class="wf-tools">
      <input type="search" class="field" value=${wanted} placeholder=${t("find")} aria-label=${t("find")}
        onInput=${(event) => setWanted(event.currentTarget.value)}
        onKeyDown=${(event) => event.key === "Enter" && runs.some((run) => !missed.has(run.id)) && (() => {
          setClosed(new Set());
          requestAnimationFrame(() => focus(runs.find((run) => !missed.has(run.id)).id));
        })()} />
      <button type="button" class="btn" onClick=${() => setClosed(new Set())}>${t("openAll")}</button>
      <button type="button" class="btn" onClick=${() => setClosed(new Set(runs.filter((run) => !run.leaf && run.depth > 0).map((run) => run.id)))}>${t("closeAll")}</button>
      ${zoomed && html`<button type="button" class="btn" onClick=${() => setAxis(whole)}>${t("whole")}</button>`}
      <span class="wf-legend" aria-hidden="true">
        ${present.map((kind) => html`<span key=${kind} class=${`wf-${kind}`}><i></i>${t(`kind.${kind}`)}</span>`)}
      </span>
    </div>
    <div class=${`wf-grid${tokens ? "" : " no-tokens"}`} role="treegrid" aria-label=${t("runs")} ref=${grid} onKeyDown=${pressed}
      style=${{ "--from": axis.from, "--span": axis.span, "--step": step(axis.span),
        "--shift": -(axis.from % step(axis.span)) }}>
      <div class="wf-head" role="row">
        <span role="columnheader">${t("run")}</span>
        <${Axis} axis=${axis} zoom=${zoom} t=${t} />
        <span role="columnheader" class="wf-number">${t("duration")}</span>
        ${tokens && html`<span role="columnheader" class="wf-number wf-tokens">${t("tokens")}</span>`}
      </div>
      ${runs.map((run) => html`<${Row} key=${run.id} run=${run} t=${t} tokens=${tokens} hidden=${hidden.has(run.id)}
        current=${run.id === current} chosen=${run.id === chosen} closed=${closed.has(run.id)} missed=${missed.has(run.id)}
        fold=${() => fold(run.id)} choose=${() => { focus(run.id); choose(chosen === run.id ? null : run.id); }} />`)}
    </div>
    ${folded > 0 && html`<p class="note">${t("folded", { count: folded })}</p>`}
    <p class="note wf-keys">${t("keys")}</p>
  </section>`;
}
