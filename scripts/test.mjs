#!/usr/bin/env node
/**
 * `npm test`: all tests, on SwiftShader from npm (or the driver that VK_DRIVER_FILES names). Arguments go to vitest:
 * `npm test -- compiler` runs what lies in compiler/. The last line is the count.
 */
import { conclude, runTests } from './vitest.mjs';

const driver = process.env.VK_DRIVER_FILES || process.env.VK_ICD_FILENAMES;
console.log(`driver: ${driver || 'SwiftShader from npm'}; random cases: PIXNERD_RUNS=${process.env.PIXNERD_RUNS ?? 300}`);

const args = process.argv.slice(2);
const result = await runTests({ name: 'test', args });

const wrong = result.testsOf(/[\\/]wrong\.test\.ts$/);
if (wrong.length > 0) console.log(`wrong programs: ${wrong.filter((test) => test.status === 'passed').length} of ${wrong.length} refused as they should be`);
conclude([result]);
