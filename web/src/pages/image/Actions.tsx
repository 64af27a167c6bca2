import { useSignal } from "@preact/signals";
import type { JSX } from "preact";

import { announce } from "../../announce";
import { body, client, type Image } from "../../api/client";
import { toProblem } from "../../api/problem";
import { Button, Dialog } from "../../components";
import { t, translate } from "../../i18n";
import { nameOf } from "../gallery/Grid";

type Asking = "delete" | "redrive" | null;

/** What can be done with the image: make it again if it failed, delete it if its object exists. */
export function Actions({ image }: { image: Image }): JSX.Element {
  const asking = useSignal<Asking>(null);
  const busy = useSignal(false);
  const error = useSignal("");
  const path = { image_id: image.id };
  const force = !image.error?.retryable;

  async function act(action: () => Promise<unknown>, done: string): Promise<void> {
    busy.value = true;
    error.value = "";
    try {
      await action();
      asking.value = null;
      announce(done);
    } catch (failure) {
      const problem = toProblem(failure);
      error.value = translate(`problem.${problem.code}`, problem.title);
    }
    busy.value = false;
  }

  const remove = (): Promise<void> =>
    act(() => body(client.DELETE("/api/v1/images/{image_id}", { params: { path } })), t("gallery.deleted", { count: 1 }));
  const redrive = (): Promise<void> =>
    act(() => body(client.POST("/api/v1/images/{image_id}/redrive", { params: { path }, body: { force } })), t("image.redriven"));

  const isRedrive = asking.value === "redrive";
  return (
    <>
      {image.status === "FAILED" && (
        <Button kind="primary" icon="reconcile" onClick={() => (asking.value = "redrive")}>
          {t("image.redrive")}
        </Button>
      )}
      {!["DELETED", "EXPIRED", "AWAITING_UPLOAD"].includes(image.status) && (
        <Button kind="danger" icon="trash" onClick={() => (asking.value = "delete")}>
          {t("gallery.delete")}
        </Button>
      )}
      <Dialog
        open={asking.value !== null}
        title={isRedrive ? t("image.redrive.title") : t("gallery.delete.title", { count: 1 })}
        onClose={() => (asking.value = null)}
        actions={
          <>
            <Button onClick={() => (asking.value = null)}>{t("common.cancel")}</Button>
            {isRedrive ? (
              <Button kind="primary" icon="reconcile" busy={busy.value} onClick={() => void redrive()}>
                {t("image.redrive")}
              </Button>
            ) : (
              <Button kind="danger" icon="trash" busy={busy.value} onClick={() => void remove()}>
                {t("gallery.delete")}
              </Button>
            )}
          </>
        }
      >
        <p>{isRedrive ? t(force ? "image.redrive.forced" : "image.redrive.hint") : t("gallery.delete.hint")}</p>
        <p class="muted">{nameOf(image)}</p>
        {error.value && (
          <p class="field-error" role="alert">
            {error.value}
          </p>
        )}
      </Dialog>
    </>
  );
}
