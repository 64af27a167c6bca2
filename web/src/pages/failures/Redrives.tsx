import type { JSX } from "preact";

import { body, client, type Schemas } from "../../api/client";
import { Table, Time } from "../../components";
import { t } from "../../i18n";
import { query, Link } from "../../router";
import { useResource } from "../../resource";

type Redrive = Schemas["Redrive"];

/** The latest redrives: who ordered what, and what became of it. Nothing if there was none. */
export function Redrives({ current }: { current: string | null }): JSX.Element | null {
  const list = useResource((signal) => body(client.GET("/api/v1/redrives", { signal })), [current]);
  const items = list.data.value?.items ?? [];
  if (!items.length) return null;
  return (
    <section class="page-section" aria-labelledby="redrives">
      <h2 id="redrives">{t("redrives.title")}</h2>
      <Table<Redrive>
        caption={t("redrives.title")}
        rows={items}
        keyOf={(redrive) => redrive.id}
        columns={[
          {
            key: "at",
            title: t("redrives.ordered"),
            cell: (redrive) => (
              <Link to={addressOf(redrive.id)}>
                <Time at={redrive.requested_at} />
              </Link>
            ),
          },
          { key: "by", title: t("redrives.by"), cell: (redrive) => redrive.requested_by || "–" },
          { key: "scope", title: t("redrives.scope"), cell: (redrive) => scopeText(redrive.scope) },
          { key: "done", title: t("status.DONE"), numeric: true, cell: ({ progress }) => progress.done ?? 0 },
          { key: "failed", title: t("status.FAILED"), numeric: true, cell: ({ progress }) => progress.failed ?? 0 },
          { key: "state", title: t("order.state"), cell: (redrive) => t(`order.${redrive.state}`) },
        ]}
      />
    </section>
  );
}

function scopeText({ codes, ids, since, force }: Redrive["scope"]): JSX.Element {
  return (
    <span>
      {ids?.length ? t("redrives.ids", { count: ids.length }) : (codes ?? []).join(", ") || t("redrives.anyCode")}
      {since && (
        <>
          {" "}
          {t("redrives.since")} <Time at={since} />
        </>
      )}
      {force && ` · ${t("redrives.force")}`}
    </span>
  );
}

function addressOf(id: string): string {
  const next = new URLSearchParams(query.value);
  next.set("redrive", id);
  return `/failures?${next}`;
}
