import { useSignal } from "@preact/signals";
import type { JSX } from "preact";
import { useEffect, useRef } from "preact/hooks";

import { announce } from "../../announce";
import { body, client, type Image as ImageData } from "../../api/client";
import { GATEWAY_URL } from "../../base";
import { EmptyState, ErrorState, Icon, Page, shownStatus, Skeleton, StatusChip, Thumbhash, Time } from "../../components";
import { formatDuration, t } from "../../i18n";
import { now } from "../../clock";
import { isNewer, useChanges } from "../../live";
import { Link } from "../../router";
import { useResource } from "../../resource";
import { FailureReason } from "../failures/Reason";
import { nameOf } from "../gallery/Grid";
import { Actions } from "./Actions";
import { Facts } from "./Facts";
import { Timeline } from "./Timeline";
import { Variants } from "./Variants";
import "./image.css";

const LATE_EVENTS_MS = 4_000; // MinIO's second announcement changes nothing, so no change reports it

export default function Image({ parameters }: { parameters: { id?: string } }): JSX.Element {
  const id = parameters.id ?? "";
  const image = useResource((signal) => fetchImage(id, signal), [id]);
  const timeline = useResource((signal) => fetchTimeline(id, signal), [id]);
  const timer = useRef<ReturnType<typeof setTimeout>>();
  useEffect(() => () => clearTimeout(timer.current), []);

  useChanges(
    ({ id: changeId, data }) => {
      if (data.id !== id || !isNewer(changeId, image.data.value?.event_id)) return;
      image.data.value = data;
      announce(`${nameOf(data)}: ${t(`status.${shownStatus(data)}` as "status.DONE")}`);
      timeline.reload();
      clearTimeout(timer.current);
      timer.current = setTimeout(timeline.reload, LATE_EVENTS_MS);
    },
    () => {
      image.reload();
      timeline.reload();
    },
  );

  const problem = image.problem.value;
  const shown = image.data.value;
  if (problem?.status === 404 || problem?.status === 422) return <Missing />;
  if (problem && !shown) {
    return (
      <Page title={t("image.title")}>
        <ErrorState problem={problem} onRetry={image.reload} />
      </Page>
    );
  }
  if (!shown) {
    return (
      <Page title={t("image.title")}>
        <Skeleton lines={6} />
      </Page>
    );
  }
  return (
    <Page title={nameOf(shown)} lead={<Lead image={shown} />} actions={<Actions image={shown} />}>
      <div class="image">
        <Stage image={shown} />
        <Facts image={shown} />
      </div>
      {shown.variants.length > 0 && <Variants image={shown} />}
      <Timeline events={timeline.data.value} problem={timeline.problem.value} onRetry={timeline.reload} image={shown} />
      <details class="image-raw">
        <summary>{t("image.raw")}</summary>
        <pre tabIndex={0}>{JSON.stringify(shown, null, 2)}</pre>
      </details>
    </Page>
  );
}

function Lead({ image }: { image: ImageData }): JSX.Element {
  return (
    <span class="row">
      <StatusChip status={shownStatus(image)} />
      <Time at={image.updated_at} />
      {image.batch && <Link to={`/?batch=${encodeURIComponent(image.batch)}`}>{t("image.inBatch", { batch: image.batch })}</Link>}
    </span>
  );
}

/** The picture, or why there is none and what happens next. */
function Stage({ image }: { image: ImageData }): JSX.Element {
  const failed = useSignal(false);
  const large = image.variants.filter((variant) => variant.type !== "original").sort((a, b) => (b.width ?? 0) - (a.width ?? 0))[0];
  if (image.status === "DONE" && large && !failed.value) {
    return (
      <div class="image-stage" style={{ "--ratio": String((image.width ?? 1) / (image.height ?? 1)) }}>
        <a class="image-picture" href={image.variants[0]?.url} target="_blank" rel="noreferrer" aria-label={t("image.openOriginal")}>
          {image.details?.thumbhash && <Thumbhash hash={image.details.thumbhash} />}
          <img src={large.url} alt={nameOf(image)} onError={() => (failed.value = true)} />
        </a>
      </div>
    );
  }
  return (
    <div class={`image-stage image-stage-${image.status.toLowerCase()}`}>
      {image.error ? <FailureReason code={image.error.code} detail={image.error.detail} retryable={image.error.retryable} /> : <WhyNot image={image} />}
    </div>
  );
}

function WhyNot({ image }: { image: ImageData }): JSX.Element {
  const next = image.next_attempt_at ? Math.max(0, (Date.parse(image.next_attempt_at) - now.value) / 1000) : null;
  const state = shownStatus(image);
  const known = ["AWAITING_UPLOAD", "PENDING", "PROCESSING", "RETRYING", "EXPIRED", "DELETED"].includes(state);
  return (
    <div class="image-why">
      <Icon name={image.status === "DELETED" ? "trash" : image.status === "EXPIRED" ? "ban" : "clock"} size={40} />
      {known && <p>{t(`image.why.${state}` as "image.why.DELETED")}</p>}
      {next !== null && <p class="muted">{t("image.nextAttempt", { time: formatDuration(Math.ceil(next)) })}</p>}
      {image.status === "AWAITING_UPLOAD" && image.expires_at && (
        <p class="muted">
          {t("image.ticketEnds")} <Time at={image.expires_at} />
        </p>
      )}
      {(image.status === "EXPIRED" || image.status === "DELETED") && (
        <Link class="button" to="/upload">
          {t("gallery.upload")}
        </Link>
      )}
    </div>
  );
}

function Missing(): JSX.Element {
  return (
    <Page title={t("image.missing")}>
      <EmptyState icon="search" title={t("image.missing")} hint={t("image.missing.hint")} command={`curl ${GATEWAY_URL}/api/v1/images?limit=5`}>
        <Link class="button" to="/">
          {t("nav.gallery")}
        </Link>
      </EmptyState>
    </Page>
  );
}

function fetchImage(id: string, signal: AbortSignal): Promise<ImageData> {
  return body(client.GET("/api/v1/images/{image_id}", { params: { path: { image_id: id } }, signal }));
}

async function fetchTimeline(id: string, signal: AbortSignal) {
  return (await body(client.GET("/api/v1/images/{image_id}/events", { params: { path: { image_id: id } }, signal }))).items;
}

