import { gzipSync } from 'node:zlib';
import { join } from 'node:path';
import { buildSync } from 'esbuild';
import { expect, test } from 'vitest';

const bundle = (entry: string) =>
  buildSync({
    entryPoints: [join(import.meta.dirname, entry)],
    bundle: true,
    minify: true,
    platform: 'browser',
    format: 'esm',
    target: 'es2022',
    write: false,
    metafile: true,
  });

test.each(['browser.ts', 'wasm/browser.ts'])('%s: the bundle that runs saved programs has at most 15 KB, and nothing but the runtime in it', (entry) => {
  const { outputFiles, metafile } = bundle(entry);
  expect(gzipSync(outputFiles[0]!.contents, { level: 9 }).length).toBeLessThanOrEqual(15_000);
  const inputs = Object.keys(metafile.inputs);
  expect(inputs.filter((path) => !/(^|\/)src\/runtime\/(wasm\/)?[\w-]+\.ts$/.test(path))).toEqual([]);
  expect(outputFiles[0]!.text).not.toMatch(/from\s*["']|require\(|workgroup_size|@compute/);
});
