// Reads a JSON list of Mermaid texts from stdin; prints what Mermaid's own parser makes of each:
// {"vertices": {id: label}, "areas": {id: title}, "edges": [[from, to]]} or {"error": message}.
// The packages are those of the directory named by the first argument.
import { createRequire } from "node:module";
import { readFileSync } from "node:fs";
import { pathToFileURL } from "node:url";
import { join } from "node:path";

const require = createRequire(join(process.argv[2], "package.json"));
const { JSDOM } = require("jsdom");
const { window } = new JSDOM("");
globalThis.window = window; // DOMPurify, with which Mermaid cleans labels, wants a browser
globalThis.document = window.document;

const { default: mermaid } = await import(
  pathToFileURL(join(process.argv[2], "node_modules/mermaid/dist/mermaid.core.mjs"))
);
mermaid.initialize({ startOnLoad: false, securityLevel: "strict" }); // as GitHub has it

async function shape(text) {
  try {
    await mermaid.parse(text);
    const { db } = await mermaid.mermaidAPI.getDiagramFromText(text);
    return {
      vertices: Object.fromEntries([...db.getVertices()].map(([id, one]) => [id, one.text])),
      areas: Object.fromEntries(db.getSubGraphs().map((one) => [one.id, one.title])),
      edges: db.getEdges().map((one) => [one.start, one.end]),
    };
  } catch (error) {
    return { error: String(error) };
  }
}

const shapes = [];
for (const text of JSON.parse(readFileSync(0, "utf8"))) shapes.push(await shape(text));
console.log(JSON.stringify(shapes));
