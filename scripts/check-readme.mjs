#!/usr/bin/env node
/**
 * The README's model does what the README says. Its blocks, in this order: the program (ts), what it prints (text), a mistake
 * (diff), what tsc says to it (text). Type-checked and run against dist/, as a user's program would be. Needs `npm run build`.
 */
import { spawnSync } from 'node:child_process';
import { mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { buildSync } from 'esbuild';

const root = dirname(dirname(fileURLToPath(import.meta.url)));
const folder = join(root, '.cache', 'readme');
const tsc = join(dirname(createRequire(import.meta.url).resolve('typescript/package.json')), 'bin', 'tsc');

const readme = readFileSync(join(root, 'README.md'), 'utf8');
const blocks = [...readme.matchAll(/^```(\w+)\n([\s\S]*?)^```$/gm)].map(([, language, text]) => ({ language, text }));
const first = blocks.findIndex(({ language }) => language === 'ts');
const [program, printed, mistake, complaint] = blocks.slice(first, first + 4);
if (first < 0 || [program, printed, mistake, complaint].map((block) => block?.language).join() !== 'ts,text,diff,text') {
  console.log('README.md: expected blocks ts, text, diff, text, one after the other');
  process.exit(1);
}

const lineOf = (mark) => mistake.text.split('\n').find((line) => line.startsWith(mark)).slice(1).trim();
const wrong = program.text.replace(lineOf('-'), lineOf('+'));

/** What tsc says, without the place. */
const check = (text) => {
  rmSync(folder, { recursive: true, force: true });
  mkdirSync(folder, { recursive: true });
  writeFileSync(join(folder, 'model.ts'), text);
  writeFileSync(join(folder, 'tsconfig.json'), JSON.stringify({ extends: '../../tsconfig.json', compilerOptions: { paths: {} }, include: ['*.ts'], exclude: [] }));
  const { stdout } = spawnSync(process.execPath, [tsc, '-p', folder, '--pretty', 'false'], { encoding: 'utf8' });
  return stdout.replace(/^\S+\(\d+,\d+\): /gm, '').trim();
};
const run = () => {
  const outfile = join(folder, 'model.mjs');
  buildSync({ entryPoints: [join(folder, 'model.ts')], bundle: true, platform: 'node', format: 'esm', external: ['pixnerd'], outfile });
  const { stdout, stderr } = spawnSync(process.execPath, [outfile], { encoding: 'utf8' });
  return (stdout + stderr).trim();
};

const squeezed = (text) => text.replace(/\s+/g, ' ').trim();
const problems = [];
const expect = (what, got, wanted) => {
  if (squeezed(got) !== squeezed(wanted)) problems.push(`README.md: ${what}\n  says: ${squeezed(wanted)}\n  is:   ${squeezed(got)}`);
};
if (wrong === program.text) problems.push('README.md: the mistake changes no line of the program');
expect('the message of the mistake', check(wrong), complaint.text);
expect('the program type-checks', check(program.text), '');
expect('what the program prints', run(), printed.text);

for (const problem of problems) console.log(problem);
console.log(problems.length === 0 ? 'README.md: its model runs, and its mistake is refused as it says' : `${problems.length} problems`);
process.exit(problems.length === 0 ? 0 : 1);
