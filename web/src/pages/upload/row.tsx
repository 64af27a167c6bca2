import type { Signal } from "@preact/signals";
import type { JSX } from "preact";

import { Button, Icon, Picture, shownStatus, StatusChip } from "../../components";
import { formatBytes, formatNumber, t, translate } from "../../i18n";
import { Link } from "../../router";
import { outcomeOf, type Row } from "./rows";
import { limits, remove, retry, togglePause } from "./uploader";

/** One file, from its choice to its thumbnail. */
export function UploadRow({ row: source }: { row: Signal<Row> }): JSX.Element {
  const row = source.value;
  const outcome = outcomeOf(row);
  const name = row.image ? <Link to={`/images/${row.image.id}`}>{row.name}</Link> : row.name;
  return (
    <li class={`upload upload-${outcome}`}>
      <div class="upload-picture">
        {row.image ? <Picture image={row.image} square /> : <Icon name={outcome === "failed" ? "failures" : "image"} size={24} />}
      </div>
      <div class="upload-what">
        <span class="upload-name">{name}</span>
        <Detail row={row} />
      </div>
      <State row={row} />
      <Actions row={row} />
      {(row.phase === "uploading" || row.phase === "paused" || row.phase === "waiting") && (
        <progress class="upload-progress" max={row.size} value={row.sent} aria-label={t("upload.progress", { name: row.name })} />
      )}
    </li>
  );
}

/** The size, the speed, or what is wrong and what to do about it. */
function Detail({ row }: { row: Row }): JSX.Element {
  const failure = row.image?.status === "FAILED" ? row.image.error : null;
  if (failure) {
    const hint = t(failure.retryable ? "upload.failed.retryable" : "upload.failed.final");
    return (
      <span class="upload-why">
        {translate(`failure.${failure.code}`, failure.detail || failure.code)} <span class="muted">{hint}</span>
      </span>
    );
  }
  if (row.phase === "missing") return <span class="upload-why">{t("upload.missing")}</span>;
  if (row.problem) {
    const size = formatBytes(limits.value?.max_upload_bytes ?? 0);
    return <span class="upload-why">{translate(`upload.problem.${row.problem}`, row.problem).replace("{size}", size)}</span>;
  }
  const speed = row.phase === "uploading" && row.speed > 0 && ` · ${t("upload.speed", { speed: formatBytes(row.speed) })}`;
  const pixels = row.image?.width && ` · ${formatNumber(row.image.width)} × ${formatNumber(row.image.height ?? 0)}`;
  return (
    <span class="muted small">
      {formatBytes(row.size)}
      {speed || pixels}
    </span>
  );
}

function State({ row }: { row: Row }): JSX.Element {
  if (row.image) return <StatusChip status={shownStatus(row.image)} />;
  const percent = formatNumber(row.size ? row.sent / row.size : 0, undefined, { style: "percent" });
  if (row.phase === "uploading") return <span class="upload-percent numeric">{percent}</span>;
  if (row.phase === "stored") return <StatusChip status="PENDING" />;
  if (row.phase === "rejected" || row.phase === "stopped") return <StatusChip status="FAILED" />;
  return <span class="muted">{t(`upload.phase.${row.phase}`, { percent })}</span>;
}

function Actions({ row }: { row: Row }): JSX.Element {
  const pausable = row.phase === "uploading" || row.phase === "paused";
  const retryable = row.phase === "stopped" || (row.image?.status === "FAILED" && row.image.error?.retryable);
  const label = (key: "pause" | "resume" | "cancel" | "retry" | "dismiss"): string => t(`upload.${key}`, { name: row.name });
  return (
    <div class="upload-actions">
      {pausable && (
        <Button
          kind="quiet"
          icon={row.phase === "paused" ? "play" : "pause"}
          label={label(row.phase === "paused" ? "resume" : "pause")}
          onClick={() => void togglePause(row.id)}
        />
      )}
      {retryable && <Button kind="quiet" icon="reconcile" label={label("retry")} onClick={() => void retry(row)} />}
      <Button
        kind="quiet"
        icon="cross"
        label={label(outcomeOf(row) === "uploading" ? "cancel" : "dismiss")}
        onClick={() => void remove(row.id)}
      />
    </div>
  );
}
