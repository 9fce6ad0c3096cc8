// Small parts that every view is made of.
import { html } from "../vendor/htm-preact.js";
import { useT } from "./i18n.js";

const words = { en: { loading: "Loading" }, ko: { loading: "불러오는 중" } };

// kind: "" | primary | quiet | danger
export const Button = ({ kind = "", type = "button", children, ...rest }) =>
  html`<button ...${rest} type=${type} class=${`btn ${kind}`}>${children}</button>`;

// tone: "" | good | bad | wait | soft
export const Badge = ({ tone = "", children, ...rest }) => html`<span ...${rest} class=${`badge ${tone}`}>${children}</span>`;

export const Empty = ({ title, children }) => html`<div class="empty"><h2>${title}</h2>${children && html`<p>${children}</p>`}</div>`;

export function Spinner() {
  const t = useT(words);
  return html`<div class="spinner" role="status"><span class="sr">${t("loading")}</span></div>`;
}

// Lines on a grid of 24, drawn in the colour of the text.
const LINES = {
  chat: "M5 5h14v11H11l-4 3.5V16H5z",
  documents: "M6 3h8l4 4v14H6zM14 3v4h4M9 12h6M9 16h6",
  memory: "M12 21s-7-4.5-7-10a4 4 0 0 1 7-2.6A4 4 0 0 1 19 11c0 5.5-7 10-7 10z",
  traces: "M4 6h9M7 12h12M11 18h6",
  experiments: "M4 20h16M7 16v-5M12 16V6M17 16v-8",
  status: "M3 12h4l3-7 4 14 3-7h4",
  people: "M12 12a4 4 0 1 0 0-8 4 4 0 0 0 0 8zM4 21c0-4 3.5-6 8-6s8 2 8 6",
  add: "M12 5v14M5 12h14",
  more: "M6 12h.01M12 12h.01M18 12h.01",
  menu: "M4 7h16M4 12h16M4 17h16",
  close: "M6 6l12 12M18 6L6 18",
  send: "M12 19V5M6 11l6-6 6 6",
  stop: "M7 7h10v10H7z",
  copy: "M9 9h10v11H9zM6 15H5V4h10v2",
  again: "M19 12a7 7 0 1 1-2-5M19 4v4h-4",
  edit: "M4 20l1-4L16 5l3 3L8 19z",
  up: "M7 11v9H4v-9zM7 11l4-7c2 0 2.5 1.5 2 3l-.7 2.5H19c1 0 1.5 1 1.2 2l-1.7 7c-.2.9-.7 1.5-1.5 1.5H7",
  down: "M7 13V4H4v9zM7 13l4 7c2 0 2.5-1.5 2-3l-.7-2.5H19c1 0 1.5-1 1.2-2l-1.7-7C18.3 4.6 17.8 4 17 4H7",
  left: "M14 6l-6 6 6 6",
  right: "M10 6l6 6-6 6",
  tool: "M14 6a4 4 0 0 0-5 5l-6 6 3 3 6-6a4 4 0 0 0 5-5l-2.5 2.5-2.5-.5-.5-2.5z",
  shield: "M12 3l7 3v5c0 5-3 8-7 10-4-2-7-5-7-10V6z",
  check: "M5 12.5l4.5 4.5L19 7",
  cross: "M7 7l10 10M17 7L7 17",
  question: "M9 9a3 3 0 1 1 4.5 2.6c-1 .6-1.5 1.2-1.5 2.4M12 17.5h.01",
  sun: "M12 8a4 4 0 1 0 0 8 4 4 0 0 0 0-8zM12 3v1.5M12 19.5V21M3 12h1.5M19.5 12H21M5.6 5.6l1.1 1.1M17.3 17.3l1.1 1.1M18.4 5.6l-1.1 1.1M6.7 17.3l-1.1 1.1",
  moon: "M19 14.5A7.5 7.5 0 0 1 9.5 5a7.5 7.5 0 1 0 9.5 9.5z",
  language: "M4 6h9M8.5 4v2M6 6c.5 4 3 6.5 6 8M11 6c-.5 4-3 7-6.5 8.5M12 20l4-9 4 9M13.5 17h5",
  download: "M12 4v11M7 11l5 5 5-5M5 20h14",
  trash: "M5 7h14M9 7V4h6v3M7 7l1 13h8l1-13",
  search: "M11 4a7 7 0 1 0 0 14 7 7 0 0 0 0-14zM16 16l4.5 4.5",
};

export const Icon = ({ name }) => html`<svg class="icon" viewBox="0 0 24 24" aria-hidden="true" focusable="false">
  <path d=${LINES[name]} fill="none" stroke="currentColor" stroke-width="1.7" stroke-linecap="round" stroke-linejoin="round" /></svg>`;
