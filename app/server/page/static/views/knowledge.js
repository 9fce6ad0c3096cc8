// Documents: the knowledge bases there are, and the one that is looked into.
import { Badge, Button, Empty, Spinner, api, go, html, toast, useEffect, useLayoutEffect, useRef, useState, useT } from "./kit.js";
import { many, size } from "./figures.js";
import { Base } from "./knowledge-base.js";
import { hrefOf, pathOf } from "./knowledge-names.js";
import dictionary from "./knowledge.i18n.js";

function Create({ made, cancel, t }) {
  const [name, setName] = useState("");
  const [shared, setShared] = useState(false);
  const [error, setError] = useState(null);
  const box = useRef(null);
  useLayoutEffect(() => box.current.focus(), []);
  const create = async (event) => {
    event.preventDefault();
    try {
      made(await api.post("/api/knowledge", { name: name.trim(), shared }));
    } catch (problem) {
      setError(problem);
      box.current.focus();
    }
  };
  return html`<form class="kb-create" onSubmit=${create} onKeyDown=${(event) => {
      if (event.key === "Escape") { event.preventDefault(); cancel(); } }}>
    <label><span>${t("name")}</span>
      <input class="field" ref=${box} value=${name} maxlength="64" autocomplete="off" aria-invalid=${String(!!error)}
        aria-describedby=${error ? "kb-create-error" : undefined} onInput=${(event) => { setName(event.currentTarget.value); setError(null); }} /></label>
    ${error && html`<p class="field-error" id="kb-create-error" role="alert">${error.message} ${error.hint ?? ""}</p>`}
    <label class="check"><input type="checkbox" checked=${shared} onChange=${(event) => setShared(event.currentTarget.checked)} /> ${t("shareNew")}</label>
    <div class="row"><${Button} type="submit" kind="primary" disabled=${!name.trim()}>${t("create")}<//>
      <${Button} onClick=${cancel}>${t("cancel")}<//></div>
  </form>`;
}

function Bases({ bases, chosen, t }) {
  return html`<ul class="kb-bases">${bases.map((base) => html`<li key=${base.id}>
    <a href=${hrefOf(base.id)} class="kb-base" aria-current=${base.id === chosen ? "page" : undefined}>
      <b>${base.name}</b>
      <small>${t("holds", { documents: many(base.documents), size: size(base.bytes) })}</small>
      ${base.error && html`<${Badge} tone="bad">${t("broken")}<//>`}
      ${base.shared && html`<${Badge}>${t(base.writable ? "sharedByYou" : "sharedWithYou")}<//>`}
    </a></li>`)}</ul>`;
}

export function Knowledge({ path, query }) {
  const t = useT(dictionary);
  const [bases, setBases] = useState(null);
  const [error, setError] = useState(null);
  const [creating, setCreating] = useState(false);
  const button = useRef(null);
  const id = path[0];
  const load = async () => {
    try {
      const found = (await api.get("/api/knowledge")).knowledge;
      setBases(found);
      setError(null);
      return found;
    } catch (problem) {
      setError(problem);
      setBases((before) => before ?? []);
      return [];
    }
  };
  useEffect(() => {
    load().then((found) => { // with one base there is nothing to choose
      if (!id && found.length === 1) go(pathOf(found[0].id), { replace: true });
    });
  }, []);
  const made = async (base) => {
    setCreating(false);
    toast(t("created", { name: base.name }), "good");
    await load();
    go(pathOf(base.id));
  };
  const cancel = () => { setCreating(false); requestAnimationFrame(() => button.current?.focus()); };
  const base = bases?.find((each) => each.id === id);
  return html`<div class=${`view kb${id ? " has-base" : ""}`}>
    <div class="kb-side">
      <header class="view-head"><h1>${t("title")}</h1><p>${t("about")}</p></header>
      ${error && html`<p class="notice bad" role="alert">${error.message} ${error.hint ?? ""} <button type="button" class="btn" onClick=${load}>${t("again")}</button></p>`}
      ${!bases ? html`<${Spinner} />` : html`<nav aria-label=${t("bases")}><${Bases} bases=${bases} chosen=${id} t=${t} /></nav>`}
      ${creating ? html`<${Create} made=${made} cancel=${cancel} t=${t} />`
        : html`<button type="button" class="btn" ref=${button} onClick=${() => setCreating(true)}>${t("new")}</button>`}
    </div>
    <div class="kb-main">
      ${id && !path[1] && html`<a class="back kb-back" href="#/documents">${t("title")}</a>`}
      ${!bases || error ? null
        : base ? html`<${Base} key=${id} base=${base} path=${path.slice(1)} query=${query} changed=${load} t=${t} />`
        : id ? html`<${Empty} title=${t("noSuchBase", { name: id })}>${t("noSuchBaseHint")}<//>`
        : !bases.length ? html`<${Empty} title=${t("none")}>${t("noneHint")}<//>`
        : html`<${Empty} title=${t("choose")}><//>`}
    </div>
  </div>`;
}
