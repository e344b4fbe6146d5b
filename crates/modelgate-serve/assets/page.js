'use strict';

const $ = (id) => document.getElementById(id);
let model = null;
// The question on show, and the model asked for last: an answer to what nobody asks any more is left out.
let turn = 0;
let loads = 0;

function element(tag, properties = {}, ...children) {
  const made = Object.assign(document.createElement(tag), properties);
  made.append(...children);
  return made;
}

// Where there is little room. What a value is compared with, and an answer, stand as they came.
const short = (number) => Number.isInteger(number) ? String(number) : Number(number.toPrecision(5)).toString();

// A key that the service asks for stays in this tab.
const key = {
  get: () => sessionStorage.getItem('modelgate-key') || '',
  set: (value) => sessionStorage.setItem('modelgate-key', value),
};

// Relative to the page: a proxy may serve it below a path of its own.
async function call(path, options = {}) {
  const headers = { ...(key.get() ? { 'X-API-Key': key.get() } : {}), ...options.headers };
  const response = await fetch(path, { ...options, headers });
  const text = await response.text();
  let body = {};
  try { body = JSON.parse(text); } catch { body = { error: text }; }
  if (!response.ok) {
    const version = response.headers.get('modelgate-model-version');
    throw Object.assign(new Error(body.error || response.statusText), { body, status: response.status, version });
  }
  return body;
}

const post = (path, body) => call(path, {
  method: 'POST', headers: { 'Content-Type': 'application/json' }, body: JSON.stringify(body),
});

function allowed({ min = null, max = null }) {
  if (min === null) return `at most ${max}`;
  return max === null ? `at least ${min}` : `${min} to ${max}`;
}

// Whole numbers are never missing.
const mayBeEmpty = (feature) => feature.nullable && feature.type !== 'int';

// Six digits, as the model card has them.
function figure(value) {
  if (typeof value !== 'number' || Number.isInteger(value)) return value;
  return String(Number(Math.abs(value) >= 1e5 ? value.toFixed(0) : value.toPrecision(6)));
}

function hint(feature) {
  const parts = [];
  if (feature.allowed) parts.push(allowed(feature.allowed));
  if (feature.range && !feature.boolean) parts.push(`training: ${figure(feature.range[0])} to ${figure(feature.range[1])}`);
  if (mayBeEmpty(feature)) parts.push('may be empty');
  return parts.join(' · ');
}

const called = (feature) => feature.label || feature.name;

function field(feature, index) {
  const id = `field-${index}`;
  const described = `${id}-hint ${id}-error`;
  let input;
  const choices = feature.boolean ? ['true', 'false'] : (feature.type === 'text' ? feature.categories : []);
  const typical = String(feature.boolean ? Boolean(feature.typical) : feature.typical);
  if (choices.length) {
    input = element('select', { id });
    if (mayBeEmpty(feature)) input.append(element('option', { value: '', textContent: '(none)' }));
    choices.forEach((one) => input.append(element('option', { value: one, textContent: one })));
  } else {
    input = element('input', { id, autocomplete: 'off' });
    input.inputMode = feature.type === 'text' ? 'text' : (feature.type === 'int' ? 'numeric' : 'decimal');
  }
  input.name = feature.name;
  input.setAttribute('aria-describedby', described);
  input.defaultValue = typical;
  input.value = typical;
  if (input.tagName === 'SELECT') [...input.options].forEach((one) => { one.defaultSelected = one.value === typical; });
  return element('div', { className: 'field' },
    element('label', { htmlFor: id, title: feature.name },
      called(feature), feature.unit ? element('span', { className: 'unit', textContent: ` (${feature.unit})` }) : ''),
    input,
    element('span', { id: `${id}-hint`, className: 'hint', textContent: hint(feature) }),
    element('span', { id: `${id}-error`, className: 'error' }));
}

// One comma is that of a decimal number, unless it may be one between thousands: `2,5` and `0,125`, but not `2,500`.
const DECIMAL_COMMA = /^[+-]?(?![1-9]\d{0,2},\d{3}$)\d*,\d+$/;

// What a person typed, as the service takes it; what is no number is sent as text, and the service says so.
function value(feature, text) {
  if (feature.type === 'text') return text === '' && feature.nullable ? null : text;
  const trimmed = text.trim();
  if (trimmed === '') return null;
  if (feature.boolean) return trimmed === 'true';
  // `0x10` is a number to a browser and to nobody who fills in a form.
  const number = Number(DECIMAL_COMMA.test(trimmed) ? trimmed.replace(',', '.') : trimmed);
  return Number.isFinite(number) && !/^[+-]?0[box]/i.test(trimmed) ? number : trimmed;
}

// What has to be written otherwise, since it could be two numbers.
function unclear(feature, text) {
  const trimmed = text.trim();
  if (feature.type === 'text' || DECIMAL_COMMA.test(trimmed) || !/^[+-]?[\d.]*,[\d.,]*$/.test(trimmed)) return null;
  const sentence = /^[^.,]+,\d+$/.test(trimmed)
    ? `this may be ${trimmed.replace(',', '')} or ${trimmed.replace(',', '.')}: write one of them`
    : 'write the number without commas, such as 2500.5';
  return { feature: feature.name, sentence };
}

function row() {
  // A feature may be called `__proto__`: no object is written to under its name.
  return Object.fromEntries(model.features.map((feature, index) => [feature.name, value(feature, $(`field-${index}`).value)]));
}

// Makes the fields anew. What stood in those of before stays in those that are still of the same kind.
function fill(before) {
  const fields = $('fields');
  const stood = before.map((feature, index) => ({ feature, text: $(`field-${index}`).value }));
  const focused = fields.contains(document.activeElement) ? document.activeElement.name : null;
  fields.replaceChildren(...model.features.map(field));
  model.features.forEach((feature, index) => {
    const input = $(`field-${index}`);
    const old = stood.find((one) => one.feature.name === feature.name && one.feature.type === feature.type);
    const takes = old && (input.tagName !== 'SELECT' || [...input.options].some((one) => one.value === old.text));
    if (takes) input.value = old.text;
    if (feature.name === focused) input.focus();
  });
}

// What is wrong with a field, in words for who looks at it.
function sentence({ sentence, reason, expected, got }) {
  if (sentence) return sentence;
  if (reason === 'unknown') return 'the model takes no such value';
  if (got === 'null') return `it is empty; expected ${expected}`;
  if (reason === 'out_of_contract' || reason === 'out_of_range') {
    return `it is too ${got.includes('below') ? 'small' : 'large'}; expected ${expected}`;
  }
  return `expected ${expected}; got ${got}`;
}

function show(details) {
  let first = null;
  model.features.forEach((feature, index) => {
    const input = $(`field-${index}`);
    const problem = details.find((one) => one.feature === feature.name);
    input.setAttribute('aria-invalid', problem ? 'true' : 'false');
    $(`field-${index}-error`).textContent = problem ? sentence(problem) : '';
    if (problem && !first) first = input;
  });
  if (first) first.focus();
}

const calledBy = (name) => called(model.features.find((one) => one.name === name) || { name });

function bar(name, share, number, against) {
  const fill = element('div', { className: against ? 'against' : '' });
  fill.style.width = `${Math.max(0, Math.min(100, share * 100))}%`;
  return element('div', { className: 'bar' },
    element('span', { className: 'name', textContent: name }),
    element('div', { className: 'track' }, fill),
    element('span', { className: 'number', textContent: number }));
}

function mark(one) {
  return element('span', {
    className: `mark ${one.verified ? 'yes' : 'no'}`,
    textContent: one.verified ? '✓ passed its gate' : '✗ not judged here',
  });
}

// The figures that say most, before those that come first by their names.
const TELLING = ['accuracy', 'f1', 'roc_auc', 'r2', 'rmse', 'mae'];
const rank = ([name]) => TELLING.includes(name) ? TELLING.indexOf(name) : TELLING.length;

function about() {
  const figures = Object.entries(model.metrics).sort((one, other) => rank(one) - rank(other)).slice(0, 3).map(([name, figure]) => `${name} ${short(figure)}`).join(', ');
  $('title').textContent = model.name;
  $('model').value = model.name;
  document.title = `${model.name}: prediction`;
  $('about').replaceChildren(`predicts ${model.target} · version ${model.version} · `, mark(model), figures ? ` · ${figures}` : '');
}

function answered(answer) {
  const probabilities = answer.probabilities ? answer.probabilities[0] : [];
  const prediction = answer.predictions[0];
  $('prediction').textContent = String(prediction);
  $('bars').replaceChildren(...probabilities.map((share, at) =>
    bar(String(answer.classes[at]), share, `${(share * 100).toFixed(1)} %`, false)));
  $('warnings').replaceChildren(...(answer.warnings || []).map((one) =>
    element('li', { textContent: `${calledBy(one.feature)} is unusual: ${one.reason === 'out_of_contract' ? 'expected' : 'training had'} ${one.expected}` })));
  // What is known of another version says nothing of this one.
  const judged = answer.version === model.version ? [mark(model), ' · '] : [];
  $('version').replaceChildren(`version ${answer.version} · `, ...judged, answer.digest);
  $('why').textContent = '';
  $('contributions').replaceChildren();
  $('result').hidden = false;
  // The answer stands in a part of the page that was hidden, of which nobody who listens to it would hear.
  $('said').textContent = `Answer: ${$('prediction').textContent}`;
  reveal($('result'));
}

// On a phone the answer is below all fields: whoever asked is brought there, where it is not seen.
function reveal(part) {
  const { top } = part.getBoundingClientRect();
  if (top >= 0 && top < innerHeight / 2) return;
  const still = matchMedia('(prefers-reduced-motion: reduce)').matches;
  part.focus({ preventScroll: true });
  part.scrollIntoView({ behavior: still ? 'auto' : 'smooth', block: 'start' });
}

function explained(answer) {
  const one = answer.explanations[0];
  const top = one.contributions.filter((each) => each.contribution !== 0).slice(0, 8);
  const largest = Math.max(...top.map((each) => Math.abs(each.contribution)), 1e-12);
  const unit = { log_odds: 'log odds', probability: 'probability', target: 'units of the target' }[answer.unit];
  const of = one.class === null ? model.target : `class ${one.class}`;
  $('why').textContent = answer.method === 'shapley'
    ? `What each feature adds to the score of ${of} (${unit}, Shapley values); blue for, orange against.`
    : `How the answer for ${of} would differ with a typical value (${unit}); blue for, orange against.`;
  if (!top.length) $('why').textContent = 'No single feature changes this answer when a typical value replaces it.';
  $('contributions').replaceChildren(...top.map((each) =>
    bar(calledBy(each.feature), Math.abs(each.contribution) / largest, `${each.contribution > 0 ? '+' : ''}${short(each.contribution)}`, each.contribution < 0)));
}

// The answer is there and stays, whatever comes of this.
async function explain(path, features, mine) {
  try {
    const answer = await post(`explain/${path}`, { features: [features] });
    if (mine !== turn) return;
    explained(answer);
    // With what came below it there is room to bring it all the way up.
    if (document.activeElement === $('result')) reveal($('result'));
  } catch (error) {
    if (mine === turn) $('why').textContent = `It cannot be said now: ${error.message}`;
  }
}

// Returns whether the service has another form by now than a page that was open all the while, which gets it then.
async function renewed(version) {
  if (!version || version === model.version) return false;
  const before = model.features;
  try {
    return await load(model.name) && !alike(before, model.features);
  } catch {
    return false;
  }
}

const alike = (some, others) => JSON.stringify(some) === JSON.stringify(others);

function say(sentence) {
  $('form-error').textContent = sentence;
  $('form-error').hidden = false;
}

async function refused(error) {
  $('result').hidden = true;
  const details = (error.body && error.body.details) || [];
  if (error.status === 401) {
    $('access').hidden = false;
    $('key').focus();
    $('access-result').textContent = key.get() ? 'this key is wrong' : '';
    say(key.get() ? 'The service does not take this key: enter another one above.' : 'The service asks for a key: enter it above.');
    return;
  }
  const isNew = await renewed(error.version);
  const named = ({ feature }) => model.features.some((one) => one.name === feature);
  // What a form of before did not ask for is nobody's mistake, and nor is what it asked for too much.
  const marked = details.filter((one) => named(one) && one.reason !== 'unknown' && one.reason !== 'missing');
  const others = details.filter((one) => !marked.includes(one));
  if (isNew) say(`The service has version ${model.version} by now: look through its form and ask again.`);
  else if (others.length) say(others.map((one) => `${one.feature ? `${calledBy(one.feature)}: ` : ''}${sentence(one)}`).join('; '));
  else say(details.length ? 'Some values are not what the model takes.' : error.message);
  show(marked);
}

async function predict(event) {
  event.preventDefault();
  if (!model) return;
  turn += 1;
  const mine = turn;
  const { name } = model;
  $('submit').disabled = true;
  $('form-error').hidden = true;
  $('said').textContent = '';
  show([]);
  const path = encodeURIComponent(name);
  try {
    const details = model.features.map((feature, index) => unclear(feature, $(`field-${index}`).value)).filter(Boolean);
    if (details.length) throw Object.assign(new Error(details[0].sentence), { body: { details } });
    const features = row();
    const answer = await post(`predict/${path}`, { features: [features] });
    if (mine === turn && answer.version !== model.version) await load(name).catch(() => {});
    if (mine !== turn) return;
    answered(answer);
    await explain(path, features, mine);
  } catch (error) {
    if (mine === turn) await refused(error);
  } finally {
    if (mine === turn) $('submit').disabled = false;
  }
}

// Shows a model; `false` where another one was asked for meanwhile.
async function load(name) {
  loads += 1;
  const mine = loads;
  let found;
  try {
    found = await call(`models/${encodeURIComponent(name)}`);
  } catch (error) {
    if (mine !== loads) return false;
    throw error;
  }
  if (mine !== loads) return false;
  const before = model;
  model = found;
  about();
  if (!before || before.name !== model.name) {
    $('fields').replaceChildren(...model.features.map(field));
    $('result').hidden = true;
  } else if (!alike(before.features, model.features)) {
    fill(before.features);
  }
  return true;
}

async function pick() {
  const name = $('model').value;
  turn += 1;
  $('submit').disabled = true;
  $('form-error').hidden = true;
  try {
    if (!await load(name)) return;
    // In the address, so that who loads the page again or sends it on has the same model.
    history.replaceState(null, '', `?model=${encodeURIComponent(name)}`);
  } catch (error) {
    $('model').value = model ? model.name : '';
    say(`${name} cannot be shown now: ${error.message}`);
  }
  $('submit').disabled = !model;
}

async function reload(event) {
  event.preventDefault();
  const output = $('admin-result');
  output.textContent = '…';
  try {
    const answer = await call('admin/reload', { method: 'POST', headers: { Authorization: `Bearer ${$('token').value}` } });
    const refused = Object.keys(answer.refused || {});
    output.textContent = answer.status === 'noop' ? 'it is the newest already'
      : refused.length ? `reloaded, but not ${refused.join(', ')}: see Health` : 'reloaded';
    await load(model.name);
  } catch (error) {
    output.textContent = error.message;
  }
}

function keep(event) {
  event.preventDefault();
  key.set($('key').value);
  $('access-result').textContent = 'kept in this tab';
  $('form').requestSubmit();
}

async function start() {
  $('access').addEventListener('submit', keep);
  if (key.get()) $('access').hidden = false;
  $('form').addEventListener('submit', predict);
  $('form').addEventListener('reset', () => { show([]); $('result').hidden = true; });
  $('admin').addEventListener('submit', reload);
  try {
    const { models } = await call('models');
    if (!models.length) throw new Error('no model is loaded yet; /health says why');
    const asked = new URLSearchParams(location.search).get('model');
    const chosen = (models.find((one) => one.name === asked) || models[0]).name;
    if (models.length > 1) {
      $('picker').hidden = false;
      $('model').replaceChildren(...models.map((one) => element('option', { value: one.name, textContent: one.name })));
      $('model').value = chosen;
      $('model').addEventListener('change', pick);
    }
    await load(chosen);
  } catch (error) {
    $('about').replaceChildren(element('span', { className: 'error', textContent: error.message }));
    $('model').value = '';
    $('submit').disabled = true;
  }
}

start();
