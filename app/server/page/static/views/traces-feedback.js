// What people said of an answer, and a form to say more: a thumb, a remark, the right answer.
import { Button, Icon, api, confirm, html, toast, useState } from "./kit.js";
import { ago, moment } from "./figures.js";

const THUMBS = "thumbs";

function Said({ said, reload, t }) {
  const good = said.score == null ? null : said.score > 0;
  const forget = async () => {
    if (!(await confirm({ title: t("forgetFeedback"), danger: true, yes: t("delete") }))) return;
    try {
      await api.delete(`/api/feedback/${said.id}`);
      reload();
    } catch (error) {
      toast(error, "bad");
    }
  };
  const text = (value) => (typeof value === "string" ? value : JSON.stringify(value));
  return html`<li class="fb-said">
    <p><b>${said.key === THUMBS && good != null ? t(good ? "thumbsUp" : "thumbsDown") : said.key}</b>
      ${said.key !== THUMBS && said.score != null && html` <span class=${good ? "good" : "bad"}>${said.score}</span>`}
      ${said.value != null && html` ${text(said.value)}`}
      <time datetime=${said.created} title=${moment(said.created)}>${ago(said.created)}</time>
      <button type="button" class="btn quiet" aria-label=${t("forgetFeedback")} onClick=${forget}>${t("delete")}</button></p>
    ${said.comment && html`<p>${said.comment}</p>`}
    ${said.correction != null && html`<div class="fb-right"><small>${t("shouldBe")}</small><p>${text(said.correction)}</p></div>`}
  </li>`;
}

export function Feedback({ view, reload, t }) {
  const [score, setScore] = useState(null);
  const [comment, setComment] = useState("");
  const [correction, setCorrection] = useState("");
  const [busy, setBusy] = useState(false);
  const give = async (event) => {
    event.preventDefault();
    setBusy(true);
    try {
      await api.post(`/api/traces/${view.trace}/feedback`, {
        key: THUMBS, score: score ?? (correction ? -1 : null),
        comment: comment.trim() || null, correction: correction.trim() || null,
      });
      setScore(null); setComment(""); setCorrection("");
      toast(t("thanks"), "good");
      await reload();
    } catch (error) {
      toast(error, "bad");
    } finally {
      setBusy(false);
    }
  };
  const thumb = (value, icon, label) => html`<button type="button" class="btn fb-thumb" aria-pressed=${String(score === value)}
    aria-label=${label} title=${label} onClick=${() => setScore(score === value ? null : value)}><${Icon} name=${icon} /></button>`;
  return html`<section class="fb" aria-labelledby="fb-title">
    <h2 id="fb-title">${t("feedbackTitle")}</h2>
    ${view.feedback.length > 0 && html`<ul class="fb-list">
      ${view.feedback.map((said) => html`<${Said} key=${said.id} said=${said} reload=${reload} t=${t} />`)}</ul>`}
    <form class="fb-form" onSubmit=${give}>
      <div class="fb-thumbs" role="group" aria-label=${t("judge")}>${thumb(1, "up", t("thumbsUp"))}${thumb(-1, "down", t("thumbsDown"))}</div>
      <label><span>${t("remark")}</span>
        <input class="field" value=${comment} maxlength="4000" onInput=${(event) => setComment(event.currentTarget.value)} /></label>
      <label><span>${t("rightAnswer")}</span>
        <textarea class="field" rows="3" value=${correction} maxlength="20000" onInput=${(event) => setCorrection(event.currentTarget.value)}></textarea></label>
      <${Button} type="submit" kind="primary" disabled=${busy || (score == null && !comment.trim() && !correction.trim())}>${t("give")}<//>
    </form>
  </section>`;
}
