/** Single keys that go to pages. They can be switched off, since speech input and chance press them (WCAG 2.1.4). */

import { signal } from "@preact/signals";
import type { JSX } from "preact";
import { useLayoutEffect } from "preact/hooks";

import { Dialog } from "./components";
import { t } from "./i18n";
import type { Key } from "./i18n/en";
import { pause, paused, resume } from "./live";
import { Link, navigate } from "./router";
import { shortcuts, theme, type Theme } from "./settings";

interface Shortcut {
  key: string;
  text: Key;
  run: () => void;
}

const THEMES: readonly Theme[] = ["auto", "light", "dark"];

/** Whether the list of shortcuts is shown. */
export const helpOpen = signal(false);

export const SHORTCUTS: readonly Shortcut[] = [
  { key: "g", text: "nav.gallery", run: () => navigate("/") },
  { key: "u", text: "nav.upload", run: () => navigate("/upload") },
  { key: "f", text: "nav.failures", run: () => navigate("/failures") },
  { key: "p", text: "nav.pipeline", run: () => navigate("/pipeline") },
  { key: "r", text: "nav.reconcile", run: () => navigate("/reconcile") },
  { key: "e", text: "nav.events", run: () => navigate("/events") },
  { key: "s", text: "nav.settings", run: () => navigate("/settings") },
  { key: "/", text: "keys.search", run: () => document.querySelector<HTMLInputElement>("main input[type=search]")?.focus() },
  { key: ".", text: "keys.pause", run: () => (paused.value ? resume() : pause()) },
  { key: "t", text: "keys.theme", run: () => (theme.value = THEMES[(THEMES.indexOf(theme.value) + 1) % THEMES.length]!) },
  { key: "?", text: "keys.help", run: () => (helpOpen.value = true) },
];

/** Return the shortcut of a key press: none with a modifier, in a field, or in a dialog. */
function shortcutOf(event: KeyboardEvent): Shortcut | undefined {
  const target = event.target as HTMLElement;
  const typing = target.isContentEditable || target.closest("input, select, textarea, dialog") !== null;
  if (shortcuts.value === "off" || typing || event.ctrlKey || event.metaKey || event.altKey) return undefined;
  return SHORTCUTS.find((shortcut) => shortcut.key === event.key);
}

export function Shortcuts(): JSX.Element {
  useLayoutEffect(() => {
    const press = (event: KeyboardEvent): void => {
      const shortcut = shortcutOf(event);
      if (!shortcut) return;
      event.preventDefault(); // a "/" would be typed into the field that it focuses
      shortcut.run();
    };
    document.addEventListener("keydown", press);
    return () => document.removeEventListener("keydown", press);
  }, []);
  const close = (): void => void (helpOpen.value = false);
  return (
    <Dialog open={helpOpen.value} title={t("nav.help")} onClose={close}>
      <ShortcutList />
      <p class="muted small">
        <Link to="/settings" onClick={close}>
          {t(shortcuts.value === "on" ? "keys.turnOff" : "keys.turnOn")}
        </Link>
      </p>
    </Dialog>
  );
}

export function ShortcutList(): JSX.Element {
  return (
    <dl class="keys">
      {SHORTCUTS.map(({ key, text }) => (
        <div key={key}>
          <dt>
            <kbd>{key}</kbd>
          </dt>
          <dd>{t(text)}</dd>
        </div>
      ))}
    </dl>
  );
}
