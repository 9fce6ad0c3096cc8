// What a view may use: the shell's kit.
export * from "../kit.js";
