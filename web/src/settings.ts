/** What a person chose for this browser: theme, language, single-key shortcuts. Kept in localStorage. */

import { effect, signal, type Signal } from "@preact/signals";

export type Theme = "auto" | "light" | "dark";
export type Language = "auto" | "en" | "de";

function stored<T extends string>(name: string, allowed: readonly T[]): Signal<T> {
  const key = `thumbmill.${name}`;
  const saved = localStorage.getItem(key) as T | null;
  const [first] = allowed as readonly [T];
  const value = signal<T>(saved && allowed.includes(saved) ? saved : first);
  effect(() => localStorage.setItem(key, value.value));
  return value;
}

export const theme = stored<Theme>("theme", ["auto", "light", "dark"]);
export const language = stored<Language>("language", ["auto", "en", "de"]);
export const shortcuts = stored<"on" | "off">("shortcuts", ["on", "off"]);

effect(() => {
  if (theme.value === "auto") delete document.documentElement.dataset["theme"];
  else document.documentElement.dataset["theme"] = theme.value;
});
