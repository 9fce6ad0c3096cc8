// Keys of a user: made, shown once, revoked.
import { Badge, Button, Spinner, api, confirm, html, toast, useEffect, useRef, useState } from "./kit.js";
import { ago, moment } from "./figures.js";

const DAYS = ["", "7", "30", "90", "365"];

// A new key's text: it is never shown again.
export function Secret({ secret, user, close, t }) {
  const box = useRef(null);
  useEffect(() => { box.current.focus(); box.current.select(); }, [secret]);
  const copy = async () => {
    try {
      await navigator.clipboard.writeText(secret);
      toast(t("copied"), "good");
    } catch { // no permission, or no secure origin: it is marked, and the keyboard can copy it
      box.current.focus();
      box.current.select();
    }
  };
  return html`<div class="notice pp-secret" role="status">
    <p><b>${t("keyFor", { name: user })}</b> ${t("keyOnce")}</p>
    <div class="row"><input class="field mono" readonly ref=${box} value=${secret} aria-label=${t("keyFor", { name: user })} />
      <${Button} kind="primary" onClick=${copy}>${t("copy")}<//><${Button} onClick=${close}>${t("keptIt")}<//></div>
  </div>`;
}

function Key({ held, revoke, t }) {
  return html`<li class="pp-key"><span><code>${held.id}</code> ${held.label && html`<b>${held.label}</b>`} ${held.expired && html`<${Badge} tone="bad">${t("expired")}<//>`}
      <small><time datetime=${held.created} title=${moment(held.created)}>${t("madeAgo", { ago: ago(held.created) })}</time> ·
        ${held.last_used ? ` ${t("usedAgo", { ago: ago(held.last_used) })}` : ` ${t("neverUsed")}`}
        ${held.expires && !held.expired && html` · <time datetime=${held.expires} title=${moment(held.expires)}>${t("endsIn", { ago: ago(held.expires) })}</time>`}</small></span>
    <button type="button" class="btn quiet danger" aria-label=${t("revokeThis", { name: held.label || held.id })} onClick=${revoke}>${t("revoke")}</button></li>`;
}

export function Keys({ user, changed, t }) {
  const [keys, setKeys] = useState(null);
  const [error, setError] = useState(null);
  const [made, setMade] = useState(null);
  const [label, setLabel] = useState("");
  const [days, setDays] = useState("");
  const address = `/api/users/${encodeURIComponent(user)}/keys`;
  const load = () => api.get(address).then((found) => { setKeys(found.keys); setError(null); }, setError);
  useEffect(() => { load(); }, [user]);
  const make = async (event) => {
    event.preventDefault();
    try {
      setMade(await api.post(address, { label: label.trim(), days: days ? Number(days) : null }));
      setLabel("");
    } catch (problem) {
      toast(problem, "bad");
    }
    await Promise.all([load(), changed()]);
  };
  const revoke = async (held) => {
    if (!(await confirm({ title: t("revokeTitle", { name: held.label || held.id }), text: t("revokeText"), yes: t("revoke"), danger: true }))) return;
    try {
      await api.delete(`${address}/${held.id}`);
      toast(t("revoked"), "good");
    } catch (problem) {
      toast(problem, "bad");
    }
    await Promise.all([load(), changed()]);
  };
  return html`<div class="pp-keys">
    ${made && html`<${Secret} secret=${made.secret} user=${user} close=${() => setMade(null)} t=${t} />`}
    ${error ? html`<p class="notice bad" role="alert">${error.message} ${error.hint ?? ""}</p>` : !keys ? html`<${Spinner} />`
      : keys.length ? html`<ul aria-label=${t("keysOf", { name: user })}>${keys.map((held) => html`<${Key} key=${held.id} held=${held} revoke=${() => revoke(held)} t=${t} />`)}</ul>`
      : html`<p class="note">${t("noKeys")}</p>`}
    <form class="pp-new" onSubmit=${make}>
      <label><span>${t("label")}</span><input class="field" value=${label} maxlength="100" placeholder=${t("labelHint")} onInput=${(event) => setLabel(event.currentTarget.value)} /></label>
      <label><span>${t("days")}</span><select class="field" onChange=${(event) => setDays(event.currentTarget.value)}>
        ${DAYS.map((each) => html`<option key=${each} value=${each} selected=${each === days}>${each ? t("daysAre", { count: each }) : t("forever")}</option>`)}</select></label>
      <${Button} type="submit">${t("newKey")}<//>
    </form>
  </div>`;
}
