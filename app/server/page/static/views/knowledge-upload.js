// Documents come in by being dropped or picked; the server reads them, and says how far it is.
import { api, html, toast, useEffect, useRef, useState } from "./kit.js";
import { count, percent } from "./figures.js";
import { urlOf } from "./knowledge-names.js";

const ENDED = ["done", "failed", "cancelled"];
const MARKS = { added: "+", replaced: "↻", unchanged: "=", skipped: "!", failed: "!" };

// The files of what was dropped, those of folders among them.
async function filesOf(transfer) {
  const entries = [...transfer.items].map((item) => item.webkitGetAsEntry?.()).filter(Boolean);
  if (!entries.some((entry) => entry.isDirectory)) return [...transfer.files];
  const files = [];
  const walk = async (entry) => {
    if (entry.isFile) files.push(await new Promise((resolve, reject) => entry.file(resolve, reject)));
    else {
      const reader = entry.createReader();
      for (;;) { // a reader gives a hundred at a time
        const some = await new Promise((resolve, reject) => reader.readEntries(resolve, reject));
        if (!some.length) break;
        for (const each of some) await walk(each);
      }
    }
  };
  for (const entry of entries) await walk(entry);
  return files;
}

function Report({ job, close, t }) {
  const files = job.report?.files ?? [];
  const told = files.filter((file) => file.outcome !== "unchanged");
  const words = ["added", "replaced", "unchanged", "skipped"].map((outcome) => [outcome, files.filter((file) => file.outcome === outcome).length])
    .filter(([, number]) => number).map(([outcome, number]) => t(`report.${outcome}`, { count: count(number) }));
  return html`<div class="kb-report">
    <div class="row"><p><b>${t(`state.${job.state}`)}</b> ${words.join(", ")}</p>
      <button type="button" class="btn quiet" onClick=${close}>${t("closeReport")}</button></div>
    ${job.error && html`<p class="notice bad">${job.error}</p>`}
    ${told.length > 0 && html`<ul aria-label=${t("report")}>${told.map((file, n) => html`<li key=${n} class=${`is-${file.outcome}`}>
      <i aria-hidden="true">${MARKS[file.outcome] ?? "·"}</i><span class="kb-file">${file.name}</span>
      <small>${file.reason || t(`outcome.${file.outcome}`)}</small></li>`)}</ul>`}
  </div>`;
}

function Progress({ job, cancel, t }) {
  const share = job.total ? job.done / job.total : null;
  return html`<div class="kb-progress">
    <div class="row"><p>${job.state === "sending" ? t("sending") : t(`what.${job.what}`)}
      ${job.total > 0 && html` <span class="note">${t("of", { done: count(job.done), total: count(job.total) })}</span>`}</p>
      ${cancel && html`<button type="button" class="btn quiet" onClick=${cancel}>${t("cancel")}</button>`}</div>
    <progress max="1" value=${share ?? undefined} aria-label=${t("progress")}>${share == null ? "" : percent(share)}</progress>
  </div>`;
}

export function Upload({ base, done, t }) {
  const [over, setOver] = useState(false);
  const [job, setJob] = useState(null);
  const picker = useRef(null);
  const depth = useRef(0);
  const gone = useRef(null);
  useEffect(() => {
    gone.current = new AbortController();
    return () => gone.current.abort(); // the job itself goes on
  }, []);
  const follow = async (id) => {
    let last = { id, state: "running", what: "waiting", done: 0, total: 0 };
    setJob(last);
    try {
      for await (const { data } of api.events(`/api/jobs/${id}/events`, { signal: gone.current.signal })) {
        last = data;
        setJob(last);
      }
    } catch (error) {
      if (gone.current.signal.aborted) return;
    }
    while (!ENDED.includes(last.state)) { // the stream broke: the job has not
      await new Promise((resolve) => setTimeout(resolve, 1000));
      if (gone.current.signal.aborted) return;
      last = await api.get(`/api/jobs/${id}`);
      setJob(last);
    }
    await done();
  };
  const send = async (picked) => {
    try {
      const files = await picked; // a folder may have something in it that cannot be read
      if (!files.length) return;
      const form = new FormData();
      for (const file of files) form.append("files", file, file.name);
      setJob({ state: "sending", done: 0, total: 0 });
      const { id } = await api.post(urlOf(base.id, "/documents"), form);
      await follow(id);
    } catch (error) {
      setJob(null);
      toast(error, "bad");
    }
  };
  const cancel = () => api.delete(`/api/jobs/${job.id}`).catch((error) => toast(error, "bad"));
  const drop = async (event) => {
    event.preventDefault();
    depth.current = 0;
    setOver(false);
    if (!busy) await send(filesOf(event.dataTransfer));
  };
  const busy = job && !ENDED.includes(job.state);
  return html`<section class=${`kb-drop${over ? " is-over" : ""}`} aria-label=${t("add")}
      onDragEnter=${(event) => { event.preventDefault(); depth.current += 1; setOver(true); }}
      onDragLeave=${() => { depth.current -= 1; if (depth.current <= 0) setOver(false); }}
      onDragOver=${(event) => event.preventDefault()} onDrop=${drop}>
    <input type="file" multiple hidden ref=${picker} aria-label=${t("pick")} onChange=${async (event) => {
      const files = [...event.currentTarget.files];
      event.currentTarget.value = "";
      await send(files);
    }} />
    ${busy ? html`<${Progress} job=${job} cancel=${job.id && cancel} t=${t} />`
      : html`<p class="kb-invite"><button type="button" class="btn primary" onClick=${() => picker.current.click()}>${t("pick")}</button>
          <span>${t(over ? "dropNow" : "drop")}</span></p>`}
    <div aria-live="polite">${job && !busy && html`<${Report} job=${job} close=${() => setJob(null)} t=${t} />`}</div>
  </section>`;
}
