import type { ComponentChildren, JSX } from "preact";

import type { Image } from "../../api/client";
import { CopyButton, Time } from "../../components";
import { formatBytes, formatNumber, t } from "../../i18n";

/** What is known of the original. What is not known is left out. */
export function Facts({ image }: { image: Image }): JSX.Element {
  const { details } = image;
  return (
    <section class="facts" aria-labelledby="facts">
      <h2 id="facts">{t("image.facts")}</h2>
      <dl>
        <Fact name={t("image.size")}>
          {image.width && image.height && `${formatNumber(image.width)} × ${formatNumber(image.height)} px`}
        </Fact>
        <Fact name={t("image.format")}>{image.format ?? image.content_type}</Fact>
        <Fact name={t("image.bytes")}>{image.bytes != null && formatBytes(image.bytes)}</Fact>
        <Fact name={t("image.frames")}>{details && details.frames > 1 && formatNumber(details.frames)}</Fact>
        <Fact name={t("image.colourSpace")}>{details?.colour_space}</Fact>
        <Fact name={t("image.colour")}>{details && <Colour value={details.dominant_colour} />}</Fact>
        <Fact name={t("image.transparent")}>{details?.has_alpha && t("common.yes")}</Fact>
        <Fact name={t("image.camera")}>{details?.camera}</Fact>
        <Fact name={t("image.lens")}>{details?.lens}</Fact>
        <Fact name={t("image.taken")}>{details?.taken_at?.replace("T", " ")}</Fact>
        <Fact name={t("image.position")}>{details?.gps && `${details.gps.latitude.toFixed(5)}, ${details.gps.longitude.toFixed(5)}`}</Fact>
        <Fact name={t("image.damaged")}>{image.damaged && t("image.damaged.yes")}</Fact>
        <Fact name={t("image.uploaded")}>
          <Time at={image.created_at} />
        </Fact>
        <Fact name={t("image.attempts")}>{image.attempts > 1 && formatNumber(image.attempts)}</Fact>
        <Fact name={t("image.generation")}>
          {(image.generation ?? 1) > 1 && t("image.generation.nth", { count: image.generation ?? 1 })}
        </Fact>
        <Fact name={t("image.lost")}>{image.missing?.join(", ")}</Fact>
        <Fact name={t("image.key")}>{image.key && <Copyable text={image.key} />}</Fact>
        <Fact name={t("image.id")}>
          <Copyable text={image.id} />
        </Fact>
        <Fact name="SHA-256">{image.sha256 && <Copyable text={image.sha256} />}</Fact>
      </dl>
    </section>
  );
}

function Fact({ name, children }: { name: string; children: ComponentChildren }): JSX.Element | null {
  if (!children) return null;
  return (
    <div class="fact">
      <dt>{name}</dt>
      <dd>{children}</dd>
    </div>
  );
}

function Colour({ value }: { value: string }): JSX.Element {
  return (
    <span class="facts-colour">
      <span class="facts-swatch" style={{ background: value }} aria-hidden="true" />
      <code>{value}</code>
    </span>
  );
}

function Copyable({ text }: { text: string }): JSX.Element {
  return (
    <span class="facts-copy">
      <code title={text}>{text}</code>
      <CopyButton text={text} />
    </span>
  );
}
