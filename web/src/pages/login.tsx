import { useSignal } from "@preact/signals";
import type { JSX } from "preact";

import { toProblem } from "../api/problem";
import { logIn } from "../api/session";
import { Button, Page } from "../components";
import { loadProblemText, t } from "../i18n";
import { resume } from "../live";

/** The login: one field, which password managers and pasting can fill. */
export function Login(): JSX.Element {
  const key = useSignal("");
  const error = useSignal("");
  const busy = useSignal(false);

  async function submit(event: Event): Promise<void> {
    event.preventDefault();
    busy.value = true;
    error.value = "";
    try {
      await logIn(key.value.trim());
      resume();
    } catch (failure) {
      const problem = toProblem(failure);
      error.value = problem.status === 401 ? t("login.wrong") : await loadProblemText(problem);
    }
    busy.value = false;
  }

  return (
    <Page title={t("login.title")} lead={t("login.hint")}>
      <form class="card form" onSubmit={(event) => void submit(event)}>
        <label for="key">{t("login.key")}</label>
        <input
          id="key"
          name="password"
          type="password"
          autocomplete="current-password"
          required
          autofocus
          value={key.value}
          onInput={(event) => (key.value = event.currentTarget.value)}
          aria-invalid={error.value ? "true" : undefined}
          aria-describedby={error.value ? "key-error" : undefined}
        />
        {error.value && (
          <p id="key-error" class="field-error" role="alert">
            {error.value}
          </p>
        )}
        <Button kind="primary" type="submit" icon="key" busy={busy.value}>
          {t("login.submit")}
        </Button>
      </form>
    </Page>
  );
}
