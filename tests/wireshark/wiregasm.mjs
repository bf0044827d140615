// SPDX-License-Identifier: GPL-2.0-or-later
//
// What Wireshark in WebAssembly shows of a capture: a JSON line for each frame, its number and the leaves of a protocol as
// pairs of filter name and bytes.
//
//     npm install @goodtools/wiregasm
//     node wiregasm.mjs node_modules/@goodtools/wiregasm DISSECTOR.lua CAPTURE [PROTOCOL]

import fs from "node:fs";
import { createRequire } from "node:module";
import path from "node:path";

const [folder, dissector, capture, protocol = "chitchat"] = process.argv.slice(2).map((each, index) => index < 3 ? path.resolve(each) : each);
const dist = path.join(folder, "dist");
const require = createRequire(import.meta.url);
const { Wiregasm } = require(path.join(dist, "main.js"));
const loader = require(path.join(dist, "wiregasm.js"));

const wireshark = new Wiregasm();
await wireshark.init(loader.default ?? loader, {
  wasmBinary: fs.readFileSync(path.join(dist, "wiregasm.wasm")),
  locateFile: (name) => path.join(dist, name),
  handleStatus: () => {},
  printErr: (line) => console.error(line),
  print: (line) => console.error(line),
}, (library) => {
  library.FS.mkdirTree(library.getPluginsDirectory?.() ?? "/plugins");
  library.FS.writeFile("/plugins/dissector.lua", fs.readFileSync(dissector));
});

const loaded = wireshark.load("capture.pcap", fs.readFileSync(capture));
if (loaded.code !== 0) {
  console.error(`wiregasm does not open the capture: ${loaded.error}`);
  process.exit(1);
}

const each = (vector) => Array.from({ length: vector.size() }, (_, index) => vector.get(index));

function* leaves(node, sources) {
  const name = node.filter.split(" ")[0];
  if (node.label.includes("Lua Error")) {
    throw new Error(node.label);
  }
  const children = each(node.tree).filter((child) => !/^_ws\.|\.finding\./.test(child.filter)); // without expert infos
  if (children.length) {
    for (const child of children) {
      yield* leaves(child, sources);
    }
  } else if (node.length && !name.includes(".response_")) {
    const data = sources[node.data_source_idx];
    yield [name, data.subarray(node.start, node.start + node.length).toString("hex")];
  }
}

const lines = [];
for (let number = 1; number <= loaded.summary.packet_count; number += 1) {
  const frame = wireshark.frame(number);
  const sources = each(frame.data_sources).map((source) => Buffer.from(source.data, "base64"));
  const found = each(frame.tree).filter((tree) => tree.filter === protocol);
  if (found.length) {
    lines.push(JSON.stringify([number, found.flatMap((tree) => [...leaves(tree, sources)])]));
  }
}
process.stdout.write(`${lines.join("\n")}\n`, () => process.exit(0)); // Wireshark would keep node alive
