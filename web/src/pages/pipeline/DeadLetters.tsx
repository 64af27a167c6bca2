import type { JSX } from "preact";

import type { Schemas } from "../../api/client";
import { Code, Table, Time } from "../../components";
import { t } from "../../i18n";
import { Link } from "../../router";

type Queue = Schemas["DeadLetterQueue"];
type DeadLetter = Schemas["DeadLetterOut"];

/** Messages that were given up, by queue, each with its reason and its image. */
export function DeadLetters({ queues }: { queues: readonly Queue[] }): JSX.Element {
  const filled = queues.filter((queue) => queue.messages > 0);
  return (
    <section aria-labelledby="dead-letters">
      <h2 id="dead-letters">{t("deadLetters.title")}</h2>
      {!filled.length && <p class="muted">{t("deadLetters.none")}</p>}
      {filled.map((queue) => (
        <div key={queue.queue} class="dead-letters">
          <h3>
            <code>{queue.queue}</code> · {t("deadLetters.count", { count: queue.messages })}
          </h3>
          <p class="muted">{t("deadLetters.hint")}</p>
          <Code text="thumbmill dead redrive --all --dry-run" />
          <Table<DeadLetter>
            caption={queue.queue}
            rows={queue.items}
            keyOf={(deadLetter) => `${deadLetter.image_id} ${deadLetter.dead_lettered_at} ${deadLetter.reason}`}
            columns={[
              {
                key: "image",
                title: t("image.title"),
                cell: (deadLetter) =>
                  deadLetter.image_id ? (
                    <Link to={`/images/${deadLetter.image_id}`}>
                      <code>{deadLetter.image_id}</code>
                    </Link>
                  ) : (
                    t("deadLetters.noImage")
                  ),
              },
              { key: "code", title: t("common.code"), cell: (deadLetter) => <code>{deadLetter.code || "–"}</code> },
              { key: "reason", title: t("image.detail.reason"), cell: (deadLetter) => <span lang="en">{deadLetter.reason || "–"}</span> },
              {
                key: "at",
                title: t("deadLetters.at"),
                cell: (deadLetter) => (deadLetter.dead_lettered_at ? <Time at={deadLetter.dead_lettered_at} /> : "–"),
              },
              {
                key: "superseded",
                title: t("order.state"),
                cell: (deadLetter) => t(deadLetter.superseded ? "deadLetters.superseded" : "deadLetters.open"),
              },
            ]}
          />
        </div>
      ))}
    </section>
  );
}
