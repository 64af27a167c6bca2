import type { JSX } from "preact";

import type { Problem } from "../api/problem";
import { problemText, t } from "../i18n";
import { Button } from "./Button";
import { Icon } from "./Icon";

/** A problem of the API: what is wrong, its code, and a button that tries again. */
export function ErrorState({ problem, onRetry }: { problem: Problem; onRetry?: () => void }): JSX.Element {
  return (
    <div class="state state-error" role="alert">
      <Icon name="alert" size={40} />
      <h2>{t("problem.title")}</h2>
      <p>{problemText(problem)}</p>
      {problem.detail && <p class="muted" lang="en">{problem.detail}</p>}
      <p class="muted small">
        {t("common.code")}: <code>{problem.code}</code>
      </p>
      {onRetry && (
        <Button icon="reconcile" onClick={onRetry}>
          {t("common.retry")}
        </Button>
      )}
    </div>
  );
}
