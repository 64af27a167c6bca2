import "./settings.css";

import type { ComponentChildren, JSX } from "preact";

import { body, client } from "../../api/client";
import { logOut, loginNeeded } from "../../api/session";
import { apiUrl } from "../../base";
import { Button, ErrorState, Page, Skeleton, Time } from "../../components";
import { formatBytes, t } from "../../i18n";
import { useResource } from "../../resource";
import { language, shortcuts, theme } from "../../settings";
import { ShortcutList } from "../../shortcuts";

/** What a person can choose for this browser, and what the system allows. */
export default function Settings(): JSX.Element {
  return (
    <Page title={t("settings.title")}>
      <div class="settings">
        <Section title={t("settings.appearance")}>
          <Choice
            legend={t("settings.theme")}
            value={theme.value}
            options={{ auto: t("settings.auto"), light: t("settings.theme.light"), dark: t("settings.theme.dark") }}
            onChange={(value) => (theme.value = value)}
          />
          <Choice
            legend={t("settings.language")}
            value={language.value}
            options={{ auto: t("settings.auto"), en: "English", de: "Deutsch" }}
            onChange={(value) => (language.value = value)}
          />
        </Section>
        <Section title={t("settings.access")}>
          <Access />
        </Section>
        <Section title={t("settings.limits")}>
          <Limits />
        </Section>
        <Section title={t("settings.keys")}>
          <label class="check">
            <input
              type="checkbox"
              checked={shortcuts.value === "on"}
              onChange={(event) => (shortcuts.value = event.currentTarget.checked ? "on" : "off")}
            />
            {t("settings.keys.on")}
          </label>
          <ShortcutList />
        </Section>
        <Section title={t("settings.api")}>
          <p class="muted">{t("settings.api.hint")}</p>
          <div class="row">
            <a class="button" href={apiUrl("/docs")}>
              {t("settings.api.docs")}
            </a>
          </div>
        </Section>
      </div>
    </Page>
  );
}

function Section({ title, children }: { title: string; children: ComponentChildren }): JSX.Element {
  return (
    <section class="card settings-section">
      <h2>{title}</h2>
      {children}
    </section>
  );
}

interface ChoiceProperties<T extends string> {
  legend: string;
  value: T;
  options: Record<T, string>;
  onChange: (value: T) => void;
}

/** One of few values: radio buttons that look like one control. */
function Choice<T extends string>({ legend, value, options, onChange }: ChoiceProperties<T>): JSX.Element {
  return (
    <fieldset class="choice">
      <legend>{legend}</legend>
      {(Object.entries(options) as [T, string][]).map(([option, text]) => (
        <label key={option}>
          <input
            type="radio"
            class="visually-hidden"
            name={legend}
            checked={value === option}
            onChange={() => onChange(option)}
          />
          <span>{text}</span>
        </label>
      ))}
    </fieldset>
  );
}

function Access(): JSX.Element {
  const session = useResource((signal) => body(client.GET("/api/v1/session", { signal })), [loginNeeded.value]);
  if (session.problem.value) return <ErrorState problem={session.problem.value} onRetry={session.reload} />;
  const state = session.data.value;
  if (!state) return <Skeleton lines={1} />;
  if (!state.key_required) return <p class="muted">{t("settings.access.open")}</p>;
  return (
    <>
      {state.expires_at && (
        <p>
          {t("settings.access.until")} <Time at={state.expires_at} />.
        </p>
      )}
      <div class="row">
        <Button icon="key" onClick={() => void logOut()}>
          {t("login.logout")}
        </Button>
      </div>
    </>
  );
}

function Limits(): JSX.Element {
  const limits = useResource((signal) => body(client.GET("/api/v1/limits", { signal })), []);
  if (limits.problem.value) return <ErrorState problem={limits.problem.value} onRetry={limits.reload} />;
  const known = limits.data.value;
  if (!known) return <Skeleton lines={4} />;
  return (
    <>
      <p>
        {t("settings.limits.size")} <strong>{formatBytes(known.max_upload_bytes)}</strong> <code>MAX_UPLOAD_BYTES</code>
      </p>
      <p>
        {t("settings.limits.formats")}{" "}
        <span class="settings-formats">
          {known.formats.map((format) => (
            <code key={format.content_type} title={format.content_type}>
              .{format.extension}
            </code>
          ))}
        </span>
      </p>
    </>
  );
}
