/** The style sheet of the page. Colours of the three bounds are the same everywhere; `--mark` is that of a row on the chosen adapter. */
export const STYLE = `
:root{color-scheme:light dark;--ink:#1c2024;--soft:#5b6570;--faint:#8a939d;--line:#e3e6ea;--paper:#fff;--ground:#f6f7f9;--code:#f1f3f6;--accent:#2456c7;
--arithmetic:#c2580c;--memory:#0f7b83;--launch:#7a7f87;--keyword:#8a2be2;--type:#0f6f78;--number:#b4470b;--comment:#7a838d;
--sans:system-ui,-apple-system,"Segoe UI",Roboto,"Helvetica Neue",Arial,sans-serif;--mono:ui-monospace,"SF Mono","Cascadia Code",Menlo,Consolas,"DejaVu Sans Mono",monospace}
@media(prefers-color-scheme:dark){:root{--ink:#e6e9ec;--soft:#a2abb5;--faint:#78828d;--line:#2c3238;--paper:#171a1e;--ground:#101316;--code:#1f2429;--accent:#8ab0ff;
--arithmetic:#f0914a;--memory:#45b8c0;--launch:#8d949d;--keyword:#c792ea;--type:#6fd3da;--number:#f2a26b;--comment:#7f8a95}}
*{box-sizing:border-box}
html{scroll-padding-top:64px;scroll-behavior:smooth}
@media(prefers-reduced-motion:reduce){html{scroll-behavior:auto}}
body{margin:0;background:var(--ground);color:var(--ink);font:16px/1.55 var(--sans);-webkit-text-size-adjust:100%}
main{max-width:1160px;margin:0 auto;padding:24px 20px 80px}
a{color:var(--accent);text-decoration:none}a:hover{text-decoration:underline}
code,q{font-family:var(--mono);font-size:.86em}q{quotes:none;color:var(--soft)}
nav{position:sticky;top:0;z-index:5;display:flex;flex-wrap:wrap;gap:6px 22px;align-items:center;padding:8px 20px;background:color-mix(in srgb,var(--paper) 92%,transparent);backdrop-filter:blur(8px);border-bottom:1px solid var(--line)}
nav .home{font-weight:680;color:var(--ink)}nav .links{display:flex;gap:16px;overflow-x:auto;font-size:14.5px}nav .links a{color:var(--soft);white-space:nowrap}
.picker{display:flex;align-items:center;margin:0 0 0 auto;padding:2px;border:1px solid var(--line);border-radius:9px;font-size:13px;background:var(--ground);max-width:100%;overflow-x:auto}
.picker legend{float:left;padding:0 8px;color:var(--faint)}.picker input{position:absolute;opacity:0;pointer-events:none}
.picker span{display:block;padding:3px 10px;border-radius:7px;cursor:pointer;color:var(--soft);white-space:nowrap}
.picker input:checked+span{background:var(--paper);color:var(--ink);box-shadow:0 1px 3px #0003}.picker input:focus-visible+span{outline:2px solid var(--accent)}
header{padding:26px 0 6px}.eyebrow{margin:0;color:var(--soft)}
h1{margin:0 0 12px;font-size:clamp(30px,6vw,46px);line-height:1.1;letter-spacing:-.02em;font-weight:720;overflow-wrap:anywhere}
h2{margin:0;font-size:25px;letter-spacing:-.012em;line-height:1.25;font-weight:680}h3{margin:26px 0 10px;font-size:16px;font-weight:650}
.about,.lead{max-width:74ch;margin:0 0 14px}.lead{color:var(--soft);margin-top:6px}
.about code{background:var(--code);padding:1px 5px;border-radius:4px;overflow-wrap:anywhere}
section{margin-top:58px}
.tiles{display:grid;grid-template-columns:repeat(6,1fr);gap:12px;margin:24px 0}@media(max-width:1080px){.tiles{grid-template-columns:repeat(3,1fr)}}
.tile{padding:14px 16px;background:var(--paper);border:1px solid var(--line);border-radius:12px}.tile dt{color:var(--soft);font-size:14px}.tile dd{margin:0}
.tile strong{display:block;font-size:23px;line-height:1.25;font-weight:680;letter-spacing:-.015em;white-space:nowrap}.tile dd>span{color:var(--faint);font-size:13px;line-height:1.35;display:block}
.budget p{margin:0 0 8px;color:var(--soft)}.budget strong{color:var(--ink);font-weight:600}
.stack{display:flex;height:18px;gap:2px;border-radius:6px;overflow:hidden}.part{min-width:3px}
.part.arithmetic,.fill.arithmetic{background:var(--arithmetic)}.part.memory,.fill.memory{background:var(--memory)}.part.launch,.fill.launch{background:var(--launch)}
.m0{background:#5b74b8}.m1{background:#d09a2c}.m2{background:#8c6bb1}.m3{background:#6f9a5b}
.legend{display:flex;flex-wrap:wrap;gap:4px 22px;margin:9px 0 0;padding:0;list-style:none;font-size:14px;color:var(--soft)}.legend strong{color:var(--ink);font-weight:600}
.swatch{display:inline-block;width:11px;height:11px;border-radius:3px;margin-right:7px}
#guide summary{cursor:pointer;list-style-position:outside}#guide summary h2{display:inline}
.guide{display:grid;grid-template-columns:repeat(auto-fill,minmax(310px,1fr));gap:16px 30px;margin:16px 0 0}.guide dt{font-weight:620}.guide dd{margin:2px 0 0;color:var(--soft);font-size:15px}
.bound{display:inline-block;padding:0 8px;border-radius:20px;font-size:12.5px;line-height:20px;font-weight:560;white-space:nowrap;color:var(--c);background:color-mix(in srgb,var(--c) 14%,transparent)}
.bound.arithmetic{--c:var(--arithmetic)}.bound.memory{--c:var(--memory)}.bound.launch{--c:var(--launch)}
.num{font-variant-numeric:tabular-nums;white-space:nowrap}
.bar{display:inline-block;flex:none;width:90px;height:9px;border-radius:5px;background:color-mix(in srgb,var(--line) 75%,transparent);overflow:hidden;vertical-align:middle}.fill{display:block;height:100%;min-width:1.5px;border-radius:5px}
.kernel{font-family:var(--mono);font-size:13px;font-variant-numeric:tabular-nums}
.block{background:var(--paper);border:1px solid var(--line);border-radius:12px;margin:10px 0}
.block>summary{display:flex;flex-wrap:wrap;gap:2px 18px;align-items:center;padding:11px 16px;cursor:pointer;list-style:none}.block>summary::-webkit-details-marker{display:none}
.block>summary::before{content:"";width:7px;height:7px;border:solid var(--faint);border-width:0 2px 2px 0;transform:rotate(-45deg);transition:transform .12s;margin-right:-6px}.block[open]>summary::before{transform:rotate(45deg)}
.title{font-weight:600}.title code{font-size:15px}.badge{display:inline-block;margin-left:6px;padding:0 9px;border-radius:20px;background:color-mix(in srgb,var(--accent) 13%,transparent);color:var(--accent);font-size:12.5px;line-height:21px}
.facts{color:var(--soft);font-size:14px}.block>summary .times{margin-left:auto}
.times{font-size:13.5px;color:var(--soft)}.times .on{display:flex;gap:10px;align-items:center}.times .share{width:50px;text-align:right;color:var(--ink)}.times .time{width:66px;text-align:right}
.part-about{flex:0 0 100%;padding-left:19px;color:var(--soft);font-size:14.5px}
.flow{position:relative;padding:2px 16px 12px 10px;border-top:1px solid var(--line)}.flow ol{margin:0 0 0 84px;padding:0;list-style:none}
.arcs{position:absolute;left:10px;top:2px;overflow:visible}.arc{fill:none;stroke:var(--accent);stroke-width:1.6;opacity:.5}.arc:hover,.stub:hover{opacity:1;stroke-width:3}.stub{fill:none;stroke:var(--faint);stroke-width:1.4;stroke-dasharray:3 3;opacity:.8}.knot{fill:var(--paper);stroke:var(--accent);stroke-width:1.8}
.row{display:flex;gap:12px;align-items:center;height:34px;white-space:nowrap;border-bottom:1px solid color-mix(in srgb,var(--line) 60%,transparent)}.row:last-child{border-bottom:0}
.row .kernel{width:42px;flex:none;border-left:3px solid var(--mark);padding-left:7px}.row .inside{flex:none;min-width:150px;font-family:var(--mono);font-size:13px;color:var(--soft)}.row .what{flex:1;overflow:hidden;text-overflow:ellipsis;font-size:14.5px}
.others{padding:8px 16px 12px;border-top:1px solid var(--line);font-size:14px;color:var(--soft)}.others summary{cursor:pointer}.others ul{margin:8px 0 0;padding:0;list-style:none;columns:2 380px}.others li{break-inside:avoid;padding:2px 0}
.tools{display:flex;flex-wrap:wrap;gap:8px 24px;align-items:center;margin:0 0 10px;font-size:14.5px}.find{margin-left:auto}input[type=search]{font:inherit;padding:4px 10px;border:1px solid var(--line);border-radius:8px;background:var(--paper);color:inherit;width:210px}
.scroll{overflow:auto;max-height:min(74vh,900px);background:var(--paper);border:1px solid var(--line);border-radius:12px}
table{border-collapse:separate;border-spacing:0;width:100%;font-size:14px}th{position:sticky;top:0;z-index:1;background:var(--paper);text-align:left;font-weight:560;color:var(--soft);border-bottom:1px solid var(--line);padding:8px 9px;white-space:nowrap}
th button{all:unset;cursor:pointer}th button:hover{color:var(--ink)}th button:focus-visible{outline:2px solid var(--accent)}th[aria-sort] button{color:var(--ink)}th[aria-sort=descending] button::after{content:" ↓"}th[aria-sort=ascending] button::after{content:" ↑"}
td{padding:5px 9px;border-bottom:1px solid color-mix(in srgb,var(--line) 55%,transparent);vertical-align:middle}tbody tr:hover td{background:color-mix(in srgb,var(--accent) 5%,transparent)}tr[data-kernel]{cursor:pointer}
td.num,th.num,.col-flops,.col-bytes,.col-intensity,.col-time{text-align:right}td:first-child{white-space:nowrap}td.where{font-family:var(--mono);font-size:13px;color:var(--soft);white-space:nowrap}td.what{min-width:190px}
.count{margin-left:6px;color:var(--faint);font-size:13px}.shares{white-space:nowrap}.shares .bar{width:48px}.shares .share{display:inline-block;width:50px;text-align:right;margin-right:8px}
:root:has(#fold:checked) .again,:root:has(#fold:not(:checked)) .folded,:root:has(#fold:checked) .unfolded,:root:has(#fold:not(:checked)) .count{display:none}tr.unmatched{display:none}
.plot{display:block;width:100%;height:auto;background:var(--paper);border:1px solid var(--line);border-radius:12px;font-family:var(--sans)}
.grid{stroke:var(--line);stroke-width:1}.tick{fill:var(--faint);font-size:12px}.axis{fill:var(--soft);font-size:13px}.note{fill:var(--soft);font-size:13px}.roof{fill:none;stroke:var(--ink);stroke-width:2;stroke-linejoin:round}
.dot{stroke:var(--paper);stroke-width:1.2;fill-opacity:.62;cursor:pointer}.dot:hover{fill-opacity:1}.dot.arithmetic{fill:var(--arithmetic)}.dot.memory{fill:var(--memory)}.dot.launch{fill:var(--launch)}.rank{fill:var(--ink);font-size:13px;font-weight:680;pointer-events:none}.leader{stroke:var(--faint);stroke-width:1}
.ranks{margin:14px 0 0;padding-left:26px;font-size:14.5px}.ranks li{padding:2px 0}.ranks li::marker{font-weight:650}.ranks strong{font-weight:620;font-variant-numeric:tabular-nums}
.live{fill:#d09a2c;fill-opacity:.75}.always{fill:#6f9a5b;fill-opacity:.8}.planned{stroke:var(--soft);stroke-dasharray:5 4;fill:none}.band0{fill:var(--code);opacity:.9}.band1{fill:var(--code);opacity:.35}.hover{fill:transparent}.hover:hover{fill:color-mix(in srgb,var(--accent) 30%,transparent)}
.reasons{padding:0;margin:14px 0 0;list-style:none;display:grid;gap:10px}.reason{background:var(--paper);border:1px solid var(--line);border-radius:12px;padding:12px 16px}.reason p{margin:0;max-width:82ch}.reason .facts{margin-top:5px}.reason .bar{margin-right:10px}.reason .facts strong{color:var(--ink);font-weight:600}
.reason details{margin-top:6px;font-size:14px}.reason summary{cursor:pointer;color:var(--soft)}.pairs{margin:8px 0 0;padding:0;list-style:none}.pairs li{padding:2px 0}.pairs span{color:var(--soft)}
footer{margin-top:64px;color:var(--faint);font-size:14px}.noscript{text-align:center;color:var(--soft)}
dialog{width:min(880px,100vw);height:100vh;max-height:none;max-width:none;margin:0 0 0 auto;border:0;padding:0;background:var(--paper);color:var(--ink);box-shadow:-12px 0 50px #0005}dialog::backdrop{background:#0006}
.sheet{padding:20px 26px 60px}.sheet header{display:flex;align-items:flex-start;gap:12px;padding:0 0 6px}.sheet h2{overflow-wrap:anywhere;flex:1}.sheet h2 small{display:block;font:14px/1.5 var(--mono);color:var(--soft);letter-spacing:0}
.sheet button{font:inherit;font-size:14px;padding:4px 11px;border:1px solid var(--line);border-radius:8px;background:var(--ground);color:var(--ink);cursor:pointer}.sheet h3{margin:24px 0 8px}
.sheet .facts{margin:2px 0 0}.sheet pre{margin:0;padding:12px 14px;background:var(--code);border-radius:10px;overflow:auto;font:12.8px/1.5 var(--mono);max-height:62vh;tab-size:2}
.sheet table{font-size:13.5px}.sheet td,.sheet th{padding:4px 8px;overflow-wrap:anywhere}.sheet .num{white-space:nowrap}.sheet ul{margin:0;padding:0;list-style:none}.sheet li{padding:4px 0}.sheet .why{color:var(--soft)}
.source{display:grid;grid-template-columns:minmax(0,1fr);margin-bottom:8px}.source .at{font:13px/1.5 var(--mono);color:var(--soft)}.source pre{padding:7px 12px}
.sheet summary{cursor:pointer;color:var(--soft);font-size:14px;margin:2px 0 6px}
.graph{margin:0;padding:4px 16px 14px;list-style:none;border-top:1px solid var(--line);overflow-x:auto;font:12.8px/1.75 var(--mono);white-space:nowrap}.graph li:target{background:color-mix(in srgb,var(--accent) 14%,transparent)}.graph .type{color:var(--type)}.graph .attributes{color:var(--faint)}.graph .stored{font-weight:700}.graph .op{color:var(--keyword)}.graph li{display:flex;gap:24px}.graph .homes{margin-left:auto}
.t-k{color:var(--keyword)}.t-t{color:var(--type)}.t-n{color:var(--number)}.t-c{color:var(--comment)}
#tip{position:fixed;z-index:20;max-width:420px;padding:7px 11px;border-radius:8px;background:#1c2024;color:#f3f5f7;font-size:13px;line-height:1.4;white-space:pre-line;pointer-events:none;box-shadow:0 4px 18px #0006}
@media(max-width:760px){main{padding:12px 14px 60px}section{margin-top:44px}.picker{margin-left:0}.picker legend{display:none}.row .inside{min-width:0;max-width:96px;overflow:hidden;text-overflow:ellipsis}.row .times .bar,.row .times .time{display:none}.flow{padding-right:10px}.block>summary .times{margin-left:0}.col-intensity,td:nth-child(6){display:none}.sheet{padding:14px 14px 50px}.find{margin-left:0}.tile strong{font-size:22px}.tiles{grid-template-columns:repeat(2,1fr)}}
@media(max-width:520px){.flow ol{margin-left:60px}.arcs{left:-16px}}
@media print{nav,.tools{display:none}.scroll{max-height:none}}
`;
