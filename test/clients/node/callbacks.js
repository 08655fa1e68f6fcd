'use strict';
// amqplib's callback API: the same wire, other code above it.
const amqp = require('amqplib/callback_api');
const {promisify} = require('node:util');
const {url, unique, mark, add, same, within, until, Inbox, finish} = require('./harness');

const connect = promisify(amqp.connect);

// call is one operation whose last argument is a callback.
const call = (on, method, ...args) => within(method, new Promise((done, fail) => on[method](...args, (err, ok) => (err ? fail(err) : done(ok)))));

function feature(name, f) {
  add('features', `callbacks_${name}`, async () => {
    const conns = await Promise.all([connect(url(0)), connect(url(1))]);
    conns.forEach((c) => c.on('error', () => {}));
    try {
      await f(...conns);
    } finally {
      for (const c of conns) await new Promise((done) => { try { c.close(done); } catch { done(); } });
    }
  });
}

feature('publish_and_get', async (here, there) => {
  const ch = await call(here, 'createChannel');
  const out = await call(there, 'createConfirmChannel');
  const q = unique('get');
  same('declared', await call(ch, 'assertQueue', q, {durable: true}), {queue: q, messageCount: 0, consumerCount: 0});
  same('empty', await call(ch, 'get', q, {}), false);
  await new Promise((done, fail) => out.sendToQueue(q, Buffer.from('x'), {persistent: true}, (err) => (err ? fail(err) : done())));
  const m = await call(ch, 'get', q, {});
  same('message', [m.content.toString(), m.fields.messageCount, m.fields.redelivered], ['x', 0, false]);
  ch.nack(m);
  await until('it is back', async () => (await call(ch, 'checkQueue', q)).messageCount === 1);
  same('purged', (await call(ch, 'purgeQueue', q)).messageCount, 1);
  same('deleted', (await call(ch, 'deleteQueue', q, {})).messageCount, 0);
});

feature('consume_and_cancel', async (here, there) => {
  const ch = await call(here, 'createChannel');
  const out = await call(there, 'createConfirmChannel');
  const {queue} = await call(ch, 'assertQueue', '', {exclusive: true});
  await call(ch, 'assertExchange', 'amq.topic', 'topic', {});
  await call(ch, 'bindQueue', queue, 'amq.topic', `${queue}.#`, {});
  await call(ch, 'prefetch', 1, false).catch(() => {});
  const got = new Inbox();
  const {consumerTag} = await call(ch, 'consume', queue, got.put, {});
  for (const body of ['a', 'b', 'c']) out.publish('amq.topic', `${queue}.k`, Buffer.from(body));
  await call(out, 'waitForConfirms');
  for (const body of ['a', 'b', 'c']) {
    const m = await got.take();
    same('delivery', m.content.toString(), body);
    ch.ack(m);
  }
  same('cancelled', await call(ch, 'cancel', consumerTag), {consumerTag});
  await call(ch, 'unbindQueue', queue, 'amq.topic', `${queue}.#`, {});
});

feature('confirms_in_bulk', async (here) => {
  const ch = await call(here, 'createConfirmChannel');
  const q = unique('bulk');
  await call(ch, 'assertQueue', q, {});
  let acked = 0;
  for (let i = 0; i < 300; i++) ch.sendToQueue(q, Buffer.from(String(i)), {}, (err) => { if (!err) acked++; });
  await call(ch, 'waitForConfirms');
  same('acked', acked, 300);
  const back = new Inbox();
  ch.on('return', (m) => back.put(m.fields.replyText));
  ch.publish('', unique('nowhere'), Buffer.from('x'), {mandatory: true}, () => back.put('ack'));
  same('return', [await back.take(), await back.take()], ['NO_ROUTE', 'ack']);
  same('messages', (await call(ch, 'deleteQueue', q, {})).messageCount, 300);
});

feature('errors', async (here) => {
  const ch = await call(here, 'createChannel');
  const told = new Inbox();
  ch.on('error', told.put);
  ch.on('close', () => told.put('closed'));
  const failure = await call(ch, 'checkQueue', 'nope').then(() => null, (e) => e);
  if (!/404 \(NOT-FOUND\)/.test(failure?.message)) throw new Error(`got ${failure?.message}`);
  const e = await told.take();
  same('code', e.code, 404);
  if (!e.message.includes("NOT_FOUND - no queue 'nope' in vhost '/'")) throw new Error(e.message);
  same('then', await told.take(), 'closed');
  const again = await call(here, 'createChannel');
  await call(again, 'checkExchange', 'amq.fanout');
});

feature('exchange_to_exchange', async (here, there) => {
  const ch = await call(here, 'createChannel');
  const out = await call(there, 'createConfirmChannel');
  const [x, y] = [unique('x'), unique('y')];
  await call(ch, 'assertExchange', x, 'direct', {});
  await call(ch, 'assertExchange', y, 'fanout', {autoDelete: true});
  await call(ch, 'bindExchange', y, x, 'k', {});
  const {queue} = await call(ch, 'assertQueue', '', {exclusive: true});
  await call(ch, 'bindQueue', queue, y, '', {});
  out.publish(x, 'k', Buffer.from('over'));
  await call(out, 'waitForConfirms');
  same('message', (await call(ch, 'get', queue, {noAck: true})).content.toString(), 'over');
  await call(ch, 'unbindExchange', y, x, 'k', {});
  await call(ch, 'deleteExchange', x, {});
});

add('blocked', 'callbacks_connection_blocked', async () => {
  const conn = await connect(url(0));
  const told = new Inbox();
  conn.on('blocked', told.put);
  conn.on('unblocked', () => told.put('unblocked'));
  const ch = await call(conn, 'createConfirmChannel');
  const q = unique('blocked');
  await call(ch, 'assertQueue', q, {});
  ch.sendToQueue(q, Buffer.from('before'));
  await call(ch, 'waitForConfirms');
  mark('publishing');
  const trying = await call(conn, 'createChannel');
  await until('blocked', () => { trying.sendToQueue(q, Buffer.from('x')); return told.items.length > 0; }, 30000);
  const reason = await told.take();
  if (!/^low on (memory|disk)/.test(reason)) throw new Error(`reason ${reason}`);
  mark('blocked');
  same('then', await told.take('unblocked', 30000), 'unblocked');
  await call(ch, 'deleteQueue', q, {});
  await call(conn, 'close');
});

add('recovery', 'callbacks_recovery_option_reconnects_when_its_node_is_killed', async () => {
  const q = unique('option');
  const got = new Inbox();
  const conn = await promisify(amqp.connect)(url(0), {recovery: {
    initialDelay: 50, maxDelay: 200,
    setup(model, done) {
      model.createChannel((err, ch) => {
        if (err) return done(err);
        ch.on('error', () => {});
        ch.assertQueue(q, {arguments: {'x-queue-type': 'quorum'}}, (err) => {
          if (err) return done(err);
          ch.consume(q, (m) => m && got.put(m.content.toString()), {noAck: true}, done);
        });
      });
    },
  }});
  conn.on('error', () => {});
  const disconnected = new Promise((done) => conn.once('disconnect', done));
  mark('running');
  await within('the loss of the connection', disconnected, 60000);
  await within('the connection', new Promise((done) => conn.once('connect', done)), 60000);
  const ch = await call(conn, 'createConfirmChannel');
  ch.sendToQueue(q, Buffer.from('after'));
  await call(ch, 'waitForConfirms');
  same('delivery', await got.take(), 'after');
  await call(ch, 'deleteQueue', q, {});
  await call(conn, 'close');
});

finish();
