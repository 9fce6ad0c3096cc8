// The kit: all that a view takes from the shell.
export { html, render, useCallback, useEffect, useLayoutEffect, useMemo, useRef, useState } from "./vendor/htm-preact.js";
export { api } from "./lib/api.js";
export { language, setLanguage, useT } from "./lib/i18n.js";
export { go, useRoute } from "./lib/router.js";
export { session } from "./lib/session.js";
export { Badge, Button, Empty, Icon, Spinner } from "./lib/components.js";
export { Dialog, confirm, toast } from "./lib/dialogs.js";
