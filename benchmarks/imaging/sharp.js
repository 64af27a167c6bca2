// sharp as a contestant; contest.py says what a contestant does. It turns by EXIF when asked, converts to sRGB unasked.
// Several sizes come from one decode: the largest from the file, each smaller one from the next larger one's pixels.
// Clones of one pipeline look simpler, but each decodes the file for itself, and the sum costs more.
"use strict";

const fs = require("node:fs");
const path = require("node:path");
const sharp = require("sharp");

const cpuMs = () => {
  const { user, system } = process.cpuUsage();
  return (user + system) / 1000;
};

// Tuned Huffman tables change no pixel, cost time, and the others do without.
const write = (picture, job) => picture.jpeg({ quality: job.quality, optimiseCoding: false }).toBuffer();

async function make(data, job) {
  const fit = (picture, edge) => picture.resize(edge, edge, { fit: "inside", withoutEnlargement: true });
  const [smallest, ...larger] = job.edges;
  let picture = sharp(data).autoOrient();
  const made = [];
  for (const edge of larger.reverse()) {
    const { data: pixels, info: raw } = await fit(picture, edge).raw().toBuffer({ resolveWithObject: true });
    made.unshift(await write(sharp(pixels, { raw }), job));
    picture = sharp(pixels, { raw });
  }
  made.unshift(await write(fit(picture, smallest), job));
  return made;
}

async function takeJob(job) {
  sharp.cache(false); // the warm-up's file comes a second time
  sharp.concurrency(1);
  const originals = job.files.map((file) => fs.readFileSync(file));
  await make(originals[0], job);
  const before = cpuMs();
  const made = [];
  for (const original of originals) made.push(await make(original, job));
  const spent = cpuMs() - before;
  if (job.out) {
    made.forEach((variants, i) => {
      const { name } = path.parse(job.files[i]);
      variants.forEach((data, j) => fs.writeFileSync(path.join(job.out, `${name}.${job.edges[j]}.jpg`), data));
    });
  }
  const { sharp: version, vips } = sharp.versions;
  console.log(JSON.stringify({ cpu_ms: spent / originals.length, version: `sharp ${version} (libvips ${vips})` }));
}

takeJob(JSON.parse(fs.readFileSync(0, "utf8"))).catch((fault) => {
  console.error(fault.message);
  process.exit(1);
});
