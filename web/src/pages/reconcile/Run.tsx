import type { JSX } from "preact";

import { body, client, type Schemas } from "../../api/client";
import { Button, ErrorState, Skeleton, StatusChip, Table, Time } from "../../components";
import { formatNumber, t, translate } from "../../i18n";
import { usePolling } from "../../polling";
import { Link } from "../../router";
import { useResource } from "../../resource";
import { kindsOf } from "./found";

type Image = Schemas["ReconciledImage"];

const REFRESH_MS = 1_000;
const ENDED = ["done", "failed", "cancelled"];

/** One reconciliation: its progress, then what it found, image by image. */
export function Run({ id, onClose }: { id: string; onClose: () => void }): JSX.Element {
  const path = { run_id: id };
  const detail = useResource(
    (signal) => body(client.GET("/api/v1/reconciliations/{run_id}", { params: { path }, signal })),
    [id],
  );
  const run = detail.data.value;
  const ended = run !== undefined && ENDED.includes(run.state);
  usePolling(detail.reload, ended ? null : REFRESH_MS);
  if (detail.problem.value && !run) return <ErrorState problem={detail.problem.value} onRetry={detail.reload} />;
  if (!run) return <Skeleton lines={2} />;
  const found = kindsOf(run).length > 0;
  return (
    <section class="card run" aria-labelledby="run" data-state={run.state}>
      <header>
        <h2 id="run">{t(run.dry_run ? "reconcile.kind.dry" : "reconcile.kind.repair")}</h2>
        <Button kind="quiet" icon="cross" label={t("common.close")} onClick={onClose} />
      </header>
      {!ended && <progress aria-labelledby="run" max={run.expected_objects ?? undefined} value={run.expected_objects ? run.objects : undefined} />}
      <p role="status">
        {t(`order.${run.state}`)} · {t("reconcile.compared", { count: run.objects ?? 0 })}
        {!ended && run.expected_objects ? ` ${t("reconcile.expected", { count: run.expected_objects })}` : ""}
      </p>
      {run.error && <p class="field-error">{run.error}</p>}
      {ended && !found && <p class="run-well">{t("reconcile.agree")}</p>}
      {found && (
        <dl class="figures">
          {kindsOf(run).map(([kind, count]) => (
            <div key={kind} class="figure">
              <dt>{translate(`drift.${kind}`, kind)}</dt>
              <dd>
                <span class="figure-value">{formatNumber(count)}</span>
                <span class="muted small">{translate(`drift.${kind}.hint`, "")}</span>
              </dd>
            </div>
          ))}
        </dl>
      )}
      {run.images.length > 0 && (
        <Table<Image>
          caption={t("reconcile.images")}
          rows={run.images}
          keyOf={(image) => `${image.image_id} ${image.drift} ${image.found_at}`}
          columns={[
            {
              key: "image",
              title: t("image.title"),
              cell: (image) => (
                <Link to={`/images/${image.image_id}`}>
                  <code>{image.key ?? image.image_id}</code>
                </Link>
              ),
            },
            { key: "drift", title: t("reconcile.found"), cell: (image) => translate(`drift.${image.drift}`, image.drift) },
            { key: "repaired", title: t("reconcile.repaired"), cell: (image) => t(image.repaired ? "common.yes" : "common.no") },
            { key: "status", title: t("redrive.now"), cell: (image) => (image.status ? <StatusChip status={image.status} subtle /> : "–") },
            { key: "at", title: t("reconcile.at"), cell: (image) => <Time at={image.found_at} /> },
          ]}
        />
      )}
    </section>
  );
}
