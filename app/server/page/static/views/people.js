// People: one's own keys for everybody; users and the audit log for admins.
import { Badge, Button, Spinner, api, confirm, html, session, toast, useEffect, useRef, useState, useT } from "./kit.js";
import { ago, count, moment } from "./figures.js";
import { Audit } from "./people-audit.js";
import { Keys, Secret } from "./people-keys.js";
import { who } from "../lib/session.js";
import dictionary from "./people.i18n.js";

const ROLES = ["reader", "member", "admin"];

function Roles({ value, change, label, only = ROLES, t }) {
  return html`<select class="field" aria-label=${label} value=${value} onChange=${(event) => change(event.currentTarget.value)}>
    ${only.map((role) => html`<option key=${role} value=${role} selected=${role === value}>${t(`role.${role}`)}</option>`)}</select>`;
}

function Add({ first, added, t }) {
  const [id, setId] = useState("");
  const [role, setRole] = useState(first ? "admin" : "member");
  const [error, setError] = useState(null);
  const [busy, setBusy] = useState(false);
  const box = useRef(null);
  const add = async (event) => {
    event.preventDefault();
    if (first && !(await confirm({ title: t("firstTitle"), text: t("firstText"), yes: t("firstYes") }))) return;
    setBusy(true);
    const before = session();
    if (first) who.set({ ...before, entering: true });
    try {
      const user = await api.post("/api/users", { id: id.trim(), role });
      if (first) { // from here on the server wants to know who asks: stay inside, or the key is lost
        const { person, csrf } = await api.post("/api/session", { key: user.key.secret });
        who.set({ person, csrf, people: true });
      }
      setId("");
      added(user);
    } catch (problem) {
      if (first) who.set(before);
      setError(problem);
      box.current?.focus();
    } finally {
      setBusy(false);
    }
  };
  return html`<form class="pp-add" onSubmit=${add}>
    <label><span>${t("name")}</span><input class="field" ref=${box} value=${id} maxlength="32" autocomplete="off" autocapitalize="none" spellcheck="false"
      aria-invalid=${String(!!error)} aria-describedby="pp-name-hint" onInput=${(event) => { setId(event.currentTarget.value); setError(null); }} /></label>
    <label><span>${t("role")}</span><${Roles} value=${role} change=${setRole} label=${t("role")} only=${first ? ["admin"] : ROLES} t=${t} /></label>
    <${Button} type="submit" kind="primary" disabled=${busy || !id.trim()}>${t("add")}<//>
    <p class=${error ? "field-error" : "note"} id="pp-name-hint" role=${error ? "alert" : undefined}>${error ? `${error.message} ${error.hint ?? ""}` : t(`about.${role}`)}</p>
  </form>`;
}

function User({ user, me, reload, t }) {
  const [open, setOpen] = useState(false);
  const change = async (asked, told) => {
    try {
      await api.patch(`/api/users/${user.id}`, asked);
      toast(told, "good");
    } catch (error) {
      toast(error, "bad");
    }
    await reload();
  };
  const remove = async () => {
    if (!(await confirm({ title: t("removeTitle", { name: user.id }), text: t("removeText"), yes: t("remove"), danger: true }))) return;
    try {
      const { remains } = await api.delete(`/api/users/${user.id}`);
      const left = Object.entries(remains).filter(([, number]) => number);
      toast(t("removed", { name: user.id }), "good");
      if (left.length && await confirm({ title: t("purgeTitle", { name: user.id }), danger: true, yes: t("purge"),
        text: t("purgeText", { what: left.map(([what, number]) => `${t(`what.${what}`)} ${count(number)}`).join(", ") }) })) {
        await api.delete(`/api/users/${user.id}?purge=true`);
        toast(t("purged", { name: user.id }), "good");
      }
    } catch (error) {
      toast(error, "bad");
    }
    await reload();
  };
  return html`<li class="pp-user">
    <div class="pp-line">
      <p class="pp-name"><b>${user.id}</b> ${user.id === me && html`<${Badge}>${t("you")}<//>`} ${user.disabled && html`<${Badge} tone="bad">${t("disabled")}<//>`}
        <small>${t("keysAre", { count: count(user.keys) })} · ${user.last_used
          ? html`<time datetime=${user.last_used} title=${moment(user.last_used)}>${t("usedAgo", { ago: ago(user.last_used) })}</time>` : t("neverUsed")}</small></p>
      <${Roles} value=${user.role} label=${t("roleOf", { name: user.id })} t=${t}
        change=${(role) => change({ role }, t("roleChanged", { name: user.id, role: t(`role.${role}`) }))} />
      <div class="pp-actions">
        <button type="button" class="btn quiet" aria-expanded=${String(open)} aria-label=${t("keysOf", { name: user.id })} onClick=${() => setOpen(!open)}>${t("keys")}</button>
        <button type="button" class="btn quiet" aria-label=${t(user.disabled ? "enableThis" : "disableThis", { name: user.id })}
          onClick=${() => change({ disabled: !user.disabled }, t(user.disabled ? "isEnabled" : "isDisabled", { name: user.id }))}>${t(user.disabled ? "enable" : "disable")}</button>
        <button type="button" class="btn quiet danger" aria-label=${t("removeThis", { name: user.id })} onClick=${remove}>${t("remove")}</button>
      </div>
    </div>
    ${open && html`<${Keys} user=${user.id} changed=${reload} t=${t} />`}
  </li>`;
}

function Users({ me, t }) {
  const [users, setUsers] = useState(null);
  const [error, setError] = useState(null);
  const [made, setMade] = useState(null);
  const load = () => api.get("/api/users").then((found) => { setUsers(found.users); setError(null); }, setError);
  useEffect(() => { load(); }, []);
  const added = (user) => { setMade(user); load(); };
  return html`<section aria-labelledby="pp-users"><h2 id="pp-users">${t("users")}</h2>
    ${error && html`<p class="notice bad" role="alert">${error.message} ${error.hint ?? ""} <button type="button" class="btn" onClick=${load}>${t("again")}</button></p>`}
    ${made && html`<${Secret} secret=${made.key.secret} user=${made.id} close=${() => setMade(null)} t=${t} />`}
    ${!users ? !error && html`<${Spinner} />` : html`<${Add} first=${!users.length} added=${added} t=${t} />
      ${users.length > 0 && html`<ul class="pp-users">${users.map((user) => html`<${User} key=${user.id} user=${user} me=${me} reload=${load} t=${t} />`)}</ul>`}`}
  </section>`;
}

export function People() {
  const t = useT(dictionary);
  const { person, people } = session();
  const leave = async () => {
    try {
      await api.delete("/api/session");
    } finally {
      location.hash = "#/";
      location.reload();
    }
  };
  const admin = person?.role === "admin";
  return html`<div class="view pp">
    <header class="view-head"><h1>${t("title")}</h1><p>${t(people ? "about" : "aboutNone")}</p></header>
    ${people && person && html`<section class="pp-me" aria-labelledby="pp-me"><h2 id="pp-me">${t("me")}</h2>
      <p class="pp-line"><span><b>${person.id}</b> <${Badge}>${t(`role.${person.role}`)}<//></span><button type="button" class="btn" onClick=${leave}>${t("leave")}</button></p>
      <p class="note">${t(`about.${person.role}`)}</p>
      <${Keys} user=${person.id} changed=${() => {}} t=${t} /></section>`}
    ${admin && html`<${Users} me=${person.via === "local" ? null : person.id} t=${t} />`}
    ${admin && html`<${Audit} t=${t} />`}
  </div>`;
}
