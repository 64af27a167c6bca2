import type { JSX } from "preact";
import { useEffect, useRef } from "preact/hooks";
import { thumbHashToRGBA } from "thumbhash";

/** A blurred preview in 25 bytes, drawn into a canvas that fills its parent: it needs no inline style or data: URL. */
export function Thumbhash({ hash }: { hash: string }): JSX.Element {
  const canvas = useRef<HTMLCanvasElement>(null);
  useEffect(() => {
    const context = canvas.current?.getContext("2d");
    if (!canvas.current || !context) return;
    const { w, h, rgba } = thumbHashToRGBA(Uint8Array.from(atob(hash), (char) => char.charCodeAt(0)));
    canvas.current.width = w;
    canvas.current.height = h;
    context.putImageData(new ImageData(new Uint8ClampedArray(rgba), w, h), 0, 0);
  }, [hash]);
  return <canvas ref={canvas} class="thumbhash" aria-hidden="true" />;
}
