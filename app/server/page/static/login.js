// Where the server wants to know who asks: a key is changed for a session.
import { html, useEffect, useRef, useState } from "./vendor/htm-preact.js";
import { api } from "./lib/api.js";
import { Button } from "./lib/components.js";
import { who } from "./lib/session.js";

export function Login({ t }) {
  const [error, setError] = useState(null);
  const [busy, setBusy] = useState(false);
  const box = useRef(null);
  useEffect(() => box.current.focus(), []);
  const enter = async (event) => {
    event.preventDefault();
    const key = box.current.value.trim();
    if (!key) return;
    setBusy(true);
    try {
      const { person, csrf } = await api.post("/api/session", { key });
      who.set({ person, csrf, people: true });
    } catch (problem) {
      setError(problem);
      setBusy(false);
      box.current.select();
    }
  };
  return html`<main class="login" id="main"><form onSubmit=${enter}>
    <p class="brand"><img src=${new URL("./icon.svg", import.meta.url).href} alt="" width="28" height="28" /> Groundling</p>
    <h1>${t("loginTitle")}</h1>
    <p>${t("loginAbout")}</p>
    <label class="labelled"><span>${t("key")}</span>
      <input class="field" type="password" ref=${box} name="key" autocomplete="current-password" spellcheck=${false}
        aria-invalid=${String(!!error)} aria-describedby="login-note" onInput=${() => setError(null)} /></label>
    ${error && html`<p class="login-error" role="alert">${error.message} ${error.hint}</p>`}
    <${Button} type="submit" kind="primary" disabled=${busy}>${t(busy ? "loginBusy" : "logIn")}<//>
    <p class="login-note" id="login-note">${t("loginHint")}</p>
  </form></main>`;
}
