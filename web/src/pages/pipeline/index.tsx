import type { JSX } from "preact";

import { body, client } from "../../api/client";
import { ErrorState, Page, Skeleton, Time } from "../../components";
import { t } from "../../i18n";
import { usePolling } from "../../polling";
import { useResource } from "../../resource";
import { DeadLetters } from "./DeadLetters";
import { Diagram } from "./Diagram";
import { Problems } from "./Problems";
import { stationsOf } from "./stations";
import { Throughput } from "./Throughput";
import { Workers } from "./Workers";
import "./pipeline.css";

const REFRESH_MS = 3_000;

export default function Pipeline(): JSX.Element {
  const system = useResource((signal) => body(client.GET("/api/v1/system", { signal })), []);
  usePolling(system.reload, REFRESH_MS);
  const shown = system.data.value;
  if (!shown) {
    return (
      <Page title={t("pipeline.title")} lead={t("pipeline.lead")}>
        {system.problem.value ? <ErrorState problem={system.problem.value} onRetry={system.reload} /> : <Skeleton lines={6} />}
      </Page>
    );
  }
  return (
    <Page
      title={t("pipeline.title")}
      lead={
        <>
          {t("pipeline.lead")} {t("pipeline.measured")} <Time at={shown.at} />
        </>
      }
    >
      <div class="stack pipeline">
        <Problems problems={shown.problems} unreachable={system.problem.value} />
        <Diagram stations={stationsOf(shown)} />
        <Throughput system={shown} />
        <Workers workers={shown.workers} />
        <DeadLetters queues={shown.dead_letters} />
      </div>
    </Page>
  );
}
