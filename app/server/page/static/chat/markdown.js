// Markdown of a model to nodes of the page: nothing in it runs, loads or leaves by itself.
import { Marked } from "../vendor/marked.js";
import "../vendor/purify.js";

const MARKS = /[\uE000-\uE003]/g; // private use: marks of ours in a text, stripped from it first
const bare = (text) => text.replace(MARKS, "\uFFFD");
const escape = (text) => text.replace(/[&<>"']/g, (each) => `&#${each.charCodeAt(0)};`);
const marked = new Marked({
  gfm: true, breaks: true,
  renderer: {
    html({ text }) { return escape(text); }, // what was written is shown, not obeyed
    image({ href, text }) { return `<a href="${escape(href)}">${escape(text || href)}</a>`; },
    checkbox({ checked }) { return checked ? "☑ " : "☐ "; },
  },
});
const CLEAN = {
  ALLOWED_TAGS: ["p", "br", "hr", "strong", "em", "del", "code", "pre", "blockquote", "ul", "ol", "li", "a",
    "h1", "h2", "h3", "h4", "h5", "h6", "table", "thead", "tbody", "tr", "th", "td"],
  ALLOWED_ATTR: ["href", "start", "align"],
  ALLOWED_URI_REGEXP: /^(?:https?:|mailto:)/i,
  ALLOW_DATA_ATTR: false, ALLOW_ARIA_ATTR: false, RETURN_DOM_FRAGMENT: true,
};

// What is still being written, closed so that it looks as it will: fences, code, emphasis, links.
export function mend(text) {
  const fences = text.match(/^ {0,3}(```|~~~)/gm) ?? [];
  if (fences.length % 2) return `${text}\n${fences.at(-1).trim()}`;
  const start = text.lastIndexOf("\n\n") + 1;
  let block = text.slice(start);
  block = block.replace(/!?\[([^\]\n]*)\]\([^)\n]*$/, "$1").replace(/(\*\*|__|\*|`)$/, (sign, _, at, whole) =>
    (whole.slice(0, at).split(sign).length % 2 ? "" : sign)); // an opener with nothing after it yet
  const prose = block.replace(/`[^`\n]+`/g, "");
  if ((prose.match(/`/g) ?? []).length % 2) return `${text.slice(0, start)}${block}\``;
  for (const sign of ["**", "~~"]) if ((prose.split(sign).length - 1) % 2) block = `${block.trimEnd()}${sign}`;
  return text.slice(0, start) + block;
}

// Where a mark may stand without breaking the form of its line.
function inside(points, at) {
  if (at > 0 && points[at - 1] !== "\n") return at;
  const [prefix] = /^(?:\s*(?:[-*+]|\d+[.)]|#{1,6}|>|\|)\s+)*/.exec(points.slice(at, at + 40).join(""));
  return at + [...prefix].length;
}

// Offsets of claims count code points of the answer, as Python does.
function withMarks(text, claims) {
  const points = Array.from(bare(text));
  const put = claims.flatMap((claim, n) => [[inside(points, claim.start), `\uE000${n}\uE002`], [claim.end, `\uE001${n}\uE002`]]);
  put.sort((a, b) => b[0] - a[0]);
  for (const [at, mark] of put) points.splice(Math.min(at, points.length), 0, mark);
  return points.join("");
}

const button = (name, number, text, label) => {
  const made = document.createElement("button");
  made.type = "button";
  made.className = name;
  made.dataset[name.split(" ")[0]] = number;
  made.textContent = text;
  made.setAttribute("aria-label", label);
  made.title = label;
  return made;
};

// Put chips in the place of markers [1], and badges behind claims.
function adorn(root, { citations, claims, labels }) {
  const walker = document.createTreeWalker(root, NodeFilter.SHOW_TEXT);
  const texts = [];
  while (walker.nextNode()) texts.push(walker.currentNode);
  for (const node of texts) {
    const still = node.parentElement?.closest("code, pre, a");
    const parts = node.data.split(/(\[\d{1,3}\]|[\uE000\uE001]\d+\uE002)/);
    if (parts.length === 1) continue;
    const made = document.createDocumentFragment();
    for (const part of parts) {
      const [, number] = /(\d+)/.exec(part) ?? [];
      const citation = part.startsWith("[") && !still && citations.find((each) => each.number === Number(number));
      const claim = /^[\uE000\uE001]/.test(part) ? claims[number] : null;
      if (citation) made.append(button("cite", number, number, labels.citation(citation)));
      else if (claim && part[0] === "\uE000") made.append(Object.assign(document.createElement("span"), { className: `claim-start claim-start-${number}` }));
      else if (claim) made.append(button(`claim ${claim.verdict.toLowerCase()}`, number, labels.sign(claim), labels.claim(claim)));
      else if (!/^[\uE000\uE001]/.test(part)) made.append(part);
    }
    node.replaceWith(made);
  }
}

// Nodes for a text. `writing`: more of it will come.
export function render(text, { writing = false, citations = [], claims = [], labels } = {}) {
  const told = claims.length ? withMarks(text, claims) : bare(text);
  const made = DOMPurify.sanitize(marked.parse(writing ? mend(told) : told), CLEAN);
  for (const link of made.querySelectorAll("a")) {
    if (!link.getAttribute("href")) link.replaceWith(...link.childNodes);
    else Object.assign(link, { target: "_blank", rel: "noopener noreferrer nofollow" });
  }
  for (const table of made.querySelectorAll("table")) {
    const frame = Object.assign(document.createElement("div"), { className: "table-frame", tabIndex: 0 });
    table.replaceWith(frame);
    frame.append(table);
  }
  if (labels) adorn(made, { citations, claims, labels });
  return made;
}

// Change as little as needed, so that what is selected stays so while more is written.
export function update(room, made) {
  const [before, after] = [[...room.childNodes], [...made.childNodes]];
  let same = 0;
  while (same < before.length && same < after.length && before[same].isEqualNode(after[same])) same += 1;
  for (const each of before.slice(same)) each.remove();
  room.append(...after.slice(same));
}
