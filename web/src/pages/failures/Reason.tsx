import type { JSX } from "preact";

import { Icon } from "../../components";
import { t, translate } from "../../i18n";

/** Why an image failed, whether it would fail again, and what to do. */
export function FailureReason({ code, detail, retryable }: { code: string; detail: string; retryable: boolean }): JSX.Element {
  return (
    <div class="reason">
      <Icon name="failures" size={32} />
      <h2>{translate(`failure.${code}`, code)}</h2>
      <p lang="en">{detail}</p>
      <p>{translate(`failure.${code}.remedy`, "")}</p>
      <p class="muted small">
        <code>{code}</code> · {t(retryable ? "failures.retryable" : "failures.final")}
      </p>
    </div>
  );
}
