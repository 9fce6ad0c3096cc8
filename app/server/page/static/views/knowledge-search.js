// A search without a model, and why each passage was found: by its words, by its meaning.
import { Spinner, api, html, useRef, useState } from "./kit.js";
import { percent } from "./figures.js";
import { hrefOf, urlOf } from "./knowledge-names.js";

const letters = (text) => text.replace(/[.*+?^${}()|[\]\\]/g, "\\$&");

// The passage with its matched terms marked. Terms are stems: words that begin so are meant.
export function marked(text, terms) {
  const stems = terms.filter((term) => term.length > 1).sort((a, b) => b.length - a.length);
  if (!stems.length) return [text];
  const pattern = new RegExp(`(${stems.map((stem) => /^[a-z0-9]/i.test(stem)
    ? `(?<![\\p{L}\\p{N}])${letters(stem)}[\\p{L}\\p{N}]*` : letters(stem)).join("|")})`, "giu");
  return text.split(pattern).map((part, n) => (n % 2 ? html`<mark>${part}</mark>` : part));
}

function Side({ title, rank, score, shown, share, t }) {
  return html`<div class="ks-side">
    <span>${title}</span>
    ${rank == null ? html`<em>${t("notFound")}</em>`
      : html`<b>${t("rank", { rank })}</b> <svg class="ks-bar" viewBox="0 0 100 6" preserveAspectRatio="none" aria-hidden="true">
          <rect class="ks-back" width="100" height="6" rx="3" /><rect class="ks-fill" width=${Math.max(2, 100 * share)} height="6" rx="3" /></svg>
        <small>${shown(score)}</small>`}
  </div>`;
}

function Found({ found, n, best, base, t }) {
  const { passage, lexical, dense } = found;
  const place = [passage.heading, passage.page != null && t("page", { page: passage.page })].filter(Boolean).join(" · ");
  const address = `${hrefOf(base.id, passage.document_id)}?start=${passage.start}&end=${passage.end}`;
  return html`<li class="ks-found">
    <p class="ks-place"><b>${n}</b> <a href=${address}>${passage.title || passage.source}</a> <small>${place}</small></p>
    <p class="ks-text">${marked(passage.text, lexical?.terms ?? [])}</p>
    <div class="ks-why">
      <${Side} title=${t("byWords")} rank=${lexical?.rank} score=${lexical?.score} share=${best ? (lexical?.score ?? 0) / best : 0}
        shown=${(score) => t("bm25", { score: score.toFixed(2) })} t=${t} />
      <${Side} title=${t("byMeaning")} rank=${dense?.rank} score=${dense?.score} share=${Math.max(0, dense?.score ?? 0)}
        shown=${(score) => t("cosine", { score: score.toFixed(3) })} t=${t} />
    </div>
    ${lexical?.terms?.length > 0 && html`<p class="ks-terms"><span>${t("terms")}</span>
      ${lexical.terms.map((term) => html`<code key=${term}>${term}</code>`)}</p>`}
  </li>`;
}

export function Search({ base, t }) {
  const [query, setQuery] = useState("");
  const [state, setState] = useState(null);
  const latest = useRef(0);
  const search = async (event) => {
    event.preventDefault();
    if (!query.trim()) { setState(null); return; }
    const mine = ++latest.current;
    setState({ busy: true });
    try {
      const found = await api.post(urlOf(base.id, "/search"), { query: query.trim(), k: 8 });
      if (mine === latest.current) setState(found);
    } catch (error) {
      if (mine === latest.current) setState({ error });
    }
  };
  const found = state?.found;
  const best = Math.max(0, ...(found ?? []).map((each) => each.lexical?.score ?? 0));
  return html`<section class="ks" aria-labelledby="ks-title">
    <h3 id="ks-title">${t("tryTitle")}</h3>
    <form class="ks-form" role="search" onSubmit=${search}>
      <input type="search" class="field" data-search value=${query} maxlength="2000" aria-label=${t("tryLabel")} placeholder=${t("tryHint")}
        onInput=${(event) => { setQuery(event.currentTarget.value); if (!event.currentTarget.value) setState(null); }} />
      <button class="btn" disabled=${!query.trim()}>${t("search")}</button>
    </form>
    <div aria-live="polite">
      ${state?.busy && html`<${Spinner} />`}
      ${state?.error && html`<p class="notice bad">${state.error.message} ${state.error.hint ?? ""}</p>`}
      ${found && html`<p class="note">${found.length ? t("weights", { language: t(`script.${state.language}`, {}, state.language),
        weight: percent(state.dense_weight / (1 + state.dense_weight)) }) : t("foundNothing")}</p>`}
    </div>
    ${found?.length > 0 && html`<ol class="ks-list">
      ${found.map((each, n) => html`<${Found} key=${each.passage.chunk_id} found=${each} n=${n + 1} best=${best} base=${base} t=${t} />`)}</ol>`}
  </section>`;
}
