import type { JSX } from "preact";

import { body, client, type Schemas } from "../../api/client";
import { Button, ErrorState, Skeleton, StatusChip, Table, Time } from "../../components";
import { t } from "../../i18n";
import { usePolling, useReloadAfterChanges } from "../../polling";
import { Link } from "../../router";
import { useResource } from "../../resource";
import { decidedOf } from "./scope";

type RedrivenImage = Schemas["RedrivenImage"];

const REFRESH_MS = 2_000;
const AFTER_CHANGES_MS = 500;
const ENDED = ["done", "failed", "cancelled"];

/** A redrive while it runs, and then its result for each image. */
export function RedriveProgress({ id, onClose }: { id: string; onClose: () => void }): JSX.Element {
  const path = { redrive_id: id };
  const detail = useResource((signal) => body(client.GET("/api/v1/redrives/{redrive_id}", { params: { path }, signal })), [id]);
  const redrive = detail.data.value;
  const images = redrive?.images.length ?? 0;
  const { decided, total } = redrive ? decidedOf(redrive.progress, Math.max(images, redrive.progress.redriven)) : { decided: 0, total: 0 };
  const ended = redrive !== undefined && ENDED.includes(redrive.state) && decided >= total;
  usePolling(detail.reload, ended ? null : REFRESH_MS);
  useReloadAfterChanges(() => !ended && detail.reload(), AFTER_CHANGES_MS);

  if (detail.problem.value && !redrive) return <ErrorState problem={detail.problem.value} onRetry={detail.reload} />;
  if (!redrive) return <Skeleton lines={2} />;
  const { progress } = redrive;
  return (
    <section class="card redrive" aria-labelledby="redrive">
      <header>
        <h2 id="redrive">{t(ended ? "redrive.ended" : "redrive.running")}</h2>
        <Button kind="quiet" icon="cross" label={t("common.close")} onClick={onClose} />
      </header>
      <progress aria-labelledby="redrive" max={Math.max(1, total)} value={decided} />
      <p class="redrive-result" role="status">
        {t("redrive.result", { decided, total, done: progress.done ?? 0, failed: progress.failed ?? 0 })}
        {progress.superseded ? ` ${t("redrive.changed", { count: progress.superseded })}` : ""}
      </p>
      <p class="muted small">
        {redrive.requested_by && t("redrive.by", { name: redrive.requested_by })} <Time at={redrive.requested_at} />
        {redrive.error && <span class="field-error"> {redrive.error}</span>}
      </p>
      {images > 0 && (
        <details open={images <= 20}>
          <summary>{t("redrive.images", { count: images })}</summary>
          <Table<RedrivenImage>
            caption={t("redrive.images", { count: images })}
            rows={redrive.images}
            keyOf={(image) => image.image_id}
            columns={[
              {
                key: "image",
                title: t("image.title"),
                cell: (image) => (
                  <Link to={`/images/${image.image_id}`}>
                    <code>{image.image_id}</code>
                  </Link>
                ),
              },
              { key: "before", title: t("redrive.before"), cell: (image) => <code>{image.code}</code> },
              {
                key: "now",
                title: t("redrive.now"),
                cell: (image) =>
                  image.result === "superseded" ? (
                    t("redrive.superseded")
                  ) : image.status ? (
                    <span class="row">
                      <StatusChip status={image.status} subtle />
                      {image.error && <code>{image.error}</code>}
                    </span>
                  ) : (
                    t("redrive.purged")
                  ),
              },
            ]}
          />
        </details>
      )}
    </section>
  );
}

