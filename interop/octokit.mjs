// Holds recorded requests against GitHub's published description of its REST API.
//
//   node octokit.mjs MODULES REQUESTS.json
//
// MODULES is the folder with @octokit/openapi, ajv and ajv-formats; REQUESTS a list of [method, path, body].
import { readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { join, resolve } from "node:path";

const [modules, file] = process.argv.slice(2);
const require = createRequire(join(resolve(modules), "package.json"));
const Ajv = require("ajv").default;
const formats = require("ajv-formats").default;
const description = JSON.parse(
  readFileSync(join(resolve(modules), "@octokit/openapi/generated/api.github.com.json"), "utf8"),
);

const parts = (path) => path.split("/").filter(Boolean);
const templates = Object.keys(description.paths).map((path) => [path, parts(path)]);
const isVariable = (part) => part.startsWith("{");

// The template that fits with the fewest variables; the name of a reference has slashes in it.
function template(path, method) {
  const given = parts(path);
  const fits = templates.filter(([name, wanted]) => {
    if (!description.paths[name][method]) return false;
    const open = wanted.at(-1) === "{ref}";
    if (open ? given.length < wanted.length : given.length !== wanted.length) return false;
    return wanted.every((part, at) => isVariable(part) || part === given[at]);
  });
  fits.sort((a, b) => a[1].filter(isVariable).length - b[1].filter(isVariable).length);
  return fits[0]?.[0];
}

// OpenAPI 3.0 lets "nullable" stand alone; JSON Schema has no such word.
function plain(schema) {
  if (Array.isArray(schema)) return schema.map(plain);
  if (schema === null || typeof schema !== "object") return schema;
  const kept = Object.entries(schema).filter(([name]) => name !== "nullable" || "type" in schema);
  return Object.fromEntries(kept.map(([name, value]) => [name, plain(value)]));
}

const ajv = new Ajv({ strict: false, allErrors: true });
formats(ajv);
ajv.addSchema({ $id: "api", components: plain(description.components) });
const resolved = (schema) => JSON.parse(JSON.stringify(schema).replaceAll('"#/components', '"api#/components'));

let checked = 0;
let wrong = 0;
for (const [method, path, body] of JSON.parse(readFileSync(file, "utf8"))) {
  const name = template(path, method.toLowerCase());
  if (!name) {
    console.error(`${method} ${path}: GitHub has no such path`);
    wrong += 1;
    continue;
  }
  const schema = description.paths[name][method.toLowerCase()].requestBody?.content?.["application/json"]?.schema;
  if (!schema) {
    console.error(`${method} ${path}: ${name} takes no body`);
    wrong += 1;
    continue;
  }
  const validate = ajv.compile(resolved(plain(schema)));
  if (!validate(body)) {
    console.error(`${method} ${path}: ${ajv.errorsText(validate.errors)}`);
    wrong += 1;
  }
  checked += 1;
}
console.log(`${checked} requests have the form of the description`);
process.exit(wrong || !checked ? 1 : 0);
