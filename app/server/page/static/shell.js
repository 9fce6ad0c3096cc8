// The frame: who looks, the way from view to view, the state of the server.
import { html, useEffect, useErrorBoundary, useRef, useState } from "./vendor/htm-preact.js";
import { api, online } from "./lib/api.js";
import { Button, Empty, Icon, Spinner } from "./lib/components.js";
import { Overlays, toast } from "./lib/dialogs.js";
import { language, setLanguage, useT } from "./lib/i18n.js";
import { go, useRoute } from "./lib/router.js";
import { who } from "./lib/session.js";
import { kept, store, useStore } from "./lib/store.js";
import { Login } from "./login.js";
import { Chat } from "./chat/view.js";
import { Threads } from "./chat/threads.js";
import dictionary from "./shell.i18n.js";

const VIEWS = {
  documents: ["knowledge", "Knowledge"], memory: ["memory", "Memory"], traces: ["traces", "Traces"],
  experiments: ["experiments", "Experiments"], status: ["status", "Status"], people: ["people", "People"],
};
const LOOK_AGAIN = 2000; // milliseconds
export const menu = store(false);

const sheets = new Map();
function sheet(name) {
  if (!sheets.has(name)) {
    sheets.set(name, new Promise((loaded) => {
      const link = document.createElement("link");
      Object.assign(link, { rel: "stylesheet", href: new URL(`./views/${name}.css`, import.meta.url).href, onload: loaded, onerror: loaded });
      document.head.append(link);
    }));
  }
  return sheets.get(name);
}

const loaded = new Map(); // what was loaded once is drawn at once
async function view(name) {
  const [file, part] = VIEWS[name];
  const [module] = await Promise.all([import(`./views/${file}.js`), sheet("views"), sheet(file)]);
  loaded.set(name, module[part]);
}

function View({ name, path, query, t }) {
  const [, redraw] = useState(0);
  const [failed, setFailed] = useState(null);
  const [broken, mend] = useErrorBoundary((error) => console.error(error));
  const load = () => {
    setFailed(null);
    view(name).then(() => redraw((n) => n + 1), setFailed);
  };
  useEffect(() => { if (!loaded.has(name)) load(); }, [name]);
  if (failed || broken) {
    return html`<${Empty} title=${t("viewFailed")}><${Button} onClick=${() => { mend(); load(); }}>${t("again")}<//><//>`;
  }
  const Part = loaded.get(name);
  return Part ? html`<${Part} path=${path} query=${query} />` : html`<${Spinner} />`;
}

function Nav({ here, t }) {
  const { person } = useStore(who);
  return html`<nav class="nav" aria-label=${t("views")}><ul>${["chat", ...Object.keys(VIEWS)].map((name) => html`<li key=${name}>
    <a href=${`#/${name}`} aria-current=${name === here ? "page" : undefined} onClick=${() => menu.set(false)}>
      <${Icon} name=${name} /><span>${t(name)}</span></a></li>`)}</ul>
    <div class="nav-foot"><span class="nav-person" title=${person.id}>${person.via === "local" ? t("local") : person.id}</span><${Theme} t=${t} /><${Language} t=${t} /></div>
  </nav>`;
}

function Theme({ t }) {
  const [theme, setTheme] = useState(document.documentElement.dataset.theme
    ?? (matchMedia("(prefers-color-scheme: dark)").matches ? "dark" : "light"));
  const other = theme === "dark" ? "light" : "dark";
  const change = () => {
    document.documentElement.dataset.theme = other;
    kept.set("theme", other);
    setTheme(other);
  };
  const label = t(other === "dark" ? "toDark" : "toLight");
  return html`<button type="button" class="btn quiet icon-only" aria-label=${label} title=${label} onClick=${change}>
    <${Icon} name=${other === "dark" ? "moon" : "sun"} /></button>`;
}

const Language = ({ t }) => html`<button type="button" class="btn quiet nav-language" aria-label=${t("otherLabel")} lang=${language() === "ko" ? "en" : "ko"}
  onClick=${() => setLanguage(language() === "ko" ? "en" : "ko")}>${t("other")}</button>`;

// What of the server's state a person should know; nothing where all is well.
function State({ t }) {
  const reached = useStore(online);
  const [state, setState] = useState(null);
  const away = useRef(false);
  useEffect(() => {
    let over = false;
    let timer;
    const look = async () => {
      try {
        const found = await api.get("/api/status");
        if (over) return;
        setState(found);
        if (away.current) toast(t("back"));
        away.current = false;
        if (found.state === "ready") return;
      } catch (error) {
        if (over || error.status === 401) return;
        away.current = error.code === "offline";
        if (error.status === 503) setState({ state: "opening" });
      }
      timer = setTimeout(look, LOOK_AGAIN);
    };
    look();
    return () => { over = true; clearTimeout(timer); };
  }, [reached]);
  const known = { opening: "opening", loading: "loading", "no model": "noModel", failed: "failed", ending: "ending" }[state?.state];
  const text = !reached ? t("offline") : known ? t(known) : "";
  const bad = !reached || state?.state === "failed";
  return html`<div role="status" aria-live="polite" class="state-room">${text && html`<p class=${`state${bad ? " bad" : ""}`}><span class="state-dot"></span>
    <span>${text} ${reached && state?.hint && html`<small>${state.hint}</small>`}</span></p>`}</div>`;
}

function Frame({ t }) {
  const { view: name, path, query } = useRoute();
  const open = useStore(menu);
  const here = VIEWS[name] ? name : "chat";
  const main = useRef(null);
  const first = useRef(true);
  useEffect(() => {
    document.title = `${t(here)} · Groundling`;
    if (first.current) { first.current = false; return; }
    if (here !== "chat") main.current.focus({ preventScroll: true }); // the chat takes the focus itself
    main.current.scrollTop = 0;
  }, [here]);
  useEffect(() => {
    const pressed = (event) => {
      if (event.defaultPrevented || event.ctrlKey || event.metaKey || event.altKey) return;
      const writes = event.target.closest?.("input, textarea, select, [contenteditable]");
      if (event.key === "/" && !writes && !document.querySelector("dialog[open]")) {
        const box = document.querySelector("main [data-search]") ?? document.querySelector("[data-search]");
        if (box) { event.preventDefault(); if (!box.closest("main")) menu.set(true); box.focus(); box.select?.(); }
      }
      if (event.key === "Escape" && menu.get()) { event.preventDefault(); menu.set(false); }
    };
    document.addEventListener("keydown", pressed);
    return () => document.removeEventListener("keydown", pressed);
  }, []);
  const skip = (event) => { event.preventDefault(); main.current.focus(); };
  return html`<a class="skip" href="#main" onClick=${skip}>${t("skip")}</a>
    <div class="frame">
      <header class="top"><button type="button" class="btn quiet icon-only" aria-label=${t("menu")} aria-expanded=${String(open)} aria-controls="side"
          onClick=${() => menu.set(true)}><${Icon} name="menu" /></button>
        <span class="top-title">${t(here)}</span></header>
      <div class=${`side${open ? " open" : ""}`} id="side">
        <div class="side-head"><a class="brand" href="#/chat" onClick=${() => menu.set(false)}><img src=${new URL("./icon.svg", import.meta.url).href} alt="" width="24" height="24" /> Groundling</a>
          <button type="button" class="btn quiet icon-only side-close" aria-label=${t("closeMenu")} onClick=${() => menu.set(false)}><${Icon} name="close" /></button></div>
        <${Nav} here=${here} t=${t} />
        <${Threads} here=${here === "chat" ? path[0] : null} chose=${() => menu.set(false)} />
      </div>
      ${open && html`<div class="side-shade" onClick=${() => menu.set(false)}></div>`}
      <main id="main" ref=${main} tabindex="-1" class=${here === "chat" ? "main chat-main" : "main"}>
        <${State} t=${t} />
        ${here === "chat" ? html`<${Chat} id=${name === "chat" ? path[0] : undefined} query=${query} />`
          : html`<${View} key=${here} name=${here} path=${path} query=${query} t=${t} />`}
      </main>
    </div>`;
}

export function Shell() {
  const t = useT(dictionary);
  const known = useStore(who);
  const reached = useStore(online);
  const [slow, setSlow] = useState(false);
  useEffect(() => {
    if (known) return undefined;
    let timer;
    const look = () => api.get("/api/session").then((found) => who.set(found), () => { setSlow(true); timer = setTimeout(look, LOOK_AGAIN / 4); });
    look();
    return () => clearTimeout(timer);
  }, [known]);
  useEffect(() => { if (!location.hash) go("chat", { replace: true }); }, []);
  const login = known && known.people && !known.person;
  return html`${!known ? html`<main class="login" id="main"><div><${Spinner} />${slow && html`<p role="status">${t(reached ? "opening" : "offline")}</p>`}</div></main>`
    : login ? html`<${Login} t=${t} />` : html`<${Frame} t=${t} />`}<${Overlays} />`;
}
