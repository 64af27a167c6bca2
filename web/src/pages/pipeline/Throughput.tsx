import type { JSX } from "preact";

import { formatDuration, formatNumber, t } from "../../i18n";
import type { System } from "./stations";

/** How fast images are done: the figures that a person asks for first. */
export function Throughput({ system }: { system: System }): JSX.Element {
  const { throughput, waiting, tracker } = system;
  const window = throughput ? formatDuration(throughput.window_seconds) : "";
  return (
    <dl class="figures">
      <Figure name={t("pipeline.rate")} value={throughput && formatNumber(throughput.images_per_minute, undefined, { maximumFractionDigits: 1 })} hint={throughput && t("pipeline.window", { time: window })} />
      <Figure name={t("pipeline.p50")} value={duration(throughput?.seconds_to_done_p50)} hint={t("pipeline.p50.hint")} />
      <Figure name={t("pipeline.p95")} value={duration(throughput?.seconds_to_done_p95)} hint={t("pipeline.p95.hint")} />
      <Figure name={t("pipeline.waiting")} value={waiting && formatNumber(waiting.images)} hint={waiting?.oldest_seconds != null ? t("station.oldest", { time: formatDuration(waiting.oldest_seconds) }) : undefined} />
      <Figure name={t("pipeline.lag")} value={duration(tracker.lag_seconds)} hint={t("pipeline.lag.hint")} />
    </dl>
  );
}

function Figure({ name, value, hint }: { name: string; value: string | null | undefined; hint: string | null | undefined }): JSX.Element {
  return (
    <div class="figure">
      <dt>{name}</dt>
      <dd>
        <span class="figure-value">{value || "–"}</span>
        {hint && <span class="muted small">{hint}</span>}
      </dd>
    </div>
  );
}

function duration(seconds: number | null | undefined): string | null {
  return seconds == null ? null : formatDuration(seconds);
}
