import type { JSX } from "preact";

import type { Image, Variant } from "../../api/client";
import { CopyButton, Icon, Table } from "../../components";
import { formatBytes, formatNumber, t } from "../../i18n";
import { nameOf } from "../gallery/Grid";

/** The files of the image: sizes, and for each its address to copy and a download. */
export function Variants({ image }: { image: Image }): JSX.Element {
  const label = (variant: Variant): string => (variant.type === "original" ? t("image.original") : variant.type);
  return (
    <section class="image-section" aria-labelledby="variants">
      <h2 id="variants">{t("image.variants")}</h2>
      <Table<Variant>
        caption={t("image.variants")}
        rows={image.variants}
        keyOf={(variant) => variant.type}
        columns={[
          {
            key: "type",
            title: t("image.variant"),
            cell: (variant) => (
              <a href={variant.url} target="_blank" rel="noreferrer">
                {label(variant)}
              </a>
            ),
          },
          {
            key: "size",
            title: t("image.size"),
            numeric: true,
            cell: ({ width, height }) => (width && height ? `${formatNumber(width)} × ${formatNumber(height)}` : "–"),
          },
          {
            key: "bytes",
            title: t("image.bytes"),
            numeric: true,
            cell: ({ bytes }) => (bytes == null ? "–" : formatBytes(bytes)),
          },
          { key: "format", title: t("image.format"), cell: ({ content_type: type }) => type.replace("image/", "").toUpperCase() },
          {
            key: "actions",
            title: t("image.address"),
            cell: (variant) => (
              <span class="row image-variant-actions">
                <CopyButton text={variant.url} label={t("image.copyLink", { name: label(variant) })} />
                <a
                  class="button button-quiet button-icon"
                  href={variant.url}
                  download={nameOf(image)}
                  aria-label={t("image.download", { name: label(variant) })}
                  title={t("image.download", { name: label(variant) })}
                >
                  <Icon name="download" size={18} />
                </a>
              </span>
            ),
          },
        ]}
      />
    </section>
  );
}
