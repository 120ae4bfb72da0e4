// SPDX-License-Identifier: Apache-2.0
// web.cjs NODE_MODULES FOLDER: runs the samples that FOLDER/spec.json names in onnxruntime-web on one thread.
"use strict";
const fs = require("fs");
const path = require("path");

const ARRAYS = { float32: Float32Array, int64: BigInt64Array, int32: Int32Array, uint8: Uint8Array, int8: Int8Array, bool: Uint8Array };

async function main() {
  const [modules, folder] = process.argv.slice(2);
  const ort = require(path.resolve(modules, "onnxruntime-web"));
  const spec = JSON.parse(fs.readFileSync(path.join(folder, "spec.json"), "utf8"));
  ort.env.wasm.numThreads = 1;
  ort.env.logLevel = "error";
  const session = await ort.InferenceSession.create(fs.readFileSync(spec.model), { executionProviders: ["wasm"], logSeverityLevel: 3 });
  const results = [];
  for (const [i, sample] of spec.samples.entries()) {
    const feeds = {};
    for (const input of sample) {
      const bytes = fs.readFileSync(input.file);
      const data = new ARRAYS[input.type](bytes.buffer.slice(bytes.byteOffset, bytes.byteOffset + bytes.byteLength));
      feeds[input.name] = new ort.Tensor(input.type, data, input.dims);
    }
    const outputs = await session.run(feeds);
    results.push(spec.outputs.map((name, k) => {
      const tensor = outputs[name], file = path.join(folder, `out_${i}_${k}.bin`);
      fs.writeFileSync(file, Buffer.from(tensor.data.buffer, tensor.data.byteOffset, tensor.data.byteLength));
      return { file, type: tensor.type, dims: tensor.dims };
    }));
  }
  fs.writeFileSync(path.join(folder, "results.json"), JSON.stringify(results));
}

main().catch((error) => {
  console.error(String(error));
  process.exit(1);
});
