// sharp as a contestant; job.py describes a contestant's job. It applies EXIF orientation if asked, and always converts
// to sRGB. Several sizes come from one decode: the largest from the file, each smaller one from the next larger one's
// pixels. Clones of one pipeline would be simpler, but each decodes the file again, which costs more.
"use strict";

const fs = require("node:fs");
const path = require("node:path");
const sharp = require("sharp");

const cpuMs = () => {
  const { user, system } = process.cpuUsage();
  return (user + system) / 1000;
};

// Optimized Huffman tables change no pixel and cost time, and the other contestants do not use them.
const write = (image, job) => image.jpeg({ quality: job.quality, optimiseCoding: false }).toBuffer();

async function make(data, job) {
  const fit = (image, edge) => image.resize(edge, edge, { fit: "inside", withoutEnlargement: true });
  const [smallest, ...larger] = job.edges;
  let image = sharp(data).autoOrient();
  const made = [];
  for (const edge of larger.reverse()) {
    const { data: pixels, info: raw } = await fit(image, edge).raw().toBuffer({ resolveWithObject: true });
    made.unshift(await write(sharp(pixels, { raw }), job));
    image = sharp(pixels, { raw });
  }
  made.unshift(await write(fit(image, smallest), job));
  return made;
}

async function runJob(job) {
  sharp.cache(false); // the warm-up processes the first file too
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

runJob(JSON.parse(fs.readFileSync(0, "utf8"))).catch((error) => {
  console.error(error.message);
  process.exit(1);
});
