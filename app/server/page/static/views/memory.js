// What is remembered of the one who looks: read, found, corrected, forgotten.
import { Badge, Button, Empty, Spinner, api, confirm, html, toast, useEffect, useLayoutEffect, useMemo, useRef, useState, useT } from "./kit.js";
import { ago, count, moment } from "./figures.js";
import dictionary from "./memory.i18n.js";

const KINDS = ["name", "home", "work", "study", "family", "pet", "food", "health", "preference", "hobby",
  "schedule", "plan", "skill", "possession", "fact", "note"];
const LONGEST = 500;

function Kinds({ value, change, t, any = false }) {
  return html`<select class="field" value=${value} aria-label=${t("kindLabel")} onChange=${(event) => change(event.currentTarget.value)}>
    ${any && html`<option value="" selected=${value === ""}>${t("anyKind")}</option>`}
    ${KINDS.map((kind) => html`<option key=${kind} value=${kind} selected=${kind === value}>${t(`kind.${kind}`)}</option>`)}
  </select>`;
}

// One form for a new fact and for a changed one.
function Fact({ memory, save, cancel, t }) {
  const [text, setText] = useState(memory?.text ?? "");
  const [kind, setKind] = useState(memory?.kind ?? "fact");
  const [busy, setBusy] = useState(false);
  const box = useRef(null);
  useLayoutEffect(() => { if (memory) { box.current.focus(); box.current.select(); } }, []);
  const done = async (event) => {
    event.preventDefault();
    if (!text.trim()) { box.current.focus(); return; }
    setBusy(true);
    try {
      await save({ text: text.trim(), kind });
      if (!memory) { setText(""); setKind("fact"); }
    } catch (error) {
      toast(error, "bad");
    } finally {
      setBusy(false);
    }
  };
  return html`<form class="mem-form" onSubmit=${done} onKeyDown=${(event) => {
      if (event.key === "Escape" && cancel) { event.preventDefault(); event.stopPropagation(); cancel(); } }}>
    <label class="mem-text"><span class="sr">${t(memory ? "change" : "newFact")}</span>
      <input class="field" ref=${box} value=${text} maxlength=${LONGEST} placeholder=${t("example")}
        onInput=${(event) => setText(event.currentTarget.value)} /></label>
    <${Kinds} value=${kind} change=${setKind} t=${t} />
    <${Button} type="submit" kind="primary" disabled=${busy || !text.trim()}>${t(memory ? "save" : "add")}<//>
    ${cancel && html`<${Button} onClick=${cancel}>${t("cancel")}<//>`}
  </form>`;
}

function History({ id, t }) {
  const [history, setHistory] = useState(null);
  useEffect(() => {
    api.get(`/api/memories/${id}`).then((found) => setHistory(found.history ?? []), (error) => { toast(error, "bad"); setHistory([]); });
  }, [id]);
  if (!history) return html`<${Spinner} />`;
  if (!history.length) return html`<p class="note">${t("noHistory")}</p>`;
  return html`<ol class="mem-history" aria-label=${t("history")}>
    ${history.map((each) => html`<li key=${each.id}><del>${each.text}</del>
      <time datetime=${each.created_at} title=${moment(each.created_at)}>${ago(each.created_at)}</time></li>`)}
  </ol>`;
}

function Item({ memory, reload, t }) {
  const [open, setOpen] = useState(null);
  const change = useRef(null);
  const closed = () => { setOpen(null); requestAnimationFrame(() => change.current?.focus()); };
  const save = async (fact) => {
    await api.patch(`/api/memories/${memory.id}`, fact);
    toast(t("changed"), "good");
    closed();
    await reload();
  };
  const forget = async () => {
    if (!(await confirm({ title: t("forgetOne"), text: memory.text, yes: t("forget"), danger: true }))) return;
    try {
      await api.delete(`/api/memories/${memory.id}`);
      toast(t("forgotten"), "good");
      await reload();
    } catch (error) {
      toast(error, "bad");
    }
  };
  if (open === "edit") return html`<li class="mem-item"><${Fact} memory=${memory} save=${save} cancel=${closed} t=${t} /></li>`;
  return html`<li class="mem-item">
    <div class="mem-line">
      <div><p class="mem-fact">${memory.text}</p>
        <p class="mem-about"><${Badge}>${t(`kind.${memory.kind}`)}<//>
          <time datetime=${memory.changed_at} title=${moment(memory.changed_at)}>${ago(memory.changed_at)}</time>
          <span>${memory.uses ? t("used", { count: count(memory.uses) }) : t("unused")}</span></p></div>
      <div class="mem-actions">
        <button type="button" class="btn quiet" ref=${change} aria-label=${t("changeThis", { text: memory.text })} onClick=${() => setOpen("edit")}>${t("change")}</button>
        <button type="button" class="btn quiet" aria-expanded=${String(open === "history")} aria-label=${t("historyOf", { text: memory.text })}
          onClick=${() => setOpen(open === "history" ? null : "history")}>${t("history")}</button>
        <button type="button" class="btn quiet danger" aria-label=${t("forgetThis", { text: memory.text })} onClick=${forget}>${t("forget")}</button>
      </div>
    </div>
    ${open === "history" && html`<${History} id=${memory.id} t=${t} />`}
  </li>`;
}

export function Memory() {
  const t = useT(dictionary);
  const [all, setAll] = useState(null);
  const [off, setOff] = useState(null);
  const [error, setError] = useState(null);
  const [text, setText] = useState("");
  const [kind, setKind] = useState("");
  const [found, setFound] = useState(null);
  const load = async () => {
    try {
      const { memories } = await api.get("/api/memories");
      setAll(memories);
      setError(null);
    } catch (problem) {
      if (problem.code === "memory_off") setOff(problem); else setError(problem);
      setAll((before) => before ?? []);
    }
  };
  useEffect(() => { load(); }, []);
  useEffect(() => { // the server knows what words mean; until it answers the letters do
    setFound(null);
    const query = text.trim();
    if (!query) return undefined;
    let over = false;
    const timer = setTimeout(() => {
      api.get(`/api/memories/search?${new URLSearchParams({ query })}`).then(
        ({ memories }) => { if (!over) setFound(memories); }, () => {});
    }, 250);
    return () => { over = true; clearTimeout(timer); };
  }, [text, all]);
  const shown = useMemo(() => {
    const wanted = text.trim().toLocaleLowerCase();
    const letters = (all ?? []).filter((memory) => memory.text.toLocaleLowerCase().includes(wanted));
    const meant = (found ?? []).filter((memory) => !letters.some((each) => each.id === memory.id));
    return [...letters, ...(wanted ? meant : [])].filter((memory) => !kind || memory.kind === kind);
  }, [all, found, text, kind]);
  const add = async (fact) => {
    await api.post("/api/memories", fact);
    toast(t("added"), "good");
    await load();
  };
  const forgetAll = async () => {
    if (!(await confirm({ title: t("forgetAll"), text: t("forgetAllText", { count: count(all.length) }), yes: t("forgetAllYes"), danger: true }))) return;
    try {
      await api.delete("/api/memories?all=true");
      toast(t("allForgotten"), "good");
      await load();
    } catch (problem) {
      toast(problem, "bad");
    }
  };
  const filtered = text.trim() || kind;
  return html`<div class="view mem">
    <header class="view-head"><h1>${t("title")}</h1><p>${t("about")}</p></header>
    ${off && html`<p class="notice">${off.message}</p>`}
    ${!off && html`<${Fact} save=${add} t=${t} />`}
    ${error && html`<p class="notice bad" role="alert">${error.message} ${error.hint ?? ""} <button type="button" class="btn" onClick=${load}>${t("again")}</button></p>`}
    ${all?.length > 0 && html`<div class="mem-filter" role="search">
      <label><span class="sr">${t("find")}</span><input type="search" class="field" data-search value=${text} placeholder=${t("find")}
        onInput=${(event) => setText(event.currentTarget.value)} /></label>
      <${Kinds} value=${kind} change=${setKind} any t=${t} />
      <span class="note" aria-live="polite">${t("shown", { count: count(shown.length), all: count(all.length) })}</span>
      <button type="button" class="btn quiet danger" onClick=${forgetAll}>${t("forgetAllShort")}</button>
    </div>`}
    ${!all ? html`<${Spinner} />`
      : !all.length ? !error && !off && html`<${Empty} title=${t("none")}>${t("noneHint")}<//>`
      : !shown.length ? filtered && html`<${Empty} title=${t("noneFits")}>${t("noneFitsHint")}<//>`
      : html`<ul class="mem-list">${shown.map((memory) => html`<${Item} key=${memory.id} memory=${memory} reload=${load} t=${t} />`)}</ul>`}
  </div>`;
}
