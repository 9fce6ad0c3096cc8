// Addresses of knowledge bases. Another person's shared one has the id `owner:name`.

export const pathOf = (id, ...rest) => `documents/${[encodeURIComponent(id), ...rest].join("/")}`;
export const hrefOf = (id, ...rest) => `#/${pathOf(id, ...rest)}`;
export const urlOf = (id, rest = "") => `/api/knowledge/${encodeURIComponent(id)}${rest}`;
