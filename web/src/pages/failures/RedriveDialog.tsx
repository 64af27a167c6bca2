import { useSignal } from "@preact/signals";
import type { JSX } from "preact";
import { useEffect } from "preact/hooks";

import { body, client } from "../../api/client";
import { type Problem, toProblem } from "../../api/problem";
import { Button, Dialog, Skeleton } from "../../components";
import { formatDuration, problemText, t } from "../../i18n";
import { type Consequences, consequencesOf, type Group, type RedrivePreview, type RedriveScope, type Window } from "./scope";

interface Properties {
  /** What was asked for; null: the dialog is closed. */
  scope: RedriveScope | null;
  window: Window;
  groups: readonly Group[];
  onClose: () => void;
  onOrdered: (id: string) => void;
}

/** The preview of a redrive, counted by the gateway with the same scope with which it is then ordered. */
export function RedriveDialog({ scope, window, groups, onClose, onOrdered }: Properties): JSX.Element {
  const force = useSignal(false);
  const preview = useSignal<RedrivePreview | null>(null);
  const problem = useSignal<Problem | null>(null);
  const busy = useSignal(false);

  async function send(dryRun: boolean): Promise<void> {
    if (!scope) return;
    busy.value = !dryRun;
    problem.value = null;
    try {
      const wanted = { ...scope, force: force.value, dry_run: dryRun };
      const accepted = await body(client.POST("/api/v1/redrives", { body: wanted }));
      preview.value = accepted.preview;
      if (accepted.redrive) onOrdered(accepted.redrive.id);
    } catch (failure) {
      problem.value = toProblem(failure);
    }
    busy.value = false;
  }

  useEffect(() => {
    force.value = false;
  }, [scope]);
  useEffect(() => {
    preview.value = null;
    void send(true);
  }, [scope, force.value]);

  const result = scope && preview.value && consequencesOf(preview.value, scope, groups);
  return (
    <Dialog
      open={scope !== null}
      title={t("redrive.title")}
      onClose={onClose}
      actions={
        <>
          <Button onClick={onClose}>{t("common.cancel")}</Button>
          <Button
            kind="primary"
            icon="reconcile"
            busy={busy.value}
            disabled={!result?.images}
            onClick={() => void send(false)}
          >
            {t("failures.redrive.now", { count: result?.images ?? 0 })}
          </Button>
        </>
      }
    >
      {result ? <Scope result={result} scope={scope} window={window} /> : !problem.value && <Skeleton lines={3} />}
      {(Boolean(result?.notRetryable.length) || force.value) && (
        <label class="redrive-force">
          <input type="checkbox" checked={force.value} onChange={(event) => (force.value = event.currentTarget.checked)} />
          <span>
            {t("redrive.force")} <span class="muted">{t("redrive.force.hint")}</span>
          </span>
        </label>
      )}
      {problem.value && (
        <p class="field-error" role="alert">
          {problemText(problem.value)} <span lang="en">{problem.value.detail}</span>
        </p>
      )}
    </Dialog>
  );
}

/** The scope in words: what is redriven, and what is not. */
function Scope({ result, scope, window }: { result: Consequences; scope: RedriveScope; window: Window }): JSX.Element {
  const codes = result.codes.map(({ code }) => code).join(", ");
  const included = result.images
    ? scope.ids?.length
      ? t("redrive.scope.ids", { count: result.images })
      : t("redrive.scope", { count: result.images, codes, window: t(`failures.within.${window}`) })
    : t("redrive.scope.none");
  return (
    <div class="redrive-scope">
      <p class="redrive-sentence" role="status">
        {included}
      </p>
      <ul>
        {result.notRetryable.map(({ code, images }) => (
          <li key={code}>{t("redrive.notRetryable", { count: images, code })}</li>
        ))}
        {result.otherCodes > 0 && <li>{t("redrive.otherCodes", { count: result.otherCodes })}</li>}
        {result.notFailed > 0 && <li>{t("redrive.notFailed", { count: result.notFailed })}</li>}
        {result.images > 0 && <li>{t("redrive.rate", { time: formatDuration(result.seconds) })}</li>}
      </ul>
    </div>
  );
}
