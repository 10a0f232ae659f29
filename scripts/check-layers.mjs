#!/usr/bin/env node
/**
 * Checks the floor plan: which folder may import which, and that no file imports itself in a circle.
 * `import type` counts too: a type is knowledge. Exit code 1 with one line for each breach.
 */
import { readdirSync, readFileSync, statSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { dirname, join, relative, resolve } from 'node:path';

const root = resolve(dirname(fileURLToPath(import.meta.url)), '..');
const layers = ['dsl', 'compiler', 'models', 'src', 'property-tests', 'examples'];

/** Folders that the files of a folder may import, besides their own. Tests beside the code may use anything below `src`. */
const allowed = {
  dsl: [],
  compiler: ['dsl'],
  models: ['dsl'],
  src: ['dsl', 'compiler', 'models'],
  'property-tests': ['dsl', 'compiler', 'models', 'src'],
  examples: [],
};
const allowedInTests = { ...allowed, dsl: ['compiler'], models: ['dsl', 'compiler'] };

const filesIn = (folder, kind = /\.(ts|mts)$/) => readdirSync(folder).flatMap((name) => {
  const path = join(folder, name);
  return name === 'node_modules' ? [] : statSync(path).isDirectory() ? filesIn(path, kind) : kind.test(name) ? [path] : [];
});

const importsOf = (file) => [...readFileSync(file, 'utf8').matchAll(/^\s*(?:import|export)\b[^'"`;]*?from\s*['"]([^'"]+)['"]|^\s*import\s*['"]([^'"]+)['"]|\bimport\(\s*['"]([^'"]+)['"]\s*\)/gm)]
  .map((match) => match[1] ?? match[2] ?? match[3])
  .filter((specifier) => specifier !== undefined);

const problems = [];
const graph = new Map();
for (const layer of layers) {
  for (const file of filesIn(join(root, layer))) {
    const name = relative(root, file), isTest = name.endsWith('.test.ts');
    const targets = [];
    for (const specifier of importsOf(file)) {
      if (!specifier.startsWith('.')) {
        if (specifier === 'pixnerd' && layer !== 'examples') problems.push(`${name}: imports the package by its public name; only examples do`);
        continue;
      }
      const target = relative(root, resolve(dirname(file), specifier)), folder = target.split('/')[0];
      targets.push(target);
      if (layers.includes(folder) && folder !== layer && !(isTest ? allowedInTests : allowed)[layer].includes(folder)) problems.push(`${name}: '${layer}' must not import '${folder}' (${specifier})`);
      if (layer === 'examples') problems.push(`${name}: an example imports the package 'pixnerd' only, not ${specifier}`);
      // the runtime knows neither graph nor compiler: the two meet in Program alone
      if (name.startsWith('src/runtime/') && !isTest && !target.startsWith('src/runtime/') && target !== 'compiler/program.ts') problems.push(`${name}: the runtime must not import ${target}`);
    }
    graph.set(name, targets);
  }
}

// the bench sees what users see: the built package
const benchMayImport = ['dist/index.js', 'scripts/lavapipe.mjs'];
for (const file of filesIn(join(root, 'bench'), /\.mjs$/)) {
  for (const specifier of importsOf(file).filter((name) => name.startsWith('.'))) {
    const target = relative(root, resolve(dirname(file), specifier)).replaceAll('\\', '/');
    if (!target.startsWith('bench/') && !benchMayImport.includes(target)) problems.push(`${relative(root, file)}: the bench imports the package as it is built (dist/index.js), not ${target}`);
  }
}

const state = new Map();
const visit = (file, path) => {
  if (state.get(file) === 'done') return;
  if (state.get(file) === 'open') { problems.push(`import circle: ${[...path.slice(path.indexOf(file)), file].join(' -> ')}`); return; }
  state.set(file, 'open');
  for (const target of graph.get(file) ?? []) visit(target, [...path, file]);
  state.set(file, 'done');
};
for (const file of graph.keys()) visit(file, []);

for (const problem of problems) console.log(problem);
console.log(problems.length === 0 ? `${graph.size} files, no import against the floor plan, no circle` : `${problems.length} problems`);
process.exit(problems.length === 0 ? 0 : 1);
