/** The real command line for tests: bundled as the build does it, run as a process of its own. */
import { type ChildProcess, spawn } from 'node:child_process';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { build } from 'esbuild';

const ROOT = fileURLToPath(new URL('../../', import.meta.url));

export const inProject = (...parts: readonly string[]): string => join(ROOT, ...parts);

export interface Ended {
  readonly code: number | null;
  readonly out: string;
  readonly err: string;
}

export interface Cli {
  /** Runs to the end. */
  readonly run: (args: readonly string[], env?: Readonly<Record<string, string>>) => Promise<Ended>;
  /** Runs, and lets the test look at what it says and send signals. */
  readonly start: (args: readonly string[], onNote: (text: string, child: ChildProcess) => void) => Promise<Ended>;
}

/** Bundles the command line into a file of this process. Inside the project, so that it finds its packages. */
export const buildCli = async (): Promise<Cli> => {
  const file = inProject('.cache', `test-cli-${process.pid}.mjs`);
  const described = await readFile(inProject('package.json'), 'utf8');
  const { dependencies } = JSON.parse(described) as { readonly dependencies: Record<string, string> }; // npm's format
  await build({
    absWorkingDir: ROOT,
    entryPoints: ['src/cli/main.ts'],
    outfile: file,
    bundle: true,
    format: 'esm',
    platform: 'node',
    target: 'es2022',
    logLevel: 'warning',
    sourcemap: true,
    mainFields: ['module', 'main'],
    external: [...Object.keys(dependencies).filter((name) => name !== 'fp-ts'), '@sparticuz/chromium'],
    define: { PIXNERD_VERSION: '"test"' },
  });
  const launch = (
    args: readonly string[],
    env: Readonly<Record<string, string>>,
    onNote: (text: string, child: ChildProcess) => void,
  ): Promise<Ended> =>
    new Promise((resolve, reject) => {
      const child = spawn(process.execPath, [file, ...args], { cwd: ROOT, env: { ...process.env, ...env } });
      let [out, err] = ['', ''];
      child.stdout.on('data', (data: Buffer) => {
        out += data.toString();
      });
      child.stderr.on('data', (data: Buffer) => {
        err += data.toString();
        onNote(err, child);
      });
      child.on('error', reject);
      child.on('close', (code) => resolve({ code, out, err }));
    });
  return {
    run: (args, env = {}) => launch(args, env, () => undefined),
    start: (args, onNote) => launch(args, {}, onNote),
  };
};
