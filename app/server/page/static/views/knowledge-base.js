// One knowledge base: what is in it, who may read it, its documents.
import { Badge, Button, Empty, Spinner, api, confirm, go, html, toast, useEffect, useState } from "./kit.js";
import { count, many, percent, size } from "./figures.js";
import { hrefOf, urlOf } from "./knowledge-names.js";
import { Search } from "./knowledge-search.js";
import { Text } from "./knowledge-text.js";
import { Upload } from "./knowledge-upload.js";

const SHOWN = 100; // documents that a long list begins with

function Head({ base, changed, t }) {
  const share = async (event) => {
    const shared = event.currentTarget.checked;
    try {
      await api.patch(urlOf(base.id), { shared });
      toast(t(shared ? "isShared" : "isPrivate"), "good");
    } catch (error) {
      toast(error, "bad");
    }
    await changed();
  };
  const remove = async () => {
    if (!(await confirm({ title: t("deleteBase", { name: base.name }), text: t("deleteBaseText", { documents: count(base.documents) }),
      yes: t("delete"), danger: true }))) return;
    try {
      await api.delete(urlOf(base.id));
      toast(t("baseDeleted", { name: base.name }), "good");
      go("documents");
    } catch (error) {
      toast(error, "bad");
    }
    await changed();
  };
  const languages = Object.entries(base.languages ?? {}).filter(([, part]) => part >= 0.005).sort((a, b) => b[1] - a[1]);
  return html`<header class="kb-head">
    <div class="kb-title"><h2>${base.name}</h2>
      ${base.shared && !base.writable && html`<${Badge}>${t("sharedWithYou")}<//>`}
      ${base.writable && html`<div class="row">
        <label class="check"><input type="checkbox" role="switch" checked=${base.shared} onChange=${share} /> ${t("share")}</label>
        <button type="button" class="btn quiet danger" onClick=${remove}>${t("deleteThisBase")}</button></div>`}
    </div>
    <dl class="figures">
      <div><dt>${t("documents")}</dt><dd>${count(base.documents)}</dd></div>
      <div><dt>${t("passages")}</dt><dd>${count(base.passages)}</dd></div>
      <div><dt>${t("characters")}</dt><dd>${many(base.characters)}</dd></div>
      <div><dt>${t("size")}</dt><dd>${size(base.bytes)}</dd></div>
      ${languages.length > 0 && html`<div><dt>${t("scripts")}</dt><dd>${languages.slice(0, 3)
        .map(([name, part]) => `${t(`script.${name}`, {}, name)} ${percent(part)}`).join(", ")}</dd></div>`}
    </dl>
    ${base.error && html`<p class="notice bad">${base.error}</p>`}
  </header>`;
}

function Documents({ base, documents, reload, t }) {
  const [wanted, setWanted] = useState("");
  const [most, setMost] = useState(SHOWN);
  const fits = documents.filter((each) => `${each.title} ${each.source}`.toLocaleLowerCase().includes(wanted.trim().toLocaleLowerCase()));
  const remove = async (document) => {
    if (!(await confirm({ title: t("deleteDocument"), text: document.title || document.source, yes: t("delete"), danger: true }))) return;
    try {
      await api.delete(urlOf(base.id, `/documents/${document.id}`));
      toast(t("documentDeleted"), "good");
    } catch (error) {
      toast(error, "bad");
    }
    await reload();
  };
  return html`<section aria-labelledby="kb-documents">
    <div class="kb-list-head"><h3 id="kb-documents">${t("documents")}</h3>
      ${documents.length > 8 && html`<input type="search" class="field" value=${wanted} aria-label=${t("findDocument")} placeholder=${t("findDocument")}
        onInput=${(event) => setWanted(event.currentTarget.value)} />`}</div>
    ${!fits.length ? html`<p class="note">${t("noneFits")}</p>` : html`<table class="table kb-table">
      <thead><tr><th scope="col">${t("document")}</th><th scope="col">${t("format")}</th><th scope="col" class="num">${t("pages")}</th>
        <th scope="col" class="num">${t("passages")}</th><th scope="col" class="num">${t("characters")}</th><th><span class="sr">${t("actions")}</span></th></tr></thead>
      <tbody>${fits.slice(0, most).map((each) => html`<tr key=${each.id}>
        <td class="kb-doc"><a href=${hrefOf(base.id, each.id)}>${each.title || each.source}</a>
          ${each.title && each.title !== each.source && html`<small>${each.source}</small>`}</td>
        <td><code>${each.format}</code></td>
        <td class="num" data-label=${t("pages")}>${each.pages || "–"}</td>
        <td class="num" data-label=${t("passages")}>${count(each.passages)}</td>
        <td class="num" data-label=${t("characters")}>${many(each.characters)}</td>
        <td class="kb-do">${base.writable && html`<button type="button" class="btn quiet danger"
          aria-label=${t("deleteThis", { name: each.title || each.source })} onClick=${() => remove(each)}>${t("delete")}</button>`}</td>
      </tr>`)}</tbody></table>`}
    ${fits.length > most && html`<${Button} onClick=${() => setMost(most + SHOWN)}>${t("more", { count: count(fits.length - most) })}<//>`}
  </section>`;
}

export function Base({ base, path, query, changed, t }) {
  const [documents, setDocuments] = useState(null);
  const [error, setError] = useState(null);
  const load = () => api.get(urlOf(base.id, "/documents")).then(
    (found) => { setDocuments(found.documents); setError(null); }, setError);
  useEffect(() => { load(); }, [base.id]);
  const reload = async () => { await Promise.all([load(), changed()]); };
  if (path[0]) {
    return html`<${Text} key=${path[0]} base=${base} id=${path[0]} query=${query} t=${t} />`;
  }
  return html`<div class="kb-one">
    <${Head} base=${base} changed=${changed} t=${t} />
    ${base.writable && html`<${Upload} base=${base} done=${reload} t=${t} />`}
    ${base.documents > 0 && html`<${Search} base=${base} t=${t} />`}
    ${error ? html`<p class="notice bad" role="alert">${error.message} ${error.hint ?? ""} <button type="button" class="btn" onClick=${load}>${t("again")}</button></p>`
      : !documents ? html`<${Spinner} />`
      : documents.length ? html`<${Documents} base=${base} documents=${documents} reload=${reload} t=${t} />`
      : html`<${Empty} title=${t("empty")}>${t(base.writable ? "emptyHint" : "emptyShared")}<//>`}
  </div>`;
}
