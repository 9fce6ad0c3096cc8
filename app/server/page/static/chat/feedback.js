// Thumbs, and the answer as it should have been: what the model is trained on later.
import { html, useEffect, useRef, useState } from "../vendor/htm-preact.js";
import { api } from "../lib/api.js";
import { Button, Icon } from "../lib/components.js";
import { Dialog, toast } from "../lib/dialogs.js";

const at = (run) => `/api/traces/${encodeURIComponent(run)}/feedback`;

function Correction({ turn, close, sent, t }) {
  const [text, setText] = useState(turn.answer);
  const [comment, setComment] = useState("");
  const [busy, setBusy] = useState(false);
  const box = useRef(null);
  useEffect(() => box.current.focus(), []);
  const send = async (event) => {
    event.preventDefault();
    setBusy(true);
    const correction = text.trim() !== turn.answer.trim() && text.trim() ? text.trim() : undefined;
    const done = await sent({ score: -1, correction, comment: comment.trim() || undefined });
    if (done) close(); else setBusy(false);
  };
  return html`<${Dialog} title=${t("whatWrong")} close=${close} wide><form onSubmit=${send}>
    <p class="dialog-text note">${turn.question}</p>
    <label class="labelled"><span>${t("better")}</span><textarea class="field" rows="8" ref=${box} value=${text} onInput=${(event) => setText(event.currentTarget.value)}></textarea></label>
    <label class="labelled"><span>${t("comment")}</span><input class="field wide" value=${comment} maxlength="2000" onInput=${(event) => setComment(event.currentTarget.value)} /></label>
    <footer><${Button} onClick=${close}>${t("cancel")}<//><${Button} type="submit" kind="primary" disabled=${busy}>${t("sendFeedback")}<//></footer>
  </form><//>`;
}

export function Thumbs({ turn, given, t }) {
  const [score, setScore] = useState(given ?? 0);
  const [open, setOpen] = useState(false);
  useEffect(() => { if (given) setScore(given); }, [given]);
  const send = async (feedback) => {
    try {
      await api.post(at(turn.run), feedback);
      setScore(feedback.score);
      toast(t("thanks"));
      return true;
    } catch (error) {
      toast(error, "bad");
      return false;
    }
  };
  return html`<button type="button" class="act" aria-label=${t("good")} title=${t("good")} aria-pressed=${String(score > 0)} onClick=${() => send({ score: 1 })}><${Icon} name="up" /></button>
    <button type="button" class="act" aria-label=${t("bad")} title=${t("bad")} aria-pressed=${String(score < 0)} onClick=${() => setOpen(true)}><${Icon} name="down" /></button>
    ${open && html`<${Correction} turn=${turn} close=${() => setOpen(false)} sent=${send} t=${t} />`}`;
}
