import type { JSX } from "preact";

import type { Schemas } from "../../api/client";
import { EmptyState, Icon, Table, Time } from "../../components";
import { formatNumber, t } from "../../i18n";

type Worker = Schemas["Worker"];

/** The thumbnailers, by their heartbeats. */
export function Workers({ workers }: { workers: readonly Worker[] }): JSX.Element {
  return (
    <section aria-labelledby="workers">
      <h2 id="workers">{t("workers.title")}</h2>
      {workers.length ? (
        <Table<Worker>
          caption={t("workers.title")}
          rows={workers}
          keyOf={(worker) => worker.id}
          columns={[
            {
              key: "host",
              title: t("workers.host"),
              cell: (worker) => (
                <span>
                  {worker.host} <span class="muted">· {t("workers.process", { id: String(worker.process_id) })}</span>
                </span>
              ),
            },
            {
              key: "state",
              title: t("workers.state"),
              cell: (worker) => (
                <span class={`chip ${worker.missing ? "chip-failed" : "chip-done"}`}>
                  <Icon name={worker.missing ? "alert" : "check"} size={16} />
                  {t(worker.missing ? "workers.missing" : "workers.running")}
                </span>
              ),
            },
            { key: "flight", title: t("workers.inFlight"), numeric: true, cell: (worker) => formatNumber(worker.in_flight) },
            {
              key: "decoders",
              title: t("workers.decoders"),
              numeric: true,
              cell: (worker) => `${formatNumber(worker.decoders)} + ${formatNumber(worker.slow_decoders)}`,
            },
            { key: "version", title: t("workers.version"), cell: (worker) => `${worker.version} · ${worker.presets}` },
            { key: "since", title: t("workers.since"), cell: (worker) => <Time at={worker.started_at} /> },
            { key: "seen", title: t("workers.seen"), cell: (worker) => <Time at={worker.last_seen} /> },
          ]}
        />
      ) : (
        <EmptyState icon="image" title={t("workers.none")} hint={t("workers.none.hint")} command="make status" />
      )}
    </section>
  );
}
