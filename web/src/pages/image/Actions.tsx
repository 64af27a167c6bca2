import { useSignal } from "@preact/signals";
import type { JSX } from "preact";

import { announce } from "../../announce";
import { body, client, type Image } from "../../api/client";
import { Button, ConfirmDialog } from "../../components";
import { t } from "../../i18n";
import { nameOf } from "../gallery/Grid";

type Asking = "delete" | "redrive" | null;

/** What can be done with the image: make it again if it failed, delete it if its object exists. */
export function Actions({ image }: { image: Image }): JSX.Element {
  const asking = useSignal<Asking>(null);
  const path = { image_id: image.id };
  const force = !image.error?.retryable;

  async function remove(): Promise<void> {
    await body(client.DELETE("/api/v1/images/{image_id}", { params: { path } }));
    announce(t("gallery.deleted", { count: 1 }));
  }

  async function redrive(): Promise<void> {
    await body(client.POST("/api/v1/images/{image_id}/redrive", { params: { path }, body: { force } }));
    announce(t("image.redriven"));
  }

  const close = (): void => void (asking.value = null);
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
      <ConfirmDialog
        open={asking.value === "redrive"}
        title={t("image.redrive.title")}
        action={t("image.redrive")}
        kind="primary"
        icon="reconcile"
        onConfirm={redrive}
        onClose={close}
      >
        <p>{t(force ? "image.redrive.forced" : "image.redrive.hint")}</p>
        <p class="muted">{nameOf(image)}</p>
      </ConfirmDialog>
      <ConfirmDialog
        open={asking.value === "delete"}
        title={t("gallery.delete.title", { count: 1 })}
        action={t("gallery.delete")}
        kind="danger"
        icon="trash"
        onConfirm={remove}
        onClose={close}
      >
        <p>{t("gallery.delete.hint")}</p>
        <p class="muted">{nameOf(image)}</p>
      </ConfirmDialog>
    </>
  );
}
