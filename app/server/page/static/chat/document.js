// The panel beside a chat: the stored text of a document around what an answer cites.
import { html, useEffect, useLayoutEffect, useRef, useState } from "../vendor/htm-preact.js";
import { api } from "../lib/api.js";
import { Icon, Spinner } from "../lib/components.js";

const AROUND = 3000; // characters before and after

export function DocumentPanel({ cited, close, t }) {
  const { citation, knowledge, from } = cited;
  const [text, setText] = useState(null);
  const [error, setError] = useState(null);
  const mark = useRef(null);
  const cross = useRef(null);
  const [id, setId] = useState(citation.document_id);
  const base = `/api/knowledge/${encodeURIComponent(knowledge ?? "")}/documents`;
  useEffect(() => {
    let over = false;
    setText(null);
    setError(null);
    const span = new URLSearchParams({ start: citation.start, end: citation.end, around: AROUND });
    const find = async () => { // what comes closest to a refused question names its source alone
      const number = citation.document_id ?? (await api.get(`${base}/by-source?${new URLSearchParams({ source: citation.source })}`)).id;
      if (!over) setId(number);
      return api.get(`${base}/${number}/text?${span}`);
    };
    find().then((found) => { if (!over) setText(found); }, (problem) => { if (!over) setError(problem); });
    return () => { over = true; };
  }, [base, citation]);
  useLayoutEffect(() => { mark.current?.scrollIntoView({ block: "center" }); }, [text]);
  useEffect(() => cross.current.focus(), [citation]);
  const leave = () => { close(); if (from?.isConnected) from.focus(); };
  const whole = `#/documents/${encodeURIComponent(knowledge ?? "")}/${id}?start=${citation.start}&end=${citation.end}`;
  return html`<aside class="doc" aria-label=${t("document")} onKeyDown=${(event) => { if (event.key === "Escape") { event.preventDefault(); event.stopPropagation(); leave(); } }}>
    <header><div><h2>${citation.number && html`<b class="doc-number">${citation.number}</b>`}${citation.title || citation.source}</h2>
      <p class="note">${citation.source}${citation.page != null ? ` · ${t("page", { page: citation.page })}` : ""}${citation.proof === "model" ? ` · ${t("proofModel")}` : ""}</p></div>
      <button type="button" class="btn quiet icon-only" ref=${cross} aria-label=${t("closeDocument")} onClick=${leave}><${Icon} name="close" /></button></header>
    <div class="doc-text" tabindex="0" role="document" aria-label=${citation.title || citation.source}>
      ${error ? html`<p class="notice bad" role="alert">${error.status === 404 ? t("documentGone") : error.message}</p>${citation.quote && html`<blockquote>${citation.quote}</blockquote>`}`
        : !text ? html`<${Spinner} />`
        : html`${text.start > text.before.length && "… "}${text.before}<mark ref=${mark}>${text.text}</mark>${text.after}`}
    </div>
    ${id != null && html`<footer><a class="btn quiet" href=${whole}>${t("wholeDocument")}</a></footer>`}
  </aside>`;
}
