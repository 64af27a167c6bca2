import { useSignal } from "@preact/signals";
import type { JSX } from "preact";

import { body, client } from "../../api/client";
import { EmptyState, ErrorState, Page, Skeleton } from "../../components";
import { formatNumber, t } from "../../i18n";
import { useReloadAfterChanges } from "../../polling";
import { Link, query, setQuery } from "../../router";
import { useResource } from "../../resource";
import { FailedImages } from "./FailedImages";
import { Groups } from "./Groups";
import { RedriveDialog } from "./RedriveDialog";
import { RedriveProgress } from "./RedriveProgress";
import { Redrives } from "./Redrives";
import { groupsOf, type RedriveScope, sinceOf, WINDOWS, type Window, windowOf } from "./scope";
import "./failures.css";

const RECOUNT_MS = 2_000;

export default function Failures(): JSX.Element {
  const window = windowOf(query.value.get("window"));
  const code = query.value.get("code");
  const redrive = query.value.get("redrive");
  const asked = useSignal<RedriveScope | null>(null);
  const summary = useResource((signal) => body(client.GET("/api/v1/summary", { signal })), []);
  const system = useResource((signal) => body(client.GET("/api/v1/system", { signal })), []);
  useReloadAfterChanges(summary.reload, RECOUNT_MS);

  const groups = summary.data.value && groupsOf(summary.data.value.failures, window);
  const allowed = system.data.value?.operator_actions ?? true;

  function ask(scope: RedriveScope): void {
    asked.value = scope;
  }

  return (
    <Page title={t("failures.title")} lead={t("failures.lead")} actions={<Windows current={window} />}>
      {redrive && <RedriveProgress id={redrive} onClose={() => setQuery({ redrive: null })} />}
      {!allowed && <p class="note">{t("failures.notAllowed")}</p>}
      {summary.problem.value && !groups ? (
        <ErrorState problem={summary.problem.value} onRetry={summary.reload} />
      ) : !groups ? (
        <Skeleton lines={5} />
      ) : groups.length ? (
        <>
          <Groups
            groups={groups}
            selected={code}
            allowed={allowed}
            onRedrive={(group) => ask({ codes: [group.code], since: sinceOf(window, Date.now()) })}
          />
          <FailedImages
            window={window}
            code={code}
            allowed={allowed}
            total={groups.filter((group) => !code || group.code === code).reduce((sum, group) => sum + group.images, 0)}
            onRedrive={(ids) => ask({ ids })}
          />
        </>
      ) : (
        <EmptyState
          icon="check"
          title={t(`failures.none.${window}`)}
          hint={t("failures.none.hint", { count: summary.data.value?.counts.FAILED ?? 0 })}
        >
          {window !== "7d" && (
            <Link class="button" to="/failures?window=7d">
              {t("failures.show.7d")}
            </Link>
          )}
          <Link class="button" to="/?status=FAILED">
            {t("failures.allFailed", { count: formatNumber(summary.data.value?.counts.FAILED ?? 0) })}
          </Link>
        </EmptyState>
      )}
      <Redrives current={redrive} />
      <RedriveDialog
        scope={asked.value}
        window={window}
        groups={groups ?? []}
        onClose={() => (asked.value = null)}
        onOrdered={(id) => {
          asked.value = null;
          setQuery({ redrive: id });
        }}
      />
    </Page>
  );
}

function Windows({ current }: { current: Window }): JSX.Element {
  return (
    <nav class="tabs" aria-label={t("failures.window")}>
      {(Object.keys(WINDOWS) as Window[]).map((window) => (
        <Link key={window} class="tab" to={addressOf(window)} aria-current={window === current ? "true" : undefined}>
          {t(`failures.window.${window}`)}
        </Link>
      ))}
    </nav>
  );
}

function addressOf(window: Window): string {
  const next = new URLSearchParams(query.value);
  next.set("window", window);
  return `/failures?${next}`;
}
