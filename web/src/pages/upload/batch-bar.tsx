import type { JSX } from "preact";

import { Button } from "../../components";
import { formatBytes, formatDuration, t } from "../../i18n";
import { clearEnded, pauseAll, rows, totals } from "./uploader";

/** How far all files are: "37 of 40 done, 2 failed, 1 processing". */
export function BatchBar(): JSX.Element {
  const { total, done, failed, processing, uploading, bytes, sent } = totals.value;
  const all = rows.value.map((row) => row.value);
  const speed = all.reduce((sum, row) => sum + (row.phase === "uploading" ? row.speed : 0), 0);
  const parts = [
    t("upload.bar.done", { done, total }),
    failed > 0 && t("upload.bar.failed", { failed }),
    processing > 0 && t("upload.bar.processing", { processing }),
    uploading > 0 && t("upload.bar.uploading", { uploading }),
  ];
  const paused = all.some((row) => row.phase === "paused");
  return (
    <section class="batch-bar" aria-label={t("upload.bar")}>
      <div class="batch-text">
        <strong>{parts.filter(Boolean).join(", ")}</strong>
        {uploading > 0 && speed > 0 && (
          <span class="muted numeric">
            {t("upload.speed", { speed: formatBytes(speed) })} · {t("upload.left", { time: formatDuration((bytes - sent) / speed) })}
          </span>
        )}
      </div>
      <div class="row">
        {all.some((row) => row.phase === "uploading") && (
          <Button kind="quiet" icon="pause" onClick={() => void pauseAll(true)}>
            {t("upload.pauseAll")}
          </Button>
        )}
        {paused && (
          <Button kind="quiet" icon="play" onClick={() => void pauseAll(false)}>
            {t("upload.resumeAll")}
          </Button>
        )}
        {done + failed > 0 && (
          <Button kind="quiet" onClick={() => void clearEnded()}>
            {t("upload.clear")}
          </Button>
        )}
      </div>
      <div class="meter" aria-hidden="true">
        <div class="meter-done" style={{ width: `${(100 * done) / total}%` }} />
        <div class="meter-failed" style={{ width: `${(100 * failed) / total}%` }} />
        <div class="meter-busy" style={{ width: `${(100 * processing) / total}%` }} />
      </div>
    </section>
  );
}
