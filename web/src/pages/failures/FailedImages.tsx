import { useSignal } from "@preact/signals";
import type { JSX } from "preact";
import { useEffect } from "preact/hooks";

import { body, client, type Image, type ImagePage } from "../../api/client";
import { Button, ErrorState, Icon, Skeleton, StatusChip, Time } from "../../components";
import { locale, t, translate } from "../../i18n";
import { isNewer, useChanges } from "../../live";
import { Link } from "../../router";
import { useResource } from "../../resource";
import { nameOf } from "../gallery/Grid";
import { showableOriginal } from "./original";
import { WINDOWS, type Window } from "./scope";

const SHOWN = 100;
const PAGE_SIZE = 200; // the largest page of the API
const MAX_PAGES = 5; // read to fill the list
interface Properties {
  window: Window;
  code: string | null;
  allowed: boolean;
  /** Number of images that the counts show for this window and code. */
  total: number;
  onRedrive: (ids: string[]) => void;
}

/** The failed images themselves, each with its reason. */
export function FailedImages({ window, code, allowed, total, onRedrive }: Properties): JSX.Element {
  const selected = useSignal<ReadonlySet<string>>(new Set());
  const list = useResource((signal) => fetchFailed(window, code, signal), [window, code]);
  useEffect(() => void (selected.value = new Set()), [window, code]);

  useChanges(({ id, data }) => {
    const known = list.data.value;
    if (!known) return;
    const index = known.findIndex((image) => image.id === data.id);
    if (index >= 0 && isNewer(id, known[index]?.event_id)) list.data.value = known.with(index, data);
  }, list.reload);

  function toggle(id: string): void {
    const changed = new Set(selected.value);
    if (!changed.delete(id)) changed.add(id);
    selected.value = changed;
  }

  if (list.problem.value && !list.data.value) return <ErrorState problem={list.problem.value} onRetry={list.reload} />;
  const images = list.data.value;
  const ids = [...selected.value];
  return (
    <section class="page-section" aria-labelledby="failed-images">
      <header class="page-section-header">
        <h2 id="failed-images">{code ? t("failures.imagesWith", { code }) : t("failures.images")}</h2>
        {images && images.length < total && <p class="muted">{t("failures.shownOf", { shown: images.length, total })}</p>}
        {allowed && ids.length > 0 && (
          <Button kind="primary" icon="reconcile" onClick={() => onRedrive(ids)}>
            {t("failures.redriveSelected", { count: ids.length })}
          </Button>
        )}
      </header>
      {!images ? (
        <Skeleton lines={4} />
      ) : (
        <ul class="failed-list">
          {images.map((image) => (
            <Row
              key={image.id}
              image={image}
              selectable={allowed}
              selected={selected.value.has(image.id)}
              onToggle={() => toggle(image.id)}
            />
          ))}
        </ul>
      )}
    </section>
  );
}

interface RowProperties {
  image: Image;
  selectable: boolean;
  selected: boolean;
  onToggle: () => void;
}

function Row({ image, selectable, selected, onToggle }: RowProperties): JSX.Element {
  const name = nameOf(image);
  return (
    <li class="failed-row" data-id={image.id}>
      {selectable && <input type="checkbox" checked={selected} onChange={onToggle} aria-label={t("gallery.select", { name })} />}
      <Original image={image} />
      <div class="failed-text">
        <Link to={`/images/${image.id}`}>{name}</Link>
        <Why image={image} />
      </div>
      <div class="failed-state">
        <StatusChip status={image.status} subtle={image.status === "FAILED"} />
        <Time at={image.updated_at} />
      </div>
    </li>
  );
}

/** What the code means, in the chosen language, and the sentence of the API, which says more and includes it. */
function Why({ image: { error } }: { image: Image }): JSX.Element {
  if (!error) return <p class="muted">{t("failures.notFailedNow")}</p>;
  return (
    <p class="muted">
      {!locale.value.startsWith("en") && `${translate(`failure.${error.code}`, error.code)}: `}
      <span lang="en">{error.detail}</span>
    </p>
  );
}

/** The original as the browser shows it, or an icon. */
function Original({ image }: { image: Image }): JSX.Element {
  const broken = useSignal(false);
  const original = showableOriginal(image);
  return (
    <div class="failed-picture">
      {original && !broken.value ? (
        <img src={original.url} alt="" loading="lazy" decoding="async" onError={() => (broken.value = true)} />
      ) : (
        <Icon name="image" size={24} />
      )}
    </div>
  );
}

/** Fetch the newest failed images of the window and the code. The API lists them by upload, whatever their code. */
async function fetchFailed(window: Window, code: string | null, signal: AbortSignal): Promise<Image[]> {
  const since = Date.now() - WINDOWS[window] * 1000;
  const found: Image[] = [];
  let cursor: string | null = null;
  for (let pages = 0; pages < MAX_PAGES && found.length < SHOWN; pages += 1) {
    const query = { status: ["FAILED" as const], limit: PAGE_SIZE, ...(cursor && { cursor }) };
    const page: ImagePage = await body(client.GET("/api/v1/images", { params: { query }, signal }));
    found.push(...page.items.filter((image) => Date.parse(image.updated_at) >= since && (!code || image.error?.code === code)));
    cursor = page.next ?? null;
    if (!cursor) break;
  }
  return found.slice(0, SHOWN);
}
