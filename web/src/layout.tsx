/** The frame of every page: navigation, the state of the live connection, the live region. */

import { useSignal } from "@preact/signals";
import type { ComponentChildren, JSX } from "preact";

import { announcement } from "./announce";
import { Button, Icon, type IconName } from "./components";
import { DropAnywhere } from "./drop-anywhere";
import { formatDuration, t } from "./i18n";
import type { Key } from "./i18n/en";
import { connection, held, pause, paused, resume } from "./live";
import { Link, path } from "./router";
import { helpOpen, Shortcuts } from "./shortcuts";

interface Entry {
  to: string;
  icon: IconName;
  text: Key;
}

const ENTRIES: readonly Entry[] = [
  { to: "/", icon: "gallery", text: "nav.gallery" },
  { to: "/upload", icon: "upload", text: "nav.upload" },
  { to: "/failures", icon: "failures", text: "nav.failures" },
  { to: "/pipeline", icon: "pipeline", text: "nav.pipeline" },
  { to: "/reconcile", icon: "reconcile", text: "nav.reconcile" },
  { to: "/events", icon: "events", text: "nav.events" },
  { to: "/settings", icon: "settings", text: "nav.settings" },
];
const ON_THE_BAR = 4; // entries on a narrow screen's bar; the others are behind "More"

export function Layout({ children }: { children: ComponentChildren }): JSX.Element {
  return (
    <>
      <a class="skip" href="#content">
        {t("app.skip")}
      </a>
      <div class="frame">
        <header class="side">
          <Link to="/" class="brand">
            <Mark />
            <span>{t("app.name")}</span>
          </Link>
          <Navigation />
          <div class="side-end">
            <Button kind="quiet" icon="help" label={t("nav.help")} onClick={() => (helpOpen.value = true)} />
            <LiveIndicator />
          </div>
        </header>
        <main id="content" class="content" tabIndex={-1}>
          {children}
        </main>
      </div>
      <DropAnywhere />
      <Shortcuts />
      <div class="visually-hidden" role="status" aria-live="polite">
        {announcement.value}
      </div>
    </>
  );
}

function Navigation(): JSX.Element {
  const open = useSignal(false);
  return (
    <nav class="nav" aria-label={t("nav.label")}>
      <ul>
        {ENTRIES.map(({ to, icon, text }, index) => (
          <li key={to} class={index < ON_THE_BAR ? "" : `nav-rest ${open.value ? "nav-open" : ""}`}>
            <Link to={to} aria-current={isCurrent(to) ? "page" : undefined} onClick={() => (open.value = false)}>
              <Icon name={icon} />
              <span>{t(text)}</span>
            </Link>
          </li>
        ))}
        <li class="nav-more">
          <button type="button" aria-expanded={open.value} onClick={() => (open.value = !open.value)}>
            <Icon name="more" />
            <span>{t("app.menu")}</span>
          </button>
        </li>
      </ul>
    </nav>
  );
}

function isCurrent(to: string): boolean {
  return to === "/" ? path.value === "/" || path.value.startsWith("/images/") : path.value.startsWith(to);
}

/** The state of the connection, and the button that pauses updates (WCAG 2.2.2). */
export function LiveIndicator(): JSX.Element {
  const { state, lag } = connection.value;
  const text = t(`live.${state}`, { lag: formatDuration(lag) });
  return (
    <div class={`live live-${state}`}>
      <span class="live-dot" aria-hidden="true" />
      <span class="live-text" title={t(`live.${state}.hint`)}>
        {text}
        {held.value > 0 && <span class="live-held">+{held.value}</span>}
      </span>
      <Button
        kind="quiet"
        icon={paused.value ? "play" : "pause"}
        label={t(paused.value ? "live.resume" : "live.pause")}
        onClick={paused.value ? resume : pause}
      />
    </div>
  );
}

function Mark(): JSX.Element {
  return (
    <svg class="mark" viewBox="0 0 32 32" width="28" height="28" aria-hidden="true">
      <rect class="mark-ground" width="32" height="32" rx="8" />
      <rect x="6" y="6" width="12" height="12" rx="2" fill-opacity=".45" />
      <rect x="12" y="12" width="9" height="9" rx="2" fill-opacity=".7" />
      <rect x="19" y="19" width="7" height="7" rx="1.6" />
    </svg>
  );
}
