'use strict';
// What the two scripts share: running the cases of a phase, waiting, names.
// usage: SCRIPT PHASE ADDR...
const {randomBytes} = require('node:crypto');
const {isDeepStrictEqual, inspect} = require('node:util');

const [phase, ...addrs] = process.argv.slice(2);
const phases = {features: [], blocked: [], recovery: []};

exports.addrs = addrs;
exports.url = (i) => `amqp://guest:guest@${addrs[i % addrs.length]}/`;
exports.unique = (what) => `${what}-${randomBytes(4).toString('hex')}`;
exports.mark = (what) => console.log(`at ${what}`);
exports.add = (to, name, run) => phases[to].push([name, run]);

exports.same = (what, got, want) => {
  if (!isDeepStrictEqual(got, want)) throw new Error(`${what}: got ${inspect(got, {depth: 6})}, want ${inspect(want, {depth: 6})}`);
};

const pause = (ms) => new Promise((done) => setTimeout(done, ms));
exports.pause = pause;

exports.within = (what, promise, ms = 10000) => {
  let timer;
  const late = new Promise((_, fail) => { timer = setTimeout(() => fail(new Error(`not within ${ms} ms: ${what}`)), ms); });
  return Promise.race([promise, late]).finally(() => clearTimeout(timer));
};

// until asks again until it is so.
exports.until = async (what, so, ms = 10000) => {
  for (const end = Date.now() + ms; !(await so()); await pause(5)) {
    if (Date.now() > end) throw new Error(`never so: ${what}`);
  }
};

// Inbox keeps what callbacks bring until somebody asks for it.
exports.Inbox = class {
  items = [];
  waiting = [];
  put = (item) => {
    const next = this.waiting.shift();
    if (next) next(item);
    else this.items.push(item);
  };
  take(what = 'a delivery', ms) {
    if (this.items.length) return Promise.resolve(this.items.shift());
    return exports.within(what, new Promise((done) => this.waiting.push(done)), ms);
  }
};

exports.finish = async () => {
  let failed = false;
  const one = async ([name, run]) => {
    try {
      await exports.within('the case', run(), 90000);
      console.log(`ok ${name}`);
    } catch (e) {
      failed = true;
      const where = /\((?:.*\/)?(\w+\.js:\d+):\d+\)/.exec((e.stack || '').split('\n').filter((l) => !l.includes('harness.js')).join('\n'));
      console.log(`FAIL ${name}: ${String(e.message).replaceAll('\n', ' ')} (${where ? where[1] : '?'})`);
    }
  };
  if (phase === 'features') for (const c of phases[phase]) await one(c);
  else await Promise.all(phases[phase].map(one)); // what is done to the broker is done to all at once
  process.exit(failed ? 1 : 0);
};
