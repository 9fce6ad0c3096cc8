// The conversations, beside everything else: found, opened, renamed, taken away, deleted.
import { html, useEffect, useRef, useState } from "../vendor/htm-preact.js";
import { api } from "../lib/api.js";
import { Button, Icon } from "../lib/components.js";
import { Dialog, confirm, toast } from "../lib/dialogs.js";
import { useT } from "../lib/i18n.js";
import { go } from "../lib/router.js";
import { useStore } from "../lib/store.js";
import * as client from "./client.js";
import { changed, changes, forget, titleOf } from "./chat.js";
import dictionary from "./chat.i18n.js";

const MOST = 60;

function Rename({ thread, close, t }) {
  const [title, setTitle] = useState(thread.title);
  const box = useRef(null);
  useEffect(() => { box.current.focus(); box.current.select(); }, []);
  const save = async (event) => {
    event.preventDefault();
    try {
      await client.renameThread(thread.id, title.trim());
      changed();
      close();
    } catch (error) {
      toast(error, "bad");
    }
  };
  return html`<${Dialog} title=${t("rename")} close=${close}><form onSubmit=${save}>
    <label class="labelled"><span>${t("title")}</span><input class="field wide" ref=${box} value=${title} maxlength="200" onInput=${(event) => setTitle(event.currentTarget.value)} /></label>
    <footer><${Button} onClick=${close}>${t("cancel")}<//><${Button} type="submit" kind="primary" disabled=${!title.trim()}>${t("save")}<//></footer></form><//>`;
}

function Thread({ thread, here, chose, t }) {
  const [open, setOpen] = useState(false);
  const [naming, setNaming] = useState(false);
  const title = thread.title || titleOf(thread.id) || t("untitled");
  const remove = async () => {
    if (!(await confirm({ title: t("deleteThread"), text: title, yes: t("delete"), danger: true }))) return;
    try {
      await client.deleteThread(thread.id);
      forget(thread.id);
      changed();
      if (here) go("chat");
    } catch (error) {
      toast(error, "bad");
    }
  };
  const copy = (format) => `/api/threads/${encodeURIComponent(thread.id)}/export?format=${format}`;
  return html`<li class=${`thread${open ? " open" : ""}`}>
    <div class="thread-line"><a href=${`#/chat/${encodeURIComponent(thread.id)}`} aria-current=${here ? "page" : undefined} title=${title} onClick=${chose}>${title}</a>
      <button type="button" class="btn quiet icon-only thread-more" aria-label=${t("moreOf", { title })} aria-expanded=${String(open)} onClick=${() => setOpen(!open)}><${Icon} name="more" /></button></div>
    ${open && html`<div class="thread-acts" role="group" aria-label=${title} onKeyDown=${(event) => { if (event.key === "Escape") { event.preventDefault(); event.stopPropagation(); setOpen(false); } }}>
      <button type="button" class="act" onClick=${() => setNaming(true)}><${Icon} name="edit" />${t("rename")}</button>
      <a class="act" href=${copy("markdown")} download><${Icon} name="download" />Markdown</a>
      <a class="act" href=${copy("json")} download><${Icon} name="download" />JSON</a>
      <button type="button" class="act danger" onClick=${remove}><${Icon} name="trash" />${t("delete")}</button></div>`}
    ${naming && html`<${Rename} thread=${thread} t=${t} close=${() => setNaming(false)} />`}
  </li>`;
}

export function Threads({ here, chose }) {
  const t = useT(dictionary);
  const turn = useStore(changes);
  const [text, setText] = useState("");
  const [found, setFound] = useState(null);
  const [failed, setFailed] = useState(null);
  const list = useRef(null);
  useEffect(() => {
    let over = false;
    const look = () => api.get(`/api/threads?${new URLSearchParams({ limit: MOST, ...(text.trim() ? { text: text.trim() } : {}) })}`).then(
      (threads) => { if (!over) { setFound(threads); setFailed(null); } }, (error) => { if (!over) setFailed(error); });
    const timer = setTimeout(look, text ? 200 : 0);
    return () => { over = true; clearTimeout(timer); };
  }, [text, turn]);
  const moved = (event) => {
    if (!["ArrowDown", "ArrowUp", "Home", "End"].includes(event.key)) return;
    const links = [...list.current.querySelectorAll("a[href^='#']")];
    if (!links.length) return;
    event.preventDefault();
    const at = links.indexOf(document.activeElement);
    const to = { ArrowDown: Math.min(links.length - 1, at + 1), ArrowUp: Math.max(0, at - 1), Home: 0, End: links.length - 1 }[event.key];
    links[to].focus();
  };
  const threads = found?.threads;
  return html`<div class="threads">
    <a class="btn new-chat" href="#/chat" onClick=${chose}><${Icon} name="add" />${t("newChat")}</a>
    <label class="threads-find"><span class="sr">${t("findThread")}</span><${Icon} name="search" />
      <input type="search" data-search placeholder=${t("findThread")} value=${text} onInput=${(event) => setText(event.currentTarget.value)}
        onKeyDown=${(event) => { if (event.key === "ArrowDown") moved(event); if (event.key === "Escape" && text) { event.preventDefault(); event.stopPropagation(); setText(""); } }} /></label>
    <nav aria-label=${t("threads")} class="threads-list" onKeyDown=${(event) => { if (event.target.tagName === "A") moved(event); }}>
      ${failed && !found ? html`<p class="note">${failed.message}</p>` : null}
      ${threads && !threads.length && html`<p class="note">${t(text ? "noneFound" : "noThreads")}</p>`}
      <ul ref=${list}>${(threads ?? []).map((thread) => html`<${Thread} key=${thread.id} thread=${thread} here=${thread.id === here} chose=${chose} t=${t} />`)}</ul>
      ${found?.more && html`<p class="note">${t("moreThreads")}</p>`}
    </nav></div>`;
}
