const MARGIN = 2; // half of the stroke's width, so that it is not cut off

/** Return the SVG paths of a line through the values, from zero to their maximum, and of the area below it. */
export function sparkline(values: readonly number[], width: number, height: number): { line: string; area: string } {
  if (values.length < 2) return { line: "", area: "" };
  const top = Math.max(...values) || 1;
  const points = values.map((value, index) => {
    const x = (index / (values.length - 1)) * width;
    const y = height - MARGIN - (value / top) * (height - 2 * MARGIN);
    return `${x.toFixed(1)} ${y.toFixed(1)}`;
  });
  const line = `M${points.join("L")}`;
  return { line, area: `${line}L${width} ${height}L0 ${height}Z` };
}
