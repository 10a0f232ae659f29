/** A run as one page that needs nothing else: samples over time, loss, configuration. Renewed while the run goes on. */
import { plural, showCount, showLarge } from '../explain/format.ts';
import { type Html, html, raw } from '../explain/html.ts';
import { STYLE } from '../explain/page-style.ts';
import { fieldsOf } from './config.ts';
import { describeModel, describeOptimizer, type RunFacts, showDuration } from './facts.ts';
import { currentLoss, showLoss, showRate } from './history.ts';
import { lossPlot } from './loss-plot.ts';
import type { StepReport } from './trainer-types.ts';

/** A sheet of samples. */
export interface Sheet {
  readonly step: number;
  readonly png: Uint8Array;
}

export interface ReportPageData {
  readonly facts: RunFacts;
  readonly step: number;
  readonly seconds: number;
  readonly history: readonly StepReport[];
  /** By step. */
  readonly sheets: readonly Sheet[];
  /** The last checkpoint. */
  readonly checkpoint: string | undefined;
}

const OWN_STYLE = `
.tiles{grid-template-columns:repeat(5,1fr)}@media(max-width:1080px){.tiles{grid-template-columns:repeat(3,1fr)}}@media(max-width:760px){.tiles{grid-template-columns:repeat(2,1fr)}}
.frames{margin:0;padding:16px;background:var(--paper);border:1px solid var(--line);border-radius:12px}
.frame{margin:0}.frame img{display:block;width:100%;max-width:920px;height:auto;margin:0 auto;image-rendering:pixelated;border-radius:6px}.frame figcaption{margin-top:10px;color:var(--soft);font-size:14.5px;text-align:center}
.frames.plays .frame:not(.is-shown){display:none}.frames:not(.plays) .frame+.frame{margin-top:22px}
.scrub{display:flex;gap:16px;align-items:center;margin-top:12px;color:var(--soft);font-size:14px}.scrub input{flex:1;accent-color:var(--accent)}.scrub button{font:inherit;padding:3px 14px;border:1px solid var(--line);border-radius:8px;background:var(--ground);color:var(--ink);cursor:pointer}
.key{font-family:var(--mono);font-size:13px}.own td{font-weight:600}.soft{color:var(--soft)}pre{margin:0;padding:12px 14px;background:var(--code);border-radius:10px;overflow:auto;font:13px/1.6 var(--mono)}
.meter{height:6px;border-radius:4px;background:var(--line);overflow:hidden;margin:4px 0 0}.meter span{display:block;height:100%;background:var(--accent)}
`;

/** The slider flips through the sheets; without the script all of them stand below each other. */
const SCRIPT = `const frames=document.querySelector('.frames');if(frames){const all=[...frames.querySelectorAll('.frame')],slider=frames.querySelector('input'),play=frames.querySelector('button'),scrub=frames.querySelector('.scrub');
const show=(i)=>{all.forEach((frame,j)=>frame.classList.toggle('is-shown',i===j));slider.value=i};frames.classList.add('plays');if(all.length>1)scrub.hidden=false;slider.max=all.length-1;show(all.length-1);
slider.addEventListener('input',()=>show(Number(slider.value)));let timer;const stop=()=>{clearInterval(timer);timer=undefined;play.textContent='Play'};
play.addEventListener('click',()=>{if(timer)return stop();let i=Number(slider.value)>=all.length-1?0:Number(slider.value)+1;show(i);play.textContent='Stop';timer=setInterval(()=>{if(++i>=all.length)return stop();show(i);},450)})}`;

const tile = (value: string, name: string, note: string | Html): Html => html`<div class="tile"><dt>${name}</dt><dd><strong>${value}</strong><span>${note}</span></dd></div>`;

const headline = ({ facts, step, seconds, history }: ReportPageData): Html => {
  const { config, images, parameters, device, classes } = facts, share = step / config.steps;
  const loss = currentLoss(history), perSecond = seconds > 0 ? (step * config.batch) / seconds : 0;
  return html`<header><p class="eyebrow">${step >= config.steps ? 'a run of training' : `a run of training, at step ${showCount(step)} of ${showCount(config.steps)}`}</p><h1>${config.output.split('/').at(-1) ?? config.output}</h1>
<p class="about">A class-to-image PixNerd (${describeModel(config)}) learns ${plural(classes.length, 'class', 'classes')} of ${config.data.height} x ${config.data.width} images from <code>${config.data.path}</code>, with ${describeOptimizer(config)}.</p>
<dl class="tiles">
${tile(showCount(step), 'steps', html`of ${showCount(config.steps)}, ${config.batch} images each<div class="meter"><span style="width:${(100 * share).toFixed(1)}%"></span></div>`)}
${tile(loss === undefined ? '—' : showLoss(loss), 'loss', 'mean of about the last fifty steps')}
${tile(showDuration(seconds), 'time', `${perSecond >= 10 ? perSecond.toFixed(0) : perSecond.toFixed(1)} images a second on ${device}`)}
${tile(showLarge(parameters), 'parameters', `${config.precision === 'f32' ? '32-bit numbers' : 'mixed precision'}${config.ema > 0 ? `, averaged with ${config.ema}` : ''}`)}
${tile(showCount(images), 'images', `seen ${((step * config.batch) / Math.max(1, images)).toFixed(1)} times each`)}
</dl></header>`;
};

/** Sheets on the page at most; more are chosen evenly, with the last one. */
const MOST_SHEETS = 30;

/** The sheets that a page shows. */
export const chosenSheets = <A>(sheets: readonly A[]): readonly A[] =>
  sheets.length <= MOST_SHEETS ? sheets : Array.from({ length: MOST_SHEETS }, (_, i) => sheets[Math.round((i * (sheets.length - 1)) / (MOST_SHEETS - 1))]!); // within the list

const samplesSection = ({ facts: { config, classes }, sheets }: ReportPageData): Html | undefined => {
  if (sheets.length === 0) return undefined;
  const frames = chosenSheets(sheets).map(({ step, png }) => html`<figure class="frame"><img alt="Samples after ${step} steps" src="data:image/png;base64,${Buffer.from(png).toString('base64')}"><figcaption>after ${plural(step, 'step')}</figcaption></figure>`);
  const columns = classes.length <= SHEET_COLUMNS ? `One column for each class: ${classes.join(', ')}.` : `Classes in their order, row by row: ${classes.slice(0, 8).join(', ')} and so on.`;
  return html`<section id="samples"><h2>Samples</h2><p class="lead">Drawn from the ${config.ema > 0 ? 'averaged ' : ''}weights, always from the same noise, in ${plural(config.samples.steps, 'step')} with guidance ${config.samples.guidance}. ${columns}</p>
<div class="frames">${frames}<div class="scrub" hidden><button type="button">Play</button><input type="range" min="0" max="0" step="1" aria-label="Which sheet"></div></div></section>`;
};

/** Classes that fit side by side on a sheet. */
export const SHEET_COLUMNS = 20;

const configSection = ({ facts }: ReportPageData): Html => {
  const at = (path: string): unknown => path.split('.').reduce<unknown>((value, key) => (value as Record<string, unknown>)[key], facts.config); // paths are the table's
  const rows = fieldsOf().map(([path, { meaning, fallback }]) => {
    const value = JSON.stringify(at(path)), isOwn = fallback === undefined || JSON.stringify(fallback.value) !== value;
    return html`<tr${isOwn ? html` class="own"` : undefined}><td class="key">${path}</td><td class="key">${value}</td><td class="soft" style="font-weight:400">${meaning}</td></tr>`;
  });
  return html`<section id="configuration"><h2>Configuration</h2><p class="lead">What is not as by default is bold.</p><div class="scroll"><table><thead><tr><th>key</th><th>value</th><th>what it means</th></tr></thead><tbody>${rows}</tbody></table></div></section>`;
};

/** The commands that make something of the run. */
export const nextSteps = ({ facts: { config, classes }, step, checkpoint }: Pick<ReportPageData, 'facts' | 'step' | 'checkpoint'>): readonly string[] =>
  checkpoint === undefined ? [] : [
    `pixnerd sample --checkpoint ${checkpoint}/${config.ema > 0 ? 'ema' : 'model'}.safetensors --class 0-${classes.length - 1} --scale 4 --out samples.png`,
    `pixnerd export ${config.output} --official --out official.safetensors`,
    step < config.steps ? `pixnerd train --resume ${config.output}` : `pixnerd train --resume ${config.output} --set steps=${2 * config.steps}`,
  ];

const SECTIONS = [['samples', 'Samples'], ['loss', 'Loss'], ['next', 'Next'], ['configuration', 'Configuration']] as const;

/** The page. */
export const runPage = (data: ReportPageData): string => {
  const { facts, history } = data, last = history.at(-1), commands = nextSteps(data), samples = samplesSection(data);
  return html`<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1"><meta name="color-scheme" content="light dark"><title>${facts.config.output}: a run of training</title>
<style>${raw(STYLE)}${raw(OWN_STYLE)}</style></head><body><nav><a class="home" href="#top">${facts.config.output}</a><div class="links">${SECTIONS.filter(([id]) => id !== 'samples' || samples !== undefined).map(([id, name]) => html`<a href="#${id}">${name}</a>`)}</div></nav>
<main id="top">${headline(data)}${samples}
<section id="loss"><h2>Loss</h2><p class="lead">The error of the velocity, each step in grey and its mean in colour, on a logarithmic axis; below it the learning rate.${last === undefined ? '' : ` At step ${showCount(last.step)} the gradient was ${last.gradientNorm.toPrecision(3)} long, the learning rate ${showRate(last.learningRate)}.`} Every step is in <code>metrics.jsonl</code>.</p>${lossPlot(history, facts.config.steps)}</section>
<section id="next"><h2>Next</h2><p class="lead">${data.checkpoint === undefined ? 'There is no checkpoint yet.' : html`The last checkpoint is <code>${data.checkpoint}</code>.`}</p>${commands.length === 0 ? undefined : html`<pre>${commands.join('\n')}</pre>`}</section>
${configSection(data)}
<footer>Made by <code>${facts.command}</code> with pixnerd ${facts.version} on ${facts.device}, Node ${facts.node}.</footer></main><script>${raw(SCRIPT)}</script></body></html>`.html;
};
