import { useSignal } from "@preact/signals";
import type { JSX } from "preact";

import { body, client, type Schemas } from "../../api/client";
import { toProblem } from "../../api/problem";
import { Button, EmptyState, ErrorState, Page, Skeleton, Table, Time } from "../../components";
import { formatDuration, formatNumber, loadProblemText, t, translate } from "../../i18n";
import { usePolling } from "../../polling";
import { Link, query, setQuery } from "../../router";
import { useResource } from "../../resource";
import { kindsOf } from "./found";
import { Run } from "./Run";
import "./reconcile.css";

type Reconciliation = Schemas["Reconciliation"];

const RUNNING_MS = 1_000;
const IDLE_MS = 10_000;
const OPEN = ["requested", "waiting", "running"];

export default function Reconcile(): JSX.Element {
  const selected = query.value.get("run");
  const list = useResource((signal) => body(client.GET("/api/v1/reconciliations", { signal })), []);
  const system = useResource((signal) => body(client.GET("/api/v1/system", { signal })), []);
  const busy = useSignal<"dry" | "run" | null>(null);
  const error = useSignal("");
  const runs = list.data.value?.items;
  const running = runs?.some((run) => OPEN.includes(run.state)) ?? false;
  usePolling(list.reload, running ? RUNNING_MS : IDLE_MS);

  async function order(dryRun: boolean): Promise<void> {
    busy.value = dryRun ? "dry" : "run";
    error.value = "";
    try {
      const ordered = await body(client.POST("/api/v1/reconciliations", { body: { dry_run: dryRun } }));
      setQuery({ run: ordered.id });
      list.reload();
    } catch (failure) {
      error.value = await loadProblemText(toProblem(failure));
    }
    busy.value = null;
  }

  const allowed = system.data.value?.operator_actions ?? true;
  return (
    <Page
      title={t("reconcile.title")}
      lead={t("reconcile.lead")}
      actions={
        allowed && (
          <>
            <Button icon="search" busy={busy.value === "dry"} onClick={() => void order(true)}>
              {t("reconcile.dryRun")}
            </Button>
            <Button kind="primary" icon="reconcile" busy={busy.value === "run"} onClick={() => void order(false)}>
              {t("reconcile.run")}
            </Button>
          </>
        )
      }
    >
      {error.value && (
        <p class="field-error" role="alert">
          {error.value}
        </p>
      )}
      {!allowed && <p class="note">{t("failures.notAllowed")}</p>}
      {selected && <Run key={selected} id={selected} onClose={() => setQuery({ run: null })} />}
      {list.problem.value && !runs ? (
        <ErrorState problem={list.problem.value} onRetry={list.reload} />
      ) : !runs ? (
        <Skeleton lines={5} />
      ) : runs.length ? (
        <section class="page-section" aria-labelledby="runs">
          <h2 id="runs">{t("reconcile.runs")}</h2>
          <Runs runs={runs} />
        </section>
      ) : (
        <EmptyState icon="reconcile" title={t("reconcile.none")} hint={t("reconcile.none.hint")} command="thumbmill reconcile --dry-run" />
      )}
    </Page>
  );
}

function Runs({ runs }: { runs: readonly Reconciliation[] }): JSX.Element {
  return (
    <Table<Reconciliation>
      caption={t("reconcile.runs")}
      rows={runs}
      keyOf={(run) => run.id}
      columns={[
        {
          key: "at",
          title: t("reconcile.began"),
          cell: (run) => (
            <Link to={`/reconcile?run=${run.id}`}>
              <Time at={run.started_at ?? run.requested_at} />
            </Link>
          ),
        },
        { key: "by", title: t("redrives.by"), cell: (run) => run.requested_by || t("reconcile.schedule") },
        { key: "kind", title: t("reconcile.kind"), cell: (run) => t(run.dry_run ? "reconcile.kind.dry" : "reconcile.kind.repair") },
        { key: "state", title: t("order.state"), cell: (run) => t(`order.${run.state}`) },
        { key: "took", title: t("reconcile.took"), numeric: true, cell: tookOf },
        { key: "objects", title: t("reconcile.objects"), numeric: true, cell: (run) => formatNumber(run.objects ?? 0) },
        { key: "found", title: t("reconcile.found"), cell: (run) => foundOf(run) },
      ]}
    />
  );
}

function tookOf({ started_at: from, ended_at: to }: Reconciliation): string {
  return from && to ? formatDuration(Math.max(0, Date.parse(to) - Date.parse(from)) / 1000) : "–";
}

/** Return the differences by kind as a text, such as "2 missed, 1 orphans". */
function foundOf(run: Reconciliation): string {
  const kinds = kindsOf(run).map(([kind, count]) => `${formatNumber(count)} ${translate(`drift.${kind}`, kind)}`);
  return kinds.join(", ") || (run.state === "done" ? t("reconcile.nothing") : "–");
}
