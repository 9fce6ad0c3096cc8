// The audit log: who did what, and when.
import { Button, Spinner, api, html, useEffect, useState } from "./kit.js";
import { ago, moment } from "./figures.js";

const ACTIONS = ["", "user.", "key.", "session."];
const PAGE = 50;

export function Audit({ t }) {
  const [action, setAction] = useState("");
  const [person, setPerson] = useState("");
  const [state, setState] = useState({ rows: null, more: false });
  const load = async (before) => {
    const parameters = new URLSearchParams({ limit: PAGE });
    if (action) parameters.set("action", action);
    if (person.trim()) parameters.set("person", person.trim());
    if (before) parameters.set("before", before);
    try {
      const { audit, more } = await api.get(`/api/audit?${parameters}`);
      setState((held) => ({ rows: [...(before ? held.rows : []), ...audit], more }));
    } catch (error) {
      setState((held) => ({ rows: held.rows ?? [], more: false, error }));
    }
  };
  useEffect(() => {
    const timer = setTimeout(load, 200);
    return () => clearTimeout(timer);
  }, [action, person]);
  const { rows, more, error } = state;
  const details = (entry) => Object.entries(entry.details ?? {}).map(([name, value]) => `${name}: ${typeof value === "string" ? value : JSON.stringify(value)}`).join(", ");
  return html`<section aria-labelledby="pp-audit"><h2 id="pp-audit">${t("audit")}</h2>
    <div class="row pp-audit-filter" role="search" aria-label=${t("audit")}>
      <label><span>${t("who")}</span><input type="search" class="field" value=${person} onInput=${(event) => setPerson(event.currentTarget.value)} /></label>
      <label><span>${t("what")}</span><select class="field" onChange=${(event) => setAction(event.currentTarget.value)}>
        ${ACTIONS.map((each) => html`<option key=${each} value=${each} selected=${each === action}>${t(`actions.${each || "all"}`)}</option>`)}</select></label></div>
    ${error && html`<p class="notice bad" role="alert">${error.message} ${error.hint ?? ""}</p>`}
    ${!rows ? html`<${Spinner} />` : !rows.length ? !error && html`<p class="note">${t("noAudit")}</p>`
      : html`<table class="table pp-audit"><thead><tr><th scope="col">${t("when")}</th><th scope="col">${t("who")}</th><th scope="col">${t("action")}</th><th scope="col">${t("thing")}</th></tr></thead>
      <tbody>${rows.map((entry) => html`<tr key=${entry.id}><td><time datetime=${entry.time} title=${moment(entry.time)}>${ago(entry.time)}</time></td>
        <td>${entry.person || "–"}</td><td><code>${entry.action}</code></td><td>${entry.what}<small>${details(entry)}</small></td></tr>`)}</tbody></table>`}
    ${more && html`<${Button} onClick=${() => load(rows.at(-1).id)}>${t("more")}<//>`}
  </section>`;
}
