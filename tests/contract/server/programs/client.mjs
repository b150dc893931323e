// GET the model, then POST each file in order by fetch; a line with status and body for each answer.
// Arguments: address, folder. The authority's certificate is in NODE_EXTRA_CA_CERTS.

import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";

const [address, folder] = process.argv.slice(2);
const model = `${address}/v2/models/model`;

async function show(url, options) {
  const answer = await fetch(url, { ...options, signal: AbortSignal.timeout(20_000) });
  console.log(answer.status, await answer.text());
}

await show(model);
for (const file of readdirSync(folder).sort()) {
  const headers = { "Content-Type": "application/json" };
  await show(`${model}/infer`, { method: "POST", headers, body: readFileSync(join(folder, file)) });
}
