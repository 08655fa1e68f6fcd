<?php
// php-amqplib.
// usage: amqplib.php PHASE ADDR...
declare(strict_types=1);
error_reporting(E_ALL & ~E_DEPRECATED); // Debian's php-amqplib is of PHP 8.0's time
require '/usr/share/php/PhpAmqpLib/autoload.php';

use PhpAmqpLib\Channel\AMQPChannel;
use PhpAmqpLib\Connection\AbstractConnection;
use PhpAmqpLib\Connection\AMQPStreamConnection;
use PhpAmqpLib\Exception\AMQPBasicCancelException;
use PhpAmqpLib\Exception\AMQPConnectionClosedException;
use PhpAmqpLib\Exception\AMQPExceptionInterface;
use PhpAmqpLib\Exception\AMQPProtocolChannelException;
use PhpAmqpLib\Exception\AMQPTimeoutException;
use PhpAmqpLib\Message\AMQPMessage;
use PhpAmqpLib\Wire\AMQPAbstractCollection;
use PhpAmqpLib\Wire\AMQPTable;

$phase = $argv[1];
$addrs = array_map(fn ($a) => explode(':', $a), array_slice($argv, 2));
$opened = [];

function connect(int $i, int $heartbeat = 0, string $password = 'guest', string $vhost = '/'): AMQPStreamConnection
{
    global $addrs, $opened;
    [$host, $port] = $addrs[$i % count($addrs)];
    return $opened[] = new AMQPStreamConnection($host, $port, 'guest', $password, $vhost, false, 'AMQPLAIN', null, 'en_US', 5.0, 20.0, null, false, $heartbeat, 20.0);
}

function channel(int $i): AMQPChannel
{
    return connect($i)->channel();
}

function unique(string $what): string
{
    return $what . '-' . bin2hex(random_bytes(4));
}

function same(string $what, $got, $want): void
{
    if ($got != $want || gettype($got) !== gettype($want)) {
        throw new Exception("$what: got " . json_encode($got) . ', want ' . json_encode($want));
    }
}

/** Asks again until it is so. */
function waitFor(string $what, callable $so, float $seconds = 10): void
{
    $end = microtime(true) + $seconds;
    while (!$so()) {
        if (microtime(true) > $end) {
            throw new Exception("never so: $what");
        }
        usleep(5000);
    }
}

function arrived(AMQPChannel $ch, string $queue, int $count): void
{
    waitFor("$count messages in $queue", fn () => $ch->queue_declare($queue, true)[1] === $count);
}

/** Waits for deliveries, confirms or whatever a callback notes. */
function pump(AMQPChannel $ch, string $what, callable $so, float $seconds = 10): void
{
    waitFor($what, function () use ($ch, $so) {
        if ($so()) {
            return true;
        }
        try {
            $ch->wait(null, false, 0.1);
        } catch (AMQPTimeoutException $e) {
        }
        return $so();
    }, $seconds);
}

function refused(string $what, callable $do, string $kind, int $code, string $text): void
{
    try {
        $do();
    } catch (AMQPExceptionInterface $e) {
        same($what, [get_class($e), $e->getCode(), $e->getMessage()], [$kind, $code, $text]);
        return;
    }
    throw new Exception("$what: not refused");
}

function message(string $body, array $properties = [], array $headers = []): AMQPMessage
{
    $m = new AMQPMessage($body, $properties + ['delivery_mode' => 2]);
    if ($headers) {
        $m->set('application_headers', new AMQPTable($headers));
    }
    return $m;
}

/** Publishes and waits until all is confirmed. */
function send(AMQPChannel $ch, string $exchange, string $key, AMQPMessage ...$messages): void
{
    static $confirming = null;
    $confirming ??= new WeakMap(); // a second confirm_select would start php-amqplib's numbers again
    if (!isset($confirming[$ch])) {
        $confirming[$ch] = true;
        $ch->confirm_select();
    }
    foreach ($messages as $m) {
        $ch->basic_publish($m, $exchange, $key);
    }
    $ch->wait_for_pending_acks(10);
}

function body(AMQPChannel $ch, string $queue): ?string
{
    $m = $ch->basic_get($queue, true);
    return $m ? $m->body : null;
}

$features = [];

$features['channel_errors'] = function () {
    refused('no queue', fn () => channel(0)->queue_declare('nope', true), AMQPProtocolChannelException::class, 404, "NOT_FOUND - no queue 'nope' in vhost '/'");
    refused('a reserved name', fn () => channel(0)->exchange_declare('amq.nope', 'direct'), AMQPProtocolChannelException::class, 403,
        "ACCESS_REFUSED - exchange name 'amq.nope' contains reserved prefix 'amq.*'");
    $ch = channel(1);
    refused('an unknown tag', function () use ($ch) {
        $ch->basic_ack(9);
        $ch->queue_declare('', false, false, true);
    }, AMQPProtocolChannelException::class, 406, 'PRECONDITION_FAILED - unknown delivery tag 9');
    same('the connection', $ch->is_open(), false);
};

$features['connection_errors'] = function () {
    refused('login', fn () => connect(0, 0, 'wrong'), AMQPConnectionClosedException::class, 403,
        'ACCESS_REFUSED - Login was refused using authentication mechanism AMQPLAIN. For details see the broker logfile.(0, 0)');
    refused('virtual host', fn () => connect(1, 0, 'guest', 'nope'), AMQPConnectionClosedException::class, 530, 'NOT_ALLOWED - vhost nope not found(10, 40)');
    refused('prefetch size', fn () => channel(0)->basic_qos(5, 0, false), AMQPConnectionClosedException::class, 540, 'NOT_IMPLEMENTED - prefetch_size!=0 (5)(60, 10)');
};

$features['exchange_types_and_bindings'] = function () {
    $ch = channel(0);
    $out = channel(1);
    $kinds = ['direct' => ['k', 'k'], 'fanout' => ['', 'any'], 'topic' => ['#.b.*', 'b.c'], 'headers' => ['', '']];
    foreach ($kinds as $kind => [$binding, $key]) {
        $arguments = $kind === 'headers' ? new AMQPTable(['x-match' => 'any', 'n' => 1]) : [];
        $lost = unique('lost');
        $x = unique($kind);
        $second = unique('second');
        $ch->exchange_declare($lost, 'fanout', false, false, false);
        $ch->exchange_declare($x, $kind, false, true, false, false, false, new AMQPTable(['alternate-exchange' => $lost]));
        $ch->exchange_declare($second, 'fanout', false, false, false, true);
        [$q] = $ch->queue_declare('', false, false, true);
        [$rest] = $ch->queue_declare('', false, false, true);
        $ch->queue_bind($rest, $lost);
        $ch->queue_bind($q, $x, $binding, false, $arguments);
        send($out, $x, $key, message('in', [], ['n' => 1]));
        same($kind, body($ch, $q), 'in');
        $ch->queue_unbind($q, $x, $binding, $arguments);
        send($out, $x, $key, message('out', [], ['n' => 1]));
        same("$kind, unbound", [body($ch, $q), body($ch, $rest)], [null, 'out']);
        $ch->exchange_bind($second, $x, $binding, false, $arguments);
        $ch->queue_bind($q, $second);
        send($out, $x, $key, message('over', [], ['n' => 1]));
        same("$kind, over an exchange", body($ch, $q), 'over');
        $ch->exchange_unbind($second, $x, $binding, false, $arguments);
        foreach ([$x, $second, $lost] as $e) {
            $ch->exchange_delete($e);
        }
    }
};

$features['confirms_returns_and_batches'] = function () {
    $ch = channel(0);
    $q = unique('confirms');
    $ch->queue_declare($q, false, true, false, false);
    $acked = $back = 0;
    $events = [];
    $ch->set_ack_handler(function () use (&$acked, &$events) {
        $acked++;
        $events[] = 'ack';
    });
    $ch->set_return_listener(function ($code, $text, $exchange, $key, $m) use (&$events) {
        $events[] = [$code, $text, $exchange, $m->body];
    });
    send($ch, '', $q);
    for ($i = 0; $i < 100; $i++) {
        $ch->batch_basic_publish(message((string) $i), '', $q);
    }
    $ch->publish_batch();
    $ch->wait_for_pending_acks(10);
    same('acks', $acked, 100);
    same('messages', channel(1)->queue_purge($q), 100);
    $events = [];
    $ch->basic_publish(message('lost'), 'amq.topic', unique('nowhere'), true);
    $ch->wait_for_pending_acks_returns(10);
    same('return before the ack', $events, [[312, 'NO_ROUTE', 'amq.topic', 'lost'], 'ack']);
    $ch->queue_delete($q);
    $ch->queue_declare($q, false, true, false, false, false, new AMQPTable(['x-max-length' => 1, 'x-overflow' => 'reject-publish']));
    $nacked = [];
    $ch->set_nack_handler(function ($m) use (&$nacked) {
        $nacked[] = $m->body;
    });
    send($ch, '', $q, message('one'));
    send($ch, '', $q, message('two'));
    same('nacked', $nacked, ['two']);
    $ch->queue_delete($q);
};

$features['consume_settle_cancel'] = function () {
    $ch = channel(0);
    $q = unique('consume');
    $ch->queue_declare($q, false, true, false, false);
    send(channel(1), '', $q, ...array_map('message', ['a', 'b', 'c', 'd']));
    $got = [];
    $ch->basic_qos(0, 2, false);
    $tag = $ch->basic_consume($q, '', false, false, false, false, function ($m) use (&$got) {
        $got[] = $m;
    });
    same('tag', substr($tag, 0, 9), 'amq.ctag-');
    pump($ch, 'two', function () use (&$got) {
        return count($got) === 2;
    });
    arrived(channel(1), $q, 2);
    $got[1]->ack(true);
    pump($ch, 'four', function () use (&$got) {
        return count($got) === 4;
    });
    $got[2]->reject(false);
    $got[3]->nack(true);
    pump($ch, 'again', function () use (&$got) {
        return count($got) === 5;
    });
    same('deliveries', array_map(fn ($m) => [$m->body, $m->isRedelivered()], $got), [['a', false], ['b', false], ['c', false], ['d', false], ['d', true]]);
    same('cancelled', $ch->basic_cancel($tag), $tag);
    $ch->basic_recover(true);
    arrived(channel(1), $q, 1);
    $ch->basic_consume($q, 'mine', false, true, false, false, fn () => null);
    channel(1)->queue_delete($q);
    try {
        pump($ch, 'cancel', fn () => false);
        throw new Exception('not cancelled');
    } catch (AMQPBasicCancelException $e) {
        same('cancelled by the broker', $e->consumerTag, 'mine');
    }
};

/** A consumer whose deliveries are noted as [its tag, body] and acknowledged. */
function note(AMQPChannel $ch, string $queue, string $tag, array &$got, bool $exclusive = false, array $arguments = []): void
{
    $ch->basic_consume($queue, $tag, false, false, $exclusive, false, function ($m) use (&$got, $tag) {
        $got[] = [$tag, $m->body];
        $m->ack();
    }, null, new AMQPTable($arguments));
}

/** Types of queues that heed exclusive consumers: RabbitMQ's quorum queues do not. */
function types(): array
{
    return getenv('WARREN_COMPAT') === 'rabbitmq' ? ['classic'] : ['classic', 'quorum'];
}

$features['exclusive_consumers'] = function () {
    foreach (types() as $type) {
        $ch = channel(0);
        $q = unique('alone');
        $got = [];
        $ch->queue_declare($q, false, true, false, false, false, new AMQPTable(['x-queue-type' => $type]));
        note($ch, $q, 'alone', $got, true);
        foreach ([true, false] as $exclusive) {
            refused("another consumer of a $type queue", fn () => note(channel(1), $q, 'other', $got, $exclusive), AMQPProtocolChannelException::class, 403,
                "ACCESS_REFUSED - queue '$q' in vhost '/' in exclusive use");
        }
        send(channel(1), '', $q, message('mine'));
        pump($ch, 'a delivery', function () use (&$got) {
            return count($got) === 1;
        });
        $ch->basic_cancel('alone');
        $next = channel(1);
        note($next, $q, 'next', $got);
        refused('exclusive beside another', fn () => note(channel(0), $q, 'late', $got, true), AMQPProtocolChannelException::class, 403,
            "ACCESS_REFUSED - queue '$q' in vhost '/' in exclusive use");
        send(channel(0), '', $q, message('yours'));
        pump($next, 'a delivery to the next', function () use (&$got) {
            return count($got) === 2;
        });
        same('deliveries', $got, [['alone', 'mine'], ['next', 'yours']]);
        $next->queue_delete($q);
    }
};

$features['consumer_priorities'] = function () {
    $low = channel(0);
    $high = channel(1);
    $out = channel(2);
    $q = unique('ranks');
    $got = [];
    $held = [];
    $low->queue_declare($q, false, true, false, false);
    note($low, $q, 'low', $got);
    $high->basic_qos(0, 2, false);
    $high->basic_consume($q, 'high', false, false, false, false, function ($m) use (&$held) {
        $held[] = $m->body;
    }, null, new AMQPTable(['x-priority' => 10]));
    send($out, '', $q, ...array_map('message', ['a', 'b', 'c']));
    pump($high, 'what the first of them may hold', function () use (&$held) {
        return count($held) === 2;
    });
    pump($low, 'the rest', function () use (&$got) {
        return count($got) === 1;
    });
    same('deliveries', [$held, $got], [['a', 'b'], [['low', 'c']]]);
    $out->queue_delete($q);
};

$features['single_active_consumer'] = function () {
    foreach (types() as $type) {
        $first = channel(0);
        $second = channel(1);
        $out = channel(2);
        $q = unique('single');
        $got = [];
        $first->queue_declare($q, false, true, false, false, false, new AMQPTable(['x-single-active-consumer' => true, 'x-queue-type' => $type]));
        note($first, $q, 'first', $got);
        note($second, $q, 'second', $got);
        send($out, '', $q, message('a'), message('b'));
        pump($first, 'two', function () use (&$got) {
            return count($got) === 2;
        });
        refused('an exclusive consumer', fn () => note(channel(0), $q, 'alone', $got, true), AMQPProtocolChannelException::class, 403,
            "ACCESS_REFUSED - queue '$q' in vhost '/' in exclusive use");
        $first->getConnection()->close();
        send($out, '', $q, message('c'));
        pump($second, 'the third', function () use (&$got) {
            return count($got) === 3;
        });
        same('deliveries', $got, [['first', 'a'], ['first', 'b'], ['second', 'c']]);
        $out->queue_delete($q);
    }
};

$features['cc_and_bcc'] = function () {
    $ch = channel(0);
    $x = unique('copies');
    $queues = [];
    $ch->exchange_declare($x, 'direct', false, true, false);
    foreach (['to', 'cc', 'bcc'] as $key) {
        $ch->queue_declare($queues[$key] = unique($key), false, true, false, false);
        $ch->queue_bind($queues[$key], $x, $key);
    }
    send(channel(1), $x, 'to', message('m', [], ['CC' => ['cc', 'nowhere'], 'BCC' => ['bcc'], 'mine' => 'kept']));
    foreach ($queues as $key => $q) {
        $m = $ch->basic_get($q, true);
        same($key, [$m->body, $m->getRoutingKey(), $m->get('application_headers')->getNativeData()], ['m', 'to', ['CC' => ['cc', 'nowhere'], 'mine' => 'kept']]);
        same("$key, once", body($ch, $q), null);
        $ch->queue_delete($q);
    }
    refused('no list', function () use ($x) {
        $bad = channel(1);
        $bad->basic_publish(message('m', [], ['CC' => 'cc']), $x, 'to');
        $bad->queue_declare('', false, false, true);
    }, AMQPProtocolChannelException::class, 406, 'PRECONDITION_FAILED - invalid message: {unacceptable_type_in_header,"CC",longstr}');
    $ch->exchange_delete($x);
};

$features['alternate_exchanges'] = function () {
    $ch = channel(0);
    $out = channel(1);
    [$last, $middle, $x] = [unique('last'), unique('middle'), unique('x')];
    $ch->exchange_declare($last, 'direct', false, true, false);
    $ch->exchange_declare($middle, 'topic', false, true, false, false, false, new AMQPTable(['alternate-exchange' => $last]));
    $ch->exchange_declare($x, 'direct', false, true, false, false, false, new AMQPTable(['alternate-exchange' => $middle]));
    [$q] = $ch->queue_declare('', false, false, true);
    $ch->queue_bind($q, $last, 'known');
    $back = [];
    $out->set_return_listener(function ($code, $text, $exchange, $key) use (&$back) {
        $back[] = [$code, $text, $exchange, $key];
    });
    $out->confirm_select();
    foreach (['known', 'unknown'] as $key) {
        $out->basic_publish(message($key), $x, $key, true);
        $out->wait_for_pending_acks_returns(10);
    }
    same('returned', $back, [[312, 'NO_ROUTE', $x, 'unknown']]);
    $m = $ch->basic_get($q, true);
    same('taken', [$m->body, $m->getExchange(), body($ch, $q)], ['known', $x, null]);
    refused('another alternate exchange', fn () => channel(1)->exchange_declare($x, 'direct', false, true, false), AMQPProtocolChannelException::class, 406,
        "PRECONDITION_FAILED - inequivalent arg 'alternate-exchange' for exchange '$x' in vhost '/': received none but current is the value '$middle' of type 'longstr'");
    foreach ([$x, $middle, $last] as $e) {
        $ch->exchange_delete($e);
    }
};

$features['prefetch_of_the_channel'] = function () {
    $ch = channel(0);
    $q = unique('global');
    $ch->queue_declare($q, false, true, false, false);
    send(channel(1), '', $q, ...array_map('message', range('a', 'f')));
    $got = [];
    $ch->basic_qos(0, 3, true);
    foreach ([1, 2] as $_) {
        $ch->basic_consume($q, '', false, false, false, false, function ($m) use (&$got) {
            $got[] = $m->body;
        });
    }
    pump($ch, 'three', function () use (&$got) {
        return count($got) === 3;
    });
    $other = channel(1);
    arrived($other, $q, 3);
    same('deliveries', $got, ['a', 'b', 'c']);
    $ch->getConnection()->close();
    arrived($other, $q, 6);
    $other->queue_delete($q);
};

$features['headers_of_all_types'] = function () {
    $headers = new AMQPTable([
        'int' => -7, 'true' => true, 'false' => false, 'null' => null, 'text' => 'grüße', 'empty' => '', 'long' => 1 << 40, 'float' => 0.25,
        'list' => [1, 'two', [null, ['x' => false]]], 'table' => ['deep' => ['er' => [true]]], 'time' => new DateTime('@1700000000'),
    ]);
    foreach (['octet' => AMQPAbstractCollection::T_INT_SHORTSHORT, 'short' => AMQPAbstractCollection::T_INT_SHORT, 'binary' => AMQPAbstractCollection::T_BYTES,
        'longlong' => AMQPAbstractCollection::T_INT_LONGLONG] as $key => $type) {
        $headers->set($key, $key === 'binary' ? "\x00\xff" : 5, $type);
    }
    $properties = ['content_type' => 'c', 'content_encoding' => 'e', 'delivery_mode' => 2, 'priority' => 3, 'correlation_id' => 'i', 'reply_to' => 'r',
        'expiration' => '99999', 'message_id' => 'm', 'timestamp' => 1700000000, 'type' => 't', 'user_id' => 'guest', 'app_id' => 'a', 'cluster_id' => 'k'];
    $sent = new AMQPMessage("\x00\xff", $properties + ['application_headers' => $headers]);
    $ch = channel(0);
    $q = unique('types');
    $ch->queue_declare($q, false, true, false, false);
    send(channel(1), '', $q, $sent);
    $got = $ch->basic_get($q, true);
    same('body', bin2hex($got->body), '00ff');
    same('properties', bin2hex($got->serialize_properties()), bin2hex($sent->serialize_properties()));
    $ch->queue_delete($q);
};

$features['priorities_ttl_and_dead_letters'] = function () {
    $ch = channel(0);
    $out = channel(1);
    $dead = unique('dead');
    $q = unique('mortal');
    $ch->queue_declare($dead, false, true, false, false);
    $ch->queue_declare($q, false, true, false, false, false, new AMQPTable([
        'x-max-priority' => 9, 'x-dead-letter-exchange' => '', 'x-dead-letter-routing-key' => $dead, 'x-message-ttl' => 60000]));
    send($out, '', $q, message('a', ['priority' => 1]), message('b', ['priority' => 9]), message('c', ['priority' => 5]));
    same('order', [body($ch, $q), body($ch, $q), body($ch, $q)], ['b', 'c', 'a']);
    send($out, '', $q, message('short', ['expiration' => '20']));
    arrived($out, $dead, 1);
    $m = $ch->basic_get($dead, true);
    $death = $m->get('application_headers')->getNativeData()['x-death'][0];
    $time = $death['time'];
    unset($death['time']);
    ksort($death);
    same('x-death', $death, ['count' => 1, 'exchange' => '', 'original-expiration' => '20', 'queue' => $q, 'reason' => 'expired', 'routing-keys' => [$q]]);
    if (abs(($time instanceof DateTimeInterface ? $time->getTimestamp() : (int) $time) - time()) > 120) {
        throw new Exception('time of death: ' . json_encode($time));
    }
    same('expiration', $m->has('expiration'), false);
    send($out, '', $q, message('no'));
    $ch->basic_get($q)->nack(false);
    arrived($out, $dead, 1);
    same('rejected', $ch->basic_get($dead, true)->get('application_headers')->getNativeData()['x-first-death-reason'], 'rejected');
    $ch->queue_delete($q);
    $ch->queue_delete($dead);
};

$features['transactions'] = function () {
    $ch = channel(0);
    $q = unique('tx');
    $ch->queue_declare($q, false, true, false, false);
    $ch->tx_select();
    $ch->basic_publish(message('no'), '', $q);
    $ch->tx_rollback();
    $ch->basic_publish(message('yes'), '', $q);
    $ch->tx_commit();
    arrived(channel(1), $q, 1);
    same('kept', body(channel(1), $q), 'yes');
    $ch->queue_delete($q);
};

$features['direct_reply_to'] = function () {
    $server = channel(0);
    $client = channel(1);
    [$q] = $server->queue_declare('', false, false, true);
    $replies = [];
    $client->basic_consume('amq.rabbitmq.reply-to', '', false, true, false, false, function ($m) use (&$replies) {
        $replies[] = [$m->get('correlation_id'), $m->body];
    });
    $client->basic_publish(message('question', ['reply_to' => 'amq.rabbitmq.reply-to', 'correlation_id' => '42']), '', $q);
    arrived($server, $q, 1);
    $m = $server->basic_get($q, true);
    $server->basic_publish(message("re: $m->body", ['correlation_id' => $m->get('correlation_id')]), '', $m->get('reply_to'));
    pump($client, 'the reply', function () use (&$replies) {
        return count($replies) > 0;
    });
    same('reply', $replies, [['42', 're: question']]);
};

$features['heartbeats'] = function () {
    $c = connect(0, 2);
    $ch = $c->channel();
    $end = microtime(true) + 5;
    while (microtime(true) < $end) {
        $c->checkHeartBeat();
        try {
            $ch->wait(null, false, 0.5);
        } catch (AMQPTimeoutException $e) {
        }
    }
    $ch->queue_declare('', false, false, true);
    same('connected', $c->isConnected(), true);
};

$features['large_messages'] = function () {
    $ch = channel(0);
    $q = unique('large');
    $ch->queue_declare($q, false, true, false, false);
    $body = str_repeat(implode('', array_map('chr', range(0, 255))), 8 << 12);
    send(channel(1), '', $q, message($body));
    if (body($ch, $q) !== $body) {
        throw new Exception('the body has changed');
    }
    $ch->queue_delete($q);
};

$blocked = ['connection_blocked' => function () {
    $c = connect(0);
    $told = [];
    $c->set_connection_block_handler(function ($reason) use (&$told) {
        $told[] = $reason;
    });
    $c->set_connection_unblock_handler(function () use (&$told) {
        $told[] = null;
    });
    $ch = $c->channel();
    $q = unique('blocked');
    $ch->queue_declare($q, false, true, false, false);
    send($ch, '', $q, message('before'));
    echo "at publishing\n";
    $trying = $c->channel();
    pump($ch, 'blocked', function () use (&$told, $trying, $c, $q) {
        if (!$c->isBlocked()) { // php-amqplib itself refuses to publish from then on
            $trying->basic_publish(message('x'), '', $q);
        }
        return count($told) > 0;
    }, 30);
    same('reason', in_array($told[0], ['low on memory', 'low on disk', 'low on disk & memory'], true), true);
    same('blocked', $c->isBlocked(), true);
    echo "at blocked\n";
    pump($ch, 'unblocked', function () use (&$told) {
        return count($told) > 1;
    }, 30);
    send($ch, '', $q, message('after'));
    same('messages', $ch->queue_delete($q) >= 2, true);
}];

/** What php-amqplib's documentation asks of its users: connect to one of the hosts again, and go on with what is not confirmed. */
$recovery = ['recovers_when_its_node_is_killed' => function () use ($addrs) {
    $hosts = array_map(fn ($a) => ['host' => $a[0], 'port' => $a[1], 'user' => 'guest', 'password' => 'guest'], $addrs);
    $q = unique('recovery');
    $confirmed = $got = [];
    $lost = $n = 0;
    $end = microtime(true) + 60;
    while ($lost === 0 || count($confirmed) < 300 || array_diff_key($confirmed, $got)) {
        if (microtime(true) > $end) {
            throw new Exception("after a minute: $n sent, " . count($confirmed) . " confirmed, $lost connections lost");
        }
        try {
            $c = AMQPStreamConnection::create_connection($hosts, ['connection_timeout' => 2.0, 'read_write_timeout' => 10.0, 'channel_rpc_timeout' => 5.0]);
            $ch = $c->channel();
            $ch->queue_declare($q, false, true, false, false, false, new AMQPTable(['x-queue-type' => 'quorum']));
            $ch->confirm_select();
            $ch->basic_qos(0, 20, false);
            $ch->set_ack_handler(function ($m) use (&$confirmed) {
                $confirmed[$m->body] = true;
            });
            $ch->basic_consume($q, '', false, false, false, false, function ($m) use (&$got) {
                $got[$m->body] = true;
                $m->ack();
            });
            while ($lost === 0 || count($confirmed) < 300 || array_diff_key($confirmed, $got)) {
                if (microtime(true) > $end) {
                    break;
                }
                if ($lost === 0 || count($confirmed) < 300) {
                    $ch->basic_publish(message((string) ++$n), '', $q);
                    $ch->wait_for_pending_acks(5);
                }
                try {
                    $ch->wait(null, true, 0.01);
                } catch (AMQPTimeoutException $e) {
                }
                if ($n === 50) {
                    echo "at running\n";
                }
            }
            $ch->queue_delete($q);
            $c->close();
        } catch (AMQPExceptionInterface | ErrorException $e) {
            if (!($e instanceof AMQPProtocolChannelException)) {
                $lost++;
            }
        }
    }
}];

$failed = false;
foreach (['features' => $features, 'blocked' => $blocked, 'recovery' => $recovery][$phase] as $name => $case) {
    try {
        $case();
        echo "ok $name\n";
    } catch (Throwable $e) {
        $failed = true;
        echo "FAIL $name: " . get_class($e) . ': ' . str_replace("\n", ' ', $e->getMessage()) . " ({$e->getFile()}:{$e->getLine()})\n";
    }
    foreach ($opened as $c) {
        try {
            $c->close();
        } catch (Throwable $e) { // the case has ended it
        }
    }
    $opened = [];
}
exit($failed ? 1 : 0);
