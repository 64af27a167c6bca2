import { useSignal } from "@preact/signals";
import type { JSX } from "preact";

import { announce } from "../../announce";
import { body, client, type Image } from "../../api/client";
import { toProblem } from "../../api/problem";
import { Button, ConfirmDialog, CopyButton } from "../../components";
import { t } from "../../i18n";
import { nameOf, thumbnailOf } from "./Grid";

const AT_ONCE = 4; // requests in flight

interface Properties {
  images: readonly Image[];
  onClear: () => void;
  onDeleted: (ids: ReadonlySet<string>) => void;
}

/** The bar with what can be done with the selected images. */
export function Selection({ images, onClear, onDeleted }: Properties): JSX.Element | null {
  const asking = useSignal(false);
  if (!images.length) return null;
  const count = images.length;

  async function remove(): Promise<void> {
    const { deleted, problem } = await deleteImages(images);
    onDeleted(deleted);
    if (deleted.size) announce(t("gallery.deleted", { count: deleted.size }));
    if (problem) throw problem;
  }

  return (
    <>
      <div class="selection" role="region" aria-label={t("gallery.selection")}>
        <strong>{t("gallery.selected", { count })}</strong>
        <CopyButton text={images.map(linkOf).join("\n")}>{t("gallery.copyLinks")}</CopyButton>
        <Button kind="danger" icon="trash" onClick={() => (asking.value = true)}>
          {t("gallery.delete")}
        </Button>
        <Button kind="quiet" icon="cross" label={t("gallery.clear")} onClick={onClear} />
      </div>
      <ConfirmDialog
        open={asking.value}
        title={t("gallery.delete.title", { count })}
        action={t("gallery.delete")}
        kind="danger"
        icon="trash"
        onConfirm={remove}
        onClose={() => (asking.value = false)}
      >
        <p>{t("gallery.delete.hint")}</p>
        <p class="muted">{summaryOf(images)}</p>
      </ConfirmDialog>
    </>
  );
}

function summaryOf(images: readonly Image[]): string {
  const names = images.slice(0, 3).map(nameOf).join(", ");
  return images.length > 3 ? t("gallery.andMore", { names, count: images.length - 3 }) : names;
}

/** Return the address to share: of the largest variant, or of the original. */
function linkOf(image: Image): string {
  return image.variants.find((variant) => variant.type === "original")?.url ?? thumbnailOf(image)?.url ?? image.id;
}

/** Delete images; one that is gone already counts as deleted. Return the first problem with what was deleted. */
async function deleteImages(images: readonly Image[]): Promise<{ deleted: Set<string>; problem: ReturnType<typeof toProblem> | null }> {
  const deleted = new Set<string>();
  let problem: ReturnType<typeof toProblem> | null = null;
  const waiting = [...images];
  const work = async (): Promise<void> => {
    for (let image = waiting.shift(); image; image = waiting.shift()) {
      try {
        await body(client.DELETE("/api/v1/images/{image_id}", { params: { path: { image_id: image.id } } }));
        deleted.add(image.id);
      } catch (failure) {
        const one = toProblem(failure);
        if (one.status === 404 || one.status === 410) deleted.add(image.id);
        else problem ??= one;
      }
    }
  };
  await Promise.all(Array.from({ length: AT_ONCE }, work));
  return { deleted, problem };
}
