'use strict';
// amqplib's promise API.
const amqp = require('amqplib');
const {addrs, url, unique, mark, add, same, pause, within, until, Inbox, finish} = require('./harness');

const basicQos = (60 << 16) | 10; // its id, for what amqplib itself never sends

// A case with openers of channels on connections of their own, through two nodes.
function feature(name, f) {
  add('features', `promises_${name}`, async () => {
    const opened = [];
    const opener = (i) => async (kind = 'createChannel', options = '') => {
      const conn = await amqp.connect(url(i) + options);
      conn.on('error', () => {});
      opened.push(conn);
      const ch = await conn[kind]();
      ch.on('error', () => {});
      return ch;
    };
    try {
      await f(opener(0), opener(1));
    } finally {
      for (const conn of opened) await conn.close().catch(() => {}); // the case may have ended it
    }
  });
}

const text = (m) => m && m.content.toString();
const arrived = (ch, q, n) => until(`${n} messages in ${q}`, async () => (await ch.checkQueue(q)).messageCount === n);

async function refused(what, ch, act, code, reason) {
  const told = new Promise((done) => ch.once('error', done));
  await Promise.resolve(act()).catch(() => {}); // the event tells more
  const e = await within(`${what}: refusal`, told);
  same(`${what}: code`, e.code, code);
  if (!e.message.includes(reason)) throw new Error(`${what}: ${e.message}, want ${reason}`);
}

async function send(ch, exchange, key, bodies, options = {}) {
  for (const body of bodies) ch.publish(exchange, key, Buffer.from(body), {persistent: true, ...options});
  await within('confirms', ch.waitForConfirms());
}

feature('channel_errors', async (here, there) => {
  let ch = await here();
  await refused('no queue', ch, () => ch.checkQueue('nope'), 404, "NOT_FOUND - no queue 'nope' in vhost '/'");
  ch = await here();
  await refused('no exchange', ch, () => { ch.publish('nope', 'k', Buffer.from('x')); }, 404, "NOT_FOUND - no exchange 'nope' in vhost '/'");
  ch = await here();
  await refused('an unknown tag', ch, () => { ch.ack({fields: {deliveryTag: 7}}); }, 406, 'PRECONDITION_FAILED - unknown delivery tag 7');
  const q = unique('args');
  ch = await here();
  await ch.assertQueue(q, {durable: true});
  const other = await there();
  await refused('other arguments', other, () => other.assertQueue(q, {durable: false}), 406,
    `PRECONDITION_FAILED - inequivalent arg 'durable' for queue '${q}' in vhost '/': received 'false' but current is 'true'`);
  await ch.deleteQueue(q);
});

feature('connection_errors', async (here) => {
  // amqplib tells only that connection.close came in place of open-ok.
  for (const [address, reason] of [[url(0).replace('guest@', 'wrong@'), 'ACCESS_REFUSED'], [`${url(0)}nope`, 'ConnectionClose']]) {
    const e = await amqp.connect(address).then(() => new Error('connected'), (e) => e);
    if (!e.message.includes(reason)) throw new Error(`${e.message}, want ${reason}`);
  }
  const ch = await here();
  const closed = new Promise((done) => ch.connection.on('error', done));
  ch.connection.sendMethod(ch.ch, basicQos, {prefetchSize: 3, prefetchCount: 0, global: false});
  const e = await within('the end of the connection', closed);
  same('code', e.code, 540);
  if (!e.message.includes('NOT_IMPLEMENTED - prefetch_size!=0 (3)')) throw new Error(e.message);
});

feature('exchange_types_and_bindings', async (here, there) => {
  const ch = await here();
  const out = await there('createConfirmChannel');
  const kinds = {direct: ['k', {}, 'k', {}], fanout: ['', {}, 'any', {}], topic: ['*.b.#', {}, 'a.b', {}],
    headers: ['', {'x-match': 'all', n: 1, s: 'v'}, '', {headers: {n: 1, s: 'v'}}]};
  for (const [kind, [binding, args, key, options]] of Object.entries(kinds)) {
    const [x, second, lost] = [unique(kind), unique('second'), unique('lost')];
    await ch.assertExchange(lost, 'fanout', {durable: false});
    await ch.assertExchange(x, kind, {durable: true, alternateExchange: lost});
    await ch.assertExchange(second, 'fanout', {internal: true});
    const {queue: q} = await ch.assertQueue('', {exclusive: true});
    const {queue: rest} = await ch.assertQueue('', {exclusive: true});
    await ch.bindQueue(rest, lost, '');
    await ch.bindQueue(q, x, binding, args);
    await send(out, x, key, ['in'], options);
    same(kind, text(await ch.get(q, {noAck: true})), 'in');
    await ch.unbindQueue(q, x, binding, args);
    await send(out, x, key, ['out'], options);
    same(`${kind}, unbound`, [await ch.get(q), text(await ch.get(rest, {noAck: true}))], [false, 'out']);
    await ch.bindExchange(second, x, binding, args);
    await ch.bindQueue(q, second, '');
    await send(out, x, key, ['over'], options);
    same(`${kind}, over an exchange`, text(await ch.get(q, {noAck: true})), 'over');
    await ch.unbindExchange(second, x, binding, args);
    for (const e of [x, second, lost]) await ch.deleteExchange(e);
  }
});

feature('confirms_and_returns', async (here, there) => {
  const ch = await here('createConfirmChannel');
  const q = unique('confirms');
  await ch.assertQueue(q, {durable: true, arguments: {'x-queue-type': 'quorum'}});
  let acked = 0;
  for (let i = 0; i < 500; i++) ch.sendToQueue(q, Buffer.from(String(i)), {persistent: true}, (err) => { if (!err) acked++; });
  await within('confirms', ch.waitForConfirms());
  same('acked', acked, 500);
  same('messages', (await (await there()).purgeQueue(q)).messageCount, 500);
  const events = new Inbox();
  ch.on('return', (m) => events.put([m.fields.replyCode, m.fields.replyText, text(m)]));
  ch.publish('amq.direct', unique('nowhere'), Buffer.from('lost'), {mandatory: true}, () => events.put('ack'));
  same('events', [await events.take(), await events.take()], [[312, 'NO_ROUTE', 'lost'], 'ack']);
  await ch.deleteQueue(q);
  await ch.assertQueue(q, {maxLength: 1, overflow: 'reject-publish', arguments: {'x-overflow': 'reject-publish'}});
  await send(ch, '', q, ['one']);
  const err = await new Promise((done) => ch.sendToQueue(q, Buffer.from('two'), {}, done));
  same('nacked', err && err.message, 'message nacked');
  await ch.deleteQueue(q);
});

feature('consume_settle_cancel', async (here, there) => {
  const ch = await here();
  const admin = await there('createConfirmChannel');
  const q = unique('consume');
  await ch.assertQueue(q, {durable: true});
  await send(admin, '', q, ['a', 'b', 'c', 'd']);
  await ch.prefetch(2);
  const inbox = new Inbox();
  const {consumerTag} = await ch.consume(q, inbox.put);
  const got = [await inbox.take(), await inbox.take()];
  await arrived(admin, q, 2);
  ch.ack(got[1], true);
  got.push(await inbox.take(), await inbox.take());
  ch.reject(got[2], false);
  ch.nack(got[3], false, true);
  got.push(await inbox.take());
  same('deliveries', got.map((m) => [text(m), m.fields.redelivered]), [['a', false], ['b', false], ['c', false], ['d', false], ['d', true]]);
  await ch.cancel(consumerTag);
  await ch.recover();
  await arrived(admin, q, 1);
  ch.nackAll(true);
  await ch.consume(q, inbox.put, {consumerTag: 'mine', priority: 5});
  same('again', text(await inbox.take()), 'd');
  await admin.deleteQueue(q);
  same('cancelled by the broker', await inbox.take(), null);
});

feature('prefetch_of_the_channel', async (here, there) => {
  const ch = await here();
  const admin = await there('createConfirmChannel');
  const q = unique('global');
  await ch.assertQueue(q);
  await send(admin, '', q, ['a', 'b', 'c', 'd', 'e']);
  await ch.prefetch(3, true);
  const got = [];
  for (const _ of [1, 2]) await ch.consume(q, (m) => m && got.push(m));
  await until('three', () => got.length === 3);
  await arrived(admin, q, 2);
  same('deliveries', got.map(text), ['a', 'b', 'c']);
  ch.ackAll();
  await until('five', () => got.length === 5);
  await admin.deleteQueue(q);
});

feature('headers_of_all_types', async (here, there) => {
  const headers = {
    int: -7, short: 300, octet: 5, long: 1099511627776, negative: -1099511627776, double: 0.1, true: true, false: false, null: null, text: 'grüße', empty: '',
    bytes: Buffer.from([0, 255]), time: {'!': 'timestamp', value: 1700000000}, decimal: {'!': 'decimal', value: {digits: 314, places: 2}},
    float: {'!': 'float', value: 0.5}, list: [1, 'two', [null, {x: false}]], table: {deep: {er: [true]}},
  };
  const properties = {contentType: 'c', contentEncoding: 'e', headers, deliveryMode: 2, priority: 3, correlationId: 'i', replyTo: 'r',
    expiration: '99999', messageId: 'm', timestamp: 1700000000, type: 't', userId: 'guest', appId: 'a'};
  const ch = await here();
  const q = unique('types');
  await ch.assertQueue(q);
  await send(await there('createConfirmChannel'), '', q, [Buffer.from([0, 255])], properties);
  const m = await ch.get(q, {noAck: true});
  same('body', [...m.content], [0, 255]);
  const want = {...headers, float: 0.5};
  same('headers', m.properties.headers, want);
  same('properties', {...m.properties}, {...properties, headers: want, clusterId: undefined});
  await ch.deleteQueue(q);
});

feature('priorities_ttl_and_dead_letters', async (here, there) => {
  const ch = await here();
  const out = await there('createConfirmChannel');
  const [dead, q] = [unique('dead'), unique('mortal')];
  await ch.assertQueue(dead);
  await ch.assertQueue(q, {maxPriority: 9, deadLetterExchange: '', deadLetterRoutingKey: dead, messageTtl: 60000, maxLength: 3});
  for (const [body, priority] of [['a', 1], ['b', 9], ['c', 5]]) await send(out, '', q, [body], {priority});
  same('order', [await ch.get(q, {noAck: true}), await ch.get(q, {noAck: true}), await ch.get(q, {noAck: true})].map(text), ['b', 'c', 'a']);
  await send(out, '', q, ['short'], {expiration: '20'});
  await arrived(out, dead, 1);
  let m = await ch.get(dead, {noAck: true});
  const {time, ...death} = m.properties.headers['x-death'][0];
  same('x-death', death, {count: 1, reason: 'expired', queue: q, exchange: '', 'routing-keys': [q], 'original-expiration': '20'});
  if (time['!'] !== 'timestamp' || Math.abs(time.value - Date.now() / 1000) > 120) throw new Error(`time of death ${JSON.stringify(time)}`);
  same('expiration', m.properties.expiration, undefined);
  await send(out, '', q, ['1', '2', '3', '4']);
  await arrived(out, dead, 1);
  m = await ch.get(dead, {noAck: true});
  same('over the limit', [text(m), m.properties.headers['x-first-death-reason']], ['1', 'maxlen']);
  ch.reject(await ch.get(q), false);
  await arrived(out, dead, 1);
  await ch.deleteQueue(q);
  await ch.deleteQueue(dead);
});

feature('queue_expires', async (here) => {
  const ch = await here();
  const q = unique('expires');
  await ch.assertQueue(q, {expires: 100});
  await until('it is gone', async () => {
    const probe = await here();
    return probe.bindQueue(q, 'amq.direct', 'k').then(() => false, () => true); // a bind is no use of the queue
  });
});

feature('direct_reply_to', async (here, there) => {
  const server = await here();
  const client = await there();
  const {queue} = await server.assertQueue('', {exclusive: true});
  await server.consume(queue, (m) => {
    server.sendToQueue(m.properties.replyTo, Buffer.from(`re: ${m.content}`), {correlationId: m.properties.correlationId});
    server.ack(m);
  });
  const replies = new Inbox();
  await client.consume('amq.rabbitmq.reply-to', replies.put, {noAck: true});
  client.sendToQueue(queue, Buffer.from('question'), {replyTo: 'amq.rabbitmq.reply-to', correlationId: '42'});
  const m = await replies.take('the reply');
  same('reply', [m.properties.correlationId, text(m)], ['42', 're: question']);
});

feature('cc_and_bcc', async (here, there) => {
  const ch = await here();
  const queues = [];
  for (const _ of 'abc') queues.push((await ch.assertQueue('', {exclusive: true})).queue);
  await send(await there('createConfirmChannel'), '', queues[0], ['x'], {CC: queues[1], BCC: [queues[2]]});
  for (const q of queues) same(q, (await ch.get(q, {noAck: true})).properties.headers, {CC: [queues[1]]});
});

feature('heartbeats', async (here) => {
  const ch = await here('createChannel', '?heartbeat=1');
  await pause(3500); // an idle time is what this is about
  await ch.assertQueue('', {exclusive: true});
});

feature('large_messages', async (here, there) => {
  const ch = await here();
  const q = unique('large');
  await ch.assertQueue(q);
  const body = Buffer.alloc(8 << 20, 'warren\u0000\xce');
  await send(await there('createConfirmChannel'), '', q, [body]);
  const m = await ch.get(q, {noAck: true});
  if (!m.content.equals(body)) throw new Error('the body has changed');
  await ch.deleteQueue(q);
  const small = await here('createConfirmChannel', '?frameMax=4096');
  const {queue} = await small.assertQueue('', {exclusive: true});
  await send(small, '', queue, [body.subarray(0, 50001)]);
  if (!(await small.get(queue, {noAck: true})).content.equals(body.subarray(0, 50001))) throw new Error('the body has changed in small frames');
});

feature('update_secret', async () => {
  const conn = await amqp.connect(url(0));
  const ok = new Promise((done) => conn.once('update-secret-ok', done));
  await conn.updateSecret(Buffer.from('guest'), 'rotation');
  await within('update-secret-ok', ok);
  await conn.close();
});

add('blocked', 'promises_connection_blocked', async () => {
  const conn = await amqp.connect(url(2));
  const told = new Inbox();
  conn.on('blocked', told.put);
  conn.on('unblocked', () => told.put('unblocked'));
  const ch = await conn.createConfirmChannel();
  const q = unique('blocked');
  await ch.assertQueue(q);
  await send(ch, '', q, ['before']);
  mark('publishing');
  const trying = await conn.createChannel();
  await until('blocked', () => { trying.sendToQueue(q, Buffer.from('x')); return told.items.length > 0; }, 30000);
  const reason = await told.take();
  if (!['low on memory', 'low on disk', 'low on disk & memory'].includes(reason)) throw new Error(`reason ${reason}`);
  mark('blocked');
  same('then', await told.take('unblocked', 30000), 'unblocked');
  await send(ch, '', q, ['after']);
  if ((await ch.deleteQueue(q)).messageCount < 2) throw new Error('messages are missing');
  await conn.close();
});

// The recipe: connect to the next address, declare, consume, and publish again what was not confirmed.
add('recovery', 'promises_recipe_recovers_when_its_node_is_killed', async () => {
  const q = unique('recovery');
  const got = new Set();
  const confirmed = new Set();
  let lost = 0;
  let n = 0;
  const total = 300;
  const end = Date.now() + 60000;
  for (let node = 0; ; node++) {
    if (Date.now() > end) throw new Error(`after a minute: ${n} sent, ${confirmed.size} confirmed, ${lost} connections lost`);
    let gone = false;
    try {
      const conn = await within('connect', amqp.connect(url(node)), 3000);
      conn.on('error', () => {});
      conn.on('close', () => { gone = true; });
      const ch = await conn.createConfirmChannel();
      ch.on('error', () => { gone = true; });
      await within('declare', ch.assertQueue(q, {arguments: {'x-queue-type': 'quorum'}}), 5000);
      await ch.prefetch(20);
      await ch.consume(q, (m) => {
        if (!m) { gone = true; return; }
        got.add(Number(text(m)));
        if (!gone) ch.ack(m);
      });
      while (!gone && (lost === 0 || confirmed.size < total)) {
        const i = ++n;
        await within('a confirm', new Promise((done, fail) => {
          ch.once('close', () => fail(new Error('closed')));
          ch.sendToQueue(q, Buffer.from(String(i)), {persistent: true}, (err) => (err ? fail(err) : done()));
        }), 5000);
        ch.removeAllListeners('close');
        confirmed.add(i);
        if (i === 50) mark('running');
        if (lost === 0) await pause(5); // the pace of the publisher
      }
      if (!gone) {
        await until('all have arrived', () => gone || [...confirmed].every((i) => got.has(i)), 30000);
        if (!gone) {
          await ch.deleteQueue(q);
          await conn.close();
          return;
        }
      }
    } catch {
      await pause(20);
    }
    if (gone) lost++;
  }
});

add('recovery', 'promises_recovery_option_reconnects_when_its_node_is_killed', async () => {
  // The option of amqplib has one address; it comes back when that node does, which the next-address recipe above need not wait for.
  const q = unique('option');
  const got = new Inbox();
  const conn = await amqp.connect(url(0), {recovery: {
    initialDelay: 50, maxDelay: 200,
    async setup(model) {
      const ch = await model.createChannel();
      ch.on('error', () => {});
      await ch.assertQueue(q, {arguments: {'x-queue-type': 'quorum'}});
      await ch.consume(q, (m) => m && got.put(text(m)), {noAck: true});
    },
  }});
  conn.on('error', () => {});
  const disconnected = new Promise((done) => conn.once('disconnect', done));
  mark('option running');
  await within('the loss of the connection', disconnected, 60000);
  const again = new Promise((done) => conn.once('connect', done));
  await within('the connection', again, 60000);
  const ch = await conn.createConfirmChannel();
  await send(ch, '', q, ['after']);
  same('delivery', await got.take(), 'after');
  await ch.deleteQueue(q);
  await conn.close();
});

finish();
