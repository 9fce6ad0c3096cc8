// Figures in a few words, in the language of the page; nothing here touches the document.
import { language } from "./kit.js";

// The browser's own country where it speaks the page's language.
const locale = () => (navigator.language.toLowerCase().startsWith(language()) ? navigator.language : language());
const korean = () => language() === "ko";

const formats = new Map();
const format = (options) => {
  const key = locale() + JSON.stringify(options);
  if (!formats.has(key)) formats.set(key, new Intl.NumberFormat(locale(), options));
  return formats.get(key);
};

export const count = (value) => (value == null ? "–" : format({}).format(value));

// 12,345 → 12.3k: for tight columns; `count` says it exactly.
export const many = (value) =>
  value == null ? "–" : value < 10_000 ? count(value)
    : format({ notation: "compact", maximumFractionDigits: 1 }).format(value);

export const percent = (share, digits = 0) =>
  share == null || Number.isNaN(share) ? "–"
    : format({ style: "percent", maximumFractionDigits: digits }).format(share);

// A score or a measure, with as many digits as it is worth.
export const number = (value, signed = false) => {
  if (value == null) return "–";
  const digits = Math.abs(value) < 10 ? 3 : Math.abs(value) < 1000 ? 1 : 0;
  return format({
    minimumFractionDigits: digits, maximumFractionDigits: digits,
    signDisplay: signed ? "exceptZero" : "auto",
  }).format(Object.is(value, -0) ? 0 : value).replace("-", "−");
};

const SYMBOLS = { millisecond: "ms", second: "s", minute: "min", hour: "h", byte: "B", kilobyte: "kB", megabyte: "MB", gigabyte: "GB" };
const KOREAN = { second: "초", minute: "분", hour: "시간" };
const unit = (value, name, digits) => {
  const figure = format({ maximumFractionDigits: digits }).format(value);
  return korean() && KOREAN[name] ? `${figure}${KOREAN[name]}` : `${figure}\u00a0${SYMBOLS[name]}`;
};

// A duration with about three figures.
export const took = (seconds) => {
  if (seconds == null) return "–";
  if (seconds < 0.9995) return unit(seconds * 1000, "millisecond", seconds < 0.00995 ? 1 : 0);
  if (seconds < 99.95) return unit(seconds, "second", seconds < 9.995 ? 2 : 1);
  const whole = Math.round(seconds);
  const [hours, minutes, rest] = [Math.floor(whole / 3600), Math.floor(whole / 60) % 60, whole % 60];
  return hours ? `${unit(hours, "hour", 0)} ${unit(minutes, "minute", 0)}`
    : `${unit(minutes, "minute", 0)} ${unit(rest, "second", 0)}`;
};

const SIZES = [["gigabyte", 1e9], ["megabyte", 1e6], ["kilobyte", 1e3], ["byte", 1]];
export const size = (bytes) => {
  if (bytes == null) return "–";
  const [name, factor] = SIZES.find(([, each]) => bytes >= each) ?? SIZES.at(-1);
  return unit(bytes / factor, name, bytes / factor < 10 && factor > 1 ? 1 : 0);
};

const date = (value) => {
  const made = new Date(value);
  return Number.isNaN(made.valueOf()) ? null : made;
};

export const moment = (value) => {
  const made = date(value);
  return made ? made.toLocaleString(locale(), { dateStyle: "medium", timeStyle: "medium" }) : "–";
};

const AGES = [["year", 31_557_600], ["month", 2_629_800], ["day", 86_400], ["hour", 3600], ["minute", 60]];
export const ago = (value, now = Date.now()) => {
  const made = date(value);
  if (!made) return "–";
  const seconds = (made.valueOf() - now) / 1000;
  const relative = new Intl.RelativeTimeFormat(locale(), { numeric: "auto" });
  for (const [name, length] of AGES) {
    if (Math.abs(seconds) >= length) return relative.format(Math.round(seconds / length), name);
  }
  return relative.format(0, "second");
};

// A round distance between about `marks` marks on an axis.
export const step = (span, marks = 6) => {
  const factor = span < 120 ? 1 : 60;
  const rough = Math.max(span, 1e-9) / factor / marks;
  const power = 10 ** Math.floor(Math.log10(rough));
  return factor * [1, 2, 5, 10].map((each) => each * power).find((each) => each >= rough * 0.999999);
};
