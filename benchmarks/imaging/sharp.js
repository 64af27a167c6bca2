// sharp as a contestant; contest.py says what a contestant does. It turns by EXIF when asked, converts to sRGB unasked.
"use strict";

const fs = require("node:fs");
const path = require("node:path");
const sharp = require("sharp");

const cpuMs = () => {
  const { user, system } = process.cpuUsage();
  return (user + system) / 1000;
};

async function takeJob(job) {
  sharp.cache(false); // the warm-up's file comes a second time
  sharp.concurrency(1);
  const make = (data) =>
    sharp(data)
      .autoOrient()
      .resize(job.edge, job.edge, { fit: "inside", withoutEnlargement: true })
      // Tuned Huffman tables change no pixel, cost time, and the others do without.
      .jpeg({ quality: job.quality, optimiseCoding: false })
      .toBuffer();

  const originals = job.files.map((file) => fs.readFileSync(file));
  await make(originals[0]);
  const before = cpuMs();
  const made = [];
  for (const original of originals) made.push(await make(original));
  const spent = cpuMs() - before;
  if (job.out) {
    made.forEach((data, i) => fs.writeFileSync(path.join(job.out, `${path.parse(job.files[i]).name}.jpg`), data));
  }
  const { sharp: version, vips } = sharp.versions;
  console.log(JSON.stringify({ cpu_ms: spent / originals.length, version: `sharp ${version} (libvips ${vips})` }));
}

takeJob(JSON.parse(fs.readFileSync(0, "utf8"))).catch((fault) => {
  console.error(fault.message);
  process.exit(1);
});
