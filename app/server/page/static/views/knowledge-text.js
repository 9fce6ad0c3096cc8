// The stored text of a document, a stretch at a time, with a span marked: what citations mean.
import { Spinner, api, go, html, useEffect, useLayoutEffect, useRef, useState } from "./kit.js";
import { count } from "./figures.js";
import { hrefOf, pathOf, urlOf } from "./knowledge-names.js";

const STRETCH = 20_000; // characters that are shown at once
const BEFORE = 2_000; // of them, those before a marked span

export function Text({ base, id, query, t }) {
  const start = Number.parseInt(query.get("start") ?? "", 10);
  const end = Number.parseInt(query.get("end") ?? "", 10);
  const span = Number.isFinite(start) && Number.isFinite(end) && end > start ? { start, end } : null;
  const [from, setFrom] = useState(span ? Math.max(0, span.start - BEFORE) : 0);
  const [text, setText] = useState(null);
  const [error, setError] = useState(null);
  const mark = useRef(null);
  const close = () => go(pathOf(base.id));
  useEffect(() => {
    let over = false;
    api.get(urlOf(base.id, `/documents/${encodeURIComponent(id)}/text?start=${from}&end=${from + STRETCH}`)).then(
      (found) => { if (!over) { setText(found); setError(null); } }, (problem) => { if (!over) setError(problem); });
    return () => { over = true; };
  }, [from]);
  useLayoutEffect(() => { mark.current?.scrollIntoView({ block: "center" }); }, [text]);
  useEffect(() => {
    const pressed = (event) => {
      if (event.key === "Escape" && !event.defaultPrevented && !event.target.closest("dialog, input")) close();
    };
    document.addEventListener("keydown", pressed);
    return () => document.removeEventListener("keydown", pressed);
  }, []);
  const back = html`<a class="back" href=${hrefOf(base.id)}>${base.name}</a>`;
  if (error) return html`<div>${back}<p class="notice bad" role="alert">${error.message} ${error.hint ?? ""}</p></div>`;
  if (!text) return html`<div>${back}<${Spinner} /></div>`;
  // Offsets count code points, as Python does; a string here counts UTF-16 units.
  const points = [...text.text];
  const cut = (a, b) => points.slice(Math.max(0, a - text.start), Math.max(0, b - text.start)).join("");
  const inside = span && span.start < text.end && span.end > text.start;
  return html`<article class="kt">
    ${back}
    <header><h2>${text.title || text.source}</h2>
      <p class="note">${text.source} · ${t("span", { start: count(text.start), end: count(text.end), length: count(text.length) })}</p></header>
    ${text.start > 0 && html`<button type="button" class="btn" onClick=${() => setFrom(Math.max(0, text.start - STRETCH))}>${t("earlier")}</button>`}
    <div class="kt-text" tabindex="0" role="document" aria-label=${t("textOf", { name: text.title || text.source })}>${inside
      ? html`${cut(text.start, span.start)}<mark ref=${mark}>${cut(span.start, span.end)}</mark>${cut(span.end, text.end)}` : text.text}</div>
    ${text.end < text.length && html`<button type="button" class="btn" onClick=${() => setFrom(text.end)}>${t("later")}</button>`}
  </article>`;
}
