import { useSignal } from "@preact/signals";
import type { JSX } from "preact";
import { useEffect } from "preact/hooks";

import { announce } from "../../announce";
import { body, client, type Image } from "../../api/client";
import { GATEWAY_URL } from "../../base";
import { EmptyState, ErrorState, Page, Skeleton } from "../../components";
import { t } from "../../i18n";
import { useChanges } from "../../live";
import { Link, setQuery } from "../../router";
import { useResource } from "../../resource";
import { readAddress, withQuery } from "./address";
import { applyChange, type Cards, cardsOf, type Filter, withoutImages } from "./cards";
import { Search, States } from "./Filters";
import { Grid } from "./Grid";
import { Selection } from "./Selection";
import "./gallery.css";

const PAGE_SIZE = 60;

interface Listing {
  cards: Cards;
  next: string | null;
}

export default function Gallery(): JSX.Element {
  const { status, batch, key, cursor } = readAddress();
  const filter: Filter = { status, batch, key };
  const selected = useSignal<ReadonlySet<string>>(new Set());
  const list = useResource((signal) => fetchListing(filter, cursor, signal), [status, batch, key, cursor]);
  const listing = list.data.value;

  useEffect(() => void (selected.value = new Set()), [status, batch, key, cursor]);

  useChanges((change) => {
    const known = list.data.value;
    if (!known) return;
    const cards = applyChange(known.cards, change, filter, !cursor);
    if (cards.unseen.size > known.cards.unseen.size) announce(t("gallery.unseen", { count: cards.unseen.size }));
    if (cards !== known.cards) list.data.value = { ...known, cards };
  }, list.reload);

  function showNew(): void {
    scrollTo(0, 0);
    if (cursor) setQuery({ cursor: null }, { replace: false });
    else list.reload();
  }

  function toggle(id: string): void {
    const changed = new Set(selected.value);
    if (!changed.delete(id)) changed.add(id);
    selected.value = changed;
  }

  function onDeleted(ids: ReadonlySet<string>): void {
    selected.value = new Set([...selected.value].filter((id) => !ids.has(id)));
    const known = list.data.value;
    if (known) list.data.value = { ...known, cards: withoutImages(known.cards, ids) };
  }

  const shown = listing?.cards.shown ?? [];
  const unseen = listing?.cards.unseen.size ?? 0;
  return (
    <Page title={t("gallery.title")} actions={<Search filter={filter} />}>
      <States filter={filter} />
      <div class="gallery-new" aria-live="off">
        {unseen > 0 && (
          <button type="button" class="gallery-new-button" onClick={showNew}>
            {t("gallery.unseen", { count: unseen })}
          </button>
        )}
      </div>
      {list.problem.value ? (
        <ErrorState problem={list.problem.value} onRetry={list.reload} />
      ) : !listing ? (
        <Skeleton lines={6} />
      ) : shown.length ? (
        <Grid cards={shown} selected={selected.value} onToggle={toggle} />
      ) : (
        <Nothing filter={filter} />
      )}
      {(cursor || listing?.next) && (
        <nav class="gallery-pages" aria-label={t("gallery.pages")}>
          {cursor && (
            <Link class="button" to={withQuery({ cursor: null })}>
              {t("gallery.newest")}
            </Link>
          )}
          {listing?.next && (
            <Link class="button" to={withQuery({ cursor: listing.next })}>
              {t("gallery.older")}
            </Link>
          )}
        </nav>
      )}
      <Selection
        images={shown.map((card) => card.image).filter((image) => selected.value.has(image.id))}
        onClear={() => (selected.value = new Set())}
        onDeleted={onDeleted}
      />
    </Page>
  );
}

/** An empty list: why it is empty, and the next step. */
function Nothing({ filter }: { filter: Filter }): JSX.Element {
  if (filter.status || filter.batch || filter.key) {
    return (
      <EmptyState icon="search" title={t("gallery.none")} hint={t(filter.key ? "gallery.none.key" : "gallery.none.hint")}>
        <Link class="button" to="/">
          {t("gallery.showAll")}
        </Link>
      </EmptyState>
    );
  }
  return (
    <EmptyState
      icon="image"
      title={t("gallery.empty")}
      hint={t("gallery.empty.hint")}
      command={`curl -F file=@photo.jpg ${GATEWAY_URL}/api/v1/images`}
    >
      <Link class="button button-primary" to="/upload">
        {t("gallery.upload")}
      </Link>
    </EmptyState>
  );
}

async function fetchListing({ status, batch, key }: Filter, cursor: string | null, signal: AbortSignal): Promise<Listing> {
  const parameters = {
    limit: PAGE_SIZE,
    deleted: status === "DELETED",
    ...(status && { status: [status as Image["status"]] }),
    ...(batch && { batch }),
    ...(key && { key }),
    ...(cursor && { cursor }),
  };
  const page = await body(client.GET("/api/v1/images", { params: { query: parameters }, signal }));
  return { cards: cardsOf(page.items), next: page.next ?? null };
}
