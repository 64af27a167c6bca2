import type { JSX } from "preact";

import type { Schemas } from "../../api/client";
import { Code, Table, Time } from "../../components";
import { t } from "../../i18n";
import { Link } from "../../router";

type Queue = Schemas["DeadLetterQueue"];
type Letter = Schemas["DeadLetterOut"];

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
          <Table<Letter>
            caption={queue.queue}
            rows={queue.items}
            keyOf={(letter) => `${letter.image_id} ${letter.dead_lettered_at} ${letter.reason}`}
            columns={[
              {
                key: "image",
                title: t("image.title"),
                cell: (letter) =>
                  letter.image_id ? (
                    <Link to={`/images/${letter.image_id}`}>
                      <code>{letter.image_id}</code>
                    </Link>
                  ) : (
                    t("deadLetters.noImage")
                  ),
              },
              { key: "code", title: t("common.code"), cell: (letter) => <code>{letter.code || "–"}</code> },
              { key: "reason", title: t("image.detail.reason"), cell: (letter) => <span lang="en">{letter.reason || "–"}</span> },
              {
                key: "at",
                title: t("deadLetters.at"),
                cell: (letter) => (letter.dead_lettered_at ? <Time at={letter.dead_lettered_at} /> : "–"),
              },
              {
                key: "superseded",
                title: t("order.state"),
                cell: (letter) => t(letter.superseded ? "deadLetters.superseded" : "deadLetters.open"),
              },
            ]}
          />
        </div>
      ))}
    </section>
  );
}
