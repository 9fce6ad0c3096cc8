// The page begins here.
import { html, render } from "./vendor/htm-preact.js";
import { Shell } from "./shell.js";

render(html`<${Shell} />`, document.getElementById("page"));
