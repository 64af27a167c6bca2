import type { JSX } from "preact";

import type { Image, TimelineEvent } from "../../api/client";
import type { Problem } from "../../api/problem";
import { ErrorState, Icon, type IconName, Skeleton, Time } from "../../components";
import { formatDuration, formatTime, t, translate } from "../../i18n";
import { type Detail, durationsOf, type Source, type Step, stepsOf } from "./timeline";

const ICONS: Record<string, IconName> = {
  "upload.requested": "key",
  "upload.expired": "ban",
  "storage.created": "upload",
  "storage.removed": "trash",
  "image.processing": "play",
  "image.retrying": "reconcile",
  "image.done": "check",
  "image.failed": "alert",
  "image.removed": "trash",
  "image.redriven": "reconcile",
  "image.dropped": "trash",
  "image.retry_requested": "reconcile",
  "image.variants_missing": "search",
  "tracker.repaired": "reconcile",
  "tracker.rejected": "ban",
};

interface Properties {
  image: Image;
  events: readonly TimelineEvent[] | undefined;
  problem: Problem | null;
  onRetry: () => void;
}

/** What happened to the image: who reported each event, when it happened, and how long passed between two. */
export function Timeline({ events, problem, onRetry }: Properties): JSX.Element {
  if (problem && !events) return <ErrorState problem={problem} onRetry={onRetry} />;
  const steps = events && stepsOf(events);
  return (
    <section class="image-section" aria-labelledby="timeline">
      <h2 id="timeline">{t("image.timeline")}</h2>
      {!steps ? <Skeleton lines={4} /> : <Summary steps={steps} />}
      {steps?.length === 0 && <p class="muted">{t("image.timeline.empty")}</p>}
      <ol class="timeline">{steps?.map((step) => <Item key={step.event.id} step={step} />)}</ol>
    </section>
  );
}

function Summary({ steps }: { steps: readonly Step[] }): JSX.Element | null {
  const { waitedMs, processedMs, totalMs } = durationsOf(steps);
  const parts = [
    waitedMs !== null && t("image.waited", { time: formatDuration(waitedMs / 1000) }),
    processedMs !== null && t("image.processed", { time: formatDuration(processedMs / 1000) }),
    totalMs !== null && t("image.total", { time: formatDuration(totalMs / 1000) }),
  ].filter(Boolean);
  return parts.length ? <p class="muted">{parts.join(" · ")}</p> : null;
}

function Item({ step }: { step: Step }): JSX.Element {
  const title = translate(`event.${step.kind}`, step.kind);
  return (
    <li class={`timeline-step timeline-${step.tone}`}>
      {step.sinceMs !== null && (
        <p class="timeline-gap">
          {step.skewed ? t("image.skewed") : t("image.later", { time: formatDuration(step.sinceMs / 1000) })}
        </p>
      )}
      <span class="timeline-mark">
        <Icon name={ICONS[step.kind] ?? "clock"} size={18} />
      </span>
      <div class="timeline-body">
        <h3>
          {step.newObject ? t("event.storage.created.again") : title}
          {step.attempt !== null && step.attempt > 1 && <span class="muted"> · {t("image.attempt", { count: step.attempt })}</span>}
        </h3>
        <p class="timeline-when">
          <time dateTime={step.occurred}>{formatTime(new Date(step.occurred), true)}</time>
          {" · "}
          <Time at={step.occurred} />
        </p>
        <Details step={step} />
        <ul class="timeline-sources" aria-label={t("image.sources")}>
          {step.sources.map((source) => (
            <Origin key={source.name} source={source} />
          ))}
        </ul>
      </div>
    </li>
  );
}

function Origin({ source }: { source: Source }): JSX.Element {
  const sender = source.name.replace(/^\//, ""); // a CloudEvent's source is a path
  const name = translate(`source.${sender}`, sender);
  return (
    <li title={formatTime(new Date(source.recorded), true)}>
      {t("image.reportedBy", { name, time: formatDuration(source.delayMs / 1000) })}
    </li>
  );
}

const ORDER: readonly Detail[] = ["operator", "reason", "code", "drift", "missing", "queue", "next_attempt_at", "forced", "expires_at"];

function Details({ step }: { step: Step }): JSX.Element | null {
  const shown = ORDER.filter((name) => step.details[name]);
  if (step.kind === "image.retry_requested" && !step.details.operator) {
    return <p class="timeline-detail">{t("image.detail.byClient")}</p>;
  }
  if (!shown.length) return null;
  return (
    <dl class="timeline-details">
      {shown.map((name) => (
        <div key={name}>
          <dt>{t(`image.detail.${name}`)}</dt>
          <dd>{shownDetail(name, step.details[name] ?? "")}</dd>
        </div>
      ))}
    </dl>
  );
}

function shownDetail(name: Detail, value: string): JSX.Element | string {
  if (name === "next_attempt_at" || name === "expires_at") return formatTime(new Date(value), true);
  if (name === "forced") return t("common.yes");
  if (name === "drift") return translate(`drift.${value}`, value);
  if (name === "code" || name === "queue") return <code>{value}</code>;
  return value;
}
