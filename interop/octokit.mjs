// Holds requests, and what a fake of GitHub answered, against GitHub's published description of its REST API.
//
//   node octokit.mjs MODULES EXCHANGES.json
//
// MODULES is the folder with @octokit/openapi, ajv and ajv-formats; EXCHANGES a list of
// {method, path, query, body, status, answer}. A request has to be whole: its path, every parameter and its body. An answer may
// leave out what nobody reads, and what it holds has the described form.
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

// OpenAPI 3.0 lets "nullable" stand alone; JSON Schema has no such word. A schema that is "loose" asks for nothing to be there.
function plain(schema, loose) {
  if (Array.isArray(schema)) return schema.map((one) => plain(one, loose));
  if (schema === null || typeof schema !== "object") return schema;
  const kept = Object.entries(schema).filter(
    ([name, value]) =>
      (name !== "nullable" || "type" in schema) && !(loose && name === "required" && Array.isArray(value)),
  );
  return Object.fromEntries(
    kept.map(([name, value]) => [loose && name === "oneOf" ? "anyOf" : name, plain(value, loose)]),
  );
}

// Two sets of the same schemas: as they stand, and without what has to be there.
const checkers = Object.fromEntries(
  [false, true].map((loose) => {
    // Parameters are text in an address; bodies are not coerced, for the schema of each knows its types.
    const ajv = new Ajv({ strict: false, allErrors: true });
    formats(ajv);
    ajv.addSchema({ $id: "api", components: plain(description.components, loose) });
    return [loose, ajv];
  }),
);
const coercing = new Ajv({ strict: false, allErrors: true, coerceTypes: true });
formats(coercing);
coercing.addSchema({ $id: "api", components: plain(description.components, false) });
const resolved = (schema) => JSON.parse(JSON.stringify(schema).replaceAll('"#/components', '"api#/components'));
const followed = (one) => (one?.$ref ? one.$ref.slice(2).split("/").reduce((at, part) => at[part], description) : one);

let wrong = 0;
const counts = { requests: 0, parameters: 0, bodies: 0, answers: 0 };
for (const { method, path, query, body, status, answer } of JSON.parse(readFileSync(file, "utf8"))) {
  const told = (what) => {
    console.error(`${method} ${path}${query ? `?${query}` : ""} (${status}): ${what}`);
    wrong += 1;
  };
  const name = template(path, method.toLowerCase());
  if (!name) {
    told("GitHub has no such path");
    continue;
  }
  const item = description.paths[name];
  const operation = item[method.toLowerCase()];
  const parameters = [...(item.parameters ?? []), ...(operation.parameters ?? [])].map(followed);

  // Parameters: those of the path, in their places, and those of the query, each of which has to be known.
  const given = parts(path);
  const wanted = parts(name);
  const values = wanted.flatMap((part, at) =>
    isVariable(part)
      ? [["path", part.slice(1, -1), at === wanted.length - 1 ? given.slice(at).join("/") : given[at]]]
      : [],
  );
  for (const [key, value] of new URLSearchParams(query ?? "")) values.push(["query", key, value]);
  for (const [place, key, value] of values) {
    const parameter = parameters.find((one) => one.in === place && one.name === key);
    if (!parameter) {
      told(`${name} knows no ${key} in its ${place}`);
      continue;
    }
    const schema = { type: "object", properties: { value: resolved(plain(parameter.schema, false)) } };
    const validate = coercing.compile(schema);
    if (!validate({ value: decodeURIComponent(value) })) told(`${key}: ${coercing.errorsText(validate.errors)}`);
    counts.parameters += 1;
  }
  const missing = parameters.filter(
    (one) => one.required && one.in !== "header" && !values.some(([place, key]) => place === one.in && key === one.name),
  );
  if (missing.length) told(`it lacks ${missing.map((one) => one.name)}`);

  const form = followed(operation.requestBody)?.content?.["application/json"]?.schema;
  if (body === null || body === undefined) {
    if (followed(operation.requestBody)?.required) told(`${name} takes a body`);
  } else if (!form) {
    told(`${name} takes no body`);
  } else {
    const validate = checkers[false].compile(resolved(plain(form, false)));
    if (!validate(body)) told(checkers[false].errorsText(validate.errors));
    counts.bodies += 1;
  }
  counts.requests += 1;

  const response = followed(operation.responses[String(status)]);
  if (!response) {
    // Any request can be refused; what is done well is described.
    if (status < 400) told(`${name} never answers ${status}`);
    continue;
  }
  const shape = response.content?.["application/json"]?.schema;
  if (!shape) {
    if (answer !== null) told(`${name} answers ${status} without a body`);
  } else {
    const validate = checkers[true].compile(resolved(plain(shape, true)));
    if (!validate(answer)) told(`the answer: ${checkers[true].errorsText(validate.errors)}`);
  }
  counts.answers += 1;
}
console.log(Object.entries(counts).map(([what, count]) => `${count} ${what}`).join(", "));
process.exit(wrong || Object.values(counts).some((count) => !count) ? 1 : 0);
